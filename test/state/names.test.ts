import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { LOOKUP_MISSES_PER_MINUTE, LOOKUPS_IN_FLIGHT_MAX, RESOLVED_NAME_TTL_MS } from '../../src/core/limits.ts'
import type { ResolvedTarget, Target } from '../../src/core/vector-call.ts'
import { chromaNames } from '../../src/databases/chroma-names.ts'
import { createNames, type FetchName, type NameSource } from '../../src/state/names.ts'
import { createNameFetcher } from '../../src/state/names-http.ts'

const AGENT = 'spiffe://example.org/acme/agent'
const OTHER = 'spiffe://example.org/globex/agent'
const idOf = (number: number) => `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
const ID = idOf(1)
const PLACE = { tenant: 'acme', namespace: 'rag', id: ID }

/** A database with some collections: answers like Chroma, when `answer` lets it. */
function world(collections: Record<string, string> = { [`acme/rag/${ID}`]: 'handbook' }) {
  const state = { now: 1_000_000, asked: [] as string[], collections, held: undefined as Promise<void> | undefined }
  const fetchName: FetchName = async (path) => {
    state.asked.push(path)
    await state.held
    const [, , , , tenant = '', , database = '', , , id = ''] = path.split('/')
    const name = state.collections[`${tenant}/${database}/${id}`]
    if (name === undefined) return { status: 404, body: Buffer.from('{"error":"NotFoundError","message":"Collection does not exist"}') }
    return { status: 200, body: Buffer.from(JSON.stringify({ id, name, tenant, database, metadata: null, dimension: 3 })) }
  }
  const source: NameSource = { server: 'demo', ...chromaNames, fetchName }
  return { state, source, names: createNames({ now: () => state.now, timeoutMs: 50 }) }
}

const kindOf = (result: { ok: boolean; reason?: { kind: string } }) => (result.ok ? 'allowed' : result.reason?.kind)
const by = (id: string, namespace = 'rag', tenant = 'acme'): Target => ({
  tenant: { kind: 'path', tenant },
  namespace,
  collection: { kind: 'id', id }
})
const named = (name: string, id?: string): ResolvedTarget => ({
  tenant: 'acme',
  namespace: 'rag',
  collection: id === undefined ? { kind: 'name', name } : { kind: 'name', name, id }
})

describe('a name', () => {
  it('is asked once, and then given without a promise', async () => {
    const { state, source, names } = world()
    expect(await names.nameOf(source, AGENT, PLACE)).toEqual({ ok: true, value: 'handbook' })
    expect(names.nameOf(source, AGENT, PLACE)).toEqual({ ok: true, value: 'handbook' })
    expect(names.nameOf(source, OTHER, PLACE)).toEqual({ ok: true, value: 'handbook' })
    expect(state.asked).toEqual([`/api/v2/tenants/acme/databases/rag/collections/by-id/${ID}`])
  })

  it('is asked again when its time is over, and not a millisecond before', async () => {
    const { state, source, names } = world()
    await names.nameOf(source, AGENT, PLACE)
    state.now += RESOLVED_NAME_TTL_MS - 1
    expect(names.nameOf(source, AGENT, PLACE)).toMatchObject({ ok: true })
    state.collections[`acme/rag/${ID}`] = 'renamed'
    state.now += 1
    expect(await names.nameOf(source, AGENT, PLACE)).toEqual({ ok: true, value: 'renamed' })
  })

  it('is asked once for all who wait for it', async () => {
    const { state, source, names } = world()
    const answers = await Promise.all([AGENT, AGENT, OTHER].map((caller) => names.nameOf(source, caller, PLACE)))
    expect(answers.map(kindOf)).toEqual(['allowed', 'allowed', 'allowed'])
    expect(state.asked).toHaveLength(1)
  })

  it('of another tenant, database or server is another question', async () => {
    const { state, source, names } = world()
    await names.nameOf(source, AGENT, PLACE)
    expect(kindOf(await names.nameOf(source, AGENT, { ...PLACE, tenant: 'globex' }))).toBe('collection-not-allowed')
    expect(kindOf(await names.nameOf(source, AGENT, { ...PLACE, namespace: 'other' }))).toBe('collection-not-allowed')
    expect(kindOf(await names.nameOf({ ...source, server: 'second' }, AGENT, PLACE))).toBe('allowed')
    expect(state.asked).toHaveLength(4)
  })

  it('that is not there is not remembered', async () => {
    const { state, source, names } = world({})
    expect(kindOf(await names.nameOf(source, AGENT, PLACE))).toBe('collection-not-allowed')
    state.collections[`acme/rag/${ID}`] = 'new'
    expect(await names.nameOf(source, AGENT, PLACE)).toEqual({ ok: true, value: 'new' })
  })

  it('is refused in one way, whether the id is nowhere or somebody else’s', async () => {
    const { source, names } = world({ [`globex/rag/${ID}`]: 'secret' })
    const elsewhere = await names.nameOf(source, AGENT, PLACE)
    const nowhere = await names.nameOf(source, AGENT, { ...PLACE, id: idOf(2) })
    expect(JSON.stringify(nowhere).replaceAll(idOf(2), ID)).toBe(JSON.stringify(elsewhere))
  })

  it('keeps the oldest out when there is no room', async () => {
    const { state, source } = world({ [`acme/rag/${idOf(1)}`]: 'one', [`acme/rag/${idOf(2)}`]: 'two', [`acme/rag/${idOf(3)}`]: 'three' })
    const names = createNames({ now: () => state.now, keptMax: 2 })
    for (const number of [1, 2, 3]) await names.nameOf(source, AGENT, { ...PLACE, id: idOf(number) })
    expect(names.nameOf(source, AGENT, { ...PLACE, id: idOf(3) })).toMatchObject({ ok: true })
    expect(names.nameOf(source, AGENT, { ...PLACE, id: idOf(2) })).toMatchObject({ ok: true })
    expect(names.nameOf(source, AGENT, { ...PLACE, id: idOf(1) })).toBeInstanceOf(Promise)
  })
})

describe('an answer that is none', () => {
  const body = (text: string) => Buffer.from(text)
  const good = { id: ID, name: 'handbook', tenant: 'acme', database: 'rag' }
  const answers: readonly { name: string; answer: Awaited<ReturnType<FetchName>> | Error; want: string }[] = [
    { name: 'a description', answer: { status: 200, body: body(JSON.stringify(good)) }, want: 'allowed' },
    { name: 'no answer', answer: new Error('connect ECONNREFUSED'), want: 'state-unavailable' },
    { name: 'a server error', answer: { status: 500, body: body('{}') }, want: 'state-unavailable' },
    { name: 'a redirection', answer: { status: 302, body: body('') }, want: 'state-unavailable' },
    {
      name: 'a 404 about the collection',
      answer: { status: 404, body: body('{"error":"NotFoundError","message":"x"}') },
      want: 'collection-not-allowed'
    },
    { name: 'a 404 about something else', answer: { status: 404, body: body('{"error":"RouteNotFound"}') }, want: 'state-unavailable' },
    { name: 'a 404 of another server', answer: { status: 404, body: body('<html>') }, want: 'state-unavailable' },
    { name: 'an empty 404, as for an unknown path', answer: { status: 404, body: body('') }, want: 'state-unavailable' },
    { name: 'no JSON', answer: { status: 200, body: body('handbook') }, want: 'state-unavailable' },
    { name: 'no name', answer: { status: 200, body: body(JSON.stringify({ ...good, name: undefined })) }, want: 'state-unavailable' },
    {
      name: 'a name that is null',
      answer: { status: 200, body: body(JSON.stringify({ ...good, name: null })) },
      want: 'state-unavailable'
    },
    { name: 'another id', answer: { status: 200, body: body(JSON.stringify({ ...good, id: idOf(9) })) }, want: 'state-unavailable' },
    {
      name: 'another tenant',
      answer: { status: 200, body: body(JSON.stringify({ ...good, tenant: 'globex' })) },
      want: 'state-unavailable'
    },
    {
      name: 'another database',
      answer: { status: 200, body: body(JSON.stringify({ ...good, database: 'other' })) },
      want: 'state-unavailable'
    },
    {
      name: 'a description with more in it',
      answer: { status: 200, body: body(JSON.stringify({ ...good, owner: 'x' })) },
      want: 'allowed'
    },
    { name: 'a list', answer: { status: 200, body: body('[]') }, want: 'state-unavailable' },
    { name: 'null', answer: { status: 200, body: body('null') }, want: 'state-unavailable' }
  ]
  it.each(answers)('$name: $want', async ({ answer, want }) => {
    const { source, names } = world()
    const fetchName: FetchName = () => (answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer))
    expect(kindOf(await names.nameOf({ ...source, fetchName }, AGENT, PLACE))).toBe(want)
  })

  it('is also the one that comes too late', async () => {
    const { source, names } = world()
    let aborted = false
    const fetchName: FetchName = (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => {
          aborted = true
          reject(new Error('aborted'))
        })
      })
    expect(kindOf(await names.nameOf({ ...source, fetchName }, AGENT, PLACE))).toBe('state-unavailable')
    expect(aborted).toBe(true)
    expect(kindOf(await names.nameOf(source, AGENT, PLACE))).toBe('allowed')
  })
})

describe('a caller', () => {
  const miss = async (one: ReturnType<typeof world>, caller: string, number: number) =>
    kindOf(await one.names.nameOf(one.source, caller, { ...PLACE, id: idOf(number) }))

  it('that asks for ids that are not there is stopped, for a minute and alone', async () => {
    const one = world()
    const kinds: (string | undefined)[] = []
    for (let number = 0; number < LOOKUP_MISSES_PER_MINUTE + 1; number++) kinds.push(await miss(one, AGENT, 100 + number))
    expect(kinds.filter((kind) => kind === 'collection-not-allowed')).toHaveLength(LOOKUP_MISSES_PER_MINUTE)
    expect(kinds.at(-1)).toBe('rate-exceeded')
    expect(one.state.asked).toHaveLength(LOOKUP_MISSES_PER_MINUTE)
    expect(await miss(one, OTHER, 500)).toBe('collection-not-allowed')
    one.state.now += 59_999
    expect(await miss(one, AGENT, 501)).toBe('rate-exceeded')
    one.state.now += 1
    expect(await miss(one, AGENT, 502)).toBe('collection-not-allowed')
  })

  it('that is stopped still gets the names that are known', async () => {
    const one = world()
    await one.names.nameOf(one.source, OTHER, PLACE)
    for (let number = 0; number < LOOKUP_MISSES_PER_MINUTE; number++) await miss(one, AGENT, 100 + number)
    expect(one.names.nameOf(one.source, AGENT, PLACE)).toMatchObject({ ok: true })
  })

  it('cannot ask for more at once than it may miss', async () => {
    const one = world()
    const all = Array.from({ length: LOOKUPS_IN_FLIGHT_MAX }, (_, number) => miss(one, AGENT, 100 + number))
    const kinds = await Promise.all(all)
    expect(kinds.filter((kind) => kind === 'collection-not-allowed')).toHaveLength(LOOKUP_MISSES_PER_MINUTE)
    expect(kinds.filter((kind) => kind === 'rate-exceeded')).toHaveLength(LOOKUPS_IN_FLIGHT_MAX - LOOKUP_MISSES_PER_MINUTE)
  })

  it('whose many checks wait for one name spends nothing on it', async () => {
    const one = world()
    const kinds = await Promise.all(Array.from({ length: 100 }, () => one.names.nameOf(one.source, AGENT, PLACE)))
    expect(new Set(kinds.map(kindOf))).toEqual(new Set(['allowed']))
    for (let number = 0; number < LOOKUP_MISSES_PER_MINUTE; number++)
      expect(await miss(one, AGENT, 100 + number)).toBe('collection-not-allowed')
  })

  it('pays for a miss that another one asked for', async () => {
    const one = world()
    for (let number = 0; number < LOOKUP_MISSES_PER_MINUTE; number++)
      await Promise.all([miss(one, AGENT, 100 + number), miss(one, OTHER, 100 + number)])
    expect(await miss(one, OTHER, 500)).toBe('rate-exceeded')
    expect(one.state.asked).toHaveLength(LOOKUP_MISSES_PER_MINUTE)
  })

  it('does not pay for a database that is away', async () => {
    const one = world()
    const fetchName: FetchName = () => Promise.reject(new Error('gone'))
    for (let number = 0; number < 2 * LOOKUP_MISSES_PER_MINUTE; number++) {
      expect(kindOf(await one.names.nameOf({ ...one.source, fetchName }, AGENT, PLACE))).toBe('state-unavailable')
    }
  })

  it('is told to come back when too many look-ups are under way', async () => {
    const one = world()
    let release = () => {}
    one.state.held = new Promise((resolve) => (release = resolve))
    const waiting = Array.from({ length: LOOKUPS_IN_FLIGHT_MAX }, (_, number) =>
      one.names.nameOf(one.source, `${AGENT}/${number}`, { ...PLACE, id: idOf(number) })
    )
    expect(one.names.nameOf(one.source, OTHER, { ...PLACE, id: idOf(900) })).toMatchObject({
      ok: false,
      reason: { kind: 'state-unavailable' }
    })
    release()
    await Promise.all(waiting)
    expect(kindOf(await one.names.nameOf(one.source, OTHER, PLACE))).toBe('allowed')
  })
})

describe('after a rename or a drop was granted', () => {
  it('the name is asked each time, until the database has surely done it', async () => {
    const { state, source, names } = world()
    await names.nameOf(source, AGENT, PLACE)
    names.forget('demo', [named('handbook', ID), named('manual')])
    expect(await names.nameOf(source, AGENT, PLACE)).toEqual({ ok: true, value: 'handbook' })
    state.collections[`acme/rag/${ID}`] = 'manual'
    expect(await names.nameOf(source, AGENT, PLACE)).toEqual({ ok: true, value: 'manual' })
    state.now += RESOLVED_NAME_TTL_MS
    await names.nameOf(source, AGENT, PLACE)
    expect(names.nameOf(source, AGENT, PLACE)).toEqual({ ok: true, value: 'manual' })
  })

  it('an answer that was on its way is not kept', async () => {
    const { state, source, names } = world()
    let release = () => {}
    state.held = new Promise((resolve) => (release = resolve))
    const before = names.nameOf(source, AGENT, PLACE)
    names.forget('demo', [named('handbook', ID)])
    const after = names.nameOf(source, AGENT, PLACE)
    release()
    await Promise.all([before, after])
    expect(state.asked).toHaveLength(2)
    expect(names.nameOf(source, AGENT, PLACE)).toBeInstanceOf(Promise)
  })

  it('the question after it is shared, also when the one before it is answered meanwhile', async () => {
    const { state, source, names } = world()
    const releases: (() => void)[] = []
    const hold = () => (state.held = new Promise((resolve) => releases.push(resolve)))
    hold()
    const before = names.nameOf(source, AGENT, PLACE)
    names.forget('demo', [named('handbook', ID)])
    hold()
    const after = names.nameOf(source, AGENT, PLACE)
    releases[0]?.()
    await before
    const joined = names.nameOf(source, OTHER, PLACE)
    releases[1]?.()
    expect(await Promise.all([after, joined])).toMatchObject([{ ok: true }, { ok: true }])
    expect(state.asked).toHaveLength(2)
  })

  const drops: readonly { name: string; targets: readonly ResolvedTarget[]; server?: string; asks: boolean }[] = [
    { name: 'by that name', targets: [named('handbook')], asks: true },
    { name: 'by another name', targets: [named('manual')], asks: false },
    { name: 'of everything in the database', targets: [{ tenant: 'acme', namespace: 'rag', collection: { kind: 'every' } }], asks: true },
    {
      name: 'of everything in another database',
      targets: [{ tenant: 'acme', namespace: 'other', collection: { kind: 'every' } }],
      asks: false
    },
    {
      name: 'of everything of another tenant',
      targets: [{ tenant: 'globex', namespace: 'rag', collection: { kind: 'every' } }],
      asks: false
    },
    { name: 'of the database’s own entry', targets: [{ tenant: 'acme', namespace: 'rag', collection: { kind: 'none' } }], asks: false },
    { name: 'on another server', targets: [named('handbook')], server: 'second', asks: false }
  ]
  it.each(drops)('a drop $name', async ({ targets, server = 'demo', asks }) => {
    const { source, names } = world()
    await names.nameOf(source, AGENT, PLACE)
    names.forget(server, targets)
    expect(names.nameOf(source, AGENT, PLACE) instanceof Promise).toBe(asks)
  })
})

describe('the targets of a call', () => {
  it('are resolved without a promise when no id is among them', () => {
    const { source, names } = world()
    const targets: Target[] = [
      { tenant: { kind: 'path', tenant: 'acme' }, namespace: 'rag', collection: { kind: 'every' } },
      { tenant: { kind: 'path', tenant: 'acme' }, namespace: undefined, collection: { kind: 'none' } }
    ]
    expect(names.resolve(source, AGENT, targets)).toEqual({
      ok: true,
      value: [
        { tenant: 'acme', namespace: 'rag', collection: { kind: 'every' } },
        { tenant: 'acme', namespace: undefined, collection: { kind: 'none' } }
      ]
    })
  })

  it('keep their order and the id beside the name', async () => {
    const { source, names } = world()
    const targets: Target[] = [
      by(ID),
      { tenant: { kind: 'path', tenant: 'acme' }, namespace: 'rag', collection: { kind: 'name', name: 'manual' } }
    ]
    const want = { ok: true, value: [named('handbook', ID), named('manual')] }
    expect(await names.resolve(source, AGENT, targets)).toEqual(want)
    expect(names.resolve(source, AGENT, targets)).toEqual(want)
  })

  it('are refused when one of them is', async () => {
    const { source, names } = world()
    expect(kindOf(await names.resolve(source, AGENT, [by(ID), by(idOf(2))]))).toBe('collection-not-allowed')
    expect(names.resolve(source, AGENT, [{ tenant: { kind: 'none' }, namespace: 'rag', collection: { kind: 'none' } }])).toMatchObject({
      reason: { kind: 'tenant-not-named' }
    })
    expect(names.resolve(source, AGENT, [{ ...by(ID), namespace: undefined }])).toMatchObject({ reason: { kind: 'call-unreadable' } })
  })
})

describe('whatever happens', () => {
  it('a caller never gets a name that the database did not have within the time to live', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('ask' as const), id: fc.nat({ max: 3 }) }),
      fc.record({ kind: fc.constant('rename' as const), id: fc.nat({ max: 3 }), told: fc.boolean() }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.nat({ max: RESOLVED_NAME_TTL_MS }) })
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
        const { state, source, names } = world(Object.fromEntries([0, 1, 2, 3].map((id) => [`acme/rag/${idOf(id)}`, 'first'])))
        const renamed = new Map<number, { at: number; old: string; told: boolean }>()
        for (const [index, one] of steps.entries()) {
          if (one.kind === 'wait') state.now += one.ms
          else if (one.kind === 'rename') {
            const at = `acme/rag/${idOf(one.id)}`
            const old = state.collections[at] ?? ''
            if (one.told) names.forget('demo', [named(old, idOf(one.id))])
            state.collections[at] = `name-${index}`
            renamed.set(one.id, { at: state.now, old, told: one.told })
          } else {
            const answer = await names.nameOf(source, AGENT, { ...PLACE, id: idOf(one.id) })
            const truth = state.collections[`acme/rag/${idOf(one.id)}`]
            const last = renamed.get(one.id)
            const mayBeOld = last !== undefined && !last.told && state.now - last.at < RESOLVED_NAME_TTL_MS
            if (!mayBeOld) expect(answer).toEqual({ ok: true, value: truth })
          }
        }
      })
    )
  })
})

describe('asking over HTTP', () => {
  const closing: (() => void)[] = []
  afterEach(() => {
    for (const close of closing.splice(0)) close()
  })

  async function serve(listener: RequestListener): Promise<FetchName> {
    const server = createServer(listener)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const fetcher = createNameFetcher({
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      headers: () => ({ 'x-chroma-token': 'secret' })
    })
    closing.push(
      fetcher.close,
      () => server.close(),
      () => server.closeAllConnections()
    )
    return fetcher.fetchName
  }
  const never = () => new AbortController().signal

  it('sends one GET with our own credential over a kept connection', async () => {
    const seen: unknown[] = []
    const ports = new Set<number | undefined>()
    const fetchName = await serve((request, answer) => {
      seen.push([request.method, request.url, request.headers['x-chroma-token']])
      ports.add(request.socket.remotePort)
      answer.end('{"a":1}')
    })
    expect(await fetchName('/api/v2/x', never())).toEqual({ status: 200, body: Buffer.from('{"a":1}') })
    await fetchName('/api/v2/y', never())
    expect(seen).toEqual([
      ['GET', '/api/v2/x', 'secret'],
      ['GET', '/api/v2/y', 'secret']
    ])
    expect(ports.size).toBe(1)
  })

  it('does not follow a redirection', async () => {
    const fetchName = await serve((_, answer) => void answer.writeHead(302, { location: '/other' }).end())
    expect((await fetchName('/x', never())).status).toBe(302)
  })

  it('gives up an answer without end', async () => {
    const fetchName = await serve((_, answer) => {
      const more = () => answer.writable && answer.write(Buffer.alloc(65_536), more)
      more()
    })
    await expect(fetchName('/x', never())).rejects.toThrow('longer than')
  })

  it('gives up an answer that breaks off', async () => {
    const fetchName = await serve((_, answer) => {
      answer.writeHead(200, { 'content-length': '100' }).write('{"a"')
      setTimeout(() => answer.destroy(), 5)
    })
    await expect(fetchName('/x', never())).rejects.toThrow()
  })

  it('stops when it is told to', async () => {
    const fetchName = await serve(() => {})
    const abort = new AbortController()
    const asked = fetchName('/x', abort.signal)
    abort.abort()
    await expect(asked).rejects.toThrow()
  })

  it('asks once more when a kept connection turns out closed', async () => {
    let calls = 0
    const fetchName = await serve((request, answer) => {
      calls++
      if (calls === 2) request.socket.destroy()
      else answer.end(String(calls))
    })
    await fetchName('/x', never())
    expect((await fetchName('/x', never())).body.toString()).toBe('3')
  })

  it('is for http:// only', () => {
    expect(() => createNameFetcher({ url: 'https://chroma.test' })).toThrow('http:// only')
  })
})
