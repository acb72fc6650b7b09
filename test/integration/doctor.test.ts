import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { type Bootstrap, type Config, httpFilterOf, httpOf, type Listener, named } from '../../demo/envoy-config.ts'
import { HOST, INDEXER, SUPPORT, TRUST_DOMAIN } from '../../demo/identities.ts'
import { type Pair, startPair } from '../../demo/pair.ts'
import { type ServerProcess, type Stack, startStack } from '../../demo/stack.ts'
import { namedPath } from '../../demo/step.ts'
import { policyCommand } from '../../src/commands.ts'
import { settingsSchema } from '../../src/config/settings-schema.ts'
import { attack } from '../../src/doctor/attack.ts'
import { startWitness, type Witness } from '../../src/doctor/attack-witness.ts'
import { readDocument } from '../../src/doctor/document.ts'
import { judge } from '../../src/doctor/judge.ts'
import { applyFix, type Loose } from '../support/shipped-envoy.ts'

/** The doctor at the demo's own Envoys, and at listeners with one hole each: found in the configuration, and walked through. */

const AUTHZ = 'envoy.filters.http.ext_authz'
const GUARD = 'envoy.filters.http.rbac'
const STRIP = 'envoy.filters.http.header_mutation'
const PER_ROUTE = 'type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute'

interface Hole {
  readonly name: string
  readonly open: (listener: Listener) => unknown
  /** What the configuration fails. */
  readonly lines: readonly string[]
  /** What gets through, at least. */
  readonly through: readonly RegExp[]
}

const tls = (listener: Listener): Config => listener['filter_chains'][0].transport_socket.typed_config
const without = (listener: Listener, name: string) => {
  const http = httpOf(listener)
  http['http_filters'] = http['http_filters'].filter((one: Config) => one['name'] !== name)
}

const HOLES: readonly Hole[] = [
  {
    name: 'fail-open, vecauthz gone, no guard',
    open: (listener) => {
      const authz = httpFilterOf(listener, AUTHZ)
      authz['failure_mode_allow'] = true
      authz['grpc_service'].envoy_grpc.cluster_name = 'gone'
      without(listener, GUARD)
    },
    lines: ['fail-closed', 'guard'],
    through: [/^another tenant's data/, /^the same, deleted/, /nobody listed/]
  },
  {
    name: 'a route that a header selects skips the question, no guard',
    open: (listener) => {
      const skip = { [AUTHZ]: { '@type': PER_ROUTE, disabled: true } }
      const match = { prefix: '/', headers: [{ name: 'x-debug', present_match: true }] }
      httpOf(listener)['route_config'].virtual_hosts[0].routes.unshift({
        match,
        route: { cluster: 'witness' },
        typed_per_filter_config: skip
      })
      without(listener, GUARD)
    },
    lines: ['no-route-skips', 'guard'],
    through: [/^the same with x-debug/]
  },
  {
    name: 'the same with the guard, which reads what a header of the client says',
    open: (listener) => {
      const skip = { [AUTHZ]: { '@type': PER_ROUTE, disabled: true } }
      const match = { prefix: '/', headers: [{ name: 'x-debug', present_match: true }] }
      httpOf(listener)['route_config'].virtual_hosts[0].routes.unshift({
        match,
        route: { cluster: 'witness' },
        typed_per_filter_config: skip
      })
      const on_header_present = { metadata_namespace: AUTHZ, key: 'verdict', value: 'allow' }
      const typed_config = {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config',
        request_rules: [{ header: 'x-debug', on_header_present }]
      }
      httpOf(listener)['http_filters'].unshift({ name: 'notes', typed_config })
    },
    lines: ['no-route-skips', 'guard'],
    through: [/^the same with x-debug/]
  },
  {
    name: 'shadow mode, no guard',
    open: (listener) => {
      httpFilterOf(listener, AUTHZ)['shadow_mode'] = true
      without(listener, GUARD)
    },
    lines: ['every-request-asked', 'guard'],
    through: [/^another tenant's data/, /XFCC/]
  },
  {
    name: 'nothing is stripped',
    open: (listener) => without(listener, STRIP),
    lines: ['strip-tenant', 'strip-decision', 'strip-envoy', 'strip-overrides', 'strip-forwarded', 'strip-credentials'],
    through: [/x-original-url/, /x-real-ip/]
  },
  {
    name: 'connections of any kind',
    open: (listener) => {
      delete tls(listener)['require_client_certificate']
      // Envoy's SPIFFE validator asks for a certificate by itself.
      delete tls(listener)['common_tls_context'].validation_context_sds_secret_config
      delete tls(listener)['disable_stateless_session_resumption']
      delete tls(listener)['disable_stateful_session_resumption']
      tls(listener)['common_tls_context'].tls_params.tls_minimum_protocol_version = 'TLSv1_2'
    },
    lines: ['client-certificate', 'certificate-checked', 'no-resumption', 'tls-1.3'],
    through: [/without a certificate/, /signed by ourselves/, /resumed/, /TLS 1\.2/]
  },
  {
    // An upgrade gets no further than vecauthz, which takes none.
    name: 'headers, targets and upgrades of any kind',
    open: (listener) => {
      const http = httpOf(listener)
      delete http['common_http_protocol_options'].headers_with_underscores_action
      delete http['http_protocol_options']
      http['upgrade_configs'] = [{ upgrade_type: 'websocket' }]
    },
    lines: ['underscores', 'absolute-form', 'no-upgrades'],
    through: [/underscores/, /absolute form/]
  },
  {
    name: 'requests that never end',
    open: (listener) => {
      delete httpOf(listener)['request_timeout']
    },
    lines: ['requests-end'],
    through: [/never ends/]
  }
]

let stack: Stack
let pair: Pair
let witness: Witness

beforeAll(async () => {
  witness = await startWitness('127.0.0.1', 0)
  const folder = join(import.meta.dirname, '../../.run/test-doctor')
  stack = await startStack({ folder, say: () => undefined, envoy: { edit: withHoles } })
  pair = await startPair(stack, { say: () => undefined })
}, 120_000)

afterAll(async () => {
  await pair?.stop()
  await stack?.stop()
  await witness?.close()
})

/** Beside the shipped listener: one that leads to the witness, and one for each hole. */
function withHoles(bootstrap: Bootstrap): void {
  const { listeners, clusters } = bootstrap.static_resources
  const shipped = named(listeners, 'gateway_in')
  const leads = (name: string, as: string, port: number) => {
    const cluster: Config & { name: string } = { ...structuredClone(named(clusters, as)), name }
    cluster['load_assignment'].endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value = port
    clusters.push(cluster)
  }
  leads('witness', 'chroma', witness.port)
  leads('gone', 'vecauthz', 1)
  for (const { name, open } of [{ name: 'safe', open: () => undefined }, ...HOLES]) {
    const variant: Listener = { ...structuredClone(shipped), name }
    const http = httpOf(variant)
    http['stat_prefix'] = name
    // Shorter than the doctor waits, so that it sees the end of what never ends.
    http['request_timeout'] = '1s'
    for (const { route } of http['route_config'].virtual_hosts[0].routes) route.cluster = 'witness'
    open(variant)
    listeners.push(variant)
  }
}

async function doctor(...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const run = policyCommand('doctor', { print: (text) => void out.push(text), complain: (text) => void err.push(text) })
  return { code: await run?.(args), out: out.join(''), err: err.join('') }
}

/** The settings that a server was started with, with the port that it then had. */
function settingsOf(folder: string, name: string, server: ServerProcess): string {
  const settings = parse(readFileSync(join(folder, `${name}.yaml`), 'utf8'))
  const file = join(stack.folder, `doctor-${name}.yaml`)
  writeFileSync(file, stringify({ ...settings, listen: `127.0.0.1:${server.port}` }))
  return file
}

function attacked(listener: string, stallMs?: number) {
  const { cert, key } = stack.credentials(SUPPORT)
  const door = {
    host: '127.0.0.1',
    port: stack.envoy.port(listener),
    tls: true,
    name: HOST,
    cert,
    key,
    ca: stack.issuer.bundlePem(TRUST_DOMAIN)
  }
  const foreign = stack.issuer.issueOdd({ kind: 'foreign-authority', id: SUPPORT })
  let count = 0
  const given = {
    door,
    read: namedPath('acme'),
    forbidden: namedPath('globex'),
    witness,
    forged: { cert: foreign.chainPem, key: foreign.keyPem },
    bodyBytes: 1_048_576,
    database: undefined,
    authz: `127.0.0.1:${stack.server.port}`,
    admin: stack.envoy.adminUrl.slice('http://'.length),
    stallMs
  }
  return attack(given, () => `${listener}-${count++}`.replaceAll(/[^a-z0-9-]/g, ''))
}

const dumpOf = async (url: string) => {
  const read = readDocument(await (await fetch(`${url}/config_dump`)).text())
  if (!read.ok) throw new Error(read.says)
  return read.document
}

describe('running Envoys', () => {
  it('are found out where somebody was careless: the host by which the demo tells its index a role', async () => {
    const config = settingsOf(join(stack.folder, 'pair'), 'index', pair.indexes[0])
    const admin = readFileSync(join(stack.folder, 'pair/index-1/index.admin'), 'utf8').trim()
    const { code, out } = await doctor(`http://${admin}`, '--config', config, '--brief')
    expect(out).toMatch(/in front of the databases \(gateway or index\)\n[\s\S]*\n67 PASS, 1 FAIL, 0 CANNOT TELL/)
    expect(out).toMatch(/^FAIL .*\[role-by-port\]\n.*\n.*virtual_hosts\[careless\]/m)
    expect(code).toBe(1)
  })

  it('pass: egress', async () => {
    const config = settingsOf(join(stack.folder, 'pair'), 'egress', pair.egress)
    const { code, out } = await doctor(pair.agents.indexer.adminUrl, '--config', config, '--brief')
    expect(out).toMatch(/beside an agent, and asks \(egress\)\n[\s\S]*\n61 PASS, 0 FAIL, 0 CANNOT TELL/)
    expect(code).toBe(0)
  })
})

describe('a listener as shipped', () => {
  it('lets nothing through, and the doctor finds nothing at it', async () => {
    const report = await attacked('safe', 2_500)
    expect(report.control).toEqual({ passed: true, says: 'it passes' })
    expect(report.steps.filter(({ outcome }) => outcome !== 'held')).toEqual([])
    expect(report.steps.length).toBeGreaterThan(30)
    expect(report.untried).toEqual(["the database's own port"])
  })

  it('nor to the database itself, as the command says', async () => {
    const { cert, key } = stack.credentials(SUPPORT)
    const files = { svid: cert, key, bundle: stack.issuer.bundlePem(TRUST_DOMAIN) }
    const paths = Object.entries(files).flatMap(([name, text]) => {
      writeFileSync(join(stack.folder, `${name}.pem`), text)
      return [`--${name}`, join(stack.folder, `${name}.pem`)]
    })
    const target = ['--host', HOST, '--read', namedPath('acme'), '--forbidden', namedPath('globex')]
    const { code, out, err } = await doctor('--attack', `https://127.0.0.1:${stack.envoy.port('gateway_in')}`, ...target, ...paths)
    expect(err).toBe('')
    expect(out).toMatch(/^the read that is allowed: it passes\n/)
    expect(out).not.toMatch(/^(GOT THROUGH|CANNOT TELL)/m)
    expect(code).toBe(0)
    const open = await doctor(
      '--attack',
      `https://127.0.0.1:${stack.envoy.port('gateway_in')}`,
      ...target,
      ...paths,
      '--database',
      stack.chromaUrl.slice(7)
    )
    expect(open.out).toMatch(/^GOT THROUGH {2}the database's own port/m)
    expect(open.code).toBe(1)
  })
})

it('an egress as shipped lets nothing through either', async () => {
  const door = {
    host: '127.0.0.1',
    port: pair.agents.indexer.port('egress_in'),
    tls: false,
    name: HOST,
    cert: undefined,
    key: undefined,
    ca: undefined
  }
  let count = 0
  const { control, steps } = await attack(
    {
      door,
      read: namedPath('acme'),
      forbidden: namedPath('globex'),
      witness: undefined,
      forged: undefined,
      bodyBytes: 1_048_576,
      database: undefined,
      authz: undefined,
      admin: pair.agents.indexer.adminUrl.slice('http://'.length),
      stallMs: undefined
    },
    () => `egress-${count++}`
  )
  expect(control).toEqual({ passed: true, says: 'it passes' })
  expect(steps.filter(({ outcome }) => outcome !== 'held')).toEqual([])
  expect(steps.length).toBeGreaterThan(20)
})

it('nor does an index, to whom nobody comes without a policy token: not even with the read that is allowed', async () => {
  const { cert, key } = stack.credentials(INDEXER)
  const [{ port, ca }] = pair.doors
  let count = 0
  const { control, steps } = await attack(
    {
      door: { host: '127.0.0.1', port, tls: true, name: HOST, cert, key, ca },
      read: namedPath('acme'),
      forbidden: namedPath('globex'),
      witness: undefined,
      forged: undefined,
      bodyBytes: 1_048_576,
      database: undefined,
      authz: `127.0.0.1:${pair.indexes[0].port}`,
      admin: undefined,
      stallMs: undefined
    },
    () => `index-${count++}`
  )
  expect(control).toEqual({ passed: false, says: 'vecauthz: 401' })
  expect(steps.filter(({ outcome }) => outcome === 'got-through')).toEqual([])
})

describe.each(HOLES)('$name', ({ name, lines, through }) => {
  const findings = async () => {
    const document = await dumpOf(stack.envoy.adminUrl)
    const value = structuredClone(document.root.value) as Loose
    const { listeners } = value['static_resources']
    value['static_resources'].listeners = listeners.filter((one: Loose) => one['name'] === name)
    const lanes = [settingsOf(stack.folder, 'vecauthz', stack.server), settingsOf(stack.folder, 'vecauthz-writes', stack.writes)]
    return { value, servers: lanes.map((file) => ({ file, settings: settingsSchema.parse(parse(readFileSync(file, 'utf8'))) })) }
  }
  const failing = (value: Loose, servers: Parameters<typeof judge>[1]) =>
    judge({ root: { value, path: [] }, missing: [] }, servers).judged.filter(({ verdict }) => verdict === 'fail')

  it('is found in the configuration of the running Envoy, and gone after the fix', async () => {
    const { value, servers } = await findings()
    expect(failing(value, servers).map(({ check }) => check.id)).toEqual(lines)
    while (failing(value, servers).length > 0) {
      const [first] = failing(value, servers)
      for (const { fix } of first?.findings ?? []) if (fix !== undefined) applyFix(value, fix)
    }
    expect(failing(value, servers)).toEqual([])
  })

  it('is walked through', async () => {
    const { steps } = await attacked(name, lines.includes('requests-end') ? 2_500 : undefined)
    const got = steps.filter(({ outcome }) => outcome === 'got-through').map((step) => step.name)
    for (const one of through) expect(got).toContainEqual(expect.stringMatching(one))
    const expected = steps.filter(({ outcome, line }) => outcome === 'got-through' && !lines.includes(line))
    if (!lines.includes('guard')) expect(expected).toEqual([])
  })
})
