/** Checks about vecauthz as Envoy reaches it, the next hop, the database, and what is told about all of it. */
import { cannotTell, type Finding, fail, put, remove, todo } from './finding.ts'
import { ALL, asked, type Check, DECIDING, GATEWAY, type Given, halfLife, LEADING, onward, ways } from './look.ts'
import { addressOf, connectionAge, type Endpoint, endpointsOf, isLocal, upstreamHttp, upstreamTls } from './survey.ts'
import { proven, version } from './upstream-tls.ts'
import { at, count, flag, has, listOf, type Place, seconds, text, textsOf, typed } from './values.ts'

const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions'
const READING_PATHS = ['/ready', '/listeners', '/clusters', '/config_dump', '/certs', '/server_info', '/stats']
const HEALTH_SECONDS = { timeout: '0.5s', interval: '2s', no_traffic_interval: '2s', unhealthy_interval: '0.5s' }
const NOTICE_SECONDS_MAX = 30
const HEALTH = {
  ...HEALTH_SECONDS,
  unhealthy_threshold: 2,
  healthy_threshold: 1,
  grpc_health_check: { service_name: 'envoy.service.auth.v3.Authorization' }
}

function age(cluster: Place, given: Given): readonly Finding[] {
  const half = halfLife(given)
  const found = connectionAge(cluster)
  const most = half === undefined ? 600 : Math.max(1, Math.ceil(half) - 1)
  const options = {
    '@type': `type.googleapis.com/${HTTP_OPTIONS}`,
    common_http_protocol_options: { max_connection_duration: `${Math.min(600, most)}s` }
  }
  const fix = put(cluster, { typed_extension_protocol_options: { [HTTP_OPTIONS]: options } })
  if (found === undefined) return [fail(cluster, 'connections have no longest age', fix)]
  if (half === undefined) return [cannotTell(cluster.path, `they end after ${found} s; give --config, which says how long SVIDs live`)]
  return found < half ? [] : [fail(cluster, `connections end after ${found} s, and half of svid_ttl_seconds is ${half} s`, fix)]
}

function speaksHttp2(cluster: Place): boolean {
  const explicit = at(upstreamHttp(cluster) ?? { value: {}, path: [] }, 'explicit_http_config')
  return (explicit !== undefined && has(explicit, 'http2_protocol_options')) || has(cluster, 'http2_protocol_options')
}

function admin({ survey }: Given): Place | undefined {
  return at(survey.document.root, 'admin')
}

function logs(given: Given, hops: Check['hops']): readonly Finding[] {
  const wanted = ['%DYNAMIC_METADATA(envoy.filters.http.ext_authz:decision_id)%']
  const peer = ['%DOWNSTREAM_PEER_URI_SAN%', '%DOWNSTREAM_PEER_CERT_V_END%']
  return ways((way) => {
    const said = listOf(way.http, 'access_log')
    // A log with a filter has no line of what the filter leaves out.
    const all = said.filter((one) => !has(one, 'filter')).map((one) => typed(one))
    const add = {
      name: 'envoy.access_loggers.stdout',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog',
        log_format: {
          json_format: {
            decision_id: wanted[0],
            ...(way.hop === 'gateway' ? { peer: peer[0], peer_cert_end: peer[1] } : {}),
            code: '%RESPONSE_CODE%'
          }
        }
      }
    }
    const fix = { kind: 'put', at: [...way.http.path, 'access_log'], value: [add] } as const
    if (all.length === 0) return [fail(way.http, said.length === 0 ? 'there is no access log' : 'a filter leaves calls out', fix)]
    const written = all.map((one) => JSON.stringify(one?.config.value ?? {}))
    const needed = way.hop === 'gateway' ? [...wanted, ...peer] : wanted
    if (written.some((one) => needed.every((operator) => one.includes(operator)))) return []
    const remote = all.some((one) => /\.(Http|Tcp)?GrpcAccessLogConfig$|OpenTelemetry/.test(one?.type ?? ''))
    if (remote) return [cannotTell(way.http.path, 'what a remote log service writes is not known here')]
    const missing = needed.filter((operator) => !written.some((one) => one.includes(operator)))
    return [fail(way.http, `no log has ${missing.join(', ') || 'all of it together'}`, fix)]
  })(given, hops)
}

/** How long a replica that is down is asked all the same; 0 where the times are not said. */
function secondsToNotice(check: Place): number {
  const once = (seconds(check, 'interval') ?? 0) + (seconds(check, 'timeout') ?? 0)
  return once * (count(check, 'unhealthy_threshold') ?? 1)
}

/** Endpoints that are taken for healthy, whatever they say. */
function unasked(cluster: Place): readonly Finding[] {
  const load = at(cluster, 'load_assignment')
  const endpoints = load === undefined ? [] : listOf(load, 'endpoints').flatMap((group) => listOf(group, 'lb_endpoints'))
  return endpoints.flatMap((one) => {
    const config = at(one, 'endpoint', 'health_check_config')
    if (config === undefined || !flag(config, 'disable_active_health_check')) return []
    return [fail(config, 'this endpoint is not asked', remove(config, 'disable_active_health_check'))]
  })
}

const isLoopback = (all: readonly Endpoint[]) => all.every(isLocal)

export const AROUND: readonly Check[] = [
  {
    id: 'authz-proven',
    line: 'Whoever gives verdicts is exactly vecauthz, and knows who asks',
    why: 'A prefix would let every workload of the trust domain say yes; without our certificate vecauthz answers nobody.',
    hops: DECIDING,
    look: asked((cluster) => proven(cluster, 'h2'))
  },
  {
    id: 'authz-tls-1.3',
    line: 'It is spoken to over TLS 1.3',
    why: "Upstream TLS stops at 1.2 by default, and vecauthz's port takes 1.3 only.",
    hops: DECIDING,
    look: asked(version)
  },
  {
    id: 'authz-http2',
    line: 'It is spoken to over HTTP/2, and offered by name (ALPN)',
    why: 'A gRPC server on Node refuses a client that offers no `h2`: every check then fails.',
    hops: DECIDING,
    look: asked((cluster) => {
      const tls = upstreamTls(cluster)
      const offered = tls === undefined ? ['h2'] : textsOf(at(tls, 'common_tls_context') ?? { value: {}, path: [] }, 'alpn_protocols')
      const options = { '@type': `type.googleapis.com/${HTTP_OPTIONS}`, explicit_http_config: { http2_protocol_options: {} } }
      return [
        ...(offered.includes('h2') || tls === undefined
          ? []
          : [fail(tls, 'h2 is not offered', put(tls, { common_tls_context: { alpn_protocols: ['h2'] } }))]),
        ...(speaksHttp2(cluster)
          ? []
          : [
              fail(
                cluster,
                'it is not spoken to over HTTP/2',
                put(cluster, { typed_extension_protocol_options: { [HTTP_OPTIONS]: options } })
              )
            ])
      ]
    })
  },
  {
    id: 'authz-health',
    line: 'Its health is asked over gRPC',
    why: 'Without it, a dead replica of two loses up to half of the checks, and one that drains is asked until it is gone.',
    hops: DECIDING,
    look: asked((cluster) => {
      const checks = listOf(cluster, 'health_checks').filter((one) => has(one, 'grpc_health_check'))
      const fix = put(cluster, { health_checks: [HEALTH] })
      if (checks.length === 0) return [fail(cluster, 'its health is not asked', fix)]
      const noticed = Math.min(...checks.map(secondsToNotice))
      return [
        ...(noticed <= NOTICE_SECONDS_MAX ? [] : [fail(cluster, `that a replica is down is noticed after ${noticed} s`, fix)]),
        ...unasked(cluster)
      ]
    })
  },
  {
    id: 'authz-no-panic',
    line: 'When all replicas are down, none is asked',
    why: 'In panic Envoy asks whoever is listed, healthy or not: requests hang instead of being refused.',
    hops: DECIDING,
    look: asked((cluster) => {
      const common = at(cluster, 'common_lb_config')
      const threshold = common === undefined ? undefined : at(common, 'healthy_panic_threshold')
      if (threshold !== undefined && (count(threshold, 'value') ?? 0) === 0) return []
      return [
        fail(
          cluster,
          'there is a panic threshold (50 % by default)',
          put(cluster, { common_lb_config: { healthy_panic_threshold: { value: 0 } } })
        )
      ]
    })
  },
  {
    id: 'authz-replicas',
    line: 'Every replica is an endpoint of its own',
    why: 'LOGICAL_DNS, or a ClusterIP, pins each connection to one replica: the others idle, and its end is an outage.',
    hops: DECIDING,
    look: asked((cluster) => {
      const type = text(cluster, 'type') ?? 'STATIC'
      if (['STATIC', 'STRICT_DNS', 'EDS'].includes(type)) return []
      if (type === 'ORIGINAL_DST')
        return [
          fail(
            cluster,
            'type ORIGINAL_DST: a question was meant for no address, and goes nowhere',
            todo('With Istio: name a Service that has a cluster IP in the extension provider, not a headless one.')
          )
        ]
      if (type === 'LOGICAL_DNS') return [fail(cluster, 'type LOGICAL_DNS', put(cluster, { type: 'STRICT_DNS' }))]
      return [cannotTell(cluster.path, `what a cluster of type ${type} leads to is not known here`)]
    })
  },
  {
    id: 'authz-connection-age',
    line: 'The connection to it is made again before its SVID ends',
    why: 'Envoy keeps the old certificate on an open connection; at egress that certificate is who is judged.',
    hops: DECIDING,
    look: asked(age)
  },
  {
    id: 'next-hop-proven',
    line: 'The next hop is exactly the one that is meant',
    why: 'Queries, and whatever tokens ride on them, go to whoever has the name; a prefix is anybody of the trust domain.',
    hops: LEADING,
    look: onward((cluster) => {
      const tls = upstreamTls(cluster)
      const offered = tls === undefined ? [] : textsOf(at(tls, 'common_tls_context') ?? { value: {}, path: [] }, 'alpn_protocols')
      return proven(cluster, offered[0] ?? 'http/1.1')
    })
  },
  {
    id: 'next-hop-tls-1.3',
    line: 'The next hop is spoken to over TLS 1.3',
    why: 'Upstream TLS stops at 1.2 by default, where the name of this workload crosses the wire in the clear.',
    hops: LEADING,
    look: onward(version)
  },
  {
    id: 'next-hop-age',
    line: 'Connections to the next hop end before half of an SVID lifetime',
    why: 'A connection keeps the certificate that it was opened with; the next hop refuses it once that has ended.',
    hops: LEADING,
    look: onward(age)
  },
  {
    id: 'database-private',
    line: 'The database can be reached through this Envoy only',
    why: 'Whoever reaches its port needs no verdict at all.',
    hops: GATEWAY,
    look: onward((cluster) => {
      if (isLoopback(endpointsOf(cluster))) return []
      const fix = todo(
        'Bind the database to loopback beside this Envoy, or put a NetworkPolicy before its port; then try: vecauthz doctor --attack … --database HOST:PORT.'
      )
      return [cannotTell(cluster.path, 'it is on another host, and who else reaches its port is not said here', fix)]
    })
  },
  {
    id: 'admin-private',
    line: "Envoy's admin interface is on loopback, a socket, or off",
    why: 'Whoever reaches it reads the whole configuration and stops Envoy.',
    hops: ALL,
    look: (given) => {
      const found = admin(given)
      const address = found === undefined ? undefined : at(found, 'address')
      if (found === undefined || address === undefined || isLocal(addressOf(address))) return []
      const port = addressOf(address).port ?? 0
      return [
        fail(
          found,
          `it listens on ${addressOf(address).address}`,
          put(found, { address: { socket_address: { address: '127.0.0.1', port_value: port } } })
        )
      ]
    }
  },
  {
    id: 'admin-reads-only',
    line: 'The admin interface reads, and does nothing',
    why: 'From loopback too, /quitquitquit ends this Envoy and /runtime_modify changes how it runs.',
    hops: ALL,
    look: (given) => {
      const found = admin(given)
      if (found === undefined || !has(found, 'address')) return []
      const paths = listOf(found, 'allow_paths')
      const good = put(found, { allow_paths: READING_PATHS.map((prefix) => ({ prefix })) })
      if (paths.length === 0) return [fail(found, 'every path is answered', good)]
      const allowed = paths.every(({ value }) => READING_PATHS.some((path) => value['prefix'] === path || value['exact'] === path))
      return allowed ? [] : [fail(found, 'paths are answered that do more than read', good)]
    }
  },
  {
    id: 'access-log',
    line: 'The access log tells the decision, and who asked',
    why: 'With decision id, name and end of the certificate, a line of this log finds its record, and the caller that it is about.',
    hops: DECIDING,
    look: logs
  }
]
