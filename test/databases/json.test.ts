import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  BODY_BYTES_MAX,
  JSON_DEPTH_MAX,
  JSON_KEY_BYTES_MAX,
  JSON_KEYS_MAX,
  VECTOR_DIMENSIONS_MAX,
  WRITE_BODY_BYTES_MAX
} from '../../src/core/limits.ts'
import { readBase64Vector } from '../../src/databases/base64-vector.ts'
import { readArray, readJson, readMap, readObject, skipValue } from '../../src/databases/json.ts'
import { startFloatReader } from '../../src/databases/json-floats.ts'
import { foldCase, keys } from '../../src/databases/json-keys.ts'
import { readCount, readNumber } from '../../src/databases/json-number.ts'
import type { JsonReader } from '../../src/databases/json-reader.ts'
import { readString } from '../../src/databases/json-text.ts'
import { vectorReader } from '../../src/databases/json-vector.ts'

const whole = (text: string | Uint8Array) => readJson(Buffer.from(text), (json) => skipValue(json, 'the body'))
const kindOf = (result: { ok: boolean; reason?: { kind: string } }) => (result.ok ? 'allowed' : result.reason?.kind)
const deep = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const wide = (count: number) => JSON.stringify(Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, 1])))

const texts: readonly { name: string; text: string | Uint8Array; want: string }[] = [
  { name: 'an object', text: '{"a":[1,"x",true,false,null,{}]}', want: 'allowed' },
  { name: 'white space everywhere', text: ' {\t"a" :\n[ 1 ,\r2 ] } ', want: 'allowed' },
  { name: 'a byte order mark', text: '\ufeff{}', want: 'call-ambiguous' },
  { name: 'a second value', text: '{}{}', want: 'call-ambiguous' },
  { name: 'a comma behind the value', text: '{},', want: 'call-ambiguous' },
  { name: 'a NUL behind the value', text: '{}\u0000', want: 'call-ambiguous' },
  { name: 'white space behind the value', text: '{}\n', want: 'allowed' },
  { name: 'nothing', text: '', want: 'call-unreadable' },
  { name: 'white space only', text: ' ', want: 'call-unreadable' },
  { name: 'a duplicate key', text: '{"a":1,"a":1}', want: 'call-ambiguous' },
  { name: 'a duplicate key deep down', text: '{"a":[{"b":{"c":1,"c":2}}]}', want: 'call-ambiguous' },
  { name: 'a duplicate key, once escaped', text: '{"a":1,"\\u0061":2}', want: 'call-ambiguous' },
  { name: 'keys that differ', text: '{"a":1,"b":2}', want: 'allowed' },
  { name: 'keys that differ in case', text: '{"a":1,"A":2}', want: 'call-ambiguous' },
  { name: 'keys that differ by a long s', text: '{"class":1,"cla\u017fs":2}', want: 'call-ambiguous' },
  { name: 'keys that differ by a Kelvin sign', text: '{"key":1,"\u212aey":2}', want: 'call-ambiguous' },
  { name: 'an empty key', text: '{"":1}', want: 'allowed' },
  { name: 'the key __proto__', text: '{"__proto__":1}', want: 'allowed' },
  { name: 'a trailing comma in an object', text: '{"a":1,}', want: 'call-unreadable' },
  { name: 'a trailing comma in an array', text: '[1,]', want: 'call-unreadable' },
  { name: 'no comma', text: '[1 2]', want: 'call-unreadable' },
  { name: 'no colon', text: '{"a" 1}', want: 'call-unreadable' },
  { name: 'a key that is no string', text: '{a:1}', want: 'call-unreadable' },
  { name: 'a single-quoted string', text: "['a']", want: 'call-unreadable' },
  { name: 'a comment', text: '[1/*x*/]', want: 'call-unreadable' },
  { name: 'an unclosed array', text: '[1', want: 'call-unreadable' },
  { name: 'an unclosed object', text: '{"a":1', want: 'call-unreadable' },
  { name: 'an unclosed string', text: '["a', want: 'call-unreadable' },
  { name: 'a cut escape', text: '["\\', want: 'call-unreadable' },
  { name: 'a cut literal', text: '[tru', want: 'call-unreadable' },
  { name: 'a wrong literal', text: '[nul1]', want: 'call-unreadable' },
  { name: 'NaN', text: '[NaN]', want: 'call-unreadable' },
  { name: 'a control character in a string', text: '["a\u0001"]', want: 'call-unreadable' },
  { name: 'an escaped control character', text: '["a\\u0001"]', want: 'allowed' },
  { name: 'an unknown escape', text: '["\\x41"]', want: 'call-unreadable' },
  { name: 'a bad hex digit', text: '["\\u00g1"]', want: 'call-unreadable' },
  { name: 'a surrogate pair', text: '["\\ud83d\\ude00"]', want: 'allowed' },
  { name: 'a high surrogate alone', text: '["\\ud83d"]', want: 'call-ambiguous' },
  { name: 'a high surrogate before a letter', text: '["\\ud83dabcdef"]', want: 'call-ambiguous' },
  { name: 'two high surrogates', text: '["\\ud83d\\ud83d"]', want: 'call-ambiguous' },
  { name: 'two low surrogates', text: '["\\ude00\\ude00"]', want: 'call-ambiguous' },
  { name: 'a low surrogate alone', text: '["\\ude00"]', want: 'call-ambiguous' },
  { name: 'bytes that are no UTF-8', text: Buffer.from([0x22, 0xff, 0x22]), want: 'call-unreadable' },
  { name: 'an overlong slash', text: Buffer.from([0x22, 0xc0, 0xaf, 0x22]), want: 'call-unreadable' },
  { name: 'a surrogate in bytes', text: Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), want: 'call-unreadable' },
  { name: 'bytes outside of strings', text: Buffer.from([0x5b, 0xc3, 0xa9, 0x5d]), want: 'call-unreadable' },
  { name: 'UTF-8 in a string', text: '["äöü 😀"]', want: 'allowed' },
  { name: 'a number with a leading zero', text: '[01]', want: 'call-unreadable' },
  { name: 'a number with a plus sign', text: '[+1]', want: 'call-unreadable' },
  { name: 'a number that ends with its point', text: '[1.]', want: 'call-unreadable' },
  { name: 'a number that begins with its point', text: '[.5]', want: 'call-unreadable' },
  { name: 'an empty exponent', text: '[1e]', want: 'call-unreadable' },
  { name: 'a hexadecimal number', text: '[0x10]', want: 'call-unreadable' },
  { name: 'minus alone', text: '[-]', want: 'call-unreadable' },
  { name: 'the largest double', text: '[1.7976931348623157e308]', want: 'allowed' },
  { name: 'a number above every double', text: '[1e309]', want: 'call-unreadable' },
  { name: 'a number below every double', text: '[1e-999]', want: 'allowed' },
  { name: 'the deepest nesting', text: deep(JSON_DEPTH_MAX), want: 'allowed' },
  { name: 'nesting one deeper', text: deep(JSON_DEPTH_MAX + 1), want: 'call-too-large' },
  { name: 'the most keys', text: wide(JSON_KEYS_MAX), want: 'allowed' },
  { name: 'one key more', text: wide(JSON_KEYS_MAX + 1), want: 'call-too-large' },
  { name: 'the longest key', text: `{"${'a'.repeat(JSON_KEY_BYTES_MAX)}":1}`, want: 'allowed' },
  { name: 'a key one byte longer', text: `{"${'a'.repeat(JSON_KEY_BYTES_MAX + 1)}":1}`, want: 'call-too-large' },
  { name: 'a key too long in bytes, not in characters', text: `{"${'ſ'.repeat(JSON_KEY_BYTES_MAX / 2 + 1)}":1}`, want: 'call-too-large' },
  { name: 'the largest body of a search lane', text: `"${'a'.repeat(BODY_BYTES_MAX - 2)}"`, want: 'allowed' },
  { name: 'a body one byte larger, as a write lane takes it', text: `"${'a'.repeat(BODY_BYTES_MAX - 1)}"`, want: 'allowed' },
  { name: 'the largest body of a write lane', text: `"${'a'.repeat(WRITE_BODY_BYTES_MAX - 2)}"`, want: 'allowed' },
  { name: 'a body one byte larger than that', text: `"${'a'.repeat(WRITE_BODY_BYTES_MAX - 1)}"`, want: 'call-too-large' }
]

describe('a JSON text', () => {
  it.each(texts)('$name: $want', ({ text, want }) => {
    expect(kindOf(whole(text))).toBe(want)
  })

  it('is read when JSON.parse reads it, but for what is refused on purpose', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const folds = (one: unknown): boolean =>
          typeof one === 'object' &&
          one !== null &&
          (Object.values(one).some(folds) ||
            (!Array.isArray(one) && new Set(Object.keys(one).map(foldCase)).size < Object.keys(one).length))
        expect(whole(JSON.stringify(value)).ok).toBe(!folds(value))
      })
    )
  })

  it('is refused when JSON.parse refuses it', () => {
    const tokens = fc.constantFrom('{', '}', '[', ']', ',', ':', '"a"', '"', '1', '0', '-', '.', 'e', 'true', 'null', ' ', '\\', 'u0041')
    fc.assert(
      fc.property(fc.array(tokens, { maxLength: 12 }), (parts) => {
        const text = parts.join('')
        if (whole(text).ok) JSON.parse(text)
      }),
      { numRuns: 2000 }
    )
  })

  it('is not confused by the body that was read before', () => {
    expect(whole('["a","b","c","d"]').ok).toBe(true)
    expect(kindOf(whole('["a"'))).toBe('call-unreadable')
    expect(kindOf(whole('[1'))).toBe('call-unreadable')
  })

  it('can be read while another one is being read', () => {
    const inner: unknown[] = []
    const read = readJson(Buffer.from('["1","2"]'), (json) =>
      readArray(json, 'outer', () => inner.push(readJson(Buffer.from(readString(json, 'text')), (one) => readNumber(one, 'n'))))
    )
    expect(read).toEqual({ ok: true, value: 2 })
    expect(inner).toEqual([
      { ok: true, value: 1 },
      { ok: true, value: 2 }
    ])
  })
})

describe('an object with known keys', () => {
  const KNOWN = keys('limit', 'class', 'key')
  const read = (text: string) => {
    const seen: string[] = []
    const result = readJson(Buffer.from(text), (json) =>
      readObject(json, 'the body', KNOWN, (key) => void seen.push(`${key}=${readNumber(json, key)}`))
    )
    return result.ok ? seen.join(' ') : result.reason
  }

  it('gives its keys in the order of the text, escaped or not', () => {
    expect(read('{"class":1,"limit":2}')).toBe('class=1 limit=2')
    expect(read('{"l\\u0069mit":2}')).toBe('limit=2')
  })

  const faults: readonly { name: string; text: string; kind: string; because: string }[] = [
    { name: 'an unknown key is named', text: '{"limits":1}', kind: 'call-unreadable', because: 'unknown key "limits" in the body' },
    { name: 'the beginning of a known key', text: '{"lim":1}', kind: 'call-unreadable', because: 'unknown key "lim" in the body' },
    {
      name: 'a known key in capitals',
      text: '{"LIMIT":1}',
      kind: 'call-ambiguous',
      because: 'key "LIMIT" in the body differs from a known one in case only'
    },
    {
      name: 'a known key with a long s',
      text: '{"cla\u017fs":1}',
      kind: 'call-ambiguous',
      because: 'key "claſs" in the body differs from a known one in case only'
    },
    {
      name: 'a known key with a Kelvin sign',
      text: '{"\u212aey":1}',
      kind: 'call-ambiguous',
      because: 'key "\u212aey" in the body differs from a known one in case only'
    },
    { name: 'a known key twice', text: '{"limit":1,"limit":1}', kind: 'call-ambiguous', because: 'key "limit" stands twice in the body' },
    {
      name: 'a known key twice, once escaped',
      text: '{"limit":1,"\\u006cimit":1}',
      kind: 'call-ambiguous',
      because: 'key "limit" stands twice in the body'
    },
    { name: 'an array in its place', text: '[1,2,3]', kind: 'call-unreadable', because: 'the body is not an object' },
    { name: 'null in its place', text: 'null', kind: 'call-unreadable', because: 'the body is not an object' }
  ]
  it.each(faults)('$name: $kind', ({ text, kind, because }) => {
    expect(read(text)).toMatchObject({ kind, because })
  })

  it('shortens a long unknown key and lets no line break into the record', () => {
    const reason = read(`{"${'x'.repeat(500)}\\n":1}`)
    expect(typeof reason === 'object' && reason.because.length).toBeLessThan(120)
  })
})

describe('case folding', () => {
  const pairs: readonly [string, string][] = [
    ['limit', 'LIMIT'],
    ['class', 'claſs'],
    ['key', 'Key'],
    ['ς', 'Σ'],
    ['ß', 'ẞ'],
    ['ΐ', 'ΐ'],
    ['ﬅ', 'ﬆ'],
    ['ω', 'Ω'],
    ['å', 'Å']
  ]
  it.each(pairs)('%s is %s', (one, other) => {
    expect(foldCase(one)).toBe(foldCase(other))
  })

  it('is no less than what Unicode calls simple folding', () => {
    let cased = ''
    for (let code = 0; code < 0x1ffff; code++) {
      const char = code >= 0xd800 && code <= 0xdfff ? '' : String.fromCodePoint(code)
      if (char.toLowerCase() !== char || char.toUpperCase() !== char) cased += char
    }
    expect(cased.length).toBeGreaterThan(2500)
    for (const char of ['s', 'k', 'å', 'ω', 'ß', 'ǆ', 'θ', 'ᲀ', 'ꭰ', 'ﬅ']) {
      const same = cased.match(new RegExp(`\\u{${char.codePointAt(0)?.toString(16)}}`, 'giu')) ?? []
      expect(same.length).toBeGreaterThan(0)
      expect(same.map(foldCase)).toEqual(same.map(() => foldCase(char)))
    }
  })

  it('keeps apart what is apart', () => {
    expect(foldCase('Limit')).toBe('limit')
    expect(foldCase('ss')).not.toBe(foldCase('ß'))
    expect(foldCase('limit')).not.toBe(foldCase('limits'))
  })
})

describe('a number', () => {
  const number = (text: string) => readJson(Buffer.from(text), (json) => readNumber(json, 'n'))

  it('is what Number makes of its text', () => {
    const digits = fc.string({ unit: fc.constantFrom(...'0123456789'), maxLength: 25 })
    const written = fc.tuple(
      fc.constantFrom('', '-'),
      fc.constantFrom('0', '7', '12', '9007199254740993', '123456789012345678901'),
      fc.oneof(
        fc.constant(''),
        digits.map((one) => `.${one}1`)
      ),
      fc.oneof(
        fc.constant(''),
        fc.integer({ min: -330, max: 300 }).map((one) => `e${one}`),
        fc.integer({ min: 0, max: 30 }).map((one) => `E+${one}`)
      )
    )
    fc.assert(
      fc.property(written, (parts) => {
        const text = parts.join('')
        const value = Number(text)
        expect(number(text)).toEqual(Number.isFinite(value) ? { ok: true, value } : expect.objectContaining({ ok: false }))
      }),
      { numRuns: 3000 }
    )
  })

  it('is what its digits and a large exponent make together, and none where the exponent is beyond what all readers count', () => {
    const zeros = (count: number, exponent: string) => `0.${'0'.repeat(count)}25e${exponent}`
    expect(number(zeros(9_998, '9999'))).toEqual({ ok: true, value: 2.5 })
    expect(number(zeros(9_990, '9999'))).toEqual({ ok: true, value: 2.5e8 })
    // As one above the capped exponent, it read as 0.25 what a database reads as 2.5e9.
    for (const exponent of ['10008', '20000', '99999999999999999999', '-10000'])
      expect(kindOf(number(zeros(9_999, exponent)))).toBe('call-unreadable')
  })

  const counts: readonly { text: string; want: unknown }[] = [
    { text: '0', want: 0 },
    { text: '42', want: 42 },
    { text: '100', want: 100 },
    { text: '101', want: 'call-unreadable' },
    { text: '-0', want: 'call-unreadable' },
    { text: '-1', want: 'call-unreadable' },
    { text: '1.0', want: 'call-unreadable' },
    { text: '1e1', want: 'call-unreadable' },
    { text: '"1"', want: 'call-unreadable' },
    { text: 'true', want: 'call-unreadable' },
    { text: 'null', want: 'call-unreadable' }
  ]
  it.each(counts)('as a count up to 100, $text is $want', ({ text, want }) => {
    const result = readJson(Buffer.from(text), (json) => readCount(json, 'n', 100))
    expect(result.ok ? result.value : result.reason.kind).toBe(want)
  })
})

it('reads vectors in WebAssembly where there is one, and plainly where not', () => {
  expect(startFloatReader()).toBeDefined()
  expect(startFloatReader({})).toBeUndefined()
})

describe.each([
  { name: 'in WebAssembly', reader: startFloatReader() },
  { name: 'plainly', reader: undefined }
])('a vector, read $name', ({ reader }) => {
  const read = vectorReader(reader)
  const vector = (text: string) => readJson(Buffer.from(text), (json) => read(json, 'v'))
  const floatsOf = (texts: readonly (string | number)[]) => Float32Array.from(texts, (text) => Math.fround(Number(text)))

  it('equals Math.fround(Number(text)) in every component', () => {
    const spellings = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true, min: -1, max: 1 }).map(String),
      fc.float({ noNaN: true, noDefaultInfinity: true }).map(String),
      fc.float({ noNaN: true, noDefaultInfinity: true, min: -10, max: 10 }).map((one) => one.toFixed(8)),
      fc.double({ min: -9, max: 9, noNaN: true }).map((one) => one.toFixed(20)),
      fc.integer().map(String),
      fc
        .tuple(
          fc.constantFrom('', '-'),
          fc.integer({ min: 0, max: 9 }),
          fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 1, maxLength: 40 })
        )
        .map(([sign, whole, part]) => `${sign}${whole}.${part}`),
      fc.tuple(fc.integer({ min: -999, max: 999 }), fc.integer({ min: -60, max: 30 })).map(([one, power]) => `${one}e${power}`)
    )
    const space = fc.constantFrom('', '', '', ' ', '\n\t ')
    fc.assert(
      fc.property(fc.array(fc.tuple(spellings, space, space), { minLength: 1, maxLength: 20 }), (parts) => {
        const result = vector(`[${parts.map(([text, before, after]) => before + text + after).join(',')}]`)
        expect(result).toEqual({ ok: true, value: floatsOf(parts.map(([text]) => text)) })
      }),
      { numRuns: 2000 }
    )
  })

  it('is right beside the borders between two floats, with many digits and with few', () => {
    const texts: string[] = []
    for (const float of [1, 0.1, 0.5, 2.7182817, 0.00012345679, 9.999999, 0.33333334, 1.1754944e-38]) {
      const border = Math.fround(float) + (nextUp(Math.fround(float)) - Math.fround(float)) / 2
      for (const text of [border.toFixed(60), border.toFixed(17), border.toFixed(16)])
        texts.push(text, `-${text}`, `${text.slice(0, -1)}${'1'}`)
    }
    expect(vector(`[${texts.join(',')}]`)).toEqual({ ok: true, value: floatsOf(texts) })
  })

  it('is right where a double has no room for the digits: what follows them decides', () => {
    const border = fc.tuple(
      fc.integer({ min: 0x3c000000, max: 0x411ff000 }),
      fc.integer({ min: -200_000, max: 200_000 }),
      fc.integer({ min: 14, max: 21 })
    )
    const text = border.map(([bits, away, places]) => {
      const float = floatOf(bits)
      const middle = (BigInt(float * 2 ** 60) + BigInt(nextUp(float) * 2 ** 60)) / 2n
      const digits = String((middle * 10n ** 20n) / 2n ** 60n + BigInt(away)).padStart(21, '0')
      return `${digits[0]}.${digits.slice(1, places)}`
    })
    fc.assert(
      fc.property(fc.array(text, { minLength: 200, maxLength: 200 }), (texts) => {
        expect(vector(`[${texts.join(',')}]`)).toEqual({ ok: true, value: floatsOf(texts) })
      })
    )
  })

  it('is right at the end of each window of text, however many components fit into one', () => {
    const plain = vectorReader(undefined)
    const text = (count: number, shift: number) =>
      `[${' '.repeat(shift)}${Array.from({ length: count }, (_, index) => ODD[(index * 7 + shift) % ODD.length]).join(',')}]`
    const texts = [1, 40, 300, 1_200, 2_500, 5_000].flatMap((count) => [0, 1, 2, 3, 5, 8, 13, 21, 34].map((shift) => text(count, shift)))
    const all = `[${texts.join(',')}]`
    const rows = (reading: typeof read) => {
      const into: Float32Array[] = []
      const result = readJson(Buffer.from(all), (json) => void readArray(json, 'rows', () => void into.push(reading(json, 'v'))))
      expect(result.ok).toBe(true)
      return into
    }
    expect(rows(read)).toEqual(rows(plain))
    expect(rows(read)).toEqual(texts.map((one) => floatsOf(JSON.parse(one))))
  })

  it('takes nothing of the text before for its own, where its own ends early', () => {
    expect(vector('[0.25,0.5,0.75]').ok).toBe(true)
    for (const short of ['[', '[0.2', '[0.25', '[0.25,', '[0.25,0.5']) expect(kindOf(vector(short))).toBe('call-unreadable')
  })

  it('keeps the sign of zero', () => {
    const result = vector('[-0,-0.0,0.0,0]')
    expect(result.ok && [...result.value].map((one) => Object.is(one, -0))).toEqual([true, true, false, false])
  })

  const faults: readonly { name: string; text: string; want: string }[] = [
    { name: 'no components', text: '[]', want: 'call-unreadable' },
    { name: 'a component above float32', text: '[1e39]', want: 'call-unreadable' },
    { name: 'the largest float32', text: '[3.4028234663852886e38]', want: 'allowed' },
    { name: 'what just rounds to infinity', text: '[-3.4028235677973366e38]', want: 'call-unreadable' },
    { name: 'null', text: '[1,null]', want: 'call-unreadable' },
    { name: 'a string', text: '["1"]', want: 'call-unreadable' },
    { name: 'a nested array', text: '[[1]]', want: 'call-unreadable' },
    { name: 'a comma too many', text: '[1,]', want: 'call-unreadable' },
    { name: 'two commas', text: '[0.5,,0.5]', want: 'call-unreadable' },
    { name: 'a leading comma', text: '[,0.5]', want: 'call-unreadable' },
    { name: 'only the bracket behind a comma and white space', text: '[0.5, ]', want: 'call-unreadable' },
    { name: 'no end', text: '[0.5,0.25', want: 'call-unreadable' },
    { name: 'an end in a number', text: '[0.12345678', want: 'call-unreadable' },
    { name: 'two points', text: '[0.5.5]', want: 'call-unreadable' },
    { name: 'a point without digits', text: '[0.,1]', want: 'call-unreadable' },
    { name: 'a point without digits before the end', text: '[0.]', want: 'call-unreadable' },
    { name: 'a letter in the digits', text: '[0.1234x678]', want: 'call-unreadable' },
    { name: 'a letter after sixteen digits', text: '[0.1234567890123456x]', want: 'call-unreadable' },
    { name: 'a byte above ASCII in the digits', text: '[0.12\u00e934]', want: 'call-unreadable' },
    { name: 'a colon, which follows the nine', text: '[0.12:4]', want: 'call-unreadable' },
    { name: 'a slash, which precedes the zero', text: '[0.12/4]', want: 'call-unreadable' },
    { name: 'a leading zero', text: '[00.5]', want: 'call-unreadable' },
    { name: 'two signs', text: '[--0.5]', want: 'call-unreadable' },
    { name: 'infinity', text: '[Infinity]', want: 'call-unreadable' },
    { name: 'an object', text: '{"0":1}', want: 'call-unreadable' },
    { name: 'the most components', text: `[${'0.5,'.repeat(VECTOR_DIMENSIONS_MAX - 1)}1]`, want: 'allowed' },
    { name: 'white space before each component', text: '[ 0.5,\t0.25,\r\n0.125]', want: 'allowed' },
    { name: 'other white space', text: '[0.5,\u000b0.25]', want: 'call-unreadable' },
    { name: 'one component more', text: `[${'0.5,'.repeat(VECTOR_DIMENSIONS_MAX)}1]`, want: 'call-too-large' }
  ]
  it.each(faults)('$name: $want', ({ text, want }) => {
    expect(kindOf(vector(text))).toBe(want)
  })
})

const ODD = [
  '0.123456789',
  '-0.5',
  '1',
  '0.12345678901234567890123',
  '-3e-2',
  ' 0.25',
  '0.000123',
  '7.0000000001',
  `0.${'3'.repeat(60)}`,
  '12.5'
]

function floatOf(bits: number): number {
  return new Float32Array(Uint32Array.of(bits).buffer)[0] as number
}

/** The next float32 above a positive one. */
function nextUp(float: number): number {
  const cell = new DataView(new ArrayBuffer(4))
  cell.setFloat32(0, float)
  cell.setUint32(0, cell.getUint32(0) + 1)
  return cell.getFloat32(0)
}

describe('a base64 vector', () => {
  const base64 = (...floats: readonly number[]) => Buffer.from(Float32Array.from(floats).buffer).toString('base64')
  const read = (json: JsonReader) => readBase64Vector(json, 'v')
  const vector = (text: string) => readJson(Buffer.from(`"${text}"`), read)

  it('holds the floats that were put into it', () => {
    fc.assert(
      fc.property(fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 12 }), (floats) => {
        expect(vector(base64(...floats))).toEqual({ ok: true, value: Float32Array.from(floats) })
      })
    )
  })

  const rows: readonly { name: string; text: string; want: string }[] = [
    { name: 'one float', text: base64(1.5), want: 'allowed' },
    { name: 'with JSON escapes', text: base64(-1.9999).replaceAll('/', '\\/').replaceAll('A', '\\u0041'), want: 'allowed' },
    { name: 'nothing', text: '', want: 'call-unreadable' },
    { name: 'without its padding', text: base64(1.5).replaceAll('=', ''), want: 'call-unreadable' },
    { name: 'with padding too much', text: `${base64(1, 2, 3)}====`, want: 'call-unreadable' },
    { name: 'padding in the middle', text: `${base64(1)}${base64(2)}`, want: 'call-unreadable' },
    { name: 'padding only', text: '====', want: 'call-unreadable' },
    { name: 'three bytes', text: 'YWJj', want: 'call-unreadable' },
    { name: 'unused bits set', text: 'AACAPx==', want: 'call-unreadable' },
    { name: 'unused bits zero', text: 'AACAPw==', want: 'allowed' },
    { name: 'the URL alphabet', text: '_____w==', want: 'call-unreadable' },
    { name: 'the URL alphabet in the last digits', text: 'AACA_w==', want: 'call-unreadable' },
    { name: 'a line break', text: `${base64(1, 2, 3)}\\n`, want: 'call-unreadable' },
    { name: 'a space', text: `AACA Pw=`, want: 'call-unreadable' },
    { name: 'a letter whose low byte is a digit', text: 'AACAP\u0177==', want: 'call-unreadable' },
    { name: 'NaN', text: base64(1, Number.NaN, 3), want: 'call-unreadable' },
    { name: 'infinity', text: base64(1, Number.NEGATIVE_INFINITY, 3), want: 'call-unreadable' },
    { name: 'the most components', text: base64(...new Float32Array(VECTOR_DIMENSIONS_MAX)), want: 'allowed' },
    { name: 'one component more', text: base64(...new Float32Array(VECTOR_DIMENSIONS_MAX + 1)), want: 'call-too-large' }
  ]
  it.each(rows)('$name: $want', ({ text, want }) => {
    expect(kindOf(vector(text))).toBe(want)
  })

  it('is not a number or an array', () => {
    expect(kindOf(readJson(Buffer.from('[1]'), read))).toBe('call-unreadable')
  })
})

describe('a map with keys of the caller’s choice', () => {
  it('counts them', () => {
    expect(readJson(Buffer.from('{"a":1,"b":{}}'), (json) => readMap(json, 'm', () => skipValue(json, 'v')))).toEqual({
      ok: true,
      value: 2
    })
  })
})
