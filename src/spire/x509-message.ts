import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import type { X509SVID, X509SVIDResponse } from '@vecauthz/spiffe-protos/workload'
import { parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts'
import type { TrustBundles } from '../core/trust.ts'
import { splitDer } from './der-split.ts'

/** The SVID rulebook, as the edge sees it: `identity/x509-svid.ts` in the product. Leaf first, DER; `now` in milliseconds since the epoch. */
export type VerifyChain = (
  chain: readonly Uint8Array[],
  bundles: TrustBundles,
  now: number
) =>
  | { readonly ok: true; readonly id: SpiffeId; readonly notAfter: number }
  | { readonly ok: false; readonly rule: string; readonly detail: string }

/** This process's own X.509-SVID. */
export interface OwnSvid {
  readonly id: SpiffeId
  /** DER, leaf first, intermediates after it. */
  readonly certificates: readonly Uint8Array[]
  readonly key: KeyObject
  /** Until when it can be used: the earliest end on its path, milliseconds since the epoch. */
  readonly notAfter: number
  /** What the operator wrote into the registration entry to tell several SVIDs apart; often empty. */
  readonly hint: string
}

export type TrustMap = ReadonlyMap<string, readonly Uint8Array[]>

export type X509Reading =
  | { readonly ok: true; readonly svid: OwnSvid; readonly bundles: TrustBundles; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly because: string }

export interface ReadingContext {
  readonly verify: VerifyChain
  /** Puts a generation number on the anchors of this message. */
  readonly bundlesOf: (anchors: TrustMap) => TrustBundles
  readonly now: number
}

/** A leaf and the intermediates of a deeply nested SPIRE (rule X-25). */
const CHAIN_CERTIFICATES_MAX = 8
/** A trust domain in the middle of two rotations has four. */
const ANCHORS_MAX = 64
/** One caller with this many registration entries is a mistake in the selectors. */
const SVIDS_MAX = 256
const FEDERATED_MAX = 1_000

/** Marks the errors whose text may be shown: it names the fault and never a key. */
const MALFORMED = Symbol('malformed message')

/**
 * Reads one FetchX509SVID message as a whole: it becomes the full new state, or nothing does (Workload API §4.4, §4.5; rules A-2
 * to A-12). The first SVID is the default one.
 */
export function readX509Message(message: X509SVIDResponse, context: ReadingContext): X509Reading {
  try {
    return readWhole(message, context)
  } catch (fault) {
    if (fault instanceof Error && fault.cause === MALFORMED) return { ok: false, because: fault.message }
    // Fail safe, and without the text: a foreign error may quote the key it choked on.
    return { ok: false, because: `The message could not be read (${fault instanceof Error ? fault.name : 'unknown fault'}).` }
  }
}

function readWhole(message: X509SVIDResponse, { verify, bundlesOf, now }: ReadingContext): X509Reading {
  const [first] = message.svids
  if (first === undefined) throw malformed('The message holds no SVID.')
  if (message.svids.length > SVIDS_MAX) throw malformed(`The message holds more than ${SVIDS_MAX} SVIDs.`)
  const warnings = [...hintWarnings(message.svids)]
  // What a list revokes is left to short lifetimes and to the bundle, as in every SPIFFE library (rule X-30).
  if (message.crl.length > 0) warnings.push('The message carries certificate revocation lists, which are not used.')
  const anchors = new Map<string, readonly Uint8Array[]>()
  for (const svid of message.svids) addOwnBundle(anchors, svid)
  addFederated(anchors, message.federatedBundles, warnings)
  const bundles = bundlesOf(anchors)
  return { ok: true, svid: readDefault(first, verify, bundles, now), bundles, warnings }
}

function addOwnBundle(anchors: Map<string, readonly Uint8Array[]>, svid: X509SVID): void {
  const mandatory = { spiffe_id: svid.spiffeId, x509_svid: svid.x509Svid, x509_svid_key: svid.x509SvidKey, bundle: svid.bundle }
  for (const [field, value] of Object.entries(mandatory)) {
    if (value.length === 0) throw malformed(`An SVID of the message has no ${field}.`)
  }
  const id = parseSpiffeId(svid.spiffeId)
  if (!id.ok) throw malformed(`An SVID of the message has an invalid spiffe_id (${id.rule}: ${id.detail}).`)
  const { trustDomain } = id.id
  const bundle = readCertificates(svid.bundle, ANCHORS_MAX, `The bundle of ${trustDomain}`)
  const known = anchors.get(trustDomain)
  if (known !== undefined && !sameCertificates(known, bundle)) {
    throw malformed(`The SVIDs of the message bring different bundles for ${trustDomain}.`)
  }
  anchors.set(trustDomain, bundle)
}

function addFederated(
  anchors: Map<string, readonly Uint8Array[]>,
  federated: Readonly<Record<string, Uint8Array>>,
  warnings: string[]
): void {
  const own = new Set(anchors.keys())
  const entries = Object.entries(federated)
  if (entries.length > FEDERATED_MAX) throw malformed(`The message holds more than ${FEDERATED_MAX} federated bundles.`)
  for (const [key, bytes] of entries) {
    const id = parseSpiffeId(key)
    if (!id.ok || id.id.path !== '') {
      warnings.push(
        `A federated bundle is named ${JSON.stringify(key.slice(0, 100))}, not by the SPIFFE ID of a trust domain; ignored (A-10).`
      )
    } else if (own.has(id.id.trustDomain)) {
      warnings.push(`A federated bundle claims to be that of our own trust domain ${id.id.trustDomain}; ignored (A-9).`)
    } else {
      anchors.set(id.id.trustDomain, readCertificates(bytes, ANCHORS_MAX, `The federated bundle of ${id.id.trustDomain}`))
    }
  }
}

/** Rule A-12: the key belongs to the leaf, the id field is the leaf's own, and the chain passes the rulebook we hold others to. */
function readDefault(svid: X509SVID, verify: VerifyChain, bundles: TrustBundles, now: number): OwnSvid {
  const certificates = readCertificates(svid.x509Svid, CHAIN_CERTIFICATES_MAX, 'Our own SVID')
  const verified = verify(certificates, bundles, now)
  if (!verified.ok) throw malformed(`Our own SVID is not valid (${verified.rule}: ${verified.detail}).`)
  if (verified.id.text !== svid.spiffeId) throw malformed('The spiffe_id of our own SVID is not the one in its certificate.')
  const key = readKey(svid.x509SvidKey)
  const [leaf] = certificates
  if (leaf === undefined || !new X509Certificate(leaf).checkPrivateKey(key)) {
    throw malformed('The private key of our own SVID does not belong to its certificate.')
  }
  return { id: verified.id, certificates, key, notAfter: verified.notAfter, hint: svid.hint }
}

function readCertificates(bytes: Uint8Array, most: number, what: string): Uint8Array[] {
  const certificates = splitDer(bytes, most)
  if (certificates === undefined) throw malformed(`${what} is not a list of at most ${most} DER certificates.`)
  for (const certificate of certificates) {
    try {
      new X509Certificate(certificate)
    } catch {
      throw malformed(`${what} holds something that is not a certificate.`)
    }
  }
  return certificates
}

function readKey(bytes: Uint8Array): KeyObject {
  try {
    if (splitDer(bytes, 1) !== undefined) return createPrivateKey({ key: Buffer.from(bytes), format: 'der', type: 'pkcs8' })
  } catch {
    // OpenSSL's message may quote the input, so it goes no further.
  }
  throw malformed('The private key of our own SVID is not PKCS#8.')
}

function malformed(because: string): Error {
  return new Error(because, { cause: MALFORMED })
}

function* hintWarnings(svids: readonly X509SVID[]): Generator<string> {
  const seen = new Set<string>()
  for (const { hint } of svids) {
    if (hint !== '' && seen.has(hint)) yield 'Two SVIDs of the message have the same hint; the first one counts (A-7).'
    seen.add(hint)
  }
}

export function sameCertificates(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((certificate, index) => Buffer.compare(certificate, b[index] ?? new Uint8Array()) === 0)
}

export function sameAnchors(a: TrustMap, b: TrustMap): boolean {
  if (a.size !== b.size) return false
  for (const [trustDomain, certificates] of a) {
    const other = b.get(trustDomain)
    if (other === undefined || !sameCertificates(certificates, other)) return false
  }
  return true
}
