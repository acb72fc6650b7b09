/**
 * Reads the settings and the policy they name: all of both, or every fault of both with file, line, column and remedy.
 * What a policy means is not known here (config knows core only), so the compiler is handed in.
 */
import { readFileSync } from 'node:fs'
import { basename, dirname, isAbsolute, join } from 'node:path'
import type { DocumentFault, DocumentPath, KnownDatabase, KnownKind, KnownServer, PolicyDocument } from '../core/policy-document.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { credentialFaults } from './credential-schema.ts'
import { pagingFaults } from './paging-schema.ts'
import { mergePolicies, type PolicyText, readPolicyTexts, revisionOf } from './policy-files.ts'
import { policySchema } from './policy-schema.ts'
import { checkShape, type Fault, type Read, readYaml } from './read-yaml.ts'
import { type Settings, settingsSchema } from './settings-schema.ts'

export type Compile<P> = (
  document: PolicyDocument,
  known: KnownServer,
  revision: string,
  place: (path: DocumentPath) => string
) => { readonly ok: true; readonly policy: P } | { readonly ok: false; readonly faults: readonly DocumentFault[] }

export type Loaded<P> =
  | {
      readonly ok: true
      readonly settings: Settings
      readonly settingsFile: string
      readonly policy: P
      readonly policyFile: string
      /** What the policy was read from. */
      readonly policyTexts: readonly PolicyText[]
    }
  | { readonly ok: false; readonly faults: readonly Fault[] }

export function loadAll<P>(settingsFile: string, kinds: readonly KnownKind[], compile: Compile<P>): Loaded<P> {
  const settings = loadSettings(settingsFile, kinds)
  if (!settings.ok) return settings
  const { policy: named } = settings.value
  const policyFile = isAbsolute(named) ? named : join(dirname(settingsFile), named)
  const policy = loadPolicy(policyFile, settings.value, kinds, compile)
  if (!policy.ok) return policy
  return { ok: true, settings: settings.value, settingsFile, policy: policy.policy, policyFile, policyTexts: policy.texts }
}

/** @param file or folder of the policy */
export function loadPolicy<P>(
  file: string,
  settings: Settings,
  kinds: readonly KnownKind[],
  compile: Compile<P>
):
  | { readonly ok: true; readonly policy: P; readonly texts: readonly PolicyText[] }
  | { readonly ok: false; readonly faults: readonly Fault[] } {
  const read = readPolicyTexts(file)
  return read.ok ? loadPolicyTexts(read.texts, settings, kinds, compile) : read
}

/** The same of texts that were read before. */
export function loadPolicyTexts<P>(
  texts: readonly PolicyText[],
  settings: Settings,
  kinds: readonly KnownKind[],
  compile: Compile<P>
): ReturnType<typeof loadPolicy<P>> {
  const read = parsePolicy(texts)
  if (!read.ok) return read
  const { document, revision, place, faultAt } = read
  const compiled = compile(document, knownServer(settings, kinds), revision, place)
  return compiled.ok ? { ...compiled, texts } : { ok: false, faults: compiled.faults.map(faultAt) }
}

export interface ReadPolicy {
  readonly ok: true
  readonly texts: readonly PolicyText[]
  readonly document: PolicyDocument
  /** Content hash, hex. */
  readonly revision: string
  /** Names a place for people, such as `policy.yaml:31 collections[0]`. */
  readonly place: (path: DocumentPath) => string
  /** A fault or finding with its file, line and column. */
  readonly faultAt: (one: DocumentFault) => Fault
}

/** The policy as it is written, of the right shape; what it means is not known yet. */
export function readPolicy(path: string): ReadPolicy | { readonly ok: false; readonly faults: readonly Fault[] } {
  const read = readPolicyTexts(path)
  return read.ok ? parsePolicy(read.texts) : read
}

function parsePolicy(texts: readonly PolicyText[]): ReturnType<typeof readPolicy> {
  const merged = mergePolicies(texts)
  if (!merged.ok) return merged
  const { locate } = merged.parsed
  const read = checkShape(merged.parsed, policySchema)
  if (!read.ok) return read
  const place = (at: DocumentPath) => {
    const { file, line, path: local } = locate(at)
    return `${basename(file)}:${line} ${spell(local)}`
  }
  const faultAt = ({ path: at, offset, says, remedy }: DocumentFault): Fault => {
    const { file, line, column } = locate(at, offset)
    return { file, line, column, says, remedy }
  }
  return { ok: true, texts, document: read.value, revision: revisionOf(texts), place, faultAt }
}

/** What policy needs to know of the settings. */
export function knownServer(settings: Settings, kinds: readonly KnownKind[]): KnownServer {
  const databases = settings.databases.flatMap(({ id, kind }): KnownDatabase[] =>
    kinds.filter((one) => one.kind === kind).map((one) => ({ id, ...one }))
  )
  return { databases, subjectIssuers: settings.subject_issuers?.map((one) => one.issuer) ?? [] }
}

/** Settings alone, for whoever needs no policy. */
export function loadSettings(file: string, kinds: readonly KnownKind[]): Read<Settings> {
  const text = readText(file, 'Give the settings file with --config FILE.')
  if (typeof text !== 'string') return { ok: false, faults: [text] }
  const read = readYaml(file, text, settingsSchema)
  if (!read.ok) return read
  const faults = settingsFaults(read.value, kinds)
  if (faults.length === 0) return read
  return { ok: false, faults: faults.map((one) => ({ file, ...read.placeOf(one.path), says: one.says, remedy: one.remedy })) }
}

function settingsFaults(settings: Settings, kinds: readonly KnownKind[]): DocumentFault[] {
  const faults = roleFaults(settings)
  for (const [at, text] of settings.envoys?.entries() ?? []) {
    const id = parseSpiffeId(text)
    const remedy = 'Write the exact SPIFFE ID of the Envoy; patterns are not allowed here.'
    if (!id.ok) faults.push({ path: ['envoys', at], says: `"${text}" is not a SPIFFE ID: ${id.detail} (${id.rule})`, remedy })
    else if (id.id.path === '') faults.push({ path: ['envoys', at], says: `"${text}" has no path: no workload has that ID`, remedy })
  }
  faults.push(...subjectFaults(settings))
  if (settings.paging !== undefined) faults.push(...pagingFaults(settings.paging).map((one) => ({ ...one, path: ['paging', ...one.path] })))
  const authorities = new Map<string, string>()
  const ids = new Set<string>()
  for (const [at, database] of settings.databases.entries()) {
    const kind = kinds.find((one) => one.kind === database.kind)
    if (kind === undefined) {
      const says = `Database kind "${database.kind}" is not served by this version`
      faults.push({ path: ['databases', at, 'kind'], says, remedy: `Use one of: ${kinds.map((one) => one.kind).join(', ')}.` })
    }
    if (kind?.asked === true && database.url === undefined && settings.role !== 'egress') {
      const says = `${kind.kind} must be asked for the names behind ids, and there is no url`
      faults.push({ path: ['databases', at], says, remedy: 'Add url: http://host:port, reachable by this server.' })
    }
    if (database.credential !== undefined && kind !== undefined) {
      const place = ['databases', at, 'credential']
      faults.push(...credentialFaults(kind.kind, database.credential).map((one) => ({ ...one, path: [...place, ...one.path] })))
    }
    if (ids.has(database.id))
      faults.push({ path: ['databases', at, 'id'], says: `Database "${database.id}" stands here twice`, remedy: 'Rename one.' })
    ids.add(database.id)
    for (const [index, authority] of database.authorities.entries()) {
      const other = authorities.get(authority)
      if (other !== undefined) {
        const says = `Authority "${authority}" already means database "${other}"`
        faults.push({ path: ['databases', at, 'authorities', index], says, remedy: 'Give each database its own host names.' })
      }
      authorities.set(authority, database.id)
    }
  }
  return faults
}

/** What each role has to have, and must not. */
function roleFaults({ role, envoys, audience, jwt_svid, admin, access_log, databases, inventory }: Settings): DocumentFault[] {
  const faults: DocumentFault[] = []
  const wrong = (path: DocumentPath, says: string, remedy: string) => void faults.push({ path, says, remedy })
  if (role !== 'egress' && envoys === undefined)
    wrong(['role'], `Role ${role} needs envoys: who may ask`, 'List the SPIFFE IDs of the Envoys.')
  if (role === 'egress' && envoys !== undefined)
    wrong(['envoys'], 'Role egress has no envoys: whoever asks is judged by its own SVID', 'Take the list away.')
  if (role === 'gateway' && audience !== undefined)
    wrong(['audience'], 'Role gateway gives and takes no policy tokens', 'Take audience away, or correct the role.')
  if (role !== 'gateway' && audience === undefined)
    wrong(['role'], `Role ${role} needs audience: the name of the index`, 'Give the same name at both ends.')
  if (role !== 'gateway' && jwt_svid !== undefined)
    wrong(['jwt_svid'], `Role ${role} knows workloads by their connections only`, 'Take jwt_svid away.')
  if (role === 'egress' && admin !== undefined)
    wrong(['admin'], 'Role egress keeps no approvals: the index does', 'Take admin away, and give it to the index.')
  if (role === 'egress' && access_log !== undefined)
    wrong(['access_log'], 'Role egress is told of no answers: the index is', 'Take access_log away.')
  if (inventory !== undefined && admin === undefined)
    wrong(['inventory'], 'There is no admin port, so nobody could ask what was used', 'Add admin, or take inventory away.')
  for (const [at, { credential }] of databases.entries()) {
    if (role === 'egress' && credential !== undefined)
      wrong(
        ['databases', at, 'credential'],
        'Role egress has no credentials of databases',
        'Give it to the index, which is in front of them.'
      )
  }
  return faults
}

function subjectFaults({ subject_issuers = [] }: Settings): DocumentFault[] {
  return subject_issuers.flatMap(({ issuer, jwks_url, jwks_file }, at): DocumentFault[] => {
    const path = ['subject_issuers', at]
    const both = (jwks_url === undefined) === (jwks_file === undefined)
    const twice = subject_issuers.findIndex((one) => one.issuer === issuer) !== at
    return [
      ...(both ? [{ path, says: 'Either jwks_url or jwks_file is needed, and not both', remedy: 'Say once where the keys are.' }] : []),
      ...(twice ? [{ path: [...path, 'issuer'], says: `Issuer "${issuer}" stands here twice`, remedy: 'Keep one of the two.' }] : [])
    ]
  })
}

function readText(file: string, remedy: string): string | Fault {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unreadable'
    return { file, line: 1, column: 1, says: `Cannot be read (${code})`, remedy }
  }
}

/** `collections[0].allow[1]` */
function spell(path: DocumentPath): string {
  return path.map((part, at) => (typeof part === 'number' ? `[${part}]` : at === 0 ? part : `.${part}`)).join('')
}
