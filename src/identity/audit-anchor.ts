/** Whether an anchor of audit chains was signed by an SVID that was good when it was made. */
import { type AnchorClaims, AUDIT_ANCHOR_TYPE, type Head } from '../core/audit-anchor.ts'
import type { TrustBundles } from '../core/trust.ts'
import { type Json, type JsonObject, numberOf } from './json.ts'
import { signatureFault } from './jwt-keys.ts'
import { proveIssuer } from './policy-token-issuer.ts'
import { readPolicyParts } from './policy-token-parts.ts'
import { type Fault, fault } from './rules.ts'

export type AnchorVerdict = { readonly ok: true; readonly claims: AnchorClaims } | Fault

/** A JWS in compact form, judged at the time that it says: it outlives the certificate that signed it. Rules T-1 to T-8. */
export function verifyAnchor(jws: string, trust: TrustBundles): AnchorVerdict {
  const parts = readPolicyParts(jws)
  if (!parts.ok) return parts
  const claims = claimsOf(parts.claims)
  if (claims === undefined) return fault('T-1', 'its claims are not those of an anchor')
  const issuer = proveIssuer(parts.header, trust, claims.iat * 1000, AUDIT_ANCHOR_TYPE)
  if (!issuer.ok) return issuer
  if (issuer.id.text !== claims.iss) return fault('T-8', `its x5c is the SVID of ${issuer.id.text}, and its iss is another`)
  const forged = signatureFault([issuer.key], issuer.algorithm, undefined, parts.signed, parts.signature)
  return forged === undefined ? { ok: true, claims } : fault('T-7', `the key of its issuer did not sign it (${forged.rule})`)
}

function claimsOf(members: JsonObject): AnchorClaims | undefined {
  const text = (name: string) => {
    const value = members.get(name)
    return typeof value === 'string' ? value : undefined
  }
  const [iss, run, ended] = [text('iss'), text('run'), members.get('ended')]
  const [iat, n] = [wholeOf(members.get('iat')), wholeOf(members.get('n'))]
  const [agents, people] = [headOf(text('agents')), headOf(text('people'))]
  if (iss === undefined || run === undefined || !/^[0-9a-f]{16}$/.test(run) || typeof ended !== 'boolean') return undefined
  if (iat === undefined || n === undefined || agents === undefined || people === undefined) return undefined
  return { iss, iat, run, n, ended, heads: { agents, people } }
}

function headOf(text: string | undefined): Head | undefined {
  const [, seq, hash] = /^(0|[1-9]\d{0,15}) ([0-9a-f]{64})$/.exec(text ?? '') ?? []
  return seq === undefined || hash === undefined ? undefined : { seq: Number(seq), hash }
}

function wholeOf(value: Json | undefined): number | undefined {
  const number = numberOf(value)
  return number !== undefined && Number.isSafeInteger(number) && number >= 0 ? number : undefined
}
