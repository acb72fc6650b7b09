import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { RULES } from '../../src/identity/rules.ts'
import { MUTATIONS, NO_MUTATION } from './table.ts'

const ROOT = join(import.meta.dirname, '../..')

describe('the table of mutations', () => {
  it('has each rule of the registry, or says why not, and never both', () => {
    const switchedOff = new Set<string>(MUTATIONS.map(({ rule }) => rule))
    expect(Object.keys(RULES).filter((rule) => switchedOff.has(rule) === rule in NO_MUTATION)).toEqual([])
    expect([...switchedOff, ...Object.keys(NO_MUTATION)].filter((rule) => !(rule in RULES))).toEqual([])
  })

  it('names texts that stand in their file exactly once', () => {
    const wrong = MUTATIONS.filter(({ file, source }) => readFileSync(join(ROOT, file), 'utf8').split(source).length !== 2)
    expect(wrong.map(({ rule, file, source }) => `${rule}, ${file}: ${source}`)).toEqual([])
  })

  it('changes something each time, and nothing twice', () => {
    const changes = MUTATIONS.map(({ rule, file, source, instead }) => `${rule} ${file}: ${source} -> ${instead}`)
    expect(MUTATIONS.filter(({ source, instead }) => source === instead)).toEqual([])
    expect(new Set(changes).size).toBe(changes.length)
  })

  it('gives a reason for each exception', () => {
    const reasons = [...Object.values(NO_MUTATION), ...MUTATIONS.flatMap(({ also }) => Object.values(also))]
    expect(reasons.filter((reason) => reason.length < 20)).toEqual([])
    expect(MUTATIONS.filter(({ rule, also }) => rule in also)).toEqual([])
  })
})
