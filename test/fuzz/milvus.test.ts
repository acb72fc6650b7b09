/** Bytes in, verdict out: any message of Milvus is read as every other reader would read it, or refused. */
import { readdirSync, readFileSync } from 'node:fs'
import { BinaryReader } from '@bufbuild/protobuf/wire'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { VectorCall } from '../../src/core/vector-call.ts'
import { read } from '../databases/milvus-call.ts'
import { chunk, frame, number } from '../databases/protobuf-write.ts'
import { change, spoil } from './byte-changes.ts'
import { catches, place, runs } from './runs.ts'

interface Recorded {
  readonly request: { readonly target: string; readonly headers: Record<string, string>; readonly body: string }
}

const folder = new URL('../databases/recorded/milvus/3.0.6/', import.meta.url)
const recorded = readdirSync(folder).map((name) => {
  const { request } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as Recorded
  return { rpc: request.target, method: request.target.split('/')[2] ?? '', message: Buffer.from(request.body, 'base64').subarray(5) }
})

type Field = readonly [number: number, wire: number, bytes: Buffer]

/** The fields of a message in the order of the wire, by another reader; undefined for what is no message. */
function fieldsOf(message: Uint8Array): Field[] | undefined {
  const reader = new BinaryReader(message)
  const fields: Field[] = []
  try {
    while (reader.pos < reader.len) {
      const start = reader.pos
      const [field, wire] = reader.tag()
      const from = reader.pos
      if (wire === 2) fields.push([field, wire, Buffer.from(reader.bytes())])
      else {
        reader.skip(wire, field)
        fields.push([field, wire, Buffer.from(message.subarray(from, reader.pos))])
      }
      if (reader.pos <= start) return undefined
    }
  } catch {
    return undefined
  }
  return fields
}

const texts = (fields: readonly Field[], field: number) => fields.filter(([one]) => one === field).map(([, , bytes]) => bytes.toString())

/** Where each message has its names: database, collection. */
const NAMES: Readonly<Record<string, readonly [number, number]>> = { GetLoadState: [4, 2], GetLoadingProgress: [4, 2] }

/** What a reader that takes the first of two, and one that takes the last, say about the place. */
function places(method: string, message: Uint8Array): string[] {
  const fields = fieldsOf(message)
  const [database, collection] = NAMES[method] ?? [2, 3]
  const of = (end: 0 | -1) => `${texts(fields ?? [], database).at(end) || 'default'}/${texts(fields ?? [], collection).at(end) ?? ''}`
  return [...new Set([of(0), of(-1)])]
}

const placeOf = ({ targets }: VectorCall) =>
  targets.map(({ namespace, collection }) => `${namespace}/${collection.kind === 'name' ? collection.name : ''}`)

/** A recorded message with damage: to its bytes, or to its fields, which stay well formed. */
const damaged = fc
  .tuple(
    fc.constantFrom(...recorded),
    fc.array(change, { maxLength: 3 }),
    fc.array(fc.tuple(place, fc.constantFrom('twice', 'twice-other', 'gone', 'foreign', 'moved'), fc.nat({ max: 30 })), { maxLength: 2 })
  )
  .map(([call, changes, moves]) => {
    let message: Buffer = call.message
    for (const [at, how, field] of moves) message = move(message, at, how, field)
    // Half of them keep their form, so that the reader is asked about meanings and not about lengths only.
    if (moves.length === 0) for (const one of changes) message = Buffer.from(spoil(message, one))
    return { ...call, message }
  })

function move(message: Buffer, at: number, how: string, field: number): Buffer {
  const fields = fieldsOf(message) ?? []
  const index = Math.floor(at * fields.length)
  const [one = 1, wire = 2, bytes = Buffer.alloc(0)] = fields[index] ?? []
  const print = ([name, kind, content]: Field) =>
    kind === 2 ? chunk(name, content) : Buffer.concat([number(name, 0).subarray(0, -1), content])
  const parts = fields.map(print)
  if (how === 'gone') parts.splice(index, 1)
  else if (how === 'foreign') parts.splice(index, 0, chunk(field, bytes))
  else if (how === 'twice') parts.push(print([one, wire, bytes]))
  else if (how === 'twice-other') parts.push(print([one, wire, wire === 2 ? Buffer.from('globex') : Buffer.of(7)]))
  else parts.push(...parts.splice(index, 1))
  return Buffer.concat(parts)
}

const reading = (call: { rpc: string; message: Uint8Array }) => read({ rpc: call.rpc, body: frame(call.message) })

describe('any bytes', () => {
  it('as a body give a verdict', () => {
    fc.assert(
      fc.property(fc.constantFrom(...recorded), fc.uint8Array({ maxLength: 80 }), fc.boolean(), ({ rpc }, bytes, framed) => {
        expect(read({ rpc, body: framed ? frame(bytes) : bytes }).ok).toBeTypeOf('boolean')
      }),
      runs(1500)
    )
  })

  it('in a recorded message give a verdict; what is allowed has one place, whoever reads it', () => {
    let allowed = 0
    fc.assert(
      fc.property(damaged, (call) => {
        const result = reading(call)
        if (!result.ok) return
        allowed++
        const { targets, operation } = result.value
        if (operation === 'probe' || call.method === 'Flush') return
        expect(targets.length).toBe(1)
        expect(places(call.method, call.message).map((one) => (call.method === 'ShowCollections' ? `${one.split('/')[0]}/` : one))).toEqual(
          placeOf(result.value)
        )
      }),
      runs(3000)
    )
    expect(allowed).toBeGreaterThan(runs(3000).numRuns / 50)
  })

  it('in another order of fields say the same', () => {
    fc.assert(
      fc.property(fc.constantFrom(...recorded), fc.infiniteStream(fc.nat({ max: 9 })), (call, order) => {
        const fields = (fieldsOf(call.message) ?? []).map(([name, wire, bytes], index) => ({
          name,
          index,
          part: wire === 2 ? chunk(name, bytes) : Buffer.concat([number(name, 0).subarray(0, -1), bytes])
        }))
        // Elements of one list keep their order: that one has a meaning.
        const weights = new Map(fields.map(({ name }) => [name, order.next().value ?? 0]))
        fields.sort((a, b) => (weights.get(a.name) ?? 0) - (weights.get(b.name) ?? 0) || a.index - b.index)
        const result = reading({ rpc: call.rpc, message: Buffer.concat(fields.map(({ part }) => part)) })
        expect(result).toEqual(reading(call))
      }),
      runs(1000)
    )
  })
})

describe('a reader that takes one of two readings', () => {
  /** Whether a call is accepted of which two readers would say two things. A flush has a list of collections. */
  const single = (accepts: (call: { rpc: string; method: string; message: Buffer }) => boolean) =>
    fc.property(
      damaged.filter(({ method }) => method !== 'Flush'),
      (call) => {
        if (accepts(call)) expect(places(call.method, call.message).length).toBe(1)
      }
    )

  it('is not this one', () => {
    fc.assert(
      single((call) => reading(call).ok),
      runs(3000)
    )
  })

  it('is found, so that the search is known to search', async () => {
    expect(await catches(single((call) => fieldsOf(call.message) !== undefined))).toBe(true)
  })
})
