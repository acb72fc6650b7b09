import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { status } from '@grpc/grpc-js'
import type { JWTBundlesResponse } from '@vecauthz/spiffe-protos/workload'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parseJwtKeySet } from '../../src/identity/bundle-document.ts'
import type { JwtKey } from '../../src/identity/jwt-keys.ts'
import { verifyJwtSvid } from '../../src/identity/jwt-svid.ts'
import { BACKOFF, type BackoffLimits } from '../../src/spire/backoff.ts'
import { startDevIssuer } from '../../src/spire/dev-issuer.ts'
import { connectJwtBundles, type JwtBundleEvent, type JwtBundleSource } from '../../src/spire/jwt-bundles.ts'
import { fetchJwtSvid } from '../../src/spire/jwt-svid-fetch.ts'
import { AUDIENCE, es256, es384, JWT_NOW, jwkOf, makeToken, other, partnerKey, rsa } from '../support/jwt.ts'
import { type Behaviour, denied, type FakeWorkloadApi, jwtMessage, startFake, unavailable } from './fake-workload-api.ts'

/** A fast clock for the back-off, so that a test of many failures ends soon. */
const QUICK: BackoffLimits = { firstMs: 10, unreachableMs: 40, deniedMs: 40, mostMs: 80 }
const VEC = 'spiffe://vec.test'
const PARTNER = 'spiffe://partner.test'

let folder: string
let path: string
let now: number
let events: JwtBundleEvent<JwtKey>[]
const opened: { close?: () => void; stop?: () => void }[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'spire-'))
  path = join(folder, 'a.sock')
  now = JWT_NOW
  events = []
})

afterEach(() => {
  for (const one of opened.splice(0)) {
    one.close?.()
    one.stop?.()
  }
  rmSync(folder, { recursive: true, force: true })
})

async function serve(...behaviours: readonly Behaviour<JWTBundlesResponse>[]): Promise<FakeWorkloadApi> {
  const fake = await startFake(path)
  fake.jwtBundles.behave(...behaviours)
  opened.push(fake)
  return fake
}

const addressOf = (socket: string) => ({ text: `unix:${socket}`, target: `unix:${socket}` })

function connect(backoff: BackoffLimits = QUICK, socket = path): JwtBundleSource<JwtKey> {
  const onEvent = (event: JwtBundleEvent<JwtKey>) => events.push(event)
  const source = connectJwtBundles({ address: addressOf(socket), parse: parseJwtKeySet, now: () => now, onEvent, backoff })
  opened.push(source)
  return source
}

const good = (...messages: readonly JWTBundlesResponse[]): Behaviour<JWTBundlesResponse> => ({ kind: 'messages', messages })
const ending = (code: status): Behaviour<JWTBundlesResponse> => ({ kind: 'messages', messages: [], ending: { code, details: 'no' } })
const vec = () => jwtMessage({ [VEC]: [jwkOf(es256)] })
const both = () => jwtMessage({ [VEC]: [jwkOf(es256)], [PARTNER]: [jwkOf(partnerKey)] })
const waits = () => events.flatMap((event) => ('retryInMs' in event ? [event.retryInMs] : []))
const kinds = () => events.map(({ kind }) => kind)

/** What the rulebook says of a token under the bundles that are held right now. */
function judge(source: JwtBundleSource<JwtKey>, token: string): string {
  const verdict = verifyJwtSvid(token, source.current()?.keys ?? new Map(), { audience: AUDIENCE, now: JWT_NOW, leewayMs: 0 })
  return verdict.ok ? 'valid' : verdict.rule
}

async function until(what: string, condition: () => boolean, withinMs = 2_000): Promise<void> {
  const end = Date.now() + withinMs
  while (!condition()) {
    if (Date.now() > end) throw new Error(`did not happen within ${withinMs} ms: ${what}; events ${kinds().join(' ')}`)
    await new Promise((resolve) => setTimeout(resolve, 3))
  }
}

describe('the JWT bundle stream, when all is well', () => {
  it('E-4, A-16: sends the security header, reads keys without use, and the rulebook accepts what they signed', async () => {
    const fake = await serve(good(both()))
    const source = connect()
    expect(source.current()).toBeUndefined()
    expect(judge(source, makeToken())).toBe('J-19')
    const bundles = await source.ready(1_000)
    expect(fake.jwtBundles.calls).toEqual([['true']])
    expect(fake.calls).toEqual([])
    expect(bundles).toMatchObject({ generation: 1, receivedAt: now })
    expect([...bundles.keys.keys()]).toEqual(['vec.test', 'partner.test'])
    expect(Object.isFrozen(bundles)).toBe(true)
    expect(judge(source, makeToken())).toBe('valid')
    expect(judge(source, makeToken({ by: partnerKey, claims: { sub: `${PARTNER}/job` } }))).toBe('valid')
    expect(judge(source, makeToken({ by: partnerKey }))).toBe('J-9')
    expect(source.state().state).toBe('live')
  })

  it('A-2: each message replaces everything: a trust domain that is missing is untrusted at once, and so is a key', async () => {
    const fake = await serve(good(both()))
    const source = connect()
    const before = await source.ready(1_000)
    fake.jwtBundles.send(jwtMessage({ [VEC]: [jwkOf(other)] }))
    await until('the second message', () => source.current()?.generation === 2)
    expect(judge(source, makeToken({ by: partnerKey, claims: { sub: `${PARTNER}/job` } }))).toBe('J-19')
    expect(judge(source, makeToken())).toBe('J-9')
    expect(judge(source, makeToken({ by: other }))).toBe('valid')
    expect(before.keys.get('vec.test')?.map(({ kid }) => kid)).toEqual(['k-es256'])
  })

  it('J-20: an empty key set is read, and trusts nothing', async () => {
    await serve(good(jwtMessage({ [VEC]: [] })))
    const source = connect()
    await source.ready(1_000)
    expect(judge(source, makeToken())).toBe('J-20')
  })

  it('A-17: an unchanged message causes no event and no new generation, also with its keys in another order, but it refreshes the age', async () => {
    const fake = await serve(good(jwtMessage({ [VEC]: [jwkOf(es256), jwkOf(rsa)], [PARTNER]: [jwkOf(partnerKey)] })))
    const source = connect()
    await source.ready(1_000)
    now += 400
    fake.jwtBundles.send(jwtMessage({ [PARTNER]: [jwkOf(partnerKey)], [VEC]: [jwkOf(rsa), jwkOf(es256)] }))
    await until('the refresh', () => source.current()?.receivedAt === now)
    expect(source.current()?.generation).toBe(1)
    expect(kinds()).toEqual(['updated'])
  })

  const changes = [
    { name: 'one key more', sets: { [VEC]: [jwkOf(es256), jwkOf(es384)] } },
    { name: 'another key under the same kid', sets: { [VEC]: [jwkOf({ ...other, kid: es256.kid })] } },
    { name: 'the same key under another kid', sets: { [VEC]: [jwkOf({ ...es256, kid: 'renamed' })] } },
    { name: 'no key any more', sets: { [VEC]: [] } },
    { name: 'one trust domain more', sets: { [VEC]: [jwkOf(es256)], [PARTNER]: [] } },
    { name: 'the same key for another trust domain', sets: { [PARTNER]: [jwkOf(es256)] } }
  ]
  it.each(changes)('A-17: $name is a change', async ({ sets }) => {
    const fake = await serve(good(vec()))
    const source = connect()
    await source.ready(1_000)
    const seen: (number | undefined)[] = []
    source.onChange((bundles) => seen.push(bundles?.generation))
    fake.jwtBundles.send(jwtMessage(sets))
    await until('the change', () => source.current()?.generation === 2)
    expect(seen).toEqual([2])
  })

  it('a silent but open stream keeps vouching: the age stays young without any message', async () => {
    await serve(good(vec()))
    const source = connect()
    await source.ready(1_000)
    now += 3_600_000
    expect(source.current()).toMatchObject({ generation: 1, receivedAt: now })
  })

  it('whoever stopped listening hears nothing more', async () => {
    const fake = await serve(good(vec()))
    const source = connect()
    await source.ready(1_000)
    const seen: unknown[] = []
    source.onChange((bundles) => seen.push(bundles))()
    fake.jwtBundles.send(both())
    await until('the change', () => source.current()?.generation === 2)
    expect(seen).toEqual([])
  })
})

describe('the JWT bundle stream, when a message is bad', () => {
  const bad = [
    { name: 'A-4: no bundle at all', sets: {}, because: /holds no JWT bundle\./ },
    { name: 'one document that is no JSON', sets: { [VEC]: [jwkOf(other)], [PARTNER]: 'oops' }, because: /bundle of partner\.test.*B-1/ },
    { name: 'one document without keys', sets: { [VEC]: '{}' }, because: /bundle of vec\.test.*B-1.*no keys/ },
    { name: 'an empty document', sets: { [VEC]: '' }, because: /bundle of vec\.test.*B-1/ },
    { name: 'a member twice', sets: { [VEC]: '{"keys":[],"keys":[]}' }, because: /bundle of vec\.test.*B-13/ },
    { name: 'A-10: no usable name', sets: { 'vec.test': [jwkOf(es256)] }, because: /named by the SPIFFE ID of a trust domain/ }
  ]
  it.each(bad)('$name: dropped whole with an event, the old state stays, and from then on it ages', async ({ sets, because }) => {
    const fake = await serve(good(vec()))
    const source = connect()
    await source.ready(1_000)
    fake.jwtBundles.send(jwtMessage(sets))
    await until('the drop', () => kinds().includes('message-dropped'))
    expect(events.at(-1)).toMatchObject({ because: expect.stringMatching(because) })
    now += 60_000
    expect(source.current()).toMatchObject({ generation: 1, receivedAt: now - 60_000 })
    expect(source.state()).toMatchObject({ state: 'stale', because: expect.stringMatching(because) })
    expect(judge(source, makeToken())).toBe('valid')
    expect(judge(source, makeToken({ by: other }))).toBe('J-9')
    fake.jwtBundles.send(vec())
    await until('the next good message', () => source.state().state === 'live')
    expect(source.current()).toMatchObject({ generation: 1, receivedAt: now })
  })

  const names = ['partner.test', 'spiffe://partner.test/x', 'spiffe://Partner.test', 'https://partner.test', '']
  it.each(names)('A-10: the name %j is ignored with a warning, said once; the rest is used', async (name) => {
    const message = jwtMessage({ [VEC]: [jwkOf(es256)], [name]: [jwkOf(partnerKey)] })
    const fake = await serve(good(message, message))
    const source = connect()
    await source.ready(1_000)
    fake.jwtBundles.send(jwtMessage({ [VEC]: [jwkOf(other)], [name]: [jwkOf(partnerKey)] }))
    await until('the rotation', () => source.current()?.generation === 2)
    expect([...(source.current()?.keys.keys() ?? [])]).toEqual(['vec.test'])
    expect(kinds()).toEqual(['warning', 'updated', 'updated'])
    expect(events[0]).toMatchObject({ because: expect.stringContaining('A-10') })
  })

  it('B-2, B-16: a key that is of no use is passed over with a warning that names it, and its neighbours are used', async () => {
    await serve(good(jwtMessage({ [VEC]: [{ kty: 'ZZ', kid: 'a' }, jwkOf(other, { use: 'x509-svid' }), jwkOf(es256)] })))
    const source = connect()
    await source.ready(1_000)
    expect(judge(source, makeToken())).toBe('valid')
    expect(judge(source, makeToken({ by: other }))).toBe('J-9')
    const said = events.flatMap((event) => (event.kind === 'warning' ? [event.because] : []))
    expect(said).toEqual([expect.stringMatching(/vec\.test, key 1: .*B-2/), expect.stringMatching(/vec\.test, key 2: .*B-16/)])
  })

  it('E-11: bytes that are no message end the stream; the back-off grows until a message was read, then it starts again', async () => {
    const fake = await serve({ kind: 'garbage' })
    const source = connect({ ...QUICK, mostMs: 10_000 })
    await until('four tries', () => fake.jwtBundles.calls.length >= 4)
    expect(waits()[2]).toBeGreaterThan((waits()[0] ?? 0) * 1.9)
    fake.jwtBundles.behave({ kind: 'messages', messages: [vec()], ending: 'end' }, good(vec()))
    await source.ready(1_000)
    await until('the end of that stream', () => events.at(-1)?.kind === 'disconnected')
    expect(events.at(-1)).toMatchObject({ code: status.OK, retryInMs: expect.toSatisfy((ms: number) => ms <= 10) })
  })

  it('E-11: messages that are dropped do not reset the back-off either', async () => {
    const fake = await serve({ kind: 'messages', messages: [jwtMessage({})], ending: 'end' })
    connect({ ...QUICK, mostMs: 10_000 })
    await until('four tries', () => fake.jwtBundles.calls.length >= 4)
    expect(waits()[2]).toBeGreaterThan((waits()[0] ?? 0) * 1.9)
  })
})

describe('the JWT bundle stream, when the agent refuses or goes', () => {
  it.each([status.INVALID_ARGUMENT, status.UNIMPLEMENTED])('E-6, E-9: status %i is final: one call, no retry, a reason', async (code) => {
    const fake = await serve(ending(code))
    const source = connect()
    await expect(source.ready(5_000)).rejects.toThrow(`No JWT bundles from unix:${path}: The Workload API refused for good`)
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(fake.jwtBundles.calls.length).toBe(1)
    expect(kinds()).toEqual(['failed'])
    expect(source.state().state).toBe('failed')
  })

  it('E-7, E-12: three times Unavailable, then ok: recovers, with one try for each failure', async () => {
    const refusal = ending(status.UNAVAILABLE)
    const fake = await serve(refusal, refusal, refusal, good(vec()))
    await connect().ready(1_000)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(fake.jwtBundles.calls.length).toBe(4)
    expect(kinds()).toEqual(['disconnected', 'disconnected', 'disconnected', 'updated'])
  })

  const retried = [status.CANCELLED, status.UNKNOWN, status.INTERNAL, status.RESOURCE_EXHAUSTED, 'end'] as const
  it.each(retried)('E-10: %s in the middle of a stream is retried, and takes nothing back', async (code) => {
    const fake = await serve(good(vec()))
    const source = connect()
    await source.ready(1_000)
    fake.jwtBundles.end(code === 'end' ? 'end' : { code, details: 'gone' })
    await until('the retry', () => fake.jwtBundles.calls.length === 2 && source.state().state === 'live')
    expect(source.current()?.generation).toBe(1)
    expect(kinds()).toEqual(['updated', 'disconnected'])
  })

  it('A-5, E-8: PermissionDenied takes the keys away in that moment, and is retried; the same keys come back under a new number', async () => {
    const fake = await serve(good(vec()))
    const source = connect()
    await source.ready(1_000)
    const seen: (number | undefined)[] = []
    source.onChange((bundles) => seen.push(bundles?.generation))
    fake.jwtBundles.behave(ending(status.PERMISSION_DENIED), ending(status.PERMISSION_DENIED), good(vec()))
    fake.jwtBundles.end(denied)
    await until('the redaction', () => kinds().includes('redacted'))
    expect(source.current()).toBeUndefined()
    expect(judge(source, makeToken())).toBe('J-19')
    expect(source.state()).toMatchObject({ state: 'denied', because: expect.stringContaining('registration entry') })
    await source.ready(1_000)
    expect(source.current()?.generation).toBe(2)
    expect(seen).toEqual([undefined, 2])
  })

  it('A-6: Unavailable takes nothing back; the age grows from the last moment the agent was there', async () => {
    const fake = await serve(good(vec()))
    const source = connect()
    await source.ready(1_000)
    now += 5_000
    fake.jwtBundles.behave(ending(status.UNAVAILABLE))
    fake.jwtBundles.end(unavailable)
    await until('the loss', () => kinds().includes('disconnected'))
    const lost = now
    now += 600_000
    expect(source.current()).toMatchObject({ generation: 1, receivedAt: lost })
    expect(source.state().state).toBe('stale')
    expect(judge(source, makeToken())).toBe('valid')
  })

  it('E-13, A-1: is back within two seconds of the agent, with the default back-off', async () => {
    const fake = await serve(good(vec()))
    const source = connect(BACKOFF)
    await source.ready(1_000)
    fake.stop()
    await until('a second failure', () => events.filter(({ kind }) => kind === 'disconnected').length >= 2)
    const back = Date.now()
    await serve(good(both()))
    await until('the return', () => source.current()?.generation === 2, 2_000)
    expect(Date.now() - back).toBeLessThan(2_000)
  })

  it('close forgets the keys, ends the call, and fails whoever waits', async () => {
    const fake = await serve(good(vec()))
    const source = connect()
    await source.ready(1_000)
    source.close()
    expect(source.current()).toBeUndefined()
    await until('the end of the call', () => fake.jwtBundles.open.size === 0)
    await expect(source.ready(5_000)).rejects.toThrow('closed')
  })
})

describe('fetching a JWT-SVID of our own', () => {
  const svid = (spiffeId = `${VEC}/vecauthz`, token = 'aGVhZA.Ym9keQ.c2ln') => ({ spiffeId, svid: token, hint: 'internal' })
  const ask = (audience: readonly string[], spiffeId?: string) =>
    fetchJwtSvid({ address: addressOf(path), audience, timeoutMs: 1_000, ...(spiffeId === undefined ? {} : { spiffeId }) })

  it('E-4, A-14: all audiences go in one call with the header, and the answer is given as it is', async () => {
    const fake = await serve()
    fake.jwtSvid.behave(() => ({ svids: [svid(), svid(`${VEC}/second`)] }))
    const result = await ask(['chroma', 'spiffe://vec.test/other'])
    expect(result).toMatchObject({
      ok: true,
      svids: [{ id: { text: `${VEC}/vecauthz` }, token: 'aGVhZA.Ym9keQ.c2ln', hint: 'internal' }, { id: { path: '/second' } }]
    })
    expect(fake.jwtSvid.calls).toEqual([{ header: ['true'], request: { audience: ['chroma', 'spiffe://vec.test/other'], spiffeId: '' } }])
  })

  it('A-14: the identity that is asked for goes along, and no other is taken for it', async () => {
    const fake = await serve()
    fake.jwtSvid.behave(() => ({ svids: [svid(), svid(`${VEC}/second`)] }))
    expect(await ask(['chroma'], `${VEC}/second`)).toMatchObject({ ok: true, svids: [{ id: { path: '/second' } }] })
    expect(fake.jwtSvid.calls[0]?.request.spiffeId).toBe(`${VEC}/second`)
    expect(await ask(['chroma'], `${VEC}/third`)).toMatchObject({ ok: false, because: expect.stringContaining('identity that was asked') })
  })

  it.each([[[]], [['']], [['chroma', '']]])('A-13: the audiences %j are refused without a call', async (audience) => {
    const fake = await serve()
    fake.jwtSvid.behave(() => ({ svids: [svid()] }))
    expect(await ask(audience)).toMatchObject({ ok: false, code: undefined, because: expect.stringContaining('audience') })
    expect(fake.jwtSvid.calls).toEqual([])
  })

  it.each([status.PERMISSION_DENIED, status.INVALID_ARGUMENT, status.UNAVAILABLE])(
    'status %i is an answer: no retry, and no token of before',
    async (code) => {
      const fake = await serve()
      fake.jwtSvid.behave(() => ({ svids: [svid()] }))
      expect(await ask(['chroma'])).toMatchObject({ ok: true })
      fake.jwtSvid.behave(() => ({ code, details: 'no' }))
      expect(await ask(['chroma'])).toMatchObject({ ok: false, code, because: expect.stringContaining(`${status[code]}): no`) })
      expect(fake.jwtSvid.calls.length).toBe(2)
    }
  )

  const unusable = [
    { name: 'A-4: no SVID', svids: [] },
    { name: 'A-4: no id', svids: [svid('')] },
    { name: 'no SPIFFE ID', svids: [svid('vec.test/a')] },
    { name: 'A-4: no token', svids: [svid(undefined, '')] },
    { name: 'a token that would end its header', svids: [svid(undefined, 'a.b.c\r\nx: y')] },
    { name: 'a token of two parts', svids: [svid(undefined, 'a.b')] },
    { name: 'a bad one beside a good one', svids: [svid(), svid(undefined, 'oops')] }
  ]
  it.each(unusable)('an answer with $name is refused, and its text is not repeated', async ({ svids }) => {
    const fake = await serve()
    fake.jwtSvid.behave(() => ({ svids }))
    const result = await ask(['chroma'])
    expect(result).toMatchObject({ ok: false, code: undefined })
    expect(JSON.stringify(result)).not.toMatch(/a\.b|oops|aGVhZA/)
  })

  it('no agent: an error that names the address', async () => {
    expect(await ask(['chroma'])).toMatchObject({ ok: false, code: status.UNAVAILABLE, because: expect.stringContaining(path) })
  })
})

it('the dev issuer: its JWT bundles verify the JWT-SVID that it gives, and one of a trust domain that is not federated is unknown', async () => {
  now = Math.floor(Date.now() / 1000) * 1000
  const [id, foreign] = [`${VEC}/a`, `${PARTNER}/b`]
  const issuer = await startDevIssuer({
    folder,
    trustDomains: ['vec.test', 'partner.test'],
    entries: [{ id }, { id: foreign }],
    environment: {},
    say: () => {},
    stepEveryMs: 0,
    now: () => now
  })
  try {
    const socketOf = (one: string) => issuer.socketOf(one).slice('unix://'.length)
    const { keys } = await connect(QUICK, socketOf(id)).ready(1_000)
    const verdict = async (one: string) => {
      const fetched = await fetchJwtSvid({ address: addressOf(socketOf(one)), audience: [AUDIENCE], timeoutMs: 1_000 })
      if (!fetched.ok) throw new Error(fetched.because)
      return verifyJwtSvid(fetched.svids[0]?.token ?? '', keys, { audience: AUDIENCE, now, leewayMs: 0 })
    }
    expect(await verdict(id)).toMatchObject({ ok: true, id: { text: id } })
    expect(await verdict(foreign)).toMatchObject({ ok: false, rule: 'J-19' })
  } finally {
    await issuer.close()
  }
})
