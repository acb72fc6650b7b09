/** A bootstrap file or the answer of `/config_dump` as one document in the shape of a bootstrap. */
import { parseDocument } from 'yaml'
import { isMessage, type Place } from './values.ts'

export interface EnvoyDocument {
  readonly root: Place
  /** Sentences about what is part of this Envoy's configuration and is not shown here. */
  readonly missing: readonly string[]
  /** What this is, where that is plain from its kind. */
  readonly hop?: 'gateway'
  /** For whoever reads the report: what was looked at. */
  readonly note?: string
}

export type ReadDocument = { readonly ok: true; readonly document: EnvoyDocument } | { readonly ok: false; readonly says: string }

// biome-ignore lint/suspicious/noExplicitAny: configuration of any shape, looked at through values.ts only
type Loose = Record<string, any>

/** The most that YAML aliases may multiply a file by; shipped files share a few dozen blocks. */
const ALIASES_MAX = 1000

/** A bootstrap as YAML or JSON, or a dump of one. */
export function readDocument(source: string): ReadDocument {
  const parsed = parseDocument(source, { uniqueKeys: true, version: '1.2' })
  const [error] = parsed.errors
  if (error !== undefined) return { ok: false, says: error.message.split('\n')[0] ?? 'it is no YAML' }
  return readValue(plain(parsed.toJS({ maxAliasCount: ALIASES_MAX })))
}

/** The same of a document that is parsed. */
export function readValue(value: unknown): ReadDocument {
  const named = snakeCased(value)
  if (named === undefined) return { ok: false, says: 'one field is written twice, in snake_case and in camelCase' }
  if (!isMessage(named)) return { ok: false, says: 'it is no message' }
  if (Array.isArray(named['configs'])) return fromDump(named['configs'] as Loose[])
  if (named['static_resources'] === undefined && named['dynamic_resources'] === undefined && named['admin'] === undefined)
    return { ok: false, says: 'it is neither an Envoy bootstrap nor an answer of /config_dump' }
  return { ok: true, document: documentOf(named) }
}

function documentOf(bootstrap: Loose): EnvoyDocument {
  const missing = Object.keys(isMessage(bootstrap['dynamic_resources']) ? bootstrap['dynamic_resources'] : {}).map(
    (name) => `${name}: parts come from a control plane, which this file does not show; give the URL of the running Envoy's admin interface`
  )
  return { root: { value: bootstrap, path: [] }, missing }
}

/** Of a running Envoy: what it was started with, and what it was given since. */
function fromDump(configs: readonly Loose[]): ReadDocument {
  const of = (name: string) => configs.find((one) => String(one['@type']).endsWith(`.${name}`))
  const bootstrap = of('BootstrapConfigDump')?.['bootstrap']
  if (!isMessage(bootstrap)) return { ok: false, says: 'the dump has no bootstrap; ask for /config_dump without a filter' }
  const listeners = of('ListenersConfigDump') ?? {}
  const clusters = of('ClustersConfigDump') ?? {}
  const routes = of('RoutesConfigDump') ?? {}
  const routeConfigs = [...items(routes['static_route_configs']), ...items(routes['dynamic_route_configs'])].map(
    (one) => one['route_config']
  )
  const byName = new Map(routeConfigs.filter(isMessage).map((one) => [String(one['name']), one]))
  const active = items(listeners['dynamic_listeners']).map((one) => one['active_state']?.listener)
  const shown = [...items(listeners['static_listeners']).map((one) => one['listener']), ...active].filter(isMessage)
  const resources = {
    listeners: shown.map((one) => resolveRoutes(one, byName)),
    clusters: [...items(clusters['static_clusters']), ...items(clusters['dynamic_active_clusters'])]
      .map((one) => one['cluster'])
      .filter(isMessage)
      .map(endpointsInto(items(of('EndpointsConfigDump')?.['dynamic_endpoint_configs'])))
  }
  const { static_resources: _static, dynamic_resources: _dynamic, ...rest } = bootstrap as Loose
  const warming = items(listeners['dynamic_listeners']).some(
    (one) => one['warming_state'] !== undefined || one['error_state'] !== undefined
  )
  const missing = warming ? ['a listener is being replaced, or its replacement was refused; ask again when it is settled'] : []
  const ecds = of('EcdsConfigDump')
  if (items(ecds?.['ecds_filters']).length > 0) missing.push('filters come by extension discovery (ECDS), which is not read here')
  return { ok: true, document: { root: { value: { ...rest, static_resources: resources }, path: [] }, missing } }
}

/** Clusters whose endpoints come by EDS, with the endpoints that they have now. */
function endpointsInto(dumped: readonly Loose[]) {
  const byName = new Map(dumped.map(({ endpoint_config: one }) => [String(one?.cluster_name), one]))
  return (cluster: Loose): Loose => {
    const found = cluster['type'] === 'EDS' ? byName.get(String(cluster['eds_cluster_config']?.service_name ?? cluster['name'])) : undefined
    return found === undefined ? cluster : { ...cluster, load_assignment: found }
  }
}

/** In the place of a reference to routes: the routes, where the dump has them. */
function resolveRoutes(value: unknown, byName: ReadonlyMap<string, unknown>): unknown {
  if (Array.isArray(value)) return value.map((one) => resolveRoutes(one, byName))
  if (!isMessage(value)) return value
  const name = isMessage(value['rds']) ? String(value['rds']['route_config_name']) : undefined
  const found = name === undefined ? undefined : byName.get(name)
  if (found !== undefined) {
    const { rds: _rds, ...rest } = value
    return { ...resolveAll(rest, byName), route_config: found }
  }
  return resolveAll(value, byName)
}

function resolveAll(value: Readonly<Record<string, unknown>>, byName: ReadonlyMap<string, unknown>): Loose {
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, resolveRoutes(one, byName)]))
}

function items(value: unknown): readonly Loose[] {
  return Array.isArray(value) ? value.filter(isMessage) : []
}

/** What YAML aliases share is apart afterwards, so that one change stays one change. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null))
}

/** JSON of protobuf takes names of fields in both spellings; undefined where one is there in both. Keys of maps have dots or dashes. */
function snakeCased(value: unknown): unknown {
  if (Array.isArray(value)) {
    const all = value.map(snakeCased)
    return all.includes(undefined) ? undefined : all
  }
  if (!isMessage(value)) return value
  const named: Loose = {}
  for (const [key, one] of Object.entries(value)) {
    const name = /^[a-z][a-zA-Z0-9]*$/.test(key) ? key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`) : key
    const inner = snakeCased(one)
    if (inner === undefined || Object.hasOwn(named, name)) return undefined
    named[name] = inner
  }
  return named
}
