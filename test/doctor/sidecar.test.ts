import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readValue } from '../../src/doctor/document.ts'
import { judge } from '../../src/doctor/judge.ts'
import { type Loose, SHIPPED } from '../support/shipped-envoy.ts'

/**
 * What a real istiod (1.31.0-rc.0) made of envoy/istio, as the sidecar's Envoy showed it, without what no check looks at. Around it the
 * two listeners that every sidecar is started with.
 */

const DUMP = readFileSync(join(import.meta.dirname, '../support/istiod-dump.json'), 'utf8')
const [FIRST = expect.fail('there are no settings')] = SHIPPED['gateway.yaml'].servers
const HCM = 'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'
const ISTIO = 'type.googleapis.com/io.istio.http'
const VECAUTHZ = 'outbound|9901||vecauthz-mesh.vecauthz.svc.cluster.local'

function bootstrapOf(): Loose {
  const leading = (port: number, prefix: string, cluster: string) => {
    const routes = [{ match: { prefix }, route: { cluster } }]
    const typed_config = { '@type': HCM, http_filters: [], route_config: { virtual_hosts: [{ name: 'own', domains: ['*'], routes }] } }
    const filters = [{ name: 'envoy.filters.network.http_connection_manager', typed_config }]
    return { name: `own_${port}`, address: { socket_address: { address: '0.0.0.0', port_value: port } }, filter_chains: [{ filters }] }
  }
  const local = (name: string, port: number) => {
    const address = { socket_address: { address: '127.0.0.1', port_value: port } }
    return { name, type: 'STATIC', load_assignment: { endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] } }
  }
  return {
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 15_000 } } },
    layered_runtime: { layers: [{ name: 'global config', static_layer: { 're2.max_program_size.error_level': '32768' } }] },
    static_resources: {
      listeners: [leading(15_090, '/stats/prometheus', 'stats'), leading(15_021, '/healthz/ready', 'agent')],
      clusters: [local('stats', 15_000), local('agent', 15_020)]
    }
  }
}

interface Parts {
  readonly bootstrap: Loose
  readonly inbound: Loose
  /** The connection manager of the database's port. */
  readonly http: Loose
  readonly outbound: readonly Loose[]
  readonly cluster: (name: string) => Loose
  readonly configs: readonly Loose[]
}

function judged(change: (parts: Parts) => unknown = () => undefined) {
  const bootstrap = bootstrapOf()
  const [listeners, clusters, endpoints, routes] = JSON.parse(DUMP).configs as [Loose, Loose, Loose, Loose]
  const all: Loose[] = listeners['dynamic_listeners'].map((one: Loose) => one['active_state'].listener)
  const inbound = all.find(({ name }) => name === 'virtualInbound') as Loose
  const known: Loose[] = clusters['dynamic_active_clusters']
  const cluster = (name: string): Loose => known.find((one) => one['cluster'].name === name)?.['cluster']
  const outbound = all.filter((one) => one !== inbound)
  const configs = [listeners, clusters, endpoints, routes]
  change({ bootstrap, inbound, http: inbound['filter_chains'][1].filters[0].typed_config, outbound, cluster, configs })
  const type = 'type.googleapis.com/envoy.admin.v3'
  const own: Loose[] = bootstrap['static_resources'].listeners
  listeners['static_listeners'] = own.map((listener) => ({ listener }))
  clusters['static_clusters'] = bootstrap['static_resources'].clusters.map((one: Loose) => ({ cluster: one }))
  const read = readValue({ configs: [{ '@type': `${type}.BootstrapConfigDump`, bootstrap }, ...configs] })
  if (!read.ok) throw new Error(read.says)
  const report = judge(read.document, [{ file: 'vecauthz.yaml', settings: { ...FIRST.settings, listen: '10.1.0.9:9901' } }])
  const of = (verdict: string) => report.judged.filter((one) => one.verdict === verdict).map(({ check }) => check.id)
  return { fail: of('fail'), unknown: of('cannot-tell'), left: report.ownCalls }
}

describe('a sidecar', () => {
  it('passes every line but those that no sidecar passes', () => {
    expect(judged()).toEqual({ fail: ['admin-reads-only'], unknown: ['database-private'], left: 4 })
  })

  it("passes them with Istio's telemetry as well, which an Envoy without istio-proxy's own filters refuses", () => {
    const { fail, unknown } = judged(({ http }) => {
      const stats = { name: 'istio.stats', typed_config: { '@type': 'type.googleapis.com/stats.PluginConfig' } }
      const typed_config = { '@type': 'type.googleapis.com/udpa.type.v1.TypedStruct', type_url: `${ISTIO}.peer_metadata.Config`, value: {} }
      http['http_filters'].splice(-2, 0, stats)
      http['http_filters'].splice(2, 0, { name: 'istio.metadata_exchange', typed_config })
    })
    expect([fail, unknown]).toEqual([['admin-reads-only'], ['database-private']])
  })

  const ROWS: readonly { name: string; lines: readonly string[]; change: (parts: Parts) => unknown }[] = [
    {
      name: 'metrics on every path, which is all of its admin interface',
      lines: ['every-way-asks'],
      change: ({ bootstrap }) => Object.assign(managerOf(bootstrap, 0)['virtual_hosts'][0].routes[0].match, { prefix: '/' })
    },
    {
      name: 'readiness of something that is not the agent',
      lines: ['every-way-asks'],
      change: ({ bootstrap }) => Object.assign(socketOf(bootstrap['static_resources'].clusters[1]), { port_value: 6333 })
    },
    {
      name: 'metrics of another admin interface',
      lines: ['every-way-asks'],
      change: ({ bootstrap }) => Object.assign(socketOf(bootstrap['static_resources'].clusters[0]), { address: '10.0.0.1' })
    },
    {
      name: 'a listener for its own calls that is bound to a port',
      lines: ['every-way-asks'],
      change: ({ outbound }) => {
        for (const one of outbound) delete one['bind_to_port']
      }
    },
    {
      name: 'a listener that comes inward and hands connections on to those for its own calls',
      lines: ['every-way-asks'],
      change: ({ inbound }) => Object.assign(inbound, { use_original_dst: true })
    },
    {
      name: 'an end of the way that leads somewhere',
      lines: ['every-way-asks'],
      change: ({ cluster }) => Object.assign(cluster('BlackHoleCluster'), { load_assignment: { endpoints: [] } })
    },
    {
      name: 'a headless Service, of which Istio makes a cluster that no question reaches',
      lines: ['authz-replicas'],
      change: ({ cluster }) => Object.assign(cluster(VECAUTHZ), { type: 'ORIGINAL_DST' })
    },
    {
      name: 'any workload of the trust domain for vecauthz',
      lines: ['authz-proven'],
      change: ({ cluster }) => {
        const { common_tls_context: tls } = cluster(VECAUTHZ)['transport_socket'].typed_config
        tls.combined_validation_context.default_validation_context.match_subject_alt_names = [{ prefix: 'spiffe://example.org/' }]
      }
    },
    {
      name: 'a fault that is told to do something',
      lines: ['nothing-after'],
      change: ({ http }) => Object.assign(filterOf(http, 'envoy.filters.http.fault'), { max_active_faults: 1, abort: {} })
    },
    {
      name: 'a condition that another provider notes',
      lines: ['every-request-asked'],
      change: ({ http }) => {
        filterOf(http, 'envoy.filters.http.ext_authz')['filter_enabled_metadata'].value.string_match.prefix = 'istio-ext-authz-other'
      }
    },
    {
      name: 'no guard',
      lines: ['guard'],
      change: ({ http }) => {
        http['http_filters'] = http['http_filters'].filter(({ name }: Loose) => name !== 'vecauthz.guard')
      }
    }
  ]
  it.each(ROWS)('fails with $name: $lines', ({ lines, change }) => {
    expect(judged(change).fail).toEqual(expect.arrayContaining([...lines]))
    expect(judged().fail).not.toEqual(expect.arrayContaining([...lines]))
  })

  it('asks whoever its endpoints say, and nobody knows without them', () => {
    expect(judged(({ configs }) => delete configs[2]?.['dynamic_endpoint_configs']).unknown).toEqual([
      'answer-in-time',
      'body-limit',
      'database-private'
    ])
  })
})

function managerOf(bootstrap: Loose, index: number): Loose {
  return bootstrap['static_resources'].listeners[index].filter_chains[0].filters[0].typed_config.route_config
}

function socketOf(cluster: Loose): Loose {
  return cluster['load_assignment'].endpoints[0].lb_endpoints[0].endpoint.address.socket_address
}

function filterOf(http: Loose, name: string): Loose {
  return http['http_filters'].find((one: Loose) => one['name'] === name).typed_config
}
