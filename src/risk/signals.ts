/** What a signal of another system asks for (core/signal.ts; admin/signal-routes.ts is where it comes in). */
import type { RiskSignal } from '../core/signal.ts'
import type { Alarm } from '../core/standings.ts'

/** What it asks for. A lower level takes nothing back: down is the way of the ladder. */
export function signalAlarm({ id, by, event }: RiskSignal): Alarm | undefined {
  const said = (says: string) => ({ says: `${by} says: ${says} (${id})`, decisionIds: [], figures: {} })
  if (event.kind === 'session-revoked') return { level: 'quarantine', cause: 'signal', evidence: said('session-revoked') }
  switch (event.level) {
    case 'HIGH':
      return { level: 'step-up', cause: 'signal', evidence: said('risk level HIGH') }
    case 'MEDIUM':
      return { level: 'slowed', cause: 'signal', evidence: said('risk level MEDIUM') }
    case 'LOW':
      return undefined
  }
}
