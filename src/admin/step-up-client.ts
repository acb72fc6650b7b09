/**
 * For programs that answer step-ups, such as a supervisor's own tool: reads the challenge of a refused call, and answers it over the
 * admin port. An end user signs in again, and either the client's next call has the new token, or it is answered here.
 */
import { type AdminAnswer, type AdminIdentity, type AdminTarget, askAdmin } from './admin-client.ts'

export interface StepUpAnswer {
  /** Of the challenge: `request_id` in `www-authenticate`, `x-vecauthz-step-up`, `step_up.id` of the body. */
  readonly id: string
  readonly verdict: 'approve' | 'refuse'
  /** One line, for the record. */
  readonly reason: string
}

/** Of an end user: the token of a sign-in after the challenge. */
export interface StepUpSignIn {
  readonly id: string
  readonly token: string
  /** One line, for the record. */
  readonly reason: string
}

/** `termId` of a standing. */
export const STEP_UP_ID = /^[A-Za-z0-9-]{1,128}\.[1-9][0-9]{0,15}$/

/** The id of the challenge in a `www-authenticate` header (RFC 9470 §3), or undefined. */
export function stepUpId(header: string): string | undefined {
  const [, id] = /^Bearer (?:[^"]|"[^"]*")*?\brequest_id="([^"]*)"/.exec(header) ?? []
  return id !== undefined && STEP_UP_ID.test(id) && header.includes('error="insufficient_user_authentication"') ? id : undefined
}

/**
 * Throws `Unreadable` where no answer can be had. Status 200: it was taken; 403, 404 and 409 say in `detail` why not.
 * @param who a supervisor of the policy, or an operator. @param now ms since the epoch
 */
export function answerStepUp(server: AdminTarget, who: AdminIdentity, answer: StepUpAnswer, now: number): Promise<AdminAnswer> {
  const { id, verdict, reason } = answer
  return askAdmin(server, who, { method: 'POST', path: `/v1/step-ups/${encodeURIComponent(id)}/answer`, body: { verdict, reason } }, now)
}

/**
 * The same with the end user's token. Status 200: it was taken; 403 and 404 say in `detail` why not.
 * @param who anybody with an SVID: it is the token that says yes. @param now ms since the epoch
 */
export function answerStepUpAsUser(server: AdminTarget, who: AdminIdentity, answer: StepUpSignIn, now: number): Promise<AdminAnswer> {
  const { id, token, reason } = answer
  return askAdmin(server, who, { method: 'POST', path: `/v1/step-ups/${encodeURIComponent(id)}/end-user`, body: { token, reason } }, now)
}
