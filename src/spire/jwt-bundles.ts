import type { JWTBundlesResponse } from '@vecauthz/spiffe-protos/workload'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import type { JwtBundles } from '../core/trust.ts'
import { openSource, type SourceEvent, type SourceOptions, type StreamSource } from './stream-source.ts'

/** What two keys are compared by; `identity/jwt-keys.ts` has more of them. */
export interface ComparableKey {
  readonly kid: string | undefined
  readonly algorithms: readonly string[]
  /** SubjectPublicKeyInfo, DER in hex. */
  readonly spki: string
}

/** Reads the JWK set of one trust domain in the form of the Workload API: `parseJwtKeySet` of `identity/bundle-document.ts` in the product. */
export type ParseKeySet<Key> = (document: Uint8Array) =>
  | {
      readonly ok: true
      readonly keys: readonly Key[]
      /** Keys that were passed over; position 0 for what is about several keys. */
      readonly remarks: readonly { readonly position: number; readonly rule: string; readonly detail: string }[]
    }
  | { readonly ok: false; readonly rule: string; readonly detail: string }

export type JwtBundleEvent<Key> = SourceEvent<JwtBundles<Key>>
export type JwtBundleSource<Key> = StreamSource<JwtBundles<Key>>

export interface JwtBundleOptions<Key> extends SourceOptions<JwtBundles<Key>> {
  readonly parse: ParseKeySet<Key>
}

/** A process that federates with more domains than this has a runaway controller. */
const TRUST_DOMAINS_MAX = 1_000

/**
 * Keeps the JWT keys of our own and of federated trust domains current from a SPIFFE Workload API (Workload API §6.2.2; rules A-2,
 * ), with the life of `openSource`.
 */
export function connectJwtBundles<Key extends ComparableKey>(options: JwtBundleOptions<Key>): JwtBundleSource<Key> {
  return openSource<JWTBundlesResponse, JwtBundles<Key>>(
    {
      what: 'JWT bundles',
      open: (client, header) => client.fetchJwtBundles({}, header),
      read: (message, before, now) => {
        const reading = readMessage(message, options.parse)
        if (!reading.ok) return reading
        const { keys, warnings } = reading
        const same = before !== undefined && sameKeySets(before.keys, keys)
        return { ok: true, warnings, next: same ? undefined : (generation) => Object.freeze({ generation, keys, receivedAt: now }) }
      },
      vouched: (snapshot, now) => Object.freeze({ ...snapshot, receivedAt: now })
    },
    options
  )
}

type Reading<Key> =
  | { readonly ok: true; readonly keys: ReadonlyMap<string, readonly Key[]>; readonly warnings: readonly string[] }
  | { readonly ok: false; readonly because: string }

/** One message as a whole: it becomes the full new state, or nothing does (Workload API §4.4, §4.5). */
function readMessage<Key>({ bundles }: JWTBundlesResponse, parse: ParseKeySet<Key>): Reading<Key> {
  const entries = Object.entries(bundles)
  if (entries.length === 0) return { ok: false, because: 'The message holds no JWT bundle.' }
  if (entries.length > TRUST_DOMAINS_MAX) return { ok: false, because: `The message holds more than ${TRUST_DOMAINS_MAX} JWT bundles.` }
  const keys = new Map<string, readonly Key[]>()
  const warnings: string[] = []
  for (const [name, document] of entries) {
    const id = parseSpiffeId(name)
    if (!id.ok || id.id.path !== '') {
      warnings.push(`A JWT bundle is named ${JSON.stringify(name.slice(0, 100))}, not by the SPIFFE ID of a trust domain; ignored (A-10).`)
      continue
    }
    const { trustDomain } = id.id
    const read = parse(document)
    if (!read.ok) return { ok: false, because: `The JWT bundle of ${trustDomain} cannot be read (${read.rule}: ${read.detail}).` }
    for (const { position, rule, detail } of read.remarks) {
      const which = position === 0 ? '' : `, key ${position}`
      warnings.push(`The JWT bundle of ${trustDomain}${which}: ${detail} (${rule}).`)
    }
    keys.set(trustDomain, Object.freeze(read.keys))
  }
  // A message of unusable names says nothing about any trust domain, and nothing must not pass for "trust nobody" or for "as before".
  if (keys.size === 0) return { ok: false, because: 'The message holds no JWT bundle that is named by the SPIFFE ID of a trust domain.' }
  return { ok: true, keys, warnings }
}

type KeySets = ReadonlyMap<string, readonly ComparableKey[]>

/** SPIRE writes the keys of one set in another order each time, so neither the bytes nor the order are compared (rule A-17). */
function sameKeySets(a: KeySets, b: KeySets): boolean {
  return a.size === b.size && [...a].every(([trustDomain, keys]) => sameKeys(keys, b.get(trustDomain)))
}

function sameKeys(a: readonly ComparableKey[], b: readonly ComparableKey[] | undefined): boolean {
  return b !== undefined && spelling(a) === spelling(b)
}

function spelling(keys: readonly ComparableKey[]): string {
  return keys
    .map(({ kid, algorithms, spki }) => JSON.stringify([kid, algorithms, spki]))
    .sort()
    .join()
}
