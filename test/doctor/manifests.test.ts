import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readGatewayApi } from '../../src/doctor/gateway-api.ts'
import { readIstio } from '../../src/doctor/istio.ts'
import { judge } from '../../src/doctor/judge.ts'
import { type Manifest, manifestsIn } from '../../src/doctor/manifests.ts'
import { SHIPPED } from '../support/shipped-envoy.ts'

/** The shipped manifests, and each with one thing wrong: what they say fails, and what they leave open is no pass. */

const { servers } = SHIPPED['gateway.yaml']

function manifestsOf(folder: string): Manifest[] {
  const path = join(import.meta.dirname, '../../envoy', folder)
  const files = readdirSync(path).filter((name) => name.endsWith('.yaml'))
  return files.flatMap((name) => manifestsIn(readFileSync(join(path, name), 'utf8')) ?? [])
}

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

const one = (all: readonly Manifest[], kind: string, at = 0): Manifest =>
  all.filter((manifest) => manifest['kind'] === kind)[at] ?? expect.fail(kind)
const meshOf = (all: readonly Manifest[]): Manifest => all.find((manifest) => manifest['meshConfig'])?.['meshConfig']
const provider = (all: readonly Manifest[]): Manifest => meshOf(all)['extensionProviders'][0].envoyExtAuthzGrpc
const without = (all: Manifest[], kind: string, at = 0) => all.splice(all.indexOf(one(all, kind, at)), 1)
const dropPatch = (all: readonly Manifest[], kind: string, list: string, text: string) => {
  for (const manifest of all.filter((candidate) => candidate['kind'] === kind)) {
    const patches: Manifest[] = manifest['spec'][list]
    const index = patches.findIndex((patch) => JSON.stringify(patch).includes(text))
    if (index >= 0) return patches.splice(index, 1)
  }
  return expect.fail(`no patch has ${text}`)
}

const patchOf = (all: readonly Manifest[], text: string): Manifest => {
  const patches = all.filter(({ kind }) => kind === 'EnvoyFilter').flatMap((filter): readonly Manifest[] => filter['spec'].configPatches)
  return patches.find((patch) => JSON.stringify(patch).includes(text)) ?? expect.fail(`no patch has ${text}`)
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

const ISTIO: readonly { name: string; lines: readonly string[]; change: (all: Manifest[]) => unknown }[] = [
  { name: 'fail-open', lines: ['fail-closed'], change: (all) => Object.assign(provider(all), { failOpen: true }) },
  {
    name: 'the default timeout of ten minutes',
    lines: ['checks-repeated', 'answer-in-time'],
    change: (all) => delete provider(all)['timeout']
  },
  { name: 'an outage that looks like a denial', lines: ['outage-seen'], change: (all) => delete provider(all)['statusOnError'] },
  { name: 'no body', lines: ['body-shown'], change: (all) => delete provider(all)['includeRequestBodyInCheck'] },
  { name: 'a body as text', lines: ['body-bytes'], change: (all) => delete provider(all)['includeRequestBodyInCheck'].packAsBytes },
  {
    name: 'a body that is cut',
    lines: ['body-whole'],
    change: (all) => Object.assign(provider(all)['includeRequestBodyInCheck'], { allowPartialMessage: true })
  },
  { name: 'no policy that asks', lines: ['every-way-asks'], change: (all) => without(all, 'AuthorizationPolicy') },
  {
    name: 'a policy that leaves a path out',
    lines: ['every-request-asked'],
    change: (all) =>
      Object.assign(one(all, 'AuthorizationPolicy')['spec'], { rules: [{ to: [{ operation: { paths: ['/collections/*'] } }] }] })
  },
  {
    name: 'connections without a certificate',
    lines: ['client-certificate'],
    change: (all) => Object.assign(one(all, 'PeerAuthentication')['spec'].mtls, { mode: 'PERMISSIVE' })
  },
  {
    name: 'connections without a certificate, whatever the namespace says',
    lines: ['client-certificate'],
    change: (all) => {
      all.push({ ...one(all, 'PeerAuthentication'), metadata: { name: 'all', namespace: 'data' }, spec: { mtls: { mode: 'STRICT' } } })
      Object.assign(one(all, 'PeerAuthentication')['spec'].mtls, { mode: 'PERMISSIVE' })
    }
  },
  {
    name: 'connections without a certificate at one port',
    lines: ['client-certificate'],
    change: (all) => Object.assign(one(all, 'PeerAuthentication')['spec'], { portLevelMtls: { 6333: { mode: 'DISABLE' } } })
  },
  {
    name: 'certificates that another namespace requires',
    lines: ['client-certificate'],
    change: (all) => {
      one(all, 'PeerAuthentication')['metadata'].namespace = 'other'
      delete one(all, 'PeerAuthentication')['spec'].selector
    }
  },
  {
    name: 'a guard of gateways',
    lines: ['guard'],
    change: (all) => Object.assign(patchOf(all, 'vecauthz.guard')['match'], { context: 'GATEWAY' })
  },
  {
    name: 'the question taken away for the whole mesh',
    lines: ['every-way-asks'],
    change: (all) => {
      const filter = { name: 'envoy.filters.network.http_connection_manager', subFilter: { name: 'envoy.filters.http.ext_authz' } }
      const configPatches = [{ applyTo: 'HTTP_FILTER', match: { listener: { filterChain: { filter } } }, patch: { operation: 'REMOVE' } }]
      all.push({ ...one(all, 'EnvoyFilter'), metadata: { name: 'x', namespace: 'istio-system' }, spec: { configPatches } })
    }
  },
  {
    name: 'a host that skips the question',
    lines: ['no-route-skips'],
    change: (all) => {
      const type = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute'
      const off = { 'envoy.filters.http.ext_authz': { '@type': type, disabled: true } }
      Object.assign(patchOf(all, 'inbound|6334||')['patch'].value, { typed_per_filter_config: off })
    }
  },
  {
    name: 'vecauthz spoken to in the clear, at its port alone',
    lines: ['authz-http2', 'authz-proven'],
    change: (all) => {
      one(all, 'DestinationRule')['spec'].trafficPolicy.portLevelSettings = [{ port: { number: 9901 }, tls: { mode: 'DISABLE' } }]
    }
  },
  {
    name: 'health that is asked at another port',
    lines: ['authz-health'],
    change: (all) => {
      patchOf(all, 'grpc_health_check')['match'].cluster.portNumber = 9911
    }
  },
  { name: 'no guard', lines: ['guard'], change: (all) => dropPatch(all, 'EnvoyFilter', 'configPatches', 'vecauthz.guard') },
  { name: 'upgrades', lines: ['no-upgrades'], change: (all) => dropPatch(all, 'EnvoyFilter', 'configPatches', 'vecauthz.no-upgrade') },
  {
    name: 'nothing is stripped',
    lines: ['strip-tenant', 'strip-decision', 'strip-envoy', 'strip-overrides', 'strip-forwarded', 'strip-credentials'],
    change: (all) => dropPatch(all, 'EnvoyFilter', 'configPatches', 'vecauthz.strip')
  },
  {
    name: 'only what the provider can say is said of the filter',
    lines: [
      'checks-repeated',
      'peer-certificate',
      'raw-headers',
      'changes-validated',
      'changes-listed',
      'denials-bounded',
      'answers-counted'
    ],
    change: (all) => dropPatch(all, 'EnvoyFilter', 'configPatches', 'include_peer_certificate')
  },
  {
    name: 'the headless Service, of which Istio makes a cluster that no question reaches',
    lines: ['authz-replicas'],
    change: (all) => Object.assign(one(all, 'Service')['spec'], { clusterIP: 'None' })
  },
  {
    name: 'sidecars that take TLS 1.2',
    lines: ['tls-1.3'],
    change: (all) => delete meshOf(all)['meshMTLS']
  },
  {
    name: 'vecauthz asked over TLS 1.2',
    lines: ['authz-tls-1.3'],
    change: (all) => dropPatch(all, 'EnvoyFilter', 'configPatches', 'UpstreamTlsContext')
  },
  {
    name: 'health in the patch of the transport socket, of which Istio merges nothing else',
    lines: ['authz-health'],
    change: (all) => {
      const socket = dropPatch(all, 'EnvoyFilter', 'configPatches', 'UpstreamTlsContext')?.[0] as Manifest
      const patches: Manifest[] = all.flatMap((manifest) => manifest['spec']?.configPatches ?? [])
      Object.assign(patches.find(({ applyTo }) => applyTo === 'CLUSTER')?.['patch'].value, socket['patch'].value)
    }
  },
  ...['virtualInbound', 'virtualInbound-catchall-http'].map((chain) => ({
    name: `${chain}, for ports that no Service names`,
    lines: ['every-way-asks'],
    change: (all: Manifest[]) => dropPatch(all, 'EnvoyFilter', 'configPatches', `"name":"${chain}"`)
  })),
  {
    name: 'any host, and repeats, as Istio has them',
    lines: ['hosts-listed', 'no-route-retries'],
    change: (all) => {
      for (const port of [6333, 6334]) dropPatch(all, 'EnvoyFilter', 'configPatches', `inbound|http|${port}`)
    }
  },
  {
    name: 'a log without the decision',
    lines: ['access-log'],
    change: (all) => Object.assign(meshOf(all), { accessLogFormat: '{"code": "%RESPONSE_CODE%"}' })
  },
  {
    name: 'any workload may give verdicts',
    lines: ['authz-proven'],
    change: (all) => delete one(all, 'DestinationRule')['spec'].trafficPolicy.tls.subjectAltNames
  }
]

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
  ['istio', ISTIO],
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
  const filterOf = (name: string) => ({ listener: { filterChain: { filter: { name } } } })
  const rows: readonly { name: string; change: (all: Manifest[]) => unknown }[] = [
    {
      name: 'patches of some of the pods',
      change: (all) => Object.assign(one(all, 'EnvoyFilter')['spec'].workloadSelector.labels, { version: 'v2' })
    },
    {
      name: 'a patch of one port',
      change: (all) => Object.assign(patchOf(all, 'vecauthz.strip')['match'].listener, { portNumber: 6333 })
    },
    {
      name: 'a patch of sidecars of one version',
      change: (all) => Object.assign(patchOf(all, 'vecauthz.strip')['match'], { proxy: { proxyVersion: '^1\\.2' } })
    },
    {
      name: 'routes that are merged in',
      change: (all) => {
        const typed_config = { route_config: { request_headers_to_remove: ['x-tenant-id'] } }
        const match = filterOf('envoy.filters.network.http_connection_manager')
        one(all, 'EnvoyFilter')['spec'].configPatches.push({
          applyTo: 'NETWORK_FILTER',
          match,
          patch: { operation: 'MERGE', value: { typed_config } }
        })
      }
    },
    {
      name: 'a patch of every cluster',
      change: (all) =>
        one(all, 'EnvoyFilter')['spec'].configPatches.push({ applyTo: 'CLUSTER', patch: { operation: 'MERGE', value: { type: 'STATIC' } } })
    },
    {
      name: 'a second rule for the way to vecauthz',
      change: (all) => all.push({ ...one(all, 'DestinationRule'), metadata: { name: 'more', namespace: 'data' } })
    }
  ]

  it.each(rows)('$name', ({ change }) => {
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
