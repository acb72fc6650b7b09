/** What the official clients send is read, and read as what it is. `UPDATE=1` writes `want` anew: review the difference. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { read } from './chroma-call.ts'

interface Recorded {
  readonly request: {
    readonly method: string
    readonly target: string
    readonly headers: Record<string, string>
    readonly body: string | null
  }
  readonly want: unknown
}

/** The server's operators do these; a client may not. */
const REFUSED = ['create-tenant', 'reset']

const CLIENTS = ['chroma/3.5.0', 'chroma-python/1.5.9']

describe.each(CLIENTS)('%s', (client) => {
  const folder = new URL(`recorded/${client}/`, import.meta.url)
  const names = readdirSync(folder).filter((name) => name.endsWith('.json'))

  it('has recorded calls', () => {
    expect(names.length).toBeGreaterThan(20)
  })

  it.each(names)('%s', (name) => {
    const file = new URL(name, folder)
    const { request, want } = JSON.parse(readFileSync(file, 'utf8')) as Recorded
    const result = read({ method: request.method, target: request.target, body: request.body ?? undefined, headers: request.headers })
    const got = result.ok ? readable(result.value) : result.reason
    if (process.env['UPDATE'] === '1') writeFileSync(file, `${JSON.stringify({ request, want: got }, null, 2)}\n`)
    else expect(got).toEqual(want)
    expect(result.ok).toBe(!REFUSED.some((refused) => name === `${refused}.json`))
  })
})

/** As JSON can hold it: vectors as numbers, and no infinity. */
function readable(call: Extract<ReturnType<typeof read>, { ok: true }>['value']): unknown {
  const { vectors, topK, ...shape } = call.shape
  return { ...call, shape: { ...shape, topK: Number.isFinite(topK) ? topK : 'unbounded', vectors: vectors.map((vector) => [...vector]) } }
}
