/** A policy from which everything unused was taken out lets all pass that it let pass, of whatever policy and whatever calls. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readRecord } from '../../src/admin/replay-facts.ts'
import { regrant } from '../../src/admin/replay-grant.ts'
import type { DocumentPath, PolicyDocument } from '../../src/core/policy-document.ts'
import type { Ages } from '../../src/inventory/age.ts'
import { analyse, type Period } from '../../src/inventory/analyse.ts'
import { grantsOf } from '../../src/inventory/grants.ts'
import type { Observed } from '../../src/inventory/observed.ts'
import { planned } from '../../src/inventory/prune.ts'
import { readUse } from '../../src/inventory/record-use.ts'
import { createUsage } from '../../src/usage/usage.ts'
import { runs } from '../fuzz/runs.ts'
import { NOON } from '../support/asking.ts'
import { policyOf, question, recordsUnder, withModes } from '../support/recorded-calls.ts'

const OLD: Ages = { ofRule: () => 'old', ofWorkload: () => 'old', missing: [] }
const PERIOD: Period = { from: NOON - 86_400_000, to: NOON, days: 1, because: [] }
/** Of a loaded machine, and many runs. */
const PATIENCE_MS = 600_000
/** The clock of those records is far from that of the dates in policies. */
const NOW = NOON

function observed(records: readonly object[]): Observed {
  const usage = createUsage()
  for (const record of records) {
    const read = readUse(JSON.stringify(record))
    if (read.kind !== 'decision') throw new Error(JSON.stringify(read))
    if (read.use !== undefined) usage.note(read.use)
  }
  return { kind: 'records', usage, from: PERIOD.from, to: PERIOD.to, sources: [], gaps: [] }
}

function without(document: PolicyDocument, paths: readonly DocumentPath[]): PolicyDocument {
  // Lists of generated policies are one object in many places.
  const copy = JSON.parse(JSON.stringify(document))
  const gone = Symbol('gone')
  const listAt = (path: DocumentPath) =>
    path.slice(0, -1).reduce<unknown>((at, key) => (at as Record<string | number, unknown>)[key], copy) as unknown[]
  for (const path of paths) listAt(path)[path.at(-1) as number] = gone
  const clean = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.filter((one) => one !== gone).map(clean)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, clean(one)]))
  }
  return clean(copy) as PolicyDocument
}

describe('what is taken out', () => {
  it(
    'was needed by nothing that is on record; and a rule that let a call pass is one that is called used',
    async () => {
      const seen = { removed: 0, rules: 0, allowed: 0 }
      await fc.assert(
        fc.asyncProperty(withModes, fc.array(question, { minLength: 6, maxLength: 6 }), async (document, questions) => {
          const policy = policyOf(document)
          const records = await recordsUnder(policy, questions)
          const grants = grantsOf(document, (path) => path.join('.'))
          const its = observed(records)
          const used = new Set(
            [...its.usage.workloads()]
              .flatMap(({ id, used: uses }) => uses.flatMap((use) => grants.serving(use, id)))
              .map(({ source }) => source)
          )
          const all = new Set(grants.all.map(({ source }) => source))
          for (const { rule } of records) if (all.has(String(rule))) expect(used).toContain(rule)
          const plan = planned(document, grants, analyse(document, grants, its, PERIOD, OLD, NOW), its, OLD)
          seen.removed += plan.removals.length
          seen.rules += all.size
          const after = policyOf(
            without(
              document,
              plan.removals.map(({ path }) => path)
            )
          )
          for (const record of records) {
            const read = readRecord(JSON.stringify(record))
            if (!read.ok) throw new Error(read.says)
            const before = regrant(read.facts, policy)
            if (before.verdict !== 'allow') continue
            seen.allowed++
            expect(regrant(read.facts, after)).toMatchObject({
              verdict: 'allow',
              waits: before.waits === undefined ? undefined : expect.any(String)
            })
          }
        }),
        runs(25)
      )
      expect(Math.min(seen.removed, seen.allowed)).toBeGreaterThan(0)
    },
    PATIENCE_MS
  )
})
