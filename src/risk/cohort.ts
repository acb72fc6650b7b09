/** When several identities of one agent type are quarantined for the same collection, it is no longer one bad pod. */
import type { RiskRules } from '../core/risk-rules.ts'
import { quarantinePlaces, type Scope } from '../core/standing.ts'
import type { Alarm, Changed, Standings } from '../core/standings.ts'
import { climb } from './ladder.ts'

/** @param members SPIFFE IDs that are quarantined there, and since when (ms since the epoch): one identity counts once */
export function togetherAlarm(members: ReadonlyMap<string, number>, rules: RiskRules, now: number): Alarm | undefined {
  const { identitiesTogether, togetherWithinMs } = rules
  if (identitiesTogether === undefined) return undefined
  const identities = [...members.values()].filter((since) => now - since < togetherWithinMs).length
  if (identities < identitiesTogether) return undefined
  const says = `${identities} identities of this agent type are quarantined for this collection`
  return { level: 'quarantine', cause: 'identities-together', evidence: { says, decisionIds: [], figures: { identities } } }
}

/** Raises the standing of a workload, and of its agent type for a collection where this one was one too many. */
export function raise(standings: Standings, scope: Scope, alarm: Alarm, rules: RiskRules, now: number): Changed {
  const changed = standings.change(scope, (record, run) => climb(record, alarm, rules, { now, run }), now)
  if (changed === 'changed') raiseTogether(standings, scope, rules, now)
  return changed
}

/** To be asked as well when a quarantine is heard of that another replica raised. */
export function raiseTogether(standings: Standings, scope: Scope, rules: RiskRules, now: number): void {
  const record = rules.identitiesTogether === undefined ? undefined : standings.of(scope)
  if (record === undefined) return
  for (const { cohort } of quarantinePlaces(record)) {
    const alarm = togetherAlarm(standings.quarantinedIn(cohort), rules, now)
    if (alarm !== undefined) standings.change(cohort, (its, run) => climb(its, alarm, rules, { now, run }), now)
  }
}
