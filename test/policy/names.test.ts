import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { covers, mixedUp, patternFault, readPattern, tenantIn } from '../../src/policy/names.ts'

const TENANTS = new Set(['acme', 'acme2', 'a', 'a_b', 'globex'])

describe('names with {tenant}', () => {
  it.each([
    ['docs_{tenant}', 'docs_acme', 'acme'],
    ['docs_{tenant}', 'docs_acme2', 'acme2'],
    ['docs_{tenant}', 'docs_acme3', undefined],
    ['docs_{tenant}', 'docs_', undefined],
    ['docs_{tenant}', 'DOCS_acme', undefined],
    ['{tenant}', 'globex', 'globex'],
    ['{tenant}_docs', 'acme_docs', 'acme'],
    ['{tenant}_docs', 'acme_docs_', undefined],
    ['docs_{tenant}-*', 'docs_acme-2026', 'acme'],
    ['docs_{tenant}-*', 'docs_acme2-', 'acme2'],
    ['docs_{tenant}-*', 'docs_acme', undefined],
    ['docs', 'docs', undefined]
  ])('%s reads %s as %s', (text, name, want) => expect(tenantIn(readPattern(text), name, TENANTS)).toBe(want))

  it.each([
    ['docs_{tenant}*', /nothing between/],
    ['{tenant}_{tenant}', /twice/],
    ['docs_{tenants}', /brace/],
    ['docs_*_x', /not at its end/],
    ['docs_{tenant}', undefined],
    ['docs_{tenant}_*', undefined],
    ['*', undefined]
  ])('%s: %s', (text, want) => {
    const fault = patternFault(text)
    if (want === undefined) expect(fault).toBeUndefined()
    else expect(fault).toMatch(want)
  })

  it('an open template that could take one tenant for another is found', () => {
    expect(mixedUp(readPattern('docs_{tenant}_*'), TENANTS)).toEqual(['a', 'a_b'])
    expect(mixedUp(readPattern('docs_{tenant}-*'), TENANTS)).toBeUndefined()
    expect(mixedUp(readPattern('docs_{tenant}'), TENANTS)).toBeUndefined()
  })

  it('property: where nothing is mixed up, a name is read as a tenant’s exactly when it is covered for that tenant', () => {
    const word = fc.stringMatching(/^[a-c_-]{0,4}$/)
    const pattern = fc.tuple(word, word, fc.boolean()).map(([before, after, open]) => `${before}{tenant}${after}${open ? '*' : ''}`)
    const some = fc.uniqueArray(fc.stringMatching(/^[a-c][a-c_-]{0,3}$/), { minLength: 1, maxLength: 5 })
    let read = 0
    fc.assert(
      fc.property(pattern, some, word, word, (text, list, between, end) => {
        const tenants = new Set(list)
        const compiled = readPattern(text)
        fc.pre(patternFault(text) === undefined && mixedUp(compiled, tenants) === undefined)
        for (const name of [
          between + end,
          compiled.before + list[0] + compiled.after + end,
          compiled.before + between + compiled.after + end
        ]) {
          const owners = list.filter((tenant) => covers(compiled, name, tenant))
          expect(owners.length).toBeLessThanOrEqual(1)
          expect(tenantIn(compiled, name, tenants)).toBe(owners[0])
          read += owners.length
        }
      }),
      { numRuns: 2_000 }
    )
    expect(read).toBeGreaterThan(100)
  })
})
