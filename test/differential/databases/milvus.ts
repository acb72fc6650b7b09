/** The real milvus-lite over gRPC, with tenants in databases, collections, partitions and the values of a field. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { startMilvus } from '../../../demo/milvus.ts'
import type { Upstream } from '../../../demo/recorder.ts'
import { accept } from '../../../src/core/deny-reason.ts'
import type { VectorCall } from '../../../src/core/vector-call.ts'
import type { Dialect } from '../../../src/databases/dialect.ts'
import { milvus } from '../../../src/databases/milvus.ts'
import type { Account } from '../../../src/world.ts'
import { chunk, frame, number } from '../../databases/protobuf-write.ts'
import type { Begin, Content, Drawn } from './campaign.ts'
import { ALL, byName, EVERYTHING, judgeOf, OURS, THEIRS } from './decision.ts'
import type { Change, Dice } from './dice.ts'
import { oddFilter } from './milvus-filters.ts'
import { isOurs, milvusStore } from './milvus-store.ts'
import { changedGrpc, countIn, hasField, type ProtoWords, protoChanges, rebound, withinEach, without } from './odd-proto.ts'
import { recorded } from './recorded.ts'
import { type Answer, grpcClient, type Header, type Wire } from './wire.ts'

const POLICY = `
  - { database: milvus, namespace: 'db_{tenant}', names: ['*'], tenancy: database, ${ALL} }
  - { database: milvus, namespace: default, names: ['docs_{tenant}', 'tmp_{tenant}_*'], tenancy: collection, ${ALL} }
  - { database: milvus, namespace: default, names: [sharded], tenancy: shard, ${ALL} }
  - { database: milvus, namespace: default, names: [shared], tenancy: { filter: tenant }, ${ALL} }`

/** Takes the tenant's own filter for proof wherever it stands. */
const PINS_ANYWHERE = 'pins anywhere'
/** Takes the first partition that is named for all. */
const FIRST_PARTITION = 'first partition'

export const milvusBench: Begin = async (folder) => {
  const data = join(folder, 'milvus')
  rmSync(data, { recursive: true, force: true })
  const server = await startMilvus(data)
  const store = await milvusStore(addressOf(server.grpc))
  const client = grpcClient(server.grpc)
  return {
    name: 'milvus',
    judge: (control) => judgeOf(POLICY, () => byName('milvus', misread(control)), control),
    controls: [EVERYTHING, PINS_ANYWHERE, FIRST_PARTITION],
    draw,
    bases,
    send: client.send,
    succeeded,
    content: store.content,
    isOurs,
    mayChange,
    judgeAnswer,
    mend: store.mend,
    supported: [...new Set(BASES.filter(({ refused }) => !refused).map(({ mode, endpoint }) => `${mode} ${endpoint}`))],
    stop: async () => {
      client.close()
      await store.close()
      await server.stop()
    }
  }
}

function addressOf(upstream: Upstream): string {
  return 'socketPath' in upstream ? `unix:${upstream.socketPath}` : `${upstream.host}:${upstream.port}`
}

function misread(broken: string | undefined): Dialect {
  const read = (change: (call: VectorCall, body: string) => VectorCall): Dialect => ({
    ...milvus,
    readCall: (inbound) => {
      const call = milvus.readCall(inbound)
      return call.ok ? accept(change(call.value, Buffer.from(inbound.body ?? []).toString('latin1'))) : call
    }
  })
  const bounded = (call: VectorCall, change: object): VectorCall => ({
    ...call,
    targets: call.targets.map(({ bounds, ...target }) => (bounds === undefined ? target : { ...target, bounds: { ...bounds, ...change } }))
  })
  if (broken === PINS_ANYWHERE)
    return read((call, body) => (body.includes(`tenant == "${OURS}"`) ? bounded(call, { pins: new Map([['tenant', OURS]]) }) : call))
  if (broken === FIRST_PARTITION)
    return read((call) => bounded(call, { shards: call.targets[0]?.bounds?.shards?.slice(0, 1), unsharded: undefined }))
  return milvus
}

function mayChange({ targets = [] }: Account, place: string): boolean {
  return targets.some(({ namespace, collection }) => {
    const at = `${namespace}/${collection.kind === 'name' ? collection.name : ''}`
    return place.startsWith(`${at}#`) || (collection.kind === 'every' && place.startsWith(`${namespace}/`))
  })
}

/** gRPC says that it went well also where the message says that it did not: Status { 1 error_code, 3 code }, at the top or in field 1. */
function succeeded({ status, grpc, body }: Answer): boolean {
  const message = body.subarray(5)
  const codes = [countIn(message, 1), countIn(message, 3), countIn(message, 1, 1), countIn(message, 1, 3)]
  // Answers that are no Status have other numbers there; of these only the first is nested.
  return (
    status === 200 &&
    grpc === 0 &&
    (countIn(message, 1, 3) ?? countIn(message, 1, 1) ?? 0) === 0 &&
    !(codes[0] !== undefined && codes[0] > 0)
  )
}

/** Names of tenants and counts of what all have are nobody's to learn. */
function judgeAnswer({ call, targets = [] }: Account, { body }: Answer, content: Content): string | undefined {
  if (call?.endpoint !== 'records.query') return undefined
  const at = body.indexOf('count(*)')
  // FieldData { 2 field_name, 3 scalars { 3 long_data { 1 data } } }
  const counted = at < 0 ? undefined : countOf(body.subarray(at + 8))
  if (counted === undefined) return undefined
  const own = [...content].filter(([place]) => isOurs(place) && mayChange({ targets }, place) && !/ (partition|collection)$/.test(place))
  const most = own.reduce((sum, [, text]) => sum + text.split('\n').length, 0)
  return counted <= most ? undefined : `a count of ${counted}, where its own records are ${most}`
}

function countOf(scalars: Buffer): number | undefined {
  const at = scalars.indexOf(Buffer.from([0x0a]), 4)
  return at < 0 || at > 6 ? undefined : countIn(Buffer.concat([Buffer.from([8]), scalars.subarray(at + 2, at + 12)]), 1)
}

interface Base {
  readonly mode: string
  readonly endpoint: string
  readonly target: string
  readonly headers: readonly Header[]
  /** The message, given a database in its text or in the metadata. */
  readonly message: (dice: Dice) => Buffer
  readonly database: string
  /** Number of the field that names the database in the message. */
  readonly named: number
  /** In this mode it is to be refused, unless a change makes something else of it. */
  readonly refused: boolean
}

const RECORDED = recorded('milvus/3.0.6')
const UPSERT = RECORDED.find((one) => one.name.endsWith('/upsert'))
const SERVICE = '/milvus.proto.milvus.MilvusService'
/** What a mode cannot have, of what is recorded. */
const WITHOUT: Readonly<{ [mode: string]: RegExp }> = {
  database: /^$/,
  collection: /^collection\.list/,
  // Keys are of anybody, and what concerns all tenants is for operators; inserts need a key that the server makes.
  filter: /upsert|create|drop|flush|partition|load$|release|search-vectors|delete-ids|get-3|search-partition|insert-flat|^list/,
  shard: /upsert|create-(c|i)|drop-(c|i)|flush|^load|release$|delete|collection\.list|list-|insert-flat|insert-partition|iterator-/
}

const BASES: readonly Base[] = Object.entries({ database: 'docs', collection: `docs_${OURS}`, filter: 'shared', shard: 'sharded' })
  .flatMap(([mode, collection]) => RECORDED.flatMap((one) => baseOf(mode, collection, one)))
  .concat(RECORDED.filter(({ endpoint }) => endpoint?.startsWith('system')).map(probeOf))
  .concat(['GetPartitionStatistics', 'GetIndexStatistics', 'GetIndexState', 'GetIndexBuildProgress'].flatMap(moreOf))

function baseOf(mode: string, collection: string, one: (typeof RECORDED)[number]): readonly Base[] {
  const { name, endpoint = 'refused', target, headers, body } = one
  const short = name.replace(/^.*\//, '')
  if (endpoint.startsWith('system')) return []
  const refused = one.endpoint === undefined || WITHOUT[mode]?.test(endpoint) === true || WITHOUT[mode]?.test(short) === true
  const fresh = /(create|drop)-collection/.test(short)
  const bytes = (body as Buffer).subarray(5)
  const names = (dice: Dice) => {
    if (!fresh) return collection
    return mode === 'database' ? dice.pick(['tmp', 'fresh', collection]) : dice.pick([`tmp_${OURS}_1`, `tmp_${OURS}_2`, collection])
  }
  // A collection of its own has keys of its own, and an insert must bring them: the rows of an upsert do.
  const keyed = mode !== 'filter' && mode !== 'shard' && endpoint === 'records.insert'
  const source = keyed ? (UPSERT?.body?.subarray(5) ?? bytes) : bytes
  const message = (dice: Dice) => {
    const other = names(dice)
    const whole = rebound(source, (text) => wordFor(text, other, mode))
    return mode === 'shard' ? inPartition(whole, endpoint) : whole
  }
  const named = endpoint === 'collection.load-state' || endpoint === 'collection.loading-progress' ? 4 : 2
  return [{ mode, endpoint, target, headers, message, database: mode === 'database' ? `db_${OURS}` : 'default', named, refused }]
}

function wordFor(text: string, collection: string, mode: string): string {
  if (text === 'handbook' || text === 'shared') return collection
  if (text === 'vector') return 'embedding'
  // Milvus Lite knows `in` of fields only, and no templates.
  const plain = text.replace(/doc\["page"\] in (\[1, 2\]|\{pages\})/, 'doc["page"] > 0')
  return mode === 'shard' ? plain.replace(`tenant == "${OURS}"`, 'id >= 0') : plain
}

/** In the tenant's partition, and without a column that could be a key. */
function inPartition(message: Buffer, endpoint: string): Buffer {
  if (endpoint === 'records.hybrid-search') return Buffer.concat([withinEach(message, 5, [chunk(4, OURS)]), chunk(4, OURS)])
  const field = PARTITION_FIELD[endpoint]
  const whole = endpoint === 'records.insert' ? without(message, 5, 'tenant') : message
  return field === undefined || hasField(whole, field) ? whole : Buffer.concat([whole, chunk(field, OURS)])
}

/** The field that names a partition, of calls that may leave it out. */
const PARTITION_FIELD: Readonly<{ [endpoint: string]: number }> = {
  'records.search': 4,
  'records.hybrid-search': 4,
  'records.query': 6,
  'records.insert': 4,
  'collection.load-state': 3,
  'collection.loading-progress': 3
}

function probeOf({ endpoint = '', target, headers, body }: (typeof RECORDED)[number]): Base {
  return {
    mode: 'none',
    endpoint,
    target,
    headers,
    message: () => (body as Buffer).subarray(5),
    database: 'default',
    named: 0,
    refused: false
  }
}

function moreOf(method: string): readonly Base[] {
  const partition = method.includes('Partition')
  const endpoint = {
    GetPartitionStatistics: 'partition.statistics',
    GetIndexStatistics: 'index.statistics',
    GetIndexState: 'index.state',
    GetIndexBuildProgress: 'index.progress'
  }[method] as string
  const [{ headers } = { headers: [] }] = RECORDED
  const of = (mode: string, collection: string, database: string): Base => ({
    mode,
    endpoint,
    target: `${SERVICE}/${method}`,
    headers,
    message: () => Buffer.concat([chunk(3, collection), ...(partition ? [chunk(4, OURS)] : [])]),
    database,
    named: 2,
    refused: false
  })
  return [
    of('database', 'docs', `db_${OURS}`),
    of('collection', `docs_${OURS}`, 'default'),
    ...(partition ? [of('shard', 'sharded', 'default')] : [])
  ]
}

const MODES = ['database', 'collection', 'filter', 'filter', 'shard']

const WORDS: ProtoWords = {
  counterparts: new Map([
    [OURS, THEIRS],
    ['docs', 'gxcanarynotesz'],
    [`docs_${OURS}`, `docs_${THEIRS}`],
    [`tmp_${OURS}_1`, `tmp_${THEIRS}_1`],
    [`db_${OURS}`, `db_${THEIRS}`],
    ['shared', `docs_${THEIRS}`]
  ]),
  ours: [`docs_${OURS}`, 'docs', 'shared', 'sharded', OURS, 'embedding', 'doc', '*', 'count(*)', `db_${OURS}`, 'default', 'id', 'tenant'],
  theirs: [
    `docs_${THEIRS}`,
    'gxcanarynotesz',
    THEIRS,
    THEIRS,
    THEIRS,
    `db_${THEIRS}`,
    `tmp_${THEIRS}_1`,
    'vault',
    'shared',
    `../db_${THEIRS}`
  ],
  grafts: [
    chunk(2, `db_${THEIRS}`),
    chunk(2, `db_${OURS}`),
    chunk(2, 'default'),
    chunk(3, `docs_${THEIRS}`),
    chunk(4, THEIRS),
    chunk(4, OURS),
    chunk(6, THEIRS),
    chunk(6, OURS),
    number(4, 1),
    number(26, 1),
    number(16, 1),
    number(17, 1),
    number(11, 1),
    chunk(25, THEIRS),
    chunk(20, 'ns'),
    chunk(14, 'ns'),
    chunk(22, chunk(1, chunk(1, Buffer.from([1, 2])))),
    chunk(5, 'id >= 0'),
    chunk(4, 'id >= 0'),
    chunk(5, `tenant == "${OURS}"`),
    chunk(18, [chunk(1, 'tenant'), chunk(2, chunk(4, THEIRS))]),
    chunk(9, [chunk(1, 'offset'), chunk(2, '1')]),
    chunk(9, [chunk(1, 'limit'), chunk(2, '100')]),
    chunk(9, [chunk(1, 'anns_field'), chunk(2, 'embedding')]),
    chunk(9, [chunk(1, 'partition_names'), chunk(2, THEIRS)]),
    chunk(9, [chunk(1, 'group_by_field'), chunk(2, 'tenant')]),
    number(9, 1),
    number(11, 2),
    number(13, 1),
    chunk(1, Buffer.alloc(0))
  ]
}

const METHODS = [...new Set(BASES.map(({ target }) => target))]
const ON_WIRE: readonly Change<Wire>[] = [
  header('dbname of the other tenant', 6, 'dbname', [`db_${THEIRS}`]),
  header('another dbname', 4, 'dbname', [`db_${OURS}`, 'default', '', `db_${OURS} `, 'DEFAULT', `db_${OURS},db_${THEIRS}`]),
  {
    name: 'dbname twice',
    weight: 2,
    make: (dice, wire) => ({ ...wire, headers: [...wire.headers, ['dbname', dice.pick([`db_${THEIRS}`, `db_${OURS}`, 'default'])]] })
  },
  { name: 'no dbname', weight: 2, make: (_, wire) => ({ ...wire, headers: wire.headers.filter(([name]) => name !== 'dbname') }) },
  header('another content type', 2, 'content-type', [
    'application/grpc+proto',
    'application/grpc+json',
    'application/grpc-web',
    'application/json',
    'application/grpc;x=1'
  ]),
  header('one header more', 3, 'authorization', ['cm9vdDpNaWx2dXM=', 'Bearer x']),
  header('another encoding', 1, 'grpc-encoding', ['gzip', 'deflate', 'identity', 'snappy']),
  { name: 'another method', weight: 3, make: (dice, wire) => ({ ...wire, target: dice.pick(METHODS) }) },
  {
    name: 'odd target',
    weight: 2,
    make: (dice, wire) => ({
      ...wire,
      target: dice.pick([
        `${wire.target}/`,
        `/${wire.target}`,
        wire.target.toLowerCase(),
        `${wire.target}?x=1`,
        wire.target.replace('S', '%53'),
        `${SERVICE}/x/../Query`
      ])
    })
  },
  { name: 'another HTTP method', weight: 1, make: (dice, wire) => ({ ...wire, method: dice.pick(['PUT', 'GET', 'post']) }) }
]

function header(name: string, weight: number, which: string, values: readonly string[]): Change<Wire> {
  return {
    name,
    weight,
    make: (dice, wire) => ({ ...wire, headers: [...wire.headers.filter(([its]) => its !== which), [which, dice.pick(values)]] })
  }
}

/** A filter is all that there is between tenants in one mode, the list of partitions in another. */
const onMessage = (weight: number, twice: number) => protoChanges({ ...WORDS, twice, filter: { weight, other: oddFilter } })
const ON_MESSAGE = { filter: onMessage(120, 9), shard: onMessage(15, 80), other: onMessage(15, 9) }

/** The request as a client sends it. */
function unchanged(dice: Dice, base: Base): { readonly message: Buffer; readonly wire: Wire } {
  const message = base.message(dice)
  const inMessage = base.named > 0 && dice.chance(0.3)
  const dbname: Header[] = inMessage && dice.chance(0.5) ? [] : [['dbname', base.database]]
  return {
    message: inMessage ? Buffer.concat([message, chunk(base.named, base.database)]) : message,
    wire: {
      port: 'grpc',
      method: 'POST',
      target: base.target,
      headers: [...base.headers.filter(([name]) => name !== 'dbname'), ...dbname],
      body: undefined
    }
  }
}

const bases = BASES.map((base) => (dice: Dice): Drawn => {
  const { message, wire } = unchanged(dice, base)
  return { mode: base.mode, endpoint: base.endpoint, refused: base.refused, changes: [], wire: { ...wire, body: frame(message) } }
})

function draw(dice: Dice): Drawn {
  const mode = dice.chance(0.04) ? 'none' : dice.pick(MODES)
  const refused = mode !== 'none' && dice.chance(0.08)
  const fitting = BASES.filter((base) => base.mode === mode && base.refused === refused)
  const often = fitting.filter(({ endpoint }) => endpoint.startsWith('records.'))
  const endpoint = dice.pick([...new Set((often.length > 0 && dice.chance(0.6) ? often : fitting).map((base) => base.endpoint))])
  const first = unchanged(dice, dice.pick(fitting.filter((one) => one.endpoint === endpoint)))
  const { wire, names, plain } = changedGrpc(dice, first.wire, first.message, {
    onWire: ON_WIRE,
    onMessage: ON_MESSAGE[mode === 'filter' || mode === 'shard' ? mode : 'other']
  })
  return { mode, endpoint, changes: names, wire, plain }
}
