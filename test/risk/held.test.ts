import { describe, expect, it } from 'vitest'
import { RISK_DEFAULTS } from '../../src/core/risk-rules.ts'
import { cohortOf, standingOf } from '../../src/core/standing.ts'
import { raise } from '../../src/risk/cohort.ts'
import { heldRecord, NOWHERE, shareOf, type Whereabouts, whyHeld } from '../../src/risk/held.ts'
import { createStandings } from '../../src/state/standings.ts'
import { targetOf } from '../support/grants.ts'

const T0 = Date.UTC(2026, 10, 21)
const [ID, OTHER] = ['spiffe://demo.vecauthz.test/acme/support', 'spiffe://demo.vecauthz.test/acme/other']
const where: Whereabouts = {
  agentType: 'support',
  tenant: 'acme',
  database: 'main',
  targets: [targetOf('acme', 'notes'), targetOf('acme', 'docs')]
}
const alarm = (level: 'slowed' | 'quarantine') =>
  ({ level, cause: 'drift', evidence: { says: 'novelty 412', decisionIds: ['d1', 'd2'], figures: {} } }) as const

describe('how a call’s workload stands', () => {
  const standings = createStandings({
    store: undefined,
    run: 'a',
    now: () => T0,
    tick: () => 0,
    onMove: () => undefined,
    onTrouble: () => undefined
  })
  const standing = (id: string, its = where) => standingOf(heldRecord(standings, id, its))

  it('is its own, or its type’s in a collection that the call touches, the sterner one', () => {
    expect(heldRecord(standings, ID, where)).toBeUndefined()
    raise(standings, { kind: 'workload', id: ID }, alarm('slowed'), RISK_DEFAULTS, T0)
    expect([standing(ID), standing(OTHER)]).toEqual(['slowed', 'normal'])
    const cohort = cohortOf({ tenant: 'acme', agentType: 'support', database: 'main', collection: 'docs' })
    raise(standings, cohort, alarm('quarantine'), RISK_DEFAULTS, T0)
    expect([standing(ID), standing(OTHER)]).toEqual(['quarantine', 'quarantine'])
    const elsewhere: readonly Partial<Whereabouts>[] = [
      { agentType: 'indexer' },
      { agentType: undefined },
      { tenant: 'globex' },
      { database: 'second' },
      { targets: [targetOf('acme', 'notes')] }
    ]
    for (const change of elsewhere) expect(standing(OTHER, { ...where, ...change })).toBe('normal')
    const all = { targets: [{ tenant: 'acme', namespace: 'rag', collection: { kind: 'every' } } as const] }
    expect(standing(OTHER, { ...where, ...all })).toBe('quarantine')
    for (const change of elsewhere.slice(0, 4)) expect(standing(OTHER, { ...where, ...change, ...all })).toBe('normal')
    expect([standing(ID, NOWHERE), standing(OTHER, NOWHERE)]).toEqual(['slowed', 'normal'])
  })

  it('is said with its evidence', () => {
    const record = heldRecord(standings, ID, where)
    expect(record === undefined ? '' : whyHeld(record)).toBe(
      'agent type support in docs: quarantine since 2026-11-21T00:00:00.000Z for drift: novelty 412 (decisions d1, d2)'
    )
  })

  it('leaves a share of its budgets', () => {
    expect([shareOf('normal', RISK_DEFAULTS), shareOf('slowed', RISK_DEFAULTS)]).toEqual([1, 0.5])
  })
})
