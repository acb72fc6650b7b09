import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Bootstrap, type Config, httpFilterOf, httpOf, named, readBootstrap } from '../demo/envoy-config.ts'
import type { ProbeGrant } from '../src/core/decision.ts'
import { DIALECTS } from '../src/databases/dialects.ts'
import { type AllowAnswer, allowAnswer, egressAnswer } from '../src/verdict/answer.ts'
import { callerOf } from './support/grants.ts'
import { KEPT, STRIPPED } from './support/stripped-headers.ts'

/** The pair's files line by line: each is the line of gateway.yaml or agent-sidecar.yaml, whose tests hold it, or stands here. */

const read = (file: string) => readBootstrap(join(import.meta.dirname, '../envoy', file))
const [gateway, sidecar, index, egress] = ['gateway.yaml', 'agent-sidecar.yaml', 'index.yaml', 'egress.yaml'].map(read) as [
  Bootstrap,
  Bootstrap,
  Bootstrap,
  Bootstrap
]
const listener = (b: Bootstrap) => b.static_resources.listeners[0] as Bootstrap['static_resources']['listeners'][number]
const cluster = (b: Bootstrap, name: string) => named(b.static_resources.clusters, name)
const authz = (b: Bootstrap) => httpFilterOf(listener(b), 'envoy.filters.http.ext_authz')
const mutations = (b: Bootstrap): Config[] => httpFilterOf(listener(b), 'envoy.filters.http.header_mutation')['mutations'].request_mutations

/** A copy with values set at paths; `undefined` takes a line out. A path that leads nowhere is an error. */
function changed<T extends Config>(config: T, changes: Readonly<Record<string, unknown>>): T {
  const copy = structuredClone(config)
  for (const [path, value] of Object.entries(changes)) {
    const keys = path.split('/')
    const last = keys.pop() as string
    const parent = keys.reduce((at: Config, key) => at[key] ?? expect.fail(`${path} leads nowhere`), copy)
    if (value === undefined) delete parent[last]
    else (parent as Record<string, unknown>)[last] = value
  }
  return copy
}

const HTTP = 'filter_chains/0/filters/0/typed_config'
const AUTHZ = `${HTTP}/http_filters/2/typed_config`
const SAN =
  'transport_socket/typed_config/common_tls_context/combined_validation_context/default_validation_context/match_typed_subject_alt_names/0/matcher/exact'
const PORT = 'load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/port_value'
const OURS = ['x-vecauthz-policy-token', 'x-vecauthz-subject-token', 'x-vecauthz-purpose', 'x-vecauthz-run']

/** What is tested for its meaning below, and copied here. */
const expressions = (b: Bootstrap) => ({
  [`${HTTP}/http_filters/1/typed_config/mutations/request_mutations/1`]: mutations(b)[1],
  [`${HTTP}/http_filters/1/typed_config/mutations/request_mutations/8`]: mutations(b)[8],
  [`${AUTHZ}/decoder_header_mutation_rules/allow_expression/regex`]: authz(b)['decoder_header_mutation_rules'].allow_expression.regex
})

describe('index.yaml', () => {
  it('is gateway.yaml with another vecauthz, and takes tokens away once more after the answer', () => {
    const asked = (port: number) => ({ [SAN]: 'spiffe://demo.vecauthz.test/vecauthz/index', [PORT]: port })
    const expected = changed(gateway, { 'node/id': 'vecauthz-index', 'node/cluster': 'vecauthz-index' })
    expected.admin.address.socket_address.port_value = 9905
    expected.static_resources.listeners = [
      changed(listener(gateway), {
        name: 'index_in',
        'address/socket_address/port_value': 8444,
        [`${HTTP}/stat_prefix`]: 'index_in',
        [`${HTTP}/access_log/0/typed_config/log_format/json_format/hop`]: 'index',
        [`${HTTP}/route_config/request_headers_to_remove`]: OURS
      })
    ]
    expected.static_resources.clusters = gateway.static_resources.clusters.map((one) => {
      const port = { vecauthz: 9921, vecauthz_writes: 9931 }[one.name]
      return port === undefined ? one : changed(one, asked(port))
    })
    expect(index).toEqual(expected)
  })
})

describe('egress.yaml', () => {
  it('is bounded as gateway.yaml is', () => {
    const own = (b: Bootstrap) => changed(b, { static_resources: {} })
    const few = 'overload_manager/resource_monitors/0/typed_config/max_active_downstream_connections'
    const changes = { 'node/id': 'agent-egress', 'node/cluster': 'agent-egress', [few]: 1_000 }
    expect(own(egress)).toEqual(changed(own(gateway), { ...changes, 'admin/address/socket_address/port_value': 9906 }))
  })

  it('has one way in, on loopback, that asks for no certificate, and is gateway.yaml behind it', () => {
    const log = `${HTTP}/access_log/0/typed_config/log_format/json_format`
    const noPeer = ['peer', 'peer_cert_end', 'peer_cert_serial', 'tls'].map((name) => [`${log}/${name}`, undefined])
    const expected = changed(listener(gateway), {
      name: 'egress_in',
      address: { socket_address: { address: '127.0.0.1', port_value: 8200 } },
      'filter_chains/0/transport_socket': undefined,
      'filter_chains/0/transport_socket_connect_timeout': undefined,
      [`${HTTP}/stat_prefix`]: 'egress_in',
      // There is no client certificate here, and a header that claims one goes nowhere.
      [`${HTTP}/forward_client_cert_details`]: 'SANITIZE',
      [`${HTTP}/set_current_client_cert_details`]: undefined,
      [`${AUTHZ}/include_peer_certificate`]: undefined,
      [`${AUTHZ}/include_tls_session`]: undefined,
      ...Object.fromEntries(noPeer),
      [`${log}/hop`]: 'egress',
      // No SVID of a peer that could end: connections of the agent may stay.
      [`${HTTP}/common_http_protocol_options/max_connection_duration`]: undefined,
      [`${HTTP}/drain_timeout`]: undefined,
      // Longer than the index waits, and with less than it takes.
      [`${HTTP}/stream_idle_timeout`]: '40s',
      [`${HTTP}/max_request_headers_kb`]: 16,
      [`${HTTP}/common_http_protocol_options/max_headers_count`]: 90,
      [`${HTTP}/route_config/virtual_hosts`]: httpOf(listener(gateway))['route_config'].virtual_hosts.map(toTheIndex),
      ...expressions(egress)
    })
    expect(egress.static_resources.listeners).toEqual([expected])
  })

  it('asks vecauthz as the gateway does, of another identity', () => {
    const asked = (name: string, port: number) =>
      changed(cluster(gateway, name), { [SAN]: 'spiffe://demo.vecauthz.test/vecauthz/egress', [PORT]: port })
    const own = ['vecauthz', 'vecauthz_writes'].map((name) => cluster(egress, name))
    expect(own).toEqual([asked('vecauthz', 9941), asked('vecauthz_writes', 9951)])
  })

  it('speaks to the index as the sidecar speaks to the gateway', () => {
    const reached = (name: string, as: string) =>
      changed(cluster(sidecar, as), {
        name,
        'load_assignment/cluster_name': name,
        [SAN]: 'spiffe://demo.vecauthz.test/envoy/index',
        [PORT]: 8444
      })
    const names = egress.static_resources.clusters.map(({ name }) => name)
    expect(names).toEqual(['index', 'index_grpc', 'vecauthz', 'vecauthz_writes'])
    expect(egress.static_resources.clusters.slice(0, 2)).toEqual([reached('index', 'gateway'), reached('index_grpc', 'gateway_grpc')])
  })

  it('changes neither path nor host on the way: the token is for them', () => {
    expect(JSON.stringify(egress)).not.toMatch(/rewrite"|rewrite_|host_rewrite|retry_priority|"hash_policy/)
  })

  /** The routes of a database, to the index over the protocol of its port. */
  function toTheIndex(host: Config): Config {
    const routes = host['routes'].map((one: Config) => {
      const { cluster: to, timeout } = one['route']
      const route = {
        cluster: to.endsWith('_grpc') || to === 'milvus' ? 'index_grpc' : 'index',
        timeout: timeout === '30s' ? '35s' : timeout
      }
      return { ...one, route }
    })
    return { ...host, routes }
  }
})

describe('what vecauthz sets and removes is what Envoy lets it change', () => {
  const allowed = (b: Bootstrap) => new RegExp(authz(b)['decoder_header_mutation_rules'].allow_expression.regex)
  const grant = { kind: 'probe', caller: callerOf('spiffe://demo.vecauthz.test/x') } as ProbeGrant
  const namesOf = ({ set, remove }: AllowAnswer) => [...set.map(([name]) => name), ...remove]

  it.each(Object.values(DIALECTS))('at the index for $kind', ({ credentialHeaders }) => {
    const names = namesOf(allowAnswer(grant, 'decision', credentialHeaders, { set: [['dbname', 'x']], remove: ['x-proxy-ext-user'] }))
    expect(names).toEqual(expect.arrayContaining(OURS))
    expect(names.filter((name) => !allowed(index).test(name))).toEqual([])
  })

  it('at egress', () => {
    const names = namesOf(egressAnswer(grant, 'decision', 't.o.k'))
    expect(names).toContain('x-vecauthz-policy-token')
    expect(names.filter((name) => !allowed(egress).test(name))).toEqual([])
  })

  it('and at egress nothing that the token is about, or that the index judges', () => {
    const kept = [
      ':path',
      ':authority',
      ':method',
      'content-type',
      'content-encoding',
      'grpc-encoding',
      'dbname',
      'db-name',
      ...OURS.slice(1)
    ]
    expect(
      Object.values(DIALECTS)
        .flatMap(({ meaningHeaders }) => meaningHeaders)
        .filter((name) => !kept.includes(name))
    ).toEqual([])
    expect(kept.filter((name) => allowed(egress).test(name))).toEqual([])
  })
})

describe.each([
  { file: 'index.yaml', bootstrap: index, input: OURS },
  { file: 'egress.yaml', bootstrap: egress, input: OURS.filter((name) => name !== 'x-vecauthz-policy-token') }
])('headers that come to $file', ({ bootstrap, input }) => {
  const rules = mutations(bootstrap).map(({ remove, remove_on_match: match }) => {
    const { prefix, safe_regex: expression } = match?.key_matcher ?? {}
    const regex = expression === undefined ? undefined : new RegExp(`^(?:${expression.regex})$`)
    return (name: string) => (regex === undefined ? (prefix === undefined ? remove === name : name.startsWith(prefix)) : regex.test(name))
  })
  const strips = (name: string) => rules.some((rule) => rule(name))

  it('what only Envoy and vecauthz may say is stripped', () => {
    expect([...STRIPPED, 'x-vecauthz', 'x-vecauthz-'].filter((name) => !strips(name))).toEqual([])
  })

  it('what is input stays', () => {
    const plain = KEPT.filter((name) => !name.startsWith('x-vecauthz-'))
    expect([...plain, ...input, 'x-forwarded-proto'].filter(strips)).toEqual([])
    expect(OURS.filter((name) => !strips(name))).toEqual(input)
  })

  it('nothing that is nearly input stays', () => {
    const near = fc.tuple(
      fc.constantFrom(...OURS),
      fc.nat(30),
      fc.string({ unit: fc.constantFrom(...'abcnoprsu-'), maxLength: 2 }),
      fc.nat(2)
    )
    fc.assert(
      fc.property(near, ([name, at, put, cut]) => {
        const from = Math.min(Math.max(at, 'x-vecauthz'.length), name.length)
        const other = name.slice(0, from) + put + name.slice(from + cut)
        expect(strips(other)).toBe(!input.includes(other))
      })
    )
  })
})
