/** Checks about one reading of a request for Envoy, vecauthz and the database, and about requests that never end. */
import { cannotTell, type Finding, type Fix, fail, put, remove, todo } from './finding.ts'
import { ALL, type Check, DECIDING, each, type Given, must, ways } from './look.ts'
import type { Hop, Way } from './survey.ts'
import { at, count, flag, has, listOf, type Path, type Place, seconds, text, textsOf, typed } from './values.ts'

const REQUEST_SECONDS_MAX = 60
const HEADERS_SECONDS_MAX = 15
const HANDSHAKE_SECONDS_MAX = 15
const IDLE_SECONDS_MAX = 300
const HEADERS_COUNT_MAX = 100
const HEADERS_KB_MAX = 60
const STREAMS_MAX = 1000

/** Envoy's own when nothing is said. */
const HEADERS_COUNT_DEFAULT = 100
const HEADERS_KB_DEFAULT = 60

function lasting(way: Way, key: string, most: number, good: string, says: string): readonly Finding[] {
  const value = seconds(way.http, key)
  return value !== undefined && value <= most ? [] : [fail(way.http, says, put(way.http, { [key]: good }))]
}

/** What a route, or the end of an answer, has in the place of stream_idle_timeout. */
function holding(place: Place, key: string): readonly Finding[] {
  if (!has(place, key)) return []
  const value = seconds(place, key)
  if (value !== undefined && value <= IDLE_SECONDS_MAX) return []
  return [fail(place, `${key}: a stream may be silent for longer than 300 s`, remove(place, key))]
}

/** The time for a whole answer is 15 s where a route says none. */
function isEndless(action: Place): boolean {
  return has(action, 'timeout') && (seconds(action, 'timeout') ?? Number.POSITIVE_INFINITY) > IDLE_SECONDS_MAX
}

/** A handshake that never ends. */
function shaking({ tls, chain }: Way): readonly Finding[] {
  const value = tls === undefined ? 0 : seconds(chain, 'transport_socket_connect_timeout')
  if (value !== undefined && value <= HANDSHAKE_SECONDS_MAX) return []
  return [fail(chain, 'a handshake may take for ever', put(chain, { transport_socket_connect_timeout: '5s' }))]
}

function options(way: Way, key: string): Place {
  return at(way.http, key) ?? { value: {}, path: [...way.http.path, key] }
}

/** `host` and `host:*` are names; anything else with a star takes names that nobody listed. */
function isListed(domain: string): boolean {
  return !domain.replace(/:\*$/, '').includes('*')
}

/** Before the question: RBAC that refuses whatever has the header. */
function deniesUpgrades(way: Way): boolean {
  return way.filters.slice(0, way.authzAt === -1 ? undefined : way.authzAt).some(({ type, config }) => {
    const rules = type.endsWith('.rbac.v3.RBAC') ? at(config, 'rules') : undefined
    const policies = rules === undefined || text(rules, 'action') !== 'DENY' ? undefined : at(rules, 'policies')
    return Object.values(policies?.value ?? {}).some(
      (one) => JSON.stringify(one) === '{"permissions":[{"header":{"name":"upgrade","present_match":true}}],"principals":[{"any":true}]}'
    )
  })
}

export const READING: readonly Check[] = [
  {
    id: 'path-normalised',
    line: 'Paths are folded before they are judged',
    why: '`..`, `//` and needless escapes reach vecauthz and the database untouched, and each may read them differently.',
    hops: DECIDING,
    look: ways((way) => [
      ...must(way.http, 'normalize_path', true, '`..` and escapes are not folded'),
      ...must(way.http, 'merge_slashes', true, '`//` is not folded')
    ])
  },
  {
    id: 'escaped-slashes',
    line: 'Escaped slashes are refused',
    why: '`%2F` and `%5C` are one segment to one reader and two to another: the tenant of the path is then another one.',
    hops: DECIDING,
    look: ways((way) => {
      const action = text(way.http, 'path_with_escaped_slashes_action') ?? 'KEEP_UNCHANGED'
      if (action === 'REJECT_REQUEST') return []
      return [fail(way.http, `escaped slashes: ${action}`, put(way.http, { path_with_escaped_slashes_action: 'REJECT_REQUEST' }))]
    })
  },
  {
    id: 'underscores',
    line: 'Header names with underscores are refused',
    why: '`x_tenant_id` means `x-tenant-id` to many servers, and passes every rule that is written for the latter.',
    hops: DECIDING,
    look: ways((way) => {
      const action = text(options(way, 'common_http_protocol_options'), 'headers_with_underscores_action') ?? 'ALLOW'
      if (action === 'REJECT_REQUEST') return []
      const fix = put(way.http, { common_http_protocol_options: { headers_with_underscores_action: 'REJECT_REQUEST' } })
      return [fail(way.http, `headers with underscores: ${action}`, fix)]
    })
  },
  {
    id: 'absolute-form',
    line: 'Targets in absolute form are refused',
    why: '`GET http://other/…` replaces the Host header, by which the database is chosen.',
    hops: DECIDING,
    look: ways((way) => {
      if (!flag(options(way, 'http_protocol_options'), 'allow_absolute_url', true)) return []
      return [fail(way.http, 'a target may name another host', put(way.http, { http_protocol_options: { allow_absolute_url: false } }))]
    })
  },
  {
    id: 'requests-end',
    line: 'Handshakes, requests, their headers and silent streams have to end',
    why: 'There is no request timeout by default: a stalled body or an open gRPC stream is held for ever, without a check.',
    hops: ALL,
    look: ways((way) => [
      ...lasting(way, 'request_timeout', REQUEST_SECONDS_MAX, '15s', 'a request may take for ever to arrive'),
      ...lasting(way, 'request_headers_timeout', HEADERS_SECONDS_MAX, '5s', 'headers may take for ever to arrive'),
      ...lasting(way, 'stream_idle_timeout', IDLE_SECONDS_MAX, '30s', 'a stream may be silent for longer than 300 s'),
      ...holding(way.http, 'stream_flush_timeout'),
      ...way.forwards.flatMap(({ action }) => [
        ...(isEndless(action) ? holding(action, 'idle_timeout') : []),
        ...holding(action, 'flush_timeout')
      ]),
      ...shaking(way)
    ])
  },
  {
    id: 'headers-bounded',
    line: 'Headers are bounded in number and size',
    why: 'What Envoy forwards and vecauthz no longer reads is refused; what nobody bounds is memory for whoever asks.',
    hops: ALL,
    look: ways((way) => {
      const number = count(options(way, 'common_http_protocol_options'), 'max_headers_count') ?? HEADERS_COUNT_DEFAULT
      const size = count(way.http, 'max_request_headers_kb') ?? HEADERS_KB_DEFAULT
      const many = put(way.http, { common_http_protocol_options: { max_headers_count: HEADERS_COUNT_MAX } })
      return [
        ...(number <= HEADERS_COUNT_MAX ? [] : [fail(way.http, `${number} headers are taken`, many)]),
        ...(size <= HEADERS_KB_MAX
          ? []
          : [fail(way.http, `${size} KiB of headers are taken`, put(way.http, { max_request_headers_kb: 32 }))])
      ]
    })
  },
  {
    id: 'streams-bounded',
    line: 'Streams of one connection are bounded',
    why: 'One connection may hold any number of requests, each with a body in memory, until nobody else is served.',
    hops: DECIDING,
    look: ways((way) => {
      const most = count(options(way, 'http2_protocol_options'), 'max_concurrent_streams')
      if (most !== undefined && most <= STREAMS_MAX) return []
      return [fail(way.http, 'streams are not bounded', put(way.http, { http2_protocol_options: { max_concurrent_streams: 100 } }))]
    })
  },
  {
    id: 'no-upgrades',
    line: 'No connection is upgraded',
    why: 'A request with `Upgrade: websocket` is checked without its body, and what follows is not checked at all.',
    hops: ALL,
    look: ways((way) => {
      if (deniesUpgrades(way)) return []
      const places = [way.http, ...way.forwards.map(({ action }) => action)]
      return each(places, 'route', (one) =>
        listOf(one, 'upgrade_configs').length > 0 ? [fail(one, 'there are upgrade_configs', remove(one, 'upgrade_configs'))] : []
      )
    })
  },
  {
    id: 'hosts-listed',
    line: 'The host names that are answered are listed',
    why: 'The host says which database a call is read for. `*` takes names that nobody thought of, and web pages under their own (DNS rebinding).',
    hops: ALL,
    look: ways((way) =>
      way.hosts.flatMap((host) => {
        const domains = textsOf(host, 'domains')
        if (domains.every(isListed)) return []
        const good = domains.filter(isListed)
        const fix = put(host, { domains: good.length > 0 ? good : ['qdrant.example.org', 'qdrant.example.org:*'] })
        return [fail(host, `it answers to ${domains.filter((one) => !isListed(one)).join(', ')}`, fix)]
      })
    )
  },
  {
    id: 'destination-fixed',
    line: 'No header chooses where a call goes on to',
    why: 'A cluster that a header names is one that the caller names: any port that this Envoy knows of.',
    hops: ALL,
    look: (given, hops) => [...ways((way) => choosing(way))(given, hops), ...choosingClusters(given, hops)]
  }
]

const CHOOSING = ['cluster_header', 'cluster_specifier_plugin', 'inline_cluster_specifier_plugin']

/** Where the request says which host, or which cluster, it is for. A route has to lead somewhere: to where others of its host do. */
function choosing(way: Way): readonly Finding[] {
  const says = 'who asks chooses the cluster'
  const vhost = has(way.routes, 'vhost_header')
  const routes = way.forwards.flatMap(({ host, action, scopes }) => {
    const weighted = at(action, 'weighted_clusters')
    const keys = [
      ...CHOOSING.filter((key) => has(action, key)),
      ...(weighted !== undefined && has(weighted, 'header_name') ? ['weighted_clusters.header_name'] : []),
      ...(scopes.slice(3).some((share) => has(share, 'cluster_header')) ? ['weighted_clusters.cluster_header'] : [])
    ]
    const others = way.forwards.filter((one) => one.host === host).flatMap((one) => one.clusters)
    return keys.slice(0, 1).map((key) => fail(action, `${key}: ${says}`, leadingTo(action, others.at(-1))))
  })
  return [
    ...(vhost
      ? [fail(way.routes, 'vhost_header: judged for one host, a call goes on to another', remove(way.routes, 'vhost_header'))]
      : []),
    ...routes,
    ...noted([...way.chain.path, 'filters'], listOf(way.chain, 'filters')),
    ...noted(
      [...way.http.path, 'http_filters'],
      way.filters.map(({ place }) => place)
    )
  ]
}

/** Filters that write where a cluster of the type ORIGINAL_DST leads. */
function noted(list: Path, filters: readonly Place[]): readonly Finding[] {
  return filters.flatMap((filter, index) => {
    const read = typed(filter)
    const writes = read?.type.includes('.set_filter_state.') === true && JSON.stringify(read.config.value).includes('original_dst')
    return writes ? [fail(filter, 'a filter says where calls go on to', { kind: 'remove', at: [...list, index] })] : []
  })
}

function leadingTo(action: Place, cluster: string | undefined): Fix {
  if (cluster === undefined) return todo('Write the cluster into the route.')
  const kept = Object.entries(action.value).filter(([key]) => !CHOOSING.includes(key) && key !== 'weighted_clusters' && key !== 'cluster')
  return { kind: 'replace', at: action.path, value: { cluster, ...Object.fromEntries(kept) } }
}

/** Clusters whose endpoints are what the request says. */
function choosingClusters({ survey }: Given, hops: readonly Hop[]): readonly Finding[] {
  const names = new Set(survey.ways.filter(({ hop }) => hops.includes(hop)).flatMap((way) => way.forwards.flatMap((one) => one.clusters)))
  const clusters = [...names].flatMap((name) => survey.clusters.get(name) ?? [])
  if (clusters.length === 0) return []
  return each(clusters, 'cluster', (cluster) => {
    const original = at(cluster, 'original_dst_lb_config')
    // As a whole: the name of a header without the use of it is an error to Envoy.
    const fixed = remove(cluster, 'original_dst_lb_config')
    if (original !== undefined && flag(original, 'use_http_header')) return [fail(original, 'a header chooses the endpoint', fixed)]
    if (original !== undefined && has(original, 'metadata_key'))
      return [fail(original, 'what a filter noted of a request chooses the endpoint', fixed)]
    const type = at(cluster, 'cluster_type')
    return type === undefined
      ? []
      : [cannotTell(type.path, `how a cluster of type ${text(type, 'name')} chooses endpoints is not known here`)]
  })
}
