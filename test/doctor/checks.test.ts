import { describe, expect, it } from 'vitest'
import { CHECKS } from '../../src/doctor/checks.ts'
import { judge, type Report } from '../../src/doctor/judge.ts'
import type { Server } from '../../src/doctor/look.ts'
import { applyFix, documentOf, type Loose, partsOf, SHIPPED, type ShippedFile, shippedValue } from '../support/shipped-envoy.ts'

/** Each line of the list: a shipped file with one thing wrong fails exactly that line, and passes again after the fix that is printed. */

interface Row {
  readonly name: string
  readonly check: string
  /** gateway.yaml unless told. */
  readonly file?: ShippedFile
  readonly change: (parts: ReturnType<typeof partsOf>) => unknown
  readonly settings?: (settings: Loose, index: number) => unknown
  /** Nothing in this file can be changed to make it right. */
  readonly unfixable?: true
}

const PER_ROUTE = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute'
const AUTHZ = 'envoy.filters.http.ext_authz'
const STRIP = 'envoy.filters.http.header_mutation'
const STRIP_TYPE = 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation'
const perRoute = (config: object) => ({ typed_per_filter_config: { [AUTHZ]: { '@type': PER_ROUTE, ...config } } })
const filterOf = (type: string) => ({ name: type, typed_config: { '@type': `type.googleapis.com/envoy.extensions.filters.http.${type}` } })
const WRAPPED_OFF = { '@type': 'type.googleapis.com/envoy.config.route.v3.FilterConfig', disabled: true }
const last = (host: Loose): Loose => host['routes'].at(-1)
const insertBefore = (http: Loose, name: string, one: object) =>
  http['http_filters'].splice(
    http['http_filters'].findIndex((filter: Loose) => filter['name'] === `envoy.filters.http.${name}`),
    0,
    one
  )
const optionsOf = (cluster: Loose): Loose =>
  cluster['typed_extension_protocol_options']['envoy.extensions.upstreams.http.v3.HttpProtocolOptions']
const validationOf = (upstream: (name: string) => Loose): Loose =>
  upstream('vecauthz')['common_tls_context'].combined_validation_context.default_validation_context
const bundleless = (context: Loose) => {
  delete context['validation_context_sds_secret_config']
}
const mutations = (filter: (name: string) => Loose): Loose[] => filter('header_mutation')['mutations'].request_mutations
const dropRule = (filter: (name: string) => Loose, text: string) => {
  const rules = mutations(filter)
  const index = rules.findIndex((one) => JSON.stringify(one).includes(text))
  expect(index).toBeGreaterThan(-1)
  rules.splice(index, 1)
}

const patient = (authz: () => Loose, limit: string) => {
  const service = authz()['grpc_service']
  service.timeout = limit
  service.retry_policy.retry_back_off.max_interval = limit
}
const takesItsTime = (settings: Loose, index: number) => {
  if (index === 0) settings['deadline_ms'] = 2_000
}

const ROWS: readonly Row[] = [
  {
    name: 'connections without a certificate',
    check: 'client-certificate',
    change: ({ tls }) => delete tls()['require_client_certificate']
  },
  { name: 'a certificate that nobody checks', check: 'certificate-checked', change: ({ tls }) => bundleless(tls()['common_tls_context']) },
  {
    name: 'authorities in a secret of the file itself, which may say anything',
    check: 'certificate-checked',
    change: ({ tls }) => {
      tls()['common_tls_context'].validation_context_sds_secret_config = { name: 'ALL' }
    }
  },
  {
    name: 'names signed by strangers',
    check: 'untrusted-refused',
    change: ({ tls }) => {
      const context = tls()['common_tls_context']
      const sds = context.validation_context_sds_secret_config
      bundleless(context)
      const around = {
        default_validation_context: { trust_chain_verification: 'ACCEPT_UNTRUSTED' },
        validation_context_sds_secret_config: sds
      }
      context.combined_validation_context = around
    }
  },
  {
    name: 'certificates that have ended',
    check: 'untrusted-refused',
    change: ({ tls }) => {
      const context = tls()['common_tls_context']
      const sds = context.validation_context_sds_secret_config
      bundleless(context)
      context.combined_validation_context = {
        default_validation_context: { allow_expired_certificate: true },
        validation_context_sds_secret_config: sds
      }
    }
  },
  {
    name: 'one file of authorities for two trust domains',
    check: 'domains-pinned',
    change: ({ tls }) => {
      const context = tls()['common_tls_context']
      bundleless(context)
      const names = ['spiffe://a.test/', 'spiffe://b.test/'].map((prefix) => ({ san_type: 'URI', matcher: { prefix } }))
      context.validation_context = { trusted_ca: { filename: 'merged.pem' }, match_typed_subject_alt_names: names }
    }
  },
  {
    name: 'one file of authorities, and any name',
    check: 'domains-pinned',
    change: ({ tls }) => {
      bundleless(tls()['common_tls_context'])
      tls()['common_tls_context'].validation_context = { trusted_ca: { filename: 'ca.pem' } }
    }
  },
  {
    name: 'a list of names, and no authority that vouches for them',
    check: 'certificate-checked',
    change: ({ tls }) => {
      bundleless(tls()['common_tls_context'])
      const names = [{ san_type: 'URI', matcher: { prefix: 'spiffe://a.test/' } }]
      tls()['common_tls_context'].validation_context = { match_typed_subject_alt_names: names }
    }
  },
  {
    name: "Envoy's certificate in a file",
    check: 'own-svid-by-sds',
    change: ({ tls }) => {
      const context = tls()['common_tls_context']
      delete context.tls_certificate_sds_secret_configs
      context.tls_certificates = [{ certificate_chain: { filename: 'cert.pem' }, private_key: { filename: 'key.pem' } }]
    }
  },
  { name: 'sessions resumed by ticket', check: 'no-resumption', change: ({ tls }) => delete tls()['disable_stateless_session_resumption'] },
  { name: 'sessions resumed by id', check: 'no-resumption', change: ({ tls }) => delete tls()['disable_stateful_session_resumption'] },
  {
    name: 'TLS 1.2 from clients',
    check: 'tls-1.3',
    change: ({ tls }) => {
      tls()['common_tls_context'].tls_params.tls_minimum_protocol_version = 'TLSv1_2'
    }
  },
  {
    name: 'connections without a longest age',
    check: 'connection-age',
    change: ({ http }) => delete http['common_http_protocol_options'].max_connection_duration
  },
  {
    name: 'connections as old as half of an SVID',
    check: 'connection-age',
    change: ({ http }) => {
      http['common_http_protocol_options'].max_connection_duration = '1800s'
    }
  },
  {
    name: "a client's own certificate header in front",
    check: 'xfcc-sanitized',
    change: ({ http }) => {
      http['forward_client_cert_details'] = 'APPEND_FORWARD'
    }
  },
  { name: 'no certificate header at all', check: 'xfcc-sanitized', change: ({ http }) => delete http['forward_client_cert_details'] },
  { name: 'a certificate header without chain', check: 'xfcc-chain', change: ({ http }) => delete http['set_current_client_cert_details'] },
  {
    name: 'an egress that the whole host reaches',
    check: 'way-in-private',
    file: 'egress.yaml',
    change: ({ listener }) => {
      listener['address'].socket_address.address = '0.0.0.0'
    }
  },
  {
    name: 'an egress that the whole host reaches by another address',
    check: 'way-in-private',
    file: 'egress.yaml',
    change: ({ listener }) => {
      const address = (one: string) => ({ address: { socket_address: { address: one, port_value: 8201 } } })
      listener['additional_addresses'] = [address('127.0.0.1'), address('0.0.0.0')]
    }
  },
  {
    name: 'two lanes with two lifetimes',
    check: 'svid-lifetime-known',
    change: () => undefined,
    settings: (settings, index) => {
      settings['svid_ttl_seconds'] = index === 0 ? 3600 : 7200
    },
    unfixable: true
  },
  { name: '`..` that is not folded', check: 'path-normalised', change: ({ http }) => delete http['normalize_path'] },
  { name: '`//` that is not folded', check: 'path-normalised', change: ({ http }) => delete http['merge_slashes'] },
  {
    name: '`%2F` that is unescaped',
    check: 'escaped-slashes',
    change: ({ http }) => {
      http['path_with_escaped_slashes_action'] = 'UNESCAPE_AND_FORWARD'
    }
  },
  {
    name: '`x_tenant_id`',
    check: 'underscores',
    change: ({ http }) => delete http['common_http_protocol_options'].headers_with_underscores_action
  },
  { name: 'targets in absolute form', check: 'absolute-form', change: ({ http }) => delete http['http_protocol_options'] },
  { name: 'a body that never ends', check: 'requests-end', change: ({ http }) => delete http['request_timeout'] },
  { name: 'headers that never end', check: 'requests-end', change: ({ http }) => delete http['request_headers_timeout'] },
  {
    name: 'a stream that is silent for ever',
    check: 'requests-end',
    change: ({ http }) => {
      http['stream_idle_timeout'] = '0s'
    }
  },
  {
    name: 'an answer that is held for ever where nobody reads it',
    check: 'requests-end',
    change: ({ http }) => {
      http['stream_flush_timeout'] = '0s'
    }
  },
  {
    name: 'the same on one route',
    check: 'requests-end',
    change: ({ host }) => {
      last(host)['route'].flush_timeout = '3600s'
    }
  },
  {
    name: 'a route whose answers never end, and may be silent for ever',
    check: 'requests-end',
    change: ({ host }) => Object.assign(last(host)['route'], { timeout: '0s', idle_timeout: '0s' })
  },
  {
    name: 'a handshake that never ends',
    check: 'requests-end',
    change: ({ chain }) => delete chain['transport_socket_connect_timeout']
  },
  {
    name: 'a thousand headers',
    check: 'headers-bounded',
    change: ({ http }) => {
      http['common_http_protocol_options'].max_headers_count = 1000
    }
  },
  {
    name: 'a megabyte of headers',
    check: 'headers-bounded',
    change: ({ http }) => {
      http['max_request_headers_kb'] = 1024
    }
  },
  {
    name: 'streams without number',
    check: 'streams-bounded',
    change: ({ http }) => delete http['http2_protocol_options'].max_concurrent_streams
  },
  {
    name: 'websockets on every route',
    check: 'no-upgrades',
    change: ({ http }) => {
      http['upgrade_configs'] = [{ upgrade_type: 'websocket' }]
    }
  },
  {
    name: 'websockets on one route',
    check: 'no-upgrades',
    change: ({ host }) => {
      last(host)['route'].upgrade_configs = [{ upgrade_type: 'websocket', enabled: true }]
    }
  },
  { name: 'any host', check: 'hosts-listed', change: ({ host }) => host['domains'].push('*') },
  { name: 'any host below a domain', check: 'hosts-listed', change: ({ host }) => host['domains'].push('*.example.org') },
  {
    name: 'a header that names the cluster',
    check: 'destination-fixed',
    change: ({ host }) => {
      host['routes'].unshift({ match: { prefix: '/x' }, route: { cluster_header: 'x-to' } })
    }
  },
  {
    name: 'a header that names the endpoint',
    check: 'destination-fixed',
    change: ({ cluster }) => {
      cluster('chroma')['original_dst_lb_config'] = { use_http_header: true }
    }
  },
  {
    name: 'a header that names the host, and so the cluster, in the place of the one that is judged',
    check: 'destination-fixed',
    change: ({ http }) => {
      http['route_config'].vhost_header = 'x-host'
    }
  },
  {
    name: 'a header that names one of several clusters',
    check: 'destination-fixed',
    change: ({ host }) => {
      last(host)['route'] = {
        weighted_clusters: {
          clusters: [
            { name: 'chroma', weight: 1 },
            { cluster_header: 'x-to', weight: 0 }
          ]
        }
      }
    }
  },
  {
    name: 'a header that picks among weighted clusters',
    check: 'destination-fixed',
    change: ({ host }) => {
      last(host)['route'] = { weighted_clusters: { clusters: [{ name: 'chroma', weight: 1 }], header_name: 'x-lot' } }
    }
  },
  {
    name: 'an endpoint that is what a filter noted',
    check: 'destination-fixed',
    change: ({ cluster }) => {
      cluster('chroma')['original_dst_lb_config'] = { metadata_key: { key: 'notes', path: [{ key: 'to' }] } }
    }
  },
  {
    name: 'a route that puts the tenant header back',
    check: 'strip-tenant',
    change: ({ host }) => {
      const append = { header: { key: 'X-Tenant-Id', value: '%REQ(x-t)%' } }
      last(host)['typed_per_filter_config'] = {
        [STRIP]: { '@type': `${STRIP_TYPE}PerRoute`, mutations: { request_mutations: [{ append }] } }
      }
    }
  },
  {
    name: 'a filter that makes the endpoint what a header says',
    check: 'destination-fixed',
    change: ({ http }) => {
      const format_string = { text_format_source: { inline_string: '%REQ(x-to)%' } }
      const typed = filterOf('set_filter_state.v3.Config')
      Object.assign(typed.typed_config, {
        on_request_headers: [{ object_key: 'envoy.network.transport_socket.original_dst_address', format_string }]
      })
      http['http_filters'].unshift(typed)
    }
  },
  { name: "a client's tenant header", check: 'strip-tenant', change: ({ filter }) => dropRule(filter, '"x-tenant"') },
  {
    name: 'a header of the client that a filter makes the tenant',
    check: 'strip-tenant',
    change: ({ filter }) => mutations(filter).push({ append: { header: { key: 'X-Tenant-Id', value: '%REQ(x-other)%' } } })
  },
  { name: "a client's decision headers", check: 'strip-decision', change: ({ filter }) => dropRule(filter, 'x-vecauthz') },
  {
    name: "an agent's own policy token at egress",
    check: 'strip-decision',
    file: 'egress.yaml',
    change: ({ filter }) => {
      dropRule(filter, 'x-vecauthz')
      for (const name of ['tenant', 'caller', 'decision']) mutations(filter).push({ remove: `x-vecauthz-${name}` })
    }
  },
  { name: "a client's x-envoy- headers", check: 'strip-envoy', change: ({ filter }) => dropRule(filter, 'x-envoy-') },
  { name: 'a client that claims another path', check: 'strip-overrides', change: ({ filter }) => dropRule(filter, 'x-original-') },
  {
    name: 'a client that claims another method',
    check: 'strip-overrides',
    change: ({ filter }) => dropRule(filter, 'x-http-method-override')
  },
  { name: 'a client that claims another host', check: 'strip-forwarded', change: ({ filter }) => dropRule(filter, 'x-forwarded-') },
  {
    name: 'a client that claims another address',
    check: 'strip-forwarded',
    change: ({ filter }) => {
      dropRule(filter, 'x-forwarded-')
      for (const name of ['host', 'port', 'path', 'prefix', 'server']) mutations(filter).push({ remove: `x-forwarded-${name}` })
    }
  },
  { name: "a client's proxies", check: 'strip-credentials', change: ({ filter }) => dropRule(filter, 'x-proxy-') },
  { name: "a client's API key", check: 'strip-credentials', change: ({ filter }) => dropRule(filter, '"api-key"') },
  {
    name: 'no filter that asks',
    check: 'every-way-asks',
    change: ({ http }) => {
      http['http_filters'] = http['http_filters'].filter((one: Loose) => one['name'] !== AUTHZ)
    }
  },
  {
    name: 'the filter that asks is disabled',
    check: 'every-way-asks',
    change: ({ http }) => {
      http['http_filters'].find((one: Loose) => one['name'] === AUTHZ).disabled = true
    }
  },
  {
    name: 'a second listener that forwards TCP',
    check: 'every-way-asks',
    change: ({ value }) => {
      const proxy = { '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', cluster: 'chroma' }
      const filters = [{ name: 'envoy.filters.network.tcp_proxy', typed_config: proxy }]
      value['static_resources'].listeners.push({ name: 'side', filter_chains: [{ filters }] })
    }
  },
  {
    name: 'a filter chain that forwards TCP beside the one that asks',
    check: 'every-way-asks',
    change: ({ listener }) => {
      const proxy = { '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy', cluster: 'chroma' }
      listener['default_filter_chain'] = { filters: [{ name: 'envoy.filters.network.tcp_proxy', typed_config: proxy }] }
    }
  },
  {
    name: 'a second listener with neither question nor guard',
    check: 'every-way-asks',
    change: ({ value, chain }) => {
      const copy: Loose = structuredClone(chain)
      const http: Loose = copy['filters'][0].typed_config
      http['http_filters'] = http['http_filters'].filter((one: Loose) => ![AUTHZ, 'envoy.filters.http.rbac'].includes(one['name']))
      value['static_resources'].listeners.push({ name: 'side', filter_chains: [copy] })
    }
  },
  {
    name: 'vecauthz asked over HTTP',
    check: 'over-grpc',
    change: ({ authz }) => {
      delete authz()['grpc_service']
      authz()['http_service'] = { server_uri: { uri: 'https://vecauthz', cluster: 'vecauthz', timeout: '0.5s' } }
    }
  },
  {
    name: 'vecauthz asked over an older protocol',
    check: 'over-grpc',
    change: ({ authz }) => {
      authz()['transport_api_version'] = 'V2'
    }
  },
  {
    name: 'fail-open',
    check: 'fail-closed',
    change: ({ authz }) => {
      authz()['failure_mode_allow'] = true
    }
  },
  { name: 'an outage that looks like a denial', check: 'outage-seen', change: ({ authz }) => delete authz()['status_on_error'] },
  {
    name: 'an outage that looks like success',
    check: 'outage-seen',
    change: ({ http }) => {
      const comparison = { op: 'GE', value: { default_value: 400, runtime_key: 'least' } }
      http['local_reply_config'] = { mappers: [{ filter: { status_code_filter: { comparison } }, status_code: 200 }] }
    }
  },
  {
    name: 'Envoy gives up before vecauthz does',
    check: 'answer-in-time',
    change: ({ authz }) => {
      authz()['grpc_service'].timeout = '0.3s'
    }
  },
  {
    name: 'Envoy gives up before vecauthz does, for vecauthz takes its time',
    check: 'answer-in-time',
    change: () => undefined,
    settings: (settings, index) => {
      if (index === 0) settings['deadline_ms'] = 600
    }
  },
  {
    name: 'a server that takes longer than anybody may wait',
    check: 'answer-in-time',
    change: () => undefined,
    settings: (settings, index) => {
      if (index === 0) settings['deadline_ms'] = 6_000
    },
    unfixable: true
  },
  {
    name: 'Envoy waits longer than a patient vecauthz needs',
    check: 'answer-in-time',
    change: ({ authz }) => patient(authz, '2.6s'),
    settings: takesItsTime
  },
  { name: 'checks that are not repeated', check: 'checks-repeated', change: ({ authz }) => delete authz()['grpc_service'].retry_policy },
  {
    name: 'checks repeated without back-off',
    check: 'checks-repeated',
    change: ({ authz }) => delete authz()['grpc_service'].retry_policy.retry_back_off
  },
  {
    name: 'a try that ends before its answer',
    check: 'checks-repeated',
    change: ({ authz }) => {
      authz()['grpc_service'].retry_policy.retry_back_off.max_interval = '0.05s'
    }
  },
  { name: 'no body', check: 'body-shown', change: ({ authz }) => delete authz()['with_request_body'] },
  {
    name: 'no body on one route',
    check: 'body-shown',
    change: ({ host }) => Object.assign(last(host), perRoute({ check_settings: { disable_request_body_buffering: true } }))
  },
  {
    name: 'more of a body than vecauthz reads',
    check: 'body-limit',
    change: ({ authz }) => {
      authz()['with_request_body'].max_request_bytes = 4_194_304
    }
  },
  {
    name: 'more of a body than vecauthz reads, on a route that leaves who is asked as it is',
    check: 'body-limit',
    change: ({ host }) => {
      const with_request_body = { max_request_bytes: 4_194_304, pack_as_bytes: true }
      Object.assign(last(host), perRoute({ check_settings: { with_request_body } }))
    }
  },
  {
    name: 'bodies that are cut',
    check: 'body-whole',
    change: ({ authz }) => {
      authz()['with_request_body'].allow_partial_message = true
    }
  },
  {
    name: 'bodies that are cut on the write lane',
    check: 'body-whole',
    change: ({ host }) => {
      host['routes'][0].typed_per_filter_config[AUTHZ].check_settings.with_request_body.allow_partial_message = true
    }
  },
  { name: 'bodies as text', check: 'body-bytes', change: ({ authz }) => delete authz()['with_request_body'].pack_as_bytes },
  { name: 'no certificate of the caller', check: 'peer-certificate', change: ({ authz }) => delete authz()['include_peer_certificate'] },
  { name: 'headers that are joined', check: 'raw-headers', change: ({ authz }) => delete authz()['encode_raw_headers'] },
  {
    name: 'headers that are not shown',
    check: 'raw-headers',
    change: ({ authz }) => {
      authz()['disallowed_headers'] = { patterns: [{ exact: 'dbname' }] }
    }
  },
  { name: 'changes that nobody validates', check: 'changes-validated', change: ({ authz }) => delete authz()['validate_mutations'] },
  { name: 'changes without a list', check: 'changes-listed', change: ({ authz }) => delete authz()['decoder_header_mutation_rules'] },
  {
    name: 'changes of anything',
    check: 'changes-listed',
    change: ({ authz }) => {
      authz()['decoder_header_mutation_rules'].allow_expression.regex = '.*'
    }
  },
  { name: 'denials of any size', check: 'denials-bounded', change: ({ authz }) => delete authz()['max_denied_response_body_bytes'] },
  { name: 'denials with any headers', check: 'denials-bounded', change: ({ authz }) => delete authz()['enforce_response_header_limits'] },
  { name: 'decisions that nobody counts', check: 'answers-counted', change: ({ authz }) => delete authz()['stat_prefix'] },
  { name: 'decisions that nobody times', check: 'answers-counted', change: ({ authz }) => delete authz()['emit_filter_state_stats'] },
  {
    name: 'an answer that chooses the route',
    check: 'route-kept',
    change: ({ authz }) => {
      authz()['clear_route_cache'] = true
    }
  },
  {
    name: 'half of the requests',
    check: 'every-request-asked',
    change: ({ authz }) => {
      authz()['filter_enabled'] = { default_value: { numerator: 50 } }
    }
  },
  {
    name: 'shadow mode',
    check: 'every-request-asked',
    change: ({ authz }) => {
      authz()['shadow_mode'] = true
    }
  },
  {
    name: 'a route that a header selects, without a question',
    check: 'no-route-skips',
    change: ({ host }) =>
      host['routes'].unshift({
        match: { prefix: '/', headers: [{ name: 'x-debug', present_match: true }] },
        route: { cluster: 'chroma' },
        ...perRoute({ disabled: true })
      })
  },
  { name: 'a host without a question', check: 'no-route-skips', change: ({ host }) => Object.assign(host, perRoute({ disabled: true })) },
  {
    name: 'a route where the filter is disabled by its wrapper',
    check: 'no-route-skips',
    change: ({ host }) => {
      const off = { '@type': 'type.googleapis.com/envoy.config.route.v3.FilterConfig', disabled: true }
      host['routes'].unshift({ match: { prefix: '/x' }, route: { cluster: 'chroma' }, typed_per_filter_config: { [AUTHZ]: off } })
    }
  },
  {
    name: 'the same under the name that the filter has',
    check: 'no-route-skips',
    change: ({ http, host }) => {
      http['http_filters'].find((one: Loose) => one['name'] === AUTHZ).name = 'gate'
      last(host)['typed_per_filter_config'] = { gate: WRAPPED_OFF }
    }
  },
  {
    name: 'a host that skips the question within a wrapper, under a name of its own',
    check: 'no-route-skips',
    change: ({ host }) => {
      const off = { '@type': 'type.googleapis.com/envoy.config.route.v3.FilterConfig', config: { '@type': PER_ROUTE, disabled: true } }
      host['typed_per_filter_config'] = { mine: off }
    }
  },
  {
    name: 'a host that tells the server its role',
    check: 'role-by-port',
    change: ({ host }) => Object.assign(host, perRoute({ check_settings: { context_extensions: { role: 'egress' } } }))
  },
  {
    name: 'no guard',
    check: 'guard',
    change: ({ http }) => {
      http['http_filters'] = http['http_filters'].filter((one: Loose) => one['name'] !== 'envoy.filters.http.rbac')
    }
  },
  {
    name: 'a guard with a second door',
    check: 'guard',
    change: ({ filter }) => {
      filter('rbac')['rules'].policies.health = { permissions: [{ any: true }], principals: [{ any: true }] }
    }
  },
  {
    name: 'a guard that only counts',
    check: 'guard',
    change: ({ filter }) => {
      filter('rbac')['shadow_rules'] = filter('rbac')['rules']
      delete filter('rbac')['rules']
    }
  },
  {
    name: 'a guard that reads what a header of the client says',
    check: 'guard',
    change: ({ http }) => {
      const on_header_present = { metadata_namespace: AUTHZ, key: 'verdict' }
      const typed = filterOf('header_to_metadata.v3.Config')
      Object.assign(typed.typed_config, { request_rules: [{ header: 'x-verdict', on_header_present }] })
      http['http_filters'].unshift(typed)
    }
  },
  {
    name: 'a guard that reads what a header of the client says, on one route',
    check: 'guard',
    change: ({ host }) => {
      const on_header_present = { metadata_namespace: AUTHZ, key: 'verdict' }
      const { typed_config } = filterOf('header_to_metadata.v3.Config')
      const rules = { ...typed_config, request_rules: [{ header: 'x-verdict', on_header_present }] }
      last(host)['typed_per_filter_config'] = { 'envoy.filters.http.header_to_metadata': rules }
    }
  },
  {
    name: 'a guard that reads what a script says',
    check: 'guard',
    change: ({ http }) => {
      const source = `function envoy_on_request(h)\n  h:streamInfo():dynamicMetadata():set("${AUTHZ}", "verdict", "allow")\nend`
      const typed = filterOf('lua.v3.Lua')
      Object.assign(typed.typed_config, { default_source_code: { inline_string: source } })
      http['http_filters'].unshift(typed)
    }
  },
  {
    name: 'a guard that asks for any verdict',
    check: 'guard',
    change: ({ filter }) => {
      const matcher = filter('rbac')['rules'].policies.verdict_is_allow.principals[0].sourced_metadata.metadata_matcher
      matcher.value = { present_match: true }
    }
  },
  {
    name: 'a route without the guard',
    check: 'guard-everywhere',
    change: ({ host }) => {
      const off = { '@type': 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBACPerRoute' }
      last(host)['typed_per_filter_config'] = { 'envoy.filters.http.rbac': off }
    }
  },
  {
    name: 'a route without the guard, under the name that the guard has',
    check: 'guard-everywhere',
    change: ({ http, host }) => {
      http['http_filters'].find((one: Loose) => one['name'] === 'envoy.filters.http.rbac').name = 'second'
      last(host)['typed_per_filter_config'] = { second: WRAPPED_OFF }
    }
  },
  {
    name: 'a filter after the verdict that has routes chosen again',
    check: 'nothing-after',
    change: ({ http }) => {
      const again = filterOf('set_filter_state.v3.Config')
      Object.assign(again.typed_config, { clear_route_cache: true })
      insertBefore(http, 'router', again)
    }
  },
  { name: 'Lua after the verdict', check: 'nothing-after', change: ({ http }) => insertBefore(http, 'router', filterOf('lua.v3.Lua')) },
  {
    name: 'a decompressor after the verdict',
    check: 'nothing-after',
    change: ({ http }) => insertBefore(http, 'rbac', filterOf('decompressor.v3.Decompressor'))
  },
  {
    name: 'a note after the verdict, for which the header goes',
    check: 'nothing-after',
    change: ({ http }) => {
      const typed = filterOf('header_to_metadata.v3.Config')
      const on_header_present = { metadata_namespace: 'notes', key: 'tenant' }
      Object.assign(typed.typed_config, { request_rules: [{ header: 'x-tenant-id', on_header_present, remove: true }] })
      insertBefore(http, 'router', typed)
    }
  },
  {
    name: 'a limit after the verdict, which adds a header',
    check: 'nothing-after',
    change: ({ http }) => {
      const typed = filterOf('local_ratelimit.v3.LocalRateLimit')
      const header = { key: 'x-tenant-id', value: 'globex' }
      Object.assign(typed.typed_config, { stat_prefix: 'limit', request_headers_to_add_when_not_enforced: [{ header }] })
      insertBefore(http, 'router', typed)
    }
  },
  {
    name: 'a script before the question that calls on by itself',
    check: 'nothing-after',
    change: ({ http }) => {
      const typed = filterOf('lua.v3.Lua')
      Object.assign(typed.typed_config, {
        default_source_code: { inline_string: 'function envoy_on_request(h)\n  h:httpCall("chroma", {}, "", 500)\nend' }
      })
      http['http_filters'].unshift(typed)
    }
  },
  {
    name: 'a script of one route that calls on by itself',
    check: 'nothing-after',
    change: ({ http, host }) => {
      http['http_filters'].unshift(filterOf('lua.v3.Lua'))
      const inline_string = 'function envoy_on_request(h)\n  h:httpCall("chroma", {}, "", 500)\nend'
      const source = { ...filterOf('lua.v3.LuaPerRoute').typed_config, source_code: { inline_string } }
      last(host)['typed_per_filter_config'] = { 'lua.v3.Lua': source }
    }
  },
  {
    name: 'a cache before the question',
    check: 'nothing-after',
    change: ({ http }) => http['http_filters'].unshift(filterOf('cache.v3.CacheConfig'))
  },
  {
    name: "a filter of the database's cluster",
    check: 'no-upstream-filters',
    change: ({ cluster }) => {
      const options = cluster('chroma')['typed_extension_protocol_options']['envoy.extensions.upstreams.http.v3.HttpProtocolOptions']
      options.http_filters = [filterOf('header_mutation.v3.HeaderMutation'), filterOf('upstream_codec.v3.UpstreamCodec')]
    }
  },
  {
    name: 'bodies that are sent over TCP',
    check: 'no-upstream-filters',
    change: ({ cluster }) => {
      const pool = { '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.tcp.v3.TcpConnectionPoolProto' }
      cluster('chroma')['upstream_config'] = { name: 'envoy.filters.connection_pools.http.tcp', typed_config: pool }
    }
  },
  {
    name: 'a filter of the connections to vecauthz',
    check: 'no-upstream-filters',
    change: ({ cluster }) => {
      cluster('vecauthz')['filters'] = [{ name: 'mine', typed_config: { '@type': 'type.googleapis.com/any.v3.Filter' } }]
    }
  },
  {
    name: "a filter of vecauthz's cluster",
    check: 'no-upstream-filters',
    change: ({ cluster }) => {
      const options = cluster('vecauthz_writes')['typed_extension_protocol_options']
      const filters = [filterOf('header_mutation.v3.HeaderMutation'), filterOf('upstream_codec.v3.UpstreamCodec')]
      options['envoy.extensions.upstreams.http.v3.HttpProtocolOptions'].http_filters = filters
    }
  },
  {
    name: 'a path that is rewritten',
    check: 'no-rewrites',
    change: ({ host }) => {
      last(host)['route'].prefix_rewrite = '/api/'
    }
  },
  {
    name: 'a host that is rewritten',
    check: 'no-rewrites',
    change: ({ host }) => {
      last(host)['route'].host_rewrite_literal = 'db.internal'
    }
  },
  {
    name: 'a host that is rewritten for one of several clusters',
    check: 'no-rewrites',
    change: ({ host }) => {
      last(host)['route'] = { weighted_clusters: { clusters: [{ name: 'chroma', weight: 1, host_rewrite_literal: 'db.internal' }] } }
    }
  },
  {
    name: 'a trusted header removed at the route',
    check: 'no-header-edits',
    change: ({ http }) => {
      http['route_config'].request_headers_to_remove = ['x-tenant-id']
    }
  },
  {
    name: 'a header added at the host',
    check: 'no-header-edits',
    change: ({ host }) => {
      host['request_headers_to_add'] = [{ header: { key: 'api-key', value: 'permanent' } }]
    }
  },
  {
    name: 'a tap',
    check: 'no-mirror',
    change: ({ http }) => http['http_filters'].unshift(filterOf('tap.v3.Tap'))
  },
  {
    name: 'a mirror of questions',
    check: 'no-mirror',
    change: ({ cluster }) => {
      const options = cluster('vecauthz')['typed_extension_protocol_options']
      options['envoy.extensions.upstreams.http.v3.HttpProtocolOptions'].request_mirror_policies = [{ cluster: 'qdrant' }]
    }
  },
  {
    name: 'a mirror',
    check: 'no-mirror',
    change: ({ host }) => {
      last(host)['route'].request_mirror_policies = [{ cluster: 'qdrant' }]
    }
  },
  {
    name: 'a mirror of the cluster',
    check: 'no-mirror',
    change: ({ cluster }) => {
      optionsOf(cluster('chroma'))['request_mirror_policies'] = [{ cluster: 'qdrant' }]
    }
  },
  {
    name: 'writes that the cluster repeats',
    check: 'no-route-retries',
    change: ({ cluster }) => {
      optionsOf(cluster('chroma'))['retry_policy'] = { retry_on: '5xx', num_retries: 2 }
    }
  },
  {
    name: 'all but reads are repeated',
    check: 'no-route-retries',
    change: ({ host }) => {
      const headers = [{ name: ':method', string_match: { exact: 'GET' }, invert_match: true }]
      host['routes'].unshift({ match: { prefix: '/', headers }, route: { cluster: 'chroma', retry_policy: { retry_on: '5xx' } } })
    }
  },
  {
    name: 'writes that are repeated',
    check: 'no-route-retries',
    change: ({ host }) => {
      last(host)['route'].retry_policy = { retry_on: '5xx', num_retries: 2 }
    }
  },
  {
    name: 'any workload of the trust domain may give verdicts',
    check: 'authz-proven',
    change: ({ upstream }) => {
      const context = upstream('vecauthz')['common_tls_context'].combined_validation_context.default_validation_context
      context.match_typed_subject_alt_names = [{ san_type: 'URI', matcher: { prefix: 'spiffe://demo.vecauthz.test/' } }]
    }
  },
  {
    name: 'vecauthz is not told who asks',
    check: 'authz-proven',
    change: ({ upstream }) => delete upstream('vecauthz_writes')['common_tls_context'].tls_certificate_sds_secret_configs
  },
  {
    name: 'any workload may give verdicts that one authority signed',
    check: 'authz-proven',
    change: ({ upstream }) => {
      const context = upstream('vecauthz')['common_tls_context']
      delete context.combined_validation_context
      const names = [{ san_type: 'URI', matcher: { prefix: 'spiffe://demo.vecauthz.test/' } }]
      context.validation_context = { trusted_ca: { filename: 'ca.pem' }, match_typed_subject_alt_names: names }
    }
  },
  {
    name: 'verdicts of whoever a secret of the file itself believes',
    check: 'authz-proven',
    change: ({ upstream }) => {
      upstream('vecauthz')['common_tls_context'].combined_validation_context.validation_context_sds_secret_config = { name: 'ALL' }
    }
  },
  {
    name: 'verdicts of strangers under its name',
    check: 'authz-proven',
    change: ({ upstream }) => {
      validationOf(upstream)['trust_chain_verification'] = 'ACCEPT_UNTRUSTED'
    }
  },
  {
    name: 'verdicts under a certificate that has ended',
    check: 'authz-proven',
    change: ({ upstream }) => {
      validationOf(upstream)['allow_expired_certificate'] = true
    }
  },
  {
    name: 'verdicts of whoever has the name in other letters',
    check: 'authz-proven',
    change: ({ upstream }) => {
      validationOf(upstream)['match_typed_subject_alt_names'][0].matcher.ignore_case = true
    }
  },
  {
    name: 'another transport socket for every endpoint',
    check: 'authz-proven',
    change: ({ cluster }) => {
      const transport_socket = structuredClone(cluster('vecauthz')['transport_socket'])
      const context = transport_socket.typed_config.common_tls_context
      context.combined_validation_context.default_validation_context = {}
      cluster('vecauthz')['transport_socket_matches'] = [{ name: 'any', match: {}, transport_socket }]
    }
  },
  {
    name: 'another transport socket for those with a label, and an older TLS',
    check: 'authz-tls-1.3',
    change: ({ cluster }) => {
      const transport_socket = structuredClone(cluster('vecauthz')['transport_socket'])
      delete transport_socket.typed_config.common_tls_context.tls_params
      const [{ lb_endpoints }] = cluster('vecauthz')['load_assignment'].endpoints
      lb_endpoints[0].metadata = { filter_metadata: { 'envoy.transport_socket_match': { tls: 'old' } } }
      cluster('vecauthz')['transport_socket_matches'] = [{ name: 'old', match: { tls: 'old' }, transport_socket }]
    }
  },
  {
    name: 'TLS 1.2 to vecauthz',
    check: 'authz-tls-1.3',
    change: ({ upstream }) => delete upstream('vecauthz')['common_tls_context'].tls_params
  },
  {
    name: 'HTTP/2 that is not offered',
    check: 'authz-http2',
    change: ({ upstream }) => delete upstream('vecauthz')['common_tls_context'].alpn_protocols
  },
  {
    name: 'a dead replica that nobody notices',
    check: 'authz-health',
    change: ({ cluster }) => delete cluster('vecauthz')['health_checks']
  },
  {
    name: 'a dead replica that is noticed after an hour',
    check: 'authz-health',
    change: ({ cluster }) => {
      cluster('vecauthz')['health_checks'][0].interval = '1800s'
    }
  },
  {
    name: 'a replica that is healthy whatever it says',
    check: 'authz-health',
    change: ({ cluster }) => {
      const [{ lb_endpoints }] = cluster('vecauthz')['load_assignment'].endpoints
      lb_endpoints[0].endpoint.health_check_config = { disable_active_health_check: true }
    }
  },
  { name: 'panic', check: 'authz-no-panic', change: ({ cluster }) => delete cluster('vecauthz')['common_lb_config'] },
  {
    name: 'one replica for each connection',
    check: 'authz-replicas',
    change: ({ cluster }) => {
      cluster('vecauthz')['type'] = 'LOGICAL_DNS'
    }
  },
  {
    name: 'a connection to vecauthz that outlives its SVID',
    check: 'authz-connection-age',
    change: ({ cluster }) => {
      const options = cluster('vecauthz')['typed_extension_protocol_options']
      delete options['envoy.extensions.upstreams.http.v3.HttpProtocolOptions'].common_http_protocol_options
    }
  },
  {
    name: 'an index that may be anybody',
    check: 'next-hop-proven',
    file: 'egress.yaml',
    change: ({ upstream }) => delete upstream('index')['common_tls_context'].combined_validation_context.default_validation_context
  },
  {
    name: 'TLS 1.2 to the index',
    check: 'next-hop-tls-1.3',
    file: 'egress.yaml',
    change: ({ upstream }) => delete upstream('index')['common_tls_context'].tls_params
  },
  {
    name: 'a connection to the gateway that outlives its SVID',
    check: 'next-hop-age',
    file: 'agent-sidecar.yaml',
    change: ({ cluster }) => {
      const options = cluster('gateway')['typed_extension_protocol_options']
      options['envoy.extensions.upstreams.http.v3.HttpProtocolOptions'].common_http_protocol_options.max_connection_duration = '3600s'
    }
  },
  {
    name: 'an admin interface for everybody',
    check: 'admin-private',
    change: ({ value }) => {
      value['admin'].address.socket_address.address = '0.0.0.0'
    }
  },
  {
    name: 'an admin interface that ends Envoy',
    check: 'admin-reads-only',
    change: ({ value }) => value['admin'].allow_paths.push({ prefix: '/quitquitquit' })
  },
  { name: 'an admin interface without a list', check: 'admin-reads-only', change: ({ value }) => delete value['admin'].allow_paths },
  {
    name: 'a runtime value by which replicas that are down are asked',
    check: 'runtime-plain',
    change: ({ value }) => {
      value['layered_runtime'].layers.push({ name: 'more', static_layer: { 'upstream.healthy_panic_threshold': 50 } })
    }
  },
  {
    name: 'a runtime value by which nobody is asked',
    check: 'runtime-plain',
    change: ({ value, authz }) => {
      authz()['filter_enabled'] = { runtime_key: 'authz.share', default_value: { numerator: 100 } }
      value['layered_runtime'].layers.push({ name: 'more', static_layer: { authz: { share: { numerator: 0 } } } })
    }
  },
  {
    name: 'a log without decisions',
    check: 'access-log',
    change: ({ http }) => delete http['access_log'][0].typed_config.log_format.json_format.decision_id
  },
  {
    name: 'a log of failures alone',
    check: 'access-log',
    change: ({ http }) => {
      const value = { default_value: 500, runtime_key: 'log_from' }
      http['access_log'][0].filter = { status_code_filter: { comparison: { op: 'GE', value } } }
    }
  },
  {
    name: 'a log without the end of the certificate',
    check: 'access-log',
    change: ({ http }) => delete http['access_log'][0].typed_config.log_format.json_format.peer_cert_end
  }
]

/** Lines that one Envoy file alone can never fail: who else reaches a port, and what a database asks for. */
const NEVER_FAIL = ['database-private', 'database-credential']

function reportOn(file: ShippedFile, value: Loose, settings?: Row['settings']): Report {
  const shipped: { readonly servers: readonly Server[]; readonly hop?: 'sidecar' } = SHIPPED[file]
  const servers = shipped.servers.map(({ file: name, settings: own }, index) => {
    const copy = structuredClone(own)
    settings?.(copy, index)
    return { file: name, settings: copy }
  })
  return judge(documentOf(value), servers, shipped.hop)
}

const failing = ({ judged }: Report) => judged.filter(({ verdict }) => verdict === 'fail').map(({ check }) => check.id)

describe('shipped files', () => {
  it.each(Object.keys(SHIPPED) as ShippedFile[])('%s passes every line that is about it', (file) => {
    const { judged } = reportOn(file, shippedValue(file))
    expect(judged.filter(({ verdict }) => verdict !== 'pass').map(({ check, findings }) => [check.id, findings])).toEqual([])
    expect(judged.length).toBeGreaterThan(10)
  })

  it('of a SPIRE agent pass as those of files do', () => {
    for (const file of Object.keys(SHIPPED) as ShippedFile[]) {
      const { judged } = reportOn(file, shippedValue(`spire/${file}`))
      expect(
        judged.filter(({ verdict }) => verdict !== 'pass').map(({ check, findings }) => [check.id, findings]),
        file
      ).toEqual([])
    }
  })

  it('pass with a server that takes its time, where Envoy waits for it', () => {
    const value = shippedValue('gateway.yaml')
    patient(partsOf(value).authz, '2.5s')
    expect(failing(reportOn('gateway.yaml', value, takesItsTime))).toEqual([])
  })

  it('in shadow say that whatever the answer is, calls go on', () => {
    expect(failing(reportOn('gateway.yaml', shippedValue('shadow.yaml')))).toContain('every-request-asked')
  })
})

describe('a line cannot be told for', () => {
  const untold = ({ judged }: Report) =>
    judged.filter(({ verdict }) => verdict !== 'pass').map(({ check, verdict }) => `${check.id}: ${verdict}`)

  it.each([
    {
      name: 'code before the question, which may call on by itself, and write what the guard reads',
      type: 'wasm.v3.Wasm',
      before: 'ext_authz',
      checks: ['guard', 'nothing-after']
    },
    {
      name: 'answers that are made anew, outages among them',
      type: 'custom_response.v3.CustomResponse',
      before: 'header_to_metadata',
      checks: ['outage-seen']
    },
    { name: 'a rate limit service after the verdict', type: 'ratelimit.v3.RateLimit', before: 'router', checks: ['nothing-after'] }
  ])('$name', ({ type, before, checks }) => {
    const value = shippedValue('gateway.yaml')
    insertBefore(partsOf(value).http, before, filterOf(type))
    expect(untold(reportOn('gateway.yaml', value))).toEqual(checks.map((check) => `${check}: cannot-tell`))
  })
})

describe('a line fails for', () => {
  it.each(ROWS)('$name ($check)', ({ check, file = 'gateway.yaml', change, settings, unfixable }) => {
    const value = shippedValue(file)
    change(partsOf(value))
    const before = reportOn(file, value, settings)
    expect(failing(before)).toEqual([check])

    const findings = before.judged.find((one) => one.check.id === check)?.findings ?? []
    if (unfixable) {
      expect(findings.map(({ fix }) => fix?.kind)).toEqual(findings.map(() => 'do'))
      return
    }
    for (const { fix } of findings) applyFix(value, fix ?? expect.fail('a failing line without a fix'))
    const after = reportOn(file, value, settings)
    expect(after.judged.filter(({ verdict }) => verdict !== 'pass').map((one) => [one.check.id, one.findings])).toEqual([])
  })

  it('whatever is stripped, where a route switches the filter off that does it', () => {
    const value = shippedValue('gateway.yaml')
    const off = { '@type': 'type.googleapis.com/envoy.config.route.v3.FilterConfig', disabled: true }
    last(partsOf(value).host)['typed_per_filter_config'] = { [STRIP]: off }
    const before = reportOn('gateway.yaml', value)
    expect(failing(before).length).toBeGreaterThan(1)
    expect(failing(before).filter((id) => !id.startsWith('strip-'))).toEqual([])
    const [fix] = before.judged.flatMap(({ findings }) => findings.map((one) => one.fix))
    applyFix(value, fix ?? expect.fail('a failing line without a fix'))
    expect(failing(reportOn('gateway.yaml', value))).toEqual([])
  })

  it('every line there is', () => {
    const never = CHECKS.map(({ id }) => id).filter((id) => !ROWS.some((row) => row.check === id))
    expect(never).toEqual(NEVER_FAIL)
  })
})
