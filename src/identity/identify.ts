/**
 * Who calls: the result of the X.509-SVID rulebook on the bytes of the certificate that Envoy's TLS peer presented (rules P-1 to
 * P-10). Names that came along (`source.principal`, XFCC) can only make it fail: Envoy fills them from certificates that it never
 * verified, and a partner's CA can write what it likes into them.
 */
import { createHash } from 'node:crypto'
import type { Caller } from '../core/caller.ts'
import { accept, type Refused, type Result, refuse } from '../core/deny-reason.ts'
import type { Inbound } from '../core/inbound.ts'
import { CLOCK_SKEW_MS } from '../core/limits.ts'
import type { TrustBundles } from '../core/trust.ts'
import { decodeUrlPem } from './pem.ts'
import { type Fault, fault } from './rules.ts'
import { CHAIN_CERTIFICATES_MAX, verifyX509Svid } from './x509-svid.ts'
import { parseXfcc, type XfccElement } from './xfcc.ts'

/** Verdicts on certificates that were seen before (rule P-10). Its content is worth nothing under other bundles. */
export interface CallerCache {
  generation: number
  readonly callersMax: number
  /** By the text of the certificate; of each, one verdict for every XFCC that it came with. */
  readonly proven: Map<string, readonly Remembered[]>
  readonly refused: Map<string, readonly Remembered[]>
}

interface Remembered {
  readonly xfcc: string | undefined
  /** Milliseconds since the epoch, both ends inside. */
  readonly from: number
  readonly until: number
  readonly verdict: Result<Caller>
}

/** A refusal is remembered so long that a client which hammers an expired connection costs little, and a mended one waits little. */
const REFUSAL_TTL_MS = 1_000
/** Refusals have room of their own, so that strangers cannot push callers out. */
const REFUSALS_MAX = 256
/** One certificate comes with as many XFCC texts as there are Envoys with different identities in front of us. */
const VARIANTS_MAX = 4

export function createCallerCache(callersMax: number): CallerCache {
  return { generation: Number.NaN, callersMax, proven: new Map(), refused: new Map() }
}

/**
 * The caller, or the first reason why there is none. Never throws. `now` and `since` are milliseconds since the epoch: a verdict
 * from before `since` is reached again.
 */
export function identify(
  inbound: Inbound,
  trust: TrustBundles,
  now: number,
  cache: CallerCache,
  since = Number.NEGATIVE_INFINITY
): Result<Caller> {
  const { peerCertificate: certificate, peerPrincipal: principal } = inbound
  const xfcc = inbound.headers.get('x-forwarded-client-cert')
  if (certificate === undefined) return withoutCertificate(xfcc, principal)
  if (cache.generation !== trust.generation) restart(cache, trust.generation)
  const proven = recall(cache.proven, certificate, xfcc, now)
  const known = proven?.ok === true && proven.value.provenAt < since ? undefined : (proven ?? recall(cache.refused, certificate, xfcc, now))
  const verdict = known ?? learn(certificate, xfcc, trust, now, cache)
  if (!verdict.ok) return verdict
  if (principal === undefined || principal === verdict.value.id.text) return verdict
  return refuse('identity-conflict', `P-2: the certificate is that of ${verdict.value.id.text}, source.principal is another name`)
}

function withoutCertificate(xfcc: string | undefined, principal: string | undefined): Refused {
  if (xfcc !== undefined)
    return refuse('identity-conflict', 'P-6: XFCC came without source.certificate: forged, or include_peer_certificate is not set')
  const hint = principal === undefined ? '' : ', though source.principal did: include_peer_certificate is not set'
  return refuse('no-identity', `P-9: no client certificate came with the call${hint}`)
}

function learn(certificate: string, xfcc: string | undefined, trust: TrustBundles, now: number, cache: CallerCache): Result<Caller> {
  const { from, until, verdict } = prove(certificate, xfcc, trust, now)
  const [verdicts, max] = verdict.ok ? [cache.proven, cache.callersMax] : [cache.refused, REFUSALS_MAX]
  const others = verdicts.get(certificate)?.filter((other) => other.xfcc !== xfcc) ?? []
  const [oldest] = verdicts.keys()
  if (verdicts.size >= max && !verdicts.has(certificate) && oldest !== undefined) verdicts.delete(oldest)
  verdicts.set(certificate, [...others, { xfcc, from, until, verdict }].slice(-VARIANTS_MAX))
  return verdict
}

function recall(verdicts: CallerCache['proven'], certificate: string, xfcc: string | undefined, now: number): Result<Caller> | undefined {
  const variants = verdicts.get(certificate)
  return variants?.find((one) => one.xfcc === xfcc && now >= one.from && now <= one.until)?.verdict
}

function restart(cache: CallerCache, generation: number): void {
  cache.proven.clear()
  cache.refused.clear()
  cache.generation = generation
}

type Proof = Omit<Remembered, 'xfcc'>

function prove(certificate: string, xfcc: string | undefined, trust: TrustBundles, now: number): Proof {
  const no = (verdict: Refused): Proof => ({ from: now, until: now + REFUSAL_TTL_MS, verdict })
  const read = decodeUrlPem(certificate, 1)
  if (!read.ok) return no(refuse('svid-untrusted', `P-1: source.certificate is ${read.detail}`))
  const leaf = read.certificates[0] ?? new Uint8Array()
  const element = xfcc === undefined ? undefined : parseXfcc(xfcc)
  if (element?.ok === false) return no(refuse('identity-conflict', because(element)))
  const hints = element === undefined ? [] : hintsIn(element.element, leaf)
  if (!Array.isArray(hints)) return no(refuse(hints.rule === 'X-25' ? 'svid-untrusted' : 'identity-conflict', because(hints)))
  const judged = verifyX509Svid([leaf, ...hints], trust, now)
  if (!judged.ok) return no(refuse(judged.kind, because(judged)))
  const { id, serial } = judged
  if (element?.element.uri.some((uri) => uri !== id.text) === true) {
    return no(refuse('identity-conflict', `P-4: XFCC has a URI that is not ${id.text}, the ID of the certificate`))
  }
  const { notAfter, notBefore: issuedAt } = judged.leaf
  const none = { tokenId: undefined, carrier: undefined, subject: undefined }
  const caller = { id, evidence: 'x509-svid', notAfter, issuedAt, serial, provenAt: now, ...none } as unknown as Caller
  return { from: judged.notBefore - CLOCK_SKEW_MS, until: judged.notAfter, verdict: accept(caller) }
}

/** What XFCC adds to the leaf: untrusted certificates to build a path with (rule P-3), if it speaks of this leaf at all (P-4). */
function hintsIn(element: XfccElement, leaf: Uint8Array): Uint8Array[] | Fault {
  if (element.hash !== createHash('sha256').update(leaf).digest('hex'))
    return fault('P-4', 'the Hash of XFCC is not that of source.certificate')
  if (element.cert !== undefined) {
    const cert = decodeUrlPem(element.cert, 1)
    if (!cert.ok || !sameBytes(cert.certificates[0], leaf)) return fault('P-4', 'the Cert of XFCC is not source.certificate')
  }
  if (element.chain === undefined) return []
  const chain = decodeUrlPem(element.chain, CHAIN_CERTIFICATES_MAX)
  if (!chain.ok) return fault('X-25', `the Chain of XFCC is ${chain.detail}`)
  const [first, ...hints] = chain.certificates
  return sameBytes(first, leaf) ? hints : fault('P-4', 'the Chain of XFCC does not begin with source.certificate')
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a !== undefined && Buffer.compare(a, b) === 0
}

function because({ rule, detail }: { readonly rule: string; readonly detail: string }): string {
  return `${rule}: ${detail}`
}
