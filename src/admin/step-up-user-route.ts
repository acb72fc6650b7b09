/** The end user behind a challenged call answers its step-up without a call: somebody brings the token of the new sign-in (RFC 9470). */
import { z } from 'zod'
import type { RiskDesk } from '../core/risk-desk.ts'
import type { SubjectKeys } from '../identity/identify-subject.ts'
import { verifySubjectToken } from '../identity/subject-token.ts'
import { type AdminRoute, problem, type Reply, route } from './admin-route.ts'
import { reason } from './approval-routes.ts'
import { createPace } from './pace.ts'
import { replyOf } from './standing-routes.ts'
import { STEP_UP_ID } from './step-up-client.ts'

export interface UserAnswerEdges {
  readonly desk: Pick<RiskDesk, 'challenged' | 'answerByUser'>
  readonly keys: SubjectKeys
  readonly leewayMs: number
}

/** A token with many groups in it; Envoy takes no longer headers either. */
const TOKEN_CHARACTERS_MAX = 32 * 1024
/** Of one identity: each costs a look through all standings and a signature. */
const TRIES_MAX = 20
const WINDOW_MS = 60_000
const answer = z.strictObject({ token: z.string().min(1).max(TOKEN_CHARACTERS_MAX), reason })

const GONE = problem(404, 'Not found', 'No step-up of that id is open; it may have been answered, or have become a quarantine.')

export function userAnswerRoute({ desk, keys, leewayMs }: UserAnswerEdges): AdminRoute {
  const inPace = createPace([{ windowMs: WINDOW_MS, most: TRIES_MAX }])
  return route({
    method: 'POST',
    path: '/v1/step-ups/{id}/end-user',
    says: 'Answers a step-up with the token of a sign-in after the challenge, of the end user behind the challenged call.',
    // Whoever brings it is nobody: it is the token that says yes.
    who: 'anybody',
    body: answer,
    bodyBytesMax: TOKEN_CHARACTERS_MAX + 4_096,
    act: 'step-up.answer',
    async handle({ id, parts: [challenge = ''], body, policy, now }) {
      if (!inPace(id.text, now)) return TOO_MANY
      const workload = STEP_UP_ID.test(challenge) ? desk.challenged(challenge, now) : undefined
      if (workload === undefined) return GONE
      // As if the challenged workload had sent it: a token that names another one who may use it is not for this.
      const judged = verifySubjectToken(body.token, { issuers: policy.subjects, keysOf: keys.keysOf, caller: workload, now, leewayMs })
      if (!judged.ok) return refused(judged, keys)
      const { subject } = judged
      if (subject.tokenId !== undefined && policy.revoked.tokenIds.has(subject.tokenId))
        return { ...INVALID, facts: { because: 'its jti is on the revoked list' } }
      const reply = replyOf(await desk.answerByUser(challenge, subject, { by: id.text, reason: body.reason, now }))
      return { ...reply, facts: { ...reply.facts, end_user: { issuer: subject.issuer, id: subject.id } } }
    }
  })
}

const TOO_MANY = problem(429, 'Too many requests', `One identity may bring ${TRIES_MAX} tokens a minute.`)
const INVALID = problem(403, 'Forbidden', "The end user's token is not valid here.")
const EXPIRED = problem(403, 'Forbidden', "The end user's token has expired.")
const LATER = problem(503, 'Unavailable', 'The keys of its issuer are not known right now; they are being asked for.')

type Refused = Extract<ReturnType<typeof verifySubjectToken>, { ok: false }>

/** Why goes on record, and not to whoever tries tokens. */
function refused({ rule, kind, detail, issuer }: Refused, keys: SubjectKeys): Reply {
  const facts = { because: `${rule}: ${detail}` }
  if (kind === 'expired') return { ...EXPIRED, facts }
  if (kind === 'invalid' || issuer === undefined) return { ...INVALID, facts }
  const asked = keys.askAgain(issuer)
  return kind === 'no-keys' || asked ? { ...LATER, facts } : { ...INVALID, facts }
}
