import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import {
  applyOverrides,
  type Bootstrap,
  type Config,
  type EnvoyOverrides,
  httpFilterOf,
  named,
  readBootstrap,
  renderBootstrap
} from '../demo/envoy-config.ts'
import type { ProbeGrant } from '../src/core/decision.ts'
import { HEADERS_MAX } from '../src/core/limits.ts'
import { DIALECTS } from '../src/databases/dialects.ts'
import { allowAnswer } from '../src/verdict/answer.ts'
import { GATEWAY_POINTS } from './support/envoy-gateway-points.ts'
import { holds, type Points, SIDECAR_POINTS } from './support/envoy-points.ts'
import { callerOf } from './support/grants.ts'

/** The safe-deployment list, point by point, held against the shipped files; a line that is taken away fails here. */

const FILES: readonly { file: string; points: Points }[] = [
  { file: 'gateway.yaml', points: GATEWAY_POINTS },
  { file: 'agent-sidecar.yaml', points: SIDECAR_POINTS }
]
const SHIPPED = new Map(FILES.map(({ file }) => [file, readBootstrap(join(import.meta.dirname, '../envoy', file))]))
const read = (file: string) => structuredClone(SHIPPED.get(file)) as Bootstrap

/** Lines that protect nothing: names, addresses, and what the access log says. The log has points of its own. */
const FREE = /access_log|stat_prefix|\.address|@type|load_assignment|dns_lookup_family|\.name$/

describe.each(FILES)('$file', ({ file, points }) => {
  it.each(Object.entries(points))('%s', (_, point) => {
    expect(holds(point, read(file))).toBe(true)
  })

  it('has no line that could go without a point failing', () => {
    const free = pathsOf(read(file)).filter((path) => {
      const bootstrap = read(file)
      remove(bootstrap, path)
      return Object.values(points).every((point) => holds(point, bootstrap))
    })
    expect(free.map((path) => path.join('.')).filter((path) => !FREE.test(path))).toEqual([])
  })
})

describe('gateway.yaml and vecauthz', () => {
  const rules = httpFilterOf(named(read('gateway.yaml').static_resources.listeners, 'gateway_in'), 'envoy.filters.http.ext_authz')
  const allowed = new RegExp(rules['decoder_header_mutation_rules'].allow_expression.regex)
  const grant = { kind: 'probe', caller: callerOf('spiffe://demo.vecauthz.test/x') } as ProbeGrant

  it.each(Object.values(DIALECTS))('what vecauthz sets and removes for $kind is what Envoy lets it change', ({ credentialHeaders }) => {
    const { set, remove } = allowAnswer(grant, 'decision', credentialHeaders)
    const names = [...set.map(([name]) => name), ...remove]
    expect(names.length).toBeGreaterThan(5)
    expect(names.filter((name) => !allowed.test(name))).toEqual([])
  })

  it.each(['content-length', ':method', ':authority', 'host', 'transfer-encoding', 'content-type', 'x-tenant-id2', 'x-vecauthz-tenant2'])(
    'Envoy lets nobody change %s',
    (name) => expect(allowed.test(name)).toBe(false)
  )

  it('Envoy forwards fewer headers than vecauthz reads, with those that Envoy itself adds', () => {
    expect(HEADERS_MAX).toBeGreaterThan(100 + ':method :path :scheme :authority x-forwarded-client-cert x-request-id'.split(' ').length)
  })
})

describe('overrides', () => {
  const overridden = (overrides: EnvoyOverrides) => {
    const bootstrap = read('gateway.yaml')
    applyOverrides(bootstrap, overrides)
    return bootstrap
  }
  const portOf = ({ address }: Config) => address.socket_address.port_value

  it('leave the choice of ports to the kernel, but for those that are named', () => {
    const { admin, static_resources } = overridden({ ports: { gateway_in: 8443 } })
    expect([portOf(admin), ...static_resources.listeners.map(portOf)]).toEqual([0, 8443])
  })

  it('lead one cluster elsewhere and leave the others where they were', () => {
    const { clusters } = overridden({ upstreams: { chroma: { address: 'chroma.test', port: 1 } } }).static_resources
    const addresses = clusters.map((cluster) => cluster['load_assignment'].endpoints[0].lb_endpoints[0].endpoint.address.socket_address)
    expect(addresses).toEqual([
      { address: 'chroma.test', port_value: 1 },
      ...[8080, 50051, 19530, 6333, 6334].map((port_value) => ({ address: '127.0.0.1', port_value })),
      { address: '127.0.0.1', port_value: 9901 },
      { address: '127.0.0.1', port_value: 9911 }
    ])
  })

  it('shorten the age of connections on both sides', () => {
    const text = renderBootstrap(overridden({ maxConnectionSeconds: 7 }))
    expect(text.match(/max_connection_duration: .*/g)).toEqual(Array(3).fill('max_connection_duration: 7s'))
  })

  it.each([
    { name: 'a listener', overrides: { ports: { gateway: 1 } }, says: 'There is no listener gateway to override, but: admin, gateway_in' },
    {
      name: 'a cluster',
      overrides: { upstreams: { db: { address: '', port: 1 } } },
      says: 'There is no cluster db to override, but: chroma, weaviate, weaviate_grpc, milvus, qdrant, qdrant_grpc, vecauthz, vecauthz_writes'
    }
  ])('for $name that is not there are an error', ({ overrides, says }) => {
    expect(() => overridden(overrides)).toThrow(says)
  })

  it('of nothing change nothing but ports', () => {
    const rendered = parse(renderBootstrap(overridden({ ports: { admin: 9903, gateway_in: 8443 } })))
    expect(rendered).toEqual(read('gateway.yaml'))
  })

  it('are asked of an Envoy file only', () => {
    expect(() => readBootstrap(join(import.meta.dirname, '../demo/config/policy.yaml'))).toThrow('is no Envoy bootstrap')
  })
})

function pathsOf(value: unknown): string[][] {
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, one]) => [[key], ...pathsOf(one).map((path) => [key, ...path])])
}

function remove(bootstrap: Bootstrap, path: readonly string[]): void {
  const last = path.at(-1) ?? ''
  const parent = path.slice(0, -1).reduce((config: Config, key) => config[key], bootstrap)
  if (Array.isArray(parent)) parent.splice(Number(last), 1)
  else delete parent[last]
}
