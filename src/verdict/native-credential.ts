/** Which credential a database gets with a granted call. Secrets are handed in as they stand now; what is minted is kept for half of its life. */
import { type AnyGrant, tenantOfGrant } from '../core/decision.ts'
import { accept, type Result, refuse } from '../core/deny-reason.ts'
import type { Secret } from '../core/secret.ts'
import type { HeaderPair } from './answer.ts'
import {
  HS256_KEY_BYTES_MIN,
  type OidcKey,
  type OidcNames,
  qdrantAccess,
  qdrantToken,
  readOidcKey,
  type TokenFacts,
  weaviateToken
} from './native-token.ts'

/** How a database is spoken to, as the settings say it. */
export type CredentialRule =
  /** The secret as it is, behind `prefix`. */
  | { readonly mode: 'static'; readonly header: string; readonly prefix: '' | 'Bearer ' }
  /** Milvus: base64 of `user:password`, without a scheme. */
  | { readonly mode: 'user_password'; readonly user: (tenant: string | undefined) => string | undefined }
  | { readonly mode: 'rbac_jwt'; readonly ttlMs: number; readonly manage: boolean }
  | ({ readonly mode: 'oidc'; readonly ttlMs: number } & OidcNames)

/** The secret for a tenant (undefined: a start-up call) as it stands at `now`; `none`: such a call goes without. */
export type SecretAt = (tenant: string | undefined, now: number) => Result<Secret | 'none'>

/** The same object as long as the same header can be sent, so that answers made with it can be recognised. */
export interface NativeCredential {
  readonly header: HeaderPair
}

export type Credentials = (grant: AnyGrant, now: number) => Result<NativeCredential | undefined>

const NO_TENANT = "the call proves no tenant, and the database's credential is that of one: it cannot pass, in shadow either"

export function createCredentials(rule: CredentialRule, secretAt: SecretAt): Credentials {
  const credentialFor = issuerOf(rule)
  return (grant, now) => {
    if (grant.kind === 'shadow' && rule.mode !== 'static') return refuse('tenant-not-named', NO_TENANT)
    const found = secretAt(tenantOfGrant(grant), now)
    if (!found.ok) return found
    return found.value === 'none' ? accept(undefined) : credentialFor(found.value, grant, now)
  }
}

type Issue = (secret: Secret, grant: AnyGrant, now: number) => Result<NativeCredential | undefined>

function issuerOf(rule: CredentialRule): Issue {
  switch (rule.mode) {
    case 'static':
      return fixed(
        () => '',
        (text) => [rule.header, rule.prefix + text]
      )
    case 'user_password':
      return fixed(rule.user, (text, user) => ['authorization', Buffer.from(`${user}:${text}`).toString('base64')])
    case 'rbac_jwt':
      return minted(rule.ttlMs, qdrantScope, qdrantHeader(rule.manage))
    case 'oidc':
      return minted(rule.ttlMs, (grant) => (grant.kind === 'tenant' ? `tenant ${grant.tenant}` : grant.kind), weaviateHeader(rule))
  }
}

/** One header for each secret and name, whoever calls. */
function fixed(nameOf: (tenant: string | undefined) => string | undefined, header: (text: string, name: string) => HeaderPair): Issue {
  const known = new WeakMap<Secret, Map<string, NativeCredential>>()
  return (secret, grant) => {
    const name = nameOf(tenantOfGrant(grant))
    if (name === undefined) return accept(undefined)
    const own = known.get(secret) ?? new Map<string, NativeCredential>()
    const credential = own.get(name) ?? { header: header(secret.reveal(), name) }
    known.set(secret, own.set(name, credential))
    return accept(credential)
  }
}

interface Minted {
  readonly key: string
  readonly secret: Secret
  /** Milliseconds since the epoch: half of its life. */
  readonly until: number
  readonly credential: NativeCredential
}

/** Of one caller: it acts for few tenants on few collections, and what is pushed out is minted anew. */
const MINTED_MAX = 16

/** @param scopeOf a text that only grants with the same token have */
function minted(
  ttlMs: number,
  scopeOf: (grant: AnyGrant) => string,
  mint: (secret: Secret, grant: AnyGrant, facts: TokenFacts) => Result<HeaderPair>
): Issue {
  const known = new WeakMap<object, readonly Minted[]>()
  return (secret, grant, now) => {
    const key = scopeOf(grant)
    const own = known.get(grant.caller) ?? []
    const usable = own.find((one) => one.key === key && one.secret === secret && now < one.until)
    if (usable !== undefined) return accept(usable.credential)
    const header = mint(secret, grant, { caller: grant.caller.id.text, now, ttlMs })
    if (!header.ok) return header
    const credential = { header: header.value }
    const fresh = { key, secret, until: now + ttlMs / 2, credential }
    known.set(grant.caller, [fresh, ...own.filter((one) => one.key !== key).slice(0, MINTED_MAX - 1)])
    return accept(credential)
  }
}

/** What `qdrantAccess` looks at, without making a list of it for every call. */
function qdrantScope(grant: AnyGrant): string {
  if (grant.kind !== 'tenant') return grant.kind
  const { call, targets } = grant
  const doing = call.operation === 'define' || call.operation === 'drop' ? call.endpoint : call.operation
  const [only] = targets
  if (targets.length === 1 && only?.collection.kind === 'name') return `${doing} name ${only.collection.name}`
  return `${doing} list ${JSON.stringify(targets.map(({ collection }) => (collection.kind === 'name' ? collection.name : null)))}`
}

function qdrantHeader(manage: boolean) {
  return (secret: Secret, grant: AnyGrant, facts: TokenFacts): Result<HeaderPair> => {
    const access = qdrantAccess(grant, manage)
    return access.ok ? accept(['api-key', qdrantToken(secret.reveal(), access.value, facts)]) : access
  }
}

function weaviateHeader(names: OidcNames) {
  const keys = new WeakMap<Secret, OidcKey>()
  return (secret: Secret, grant: AnyGrant, facts: TokenFacts): Result<HeaderPair> => {
    const tenant = tenantOfGrant(grant)
    const key = keys.get(secret) ?? readOidcKey(secret.reveal())
    if (key === undefined) return refuse('state-unavailable', 'the key for tokens of Weaviate is no RSA key')
    keys.set(secret, key)
    return accept(['authorization', `Bearer ${weaviateToken(key, names, tenant, facts)}`])
  }
}

/** What a header can carry as it is (RFC 9110 §5.5), without a space in which two could hide. */
const HEADER_SAFE = /^[\x21-\x7e]{1,4096}$/
const CONTROL = /[\u0000-\u001f\u007f]/

/** @returns why this text cannot be the secret of such a credential; undefined: it can. Says nothing of the text itself. */
export function secretFault({ mode }: CredentialRule, text: string): string | undefined {
  if (mode === 'oidc') return readOidcKey(text) === undefined ? 'it is no RSA private key of 2048 bits or more in PEM' : undefined
  if (mode === 'user_password') return text === '' || CONTROL.test(text) ? 'it is empty, or has a control character' : undefined
  if (!HEADER_SAFE.test(text)) return 'it is empty, too long for a header, or has other characters than printable ASCII'
  if (mode === 'rbac_jwt' && text.length < HS256_KEY_BYTES_MIN)
    return `it is shorter than ${HS256_KEY_BYTES_MIN} bytes, which a key for HS256 has (RFC 7518 §3.2)`
  return undefined
}
