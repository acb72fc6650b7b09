/** Checks about headers that only Envoy and vecauthz may say: gone before the question is asked. */
import { type Fix, fail } from './finding.ts'
import { type Check, DECIDING, filters } from './look.ts'
import { spoiled, strips } from './strip.ts'
import type { Hop, Way } from './survey.ts'

const MUTATION = 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation'

interface Stripped {
  readonly id: string
  readonly line: string
  readonly why: string
  /** Names that must be gone, and at which hop only, where not at both. */
  readonly names: readonly string[]
  readonly only?: { readonly hop: Hop; readonly names: readonly string[] }
  readonly rules: readonly object[]
}

/** Each list stands for a family: spellings that a rule for one name would let through are in it. */
const FAMILIES: readonly Stripped[] = [
  {
    id: 'strip-tenant',
    line: 'Tenant headers of clients are stripped before the check',
    why: 'Whatever reads `x-tenant-id` behind this Envoy has to read what vecauthz wrote, also where it wrote nothing.',
    names: ['x-tenant-id', 'x-tenant'],
    rules: [{ remove_on_match: { key_matcher: { prefix: 'x-tenant' } } }]
  },
  {
    id: 'strip-decision',
    line: 'Decision headers of clients are stripped before the check',
    why: 'A client that brings its own `x-vecauthz-tenant` or decision id lies to every log and server that reads them.',
    names: ['x-vecauthz-tenant', 'x-vecauthz-caller', 'x-vecauthz-decision'],
    only: { hop: 'egress', names: ['x-vecauthz-policy-token'] },
    rules: ['tenant', 'caller', 'decision'].map((name) => ({ remove: `x-vecauthz-${name}` }))
  },
  {
    id: 'strip-envoy',
    line: "Envoy's own headers are stripped before the check",
    why: '`x-envoy-auth-partial-body` and `x-envoy-auth-failure-mode-allowed` lie about the check; `x-envoy-retry-on` repeats a write; `x-envoy-original-path` forges logs.',
    names: [
      'x-envoy-auth-partial-body',
      'x-envoy-auth-failure-mode-allowed',
      'x-envoy-original-path',
      'x-envoy-retry-on',
      'x-envoy-max-retries',
      'x-envoy-upstream-rq-timeout-ms'
    ],
    rules: [{ remove_on_match: { key_matcher: { prefix: 'x-envoy-' } } }]
  },
  {
    id: 'strip-overrides',
    line: 'Headers that claim another path or method are stripped before the check',
    why: 'Frameworks behind it take `x-original-url`, `x-rewrite-url` or `x-http-method-override` for the request; vecauthz judged another one.',
    names: ['x-original-url', 'x-rewrite-url', 'x-http-method-override', 'x-http-method', 'x-method-override'],
    rules: [
      { remove_on_match: { key_matcher: { prefix: 'x-original-' } } },
      { remove_on_match: { key_matcher: { prefix: 'x-rewrite-' } } },
      { remove: 'x-http-method-override' },
      { remove: 'x-http-method' },
      { remove: 'x-method-override' }
    ]
  },
  {
    id: 'strip-forwarded',
    line: 'Forwarding headers of clients are stripped before the check',
    why: 'A host or address that the client wrote is believed by whatever stands behind.',
    names: [...['for', 'host', 'port', 'path', 'prefix', 'server'].map((name) => `x-forwarded-${name}`), 'forwarded', 'x-real-ip'],
    // All of them, but not the two that Envoy has just written itself: -client-cert, and -proto, without which it finds no route.
    rules: [
      { remove_on_match: { key_matcher: { safe_regex: { regex: 'x-forwarded-([^cp].*|p[^r].*|prefix.*)' } } } },
      { remove: 'forwarded' },
      { remove: 'x-real-ip' }
    ]
  },
  {
    id: 'strip-credentials',
    line: "Clients' own database credentials are stripped before the check",
    why: 'A permanent key that still works makes the tenant of the key, not of the caller, what the database serves.',
    names: [
      ...['api-key', 'x-api-key', 'x-chroma-token', 'proxy-authorization', 'x-proxy-user', 'sourceid'],
      ...['x-openai-api-key', 'x-openai-baseurl', 'x-pinecone-api-version']
    ],
    rules: [
      ...['api-key', 'x-api-key', 'x-chroma-token', 'sourceid', 'proxy-authorization'].map((name) => ({ remove: name })),
      { remove_on_match: { key_matcher: { prefix: 'x-proxy-' } } },
      { remove_on_match: { key_matcher: { prefix: 'x-pinecone-' } } },
      { remove_on_match: { key_matcher: { safe_regex: { regex: 'x-.*-(api-key|baseurl)' } } } }
    ]
  }
]

export const HEADERS: readonly Check[] = FAMILIES.map(({ id, line, why, names, only, rules }) => ({
  id,
  line,
  why,
  hops: DECIDING,
  look: filters((_, way) => {
    const gone = strips(way)
    const here = only?.hop === way.hop ? only.names : []
    const all = [...names, ...here]
    const undone = spoiled(way)
      .filter(({ spoils }) => all.some(spoils))
      .map(({ at }) => fail({ value: {}, path: at }, 'a route undoes what is stripped', { kind: 'remove', at }))
    const kept = all.filter((name) => !gone(name))
    if (kept.length === 0) return undone
    return [
      ...undone,
      fail(way.http, `a client may bring ${kept.join(', ')}`, insertStrip(way, [...rules, ...here.map((name) => ({ remove: name }))]))
    ]
  })
}))

/** A filter of its own right before ext_authz: whatever stands there already may stay. */
function insertStrip(way: Way, rules: readonly object[]): Fix {
  const typed = { '@type': MUTATION, mutations: { request_mutations: rules } }
  return {
    kind: 'insert',
    at: [...way.http.path, 'http_filters'],
    index: way.authzAt,
    value: { name: 'envoy.filters.http.header_mutation', typed_config: typed }
  }
}
