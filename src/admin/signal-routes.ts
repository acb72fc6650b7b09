/** What the admin port hears from other systems: that a workload is not what it should be, and figures about it. */
import { z } from 'zod'
import { key } from '../core/keys.ts'
import type { RiskDesk } from '../core/risk-desk.ts'
import type { RiskSignal } from '../core/signal.ts'
import { parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts'
import type { Store } from '../core/store.ts'
import { type Policy, type Workload, workloadOf } from '../policy/policy.ts'
import { type AdminRoute, problem, route, type Visit } from './admin-route.ts'
import { reason } from './approval-routes.ts'
import { createPace } from './pace.ts'
import { replyOf } from './standing-routes.ts'

/** As CAEP names them, and what they lead to: `medium` slows, `high` asks for a step-up, `session_revoked` quarantines. */
export const SIGNAL_EVENTS = ['risk_spike', 'session_revoked'] as const
export const SIGNAL_LEVELS = ['low', 'medium', 'high'] as const
export const SIGNAL_ID = /^[A-Za-z0-9._:-]{1,128}$/

const workload = z.string().min(1).max(2_048)
const common = {
  workload,
  id: z.string().regex(SIGNAL_ID, 'must be 1 to 128 of letters, digits, ".", "_", ":", "-"'),
  at: z.iso.datetime(),
  reason
}
const signal = z.discriminatedUnion('event', [
  z.strictObject({ event: z.literal('risk_spike'), level: z.enum(SIGNAL_LEVELS), ...common }),
  z.strictObject({ event: z.literal('session_revoked'), ...common })
])
const figure = z.strictObject({ workload, name: z.string().min(1).max(64), value: z.number().min(-1e12).max(1e12) })

/** A signal of another time says nothing of now: repeated when what it said is long over, it would raise again. */
const SKEW_MS = 300_000
/** Longer than it could be taken at all. */
const HEARD_MS = 3 * SKEW_MS
/** Of one identity: a system that was taken over must not quarantine everybody before somebody sees it, nor fill the room for standings. */
const SIGNALS = [
  { windowMs: 60_000, most: 60 },
  { windowMs: 3_600_000, most: 1_000 }
]

export interface SignalEdges {
  /** Of those that the settings name, beside operators. */
  readonly isSignaler: (id: SpiffeId) => boolean
  readonly desk: Pick<RiskDesk, 'raised' | 'signal'>
  readonly store: Store
}

export function signalRoutes({ desk, store, isSignaler }: SignalEdges): readonly AdminRoute[] {
  const inPace = createPace(SIGNALS)
  const mayTell = ({ id, isOperator }: Pick<Visit<unknown>, 'id' | 'isOperator'>) => isOperator || isSignaler(id)
  return [
    route({
      method: 'POST',
      path: '/v1/signals',
      says: 'Another system says that a workload is not what it should be: its standing rises at once. For operators and signalers.',
      who: 'anybody',
      body: signal,
      act: 'signal',
      async handle(visit) {
        const { id: by, body, policy, now } = visit
        if (!mayTell(visit)) return FORBIDDEN
        if (!inPace(by.text, now)) return TOO_MANY
        const known = knownIn(policy, body.workload)
        if (known === undefined) return UNKNOWN
        if (known.shadow) return problem(409, 'Not possible', 'Whatever that workload calls is in shadow: nothing is raised.')
        const at = Date.parse(body.at)
        if (!(Math.abs(now - at) <= SKEW_MS))
          return problem(409, 'Not possible', `It is of another time: at most ${SKEW_MS / 1000} s from now.`)
        const { reason: _, at: __, ...said } = body
        const text = JSON.stringify(said)
        const put = await store.putOnce(key('signal', by.text, body.id), text, now + HEARD_MS, now)
        // Where that cannot be known it is heard all the same: raised twice it is raised.
        if (put.kind === 'there' && put.value !== text) return problem(409, 'Not possible', 'That id was used for another signal.')
        const before = { workload: body.workload, signal: body.id, heard: 'before' }
        if (put.kind === 'there') return { status: 200, body: before, facts: before }
        return replyOf(desk.raised({ id: body.id, by: by.text, workload: body.workload, event: eventOf(body), at: now }))
      }
    }),
    route({
      method: 'POST',
      path: '/v1/figures',
      says: 'A figure of another system about a workload, for monitoring rules with `metric: signal`. For operators and signalers.',
      who: 'anybody',
      body: figure,
      act: 'figure.put',
      async handle(visit) {
        const { workload: about, name, value } = visit.body
        if (!mayTell(visit)) return FORBIDDEN
        const known = knownIn(visit.policy, about)
        return known === undefined ? UNKNOWN : replyOf(desk.signal(about, name, value, visit.now))
      }
    })
  ]
}

function eventOf(body: z.infer<typeof signal>): RiskSignal['event'] {
  if (body.event === 'session_revoked') return { kind: 'session-revoked' }
  return { kind: 'risk-level-change', level: body.level.toUpperCase() as 'LOW' | 'MEDIUM' | 'HIGH' }
}

const FORBIDDEN = problem(403, 'Forbidden', 'Neither one of admin.operators nor of admin.signalers.')
const TOO_MANY = problem(429, 'Too many requests', 'One identity may tell 60 signals a minute, and 1000 an hour.')
const UNKNOWN = problem(404, 'Not found', 'The policy knows no such workload.')

/** Names that nobody knows would fill what is kept of those that somebody does. */
function knownIn(policy: Policy, text: string): Workload | undefined {
  const id = parseSpiffeId(text)
  return id.ok ? workloadOf(policy, id.id) : undefined
}
