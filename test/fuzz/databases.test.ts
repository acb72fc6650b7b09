/** Bytes in, verdict out: nothing that a caller sends makes the reader throw, or read a body in one of two possible ways. */
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { inboundOf, read } from '../databases/chroma-call.ts'
import { catches } from './runs.ts'

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1500)

interface Recorded {
  readonly request: { readonly method: string; readonly target: string; readonly body: string | null }
}

const folder = new URL('../databases/recorded/chroma/3.5.0/', import.meta.url)
const recorded = readdirSync(folder).map((name) => (JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Recorded).request)
const withBody = recorded.filter((one): one is Recorded['request'] & { body: string } => one.body !== null)

const PIECES = [
  '"',
  '\\',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '0',
  '-',
  '1e400',
  '1e39',
  'null',
  'true',
  '{}',
  '[]',
  '\u0000',
  '\ufeff',
  '"ids":',
  '"IDS":[],',
  '"where":{},',
  '"$and":[],',
  '"n_results":999,',
  '"include":["embeddings"],',
  '\\u0061',
  '\\ud800',
  '\u017f',
  'é',
  ' '
]

/** A recorded body, cut, stuffed and flipped. */
const mutated = fc
  .tuple(
    fc.constantFrom(...withBody),
    fc.array(fc.tuple(fc.nat(), fc.constantFrom('put', 'cut', 'flip', 'copy'), fc.nat(), fc.constantFrom(...PIECES)), {
      minLength: 1,
      maxLength: 4
    })
  )
  .map(([call, changes]) => {
    let bytes = Buffer.from(call.body)
    for (const [where, how, amount, piece] of changes) {
      const at = bytes.length === 0 ? 0 : where % bytes.length
      const end = Math.min(bytes.length, at + (amount % 24))
      const middle = {
        put: Buffer.from(piece),
        cut: Buffer.alloc(0),
        copy: Buffer.concat([bytes.subarray(at, end), bytes.subarray(at, end)]),
        flip: Buffer.from(bytes.subarray(at, at + 1).map((byte) => byte ^ (1 << (amount % 8))))
      }[how]
      bytes = Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(how === 'put' ? at : how === 'flip' ? at + 1 : end)])
    }
    return { method: call.method, target: call.target, body: bytes }
  })

/** The top-level members of a JSON object in the order of the text, repeated ones included; undefined if it is none. */
function members(text: string): [string, string][] | undefined {
  const found: [string, string][] = []
  try {
    // A reviver sees only the last of a repeated key, so the text is cut by hand: at depth 1, outside of strings.
    const parts =
      text
        .trim()
        .slice(1, -1)
        .match(/(?:"(?:[^"\\]|\\.)*"|\[(?:[^[\]"]|"(?:[^"\\]|\\.)*"|\[(?:[^[\]"]|"(?:[^"\\]|\\.)*")*\])*\]|[^,"[\]])+/g) ?? []
    for (const part of parts) {
      const [key, value] = Object.entries(JSON.parse(`{${part}}`))[0] ?? []
      if (key !== undefined) found.push([key, JSON.stringify(value)])
    }
  } catch {
    return undefined
  }
  return found
}

describe('any bytes', () => {
  it('in a body give a verdict', () => {
    fc.assert(
      fc.property(fc.constantFrom(...withBody), fc.uint8Array({ maxLength: 200 }), (call, body) => {
        expect(read({ method: call.method, target: call.target, body }).ok).toBeTypeOf('boolean')
      }),
      { numRuns: RUNS }
    )
  })

  it('in a recorded body give a verdict; what is allowed is JSON, and says what JSON.parse says', () => {
    let allowed = 0
    fc.assert(
      fc.property(mutated, (call) => {
        const result = read(call)
        if (!result.ok) return
        allowed++
        const parsed = JSON.parse(call.body.toString()) as {
          n_results?: number | null
          limit?: number | null
          ids?: string[] | null
          include?: string[]
          new_name?: string
          name?: string
        }
        const { endpoint, shape, targets } = result.value
        if (endpoint === 'records.query') expect(shape.topK).toBe(parsed.n_results ?? 10)
        if (endpoint === 'records.query' || endpoint === 'records.get')
          expect(shape.vectorsOut).toBe(parsed.include?.includes('embeddings') ?? false)
        if (endpoint !== 'records.search' && endpoint.startsWith('records.')) expect(shape.records).toBe(parsed.ids?.length ?? 0)
        const named = targets.map(({ collection }) => (collection.kind === 'name' ? collection.name : '')).filter((name) => name !== '')
        if (endpoint.startsWith('collection.')) expect(named).toEqual([parsed.new_name ?? parsed.name].filter((name) => name != null))
      }),
      { numRuns: RUNS }
    )
    expect(allowed).toBeGreaterThan(RUNS / 100)
  })

  it('in a target give a verdict, and never another tenant', () => {
    const pieces = fc.constantFrom(
      '/',
      '..',
      '.',
      '%2F',
      '%2e',
      '%00',
      '//',
      ';',
      '?',
      '#',
      '\\',
      'globex',
      'tenants',
      '%',
      '%67lobex',
      '\u0000',
      'é',
      '@',
      '&',
      '=',
      ' '
    )
    fc.assert(
      fc.property(fc.constantFrom(...recorded), fc.nat(), pieces, fc.nat({ max: 3 }), ({ method, target, body }, where, piece, cut) => {
        const at = where % target.length
        const result = read({ method, target: target.slice(0, at) + piece + target.slice(at + cut), body: body ?? undefined })
        if (!result.ok) return
        for (const place of result.value.targets) {
          const written = (target.slice(0, at) + piece + target.slice(at + cut)).split(/[/?]/)
          expect(place.tenant.kind === 'path' && written[4]).toBe(place.tenant.kind === 'path' && place.tenant.tenant)
        }
      }),
      { numRuns: RUNS }
    )
  })

  it('in headers give a verdict', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.constantFrom('content-type', 'content-encoding', 'content-length', 'connection', 'upgrade', 'transfer-encoding'),
          fc.string({ unit: 'binary-ascii', maxLength: 20 })
        ),
        fc.string({ maxLength: 8 }),
        (headers, method) => {
          expect(read({ method, body: '{}', headers }).ok).toBeTypeOf('boolean')
        }
      ),
      { numRuns: RUNS }
    )
  })
})

describe('a reader that takes one of two readings', () => {
  /** Looks for a body that the reader accepts although a key stands in it twice with two values. */
  const refusesTwofold = (accepts: (call: { method: string; target: string; body: Buffer }) => boolean) =>
    fc.property(mutated, (call) => {
      const all = members(call.body.toString())
      const twofold = all?.some(([key, value]) => all.some(([other, another]) => other === key && another !== value)) ?? false
      expect(twofold && accepts(call)).toBe(false)
    })

  it('is not this one', () => {
    fc.assert(
      refusesTwofold((call) => read(call).ok),
      { numRuns: RUNS * 3 }
    )
  })

  it('is found, so that the search is known to search', async () => {
    const naive = (call: { body: Buffer }) => {
      try {
        JSON.parse((inboundOf({ body: call.body }).body ?? Buffer.alloc(0)).toString())
        return true
      } catch {
        return false
      }
    }
    expect(await catches(refusesTwofold(naive))).toBe(true)
  })
})
