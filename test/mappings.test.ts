/** docs/mappings say what the code does: every reason and finding is mapped or said not to be, and every identifier of the code has its name. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { ATLAS_VERSION, atlasOf, foundIn, owaspOf } from '../src/core/attack-mapping.ts'
import { DENIALS, type DenyKind } from '../src/core/deny-reason.ts'
import { SCREENED } from '../src/core/screening.ts'

const ROOT = join(import.meta.dirname, '..')
const read = (name: string) => parse(readFileSync(join(ROOT, 'docs/mappings', name), 'utf8'))

interface Entry {
  readonly name: string
  readonly reasons: readonly string[]
  readonly findings?: readonly string[]
  readonly by?: readonly string[]
  readonly tested?: readonly string[]
}
type Table = Readonly<Record<string, Entry>>

const KINDS = Object.keys(DENIALS) as readonly DenyKind[]
const atlas = read('atlas.yaml') as { version: string; techniques: Table; mitigations: Table; unmapped: Record<string, string> }
const owasp = read('owasp.yaml') as Record<'llm' | 'agentic', { entries: Table }>
const entries: Table = { ...owasp.llm.entries, ...owasp.agentic.entries }

const idsOf = (table: Table, kind: string, of: 'reasons' | 'findings' = 'reasons') =>
  Object.entries(table)
    .filter(([, entry]) => entry[of]?.includes(kind))
    .map(([id]) => id)
    .sort()

describe('MITRE ATLAS', () => {
  it('is the version that records name', () => expect(atlas.version).toBe(ATLAS_VERSION))
  it.each(KINDS)('%s', (kind) => {
    const written = atlasOf(kind).map(({ technique }) => technique)
    expect(idsOf(atlas.techniques, kind)).toEqual([...written].sort())
    expect(Object.hasOwn(atlas.unmapped, kind)).toBe(written.length === 0)
    expect(written[0] ?? null).toBe(DENIALS[kind].atlas ?? null)
  })
})

describe('OWASP', () => {
  it.each(KINDS)('%s', (kind) => expect(idsOf(entries, kind)).toEqual([...owaspOf(kind)].sort()))
  it('has ten entries a list', () => {
    expect([Object.keys(owasp.llm.entries).length, Object.keys(owasp.agentic.entries).length]).toEqual([10, 10])
  })
})

it.each(SCREENED)('what is found in texts: %s', (found) => {
  const both = [foundIn([found], false), foundIn([found], true)]
  expect(idsOf(atlas.techniques, found, 'findings')).toEqual(
    [...new Set(both.flatMap((one) => one.atlas.map(({ technique }) => technique)))].sort()
  )
  expect(idsOf(entries, found, 'findings')).toEqual([...new Set(both.flatMap((one) => one.owasp))].sort())
})

describe('every table', () => {
  const nist = read('nist-800-207.yaml').tenets as Table
  const { pillars, capabilities } = read('cisa-ztmm.yaml') as Record<'pillars' | 'capabilities', Table>
  const all = Object.values({ ...atlas.techniques, ...atlas.mitigations, ...entries, ...nist, ...pillars, ...capabilities })

  it('names reasons, findings and files that there are', () => {
    const named = all.flatMap(({ reasons = [] }) => reasons)
    expect(named.filter((kind) => !KINDS.some((one) => one === kind))).toEqual([])
    expect(all.flatMap(({ findings = [] }) => findings).filter((found) => !SCREENED.some((one) => one === found))).toEqual([])
    const files = all.flatMap(({ by = [], tested = [] }) => [...by, ...tested])
    expect(files.length).toBeGreaterThan(40)
    expect(files.filter((file) => !existsSync(join(ROOT, file)))).toEqual([])
  })

  it('has the seven tenets and the five pillars', () => {
    expect([Object.keys(nist).length, Object.keys(pillars).length, Object.keys(capabilities).length]).toEqual([7, 5, 3])
  })
})
