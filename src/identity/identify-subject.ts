/** The end user behind a call: the token in `x-vecauthz-subject-token`, which is never passed on. */
import type { Caller, SubjectIssuer } from '../core/caller.ts'
import { accept, type Result, refuse } from '../core/deny-reason.ts'
import type { JwtKey } from './jwt-keys.ts'
import { type SubjectVerdict, verifySubjectToken } from './subject-token.ts'
import { remembered, type VerdictCache } from './verdict-cache.ts'

export const SUBJECT_HEADER = 'x-vecauthz-subject-token'

/** What the issuers publish, as far as it is known here. */
export interface SubjectKeys {
  /** Grows with every change of any issuer's keys. */
  readonly generation: number
  /** Undefined where the keys were never had, or are too old to be believed. */
  readonly keysOf: (issuer: string) => readonly JwtKey[] | undefined
  /** Asks for the keys again, for a token that none of them signed. @returns false when that was done a moment ago */
  readonly askAgain: (issuer: string) => boolean
}

export interface SubjectEvidence {
  readonly issuers: ReadonlyMap<string, SubjectIssuer>
  /** Content hash of the policy that lists the issuers. */
  readonly revision: string
  readonly keys: SubjectKeys
  readonly leewayMs: number
  readonly since: number
}

const FRESH = 'Send a fresh token of the user in x-vecauthz-subject-token.'

/**
 * `caller` with the end user that `token` proves. One token is one verdict for each caller, because it may name who may use it
 * (rules U-12, U-14).
 */
export function identifySubject(
  token: string,
  caller: Caller,
  { issuers, revision, keys, leewayMs, since }: SubjectEvidence,
  now: number,
  cache: VerdictCache<Caller>
): Result<Caller> {
  // All of the caller is in the result, and a serial number is one authority's: two carriers may have the same.
  const { id, evidence, carrier, serial, tokenId } = caller
  const key = `${id.text} ${evidence} ${carrier?.text ?? ''} ${serial ?? ''} ${tokenId ?? ''} ${token}`
  // The caller's own evidence is in the result: what was proven again since is not taken from here.
  const from = Math.max(since, caller.provenAt)
  return remembered(cache, { basis: `${revision} ${keys.generation}`, key, now, since: from }, () => {
    const judged = verifySubjectToken(token, { issuers, keysOf: keys.keysOf, caller: caller.id.text, now, leewayMs })
    if (!judged.ok) return { verdict: refused(judged, keys), until: now }
    return { verdict: accept({ ...caller, subject: judged.subject }), until: judged.subject.expiresAt + leewayMs }
  })
}

function refused({ rule, kind, detail, issuer }: SubjectVerdict & { readonly ok: false }, keys: SubjectKeys): Result<never> {
  const because = `${rule}: ${detail}`
  if (kind === 'expired') return refuse('subject-expired', because, FRESH)
  if (kind === 'invalid' || issuer === undefined) return refuse('subject-invalid', because)
  const asked = keys.askAgain(issuer)
  if (kind === 'no-keys' || asked) return refuse('trust-unavailable', `${because}; they are being asked for`)
  return refuse('subject-invalid', because)
}
