/** What the official Node SDK sends is read, and read as what it is. `UPDATE=1` writes `want` anew: review the difference. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { VectorCall } from '../../src/core/vector-call.ts'
import { read } from './milvus-call.ts'

interface Recorded {
  readonly request: { readonly target: string; readonly headers: Record<string, string>; readonly body: string }
  readonly want: unknown
}

/** The database's operators do these; a client may not. */
const REFUSED = ['create-alias.json', 'list-databases.json']

const folder = new URL('recorded/milvus/3.0.6/', import.meta.url)
const names = readdirSync(folder)

describe('milvus2-sdk-node 3.0.6', () => {
  it('has recorded calls', () => {
    expect(names.length).toBeGreaterThan(50)
  })

  it.each(names)('%s', (name) => {
    const file = new URL(name, folder)
    const { request, want } = JSON.parse(readFileSync(file, 'utf8')) as Recorded
    const result = read({ rpc: request.target, headers: request.headers, body: Buffer.from(request.body, 'base64') })
    const got = result.ok ? readable(result.value) : result.reason
    if (process.env['UPDATE'] === '1') writeFileSync(file, `${JSON.stringify({ request, want: got }, null, 2)}\n`)
    else expect(got).toEqual(want)
    expect(result.ok).toBe(!REFUSED.includes(name))
  })
})

/** As JSON can hold it. */
function readable({ targets, shape, ...call }: VectorCall): unknown {
  const plain = targets.map(({ bounds, ...target }) => ({
    ...target,
    bounds:
      bounds === undefined
        ? null
        : {
            ...bounds,
            shards: bounds.shards ?? null,
            pins: Object.fromEntries(bounds.pins),
            unpinned: bounds.unpinned ?? null,
            unsharded: bounds.unsharded ?? null
          }
  }))
  const topK = Number.isFinite(shape.topK) ? shape.topK : 'unbounded'
  return { ...call, targets: plain, shape: { ...shape, topK, vectors: shape.vectors.map((vector) => [...vector]) } }
}
