/** What the official client sends is read, and read as what it is. `UPDATE=1` writes `want` anew: review the difference. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { read } from './weaviate-call.ts'

interface Recorded {
  readonly request: {
    readonly method: string
    readonly target: string
    readonly headers: Record<string, string>
    readonly body: string | null
    readonly base64?: string
  }
  readonly want: unknown
}

/** What asks a module or walks along references in a filter, what is for the operators, and what a client writes in two ways. */
const REFUSED: Record<string, readonly string[]> = {
  'weaviate/3.14.0': [
    'alias-create',
    'alias-list',
    'backup',
    'create-class-multi-vectors',
    'create-class-with-module',
    'create-tenants',
    'filter-by-reference',
    'generate',
    'hybrid-without-vector',
    'insert-many-multi-vectors',
    'list-tenants',
    'near-image',
    'near-text',
    'nodes',
    'remove-tenants',
    'rerank',
    'shards',
    'update-tenants'
  ],
  'weaviate-python/4.23.1': ['create-tenants', 'hybrid-without-vector', 'list-tenants', 'near-text']
}

describe.each(Object.entries(REFUSED))('%s', (client, refused) => {
  const folder = new URL(`recorded/${client}/`, import.meta.url)
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'))

  it('has recorded calls', () => {
    expect(names.length).toBeGreaterThan(40)
    expect(refused.filter((name) => !names.includes(`${name}.json`))).toEqual([])
  })

  it.each(names)('%s', (name) => {
    const file = new URL(name, folder)
    const { request, want } = JSON.parse(readFileSync(file, 'utf8')) as Recorded
    const { method, target, headers, base64 } = request
    const body = base64 === undefined ? (request.body ?? undefined) : Buffer.from(base64, 'base64')
    const result = read({ method, target, body, headers })
    const got = result.ok ? readable(result.value) : result.reason
    if (process.env['UPDATE'] === '1') writeFileSync(file, `${JSON.stringify({ request, want: got }, null, 2)}\n`)
    else expect(got).toEqual(want)
    expect(result.ok).toBe(!refused.some((one) => name === `${one}.json`))
  })
})

/** As JSON can hold it: vectors as numbers. */
function readable(call: Extract<ReturnType<typeof read>, { ok: true }>['value']): unknown {
  const { vectors, ...shape } = call.shape
  return JSON.parse(JSON.stringify({ ...call, shape: { ...shape, vectors: vectors.map((vector) => [...vector]) } }))
}
