/** Reads somebody else's configuration: each value in its type, or its default, or "cannot tell"; never a guess. */

export type Path = readonly (string | number)[]

/** A message of the configuration, and where it stands. */
export interface Place {
  readonly value: Readonly<Record<string | symbol, unknown>>
  readonly path: Path
}

/** On a message of which only some fields are known: what is absent is not its default, but unknown. */
export const UNSAID: unique symbol = Symbol('only what is written here is known')

/** What keeps a check from being answered; thrown, and told as CANNOT TELL. */
export interface Unclear {
  readonly unclear: string
  readonly at: Path
}

export function unclear(at: Path, sentence: string): never {
  const why: Unclear = { unclear: sentence, at }
  throw why
}

export function isUnclear(cause: unknown): cause is Unclear {
  return typeof cause === 'object' && cause !== null && 'unclear' in cause
}

export function isMessage(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A field; undefined where it has its default. Throws `Unclear` where nobody knows. */
function field({ value, path }: Place, key: string): unknown {
  const own = Object.hasOwn(value, key)
  const found = own ? value[key] : undefined
  if (found !== undefined && found !== null) return found
  return !own && value[UNSAID] === true ? unclear(path, `${key} is not said here; ask the running Envoy (/config_dump)`) : undefined
}

export function has(place: Place, key: string): boolean {
  return field(place, key) !== undefined
}

/** A message below others; undefined where one of them is absent. */
export function at(place: Place, ...keys: readonly string[]): Place | undefined {
  let here: Place | undefined = place
  for (const key of keys) {
    const value: unknown = here === undefined ? undefined : field(here, key)
    if (here === undefined || value === undefined) return undefined
    if (!isMessage(value)) return unclear([...here.path, key], `${key} is no message`)
    here = { value, path: [...here.path, key] }
  }
  return here
}

export function listOf(place: Place, key: string): readonly Place[] {
  const path = [...place.path, key]
  return valuesOf(place, key).map((value, index) => (isMessage(value) ? { value, path: [...path, index] } : wrong(path, 'messages')))
}

export function textsOf(place: Place, key: string): readonly string[] {
  return valuesOf(place, key).map((value) => (typeof value === 'string' ? value : wrong([...place.path, key], 'texts')))
}

function valuesOf(place: Place, key: string): readonly unknown[] {
  const found = field(place, key)
  if (found === undefined) return []
  return Array.isArray(found) ? found : wrong([...place.path, key], 'a list')
}

export function flag(place: Place, key: string, byDefault = false): boolean {
  const found = field(place, key) ?? byDefault
  return typeof found === 'boolean' ? found : wrong([...place.path, key], 'true or false')
}

export function text(place: Place, key: string): string | undefined {
  const found = field(place, key)
  return found === undefined || typeof found === 'string' ? found : wrong([...place.path, key], 'a text')
}

/** A whole number; JSON of protobuf writes large ones as text. */
export function count(place: Place, key: string): number | undefined {
  const found = field(place, key)
  if (found === undefined) return undefined
  const number = typeof found === 'string' && /^\d{1,15}$/.test(found) ? Number(found) : found
  return typeof number === 'number' && Number.isFinite(number) ? number : wrong([...place.path, key], 'a number')
}

/** Of a duration such as `0.5s`; 0 is no limit to Envoy, and undefined here. */
export function seconds(place: Place, key: string): number | undefined {
  const found = field(place, key)
  if (found === undefined) return undefined
  const matched = /^(\d+(?:\.\d+)?)s$/.exec(String(found))
  if (matched === null) return wrong([...place.path, key], 'a duration such as 0.5s')
  const value = Number(matched[1])
  return value > 0 ? value : undefined
}

function wrong(path: Path, what: string): never {
  return unclear(path, `${String(path.at(-1))} should be ${what} here`)
}

/** The last part of a message's type, and its message; a TypedStruct is what it stands for. Undefined where there is none. */
export function typed(place: Place, key = 'typed_config'): { readonly type: string; readonly config: Place } | undefined {
  const config = at(place, key)
  if (config === undefined) return undefined
  const url = text(config, '@type') ?? unclear(config.path, 'a typed_config without @type')
  const type = url.split('/').at(-1) ?? ''
  if (!type.endsWith('.TypedStruct')) return { type, config }
  const inner = text(config, 'type_url') ?? unclear(config.path, 'a TypedStruct without type_url')
  return { type: inner.split('/').at(-1) ?? '', config: at(config, 'value') ?? unclear(config.path, 'a TypedStruct without value') }
}
