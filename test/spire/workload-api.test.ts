import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { verifyX509Svid } from '../../src/identity/x509-svid.ts'
import { BACKOFF, type BackoffLimits } from '../../src/spire/backoff.ts'
import { connectWorkloadApi, type SvidSource, type WorkloadApiEvent } from '../../src/spire/workload-api.ts'
import { type Authority, issueSvid, makeAuthority, type Svid } from '../support/ca.ts'
import { type Behaviour, denied, type FakeWorkloadApi, response, startFake, svidMessage, unavailable } from './fake-workload-api.ts'

/** A fast clock for the back-off, so that a test of many failures ends soon. */
const QUICK: BackoffLimits = { firstMs: 10, unreachableMs: 40, deniedMs: 40, mostMs: 80 }

let vec: Authority
let partner: Authority
let svid: Svid
let renewed: Svid
let folder: string
let path: string
let now: number
let events: WorkloadApiEvent[]
const opened: { close?: () => void; stop?: () => void }[] = []

beforeAll(async () => {
  vec = await makeAuthority({ trustDomain: 'vec.test' })
  partner = await makeAuthority({ trustDomain: 'partner.test' })
  svid = await issueSvid(vec, { id: 'spiffe://vec.test/vecauthz' })
  renewed = await issueSvid(vec, { id: 'spiffe://vec.test/vecauthz' })
})

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spire-'))
  path = join(folder, 'a.sock')
  now = Date.now()
  events = []
})

afterEach(() => {
  for (const one of opened.splice(0)) {
    one.close?.()
    one.stop?.()
  }
  rmSync(folder, { recursive: true, force: true })
})

async function serve(...behaviours: readonly Behaviour[]): Promise<FakeWorkloadApi> {
  const fake = await startFake(path, ...behaviours)
  opened.push(fake)
  return fake
}

function connect(backoff: BackoffLimits = QUICK): SvidSource {
  const address = { text: `unix:${path}`, target: `unix:${path}` }
  const source = connectWorkloadApi({ address, verify: verifyX509Svid, now: () => now, onEvent: (event) => events.push(event), backoff })
  opened.push(source)
  return source
}

const good = (...messages: readonly ReturnType<typeof response>[]): Behaviour => ({ kind: 'messages', messages })
const first = () => response([svidMessage(svid, vec)])
const waits = () => events.flatMap((event) => ('retryInMs' in event ? [event.retryInMs] : []))
const kinds = () => events.map(({ kind }) => kind)

async function until(what: string, condition: () => boolean, withinMs = 2_000): Promise<void> {
  const end = Date.now() + withinMs
  while (!condition()) {
    if (Date.now() > end) throw new Error(`did not happen within ${withinMs} ms: ${what}; events ${kinds().join(' ')}`)
    await new Promise((resolve) => setTimeout(resolve, 3))
  }
}

describe('the Workload API client, when all is well', () => {
  it('E-4, E-5: sends the security header on a plain unix socket and holds SVID and bundles', async () => {
    const fake = await serve(good(response([svidMessage(svid, vec, { hint: 'internal' })], { 'spiffe://partner.test': partner.der })))
    const source = connect()
    expect(source.current()).toBeUndefined()
    const snapshot = await source.ready(1_000)
    expect(fake.calls).toEqual([['true']])
    expect(snapshot).toMatchObject({ generation: 1, receivedAt: now, svid: { hint: 'internal' }, bundles: { generation: 1 } })
    expect([...snapshot.bundles.x509.keys()]).toEqual(['vec.test', 'partner.test'])
    expect(source.current()).toBe(snapshot)
    expect(source.state().state).toBe('live')
  })

  it('A-2, A-3: each message replaces everything: a missing federated bundle is gone, an empty hint is empty', async () => {
    const fake = await serve(good(response([svidMessage(svid, vec, { hint: 'internal' })], { 'spiffe://partner.test': partner.der })))
    const source = connect()
    await source.ready(1_000)
    fake.send(first())
    await until('the second message', () => source.current()?.generation === 2)
    expect(source.current()?.bundles.x509.has('partner.test')).toBe(false)
    expect(source.current()?.svid.hint).toBe('')
  })

  it('A-3: a hint that becomes empty is a change, and the bundles are not', async () => {
    const fake = await serve(good(response([svidMessage(svid, vec, { hint: 'internal' })])))
    const source = connect()
    await source.ready(1_000)
    fake.send(first())
    await until('the change', () => source.current()?.generation === 2)
    expect(source.current()).toMatchObject({ svid: { hint: '' }, bundles: { generation: 1 } })
  })

  it('A-17: an unchanged message causes no event and no new generation, but it refreshes the age', async () => {
    const fake = await serve(good(first()))
    const source = connect()
    const before = await source.ready(1_000)
    now += 400
    fake.send(first())
    await until('the refresh', () => source.current()?.receivedAt === now)
    expect(source.current()).toMatchObject({ generation: 1, bundles: { generation: 1, receivedAt: now } })
    expect(source.current()?.svid).toBe(before.svid)
    expect(kinds()).toEqual(['updated'])
  })

  it('A-18: our own rotation raises the generation of the whole and not that of the bundles; one snapshot never changes', async () => {
    const fake = await serve(good(first()))
    const source = connect()
    const before = await source.ready(1_000)
    const seen: (number | undefined)[] = []
    source.onChange((snapshot) => seen.push(snapshot?.generation))
    fake.send(response([svidMessage(renewed, vec)]))
    await until('the rotation', () => source.current()?.generation === 2)
    fake.send(response([svidMessage(renewed, vec)], { 'spiffe://partner.test': partner.der }))
    await until('the bundle', () => source.current()?.generation === 3)
    expect(source.current()?.bundles.generation).toBe(2)
    expect(before).toMatchObject({ generation: 1, svid: { certificates: svid.chain }, bundles: { generation: 1 } })
    expect(seen).toEqual([2, 3])
  })

  it('a silent but open stream keeps vouching: the age stays young without any message', async () => {
    await serve(good(first()))
    const source = connect()
    await source.ready(1_000)
    now += 3_600_000
    expect(source.current()).toMatchObject({ generation: 1, receivedAt: now, bundles: { receivedAt: now } })
  })
})

describe('the Workload API client, when a message is bad', () => {
  it('A-4: it is dropped with an event, the old state stays, and from then on it ages', async () => {
    const fake = await serve(good(first()))
    const source = connect()
    await source.ready(1_000)
    fake.send(response([]))
    await until('the drop', () => kinds().includes('message-dropped'))
    now += 60_000
    expect(source.current()).toMatchObject({ generation: 1, receivedAt: now - 60_000 })
    expect(source.state().state).toBe('stale')
    fake.send(first())
    await until('the next good message', () => source.state().state === 'live')
    expect(source.current()).toMatchObject({ generation: 1, receivedAt: now })
  })

  it('A-12: an SVID that the rulebook refuses is dropped; a number once shown to the rulebook is not used again for other anchors', async () => {
    const fake = await serve(good(first()))
    const source = connect()
    await source.ready(1_000)
    fake.send(response([svidMessage(svid, vec, { bundle: Buffer.from(partner.der) })]))
    fake.send(response([svidMessage(svid, vec)], { 'spiffe://partner.test': partner.der }))
    await until('the good message', () => source.current()?.generation === 2)
    expect(source.current()?.bundles.generation).toBe(3)
    expect(kinds()).toEqual(['updated', 'message-dropped', 'updated'])
  })

  it('A-9: a warning is said once, however often the message comes', async () => {
    const message = response([svidMessage(svid, vec)], { 'spiffe://vec.test': partner.der })
    const fake = await serve(good(message, message))
    const source = connect()
    await source.ready(1_000)
    fake.send(response([svidMessage(renewed, vec)], { 'spiffe://vec.test': partner.der }))
    await until('the rotation', () => source.current()?.generation === 2)
    expect(kinds()).toEqual(['warning', 'updated', 'updated'])
  })

  it('E-11: messages that are dropped do not reset the back-off either', async () => {
    const fake = await serve({ kind: 'messages', messages: [response([])], ending: 'end' })
    connect({ ...QUICK, mostMs: 10_000 })
    await until('four tries', () => fake.calls.length >= 4)
    expect(waits()[2]).toBeGreaterThan((waits()[0] ?? 0) * 1.9)
    expect(kinds()).toContain('message-dropped')
  })

  it('E-11: bytes that are no message end the stream; the back-off grows until a message was read, then it starts again', async () => {
    const fake = await serve({ kind: 'garbage' })
    const source = connect({ ...QUICK, mostMs: 10_000 })
    await until('four tries', () => fake.calls.length >= 4)
    expect(waits()[2]).toBeGreaterThan((waits()[0] ?? 0) * 1.9)
    fake.behave({ kind: 'messages', messages: [first()], ending: 'end' }, good(first()))
    await source.ready(1_000)
    await until('the end of that stream', () => events.at(-1)?.kind === 'disconnected')
    expect(events.at(-1)).toMatchObject({ code: status.OK, retryInMs: expect.toSatisfy((ms: number) => ms <= 10) })
  })
})

describe('the Workload API client, when the agent refuses or goes', () => {
  it('E-6: InvalidArgument is final: two calls at most, no retry, ready fails at once and names the reason', async () => {
    const fake = await serve({
      kind: 'messages',
      messages: [],
      ending: { code: status.INVALID_ARGUMENT, details: 'security header missing' }
    })
    const source = connect()
    await expect(source.ready(5_000)).rejects.toThrow(/INVALID_ARGUMENT.*security header missing/)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(fake.calls.length).toBe(1)
    expect(kinds()).toEqual(['failed'])
    expect(source.state().state).toBe('failed')
  })

  it('E-9: Unimplemented is final too', async () => {
    const fake = await serve({ kind: 'messages', messages: [], ending: { code: status.UNIMPLEMENTED, details: 'no' } })
    await expect(connect().ready(5_000)).rejects.toThrow(/UNIMPLEMENTED/)
    expect(fake.calls.length).toBe(1)
  })

  it('E-7, E-12: three times Unavailable, then ok: recovers, with one try for each failure and no tight loop', async () => {
    const refusal: Behaviour = { kind: 'messages', messages: [], ending: unavailable }
    const fake = await serve(refusal, refusal, refusal, good(first()))
    const source = connect()
    await source.ready(1_000)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(fake.calls.length).toBe(4)
    expect(kinds()).toEqual(['disconnected', 'disconnected', 'disconnected', 'updated'])
    const gaps = fake.times.slice(1).map((time, index) => time - (fake.times[index] ?? 0))
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(4)
  })

  const retried = [status.CANCELLED, status.UNKNOWN, status.INTERNAL, status.RESOURCE_EXHAUSTED, status.UNAUTHENTICATED, 'end'] as const
  it.each(retried)('E-10: %s in the middle of a stream is retried, and takes nothing back', async (code) => {
    const fake = await serve(good(first()))
    const source = connect()
    await source.ready(1_000)
    fake.end(code === 'end' ? 'end' : { code, details: 'gone' })
    await until('the retry', () => fake.calls.length === 2 && source.state().state === 'live')
    expect(source.current()?.generation).toBe(1)
    expect(kinds()).toEqual(['updated', 'disconnected'])
  })

  it('A-5, E-8: PermissionDenied takes SVID and bundles away in that moment, and is retried until there is an entry again', async () => {
    const fake = await serve(good(first()))
    const source = connect()
    await source.ready(1_000)
    const seen: (number | undefined)[] = []
    source.onChange((snapshot) => seen.push(snapshot?.generation))
    fake.behave({ kind: 'messages', messages: [], ending: denied }, { kind: 'messages', messages: [], ending: denied }, good(first()))
    fake.end(denied)
    await until('the redaction', () => kinds().includes('redacted'))
    expect(source.current()).toBeUndefined()
    expect(source.state()).toMatchObject({ state: 'denied', because: expect.stringContaining('registration entry') })
    await source.ready(1_000)
    expect(source.current()).toMatchObject({ generation: 2, bundles: { generation: 2 } })
    expect(seen).toEqual([undefined, 2])
  })

  const capped = [
    { name: 'E-8: a denied process asks again at its own pace', limits: { deniedMs: 20 }, fake: denied },
    { name: 'E-13: an agent that is absent is dialled at its own pace', limits: { unreachableMs: 20 }, fake: undefined }
  ]
  it.each(capped)('$name, however long it lasts', async ({ limits, fake }) => {
    if (fake !== undefined) await serve({ kind: 'messages', messages: [], ending: fake })
    connect({ firstMs: 10, unreachableMs: 10_000, deniedMs: 10_000, mostMs: 10_000, ...limits })
    await until('six failures', () => events.length >= 6)
    expect(Math.max(...waits())).toBeLessThanOrEqual(20)
  })

  it('E-7: an agent that is there and says Unavailable is given more and more time', async () => {
    await serve({ kind: 'messages', messages: [], ending: unavailable })
    connect({ firstMs: 10, unreachableMs: 10, deniedMs: 10, mostMs: 10_000 })
    await until('five failures', () => events.length >= 5)
    expect(waits()[4]).toBeGreaterThanOrEqual(80)
  })

  it('E-8: without an entry, ready fails with a sentence that says what to look for', async () => {
    await serve({ kind: 'messages', messages: [], ending: denied })
    await expect(connect().ready(60)).rejects.toThrow(/within 60 ms.*registration entry/)
  })

  it('A-6: an agent that is gone takes nothing back; the age grows from the last moment it was there', async () => {
    const fake = await serve(good(first()))
    const source = connect()
    await source.ready(1_000)
    now += 5_000
    fake.stop()
    await until('the loss', () => kinds().includes('disconnected'))
    const lost = now
    now += 600_000
    expect(source.current()).toMatchObject({ generation: 1, receivedAt: lost, bundles: { receivedAt: lost } })
    expect(source.state().state).toBe('stale')
  })

  it('E-13, A-1: is back within two seconds of the agent, with the default back-off', async () => {
    const fake = await serve(good(first()))
    const source = connect(BACKOFF)
    await source.ready(1_000)
    fake.stop()
    await until('a second failure', () => events.filter(({ kind }) => kind === 'disconnected').length >= 2)
    const back = Date.now()
    await serve(good(response([svidMessage(renewed, vec)])))
    await until('the return', () => source.current()?.generation === 2, 2_000)
    expect(Date.now() - back).toBeLessThan(2_000)
  })

  it('starts before the agent does, and finds it', async () => {
    const source = connect()
    await until('a failure', () => kinds().includes('disconnected'))
    expect(source.state()).toMatchObject({ state: 'waiting', because: expect.stringContaining('UNAVAILABLE') })
    await serve(good(first()))
    await expect(source.ready(2_000)).resolves.toMatchObject({ generation: 1 })
  })

  it('close forgets the key, and the server sees the call end', async () => {
    const fake = await serve(good(first()))
    const source = connect()
    await source.ready(1_000)
    expect(fake.open.size).toBe(1)
    source.close()
    expect(source.current()).toBeUndefined()
    await until('the end of the call', () => fake.open.size === 0)
  })

  it('close fails whoever waits and stays silent', async () => {
    const fake = await serve({ kind: 'messages', messages: [] })
    const source = connect()
    await until('the call', () => fake.calls.length === 1)
    const waiting = expect(source.ready(5_000)).rejects.toThrow('closed')
    source.close()
    await waiting
    fake.send(first())
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(source.current()).toBeUndefined()
    expect(source.state().state).toBe('closed')
    expect(fake.calls.length).toBe(1)
    expect(events).toEqual([])
    await expect(source.ready(5_000)).rejects.toThrow('closed')
  })
})
