/** Mints the policy token: at egress only, and for a grant only, so that nothing is vouched for that was not checked. Pure. */
import { createHash, type KeyObject, sign } from 'node:crypto'
import { type AnyGrant, tenantOfGrant } from '../core/decision.ts'
import type { DenyKind } from '../core/deny-reason.ts'
import { POLICY_TOKEN_CHARS_MAX, POLICY_TOKEN_SECONDS_MAX, POLICY_TOKEN_TYPE, type PolicyClaims } from '../core/policy-token.ts'
import { type DigestedRequest, requestDigest } from '../core/request-digest.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'

/** Our own X.509-SVID, as the Workload API gave it: the key belongs to the first certificate, and the ID is that of its URI SAN. */
export interface SigningSvid {
  readonly id: SpiffeId
  /** DER, leaf first, intermediates after it. */
  readonly certificates: readonly Uint8Array[]
  readonly key: KeyObject
}

export interface PolicyTokenSigner {
  readonly issuer: string
  readonly key: KeyObject
  readonly hash: 'sha256' | 'sha384'
  /** Of an ECDSA key: bytes of one of the two numbers of its signatures; 0 for RSA. */
  readonly numberBytes: number
  /** The encoded header: the same for every token of one SVID. */
  readonly header: string
}

export type PolicyTokenSignerResult =
  | { readonly ok: true; readonly signer: PolicyTokenSigner }
  /** `because`: a sentence for the operator. */
  | { readonly ok: false; readonly because: string }

/** Left for claims and signature: with the longest SPIFFE IDs that are in use, 1.5 KiB. */
const CLAIMS_CHARS = 2 * 1024

/** One for each SVID, made when it arrives. Refused are keys that no policy token is signed with: P-521 and Ed25519. @param typ of the JWS */
export function policyTokenSigner({ id, certificates, key }: SigningSvid, typ = POLICY_TOKEN_TYPE): PolicyTokenSignerResult {
  const algorithm = algorithmOf(key)
  if (algorithm === undefined)
    return { ok: false, because: `Our SVID has a key that signs no policy tokens (${kindOf(key)}); issue it with P-256, P-384 or RSA.` }
  const x5c = certificates.map((certificate) => Buffer.from(certificate).toString('base64'))
  const header = base64url({ alg: algorithm.alg, typ, x5c })
  if (header.length > POLICY_TOKEN_CHARS_MAX - CLAIMS_CHARS)
    return { ok: false, because: `The certificates of our SVID are too long for a policy token (${header.length} characters).` }
  return { ok: true, signer: { issuer: id.text, key, hash: algorithm.hash, numberBytes: algorithm.numberBytes, header } }
}

function algorithmOf(
  key: KeyObject
): { readonly alg: string; readonly hash: PolicyTokenSigner['hash']; readonly numberBytes: number } | undefined {
  switch (kindOf(key)) {
    case 'prime256v1':
      return { alg: 'ES256', hash: 'sha256', numberBytes: 32 }
    case 'secp384r1':
      return { alg: 'ES384', hash: 'sha384', numberBytes: 48 }
    case 'rsa':
      return { alg: 'RS256', hash: 'sha256', numberBytes: 0 }
    default:
      return undefined
  }
}

function kindOf(key: KeyObject): string {
  return key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? 'unknown'
}

/** What a token says beside the grant. */
export interface PolicyTokenFacts {
  /** Name of the index that it is for. */
  readonly audience: string
  /** The request as it leaves egress, and the headers that change its meaning (the dialect's `meaningHeaders`). */
  readonly request: DigestedRequest
  readonly meaningHeaders: readonly string[]
  /** Revision of the policy that granted. */
  readonly policy: string
  /** What the call would have been denied for, had it not been in shadow. */
  readonly judged?: DenyKind | undefined
  /** 128 random bits or more, base64url: never the same twice. */
  readonly tokenId: string
  /** Milliseconds since the epoch. */
  readonly now: number
}

/** One token for one call: a JWS in compact form (RFC 7515 §7.1). */
export function mintPolicyToken(grant: AnyGrant, signer: PolicyTokenSigner, facts: PolicyTokenFacts): string {
  const iat = Math.floor(facts.now / 1000)
  const claims: PolicyClaims = {
    iss: signer.issuer,
    sub: grant.caller.id.text,
    aud: facts.audience,
    // Undefined ones are not written.
    tenant: tenantOfGrant(grant),
    purpose: grant.kind === 'tenant' ? grant.purpose : undefined,
    act: grant.call.operation,
    dig: requestDigest(facts.request, facts.meaningHeaders, createHash('sha256')),
    policy: facts.policy,
    judged: facts.judged,
    jti: facts.tokenId,
    iat,
    exp: iat + POLICY_TOKEN_SECONDS_MAX
  }
  return signCompact(signer, claims)
}

/** A JWS in compact form, with the chain of its signer in the header. */
export function signCompact(signer: PolicyTokenSigner, claims: object): string {
  const input = `${signer.header}.${base64url(claims)}`
  const signature = sign(signer.hash, Buffer.from(input, 'latin1'), signer.key)
  return `${input}.${(signer.numberBytes === 0 ? signature : twoNumbers(signature, signer.numberBytes)).toString('base64url')}`
}

/**
 * An Ecdsa-Sig-Value of OpenSSL (DER, RFC 3279 §2.2.3) as JWS has it: its two numbers side by side, equally long (RFC 7518 §3.4). Node
 * can do this too, and takes as long for it as for the signature.
 * @param bytes of each number; below 128 in all, so that no length takes two bytes
 */
function twoNumbers(der: Buffer, bytes: number): Buffer {
  const both = Buffer.alloc(2 * bytes)
  const lengthOfR = der[3] ?? 0
  place(der, 4, lengthOfR, both, bytes)
  place(der, 6 + lengthOfR, der[5 + lengthOfR] ?? 0, both, 2 * bytes)
  return both
}

/** A number of `length` bytes at `at`, perhaps with a zero before it, so that it ends before `end`. */
function place(der: Buffer, at: number, length: number, into: Buffer, end: number): void {
  const start = der[at] === 0 ? at + 1 : at
  der.copy(into, end - (at + length - start), start, at + length)
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
