/** Paging as the server has it: settings, secrets, the disk, the store, and a kill in between. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import pino from 'pino'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { stringify } from 'yaml'
import { type PagingSettings, paging, pagingFaults } from '../src/config/paging-schema.ts'
import { settingsSchema } from '../src/config/settings-schema.ts'
import type { Standing } from '../src/core/standing.ts'
import { openPaging, type ServedPaging } from '../src/serve-paging.ts'
import { createMemoryStore } from '../src/state/store-memory.ts'
import { type PageReceiver, startReceiver } from './support/page-receiver.ts'
import { AGENT, moveDown, moveTo } from './support/pages.ts'

const PROCESS = fileURLToPath(new URL('./support/paging-process.ts', import.meta.url))
const KEY = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const soon = { timeout: 15_000, interval: 10 }

let folder: string
let closing: (() => unknown)[]
let lines: Record<string, unknown>[]
let stands: Standing | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vecauthz-paging-'))
  closing = []
  lines = []
  stands = 'normal'
})
afterEach(async () => {
  for (const close of closing.reverse()) await close()
  rmSync(folder, { recursive: true, force: true })
})

async function receiver(...answers: PageReceiver['answers']): Promise<PageReceiver> {
  const started = await startReceiver()
  started.answers.push(...answers)
  closing.push(started.stop)
  return started
}

/** @param receivers as the settings have them */
function settingsOf(receivers: readonly object[], change: object = {}) {
  return {
    version: 1,
    role: 'gateway',
    listen: '127.0.0.1:9901',
    workload_api: 'unix:///nowhere',
    envoys: ['spiffe://demo.vecauthz.test/envoy'],
    policy: 'policy.yaml',
    databases: [{ id: 'demo', kind: 'chroma', authorities: ['chroma.test'], url: 'http://127.0.0.1:1', version: '1.5.9' }],
    audit: { file: 'stdout' },
    svid_ttl_seconds: 600,
    bundle_max_age_seconds: 600,
    deadline_ms: 500,
    paging: { folder: 'paging', receivers, ...change }
  }
}

/** @param giveUp seconds, fewer than the schema has */
async function open(
  receivers: readonly object[],
  change: object = {},
  environment: Record<string, string> = { HOOK: KEY },
  giveUp?: number
) {
  const settingsFile = join(folder, 'vecauthz.yaml')
  const registry = new Registry()
  const settings = settingsSchema.parse(settingsOf(receivers, change))
  if (giveUp !== undefined) Object.assign(settings.paging ?? {}, { give_up_seconds: giveUp })
  const served = (await openPaging(settings, {
    settingsFile,
    environment: (name) => environment[name],
    store: createMemoryStore(),
    registry,
    from: 'spiffe://demo.vecauthz.test/vecauthz',
    pause: { firstMs: 10, mostMs: 20 },
    log: pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) })
  })) as ServedPaging
  closing.push(served.close)
  served.begin({ standing: () => stands, fault: () => undefined })
  return { served, metrics: () => registry.metrics() }
}

const said = (message: string) => lines.filter(({ msg }) => msg === message)
const hookAt = (url: string, change: object = {}) => ({ id: 'hook', kind: 'webhook', url, secret: { env: 'HOOK' }, ...change })
const idsOf = ({ taken }: PageReceiver) => taken.map(({ headers }) => headers['webhook-id'])

describe('a quarantine', () => {
  it('is told to a receiver that fails twice, once, and its end as well; counted, and said in the log', async () => {
    const to = await receiver(500, 503)
    const { served, metrics } = await open([hookAt(to.url)])
    const move = moveTo('quarantine')
    served.moved(move)
    await vi.waitFor(() => expect(to.taken).toHaveLength(1), soon)
    served.moved(moveDown(move))
    await vi.waitFor(() => expect(to.taken).toHaveLength(2), soon)
    expect(to.got).toHaveLength(4)
    const [fired, resolved] = idsOf(to)
    expect(resolved).toBe(fired?.replace('.firing', '.resolved'))
    await vi.waitFor(() => expect(said('paging: told')).toHaveLength(2), soon)
    expect(await metrics()).toContain('vecauthz_pages_total{receiver="hook",outcome="told"} 2')
    expect(await metrics()).toContain('vecauthz_pages_total{receiver="hook",outcome="failed"} 2')
    expect(await metrics()).toContain('vecauthz_pages_waiting 0')
    expect(JSON.stringify(lines)).not.toContain(KEY.slice(6))
  })

  it('that nobody takes is a dead letter in the end, counted and said', async () => {
    const to = await receiver(...Array<number>(100).fill(400))
    const { served, metrics } = await open([hookAt(to.url)], {}, { HOOK: KEY }, 0.2)
    served.moved(moveTo('quarantine'))
    await vi.waitFor(() => expect(said('paging: given up; it is a dead letter')).toHaveLength(1), soon)
    const file =
      readdirSync(join(folder, 'paging'), { recursive: true })
        .map(String)
        .find((one) => one.endsWith('dead-letters.jsonl')) ?? ''
    const letter = readFileSync(join(folder, 'paging', file), 'utf8')
    expect(JSON.parse(letter)).toMatchObject({ receiver: 'hook', state: 'firing', because: 'answered 400', page: { subject: AGENT } })
    expect(await metrics()).toContain('vecauthz_pages_total{receiver="hook",outcome="dead"} 1')
    expect(letter).not.toContain(KEY.slice(6))
  })

  it('is told once there is a secret, and to nobody without one', async () => {
    const to = await receiver()
    const { served } = await open([hookAt(to.url)], {}, {})
    served.moved(moveTo('quarantine'))
    await vi.waitFor(() => expect(said('paging: not taken, and tried again')).not.toEqual([]), soon)
    expect(said('paging: not taken, and tried again')[0]).toMatchObject({ because: 'its secret cannot be had' })
    expect(to.got).toEqual([])
    expect(said('paging: no secret, so nobody is told')).not.toEqual([])
  })

  it('less grave than a receiver takes is not told to it', async () => {
    const [loud, all] = [await receiver(), await receiver()]
    const receivers = [hookAt(loud.url, { at_least: 'critical' }), hookAt(all.url, { id: 'all' })]
    const { served } = await open(receivers, { severity: { step_up: 'warning' } })
    served.moved(moveTo('step-up'))
    served.moved(moveTo('quarantine', { id: `${AGENT}1` }))
    await vi.waitFor(() => expect([loud.taken.length, all.taken.length]).toEqual([1, 2]), soon)
  })
})

describe('killed', () => {
  const children: ChildProcess[] = []
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })

  async function start(move?: object): Promise<ChildProcess> {
    const settingsFile = join(folder, 'vecauthz.yaml')
    const args = [PROCESS, settingsFile, ...(move === undefined ? [] : [JSON.stringify(move)])]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, HOOK: KEY } })
    children.push(child)
    await new Promise<void>((resolve, reject) => {
      child.stdout?.once('data', () => resolve())
      child.once('exit', (code) => reject(new Error(`it ended with ${code}`)))
    })
    return child
  }

  it('in between, another process tells what this one could not, under the same key', async () => {
    const to = await receiver(...Array<number>(1_000).fill(503))
    writeFileSync(join(folder, 'vecauthz.yaml'), stringify(settingsOf([hookAt(to.url)])))
    const first = await start(moveTo('quarantine'))
    await vi.waitFor(() => expect(to.got.length).toBeGreaterThan(0), soon)
    const ended = new Promise((resolve) => first.once('exit', resolve))
    first.kill('SIGKILL')
    await ended
    expect(to.taken).toEqual([])
    to.answers.length = 0
    await start()
    await vi.waitFor(() => expect(to.taken).toHaveLength(1), soon)
    expect(idsOf(to)).toEqual([to.got[0]?.headers['webhook-id']])
  }, 30_000)
})

describe('the settings', () => {
  const check = (receivers: object[]) => pagingFaults(paging.parse({ folder: 'p', receivers }) as PagingSettings).map(({ says }) => says)
  const good = { id: 'a', kind: 'webhook', url: 'https://x.test/hook?key=1', secret: { file: 'f' } }

  it.each([
    ['a webhook with all it needs', good, []],
    ['PagerDuty without a url', { id: 'a', kind: 'pagerduty', secret: { env: 'PD' } }, []],
    ['Alertmanager without a secret', { id: 'a', kind: 'alertmanager', url: 'http://127.0.0.1:9093' }, []],
    ['a webhook without a url', { ...good, url: undefined }, ['A receiver of kind webhook needs url']],
    ['a webhook without a secret', { ...good, secret: undefined }, ['A receiver of kind webhook needs secret']],
    ['PagerDuty without a key', { id: 'a', kind: 'pagerduty' }, ['A receiver of kind pagerduty needs secret']],
    ['a secret in two places', { ...good, secret: { file: 'f', env: 'E' } }, ['secret is in one place: file or env']],
    ['a secret in none', { ...good, secret: {} }, ['secret is in one place: file or env']]
  ])('%s', (_, one, faults) => {
    expect(check([one])).toEqual(faults)
  })

  it('two receivers of one name are one too many', () => {
    expect(check([good, good])).toEqual(['Receiver "a" stands here twice'])
  })

  it.each([
    'http://hook.test/x',
    'https://user:pass@hook.test',
    'https://hook.test/#x',
    'ftp://127.0.0.1',
    'http://127.0.0.1.evil.test',
    'http://localhost@evil.test'
  ])('%s is no place to send a page to', (url) => {
    expect(paging.safeParse({ folder: 'p', receivers: [{ ...good, url }] }).success).toBe(false)
  })
})
