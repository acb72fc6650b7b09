import type { MilvusClient } from '@zilliz/milvus2-sdk-node'

const TENANTS = ['acme', 'globex']

/** As an operator would: a database with `docs` for each tenant, and in the default one `shared` with a field for the tenant. */
export async function seedMilvus(address: string): Promise<void> {
  // Loaded only where Milvus runs: it takes its time.
  const { DataType, MilvusClient } = await import('@zilliz/milvus2-sdk-node')
  const client = new MilvusClient({ address, logLevel: 'error' })
  await client.connectPromise
  try {
    const embedding = { name: 'embedding', data_type: DataType.FloatVector, dim: 4 }
    await make(client, 'default', 'shared', [
      { name: 'id', data_type: DataType.Int64, is_primary_key: true, autoID: true },
      { name: 'tenant', data_type: DataType.VarChar, max_length: 64, is_partition_key: true },
      embedding
    ])
    for (const tenant of TENANTS) {
      const db_name = `db_${tenant}`
      good(await client.createDatabase({ db_name }))
      await make(client, db_name, 'docs', [
        { name: 'id', data_type: DataType.Int64, is_primary_key: true, autoID: false },
        { name: 'text', data_type: DataType.VarChar, max_length: 200 },
        { name: 'page', data_type: DataType.Int64 },
        embedding
      ])
      const rows = [1, 2, 3].map((page) => ({ page, embedding: [page, tenant.length, 1, 0] }))
      const own = rows.map((row) => ({ ...row, id: row.page, text: `${tenant} page ${row.page}` }))
      good((await client.insert({ db_name, collection_name: 'docs', data: own })).status)
      const shared = rows.map(({ page, embedding: vector }) => ({
        tenant,
        embedding: vector,
        doc: { page, text: `${tenant} page ${page}` }
      }))
      good((await client.insert({ collection_name: 'shared', data: shared })).status)
    }
  } finally {
    await client.closeConnection()
  }
}

async function make(client: MilvusClient, db_name: string, collection_name: string, fields: object[]): Promise<void> {
  // biome-ignore lint/suspicious/noExplicitAny: the SDK's types of fields know more than these need
  const schema: any = { db_name, collection_name, fields, enable_dynamic_field: true, consistency_level: 'Strong' }
  good(await client.createCollection(schema))
  good(await client.createIndex({ db_name, collection_name, field_name: 'embedding', index_type: 'FLAT', metric_type: 'L2' }))
  good(await client.loadCollectionSync({ db_name, collection_name }))
}

function good({ error_code, reason }: { readonly error_code: unknown; readonly reason: string }): void {
  if (error_code !== 'Success') throw new Error(`Milvus did not take the seed: ${reason}`)
}
