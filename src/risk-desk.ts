/** What people do about standings and baselines, over what this process keeps of them. */
import { type BaselineKey, BURSTS_MIN } from './core/drift.ts'
import { type By, type FrozenItem, ORDER_OF_CALLS, type ProposalItem, type RiskActed, type RiskDesk } from './core/risk-desk.ts'
import type { RiskSignal } from './core/signal.ts'
import { parseSpiffeId } from './core/spiffe-id.ts'
import { rankOf, standingOf } from './core/standing.ts'
import type { Done } from './learning/acts.ts'
import type { BaselineRow, Baselines } from './learning/baselines.ts'
import type { HabitsLearnt } from './learning/learnt.ts'
import type { KeptOrder } from './learning/order-text.ts'
import type { OrderRow, Orders } from './learning/orders.ts'
import type { Kept } from './learning/slot-text.ts'
import { raise } from './risk/cohort.ts'
import { signalAlarm } from './risk/signals.ts'
import { type AnswerParts, answerByPerson, answerByUser, challenged } from './risk-answers.ts'

export interface DeskParts extends AnswerParts {
  readonly baselines: Baselines
  readonly orders: Orders
  readonly learnt: HabitsLearnt
}

export function createRiskDesk(parts: DeskParts): RiskDesk {
  const { standings, baselines, orders, learnt, stage } = parts
  const acted = async (done: Promise<Done>, key?: BaselineKey) => actedOf(await done, key)
  return {
    standings: standings.list,
    counts: standings.counts,
    staleMs: standings.staleMs,
    async release(scope, { by, reason, now }) {
      if (scope.kind === 'workload' && scope.id === by) return { kind: 'not', status: 403, says: 'Nobody releases itself.' }
      const released = await standings.release(scope, by, reason, now)
      if (released.kind === 'not') return { kind: 'not', status: 409, says: released.says }
      if (scope.kind === 'workload') stage.clear(scope.id)
      const kept = released.kind === 'done' ? 'everywhere' : 'here; the store is told as soon as it can be'
      return { kind: 'done', facts: { scope, was: released.was, standing: 'normal', kept } }
    },
    answer: (id, verdict, who, isOperator, by) => answerByPerson(parts, id, verdict, who, isOperator, by),
    challenged: (id, now) => challenged(parts, id, now)?.workload.text,
    answerByUser: (id, subject, by) => answerByUser(parts, id, subject, by),
    // Nobody is trusted with others before it is known how he stands.
    isHeld: (id) => !standings.isLoaded() || rankOf(standingOf(standings.ofWorkload(id.text))) >= rankOf('step-up'),
    raised: (signal) => raised(parts, signal),
    signal(workload, name, value, now) {
      if (!parseSpiffeId(workload).ok) return { kind: 'not', status: 409, says: 'A workload is a SPIFFE ID.' }
      if (learnt.putSignal(workload, name, value, now)) return { kind: 'done', facts: { workload, name, value } }
      return { kind: 'not', status: 409, says: 'There is no room for another figure or workload.' }
    },
    baselines: () => [...baselines.list().map((row) => itemOf(row, parts)), ...orders.list().map(orderItemOf)],
    freeze: (key, by) => acted(isOrder(key) ? orders.freeze(key.agentType, by) : baselines.freeze(key, by), key),
    approve(key, daily, by) {
      if (!isOrder(key)) return acted(baselines.approve(key, daily, by), key)
      if (daily !== undefined) return Promise.resolve({ kind: 'not', status: 409, says: 'An order of calls has no budget of records.' })
      return acted(orders.approve(key.agentType, by), key)
    },
    reset: (key, by) => acted(isOrder(key) ? orders.reset(key.agentType, by) : baselines.reset(key, by), key),
    adopt: (key, proposal, anyway, by) => adopted(parts, key, proposal, anyway, by),
    exported: baselines.export,
    imported: (text, add, by) => acted(baselines.import(text, add, by))
  }
}

function actedOf(done: Done, key: BaselineKey | undefined): RiskActed {
  return done.kind === 'done' ? { kind: 'done', facts: { ...key, versions: done.versions } } : done
}

function raised(parts: DeskParts, signal: RiskSignal): RiskActed {
  const { standings, rules } = parts
  const { workload, event, id } = signal
  const alarm = signalAlarm(signal)
  const scope = { kind: 'workload', id: workload } as const
  if (alarm !== undefined && raise(standings, scope, alarm, rules(), signal.at) === 'full')
    return { kind: 'unavailable', because: 'there is no room for another standing' }
  const level = event.kind === 'risk-level-change' ? event.level : undefined
  return { kind: 'done', facts: { workload, signal: id, event: event.kind, level, standing: standingOf(standings.of(scope)) } }
}

/** Who spoke for what becomes normal, and how they stood then, goes on record with it. */
async function adopted(parts: DeskParts, key: BaselineKey, proposal: string, anyway: boolean, by: By): Promise<RiskActed> {
  const item = proposalsOf(parts, key).find(({ id }) => id === proposal)
  const done = await parts.baselines.adopt(key, proposal, anyway, by)
  if (done.kind !== 'done') return done
  return { kind: 'done', facts: { ...key, versions: done.versions, anyway, supporters: item?.supporters ?? [] } }
}

function proposalsOf({ baselines, standings }: DeskParts, key: BaselineKey): ProposalItem[] {
  return baselines.proposals(key).map(({ id, neighbourhood, doubts }) => ({
    id,
    queries: neighbourhood.queries,
    supporters: [...neighbourhood.supporters]
      .map(([workload, { queries, raised }]) => ({ workload, queries, standing: standingOf(standings.ofWorkload(workload)), raised }))
      .sort((a, b) => b.queries - a.queries),
    doubts,
    firstAt: neighbourhood.firstAt,
    lastAt: neighbourhood.lastAt
  }))
}

function itemOf({ key, state, progress, slot }: BaselineRow, parts: DeskParts): ReturnType<RiskDesk['baselines']>[number] {
  return {
    key,
    state,
    learning: progress,
    inForce: frozenOf(slot?.inForce),
    waiting: frozenOf(slot?.waiting),
    daily: slot?.inForce?.daily,
    proposals: proposalsOf(parts, key)
  }
}

function isOrder({ tenant, collection }: BaselineKey): boolean {
  return tenant === ORDER_OF_CALLS.tenant && collection === ORDER_OF_CALLS.collection
}

function orderItemOf({ slot: { agentType, inForce, waiting }, learning }: OrderRow): ReturnType<RiskDesk['baselines']>[number] {
  const frozen = (kept: KeptOrder | undefined): FrozenItem | undefined => {
    if (kept === undefined) return undefined
    const { model, version, by, reason, at } = kept
    return { version, bursts: model.bursts, queries: model.events, neighbourhoods: undefined, kinds: model.names.size, by, reason, at }
  }
  const { events = 0, bursts = 0 } = learning ?? {}
  const burstsToJudge = Math.max(0, BURSTS_MIN - bursts)
  const its = { queries: events, skipped: 0, workloads: undefined, bursts, burstsToJudge, burstsToCoherence: 0, full: false }
  return {
    key: { ...ORDER_OF_CALLS, agentType },
    state: waiting !== undefined ? 'waiting' : inForce !== undefined ? 'in-force' : learning !== undefined ? 'learning' : 'reset',
    learning: learning === undefined ? undefined : its,
    inForce: frozen(inForce),
    waiting: frozen(waiting),
    daily: undefined,
    proposals: []
  }
}

function frozenOf(kept: Kept | undefined): FrozenItem | undefined {
  if (kept === undefined) return undefined
  const { baseline, by, reason, at } = kept
  const { counts, centroids, version } = baseline
  return { version, bursts: counts.bursts, queries: counts.queries, neighbourhoods: centroids.scales.length, by, reason, at }
}
