/**
 * SPIFFE bundles, bundle maps, and the JWK sets of the Workload API, as bytes (Trust Domain and Bundle §4, §5; Workload API §6.2.2).
 * A document is taken whole or not at all; single keys that are of no use are passed over with a remark.
 */
import { parseTrustDomain } from '../core/spiffe-id.ts'
import { type BundleKeys, type Remark, readBundleKeys, readPlainKeys } from './bundle-keys.ts'
import { arrayOf, integerOf, type Json, type JsonObject, objectOf, parseJson, shown } from './json.ts'
import type { JwtKey } from './jwt-keys.ts'
import { type Fault, fault } from './rules.ts'

/** A page of memory: hundreds of keys, where real bundles have less than ten (rule F-12 of the federation client). */
const DOCUMENT_BYTES_MAX = 1024 * 1024
/** Deep enough for whatever a vendor adds; what is ours is 6 deep. */
const DEPTH_MAX = 32

/** What one trust domain publishes about itself. */
export interface Bundle extends BundleKeys {
  readonly trustDomain: string
  readonly sequence: bigint | undefined
}

export type BundleResult = { readonly ok: true; readonly bundle: Bundle } | Fault

/** When the next version of a document is to be fetched, milliseconds after this one. */
interface Refresh {
  readonly refreshAfterMs: number
}

export type BundleDocumentResult = ({ readonly ok: true; readonly bundle: Bundle } & Refresh) | Fault
export type BundleMapResult = ({ readonly ok: true; readonly bundles: ReadonlyMap<string, Bundle> } & Refresh) | Fault
export type KeySetResult = { readonly ok: true; readonly keys: readonly JwtKey[]; readonly remarks: readonly Remark[] } | Fault

/** Reads the bundle of a trust domain (name without scheme): the document does not say whose it is. Rules B-1 to B-12. */
export function parseBundle(document: Uint8Array, trustDomain: string): BundleDocumentResult {
  const root = rootOf(document)
  if ('rule' in root) return root
  const read = readBundle(root, trustDomain)
  if (!read.ok) return read
  const refreshAfterMs = readRefresh(root)
  return typeof refreshAfterMs === 'number' ? { ...read, refreshAfterMs } : refreshAfterMs
}

/** Reads a bundle map, which says whose each bundle is (rule B-13). One bundle that cannot be read refuses the map. */
export function parseBundleMap(document: Uint8Array): BundleMapResult {
  const root = rootOf(document)
  if ('rule' in root) return root
  const domains = objectOf(root.get('trust_domains'))
  if (domains === undefined) return fault('B-13', 'it has no object trust_domains')
  const bundles = new Map<string, Bundle>()
  for (const [name, value] of domains) {
    const parsed = parseTrustDomain(name)
    if (!parsed.ok) return fault('B-13', `${shown(name)} is no trust domain: it ${parsed.detail} (${parsed.rule})`)
    const bundle = objectOf(value)
    const read = bundle === undefined ? fault('B-1', 'it is no JSON object') : readBundle(bundle, name)
    if (!read.ok) return fault(read.rule, `the bundle of ${name}: ${read.detail}`)
    bundles.set(name, read.bundle)
  }
  const refreshAfterMs = readRefresh(root)
  return typeof refreshAfterMs === 'number' ? { ok: true, bundles, refreshAfterMs } : refreshAfterMs
}

/** True for a document that claims to be a bundle map: it has `trust_domains`. */
export function isBundleMap(document: Uint8Array): boolean {
  const root = rootOf(document)
  return !('rule' in root) && root.has('trust_domains')
}

/** Reads the JWT bundle of one trust domain in the form of the Workload API (rule B-16), where keys have no `use`. */
export function parseJwtKeySet(document: Uint8Array): KeySetResult {
  const root = rootOf(document)
  if ('rule' in root) return root
  const entries = entriesOf(root)
  if ('rule' in entries) return entries
  const { jwt, remarks } = readPlainKeys(entries)
  return { ok: true, keys: jwt, remarks }
}

/** The bundle to go on with: the fetched one, unless it is older (rule B-10) or somebody else's (rule B-14). */
export function succeed(held: Bundle, fetched: Bundle): BundleResult {
  if (fetched.trustDomain !== held.trustDomain) {
    return fault('B-14', `a bundle of ${fetched.trustDomain} does not replace that of ${held.trustDomain}`)
  }
  if (held.sequence !== undefined && fetched.sequence !== undefined && fetched.sequence < held.sequence) {
    return fault('B-10', `the bundle of ${held.trustDomain} with sequence ${fetched.sequence} came after ${held.sequence}`)
  }
  return { ok: true, bundle: fetched }
}

function rootOf(document: Uint8Array): JsonObject | Fault {
  if (document.length > DOCUMENT_BYTES_MAX) return fault('B-1', `it has ${document.length} bytes, and ${DOCUMENT_BYTES_MAX} are the most`)
  const read = parseJson(document, DEPTH_MAX)
  if (!read.ok) return fault(read.problem === 'repeated' ? 'B-13' : 'B-1', `it ${read.detail}`)
  return objectOf(read.value) ?? fault('B-1', 'it is no JSON object')
}

function entriesOf(root: JsonObject): readonly Json[] | Fault {
  return arrayOf(root.get('keys')) ?? fault('B-1', root.has('keys') ? 'its keys are no array' : 'it has no keys')
}

function readBundle(root: JsonObject, trustDomain: string): BundleResult {
  const entries = entriesOf(root)
  if ('rule' in entries) return entries
  const sequence = integerOf(root.get('spiffe_sequence'))
  if (root.has('spiffe_sequence') && (sequence === undefined || sequence < 0n)) {
    return fault('B-9', 'its spiffe_sequence is not an integer of at least 0')
  }
  return { ok: true, bundle: { trustDomain, sequence, ...readBundleKeys(entries) } }
}

/** Federation §4.1: five minutes where nothing is said. Long hints delay revocation, short ones are load. */
const REFRESH_DEFAULT_S = 300n
const REFRESH_MIN_S = 10n
const REFRESH_MAX_S = 3_600n

function readRefresh(root: JsonObject): number | Fault {
  const hint = root.has('spiffe_refresh_hint') ? integerOf(root.get('spiffe_refresh_hint')) : REFRESH_DEFAULT_S
  if (hint === undefined) return fault('B-11', 'its spiffe_refresh_hint is not an integer')
  const seconds = hint < REFRESH_MIN_S ? REFRESH_MIN_S : hint > REFRESH_MAX_S ? REFRESH_MAX_S : hint
  return Number(seconds) * 1000
}
