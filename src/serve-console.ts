/** What people see of this server, put together: decisions, workloads, alerts and the state of it, as routes of the admin port. */
import { dirname, isAbsolute, join } from 'node:path'
import type { Logger } from 'pino'
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
import { keepLines, putAside, readKept } from './state/kept-lines.ts'
import { instanceOf, openUsage } from './usage/usage-file.ts'
import { type Usable, useOf } from './usage/use-of.ts'

export interface ServedConsole {
  /** @param keys names of the credential headers that came along */
  readonly decided: (one: Seeable & Usable, keys: readonly string[]) => void
  readonly moved: (move: Move) => void
  /** A policy's rule calls a person for a figure. */
  readonly found: (rule: MonitoringRule, value: number, workload: string, decisionId: string, at: number) => void
  readonly unchecked: (envoy: string, database: string, workload: string, at: number) => void
  readonly routes: (its: ConsoleParts) => readonly AdminRoute[]
  /** What was seen is written once more. */
  readonly close: () => Promise<void>
}

export interface ConsoleEdges {
  readonly settingsFile: string
  readonly log: Logger
}

export interface ConsoleParts {
  readonly risk: ServedRisk | undefined
  readonly memory: Memory | undefined
  readonly revocations: Revocations
  readonly state: () => Readonly<Record<string, unknown>>
}

/** Undefined where there is no admin port: then nothing of it costs anything. Rejects with a sentence where its folder cannot be used. */
export async function openConsole(settings: Settings, edges: ConsoleEdges): Promise<ServedConsole | undefined> {
  if (settings.admin === undefined) return undefined
  const seen: Seen = createSeen()
  const inbox: Inbox = createInbox()
  const keeping = keepingOf(settings, edges)
  const usage = await openUsage(keeping)
  const alerts = await keepAlerts(inbox, keeping)
  return {
    decided(one, keys) {
      seen.decided(one)
      const use = useOf(one, keys)
      if (use !== undefined) usage.book.note(use)
    },
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
        usage,
        inbox,
        keepAlerts: alerts.save,
        tail: createTail(seen, decisionJson),
        risk: risk?.desk,
        budgetLeft: (workload, budget, now) => {
          const pace = { perSecond: budget.per_second, burst: budget.burst }
          return { ...rateFacts(memory?.budgetOf(workload), now, pace) }
        }
      })
    ],
    async close() {
      await usage.close()
      await alerts.close()
    }
  }
}

type KeepingOptions = Parameters<typeof openUsage>[0]

function keepingOf({ inventory }: Settings, { settingsFile, log }: ConsoleEdges): KeepingOptions {
  const { folder, every_seconds: everySeconds = 0, instance = instanceOf(settingsFile) } = inventory ?? {}
  return {
    folder: folder === undefined || isAbsolute(folder) ? folder : join(dirname(settingsFile), folder),
    instance,
    everySeconds,
    now: Date.now,
    onDamaged: (aside) => log.error({ aside }, 'inventory: a file was damaged and is put aside; what it said begins anew'),
    onFault: (because) => log.error({ because }, 'inventory: what was seen cannot be written')
  }
}

/** What became of alerts outlives the process, where the settings have a folder for it. */
async function keepAlerts(inbox: Inbox, { folder, instance, everySeconds, now, onDamaged, onFault }: KeepingOptions) {
  if (folder === undefined) return { save: async () => true, close: async () => true }
  const name = `${instance}.alerts`
  const read = await readKept(folder, name, now())
  if (read.kind === 'damaged') onDamaged(read.aside)
  if (read.kind === 'lines' && !inbox.take(read.lines)) onDamaged(await putAside(folder, name, now()))
  return keepLines({ folder, name, lines: inbox.lines, changes: inbox.changes, everyMs: everySeconds * 1000, onFault })
}

function noteMove(inbox: Inbox, { scope, to, term, at }: Move): void {
  if (to !== 'quarantine' && to !== 'step-up') return
  const subject = scope.kind === 'workload' ? scope.id : `${scope.agentType} in ${scope.tenant}/${scope.database}/${scope.collection}`
  const says = `${to}: ${term?.evidence.says ?? 'raised elsewhere'}`
  const severity = to === 'quarantine' ? 'page' : 'ticket'
  inbox.add({ kind: 'standing', subject, says, severity, scope, decisionIds: term?.evidence.decisionIds ?? [] }, at)
}
