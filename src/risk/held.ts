/** How a call's workload stands: its own standing, or that of its agent type in one of the collections that the call touches. */
import type { RiskRules } from '../core/risk-rules.ts'
import { cohortOf, heldBy, rankOf, type Standing, type StandingRecord, standingOf } from '../core/standing.ts'
import type { Standings } from '../core/standings.ts'
import type { ResolvedTarget } from '../core/vector-call.ts'

/** Where a call goes, as far as it is known. */
export interface Whereabouts {
  readonly agentType: string | undefined
  readonly tenant: string | undefined
  /** Id in the settings. */
  readonly database: string
  readonly targets: readonly ResolvedTarget[]
}

export const NOWHERE: Whereabouts = { agentType: undefined, tenant: undefined, database: '', targets: [] }

/** The record that decides; undefined: normal. @param id SPIFFE ID */
export function heldRecord(standings: Standings, id: string, where: Whereabouts): StandingRecord | undefined {
  const own = standings.ofWorkload(id)
  if (!standings.hasCohorts() || where.agentType === undefined || where.tenant === undefined) return own
  const { tenant, agentType, database } = where
  let held = own
  const sterner = (record: StandingRecord | undefined) => {
    if (rankOf(standingOf(record)) > rankOf(standingOf(held))) held = record
  }
  for (const { collection } of where.targets) {
    if (collection.kind === 'name') sterner(standings.of(cohortOf({ tenant, agentType, database, collection: collection.name })))
    // What goes to all collections goes to that one.
    if (collection.kind === 'every')
      for (const record of standings.cohorts()) if (isThere(record, tenant, agentType, database)) sterner(record)
  }
  return held
}

function isThere({ scope }: StandingRecord, tenant: string, agentType: string, database: string): boolean {
  return scope.kind === 'cohort' && scope.tenant === tenant && scope.agentType === agentType && scope.database === database
}

/** What a standing leaves of a workload's own budgets. */
export function shareOf(standing: Standing, { slowedShare }: RiskRules): number {
  return standing === 'normal' ? 1 : slowedShare
}

/** Words for the record of a denial: what holds it there, since when, and who decided what. */
export function whyHeld(record: StandingRecord): string {
  const term = heldBy(record)
  if (term === undefined) return 'normal'
  const who = record.scope.kind === 'workload' ? '' : `agent type ${record.scope.agentType} in ${record.scope.collection}: `
  const { level, cause, since, evidence } = term
  return `${who}${level} since ${new Date(since).toISOString()} for ${cause}: ${evidence.says} (decisions ${evidence.decisionIds.join(', ')})`
}
