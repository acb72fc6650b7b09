/** Keeps the keys of the issuers of end users' tokens: read from a URL or a file, again and again, and the last good ones kept. */
import type { FetchKeys } from './subject-keys-fetch.ts'

export interface SubjectKeySource {
  readonly issuer: string
  /** The URL or the file, for what is said about it. */
  readonly where: string
  readonly fetch: FetchKeys
  readonly refreshMs: number
  readonly maxAgeMs: number
}

export type ParseKeys<Key> = (
  document: Uint8Array
) => { readonly ok: true; readonly keys: readonly Key[] } | { readonly ok: false; readonly rule: string; readonly detail: string }

export interface SubjectKeyOptions<Key> {
  readonly sources: readonly SubjectKeySource[]
  readonly parse: ParseKeys<Key>
  /** What a set of keys is compared by. */
  readonly same: (a: readonly Key[], b: readonly Key[]) => boolean
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly onEvent: (event: SubjectKeyEvent) => void
}

export interface SubjectKeyEvent {
  readonly kind: 'updated' | 'failed'
  readonly issuer: string
  readonly because: string
}

export interface SubjectKeyStore<Key> {
  /** Grows with every change of any issuer's keys, their getting too old among them: what was verified with them is to be again. */
  readonly generation: () => number
  /** Undefined: never had, or too old to be believed. */
  readonly keysOf: (issuer: string) => readonly Key[] | undefined
  /** Milliseconds since the keys were last read whole; undefined when they never were. */
  readonly ageOf: (issuer: string) => number | undefined
  /** Reads them again now, unless that was done a moment ago. @returns whether it is being done */
  readonly askAgain: (issuer: string) => boolean
  readonly close: () => void
}

/** A token with an unknown key may be the first after a rotation, or one of many forged ones: asked at most so often. */
const ASK_AGAIN_MS = 30_000
/** After a failure; a refresh that takes 5 minutes otherwise would leave a new server without keys for so long. */
const RETRY_MS = 5_000

export function keepSubjectKeys<Key>(options: SubjectKeyOptions<Key>): SubjectKeyStore<Key> {
  let generation = 1
  const onUpdate = () => {
    generation++
  }
  const kept = new Map(options.sources.map((source) => [source.issuer, new IssuerKeys(source, options, onUpdate)]))
  return {
    generation: () => {
      for (const one of kept.values()) one.noticeAge()
      return generation
    },
    keysOf: (issuer) => kept.get(issuer)?.keys(),
    ageOf: (issuer) => kept.get(issuer)?.age(),
    askAgain: (issuer) => kept.get(issuer)?.askAgain() ?? false,
    close: () => {
      for (const one of kept.values()) one.close()
    }
  }
}

/** The keys of one issuer, and the reading of them that is under way or due. */
class IssuerKeys<Key> {
  readonly #source: SubjectKeySource
  readonly #options: SubjectKeyOptions<Key>
  readonly #onUpdate: () => void
  readonly #closing = new AbortController()
  #keys: readonly Key[] | undefined
  #readAt = 0
  #askedAt = 0
  #asking = false
  #believed = true
  #timer: NodeJS.Timeout | undefined

  constructor(source: SubjectKeySource, options: SubjectKeyOptions<Key>, onUpdate: () => void) {
    this.#source = source
    this.#options = options
    this.#onUpdate = onUpdate
    void this.#read()
  }

  age = (): number | undefined => (this.#keys === undefined ? undefined : this.#options.now() - this.#readAt)

  keys = (): readonly Key[] | undefined => (this.#isYoung() ? this.#keys : undefined)

  noticeAge = (): void => {
    const believed = this.#isYoung()
    if (this.#believed && !believed) this.#onUpdate()
    this.#believed = believed
  }

  #isYoung(): boolean {
    return (this.age() ?? 0) <= this.#source.maxAgeMs
  }

  askAgain = (): boolean => {
    if (!this.#asking && this.#options.now() - this.#askedAt < ASK_AGAIN_MS) return false
    void this.#read()
    return true
  }

  close = (): void => {
    this.#closing.abort()
    clearTimeout(this.#timer)
  }

  async #read(): Promise<void> {
    const { signal } = this.#closing
    if (this.#asking || signal.aborted) return
    this.#asking = true
    this.#askedAt = this.#options.now()
    clearTimeout(this.#timer)
    const { issuer, where, refreshMs, fetch } = this.#source
    const because = await fetch(signal).then(
      (document) => this.#take(document),
      (cause: Error) => cause.message
    )
    this.#asking = false
    if (signal.aborted) return
    if (because !== undefined) this.#options.onEvent({ kind: 'failed', issuer, because: `${where}: ${because}` })
    this.#timer = setTimeout(() => void this.#read(), because === undefined ? refreshMs : Math.min(RETRY_MS, refreshMs))
    this.#timer.unref()
  }

  /** @returns what is wrong with the document; undefined when it is in force */
  #take(document: Uint8Array): string | undefined {
    const { parse, same, now, onEvent } = this.#options
    const parsed = parse(document)
    if (!parsed.ok) return `not a JWK set that is read here (${parsed.rule}: ${parsed.detail})`
    if (parsed.keys.length === 0) return 'there is no key in it that verifies tokens'
    this.#readAt = now()
    if (this.#keys !== undefined && same(this.#keys, parsed.keys)) return undefined
    this.#keys = parsed.keys
    this.#onUpdate()
    onEvent({ kind: 'updated', issuer: this.#source.issuer, because: `${parsed.keys.length} keys from ${this.#source.where}` })
    return undefined
  }
}
