/** Checks about what the question shows beside the body, and what an answer may do. */
import { AUTHZ_FILTER, overrides } from './authz-filter.ts'
import { cannotTell, type Finding, type Fix, fail, put, remove } from './finding.ts'
import { type Check, DECIDING, filters, GATEWAY, must } from './look.ts'
import type { Filter, Way } from './survey.ts'
import { at, count, flag, has, isMessage, listOf, type Place, text, textsOf } from './values.ts'

/** Headers that an answer must not touch: with them, another request is made than was judged. */
const NOBODYS = ['content-length', ':method', ':authority', 'host', 'transfer-encoding', 'content-type', 'content-encoding', 'x-tenant-id2']

function rules(filter: Filter): readonly Finding[] {
  const good = AUTHZ_FILTER.typed_config.decoder_header_mutation_rules
  const found = at(filter.config, 'decoder_header_mutation_rules')
  const fix = put(filter.config, { decoder_header_mutation_rules: good })
  if (found === undefined) return [fail(filter.config, 'an answer may change any header', fix)]
  const strict =
    flag(found, 'disallow_all') && flag(found, 'disallow_is_error') && !flag(found, 'allow_all_routing') && !flag(found, 'allow_envoy')
  if (!strict) return [fail(found, 'what is not listed is not an error', fix)]
  const expression = at(found, 'allow_expression')
  const regex = expression === undefined ? '' : (text(expression, 'regex') ?? '')
  const allows = readable(regex)
  if (allows === undefined) return [cannotTell(found.path, 'its allow_expression cannot be read here')]
  const wrong = NOBODYS.filter((name) => allows.test(name))
  return wrong.length === 0 ? [] : [fail(found, `an answer may change ${wrong.join(', ')}`, fix)]
}

function readable(regex: string): RegExp | undefined {
  try {
    return new RegExp(`^(?:${regex})$`)
  } catch {
    return undefined
  }
}

/** As Istio does it: RBAC in front notes which rule would match, and the question is asked where one does. One that is true of all is. */
function marksAll(way: Way): boolean {
  const any = (value: unknown): boolean => {
    if (!isMessage(value)) return false
    const inner = value['and_rules'] ?? value['and_ids']
    if (isMessage(inner)) return [inner['rules'] ?? inner['ids']].flat().every(any)
    return value['any'] === true
  }
  const condition = at(way.filters[way.authzAt]?.config ?? way.http, 'filter_enabled_metadata')
  const wanted = condition === undefined ? undefined : at(condition, 'value', 'string_match')?.value['prefix']
  if (condition === undefined || typeof wanted !== 'string' || flag(condition, 'invert')) return false
  const key = listOf(condition, 'path').map((one) => text(one, 'key'))
  return way.filters.slice(0, way.authzAt).some(({ type, config }) => {
    const policies = type.endsWith('.rbac.v3.RBAC') ? at(config, 'shadow_rules', 'policies') : undefined
    const noted = `${text(config, 'shadow_rules_stat_prefix') ?? ''}shadow_effective_policy_id`
    // The one that is noted is the first that matches: all of them have to be such names.
    const all = Object.entries(policies?.value ?? {})
    if (key.length !== 1 || key[0] !== noted || !all.every(([name]) => name.startsWith(wanted))) return false
    return all.some(([, one]) => isMessage(one) && [one['permissions']].flat().some(any) && [one['principals']].flat().some(any))
  })
}

function share(filter: Filter, way: Way): readonly Finding[] {
  const { config } = filter
  const enabled = at(config, 'filter_enabled', 'default_value')
  const whole = { HUNDRED: 100, TEN_THOUSAND: 10_000, MILLION: 1_000_000 }
  const of = enabled === undefined ? undefined : whole[(text(enabled, 'denominator') ?? 'HUNDRED') as keyof typeof whole]
  const all = enabled === undefined || (of !== undefined && (count(enabled, 'numerator') ?? 0) >= of)
  const denied = at(config, 'deny_at_disable', 'default_value')
  const found: Finding[] = []
  if (has(config, 'filter_enabled') && !all && !(denied !== undefined && flag(denied, 'value')))
    found.push(fail(config, 'only a share of the requests is asked about', remove(config, 'filter_enabled')))
  if (has(config, 'filter_enabled_metadata') && !marksAll(way))
    found.push(fail(config, 'metadata says whether a request is asked about', remove(config, 'filter_enabled_metadata')))
  if (flag(config, 'shadow_mode'))
    found.push(fail(config, 'shadow_mode: whatever the answer is, the call goes on', remove(config, 'shadow_mode')))
  return found
}

/** Envoy takes none that says nothing: what only disables goes as a whole. */
function enabled(override: Place): Fix {
  if (has(override, 'config')) return remove(override, 'disabled')
  return { kind: 'remove', at: override.path.slice(0, override.path.lastIndexOf('typed_per_filter_config') + 2) }
}

export const ANSWER: readonly Check[] = [
  {
    id: 'changes-validated',
    line: 'What an answer changes is validated',
    why: 'A blank in a query parameter of an answer breaks the request line that the database reads; a line break is stopped by one last check of Envoy only.',
    hops: DECIDING,
    look: filters(({ config }) => must(config, 'validate_mutations', true, 'changes are not validated'))
  },
  {
    id: 'changes-listed',
    line: 'An answer may change listed headers only',
    why: 'A `content-length` or `:method` from a confused server makes the database read another request than was judged.',
    hops: DECIDING,
    look: filters(rules)
  },
  {
    id: 'denials-bounded',
    line: 'What an answer tells the caller is bounded in size',
    why: 'The body of a denial, a header in gRPC, goes to the caller; so do headers that an answer adds to a response. Those of a denial vecauthz alone bounds.',
    hops: DECIDING,
    look: filters(({ config }) => {
      const most = count(config, 'max_denied_response_body_bytes')
      const bounded = most !== undefined && most > 0 && most <= 65_536
      return [
        ...(bounded ? [] : [fail(config, 'bodies of denials are not bounded', put(config, { max_denied_response_body_bytes: 4096 }))]),
        ...must(config, 'enforce_response_header_limits', true, 'headers that an answer adds to a response are not bounded')
      ]
    })
  },
  {
    id: 'answers-counted',
    line: 'Decisions are counted under their own name, with their latency',
    why: 'Without them nobody sees that the share of denials, errors or slow answers has changed.',
    hops: DECIDING,
    look: filters(({ config }) => [
      ...(text(config, 'stat_prefix') ? [] : [fail(config, 'there is no stat_prefix', put(config, { stat_prefix: 'vecauthz' }))]),
      ...must(config, 'emit_filter_state_stats', true, 'the latency of decisions is not kept')
    ])
  },
  {
    id: 'route-kept',
    line: 'An answer selects no other route',
    why: 'With clear_route_cache, a changed header or path leads to a route that was chosen after the question.',
    hops: DECIDING,
    look: filters(({ config }) => [
      ...must(config, 'clear_route_cache', false, 'routes are chosen again after the answer'),
      ...(textsOf(config, 'clear_route_cache_headers').length === 0
        ? []
        : [fail(config, 'some headers choose the route again', remove(config, 'clear_route_cache_headers'))])
    ])
  },
  {
    id: 'every-request-asked',
    line: 'Every request is asked about, and every answer counts',
    why: 'A share below 100 %, a metadata condition or shadow mode lets calls go on that nobody allowed.',
    hops: DECIDING,
    look: filters((filter, way) => share(filter, way))
  },
  {
    id: 'no-route-skips',
    line: 'No route skips the question',
    why: 'A route that a header, a query or a host selects is one that the caller selects.',
    hops: DECIDING,
    look: filters((_, way) =>
      overrides(way).flatMap((one) => (flag(one, 'disabled') ? [fail(one, 'ext_authz is disabled here', enabled(one))] : []))
    )
  },
  {
    id: 'role-by-port',
    line: 'The role of the server is that of its port, not of a route',
    why: 'context_extensions vary with the virtual host, so with the Host header that a caller writes.',
    hops: DECIDING,
    look: filters((_, way) =>
      overrides(way).flatMap((one) => {
        const settings = at(one, 'check_settings')
        if (settings === undefined || Object.keys(at(settings, 'context_extensions')?.value ?? {}).length === 0) return []
        return [fail(settings, 'a route tells the server something about itself', remove(settings, 'context_extensions'))]
      })
    )
  },
  {
    id: 'peer-certificate',
    line: "The caller's certificate comes along",
    why: 'vecauthz checks it on every request, for Envoy never does again: an SVID that has expired stays good on an open connection.',
    hops: GATEWAY,
    look: filters(({ config }) => must(config, 'include_peer_certificate', true, 'the certificate is not sent'))
  },
  {
    id: 'raw-headers',
    line: 'Headers arrive one by one, and all of them',
    why: 'Joined with a comma, two tenant headers are one value to vecauthz and two to the database; a header that is not shown is not judged.',
    hops: DECIDING,
    look: filters(({ config }) => [
      ...must(config, 'encode_raw_headers', true, 'headers that come twice are joined'),
      ...['allowed_headers', 'disallowed_headers']
        .filter((key) => has(config, key))
        .map((key) => fail(config, `${key}: some headers are not shown`, remove(config, key)))
    ])
  }
]
