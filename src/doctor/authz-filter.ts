/** The ext_authz filter as it should be, from which fixes are taken, and the places that override it. */

import type { Given, Server } from './look.ts'
import { type Asking, EXT_AUTHZ, endpointsOf, type Filter, perFilter, type Way } from './survey.ts'
import { at, type Place } from './values.ts'

export const MIB = 1024 * 1024

export const AUTHZ_FILTER = {
  name: 'envoy.filters.http.ext_authz',
  typed_config: {
    '@type': `type.googleapis.com/${EXT_AUTHZ}`,
    transport_api_version: 'V3',
    stat_prefix: 'vecauthz',
    failure_mode_allow: false,
    status_on_error: { code: 'ServiceUnavailable' },
    grpc_service: {
      envoy_grpc: { cluster_name: 'vecauthz' },
      timeout: '0.5s',
      retry_policy: {
        num_retries: 2,
        retry_on: 'connect-failure,refused-stream,unavailable',
        retry_back_off: { base_interval: '0.01s', max_interval: '0.5s' }
      }
    },
    with_request_body: { max_request_bytes: MIB, allow_partial_message: false, pack_as_bytes: true },
    include_peer_certificate: true,
    encode_raw_headers: true,
    validate_mutations: true,
    decoder_header_mutation_rules: {
      disallow_all: true,
      allow_expression: {
        regex:
          '^(:path|authorization|x-tenant-id|x-vecauthz-(tenant|caller|decision|purpose|run|policy-token|subject-token)|api-key|x-api-key|x-chroma-token|dbname|db-name|proxy-authorization|x-proxy-[a-z-]+|x-forwarded-client-cert)$'
      },
      disallow_is_error: true
    },
    max_denied_response_body_bytes: 4096,
    enforce_response_header_limits: true,
    emit_filter_state_stats: true,
    clear_route_cache: false
  }
}

export function overrides(way: Way): readonly Place[] {
  const scopes = [way.routes, ...way.hosts, ...way.forwards.flatMap(({ scopes }) => scopes.slice(2))]
  return scopes.flatMap((scope) => perFilter(scope, EXT_AUTHZ, way.filters)).map(({ config }) => config)
}

export function bodyOf(filter: Filter): Place | undefined {
  return at(filter.config, 'with_request_body')
}

/** The server that a lane asks: by its port, or the only one that there is. */
export function serverOf(asking: Asking, { survey, servers }: Given): Server | undefined {
  const cluster = survey.clusters.get(asking.cluster)
  const ports = cluster === undefined ? [] : endpointsOf(cluster).map((one) => one.port)
  return servers.find(({ settings }) => ports.includes(Number(settings.listen.split(':').at(-1))))
}

export function noServer({ servers }: Given): string {
  if (servers.length === 0) return 'no settings of the server that is asked were given (--config FILE)'
  return 'none of the settings has the port that is asked (--config FILE, once for each lane)'
}
