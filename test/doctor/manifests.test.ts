import { describe, expect, it } from 'vitest'
import { readGatewayApi } from '../../src/doctor/gateway-api.ts'
import { readIstio } from '../../src/doctor/istio.ts'
import { judge } from '../../src/doctor/judge.ts'
import type { Manifest } from '../../src/doctor/manifests.ts'
import { dropPatch, ISTIO_MISTAKES, ISTIO_OPEN, manifestsOf, one, patchOf, without } from '../support/istio-mistakes.ts'
import { SHIPPED } from '../support/shipped-envoy.ts'

/** The shipped manifests, and each with one thing wrong: what they say fails, and what they leave open is no pass. */

const { servers } = SHIPPED['gateway.yaml']

const READERS = { istio: readIstio, 'gateway-api': readGatewayApi } as const
type Kind = keyof typeof READERS

function judged(kind: Kind, change: (all: Manifest[]) => unknown = () => undefined) {
  const all = manifestsOf(kind)
  change(all)
  const read = READERS[kind](all)
  if (read?.ok !== true) throw new Error('no manifests')
  const report = judge(read.document, servers)
  const of = (verdict: string) => report.judged.filter((one) => one.verdict === verdict).map(({ check }) => check.id)
  return { pass: of('pass'), fail: of('fail'), unknown: of('cannot-tell') }
}

/** What manifests never show: the control plane writes it, or nobody. */
const LEFT_OPEN = ['nothing-after', 'no-upstream-filters', 'admin-private', 'admin-reads-only', 'database-private']

describe.each(Object.keys(READERS) as Kind[])('%s as shipped', (kind) => {
  it('fails no line, and leaves open what it does not say', () => {
    const { pass, fail, unknown } = judged(kind)
    expect(fail).toEqual([])
    expect(unknown).toEqual(expect.arrayContaining(LEFT_OPEN))
    for (const id of [
      'client-certificate',
      'fail-closed',
      'body-bytes',
      'raw-headers',
      'changes-listed',
      'guard',
      'strip-credentials',
      'no-upgrades'
    ])
      expect(pass).toContain(id)
  })
})

const listeners = (all: readonly Manifest[]): Manifest[] => one(all, 'Gateway')['spec'].listeners
/** What the patches say, and no policy can. */
const UNPATCHED = [
  ...['answers-counted', 'body-bytes', 'changes-listed', 'changes-validated', 'denials-bounded', 'guard', 'no-upgrades'],
  ...['peer-certificate', 'raw-headers', 'strip-credentials', 'strip-decision', 'strip-envoy', 'strip-forwarded']
]
const PLAIN_LISTENER = [...UNPATCHED, 'client-certificate']

const GATEWAY: readonly { name: string; lines: readonly string[]; change: (all: Manifest[]) => unknown }[] = [
  {
    name: 'fail-open',
    lines: ['fail-closed'],
    change: (all) => Object.assign(one(all, 'SecurityPolicy')['spec'].extAuth, { failOpen: true })
  },
  { name: 'no policy that asks', lines: ['every-way-asks'], change: (all) => without(all, 'SecurityPolicy') },
  { name: 'a body as text', lines: ['body-bytes'], change: (all) => dropPatch(all, 'EnvoyPatchPolicy', 'jsonPatches', 'pack_as_bytes') },
  { name: 'no guard', lines: ['guard'], change: (all) => dropPatch(all, 'EnvoyPatchPolicy', 'jsonPatches', 'vecauthz.guard') },
  {
    name: 'a certificate that nobody has to show',
    lines: ['client-certificate'],
    change: (all) => Object.assign(one(all, 'ClientTrafficPolicy')['spec'].tls.clientValidation, { optional: true })
  },
  { name: 'TLS 1.2', lines: ['tls-1.3'], change: (all) => delete one(all, 'ClientTrafficPolicy')['spec'].tls.minVersion },
  {
    name: 'escaped slashes, unescaped',
    lines: ['escaped-slashes'],
    change: (all) => delete one(all, 'ClientTrafficPolicy')['spec'].path.escapedSlashesAction
  },
  {
    name: 'connections of any age',
    lines: ['connection-age'],
    change: (all) => delete one(all, 'ClientTrafficPolicy')['spec'].connection.connectionLimit.maxConnectionDuration
  },
  {
    name: 'a route that rewrites',
    lines: ['no-rewrites'],
    change: (all) => Object.assign(one(all, 'HTTPRoute')['spec'].rules[0], { filters: [{ type: 'URLRewrite' }] })
  },
  {
    name: 'a route that mirrors',
    lines: ['no-mirror'],
    change: (all) => Object.assign(one(all, 'HTTPRoute')['spec'].rules[0], { filters: [{ type: 'RequestMirror' }] })
  },
  {
    name: 'a listener for any host',
    lines: ['hosts-listed'],
    change: (all) => delete one(all, 'Gateway')['spec'].listeners[0].hostname
  },
  {
    name: 'a listener without TLS beside it',
    lines: PLAIN_LISTENER,
    change: (all) => listeners(all).push({ name: 'http', protocol: 'HTTP', port: 8080, hostname: 'qdrant.data.svc.cluster.local' })
  },
  {
    name: 'a listener that hands connections on beside it',
    lines: ['every-way-asks'],
    change: (all) => listeners(all).push({ name: 'raw', protocol: 'TLS', port: 9443, tls: { mode: 'Passthrough' } })
  },
  {
    name: 'a listener that no patch is about',
    lines: UNPATCHED,
    change: (all) => listeners(all).push({ ...listeners(all)[0], name: 'more', port: 9443 })
  },
  {
    name: 'a policy that asks at another listener only',
    lines: ['every-way-asks'],
    change: (all) => Object.assign(one(all, 'SecurityPolicy')['spec'].targetRefs[0], { sectionName: 'other' })
  },
  {
    name: 'a policy that asks in another namespace',
    lines: ['every-way-asks'],
    change: (all) => Object.assign(one(all, 'SecurityPolicy')['metadata'], { namespace: 'other' })
  },
  {
    name: 'a policy of a route that takes the place of that of the Gateway, and asks nobody',
    lines: ['every-way-asks'],
    change: (all) => {
      const targetRefs = [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', name: 'qdrant' }]
      const metadata = { name: 'qdrant', namespace: 'data' }
      all.push({ ...one(all, 'SecurityPolicy'), metadata, spec: { targetRefs, cors: { allowOrigins: ['*'] } } })
    }
  },
  {
    name: 'patches of another listener',
    lines: UNPATCHED,
    change: (all) => {
      for (const patch of one(all, 'EnvoyPatchPolicy')['spec'].jsonPatches) patch.name = patch.name.replace(/https$/, 'http')
    }
  },
  {
    name: 'patches in another namespace',
    lines: UNPATCHED,
    change: (all) => Object.assign(one(all, 'EnvoyPatchPolicy')['metadata'], { namespace: 'other' })
  },
  {
    name: 'connections that are bounded at one listener, and not at the one that there is',
    lines: [
      ...['certificate-checked', 'client-certificate', 'connection-age', 'escaped-slashes', 'tls-1.3', 'xfcc-chain'],
      'xfcc-sanitized'
    ],
    change: (all) => Object.assign(one(all, 'ClientTrafficPolicy')['spec'].targetRefs[0], { sectionName: 'other' })
  },
  {
    name: 'TLS to vecauthz that is said in another namespace than its own',
    lines: ['authz-proven'],
    change: (all) => Object.assign(one(all, 'BackendTLSPolicy')['metadata'], { namespace: 'data' })
  },
  { name: 'vecauthz spoken to in the clear', lines: ['authz-proven'], change: (all) => without(all, 'BackendTLSPolicy') }
]

describe.each([
  ['istio', ISTIO_MISTAKES],
  ['gateway-api', GATEWAY]
] as const)('%s fails', (kind, rows) => {
  it.each(rows)('$name', ({ lines, change }) => {
    expect(judged(kind, change).fail.sort()).toEqual([...lines].sort())
  })
})

describe('Envoy Gateway is left open by', () => {
  const extAuth = (all: Manifest[]): Manifest => one(all, 'SecurityPolicy')['spec'].extAuth
  const rows: readonly { name: string; change: (all: Manifest[]) => unknown }[] = [
    { name: 'HTTP/3', change: (all) => Object.assign(one(all, 'ClientTrafficPolicy')['spec'], { http3: {} }) },
    { name: 'a second backend that is asked', change: (all) => extAuth(all)['grpc'].backendRefs.push({ name: 'other', port: 9901 }) },
    {
      name: 'a second policy for the same listener',
      change: (all) => all.push({ ...one(all, 'SecurityPolicy'), metadata: { name: 'more', namespace: 'data' } })
    },
    { name: 'an order of filters', change: (all) => Object.assign(one(all, 'EnvoyProxy')['spec'], { filterOrder: [] }) },
    { name: 'listeners that are elsewhere', change: (all) => all.push({ apiVersion: 'v1', kind: 'XListenerSet' }) },
    {
      name: 'a filter of a route that is a kind of its own',
      change: (all) => Object.assign(one(all, 'HTTPRoute')['spec'].rules[0], { filters: [{ type: 'ExtensionRef' }] })
    },
    {
      name: 'a patch for one filter chain',
      change: (all) => {
        const [patch] = one(all, 'EnvoyPatchPolicy')['spec'].jsonPatches
        patch.operation.jsonPath = patch.operation.jsonPath.replace('[*]', '[0]')
      }
    }
  ]

  it.each(rows)('$name', ({ change }) => {
    expect(judged('gateway-api', change).pass).toEqual([])
  })
})

describe('Istio is left open by', () => {
  it.each(ISTIO_OPEN)('$name', ({ change }) => {
    expect(judged('istio', change).pass).toEqual([])
  })

  it('a patch of the calls of the pod itself: what it says of requests', () => {
    const { fail, unknown } = judged('istio', (all) =>
      Object.assign(patchOf(all, 'normalize_path')['match'], { context: 'SIDECAR_OUTBOUND' })
    )
    expect(fail).toEqual([])
    expect(unknown).toEqual(expect.arrayContaining(['escaped-slashes', 'requests-end', 'connection-age', 'underscores', 'absolute-form']))
  })
})

it('Istio: a rule of a namespace that this workload does not see says nothing of whom it asks', () => {
  const { fail } = judged('istio', (all) => Object.assign(one(all, 'DestinationRule')['metadata'], { namespace: 'other' }))
  expect(fail).toContain('authz-proven')
})

it('a patch that is not understood leaves every line open that it could change', () => {
  const { pass, fail } = judged('istio', (all) =>
    one(all, 'EnvoyFilter')['spec'].configPatches.push({ applyTo: 'HTTP_ROUTE', patch: { operation: 'MERGE' } })
  )
  expect([pass, fail]).toEqual([[], []])
})
