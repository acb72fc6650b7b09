import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

/** spire/*.conf without SPIRE: their shape, and what must stand in them. SPIRE itself reads them in test/integration/spire-entries.test.ts. */

interface Block {
  readonly fields: Map<string, string>
  /** By name and labels: `NodeAttestor "join_token"`. */
  readonly blocks: Map<string, Block>
}

/** HCL as these files use it: blocks, and fields with a text, number or flag. @throws Error for anything else */
function readHcl(text: string): Block {
  const tokens = text.replaceAll(/^\s*#.*$/gm, '').match(/"[^"\n]*"|[A-Za-z_][\w-]*|\d+|[{}=]|[^\s]/g) ?? []
  let at = 0
  const next = () => tokens[at++] ?? expect.fail('the file ends within a block')
  const block = (end: string | undefined): Block => {
    const found: Block = { fields: new Map(), blocks: new Map() }
    while (at < tokens.length && tokens[at] !== end) {
      const names = [next()]
      while (tokens[at]?.startsWith('"')) names.push(next())
      const sign = next()
      if (sign === '=') {
        if (found.fields.has(names.join(' '))) expect.fail(`${names} twice`)
        found.fields.set(names.join(' '), next().replaceAll('"', ''))
      } else if (sign === '{') {
        found.blocks.set(names.join(' '), block('}'))
        expect(next()).toBe('}')
      } else expect.fail(`${sign} after ${names}`)
    }
    return found
  }
  return block(undefined)
}

const read = (file: string) => readHcl(readFileSync(join(import.meta.dirname, '../../spire', file), 'utf8'))
const plugin = (file: string, name: string) => read(file).blocks.get('plugins')?.blocks.get(name)?.blocks.get('plugin_data')
const SERVERS = ['server.conf', 'x509pop/server.conf', 'federation/partner.conf']
const AGENTS = ['agent.conf', 'x509pop/agent.conf']

describe.each(SERVERS)('%s', (file) => {
  const server = read(file).blocks.get('server')
  it('gives SVIDs of an hour, which the Envoy files are written for, with keys that vecauthz takes', () => {
    expect(server?.fields.get('default_x509_svid_ttl')).toBe('1h')
    expect(server?.fields.get('jwt_key_type')).toBe('ec-p256')
  })
  it('is reached from this host only, as it is shipped', () => expect(server?.fields.get('bind_address')).toBe('127.0.0.1'))
})

describe.each(AGENTS)('%s', (file) => {
  const agent = read(file).blocks.get('agent')
  it('knows its server from the first moment', () => {
    expect(agent?.fields.get('trust_bundle_path')).toMatch(/^\/etc\/spire\//)
    expect(agent?.fields.has('insecure_bootstrap')).toBe(false)
  })
  it('offers its socket where the Envoy files look for it', () => {
    const envoy = readFileSync(join(import.meta.dirname, '../../envoy/spire/gateway.yaml'), 'utf8')
    expect(envoy).toContain(agent?.fields.get('socket_path'))
  })
  it('tells workloads apart', () => expect(plugin(file, 'WorkloadAttestor "unix"')?.fields.get('discover_workload_path')).toBe('true'))
})

it('server and agent of a pair meet: the same trust domain, port and attestor', () => {
  for (const [folder, attestor] of [
    ['', 'NodeAttestor "join_token"'],
    ['x509pop/', 'NodeAttestor "x509pop"']
  ] as const) {
    const [server, agent] = [read(`${folder}server.conf`).blocks.get('server'), read(`${folder}agent.conf`).blocks.get('agent')]
    expect(agent?.fields.get('trust_domain')).toBe(server?.fields.get('trust_domain'))
    expect(agent?.fields.get('server_port')).toBe(server?.fields.get('bind_port'))
    expect([plugin(`${folder}server.conf`, attestor), plugin(`${folder}agent.conf`, attestor)]).not.toContain(undefined)
  }
})

it('agents known by a certificate have IDs that later releases take', () => {
  expect(plugin('x509pop/server.conf', 'NodeAttestor "x509pop"')?.fields.get('agent_path_template')).toMatch(/^\/x509pop\//)
})
