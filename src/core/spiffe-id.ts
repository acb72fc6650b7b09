/**
 * SPIFFE IDs, read byte by byte (SPIFFE-ID §2; rule numbers of `identity/rules.ts`). Never `new URL()`: it resolves dots and
 * drops tabs, ports and user names, so that it reads another identity than the one that was signed (ID-21).
 */

declare const parsed: unique symbol

/** A valid SPIFFE ID, immutable. Only `parseSpiffeId` makes one. An empty path is a trust domain's ID, never a workload's (ID-20). */
export interface SpiffeId {
  readonly [parsed]: true
  readonly trustDomain: string
  /** Empty, or `/` and segments: `/ns/acme/agent/support`. */
  readonly path: string
  readonly text: string
}

export interface IdFault {
  readonly ok: false
  /** The rule that the text breaks, such as `ID-7`. */
  readonly rule: string
  readonly detail: string
}

export type IdResult = { readonly ok: true; readonly id: SpiffeId } | IdFault
export type TrustDomainResult = { readonly ok: true; readonly trustDomain: string } | IdFault

/** SPIFFE-ID §2.3. */
const ID_BYTES_MAX = 2048
const TRUST_DOMAIN_BYTES_MAX = 255
const PREFIX = 'spiffe://'

export function parseSpiffeId(text: string): IdResult {
  // A character is at least one byte, and every character that is more than one is refused below.
  if (text.length > ID_BYTES_MAX) return fault('ID-16', `longer than ${ID_BYTES_MAX} bytes`)
  if (!text.startsWith(PREFIX)) return schemeFault(text)
  const slash = text.indexOf('/', PREFIX.length)
  const end = slash === -1 ? text.length : slash
  const wrong = trustDomainFault(text, PREFIX.length, end) ?? pathFault(text, end)
  if (wrong !== undefined) return wrong
  const id = { trustDomain: text.slice(PREFIX.length, end), path: text.slice(end), text }
  return { ok: true, id: Object.freeze(id) as SpiffeId }
}

/** A trust domain's name without scheme, such as `example.org`. */
export function parseTrustDomain(text: string): TrustDomainResult {
  return trustDomainFault(text, 0, text.length) ?? { ok: true, trustDomain: text }
}

/** The grammar leaves one spelling for each ID (ID-18, ID-19), so equal text is equal identity. */
export function sameId(a: SpiffeId, b: SpiffeId): boolean {
  return a.text === b.text
}

/** A compiled path pattern. Only `compileIdPattern` makes one. */
export interface IdPattern {
  readonly [parsed]: true
  readonly text: string
  readonly trustDomain: string
  /** True when no wildcard is in it: it matches the ID with the same text and no other. */
  readonly exact: boolean
  readonly segments: readonly string[]
  /** One or more segments follow. */
  readonly open: boolean
}

export type IdPatternResult =
  | { readonly ok: true; readonly pattern: IdPattern }
  | {
      readonly ok: false
      /** A sentence for whoever wrote the pattern. */
      readonly detail: string
    }

/**
 * Compiles `spiffe://example.org/ns/acme/**`: `*` stands for exactly one whole segment, `**` at the end for one or more.
 * A pattern names one trust domain in full.
 */
export function compileIdPattern(text: string): IdPatternResult {
  const refused = (why: string): IdPatternResult => ({ ok: false, detail: `${JSON.stringify(text)} is not a SPIFFE ID pattern: ${why}` })
  const [scheme = '', , trustDomain = '', ...segments] = text.split('/')
  if (trustDomain.includes('*') || scheme.includes('*')) return refused('a trust domain is named in full, without *')
  for (const [position, segment] of segments.entries()) {
    if (segment === '**' && position < segments.length - 1) return refused('** can only be the last segment')
    if (segment !== '*' && segment !== '**' && segment.includes('*')) return refused('* stands for a whole segment, not for a part of one')
  }
  const id = parseSpiffeId(text.replaceAll(/\/\*\*?(?=\/|$)/g, '/x'))
  if (!id.ok) return refused(`${id.detail} (${id.rule})`)
  if (segments.length === 0) return refused('it has no path, so it names a trust domain and no workload')
  const open = segments.at(-1) === '**'
  const closed = open ? segments.slice(0, -1) : segments
  const pattern = { text, trustDomain, exact: !open && !closed.includes('*'), segments: Object.freeze(closed), open }
  return { ok: true, pattern: Object.freeze(pattern) as IdPattern }
}

export function matchesId(pattern: IdPattern, id: SpiffeId): boolean {
  if (pattern.trustDomain !== id.trustDomain) return false
  const { path } = id
  let at = 0
  for (const segment of pattern.segments) {
    if (at === path.length) return false
    const slash = path.indexOf('/', at + 1)
    const end = slash === -1 ? path.length : slash
    if (segment !== '*' && (end - at - 1 !== segment.length || !path.startsWith(segment, at + 1))) return false
    at = end
  }
  return pattern.open ? at < path.length : at === path.length
}

function schemeFault(text: string): IdFault {
  if (text.slice(0, PREFIX.length).toLowerCase() === PREFIX) return fault('ID-19', 'the scheme is not in lower case')
  return fault('ID-1', 'does not begin with spiffe://')
}

function trustDomainFault(text: string, from: number, to: number): IdFault | undefined {
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at)
    if (isLower(code) || isDigit(code) || isMark(code)) continue
    if (code === 0x3f) return fault('ID-3', 'has a query')
    if (code === 0x23) return fault('ID-4', 'has a fragment')
    if (code === 0x40) return fault('ID-5', 'has user information')
    if (code === 0x3a) return fault('ID-6', 'has a port')
    if (isUpper(code)) return fault('ID-7', 'the trust domain is not in lower case')
    if (code === 0x25) return fault('ID-9', 'the trust domain is percent-encoded')
    return fault('ID-8', `the trust domain holds ${shown(code)}`)
  }
  if (from === to) return fault('ID-2', 'has no trust domain')
  if (to - from > TRUST_DOMAIN_BYTES_MAX) return fault('ID-17', `the trust domain is longer than ${TRUST_DOMAIN_BYTES_MAX} bytes`)
  return undefined
}

/** `from` is the first slash, or the end of the text. */
function pathFault(text: string, from: number): IdFault | undefined {
  if (from === text.length) return undefined
  let start = from + 1
  for (let at = start; at <= text.length; at++) {
    const code = at === text.length ? 0x2f : text.charCodeAt(at)
    if (code === 0x2f) {
      const length = at - start
      if (length === 0 && at === text.length) return fault('ID-14', 'ends in a slash')
      if (length === 0) return fault('ID-12', 'has an empty segment')
      if (length <= 2 && text.charCodeAt(start) === 0x2e && text.charCodeAt(at - 1) === 0x2e) return fault('ID-13', 'has a dot segment')
      start = at + 1
      continue
    }
    if (isLower(code) || isUpper(code) || isDigit(code) || isMark(code)) continue
    if (code === 0x25) return fault('ID-11', 'the path is percent-encoded')
    if (code === 0x3f) return fault('ID-3', 'has a query')
    if (code === 0x23) return fault('ID-4', 'has a fragment')
    return fault('ID-15', `the path holds ${shown(code)}`)
  }
  return undefined
}

const isLower = (code: number): boolean => code >= 0x61 && code <= 0x7a
const isUpper = (code: number): boolean => code >= 0x41 && code <= 0x5a
const isDigit = (code: number): boolean => code >= 0x30 && code <= 0x39
/** `.`, `-` and `_`. */
const isMark = (code: number): boolean => code === 0x2e || code === 0x2d || code === 0x5f

/** A character as a log line can hold it. */
function shown(code: number): string {
  return code > 0x20 && code < 0x7f ? `the character ${String.fromCharCode(code)}` : `the character U+${code.toString(16).padStart(4, '0')}`
}

function fault(rule: string, detail: string): IdFault {
  return { ok: false, rule, detail }
}
