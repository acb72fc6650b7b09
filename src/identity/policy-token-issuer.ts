/** Who signed policy tokens: the chain in `x5c`, judged as any X.509-SVID, and once for all tokens of one SVID. */
import { CLOCK_SKEW_MS } from '../core/limits.ts'
import { POLICY_ISSUERS_CACHED_MAX } from '../core/policy-token.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { TrustBundles } from '../core/trust.ts'
import type { JwtAlgorithm, JwtKey } from './jwt-keys.ts'
import { readPolicyHeader } from './policy-token-parts.ts'
import { type Fault, fault } from './rules.ts'
import { keyFamily, publicKeyOf } from './x509-algorithms.ts'
import { verifyX509Svid } from './x509-svid.ts'

export interface ProvenIssuer {
  readonly ok: true
  readonly id: SpiffeId
  readonly serial: string
  /** What the header says it signed with. */
  readonly algorithm: JwtAlgorithm
  readonly key: JwtKey
  /** When the path is valid, milliseconds since the epoch, both ends inside. */
  readonly from: number
  readonly until: number
}

/** Chains that were proven, by the text of the header that they came in. Worth nothing under other bundles (rule T-20). */
export interface PolicyIssuerCache {
  generation: number
  readonly issuersMax: number
  readonly proven: Map<string, ProvenIssuer>
}

export function createPolicyIssuerCache(issuersMax = POLICY_ISSUERS_CACHED_MAX): PolicyIssuerCache {
  return { generation: Number.NaN, issuersMax, proven: new Map() }
}

/** The SVID behind a header, if it is one that is trusted right now. Rules T-1 to T-7, T-20. */
export function provenIssuer(header: string, trust: TrustBundles, now: number, cache: PolicyIssuerCache): ProvenIssuer | Fault {
  if (cache.generation !== trust.generation) {
    cache.proven.clear()
    cache.generation = trust.generation
  }
  const known = cache.proven.get(header)
  return known !== undefined && now >= known.from && now <= known.until ? known : proveIssuer(header, trust, now)
}

/** Remembers an issuer whose signature was seen: whoever only has its certificates, which are public, fills no cache. */
export function keepIssuer(header: string, issuer: ProvenIssuer, { proven, issuersMax }: PolicyIssuerCache): void {
  if (proven.get(header) === issuer) return
  const [oldest] = proven.keys()
  if (proven.size >= issuersMax && !proven.has(header) && oldest !== undefined) proven.delete(oldest)
  proven.set(header, issuer)
}

/** The same without a memory, for a JWS of another `typ` too. */
export function proveIssuer(part: string, trust: TrustBundles, now: number, typ?: string): ProvenIssuer | Fault {
  const header = readPolicyHeader(part, typ)
  if (!header.ok) return header
  const judged = verifyX509Svid(header.chain, trust, now)
  if (!judged.ok) return fault('T-6', `its x5c is not a chain that is trusted here (${judged.rule}: ${judged.detail})`)
  const key = keyOf(judged.leaf.spki)
  if (key === undefined) return fault('T-7', 'the key of its issuer is of a kind that signs no policy tokens')
  const { id, serial, notBefore, notAfter } = judged
  return { ok: true, id, serial, algorithm: header.algorithm, key, from: notBefore - CLOCK_SKEW_MS, until: notAfter }
}

/** Bytes of a SubjectPublicKeyInfo, of which the rulebook takes one form for each curve (rule X-28). Asking node for the curve costs half a signature. */
const CURVES: ReadonlyMap<number, readonly string[]> = new Map([
  [91, ['ES256']],
  [120, ['ES384']]
])
const RSA = ['RS256', 'PS256']

/** An algorithm fits one kind of key, and a curve one algorithm (RFC 7518 §3.4). */
function keyOf(bytes: Uint8Array): JwtKey | undefined {
  const spki = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const kind = keyFamily(spki)
  const algorithms = kind.ok && kind.family === 'rsa' ? RSA : kind.ok && kind.family === 'ec' ? CURVES.get(spki.length) : undefined
  const key = algorithms === undefined ? undefined : publicKeyOf(spki)
  if (key === undefined || algorithms === undefined) return undefined
  return { kid: undefined, algorithms, key, spki: spki.toString('hex') }
}
