import { type Bootstrap, type Config, httpFilterOf, httpOf, type Listener, named, upstreamHttpOf } from '../../demo/envoy-config.ts'
import { BODY_BYTES_MAX } from '../../src/core/limits.ts'

/** What must be true of a shipped Envoy file, by name. A check may throw where the structure that it looks into is gone. */
export type Points = Readonly<Record<string, (bootstrap: Bootstrap) => boolean>>

/** Half of the lifetime of an SVID that SPIRE issues by default (1 h), in seconds. */
export const HALF_SVID_S = 1_800
export const SVID = { name: 'default', sds_config: { resource_api_version: 'V3', path_config_source: { path: './sds/svid.json' } } }
export const BUNDLES = { name: 'ALL', sds_config: { resource_api_version: 'V3', path_config_source: { path: './sds/bundles.json' } } }
export const TLS13 = { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' }
const READING_PATHS = ['/ready', '/listeners', '/clusters', '/config_dump', '/certs', '/server_info', '/stats']

export const listener = (b: Bootstrap): Listener => only(b.static_resources.listeners)
export const chain = (b: Bootstrap): Config => only(listener(b)['filter_chains'])
export const http = (b: Bootstrap): Config => httpOf(listener(b))
export const filter = (b: Bootstrap, name: string): Config => httpFilterOf(listener(b), `envoy.filters.http.${name}`)
export const cluster = (b: Bootstrap, name: string) => named(b.static_resources.clusters, name)
export const hosts = (b: Bootstrap): readonly Config[] => http(b)['route_config'].virtual_hosts
/** What clients may call a database. */
export const namesOf = (database: string): readonly string[] => [`${database}.demo.vecauthz.test`, `${database}.demo.vecauthz.test:*`]
export const upTls = (b: Bootstrap, name: string): Config => cluster(b, name)['transport_socket'].typed_config

/** True of both files. */
export const BOTH: Points = {
  'the admin interface is on loopback': (b) => b.admin.address.socket_address.address === '127.0.0.1',
  'the admin interface only reads': (b) =>
    same(
      b.admin['allow_paths'],
      READING_PATHS.map((prefix) => ({ prefix }))
    ),
  'connections are counted and limited': (b) => connectionLimit(b) > 0 && connectionLimit(b) <= 10_000,
  'file SDS has the node it needs': (b) => b['node'].id.length > 0 && b['node'].cluster.length > 0,
  'buffers of a connection are bounded': (b) => within(listener(b)['per_connection_buffer_limit_bytes'], BODY_BYTES_MAX),
  'a request has to end': (b) => seconds(http(b)['request_timeout']) <= 15,
  'the headers of a request have to end': (b) => seconds(http(b)['request_headers_timeout']) <= 5,
  'a stream may not idle for ever': (b) => seconds(http(b)['stream_idle_timeout']) <= 60,
  'headers are counted': (b) => within(http(b)['common_http_protocol_options'].max_headers_count, 100),
  'idle connections end': (b) => seconds(http(b)['common_http_protocol_options'].idle_timeout) <= 300,
  'the address of the peer is the peer': (b) => http(b)['use_remote_address'] === true,
  'both protocols are spoken': (b) => http(b)['codec_type'] === 'AUTO',
  'no upgrades': (b) => http(b)['upgrade_configs'] === undefined,
  "the router adds none of Envoy's headers": (b) => filter(b, 'router')['suppress_envoy_headers'] === true,
  'hosts are listed': (b) =>
    hosts(b).length > 0 &&
    hosts(b).every((host) => host['domains'].length > 0 && host['domains'].every((name: string) => !name.startsWith('*'))),
  'routes repeat nothing and have a timeout, and the last takes the rest': (b) => hosts(b).every((host) => plainRoutes(host['routes'])),
  'hosts and routes add and remove nothing': (b) => untouched(http(b)['route_config']) && hosts(b).every(untouched)
}

/** Listener to the routes of its database, by what they match; the last one takes the rest. */
const SIDECAR_ROUTES: Readonly<Record<string, { readonly database: string; readonly routes: Readonly<Record<string, string>> }>> = {
  agent_in: { database: 'chroma', routes: { '/': 'gateway' } },
  agent_weaviate: {
    database: 'weaviate',
    routes: { '/weaviate.v1.Weaviate/': 'gateway_grpc', '/grpc.health.v1.Health/': 'gateway_grpc', '/': 'gateway' }
  },
  agent_milvus: { database: 'milvus', routes: { '/': 'gateway_grpc' } },
  agent_qdrant: { database: 'qdrant', routes: { '/qdrant.': 'gateway_grpc', '/grpc.health.v1.Health/': 'gateway_grpc', '/': 'gateway' } }
}

/** True of each listener of the sidecar, seen as the only one. */
const SIDECAR_LISTENER: Points = {
  ...BOTH,
  'agents reach it on loopback only': (b) => listener(b).address.socket_address?.address === '127.0.0.1',
  'it decides nothing': (b) =>
    same(
      http(b)['http_filters'].map((one: Config) => one['name']),
      ['envoy.filters.http.router']
    ),
  'paths go on as they came': (b) => http(b)['normalize_path'] === false && http(b)['merge_slashes'] === false,
  'escaped slashes go on as they came': (b) => http(b)['path_with_escaped_slashes_action'] === 'KEEP_UNCHANGED',
  'XFCC of the agent goes nowhere': (b) => http(b)['forward_client_cert_details'] === 'SANITIZE',
  'it leads to one database of the gateway, by the name that the gateway knows, over the protocol of the call': (b) =>
    same(only(hosts(b))['routes'], sidecarRoutes(listener(b).name)),
  'it answers to these names': (b) => same(only(hosts(b))['domains'], sidecarNames(listener(b).name))
}

export const SIDECAR_POINTS: Points = {
  ...Object.fromEntries(Object.entries(SIDECAR_LISTENER).map(([name, point]) => [name, ofEveryListener(point)])),
  'a port for each database': (b) =>
    same(
      b.static_resources.listeners.map((one) => one.name),
      Object.keys(SIDECAR_ROUTES)
    ),
  ...toTheGateway('gateway', 'http/1.1', { http_protocol_options: {} }),
  ...toTheGateway('gateway_grpc', 'h2', { http2_protocol_options: {} })
}

function ofEveryListener(point: Points[string]): Points[string] {
  return (b) => {
    const { listeners } = b.static_resources
    return listeners.length > 0 && listeners.every((one) => point({ ...b, static_resources: { ...b.static_resources, listeners: [one] } }))
  }
}

function sidecarRoutes(name: string): readonly Config[] {
  const { database, routes } = SIDECAR_ROUTES[name] ?? { database: '', routes: {} }
  return Object.entries(routes).map(([prefix, to]) => ({
    match: { prefix },
    route: { cluster: to, host_rewrite_literal: `${database}.demo.vecauthz.test`, timeout: '35s' }
  }))
}

function sidecarNames(name: string): readonly string[] {
  const database = SIDECAR_ROUTES[name]?.database ?? ''
  return ['localhost', '127.0.0.1'].flatMap((one) => [one, `${one}:*`]).concat(namesOf(database))
}

function toTheGateway(name: string, alpn: string, protocol: Config): Points {
  return {
    [`the name is in the handshake of ${name}`]: (b) => upTls(b, name)['sni'] === 'chroma.demo.vecauthz.test',
    [`a connection of ${name} ends before half an SVID`]: (b) => upstreamAge(b, name) < HALF_SVID_S,
    [`a dead gateway is noticed by ${name}`]: (b) => seconds(cluster(b, name)['connect_timeout']) <= 1,
    [`${name} is spoken to over ${alpn}`]: (b) => same(upstreamHttpOf(cluster(b, name))['explicit_http_config'], protocol),
    [`an idle connection of ${name} ends before the gateway ends it`]: (b) => idleUpstream(b, name) < 300,
    [`every address of ${name} is an endpoint`]: (b) => cluster(b, name)['type'] === 'STRICT_DNS',
    ...upstreamIdentity(name, 'spiffe://demo.vecauthz.test/envoy/gateway', [alpn])
  }
}

/** Who the other end must be, and how it is spoken to. */
export function upstreamIdentity(name: string, id: string, alpn: readonly string[]): Points {
  const context = (b: Bootstrap): Config => upTls(b, name)['common_tls_context']
  const exactly = { match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: id } }] }
  return {
    [`${name} is exactly ${id}`]: (b) => same(context(b)['combined_validation_context'].default_validation_context, exactly),
    [`${name} is signed for`]: (b) => same(context(b)['combined_validation_context'].validation_context_sds_secret_config, BUNDLES),
    [`${name} is told who asks`]: (b) => same(context(b)['tls_certificate_sds_secret_configs'], [SVID]),
    [`${name} is spoken to over TLS 1.3`]: (b) => same(context(b)['tls_params'], TLS13),
    [`${name} is offered ${alpn}`]: (b) => same(context(b)['alpn_protocols'], alpn),
    [`sessions with ${name} are not resumed`]: (b) => upTls(b, name)['max_session_keys'] === 0
  }
}

export function holds(point: Points[string], bootstrap: Bootstrap): boolean {
  try {
    return point(bootstrap)
  } catch {
    return false
  }
}

function connectionLimit(bootstrap: Bootstrap): number {
  return only<Config>(bootstrap['overload_manager'].resource_monitors)['typed_config'].max_active_downstream_connections
}

export function upstreamAge(bootstrap: Bootstrap, name: string): number {
  return seconds(upstreamHttpOf(cluster(bootstrap, name))['common_http_protocol_options'].max_connection_duration)
}

export function idleUpstream(bootstrap: Bootstrap, name: string): number {
  return seconds(upstreamHttpOf(cluster(bootstrap, name))['common_http_protocol_options'].idle_timeout)
}

/** A route to a cluster that may rename the host, and nothing else: no repeats, no rewrites, no mirror. */
/** What a route says of filters is for the points of its file. */
function plainRoutes(routes: readonly Config[]): boolean {
  const plain = routes.every(({ match: _match, route, typed_per_filter_config: _filters, ...more }) => {
    const { cluster: to, timeout, host_rewrite_literal: _, ...rest } = route
    return same(more, {}) && same(rest, {}) && to !== undefined && seconds(timeout) <= 60
  })
  return plain && same(routes.at(-1)?.['match'], { prefix: '/' }) && routes.at(-1)?.['typed_per_filter_config'] === undefined
}

function untouched(config: Config): boolean {
  return Object.keys(config).every((key) => ['name', 'domains', 'routes', 'virtual_hosts'].includes(key))
}

export function only<T>(all: readonly T[]): T {
  const [one, ...more] = all
  if (one === undefined || more.length > 0) throw new Error(`one was expected, ${all.length} are there`)
  return one
}

/** Of Envoy's `0.5s`; infinite where there is none, since that is what Envoy makes of it or worse. */
export function seconds(duration: unknown): number {
  const matched = /^(\d+(?:\.\d+)?)s$/.exec(String(duration))
  const value = Number(matched?.[1] ?? Number.POSITIVE_INFINITY)
  return value > 0 ? value : Number.POSITIVE_INFINITY
}

export function within(value: unknown, most: number): boolean {
  return typeof value === 'number' && value > 0 && value <= most
}

/** Equal as JSON, whatever the order of keys. */
export function same(one: unknown, other: unknown): boolean {
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other))
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .sort()
      .map(([key, one]) => [key, sorted(one)])
  )
}
