import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RunningEnvoy, startEnvoy } from '../../../demo/envoy.ts'
import { type Bootstrap, type Config, httpFilterOf, httpOf, type Listener, named } from '../../../demo/envoy-config.ts'
import { envoyBinary } from '../../../setup/components.ts'
import { writeSdsFolder } from '../../../src/spire/dev-sds.ts'
import { type Authority, issueSvid, makeAuthority, type Svid } from '../../support/ca.ts'
import { type ScriptedAuthorizer, startAuthorizer } from './scripted-authorizer.ts'
import { startRecorder, type UpstreamRecorder } from './upstream-recorder.ts'
import { type Heard, type Http1Request, type Http2Request, http1, http2 } from './wire-client.ts'

/**
 * The shipped gateway.yaml in a real Envoy, between a scripted ext_authz server and a recorder in place of the database. Variants are
 * further listeners of the same process, each the shipped one with one thing changed: the controls that show a hole opening.
 */
export interface GatewayBench {
  readonly folder: string
  readonly authority: Authority
  /** Another trust domain whose bundle the gateway holds as well. */
  readonly partner: Authority
  /** The agent that calls unless another identity is handed in. */
  readonly agent: Svid
  readonly gateway: Svid
  readonly authorizer: ScriptedAuthorizer
  readonly upstream: UpstreamRecorder
  readonly envoy: RunningEnvoy
  /** Forgets what was seen and allows again. */
  reset(): void
  http1(request?: Http1Request, listener?: string): Promise<Heard>
  http2(request?: Http2Request, listener?: string): Promise<Heard>
  stop(): Promise<void>
}

export type Variant = (listener: Listener, bootstrap: Bootstrap) => void

/** Names of the HTTP filters that the tests change. */
export const EXT_AUTHZ = 'envoy.filters.http.ext_authz'
export const GUARD = 'envoy.filters.http.rbac'
export const STRIP = 'envoy.filters.http.header_mutation'

export const SHIPPED = 'gateway_in'
export const GATEWAY_FILE = join(import.meta.dirname, '../../../envoy/gateway.yaml')
export const SIDECAR_FILE = join(import.meta.dirname, '../../../envoy/agent-sidecar.yaml')
export const TRUST_DOMAIN = 'demo.vecauthz.test'
export const PARTNER_DOMAIN = 'partner.test'
export const AGENT_ID = `spiffe://${TRUST_DOMAIN}/agent/research`
export const GATEWAY_ID = `spiffe://${TRUST_DOMAIN}/envoy/gateway`
export const AUTHORIZER_ID = `spiffe://${TRUST_DOMAIN}/vecauthz/gateway`

/** What a bench is made of before its Envoy starts, for variants that refer to it. */
export type BenchParts = Pick<GatewayBench, 'authority' | 'partner' | 'agent'>

type Variants = Readonly<Record<string, Variant>>

export async function startBench(variants: Variants | ((parts: BenchParts) => Promise<Variants> | Variants) = {}): Promise<GatewayBench> {
  const folder = mkdtempSync(join(tmpdir(), 'vecauthz-truth-'))
  const authority = await makeAuthority({ trustDomain: TRUST_DOMAIN })
  const partner = await makeAuthority({ trustDomain: PARTNER_DOMAIN })
  const agent = await issueSvid(authority, { id: AGENT_ID })
  const gateway = await issueSvid(authority, { id: GATEWAY_ID })
  const authorizer = await startAuthorizer(await issueSvid(authority, { id: AUTHORIZER_ID }), authority.pem)
  const upstream = await startRecorder()
  const added = typeof variants === 'function' ? await variants({ authority, partner, agent }) : variants
  writeSecrets(folder, gateway, [authority, partner])
  const envoy = await startEnvoy({
    binary: envoyBinary(),
    configFile: GATEWAY_FILE,
    folder,
    overrides: {
      upstreams: { chroma: { address: '127.0.0.1', port: upstream.port }, vecauthz: { address: '127.0.0.1', port: authorizer.port } },
      edit: (bootstrap) => addVariants(bootstrap, added)
    }
  })
  return {
    folder,
    authority,
    partner,
    agent,
    gateway,
    authorizer,
    upstream,
    envoy,
    reset() {
      authorizer.reset()
      upstream.reset()
    },
    http1: (request, listener = SHIPPED) => http1(envoy.port(listener), agent, request),
    http2: (request, listener = SHIPPED) => http2(envoy.port(listener), agent, request),
    async stop() {
      await envoy.stop()
      await Promise.all([authorizer.stop(), upstream.stop()])
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

function addVariants(bootstrap: Bootstrap, variants: Variants): void {
  const { listeners } = bootstrap.static_resources
  const shipped = named(listeners, SHIPPED)
  for (const [name, change] of Object.entries(variants)) {
    const variant: Listener = { ...structuredClone(shipped), name }
    httpOf(variant)['stat_prefix'] = name
    change(variant, bootstrap)
    listeners.push(variant)
  }
}

/** The TLS settings of a listener. */
export function tlsOf(listener: Listener): Config {
  return listener['filter_chains'][0].transport_socket.typed_config
}

/** Takes HTTP filters out, by name. */
export function without(listener: Listener, ...names: string[]): void {
  const http = httpOf(listener)
  http['http_filters'] = http['http_filters'].filter((filter: { name: string }) => !names.includes(filter.name))
}

/** The files that Envoy reads below its working folder, as the dev issuer writes them; `sds` is a link, as it is in the demo. */
export function writeSecrets(folder: string, svid: Svid, authorities: readonly Authority[]): void {
  const secrets = join(folder, 'secrets')
  if (!existsSync(secrets)) {
    mkdirSync(secrets, { mode: 0o700 })
    symlinkSync(secrets, join(folder, 'sds'))
  }
  const bundles = new Map(authorities.map(({ trustDomain, pem }) => [trustDomain, pem]))
  const serial = createHash('sha256').update(svid.der).digest('hex')
  writeSdsFolder(secrets, { serial, chainPem: svid.pem, keyPem: svid.keyPem, bundles })
}

/** The name is also the authority of the calls, so it has to look like a host. */
export function clusterNameFor(listener: string): string {
  return `vecauthz-${listener.replaceAll(/[^A-Za-z0-9]+/g, '-')}`
}

/** Has a listener ask a cluster of its own: the shipped one, leading elsewhere and changed. */
export function askElsewhere(
  listener: Listener,
  bootstrap: Bootstrap,
  port: number,
  change: (cluster: Config) => void = () => undefined
): void {
  const { clusters } = bootstrap.static_resources
  const cluster: Config & { name: string } = { ...structuredClone(named(clusters, 'vecauthz')), name: clusterNameFor(listener.name) }
  cluster['load_assignment'].endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value = port
  change(cluster)
  clusters.push(cluster)
  httpFilterOf(listener, EXT_AUTHZ)['grpc_service'].envoy_grpc.cluster_name = cluster.name
}
