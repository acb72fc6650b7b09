/** `databases[].credential` of the settings: what a database is shown, and where the secret for it is kept. */
import { z } from 'zod'
import type { DocumentFault } from '../core/policy-document.ts'

const MOUNT = /^[A-Za-z0-9_-]+(\/[A-Za-z0-9_-]+)*$/
const PATH = /^[A-Za-z0-9_{}-][A-Za-z0-9_.{}-]*(\/[A-Za-z0-9_{}-][A-Za-z0-9_.{}-]*)*$/
const HTTPS = /^(https:\/\/|http:\/\/(127\.0\.0\.1|\[::1\]|localhost)(:|$))[^\s/?#@]*$/

const vault = z.strictObject({
  address: z
    .string()
    .regex(HTTPS, 'must be https://host:port without path (http:// for loopback only)')
    .describe('Vault or OpenBao: https://host:port'),
  ca_file: z.string().min(1).optional().describe('PEM of the authorities for that address, instead of the public ones'),
  namespace: z.string().min(1).optional().describe('Namespace of Vault Enterprise or OpenBao'),
  auth_mount: z.string().regex(MOUNT).default('jwt').describe('Where the JWT auth method is mounted'),
  role: z.string().min(1).max(128).describe('Its role that this server logs in as'),
  jwt_audience: z.string().min(1).max(255).describe('Audience of the JWT-SVID it logs in with (`bound_audiences` of the role)'),
  mount: z.string().regex(MOUNT).default('secret').describe('Where the KV store (version 2) is mounted'),
  path: z
    .string()
    .regex(PATH, 'must be a path of a secret, such as milvus/{tenant}')
    .describe('The secret there; `{tenant}` is the tenant'),
  field: z.string().min(1).max(128).describe('Its field that holds the text')
})

const secret = z.strictObject({
  file: z.string().min(1).optional().describe('File that holds the text, relative to this file; `{tenant}` is the tenant'),
  env: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
    .optional()
    .describe('Environment variable of this server that holds it'),
  vault: vault.optional().describe('A field of a secret in Vault or OpenBao')
})

export const credential = z.strictObject({
  mode: z
    .enum(['api_key', 'rbac_jwt', 'oidc', 'user_password', 'header'])
    .describe(
      'Qdrant: api_key or rbac_jwt (minted per call); Weaviate: api_key or oidc (minted per call); Milvus: user_password; Chroma: header'
    ),
  secret: secret
    .optional()
    .describe('The key, the password, or for oidc the RSA key in PEM (made at start without it): file, env or vault, one of them'),
  header: z.enum(['authorization', 'x-chroma-token']).optional().describe('Mode header: the header that holds the secret as it is'),
  user: z.string().min(1).max(128).optional().describe('Mode user_password: the user; `{tenant}` is the tenant'),
  probe_user: z
    .string()
    .min(1)
    .max(128)
    .optional()
    .describe('Mode user_password with a user for each tenant: who makes the start-up calls, which name no tenant'),
  probe_secret: secret.optional().describe("That user's password"),
  manage: z
    .boolean()
    .default(false)
    .describe('Mode rbac_jwt: calls that create, change or drop a collection get a token for all of Qdrant; without it they are refused'),
  issuer: z.string().min(1).max(512).optional().describe('Mode oidc: `iss` of the tokens (AUTHENTICATION_OIDC_ISSUER)'),
  audience: z.string().min(1).max(255).optional().describe('Mode oidc: `aud` of the tokens (AUTHENTICATION_OIDC_CLIENT_ID)'),
  ttl_seconds: z.int().min(10).max(60).default(30).describe('Life of a minted token; it is used for the first half of it'),
  refresh_seconds: z.int().min(1).max(86_400).default(60).describe('How often the secret is read again'),
  max_age_seconds: z
    .int()
    .min(2)
    .max(604_800)
    .default(3_600)
    .describe('How long the last secret is used when it cannot be read again; a shorter lease counts')
})

export type CredentialSettings = z.infer<typeof credential>
export type SecretSettings = z.infer<typeof secret>

/** What each kind of database can be shown, the keys that a mode needs beside `secret`, and those that are its own. */
const MODES = {
  api_key: { kinds: ['qdrant', 'weaviate'], needs: ['secret'], own: [] },
  rbac_jwt: { kinds: ['qdrant'], needs: ['secret'], own: [] },
  oidc: { kinds: ['weaviate'], needs: ['issuer', 'audience'], own: ['issuer', 'audience'] },
  user_password: { kinds: ['milvus'], needs: ['secret', 'user'], own: ['user', 'probe_user', 'probe_secret'] },
  header: { kinds: ['chroma'], needs: ['secret', 'header'], own: ['header'] }
} as const satisfies Record<CredentialSettings['mode'], ModeRow>

type Key = 'secret' | 'issuer' | 'audience' | 'user' | 'probe_user' | 'probe_secret' | 'header'
interface ModeRow {
  readonly kinds: readonly string[]
  readonly needs: readonly Key[]
  readonly own: readonly Key[]
}
const OWN: readonly Key[] = Object.values(MODES).flatMap(({ own }) => own)

/** What the schema cannot say. Paths are below the credential. */
export function credentialFaults(kind: string, given: CredentialSettings): DocumentFault[] {
  const row: ModeRow = MODES[given.mode]
  const faults: DocumentFault[] = []
  if (!row.kinds.includes(kind)) {
    const modes = Object.entries(MODES).flatMap(([mode, { kinds }]) => ((kinds as readonly string[]).includes(kind) ? [mode] : []))
    faults.push({ path: ['mode'], says: `${kind} has no credential of mode ${given.mode}`, remedy: `Use one of: ${modes.join(', ')}.` })
  }
  for (const key of row.needs.filter((one) => given[one] === undefined))
    faults.push({ path: [], says: `Mode ${given.mode} needs ${key}`, remedy: `Add ${key}.` })
  for (const key of OWN.filter((one) => given[one] !== undefined && !row.own.includes(one)))
    faults.push({ path: [key], says: `${key} says nothing in mode ${given.mode}`, remedy: 'Take it out.' })
  if (given.manage && given.mode !== 'rbac_jwt')
    faults.push({ path: ['manage'], says: `manage says nothing in mode ${given.mode}`, remedy: 'Take it out.' })
  faults.push(...placeFaults('secret', given.secret, given.mode), ...placeFaults('probe_secret', given.probe_secret, given.mode))
  if ((given.probe_user === undefined) !== (given.probe_secret === undefined))
    faults.push({ path: [], says: 'probe_user and probe_secret go together', remedy: 'Give both or neither.' })
  return faults
}

const PER_TENANT: readonly CredentialSettings['mode'][] = ['api_key', 'user_password']

function placeFaults(key: 'secret' | 'probe_secret', given: SecretSettings | undefined, mode: CredentialSettings['mode']): DocumentFault[] {
  if (given === undefined) return []
  const places = [given.file, given.env, given.vault].filter((one) => one !== undefined)
  const says = `${key} is in one place: file, env or vault`
  if (places.length !== 1) return [{ path: [key], says, remedy: 'Say once where it is.' }]
  if (!namesTenant(given)) return []
  if (key === 'secret' && PER_TENANT.includes(mode)) return []
  return [{ path: [key], says: `${key} of mode ${mode} is one for all tenants`, remedy: 'Take {tenant} out of its place.' }]
}

/** Whether each tenant has a secret of its own. */
export function namesTenant({ file = '', vault: kv }: SecretSettings): boolean {
  return file.includes('{tenant}') || (kv?.path.includes('{tenant}') ?? false)
}
