/** The answers of `vecauthz svid verify`: the rulebooks of `identity/`, asked with texts. */
import { parseSpiffeId } from '../core/spiffe-id.ts'
import type { TrustBundles } from '../core/trust.ts'
import { type Bundle, isBundleMap, parseBundle, parseBundleMap, parseJwtKeySet } from '../identity/bundle-document.ts'
import type { JwtKey, JwtKeySets } from '../identity/jwt-keys.ts'
import { verifyJwtSvid } from '../identity/jwt-svid.ts'
import { verifyX509Svid } from '../identity/x509-svid.ts'
import { readPemCertificates } from './svid-verify-pem.ts'
import { type Question, type Trust, unreadable } from './svid-verify-question.ts'

export interface Answer {
  readonly ok: boolean
  /** The name that the line gave, given back. */
  readonly name?: string
  readonly spiffe_id?: string
  readonly reason?: 'svid-expired' | 'svid-untrusted' | 'id-invalid' | 'bundle-invalid' | 'unreadable'
  readonly rule?: string
  readonly detail?: string
}

/** What was read from trust material, kept for the lines that come with the same one. */
export type Shelf = Map<string, Material>

interface Material {
  readonly x509: TrustBundles
  readonly jwt: JwtKeySets
}

/** Different trust material among which lines may go back and forth. */
const SHELF_MAX = 64
/** The server's own default. */
const LEEWAY_MS = 5_000

/** Throws `Unreadable` when the trust material cannot be read: then nothing is proved or disproved. */
export function answer(question: Question, shelf: Shelf): Answer {
  switch (question.kind) {
    case 'id':
      return aboutId(question.text)
    case 'spiffe-bundle':
      return aboutBundle(question.text, question.trustDomain)
    case 'chain':
      return aboutChain(question.text, materialOf(question.trust, shelf), question.at)
    case 'token': {
      const { text, trust, audience, at } = question
      return aboutToken(text, materialOf(ownKeySet(trust, text), shelf), audience, at)
    }
  }
}

/**
 * Whoever hands over a plain key set without a name says: these are the keys that this token must be signed with. It is then the
 * key set of the trust domain that the token names, and of no other; the server itself never reads a key set that way.
 */
function ownKeySet(trust: Trust, token: string): Trust {
  if (trust.form !== 'jwks' || trust.trustDomain !== undefined) return trust
  return { ...trust, trustDomain: claimedTrustDomain(token) }
}

/** Unverified, and so good for nothing but choosing a key set; a token that cannot be read fails by its own rule afterwards. */
function claimedTrustDomain(token: string): string {
  try {
    const { sub } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { sub?: unknown }
    const parsed = parseSpiffeId(String(sub))
    return parsed.ok ? parsed.id.trustDomain : UNNAMED
  } catch {
    return UNNAMED
  }
}

const UNNAMED = 'unnamed.invalid'

function aboutId(text: string): Answer {
  const parsed = parseSpiffeId(text)
  if (!parsed.ok) return { ok: false, reason: 'id-invalid', rule: parsed.rule, detail: parsed.detail }
  const named = parsed.id.path === '' ? 'a trust domain, which is never a workload (ID-20)' : `a workload of ${parsed.id.trustDomain}`
  return { ok: true, spiffe_id: text, detail: `the ID of ${named}` }
}

function aboutChain(pem: string, { x509 }: Material, at: number): Answer {
  const read = readPemCertificates(pem)
  if (!read.ok) return { ok: false, reason: 'svid-untrusted', rule: 'X-27', detail: `the chain ${read.detail}` }
  const verdict = verifyX509Svid(read.certificates, x509, at)
  if (!verdict.ok) return { ok: false, reason: verdict.kind, rule: verdict.rule, detail: verdict.detail }
  const { id, serial, notBefore, notAfter } = verdict
  return { ok: true, spiffe_id: id.text, detail: `certificate ${serial}, its path is valid from ${iso(notBefore)} to ${iso(notAfter)}` }
}

function aboutToken(token: string, { jwt }: Material, audience: string, at: number): Answer {
  const verdict = verifyJwtSvid(token, jwt, { audience, now: at, leewayMs: LEEWAY_MS })
  if (!verdict.ok) return { ok: false, reason: verdict.kind, rule: verdict.rule, detail: verdict.detail }
  const { id, audiences, expiresAt } = verdict
  const others = audiences.length > 1 ? `, for ${audiences.length} audiences, each of which can show it to the others` : ''
  return { ok: true, spiffe_id: id.text, detail: `valid until ${iso(expiresAt)}${others}` }
}

function aboutBundle(text: string, trustDomain: string | undefined): Answer {
  const document = Buffer.from(text)
  const read = isBundleMap(document) ? parseBundleMap(document) : parseBundle(document, trustDomain ?? '')
  if (!read.ok) return { ok: false, reason: 'bundle-invalid', rule: read.rule, detail: read.detail }
  const bundles = 'bundle' in read ? [read.bundle] : [...read.bundles.values()]
  const contents = bundles.length === 0 ? ['no bundles, so it trusts nothing'] : bundles.map(described)
  return { ok: true, detail: [...contents, `to be fetched again after ${read.refreshAfterMs / 1000} s`].join('; ') }
}

function described({ trustDomain, x509, jwt, sequence, remarks }: Bundle): string {
  const whose = trustDomain === '' ? '' : `${trustDomain}: `
  const counts = `${whose}${counted(x509.length, 'X.509 anchor')}, ${counted(jwt.length, 'JWT key')}`
  const nothing = x509.length + jwt.length === 0 ? ', so it trusts nothing' : ''
  const numbered = sequence === undefined ? ', no sequence number' : `, sequence ${sequence}`
  return [
    `${counts}${nothing}${numbered}`,
    ...remarks.map(({ position, rule, detail }) => `${position === 0 ? 'keys' : `key ${position}`}: ${rule}: ${detail}`)
  ].join('; ')
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

function materialOf(trust: Trust, shelf: Shelf): Material {
  const place = JSON.stringify([trust.form, trust.trustDomain, trust.text])
  const known = shelf.get(place)
  if (known !== undefined) return known
  const material = readMaterial(trust)
  if (shelf.size >= SHELF_MAX) shelf.clear()
  shelf.set(place, material)
  return material
}

const named = (domain: string | undefined, what: string): string =>
  domain ?? unreadable(`${what} does not say whose it is: give --trust-domain, such as example.org.`)

function readMaterial({ form, text, trustDomain }: Trust): Material {
  if (form === 'pem') {
    const read = readPemCertificates(text)
    if (!read.ok) return unreadable(`The bundle ${read.detail}.`)
    return material([[named(trustDomain, 'A PEM bundle'), read.certificates]], [])
  }
  const document = Buffer.from(text)
  if (isBundleMap(document)) {
    const read = parseBundleMap(document)
    if (!read.ok) return unreadable(`The bundle map is refused: ${read.detail}.`, read.rule)
    return ofBundles([...read.bundles.values()].filter((bundle) => trustDomain === undefined || bundle.trustDomain === trustDomain))
  }
  if (form === 'spiffe-bundle') {
    const read = parseBundle(document, trustDomain ?? '')
    if (!read.ok) return unreadable(`The SPIFFE bundle is refused: ${read.detail}.`, read.rule)
    return ofBundles([{ ...read.bundle, trustDomain: named(trustDomain, 'A SPIFFE bundle') }])
  }
  const read = parseJwtKeySet(document)
  if (!read.ok) return unreadable(`The key set is refused: ${read.detail}.`, read.rule)
  return material([], [[named(trustDomain, 'A key set'), read.keys]])
}

function ofBundles(bundles: readonly Bundle[]): Material {
  return material(
    bundles.map(({ trustDomain, x509 }) => [trustDomain, x509]),
    bundles.map(({ trustDomain, jwt }) => [trustDomain, jwt])
  )
}

/** By the names of trust domains. */
type Held<T> = readonly (readonly [string, readonly T[]])[]

function material(anchors: Held<Uint8Array>, keys: Held<JwtKey>): Material {
  return { x509: { generation: 1, x509: new Map(anchors), receivedAt: 0 }, jwt: new Map(keys) }
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
