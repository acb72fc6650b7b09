/** Checks about what stands between the verdict and the database: the guard, and nothing that changes what was judged. */
import { CALLING, CHANGING, HARMLESS, kindOf } from './filter-kinds.ts'
import { cannotTell, type Finding, type Fix, fail, remove, todo } from './finding.ts'
import { type Check, DECIDING, each, type Given, ways, waysOf } from './look.ts'
import { CONTROL_PLANE } from './manifests.ts'
import { type Filter, perFilter, type Route, upstreamHttp, type Way } from './survey.ts'
import { at, flag, has, listOf, type Place, text, textsOf, typed } from './values.ts'

/** What an index takes away once more: tokens that are for vecauthz, and for nobody behind it. */
const OURS: ReadonlySet<string> = new Set(['x-vecauthz-policy-token', 'x-vecauthz-subject-token', 'x-vecauthz-purpose', 'x-vecauthz-run'])

const REWRITES = [
  'prefix_rewrite',
  'regex_rewrite',
  'path_rewrite',
  'path_rewrite_policy',
  'host_rewrite_literal',
  'host_rewrite_header',
  'host_rewrite_path_regex',
  'host_rewrite',
  'auto_host_rewrite',
  'internal_redirect_policy',
  'internal_redirect_action'
]

/** What of harmless filters is none: headers that they may take away, or add. */
function touching(way: Way, filter: Filter, fix: Fix): readonly Finding[] {
  return settingsOf(way, filter).flatMap((one) => {
    if (listOf(one, 'request_rules').some((rule) => flag(rule, 'remove')))
      return [fail(one, 'header_to_metadata takes headers away after the verdict', fix)]
    if (listOf(one, 'request_headers_to_add_when_not_enforced').length > 0)
      return [fail(one, 'local_ratelimit adds headers after the verdict', remove(one, 'request_headers_to_add_when_not_enforced'))]
    if (flag(one, 'clear_route_cache'))
      return [fail(one, 'set_filter_state has the route chosen again after the verdict', remove(one, 'clear_route_cache'))]
    return []
  })
}

/** A filter that is told to do nothing, here and on every route. */
function isIdle(way: Way, filter: Filter): boolean {
  return settingsOf(way, filter).every(({ value }) => Object.keys(value).every((key) => key === '@type'))
}

/** What answers, or calls on, by itself needs no question, wherever it stands: a cached answer is another caller's. */
function inFront(way: Way, filter: Filter, fix: Fix): readonly Finding[] {
  const kind = kindOf(filter)
  if (kind.startsWith('cache')) return [fail(filter.place, 'a cache answers before anybody is asked', fix)]
  if (kind === 'lua' && settingsOf(way, filter).some(({ value }) => JSON.stringify(value).includes('httpCall')))
    return [fail(filter.place, 'a script calls on by itself before anybody is asked', fix)]
  return CALLING.has(kind)
    ? [cannotTell(filter.place.path, `whether ${filter.type} calls on by itself before anybody is asked is not known here`, fix)]
    : []
}

/** A filter's own, and what routes have in its place. */
function settingsOf(way: Way, { type, config }: Filter): readonly Place[] {
  return [config, ...scopesOf(way).flatMap((scope) => perFilter(scope, type, way.filters).map((one) => one.config))]
}

function after(way: Way): readonly Finding[] {
  if (way.authzAt === -1) return [cannotTell(way.http.path, 'there is no ext_authz filter to stand after')]
  const list = [...way.http.path, 'http_filters']
  return way.filters.flatMap((filter, index) => {
    const kind = kindOf(filter)
    if (index < way.authzAt) return inFront(way, filter, { kind: 'remove', at: [...list, index] })
    if (index === way.authzAt) return []
    if (HARMLESS.has(kind) || (kind === 'fault' && isIdle(way, filter)))
      return touching(way, filter, { kind: 'remove', at: [...list, index] })
    if (filter.type === CONTROL_PLANE)
      return [cannotTell(way.http.path, 'which filters the control plane adds is not said here; ask the running Envoy (/config_dump)')]
    if (kind === 'ratelimit')
      return [
        cannotTell(filter.place.path, 'the service that it asks may add headers to what was judged', todo('Put it before ext_authz.'))
      ]
    const fix = { kind: 'remove', at: [...list, index] } as const
    return CHANGING.has(kind)
      ? [fail(filter.place, `${kind} stands after ext_authz`, fix)]
      : [cannotTell(filter.place.path, `what ${filter.type} does after ext_authz is not known`, fix)]
  })
}

export function scopesOf(way: Way): readonly Place[] {
  return [...new Map(way.forwards.flatMap((one) => one.scopes).map((one) => [one.path.join('/'), one])).values()]
}

function edits(way: Way): readonly Finding[] {
  const scopes = [...scopesOf(way), ...way.forwards.map(({ action }) => action)]
  if (scopes.length === 0) return []
  return each(scopes, 'route', (scope) => {
    const added = listOf(scope, 'request_headers_to_add').length > 0
    const removed = textsOf(scope, 'request_headers_to_remove').filter((name) => !OURS.has(name.toLowerCase()))
    const forwardedHost = flag(scope, 'append_x_forwarded_host')
    return [
      ...(added ? [fail(scope, 'request_headers_to_add runs after the verdict', remove(scope, 'request_headers_to_add'))] : []),
      ...(removed.length > 0
        ? [
            fail(
              scope,
              `${removed.join(', ')}: removed after the verdict, with what vecauthz set`,
              remove(scope, 'request_headers_to_remove')
            )
          ]
        : []),
      ...(forwardedHost ? [fail(scope, 'a header is added after the verdict', remove(scope, 'append_x_forwarded_host'))] : [])
    ]
  })
}

/** A route that takes reads only may be repeated: the second run changes nothing. */
function readsOnly({ route }: Route): boolean {
  const match = at(route, 'match')
  const headers = match === undefined ? [] : listOf(match, 'headers')
  const reads = (one: Place) => ['GET', 'HEAD'].includes(String(at(one, 'string_match')?.value['exact']))
  return headers.some((one) => text(one, 'name') === ':method' && reads(one) && !flag(one, 'invert_match'))
}

function repeats(way: Way, given: Given): readonly Finding[] {
  const writing = way.forwards.filter((forward) => !readsOnly(forward))
  const says = (key: string) => `${key}: a write runs twice for one verdict`
  const places = writing.flatMap(({ host, action }) => [host, action])
  return [
    ...without(places, ['retry_policy', 'hedge_policy'], says),
    ...ofClusters(leadingTo(writing), given, (http) => without([http], ['retry_policy'], says))
  ]
}

function mirrors(way: Way, given: Given): readonly Finding[] {
  const keys = ['request_mirror_policies']
  const says = () => 'requests are mirrored'
  const tapped = way.filters.flatMap((filter, index) => {
    const fix = { kind: 'remove', at: [...way.http.path, 'http_filters', index] } as const
    return kindOf(filter) === 'tap' ? [fail(filter.place, 'whoever taps gets a copy of requests', fix)] : []
  })
  return [
    ...tapped,
    ...without([...scopesOf(way), ...way.forwards.map(({ action }) => action)], keys, says),
    ...ofClusters([...leadingTo(way.forwards), ...askedBy([way], given)], given, (http) => without([http], keys, says))
  ]
}

const leadingTo = (routes: readonly Route[]) => routes.flatMap((one) => one.clusters)

/** A question holds the whole of a request. */
function askedBy(ways: readonly Way[], { survey }: Given): readonly string[] {
  return survey.askings.filter(({ way }) => ways.includes(way)).map((one) => one.cluster)
}

/** What these clusters do to every request, whatever the route says. */
function ofClusters(
  names: readonly string[],
  { survey }: Given,
  look: (http: Place, cluster: Place) => readonly Finding[]
): readonly Finding[] {
  const clusters = [...new Set(names)].flatMap((name) => survey.clusters.get(name) ?? [])
  if (clusters.length === 0) return []
  return each(clusters, 'cluster', (cluster) => look(upstreamHttp(cluster) ?? { value: {}, path: cluster.path }, cluster))
}

/** None of these fields anywhere. Each is looked at by itself: one that is not known hides none that is there. */
function without(places: readonly Place[], keys: readonly string[], says: (key: string) => string): readonly Finding[] {
  const pairs = places.flatMap((place) => keys.map((key) => ({ place, key })))
  if (pairs.length === 0) return []
  return each(pairs, 'route', ({ place, key }) => (has(place, key) ? [fail(place, says(key), remove(place, key))] : []))
}

function upstreamFilters(given: Given, hops: Check['hops']): readonly Finding[] {
  const found = waysOf(given, hops)
  if (found.length === 0) return [cannotTell([], 'there is no HTTP listener to look at')]
  const look = (config: Place, key: string) => {
    const changing = listOf(config, key).filter((one) => !typed(one)?.type.endsWith('.UpstreamCodec'))
    return changing.length === 0 ? [] : [fail(config, `${key}: filters that run after every other one`, remove(config, key))]
  }
  const routers = found.flatMap((way) => way.filters.filter(({ type }) => type.endsWith('.Router')))
  const names = [...leadingTo(found.flatMap((way) => way.forwards)), ...askedBy(found, given)]
  return [
    ...routers.flatMap(({ config }) => look(config, 'upstream_http_filters')),
    ...ofClusters(names, given, (http, cluster) => [...look(http, 'http_filters'), ...spoken(cluster)])
  ]
}

/** HTTP as it came, unless the cluster says otherwise: over TCP or UDP the body of a request is what the database reads as requests. */
function spoken(cluster: Place): readonly Finding[] {
  const config = at(cluster, 'upstream_config')
  const type = config === undefined ? undefined : typed(config)?.type
  const plain = config === undefined || /\.upstreams\.http\.(generic|http)\./.test(type ?? '')
  return [
    ...(plain ? [] : [fail(config, `requests are made anew (${type ?? 'upstream_config'})`, remove(cluster, 'upstream_config'))]),
    ...(listOf(cluster, 'filters').length === 0
      ? []
      : [fail(cluster, 'filters: they may change the bytes of a connection', remove(cluster, 'filters'))])
  ]
}

export const AFTER: readonly Check[] = [
  {
    id: 'nothing-after',
    line: 'No filter after ext_authz changes what was judged',
    why: 'A transcoder, a (de)compressor, Lua, Wasm or ext_proc makes another request of the one that vecauthz read.',
    hops: DECIDING,
    look: ways(after)
  },
  {
    id: 'no-upstream-filters',
    line: 'No filter of a cluster or of the router changes it either',
    why: 'Upstream filters run after every other one, and out of sight of the list of filters.',
    hops: DECIDING,
    look: upstreamFilters
  },
  {
    id: 'no-rewrites',
    line: 'No route rewrites path or host',
    why: 'The database gets another path than was judged, and a policy token is for the path that it was made for.',
    hops: DECIDING,
    look: ways((way) =>
      without(
        way.forwards.flatMap(({ action, scopes }) => [action, ...scopes.slice(3)]),
        REWRITES,
        (key) => `${key} runs after the verdict`
      )
    )
  },
  {
    id: 'no-header-edits',
    line: 'No route adds or removes request headers',
    why: 'Both run after ext_authz: what is removed there is the trusted header, what is added there nobody judged.',
    hops: DECIDING,
    look: ways(edits)
  },
  {
    id: 'no-mirror',
    line: 'No request is mirrored',
    why: 'A copy of the request, or of the question with all of it, goes to somebody whom nobody asked about.',
    hops: DECIDING,
    look: ways(mirrors)
  },
  {
    id: 'no-route-retries',
    line: 'No route repeats writes',
    why: 'A repeated request is one verdict and two writes; a single-use policy token arrives three times.',
    hops: DECIDING,
    look: ways(repeats)
  }
]

/** Said of every hop that asks: without credentials of its own to leak. */
export const EMPTY_HANDED: Check = {
  id: 'database-credential',
  line: "The database's own credential is known to vecauthz alone",
  why: 'A database that asks for none serves whoever reaches its port; one whose key clients hold serves them past this Envoy.',
  hops: DECIDING,
  look: ({ servers }) => {
    if (servers.length === 0) return [cannotTell([], 'no settings were given (--config FILE)')]
    return servers.flatMap(({ file, settings }) => {
      if (settings.role === 'egress') return []
      // Chroma 1 knows no credentials: only its port can be kept.
      const open = settings.databases.filter((one) => one.credential === undefined && one.kind !== 'chroma').map((one) => one.id)
      if (open.length === 0) return []
      const says = `${open.join(', ')}: no credential in ${file}`
      return [
        cannotTell(
          [],
          says,
          todo(`Give ${open.join(', ')} a credential in ${file} (docs/credentials.md), and the database one that it asks for.`)
        )
      ]
    })
  }
}
