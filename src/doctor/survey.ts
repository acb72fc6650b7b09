/** Finds in a configuration the places that checks look at: ways in, filters, routes, whom Envoy asks, where calls go on to. */
import type { EnvoyDocument } from './document.ts'
import { at, flag, has, isUnclear, listOf, type Place, seconds, text, typed, type Unclear, unclear } from './values.ts'

/** What stands behind an Envoy: the database (gateway), another hop that is asked for (egress), or one without a question (sidecar). */
export type Hop = 'gateway' | 'egress' | 'sidecar'

export interface Filter {
  readonly type: string
  readonly place: Place
  readonly config: Place
}

/** One HTTP connection manager: a way in. */
export interface Way {
  readonly hop: Hop
  readonly listener: Place
  readonly chain: Place
  /** Undefined: connections are plain. */
  readonly tls: Place | undefined
  readonly http: Place
  readonly filters: readonly Filter[]
  /** Where its ext_authz filter stands among the filters; -1 where there is none. */
  readonly authzAt: number
  readonly routes: Place
  readonly hosts: readonly Place[]
  readonly forwards: readonly Route[]
}

/** A route that leads to a cluster. */
export interface Route {
  readonly host: Place
  readonly route: Place
  readonly action: Place
  /** What may change or skip on the way to it: the whole table, the host, the route, its weighted clusters. */
  readonly scopes: readonly Place[]
  readonly clusters: readonly string[]
}

/** Who is asked, and with how much of the body: of the filter, or of a route that overrides it. */
export interface Asking {
  readonly way: Way
  readonly service: Place
  /** What holds with_request_body. */
  readonly holder: Place
  readonly cluster: string
  readonly lane: 'main' | 'route'
}

export interface Survey {
  readonly document: EnvoyDocument
  readonly ways: readonly Way[]
  /** Filter chains that are no HTTP, with the filter that takes the connection away. */
  readonly others: readonly { readonly listener: Place; readonly chain: Place; readonly type: string }[]
  readonly askings: readonly Asking[]
  /** Listeners of a sidecar for its own pod, which are no way in. */
  readonly ownCalls: number
  readonly clusters: ReadonlyMap<string, Place>
  /** What could not be made out; whoever looks at the ways cannot tell then. */
  readonly unclear: readonly Unclear[]
}

export const EXT_AUTHZ = 'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz'
/** Istio's, of the agent in every pod. */
const AGENTS_PORT = 15_020
const HTTP_MANAGER = 'HttpConnectionManager'
const DOWN_TLS = 'DownstreamTlsContext'

/** @param forced the hop that the server's role or the command says it is; found out from where calls go on to without it */
export function survey(document: EnvoyDocument, forced: Hop | undefined): Survey {
  const problems: Unclear[] = []
  const read = <T>(look: () => readonly T[]): readonly T[] => {
    try {
      return look()
    } catch (cause) {
      if (!isUnclear(cause)) throw cause
      problems.push(cause)
      return []
    }
  }
  const all = (key: string) =>
    read(() => {
      const resources = at(document.root, 'static_resources')
      return resources === undefined ? [] : listOf(resources, key)
    })
  const clusters = new Map(all('clusters').flatMap((one) => read(() => [[text(one, 'name') ?? '', one] as const])))
  const listeners = all('listeners')
  const inward = forced === undefined || forced === 'gateway' ? read(() => waysInward(listeners)) : listeners
  const chains = inward.flatMap((listener) => read(() => chainsOf(listener)).map((chain) => ({ listener, chain })))
  const found = chains.flatMap(({ listener, chain }) => read(() => [chainOf(listener, chain, clusters, forced)]))
  const isSidecar = inward.length < listeners.length
  const everyWay = found.filter((one) => 'http' in one)
  const pods = isSidecar ? everyWay.filter((way) => read(() => (leadsToTheAgent(way, clusters, document) ? [way] : [])).length > 0) : []
  const ways = everyWay.filter((way) => !pods.includes(way))
  const others = found.filter((one) => 'type' in one).filter((one) => read(() => (goesNowhere(one, clusters) ? [one] : [])).length === 0)
  const askings = ways.flatMap((way) => read(() => askingsOf(way)))
  return { document, ways, others, askings, ownCalls: listeners.length - inward.length + pods.length, clusters, unclear: problems }
}

/**
 * Without those of a mesh's sidecar that take its own pod's calls: they have no port of their own, and only its listener for redirected
 * calls hands connections on to them. That one leads out of the pod. A listener that comes inward and hands on makes all of them ways in.
 */
function waysInward(listeners: readonly Place[]): readonly Place[] {
  const outward = (one: Place) => text(one, 'traffic_direction') === 'OUTBOUND'
  const handsOn = (one: Place) => flag(one, 'use_original_dst')
  const isSidecar = listeners.some((one) => text(one, 'traffic_direction') === 'INBOUND')
  if (!isSidecar || listeners.some((one) => !outward(one) && handsOn(one))) return listeners
  return listeners.filter((one) => !outward(one) || !(handsOn(one) || !flag(one, 'bind_to_port', true)))
}

/** Two ports of a sidecar: its metrics, of its own admin interface, and whether the agent of its pod is ready. */
function leadsToTheAgent({ forwards }: Way, clusters: Survey['clusters'], { root }: EnvoyDocument): boolean {
  const admin = at(root, 'admin', 'address')
  const ports = new Map([['/healthz/ready', AGENTS_PORT]])
  if (admin !== undefined) ports.set('/stats/prometheus', addressOf(admin).port ?? 0)
  const leadsTo = (name: string, port: number | undefined) => {
    const cluster = clusters.get(name)
    return cluster !== undefined && endpointsOf(cluster).every((one) => one.address === '127.0.0.1' && one.port === port)
  }
  return forwards.every(({ route, clusters: names }) => {
    const { prefix, ...more } = at(route, 'match')?.value ?? {}
    const port = ports.get(String(prefix))
    return port !== undefined && Object.keys(more).length === 0 && names.length > 0 && names.every((name) => leadsTo(name, port))
  })
}

function chainsOf(listener: Place): readonly Place[] {
  const last = at(listener, 'default_filter_chain')
  return [...listOf(listener, 'filter_chains'), ...(last === undefined ? [] : [last])]
}

function chainOf(listener: Place, chain: Place, clusters: Survey['clusters'], forced: Hop | undefined): Way | Survey['others'][number] {
  const network = listOf(chain, 'filters').map((one) => typed(one) ?? unclear(one.path, 'a network filter without typed_config'))
  const last = network.at(-1) ?? unclear(chain.path, 'a filter chain without filters')
  if (!last.type.endsWith(`.${HTTP_MANAGER}`)) return { listener, chain, type: last.type }
  const http = last.config
  const filters = listOf(http, 'http_filters').map((place) => {
    const read = typed(place)
    return read === undefined ? unclear(place.path, 'an HTTP filter without typed_config') : { ...read, place }
  })
  const authzAt = filters.findIndex(({ type }) => type === EXT_AUTHZ)
  const routes = at(http, 'route_config') ?? unclear(http.path, 'the routes come from a control plane (rds or scoped_routes)')
  if (has(routes, 'vhds')) unclear(routes.path, 'virtual hosts come from a control plane (vhds)')
  const hosts = listOf(routes, 'virtual_hosts')
  const forwards = hosts.flatMap((host) => forwardsOf(routes, host))
  const hop = forced ?? (leadsToAHop(forwards, clusters) ? (authzAt === -1 ? 'sidecar' : 'egress') : 'gateway')
  return { hop, listener, chain, tls: tlsOf(chain), http, filters, authzAt, routes, hosts, forwards }
}

/** To a cluster that has no endpoint and gets none: how Istio ends what was sent to the port of the sidecar itself. */
function goesNowhere({ chain }: { readonly chain: Place }, clusters: Survey['clusters']): boolean {
  const last = listOf(chain, 'filters').at(-1)
  const read = last === undefined ? undefined : typed(last)
  const cluster = read?.type.endsWith('.TcpProxy') === true ? clusters.get(text(read.config, 'cluster') ?? '') : undefined
  return cluster !== undefined && text(cluster, 'type') === 'STATIC' && !has(cluster, 'load_assignment')
}

function tlsOf(chain: Place): Place | undefined {
  const socket = at(chain, 'transport_socket')
  const read = socket === undefined ? undefined : typed(socket)
  if (read === undefined || read.type.endsWith('.RawBuffer')) return undefined
  return read.type.endsWith(`.${DOWN_TLS}`) ? read.config : unclear(chain.path, `connections over ${read.type}`)
}

function forwardsOf(routes: Place, host: Place): readonly Route[] {
  if (has(host, 'matcher')) unclear(host.path, 'routes in a matcher tree, which is not read here')
  return listOf(host, 'routes').flatMap((route) => {
    const action = at(route, 'route')
    // A redirect or a direct response forwards nothing.
    if (action === undefined)
      return has(route, 'direct_response') || has(route, 'redirect') ? [] : unclear(route.path, 'a route to nowhere')
    const weighted = at(action, 'weighted_clusters')
    const shares = weighted === undefined ? [] : listOf(weighted, 'clusters')
    const one = text(action, 'cluster')
    const clusters = shares.length > 0 ? shares.map((share) => text(share, 'name')) : [one]
    return { host, route, action, scopes: [routes, host, route, ...shares], clusters: clusters.filter((name) => name !== undefined) }
  })
}

function leadsToAHop(forwards: readonly Route[], clusters: Survey['clusters']): boolean {
  const named = forwards.flatMap((one) => one.clusters)
  return named.length > 0 && named.every((name) => provesItself(clusters.get(name)))
}

/** A cluster that is spoken to under our own SVID is no database: it is a hop that asks who calls. */
function provesItself(cluster: Place | undefined): boolean {
  const tls = cluster === undefined ? undefined : upstreamTls(cluster)
  const own = tls === undefined ? undefined : at(tls, 'common_tls_context')
  return own !== undefined && (has(own, 'tls_certificate_sds_secret_configs') || has(own, 'tls_certificates'))
}

export function upstreamTls(cluster: Place): Place | undefined {
  const socket = at(cluster, 'transport_socket')
  const read = socket === undefined ? undefined : typed(socket)
  if (read === undefined || read.type.endsWith('.RawBuffer')) return undefined
  return read.type.endsWith('.UpstreamTlsContext') ? read.config : unclear(cluster.path, `connections over ${read.type}`)
}

export function authzOf(way: Way): Filter | undefined {
  return way.filters[way.authzAt]
}

/**
 * What a scope says of a filter for its requests: directly, and within the wrapper that can switch it off.
 * @param filters those of the way: names are free, and a wrapper without content says by name alone which of them it is for
 */
export function perFilter(
  scope: Place,
  type: string,
  filters: readonly Filter[] = []
): readonly { readonly type: string; readonly config: Place }[] {
  const all = at(scope, 'typed_per_filter_config')
  return Object.keys(all?.value ?? {}).flatMap((key) => {
    const read = all === undefined ? undefined : typed(all, key)
    if (read === undefined) return []
    if (!read.type.endsWith('.FilterConfig')) return read.type.startsWith(type) ? [read] : []
    const inner = typed(read.config, 'config')
    const family = type.split('.').at(-3) ?? type
    if (inner?.type.startsWith(type) === true) return [read, inner]
    const isNamed = filters.some((one) => one.type === type && one.place.value['name'] === key)
    return inner === undefined && (isNamed || key.includes(family)) ? [read] : []
  })
}

function askingsOf(way: Way): readonly Asking[] {
  const authz = authzOf(way)
  if (authz === undefined) return []
  const main = askingOf(way, authz.config, 'main')
  const overriding = [way.routes, ...way.hosts, ...way.forwards.flatMap(({ route, scopes }) => [route, ...scopes.slice(3)])]
  const routes = overriding
    .flatMap((scope) => perFilter(scope, EXT_AUTHZ))
    .flatMap(({ config }) => {
      const settings = at(config, 'check_settings')
      if (settings === undefined) return []
      if (has(settings, 'http_service')) unclear(settings.path, 'a route that asks over HTTP')
      return askingOf(way, settings, 'route')
    })
  return [...main, ...routes]
}

function askingOf(way: Way, holder: Place, lane: Asking['lane']): readonly Asking[] {
  const service = at(holder, 'grpc_service')
  if (service === undefined) return []
  const cluster = at(service, 'envoy_grpc')
  const name = cluster === undefined ? undefined : text(cluster, 'cluster_name')
  return [{ way, service, holder, cluster: name ?? unclear(service.path, 'vecauthz is asked by another client than envoy_grpc'), lane }]
}

export interface Endpoint {
  readonly address: string
  /** Undefined for a socket in the file system. */
  readonly port: number | undefined
}

/** Where a cluster leads. Throws `Unclear` where that comes from elsewhere. */
export function endpointsOf(cluster: Place): readonly Endpoint[] {
  if (text(cluster, 'type') === 'ORIGINAL_DST')
    return unclear(cluster.path, 'it leads to wherever the connection was meant for, and who else reaches that is not said here')
  const load = at(cluster, 'load_assignment')
  if (load === undefined) return unclear(cluster.path, 'its endpoints come from a control plane (EDS)')
  const found = listOf(load, 'endpoints')
    .flatMap((group) => listOf(group, 'lb_endpoints'))
    .map((one) => at(one, 'endpoint', 'address') ?? unclear(one.path, 'an endpoint without address'))
    .map(addressOf)
  return found.length > 0 ? found : unclear(load.path, 'it has no endpoint')
}

export function addressOf(place: Place): Endpoint {
  const socket = at(place, 'socket_address')
  const pipe = at(place, 'pipe')
  if (pipe !== undefined) return { address: text(pipe, 'path') ?? '', port: undefined }
  const address = socket === undefined ? undefined : text(socket, 'address')
  if (socket === undefined || address === undefined) return unclear(place.path, 'an address of another kind than a port or a socket')
  const port = socket.value['port_value']
  return { address, port: typeof port === 'number' ? port : 0 }
}

export function isLocal({ address, port }: Endpoint): boolean {
  return port === undefined || /^127(\.\d{1,3}){3}$|^::1$|^localhost$/.test(address)
}

/** The HTTP options of a cluster; undefined where it has none. */
export function upstreamHttp(cluster: Place): Place | undefined {
  return at(cluster, 'typed_extension_protocol_options', 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions')
}

/** Longest age of a connection to a cluster, in seconds. */
export function connectionAge(cluster: Place): number | undefined {
  const http = upstreamHttp(cluster)
  const common = http === undefined ? undefined : at(http, 'common_http_protocol_options')
  return common === undefined ? undefined : seconds(common, 'max_connection_duration')
}
