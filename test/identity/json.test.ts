import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { integerOf, type Json, numberOf, parseJson, shown } from '../../src/identity/json.ts'

const read = (text: string | Uint8Array, depth = 8) => parseJson(Buffer.from(text as string), depth)

/** As `JSON.parse` would have it. */
function plain(value: Json): unknown {
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, member]) => [name, plain(member)]))
  if (Array.isArray(value)) return value.map(plain)
  return typeof value === 'object' && value !== null && 'literal' in value ? Number(value.literal) : value
}

describe('what is read', () => {
  it.each([
    '{}',
    '[]',
    ' [ 1 , "a" , null , true , false ] ',
    '{"a":{"b":[{}]},"":0}',
    '"\\u00e9\\ud83d\\ude00\\n\\/"',
    '"é😀"',
    '-0.5e-3',
    '0'
  ])('%s', (text) => {
    const result = read(text)
    expect(result.ok && plain(result.value)).toEqual(JSON.parse(text))
  })

  it('every value that JSON can write, as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(2), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        if (/"__proto__"/.test(text) || !text.isWellFormed() || /\\ud[89a-f]/.test(text)) return
        const result = read(text)
        expect(result.ok && plain(result.value)).toEqual(JSON.parse(text))
      }),
      { numRuns: 200 }
    )
  })

  it('numbers keep their last digits', () => {
    const result = read('9007199254740993')
    expect(result.ok && integerOf(result.value)).toBe(9007199254740993n)
    expect(result.ok && numberOf(result.value)).toBe(9007199254740992)
  })

  it.each(['1.0', '1e3', '"1"', `1${'0'.repeat(100)}`])('%s is no integer', (text) => {
    const result = read(text)
    expect(result.ok && integerOf(result.value)).toBe(undefined)
  })
})

describe('what is refused', () => {
  it.each([
    ['nothing', '', 'malformed'],
    ['a byte order mark', '\ufeff{}', 'malformed'],
    ['a byte that is not UTF-8', Uint8Array.of(0x22, 0xff, 0x22), 'malformed'],
    ['two values', '{} {}', 'malformed'],
    ['a comma at the end', '[1,]', 'malformed'],
    ['a comma at the end of an object', '{"a":1,}', 'malformed'],
    ['a name without quotes', '{a:1}', 'malformed'],
    ['a missing colon', '{"a" 1}', 'malformed'],
    ['members without a comma', '{"a":1 "b":2}', 'malformed'],
    ['elements without a comma', '[1 2]', 'malformed'],
    ['a word that is none', 'trux', 'malformed'],
    ['a word that is cut', '[nul]', 'malformed'],
    ['an object without an end', '{"a":1', 'malformed'],
    ['an array without an end', '[1', 'malformed'],
    ['a text without an end', '"a', 'malformed'],
    ['a text that ends in a backslash', '"\\', 'malformed'],
    ['a line break in a text', '"a\nb"', 'malformed'],
    ['an escape that JSON does not know', '"\\x41"', 'malformed'],
    ['half a surrogate pair', '"\\ud83d"', 'malformed'],
    ['a number with a leading zero', '01', 'malformed'],
    ['a number with a plus', '+1', 'malformed'],
    ['a number without digits behind its point', '1.', 'malformed'],
    ['NaN', 'NaN', 'malformed'],
    ['a comment', '/**/1', 'malformed'],
    ['a word that goes on', 'nullx', 'malformed'],
    ['a name twice', '{"a":1,"a":1}', 'repeated'],
    ['a name twice, once escaped', '{"a":1,"\\u0061":1}', 'repeated'],
    ['the name __proto__', '{"a":[{"__proto__":1}]}', 'prototype'],
    ['nine deep', '[[[[[[[[[]]]]]]]]]', 'deep']
  ])('%s', (_name, text, problem) => {
    expect(read(text)).toMatchObject({ ok: false, problem })
  })

  it('nothing that JSON.parse refuses', () => {
    const pieces = fc.array(fc.constantFrom('{', '}', '[', ']', ',', ':', '"', 'a', '\\', '1', '-', '.', 'e', ' ', 'null', 'true'), {
      maxLength: 8
    })
    fc.assert(
      fc.property(pieces, (parts) => {
        const text = parts.join('')
        if (read(text).ok) expect(() => JSON.parse(text)).not.toThrow()
      }),
      { numRuns: 500 }
    )
  })
})

it('what is shown of a text is short and printable', () => {
  expect(shown('a\n\u00e9"')).toBe('"a\\n\\u00e9\\""')
  expect(shown('x'.repeat(64))).toBe(`"${'x'.repeat(64)}"`)
  expect(shown('x'.repeat(65))).toBe(`"${'x'.repeat(64)}..."`)
})
