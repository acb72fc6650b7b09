/** How the server stands: readiness, policy, the ladder, buffers and the event loop, read when somebody scrapes. */
import { Counter, collectDefaultMetrics, Gauge, type Registry } from 'prom-client'
import { STANDINGS } from '../core/standing.ts'
import type { Move, StandingCounts } from '../core/standings.ts'
import { gaugesOf } from './metrics.ts'

export interface ServerFacts {
  readonly ready: boolean
  readonly policy: {
    /** Milliseconds since the epoch. */
    readonly since: number
    /** A newer one was refused, and waits to be corrected. */
    readonly refused: boolean
    readonly loaded: number
    readonly failed: number
  }
  /** Undefined at egress. */
  readonly standings: StandingCounts | undefined
  readonly standingsStaleMs: number | undefined
  /** undefined: nobody is charged here for what tenants share. */
  readonly budgets: { readonly share: number; readonly replicas: number } | undefined
  readonly audit: {
    readonly refused: number
    readonly waitingBytes: number
    readonly spilledBytes: number
    readonly oldestMs: number
    /** Of the sink that has least room: 1 is all of it. */
    readonly used: { readonly memory: number; readonly spill: number }
    readonly failing: readonly string[]
  }
  /** Decisions that wait for a name. */
  readonly pending: number
}

export interface ServerMetrics {
  readonly moved: (move: Pick<Move, 'from' | 'to' | 'heard' | 'scope'>) => void
  /** Both of the code. */
  readonly acted: (act: string, stage: string) => void
}

/** The event loop's delay is sampled this often, ms; each sample wakes the process. */
const LOOP_MS = 50

export function serverMetrics(registry: Registry, facts: () => ServerFacts): ServerMetrics {
  // Of the process and of node; their names are prom-client's.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: LOOP_MS })
  // Gauges that are called totals, which promtool objects to; nobody needs them.
  for (const what of ['handles', 'requests', 'resources']) {
    for (const name of [`nodejs_active_${what}`, `nodejs_active_${what}_total`]) registry.removeSingleMetric(name)
  }
  registerGauges(registry, facts)
  registerPolicy(registry, facts)
  registerAudit(registry, facts)
  const moves = new Counter({
    name: 'vecauthz_standing_moves_total',
    help: 'Changes of standing that were decided by this process',
    labelNames: ['scope', 'from', 'to'],
    registers: [registry]
  })
  const acts = new Counter({
    name: 'vecauthz_operator_acts_total',
    help: 'What people did through the admin port, by what came of it',
    labelNames: ['act', 'stage'],
    registers: [registry]
  })
  return {
    moved({ scope, from, to, heard }) {
      if (!heard) moves.inc({ scope: scope.kind, from, to })
    },
    acted: (act, stage) => acts.inc({ act, stage })
  }
}

function registerGauges(registry: Registry, facts: () => ServerFacts): void {
  const gauge = gaugesOf(registry, facts)
  gauge('vecauthz_ready', '1: this server may be asked', ({ ready }) => Number(ready))
  gauge('vecauthz_pending_decisions', 'Decisions that wait for the name of a collection', ({ pending }) => pending)
  gauge('vecauthz_standings_stale_seconds', 'Since the store was last known to have nothing newer', ({ standingsStaleMs }) =>
    standingsStaleMs === undefined ? undefined : standingsStaleMs / 1000
  )
  gauge('vecauthz_replicas', 'Processes that share the store, this one included, as it was last heard', ({ budgets }) => budgets?.replicas)
  gauge(
    'vecauthz_budget_share',
    'Of each budget, what this process admits: less than 1 while the store is away',
    ({ budgets }) => budgets?.share
  )
  new Gauge({
    name: 'vecauthz_standings',
    help: 'Workloads, and agent types in collections, by how they stand; normal ones are not counted',
    labelNames: ['scope', 'standing'],
    registers: [registry],
    collect() {
      const { standings } = facts()
      if (standings === undefined) return
      for (const standing of STANDINGS) {
        if (standing === 'normal') continue
        for (const scope of ['workload', 'cohort'] as const) this.set({ scope, standing }, standings[scope][standing])
      }
    }
  })
}

function registerPolicy(registry: Registry, facts: () => ServerFacts): void {
  new Gauge({
    name: 'vecauthz_policy_since_timestamp_seconds',
    help: 'When the policy came into force',
    registers: [registry],
    collect() {
      this.set(facts().policy.since / 1000)
    }
  })
  new Gauge({
    name: 'vecauthz_policy_refused',
    help: '1: a newer policy has faults; the old one stays in force',
    registers: [registry],
    collect() {
      this.set(Number(facts().policy.refused))
    }
  })
  new Counter({
    name: 'vecauthz_policy_loads_total',
    help: 'Policies that were read since the start',
    labelNames: ['result'],
    registers: [registry],
    collect() {
      this.reset()
      const { loaded, failed } = facts().policy
      this.inc({ result: 'loaded' }, loaded)
      this.inc({ result: 'failed' }, failed)
    }
  })
}

function registerAudit(registry: Registry, facts: () => ServerFacts): void {
  new Counter({
    name: 'vecauthz_audit_refused_total',
    help: 'Audit lines that could not be kept; what they were of was refused',
    registers: [registry],
    collect() {
      this.reset()
      this.inc(facts().audit.refused)
    }
  })
  new Gauge({
    name: 'vecauthz_audit_waiting_bytes',
    help: 'Audit lines that are not delivered yet, in memory and on the disk',
    labelNames: ['in'],
    registers: [registry],
    collect() {
      const { waitingBytes, spilledBytes } = facts().audit
      this.set({ in: 'memory' }, waitingBytes)
      this.set({ in: 'spill' }, spilledBytes)
    }
  })
  new Gauge({
    name: 'vecauthz_audit_sinks_failing',
    help: 'Audit sinks that take nothing right now',
    registers: [registry],
    collect() {
      this.set(facts().audit.failing.length)
    }
  })
  new Gauge({
    name: 'vecauthz_audit_used_ratio',
    help: 'What is used of the room for audit lines that wait, of the sink that has least of it: 1 is all',
    labelNames: ['in'],
    registers: [registry],
    collect() {
      const { memory, spill } = facts().audit.used
      this.set({ in: 'memory' }, memory)
      this.set({ in: 'spill' }, spill)
    }
  })
  const gauge = gaugesOf(registry, facts)
  gauge(
    'vecauthz_audit_oldest_seconds',
    'How long the oldest audit line has waited that is not delivered',
    ({ audit }) => audit.oldestMs / 1000
  )
}
