/** The policy's `risk`, `monitoring` and `budgets`, with what is not said filled in. */
import type { DocumentPath } from '../core/policy-document.ts'
import { MONITORING_WINDOWS_MAX, type PaceDocument } from '../core/risk-document.ts'
import { BYTES_PACE, type FurtherBudgets, type MonitoringRule, type Pace, RISK_DEFAULTS, type RiskRules } from '../core/risk-rules.ts'
import type { Operation } from '../core/vector-call.ts'
import { compilePattern, fault, type Work } from './compile-work.ts'

export interface CompiledRisk {
  readonly risk: RiskRules
  readonly monitoring: readonly MonitoringRule[]
  readonly budgets: FurtherBudgets
}

export function compileRisk(work: Work): CompiledRisk {
  return { risk: riskOf(work), monitoring: monitoringOf(work), budgets: budgetsOf(work) }
}

const ms = (seconds: number | undefined, standard: number) => (seconds === undefined ? standard : seconds * 1000)

function riskOf(work: Work): RiskRules {
  const its = RISK_DEFAULTS
  const { drift, denials, slowed, step_up: stepUp, quarantine } = work.document.risk ?? {}
  const rules: RiskRules = {
    drift: {
      watch: drift?.watch ?? its.drift.watch,
      stepUp: drift?.step_up ?? its.drift.stepUp,
      quarantine: drift?.quarantine ?? its.drift.quarantine,
      coherenceStepUp: drift?.coherence_step_up ?? its.drift.coherenceStepUp
    },
    denials: {
      slowed: denials?.slowed ?? its.denials.slowed,
      'step-up': denials?.step_up ?? its.denials['step-up'],
      quarantine: denials?.quarantine ?? its.denials.quarantine
    },
    denialsHalfLifeMs: ms(denials?.half_life_seconds, its.denialsHalfLifeMs),
    slowedMs: ms(slowed?.seconds, its.slowedMs),
    slowedShare: slowed?.rate_share ?? its.slowedShare,
    stepUpAnswerMs: ms(stepUp?.answer_seconds, its.stepUpAnswerMs),
    stepUpValidMs: ms(stepUp?.valid_seconds, its.stepUpValidMs),
    strikes: stepUp?.strikes ?? its.strikes,
    strikesWithinMs: ms(stepUp?.strikes_within_seconds, its.strikesWithinMs),
    supervisors: supervisorsOf(work),
    acrValues: stepUp?.acr_values === undefined ? undefined : new Set(stepUp.acr_values),
    quarantineMs: ms(quarantine?.seconds, its.quarantineMs),
    identitiesTogether: quarantine?.identities_together,
    togetherWithinMs: ms(quarantine?.together_within_seconds, its.togetherWithinMs)
  }
  const { watch, stepUp: asks, quarantine: ends } = rules.drift
  checkOrder(work, ['risk', 'drift'], [watch, asks, ends])
  checkOrder(work, ['risk', 'denials'], [rules.denials.slowed, rules.denials['step-up'], rules.denials.quarantine])
  return rules
}

/** Else a higher score would lead to a gentler standing. */
function checkOrder(work: Work, path: DocumentPath, [slows = 0, asks = 0, ends = 0]: readonly number[]): void {
  if (slows <= asks && asks <= ends) return
  const says = `The scores do not rise: ${slows}, ${asks}, ${ends}`
  fault(work, path, says, 'What slows comes first, then what asks for a step-up, then what quarantines; unsaid ones have their default.')
}

function supervisorsOf(work: Work): RiskRules['supervisors'] {
  const { supervisors = [] } = work.document.risk?.step_up ?? {}
  return supervisors.flatMap((text, at) => compilePattern(work, text, ['risk', 'step_up', 'supervisors', at]) ?? [])
}

function monitoringOf(work: Work): MonitoringRule[] {
  const rules = work.document.monitoring ?? []
  const windows = new Set(rules.map((one) => one.window_seconds))
  if (windows.size > MONITORING_WINDOWS_MAX) {
    const says = `${windows.size} different windows, and each one costs memory for each workload`
    fault(work, ['monitoring'], says, `Use at most ${MONITORING_WINDOWS_MAX} different window_seconds.`)
  }
  const types = new Set(work.document.workloads.map((one) => one.agent_type))
  return rules.map((one, at) => {
    const path = ['monitoring', at]
    if ((one.metric === 'signal') !== (one.signal !== undefined)) {
      fault(work, path, 'A signal has a name, and nothing else has', 'Write `metric: signal` and `signal: NAME`, or leave both out.')
    }
    for (const [index, type] of (one.agent_types ?? []).entries()) {
      if (!types.has(type)) fault(work, [...path, 'agent_types', index], `No workload has the agent type "${type}"`, 'Correct the name.')
    }
    const { metric, signal, threshold, action } = one
    const agentTypes = one.agent_types === undefined ? undefined : new Set(one.agent_types)
    return { metric, signal, windowMs: one.window_seconds * 1000, threshold, action, agentTypes, source: work.place(path) }
  })
}

function budgetsOf(work: Work): FurtherBudgets {
  const { tenant, collection, operations, bytes } = work.document.budgets ?? {}
  const kinds = Object.entries(operations ?? {}).flatMap(([kind, one]) => (one === undefined ? [] : [[kind as Operation, paceOf(one)]]))
  return {
    tenant: tenant && paceOf(tenant),
    collection: collection && paceOf(collection),
    operations: kinds.length === 0 ? undefined : Object.fromEntries(kinds),
    bytes: bytes === undefined ? BYTES_PACE : paceOf(bytes)
  }
}

function paceOf({ per_second: perSecond, burst }: PaceDocument): Pace {
  return { perSecond, burst }
}
