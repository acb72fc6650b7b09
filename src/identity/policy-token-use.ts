/** The policy token of a call, as a decision needs it: the token or the denial, and its one use where there is one only. */
import { accept, type Refused, type Result, refuse } from '../core/deny-reason.ts'
import { key } from '../core/keys.ts'
import { isMutation, POLICY_TOKEN_HEADER, type PolicyToken, type Spending, type SpentTokens } from '../core/policy-token.ts'
import type { Operation } from '../core/vector-call.ts'
import { type PolicyTokenCheck, type PolicyTokenKind, verifyPolicyToken } from './policy-token.ts'
import type { PolicyIssuerCache } from './policy-token-issuer.ts'

const REMEDIES: Readonly<Record<PolicyTokenKind, string>> = {
  'token-missing': "Send the call through the workload's own Envoy, which adds the token.",
  'token-expired': 'Send the call again.',
  'token-mismatch': 'Send the call again, unchanged from where its token was issued.',
  'token-invalid': "Send the call through the workload's own Envoy, and no token of your own."
}

/** The token in `x-vecauthz-policy-token` of the request, if it is one for this call. */
export function admitPolicyToken(check: PolicyTokenCheck, cache: PolicyIssuerCache): Result<PolicyToken> {
  const verdict = verifyPolicyToken(check.request.headers.get(POLICY_TOKEN_HEADER), check, cache)
  if (verdict.ok) return accept(verdict.token)
  const { kind, rule, detail } = verdict
  return refuse(kind, `${rule}: ${detail}`, REMEDIES[kind])
}

/**
 * Uses a token for a call that is about to pass: once for what changes something, as often as it likes for what does not (rule T-19).
 * @param operation what the index read itself, never what the token says
 * @param check key of the Envoy that asks and its `http.id`
 * @returns why the call must not pass, or undefined; a promise only where `tokens` gives one
 */
export function spendPolicyToken(
  { issuer, tokenId, until }: PolicyToken,
  operation: Operation,
  check: string,
  now: number,
  tokens: SpentTokens
): Refused | undefined | Promise<Refused | undefined> {
  if (!isMutation(operation)) return undefined
  const spending = tokens.spend(key(issuer.text, tokenId), check, until, now)
  return spending instanceof Promise ? spending.then(refusalOf) : refusalOf(spending)
}

function refusalOf(spending: Spending): Refused | undefined {
  switch (spending) {
    case 'ours':
      return undefined
    case 'spent':
      return refuse('token-mismatch', 'T-19: the policy token was used for another call', REMEDIES['token-expired'])
    case 'full':
      return refuse('state-unavailable', 'T-19: there is no room to note that the policy token was used')
    case 'unavailable':
      return refuse('state-unavailable', 'T-19: nobody can say whether the policy token was used')
  }
}
