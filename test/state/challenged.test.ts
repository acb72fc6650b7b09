/** Which step-up an id means: the one that the refused workload was told, also where two replicas have asked for one each. */
import { describe, expect, it, vi } from 'vitest'
import { RISK_DEFAULTS } from '../../src/core/risk-rules.ts'
import { type Raised, type Scope, type StandingRecord, withTerm } from '../../src/core/standing.ts'
import { refusalOf } from '../../src/risk/refusal.ts'
import { createRiskDesk, type DeskParts } from '../../src/risk-desk.ts'
import { createStandings } from '../../src/state/standings.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'
import { callerOf } from '../support/grants.ts'

const T0 = Date.UTC(2026, 10, 21, 12)
const AGENT = 'spiffe://demo.vecauthz.test/acme/support'
const SCOPE: Scope = { kind: 'workload', id: AGENT }

function standingsOf(store = undefined as Parameters<typeof createStandings>[0]['store']) {
  const moves: (string | undefined)[] = []
  const standings = createStandings({
    store,
    run: 'mine',
    now: () => T0,
    tick: () => 0,
    onMove: ({ term }) => moves.push(term?.dot.run),
    onTrouble: () => undefined
  })
  return { standings, moves }
}

const raisedBy = (record: StandingRecord, run: string, since: number, level: Raised = 'step-up') =>
  withTerm(record, run, { level, cause: 'drift', evidence: { says: '', decisionIds: [], figures: {} }, since, durationMs: 86_400_000 })

describe('an id', () => {
  it('is that of the challenge, where two were raised at about the same time', () => {
    const { standings, moves } = standingsOf()
    standings.change(SCOPE, (record) => raisedBy(raisedBy(record, 'aaaa', T0 - 10), 'bbbb', T0), T0)
    const told = refusalOf(standings.of(SCOPE), RISK_DEFAULTS, T0)?.stepUp?.id ?? ''
    expect([standings.list(T0)[0]?.id, standings.challenged(told, T0), moves]).toEqual([told, SCOPE, ['bbbb']])
    expect(standings.challenged(told.replace('bbbb', 'aaaa'), T0)).toBeUndefined()
  })

  it('of a quarantine, of another workload or of nothing means nobody', () => {
    const { standings } = standingsOf()
    standings.change(SCOPE, (record) => raisedBy(record, 'aaaa', T0, 'quarantine'), T0)
    const [row] = standings.list(T0)
    for (const id of [row?.id ?? '', '', 'aaaa', 'aaaa-0000000000000000.1']) expect(standings.challenged(id, T0)).toBeUndefined()
  })
})

describe('before it is known who is held', () => {
  it('everybody is, as far as others are concerned', async () => {
    const { standings } = standingsOf(createMemoryStore())
    const desk = createRiskDesk({ standings, baselines: {}, orders: {} } as unknown as DeskParts)
    const { id } = callerOf(AGENT)
    expect(desk.isHeld(id)).toBe(true)
    standings.start()
    await vi.waitFor(() => expect(standings.isLoaded()).toBe(true), { timeout: 10_000, interval: 5 })
    expect(desk.isHeld(id)).toBe(false)
    standings.change(SCOPE, (record) => raisedBy(record, 'aaaa', T0, 'slowed'), T0)
    expect(desk.isHeld(id)).toBe(false)
    standings.change(SCOPE, (record) => raisedBy(record, 'aaaa', T0), T0)
    expect(desk.isHeld(id)).toBe(true)
    await standings.stop()
  })
})
