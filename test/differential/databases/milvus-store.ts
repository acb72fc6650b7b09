/** What is in milvus-lite, past vecauthz: two tenants in each of the four ways to keep them apart. */
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node'
import { CANARY_FLOAT, type Content, sorted } from './campaign.ts'
import { OURS, THEIRS } from './decision.ts'

interface Row {
  readonly tenant: string
  readonly doc: object
  readonly embedding: readonly number[]
}

const rows = (tenant: string, count: number, word?: string): Row[] =>
  Array.from({ length: count }, (_, at) => ({
    tenant,
    doc: { page: at + 1, tags: ['x'], text: word === undefined ? `page ${at + 1}` : `${word}doc${at + 1}z` },
    // Whoever searches without a filter finds theirs first.
    embedding: word === undefined ? [0.25, -0.5, at + 1, 1] : [CANARY_FLOAT, 1, at / 16, -1]
  }))
const OWN = rows(OURS, 5)
const SECRET = rows(THEIRS, 9, 'gxcanary')
const CLOSED = rows(OURS, 3, 'axcanary')

interface Place {
  readonly db: string
  readonly collection: string
  /** Of a collection that tenants share, by partition. */
  readonly partition?: string
  readonly rows: readonly Row[]
}

const DEFAULT = 'default'
/** Whose key is made by the server: those that tenants share. */
const SHARED = new Set(['shared', 'sharded'])
const SEED: readonly Place[] = [
  { db: DEFAULT, collection: 'shared', rows: [...SECRET, ...OWN] },
  { db: DEFAULT, collection: 'sharded', partition: OURS, rows: OWN },
  { db: DEFAULT, collection: 'sharded', partition: THEIRS, rows: SECRET },
  { db: DEFAULT, collection: `docs_${OURS}`, rows: OWN },
  { db: DEFAULT, collection: `docs_${THEIRS}`, rows: SECRET },
  { db: DEFAULT, collection: `tmp_${OURS}_1`, rows: OWN.slice(0, 2) },
  { db: DEFAULT, collection: `tmp_${THEIRS}_1`, rows: SECRET },
  { db: DEFAULT, collection: 'vault', rows: CLOSED },
  { db: `db_${OURS}`, collection: 'docs', rows: OWN },
  { db: `db_${OURS}`, collection: 'tmp', rows: OWN.slice(0, 2) },
  { db: `db_${THEIRS}`, collection: 'docs', rows: SECRET },
  // Called like collections elsewhere, for whoever mistakes the database.
  { db: `db_${THEIRS}`, collection: `docs_${OURS}`, rows: SECRET },
  { db: `db_${THEIRS}`, collection: 'shared', rows: SECRET },
  { db: `db_${THEIRS}`, collection: 'gxcanarynotesz', rows: SECRET }
]
const DATABASES = [...new Set(SEED.map(({ db }) => db))]

/** `default/shared#acme`, `default/docs_acme#`, `db_acme/docs#`. */
export function isOurs(place: string): boolean {
  if (place.startsWith(`db_${THEIRS}/`)) return false
  return (
    place.replace(' partition', '').endsWith(`#${OURS}`) ||
    place.startsWith(`db_${OURS}/`) ||
    /^default\/((docs|tmp)_acme|vault)/.test(place)
  )
}

export interface MilvusStore {
  readonly content: () => Promise<Content>
  readonly mend: (all: boolean) => Promise<void>
  readonly close: () => Promise<void>
}

export async function milvusStore(address: string): Promise<MilvusStore> {
  // The SDK names the database in the metadata of its connection.
  const clients = new Map(DATABASES.map((database) => [database, new MilvusClient({ address, logLevel: 'error', database })]))
  const clientOf = (database: string) => clients.get(database) as MilvusClient
  const first = clientOf(DEFAULT)
  await first.connectPromise
  const read = async (db_name: string, collection_name: string, partition?: string): Promise<readonly { tenant: string }[]> => {
    const answer = await clientOf(db_name).query({
      collection_name,
      filter: 'id >= -9223372036854775807',
      output_fields: ['*'],
      limit: 10_000,
      ...(partition === undefined ? {} : { partition_names: [partition] })
    })
    if (answer.status.error_code !== 'Success') throw new Error(answer.status.reason)
    return answer.data as { tenant: string }[]
  }
  // Under load it answers late, which says nothing about what is there.
  const patiently = (get: () => Promise<readonly object[]>) =>
    get().catch((cause: Error) => (/DEADLINE/.test(cause.message) ? get() : Promise.reject(cause)))
  const place = async (found: Map<string, string>, name: string, get: () => Promise<readonly object[]>) => {
    const all = await patiently(get).then(
      (list) => list.map(sorted).sort(),
      (cause: Error) => [`unreadable: ${cause.message}`]
    )
    if (all.length > 0) found.set(name, all.join('\n'))
  }
  const names = async (db_name: string) => (await clientOf(db_name).showCollections()).data.map(({ name }) => name)

  const content = async (): Promise<Content> => {
    const found = new Map<string, string>()
    for (const db of DATABASES) {
      for (const name of await names(db)) {
        const at = `${db}/${name}#`
        if (at === 'default/shared#') {
          const all = await read(db, name).catch((cause: Error) => [{ tenant: THEIRS, unreadable: cause.message }])
          for (const tenant of new Set(all.map((row) => row.tenant)))
            await place(found, at + tenant, async () => all.filter((row) => row.tenant === tenant))
        } else if (name === 'sharded') {
          const { partition_names } = await clientOf(db).showPartitions({ collection_name: name })
          for (const partition of partition_names) {
            found.set(`${at}${partition} partition`, 'there')
            await place(found, at + partition, () => read(db, name, partition))
          }
        } else {
          found.set(`${at} collection`, 'there')
          await place(found, at, () => read(db, name))
        }
      }
    }
    return found
  }

  const create = async (db_name: string, collection_name: string) => {
    const client = clientOf(db_name)
    await client.createCollection({
      collection_name,
      fields: [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true, autoID: SHARED.has(collection_name) && db_name === DEFAULT },
        // A text could be a key, so that a collection with partitions has none.
        ...(collection_name === 'sharded'
          ? []
          : [{ name: 'tenant', data_type: DataType.VarChar, max_length: 64, is_partition_key: collection_name === 'shared' }]),
        { name: 'embedding', data_type: DataType.FloatVector, dim: 4 }
      ],
      enable_dynamic_field: true,
      consistency_level: 'Strong'
    })
    await client.createIndex({ collection_name, field_name: 'embedding', index_name: 'e', index_type: 'FLAT', metric_type: 'L2' })
    await client.loadCollection({ collection_name })
  }
  const fill = async ({ db, collection, partition }: Place, list: readonly Row[]) => {
    const keyed = SHARED.has(collection) && db === DEFAULT ? list : list.map((row, at) => ({ id: at + 1, ...row }))
    const data = keyed.map(({ tenant, ...row }) => (collection === 'sharded' ? row : { tenant, ...row }))
    const answer = await clientOf(db).insert({
      collection_name: collection,
      data,
      ...(partition === undefined ? {} : { partition_name: partition })
    })
    if (answer.status.error_code !== 'Success') throw new Error(`${collection}: ${answer.status.reason}`)
  }

  const everything = async () => {
    for (const db of DATABASES) {
      const list = await first.listDatabases()
      if (!list.db_names.includes(db)) await first.createDatabase({ db_name: db })
      for (const name of await names(db)) await clientOf(db).dropCollection({ collection_name: name })
    }
    for (const one of SEED) {
      if (!(await names(one.db)).includes(one.collection)) await create(one.db, one.collection)
      if (one.partition !== undefined)
        await clientOf(one.db).createPartition({ collection_name: one.collection, partition_name: one.partition })
      await fill(one, one.rows)
    }
  }
  /** Collections of its own are made anew, its rows in shared ones as well. */
  const ours = async (now: Content, seeded: Content) => {
    const changed = [...new Set([...now.keys(), ...seeded.keys()])].filter((one) => isOurs(one) && now.get(one) !== seeded.get(one))
    for (const at of new Set(changed.map((one) => one.replace(/#.*/, '')))) {
      const [db, collection] = at.split('/') as [string, string]
      const where = { collection_name: collection }
      const client = clientOf(db)
      const seeds = SEED.filter((one) => one.db === db && one.collection === collection)
      if (collection === 'shared') {
        await client.delete({ ...where, filter: `tenant == "${OURS}"` })
        for (const one of seeds) await fill(one, OWN)
      } else if (collection === 'sharded') {
        await client.createPartition({ ...where, partition_name: OURS })
        await client.loadPartitions({ ...where, partition_names: [OURS] })
        const stray = (await read(db, collection, OURS)) as unknown as { id: string }[]
        if (stray.length > 0) await client.delete({ ...where, filter: `id in [${stray.map(({ id }) => id).join()}]` })
        for (const one of seeds) if (one.partition === OURS) await fill(one, OWN)
      } else {
        await client.dropCollection(where)
        for (const one of seeds) {
          await create(db, collection)
          await fill(one, one.rows)
        }
      }
    }
  }

  let seeded: Content = new Map()
  const mend = async (all: boolean) => {
    if (all) await everything()
    else await ours(await content(), seeded)
    seeded = await content()
  }
  await mend(true)
  return { content, mend, close: async () => void (await Promise.all([...clients.values()].map((client) => client.closeConnection()))) }
}
