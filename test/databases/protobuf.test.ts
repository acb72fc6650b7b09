import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readProto } from '../../src/databases/protobuf.ts'
import {
  bigint,
  bigints,
  bool,
  bools,
  bytes,
  bytesList,
  double,
  doubles,
  enumeration,
  enumerations,
  float,
  floats,
  inOneof,
  int,
  int32,
  int32s,
  ints,
  type MessageTable,
  many,
  map,
  one,
  table,
  text,
  texts,
  uint,
  uint32,
  uint32s
} from '../../src/databases/protobuf-fields.ts'
import { chunk, floatBytes, number, tag, varint } from './protobuf-write.ts'

interface Tree {
  readonly name: string | undefined
  readonly branches: readonly Tree[] | undefined
  readonly by: ReadonlyMap<string, Tree> | undefined
}

const TREE: MessageTable<Tree> = table(
  'Tree',
  text(1, 'name'),
  many(2, 'branches', () => TREE),
  map(
    3,
    'by',
    one(2, 'value', () => TREE)
  )
)

const ALL = table(
  'All',
  text(1, 'text'),
  bytes(2, 'bytes'),
  bool(3, 'bool'),
  int32(4, 'int32'),
  uint32(5, 'uint32'),
  int(6, 'int'),
  uint(7, 'uint'),
  bigint(8, 'bigint'),
  float(9, 'float'),
  double(10, 'double'),
  enumeration(11, 'enumeration', [0, 1, 5]),
  one(12, 'tree', () => TREE),
  texts(13, 'texts'),
  bytesList(14, 'bytesList'),
  bools(15, 'bools'),
  int32s(16, 'int32s'),
  uint32s(17, 'uint32s'),
  ints(18, 'ints'),
  bigints(19, 'bigints'),
  floats(20, 'floats'),
  doubles(21, 'doubles'),
  enumerations(22, 'enumerations'),
  map(23, 'words', text(2, 'value')),
  inOneof('either', text(24, 'left')),
  inOneof('either', int32(25, 'right')),
  inOneof('other', text(26, 'alone')),
  enumeration(27, 'anything'),
  map(28, 'numbers', int(2, 'value'))
)

const read = (...parts: readonly Uint8Array[]) => readProto(Buffer.concat(parts), ALL)
const outcome = (...parts: readonly Uint8Array[]) => {
  const result = read(...parts)
  return result.ok ? result.value : result.reason.kind
}
const hex = (digits: string) => Buffer.from(digits.replaceAll(' ', ''), 'hex')
const doubleBytes = (values: readonly number[]) => Buffer.from(Float64Array.from(values).buffer)

describe('a protobuf message', () => {
  it.each([
    ['nothing', [], {}],
    ['text', [chunk(1, 'tenant é')], { text: 'tenant é' }],
    ['text that holds the replacement character', [chunk(1, '\ufffd')], { text: '\ufffd' }],
    ['empty text, which is not the same as none', [chunk(1, '')], { text: '' }],
    ['bytes', [chunk(2, hex('00ff'))], { bytes: hex('00ff') }],
    ['false', [number(3, 0)], { bool: false }],
    ['true', [number(3, 1)], { bool: true }],
    ['the lowest int32', [number(4, -(2 ** 31))], { int32: -(2 ** 31) }],
    ['the highest int32', [number(4, 2 ** 31 - 1)], { int32: 2 ** 31 - 1 }],
    ['the highest uint32', [number(5, 2 ** 32 - 1)], { uint32: 2 ** 32 - 1 }],
    ['a negative int64', [number(6, -3)], { int: -3 }],
    ['the lowest int64 that is a number', [number(6, -(2 ** 53 - 1))], { int: -(2 ** 53 - 1) }],
    ['the highest uint64 that is a number', [number(7, 2 ** 53 - 1)], { uint: 2 ** 53 - 1 }],
    ['every int64 as bigint', [number(8, -(2n ** 63n))], { bigint: -(2n ** 63n) }],
    ['float', [tag(9, 5), floatBytes([0.5])], { float: 0.5 }],
    ['double', [tag(10, 1), doubleBytes([0.1])], { double: 0.1 }],
    ['a known enumeration value', [number(11, 5)], { enumeration: 5 }],
    ['any enumeration value where none is listed', [number(27, -1)], { anything: -1 }],
    ['a message in a message', [chunk(12, chunk(2, [chunk(1, 'a')]))], { tree: { branches: [{ name: 'a' }] } }],
    ['repeated text', [chunk(13, 'a'), number(3, 1), chunk(13, 'b')], { texts: ['a', 'b'], bool: true }],
    ['repeated bytes', [chunk(14, 'a'), chunk(14, '')], { bytesList: [Buffer.from('a'), Buffer.from('')] }],
    ['bools, packed', [chunk(15, hex('010001'))], { bools: [true, false, true] }],
    ['numbers, one by one', [number(16, 1), number(16, -1)], { int32s: [1, -1] }],
    ['numbers, packed', [chunk(17, [varint(1), varint(300)])], { uint32s: [1, 300] }],
    ['numbers, packed and one by one', [chunk(18, [varint(1)]), number(18, 2)], { ints: [1, 2] }],
    ['bigints, packed', [chunk(19, [varint(2n ** 62n), varint(-1)])], { bigints: [2n ** 62n, -1n] }],
    ['floats, packed', [chunk(20, floatBytes([0.5, -2]))], { floats: Float32Array.of(0.5, -2) }],
    ['floats, one by one', [tag(20, 5), floatBytes([0.5]), tag(20, 5), floatBytes([3])], { floats: Float32Array.of(0.5, 3) }],
    ['floats, and then another field', [tag(20, 5), floatBytes([0.5]), number(3, 1)], { floats: Float32Array.of(0.5), bool: true }],
    ['no floats, packed', [chunk(20, '')], { floats: new Float32Array() }],
    ['doubles, packed', [chunk(21, doubleBytes([0.1, 7]))], { doubles: Float64Array.of(0.1, 7) }],
    ['doubles, one by one', [tag(21, 1), doubleBytes([0.1])], { doubles: Float64Array.of(0.1) }],
    ['enumerations', [chunk(22, [varint(4), varint(0)])], { enumerations: [4, 0] }],
    [
      'a map',
      [chunk(23, [chunk(1, 'a'), chunk(2, 'x')]), chunk(23, [chunk(1, 'b'), chunk(2, 'y')])],
      {
        words: new Map([
          ['a', 'x'],
          ['b', 'y']
        ])
      }
    ],
    [
      'an entry without a value, which has the default',
      [chunk(23, chunk(1, 'a')), chunk(28, chunk(1, 'b'))],
      { words: new Map([['a', '']]), numbers: new Map([['b', 0]]) }
    ],
    ['an entry without a key, which is the empty one', [chunk(23, chunk(2, 'x'))], { words: new Map([['', 'x']]) }],
    ['an entry with its value first', [chunk(28, [number(2, 7), chunk(1, 'b')])], { numbers: new Map([['b', 7]]) }],
    [
      'a map of messages',
      [chunk(12, chunk(3, [chunk(1, 'k'), chunk(2, chunk(1, 'v'))]))],
      { tree: { by: new Map([['k', { name: 'v' }]]) } }
    ],
    ['one member of each oneof', [chunk(24, 'l'), chunk(26, 'a')], { left: 'l', alone: 'a' }]
  ] as [string, Uint8Array[], object][])('may hold %s', (_, parts, want) => {
    expect(outcome(...parts)).toEqual(want)
  })

  it.each([
    ['a singular field twice', 'call-ambiguous', [chunk(1, 'mine'), chunk(1, 'theirs')]],
    ['a singular field twice, the same', 'call-ambiguous', [chunk(1, ''), chunk(1, '')]],
    ['false twice', 'call-ambiguous', [number(3, 0), number(3, 0)]],
    ['a message twice, to be merged or replaced', 'call-ambiguous', [chunk(12, chunk(1, 'a')), chunk(12, '')]],
    ['a singular field twice, deeper', 'call-ambiguous', [chunk(12, [chunk(1, 'a'), chunk(1, 'b')])]],
    ['two members of a oneof', 'call-ambiguous', [chunk(24, 'l'), number(25, 1)]],
    ['one member of a oneof twice', 'call-ambiguous', [chunk(24, 'l'), chunk(24, 'l')]],
    ['a key of a map twice', 'call-ambiguous', [chunk(23, [chunk(1, 'a'), chunk(2, 'x')]), chunk(23, [chunk(1, 'a'), chunk(2, 'y')])]],
    ['the empty key of a map twice, once unwritten', 'call-ambiguous', [chunk(23, chunk(1, '')), chunk(23, chunk(2, 'y'))]],
    ['an entry with two values', 'call-ambiguous', [chunk(23, [chunk(1, 'a'), chunk(2, 'x'), chunk(2, 'y')])]],
    ['an entry with two keys', 'call-ambiguous', [chunk(23, [chunk(1, 'a'), chunk(1, 'b')])]],
    ['an entry with a third field', 'call-unreadable', [chunk(23, [chunk(1, 'a'), chunk(3, 'b')])]],
    ['an entry whose key is a number', 'call-unreadable', [chunk(23, [number(1, 1)])]],
    ['floats in two packed pieces', 'call-ambiguous', [chunk(20, floatBytes([1])), chunk(20, floatBytes([2]))]],
    ['floats, packed and one by one', 'call-ambiguous', [chunk(20, floatBytes([1])), tag(20, 5), floatBytes([2])]],
    ['floats in two runs', 'call-ambiguous', [tag(20, 5), floatBytes([1]), number(3, 1), tag(20, 5), floatBytes([2])]],
    ['an unknown field', 'call-unreadable', [chunk(29, 'x')]],
    ['an unknown field of a high number', 'call-unreadable', [chunk(2 ** 29 - 1, 'x')]],
    ['an unknown field, deeper', 'call-unreadable', [chunk(12, chunk(9, 'x'))]],
    ['the field number 0', 'call-unreadable', [hex('00 00')]],
    ['a field number of more than 29 bits', 'call-unreadable', [hex('8a80808010 00')]],
    ['a tag in a longer form than needed', 'call-ambiguous', [hex('8a00 0161')]],
    ['a length in a longer form than needed', 'call-ambiguous', [hex('0a 8100 61')]],
    ['a number in a longer form than needed', 'call-ambiguous', [hex('18 8100')]],
    ['a number of 65 bits', 'call-unreadable', [hex('40 ffffffffffffffffff03')]],
    ['a number of eleven bytes', 'call-unreadable', [hex('40 ffffffffffffffffffff01')]],
    ['text with a number on the wire', 'call-unreadable', [number(1, 1)]],
    ['a number with text on the wire', 'call-unreadable', [chunk(6, 'a')]],
    ['a singular number, packed', 'call-unreadable', [chunk(3, hex('01'))]],
    ['text in a packed list', 'call-unreadable', [number(13, 1)]],
    ['a float as eight bytes', 'call-unreadable', [tag(9, 1), doubleBytes([1])]],
    ['the beginning of a group', 'call-unreadable', [tag(1, 3)]],
    ['the end of a group', 'call-unreadable', [tag(1, 4)]],
    ['wire type 6', 'call-unreadable', [tag(1, 6)]],
    ['wire type 7', 'call-unreadable', [tag(1, 7)]],
    ['a message that is longer than what it is in', 'call-unreadable', [tag(12, 2), varint(4), chunk(1, 'abc')]],
    ['text beyond the message it is in', 'call-unreadable', [chunk(12, hex('0a02')), hex('6161')]],
    ['a length of more than 32 bits', 'call-unreadable', [tag(1, 2), varint(2 ** 32)]],
    ['a tag without its value', 'call-unreadable', [tag(3, 0)]],
    ['a number that is cut off', 'call-unreadable', [hex('18 80')]],
    ['a float that is cut off', 'call-unreadable', [tag(9, 5), hex('0000')]],
    ['a run of floats that is cut off', 'call-unreadable', [tag(20, 5), floatBytes([1]), tag(20, 5), hex('000000')]],
    ['packed floats that are cut off', 'call-unreadable', [chunk(20, hex('000000'))]],
    ['packed numbers that are cut off', 'call-unreadable', [chunk(17, hex('80')), number(17, 1)]],
    ['text that is not UTF-8', 'call-unreadable', [chunk(1, hex('ff'))]],
    ['text with half a surrogate pair', 'call-unreadable', [chunk(1, hex('eda080'))]],
    ['text with an overlong form', 'call-unreadable', [chunk(1, hex('c1a1'))]],
    ['text with the replacement character and a fault', 'call-unreadable', [chunk(1, hex('efbfbd ff'))]],
    ['a key of a map that is not UTF-8', 'call-unreadable', [chunk(23, chunk(1, hex('ff')))]],
    ['a bool of 2', 'call-unreadable', [number(3, 2)]],
    ['a bool whose upper half alone is set', 'call-unreadable', [number(3, 2n ** 32n)]],
    ['2^31 for an int32, which servers cut', 'call-unreadable', [number(4, 2 ** 31)]],
    ['2^32 + 1 for an int32, which servers read as 1', 'call-unreadable', [number(4, 2 ** 32 + 1)]],
    ['-1 in five bytes', 'call-unreadable', [number(4, 2 ** 32 - 1)]],
    ['-1 for a uint32', 'call-unreadable', [number(5, -1)]],
    ['2^53 for an int64', 'call-unreadable', [number(6, 2n ** 53n)]],
    ['-2^53 for an int64', 'call-unreadable', [number(6, -(2n ** 53n))]],
    ['-1 for a uint64', 'call-unreadable', [number(7, -1)]],
    ['an enumeration value that is not listed', 'call-unreadable', [number(11, 2)]],
    ['2^32 + 1 for an enumeration', 'call-unreadable', [number(11, 2 ** 32 + 1)]],
    ['an infinite float', 'call-unreadable', [tag(9, 5), floatBytes([Number.POSITIVE_INFINITY])]],
    ['a double that is not a number', 'call-unreadable', [tag(10, 1), doubleBytes([Number.NaN])]],
    ['a packed float that is not a number', 'call-unreadable', [chunk(20, floatBytes([1, Number.NaN, 2]))]],
    ['an infinite float in a run', 'call-unreadable', [tag(20, 5), floatBytes([Number.NEGATIVE_INFINITY])]]
  ] as [string, string, Uint8Array[]][])('may not hold %s', (_, kind, parts) => {
    expect(outcome(...parts)).toBe(kind)
  })

  it('is read as deep as 64 messages and no deeper', () => {
    const nested = (depth: number) => {
      let message = chunk(1, 'leaf')
      for (let level = 1; level < depth; level++) message = chunk(2, message)
      return chunk(12, message)
    }
    expect(read(nested(64)).ok).toBe(true)
    expect(outcome(nested(65))).toBe('call-too-large')
  })

  it('has at most 131072 fields and elements, whatever it is made of', () => {
    const singles = (count: number) => Buffer.concat(Array<Buffer>(count).fill(number(15, 1)))
    expect(read(singles(131_072)).ok).toBe(true)
    expect(outcome(singles(131_073))).toBe('call-too-large')
    expect(outcome(chunk(15, Buffer.alloc(131_072, 1)))).toBe('call-too-large')
  })

  it('has at most 21844 lists of floats, which take most of all', () => {
    const lists = (count: number) => Buffer.concat(Array<Buffer>(count).fill(chunk(1, chunk(1, floatBytes([1])))))
    const rows = table(
      'Rows',
      many(1, 'rows', () => table('Row', floats(1, 'data')))
    )
    expect(readProto(lists(21_844), rows).ok).toBe(true)
    expect(readProto(lists(21_845), rows)).toMatchObject({ ok: false, reason: { kind: 'call-too-large' } })
  })

  it('says which field to leave out', () => {
    const result = readProto(chunk(9, 'x'), TREE)
    expect(result).toEqual({
      ok: false,
      reason: { kind: 'call-unreadable', because: 'Tree has the unknown field 9', remedy: 'Leave out field 9 of Tree.' }
    })
  })

  it('is read from the middle of a buffer, and its floats are copies', () => {
    const whole = Buffer.concat([hex('ffffff'), chunk(20, floatBytes([1, 2])), hex('ff')])
    const result = readProto(whole.subarray(3, whole.length - 1), ALL)
    whole.fill(0)
    expect(result).toEqual({ ok: true, value: { floats: Float32Array.of(1, 2) } })
  })

  it('is a verdict for any bytes', () => {
    const parts = fc.oneof(
      fc.uint8Array({ maxLength: 12 }),
      fc.tuple(fc.integer({ min: 0, max: 30 }), fc.uint8Array({ maxLength: 12 })).map(([field, content]) => chunk(field, content)),
      fc.tuple(fc.integer({ min: 0, max: 30 }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })).map(([field, value]) => number(field, value))
    )
    fc.assert(
      fc.property(fc.array(parts, { maxLength: 6 }), (list) => {
        expect(read(...list).ok).toBeTypeOf('boolean')
      }),
      { numRuns: 3000 }
    )
  })

  it('never loses a byte: each prefix of an accepted message is another message or none', () => {
    const message = Buffer.concat([
      chunk(1, 'abc'),
      number(4, -1),
      chunk(20, floatBytes([1, 2])),
      chunk(23, [chunk(1, 'k'), chunk(2, 'v')])
    ])
    const seen = new Set<string>()
    for (let length = 0; length <= message.length; length++) {
      const result = readProto(message.subarray(0, length), ALL)
      if (result.ok) seen.add(Object.keys(result.value).join())
    }
    expect([...seen]).toEqual(['', 'text', 'text,int32', 'text,int32,floats', 'text,int32,floats,words'])
  })
})

describe('a table', () => {
  it('has one row for each number and name', () => {
    expect(() => table('Bad', text(1, 'a'), text(1, 'b'))).toThrow('two fields')
    expect(() => table('Bad', text(1, 'a'), text(2, 'a'))).toThrow('two fields')
  })
})
