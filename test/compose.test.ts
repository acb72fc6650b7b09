/** What compose/ must hold whatever is edited in it: every service is small, local, checked and without keys of anybody's. */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { MEMBERS, profilesOf, USERS } from '../compose/roster.ts'
import { CHROMA_VERSION, ENVOY_VERSION } from '../setup/components.ts'

const ROOT = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')

interface Service {
  readonly image: string
  readonly build?: { readonly target: string }
  readonly user?: string
  readonly read_only?: boolean
  readonly cap_drop?: readonly string[]
  readonly cap_add?: readonly string[]
  readonly privileged?: boolean
  readonly security_opt?: readonly string[]
  readonly pid?: string
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly networks?: readonly string[]
  readonly network_mode?: string
  readonly healthcheck?: { readonly test: readonly string[] }
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly restart?: string
}

const document = parse(read('compose/compose.yaml'), { merge: true, maxAliasCount: -1 }) as {
  readonly services: Readonly<Record<string, Service>>
  readonly networks: Readonly<Record<string, { readonly internal?: boolean } | null>>
}
const services = Object.entries(document.services)

describe('compose.yaml', () => {
  it('has the services that it is about', () => {
    expect(services.length).toBeGreaterThanOrEqual(20)
  })

  it.each(services)('%s: read-only, without capabilities, without new privileges, checked', (_, service) => {
    expect(service.read_only).toBe(true)
    expect(service.cap_drop).toEqual(['ALL'])
    expect(service.cap_add).toBeUndefined()
    expect(service.privileged).toBeUndefined()
    expect(service.security_opt).toEqual(['no-new-privileges:true'])
    expect(service.healthcheck?.test[0]).toBe('CMD')
  })

  it.each(services.filter(([name]) => name !== 'chroma'))('%s runs as a user of its own, not as root', (_, { user }) => {
    expect(user).toMatch(/^[1-9]\d*:[1-9]\d*$/)
  })

  it.each(services)('%s names an image of one version', (_, { image }) => {
    expect(image).toMatch(/^[a-z0-9./-]+:v?\d+\.\d+\.\d+(-[a-z]+)?(\$\{VECAUTHZ_DIGESTS-@sha256:[0-9a-f]{64}\})?$/)
  })

  it('publishes ports on 127.0.0.1 only, and none of a database, of Redis or of a server', () => {
    const published = services.flatMap(([name, { ports = [] }]) => ports.map((port) => `${name} ${port}`))
    expect(published.map((one) => one.replace(/\$\{\w+:-(\d+)\}/, '$1'))).toEqual([
      'gateway-envoy 127.0.0.1:8443:8443',
      'index-envoy 127.0.0.1:8444:8444'
    ])
  })

  it('has one network with a way out, for what is published', () => {
    expect(
      Object.entries(document.networks)
        .filter(([, one]) => one?.internal !== true)
        .map(([name]) => name)
    ).toEqual(['front'])
  })

  it('keeps databases, state and SPIRE away from agents', () => {
    const agents = services.filter(([, { networks = [] }]) => networks.includes('agents')).map(([name]) => name)
    expect(agents.sort()).toEqual(['index-envoy', 'index-envoy-2', 'indexer-envoy', 'scenario', 'trials-envoy', 'vecauthz-egress'])
    for (const name of ['indexer-envoy', 'trials-envoy']) expect(document.services[name]?.networks).toEqual(['agents'])
    for (const name of ['indexer', 'trials']) expect(document.services[name]?.network_mode).toBe(`service:${name}-envoy`)
  })

  it('lets one service see the processes of the host, and says why', () => {
    expect(services.filter(([, { pid }]) => pid !== undefined).map(([name]) => name)).toEqual(['spire-agent'])
    expect(read('compose/compose.yaml')).toMatch(/# It attests the process[^\n]*\n(\s+#[^\n]*\n)*\s+pid: host/)
  })

  it('mounts no folder of the host but the two files of SPIRE, and no socket of the engine', () => {
    const mounts = services.flatMap(([, { volumes = [] }]) => volumes).filter((one) => /^[./~]/.test(one))
    expect(mounts.sort()).toEqual([
      './spire-agent.conf:/etc/spire/agent/agent.conf:ro',
      './spire-server.conf:/etc/spire/server/server.conf:ro'
    ])
  })

  it('waits for what runs once by its success, and starts nothing beside it', () => {
    for (const [name, { restart }] of services) {
      const once = ['bootstrap', 'spire-entries', 'scenario'].includes(name)
      expect(restart, name).toBe(once ? 'no' : 'unless-stopped')
      for (const [, { depends_on = {} }] of services) {
        if (name in depends_on) expect(depends_on[name]?.condition).toBe(once ? 'service_completed_successfully' : 'service_healthy')
      }
    }
  })

  it('gives each identity the user that SPIRE attests', () => {
    const users = new Map(services.map(([name, { user }]) => [name, user?.split(':')[0]]))
    const named = { 'gateway-server': 'vecauthz-gateway', 'egress-server': 'vecauthz-egress', 'index-server': 'vecauthz-index' }
    for (const [member, { user }] of Object.entries(MEMBERS)) {
      expect(users.get(named[member as keyof typeof named] ?? member), member).toBe(String(user))
    }
    expect(users.get('scenario')).toBe(String(USERS.scenario))
    const own = [...Object.values(MEMBERS).map(({ user }) => user), ...Object.values(USERS)]
    expect(new Set(own).size).toBe(own.length)
  })

  it('runs the versions that everything here was tried with', () => {
    expect(document.services['gateway-envoy']?.image).toBe(`envoyproxy/envoy:v${ENVOY_VERSION}`)
    expect(document.services['chroma']?.image).toMatch(`chromadb/chroma:${CHROMA_VERSION}$`)
    const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: Record<string, string> }
    expect(/^ARG NODE_IMAGE=node:([0-9.]+)-/m.exec(read('compose/Dockerfile'))?.[1]).toBe(devDependencies['node'])
  })
})

describe('the profiles', () => {
  it.each([
    ['spire', { identity: 'spire', qdrant: false }],
    ['dev,qdrant', { identity: 'dev', qdrant: true }]
  ])('%s', (text, want) => expect(profilesOf(text)).toEqual(want))

  it.each(['', 'qdrant', 'spire,dev'])('"%s" names no one who gives identities, or two', (text) => {
    expect(() => profilesOf(text)).toThrow('must name one of "spire" and "dev"')
  })
})

describe('what is committed', () => {
  const files = execFileSync('git', ['ls-files', 'compose'], { cwd: ROOT, encoding: 'utf8' }).trim().split('\n')

  it('holds no key and no certificate', () => {
    expect(files.length).toBeGreaterThan(15)
    const keys = files.filter(
      (file) => existsSync(join(ROOT, file)) && /-----BEGIN|PRIVATE KEY-----\n[A-Za-z0-9+/]/.test(read(file).replaceAll('`', ''))
    )
    // The one that writes PEM from what SPIRE gives.
    expect(keys).toEqual(['compose/svids.ts'])
  })

  it('goes into images by list only', () => {
    const [first] = read('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
    expect(first).toBe('*')
  })
})
