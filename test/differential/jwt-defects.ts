/** One defect each that a token can have, and the rules of which one refuses it; without a rule it is merely unusual. */
import type { RuleNumber } from '../../src/identity/rules.ts'
import {
  AUDIENCE,
  base64Url,
  es256,
  es384,
  es512,
  jwkOf,
  makeToken,
  other,
  partnerKey,
  rsa,
  type SigningKey,
  WORKLOAD
} from '../support/jwt.ts'

interface Draft {
  /** Seconds since the epoch. */
  readonly nowS: number
  by: SigningKey
  signedAs: string | undefined
  readonly header: Record<string, unknown>
  readonly claims: Record<string, unknown>
  /** Members written in front of the claims, as they stand. */
  rawClaims: string
  rawHeader: string
  signature: ((made: Buffer) => Buffer) | undefined
  text: ((token: string) => string) | undefined
}

export interface Defect {
  readonly name: string
  /** Two defects of one place undo each other, so a token has one of each place at most. */
  readonly places: readonly string[]
  readonly rules: readonly RuleNumber[]
  readonly make: (draft: Draft) => void
}

type Rules = RuleNumber | readonly RuleNumber[] | undefined

const defect = (name: string, places: string | readonly string[], rules: Rules, make: Defect['make']): Defect => ({
  name,
  places: [places].flat(),
  rules: rules === undefined ? [] : [rules].flat(),
  make
})
const claim = (place: string, name: string, rules: Rules, value: unknown): Defect => timed(place, name, rules, () => value)
const timed = (place: string, name: string, rules: Rules, value: (nowS: number) => unknown): Defect =>
  defect(`${place} ${name}`, place, rules, (draft) => {
    draft.claims[place] = value(draft.nowS)
  })
const member = (place: string, name: string, rules: Rules, value: unknown): Defect =>
  defect(`header ${place} ${name}`, place === 'alg' || place === 'kid' ? 'key' : place, rules, (draft) => {
    draft.header[place] = value
  })
const raw = (name: string, rules: Rules, text: string, place = 'raw'): Defect =>
  defect(name, place, rules, (draft) => {
    draft.rawClaims += text
  })
const signer = (name: string, rules: Rules, by: SigningKey, signedAs?: string): Defect =>
  defect(name, 'key', rules, (draft) => {
    draft.by = by
    draft.signedAs = signedAs
  })
const foreign = (name: string, rules: Rules, sub: string, by: SigningKey): Defect =>
  defect(name, ['key', 'sub'], rules, (draft) => {
    draft.claims['sub'] = sub
    draft.by = by
  })
const text = (name: string, rules: Rules, change: (token: string) => string): Defect =>
  defect(name, 'text', rules, (draft) => {
    draft.text = change
  })
const signature = (name: string, rules: Rules, change: (made: Buffer) => Buffer): Defect =>
  defect(name, 'signature', rules, (draft) => {
    draft.signature = change
  })
const inPart = (index: number, change: (part: string) => string) => (token: string) =>
  token
    .split('.')
    .map((part, at) => (at === index ? change(part) : part))
    .join('.')

/** A letter that stands for other last bits, in the alphabet of base64url. */
function nextLetter(letter: string): string {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return letters[letters.indexOf(letter) ^ 1] ?? letter
}

const flip = (at: number) => (made: Buffer) => Buffer.from(made.map((byte, index) => (index === at ? byte ^ 1 : byte)))
const spare = { ...es256, key: partnerKey.key }

export const DEFECTS: readonly Defect[] = [
  text('two parts', 'J-1', (token) => token.slice(0, token.lastIndexOf('.'))),
  text('four parts', 'J-1', (token) => `${token}.AAAA`),
  text('five parts', 'J-1', (token) => `${token}.AAAA.AAAA`),
  text(
    'an empty signature',
    'J-1',
    inPart(2, () => '')
  ),
  text(
    'empty claims',
    'J-1',
    inPart(1, () => '')
  ),
  text(
    'claims that are an array',
    'J-1',
    inPart(1, () => base64Url('[]'))
  ),
  text(
    'a header that is no JSON',
    'J-1',
    inPart(0, () => base64Url('{"alg"'))
  ),
  text(
    'a header that is not UTF-8',
    'J-1',
    inPart(0, () => base64Url(Uint8Array.of(0x7b, 0xff, 0x7d)))
  ),
  text('padding', 'J-2', (token) => `${token}==`),
  text('a space behind', 'J-2', (token) => `${token} `),
  text('a line break behind', 'J-2', (token) => `${token}\n`),
  text(
    'the standard alphabet',
    'J-2',
    inPart(2, (part) => `+${part.slice(1)}`)
  ),
  text(
    'a character of no alphabet',
    'J-2',
    inPart(2, (part) => `!${part.slice(1)}`)
  ),
  text('leftover bits behind the signature', ['J-2', 'J-18'], (token) => `${token.slice(0, -1)}${nextLetter(token.at(-1) ?? '')}`),
  text('a JSON serialization', 'J-1', (token) => {
    const [header, payload, made] = token.split('.')
    return JSON.stringify({ protected: header, payload, signature: made })
  }),
  text(
    'a byte order mark before the claims',
    'J-1',
    inPart(1, (part) => base64Url(`\ufeff${Buffer.from(part, 'base64url')}`))
  ),
  text('no more than it is', undefined, (token) => token),
  raw('sub twice', 'J-22', '"sub":"spiffe://vec.test/admin",', 'sub'),
  raw('a claim twice, deep', 'J-22', '"x":{"a":1,"a":2},'),
  raw('a name that means something to the engine', 'J-24', '"__proto__":{"a":1},'),
  raw('claims nine deep', 'J-24', `"x":${'['.repeat(8)}${']'.repeat(8)},`),
  raw('claims eight deep', undefined, `"x":${'['.repeat(7)}${']'.repeat(7)},`),
  raw('10,000 characters', 'J-24', `"x":"${'x'.repeat(10_000)}",`),
  raw('3,000 characters', undefined, `"x":"${'x'.repeat(3_000)}",`),
  raw('roles that nobody reads', undefined, '"roles":["admin"],'),
  raw('half a surrogate pair', 'J-1', '"x":"\\ud800",'),
  defect('header alg twice', 'key', 'J-22', (draft) => {
    draft.rawHeader = '"alg":"ES256",'
  }),
  defect('header kid twice', 'key', 'J-22', (draft) => {
    draft.rawHeader = '"kid":"k-0",'
  }),
  raw('a subject in other letters beside', undefined, '"Sub":"spiffe://vec.test/admin","SUB":7,'),
  raw('a line break in a text', 'J-1', '"x":"a\nb",'),
  raw('a number beyond all numbers', undefined, '"x":1e999,'),
  raw('a comma too many', 'J-1', ','),
  raw('spaces and line breaks', undefined, ' \r\n\t'),
  member('alg', 'none', 'J-3', 'none'),
  member('alg', 'HS256', 'J-3', 'HS256'),
  member('alg', 'ES256K', 'J-3', 'ES256K'),
  member('alg', 'in lower case', 'J-3', 'es256'),
  member('alg', 'missing', 'J-3', undefined),
  member('alg', 'that does not fit', 'J-4', 'ES384'),
  member('kid', 'missing', undefined, undefined),
  member('kid', 'of another key', 'J-18', other.kid),
  member('kid', 'of no key', 'J-9', 'k-0'),
  member('kid', 'of a number', 'J-9', 7),
  member('kid', 'empty', 'J-9', ''),
  member('typ', 'missing', undefined, undefined),
  member('typ', 'JOSE', undefined, 'JOSE'),
  member('typ', 'in lower case', 'J-5', 'jwt'),
  member('typ', 'at+jwt', 'J-5', 'at+jwt'),
  member('typ', 'wit+jwt', 'W-1', 'wit+jwt'),
  member('jku', 'there', 'J-6', 'https://keys.test/'),
  member('jwk', 'there', 'J-6', jwkOf(other)),
  member('x5c', 'there', 'J-6', []),
  member('cty', 'there', 'J-6', 'JWT'),
  member('b64', 'false', 'J-6', false),
  member('crit', 'there', 'J-7', ['foo']),
  member('crit', 'empty', 'J-7', []),
  claim('sub', 'missing', 'J-10', undefined),
  claim('sub', 'a name', 'J-10', 'alice'),
  claim('sub', 'a number', 'J-10', 7),
  claim('sub', 'a dot segment', 'J-10', 'spiffe://vec.test/a/../b'),
  claim('sub', 'a trust domain', 'J-11', 'spiffe://vec.test'),
  claim('sub', 'of a stranger', 'J-19', 'spiffe://stranger.test/a'),
  claim('sub', 'with a port', 'J-10', 'spiffe://vec.test:443/a'),
  claim('sub', 'with an empty query', 'J-10', 'spiffe://vec.test/a?'),
  claim('sub', 'in upper case', 'J-10', 'SPIFFE://vec.test/a'),
  claim('sub', 'of a trust domain in upper case', 'J-10', 'spiffe://Vec.test/a'),
  claim('sub', 'percent-encoded', 'J-10', 'spiffe://vec.test/%61'),
  claim('sub', 'of 2049 bytes', 'J-10', `spiffe://vec.test/${'a'.repeat(2049 - 18)}`),
  claim('sub', 'of 2048 bytes', undefined, `spiffe://vec.test/${'a'.repeat(2048 - 18)}`),
  claim('sub', 'of a domain without keys', 'J-20', 'spiffe://empty.test/a'),
  foreign('an ID of the partner, signed by us', 'J-9', 'spiffe://partner.test/a', es256),
  foreign('an ID of the partner, signed by us under its kid', 'J-18', 'spiffe://partner.test/a', { ...es256, kid: partnerKey.kid }),
  foreign('an ID of the partner, signed by it', undefined, 'spiffe://partner.test/a', partnerKey),
  claim('sub', 'of another workload', undefined, `${WORKLOAD}2`),
  claim('aud', 'missing', 'J-12', undefined),
  claim('aud', 'empty', 'J-12', []),
  claim('aud', 'an empty text', 'J-12', ''),
  claim('aud', 'with a number', 'J-12', [AUDIENCE, 7]),
  claim('aud', 'with an empty text', 'J-12', [AUDIENCE, '']),
  claim('aud', 'of somebody else', 'J-13', ['billing']),
  claim('aud', 'in another case', 'J-13', 'VecAuthz'),
  claim('aud', 'with somebody else', undefined, ['billing', AUDIENCE]),
  claim('aud', 'a text', undefined, AUDIENCE),
  claim('exp', 'missing', 'J-15', undefined),
  timed('exp', 'a text', 'J-15', (nowS) => String(nowS + 300)),
  claim('exp', 'null', 'J-15', null),
  timed('exp', '90 seconds ago', 'J-15', (nowS) => nowS - 90),
  timed('exp', '5 seconds ago', 'J-15', (nowS) => nowS - 5),
  timed('exp', '4 seconds ago', undefined, (nowS) => nowS - 4),
  claim('exp', 'beyond the calendar', 'J-15', 1e300),
  timed('exp', 'with a fraction', undefined, (nowS) => nowS + 0.5),
  timed('nbf', 'in two minutes', 'J-16', (nowS) => nowS + 120),
  timed('nbf', 'in 6 seconds', 'J-16', (nowS) => nowS + 6),
  timed('nbf', 'in 5 seconds', undefined, (nowS) => nowS + 5),
  timed('nbf', 'a text', 'J-16', (nowS) => String(nowS)),
  timed('iat', 'in two minutes', undefined, (nowS) => nowS + 120),
  claim('iat', 'a text', undefined, 'yesterday'),
  claim('cnf', 'there', 'W-2', { jwk: jwkOf(other) }),
  signature('a bit of the signature', 'J-18', flip(3)),
  signature('a short signature', 'J-18', (made) => made.subarray(1)),
  signature('a long signature', 'J-18', (made) => Buffer.concat([made, made.subarray(0, 1)])),
  signature('a signature of zeros', 'J-18', (made) => Buffer.alloc(made.length)),
  signer('a key that nobody knows, under our kid', 'J-18', spare),
  signer("the partner's key", 'J-9', partnerKey),
  signer('another of our keys', undefined, other),
  signer('P-384', undefined, es384),
  signer('P-521', undefined, es512),
  signer('ECDSA in DER', 'J-18', es256, 'DER'),
  signer('RSA', undefined, rsa),
  signer('RSA-PSS', undefined, { ...rsa, alg: 'PS384' }),
  signer('RSA-PSS that is PKCS#1', 'J-18', { ...rsa, alg: 'PS256' }, 'RS256'),
  signer('RSA under the kid of an EC key', 'J-4', { ...rsa, kid: es256.kid })
]

/** A token with these defects, made at `nowS`, seconds since the epoch. */
export function spoiled(defects: readonly Defect[], nowS: number): string {
  const draft: Draft = {
    nowS,
    by: es256,
    signedAs: undefined,
    header: {},
    claims: {},
    rawClaims: '',
    rawHeader: '',
    signature: undefined,
    text: undefined
  }
  for (const { make } of defects) make(draft)
  const { by, header, claims, rawClaims, rawHeader, signature: change, text: edit } = draft
  const open = (members: object, first: string) => `{${first}${JSON.stringify(members).slice(1)}`
  // A header that says another algorithm than the key has is signed as the key can.
  const token = makeToken({
    by,
    signedAs: draft.signedAs ?? by.alg,
    header: open({ alg: by.alg, kid: by.kid, typ: 'JWT', ...header }, rawHeader),
    claims: open({ sub: WORKLOAD, aud: [AUDIENCE], exp: nowS + 300, iat: nowS, ...claims }, rawClaims),
    ...(change === undefined ? {} : { signature: change })
  })
  return edit?.(token) ?? token
}
