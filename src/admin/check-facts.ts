/** The facts that a server learns from others, from files: trust bundles, keys of issuers, names of collections. */
import { dirname, isAbsolute, join } from 'node:path'
import { z } from 'zod'
import type { Settings } from '../config/settings-schema.ts'
import { parseTrustDomain } from '../core/spiffe-id.ts'
import { type Bundle, isBundleMap, parseBundle, parseBundleMap, parseJwtKeySet } from '../identity/bundle-document.ts'
import { shown } from '../identity/json.ts'
import type { JwtKey } from '../identity/jwt-keys.ts'
import type { Configured, Facts, ResolvedName } from './check-edges.ts'
import { readJson } from './check-json.ts'
import { faulty, type Parsed, readBytes } from './check-terminal.ts'
import { readPemCertificates } from './svid-verify-pem.ts'
import { instantOf, unreadable } from './svid-verify-question.ts'

/** The options that say facts, for `parsed`. */
export const FACT_OPTIONS = ['config', 'bundle', 'subject-keys', 'resolved', 'at', 'assume-caller', 'assume-user'] as const

export const FACT_HELP = `  --config FILE|DIR         the settings, which name the policy (default: vecauthz.yaml; of a folder, that file in it)
  --bundle DOMAIN=FILE      what proves the certificates of a trust domain: PEM, or its SPIFFE bundle (JSON). As often as
                            needed; --bundle FILE takes a SPIFFE bundle map
  --assume-caller ID        take the call for one of this SPIFFE ID, whatever came with it; the output says so
  --assume-user ISSUER=TENANT[,TENANT]   and for one on behalf of a user whose token names these tenants
  --subject-keys ISSUER=FILE   keys of an issuer of end users' tokens (a JWK set); jwks_file of the settings is read anyway
  --resolved FILE           names of collections, as only the database knows them:
                            {"ID": {"name": "handbook", "tenant": "acme", "namespace": "rag"}}
  --at TIME                 the moment to judge, such as 2026-11-20T12:00:00Z; now, if it is not given
`

/** Throws `Unreadable`. @param now milliseconds since the epoch */
export function factsOf(options: Parsed, { settings, settingsFile }: Configured, now: number): Facts {
  const at = options.one('at')
  const bundles = options.many('bundle').flatMap(readBundles)
  const twice = bundles.find(({ trustDomain }, index) => bundles.findIndex((one) => one.trustDomain === trustDomain) !== index)
  if (twice !== undefined) unreadable(`The bundle of ${twice.trustDomain} is given twice.`)
  const some = bundles.length > 0
  return {
    at: at === undefined ? now : instantOf(at),
    anchors: some ? new Map(bundles.map(({ trustDomain, x509 }) => [trustDomain, x509])) : undefined,
    jwtKeys: some ? new Map(bundles.map(({ trustDomain, jwt }) => [trustDomain, jwt])) : undefined,
    subjectKeys: new Map([...keysOfSettings(settings, settingsFile), ...options.many('subject-keys').map(readKeys)]),
    resolved: namesOf(options.one('resolved'))
  }
}

type Anchors = Pick<Bundle, 'trustDomain' | 'x509' | 'jwt'>

function readBundles(given: string): readonly Anchors[] {
  const [name, file] = halves(given)
  if (file === undefined) {
    const content = readBytes(given)
    const map = isBundleMap(content) ? parseBundleMap(content) : undefined
    if (map === undefined)
      return unreadable(`${shown(given)} is no SPIFFE bundle map; say whose bundle it is: --bundle example.org=${given}.`)
    return map.ok ? [...map.bundles.values()] : unreadable(`The bundle map ${shown(given)} is refused: ${map.detail} (${map.rule}).`)
  }
  const parsedName = parseTrustDomain(name.replace(/^spiffe:\/\//, ''))
  if (!parsedName.ok) return unreadable(`The trust domain ${parsedName.detail} (${parsedName.rule}): --bundle ${given}.`)
  const { trustDomain } = parsedName
  const content = readBytes(file)
  if (content.toString('latin1').trimStart().startsWith('{')) {
    const read = parseBundle(content, trustDomain)
    return read.ok ? [read.bundle] : unreadable(`The SPIFFE bundle ${shown(file)} is refused: ${read.detail} (${read.rule}).`)
  }
  const pem = readPemCertificates(content.toString('latin1'))
  return pem.ok ? [{ trustDomain, x509: pem.certificates, jwt: [] }] : unreadable(`The bundle ${shown(file)} ${pem.detail}.`)
}

function keysOfSettings({ subject_issuers = [] }: Settings, settingsFile: string): readonly (readonly [string, readonly JwtKey[]])[] {
  return subject_issuers.flatMap(({ issuer, jwks_file: file }) => {
    if (file === undefined) return []
    return [[issuer, keysIn(isAbsolute(file) ? file : join(dirname(settingsFile), file))] as const]
  })
}

function readKeys(given: string): readonly [string, readonly JwtKey[]] {
  const [issuer, file] = halves(given)
  return file === undefined
    ? unreadable(`Say whose keys they are: --subject-keys https://issuer.example=${given}.`)
    : [issuer, keysIn(file)]
}

function keysIn(file: string): readonly JwtKey[] {
  const read = parseJwtKeySet(readBytes(file))
  return read.ok ? read.keys : unreadable(`The key set ${shown(file)} is refused: ${read.detail} (${read.rule}).`)
}

/** Neither a trust domain nor the beginning of an issuer's URL has an equals sign. */
function halves(given: string): readonly [string, string | undefined] {
  const at = given.indexOf('=')
  return at === -1 ? [given, undefined] : [given.slice(0, at), given.slice(at + 1)]
}

const resolvedSchema = z.record(z.string(), z.strictObject({ name: z.string().min(1), tenant: z.string(), namespace: z.string() }))

function namesOf(file: string | undefined): ReadonlyMap<string, ResolvedName> {
  if (file === undefined) return new Map()
  const read = readJson(file, readBytes(file).toString('utf8'), resolvedSchema)
  return read.ok ? new Map(Object.entries(read.value)) : faulty(read.faults)
}
