/// <reference lib="esnext.float16" />
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'

/** Length of every vector: the model's (corpus/embed.py). */
export const DIMENSIONS = 384

const FOLDER = join(import.meta.dirname, 'corpus')
const HASH_BYTES = 32

export interface Corpus {
  readonly tenants: readonly CorpusTenant[]
}

export interface CorpusTenant {
  readonly id: string
  /** What its sentences are about. */
  readonly subject: string
  readonly documents: readonly { readonly id: string; readonly text: string; readonly vector: Float32Array }[]
  /** Questions of its agent; `expected` is the id of the document that should come first. */
  readonly queries: readonly { readonly text: string; readonly vector: Float32Array; readonly expected: string }[]
}

const sentences = z.strictObject({
  tenants: z.array(
    z.strictObject({
      id: z.string(),
      subject: z.string(),
      documents: z.array(z.strictObject({ id: z.string(), text: z.string() })),
      queries: z.array(z.strictObject({ text: z.string(), expected: z.string() }))
    })
  )
})

/**
 * Sentences of three tenants with embeddings of a real model, each vector of length 1.
 *
 * @throws Error with the remedy when the vectors were not made from these sentences.
 */
export function readCorpus(): Corpus {
  const source = readFileSync(join(FOLDER, 'sentences.json'))
  const packed = readFileSync(join(FOLDER, 'vectors.f16'))
  const { tenants } = sentences.parse(JSON.parse(source.toString('utf8')))
  const texts = tenants.reduce((sum, one) => sum + one.documents.length + one.queries.length, 0)
  const fromThese = createHash('sha256').update(source).digest().equals(packed.subarray(0, HASH_BYTES))
  if (!fromThese || packed.length !== HASH_BYTES + texts * DIMENSIONS * 2) {
    throw new Error(
      'demo/corpus/vectors.f16 was not made from demo/corpus/sentences.json. Remedy: run demo/corpus/embed.py, which tells how'
    )
  }
  const next = vectorsOf(packed.subarray(HASH_BYTES))
  return {
    tenants: tenants.map((tenant) => ({
      ...tenant,
      documents: tenant.documents.map((one) => ({ ...one, vector: next() })),
      queries: tenant.queries.map((one) => ({ ...one, vector: next() }))
    }))
  }
}

/** Gives one vector after the other. Half precision shortens or lengthens them a little; that is taken back here. */
function vectorsOf(packed: Uint8Array): () => Float32Array {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength)
  let at = 0
  return () => {
    const vector = new Float32Array(DIMENSIONS)
    for (let i = 0; i < DIMENSIONS; i++, at += 2) vector[i] = view.getFloat16(at, true)
    const length = Math.hypot(...vector)
    return vector.map((value) => value / length)
  }
}
