/** What people see of this server, put together: decisions, workloads, alerts and the state of it, as routes of the admin port. */
import type { AdminRoute } from './admin/admin-route.ts'
import { consolePages } from './admin/console-pages.ts'
import { consoleRoutes, decisionJson } from './admin/console-routes.ts'
import { createInbox, type Inbox } from './admin/inbox.ts'
import { revocationRoutes } from './admin/revocation-routes.ts'
import { createSeen, type Seeable, type Seen } from './admin/seen.ts'
import { createTail } from './admin/tail-stream.ts'
import type { Settings } from './config/settings-schema.ts'
import type { Memory } from './core/memory.ts'
import type { Revocations } from './core/revocation.ts'
import type { MonitoringRule } from './core/risk-rules.ts'
import type { Move } from './core/standings.ts'
import { rateFacts } from './risk/rate.ts'
import type { ServedRisk } from './serve-risk.ts'

export interface ServedConsole {
  readonly decided: (one: Seeable) => void
  readonly moved: (move: Move) => void
  /** A policy's rule calls a person for a figure. */
  readonly found: (rule: MonitoringRule, value: number, workload: string, decisionId: string, at: number) => void
  readonly unchecked: (envoy: string, database: string, workload: string, at: number) => void
  readonly routes: (its: ConsoleParts) => readonly AdminRoute[]
}

export interface ConsoleParts {
  readonly risk: ServedRisk | undefined
  readonly memory: Memory | undefined
  readonly revocations: Revocations
  readonly state: () => Readonly<Record<string, unknown>>
}

/** Undefined where there is no admin port: then nothing of it costs anything. */
export function openConsole({ admin }: Settings): ServedConsole | undefined {
  if (admin === undefined) return undefined
  const seen: Seen = createSeen()
  const inbox: Inbox = createInbox()
  return {
    decided: seen.decided,
    moved: (move) => noteMove(inbox, move),
    found: ({ metric, signal, threshold }, value, workload, decisionId, at) => {
      const says = `${signal ?? metric} is ${Math.round(value * 100) / 100}, above ${threshold}`
      inbox.add({ kind: 'monitoring', subject: workload, says, severity: 'page', decisionIds: [decisionId] }, at)
    },
    unchecked: (envoy, database, workload, at) => {
      const says = `a call of ${workload === '' ? 'somebody' : workload} reached ${database} without a decision`
      inbox.add({ kind: 'unchecked-call', subject: envoy, says, severity: 'page' }, at)
    },
    routes: ({ risk, memory, revocations, state }) => [
      ...consolePages(),
      ...revocationRoutes(revocations),
      ...consoleRoutes({
        state,
        seen,
        inbox,
        tail: createTail(seen, decisionJson),
        risk: risk?.desk,
        budgetLeft: (workload, budget, now) => {
          const pace = { perSecond: budget.per_second, burst: budget.burst }
          return { ...rateFacts(memory?.budgetOf(workload), now, pace) }
        }
      })
    ]
  }
}

function noteMove(inbox: Inbox, { scope, to, term, at }: Move): void {
  if (to !== 'quarantine' && to !== 'step-up') return
  const subject = scope.kind === 'workload' ? scope.id : `${scope.agentType} in ${scope.tenant}/${scope.database}/${scope.collection}`
  const says = `${to}: ${term?.evidence.says ?? 'raised elsewhere'}`
  const severity = to === 'quarantine' ? 'page' : 'ticket'
  inbox.add({ kind: 'standing', subject, says, severity, scope, decisionIds: term?.evidence.decisionIds ?? [] }, at)
}
