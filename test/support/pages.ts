/** Pages and moves, good by default. */
import type { Page } from '../../src/core/page.ts'
import { newRecord, type Raised, type Scope, standingOf, withTerm } from '../../src/core/standing.ts'
import type { Move } from '../../src/core/standings.ts'

export const AGENT = 'spiffe://demo.vecauthz.test/acme/agent/dba/52'
export const T0 = Date.UTC(2026, 10, 21, 12)

export function pageOf(change: Partial<Page> = {}): Page {
  return {
    key: 'vecauthz-run-1.1',
    about: AGENT,
    kind: 'quarantine',
    severity: 'critical',
    subject: AGENT,
    scope: { kind: 'workload', id: AGENT },
    cause: 'drift',
    summary: `${AGENT} is quarantined: drift: novelty 55`,
    place: { tenant: 'acme', agent_type: 'dba', database: 'demo', collection: 'manual' },
    figures: { score: 1, novelty: 55.5 },
    decisionIds: ['11111111-2222-4333-8444-555555555555'],
    since: T0,
    until: T0 + 86_400_000,
    ended: undefined,
    ...change
  }
}

/** A move up, by a process of that name. */
export function moveTo(level: Raised, { run = 'run', id = AGENT, heard = false, at = T0 } = {}): Move {
  const scope: Scope = { kind: 'workload', id }
  const place = { tenant: 'acme', agentType: 'dba', database: 'demo', collection: 'manual' }
  const evidence = { says: 'novelty 55', decisionIds: ['d-1', 'd-2'], figures: { novelty: 55 }, place }
  const record = withTerm(newRecord(scope), run, { level, cause: 'drift', evidence, since: at, durationMs: 86_400_000 })
  return { scope, from: 'normal', to: standingOf(record), term: record.terms[0], heard, at }
}

export function moveDown({ scope, to }: Move, { heard = false, at = T0 + 60_000 } = {}): Move {
  return { scope, from: to, to: 'normal', term: undefined, heard, at }
}
