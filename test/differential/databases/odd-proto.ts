/** Protobuf messages and gRPC frames that no encoder would write. */
import { gzipSync } from 'node:zlib'
import { chunk, frame, number, tag, varint } from '../../databases/protobuf-write.ts'
import { type Change, changeOf, type Dice, oddities } from './dice.ts'
import type { Wire } from './wire.ts'

/** A field as it will be written. */
interface Odd {
  readonly number: number
  readonly wire: number
  /** Bytes behind the tag; of a message or text, without the length. */
  value: Buffer
  /** Undefined where the bytes are no message. */
  readonly fields: Odd[] | undefined
  readonly text: string | undefined
}

/** What the bytes are, is guessed: a text that people write has no control characters, and a message hardly does without. */
function readFields(bytes: Buffer): Odd[] | undefined {
  const fields: Odd[] = []
  let at = 0
  const next = (): number | undefined => {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = bytes[at++]
      if (byte === undefined) return undefined
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    return undefined
  }
  while (at < bytes.length) {
    const key = next()
    if (key === undefined || key < 8) return undefined
    const wire = key & 7
    const begin = at
    if (wire === 0) {
      while (((bytes[at] ?? 0) & 0x80) !== 0) at++
      at++
      if (at > bytes.length || at - begin > 10) return undefined
      fields.push({ number: key >>> 3, wire, value: bytes.subarray(begin, at), fields: undefined, text: undefined })
      continue
    }
    const length = wire === 2 ? next() : wire === 5 ? 4 : wire === 1 ? 8 : undefined
    if (length === undefined || at + length > bytes.length) return undefined
    const value = bytes.subarray(at, at + length)
    at += length
    const said = wire === 2 ? textIn(value) : undefined
    fields.push({ number: key >>> 3, wire, value, fields: wire === 2 && said === undefined ? readFields(value) : undefined, text: said })
  }
  return fields
}

function textIn(bytes: Buffer): string | undefined {
  const text = bytes.toString()
  return bytes.length > 0 && /^[\x20-\x7e\u00a0-\u024f]*$/.test(text) ? text : undefined
}

function write(fields: readonly Odd[]): Buffer {
  return Buffer.concat(
    fields.map(({ number: field, wire, value, fields: inner }) => {
      const content = inner === undefined ? value : write(inner)
      return wire === 2 ? chunk(field, content) : Buffer.concat([tag(field, wire), content])
    })
  )
}

/** The message with other texts in it, and fields more. */
export function rebound(bytes: Buffer, change: (text: string) => string, more: readonly Buffer[] = []): Buffer {
  const fields = readFields(bytes)
  if (fields === undefined) throw new Error('no message')
  for (const message of messagesIn(fields)) {
    for (const field of message) if (field.text !== undefined) field.value = Buffer.from(change(field.text))
  }
  return Buffer.concat([write(fields), ...more])
}

/** Each message in a field with others behind it. */
export function withinEach(bytes: Buffer, wanted: number, more: readonly Buffer[]): Buffer {
  const fields = readFields(bytes) ?? []
  return Buffer.concat(
    fields.map((field) => (field.number === wanted && field.wire === 2 ? chunk(wanted, [field.value, ...more]) : write([field])))
  )
}

/** Without the fields of a number whose bytes hold a text. */
export function without(bytes: Buffer, unwanted: number, text: string): Buffer {
  return write((readFields(bytes) ?? []).filter(({ number: its, value }) => its !== unwanted || !value.includes(text)))
}

export function hasField(bytes: Buffer, wanted: number): boolean {
  return readFields(bytes)?.some(({ number: its }) => its === wanted) === true
}

/** First value of a field that is a varint; of a nested one, by the numbers on the way. Undefined where there is none. */
export function countIn(bytes: Buffer, ...path: readonly number[]): number | undefined {
  const [first, ...rest] = path
  const field = readFields(bytes)?.find(({ number: its }) => its === first)
  if (field === undefined) return undefined
  if (rest.length > 0) return countIn(field.value, ...rest)
  return field.wire === 0 ? field.value.reduceRight((sum, byte) => sum * 128 + (byte & 0x7f), 0) : undefined
}

const messagesIn = (fields: Odd[]): Odd[][] => [
  fields,
  ...fields.flatMap(({ fields: inner }) => (inner === undefined ? [] : messagesIn(inner)))
]

/** Words of a database, to change messages with. */
export interface ProtoWords {
  readonly ours: readonly string[]
  readonly theirs: readonly string[]
  /** Of a text of its own, that of the other tenant. */
  readonly counterparts: ReadonlyMap<string, string>
  /** Whole fields, for any message. */
  readonly grafts: readonly Buffer[]
  /** Weight of a text beside another, where that makes a list. */
  readonly twice?: number
  /** Another text for one that is a filter. */
  readonly filter?: { readonly weight: number; readonly other: (dice: Dice, text: string) => string }
}

const onMessage = (name: string, weight: number, change: (dice: Dice, fields: Odd[]) => boolean): Change<Buffer> => ({
  name,
  weight,
  make: (dice, bytes) => {
    const root = readFields(bytes)
    if (root === undefined) return undefined
    const all = messagesIn(root).filter((fields) => fields.length > 0)
    const message = dice.chance(0.5) ? root : all.length > 0 ? dice.pick(all) : root
    return change(dice, message) ? write(root) : undefined
  }
})

const onText = (
  name: string,
  weight: number,
  fits: (text: string) => boolean,
  make: (dice: Dice, text: string) => string | undefined
): Change<Buffer> => ({
  name,
  weight,
  make: (dice, bytes) => {
    const root = readFields(bytes)
    if (root === undefined) return undefined
    const texts = messagesIn(root).flatMap((fields) => fields.filter(({ text }) => text !== undefined && fits(text)))
    if (texts.length === 0) return undefined
    const field = dice.pick(texts)
    const other = make(dice, field.text as string)
    if (other === undefined) return undefined
    field.value = Buffer.from(other)
    return write(root)
  }
})

const plain = (field: number, wire: number, value: Buffer): Odd => ({ number: field, wire, value, fields: undefined, text: undefined })
const any = () => true

export const PROTO_SPELLINGS: readonly Change<Buffer>[] = [
  onMessage('other order', 4, (dice, fields) => {
    fields.sort(() => dice.roll() - 0.5)
    return fields.length > 1
  })
]

export function protoChanges({ ours, theirs, counterparts, grafts, filter, twice = 9 }: ProtoWords): readonly Change<Buffer>[] {
  const insert = (dice: Dice, fields: Odd[], field: Odd) =>
    fields.splice(dice.pick([0, fields.length, dice.below(fields.length + 1)]), 0, field)
  const filters: Change<Buffer>[] =
    filter === undefined ? [] : [onText('another filter', filter.weight, (text) => /==| in |>/.test(text), filter.other)]
  return [
    ...PROTO_SPELLINGS,
    ...filters,
    onMessage('field twice', 3, (dice, fields) => fields.length > 0 && insert(dice, fields, dice.pick(fields)) !== undefined),
    onMessage('text twice, of the other tenant', twice, (dice, fields) => {
      const texts = fields.filter(({ text }) => text !== undefined)
      if (texts.length === 0) return false
      const known = texts.filter(({ text }) => counterparts.has(text as string))
      const field = dice.pick(known.length > 0 && dice.chance(0.6) ? known : texts)
      const other = dice.chance(0.6) ? counterparts.get(field.text as string) : undefined
      insert(dice, fields, plain(field.number, 2, Buffer.from(other ?? dice.pick([...theirs, '']))))
      return true
    }),
    onMessage('empty message', 3, (dice, fields) => {
      const inner = fields.filter(({ fields: some }) => some !== undefined)
      if (inner.length === 0) return false
      insert(dice, fields, plain(dice.pick(inner).number, 2, Buffer.alloc(0)))
      return true
    }),
    onMessage('message in two halves', 3, (dice, fields) => {
      const inner = fields.filter(({ fields: some }) => (some?.length ?? 0) > 1)
      if (inner.length === 0) return false
      const whole = dice.pick(inner)
      const half = (whole.fields as Odd[]).splice(dice.below((whole.fields as Odd[]).length))
      fields.splice(fields.indexOf(whole) + 1, 0, { ...whole, fields: half })
      return true
    }),
    onMessage('unknown field', 2, (dice, fields) => {
      insert(
        dice,
        fields,
        dice.pick([plain(99, 0, varint(1)), plain(199, 2, Buffer.from('x')), plain(61, 5, Buffer.alloc(4)), plain(7, 3, Buffer.alloc(0))])
      )
      return true
    }),
    onMessage('field of another message', 8, (dice, fields) => {
      if (grafts.length === 0) return false
      const [field] = readFields(dice.pick(grafts)) ?? []
      return field !== undefined && insert(dice, fields, field) !== undefined
    }),
    onMessage('another number', 2, (dice, fields) => {
      if (fields.length === 0) return false
      const at = dice.below(fields.length)
      const field = fields[at] as Odd
      fields[at] = { ...field, number: Math.max(1, field.number + dice.pick([-1, 1, 8])) }
      return true
    }),
    onMessage('without a field', 4, (dice, fields) => fields.length > 0 && fields.splice(dice.below(fields.length), 1).length > 0),
    onMessage('long varint', 1, (dice, fields) => {
      const counts = fields.filter(({ wire }) => wire === 0)
      if (counts.length === 0) return false
      const field = dice.pick(counts)
      const last = field.value.length - 1
      field.value = Buffer.concat([field.value.subarray(0, last), Buffer.from([(field.value[last] as number) | 0x80, 0])])
      return true
    }),
    onMessage('another count', 3, (dice, fields) => {
      const counts = fields.filter(({ wire }) => wire === 0)
      if (counts.length === 0) return false
      dice.pick(counts).value = varint(dice.pick([0, 1, 2, 7, 300]))
      return true
    }),
    onText('a word of the other tenant', 12, any, (dice) => dice.pick(theirs)),
    onText(
      'the counterpart of the other tenant',
      9,
      (text) => counterparts.has(text),
      (_, text) => counterparts.get(text)
    ),
    onText('another word of its own', 4, any, (dice) => dice.pick(ours)),
    onText('another spelling of a text', 3, any, (dice, text) =>
      dice.pick([text.toUpperCase(), ` ${text}`, `${text} `, `${text}\0`, `${text}/`, '', `${text}\u200b`, text.toLowerCase(), `"${text}"`])
    )
  ]
}

/** Frames, from message bytes: header changes beside them. */
interface Framed {
  readonly body: Buffer
  readonly headers: readonly (readonly [string, string])[]
  readonly name: string
}

function framed(dice: Dice, message: Buffer, odd: boolean): Framed {
  const plainly: Framed = { body: frame(message), headers: [], name: '' }
  if (!odd) return dice.chance(0.1) ? { body: frame(gzipSync(message), 1), headers: [['grpc-encoding', 'gzip']], name: 'gzip' } : plainly
  const other = frame(Buffer.concat([number(1, 1)]))
  return dice.pick<Framed>([
    { body: frame(gzipSync(message), 1), headers: [], name: 'gzip unsaid' },
    { body: frame(message, 1), headers: [['grpc-encoding', 'gzip']], name: 'gzip said of plain bytes' },
    { body: frame(message), headers: [['grpc-encoding', 'gzip']], name: 'gzip said, not done' },
    { body: frame(gzipSync(message), 1), headers: [['grpc-encoding', 'deflate']], name: 'another encoding' },
    { body: Buffer.concat([frame(message), frame(message)]), headers: [], name: 'two frames' },
    { body: Buffer.concat([other, frame(message)]), headers: [], name: 'another frame before' },
    { body: Buffer.concat([frame(message), Buffer.from([0])]), headers: [], name: 'a byte behind the frame' },
    { body: frame(message).subarray(0, -1), headers: [], name: 'a byte too few' },
    { body: frame(message, 2), headers: [], name: 'another flag' },
    {
      body: frame(Buffer.concat([gzipSync(message), gzipSync(message)]), 1),
      headers: [['grpc-encoding', 'gzip']],
      name: 'two gzip members'
    }
  ])
}

/** Up to three changes of a gRPC call, in its message, its frame or around it. */
export function changedGrpc(
  dice: Dice,
  wire: Wire,
  message: Buffer,
  { onWire, onMessage }: { readonly onWire: readonly Change<Wire>[]; readonly onMessage: readonly Change<Buffer>[] }
): { readonly wire: Wire; readonly names: readonly string[]; readonly plain: Buffer } {
  const names: string[] = []
  let [changed, bytes, odd] = [wire, message, false]
  for (let left = oddities(dice); left > 0; left--) {
    const roll = dice.roll()
    odd ||= roll < 0.05
    const one = roll < 0.05 ? undefined : roll < 0.75 ? changeOf(dice, onMessage, bytes) : changeOf(dice, onWire, changed)
    if (one === undefined) continue
    names.push(one.name)
    if (Buffer.isBuffer(one.made)) bytes = one.made
    else changed = one.made
  }
  const { body, headers, name } = framed(dice, bytes, odd)
  if (name !== '') names.push(name)
  return { wire: { ...changed, headers: [...changed.headers, ...headers], body }, names, plain: bytes }
}
