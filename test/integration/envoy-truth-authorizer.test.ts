import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Config, upstreamHttpOf } from '../../demo/envoy-config.ts'
import { issueSvid } from '../support/ca.ts'
import { AUTHORIZER_ID, askElsewhere, clusterNameFor, type GatewayBench, startBench, TRUST_DOMAIN } from './support/gateway-bench.ts'
import { type ScriptedAuthorizer, startAuthorizer } from './support/scripted-authorizer.ts'

/** Whom the gateway asks: only vecauthz, only while it serves, never on a connection that outlives its SVID. */

const SAN = `spiffe://${TRUST_DOMAIN}/`

let bench: GatewayBench
/** A workload of the same trust domain that listens where vecauthz should. */
let impostor: ScriptedAuthorizer
let draining: ScriptedAuthorizer
let serving: ScriptedAuthorizer

beforeAll(async () => {
  bench = await startBench(async ({ authority, agent }) => {
    impostor = await startAuthorizer(agent, authority.pem)
    serving = await startAuthorizer(await issueSvid(authority, { id: AUTHORIZER_ID }), authority.pem)
    draining = await startAuthorizer(await issueSvid(authority, { id: AUTHORIZER_ID }), authority.pem, 'NOT_SERVING')
    const tls = (cluster: Config) => cluster['transport_socket'].typed_config.common_tls_context
    return {
      impostor: (listener, bootstrap) => askElsewhere(listener, bootstrap, impostor.port),
      'impostor, any workload may answer': (listener, bootstrap) =>
        askElsewhere(listener, bootstrap, impostor.port, (cluster) => {
          tls(cluster).combined_validation_context.default_validation_context.match_typed_subject_alt_names[0].matcher = { prefix: SAN }
        }),
      draining: (listener, bootstrap) => askElsewhere(listener, bootstrap, draining.port),
      'draining, in panic': (listener, bootstrap) =>
        askElsewhere(listener, bootstrap, draining.port, (cluster) => {
          delete cluster['common_lb_config']
        }),
      'no ALPN': (listener, bootstrap) =>
        askElsewhere(listener, bootstrap, serving.port, (cluster) => {
          delete tls(cluster).alpn_protocols
        }),
      'with ALPN': (listener, bootstrap) => askElsewhere(listener, bootstrap, serving.port),
      'default TLS': (listener, bootstrap) =>
        askElsewhere(listener, bootstrap, draining.port, (cluster) => {
          delete cluster['health_checks']
          delete tls(cluster).tls_params
        }),
      'short connections': (listener, bootstrap) =>
        askElsewhere(listener, bootstrap, draining.port, (cluster) => {
          delete cluster['health_checks']
          upstreamHttpOf(cluster as never)['common_http_protocol_options'].max_connection_duration = '0.5s'
        })
    }
  })
})
afterAll(async () => {
  await bench?.stop()
  await Promise.all([impostor?.stop(), draining?.stop(), serving?.stop()])
})
beforeEach(() => {
  for (const one of [bench, impostor, draining, serving]) one.reset()
})

const statusOf = async (listener: string) => (await bench.http1({}, listener)).status
const clusterStat = (listener: string, stat: string) => bench.envoy.stats(`cluster.${clusterNameFor(listener)}.${stat}`)

describe('identity', () => {
  it('another workload of the trust domain is not asked: 503', async () => {
    expect(await statusOf('impostor')).toBe(503)
    expect(impostor.checks).toHaveLength(0)
    expect(bench.upstream.seen).toHaveLength(0)
  })

  it('control: with a prefix instead of the exact name, its yes opens the database', async () => {
    expect(await statusOf('impostor, any workload may answer')).toBe(200)
    expect(impostor.checks).toHaveLength(1)
    expect(bench.upstream.seen).toHaveLength(1)
  })
})

describe('health', () => {
  it('a server that drains is asked no more: 503', async () => {
    expect(await statusOf('draining')).toBe(503)
    expect(draining.checks).toHaveLength(0)
  })

  it('control: with the default panic threshold it is asked all the same', async () => {
    expect(await statusOf('draining, in panic')).toBe(200)
    expect(draining.checks).toHaveLength(1)
  })
})

describe('connection', () => {
  it('offers h2: without, the health check of Envoy fails against a Node server, and nothing is asked', async () => {
    expect(await statusOf('no ALPN')).toBe(503)
    expect(await clusterStat('no ALPN', 'health_check.network_failure')).toBeGreaterThan(0)
    expect(await statusOf('with ALPN')).toBe(200)
    expect(serving.checks).toHaveLength(1)
  })

  it('is TLS 1.3 only because the file says so', async () => {
    expect(await statusOf('default TLS')).toBe(200)
    expect(await clusterStat('default TLS', 'ssl.versions.TLSv1.2')).toBe(1)
  })

  it('is made anew before its SVID can expire (here after 0.5 s)', async () => {
    await statusOf('short connections')
    await sleep(800)
    expect(await statusOf('short connections')).toBe(200)
    expect(await clusterStat('short connections', 'upstream_cx_total')).toBe(2)
    expect(await clusterStat('short connections', 'upstream_cx_max_duration_reached')).toBe(1)
  })
})
