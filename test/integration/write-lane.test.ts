/** The write lane: the batches of an official client pass through it whole, and the search lane neither takes nor feels them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Answer, call } from '../../demo/client.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { type Scene, sceneOf, supportSearch } from '../../demo/step.ts'

/** What the official clients of Chroma send at most at once (`max_batch_size` of pre-flight-checks). */
const RECORDS = 5_461
const DIMENSIONS = 384
const BASE = '/api/v2/tenants/acme/databases/rag/collections'

let stack: Stack
let scene: Scene
let collection: string

beforeAll(async () => {
  stack = await startStack({
    folder: join(import.meta.dirname, '../../.run/test-writes'),
    say: () => undefined,
    policy: (document) => {
      document.budget = { per_second: 1000, burst: 100_000 }
      for (const one of document.workloads) delete one.budget
    }
  })
  scene = sceneOf(stack)
  const made = await call(stack.door, scene.who.indexer, { target: BASE, body: { name: 'scratch-batches' } })
  collection = JSON.parse(made.body).id
})
afterAll(() => stack?.stop())

const base64 = Buffer.from(new Float32Array(DIMENSIONS).fill(0.5).buffer).toString('base64')
const batch = (records: number) => ({
  ids: Array.from({ length: records }, (_, at) => `r${at}`),
  embeddings: Array.from({ length: records }, () => base64),
  documents: Array.from({ length: records }, (_, at) => `record ${at}`)
})
const send = (who: keyof Scene['who'], body: object, what = 'add'): Promise<Answer> => {
  stack.recorder.clear()
  return call(stack.door, scene.who[who], { target: `${BASE}/${collection}/${what}`, body })
}
const records = (file: string) =>
  readFileSync(join(stack.folder, file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

describe('the write lane', () => {
  it(`takes the largest batch of the official client (${RECORDS} records of ${DIMENSIONS} dimensions) while searches go on`, async () => {
    const body = Buffer.from(JSON.stringify(batch(RECORDS)))
    expect(body.length).toBeGreaterThan(10 * 1_048_576)
    const writing = send('indexer', body)
    const times: number[] = []
    for (let at = 0; at < 20; at++) times.push((await supportSearch(scene)).ms)
    expect(await writing).toMatchObject({ status: 201 })
    const counted = await call(stack.door, scene.who.indexer, { target: `${BASE}/${collection}/count` })
    expect(JSON.parse(counted.body)).toBe(RECORDS)
    // Read by the other process, so no search stands behind it. Chroma itself may be busy.
    expect(times.sort((a, b) => a - b)[10]).toBeLessThan(250)
  })

  it('is judged by the process of that lane, under the same policy', async () => {
    const written = records('audit-writes.jsonl').at(-1)
    expect(written).toMatchObject({
      verdict: 'allow',
      operation: 'write',
      tenant: 'acme',
      shape: { records: RECORDS, dimensions: DIMENSIONS }
    })
    expect(records('audit.jsonl').some(({ operation }) => operation === 'write')).toBe(false)
    expect(await send('support', batch(1))).toMatchObject({ status: 403, reason: 'write-not-allowed' })
    expect(stack.recorder.seen()).toEqual([])
  })

  it('a body above its limit ends at Envoy, and a search of that size at the limit of the search lane', async () => {
    const huge = Buffer.concat([Buffer.from('{"ids":["'), Buffer.alloc(34 * 1_048_576, 'a'), Buffer.from('"]}')])
    expect(await send('indexer', huge)).toMatchObject({ status: 413 })
    expect(await send('indexer', Buffer.from(JSON.stringify({ ids: ['a'.repeat(2_000_000)] })), 'get')).toMatchObject({ status: 413 })
    expect(stack.recorder.seen()).toEqual([])
  })

  it('without that process there are no writes, and searches go on', async () => {
    await stack.writes.stop()
    expect(await send('indexer', batch(1), 'upsert')).toMatchObject({ status: 503 })
    expect(stack.recorder.seen()).toEqual([])
    expect(await supportSearch(scene)).toMatchObject({ status: 200 })
  })
})
