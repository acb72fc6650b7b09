/**
 * Tokens that a database verifies itself, minted for one caller and what it was granted. Pure: the secret, the grant and `now` are
 * arguments. Whoever reads such a token gets a few seconds of what the grant allows, and nothing else.
 */
import { createHash, createHmac, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import type { AnyGrant } from '../core/decision.ts'
import { accept, type Result, refuse } from '../core/deny-reason.ts'
import { PLACES_MAX } from '../core/limits.ts'
import type { Operation } from '../core/vector-call.ts'

/** RFC 7518 §3.2: a key for HS256 has at least as many bits as its hash. A shorter one can be found from one token. */
export const HS256_KEY_BYTES_MIN = 32
/** RFC 7518 §3.3. */
const RSA_BITS_MIN = 2048

/** Entries of a token for Qdrant: with 256 it still fits into a header. */
const ACCESS_MAX = PLACES_MAX

export interface CollectionAccess {
  readonly collection: string
  /** `r`: reads; `prw`: reads and writes points; `rw`: indexes and vectors as well. */
  readonly access: 'r' | 'prw' | 'rw'
}

/** `m` is every right on every collection. */
export type QdrantAccess = readonly CollectionAccess[] | 'm'

const POINT_ACCESS: Readonly<Partial<Record<Operation, CollectionAccess['access']>>> = {
  // Reading as `r` and not `prw`: both read all of a collection, and only one of them can write into it.
  search: 'r',
  read: 'r',
  observe: 'r',
  write: 'prw',
  delete: 'prw',
  define: 'rw',
  drop: 'rw'
}

/** Creating, changing and dropping collections: Qdrant knows no right for that but the one to everything. */
const MANAGES = /^collection\.|^Collections\//

/**
 * What a token for this call may do in Qdrant (JWT RBAC, 1.19): the collections of the targets, nothing else. A listing names none,
 * so its token lists none; a start-up call may nothing at all.
 */
export function qdrantAccess(grant: AnyGrant, manage: boolean): Result<QdrantAccess> {
  if (grant.kind === 'probe') return accept([])
  if (grant.kind === 'shadow') return refuse('tenant-not-named', 'a token of Qdrant is for a call whose tenant is proved')
  const { operation, endpoint } = grant.call
  if ((operation === 'define' || operation === 'drop') && MANAGES.test(endpoint)) {
    const remedy = 'Collections are created and dropped by an operator.'
    return manage ? accept('m') : refuse('operation-unknown', `${endpoint} needs a token for all of Qdrant, and manage is off`, remedy)
  }
  const access = POINT_ACCESS[operation]
  if (access === undefined) return refuse('operation-unknown', `no token of Qdrant is for ${operation}`)
  // A collection named twice makes the token invalid.
  const names = new Set(grant.targets.flatMap(({ collection }) => (collection.kind === 'name' ? [collection.name] : [])))
  if (names.size > ACCESS_MAX) return refuse('call-too-large', `the call is about ${names.size} collections`)
  return accept([...names].map((collection) => ({ collection, access })))
}

/** What a token is about, beside what it allows. */
export interface TokenFacts {
  /** SPIFFE ID of the caller. */
  readonly caller: string
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly ttlMs: number
}

/**
 * HS256 with the bytes of Qdrant's own API key. `access` is a required argument and always written: a token without it may do
 * everything. No `sub`, which Qdrant passes on to inference services as a token.
 */
export function qdrantToken(apiKey: string, access: QdrantAccess, { caller, now, ttlMs }: TokenFacts): string {
  const input = signingInput({ alg: 'HS256', typ: 'JWT' }, { access, exp: Math.floor((now + ttlMs) / 1000), subject: caller })
  return `${input}.${createHmac('sha256', apiKey).update(input).digest('base64url')}`
}

export interface OidcNames {
  readonly issuer: string
  /** Weaviate's client id. */
  readonly audience: string
}

export interface OidcKey {
  readonly key: KeyObject
  /** RFC 7638 thumbprint. */
  readonly kid: string
  /** Public half, as a member of a JWK set. */
  readonly jwk: Readonly<Record<string, string>>
}

/** RS256, which is the only algorithm that Weaviate's OIDC library takes by default. The caller is the user; its tenant the one group. */
export function weaviateToken(
  { key, kid }: OidcKey,
  { issuer, audience }: OidcNames,
  tenant: string | undefined,
  facts: TokenFacts
): string {
  const iat = Math.floor(facts.now / 1000)
  const exp = Math.floor((facts.now + facts.ttlMs) / 1000)
  const groups = tenant === undefined ? [] : [tenant]
  const input = signingInput({ alg: 'RS256', typ: 'JWT', kid }, { iss: issuer, aud: audience, sub: facts.caller, groups, iat, exp })
  return `${input}.${sign('sha256', Buffer.from(input), key).toString('base64url')}`
}

function signingInput(header: object, claims: object): string {
  return `${base64url(header)}.${base64url(claims)}`
}

function base64url(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

/** @param pem PKCS #8 or PKCS #1 private key of RSA. @returns undefined for anything else, and for a key that is too short */
export function readOidcKey(pem: string): OidcKey | undefined {
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType !== 'rsa' || (key.asymmetricKeyDetails?.modulusLength ?? 0) < RSA_BITS_MIN) return undefined
    const { e = '', n = '' } = createPublicKey(key).export({ format: 'jwk' })
    const kid = createHash('sha256')
      .update(JSON.stringify({ e, kty: 'RSA', n }))
      .digest('base64url')
    return { key, kid, jwk: { kty: 'RSA', use: 'sig', alg: 'RS256', kid, n, e } }
  } catch {
    return undefined
  }
}
