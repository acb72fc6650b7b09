import { accept, type Refused, type Result, refuse } from '../core/deny-reason.ts'
import { PATH_BYTES_MAX } from '../core/limits.ts'
import { foldCase } from './json-keys.ts'

/** A request target that has one reading only. */
export interface Target {
  /** Path segments, decoded once. Empty for the root. */
  readonly segments: readonly string[]
  /** The path as it came, which is also its canonical form; without the query. */
  readonly path: string
  /** Decoded once; no key twice. */
  readonly query: ReadonlyMap<string, string>
}

/** What `encodeURIComponent` leaves alone: RFC 3986 unreserved characters and `!*'()`. */
const PLAIN = /^[A-Za-z0-9\-._~!*'()]*$/
/** Decoded characters that some reader on the way could take for structure, or decode once more. */
const STRUCTURE = /[\u0000-\u001f\u007f/\\%;]/

const WRITE_CANONICALLY = 'Write the path with each segment escaped once, as encodeURIComponent does, and without trailing slash.'

/**
 * Reads a request target in origin form (RFC 9112 §3.2.1).
 *
 * A database, a proxy and this server must not see three different paths, so only a target that equals its own canonical
 * form passes: each segment, query key and query value is what `encodeURIComponent` makes of its decoded text.
 *
 * @returns `call-ambiguous` for any other spelling, `call-too-large` above PATH_BYTES_MAX.
 */
export function readTarget(raw: string): Result<Target> {
  if (raw.length > PATH_BYTES_MAX) return refuse('call-too-large', `request target of ${raw.length} characters`)
  if (!raw.startsWith('/')) return ambiguous('request target is not in origin form')
  if (raw.includes('#')) return ambiguous('request target has a fragment')
  const mark = raw.indexOf('?')
  const path = mark < 0 ? raw : raw.slice(0, mark)
  const segments = readSegments(path)
  if (!segments.ok) return segments
  const query = mark < 0 ? accept(NO_QUERY) : readQuery(raw.slice(mark + 1))
  if (!query.ok) return query
  return accept({ segments: segments.value, path, query: query.value })
}

const NO_QUERY: ReadonlyMap<string, string> = new Map()

function readSegments(path: string): Result<readonly string[]> {
  if (path === '/') return accept([])
  const segments = path.slice(1).split('/')
  for (const [index, raw] of segments.entries()) {
    if (raw === '') return ambiguous('empty path segment or trailing slash')
    if (raw === '.' || raw === '..') return ambiguous('dot segment in the path')
    const piece = readPiece(raw)
    if (!piece.ok) return piece
    segments[index] = piece.value
  }
  return accept(segments)
}

function readQuery(text: string): Result<ReadonlyMap<string, string>> {
  const query = new Map<string, string>()
  const folded = new Set<string>()
  for (const pair of text.split('&')) {
    const equals = pair.indexOf('=')
    // Parsers differ in what an empty pair and a key without a value mean.
    if (equals < 1) return ambiguous('query part that is not key=value')
    const key = readPiece(pair.slice(0, equals))
    if (!key.ok) return key
    const value = readPiece(pair.slice(equals + 1))
    if (!value.ok) return value
    // First or last? Readers differ (tried: Weaviate takes the last, URLSearchParams.get the first).
    if (query.has(key.value)) return ambiguous('repeated query key')
    const fold = foldCase(key.value)
    if (folded.has(fold)) return ambiguous('query keys that differ in case only')
    folded.add(fold)
    query.set(key.value, value.value)
  }
  return accept(query)
}

function readPiece(raw: string): Result<string> {
  if (PLAIN.test(raw)) return accept(raw)
  let decoded: string
  try {
    decoded = decodeURIComponent(raw)
  } catch {
    return ambiguous('escape that is no UTF-8')
  }
  if (encodeURIComponent(decoded) !== raw) return ambiguous('request target is not in canonical form')
  if (STRUCTURE.test(decoded)) return ambiguous('escaped slash, backslash, percent sign, semicolon or control character')
  return accept(decoded)
}

function ambiguous(because: string): Refused {
  return refuse('call-ambiguous', because, WRITE_CANONICALLY)
}
