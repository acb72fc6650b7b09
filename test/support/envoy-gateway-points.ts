import { type Bootstrap, type Config, upstreamHttpOf } from '../../demo/envoy-config.ts'
import { BODY_BYTES_MAX, WRITE_BODY_BYTES_MAX } from '../../src/core/limits.ts'
import {
  BOTH,
  BUNDLES,
  chain,
  cluster,
  filter,
  HALF_SVID_S,
  hosts,
  http,
  idleUpstream,
  namesOf,
  only,
  type Points,
  SVID,
  same,
  seconds,
  TLS13,
  upstreamAge,
  upstreamIdentity,
  within
} from './envoy-points.ts'
import { KEPT, STRIPPED } from './stripped-headers.ts'

/** The safe-deployment list for the hop in front of the database. */

const HALF_SECOND_S = 0.5
const GATEWAY_FILTERS = [
  'envoy.filters.http.header_to_metadata',
  'envoy.filters.http.header_mutation',
  'envoy.filters.http.ext_authz',
  'envoy.filters.http.rbac',
  'envoy.filters.http.router'
]

const authz = (b: Bootstrap): Config => filter(b, 'ext_authz')
const downTls = (b: Bootstrap): Config => chain(b)['transport_socket'].typed_config

const WRITE_LANE = {
  with_request_body: { max_request_bytes: WRITE_BODY_BYTES_MAX, allow_partial_message: false, pack_as_bytes: true },
  grpc_service: {
    envoy_grpc: { cluster_name: 'vecauthz_writes' },
    timeout: '3s',
    retry_policy: {
      num_retries: 2,
      retry_on: 'connect-failure,refused-stream,unavailable',
      retry_back_off: { base_interval: '0.01s', max_interval: '3s' }
    }
  }
}
const PER_ROUTE = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute'
const ON_WRITE_LANE = { 'envoy.filters.http.ext_authz': { '@type': PER_ROUTE, check_settings: WRITE_LANE } }

const calls = (to: string, prefix: string): Config => ({ match: { prefix }, route: { cluster: to, timeout: '30s' } })
const writes = (to: string, match: Config): Config => ({
  match,
  route: { cluster: to, timeout: '60s' },
  typed_per_filter_config: ON_WRITE_LANE
})
const like = (regex: string): Config => ({ safe_regex: { regex } })

/** Every route, by database. */
const ROUTES: Readonly<Record<string, readonly Config[]>> = {
  chroma: [writes('chroma', like('/api/v2/.*/(add|upsert|update)')), calls('chroma', '/')],
  weaviate: [
    writes('weaviate_grpc', { path: '/weaviate.v1.Weaviate/BatchObjects' }),
    calls('weaviate_grpc', '/weaviate.v1.Weaviate/'),
    calls('weaviate_grpc', '/grpc.health.v1.Health/'),
    writes('weaviate', { path: '/v1/batch/objects' }),
    calls('weaviate', '/')
  ],
  milvus: [writes('milvus', like('/milvus.proto.milvus.MilvusService/(Insert|Upsert)')), calls('milvus', '/')],
  qdrant: [
    writes('qdrant_grpc', like('/qdrant.Points/(Upsert|UpdateVectors|UpdateBatch)')),
    calls('qdrant_grpc', '/qdrant.'),
    calls('qdrant_grpc', '/grpc.health.v1.Health/'),
    writes('qdrant', like('/collections/[^/]+/points/(batch|vectors)')),
    writes('qdrant', { ...like('/collections/[^/]+/points'), headers: [{ name: ':method', string_match: { exact: 'PUT' } }] }),
    calls('qdrant', '/')
  ]
}

const identity: Points = {
  'a client certificate is required': (b) => downTls(b)['require_client_certificate'] === true,
  'no session is resumed by ticket': (b) => downTls(b)['disable_stateless_session_resumption'] === true,
  'no session is resumed by id': (b) => downTls(b)['disable_stateful_session_resumption'] === true,
  'agents speak TLS 1.3': (b) => same(downTls(b)['common_tls_context'].tls_params, TLS13),
  'agents may choose h2 or HTTP/1.1': (b) => same(downTls(b)['common_tls_context'].alpn_protocols, ['h2', 'http/1.1']),
  'the SVID comes over SDS': (b) => same(downTls(b)['common_tls_context'].tls_certificate_sds_secret_configs, [SVID]),
  'bundles come over SDS': (b) => same(downTls(b)['common_tls_context'].validation_context_sds_secret_config, BUNDLES),
  'no plain authority beside the bundles': (b) => downTls(b)['common_tls_context'].validation_context === undefined,
  'a handshake has to end': (b) => seconds(chain(b)['transport_socket_connect_timeout']) <= 5,
  'a connection ends before half an SVID': (b) => seconds(http(b)['common_http_protocol_options'].max_connection_duration) < HALF_SVID_S,
  'a connection that has to end does so soon': (b) => seconds(http(b)['drain_timeout']) <= 5,
  'XFCC is written here': (b) => http(b)['forward_client_cert_details'] === 'SANITIZE_SET',
  'XFCC holds the chain, and no names': (b) => same(http(b)['set_current_client_cert_details'], { chain: true })
}

const reading: Points = {
  'paths are normalised': (b) => http(b)['normalize_path'] === true,
  'slashes are merged': (b) => http(b)['merge_slashes'] === true,
  'escaped slashes are refused': (b) => http(b)['path_with_escaped_slashes_action'] === 'REJECT_REQUEST',
  'underscores are refused': (b) => http(b)['common_http_protocol_options'].headers_with_underscores_action === 'REJECT_REQUEST',
  'targets in absolute form are refused': (b) => http(b)['http_protocol_options'].allow_absolute_url === false,
  'headers are at most 32 KiB': (b) => within(http(b)['max_request_headers_kb'], 32),
  'streams of a connection are counted': (b) => within(http(b)['http2_protocol_options'].max_concurrent_streams, 100),
  'a stream has a small window': (b) => within(http(b)['http2_protocol_options'].initial_stream_window_size, BODY_BYTES_MAX),
  'a connection has a small window': (b) => within(http(b)['http2_protocol_options'].initial_connection_window_size, BODY_BYTES_MAX),
  'the gateway answers to one name for each database': (b) =>
    same(
      hosts(b).map((host) => host['domains']),
      Object.keys(ROUTES).map(namesOf)
    )
}

const stripping: Points = {
  ...Object.fromEntries(STRIPPED.map((name) => [`${name} is stripped before the check`, (b: Bootstrap) => strips(b, name)])),
  ...Object.fromEntries(KEPT.map((name) => [`${name} is not stripped`, (b: Bootstrap) => !strips(b, name)])),
  'the expressions of the lists may be as long as they are': (b) => regexLimit(b) >= 200
}

const deciding: Points = {
  'these filters in this order, and no other': (b) =>
    same(
      http(b)['http_filters'].map((one: Config) => one['name']),
      GATEWAY_FILTERS
    ),
  'no filter is disabled or optional': (b) =>
    http(b)['http_filters'].every((one: Config) => same(Object.keys(one), ['name', 'typed_config'])),
  'permanent keys are noted by name': (b) => notesKeys(filter(b, 'header_to_metadata')),
  'the v3 protocol': (b) => authz(b)['transport_api_version'] === 'V3',
  'no answer is no': (b) => authz(b)['failure_mode_allow'] === false,
  'an outage is 503': (b) => same(authz(b)['status_on_error'], { code: 'ServiceUnavailable' }),
  'vecauthz is asked': (b) => authz(b)['grpc_service'].envoy_grpc.cluster_name === 'vecauthz',
  'an answer comes within half a second': (b) => seconds(authz(b)['grpc_service'].timeout) <= HALF_SECOND_S,
  'checks are repeated, with back-off': (b) => same(authz(b)['grpc_service'].retry_policy, RETRY),
  'a try may take as long as the whole check': (b) =>
    seconds(authz(b)['grpc_service'].retry_policy.retry_back_off.max_interval) >= seconds(authz(b)['grpc_service'].timeout),
  'bodies arrive whole, as bytes, up to the limit of vecauthz': (b) => same(authz(b)['with_request_body'], BODY),
  'the certificate of the peer comes along': (b) => authz(b)['include_peer_certificate'] === true,
  'the TLS session comes along': (b) => authz(b)['include_tls_session'] === true,
  'headers arrive one by one': (b) => authz(b)['encode_raw_headers'] === true,
  'notes on permanent keys come along': (b) => same(authz(b)['metadata_context_namespaces'], ['vecauthz.gateway']),
  'every header is shown': (b) => authz(b)['allowed_headers'] === undefined && authz(b)['disallowed_headers'] === undefined,
  'changes are validated': (b) => authz(b)['validate_mutations'] === true,
  'changes not listed are errors': (b) => strictRules(authz(b)['decoder_header_mutation_rules']),
  'bodies of denials are bounded': (b) => within(authz(b)['max_denied_response_body_bytes'], 4096),
  'headers of denials are bounded': (b) => authz(b)['enforce_response_header_limits'] === true,
  'an answer selects no route': (b) => authz(b)['clear_route_cache'] === false,
  'decisions are counted under a name of their own': (b) => authz(b)['stat_prefix'] === 'vecauthz',
  'the latency of decisions is logged': (b) => authz(b)['emit_filter_state_stats'] === true,
  'every request is checked': (b) => ['filter_enabled', 'filter_enabled_metadata', 'shadow_mode'].every((key) => !(key in authz(b))),
  ...Object.fromEntries(
    Object.entries(ROUTES).map(([database, routes]) => [
      `calls of ${database} go to its ports, batches by the write lane`,
      (b: Bootstrap) => same(hosts(b).find((host) => same(host['domains'], namesOf(database)))?.['routes'], routes)
    ])
  ),
  'routes choose a lane, and neither role nor whether to ask': (b) => hosts(b).every((host) => host['routes'].every(choosesLaneOnly)),
  'the log tells the decision': (b) => logged(b)['decision_id'] === '%DYNAMIC_METADATA(envoy.filters.http.ext_authz:decision_id)%',
  'the log tells who asked': (b) => logged(b)['peer'] === '%DOWNSTREAM_PEER_URI_SAN%',
  'the log tells when the certificate ends': (b) => logged(b)['peer_cert_end'] === '%DOWNSTREAM_PEER_CERT_V_END%',
  'the log holds no query': (b) => !/%PATH\(WQ|%REQ\(:PATH|ORIGINAL-PATH/.test(JSON.stringify(logged(b))),
  'no verdict, no database': (b) => same(filter(b, 'rbac')['rules'], GUARD)
}

const RETRY = {
  num_retries: 2,
  retry_on: 'connect-failure,refused-stream,unavailable',
  retry_back_off: { base_interval: '0.01s', max_interval: '0.5s' }
}
const BODY = { max_request_bytes: BODY_BYTES_MAX, allow_partial_message: false, pack_as_bytes: true }
const VERDICT = { filter: 'envoy.filters.http.ext_authz', path: [{ key: 'verdict' }], value: { string_match: { exact: 'allow' } } }
const DYNAMIC = { sourced_metadata: { metadata_source: 'DYNAMIC', metadata_matcher: VERDICT } }
const GUARD = { action: 'ALLOW', policies: { verdict_is_allow: { permissions: [{ any: true }], principals: [DYNAMIC] } } }

const OUTLIERS = {
  consecutive_gateway_failure: 3,
  enforcing_consecutive_gateway_failure: 100,
  interval: '1s',
  base_ejection_time: '5s',
  max_ejection_percent: 50
}
const FEW_IN_FLIGHT = { max_requests: 16, max_pending_requests: 16, max_retries: 4 }
const IN_FLIGHT = { max_requests: 4096, max_pending_requests: 1024, max_retries: 32 }

const asking: Points = {
  'every replica is an endpoint': (b) => b.static_resources.clusters.every((one) => one['type'] === 'STRICT_DNS'),
  'the least busy replica is asked': (b) => cluster(b, 'vecauthz')['lb_policy'] === 'LEAST_REQUEST',
  'no panic': (b) => cluster(b, 'vecauthz')['common_lb_config'].healthy_panic_threshold.value === 0,
  'the health of vecauthz is asked over gRPC': (b) => asksHealth(only(cluster(b, 'vecauthz')['health_checks'])),
  'a replica that fails is left out': (b) => same(cluster(b, 'vecauthz')['outlier_detection'], OUTLIERS),
  'checks in flight are bounded': (b) => same(cluster(b, 'vecauthz')['circuit_breakers'].thresholds, [IN_FLIGHT]),
  'vecauthz is spoken to over h2': (b) =>
    same(upstreamHttpOf(cluster(b, 'vecauthz'))['explicit_http_config'], { http2_protocol_options: {} }),
  'a connection to vecauthz ends before half an SVID': (b) => upstreamAge(b, 'vecauthz') < HALF_SVID_S,
  ...upstreamIdentity('vecauthz', 'spiffe://demo.vecauthz.test/vecauthz/gateway', ['h2']),
  'the write lane is reached as the other one, with fewer at once': (b) =>
    same(withoutPlace(cluster(b, 'vecauthz_writes')), {
      ...withoutPlace(cluster(b, 'vecauthz')),
      circuit_breakers: { thresholds: [FEW_IN_FLIGHT] }
    }),
  'a dead replica is noticed': (b) => seconds(cluster(b, 'vecauthz')['connect_timeout']) <= 0.25,
  ...reaching('chroma', { http_protocol_options: {} }),
  ...reaching('weaviate', { http_protocol_options: {} }),
  ...reaching('weaviate_grpc', { http2_protocol_options: {} }),
  ...reaching('milvus', { http2_protocol_options: {} }),
  ...reaching('qdrant', { http_protocol_options: {} }),
  ...reaching('qdrant_grpc', { http2_protocol_options: {} })
}

function reaching(name: string, protocol: Config): Points {
  return {
    [`a dead ${name} is noticed`]: (b) => seconds(cluster(b, name)['connect_timeout']) <= 1,
    [`idle connections to ${name} end`]: (b) => idleUpstream(b, name) <= 60,
    [`${name} is spoken to over the protocol of its port`]: (b) => same(upstreamHttpOf(cluster(b, name))['explicit_http_config'], protocol)
  }
}

export const GATEWAY_POINTS: Points = { ...BOTH, ...identity, ...reading, ...stripping, ...deciding, ...asking }

function choosesLaneOnly({ typed_per_filter_config: filters }: Config): boolean {
  return filters === undefined || same(filters, ON_WRITE_LANE)
}

function withoutPlace({ name: _name, load_assignment: _place, ...rest }: Config): Config {
  return rest
}

function strips(bootstrap: Bootstrap, name: string): boolean {
  const rules: Config[] = filter(bootstrap, 'header_mutation')['mutations'].request_mutations
  return rules.some(({ remove, remove_on_match: match }) => {
    const { prefix, safe_regex: expression } = match?.key_matcher ?? {}
    if (expression !== undefined) return new RegExp(`^(?:${expression.regex})$`).test(name)
    return prefix === undefined ? remove === name : name.startsWith(prefix)
  })
}

function regexLimit(bootstrap: Bootstrap): number {
  return only<Config>(bootstrap['layered_runtime'].layers)['static_layer']['re2.max_program_size.error_level']
}

function logged(bootstrap: Bootstrap): Config {
  return only<Config>(http(bootstrap)['access_log'])['typed_config'].log_format.json_format
}

function strictRules(rules: Config): boolean {
  return rules['disallow_all'] === true && rules['disallow_is_error'] === true && rules['allow_expression'].regex.startsWith('^(:path|')
}

function notesKeys(config: Config): boolean {
  const noted = config['request_rules'].map(({ header, on_header_present: { metadata_namespace, key, value } }: Config) => {
    return metadata_namespace === 'vecauthz.gateway' && key === header && value === 'sent' ? header : undefined
  })
  return same(noted, ['x-chroma-token', 'x-api-key', 'api-key'])
}

function asksHealth(check: Config): boolean {
  const often = seconds(check['interval']) <= 2 && seconds(check['no_traffic_interval']) <= 2 && seconds(check['timeout']) <= 1
  const decided = check['unhealthy_threshold'] <= 2 && check['healthy_threshold'] === 1 && seconds(check['unhealthy_interval']) <= 1
  return often && decided && check['grpc_health_check'].service_name === 'envoy.service.auth.v3.Authorization'
}
