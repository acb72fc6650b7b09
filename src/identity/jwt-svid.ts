import type { SpiffeId } from '../core/spiffe-id.ts'
import { strictBase64Url } from './base64.ts'
import { type JsonObject, objectOf, parseJson } from './json.ts'
import { readClaims } from './jwt-claims.ts'
import { readHeader } from './jwt-header.ts'
import { type JwtKeySets, signatureFault } from './jwt-keys.ts'
import { type Fault, fault, type RuleNumber } from './rules.ts'

/** Characters of a token: SPIRE's are under 1 KiB, and Envoy's limit for all headers together is a few times this. */
const TOKEN_CHARS_MAX = 8 * 1024
/** Objects and arrays around the innermost claim: the deepest that issuers are known to write is 3. */
const CLAIM_DEPTH_MAX = 8
/** A clock that is off by more than this is to be mended, not tolerated. */
const LEEWAY_MS_MAX = 60_000

export interface JwtCheck {
  /** Who we are: one of the token's audiences must be exactly this. Empty accepts nothing (rule J-14). */
  readonly audience: string
  /** Milliseconds since the epoch. */
  readonly now: number
  /** Clock difference tolerated for exp and nbf, milliseconds, 0 to 60,000. */
  readonly leewayMs: number
}

export interface JwtAccepted {
  readonly ok: true
  readonly id: SpiffeId
  /** All of them: a token for several is one that each of them can show to the others. */
  readonly audiences: readonly string[]
  /** Milliseconds since the epoch, the leeway not counted. */
  readonly expiresAt: number
  /** `jti`, where the token has one: for the revocation list only (rule J-25). */
  readonly tokenId: string | undefined
}

export interface JwtRefused {
  readonly ok: false
  readonly rule: RuleNumber
  /** `svid-expired` only for a token that was good until its end. */
  readonly kind: 'svid-expired' | 'svid-untrusted'
  readonly detail: string
}

export type JwtVerdict = JwtAccepted | JwtRefused

/**
 * The JWT-SVID rulebook: whether `token` proves a SPIFFE ID to `audience` under these key sets at `now`. JWT-SVID §2 to §5,
 * RFC 7515, RFC 7519 §7.2; rules J-1 to J-27, W-1, W-2. Never throws. ES* signatures have two spellings, so the text of a token
 * names nothing uniquely.
 */
export function verifyJwtSvid(token: string, keySets: JwtKeySets, { audience, now, leewayMs }: JwtCheck): JwtVerdict {
  const read = readToken(token)
  if (!read.ok) return untrusted(read)
  const header = readHeader(read.header)
  if (!header.ok) return untrusted(header)
  const claims = readClaims(read.claims)
  if (!claims.ok) return untrusted(claims)
  const { id, audiences, expiresAt, notBefore, tokenId } = claims
  if (audience === '') return untrusted(fault('J-14', 'no audience is configured here, so no token is for us'))
  if (!audiences.includes(audience)) return untrusted(fault('J-13', `none of its ${audiences.length} audiences is ours`))
  const keys = keySets.get(id.trustDomain)
  if (keys === undefined) return untrusted(fault('J-19', `there is no JWT bundle for the trust domain ${id.trustDomain}`))
  if (keys.length === 0) return untrusted(fault('J-20', `the JWT bundle of the trust domain ${id.trustDomain} has no keys`))
  const forged = signatureFault(keys, header.algorithm, header.kid, read.signed, read.signature)
  if (forged !== undefined) return untrusted(forged)
  const leeway = Math.min(Math.max(leewayMs, 0), LEEWAY_MS_MAX)
  // Asked so that a time which is no number refuses.
  if (!(now < expiresAt + leeway)) return { ...fault('J-15', `it expired at ${iso(expiresAt)}`), kind: 'svid-expired' }
  if (notBefore !== undefined && !(now >= notBefore - leeway)) return untrusted(fault('J-16', `it is not valid before ${iso(notBefore)}`))
  return { ok: true, id, audiences, expiresAt, tokenId }
}

interface TokenParts {
  readonly ok: true
  readonly header: JsonObject
  readonly claims: JsonObject
  /** The bytes under the signature (RFC 7515 §5.2). */
  readonly signed: Buffer
  readonly signature: Buffer
}

/** The three parts of a compact JWS, whatever they claim. Rules J-1, J-2, J-22, J-24. */
export function readToken(token: string): TokenParts | Fault {
  if (token.length > TOKEN_CHARS_MAX) return fault('J-24', `${token.length} characters, and ${TOKEN_CHARS_MAX} are the most`)
  const parts = token.split('.')
  if (parts.length !== 3 || parts.includes(''))
    return fault('J-1', `${parts.filter((part) => part !== '').length} parts in ${parts.length - 1} dots`)
  const [header, claims, signature] = parts.map(strictBase64Url)
  if (header === undefined || claims === undefined || signature === undefined) return fault('J-2', 'a part is not strict base64url')
  const [headerMembers, claimMembers] = [members(header, 'header'), members(claims, 'claims')]
  if ('rule' in headerMembers) return headerMembers
  if ('rule' in claimMembers) return claimMembers
  const signed = Buffer.from(token.slice(0, token.lastIndexOf('.')), 'latin1')
  return { ok: true, header: headerMembers, claims: claimMembers, signed, signature }
}

const PROBLEMS = { malformed: 'J-1', repeated: 'J-22', deep: 'J-24', prototype: 'J-24' } as const

function members(json: Buffer, what: string): JsonObject | Fault {
  const read = parseJson(json, CLAIM_DEPTH_MAX)
  if (!read.ok) return fault(PROBLEMS[read.problem], `its ${what} ${read.detail}`)
  const object = objectOf(read.value)
  return object ?? fault('J-1', `its ${what} is no JSON object`)
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}

function untrusted({ rule, detail }: Fault): JwtRefused {
  return { ok: false, rule, kind: 'svid-untrusted', detail }
}
