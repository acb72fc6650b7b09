/** Bytes in, verdict out: nothing that a caller sends makes the reader of Weaviate's calls throw, or name another place than the server would. */
import { readdirSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chunk, frame } from '../databases/protobuf-write.ts'
import { places, RPC, read } from '../databases/weaviate-call.ts'

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 1500)

interface Request {
  readonly method: string
  readonly target: string
  readonly body: string | null
  readonly base64?: string
}

const folder = new URL('../databases/recorded/weaviate/3.14.0/', import.meta.url)
const recorded = readdirSync(folder).map(
  (name) => (JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as { request: Request }).request
)
const withBody = recorded.filter((one): one is Request & { body: string } => one.body !== null)
const withFrame = recorded.filter((one): one is Request & { base64: string } => one.base64 !== undefined && one.target.startsWith(RPC))

const JSON_PIECES = [
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  'null',
  '{}',
  '"tenant":"globex",',
  '"Tenant":"globex",',
  '"cla\u017fs":"Secret",',
  '"class":"Secret",',
  '\\u0067',
  '\ufeff',
  'weaviate://localhost/Secret/',
  '"beacon":',
  ' '
].map((piece) => Buffer.from(piece))
const FIELD_PIECES = [
  chunk(10, 'globex'),
  chunk(1, 'Secret'),
  chunk(43, ''),
  chunk(45, ''),
  chunk(5, 'globex'),
  chunk(6, 'globex'),
  Buffer.from([0]),
  Buffer.from([0x80, 0]),
  Buffer.from([0x0a]),
  Buffer.from([0xff, 0xff, 0x03])
]

type Change = readonly [number, string, number, Buffer]
const changes = (pieces: readonly Buffer[], maxLength: number) =>
  fc.array(fc.tuple(fc.nat(), fc.constantFrom('put', 'cut', 'flip', 'copy'), fc.nat(), fc.constantFrom(...pieces)), {
    minLength: 1,
    maxLength
  })

/** Cut, stuffed and flipped. */
function changed(start: Buffer, list: readonly Change[]): Buffer {
  let bytes = start
  for (const [where, how, amount, piece] of list) {
    const at = where % (bytes.length + 1)
    const end = Math.min(bytes.length, at + (amount % 24))
    const middle =
      { put: piece, cut: Buffer.alloc(0), copy: Buffer.concat([bytes.subarray(at, end), bytes.subarray(at, end)]) }[how] ??
      Buffer.from(bytes.subarray(at, at + 1).map((byte) => byte ^ (1 << (amount % 8))))
    bytes = Buffer.concat([bytes.subarray(0, at), middle, bytes.subarray(how === 'put' ? at : how === 'flip' ? at + 1 : end)])
  }
  return bytes
}

/** What a decoder that ignores case and takes the last of a key reads: Go's. */
function goRead(text: string): Record<string, unknown> {
  const folded: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(JSON.parse(text) as object)) folded[key.toLowerCase().replaceAll('\u017f', 's')] = value
  return folded
}

/** Fields of a message by number, the last of each: what a decoder that merges or replaces reads of its texts. */
function lastTexts(message: Buffer): Map<number, string> {
  const found = new Map<number, string>()
  let at = 0
  const varint = () => {
    let value = 0
    for (let shift = 1; ; shift *= 128) {
      const byte = message[at++] as number
      value += (byte & 127) * shift
      if (byte < 128) return value
    }
  }
  while (at < message.length) {
    const tag = varint()
    if (tag % 8 === 0) varint()
    else if (tag % 8 === 1) at += 8
    else if (tag % 8 === 5) at += 4
    else {
      const length = varint()
      found.set(Math.floor(tag / 8), message.toString('utf8', at, at + length))
      at += length
    }
  }
  return found
}

describe('any bytes', () => {
  it('in a body give a verdict', () => {
    fc.assert(
      fc.property(fc.constantFrom(...withBody), fc.uint8Array({ maxLength: 200 }), ({ method, target }, body) => {
        expect(read({ method, target, body }).ok).toBeTypeOf('boolean')
      }),
      { numRuns: RUNS }
    )
  })

  it('in a gRPC message give a verdict', () => {
    fc.assert(
      fc.property(fc.constantFrom(...withFrame), fc.uint8Array({ maxLength: 200 }), ({ target }, message) => {
        expect(read({ target, message }).ok).toBeTypeOf('boolean')
      }),
      { numRuns: RUNS }
    )
  })

  it('in a recorded body give a verdict; what is allowed goes where Go reads that it goes', () => {
    let allowed = 0
    fc.assert(
      fc.property(fc.constantFrom(...withBody), changes(JSON_PIECES, 3), ({ method, target, body }, list) => {
        const bytes = changed(Buffer.from(body), list)
        const got = read({ method, target, body: bytes })
        if (!got.ok) return
        allowed++
        const { class: name, tenant } = Array.isArray(JSON.parse(bytes.toString())) ? {} : goRead(bytes.toString())
        if (!got.value.endpoint.startsWith('objects.')) return
        expect(places({ method, target, body: bytes })[0]).toBe(`${tenant == null || tenant === '' ? '-' : String(tenant)}/${String(name)}`)
      }),
      { numRuns: RUNS }
    )
    expect(allowed).toBeGreaterThan(RUNS / 100)
  })

  it('in a recorded gRPC message give a verdict; what is allowed goes where its last fields say', () => {
    let allowed = 0
    fc.assert(
      fc.property(fc.constantFrom(...withFrame), changes(FIELD_PIECES, 2), ({ target, base64 }, list) => {
        const message = changed(Buffer.from(base64, 'base64').subarray(5), list)
        const got = read({ target, message })
        if (!got.ok) return
        allowed++
        if (got.value.endpoint !== 'grpc.search' && got.value.endpoint !== 'grpc.aggregate') return
        const texts = lastTexts(message)
        expect(places({ target, message })[0]).toBe(`${texts.get(10) || '-'}/${texts.get(1)}`)
      }),
      { numRuns: RUNS }
    )
    expect(allowed).toBeGreaterThan(RUNS / 100)
  })

  it('in a frame give a verdict', () => {
    fc.assert(
      fc.property(fc.constantFrom(...withFrame), changes(FIELD_PIECES, 2), ({ target, base64 }, list) => {
        const body = changed(Buffer.from(base64, 'base64'), list)
        const result = read({ target, body, headers: { 'content-type': 'application/grpc' } })
        if (result.ok) expect(body.subarray(0, 5)).toEqual(frame(body.subarray(5)).subarray(0, 5))
      }),
      { numRuns: RUNS }
    )
  })

  it('in a target give a verdict, and never another tenant than the one that is written', () => {
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
      '&tenant=globex',
      '&Tenant=globex',
      '%67lobex',
      'doc',
      '%',
      'é',
      '&',
      '=',
      ' '
    )
    const plain = recorded.filter((one) => one.body === null && one.base64 === undefined)
    fc.assert(
      fc.property(fc.constantFrom(...plain), fc.nat(), pieces, fc.nat({ max: 3 }), ({ method, target }, where, piece, cut) => {
        const at = where % (target.length + 1)
        const written = target.slice(0, at) + piece + target.slice(at + cut)
        const result = read({ method, target: written })
        if (!result.ok || result.value.endpoint.startsWith('tenant.')) return
        for (const { tenant } of result.value.targets) {
          const query = new URL(written, 'http://weaviate.test').searchParams.getAll('tenant')
          expect(tenant.kind === 'native' ? [tenant.tenant] : query.filter((one) => one !== '')).toEqual(
            tenant.kind === 'native' ? query : []
          )
        }
      }),
      { numRuns: RUNS }
    )
  })
})

describe('a reader that takes one of two readings', () => {
  it('is found by these inputs', () => {
    // Takes the first of a field, as the server does not.
    const firstTenant = (message: Buffer) => {
      const at = message.indexOf(chunk(10, 'acme'))
      return at < 0 ? undefined : 'acme'
    }
    const caught = fc.check(
      fc.property(fc.constantFrom(...withFrame), changes(FIELD_PIECES, 2), ({ base64 }, list) => {
        const message = changed(Buffer.from(base64, 'base64').subarray(5), list)
        const first = firstTenant(message)
        if (first !== undefined && message.includes(chunk(10, 'globex'))) expect(lastTexts(message).get(10)).toBe(first)
      }),
      { numRuns: Math.max(RUNS, 1500), seed: 1 }
    )
    expect(caught.failed).toBe(true)
  })
})
