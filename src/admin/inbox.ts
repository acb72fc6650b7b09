/** What waits for a person: one entry for each subject and kind until somebody says what it was. The audit record has all of it for ever. */
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Scope } from '../core/standing.ts'

export type AlertKind = 'standing' | 'monitoring' | 'unchecked-call' | 'policy-refused'
export type AlertVerdict = 'seen' | 'false-positive'

export interface AlertFacts {
  readonly kind: AlertKind
  /** A SPIFFE ID, an agent type in a collection, an Envoy, or `policy`. */
  readonly subject: string
  readonly says: string
  readonly severity: 'page' | 'ticket'
  /** Whose standing it is, where it is one. */
  readonly scope?: Scope | undefined
  readonly decisionIds?: readonly string[]
}

export interface Alert extends AlertFacts {
  readonly id: string
  readonly firstAt: number
  readonly lastAt: number
  readonly count: number
  readonly acknowledged: { readonly at: number; readonly by: string; readonly reason: string; readonly as: AlertVerdict } | undefined
}

export interface Inbox {
  readonly add: (facts: AlertFacts, at: number) => void
  /** The newest first. */
  readonly list: () => readonly Alert[]
  readonly get: (id: string) => Alert | undefined
  /** @returns undefined: there is none of that id that is open */
  readonly acknowledge: (id: string, as: AlertVerdict, by: string, reason: string, at: number) => Alert | undefined
  /** Goes up with each change. */
  readonly changes: () => number
  /** All of them as lines of text, the oldest first. */
  readonly lines: () => readonly string[]
  /** Takes over what was written. @returns false: it is none of that, and nothing is taken */
  readonly take: (lines: readonly string[]) => boolean
}

const scope = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('workload'), id: z.string() }),
  z.strictObject({ kind: z.literal('cohort'), tenant: z.string(), agentType: z.string(), database: z.string(), collection: z.string() })
])
const written = z.strictObject({
  id: z.string(),
  kind: z.enum(['standing', 'monitoring', 'unchecked-call', 'policy-refused']),
  subject: z.string(),
  says: z.string(),
  severity: z.enum(['page', 'ticket']),
  scope: scope.optional(),
  decisionIds: z.array(z.string()).default([]),
  firstAt: z.number(),
  lastAt: z.number(),
  count: z.number(),
  acknowledged: z.strictObject({ at: z.number(), by: z.string(), reason: z.string(), as: z.enum(['seen', 'false-positive']) }).optional()
})

const ALERTS_MAX = 500

export function createInbox(): Inbox {
  const all = new Map<string, Alert>()
  const open = new Map<string, string>()
  const keyOf = ({ kind, subject }: AlertFacts) => `${kind} ${subject}`
  let changes = 0
  return {
    changes: () => changes,
    lines: () => [...all.values()].map((one) => JSON.stringify(one)),
    take(lines) {
      const read = lines.map(readAlert)
      const alerts = read.filter((one) => one !== undefined)
      if (alerts.length < read.length) return false
      for (const alert of alerts.slice(-ALERTS_MAX)) {
        all.set(alert.id, alert)
        if (alert.acknowledged === undefined) open.set(keyOf(alert), alert.id)
      }
      return true
    },
    add(facts, at) {
      changes++
      const known = all.get(open.get(keyOf(facts)) ?? '')
      const alert: Alert =
        known === undefined
          ? { ...facts, id: randomUUID(), firstAt: at, lastAt: at, count: 1, acknowledged: undefined }
          : { ...known, ...facts, lastAt: at, count: known.count + 1 }
      all.delete(alert.id)
      all.set(alert.id, alert)
      open.set(keyOf(facts), alert.id)
      if (all.size <= ALERTS_MAX) return
      const [oldest] = all.values()
      if (oldest === undefined) return
      all.delete(oldest.id)
      if (open.get(keyOf(oldest)) === oldest.id) open.delete(keyOf(oldest))
    },
    list: () => [...all.values()].reverse(),
    get: (id) => all.get(id),
    acknowledge(id, as, by, reason, at) {
      const alert = all.get(id)
      if (alert === undefined || alert.acknowledged !== undefined) return undefined
      changes++
      const done = { ...alert, acknowledged: { at, by, reason, as } }
      all.set(id, done)
      open.delete(keyOf(alert))
      return done
    }
  }
}

function readAlert(line: string): Alert | undefined {
  try {
    return { acknowledged: undefined, ...written.parse(JSON.parse(line)) }
  } catch {
    return undefined
  }
}
