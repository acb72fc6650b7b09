/** Kubernetes manifests: what Envoy Istio or Envoy Gateway make of them, as far as they say it. What they leave open stays open. */
import { parseAllDocuments } from 'yaml'
import type { ReadDocument } from './document.ts'
import { isMessage, UNSAID } from './values.ts'

// biome-ignore lint/suspicious/noExplicitAny: manifests of any kind, each field optional
export type Manifest = Record<string, any>

export const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'
export const AUTHZ = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz'
export const AUTHZ_NAME = 'envoy.filters.http.ext_authz'
export const ROUTER_NAME = 'envoy.filters.http.router'
const ROUTER = 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router'
const DOWN_TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'
export const CONTROL_PLANE = 'what.the.control.plane.adds.v3.Filters'
/** Stands for the filters that a control plane adds by itself. */
const OTHERS = { name: 'control-plane', typed_config: { '@type': `type.googleapis.com/${CONTROL_PLANE}` } }

/** Only what is written is known. */
export function partly(value: Manifest): Manifest {
  return { ...value, [UNSAID]: true }
}

/** The documents of a file of manifests; undefined for a file that is none. */
export function manifestsIn(source: string): readonly Manifest[] | undefined {
  const documents = parseAllDocuments(source, { uniqueKeys: true, version: '1.2' })
  if (!Array.isArray(documents) || documents.some(({ errors }) => errors.length > 0)) return undefined
  const values = documents.map((one) => JSON.parse(JSON.stringify(one.toJS() ?? null))).filter(isMessage)
  const known = values.some(
    (one) => isMessage(one['meshConfig']) || (typeof one['apiVersion'] === 'string' && typeof one['kind'] === 'string')
  )
  return known ? values : undefined
}

/** One way in, of which the rest is built: what is asked, and what stands around it. */
export interface Draft {
  readonly name: string
  /** Undefined: connections are plain. */
  readonly tls: Manifest | undefined
  /** What else is known of its filter chain. */
  readonly chain?: Manifest
  readonly http: Manifest
  /** In the order of a request; the router and what the control plane adds come by themselves. */
  readonly filters: readonly Manifest[]
  readonly authz: Manifest | undefined
  readonly after: readonly Manifest[]
  readonly domains: readonly string[] | undefined
  /** Virtual hosts that are said in full, in the place of the one that the control plane makes. */
  readonly hosts?: readonly Manifest[]
  /** That one stays beside them. */
  readonly anyHost?: boolean
  /** What is known of its routes' actions. */
  readonly action?: Manifest
  /** Ways past all of that. */
  readonly chains?: readonly Manifest[]
  readonly cluster: Manifest
}

/** @param others listeners that are no HTTP */
export function documentOf(
  drafts: readonly Draft[],
  missing: readonly string[],
  note: string,
  others: readonly Manifest[] = []
): ReadDocument {
  const static_resources = {
    listeners: [...drafts.map(listenerOf), ...others],
    clusters: [...drafts.map(({ cluster }) => cluster), partly({ name: 'database' })]
  }
  return { ok: true, document: { root: { value: partly({ static_resources }), path: [] }, missing, hop: 'gateway', note } }
}

function listenerOf({
  name,
  tls,
  chain: around,
  http,
  filters,
  authz,
  after,
  domains,
  hosts = [],
  anyHost = false,
  action = {},
  chains = []
}: Draft): Manifest {
  const route = partly({ ...action, cluster: 'database', weighted_clusters: undefined })
  const routes = [partly({ match: { prefix: '/' }, route, typed_per_filter_config: {} })]
  const host = partly({ name, ...(domains === undefined ? {} : { domains }), routes, typed_per_filter_config: {}, matcher: undefined })
  const asking = authz === undefined ? [] : [{ name: AUTHZ_NAME, typed_config: authz }]
  const router = { name: ROUTER_NAME, typed_config: partly({ '@type': ROUTER }) }
  const typed_config = partly({
    ...http,
    '@type': HCM,
    early_header_mutation_extensions: http['early_header_mutation_extensions'],
    local_reply_config: http['local_reply_config'],
    http_filters: [...filters, ...asking, OTHERS, ...after, router],
    route_config: partly({
      virtual_hosts: [...hosts.map(toDatabase), ...(anyHost || hosts.length === 0 ? [host] : [])],
      typed_per_filter_config: {},
      vhds: undefined
    })
  })
  const transport_socket = {
    name: 'envoy.transport_sockets.tls',
    typed_config: partly({ common_tls_context: partly({}), ...tls, '@type': DOWN_TLS })
  }
  const socket = tls === undefined ? { transport_socket: undefined } : { transport_socket }
  const chain = { ...around, ...socket, filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config }] }
  return partly({ name, traffic_direction: undefined, filter_chains: [partly(chain), ...chains], default_filter_chain: undefined })
}

/** Wherever its routes lead, it is the database of this way in. */
function toDatabase(host: Manifest): Manifest {
  const routes = (host['routes'] ?? []).map((one: Manifest) =>
    isMessage(one['route']) ? { ...one, route: { ...one['route'], cluster: 'database' } } : one
  )
  return { ...host, routes }
}

/** Deep, as EnvoyFilter merges: messages are merged, lists are added to. */
export function merged(old: unknown, added: unknown): unknown {
  if (Array.isArray(old) && Array.isArray(added)) return [...old, ...added]
  if (!isMessage(old) || !isMessage(added)) return added
  const both = { ...old, ...Object.fromEntries(Object.entries(added).map(([key, one]) => [key, merged(old[key], one)])) }
  return (old as Record<symbol, unknown>)[UNSAID] === true ? partly(both) : both
}

export const mergedMessage = (old: Manifest, added: Manifest) => merged(old, added) as Manifest
