/** Envoy Gateway: SecurityPolicy, ClientTrafficPolicy and BackendTLSPolicy, and the patches that say the rest. */
import type { ReadDocument } from './document.ts'
import { isAbout, passesOn, patchesFor, policyFor, type Target, unaskedRoutes } from './gateway-targets.ts'
import { AUTHZ, type Draft, documentOf, type Manifest, mergedMessage, partly, ROUTER_NAME } from './manifests.ts'

const NOTE =
  'Gateway manifests: what Envoy Gateway makes of them is in the /config_dump of its Envoy, and a patch that finds no place is left out.'
/** Kinds that add listeners, or change what Envoy Gateway writes, whatever the policies say. */
const LEFT_OUT = ['ListenerSet', 'XListenerSet', 'EnvoyExtensionPolicy', 'HTTPRouteFilter', 'TCPRoute', 'TLSRoute', 'UDPRoute']
const EARLY = 'type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation'
const UPSTREAM = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'
const SLASHES: Readonly<Record<string, string>> = {
  KeepUnchanged: 'KEEP_UNCHANGED',
  RejectRequest: 'REJECT_REQUEST',
  UnescapeAndForward: 'UNESCAPE_AND_FORWARD',
  UnescapeAndRedirect: 'UNESCAPE_AND_REDIRECT'
}
const UNDERSCORES: Readonly<Record<string, string>> = { Allow: 'ALLOW', RejectRequest: 'REJECT_REQUEST', DropHeader: 'DROP_HEADER' }
const XFCC: Readonly<Record<string, string>> = {
  Sanitize: 'SANITIZE',
  ForwardOnly: 'FORWARD_ONLY',
  AppendForward: 'APPEND_FORWARD',
  SanitizeSet: 'SANITIZE_SET',
  AlwaysForwardOnly: 'ALWAYS_FORWARD_ONLY'
}

export function readGatewayApi(all: readonly Manifest[]): ReadDocument | undefined {
  const ofKind = (kind: string) => all.filter((one) => one['kind'] === kind)
  const gateways = ofKind('Gateway').filter((one) => String(one['apiVersion']).startsWith('gateway.networking.k8s.io'))
  const securing = ofKind('SecurityPolicy')
  if (gateways.length === 0 && securing.length === 0) return undefined
  const missing: string[] = []
  const named: readonly Manifest[] =
    gateways.length > 0
      ? gateways
      : securing.flatMap((one) =>
          (one['spec']?.targetRefs ?? []).map((ref: Manifest) => ({
            metadata: { name: ref['name'], namespace: one['metadata']?.namespace }
          }))
        )
  const routes = securing.filter((one) => one['spec']?.extAuth !== undefined && !hasKind(one, 'Gateway'))
  if (routes.length > 0) missing.push('a SecurityPolicy is about a route, and wins over that of the Gateway there')
  for (const { spec } of ofKind('EnvoyProxy'))
    if (spec?.filterOrder !== undefined || spec?.bootstrap !== undefined || spec?.mergeGateways === true)
      missing.push('an EnvoyProxy orders filters, changes the bootstrap or merges Gateways')
  for (const kind of LEFT_OUT.filter((one) => ofKind(one).length > 0)) missing.push(`${kind}: what it adds is not read here`)
  const targets = named.flatMap(targetsOf)
  const drafts = targets
    .filter(({ listener }) => listener === undefined || !passesOn(listener))
    .map((target) => draftOf(target, ofKind, missing))
  // Each with a filter of its own, switched on for its routes alone.
  const unasked = unaskedRoutes(securing).map((name): Draft => ({ ...(drafts[0] as Draft), name, authz: undefined }))
  const others = targets.flatMap(({ listener }) => (listener !== undefined && passesOn(listener) ? [passing(listener)] : []))
  return documentOf(drafts.length === 0 ? [] : [...drafts, ...unasked], missing, NOTE, others)
}

function hasKind(one: Manifest, kind: string): boolean {
  const refs: readonly Manifest[] = one['spec']?.targetRefs ?? [one['spec']?.targetRef ?? {}]
  return refs.some((ref) => ref['kind'] === kind)
}

function targetsOf(gateway: Manifest): readonly Target[] {
  const listeners: readonly Manifest[] | undefined = gateway['spec']?.listeners
  return listeners === undefined ? [{ gateway, listener: undefined }] : listeners.map((listener) => ({ gateway, listener }))
}

function passing({ name }: Manifest): Manifest {
  const typed_config = { '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy' }
  const chain = { name, filters: [{ name: 'envoy.filters.network.tcp_proxy', typed_config }] }
  return partly({ name, traffic_direction: undefined, filter_chains: [chain], default_filter_chain: undefined })
}

function draftOf(target: Target, ofKind: (kind: string) => readonly Manifest[], missing: string[]): Draft {
  const { gateway, listener } = target
  const { name, namespace } = gateway['metadata'] ?? {}
  const traffic: Manifest = policyFor(ofKind('ClientTrafficPolicy'), target, missing)?.['spec'] ?? {}
  const extAuth: Manifest | undefined = policyFor(ofKind('SecurityPolicy'), target, missing)?.['spec']?.extAuth
  if (traffic['http3'] !== undefined) missing.push('a listener for HTTP/3 stands beside it, and is not read here')
  if ((extAuth?.['grpc']?.backendRefs ?? []).length > 1) missing.push('more than one backend is asked: only the first is read here')
  const plain = listener?.['protocol'] === 'HTTP'
  let draft: Draft = {
    name: `${namespace ?? ''}/${name}${listener === undefined ? '' : `/${listener['name']}`}`,
    tls: plain ? undefined : tlsOf(traffic),
    http: httpOf(traffic),
    filters: [],
    authz: extAuth === undefined ? undefined : authzOf(extAuth),
    after: [],
    action: actionOf(name, ofKind, missing),
    domains: listener === undefined ? undefined : [listener['hostname'] ?? '*'],
    cluster: clusterOf(extAuth, ofKind('BackendTLSPolicy'), namespace)
  }
  // Those of plain listeners have their place elsewhere: in the filter chain by default.
  const patches = plain ? [] : patchesFor(ofKind('EnvoyPatchPolicy'), target)
  for (const patch of patches) draft = patched(draft, patch, missing)
  return draft
}

/** What routes of this Gateway do to a request, and whether it is repeated. */
function actionOf(name: string, ofKind: (kind: string) => readonly Manifest[], missing: string[]): Manifest {
  const routes = [...ofKind('HTTPRoute'), ...ofKind('GRPCRoute')].filter((one) =>
    one['spec']?.parentRefs?.some((ref: Manifest) => ref['name'] === name)
  )
  const rules: readonly Manifest[] = routes.flatMap((one) => one['spec']?.rules ?? [])
  const done = new Set(
    rules
      .flatMap((one) => [...(one['filters'] ?? []), ...(one['backendRefs'] ?? []).flatMap((ref: Manifest) => ref['filters'] ?? [])])
      .map((one: Manifest) => one['type'])
  )
  const repeated =
    ofKind('BackendTrafficPolicy').some((one) => one['spec']?.retry !== undefined) || rules.some((one) => one['retry'] !== undefined)
  if (done.has('ExtensionRef')) missing.push('a route has a filter of its own (ExtensionRef), which is not read here')
  return {
    ...(done.has('URLRewrite') ? { path_rewrite: {} } : {}),
    ...(done.has('RequestHeaderModifier') ? { request_headers_to_add: [{}] } : {}),
    ...(done.has('RequestMirror') ? { request_mirror_policies: [{}] } : {}),
    ...(repeated ? { retry_policy: {} } : {})
  }
}

function tlsOf({ tls }: Manifest): Manifest {
  const validation = tls?.clientValidation
  const required =
    validation !== undefined && validation.optional !== true && (validation.mode ?? 'RequireAndVerify') === 'RequireAndVerify'
  const uris = (validation?.subjectAltNames?.uris ?? []).map(({ type, value }: Manifest) => ({
    san_type: 'URI',
    matcher: { [String(type ?? 'Exact').toLowerCase()]: value }
  }))
  const trusted = {
    trusted_ca: {},
    match_typed_subject_alt_names: uris,
    custom_validator_config: undefined,
    trust_chain_verification: undefined
  }
  const common = partly({
    tls_params: { tls_minimum_protocol_version: tls?.minVersion === '1.3' ? 'TLSv1_3' : 'TLSv1_2' },
    validation_context: validation === undefined ? undefined : trusted,
    combined_validation_context: undefined,
    validation_context_sds_secret_config: undefined
  })
  // Neither is resumed unless `session` says so.
  const session = tls?.session?.resumption
  return {
    require_client_certificate: required,
    disable_stateless_session_resumption: session?.stateless === undefined,
    disable_stateful_session_resumption: session?.stateful === undefined,
    common_tls_context: common
  }
}

function httpOf({ path, headers, timeout, connection, http2 }: Manifest): Manifest {
  const early = headers?.earlyRequestHeaders
  const rules = [
    ...(early?.remove ?? []).map((name: string) => ({ remove: name })),
    ...(early?.removeOnMatch ?? []).map(({ type, value }: Manifest) => ({
      remove_on_match: { key_matcher: { [String(type ?? 'Exact').toLowerCase()]: value } }
    }))
  ]
  const age = connection?.connectionLimit?.maxConnectionDuration
  const http = timeout?.http
  return {
    normalize_path: true,
    merge_slashes: path?.disableMergeSlashes !== true,
    path_with_escaped_slashes_action: SLASHES[path?.escapedSlashesAction ?? 'UnescapeAndRedirect'] ?? 'KEEP_UNCHANGED',
    forward_client_cert_details: XFCC[headers?.xForwardedClientCert?.mode ?? 'Sanitize'] ?? 'APPEND_FORWARD',
    set_current_client_cert_details: { chain: (headers?.xForwardedClientCert?.certDetailsToAdd ?? []).includes('Chain') },
    early_header_mutation_extensions:
      rules.length === 0 ? undefined : [{ name: 'early', typed_config: { '@type': EARLY, mutations: rules } }],
    common_http_protocol_options: partly({
      headers_with_underscores_action: UNDERSCORES[headers?.withUnderscoresAction ?? 'RejectRequest'] ?? 'ALLOW',
      ...(age === undefined ? { max_connection_duration: undefined } : { max_connection_duration: inSeconds(age) })
    }),
    request_timeout: inSeconds(http?.requestReceivedTimeout),
    request_headers_timeout: inSeconds(http?.requestHeadersReceivedTimeout),
    ...(http?.streamIdleTimeout === undefined ? {} : { stream_idle_timeout: inSeconds(http.streamIdleTimeout) }),
    http2_protocol_options: partly({ max_concurrent_streams: http2?.maxConcurrentStreams ?? 100 }),
    // On every route, whatever the manifests say.
    upgrade_configs: [{ upgrade_type: 'websocket' }]
  }
}

function authzOf(extAuth: Manifest): Manifest {
  const body = extAuth['bodyToExtAuth']
  const retry = extAuth['grpc']?.backendSettings?.retry
  const backOff = retry?.perRetry?.backOff
  const policy = {
    num_retries: retry?.numRetries,
    retry_on: (retry?.retryOn?.triggers ?? []).join(','),
    ...(backOff === undefined
      ? {}
      : { retry_back_off: { base_interval: inSeconds(backOff.baseInterval), max_interval: inSeconds(backOff.maxInterval) } })
  }
  const service = {
    envoy_grpc: { cluster_name: 'vecauthz' },
    timeout: inSeconds(extAuth['timeout'] ?? '10s'),
    ...(retry === undefined ? {} : { retry_policy: policy })
  }
  return {
    '@type': AUTHZ,
    transport_api_version: 'V3',
    failure_mode_allow: extAuth['failOpen'],
    ...(extAuth['statusOnError'] === undefined ? {} : { status_on_error: { code: Number(extAuth['statusOnError']) } }),
    clear_route_cache: extAuth['recomputeRoute'],
    ...(extAuth['grpc'] === undefined ? { http_service: {} } : { grpc_service: service }),
    ...(body === undefined ? {} : { with_request_body: { max_request_bytes: body.maxRequestBytes } }),
    ...(extAuth['headersToExtAuth'] === undefined ? {} : { allowed_headers: {} })
  }
}

function clusterOf(extAuth: Manifest | undefined, tlsPolicies: readonly Manifest[], namespace: unknown): Manifest {
  const backend = extAuth?.['grpc']?.backendRefs?.[0] ?? extAuth?.['grpc']?.backendRef ?? {}
  const settings = extAuth?.['grpc']?.backendSettings ?? {}
  const tls = tlsPolicies.find((one) => isAbout(one, 'Service', backend.name, backend.namespace ?? namespace))?.['spec']?.validation
  const names = (tls?.subjectAltNames ?? []).map(({ uri, hostname }: Manifest) => ({
    san_type: uri === undefined ? 'DNS' : 'URI',
    matcher: { exact: uri ?? hostname }
  }))
  const validation_context = { trusted_ca: {}, match_typed_subject_alt_names: names }
  const common = partly({ validation_context, combined_validation_context: undefined, validation_context_sds_secret_config: undefined })
  const socket = { name: 'envoy.transport_sockets.tls', typed_config: partly({ '@type': UPSTREAM, common_tls_context: common }) }
  const socket_address = { address: `${backend.name}.${backend.namespace}`, port_value: backend.port }
  const health = settings.healthCheck
  return partly({
    name: 'vecauthz',
    type: 'EDS',
    load_assignment: { endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address } } }] }] },
    ...(tls === undefined ? { transport_socket: undefined } : { transport_socket: socket }),
    health_checks: health?.active?.type === 'GRPC' ? [{ grpc_health_check: {} }] : [],
    common_lb_config: { ...(health?.panicThreshold === undefined ? {} : { healthy_panic_threshold: { value: health.panicThreshold } }) },
    typed_extension_protocol_options: { [HTTP_OPTIONS]: partly({ explicit_http_config: { http2_protocol_options: {} } }) },
    http2_protocol_options: undefined,
    transport_socket_matches: undefined,
    transport_socket_matcher: undefined
  })
}

/** Of every filter chain. A path that is written in another way, or about one of them, is not read. */
const HCM_PATH = "$.filter_chains[*].filters[?(@.name=='envoy.filters.network.http_connection_manager')].typed_config"
const TO_AUTHZ = /^\.http_filters\[\?\(@\.name=~'\^?envoy\\*\.filters\\*\.http\\*\.ext_authz(\.\*)?'\)\]\.typed_config$/
const TO_ROUTER = `.http_filters[?(@.name=='${ROUTER_NAME}')]`
/** Made for gRPC routes, and put after the check. */
const GRPC_WEB = ".http_filters[?(@.name=='envoy.filters.http.grpc_web')]"
/** Under which name the servers are asked how they are: nothing is judged by it. */
const HEALTH_NAME = '/health_checks/0/grpc_health_check/authority'

/** What changes nothing that is looked at here. */
function isHarmless({ type, operation }: Manifest): boolean {
  const { op, jsonPath = '', path = '' } = operation ?? {}
  if (op === 'remove') return jsonPath === HCM_PATH + GRPC_WEB && path === ''
  return op === 'add' && String(type).endsWith('.cluster.v3.Cluster') && jsonPath === '' && path === HEALTH_NAME
}

const ROUTING: ReadonlySet<string> = new Set(['', 'http_filters', 'route_config', 'rds', 'scoped_routes'])

/** One operation of an EnvoyPatchPolicy. What is not understood leaves everything open. */
function patched(draft: Draft, patch: Manifest, missing: string[]): Draft {
  if (isHarmless(patch)) return draft
  const { operation } = patch
  const { op, jsonPath = '', path = '', value } = operation ?? {}
  const keys = String(path)
    .split('/')
    .filter((key) => key !== '')
  const nested = () => keys.reduceRight((inner: unknown, key) => ({ [key]: inner }), value) as Manifest
  const within = jsonPath.startsWith(HCM_PATH) ? jsonPath.slice(HCM_PATH.length) : undefined
  if (within !== undefined && (op === 'add' || op === 'replace')) {
    if (TO_AUTHZ.test(within) && draft.authz !== undefined) return { ...draft, authz: mergedMessage(draft.authz, nested()) }
    if (within === TO_ROUTER && path === '') return { ...draft, after: [...draft.after, value] }
    if (within === '' && path === '/http_filters/0') return { ...draft, filters: [value, ...draft.filters] }
    if (within === '' && !ROUTING.has(keys[0] ?? '')) return { ...draft, http: mergedMessage(draft.http, nested()) }
  }
  missing.push(`a patch that is not read here: ${op} ${jsonPath} ${path}`)
  return draft
}

/** `500ms`, `10s`, `5m` as Envoy writes them. */
function inSeconds(duration: unknown): string | undefined {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(String(duration)) ?? []
  const factor = { ms: 0.001, s: 1, m: 60, h: 3600 }[unit ?? ''] ?? 0
  return duration === undefined ? undefined : number === undefined ? String(duration) : `${Number(number) * factor}s`
}
