/** Requests of REST interfaces with something odd about their target, method, headers or the form of their body. */
import { deflateRawSync, gzipSync } from 'node:zlib'
import { type Change, changeOf, type Dice, oddities } from './dice.ts'
import type { Header, Wire } from './wire.ts'

/** Pairs of texts in a target: what is there, and what may stand in its place. */
export interface TargetWords {
  /** What a thief would write: ids and names of the other tenant. */
  readonly thefts: () => readonly (readonly [string, string])[]
  readonly swaps: () => readonly (readonly [string, string])[]
  readonly queries: readonly string[]
}

const onTarget = (name: string, weight: number, change: (dice: Dice, target: string) => string | undefined): Change<Wire> => ({
  name,
  weight,
  make: (dice, wire) => {
    const target = change(dice, wire.target)
    return target === undefined || target === wire.target ? undefined : { ...wire, target }
  }
})

/** A place in the path where the change is made, never the query. */
const pathOf = (target: string): [string, string] => {
  const mark = target.indexOf('?')
  return mark < 0 ? [target, ''] : [target.slice(0, mark), target.slice(mark)]
}

const onSegment = (name: string, weight: number, make: (dice: Dice, segment: string) => string): Change<Wire> =>
  onTarget(name, weight, (dice, target) => {
    const [path, query] = pathOf(target)
    const segments = path.split('/')
    const at = 1 + dice.below(Math.max(1, segments.length - 1))
    segments[at] = make(dice, segments[at] ?? '')
    return segments.join('/') + query
  })

const escapeOne = (dice: Dice, text: string): string => {
  if (text === '') return '%20'
  const at = dice.below(text.length)
  const code = text.charCodeAt(at).toString(16).padStart(2, '0')
  return `${text.slice(0, at)}%${dice.chance(0.5) ? code : code.toUpperCase()}${text.slice(at + 1)}`
}

const METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'get', 'Post', 'delete', 'TRACE']
const TYPES = [
  'application/json; charset=utf-8',
  'application/json;charset=UTF-8',
  'application/JSON',
  'text/plain',
  'application/yaml',
  'application/x-www-form-urlencoded',
  'application/cbor',
  'application/vnd.x+json',
  'application/json; charset=latin1',
  'application/grpc'
]
const EXTRA: readonly Header[] = [
  ['x-chroma-token', 'secret'],
  ['authorization', 'Bearer secret'],
  ['x-tenant-id', 'globex'],
  ['x-vecauthz-tenant', 'globex'],
  ['tenant', 'globex'],
  ['dbname', 'db_globex'],
  ['x-http-method-override', 'DELETE'],
  ['x-original-url', '/'],
  ['expect', '100-continue'],
  ['x-openai-baseurl', 'http://127.0.0.1:1'],
  ['accept', '*/*'],
  ['user-agent', 'odd/1'],
  ['content-encoding', 'identity'],
  ['content-encoding', 'gzip'],
  ['upgrade', 'h2c'],
  ['content-length', '2'],
  ['x-forwarded-for', '10.0.0.1']
]

export function httpChanges({ thefts, swaps, queries }: TargetWords): readonly Change<Wire>[] {
  const swapped = (words: () => readonly (readonly [string, string])[]) => (dice: Dice, target: string) => {
    const fitting = words().filter(([from]) => target.includes(from))
    if (fitting.length === 0) return undefined
    const [from, to] = dice.pick(fitting)
    return target.replace(from, () => to)
  }
  return [
    onTarget('a word of the other tenant in the target', 14, swapped(thefts)),
    onTarget('another word in the target', 5, swapped(swaps)),
    onTarget('another query', 8, (dice, target) => {
      const query = dice.pick(queries)
      return `${target}${target.includes('?') ? '&' : '?'}${query}`
    }),
    onSegment('escape in the path', 3, escapeOne),
    onSegment('another case in the path', 3, (dice, segment) =>
      dice.pick([segment.toUpperCase(), segment.toLowerCase(), segment.charAt(0).toUpperCase() + segment.slice(1)])
    ),
    onSegment('dots in the path', 2, (dice, segment) =>
      dice.pick([`${segment}/..`, `./${segment}`, `${segment}/../${segment}`, `x/../${segment}`])
    ),
    onSegment(
      'odd end of a segment',
      2,
      (dice, segment) => segment + dice.pick(['/', '//', '%2f', '%00', ';', ';x=1', '%20', '.', '%252e', '+', '#'])
    ),
    onSegment('one segment more or less', 2, (dice, segment) => dice.pick(['', `${segment}/${segment}`])),
    {
      name: 'another method',
      weight: 3,
      make: (dice, wire) => ({ ...wire, method: dice.pick(METHODS) })
    },
    {
      name: 'another content type',
      weight: 4,
      make: (dice, wire) => ({
        ...wire,
        headers: [
          ...wire.headers.filter(([name]) => name !== 'content-type'),
          ...(dice.chance(0.2) ? [] : [['content-type', dice.pick(TYPES)] as const])
        ]
      })
    },
    { name: 'one header more', weight: 6, make: (dice, wire) => ({ ...wire, headers: [...wire.headers, dice.pick(EXTRA)] }) },
    {
      name: 'compressed',
      weight: 2,
      make: (dice, wire) => {
        if (wire.body === undefined) return undefined
        const [encoding, body] = dice.chance(0.7) ? ['gzip', gzipSync(wire.body)] : ['deflate', deflateRawSync(wire.body)]
        return { ...wire, body, headers: dice.chance(0.8) ? [...wire.headers, ['content-encoding', encoding] as const] : wire.headers }
      }
    },
    {
      name: 'a body, or none',
      weight: 2,
      make: (dice, wire) =>
        wire.body === undefined ? { ...wire, body: Buffer.from(dice.pick(['{}', '{"ids":["a"]}', ' '])) } : { ...wire, body: undefined }
    }
  ]
}

/** Up to three changes of a REST call, in its JSON body or around it. */
export function changedRest(
  dice: Dice,
  wire: Wire,
  { onWire, onJson }: { readonly onWire: readonly Change<Wire>[]; readonly onJson: readonly Change<string>[] }
): { readonly wire: Wire; readonly names: readonly string[] } {
  const names: string[] = []
  let changed = wire
  for (let left = oddities(dice); left > 0; left--) {
    const { body } = changed
    const inBody = body !== undefined && dice.chance(0.65)
    const one = inBody ? changeOf(dice, onJson, body.toString()) : changeOf(dice, onWire, changed)
    if (one === undefined) continue
    names.push(one.name)
    changed = typeof one.made === 'string' ? { ...changed, body: Buffer.from(one.made) } : one.made
  }
  return { wire: changed, names }
}
