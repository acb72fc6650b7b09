import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { conjunction, holds, isPlainKey, isPlainPath } from '../../src/databases/qdrant-pins.ts'

const PLAIN = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/
const paths = fc.string({ unit: fc.constantFrom(...'aZ09_-..@[`{/:"\n \u00e9\u212a\u0131'), maxLength: 12 })

describe('a plain path', () => {
  it('is keys of ASCII letters, digits, _ and - between points, and nothing else', () => {
    fc.assert(
      fc.property(paths, (path) => isPlainPath(path) === PLAIN.test(path)),
      { numRuns: 2000 }
    )
  })

  it('is a plain key when there is no point in it', () => {
    fc.assert(fc.property(paths, (path) => isPlainKey(path) === (PLAIN.test(path) && !path.includes('.'))))
  })

  it('has no character but those', () => {
    for (let code = 0; code < 0x10000; code++) {
      const character = String.fromCharCode(code)
      if (isPlainPath(character) !== PLAIN.test(character)) expect.fail(`U+${code.toString(16)}`)
    }
  })
})

describe('the conditions of one must', () => {
  const pinsOf = (...all: readonly [string, string][]) => {
    const conditions = conjunction()
    for (const [field, value] of all) holds(conditions, field, value)
    return [...conditions.pins]
  }

  it.each([
    ['one', pinsOf(['a', 'x']), [['a', 'x']]],
    ['the same twice', pinsOf(['a', 'x'], ['a', 'x']), [['a', 'x']]],
    ['two values of one field', pinsOf(['a', 'x'], ['a', 'y']), []],
    ['two values, and the first again', pinsOf(['a', 'x'], ['a', 'y'], ['a', 'x']), []],
    ['two values, beside another field', pinsOf(['b', 'z'], ['a', 'x'], ['a', 'y'], ['b', 'z']), [['b', 'z']]],
    ['a field that is no plain path', pinsOf(['a[]', 'x']), []]
  ])('prove what all of them say: %s', (_, pins, expected) => expect(pins).toEqual(expected))
})
