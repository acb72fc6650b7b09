/** Bytes in, verdict out: nothing that a caller sends to Qdrant makes the reader throw, or prove a tenant that is not proved. */
import { readdirSync, readFileSync } from 'node:fs'
import { fromBinary } from '@bufbuild/protobuf'
import { DeletePointsSchema, QueryPointsSchema, UpsertPointsSchema } from '@qdrant/js-client-grpc'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { qdrant } from '../../src/databases/qdrant.ts'
import { pinned, read } from '../databases/qdrant-call.ts'

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1000)

interface Recorded {
  readonly request: {
    readonly method: string
    readonly target: string
    readonly headers: Record<string, string>
    readonly body: string | null
  }
}

function recorded(client: string) {
  const folder = new URL(`../databases/recorded/${client}/`, import.meta.url)
  return readdirSync(folder).flatMap((name) => {
    const { request } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Recorded
    const { method, target, headers, body } = request
    if (body === null) return []
    const grpc = headers['content-type']?.startsWith('application/grpc') === true
    return [{ name, method, target, grpc, body: Buffer.from(body, grpc ? 'base64' : 'utf8') }]
  })
}

const rest = recorded('qdrant-rest/1.19.0')
const grpc = recorded('qdrant-grpc/1.19.0').filter(({ body }) => body[0] === 0 && body.length > 5)

const PIECES = [
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '0',
  '-',
  '1e400',
  'null',
  'true',
  '{}',
  '[]',
  '\u0000',
  '\\u0061',
  ' ',
  '"filter":{},',
  '"must":[],',
  '"should":',
  '"must_not":',
  '"match":{"value":"globex"},',
  '"points":[1],',
  '"query":7,',
  '"limit":9,',
  '"top":8,',
  '"lookup_from":{"collection":"x"},',
  '"shard_key":"globex",',
  'globex',
  '"tenant_id"',
  '"is_empty":true,',
  '"prefetch":[],'
].map((text) => Buffer.from(text))

const changes = fc.array(fc.tuple(fc.nat(), fc.constantFrom('put', 'cut', 'flip', 'copy'), fc.nat(), fc.nat()), {
  minLength: 1,
  maxLength: 4
})

function mutated(body: Buffer, of: readonly (readonly [number, string, number, number])[], pieces: readonly Buffer[]): Buffer {
  let bytes = body
  for (const [where, how, amount, which] of of) {
    const at = bytes.length === 0 ? 0 : where % bytes.length
    const end = Math.min(bytes.length, at + (amount % 24))
    const piece = pieces[which % pieces.length] ?? Buffer.alloc(0)
    const middle =
      how === 'put'
        ? piece
        : how === 'copy'
          ? Buffer.concat([bytes.subarray(at, end), bytes.subarray(at, end)])
          : how === 'flip'
            ? Buffer.from(bytes.subarray(at, at + 1).map((byte) => byte ^ (1 << (amount % 8))))
            : Buffer.alloc(0)
    bytes = Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(how === 'put' ? at : how === 'flip' ? at + 1 : end)])
  }
  return bytes
}

const ACME = '{"key":"tenant_id","match":{"value":"acme"}}'

/** Whether the first target is proved to be acme's. */
function provesAcme(result: ReturnType<typeof read>): boolean {
  const bounds = result.ok ? result.value.targets[0]?.bounds : undefined
  return bounds !== undefined && pinned(bounds) === 'acme'
}

interface Filtered {
  readonly filter?: { readonly must?: unknown }
}

/** By another reader: the condition stands in `must` of each filter that counts. */
function hasCondition(of: Filtered | undefined): boolean {
  const must = of?.filter?.must
  const list = Array.isArray(must) ? must : [must]
  const plain = (one: unknown) => JSON.stringify(one, (_, value) => (value === null ? undefined : (value as unknown)))
  return list.some((one) => plain(one) === ACME || plain(one) === '{"match":{"value":"acme"},"key":"tenant_id"}')
}

describe('any bytes', () => {
  it('give a verdict, whatever the endpoint', () => {
    const rows = qdrant.routes.map(({ method, template }) => ({ method, target: template.replaceAll(/\{[^}]*\}/g, 'x') }))
    fc.assert(
      fc.property(fc.constantFrom(...rows), fc.uint8Array({ maxLength: 120 }), fc.boolean(), ({ method, target }, bytes, framed) => {
        const call = framed ? { message: bytes } : { body: bytes }
        expect(read({ method: method === '*' ? 'GET' : method, target, ...call }).ok).toBeTypeOf('boolean')
      }),
      { numRuns: RUNS }
    )
  })

  it('in a recorded body give a verdict; what is allowed is JSON, and what proves a tenant has the condition', () => {
    let allowed = 0
    fc.assert(
      fc.property(fc.constantFrom(...rest), changes, ({ method, target, body }, how) => {
        const bytes = mutated(body, how, PIECES)
        const result = read({ method, target, body: bytes })
        if (!result.ok) return
        allowed++
        const parsed = JSON.parse(bytes.toString()) as Filtered & {
          readonly limit?: number
          readonly prefetch?: readonly Filtered[]
          readonly searches?: readonly Filtered[]
        }
        const { endpoint, shape } = result.value
        if (endpoint === 'points.scroll') expect(shape.topK).toBe(parsed.limit ?? 10)
        if (!provesAcme(result) || !/^points\.(query|scroll|count|facet|matrix|delete)/.test(endpoint)) return
        const { prefetch = [], searches } = parsed
        const proved = searches?.every(hasCondition) ?? (hasCondition(parsed) || (prefetch.length > 0 && prefetch.every(hasCondition)))
        expect(`${bytes.toString()}: ${proved}`).toBe(`${bytes.toString()}: true`)
      }),
      { numRuns: RUNS * 2 }
    )
    expect(allowed).toBeGreaterThan(RUNS / 100)
  })

  it('in a recorded message give a verdict; what is allowed decodes to the same collection', () => {
    let allowed = 0
    const schemas = { 'Points/Query': QueryPointsSchema, 'Points/Delete': DeletePointsSchema, 'Points/Upsert': UpsertPointsSchema }
    const pieces = ['0a05', '1200', '2a00', '18', '0801', '120a', '5a', '0a04616363', 'ff', '80', '00'].map((hex) =>
      Buffer.from(hex, 'hex')
    )
    fc.assert(
      fc.property(fc.constantFrom(...grpc), changes, ({ target, body }, how) => {
        const message = mutated(body.subarray(5), how, pieces)
        const result = read({ target, message })
        if (!result.ok) return
        allowed++
        const schema = schemas[result.value.endpoint as keyof typeof schemas]
        if (schema === undefined) return
        const { collectionName } = fromBinary<typeof schema>(schema, message) as { readonly collectionName: string }
        expect(result.value.targets[0]?.collection).toEqual({ kind: 'name', name: collectionName })
      }),
      { numRuns: RUNS * 2 }
    )
    expect(allowed).toBeGreaterThan(RUNS / 100)
  })

  it('in a target give a verdict, and never another collection', () => {
    const pieces = fc.constantFrom('/', '..', '%2F', '%2e', '%00', '//', ';', '?', '#', '\\', 'globex', '%64ocs', '&', 'timeout=1', ' ')
    fc.assert(
      fc.property(fc.constantFrom(...rest), fc.nat(), pieces, fc.nat({ max: 3 }), ({ method, target, body }, where, piece, cut) => {
        const at = where % target.length
        const changed = target.slice(0, at) + piece + target.slice(at + cut)
        const result = read({ method, target: changed, body })
        const collection = result.ok ? result.value.targets[0]?.collection : undefined
        if (collection?.kind === 'name') expect(encodeURIComponent(collection.name)).toBe(changed.split(/[/?]/)[2])
      }),
      { numRuns: RUNS }
    )
  })
})
