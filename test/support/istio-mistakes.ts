import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type Manifest, manifestsIn } from '../../src/doctor/manifests.ts'

/** The shipped manifests, and what can be wrong with those of Istio: for what the doctor reads in them, and for what istiod makes of them. */

export interface Mistake {
  readonly name: string
  /** What it fails; none: what it leaves open. */
  readonly lines: readonly string[]
  readonly change: (all: Manifest[]) => unknown
}

export function manifestsOf(folder: string): Manifest[] {
  const path = join(import.meta.dirname, '../../envoy', folder)
  const files = readdirSync(path).filter((name) => name.endsWith('.yaml'))
  return files.flatMap((name) => manifestsIn(readFileSync(join(path, name), 'utf8')) ?? [])
}

export const one = (all: readonly Manifest[], kind: string, at = 0): Manifest =>
  all.filter((manifest) => manifest['kind'] === kind)[at] ?? expect.fail(kind)
export const meshOf = (all: readonly Manifest[]): Manifest => all.find((manifest) => manifest['meshConfig'])?.['meshConfig']
const provider = (all: readonly Manifest[]): Manifest => meshOf(all)['extensionProviders'][0].envoyExtAuthzGrpc
export const without = (all: Manifest[], kind: string, at = 0) => all.splice(all.indexOf(one(all, kind, at)), 1)
export const dropPatch = (all: readonly Manifest[], kind: string, list: string, text: string) => {
  for (const manifest of all.filter((candidate) => candidate['kind'] === kind)) {
    const patches: Manifest[] = manifest['spec'][list]
    const index = patches.findIndex((patch) => JSON.stringify(patch).includes(text))
    if (index >= 0) return patches.splice(index, 1)
  }
  return expect.fail(`no patch has ${text}`)
}

export const patchOf = (all: readonly Manifest[], text: string): Manifest => {
  const patches = all.filter(({ kind }) => kind === 'EnvoyFilter').flatMap((filter): readonly Manifest[] => filter['spec'].configPatches)
  return patches.find((patch) => JSON.stringify(patch).includes(text)) ?? expect.fail(`no patch has ${text}`)
}

export const ISTIO_MISTAKES: readonly Mistake[] = [
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
  ...(
    [
      ['virtualInbound', ['every-way-asks']],
      ['virtualInbound-catchall-http', ['hosts-listed', 'no-route-retries']]
    ] as const
  ).map(([chain, lines]) => ({
    name: `${chain}, for ports that no Service names`,
    lines,
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

const filterOf = (name: string) => ({ listener: { filterChain: { filter: { name } } } })
/** What is about some of the pods, or read by nobody here. */
export const ISTIO_OPEN: readonly Omit<Mistake, 'lines'>[] = [
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
