/**
 * Evidence for a caller that is said and not proven: an SVID of a throwaway authority in the place of the one that came with the
 * call, and a throwaway token for the end user behind it. So the rulebooks judge it like any other, and nothing else makes a Caller.
 */
import { createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { CheckRequest } from '@envoyproxy/protos/auth'
import type { Assumed } from './admin/check-decision.ts'
import { unreadable } from './admin/svid-verify-question.ts'
import type { SubjectIssuer } from './core/caller.ts'
import { parseSpiffeId } from './core/spiffe-id.ts'
import type { TrustBundles } from './core/trust.ts'
import { parseJwtKeySet } from './identity/bundle-document.ts'
import { SUBJECT_HEADER } from './identity/identify-subject.ts'
import type { JwtKey } from './identity/jwt-keys.ts'
import type { Authority } from './spire/dev-authority.ts'

export interface Assuming {
  /** The message with that evidence in the place of all other. */
  readonly message: Buffer
  readonly trust: TrustBundles
  /** Of every issuer. */
  readonly subjectKeys: readonly JwtKey[]
}

export type Assume = (message: Buffer, assumed: Assumed, issuers: ReadonlyMap<string, SubjectIssuer>) => Promise<Assuming>

const EVIDENCE_TTL_MS = 3_600_000
const HINTS = 'x-forwarded-client-cert'

/** @param at when the call is judged, milliseconds since the epoch */
export async function createAssume(at: number): Promise<Assume> {
  // Only here is anything issued: no other command pays for loading this.
  const { createAuthority } = await import('./spire/dev-authority.ts')
  const authorities = new Map<string, Authority>()
  const certificates = new Map<string, string>()
  const idp = newIdp()
  const certificateOf = (text: string): string => {
    const known = certificates.get(text)
    if (known !== undefined) return known
    const { id, authority } = authorityFor(text, authorities, (trustDomain) =>
      createAuthority({ trustDomain, now: () => at, randomBytes, rootSettleMs: 0, rootOverlapMs: 0 })
    )
    const issued = authority.issue({ uris: [id], dns: [], notBefore: at - 1_000, notAfter: at + EVIDENCE_TTL_MS, emptySubject: false })
    const [leaf = ''] = issued.chainPem.split(/(?<=-----END CERTIFICATE-----\n)/)
    const pem = encodeURIComponent(leaf)
    certificates.set(text, pem)
    intermediates.set(authority.trustDomain, issued.chain[1] ?? new Uint8Array())
    return pem
  }
  const intermediates = new Map<string, Uint8Array>()
  return async (message, { caller, user }, issuers) => {
    const certificate = certificateOf(caller)
    // The issuer of the leaf is the anchor here, since no chain comes along.
    const x509 = new Map([...intermediates].map(([trustDomain, der]) => [trustDomain, [der]]))
    const token = user === undefined ? undefined : idp.tokenFor(user, issuers.get(user.issuer), at)
    return { message: rewritten(message, certificate, token), trust: { generation: 1, x509, receivedAt: at }, subjectKeys: idp.keys }
  }
}

function authorityFor(text: string, authorities: Map<string, Authority>, create: (trustDomain: string) => Authority) {
  const parsed = parseSpiffeId(text)
  if (!parsed.ok) return unreadable(`${JSON.stringify(text)} is not a SPIFFE ID: ${parsed.detail} (${parsed.rule}).`)
  if (parsed.id.path === '') return unreadable(`${JSON.stringify(text)} has no path: no workload has that ID.`)
  const { trustDomain } = parsed.id
  const authority = authorities.get(trustDomain) ?? create(trustDomain)
  authorities.set(trustDomain, authority)
  return { id: text, authority }
}

/** What can be read as one request has each header once or where it may repeat, so nothing is lost by writing it anew. */
function rewritten(message: Buffer, certificate: string, token: string | undefined): Buffer {
  const request = decoded(message)
  const { attributes } = request
  if (attributes === undefined) return message
  attributes.source = { address: undefined, service: '', labels: {}, principal: '', certificate }
  const http = attributes.request?.http
  if (http === undefined) return message
  const gone = token === undefined ? [HINTS] : [HINTS, SUBJECT_HEADER]
  http.headers = Object.fromEntries(Object.entries(http.headers).filter(([name]) => !gone.includes(name)))
  if (http.headerMap !== undefined) http.headerMap.headers = http.headerMap.headers.filter(({ key }) => !gone.includes(key))
  if (token !== undefined) {
    if (http.headerMap === undefined) http.headers[SUBJECT_HEADER] = token
    else http.headerMap.headers.push({ key: SUBJECT_HEADER, value: '', rawValue: Buffer.from(token) })
  }
  return Buffer.from(CheckRequest.encode(request).finish())
}

/** The server reads what it needs and passes over the rest, which may be anything. Throws `Unreadable`. */
function decoded(message: Buffer): CheckRequest {
  try {
    return CheckRequest.decode(message)
  } catch {
    return unreadable('The request has parts that are no CheckRequest, so no other caller can be put in; give it as JSON.')
  }
}

interface Idp {
  readonly keys: readonly JwtKey[]
  readonly tokenFor: (user: NonNullable<Assumed['user']>, issuer: SubjectIssuer | undefined, at: number) => string
}

function newIdp(): Idp {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...createPublicKey(privateKey).export({ format: 'jwk' }), kid: 'assumed' }
  const read = parseJwtKeySet(Buffer.from(JSON.stringify({ keys: [jwk] })))
  return {
    keys: read.ok ? read.keys : [],
    tokenFor: ({ issuer: iss, tenants }, issuer, at) => {
      const now = Math.floor(at / 1000)
      const tenant = { [issuer?.tenantClaim ?? 'tenant']: tenants }
      return signed(
        { iss, sub: 'assumed', aud: issuer?.audience ?? '', iat: now, exp: now + EVIDENCE_TTL_MS / 1000, ...tenant },
        privateKey
      )
    }
  }
}

function signed(claims: object, key: KeyObject): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${part({ alg: 'ES256', kid: 'assumed', typ: 'JWT' })}.${part(claims)}`
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}
