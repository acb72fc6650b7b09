/** Weaviate keeps tenants apart by itself with the tokens that vecauthz mints: a second lock, held by the real server. */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { dyingWithParent } from '../../demo/envoy.ts'
import { whyLeftOut } from '../../setup/components.ts'

const leftOut = whyLeftOut('weaviate-server')
const FOLDER = join(import.meta.dirname, '../../.run/test-weaviate-oidc')
const SCRIPT = join(import.meta.dirname, 'support/weaviate-oidc.ts')
let found: Readonly<Record<string, number | string>> = {}

beforeAll(async () => {
  if (leftOut !== undefined) return
  rmSync(FOLDER, { recursive: true, force: true })
  mkdirSync(FOLDER, { recursive: true })
  found = await run()
})
beforeEach(({ skip }) => {
  skip(leftOut !== undefined, leftOut)
})

/** Weaviate's gRPC and data ports can be bound to no address: all of it runs in a network namespace where the machine allows one. */
async function run(): Promise<Record<string, number | string>> {
  const ways: readonly (readonly string[])[] = [
    ['unshare', '--net', '--'],
    ['unshare', '--map-root-user', '--net', '--']
  ]
  const inside = ways.find(([name = '', ...args]) => spawnSync(name, [...args, 'ip', 'link', 'set', 'lo', 'up']).status === 0) ?? []
  const [first = '', ...rest] = [...inside, process.execPath, SCRIPT, FOLDER]
  const [command, before] = dyingWithParent(first)
  const child = spawn(command, [...before, ...rest], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [out, complaints] = ['', '']
  child.stdout.on('data', (text) => {
    out += text
  })
  child.stderr.on('data', (text) => {
    complaints += text
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) throw new Error(`exit code ${code}\n${complaints}`)
  const lines = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { name: string; status: number | string })
  return Object.fromEntries(lines.map(({ name, status }) => [name, status]))
}

describe('Weaviate with the tokens of vecauthz', () => {
  it.each([
    ['acme reads its object', 200],
    ["globex's token reads acme's", 403],
    ['globex reads its object', 200],
    ["acme's token reads globex's", 403],
    ['acme writes', 200],
    ["acme's token writes into globex", 403],
    ['acme searches over gRPC', 'OK, its object'],
    ["acme's token searches globex over gRPC", 'PERMISSION_DENIED'],
    ["acme's token drops the class", 403],
    ['no token', 401],
    ['a token that has expired', 401],
    ['a token for another server', 401],
    ['a token with another signature', 401]
  ])('%s → %s', (name, want) => {
    expect(found[name]).toBe(want)
  })

  it('logs none of them', () => {
    expect(readFileSync(join(FOLDER, 'weaviate.log'), 'utf8')).not.toMatch(/eyJ[\w-]+\.eyJ/)
  })
})
