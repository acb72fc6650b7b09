/** What identities are verified with, kept current: our own SVID and the trust bundles, JWT bundles, the keys of end users' issuers. */
import { readFileSync } from 'node:fs'
import { dirname, isAbsolute, join } from 'node:path'
import type { Logger } from 'pino'
import type { Settings } from './config/settings-schema.ts'
import { parseJwtKeySet } from './identity/bundle-document.ts'
import type { TokenDoor } from './identity/identify-call.ts'
import type { SubjectKeys } from './identity/identify-subject.ts'
import { isSameKey, type JwtKey } from './identity/jwt-keys.ts'
import { verifyX509Svid } from './identity/x509-svid.ts'
import { readEndpointAddress } from './spire/endpoint-address.ts'
import { connectJwtBundles, type JwtBundleSource } from './spire/jwt-bundles.ts'
import type { Snapshot, SourceEvent } from './spire/stream-source.ts'
import { connectWorkloadApi, type SvidSource } from './spire/workload-api.ts'
import { keepSubjectKeys, type SubjectKeyStore } from './state/subject-keys.ts'
import { keysFromFile, keysFromUrl } from './state/subject-keys-fetch.ts'

export interface EvidenceSources {
  readonly svid: SvidSource
  /** Undefined: this port takes no JWT-SVIDs. */
  readonly jwt: JwtBundleSource<JwtKey> | undefined
  readonly subjects: SubjectKeyStore<JwtKey>
  readonly close: () => void
}

/** @param settingsFile the files that the settings name are relative to it */
export function openEvidence(settings: Settings, settingsFile: string, log: Logger): EvidenceSources {
  const read = readEndpointAddress(settings.workload_api, undefined)
  if (!read.ok) throw new Error(`workload_api: ${read.detail}`)
  const { address } = read
  const say =
    <S extends Snapshot>(what: string, facts: (snapshot: S) => object) =>
    (event: SourceEvent<S>) => {
      if (event.kind !== 'updated') return log.warn({ event: event.kind, of: what, because: event.because }, 'workload api')
      return log.info({ event: event.kind, of: what, generation: event.snapshot.generation, ...facts(event.snapshot) }, 'workload api')
    }
  const svid = connectWorkloadApi({
    address,
    verify: verifyX509Svid,
    now: Date.now,
    onEvent: say('SVID', ({ svid: own }) => ({ spiffe_id: own.id.text, not_after: new Date(own.notAfter).toISOString() }))
  })
  const jwt =
    settings.jwt_svid === undefined
      ? undefined
      : connectJwtBundles<JwtKey>({
          address,
          parse: parseJwtKeySet,
          now: Date.now,
          onEvent: say('JWT bundles', ({ keys }) => ({ trust_domains: [...keys.keys()] }))
        })
  const subjects = keepSubjectKeys<JwtKey>({
    sources: (settings.subject_issuers ?? []).map((one) => subjectSource(one, dirname(settingsFile))),
    parse: parseJwtKeySet,
    same: (a, b) => a.length === b.length && a.every((key, at) => isSameKey(key, b[at])),
    now: Date.now,
    onEvent: ({ kind, issuer, because }) =>
      kind === 'updated'
        ? log.info({ issuer, because }, 'keys of end users: in force')
        : log.warn({ issuer, because }, 'keys of end users: the ones before stay')
  })
  return {
    svid,
    jwt,
    subjects,
    close: () => {
      svid.close()
      jwt?.close()
      subjects.close()
    }
  }
}

type SubjectIssuer = NonNullable<Settings['subject_issuers']>[number]

function subjectSource({ issuer, jwks_url, jwks_file, ca_file, refresh_seconds, max_age_seconds }: SubjectIssuer, folder: string) {
  const absolute = (path: string) => (isAbsolute(path) ? path : join(folder, path))
  const times = { refreshMs: refresh_seconds * 1000, maxAgeMs: max_age_seconds * 1000 }
  if (jwks_file !== undefined) return { issuer, where: jwks_file, fetch: keysFromFile(absolute(jwks_file)), ...times }
  const url = jwks_url ?? ''
  return { issuer, where: url, fetch: keysFromUrl(url, ca_file === undefined ? undefined : readPem(absolute(ca_file))), ...times }
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new Error(`ca_file ${file} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'unreadable'}).`)
  }
}

/** The door for JWT-SVIDs as it stands now: bundles that nobody has vouched for lately are none. */
export function tokenDoor({ jwt }: EvidenceSources, settings: Settings): TokenDoor | undefined {
  if (settings.jwt_svid === undefined) return undefined
  const bundles = jwt?.current()
  const believed = bundles !== undefined && Date.now() - bundles.receivedAt <= settings.bundle_max_age_seconds * 1000
  const { audience, leeway_seconds } = settings.jwt_svid
  return { audience, leewayMs: leeway_seconds * 1000, bundles: believed ? bundles : undefined }
}

export function subjectKeys({ subjects }: EvidenceSources): SubjectKeys {
  return {
    get generation() {
      return subjects.generation()
    },
    keysOf: subjects.keysOf,
    askAgain: subjects.askAgain
  }
}

/** Why identities cannot all be verified right now, for readiness; undefined when they can. */
export function evidenceFault({ svid, jwt }: EvidenceSources, settings: Settings): string | undefined {
  const snapshot = svid.current()
  if (snapshot === undefined) return `no SVID: ${svid.state().because}`
  const now = Date.now()
  if (snapshot.svid.notAfter <= now) return 'our own SVID has expired'
  const most = settings.bundle_max_age_seconds * 1000
  const age = now - snapshot.receivedAt
  if (age > most) return `trust bundles are ${Math.round(age / 1000)} s old`
  if (jwt === undefined) return undefined
  const tokens = jwt.current()
  if (tokens === undefined) return `no JWT bundles: ${jwt.state().because}`
  const tokensAge = now - tokens.receivedAt
  return tokensAge > most ? `JWT bundles are ${Math.round(tokensAge / 1000)} s old` : undefined
}
