/** What a replay says is what the server would have said: the same records under the same policy, and under another one. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compare } from '../../src/admin/replay-diff.ts'
import { readRecord } from '../../src/admin/replay-facts.ts'
import { regrant } from '../../src/admin/replay-grant.ts'
import { runs } from '../fuzz/runs.ts'
import { policyOf, question, recordsUnder, withModes } from '../support/recorded-calls.ts'

const verdictOf = (record: Readonly<Record<string, unknown>>) => String(record['verdict'] === 'allow' ? 'allow' : record['reason'])
const read = (record: object) => {
  const one = readRecord(JSON.stringify(record))
  if (!one.ok) throw new Error(one.says)
  return one
}

describe('a replay', () => {
  it('gives each recorded verdict and rule again, though they are blanked', async () => {
    const seen = { again: 0, unread: 0, allowed: 0 }
    await fc.assert(
      fc.asyncProperty(withModes, fc.array(question, { minLength: 12, maxLength: 12 }), async (document, questions) => {
        const policy = policyOf(document)
        for (const record of await recordsUnder(policy, questions)) {
          const { facts } = read({ ...record, verdict: 'deny', reason: undefined, because: undefined, rule: undefined })
          const outcome = regrant(facts, policy)
          seen[facts.call === undefined ? 'unread' : 'again']++
          // Why a call could not be read is not known from its record.
          if (facts.call === undefined && outcome.verdict === 'unknown') continue
          if (outcome.verdict === 'allow') seen.allowed++
          const waits = outcome.verdict === 'allow' && outcome.waits !== undefined
          expect(outcome.verdict === 'deny' ? outcome.reason.kind : waits ? 'approval-required' : outcome.verdict).toBe(verdictOf(record))
          expect(outcome.verdict === 'allow' && !waits ? outcome.rule : undefined).toBe(record['rule'])
          expect(outcome.verdict === 'allow' ? outcome.judged?.kind : undefined).toBe(record['judged_reason'])
        }
      }),
      runs(25)
    )
    expect(Math.min(seen.again, seen.allowed)).toBeGreaterThan(20)
  })

  it('under another policy flips exactly what the server would have decided otherwise', async () => {
    const seen = { same: 0, flips: 0, unknown: 0 }
    await fc.assert(
      fc.asyncProperty(withModes, withModes, fc.array(question, { minLength: 12, maxLength: 12 }), async (one, other, questions) => {
        const [before, after] = [policyOf(one), policyOf(other)]
        const [was, is] = [await recordsUnder(before, questions), await recordsUnder(after, questions)]
        for (const [at, record] of was.entries()) {
          const { facts, recorded } = read(record)
          const compared = compare(facts, recorded, after)
          const expected = verdictOf(is[at] ?? {})
          seen[compared.after === 'unknown' ? 'unknown' : compared.after === compared.before ? 'same' : 'flips']++
          // A call that was refused before it was read cannot be judged by what it was.
          if (compared.after === 'unknown') expect([facts.call, facts.targets]).toContain(undefined)
          else expect(compared).toMatchObject({ before: verdictOf(record), after: expected })
        }
      }),
      runs(25)
    )
    expect(Math.min(seen.same, seen.flips)).toBeGreaterThan(20)
    expect(seen.unknown).toBeLessThan(seen.flips)
  })
})
