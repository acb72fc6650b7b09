/**
 * What the real Chroma does with what the dialect refuses: each trap is seen to be one, and random bodies that the dialect
 * allows are read by Chroma as the dialect read them. A new version of Chroma that behaves otherwise shows here first.
 */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type RunningChroma, startChroma } from '../../demo/chroma.ts'
import { read } from '../databases/chroma-call.ts'

const OURS = '/api/v2/tenants/acme/databases/rag'
const THEIRS = '/api/v2/tenants/globex/databases/rag'

let chroma: RunningChroma
let id: string

interface Answer {
  readonly status: number
  readonly text: string
}

async function send(method: string, target: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const payload = body === undefined || body instanceof Uint8Array || typeof body === 'string' ? body : JSON.stringify(body)
  const response = await fetch(chroma.url + target, {
    method,
    body: payload ?? null,
    headers: { 'content-type': 'application/json', ...headers }
  })
  return { status: response.status, text: await response.text() }
}

const post = (operation: string, body: unknown, headers?: Record<string, string>) =>
  send('POST', `${OURS}/collections/${id}/${operation}`, body, headers)
const idsOf = ({ text }: Answer): readonly string[] => JSON.parse(text).ids.flat()
/** What the dialect says to the same call. */
const verdict = (method: string, target: string, body?: unknown, headers: Record<string, string> = {}) => {
  const result = read({ method, target, body, headers })
  return result.ok ? 'allowed' : result.reason.kind
}

async function fill(): Promise<void> {
  await post('delete', { ids: ['a', 'b', 'c', 'd', 'n1', 'n2', 'n3'] })
  await post('upsert', {
    ids: ['a', 'b', 'c', 'd'],
    embeddings: [
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
      [1, 1, 0]
    ],
    documents: ['one', 'two', 'three', 'four'],
    metadatas: [
      { p: 1, t: 'x' },
      { p: 2, t: 'y' },
      { p: 3.5, b: true },
      { p: 4, l: ['q', 'r'] }
    ]
  })
}

beforeAll(async () => {
  const folder = join(import.meta.dirname, '../../.run/test-chroma-truth')
  rmSync(folder, { recursive: true, force: true })
  chroma = await startChroma({ folder })
  for (const tenant of ['acme', 'globex']) {
    await send('POST', '/api/v2/tenants', { name: tenant })
    await send('POST', `/api/v2/tenants/${tenant}/databases`, { name: 'rag' })
  }
  id = JSON.parse((await send('POST', `${OURS}/collections`, { name: 'handbook' })).text).id
})

afterAll(() => chroma?.stop())

beforeEach(fill)

it('the list of endpoints is the server’s own', async () => {
  const described = JSON.parse((await send('GET', '/openapi.json')).text) as { paths: Record<string, Record<string, unknown>> }
  const theirs = Object.entries(described.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`)
  )
  const file = new URL('../databases/endpoints/chroma-1.5.9.json', import.meta.url)
  const list = JSON.parse(readFileSync(file, 'utf8')) as { openapi: { method: string; path: string }[] }
  expect(theirs.sort()).toEqual(list.openapi.map(({ method, path }) => `${method} ${path}`).sort())
})

describe('a body that Chroma reads in its own way is refused', () => {
  interface Trap {
    readonly name: string
    readonly operation: string
    readonly body: string
    /** Seen in Chroma's answer, or in the records that are left. */
    readonly seen: (answer: Answer) => Promise<boolean> | boolean
  }
  const stored = async (one: string) => idsOf(await post('get', { ids: [one] })).length === 1
  const traps: readonly Trap[] = [
    {
      name: 'include in the other spelling of an enum gives vectors',
      operation: 'get',
      body: '{"include":[{"embeddings":null}]}',
      seen: ({ text }) => JSON.parse(text).embeddings.length === 4
    },
    {
      name: 'an empty $and is every record',
      operation: 'get',
      body: '{"where":{"$and":[]}}',
      seen: (answer) => idsOf(answer).length === 4
    },
    {
      name: 'an empty $and over documents is every record',
      operation: 'get',
      body: '{"where_document":{"$and":[]}}',
      seen: (answer) => idsOf(answer).length === 4
    },
    {
      name: 'a delete by an empty $and empties the collection',
      operation: 'delete',
      body: '{"where":{"$and":[]}}',
      seen: async () => idsOf(await post('get', {})).length === 0
    },
    {
      name: 'of a key twice in a filter the last one counts',
      operation: 'get',
      body: '{"where":{"t":"x","t":"y"}}',
      seen: (answer) => idsOf(answer).join() === 'b'
    },
    {
      name: 'of a key twice in metadata the last one counts',
      operation: 'upsert',
      body: '{"ids":["a"],"embeddings":[[1,0,0]],"metadatas":[{"t":"one","t":"two"}]}',
      seen: async () => idsOf(await post('get', { where: { t: 'two' } })).join() === 'a'
    },
    { name: 'a key in capitals is ignored', operation: 'get', body: '{"IDS":["a"]}', seen: (answer) => idsOf(answer).length === 4 },
    { name: 'an unknown key is ignored', operation: 'get', body: '{"tenant":"globex"}', seen: (answer) => idsOf(answer).length === 4 },
    {
      name: 'a component above float32 makes every record as near',
      operation: 'query',
      body: '{"query_embeddings":[[1e39,0,0]],"include":["distances"]}',
      seen: ({ text }) => JSON.parse(text).distances[0].every((one: unknown) => one === null)
    },
    {
      name: 'an array is taken for the body of a write',
      operation: 'add',
      body: '[["n1"],[[1,0,0]],["x"],null,null]',
      seen: () => stored('n1')
    }
  ]
  it.each(traps)('$name', async ({ operation, body, seen }) => {
    const answer = await post(operation, body)
    expect([200, 201]).toContain(answer.status)
    expect(await seen(answer)).toBe(true)
    expect(verdict('POST', `${OURS}/collections/${id}/${operation}`, body)).not.toBe('allowed')
  })
})

describe('a path or header that Chroma reads in its own way is refused', () => {
  const count = (collection: string) => `${OURS}/collections/${collection}/count`
  const traps: readonly { name: string; target: () => string }[] = [
    { name: 'an id in capitals', target: () => count(id.toUpperCase()) },
    { name: 'an id without hyphens', target: () => count(id.replaceAll('-', '')) },
    { name: 'an id as a URN', target: () => count(`urn:uuid:${id}`) },
    { name: 'an id in braces', target: () => count(`%7B${id}%7D`) },
    { name: 'an escaped letter', target: () => `${OURS}/collections/%68andbook` },
    { name: 'an unknown query key', target: () => `${OURS}/collections?LIMIT=0` }
  ]
  it.each(traps)('$name', async ({ target }) => {
    expect((await send('GET', target())).status).toBe(200)
    expect(verdict('GET', target())).not.toBe('allowed')
  })

  const headers: readonly { name: string; headers: Record<string, string> }[] = [
    { name: 'another JSON type', headers: { 'content-type': 'application/vnd.x+json' } },
    { name: 'another charset', headers: { 'content-type': 'application/json; charset=latin1' } },
    { name: 'an encoding that the body does not have', headers: { 'content-encoding': 'gzip' } }
  ]
  it.each(headers)('$name', async ({ headers }) => {
    expect((await post('get', '{}', headers)).status).toBe(200)
    expect(verdict('POST', `${OURS}/collections/${id}/get`, '{}', headers)).not.toBe('allowed')
  })
})

describe('tenancy, which is why names are asked', () => {
  it('an id works under any tenant and database', async () => {
    const stolen = await send('POST', `${THEIRS}/collections/${id}/get`, {})
    expect(idsOf(stolen)).toHaveLength(4)
    expect((await send('GET', `/api/v2/tenants/made-up/databases/made-up/collections/${id}/count`)).text).toBe('4')
  })

  it('a name works under its own tenant only, so that calls by name need no question', async () => {
    const names = [
      await send('GET', `${THEIRS}/collections/handbook`),
      await send('DELETE', `${THEIRS}/collections/handbook`),
      await send('GET', `${OURS}/collections/Handbook`)
    ]
    expect(names.map(({ status }) => status)).toEqual([404, 404, 404])
    expect((await send('GET', `${THEIRS}/collections`)).text).toBe('[]')
    expect((await send('GET', `${OURS}/collections/handbook`)).status).toBe(200)
  })

  it('the look-up by id does not, and says so in Chroma’s own words', async () => {
    const [own, other] = [await send('GET', `${OURS}/collections/by-id/${id}`), await send('GET', `${THEIRS}/collections/by-id/${id}`)]
    const { names } = (await import('../../src/databases/chroma.ts')).chroma
    expect(names?.read(own.status, Buffer.from(own.text))).toEqual({
      ok: true,
      value: { id, name: 'handbook', tenant: 'acme', namespace: 'rag' }
    })
    expect(names?.read(other.status, Buffer.from(other.text))).toEqual({ ok: true, value: 'absent' })
    expect(names?.path('acme', 'rag', id)).toBe(`${OURS}/collections/by-id/${id}`)
  })
})

describe('random bodies', () => {
  const SEEDS = [
    ['get', '{"ids":["a","b"],"include":["documents","embeddings"],"limit":2,"offset":0}'],
    ['get', '{"where":{"$and":[{"p":{"$gte":1}},{"t":"x"}]},"limit":7}'],
    ['get', '{"where_document":{"$contains":"o"},"include":[]}'],
    ['get', '{}'],
    ['query', '{"query_embeddings":[[0.1,0.2,0.3]],"n_results":2,"include":["distances"]}'],
    ['query', '{"query_embeddings":[[1,0,0],[0,1,0]],"ids":["a","c"],"where":{"p":{"$in":[1,2]}},"include":["embeddings"]}']
  ] as const
  const PIECES = [
    '"',
    '\\',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '0',
    '-',
    '1e400',
    '1e39',
    'null',
    'true',
    '"ids":null,',
    '"IDS":[],',
    '"where":null,',
    '"$and":[],',
    '"n_results":3,',
    '"limit":null,',
    '"limit":1,',
    '"include":["embeddings"],',
    '"embeddings",',
    '{"embeddings":null},',
    '\\u0061',
    '\\ud800',
    '\u017f',
    ' ',
    '1.0',
    '"offset":1,',
    '-0',
    '0.5,',
    '[0.5,0.5,0.5],',
    '"$or"',
    '"$ne":'
  ]
  const change = fc.record({ at: fc.nat(), piece: fc.constantFrom(...PIECES), cut: fc.nat({ max: 12 }), behind: fc.boolean() })

  /** Puts pieces where tokens begin, or cuts. */
  const changed = (text: string, changes: readonly { at: number; piece: string; cut: number; behind: boolean }[]) =>
    changes.reduce((body, { at, piece, cut, behind }) => {
      const places = [...body.matchAll(/[[{,:]/g)].map((token) => token.index + 1)
      const place = (behind ? places[at % Math.max(1, places.length)] : at % Math.max(1, body.length)) ?? 0
      return body.slice(0, place) + (cut > 8 ? '' : piece) + body.slice(place + (cut > 8 ? cut - 8 : 0))
    }, text)

  it('that are allowed are read alike', async () => {
    const samples = fc.sample(fc.tuple(fc.constantFrom(...SEEDS), fc.array(change, { maxLength: 3 })), 1500)
    const counts = { alike: 0, onlyHere: [] as string[] }
    for (const [[operation, text], changes] of samples) {
      const body = changed(text, changes)
      const ours = read({ target: `${OURS}/collections/${id}/${operation}`, body })
      if (!ours.ok) continue
      const answer = await post(operation, body)
      if (answer.status !== 200) {
        counts.onlyHere.push(`${body} ${answer.text}`)
        continue
      }
      counts.alike++
      const { ids, embeddings } = JSON.parse(answer.text) as { ids: string[] | string[][]; embeddings: unknown }
      const { shape } = ours.value
      expect([body, embeddings !== null]).toEqual([body, shape.vectorsOut])
      const most = operation === 'query' ? Math.max(...ids.map((one) => one.length)) : ids.length
      expect(most, body).toBeLessThanOrEqual(shape.topK)
      if (operation === 'query') expect(ids, body).toHaveLength(shape.queries)
    }
    expect(counts.alike).toBeGreaterThan(200)
    // Chroma alone knows the dimensions of the collection; for the rest, what is allowed here is valid there.
    expect(counts.onlyHere.filter((one) => !/dimension/.test(one))).toEqual([])
  })
})
