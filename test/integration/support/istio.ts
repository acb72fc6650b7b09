/**
 * A sidecar's inbound side as istiod writes it, and EnvoyFilters as it applies them: enough to start a real Envoy with what the manifests
 * of envoy/istio come to. There is no istiod here; istiod-live.test.ts holds the two against each other where there is one.
 */
import { readFileSync } from 'node:fs'
import { parse, parseAllDocuments } from 'yaml'
import type { Bootstrap, Cluster, Config, Listener } from '../../../demo/envoy-config.ts'

const HCM = 'envoy.filters.network.http_connection_manager'
const FILTERS = 'type.googleapis.com/envoy.extensions.filters.http'
export const VECAUTHZ = 'outbound|9901||vecauthz-mesh.vecauthz.svc.cluster.local'

interface Provider {
  readonly service: string
  readonly port: number
  readonly timeout: string
  readonly failOpen: boolean
  readonly statusOnError: string
  readonly includeRequestBodyInCheck: {
    readonly maxRequestBytes: number
    readonly allowPartialMessage: boolean
    readonly packAsBytes: boolean
  }
}

const NETWORK = 'type.googleapis.com/envoy.extensions.filters.network'
const REPEATS = { retry_on: 'reset-before-request', num_retries: 2 }
const STATUS: Readonly<Record<string, string>> = { 503: 'ServiceUnavailable', 403: 'Forbidden' }

/** What a CUSTOM policy becomes: a shadow that marks whom it is about, and the filter that asks about those. */
export function customFilters(meshValues: string, rule: Config): Config[] {
  const provider: Provider = parse(readFileSync(meshValues, 'utf8')).meshConfig.extensionProviders[0].envoyExtAuthzGrpc
  const { maxRequestBytes, allowPartialMessage, packAsBytes } = provider.includeRequestBodyInCheck
  const name = 'istio-ext-authz-vecauthz-ns[data]-policy[qdrant-vecauthz]-rule[0]'
  return [
    {
      name: 'envoy.filters.http.rbac',
      typed_config: {
        '@type': `${FILTERS}.rbac.v3.RBAC`,
        shadow_rules: {
          action: 'DENY',
          policies: { [name]: { permissions: [rule], principals: [{ and_ids: { ids: [{ any: true }] } }] } }
        },
        shadow_rules_stat_prefix: 'istio_ext_authz_'
      }
    },
    {
      name: 'envoy.filters.http.ext_authz',
      typed_config: {
        '@type': `${FILTERS}.ext_authz.v3.ExtAuthz`,
        transport_api_version: 'V3',
        failure_mode_allow: provider.failOpen,
        status_on_error: { code: STATUS[provider.statusOnError] },
        filter_enabled_metadata: {
          filter: 'envoy.filters.http.rbac',
          path: [{ key: 'istio_ext_authz_shadow_effective_policy_id' }],
          value: { string_match: { prefix: 'istio-ext-authz-vecauthz' } }
        },
        grpc_service: {
          envoy_grpc: { cluster_name: `outbound|${provider.port}||${provider.service}`, authority: provider.service },
          timeout: provider.timeout
        },
        with_request_body: { max_request_bytes: maxRequestBytes, allow_partial_message: allowPartialMessage, pack_as_bytes: packAsBytes }
      }
    }
  ]
}

/** One inbound listener. @param custom the filters of CUSTOM policies; none where there is no such policy */
export function inbound(name: string, custom: readonly Config[]): Listener {
  const sds = (file: string) => ({ resource_api_version: 'V3', path_config_source: { path: `./sds/${file}.json` } })
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    filter_chains: [
      passing('virtualInbound'),
      passing('virtualInbound-catchall-http'),
      {
        name: '0.0.0.0_6333',
        filter_chain_match: { transport_protocol: 'tls' },
        transport_socket: {
          name: 'envoy.transport_sockets.tls',
          typed_config: {
            '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext',
            require_client_certificate: true,
            common_tls_context: {
              alpn_protocols: ['h2', 'http/1.1'],
              tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
              tls_certificate_sds_secret_configs: [{ name: 'default', sds_config: sds('svid') }],
              validation_context_sds_secret_config: { name: 'ALL', sds_config: sds('bundles') }
            }
          }
        },
        filters: [{ name: HCM, typed_config: connectionManager(name, custom) }]
      }
    ],
    listener_filters: [
      {
        name: 'envoy.filters.listener.tls_inspector',
        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector' }
      }
    ]
  }
}

/** Where connections go that come to a port which no Service names; here to none that is tried. */
function passing(name: string): Config {
  const typed_config = { '@type': `${NETWORK}.tcp_proxy.v3.TcpProxy`, stat_prefix: name, cluster: 'inbound|6333||' }
  const filters = [{ name: 'envoy.filters.network.tcp_proxy', typed_config }]
  return { name, filter_chain_match: { server_names: [`${name}.test`] }, filters }
}

function connectionManager(name: string, custom: readonly Config[]): Config {
  const plain = (kind: string, message: string) => ({
    name: `envoy.filters.http.${kind}`,
    typed_config: { '@type': `${FILTERS}.${message}` }
  })
  return {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    codec_type: 'AUTO',
    stat_prefix: name,
    path_with_escaped_slashes_action: 'KEEP_UNCHANGED',
    normalize_path: true,
    merge_slashes: true,
    use_remote_address: false,
    forward_client_cert_details: 'APPEND_FORWARD',
    set_current_client_cert_details: { subject: true, dns: true, uri: true },
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    stream_idle_timeout: '0s',
    access_log: [],
    http_filters: [
      ...structuredClone(custom),
      plain('grpc_stats', 'grpc_stats.v3.FilterConfig'),
      plain('fault', 'fault.v3.HTTPFault'),
      plain('cors', 'cors.v3.Cors'),
      plain('router', 'router.v3.Router')
    ],
    route_config: {
      name: 'inbound|6333||',
      virtual_hosts: [
        {
          name: 'inbound|http|6333',
          domains: ['*'],
          routes: [{ name: 'default', match: { prefix: '/' }, route: { timeout: '0s', cluster: 'inbound|6333||', retry_policy: REPEATS } }]
        }
      ]
    }
  }
}

/** A cluster of an ordinary service, with mTLS from the sidecar's own secrets where a DestinationRule says ISTIO_MUTUAL. */
export function outbound(name: string, destinationRule: Config): Cluster {
  const { tls } = destinationRule['spec'].trafficPolicy
  if (tls.mode !== 'ISTIO_MUTUAL') throw new Error('the DestinationRule asks for no mutual TLS')
  const sds = (file: string) => ({ resource_api_version: 'V3', path_config_source: { path: `./sds/${file}.json` } })
  return {
    name,
    type: 'STATIC',
    connect_timeout: '0.25s',
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: {} }
      }
    },
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
        common_tls_context: {
          alpn_protocols: ['istio', 'h2'],
          tls_params: { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' },
          tls_certificate_sds_secret_configs: [{ name: 'default', sds_config: sds('svid') }],
          combined_validation_context: {
            default_validation_context: {
              match_subject_alt_names: tls.subjectAltNames.map((exact: string) => ({ exact }))
            },
            validation_context_sds_secret_config: { name: 'ALL', sds_config: sds('bundles') }
          }
        }
      }
    },
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: 1 } } } }] }]
    }
  }
}

/** The documents of a manifest. */
export function documentsOf(file: string): Config[] {
  return parseAllDocuments(readFileSync(file, 'utf8')).map((one) => one.toJSON() as Config)
}

/** @returns how often each patch found its place, in the order of the file */
export function applyEnvoyFilters(filters: readonly Config[], listeners: readonly Listener[], clusters: readonly Cluster[]): number[] {
  const patches: Config[] = filters.filter(({ kind }) => kind === 'EnvoyFilter').flatMap(({ spec }) => spec.configPatches)
  return patches.map((patch) => {
    const places = placesOf(patch, listeners, clusters)
    for (const change of places) change()
    return places.length
  })
}

function placesOf({ applyTo, match, patch }: Config, listeners: readonly Listener[], clusters: readonly Cluster[]): (() => void)[] {
  const { operation, value } = patch
  switch (applyTo) {
    case 'CLUSTER': {
      const name = `outbound|${match.cluster.portNumber}||${match.cluster.service}`
      const those = clusters.filter((one) => one.name === name)
      // Of a patch with a transport socket, nothing else is merged.
      if (value.transport_socket !== undefined) return those.map((one) => () => mergeNamed(one['transport_socket'], value.transport_socket))
      return those.map((one) => () => merge(one, value))
    }
    case 'FILTER_CHAIN':
      return listeners.flatMap((one) => filterChainPlaces(one, match.listener.filterChain, operation, value))
    case 'VIRTUAL_HOST':
      if (operation !== 'REPLACE') throw new Error(`no such operation: ${operation}`)
      return managersOf(listeners)
        .map((one) => one['typed_config'].route_config)
        .filter((one) => one.name === match.routeConfiguration.name)
        .map((one) => () => void Object.assign(one, { virtual_hosts: [structuredClone(value)] }))
    case 'NETWORK_FILTER':
      return managersOf(listeners).map((one) => () => mergeNamed(one, value))
    case 'HTTP_FILTER':
      return managersOf(listeners).flatMap((one) => httpFilterPlaces(one['typed_config'].http_filters, match, operation, value))
    default:
      throw new Error(`no such place: ${applyTo}`)
  }
}

function filterChainPlaces(listener: Listener, match: Config, operation: string, value: Config): (() => void)[] {
  const chains = listener['filter_chains'] as Config[]
  if (operation === 'REMOVE') {
    const drop = () => void Object.assign(listener, { filter_chains: chains.filter(({ name }) => name !== match['name']) })
    return chains.some(({ name }) => name === match['name']) ? [drop] : []
  }
  const those = chains.filter((one) => one['filter_chain_match'].transport_protocol === match['transportProtocol'])
  if (value['transport_socket'] === undefined) return those.map((one) => () => merge(one, value))
  return those.map((one) => () => mergeNamed(one['transport_socket'], value['transport_socket']))
}

function httpFilterPlaces(filters: Config[], match: Config, operation: string, value: Config): (() => void)[] {
  const wanted = match['listener'].filterChain.filter.subFilter?.name
  const at = () => filters.findIndex((one) => one['name'] === wanted)
  if (operation === 'INSERT_FIRST') return [() => void filters.unshift(structuredClone(value))]
  if (at() === -1) return []
  if (operation === 'INSERT_BEFORE') return [() => void filters.splice(at(), 0, structuredClone(value))]
  if (operation === 'MERGE') return [() => mergeNamed(filters[at()] as Config, value)]
  throw new Error(`no such operation: ${operation}`)
}

function managersOf(listeners: readonly Listener[]): Config[] {
  return listeners
    .flatMap((one) => (one['filter_chains'] as Config[]).flatMap((chain) => chain['filters'] as Config[]))
    .filter((one) => one['name'] === HCM)
}

/** Typed configurations merge when they are of one type. */
function mergeNamed(target: Config, value: Config): void {
  if (target['name'] !== value['name'] || target['typed_config']['@type'] !== value['typed_config']['@type']) {
    throw new Error(`${target['name']} and ${value['name']} are not of one kind`)
  }
  merge(target['typed_config'], value['typed_config'])
}

/** As protobuf merges: what is single is replaced, what is repeated is appended, messages merge. */
function merge(target: Config, value: Config): void {
  for (const [key, one] of Object.entries(value)) {
    const there = target[key]
    if (Array.isArray(there) && Array.isArray(one)) there.push(...structuredClone(one))
    else if (isMessage(there) && isMessage(one)) merge(there, one)
    else target[key] = structuredClone(one)
  }
}

function isMessage(value: unknown): value is Config {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function bootstrapOf(listeners: Listener[], clusters: Cluster[]): Bootstrap {
  return {
    node: { id: 'sidecar~127.0.0.1~qdrant-0.data~data.svc.cluster.local', cluster: 'qdrant.data' },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    // istio-proxy's own bootstrap has no limit on regular expressions.
    layered_runtime: { layers: [{ name: 'static', static_layer: { 're2.max_program_size.error_level': 32_768 } }] },
    static_resources: { listeners, clusters }
  }
}
