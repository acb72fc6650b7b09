/** What `vecauthz svid verify` is asked, from command line options or from a line of JSON; both have the same names. */
import { parseTrustDomain } from '../core/spiffe-id.ts'

/** What can be given, each with the kinds of question that it belongs to. */
const TAKEN_BY = {
  chain: ['chain'],
  token: ['token'],
  id: ['id'],
  'spiffe-bundle': ['spiffe-bundle', 'chain', 'token'],
  bundle: ['chain'],
  jwks: ['token'],
  'trust-domain': ['chain', 'token', 'spiffe-bundle'],
  audience: ['token'],
  at: ['chain', 'token']
} as const satisfies Record<string, readonly Kind[]>

type Kind = 'chain' | 'token' | 'id' | 'spiffe-bundle'
export type Name = keyof typeof TAKEN_BY
export const NAMES = Object.keys(TAKEN_BY) as readonly Name[]

/** Texts, not file names: whoever asks has read the files. */
export type Given = Readonly<Partial<Record<Name, string>>>

/** Where the trust comes from. A trust domain of undefined is one that the document itself has to name. */
export interface Trust {
  readonly form: 'pem' | 'jwks' | 'spiffe-bundle'
  readonly text: string
  readonly trustDomain: string | undefined
}

export type Question =
  | { readonly kind: 'id'; readonly text: string }
  | { readonly kind: 'chain'; readonly text: string; readonly trust: Trust; readonly at: number }
  | { readonly kind: 'token'; readonly text: string; readonly trust: Trust; readonly audience: string; readonly at: number }
  | { readonly kind: 'spiffe-bundle'; readonly text: string; readonly trustDomain: string | undefined }

/** What keeps a question from being answered; thrown, and caught by whoever prints answers. */
export interface Unreadable {
  readonly unreadable: string
  /** The rule that the trust material breaks, where it is one. */
  readonly rule?: string
}

export function unreadable(sentence: string, rule?: string): never {
  const why: Unreadable = rule === undefined ? { unreadable: sentence } : { unreadable: sentence, rule }
  throw why
}

export function isUnreadable(cause: unknown): cause is Unreadable {
  return typeof cause === 'object' && cause !== null && 'unreadable' in cause
}

/** @param now milliseconds since the epoch, for questions that do not say when. Throws `Unreadable`. */
export function questionOf(given: Given, now: number): Question {
  const kind = kindOf(given)
  for (const name of NAMES) {
    const kinds: readonly Kind[] = TAKEN_BY[name]
    if (given[name] !== undefined && !kinds.includes(kind)) unreadable(`--${name} does not go with --${kind}.`)
  }
  const text = given[kind] ?? ''
  const trustDomain = trustDomainOf(given['trust-domain'])
  if (kind === 'id') return { kind, text }
  if (kind === 'spiffe-bundle') return { kind, text, trustDomain }
  const at = given.at === undefined ? now : instantOf(given.at)
  if (kind === 'chain') return { kind, text, trust: trustOf(given, 'bundle', 'pem', trustDomain), at }
  const trust = trustOf(given, 'jwks', 'jwks', trustDomain)
  if (given.audience === undefined || given.audience === '') unreadable('Say who the token must be for: --audience.', 'J-14')
  return { kind, text, trust, audience: given.audience, at }
}

/** Those of the options that a line does not decide for itself: it takes what goes with its kind, and brings its trust whole or not at all. */
export function withDefaults(line: Given, options: Given): Given {
  const kind = kindOf({ ...options, ...line })
  const own = line.bundle ?? line.jwks ?? (kind === 'spiffe-bundle' ? undefined : line['spiffe-bundle'])
  const kept = NAMES.filter((name) => {
    const kinds: readonly Kind[] = TAKEN_BY[name]
    const isTrust = name === 'bundle' || name === 'jwks' || name === 'spiffe-bundle'
    return options[name] !== undefined && kinds.includes(kind) && !(isTrust && own !== undefined)
  })
  return { ...Object.fromEntries(kept.map((name) => [name, options[name]])), ...line }
}

function kindOf(given: Given): Kind {
  const asked = (['chain', 'token', 'id'] as const).filter((name) => given[name] !== undefined)
  const [kind, other] = asked
  if (other !== undefined) unreadable(`Ask for one thing at a time: --${asked.join(' and --')} are given.`)
  if (kind !== undefined) return kind
  if (given['spiffe-bundle'] !== undefined) return 'spiffe-bundle'
  return unreadable('Say what to verify: --chain, --token, --spiffe-bundle or --id.')
}

function trustOf(given: Given, name: 'bundle' | 'jwks', form: Trust['form'], trustDomain: string | undefined): Trust {
  const [own, shared] = [given[name], given['spiffe-bundle']]
  if (own !== undefined && shared !== undefined) unreadable(`Give --${name} or --spiffe-bundle, not both.`)
  if (shared !== undefined) return { form: 'spiffe-bundle', text: shared, trustDomain }
  if (own === undefined) unreadable(`Say what to trust: --${name} or --spiffe-bundle.`)
  return { form, text: own, trustDomain }
}

/** The name with or without its scheme. */
function trustDomainOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const parsed = parseTrustDomain(text.replace(/^spiffe:\/\//, ''))
  return parsed.ok ? parsed.trustDomain : unreadable(`The trust domain ${parsed.detail} (${parsed.rule}).`, parsed.rule)
}

const RFC3339 = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(\.\d+)?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/

/** Milliseconds since the epoch of an RFC 3339 time. */
export function instantOf(text: string): number {
  const [, date, time] = RFC3339.exec(text.toUpperCase()) ?? []
  // Date.parse carries a 31 June over into July: a date that does not come back the same is not on the calendar.
  const there = Date.parse(`${date}T${time}Z`)
  if (Number.isNaN(there) || new Date(there).toISOString().slice(0, 19) !== `${date}T${time}`) {
    unreadable('The time is not in the form of RFC 3339: 2026-11-20T12:00:00Z.')
  }
  return Date.parse(text.toUpperCase())
}
