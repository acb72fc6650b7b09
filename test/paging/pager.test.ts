/** The pager over real HTTP and TLS, with a real folder: who fails is told later, and who was told is not told again. */
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { accept } from '../../src/core/deny-reason.ts'
import type { Severity } from '../../src/core/page.ts'
import { secretOf } from '../../src/core/secret.ts'
import { entryIn, spoolName } from '../../src/paging/entry.ts'
import { createPager, type Pager, type PagerEvent } from '../../src/paging/pager.ts'
import { type OpenReceiver, openReceiver, type ReceiverParts } from '../../src/paging/receivers.ts'
import { createSender } from '../../src/paging/send.ts'
import { issueSvid, makeAuthority } from '../support/ca.ts'
import { type PageReceiver, startReceiver } from '../support/page-receiver.ts'
import { pageOf, T0 } from '../support/pages.ts'

const KEY = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const soon = { timeout: 10_000, interval: 5 }

let folder: string
let events: PagerEvent[]
let closing: (() => unknown)[]
let clock: number

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vecauthz-pager-'))
  events = []
  closing = []
  clock = T0
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

function hook(url: string, change: Partial<ReceiverParts> = {}): OpenReceiver {
  const secret = () => accept(secretOf(KEY))
  const opened = openReceiver({ id: 'hook', kind: 'webhook', url, ca: undefined, secret, atLeast: 'info', from: 'spiffe://x/v', ...change })
  closing.push(opened.close)
  return opened
}

/** The spool as files of a test: what `serve-paging.ts` does with sealed ones. */
function pagerOf(receivers: readonly OpenReceiver[], change: { giveUpMs?: number; most?: number; frozen?: boolean } = {}): Pager {
  const files = new Map<string, string>()
  const file = join(folder, 'spool.json')
  const write = () => writeFileSync(file, JSON.stringify([...files]))
  const kept = () => JSON.parse(readFileSync(file, 'utf8')) as [string, string][]
  const pager = createPager({
    receivers,
    spool: {
      write: async (name, text) => {
        files.set(name, text)
        write()
      },
      remove: async (name) => {
        files.delete(name)
        write()
      },
      read: async () => {
        for (const [name, text] of kept()) files.set(name, text)
        return { entries: [...files.values()].flatMap((text) => entryIn(text) ?? []), broken: [] }
      }
    },
    bury: async (line) => appendFileSync(join(folder, 'dead'), `${line}\n`),
    now: () => (change.frozen === true ? clock : clock + (performance.now() - began)),
    pauseMs: () => 20,
    giveUpMs: change.giveUpMs ?? 60_000,
    most: change.most ?? 10,
    onEvent: (event) => events.push(event)
  })
  const began = performance.now()
  closing.push(pager.close)
  return pager
}

/** A server's certificate for an address, and who vouches for it. */
async function certified(...address: number[]) {
  const root = await makeAuthority({ trustDomain: 'pages.test', id: null })
  const { pem: cert, keyPem: key } = await issueSvid(root, { sans: [{ type: 'ip', value: new Uint8Array(address) }] })
  return { cert, key, ca: root.pem }
}

const spooled = () => (JSON.parse(readFileSync(join(folder, 'spool.json'), 'utf8')) as [string, string][]).map(([name]) => name)
const of = (kind: PagerEvent['kind']) => events.filter((event) => event.kind === kind)
const ids = (all: PageReceiver['got']) => all.map(({ headers }) => headers['webhook-id'])
const ended = { at: T0 + 1_000, says: 'released' }

describe('a receiver', () => {
  it('that fails twice gets the page then, once, and later that it is over, once', async () => {
    const to = await receiver(500, 'cut')
    const pager = pagerOf([hook(to.url)])
    expect(pager.open(pageOf())).toBe('opened')
    expect(pager.open(pageOf())).toBe('known')
    await vi.waitFor(() => expect(of('told')).toHaveLength(1), soon)
    expect(to.got).toHaveLength(3)
    expect(ids(to.taken)).toEqual(['vecauthz-run-1.1.firing'])
    expect(pager.waiting()).toBe(0)
    pager.end('vecauthz-run-1.1', ended)
    pager.end('vecauthz-run-1.1', ended)
    await vi.waitFor(() => expect(of('told')).toHaveLength(2), soon)
    expect(ids(to.taken)).toEqual(['vecauthz-run-1.1.firing', 'vecauthz-run-1.1.resolved'])
    await pager.close()
    expect(spooled()).toEqual([])
  })

  it('hears that it began before it hears that it is over, however soon it was over', async () => {
    const to = await receiver(503, 503)
    const pager = pagerOf([hook(to.url)])
    pager.open(pageOf())
    pager.end('vecauthz-run-1.1', ended)
    await vi.waitFor(() => expect(of('told')).toHaveLength(2), soon)
    expect(ids(to.taken)).toEqual(['vecauthz-run-1.1.firing', 'vecauthz-run-1.1.resolved'])
  })

  it('is told after a restart what it was not told before, and nothing twice', async () => {
    const [up, down] = [await receiver(), await receiver(...Array<number>(1_000).fill(500))]
    const first = pagerOf([hook(up.url, { id: 'up' }), hook(down.url, { id: 'down' })])
    first.open(pageOf())
    await vi.waitFor(() => expect([of('told').length, of('failed').length > 1]).toEqual([1, true]), soon)
    await first.close()
    down.answers.length = 0
    const second = pagerOf([hook(up.url, { id: 'up' }), hook(down.url, { id: 'down' })])
    expect(await second.load()).toEqual([pageOf()])
    await vi.waitFor(() => expect(down.taken).toHaveLength(1), soon)
    second.end('vecauthz-run-1.1', ended)
    await vi.waitFor(() => expect([up.taken.length, down.taken.length]).toEqual([2, 2]), soon)
    expect(ids(up.got)).toEqual(['vecauthz-run-1.1.firing', 'vecauthz-run-1.1.resolved'])
    await second.close()
    expect(spooled()).toEqual([])
  })

  it('that hangs keeps nobody else waiting', async () => {
    const [hanging, up] = [await receiver(() => undefined), await receiver()]
    const pager = pagerOf([hook(hanging.url, { id: 'hanging' }), hook(up.url, { id: 'up' })])
    for (let at = 1; at <= 5; at++) pager.open(pageOf({ key: `page-${at}`, about: `agent ${at}` }))
    await vi.waitFor(() => expect(up.taken).toHaveLength(5), soon)
    expect(hanging.got).toHaveLength(1)
    // Who closes waits for an answer.
    await hanging.stop()
  })

  it('that takes grave things only is told nothing else', async () => {
    const to = await receiver()
    const pager = pagerOf([hook(to.url, { atLeast: 'error' })])
    const open = (severity: Severity) => pager.open(pageOf({ key: severity, about: severity, severity }))
    expect(['critical', 'error', 'warning', 'info'].map((one) => open(one as Severity))).toEqual([
      'opened',
      'opened',
      'unwanted',
      'unwanted'
    ])
    await vi.waitFor(() => expect(to.taken).toHaveLength(2), soon)
  })

  it('of kind alertmanager is told again and again that it still is so, and after a restart at once', async () => {
    const to = await receiver()
    const repeats = () => hook(to.url, { kind: 'alertmanager', secret: undefined })
    const pager = pagerOf([repeats()], { frozen: true })
    pager.open(pageOf())
    await vi.waitFor(() => expect(of('told')).toHaveLength(1), soon)
    clock += 120_000
    pager.open(pageOf({ key: 'another', about: 'another' }))
    await vi.waitFor(() => expect(of('told')).toHaveLength(3), soon)
    await pager.close()
    const after = pagerOf([repeats()], { frozen: true })
    clock += 120_000
    await after.load()
    await vi.waitFor(() => expect(of('told')).toHaveLength(5), soon)
    const alerts = to.taken.map(({ path, body }) => [path, JSON.parse(body)[0].labels.episode])
    expect(alerts.map(([path]) => path)).toEqual(Array(5).fill('/api/v2/alerts'))
    expect(alerts.map(([, episode]) => episode).sort()).toEqual(['another', 'another', ...Array(3).fill('vecauthz-run-1.1')])
  })
})

describe('what cannot be told', () => {
  it('is a dead letter after the limit, with all that it said, and what is over is still told', async () => {
    const to = await receiver(...Array<number>(1_000).fill(503))
    const pager = pagerOf([hook(to.url)], { giveUpMs: 100 })
    pager.open(pageOf())
    await vi.waitFor(() => expect(of('dead')).toHaveLength(1), soon)
    expect(of('failed').length).toBeGreaterThan(1)
    const [letter, ...more] = readFileSync(join(folder, 'dead'), 'utf8').trim().split('\n')
    expect(more).toEqual([])
    expect(JSON.parse(letter ?? '')).toMatchObject({
      receiver: 'hook',
      state: 'firing',
      because: 'answered 503',
      page: JSON.parse(JSON.stringify(pageOf()))
    })
    expect(letter).not.toContain(KEY)
    to.answers.length = 0
    pager.end('vecauthz-run-1.1', ended)
    await vi.waitFor(() => expect(ids(to.taken)).toEqual(['vecauthz-run-1.1.resolved']), soon)
  })

  it.each([400, 401, 403, 404, 413, 429, 500, 301, 307])('is tried again when the answer is %s: somebody may mend it', async (status) => {
    const to = await receiver(status)
    const pager = pagerOf([hook(to.url)])
    pager.open(pageOf())
    await vi.waitFor(() => expect(to.taken).toHaveLength(1), soon)
    expect(of('dead')).toEqual([])
  })

  it('waits for as long as the receiver asks, and no longer than five minutes', async () => {
    const to = await receiver(
      (response) => void response.writeHead(429, { 'retry-after': '60' }).end(),
      (response) => void response.writeHead(503, { 'retry-after': '999999' }).end()
    )
    const pager = pagerOf([hook(to.url)], { frozen: true, giveUpMs: 86_400_000 })
    pager.open(pageOf())
    await vi.waitFor(() => expect(of('failed')).toHaveLength(1), soon)
    const nudge = () => pager.open(pageOf({ key: `nudge ${clock}`, about: `nudge ${clock}` }))
    clock += 59_000
    nudge()
    await vi.waitFor(() => expect(of('failed')).toHaveLength(2), soon)
    expect(ids(to.got)).toEqual(['vecauthz-run-1.1.firing', `nudge ${clock}.firing`])
    clock += 1_000
    pager.end('none', ended)
    nudge()
    await vi.waitFor(() => expect(ids(to.taken)).toContain('vecauthz-run-1.1.firing'), soon)
    clock += 300_000
    nudge()
    await vi.waitFor(() => expect(to.taken).toHaveLength(4), soon)
  })

  it('is given up for no leap of the clock, and waits for no hour that will not pass', async () => {
    const to = await receiver(503, 503, 503)
    const pager = pagerOf([hook(to.url)], { frozen: true, giveUpMs: 86_400_000 })
    pager.open(pageOf())
    await vi.waitFor(() => expect(of('failed')).toHaveLength(1), soon)
    const nudge = () => pager.end('none', ended)
    clock += 2 * 86_400_000
    pager.open(pageOf({ key: 'another', about: 'another' }))
    await vi.waitFor(() => expect(of('failed')).toHaveLength(3), soon)
    expect(of('dead')).toEqual([])
    clock -= 3 * 86_400_000
    nudge()
    pager.open(pageOf({ key: 'third', about: 'third' }))
    await vi.waitFor(() => expect(to.taken).toHaveLength(3), soon)
  })

  it('beyond so many open pages is refused, and that there are too many is still said', async () => {
    const to = await receiver()
    const pager = pagerOf([hook(to.url)], { most: 2 })
    const open = (key: string, kind: 'quarantine' | 'outage' = 'quarantine') => pager.open(pageOf({ key, about: key, kind }))
    expect([open('a'), open('b'), open('c'), open('d', 'outage')]).toEqual(['opened', 'opened', 'full', 'opened'])
    await vi.waitFor(() => expect(to.taken).toHaveLength(3), soon)
    for (const key of ['a', 'd']) pager.end(key, ended)
    await vi.waitFor(() => expect(['a', 'd'].some(pager.isOpen)).toBe(false), soon)
    expect(open('c')).toBe('opened')
  })
})

describe('the connection', () => {
  const message = (url: string) => ({ url, headers: { authorization: 'Bearer secret' }, body: '{}' })
  const sender = (ca?: string, answerMs?: number) => {
    const made = createSender(ca, answerMs)
    closing.push(made.close)
    return made
  }

  it('is to whom the authorities vouch for, and to nobody else', async () => {
    const [good, other, elsewhere] = [await certified(127, 0, 0, 1), await certified(127, 0, 0, 1), await certified(10, 9, 8, 7)]
    const [to, named] = [await startReceiver(good), await startReceiver(elsewhere)]
    closing.push(to.stop, named.stop)
    expect(await sender(good.ca).send(message(to.url))).toEqual({ ok: true })
    expect(await sender(other.ca).send(message(to.url))).toMatchObject({ ok: false })
    expect(await sender(undefined).send(message(to.url))).toMatchObject({ ok: false })
    expect(await sender(elsewhere.ca).send(message(named.url))).toMatchObject({ ok: false, because: expect.stringContaining('ALTNAME') })
    expect([to.got.length, named.got.length]).toEqual([1, 0])
  })

  it('goes nowhere else on the word of an answer', async () => {
    const target = await receiver()
    const to = await receiver((response) => void response.writeHead(307, { location: `${target.url}/x` }).end())
    expect(await sender().send(message(to.url))).toMatchObject({ ok: false, because: 'answered 307, and nothing is followed' })
    expect(target.got).toEqual([])
  })

  it('does not wait for an answer for ever', async () => {
    const to = await receiver(() => undefined)
    expect(await sender(undefined, 100).send(message(to.url))).toMatchObject({ ok: false, because: expect.stringContaining('no answer') })
  })

  it('reads no answer without an end', async () => {
    let written = 0
    const to = await receiver((response) => {
      response.writeHead(200)
      const more = () => {
        for (;;) {
          if (response.destroyed) return
          written += 65_536
          if (!response.write(Buffer.alloc(65_536))) break
        }
        response.once('drain', more)
      }
      more()
    })
    expect(await sender().send(message(to.url))).toEqual({ ok: true })
    await vi.waitFor(() => expect(written).toBeGreaterThan(65_536), soon)
    let before = -1
    await vi.waitFor(
      () => {
        const same = before === written
        before = written
        expect(same).toBe(true)
      },
      { timeout: 10_000, interval: 100 }
    )
    expect(written).toBeLessThan(64 * 1024 * 1024)
  })

  it('to nobody is no answer', async () => {
    const to = await startReceiver()
    await to.stop()
    expect(await sender().send(message(to.url))).toMatchObject({ ok: false, because: 'no answer (ECONNREFUSED)' })
  })
})

it('names a file for each page, however its key is written', () => {
  expect(spoolName('a')).toMatch(/^page-[0-9a-f]{32}$/)
  expect(spoolName('../../a')).toMatch(/^page-[0-9a-f]{32}$/)
  expect(spoolName('a')).not.toBe(spoolName('b'))
})
