/** The credentials of the databases: secrets kept current from where the settings say, and what each database is shown of them. */
import { generateKeyPair } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'
import type { Logger } from 'pino'
import { type CredentialSettings, namesTenant, type SecretSettings } from './config/credential-schema.ts'
import type { Settings } from './config/settings-schema.ts'
import { accept } from './core/deny-reason.ts'
import { type KeptSecrets, keepSecrets } from './credentials/secret-keeper.ts'
import { type SecretSource, secretFromEnvironment, secretFromFile, secretMadeHere } from './credentials/secret-source.ts'
import { createVaultClient, type VaultClient } from './credentials/vault-http.ts'
import { secretFromVault } from './credentials/vault-secret.ts'
import { VaultSession } from './credentials/vault-session.ts'
import { backoffMs } from './spire/backoff.ts'
import { readEndpointAddress } from './spire/endpoint-address.ts'
import { fetchJwtSvid } from './spire/jwt-svid-fetch.ts'
import { type CredentialRule, type Credentials, createCredentials, type SecretAt, secretFault } from './verdict/native-credential.ts'
import { readOidcKey } from './verdict/native-token.ts'

export interface ServedCredentials {
  /** By the id of a database; undefined for one without. */
  readonly of: (database: string) => Credentials | undefined
  /** What a question of our own to that database carries. */
  readonly headersFor: (database: string) => Readonly<Record<string, string>>
  /** Reads these tenants' secrets beforehand. */
  readonly want: (tenants: Iterable<string>) => void
  /** Why a database cannot be called at all, for readiness. */
  readonly fault: () => string | undefined
  readonly counts: () => readonly { readonly database: string; readonly wanted: number; readonly missing: number }[]
  /** The public keys of the tokens for Weaviate, as a JWK set; undefined when none are minted. */
  readonly jwks: (() => string) | undefined
  readonly close: () => Promise<void>
}

export interface CredentialEdges {
  /** The files that the settings name are relative to it. */
  readonly settingsFile: string
  /** The environment of this process. */
  readonly environment: (name: string) => string | undefined
  readonly log: Logger
}

/** A Vault that does not answer is asked again between 0.25 and 30 s later. */
const PAUSE = { firstMs: 500, mostMs: 30_000 }
const JWT_SVID_MS_MAX = 5_000
/** What may be put into a path or a file name. The policy's tenants have no other characters, and `..` is no tenant's place. */
const TENANT = /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/
/** A key that was replaced still has tokens in their last seconds. */
const KEYS_PUBLISHED = 2

interface Kept {
  readonly secrets: readonly KeptSecrets[]
  readonly credentials: Credentials
  readonly header: () => Readonly<Record<string, string>>
}

export function openCredentials(settings: Settings, edges: CredentialEdges): ServedCredentials {
  const vaults = new Vaults(settings, edges)
  const published: Readonly<Record<string, string>>[] = []
  const kept = new Map<string, Kept>()
  for (const { id, kind, credential } of settings.databases) {
    if (credential !== undefined) kept.set(id, keepOne({ id, kind, credential, edges, vaults, published }))
  }
  const all = [...kept]
  const usesOidc = settings.databases.some(({ credential }) => credential?.mode === 'oidc')
  return {
    of: (database) => kept.get(database)?.credentials,
    headersFor: (database) => kept.get(database)?.header() ?? {},
    want: (tenants) => {
      const names = [...tenants]
      for (const [, { secrets }] of all) for (const one of secrets) one.want(names)
    },
    fault: () => {
      for (const [id, { secrets }] of all) {
        for (const one of secrets) {
          const because = one.fault()
          if (because !== undefined) return `database ${id}: ${because}`
        }
      }
      return undefined
    },
    counts: () =>
      all.map(([database, { secrets }]) => {
        const counts = secrets.map((one) => one.counts())
        return { database, wanted: sum(counts.map((one) => one.wanted)), missing: sum(counts.map((one) => one.missing)) }
      }),
    jwks: usesOidc ? () => JSON.stringify({ keys: published }) : undefined,
    close: async () => {
      for (const [, { secrets }] of all) for (const one of secrets) one.close()
      await vaults.close()
    }
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0)
}

interface One {
  readonly id: string
  readonly kind: string
  readonly credential: CredentialSettings
  readonly edges: CredentialEdges
  readonly vaults: Vaults
  readonly published: Readonly<Record<string, string>>[]
}

function keepOne({ id, kind, credential, edges, vaults, published }: One): Kept {
  const rule = credentialRule(kind, credential)
  const keep = (given: SecretSettings | undefined, onUpdate: () => void): KeptSecrets =>
    keepSecrets({
      source: (tenant) => sourceOf(given, tenant, credential, edges, vaults),
      perTenant: given !== undefined && namesTenant(given),
      faultOf: (text) => secretFault(rule, text),
      pauseMs: pause,
      now: Date.now,
      onEvent: (event) => {
        const facts = { database: id, tenant: event.tenant, because: event.because }
        if (event.kind === 'failed') return edges.log.warn(facts, 'credentials: cannot be had')
        onUpdate()
        return edges.log.info(facts, 'credentials: in force')
      }
    })
  const main: KeptSecrets = keep(credential.secret, () => {
    const secret = main.at(undefined, Date.now())
    const key = rule.mode === 'oidc' && secret.ok && secret.value !== 'none' ? readOidcKey(secret.value.reveal()) : undefined
    if (key !== undefined) published.splice(0, published.length, key.jwk, ...published.slice(0, KEYS_PUBLISHED - 1))
  })
  const probes = credential.probe_secret === undefined ? undefined : keep(credential.probe_secret, () => undefined)
  const secretAt: SecretAt = (tenant, now) =>
    tenant === undefined && probes !== undefined ? probes.at(undefined, now) : main.at(tenant, now)
  return {
    secrets: probes === undefined ? [main] : [main, probes],
    credentials: createCredentials(rule, secretAt),
    header: () => {
      const secret = rule.mode === 'static' ? main.at(undefined, Date.now()) : accept('none' as const)
      return rule.mode === 'static' && secret.ok && secret.value !== 'none' ? { [rule.header]: rule.prefix + secret.value.reveal() } : {}
    }
  }
}

/** How the settings have a database spoken to. Loading refused a mode that lacks what it needs. */
export function credentialRule(kind: string, given: CredentialSettings): CredentialRule {
  const ttlMs = given.ttl_seconds * 1000
  switch (given.mode) {
    case 'api_key':
      return kind === 'weaviate'
        ? { mode: 'static', header: 'authorization', prefix: 'Bearer ' }
        : { mode: 'static', header: 'api-key', prefix: '' }
    case 'header':
      return { mode: 'static', header: given.header ?? 'x-chroma-token', prefix: '' }
    case 'rbac_jwt':
      return { mode: 'rbac_jwt', ttlMs, manage: given.manage }
    case 'oidc':
      return { mode: 'oidc', ttlMs, issuer: given.issuer ?? '', audience: given.audience ?? '' }
    case 'user_password': {
      const user = given.user ?? ''
      const isTemplate = user.includes('{tenant}')
      const ofProbe = given.probe_user ?? (isTemplate ? undefined : user)
      return { mode: 'user_password', user: (tenant) => (tenant === undefined ? ofProbe : user.replaceAll('{tenant}', tenant)) }
    }
  }
}

function sourceOf(
  given: SecretSettings | undefined,
  tenant: string | undefined,
  { refresh_seconds, max_age_seconds }: CredentialSettings,
  { settingsFile, environment }: CredentialEdges,
  vaults: Vaults
): SecretSource | undefined {
  if (given === undefined) return secretMadeHere('a signing key of this process', makeKey)
  if (tenant !== undefined && !TENANT.test(tenant)) return undefined
  const filled = (text: string) => text.replaceAll('{tenant}', tenant ?? '')
  const [refreshMs, maxAgeMs] = [refresh_seconds * 1000, max_age_seconds * 1000]
  if (given.env !== undefined) return secretFromEnvironment(given.env, environment(given.env))
  if (given.file !== undefined) return secretFromFile(absolute(filled(given.file), settingsFile), refreshMs, maxAgeMs)
  if (given.vault === undefined) return undefined
  const { client, session } = vaults.open(given.vault)
  const { mount, path, field } = given.vault
  return secretFromVault(client, session, { mount, path: filled(path), field }, refreshMs, maxAgeMs)
}

async function makeKey(): Promise<string> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  return privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

function pause(failures: number): number {
  return backoffMs(failures, PAUSE.firstMs, PAUSE.mostMs, Math.random())
}

function absolute(path: string, settingsFile: string): string {
  return isAbsolute(path) ? path : join(dirname(settingsFile), path)
}

type VaultSettings = NonNullable<SecretSettings['vault']>

/** One connection and one login for all secrets that are asked of one Vault by one role. */
class Vaults {
  readonly #settings: Settings
  readonly #edges: CredentialEdges
  readonly #opened = new Map<string, { readonly client: VaultClient; readonly session: VaultSession }>()

  constructor(settings: Settings, edges: CredentialEdges) {
    this.#settings = settings
    this.#edges = edges
  }

  open({ address, ca_file, namespace, auth_mount, role, jwt_audience }: VaultSettings): { client: VaultClient; session: VaultSession } {
    const key = JSON.stringify([address, ca_file, namespace, auth_mount, role, jwt_audience])
    const known = this.#opened.get(key)
    if (known !== undefined) return known
    const ca = ca_file === undefined ? undefined : readPem(absolute(ca_file, this.#edges.settingsFile))
    const client = createVaultClient({ address, ca, namespace })
    const fetchJwt = () => jwtFor(jwt_audience, this.#settings)
    const session = new VaultSession(client, { authMount: auth_mount, role, fetchJwt, pauseMs: pause, now: Date.now })
    this.#opened.set(key, { client, session })
    return { client, session }
  }

  async close(): Promise<void> {
    for (const { client, session } of this.#opened.values()) {
      await session.close()
      client.close()
    }
  }
}

async function jwtFor(audience: string, { workload_api }: Settings) {
  const read = readEndpointAddress(workload_api, undefined)
  if (!read.ok) return { ok: false, because: read.detail } as const
  const fetched = await fetchJwtSvid({ address: read.address, audience: [audience], timeoutMs: JWT_SVID_MS_MAX })
  const token = fetched.ok ? fetched.svids[0]?.token : undefined
  if (token !== undefined) return { ok: true, token } as const
  return { ok: false, because: fetched.ok ? 'the Workload API gave no JWT-SVID' : fetched.because } as const
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new Error(`ca_file ${file} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'unreadable'}).`)
  }
}
