/** When several identities of one agent type are quarantined for the same collection, it is no longer one bad pod. */
import type { RiskRules } from '../core/risk-rules.ts'
import { isActive, type Place, type Scope, type StandingRecord } from '../core/standing.ts'
import type { Alarm } from './ladder.ts'

export type CohortScope = Extract<Scope, { kind: 'cohort' }>

/** Where a workload is quarantined for what it did, and since when; operators' and signals' quarantines have no place. */
export function placesOf(record: StandingRecord): { readonly scope: CohortScope; readonly since: number }[] {
  if (record.scope.kind !== 'workload') return []
  return record.terms.flatMap((term) => {
    const { place } = term.evidence
    return term.level === 'quarantine' && isActive(term) && place !== undefined ? [{ scope: cohortOf(place), since: term.since }] : []
  })
}

export function cohortOf({ tenant, agentType, database, collection }: Place): CohortScope {
  return { kind: 'cohort', tenant, agentType, database, collection }
}

/** @param members SPIFFE IDs that are quarantined there, and since when (ms since the epoch): one identity counts once */
export function togetherAlarm(members: ReadonlyMap<string, number>, rules: RiskRules, now: number): Alarm | undefined {
  const { identitiesTogether, togetherWithinMs } = rules
  if (identitiesTogether === undefined) return undefined
  const identities = [...members.values()].filter((since) => now - since < togetherWithinMs).length
  if (identities < identitiesTogether) return undefined
  const says = `${identities} identities of this agent type are quarantined for this collection`
  return { level: 'quarantine', cause: 'identities-together', evidence: { says, decisionIds: [], figures: { identities } } }
}
