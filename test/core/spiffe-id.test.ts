import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  compileIdPattern,
  type IdPattern,
  matchesId,
  parseSpiffeId,
  parseTrustDomain,
  type SpiffeId,
  sameId
} from '../../src/core/spiffe-id.ts'

function idOf(text: string): SpiffeId {
  const result = parseSpiffeId(text)
  if (!result.ok) throw new Error(`${text}: ${result.rule} ${result.detail}`)
  return result.id
}

function patternOf(text: string): IdPattern {
  const result = compileIdPattern(text)
  if (!result.ok) throw new Error(result.detail)
  return result.pattern
}

const longTd = 'a'.repeat(255)
const longId = `spiffe://vec.test/${'a'.repeat(2048 - 18)}`

// Each refused row stands beside the nearest accepted one.
const ROWS: readonly { name: string; text: string; want: string }[] = [
  { name: 'ID-1 an ordinary workload', text: 'spiffe://vec.test/db', want: 'valid' },
  { name: 'ID-1 another scheme', text: 'https://vec.test/db', want: 'ID-1' },
  { name: 'ID-1 one slash', text: 'spiffe:/vec.test/db', want: 'ID-1' },
  { name: 'ID-1 no scheme', text: 'vec.test/db', want: 'ID-1' },
  { name: 'ID-1 nothing at all', text: '', want: 'ID-1' },
  { name: 'ID-1 a space in front', text: ' spiffe://vec.test/db', want: 'ID-1' },
  { name: 'ID-2 a trust domain of one letter', text: 'spiffe://v/db', want: 'valid' },
  { name: 'ID-2 no trust domain', text: 'spiffe:///db', want: 'ID-2' },
  { name: 'ID-2 nothing after the scheme', text: 'spiffe://', want: 'ID-2' },
  { name: 'ID-3 a query', text: 'spiffe://vec.test/db?a=1', want: 'ID-3' },
  { name: 'ID-3 an empty query', text: 'spiffe://vec.test/db?', want: 'ID-3' },
  { name: 'ID-3 a query after the trust domain', text: 'spiffe://vec.test?a', want: 'ID-3' },
  { name: 'ID-4 an empty fragment', text: 'spiffe://vec.test/db#', want: 'ID-4' },
  { name: 'ID-4 a fragment after the trust domain', text: 'spiffe://vec.test#x', want: 'ID-4' },
  { name: 'ID-5 user information', text: 'spiffe://ops@vec.test/db', want: 'ID-5' },
  { name: 'ID-5 empty user information', text: 'spiffe://@vec.test/db', want: 'ID-5' },
  { name: 'ID-6 a port', text: 'spiffe://vec.test:443/db', want: 'ID-6' },
  { name: 'ID-6 an empty port', text: 'spiffe://vec.test:/db', want: 'ID-6' },
  { name: 'ID-7 an upper-case letter in the trust domain', text: 'spiffe://Vec.test/db', want: 'ID-7' },
  { name: 'ID-8 every letter, digit and mark', text: 'spiffe://abcdefghijklmnopqrstuvwxyz.0123456789-_/db', want: 'valid' },
  { name: 'ID-8 a dollar sign', text: 'spiffe://ve$c/db', want: 'ID-8' },
  { name: 'ID-8 an IPv6 literal', text: 'spiffe://[::1]/db', want: 'ID-8' },
  { name: 'ID-8 a letter beyond ASCII', text: 'spiffe://véc/db', want: 'ID-8' },
  { name: 'ID-8 a NUL', text: 'spiffe://vec\0.test/db', want: 'ID-8' },
  { name: 'ID-9 percent-encoding in the trust domain', text: 'spiffe://vec%2Etest/db', want: 'ID-9' },
  { name: 'ID-10 an IPv4 address is a name', text: 'spiffe://10.1.2.3/db', want: 'valid' },
  { name: 'ID-10 a name that DNS would refuse', text: 'spiffe://_a-.b/db', want: 'valid' },
  { name: 'ID-11 percent-encoding in the path', text: 'spiffe://vec.test/%64b', want: 'ID-11' },
  { name: 'ID-12 an empty first segment', text: 'spiffe://vec.test//db', want: 'ID-12' },
  { name: 'ID-12 an empty middle segment', text: 'spiffe://vec.test/a//b', want: 'ID-12' },
  { name: 'ID-13 three dots are a name', text: 'spiffe://vec.test/...', want: 'valid' },
  { name: 'ID-13 a leading dot is a name', text: 'spiffe://vec.test/.x', want: 'valid' },
  { name: 'ID-13 two dots inside a name', text: 'spiffe://vec.test/a..b', want: 'valid' },
  { name: 'ID-13 a dot segment', text: 'spiffe://vec.test/a/./b', want: 'ID-13' },
  { name: 'ID-13 two dots at the end', text: 'spiffe://vec.test/a/..', want: 'ID-13' },
  { name: 'ID-13 two dots at the start', text: 'spiffe://vec.test/../a', want: 'ID-13' },
  { name: 'ID-14 a trailing slash', text: 'spiffe://vec.test/db/', want: 'ID-14' },
  { name: 'ID-14 a trailing slash and no path', text: 'spiffe://vec.test/', want: 'ID-14' },
  { name: 'ID-15 every letter, digit and mark', text: 'spiffe://vec.test/azAZ09.-_', want: 'valid' },
  ...['~', ':', ',', ';', ' ', '\0', '\n', '\t', '\\', '"', '@', '*', '+', 'é', '\u{1f511}', '\x7f'].map((character) => ({
    name: `ID-15 ${JSON.stringify(character)} in a segment`,
    text: `spiffe://vec.test/d${character}b`,
    want: 'ID-15'
  })),
  { name: 'ID-16 2048 bytes', text: longId, want: 'valid' },
  { name: 'ID-16 2049 bytes', text: `${longId}a`, want: 'ID-16' },
  { name: 'ID-17 a trust domain of 255 bytes', text: `spiffe://${longTd}/db`, want: 'valid' },
  { name: 'ID-17 a trust domain of 256 bytes', text: `spiffe://${longTd}a/db`, want: 'ID-17' },
  { name: 'ID-19 an upper-case scheme', text: 'SPIFFE://vec.test/db', want: 'ID-19' },
  { name: 'ID-19 one upper-case letter in the scheme', text: 'Spiffe://vec.test/db', want: 'ID-19' },
  { name: 'ID-20 a trust domain without a path parses', text: 'spiffe://vec.test', want: 'valid' },
  { name: 'ID-21 dots that a URL parser would resolve', text: 'spiffe://vec.test/a/../admin', want: 'ID-13' },
  { name: 'ID-21 a tab that a URL parser would drop', text: 'spiffe://vec.test/ad\tmin', want: 'ID-15' }
]

describe('parseSpiffeId', () => {
  it.each(ROWS)('$name: $want', ({ text, want }) => {
    const result = parseSpiffeId(text)
    expect(result.ok ? 'valid' : result.rule).toBe(want)
  })

  it('takes an ID apart at the first slash', () => {
    expect(parseSpiffeId('spiffe://vec.test/ns/acme')).toEqual({
      ok: true,
      id: { trustDomain: 'vec.test', path: '/ns/acme', text: 'spiffe://vec.test/ns/acme' }
    })
    expect(idOf('spiffe://vec.test').path).toBe('')
  })

  it('hands out values that cannot be changed', () => {
    const id = idOf('spiffe://vec.test/db')
    expect(() => Object.assign(id, { path: '/admin' })).toThrow(TypeError)
  })

  it('never puts a raw control character into its explanation', () => {
    const result = parseSpiffeId('spiffe://vec.test/a\nb')
    expect(result).toEqual({ ok: false, rule: 'ID-15', detail: 'the path holds the character U+000a' })
  })

  it('refuses each of the 256 bytes outside the grammar, in both places', () => {
    for (let code = 0; code < 256; code++) {
      const character = String.fromCharCode(code)
      expect(parseSpiffeId(`spiffe://v${character}c/db`).ok, `trust domain ${code}`).toBe(/^[a-z0-9._/-]$/.test(character))
      expect(parseSpiffeId(`spiffe://vec.test/d${character}b`).ok, `path ${code}`).toBe(/^[a-zA-Z0-9._/-]$/.test(character))
    }
  })

  it('reads every ID of the grammar back to the same text, and agrees with the grammar written as an expression', () => {
    const grammar = /^spiffe:\/\/[a-z0-9._-]{1,255}(\/(?!\.{1,2}(\/|$))[a-zA-Z0-9._-]+)*$/
    const near = fc.string({ unit: fc.constantFrom('/', '.', 'a', 'Z', '0', '-', '_', '%', '?', ':', '@', '\n', 'é'), maxLength: 12 })
    fc.assert(
      fc.property(near, (rest) => {
        const text = `spiffe://${rest}`
        const result = parseSpiffeId(text)
        expect(result.ok).toBe(grammar.test(text) && !text.endsWith('\n'))
        if (result.ok) expect(`spiffe://${result.id.trustDomain}${result.id.path}`).toBe(text)
      }),
      { numRuns: 2000 }
    )
  })
})

describe('sameId', () => {
  it('ID-18 compares paths with their case', () => {
    expect(sameId(idOf('spiffe://vec.test/db'), idOf('spiffe://vec.test/db'))).toBe(true)
    expect(sameId(idOf('spiffe://vec.test/db'), idOf('spiffe://vec.test/Db'))).toBe(false)
    expect(sameId(idOf('spiffe://vec.test/db'), idOf('spiffe://vec.tes/tdb'))).toBe(false)
  })
})

describe('parseTrustDomain', () => {
  it.each([
    { text: 'vec.test', want: 'valid' },
    { text: longTd, want: 'valid' },
    { text: `${longTd}a`, want: 'ID-17' },
    { text: '', want: 'ID-2' },
    { text: 'Vec.test', want: 'ID-7' },
    { text: 'vec.test/db', want: 'ID-8' },
    { text: 'spiffe://vec.test', want: 'ID-6' },
    { text: 'vec.test:443', want: 'ID-6' }
  ])('$text: $want', ({ text, want }) => {
    const result = parseTrustDomain(text)
    expect(result.ok ? 'valid' : result.rule).toBe(want)
  })
})

describe('compileIdPattern', () => {
  it.each([
    { text: 'spiffe://vec.test/ns/acme', exact: true, open: false },
    { text: 'spiffe://vec.test/ns/*/agent', exact: false, open: false },
    { text: 'spiffe://vec.test/*', exact: false, open: false },
    { text: 'spiffe://vec.test/ns/acme/**', exact: false, open: true },
    { text: 'spiffe://vec.test/**', exact: false, open: true }
  ])('takes $text', ({ text, exact, open }) => {
    expect(patternOf(text)).toMatchObject({ text, trustDomain: 'vec.test', exact, open })
  })

  it.each([
    { text: 'spiffe://vec.test/ns/a*', why: '* stands for a whole segment, not for a part of one' },
    { text: 'spiffe://vec.test/ns/***', why: '* stands for a whole segment, not for a part of one' },
    { text: 'spiffe://vec.test/**/agent', why: '** can only be the last segment' },
    { text: 'spiffe://*/agent', why: 'a trust domain is named in full, without *' },
    { text: 'spiffe://*.test/agent', why: 'a trust domain is named in full, without *' },
    { text: 'spiffe://vec.test', why: 'it has no path, so it names a trust domain and no workload' },
    { text: 'spiffe://vec.test/', why: 'ends in a slash (ID-14)' },
    { text: 'spiffe://vec.test//*', why: 'has an empty segment (ID-12)' },
    { text: 'spiffe://vec.test/*/../admin', why: 'has a dot segment (ID-13)' },
    { text: 'spiffe://Vec.test/*', why: 'the trust domain is not in lower case (ID-7)' },
    { text: '/ns/acme', why: 'does not begin with spiffe:// (ID-1)' },
    { text: '*', why: 'a trust domain is named in full, without *' },
    { text: '', why: 'does not begin with spiffe:// (ID-1)' }
  ])('refuses $text in a sentence', ({ text, why }) => {
    expect(compileIdPattern(text)).toEqual({ ok: false, detail: `${JSON.stringify(text)} is not a SPIFFE ID pattern: ${why}` })
  })
})

describe('matchesId', () => {
  it.each([
    { pattern: 'spiffe://vec.test/ns/acme', id: 'spiffe://vec.test/ns/acme', want: true },
    { pattern: 'spiffe://vec.test/ns/acme', id: 'spiffe://vec.test/ns/Acme', want: false },
    { pattern: 'spiffe://vec.test/ns/acme', id: 'spiffe://vec.test/ns/acme2', want: false },
    { pattern: 'spiffe://vec.test/ns/acme', id: 'spiffe://vec.test/ns/acm', want: false },
    { pattern: 'spiffe://vec.test/ns/acme', id: 'spiffe://vec.test/ns/acme/agent', want: false },
    { pattern: 'spiffe://vec.test/ns/acme', id: 'spiffe://partner.test/ns/acme', want: false },
    { pattern: 'spiffe://vec.test/ns/*/agent', id: 'spiffe://vec.test/ns/acme/agent', want: true },
    { pattern: 'spiffe://vec.test/ns/*/agent', id: 'spiffe://vec.test/ns/acme/prod/agent', want: false },
    { pattern: 'spiffe://vec.test/ns/*/agent', id: 'spiffe://vec.test/ns/agent', want: false },
    { pattern: 'spiffe://vec.test/ns/*', id: 'spiffe://vec.test/ns', want: false },
    { pattern: 'spiffe://vec.test/ns/acme/**', id: 'spiffe://vec.test/ns/acme/a', want: true },
    { pattern: 'spiffe://vec.test/ns/acme/**', id: 'spiffe://vec.test/ns/acme/a/b/c', want: true },
    { pattern: 'spiffe://vec.test/ns/acme/**', id: 'spiffe://vec.test/ns/acme', want: false },
    { pattern: 'spiffe://vec.test/ns/acme/**', id: 'spiffe://vec.test/ns/acme2/a', want: false },
    { pattern: 'spiffe://vec.test/**', id: 'spiffe://vec.test/a', want: true },
    { pattern: 'spiffe://vec.test/**', id: 'spiffe://vec.test', want: false }
  ])('$pattern on $id: $want', ({ pattern, id, want }) => {
    expect(matchesId(patternOf(pattern), idOf(id))).toBe(want)
  })

  it('agrees with the same pattern written as an expression', () => {
    const segment = fc.constantFrom('a', 'b', 'ab')
    const segments = fc.array(segment, { minLength: 1, maxLength: 4 })
    const patterns = fc.tuple(fc.array(fc.oneof(segment, fc.constant('*')), { maxLength: 4 }), fc.boolean())
    fc.assert(
      fc.property(patterns, segments, ([parts, open], path) => {
        const all = open || parts.length === 0 ? [...parts, '**'] : parts
        const source = all.map((part) => ({ '*': '[^/]+', '**': '.+' })[part] ?? part).join('/')
        const want = new RegExp(`^${source}$`).test(path.join('/'))
        expect(matchesId(patternOf(`spiffe://vec.test/${all.join('/')}`), idOf(`spiffe://vec.test/${path.join('/')}`))).toBe(want)
      })
    )
  })
})
