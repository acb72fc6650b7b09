import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PATH_BYTES_MAX } from '../../src/core/limits.ts'
import { readTarget } from '../../src/databases/path.ts'

const rows: readonly { name: string; raw: string; want: string }[] = [
  { name: 'a plain path', raw: '/api/v2/tenants', want: 'allowed' },
  { name: 'the root', raw: '/', want: 'allowed' },
  { name: 'an escape that is needed', raw: '/tenants/a%20b', want: 'allowed' },
  { name: 'an escape of UTF-8', raw: '/tenants/%C3%A9', want: 'allowed' },
  { name: 'dots inside of a name', raw: '/tenants/a.b..c', want: 'allowed' },
  { name: 'a query', raw: '/collections?limit=1&offset=2', want: 'allowed' },
  { name: 'an escaped query value', raw: '/collections?name=a%20b', want: 'allowed' },
  { name: 'an empty query value', raw: '/collections?name=', want: 'allowed' },

  { name: 'a parent segment', raw: '/api/../admin', want: 'call-ambiguous' },
  { name: 'a dot segment', raw: '/api/./v2', want: 'call-ambiguous' },
  { name: 'an escaped parent segment', raw: '/api/%2E%2E/admin', want: 'call-ambiguous' },
  { name: 'a double slash', raw: '/api//v2', want: 'call-ambiguous' },
  { name: 'a leading double slash', raw: '//api/v2', want: 'call-ambiguous' },
  { name: 'a trailing slash', raw: '/api/v2/', want: 'call-ambiguous' },
  { name: 'a path parameter', raw: '/api/v2;x=1', want: 'call-ambiguous' },
  { name: 'an escaped semicolon', raw: '/api/v2%3Bx', want: 'call-ambiguous' },
  { name: 'an escaped slash', raw: '/tenants/a%2Fb', want: 'call-ambiguous' },
  { name: 'a backslash', raw: '/tenants\\a', want: 'call-ambiguous' },
  { name: 'an escaped backslash', raw: '/tenants/a%5Cb', want: 'call-ambiguous' },
  { name: 'an escaped NUL', raw: '/tenants/a%00', want: 'call-ambiguous' },
  { name: 'an escaped line feed', raw: '/tenants/a%0Ab', want: 'call-ambiguous' },
  { name: 'an escaped percent sign', raw: '/tenants/%2541', want: 'call-ambiguous' },
  { name: 'an escape in lower case', raw: '/tenants/%c3%a9', want: 'call-ambiguous' },
  { name: 'a needless escape', raw: '/%61pi/v2', want: 'call-ambiguous' },
  { name: 'an escape of one hex digit', raw: '/tenants/a%2', want: 'call-ambiguous' },
  { name: 'an escape that is none', raw: '/tenants/a%2G', want: 'call-ambiguous' },
  { name: 'an escape that is no UTF-8', raw: '/tenants/%FF', want: 'call-ambiguous' },
  { name: 'an overlong escape of a slash', raw: '/tenants/%C0%AF', want: 'call-ambiguous' },
  { name: 'half a surrogate pair, escaped', raw: '/tenants/%ED%A0%80', want: 'call-ambiguous' },
  { name: 'a raw control character', raw: '/tenants/a\u0001', want: 'call-ambiguous' },
  { name: 'a raw tab', raw: '/tenants/\ta', want: 'call-ambiguous' },
  { name: 'a raw space', raw: '/tenants/a b', want: 'call-ambiguous' },
  { name: 'a raw letter outside of ASCII', raw: '/tenants/é', want: 'call-ambiguous' },
  { name: 'a raw plus sign, which some readers take for a space', raw: '/tenants/a+b', want: 'call-ambiguous' },
  { name: 'a fragment, which Chroma cuts off', raw: '/tenants/a#b', want: 'call-ambiguous' },
  { name: 'a fragment in the query', raw: '/tenants?a=1#b', want: 'call-ambiguous' },
  { name: 'an absolute form', raw: 'http://chroma.test/api/v2', want: 'call-ambiguous' },
  { name: 'an asterisk form', raw: '*', want: 'call-ambiguous' },
  { name: 'nothing', raw: '', want: 'call-ambiguous' },
  { name: 'an empty query', raw: '/collections?', want: 'call-ambiguous' },
  { name: 'a repeated query key', raw: '/collections?limit=1&limit=2', want: 'call-ambiguous' },
  { name: 'a query key repeated in another spelling', raw: '/collections?limit=1&Limit=2', want: 'call-ambiguous' },
  { name: 'a query key with an escape', raw: '/collections?%6Cimit=1', want: 'call-ambiguous' },
  { name: 'a query value with a needless escape', raw: '/collections?limit=%31', want: 'call-ambiguous' },
  { name: 'a semicolon between query parts', raw: '/collections?limit=1;offset=2', want: 'call-ambiguous' },
  { name: 'a query part without value', raw: '/collections?limit', want: 'call-ambiguous' },
  { name: 'a query part without key', raw: '/collections?=1', want: 'call-ambiguous' },
  { name: 'an empty query part', raw: '/collections?a=1&&b=2', want: 'call-ambiguous' },
  { name: 'a value with an equals sign', raw: '/collections?a=1=2', want: 'call-ambiguous' },
  { name: 'a path of the longest length', raw: `/${'a'.repeat(PATH_BYTES_MAX - 1)}`, want: 'allowed' },
  { name: 'a path one byte longer', raw: `/${'a'.repeat(PATH_BYTES_MAX)}`, want: 'call-too-large' }
]

describe('a request target', () => {
  it.each(rows)('$name: $want', ({ raw, want }) => {
    const result = readTarget(raw)
    expect(result.ok ? 'allowed' : result.reason.kind).toBe(want)
  })

  it('is decoded once', () => {
    const result = readTarget('/tenants/a%20b/x.y?name=%C3%A9&limit=3')
    expect(result).toEqual({
      ok: true,
      value: {
        segments: ['tenants', 'a b', 'x.y'],
        path: '/tenants/a%20b/x.y',
        query: new Map([
          ['name', 'é'],
          ['limit', '3']
        ])
      }
    })
  })

  it('that is accepted is the one spelling of its segments', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('/', '.', '%', '2', 'F', 'f', 'a', '?', '=', '&', '+', 'é', '\\', ';', '%2F', '%20') }),
        (tail) => {
          const result = readTarget(`/${tail}`)
          if (!result.ok) return
          const { segments, path, query } = result.value
          expect(path).toBe(`/${segments.map(encodeURIComponent).join('/')}`)
          const pairs = [...query].map(([key, value]) => `${encodeURIComponent(key)}=${encodeURIComponent(value)}`)
          expect(`/${tail}`).toBe(pairs.length === 0 ? path : `${path}?${pairs.join('&')}`)
        }
      ),
      { numRuns: 3000 }
    )
  })
})
