import { readFileSync } from 'node:fs'
import { parse, stringify } from 'yaml'

/**
 * A shipped Envoy bootstrap (envoy/*.yaml) as data, and the changes that one run needs: ports and addresses of upstreams.
 * Changes are made to the parsed document, never to its text.
 */

/** Configuration below a listener or cluster. Its shape is Envoy's to check (`--mode validate`), not ours. */
// biome-ignore lint/suspicious/noExplicitAny: hundreds of message types, each optional everywhere
export type Config = Record<string, any>

export interface Listener extends Config {
  name: string
  /** A port, or a socket in the file system, to which nothing is overridden. */
  address: { socket_address?: SocketAddress } & Config
}

export interface Cluster extends Config {
  name: string
}

export interface Bootstrap extends Config {
  admin: { address: { socket_address: SocketAddress } } & Config
  static_resources: { listeners: Listener[]; clusters: Cluster[] } & Config
}

interface SocketAddress {
  address: string
  port_value: number
}

export interface Address {
  readonly address: string
  readonly port: number
}

export interface EnvoyOverrides {
  /** Ports to bind, by listener name, `admin` for the admin interface. What is not named gets a free port from the kernel. */
  readonly ports?: Readonly<Record<string, number>>
  /** Where clusters lead, by cluster name. */
  readonly upstreams?: Readonly<Record<string, Address>>
  /** For SVIDs that live shorter than those the file was written for: longest age of a connection, in seconds. */
  readonly maxConnectionSeconds?: number
  /** Any further change of structure. */
  readonly edit?: (bootstrap: Bootstrap) => void
}

/** @throws Error when the file is not a bootstrap with an admin port, listeners and clusters. */
export function readBootstrap(configFile: string): Bootstrap {
  // Through JSON, so that what YAML aliases share is apart and one change stays one change.
  const bootstrap = JSON.parse(JSON.stringify(parse(readFileSync(configFile, 'utf8')))) as Bootstrap
  const { admin, static_resources: resources } = bootstrap
  if (admin?.address?.socket_address === undefined || !Array.isArray(resources?.listeners) || !Array.isArray(resources?.clusters)) {
    throw new Error(`${configFile} is no Envoy bootstrap with an admin address, listeners and clusters`)
  }
  return bootstrap
}

/** @throws Error when an override names a listener or cluster that is not there. */
export function applyOverrides(bootstrap: Bootstrap, overrides: EnvoyOverrides): void {
  overrides.edit?.(bootstrap)
  const { listeners, clusters } = bootstrap.static_resources
  assertKnown('listener', Object.keys(overrides.ports ?? {}), ['admin', ...listeners.map((one) => one.name)])
  assertKnown(
    'cluster',
    Object.keys(overrides.upstreams ?? {}),
    clusters.map((one) => one.name)
  )

  bootstrap.admin.address.socket_address.port_value = overrides.ports?.['admin'] ?? 0
  for (const { name, address } of listeners) {
    if (address.socket_address !== undefined) address.socket_address.port_value = overrides.ports?.[name] ?? 0
  }
  for (const cluster of clusters) {
    const upstream = overrides.upstreams?.[cluster.name]
    if (upstream !== undefined) endpointOf(cluster)['socket_address'] = { address: upstream.address, port_value: upstream.port }
  }
  if (overrides.maxConnectionSeconds !== undefined) limitConnections(bootstrap, overrides.maxConnectionSeconds)
}

export function renderBootstrap(bootstrap: Bootstrap): string {
  return stringify(bootstrap, { aliasDuplicateObjects: false, lineWidth: 0 })
}

/** The HTTP connection manager of a listener's only filter chain. */
export function httpOf(listener: Listener): Config {
  return listener['filter_chains'][0].filters[0].typed_config
}

/** An HTTP filter's configuration by its name, such as `envoy.filters.http.ext_authz`. */
export function httpFilterOf(listener: Listener, name: string): Config {
  const filters: Config[] = httpOf(listener)['http_filters']
  const found = filters.find((filter) => filter['name'] === name)
  if (found === undefined) throw new Error(`listener ${listener.name} has no HTTP filter ${name}`)
  return found['typed_config']
}

/** The HTTP options of a cluster, shared by all its connections. */
export function upstreamHttpOf(cluster: Cluster): Config {
  return cluster['typed_extension_protocol_options']['envoy.extensions.upstreams.http.v3.HttpProtocolOptions']
}

export function named<T extends { name: string }>(all: readonly T[], name: string): T {
  const found = all.find((one) => one.name === name)
  if (found === undefined) throw new Error(`there is no ${name}, but: ${all.map((one) => one.name).join(', ')}`)
  return found
}

function endpointOf(cluster: Cluster): Config {
  return cluster['load_assignment'].endpoints[0].lb_endpoints[0].endpoint.address
}

/** Wherever the file limits the age of a connection; nowhere else, so that a file without limits does not seem to have them. */
function limitConnections(bootstrap: Bootstrap, seconds: number): void {
  const options = [
    ...bootstrap.static_resources.listeners.map((listener) => httpOf(listener)['common_http_protocol_options']),
    ...bootstrap.static_resources.clusters.map((cluster) => upstreamHttpOf(cluster)['common_http_protocol_options'])
  ]
  for (const one of options) if (one?.max_connection_duration !== undefined) one.max_connection_duration = `${seconds}s`
}

function assertKnown(what: string, asked: readonly string[], known: readonly string[]): void {
  const unknown = asked.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`There is no ${what} ${unknown} to override, but: ${known.join(', ')}`)
}
