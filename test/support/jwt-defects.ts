/** One defect each that a token can have, and the rule that refuses it; without a rule it is none. */
import { AUDIENCE, base64Url, es256, es384, jwkOf, makeToken, NOW_S, other, partnerKey, rsa, type SigningKey, WORKLOAD } from './jwt.ts'

export interface Draft {
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
  readonly place: string
  readonly rule: string | undefined
  readonly make: (draft: Draft) => void
}

const claim = (place: string, name: string, rule: string | undefined, value: unknown): Defect => ({
  name: `${place} ${name}`,
  place,
  rule,
  make: (draft) => {
    draft.claims[place] = value
  }
})
const member = (place: string, name: string, rule: string | undefined, value: unknown): Defect => ({
  name: `header ${place} ${name}`,
  place: place === 'alg' || place === 'kid' ? 'key' : place,
  rule,
  make: (draft) => {
    draft.header[place] = value
  }
})
const raw = (name: string, rule: string | undefined, text: string, place = 'raw'): Defect => ({
  name,
  place,
  rule,
  make: (draft) => {
    draft.rawClaims += text
  }
})
const signer = (name: string, rule: string | undefined, by: SigningKey, signedAs?: string): Defect => ({
  name,
  place: 'key',
  rule,
  make: (draft) => {
    draft.by = by
    draft.signedAs = signedAs
  }
})
const text = (name: string, rule: string | undefined, change: (token: string) => string): Defect => ({
  name,
  place: 'text',
  rule,
  make: (draft) => {
    draft.text = change
  }
})
const signature = (name: string, rule: string | undefined, change: (made: Buffer) => Buffer): Defect => ({
  name,
  place: 'signature',
  rule,
  make: (draft) => {
    draft.signature = change
  }
})
const inPart = (index: number, change: (part: string) => string) => (token: string) =>
  token
    .split('.')
    .map((part, at) => (at === index ? change(part) : part))
    .join('.')

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
  text('no more than it is', undefined, (token) => token),
  raw('sub twice', 'J-22', '"sub":"spiffe://vec.test/admin",', 'sub'),
  raw('a claim twice, deep', 'J-22', '"x":{"a":1,"a":2},'),
  raw('a name that means something to the engine', 'J-24', '"__proto__":{"a":1},'),
  raw('claims nine deep', 'J-24', `"x":${'['.repeat(8)}${']'.repeat(8)},`),
  raw('claims eight deep', undefined, `"x":${'['.repeat(7)}${']'.repeat(7)},`),
  raw('10,000 characters', 'J-24', `"x":"${'x'.repeat(10_000)}",`),
  raw('4,000 characters', undefined, `"x":"${'x'.repeat(4_000)}",`),
  raw('roles that nobody reads', undefined, '"roles":["admin"],'),
  raw('half a surrogate pair', 'J-1', '"x":"\\ud800",'),
  {
    name: 'header alg twice',
    place: 'key',
    rule: 'J-22',
    make: (draft) => {
      draft.rawHeader = '"alg":"ES256",'
    }
  },
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
  member('typ', 'missing', undefined, undefined),
  member('typ', 'JOSE', undefined, 'JOSE'),
  member('typ', 'in lower case', 'J-5', 'jwt'),
  member('typ', 'at+jwt', 'J-5', 'at+jwt'),
  member('typ', 'wit+jwt', 'W-1', 'wit+jwt'),
  member('jku', 'there', 'J-6', 'https://keys.test/'),
  member('jwk', 'there', 'J-6', jwkOf(other)),
  member('x5c', 'there', 'J-6', []),
  member('cty', 'there', 'J-6', 'JWT'),
  member('crit', 'there', 'J-7', ['foo']),
  claim('sub', 'missing', 'J-10', undefined),
  claim('sub', 'a name', 'J-10', 'alice'),
  claim('sub', 'a number', 'J-10', 7),
  claim('sub', 'a dot segment', 'J-10', 'spiffe://vec.test/a/../b'),
  claim('sub', 'a trust domain', 'J-11', 'spiffe://vec.test'),
  claim('sub', 'of a stranger', 'J-19', 'spiffe://stranger.test/a'),
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
  claim('exp', 'a text', 'J-15', String(NOW_S + 300)),
  claim('exp', 'null', 'J-15', null),
  claim('exp', '90 seconds ago', 'J-15', NOW_S - 90),
  claim('exp', '5 seconds ago', 'J-15', NOW_S - 5),
  claim('exp', '4 seconds ago', undefined, NOW_S - 4),
  claim('exp', 'beyond the calendar', 'J-15', 1e300),
  claim('exp', 'with a fraction', undefined, NOW_S + 0.5),
  claim('nbf', 'in two minutes', 'J-16', NOW_S + 120),
  claim('nbf', 'in 6 seconds', 'J-16', NOW_S + 6),
  claim('nbf', 'in 5 seconds', undefined, NOW_S + 5),
  claim('nbf', 'a text', 'J-16', String(NOW_S)),
  claim('iat', 'in two minutes', undefined, NOW_S + 120),
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
  signer('RSA', undefined, rsa),
  signer('RSA-PSS', undefined, { ...rsa, alg: 'PS384' }),
  signer('RSA-PSS that is PKCS#1', 'J-18', { ...rsa, alg: 'PS256' }, 'RS256'),
  signer('RSA under the kid of an EC key', 'J-4', { ...rsa, kid: es256.kid })
]

/** A token with these defects. */
export function spoiled(defects: readonly Defect[]): string {
  const draft: Draft = {
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
    claims: open({ sub: WORKLOAD, aud: [AUDIENCE], exp: NOW_S + 300, iat: NOW_S, ...claims }, rawClaims),
    ...(change === undefined ? {} : { signature: change })
  })
  return edit?.(token) ?? token
}
