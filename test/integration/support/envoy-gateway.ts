/**
 * A listener as Envoy Gateway 1.9 writes it (as read in its source and its own recorded translations), from the manifests of
 * envoy/gateway-api, and an EnvoyPatchPolicy as it applies one. There is no Envoy Gateway here.
 */
import type { Bootstrap, Cluster, Config, Listener } from '../../../demo/envoy-config.ts'

const FILTERS = 'type.googleapis.com/envoy.extensions.filters.http'
const TRANSPORT = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3'
export const LISTENER = 'data/vectordb/https'
export const VECAUTHZ = 'securitypolicy/data/vectordb/extauth/0'
const FILTER = 'envoy.filters.http.ext_authz/securitypolicy/data/vectordb'

export interface Manifests {
  readonly client: Config
  readonly security: Config
  readonly backendTls: Config
}

const sds = (file: string) => ({ resource_api_version: 'V3', path_config_source: { path: `./sds/${file}.json` } })

export function clustersOf({ backendTls, security }: Manifests): Cluster[] {
  return [cluster('qdrant', {}), vecauthz(backendTls, security['spec'].extAuth.grpc.backendSettings.healthCheck)]
}

/** Each listener has two routes: one with the check, and one whose own policy has taken it away. */
export function bootstrapOf(listeners: Listener[], clusters: Cluster[]): Bootstrap {
  return {
    node: { id: 'envoy-data-vectordb', cluster: 'data/vectordb' },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    layered_runtime: { layers: [{ name: 'static', static_layer: { 're2.max_program_size.error_level': 4_294_967_295 } }] },
    static_resources: { listeners, clusters }
  }
}

export function listenerOf(name: string, { client, security }: Manifests): Listener {
  const { tls } = client['spec']
  const uris: Config[] = tls.clientValidation.subjectAltNames.uris
  return {
    name,
    address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
    per_connection_buffer_limit_bytes: bytes(client['spec'].connection.bufferLimit),
    filter_chains: [
      {
        transport_socket: {
          name: 'envoy.transport_sockets.tls',
          typed_config: {
            '@type': `${TRANSPORT}.DownstreamTlsContext`,
            require_client_certificate: tls.clientValidation.mode === 'RequireAndVerify',
            disable_stateful_session_resumption: tls.session === undefined,
            disable_stateless_session_resumption: tls.session === undefined,
            common_tls_context: {
              alpn_protocols: ['h2', 'http/1.1'],
              tls_params: {
                tls_minimum_protocol_version: `TLSv${tls.minVersion.replace('.', '_')}`,
                tls_maximum_protocol_version: 'TLSv1_3'
              },
              tls_certificate_sds_secret_configs: [{ name: 'default', sds_config: sds('svid') }],
              combined_validation_context: {
                default_validation_context: {
                  match_typed_subject_alt_names: uris.map(({ value }) => ({ san_type: 'URI', matcher: { prefix: value } }))
                },
                validation_context_sds_secret_config: { name: 'ALL', sds_config: sds('bundles') }
              }
            }
          }
        },
        filters: [
          {
            name: 'envoy.filters.network.http_connection_manager',
            typed_config: connectionManager(client['spec'], security['spec'].extAuth)
          }
        ]
      }
    ]
  }
}

const SLASHES: Readonly<Record<string, string>> = { RejectRequest: 'REJECT_REQUEST' }
const XFCC: Readonly<Record<string, string>> = { SanitizeSet: 'SANITIZE_SET' }

function connectionManager({ path, headers, timeout, connection, http2 }: Config, extAuth: Config): Config {
  const { remove, removeOnMatch } = headers.earlyRequestHeaders
  const prefixed = removeOnMatch.map(({ value }: Config) => ({ remove_on_match: { key_matcher: { prefix: value, ignore_case: true } } }))
  const details = (headers.xForwardedClientCert.certDetailsToAdd as string[]).map((one) => [one.toLowerCase(), true])
  return {
    '@type': 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
    stat_prefix: 'https-8443',
    use_remote_address: true,
    normalize_path: true,
    merge_slashes: path.disableMergeSlashes !== true,
    path_with_escaped_slashes_action: SLASHES[path.escapedSlashesAction],
    forward_client_cert_details: XFCC[headers.xForwardedClientCert.mode],
    set_current_client_cert_details: Object.fromEntries(details),
    server_header_transformation: 'PASS_THROUGH',
    request_timeout: timeout.http.requestReceivedTimeout,
    request_headers_timeout: timeout.http.requestHeadersReceivedTimeout,
    stream_idle_timeout: timeout.http.streamIdleTimeout,
    common_http_protocol_options: {
      headers_with_underscores_action: SLASHES[headers.withUnderscoresAction],
      idle_timeout: timeout.http.idleTimeout,
      max_connection_duration: connection.connectionLimit.maxConnectionDuration
    },
    http2_protocol_options: {
      max_concurrent_streams: http2.maxConcurrentStreams,
      initial_stream_window_size: bytes(http2.initialStreamWindowSize),
      initial_connection_window_size: bytes(http2.initialConnectionWindowSize)
    },
    early_header_mutation_extensions: [
      {
        name: 'envoy.http.early_header_mutation.header_mutation',
        typed_config: {
          '@type': 'type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation',
          mutations: [...remove.map((one: string) => ({ remove: one })), ...prefixed]
        }
      }
    ],
    http_filters: [
      { name: FILTER, disabled: true, typed_config: filter(extAuth) },
      { name: 'envoy.filters.http.grpc_web', typed_config: { '@type': `${FILTERS}.grpc_web.v3.GrpcWeb` } },
      { name: 'envoy.filters.http.router', typed_config: { '@type': `${FILTERS}.router.v3.Router`, suppress_envoy_headers: true } }
    ],
    route_config: {
      name: LISTENER,
      virtual_hosts: [{ name: LISTENER, domains: ['*'], routes: [route('/unasked', false), route('/', true)] }]
    }
  }
}

function filter({ failOpen, statusOnError, timeout, recomputeRoute, bodyToExtAuth, grpc }: Config): Config {
  const { numRetries, retryOn, perRetry } = grpc.backendSettings.retry
  const { baseInterval, maxInterval } = perRetry.backOff
  return {
    '@type': `${FILTERS}.ext_authz.v3.ExtAuthz`,
    transport_api_version: 'V3',
    failure_mode_allow: failOpen,
    clear_route_cache: recomputeRoute,
    status_on_error: { code: statusOnError === 503 ? 'ServiceUnavailable' : 'Forbidden' },
    with_request_body: { max_request_bytes: bodyToExtAuth.maxRequestBytes },
    grpc_service: {
      envoy_grpc: { cluster_name: VECAUTHZ, authority: 'vecauthz.vecauthz' },
      timeout: seconds(timeout),
      retry_policy: {
        num_retries: numRetries,
        retry_on: retryOn.triggers.join(','),
        retry_back_off: { base_interval: seconds(baseInterval), max_interval: seconds(maxInterval) }
      }
    }
  }
}

function route(prefix: string, asked: boolean): Config {
  const enabled = { [FILTER]: { '@type': `${FILTERS}.ext_authz.v3.ExtAuthzPerRoute`, check_settings: {} } }
  const typed = asked ? { typed_per_filter_config: enabled } : {}
  return { match: { prefix }, route: { cluster: 'qdrant', upgrade_configs: [{ upgrade_type: 'websocket' }] }, ...typed }
}

function cluster(name: string, more: Config): Cluster {
  const endpoint = { address: { socket_address: { address: '127.0.0.1', port_value: 1 } } }
  const assignment = { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint }] }] }
  return { name, type: 'STATIC', connect_timeout: '1s', load_assignment: assignment, ...more }
}

function vecauthz(backendTls: Config, { panicThreshold, active }: Config): Cluster {
  const names: Config[] = backendTls['spec'].validation.subjectAltNames
  const { timeout, interval, unhealthyThreshold, healthyThreshold, grpc } = active
  const check = {
    timeout: seconds(timeout),
    interval: seconds(interval),
    unhealthy_threshold: unhealthyThreshold,
    healthy_threshold: healthyThreshold
  }
  return cluster(VECAUTHZ, {
    common_lb_config: { healthy_panic_threshold: { value: panicThreshold } },
    health_checks: [{ ...check, grpc_health_check: { service_name: grpc.service } }],
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: {} }
      }
    },
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': `${TRANSPORT}.UpstreamTlsContext`,
        sni: backendTls['spec'].validation.hostname,
        common_tls_context: {
          alpn_protocols: ['h2'],
          tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
          tls_certificate_sds_secret_configs: [{ name: 'default', sds_config: sds('svid') }],
          combined_validation_context: {
            default_validation_context: {
              match_typed_subject_alt_names: names.map(({ uri }) => ({ san_type: 'URI', matcher: { exact: uri } }))
            },
            validation_context_sds_secret_config: { name: 'ALL', sds_config: sds('bundles') }
          }
        }
      }
    }
  })
}

/** @returns how many places each patch found */
export function applyPatches(policy: Config, listeners: readonly Listener[], clusters: readonly Cluster[]): number[] {
  const patches: Config[] = policy['spec'].jsonPatches
  return patches.map(({ type, name, operation }) => {
    const of = String(type).endsWith('.Cluster') ? clusters.filter((one) => one.name === name) : listeners
    const places = of.flatMap((one) => (operation.jsonPath === undefined ? [{ root: one, keys: [] }] : locate(one, operation.jsonPath)))
    for (const { root, keys } of places) change(operation.op, root, [...keys, ...keysOf(operation.path ?? '')], operation.value)
    return places.length
  })
}

function change(op: string, root: Config, keys: readonly (string | number)[], value: unknown): void {
  if (op === 'add') add(root, keys, value)
  else if (op === 'remove') (valueAt(root, keys.slice(0, -1)) as unknown as unknown[]).splice(Number(keys.at(-1)), 1)
  else throw new Error(`no such operation: ${op}`)
}

interface Pointer {
  readonly root: Config
  readonly keys: readonly (string | number)[]
}

/** As much of JSONPath as the patches use: names, `[*]`, and filters by name. */
function locate(root: Config, jsonPath: string): Pointer[] {
  const steps = jsonPath.slice(1).match(/\.\w+|\[\*\]|\[\?\(@\.name(==|=~)'[^']*'\)\]/g) ?? []
  // Envoy Gateway's reader takes no escapes in these texts.
  if (steps.join('') !== jsonPath.slice(1) || jsonPath.includes('\\')) throw new Error(`more than is read here: ${jsonPath}`)
  let found: Pointer[] = [{ root, keys: [] }]
  for (const step of steps) {
    found = found.flatMap(({ keys }) => {
      const at = valueAt(root, keys)
      if (step.startsWith('.')) return at?.[step.slice(1)] === undefined ? [] : [{ root, keys: [...keys, step.slice(1)] }]
      const [, operator, text = ''] = /(==|=~)'([^']*)'/.exec(step) ?? []
      const fits = (name: string) => operator === undefined || (operator === '==' ? name === text : new RegExp(text).test(name))
      return (at as Config[]).flatMap((one, index) => (fits(one['name']) ? [{ root, keys: [...keys, index] }] : []))
    })
  }
  return found
}

const keysOf = (path: string) =>
  path
    .split('/')
    .slice(1)
    .map((key) => (/^\d+$/.test(key) ? Number(key) : key))

function valueAt(root: Config, keys: readonly (string | number)[]): Config | undefined {
  return keys.reduce((at: Config | undefined, key) => at?.[key], root)
}

/** RFC 6902: into an array before what is there, into an object in the place of what is there. */
function add(root: Config, keys: readonly (string | number)[], value: unknown): void {
  const parent = valueAt(root, keys.slice(0, -1))
  const last = keys.at(-1) ?? ''
  if (parent === undefined) throw new Error(`nothing at /${keys.slice(0, -1).join('/')}`)
  if (Array.isArray(parent)) parent.splice(Number(last), 0, structuredClone(value))
  else parent[last] = structuredClone(value)
}

function bytes(text: string): number {
  const [, number, unit] = /^(\d+)(Ki|Mi)$/.exec(text) ?? []
  return Number(number) * (unit === 'Mi' ? 1024 * 1024 : 1024)
}

function seconds(text: string): string {
  return text.endsWith('ms') ? `${Number(text.slice(0, -2)) / 1000}s` : text
}
