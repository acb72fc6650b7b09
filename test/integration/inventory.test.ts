/** What workloads used, over the life of a server: a good end, a bad one, and what can then be said, reported and taken out of the policy. */
import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parse, stringify } from 'yaml'
import { admin, gatewayDesk } from '../../demo/approve.ts'
import { GATEWAY_ENVOY, OPERATOR, SUPPORT, TRIALS } from '../../demo/identities.ts'
import { askDirectly } from '../../demo/pair-check.ts'
import { type ServerProcess, type Stack, startServerProcess, startStack } from '../../demo/stack.ts'
import { collectionPath, namedPath, type Scene, sceneOf, searchBody, supportSearch } from '../../demo/step.ts'

const ROOT = join(import.meta.dirname, '../..')
const MAIN = join(ROOT, 'src/main.ts')
const PATIENCE = { timeout: 30_000, interval: 100 }

let stack: Stack
let scene: Scene
let server: ServerProcess
let checks = 0

beforeAll(async () => {
  stack = await startStack({
    folder: join(ROOT, '.run/test-inventory'),
    say: () => undefined,
    // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
    policy: (document: any) => {
      document.budget = { per_second: 1000, burst: 10_000 }
    },
    // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
    settings: (document: any) => {
      document.inventory = { folder: 'inventory', every_seconds: 1 }
      document.policy_archive = 'archive'
    }
  })
  scene = sceneOf(stack)
  server = stack.server
})
afterAll(async () => {
  if (server !== stack?.server) await server?.stop()
  await stack?.stop()
})

/** As Envoy asks, without Envoy: the port of a server that was started again is another one. */
async function ask(who: 'support' | 'trials', target: string, body?: object) {
  const asserted = { id: who === 'support' ? SUPPORT : TRIALS, chainPem: scene.who[who].cert }
  const its = { method: body === undefined ? 'GET' : 'POST', target, asserted, id: `inventory-${++checks}`, ...(body && { body }) }
  return (await askDirectly({ port: server.port, ca: stack.door.ca }, stack.credentials(GATEWAY_ENVOY), its)).answer
}
const search = () => ask('support', collectionPath('acme', stack.collections['acme'] ?? '', 'query'), searchBody('acme'))

/** A whole answer of the command; of ninety days, of which some seconds are known. */
async function inventory(desk: ServerProcess = server) {
  const words = ['inventory', '--config', join(stack.folder, 'vecauthz.yaml'), '--json']
  const { exit, out, err } = await admin(stack, OPERATOR, gatewayDesk(desk), ...words)
  if (out === '') throw new Error(err)
  return { exit, body: JSON.parse(out) }
}

const workloadIn = ({ body }: Awaited<ReturnType<typeof inventory>>, id: string) =>
  body.workloads.find((one: { spiffe_id: string }) => one.spiffe_id === id)

/** What is on the disk about a workload. */
function kept(id: string): { allowed: number; firstAt: number } | undefined {
  const folder = join(stack.folder, 'inventory')
  const [file] = existsSync(folder) ? readdirSync(folder).filter((name) => /-vecauthz\.used$/.test(name)) : []
  if (file === undefined) return undefined
  const [, , ...lines] = readFileSync(join(folder, file), 'utf8').split('\n')
  return lines.flatMap((line) => (line === '' ? [] : [JSON.parse(line)])).find((one) => one.id === id)
}

async function startAgain(): Promise<void> {
  server = await startServerProcess(stack.folder, join(stack.folder, 'vecauthz.yaml'))
  await vi.waitFor(async () => expect((await fetch(`http://127.0.0.1:${server.healthPort}/readyz`)).status).toBe(200), PATIENCE)
}

describe('what workloads used', () => {
  let firstSeen: string
  let before: number

  it('is told by the admin port: who, what, permanent keys, and what is not in the policy', async () => {
    expect((await supportSearch(scene, { headers: { 'x-chroma-token': 'a permanent key' } })).status).toBe(200)
    expect((await ask('trials', namedPath('globex'))).status).toBe(200)
    expect((await ask('support', namedPath('globex'))).reason).toBe('tenant-not-allowed')
    const told = await inventory()
    const support = workloadIn(told, SUPPORT)
    expect(support).toMatchObject({ identities: 1, reach: { tenants: ['acme'], collections: ['demo/rag/handbook'] } })
    expect(told.body.permanent_keys).toMatchObject([{ spiffe_id: SUPPORT, headers: [{ header: 'x-chroma-token' }] }])
    expect(told.body.sources).toMatchObject([{ name: expect.stringContaining('-vecauthz (127.0.0.1:') }])
    firstSeen = support.first_seen
    expect(firstSeen).toMatch(/^\d{4}-/)
  })

  it('is there after SIGTERM, and goes on from there', async () => {
    expect(await stack.server.stop()).toBe(0)
    before = kept(SUPPORT)?.allowed ?? 0
    expect(before).toBeGreaterThan(0)
    await startAgain()
    const told = await inventory()
    expect(workloadIn(told, SUPPORT)?.first_seen).toBe(firstSeen)
    expect(JSON.stringify(told.body.sources)).not.toContain('killed')
    expect((await search()).status).toBe(200)
  })

  it('is there after kill -9 as far as it was written, and that it was killed is said', async () => {
    await vi.waitFor(() => expect(kept(SUPPORT)?.allowed).toBe(before + 1), PATIENCE)
    for (let at = 0; at < 5; at++) expect((await search()).status).toBe(200)
    const gone = server.pid
    process.kill(gone, 'SIGKILL')
    await startAgain()
    const lost = before + 6 - (kept(SUPPORT)?.allowed ?? 0)
    // Of what came in the last second, some or none; of what was on the disk, nothing.
    expect(lost).toBeGreaterThanOrEqual(0)
    expect(lost).toBeLessThanOrEqual(5)
    const told = await inventory()
    expect(workloadIn(told, SUPPORT)?.first_seen).toBe(firstSeen)
    expect(told.body.sources[0].notes).toContain('killed 1 times, and did not keep the last 1 s each time')
  })

  it('of each lane is in its own file, and one command puts them together', async () => {
    const words = ['inventory', '--config', join(stack.folder, 'vecauthz.yaml'), '--json', '--admin', `127.0.0.1:${stack.writes.adminPort}`]
    const { out } = await admin(stack, OPERATOR, gatewayDesk(server), ...words)
    const body = JSON.parse(out)
    expect(body.sources.map(({ name }: { name: string }) => name.replace(/^.*-vecauthz/, 'vecauthz').replace(/ .*/, '')).sort()).toEqual([
      'vecauthz',
      'vecauthz-writes'
    ])
    // Seconds are no ninety days.
    expect([body.told, body.grants.some(({ recommended }: { recommended: string }) => recommended === 'remove')]).toEqual([false, false])
  })

  it('a caller that is no operator is told nothing', async () => {
    const { exit, err } = await admin(stack, SUPPORT, gatewayDesk(server), 'inventory', '--config', join(stack.folder, 'vecauthz.yaml'))
    expect([exit, err]).toEqual([2, expect.stringContaining('You may not do this here')])
  })
})

describe('from real records', () => {
  let folder: string

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'vz-inv-'))
    // The policy as people wrote it, with its comments; what decided was the same without them.
    copyFileSync(join(ROOT, 'demo/config/policy.yaml'), join(folder, 'policy.yaml'))
    const settings = parse(readFileSync(join(stack.folder, 'vecauthz.yaml'), 'utf8'))
    writeFileSync(join(folder, 'vecauthz.yaml'), stringify({ ...settings, policy_archive: join(stack.folder, 'archive') }))
    copyFileSync(stack.auditFile, join(folder, 'audit.jsonl'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const run = async (...args: readonly string[]) => {
    const done = await promisify(execFile)(process.execPath, [MAIN, ...args], { cwd: folder, timeout: 30_000 }).catch(
      (failed: { code: number; stdout: string; stderr: string }) => failed
    )
    return { code: 'code' in done ? done.code : 0, out: done.stdout, err: done.stderr }
  }

  it('the report has a row for each workload and grant, and room for a decision', async () => {
    const { code, out } = await run('inventory', '--audit', 'audit.jsonl', '--report', 'csv')
    // Seconds are no ninety days, and the report says so.
    expect([code, out]).toEqual([2, expect.stringContaining('cannot tell what is unused')])
    const rows = out.split('\r\n').filter((line) => line.startsWith('spiffe://'))
    expect(rows.filter((line) => line.startsWith(`${SUPPORT},`))).toHaveLength(1)
    expect(rows.find((line) => line.startsWith(`${SUPPORT},`))).toMatch(/search \d+.*,keep,.*,,,$/)
  })

  it('the patch applies, what comes out validates, and replayed under it nothing new is denied', async () => {
    // A tenth of a second: the server was started again in between, so the records go back for longer.
    const pruned = await run('inventory', '--audit', 'audit.jsonl', '--days', '0.000001', '--prune')
    expect([pruned.code, pruned.err]).toEqual([0, ''])
    writeFileSync(join(folder, 'prune.patch'), pruned.out)
    copyFileSync(join(folder, 'policy.yaml'), join(folder, 'before.yaml'))
    await promisify(execFile)('git', ['apply', 'prune.patch'], { cwd: folder })
    const [before, after] = ['before.yaml', 'policy.yaml'].map((name) => readFileSync(join(folder, name), 'utf8'))
    expect(after).not.toBe(before)
    // The indexer never came; the handbook was searched. Comments of what stays stay.
    expect(after).not.toContain('scratch-*')
    expect(after).toContain('names: [handbook]')
    expect(after).toContain('# A dropped collection does not come back')
    expect((await run('validate')).code).toBe(0)
    const replay = await run('replay', 'audit.jsonl', '--policy', 'policy.yaml', '--json')
    const { decisions, records } = JSON.parse(replay.out) as { decisions: { before: string; after: string }[]; records: number }
    expect(records).toBeGreaterThanOrEqual(5)
    expect(decisions.filter((one) => one.before === 'allow' && one.after !== 'allow')).toEqual([])
  })
})
