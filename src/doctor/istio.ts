/** Istio: the provider of meshConfig, the AuthorizationPolicy that uses it, and the EnvoyFilters that say the rest. */
import { parse } from 'yaml'
import type { ReadDocument } from './document.ts'
import { isStrict, patchesOf, trafficTo, workloadOf } from './istio-scope.ts'
import { AUTHZ, AUTHZ_NAME, type Draft, documentOf, type Manifest, mergedMessage, partly, ROUTER_NAME } from './manifests.ts'
import { isMessage } from './values.ts'

const NOTE =
  'Istio manifests: what istiod makes of them is in the /config_dump of a sidecar, and a patch that finds no place is left out without a word.'
const UPSTREAM = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'
const ACCESS_LOG = 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog'
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'
const FILTER = { name: 'envoy.filters.network.http_connection_manager' }
/** Of every sidecar: whatever comes to a port that no Service names goes on to the pod, HTTP of any host with the filters of the others. */
const ANY_HTTP = 'virtualInbound-catchall-http'
const PASSING = ['virtualInbound', ANY_HTTP]

export function readIstio(all: readonly Manifest[]): ReadDocument | undefined {
  const mesh = meshOf(all)
  const ofKind = (kind: string) => all.filter((one) => one['kind'] === kind && String(one['apiVersion']).includes('istio.io'))
  if (mesh === undefined && ofKind('AuthorizationPolicy').length + ofKind('EnvoyFilter').length === 0) return undefined
  const missing: string[] = []
  if (mesh === undefined) missing.push('there is no meshConfig with the extension provider; give its file as well')
  const custom = ofKind('AuthorizationPolicy').filter(({ spec }) => spec?.action === 'CUSTOM')
  const workloads = custom.length > 0 ? custom : [unaskedOf(ofKind('EnvoyFilter')[0])]
  const services = all.filter((one) => one['kind'] === 'Service')
  const drafts = workloads.map((policy) => draftOf(policy, custom.includes(policy), mesh ?? {}, { ofKind, services, missing }))
  return documentOf(drafts, missing, NOTE)
}

/** Where nobody is asked: the workload that is patched all the same, if there is one. */
function unaskedOf(patch: Manifest | undefined): Manifest {
  const name = 'no AuthorizationPolicy of action CUSTOM'
  return { metadata: { ...patch?.['metadata'], name }, spec: { selector: { matchLabels: patch?.['spec']?.workloadSelector?.labels } } }
}

function meshOf(all: readonly Manifest[]): Manifest | undefined {
  const inMap = all.find((one) => one['kind'] === 'ConfigMap' && typeof one['data']?.mesh === 'string')
  const values =
    all.find((one) => isMessage(one['meshConfig']))?.['meshConfig'] ??
    all.find((one) => isMessage(one['spec']?.meshConfig))?.['spec'].meshConfig
  return values ?? (inMap === undefined ? undefined : parse(inMap['data'].mesh))
}

type OfKind = (kind: string) => readonly Manifest[]

interface Around {
  readonly ofKind: OfKind
  readonly services: readonly Manifest[]
  readonly missing: string[]
}

function draftOf(policy: Manifest, isPolicy: boolean, mesh: Manifest, { ofKind, services, missing }: Around): Draft {
  const { namespace, name } = policy['metadata'] ?? {}
  const workload = workloadOf(policy, mesh)
  const providers: readonly Manifest[] = mesh['extensionProviders'] ?? []
  const provider = providers.find((one) => one['name'] === policy['spec']?.provider?.name)
  if (isPolicy && provider === undefined && mesh['extensionProviders'] !== undefined)
    missing.push(`there is no extension provider ${policy['spec']?.provider?.name}`)
  const asked: Manifest = provider?.['envoyExtAuthzGrpc'] ?? {}
  let draft: Draft = {
    name: `${namespace ?? ''}/${name}`,
    tls: {
      require_client_certificate: isStrict(ofKind('PeerAuthentication'), workload),
      common_tls_context: partly({
        tls_params: { tls_minimum_protocol_version: mesh['meshMTLS']?.minProtocolVersion === 'TLSV1_3' ? 'TLSv1_3' : 'TLSv1_2' }
      })
    },
    http: httpOf(mesh),
    filters: [],
    authz: isPolicy ? authzOf(policy, provider, asked) : undefined,
    after: [],
    domains: ['*'],
    action: { retry_policy: { retry_on: 'reset-before-request' } },
    chain: { transport_socket_connect_timeout: undefined },
    chains: PASSING.map(passing),
    cluster: clusterOf(asked, trafficTo(ofKind('DestinationRule'), asked, workload, missing), services)
  }
  for (const patch of patchesOf(ofKind('EnvoyFilter'), workload, missing)) draft = patched(draft, patch, asked, missing)
  const chains = draft.chains ?? []
  return { ...draft, chains: chains.filter((one) => one['name'] !== ANY_HTTP), anyHost: chains.some((one) => one['name'] === ANY_HTTP) }
}

function httpOf(mesh: Manifest): Manifest {
  const paths = mesh['pathNormalization']?.normalization ?? 'BASE'
  const xfcc = mesh['defaultConfig']?.proxyHeaders?.forwardedClientCert ?? 'APPEND_FORWARD'
  return {
    normalize_path: paths !== 'NONE',
    merge_slashes: paths === 'MERGE_SLASHES' || paths === 'DECODE_AND_MERGE_SLASHES',
    forward_client_cert_details: xfcc,
    // On every listener, whatever the manifests say.
    upgrade_configs: [{ upgrade_type: 'websocket' }],
    ...(typeof mesh['accessLogFile'] === 'string' && mesh['accessLogFile'] !== '' ? { access_log: [accessLogOf(mesh)] } : {})
  }
}

function accessLogOf(mesh: Manifest): Manifest {
  const format = mesh['accessLogEncoding'] === 'JSON' ? { json_format: mesh['accessLogFormat'] } : { text_format: mesh['accessLogFormat'] }
  const typed_config = { '@type': ACCESS_LOG, path: mesh['accessLogFile'], log_format: format }
  return { name: 'envoy.access_loggers.file', typed_config }
}

function passing(name: string): Manifest {
  const typed_config = { '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy' }
  return { name, filters: [{ name: 'envoy.filters.network.tcp_proxy', typed_config }] }
}

/** All of it is made of the provider; what that does not say has Envoy's default. */
function authzOf(policy: Manifest, provider: Manifest | undefined, asked: Manifest): Manifest {
  const all = (policy['spec']?.rules ?? []).some((rule: Manifest) => Object.keys(rule ?? {}).length === 0)
  if (provider?.['envoyExtAuthzHttp'] !== undefined) return { '@type': AUTHZ, http_service: {} }
  const body = asked['includeRequestBodyInCheck']
  const part = {
    max_request_bytes: body?.maxRequestBytes,
    allow_partial_message: body?.allowPartialMessage,
    pack_as_bytes: body?.packAsBytes
  }
  return {
    '@type': AUTHZ,
    transport_api_version: 'V3',
    failure_mode_allow: asked['failOpen'],
    ...(asked['statusOnError'] === undefined ? {} : { status_on_error: { code: Number(asked['statusOnError']) } }),
    clear_route_cache: asked['clearRouteCache'],
    grpc_service: { envoy_grpc: { cluster_name: 'vecauthz' }, timeout: asked['timeout'] ?? '600s' },
    ...(body === undefined ? {} : { with_request_body: part }),
    ...(all ? {} : { filter_enabled_metadata: { path: 'rules that are not true of everything' } })
  }
}

function clusterOf(asked: Manifest, rule: Manifest | undefined, services: readonly Manifest[]): Manifest {
  const named = services.find(({ metadata: at }) => String(asked['service']).startsWith(`${at?.name}.${at?.namespace}.`))
  const sds = [{ name: 'default', sds_config: {} }]
  const names = (rule?.['tls']?.subjectAltNames ?? []).map((exact: string) => ({ san_type: 'URI', matcher: { exact } }))
  const context = {
    default_validation_context: { match_typed_subject_alt_names: names },
    validation_context_sds_secret_config: { name: 'ROOTCA', sds_config: {} }
  }
  const common = partly({
    tls_certificate_sds_secret_configs: sds,
    validation_context: undefined,
    validation_context_sds_secret_config: undefined,
    combined_validation_context: context,
    tls_params: { tls_minimum_protocol_version: 'TLSv1_2', tls_maximum_protocol_version: 'TLSv1_3' },
    alpn_protocols: ['h2']
  })
  const tls = { name: 'envoy.transport_sockets.tls', typed_config: partly({ '@type': UPSTREAM, common_tls_context: common }) }
  const age = rule?.['connectionPool']?.tcp?.maxConnectionDuration
  const options = partly({
    common_http_protocol_options: partly(age === undefined ? {} : { max_connection_duration: age }),
    explicit_http_config: { http2_protocol_options: {} }
  })
  const socket_address = { address: asked['service'], port_value: asked['port'] }
  return partly({
    name: 'vecauthz',
    type: named?.['spec']?.clusterIP === 'None' ? 'ORIGINAL_DST' : 'EDS',
    load_assignment: { endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address } } }] }] },
    ...(rule?.['tls']?.mode === 'DISABLE'
      ? { transport_socket: undefined }
      : rule?.['tls']?.mode === 'ISTIO_MUTUAL'
        ? { transport_socket: tls }
        : {}),
    typed_extension_protocol_options: { [HTTP_OPTIONS]: options },
    health_checks: undefined,
    common_lb_config: partly({ healthy_panic_threshold: {} }),
    http2_protocol_options: undefined,
    transport_socket_matches: undefined,
    transport_socket_matcher: undefined
  })
}

/** What a patch may be held to, where that is every way in of a sidecar, or every one with TLS. */
const IN_LISTENER: ReadonlySet<string> = new Set(['filterChain'])
const IN_CHAIN: ReadonlySet<string> = new Set(['filter', 'name', 'transportProtocol'])
const ROUTING = ['http_filters', 'route_config', 'rds', 'scoped_routes']

function isAboutAll({ listener, proxy }: Manifest): boolean {
  const chain: Manifest = listener?.filterChain ?? {}
  const only = (value: Manifest, keys: ReadonlySet<string>) => Object.keys(value).every((key) => keys.has(key))
  const named = chain['filter'] === undefined || chain['filter'].name === FILTER.name
  return proxy === undefined && only(listener ?? {}, IN_LISTENER) && only(chain, IN_CHAIN) && named
}

/** One patch of an EnvoyFilter. What is not understood leaves everything open. */
function patched(draft: Draft, patch: Manifest, asked: Manifest, missing: string[]): Draft {
  const { applyTo, match = {} } = patch
  const towards = applyTo === 'CLUSTER' ? 'SIDECAR_OUTBOUND' : 'SIDECAR_INBOUND'
  if (!['ANY', towards].includes(match.context ?? 'ANY')) return draft
  const found = isAboutAll(match) ? (applyTo === 'CLUSTER' ? clusterPatched : listenerPatched)(draft, patch, asked) : undefined
  if (found !== undefined) return found
  const sub = match.listener?.filterChain?.filter?.subFilter?.name
  missing.push(`a patch that is not read here: ${patch['patch']?.operation} of ${applyTo}${sub === undefined ? '' : ` at ${sub}`}`)
  return draft
}

/** Undefined: not read here. */
function listenerPatched(draft: Draft, { applyTo, match, patch }: Manifest): Draft | undefined {
  const { operation, value = {} }: Manifest = patch ?? {}
  const { filter, name, transportProtocol }: Manifest = match?.listener?.filterChain ?? {}
  const sub = filter?.subFilter?.name
  if (applyTo === 'FILTER_CHAIN' && operation === 'REMOVE' && name !== undefined)
    return { ...draft, chains: draft.chains?.filter((one) => one['name'] !== name) ?? [] }
  if (name !== undefined || (transportProtocol ?? 'tls') !== 'tls') return undefined
  if (applyTo === 'HTTP_FILTER') {
    if (operation === 'INSERT_FIRST') return { ...draft, filters: [value, ...draft.filters] }
    if (operation === 'INSERT_BEFORE' && sub === ROUTER_NAME) return { ...draft, after: [...draft.after, value] }
    if (operation === 'INSERT_BEFORE' && sub === AUTHZ_NAME) return { ...draft, filters: [...draft.filters, value] }
    if (operation === 'INSERT_AFTER' && sub === AUTHZ_NAME) return { ...draft, after: [value, ...draft.after] }
    if (operation === 'MERGE' && sub === AUTHZ_NAME && draft.authz !== undefined)
      return { ...draft, authz: mergedMessage(draft.authz, value['typed_config'] ?? {}) }
    if (operation === 'REMOVE' && sub === AUTHZ_NAME) return { ...draft, authz: undefined }
  }
  const settings: Manifest = value['typed_config'] ?? {}
  if (applyTo === 'NETWORK_FILTER' && operation === 'MERGE' && filter !== undefined && !ROUTING.some((key) => key in settings))
    return { ...draft, http: mergedMessage(draft.http, settings) }
  // Each is about one port, and which there are is not said here.
  if (applyTo === 'VIRTUAL_HOST' && operation === 'REPLACE') return { ...draft, hosts: [...(draft.hosts ?? []), value] }
  if (applyTo === 'FILTER_CHAIN' && operation === 'MERGE' && value['transport_socket'] === undefined)
    return { ...draft, chain: mergedMessage(draft.chain ?? {}, value) }
  if (applyTo === 'FILTER_CHAIN' && operation === 'MERGE')
    return { ...draft, tls: mergedMessage(draft.tls ?? {}, value['transport_socket']?.typed_config ?? {}) }
  return undefined
}

function clusterPatched(draft: Draft, { match, patch }: Manifest, asked: Manifest): Draft | undefined {
  const { operation, value = {} }: Manifest = patch ?? {}
  const { service, portNumber = asked['port'], ...others }: Manifest = match?.cluster ?? {}
  if (service !== undefined && (service !== asked['service'] || portNumber !== asked['port'])) return draft
  if (operation !== 'MERGE' || service === undefined || Object.keys(others).length > 0) return undefined
  // Of a patch with a transport socket nothing else is merged.
  const { transport_socket } = value
  return { ...draft, cluster: mergedMessage(draft.cluster, transport_socket === undefined ? value : { transport_socket }) }
}
