/** What a port is for, by its settings: who says whose call it is, and what goes out with a grant. */
import type { Settings } from './config/settings-schema.ts'
import { accept, type Result, refuse } from './core/deny-reason.ts'
import type { SpentTokens } from './core/policy-token.ts'
import type { Vouch } from './envoy/decide.ts'
import { createPolicyIssuerCache } from './identity/policy-token-issuer.ts'
import type { SvidSnapshot } from './spire/workload-api.ts'
import { createSpentTokens } from './state/spent-tokens.ts'
import { mintPolicyToken, type PolicyTokenSigner, policyTokenSigner } from './verdict/policy-token.ts'
import type { Role } from './world.ts'

/** @param spent which tokens were used, where several processes must know it */
export function roleOf({ role, audience = '', token_leeway_seconds }: Settings, spent: SpentTokens = createSpentTokens()): Role {
  switch (role) {
    case 'gateway':
    case 'egress':
      return { kind: role }
    case 'index':
      return { kind: role, audience, leewayMs: token_leeway_seconds * 1000, issuers: createPolicyIssuerCache(), spent }
  }
}

/** What signs policy tokens at egress: always the SVID that is ours at this moment. Undefined for other roles. */
export function voucher({ role, audience = '' }: Settings, own: () => SvidSnapshot | undefined): Vouch | undefined {
  if (role !== 'egress') return undefined
  let known: { readonly svid: SvidSnapshot['svid']; readonly signer: Result<PolicyTokenSigner> } | undefined
  const signerNow = (): Result<PolicyTokenSigner> => {
    const svid = own()?.svid
    if (svid === undefined) return refuse('trust-unavailable', 'we have no SVID to sign policy tokens with')
    if (known?.svid !== svid) known = { svid, signer: signerOf(svid) }
    return known.signer
  }
  return ({ grant, judged, inbound, meaningHeaders, revision, decisionId, at }) => {
    const signer = signerNow()
    if (!signer.ok) return signer
    const facts = { audience, request: inbound, meaningHeaders, policy: revision, judged: judged?.kind, tokenId: decisionId, now: at }
    return accept(mintPolicyToken(grant, signer.value, facts))
  }
}

function signerOf(svid: SvidSnapshot['svid']): Result<PolicyTokenSigner> {
  const made = policyTokenSigner(svid)
  return made.ok ? accept(made.signer) : refuse('trust-unavailable', made.because)
}
