/** What the official clients send is read, and read as what it is. `UPDATE=1` writes the golden parts anew: review the difference. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { qdrant } from '../../src/databases/qdrant.ts'
import { pinned, read } from './qdrant-call.ts'

interface Request {
  readonly method: string
  readonly target: string
  readonly headers: Record<string, string>
  readonly body: string | null
}

interface Recorded {
  readonly request: Request
  /** What the database gets: the client's own credential is gone, every byte of the body is there. */
  readonly forwarded: unknown
  readonly want: unknown
}

const CLIENTS = [
  { client: 'qdrant-rest/1.19.0', calls: 41 },
  { client: 'qdrant-grpc/1.19.0', calls: 25 },
  { client: 'qdrant-python/1.19.1', calls: 47 }
] as const

describe.each(CLIENTS)('$client', ({ client, calls }) => {
  const folder = new URL(`recorded/${client}/`, import.meta.url)
  const names = readdirSync(folder)

  it('has recorded calls', () => {
    expect(names).toHaveLength(calls)
  })

  it.each(names)('%s', (name) => {
    const file = new URL(name, folder)
    const { request, forwarded, want } = JSON.parse(readFileSync(file, 'utf8')) as Recorded
    const body = bodyOf(request)
    const result = read({ ...request, ...(body === undefined ? { body: undefined } : { body }) })
    const got = result.ok ? readable(result.value) : result.reason
    const sent = forwardedOf(request, body)
    if (process.env['UPDATE'] === '1') writeFileSync(file, `${JSON.stringify({ request, forwarded: sent, want: got }, null, 2)}\n`)
    else expect({ forwarded: sent, want: got }).toEqual({ forwarded, want })
    expect(result.ok).toBe(true)
  })

  it.each(names.filter((name) => /^(grpc-)?filter-/.test(name)))('%s proves the tenant of every record', (name) => {
    const { request } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Recorded
    const result = read({ ...request, body: bodyOf(request) })
    if (!result.ok) throw new Error(result.reason.because)
    expect(result.value.targets.map(({ bounds }) => bounds && pinned(bounds))).toEqual(['acme'])
  })

  it.each(names.filter((name) => /^(grpc-)?(query|hybrid|scroll|count|delete|upsert|search|get|retrieve)/.test(name)))(
    '%s, without a filter, proves nothing',
    (name) => {
      const { request } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Recorded
      const result = read({ ...request, body: bodyOf(request) })
      if (!result.ok) throw new Error(result.reason.because)
      expect(result.value.targets.map(({ bounds }) => bounds && pinned(bounds))).not.toContain('acme')
    }
  )
})

describe('the gRPC client', () => {
  it('compresses a query of 384 dimensions, and it is read all the same', () => {
    const file = new URL('recorded/qdrant-grpc/1.19.0/query-long.json', import.meta.url)
    const { request } = JSON.parse(readFileSync(file, 'utf8')) as Recorded
    const body = bodyOf(request)
    expect(body?.[0]).toBe(1)
    const result = read({ ...request, body })
    if (!result.ok) throw new Error(result.reason.because)
    expect(result.value.shape).toMatchObject({ queries: 1, dimensions: 384, topK: 10 })
    expect(result.value.shape.vectors[0]?.[7]).toBe(Math.fround(Math.sin(7)))
  })
})

function bodyOf({ headers, body }: Request): Buffer | undefined {
  if (body === null) return undefined
  return Buffer.from(body, headers['content-type']?.startsWith('application/grpc') ? 'base64' : 'utf8')
}

const MATTER = /^(content-|grpc-encoding$|te$|api-key$|authorization$|x-qdrant-)/

function forwardedOf({ method, target, headers }: Request, body: Buffer | undefined): unknown {
  const kept = Object.entries(headers).filter(([name]) => MATTER.test(name) && !qdrant.credentialHeaders.includes(name))
  const sha256 = body === undefined ? null : createHash('sha256').update(body).digest('hex')
  return { method, target, headers: Object.fromEntries(kept), sha256 }
}

/** As JSON can hold it. */
function readable(call: Extract<ReturnType<typeof read>, { ok: true }>['value']): unknown {
  const text = JSON.stringify(call, (_, value) => {
    if (value instanceof Map) return Object.fromEntries(value)
    return value instanceof Float32Array ? [...value].slice(0, 8) : (value as unknown)
  })
  return JSON.parse(text)
}
