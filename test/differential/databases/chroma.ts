/** The real Chroma: tenants in the path, and collection ids that it takes under any path. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { startChroma } from '../../../demo/chroma.ts'
import { accept } from '../../../src/core/deny-reason.ts'
import type { ResolvedTarget, VectorCall } from '../../../src/core/vector-call.ts'
import { chroma } from '../../../src/databases/chroma.ts'
import { createNames } from '../../../src/state/names.ts'
import { createNameFetcher } from '../../../src/state/names-http.ts'
import type { Account, Served } from '../../../src/world.ts'
import { type Begin, type Bench, CANARY_FLOAT, type Content, type Drawn, sorted } from './campaign.ts'
import { ALL, EVERYTHING, judgeOf, OURS, THEIRS } from './decision.ts'
import type { Dice } from './dice.ts'
import { changedRest, httpChanges } from './odd-http.ts'
import { jsonChanges, type Words } from './odd-json.ts'
import { recorded } from './recorded.ts'
import { type Answer, sendHttp, succeeded, type Wire } from './wire.ts'

const POLICY = `
  - { database: chroma, namespace: rag, names: [handbook, 'scratch-*'], tenancy: path, ${ALL} }
  - { database: chroma, namespace: lab, names: ['*'], tenancy: path, ${ALL} }
  - { database: chroma, namespace: spare, names: ['*'], tenancy: path, ${ALL} }`

interface Stored {
  readonly id: string
  readonly embedding: readonly number[]
  readonly document: string
  readonly metadata: Readonly<{ [key: string]: unknown }>
}

const own = (id: string, at: number): Stored => ({
  id,
  embedding: [at / 4, -0.5, 1],
  document: `page ${at} one uno`,
  metadata: { page: at, tags: ['x', 'y'] }
})
const secret = (id: string, at: number, word: string): Stored => ({
  id,
  embedding: [CANARY_FLOAT, at, 1],
  document: `${word}doc${at}z one uno`,
  metadata: { page: at, tags: ['x', `${word}tag${at}z`], note: `${word}metaz` }
})
const OWN = ['a', 'b', 'c', 'd', 'e'].map((id, at) => own(id, at + 1))
const THEIR = ['a', 'b', 'gxknown1z', ...[1, 2, 3, 4, 5, 6].map((at) => `gxcanaryid${at}z`)].map((id, at) => secret(id, at + 1, 'gxcanary'))
const CLOSED = ['a', 'b', 'axcanaryid1z'].map((id, at) => secret(id, at + 1, 'axcanary'))

/** `tenant/database/collection` to its records. */
const SEED: Readonly<{ [place: string]: readonly Stored[] }> = {
  [`${OURS}/rag/handbook`]: OWN,
  [`${OURS}/rag/scratch-1`]: OWN.slice(0, 2),
  [`${OURS}/rag/closed`]: CLOSED,
  [`${OURS}/lab/notes`]: OWN,
  [`${OURS}/vault/ledger`]: CLOSED,
  [`${THEIRS}/rag/handbook`]: THEIR,
  [`${THEIRS}/rag/scratch-1`]: THEIR,
  [`${THEIRS}/lab/gxcanarynotesz`]: THEIR,
  'default_tenant/default_database/handbook': THEIR
}

/** Takes the tenant of the path for that of the collection, without asking. */
const NAMES_UNASKED = 'names unasked'

export const chromaBench: Begin = async (folder) => {
  const data = join(folder, 'chroma')
  rmSync(data, { recursive: true, force: true })
  const server = await startChroma({ folder: data })
  const store = storeOf(server.url)
  await store.mend(true)
  const served =
    (broken: string | undefined) =>
    (now: () => number): Served => {
      const names = createNames({ now, timeoutMs: 5_000 })
      const { fetchName } = createNameFetcher({ url: server.url })
      const source = { server: 'chroma', path: chroma.names?.path as never, read: chroma.names?.read as never, fetchName }
      const unasked = (call: VectorCall) =>
        accept(
          call.targets.map(({ namespace }): ResolvedTarget => ({ tenant: OURS, namespace, collection: { kind: 'name', name: 'handbook' } }))
        )
      return {
        id: 'chroma',
        dialect: chroma,
        resolve: (caller, call) => (broken === NAMES_UNASKED ? unasked(call) : names.resolve(source, caller.id.text, call.targets)),
        forget: (targets) => names.forget('chroma', targets)
      }
    }
  const { draw, bases } = drawersOf(store.ids)
  return {
    name: 'chroma',
    judge: (control) => judgeOf(POLICY, served(control), control),
    controls: [EVERYTHING, NAMES_UNASKED],
    draw,
    bases,
    send: (wire) => sendHttp({ host: '127.0.0.1', port: server.port }, wire),
    succeeded,
    content: store.content,
    isOurs: (place) => place.startsWith(`${OURS}/`),
    mayChange,
    judgeAnswer,
    mend: store.mend,
    supported: ENDPOINTS.filter((one) => one !== 'database.list' && one !== 'refused').map((endpoint) => `path ${endpoint}`),
    stop: server.stop
  }
}

function mayChange({ targets = [] }: Account, place: string): boolean {
  const [, database, collection] = place.split('/')
  const names = (target: ResolvedTarget) =>
    target.namespace === database && (target.collection.kind !== 'name' || target.collection.name === collection)
  return targets.some(names)
}

/** A count must be that of the collection which was granted. */
function judgeAnswer({ call, targets = [] }: Account, answer: Answer, content: Content): string | undefined {
  if (call?.endpoint !== 'records.count' || answer.status !== 200) return undefined
  const [target] = targets
  const name = target?.collection.kind === 'name' ? target.collection.name : ''
  const stored = content.get(`${OURS}/${target?.namespace}/${name}`)
  const count = stored === undefined ? undefined : (JSON.parse(stored) as { ids: unknown[] }).ids.length
  const said = answer.body.toString()
  return said === String(count) ? undefined : `a count of ${said}, where ${name} has ${count}`
}

/** What is in the server, past vecauthz. */
function storeOf(url: string) {
  /** Of collections, by place. */
  const ids = new Map<string, string>()
  const call = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    const answer = await fetch(`${url}/api/v2/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } })
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return text === '' ? undefined : JSON.parse(text)
  }
  const list = (path: string) => call('GET', path) as Promise<{ id: string; name: string; metadata: unknown }[]>
  const content = async (): Promise<Content> => {
    const found = new Map<string, string>()
    ids.clear()
    for (const tenant of [OURS, THEIRS, 'default_tenant']) {
      for (const database of await list(`tenants/${tenant}/databases`)) {
        const at = `tenants/${tenant}/databases/${database.name}/collections`
        found.set(`${tenant}/${database.name}`, 'there')
        for (const { id, name, metadata } of await list(at)) {
          const place = `${tenant}/${database.name}/${name}`
          ids.set(place, id)
          const records = (await call('POST', `${at}/${id}/get`, { include: ['documents', 'embeddings', 'metadatas', 'uris'] })) as object
          found.set(place, sorted({ id, metadata, ...records }))
        }
      }
    }
    return found
  }
  const fill = async (place: string, records: readonly Stored[]) => {
    const [tenant, database, name] = place.split('/')
    const at = `tenants/${tenant}/databases/${database}/collections`
    const { id } = (await call('POST', at, { name })) as { id: string }
    await call('POST', `${at}/${id}/add`, {
      ids: records.map((record) => record.id),
      embeddings: records.map(({ embedding }) => embedding),
      documents: records.map(({ document }) => document),
      metadatas: records.map(({ metadata }) => metadata)
    })
  }
  let seeded: Content = new Map()
  const mend = async (all: boolean) => {
    for (const tenant of seeded.size === 0 ? [OURS, THEIRS] : []) await call('POST', 'tenants', { name: tenant })
    const now = await content()
    for (const place of [...new Set([...now.keys(), ...seeded.keys()])].filter((one) => all || one.startsWith(`${OURS}/`))) {
      const [tenant, database, collection] = place.split('/')
      const at = `tenants/${tenant}/databases/${database}`
      if (collection === undefined) {
        if (now.has(place) === wanted.has(place)) continue
        await call(
          now.has(place) ? 'DELETE' : 'POST',
          now.has(place) ? at : `tenants/${tenant}/databases`,
          now.has(place) ? undefined : { name: database }
        )
      } else if (now.has(place) && now.get(place) !== seeded.get(place) && (await stands(at)))
        await call('DELETE', `${at}/collections/${collection}`)
    }
    const left = await content()
    for (const place of wanted)
      if (!left.has(place) && place.split('/').length === 2)
        await call('POST', `tenants/${place.split('/')[0]}/databases`, { name: place.split('/')[1] })
    for (const [place, records] of Object.entries(SEED)) if (!left.has(place)) await fill(place, records)
    seeded = await content()
  }
  const stands = (at: string) =>
    call('GET', at).then(
      () => true,
      () => false
    )
  return { ids, content, mend }
}

/** The databases that stand at the beginning. */
const wanted = new Set([...Object.keys(SEED).map((place) => place.split('/').slice(0, 2).join('/'))])

interface Base {
  readonly endpoint: string
  readonly method: string
  readonly target: string
  readonly headers: Wire['headers']
  readonly body: string | undefined
}

const JSON_HEADERS: Wire['headers'] = [['content-type', 'application/json']]
const COLLECTION = '/api/v2/tenants/acme/databases/rag/collections/ID'
const more = (endpoint: string, method: string, target: string, body?: string): Base => ({
  endpoint,
  method,
  target,
  headers: body === undefined ? [] : JSON_HEADERS,
  body
})

/** With `acme`, `rag` and `ID` where the recording had its own. */
const BASES: readonly Base[] = [
  ...['chroma/3.5.0', 'chroma-python/1.5.9'].flatMap(recorded).flatMap((one): readonly Base[] => {
    const { endpoint = 'refused', method, headers, body } = one
    const target = one.target.replace(/tenants\/[^/?]+/, `tenants/${OURS}`).replace(/[0-9a-f]{8}-[0-9a-f-]{27}/, 'ID')
    return [{ endpoint, method, target, headers, body: body?.toString() }]
  }),
  more('system.root', 'GET', '/api/v2'),
  more('system.health', 'GET', '/api/v2/healthcheck'),
  more('collection.get-by-id', 'GET', COLLECTION.replace('ID', 'by-id/ID')),
  more('collection.fork-count', 'GET', `${COLLECTION}/fork_count`),
  more('collection.indexing-status', 'GET', `${COLLECTION}/indexing_status`),
  more('records.get', 'POST', `${COLLECTION}/get`, '{}'),
  more(
    'records.query',
    'POST',
    `${COLLECTION}/query`,
    '{"query_embeddings":[[0,0,1],[1,1,0]],"n_results":5,"where":{"$and":[{"page":{"$ne":2}},{"$or":[{"tags":{"$contains":"x"}},{"page":{"$in":[1,3]}}]}]},"where_document":{"$or":[{"$contains":"one"},{"$not_contains":"two"}]},"include":["documents","metadatas","embeddings","distances","uris"]}'
  ),
  more('records.delete', 'POST', `${COLLECTION}/delete`, '{"where_document":{"$contains":"page 2"},"limit":1}')
]
const ENDPOINTS = [...new Set(BASES.map(({ endpoint }) => endpoint))]
// `database.list` is read, and no policy opens it: it shows what none of its entries speaks of.
/** What comes often: a call about records tries more than one about versions. */
const OFTEN = ENDPOINTS.filter((endpoint) => endpoint.startsWith('records.'))

const GRAFTS: Words['grafts'] = [
  ['ids', '["a"]'],
  ['ids', '["gxknown1z","a"]'],
  ['ids', 'null'],
  ['ids', '[]'],
  ['where', '{"page":{"$gte":0}}'],
  ['where', '{"$or":[{"page":1},{"note":"gxcanarymetaz"}]}'],
  ['where', '{"$and":[]}'],
  ['where', '{}'],
  ['where_document', '{"$contains":"canary"}'],
  ['where_document', '{"$regex":".*"}'],
  ['include', '["embeddings","documents","metadatas"]'],
  ['include', '[{"embeddings":null}]'],
  ['limit', '1000'],
  ['offset', '0'],
  ['n_results', '1000'],
  ['tenant', `"${THEIRS}"`],
  ['database', '"rag"'],
  ['collection', '"handbook"'],
  ['name', '"scratch-2"'],
  ['name', '"closed"'],
  ['new_name', '"closed"'],
  ['new_name', '"scratch-3"'],
  ['get_or_create', 'true'],
  ['metadata', '{"owner":"x"}'],
  ['metadatas', '[{"page":9}]'],
  ['documents', '["other"]'],
  ['embeddings', '[[0,0,1]]'],
  ['query_embeddings', '[[0,0,1]]'],
  ['configuration', '{"hnsw":{"space":"l2"}}'],
  ['searches', '[{}]']
]
const WRAPS = [
  '{"$and":[%]}',
  '{"$or":[%]}',
  '{"$and":[%,%]}',
  '{"$or":[%,{"page":{"$gte":0}}]}',
  '{"$not":%}',
  '[%]',
  '[%,%]',
  '{"$eq":%}',
  '{"$ne":%}',
  '{"$in":[%]}',
  '{"$and":[{"page":{"$gte":0}},%]}'
]

function drawersOf(ids: ReadonlyMap<string, string>): Pick<Bench, 'draw' | 'bases'> {
  const idOf = (place: string) => ids.get(place) ?? '00000000-0000-4000-8000-000000000000'
  const strange = () => [...ids].filter(([place]) => !place.startsWith(`${OURS}/`)).map(([, id]) => id)
  const words: Words = {
    ours: ['a', 'b', 'c', 'handbook', 'scratch-1', 'scratch-2', 'scratch-3', 'page', 'documents', 'embeddings', 'metadatas', 'one', OURS],
    theirs: [THEIRS, 'gxknown1z', 'closed', 'note', 'gxcanarymetaz', 'default_tenant', `../${THEIRS}`],
    counterparts: new Map([
      ['a', 'gxknown1z'],
      ['handbook', 'closed'],
      ['scratch-2', 'closed']
    ]),
    grafts: GRAFTS,
    wraps: WRAPS
  }
  const thefts = (): [string, string][] => [
    [`tenants/${OURS}`, `tenants/${THEIRS}`],
    ...[...ids.values()].flatMap((id) => [...strange(), idOf(`${OURS}/rag/closed`)].map((other): [string, string] => [id, other]))
  ]
  const swaps = (): [string, string][] => [
    [`tenants/${OURS}`, 'tenants/default_tenant'],
    [`tenants/${OURS}`, 'tenants/Acme'],
    ['databases/rag', 'databases/vault'],
    ['databases/rag', 'databases/lab'],
    ['databases/rag', `databases/rag/../../../${THEIRS}/databases/rag`],
    ['collections/handbook', 'collections/closed'],
    ...[...ids.values()].flatMap((id): [string, string][] => [
      [id, idOf(`${OURS}/vault/ledger`)],
      [id, id.toUpperCase()],
      [id, id.replaceAll('-', '')],
      [id, `urn:uuid:${id}`],
      [id, `%7B${id}%7D`],
      [id, 'handbook']
    ])
  ]
  const changes = {
    onWire: httpChanges({ thefts, swaps, queries: QUERIES }),
    onJson: jsonChanges(words)
  }
  const draw = (dice: Dice): Drawn => {
    const endpoint = dice.pick(dice.chance(0.65) ? OFTEN : ENDPOINTS)
    const base = dice.pick(BASES.filter((one) => one.endpoint === endpoint))
    const { wire, names } = changedRest(dice, bound(dice, base, idOf), changes)
    return { mode: 'path', endpoint, changes: names, wire }
  }
  const bases = BASES.map(
    (base) =>
      (dice: Dice): Drawn => ({
        mode: 'path',
        endpoint: base.endpoint,
        refused: base.endpoint === 'refused' || base.endpoint === 'database.list',
        changes: [],
        wire: bound(dice, base, idOf)
      })
  )
  return { draw, bases }
}

const QUERIES = [
  'limit=1',
  'offset=0',
  'limit=1&limit=1000',
  'LIMIT=3',
  `tenant=${THEIRS}`,
  'database=rag',
  'read_level=index_and_wal',
  'limit=-1',
  'x'
]

/** The base with names that there are. */
function bound(dice: Dice, { endpoint, method, target, headers, body }: Base, idOf: (place: string) => string): Wire {
  const whole = ['collection.list', 'collection.count-all', 'database.get', 'database.drop'].includes(endpoint)
  const database = whole || dice.chance(0.15) ? 'lab' : 'rag'
  const collection = database === 'lab' ? 'notes' : dice.chance(0.75) ? 'handbook' : 'scratch-1'
  const place = `${OURS}/${database}/${collection}`
  const at = target
    .replace('databases/rag', `databases/${database}`)
    .replace('ID', idOf(place))
    .replace(/handbook(-2)?$/, collection)
  const text = body
    ?.replace('handbook-2', dice.pick(['scratch-2', 'scratch-1', collection]))
    .replace('"name":"handbook"', `"name":"${dice.pick(['scratch-2', 'scratch-3', collection])}"`)
    .replace('"name":"rag"', `"name":"${dice.pick(['spare', 'lab'])}"`)
    .replaceAll('"b"', dice.pick(['"b"', '"n1"', '"gxknown1z"']))
  return { port: 'rest', method, target: at, headers, body: text === undefined ? undefined : Buffer.from(text) }
}
