import { describe, expect, it } from 'vitest'
import { createCallerCache, identify } from '../../src/identity/identify.ts'
import { JWT_ALGORITHMS, type JwtKeySets } from '../../src/identity/jwt-keys.ts'
import { type JwtCheck, type JwtVerdict, verifyJwtSvid } from '../../src/identity/jwt-svid.ts'
import { envoyPem, newKey } from '../support/ca.ts'
import { NOW, root, svid, TRUST } from '../support/chains.ts'
import {
  AUDIENCE,
  base64Url,
  es256,
  es384,
  es512,
  goodClaims,
  headerFor,
  JWT_NOW,
  jwkOf,
  KEY_SETS,
  keySet,
  makeToken,
  NOW_S,
  other,
  partnerKey,
  rsa,
  type SigningKey,
  type TokenSpec,
  WORKLOAD
} from '../support/jwt.ts'

interface Row {
  /** The rule number first. */
  readonly name: string
  readonly want: string
  readonly token: TokenSpec | string
  readonly keys?: JwtKeySets
  readonly check?: Partial<JwtCheck>
}

const CHECK: JwtCheck = { audience: AUDIENCE, now: JWT_NOW, leewayMs: 5_000 }
const verdictOf = ({ token, keys, check }: Omit<Row, 'name' | 'want'>): JwtVerdict =>
  verifyJwtSvid(typeof token === 'string' ? token : makeToken(token), keys ?? KEY_SETS, { ...CHECK, ...check })

/** `valid`, or the rule; an expired token with its kind. */
function shown(verdict: JwtVerdict): string {
  if (verdict.ok) return 'valid'
  expect(verdict.detail).toMatch(/^[\x20-\x7e]+$/)
  return verdict.kind === 'svid-expired' ? `${verdict.rule} expired` : verdict.rule
}

function check(rows: readonly Row[]): void {
  it.each(rows)('$name: $want', ({ want, ...row }) => {
    expect(shown(verdictOf(row))).toBe(want)
  })
}

const good = makeToken()
const [head = '', body = '', tail = ''] = good.split('.')
/** Of 17 keys, the last one. */
const last: SigningKey = { alg: 'ES256', kid: 'k-17', key: newKey('P-256') }
const sixteen = Array.from({ length: 16 }, (_, at) => jwkOf({ alg: 'ES256', kid: `k-${at + 1}`, key: newKey('P-256') }))
const weak: SigningKey = { alg: 'RS256', kid: 'k-weak', key: newKey('RSA-1024') }
const edwards: SigningKey = { alg: 'EdDSA', kid: 'k-ed', key: newKey('Ed25519') }
const koblitz: SigningKey = { alg: 'ES256', kid: 'k-koblitz', key: newKey('secp256k1') }
const only = (...jwks: readonly unknown[]): JwtKeySets => new Map([['vec.test', keySet(...jwks)]])

describe('the form of a token', () => {
  check([
    { name: 'J-1 three parts', want: 'valid', token: good },
    { name: 'J-1 two parts', want: 'J-1', token: `${head}.${body}` },
    { name: 'J-1 four parts', want: 'J-1', token: `${good}.${tail}` },
    { name: 'J-1 five parts, as a JWE has', want: 'J-1', token: `${good}.${tail}.${tail}` },
    { name: 'J-1 an empty signature', want: 'J-1', token: `${head}.${body}.` },
    { name: 'J-1 empty claims', want: 'J-1', token: `${head}..${tail}` },
    { name: 'J-1 nothing at all', want: 'J-1', token: '' },
    { name: 'J-1 the JSON serialisation', want: 'J-1', token: JSON.stringify({ payload: body, signatures: [{ protected: head }] }) },
    { name: 'J-1 a header that is an array', want: 'J-1', token: { header: '["ES256"]' } },
    { name: 'J-1 claims that are a text', want: 'J-1', token: { claims: '"spiffe://vec.test/a"' } },
    { name: 'J-1 claims with something behind them', want: 'J-1', token: { claims: `${JSON.stringify(goodClaims)} 1` } },
    { name: 'J-1 claims with white space around them', want: 'valid', token: { claims: ` ${JSON.stringify(goodClaims)}\n` } },
    {
      name: 'J-1 a header that is not UTF-8',
      want: 'J-1',
      token: `${base64Url(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d))}.${body}.${tail}`
    },
    { name: 'J-2 padding behind the signature', want: 'J-2', token: `${good}==` },
    { name: 'J-2 padding behind the header', want: 'J-2', token: `${head}=.${body}.${tail}` },
    { name: 'J-2 the standard alphabet', want: 'J-2', token: `${head}.${body}.${tail.slice(0, -1)}+` },
    { name: 'J-2 a space behind the token', want: 'J-2', token: `${good} ` },
    { name: 'J-2 a line break in the claims', want: 'J-2', token: `${head}.${body.slice(0, 4)}\n${body.slice(4)}.${tail}` },
    { name: 'J-2 leftover bits that are not zero', want: 'J-2', token: `${head}.${body}.${tail.slice(0, -1)}${nextLetter(tail.at(-1))}` },
    {
      name: 'J-2 a character that only looks like one in its last byte',
      want: 'J-2',
      token: `${String.fromCharCode(0x165)}${good.slice(1)}`
    },
    { name: 'J-22 sub twice', want: 'J-22', token: { claims: `{"sub":"spiffe://vec.test/admin",${JSON.stringify(goodClaims).slice(1)}` } },
    { name: 'J-22 sub twice, once escaped', want: 'J-22', token: { claims: `{"s\\u0075b":"x",${JSON.stringify(goodClaims).slice(1)}` } },
    { name: 'J-22 sub once, escaped', want: 'valid', token: { claims: JSON.stringify(goodClaims).replace('"sub"', '"s\\u0075b"') } },
    { name: 'J-22 alg twice', want: 'J-22', token: { header: '{"alg":"ES256","alg":"ES256","kid":"k-es256"}' } },
    {
      name: 'J-22 a name twice deep in a claim that nobody reads',
      want: 'J-22',
      token: withRaw('"x":[{"a":1,"a":1}]')
    },
    { name: 'J-22 one name in two objects', want: 'valid', token: withRaw('"x":[{"a":1},{"a":1}]') },
    { name: 'J-24 8,192 characters', want: 'valid', token: sized(8_192) },
    { name: 'J-24 8,193 characters', want: 'J-24', token: sized(8_193) },
    { name: 'J-24 a megabyte', want: 'J-24', token: 'e'.repeat(1 << 20) },
    { name: 'J-24 claims 8 deep', want: 'valid', token: withRaw(`"x":${'['.repeat(7)}${']'.repeat(7)}`) },
    { name: 'J-24 claims 9 deep', want: 'J-24', token: withRaw(`"x":${'['.repeat(8)}${']'.repeat(8)}`) },
    { name: 'J-24 the name __proto__', want: 'J-24', token: withRaw('"__proto__":{"sub":"spiffe://vec.test/admin"}') },
    { name: 'J-24 the name __proto__ in a claim', want: 'J-24', token: withRaw('"x":{"__proto__":1}') },
    { name: 'J-24 the name constructor, which means nothing here', want: 'valid', token: withRaw('"constructor":{"prototype":1}') }
  ])
})

describe('the header', () => {
  const hmac = { header: headerFor({ ...es256, alg: 'HS256' }) }
  check([
    ...[...JWT_ALGORITHMS.keys()].map((alg) => {
      const by = { ...({ ES256: es256, ES384: es384, ES512: es512 }[alg] ?? rsa), alg }
      return { name: `J-3 ${alg}`, want: 'valid', token: { by } }
    }),
    { name: 'J-3 none', want: 'J-3', token: { header: { alg: 'none' } } },
    { name: 'J-3 none without a signature', want: 'J-1', token: `${base64Url('{"alg":"none"}')}.${body}.` },
    { name: 'J-3 HS256', want: 'J-3', token: hmac },
    {
      name: 'J-3 EdDSA, though such a key is in the bundle',
      want: 'J-3',
      token: { by: edwards },
      keys: only(jwkOf(edwards), jwkOf(es256))
    },
    { name: 'J-3 ES256K', want: 'J-3', token: { header: { alg: 'ES256K' } } },
    { name: 'J-3 the algorithm in lower case', want: 'J-3', token: { header: { alg: 'es256' } } },
    { name: 'J-3 no algorithm', want: 'J-3', token: { header: { alg: undefined } } },
    { name: 'J-3 an algorithm that is a number', want: 'J-3', token: { header: { alg: 256 } } },
    { name: 'J-4 RS256 with the id of an EC key', want: 'J-4', token: { by: { ...rsa, kid: es256.kid } } },
    { name: 'J-4 ES256 with the id of an RSA key', want: 'J-4', token: { by: { ...es256, kid: rsa.kid } } },
    { name: 'J-4 ES384 with a P-256 key', want: 'J-4', token: { header: { alg: 'ES384' }, signedAs: 'ES384' } },
    { name: 'J-4 ES256 with a P-384 key', want: 'J-4', token: { by: { ...es384, alg: 'ES256' } } },
    { name: 'J-4 ES256 with a key on another curve', want: 'J-20', token: { by: koblitz }, keys: only(jwkOf(koblitz)) },
    { name: 'J-4 RS256 with an RSA key of 1024 bits', want: 'J-9', token: { by: weak }, keys: only(jwkOf(weak), jwkOf(es256)) },
    {
      name: 'J-4 RS256 with a key that its JWK reserves for RS256',
      want: 'valid',
      token: { by: rsa },
      keys: only(jwkOf(rsa, { alg: 'RS256' }))
    },
    {
      name: 'J-4 RS256 with a key that its JWK reserves for PS256',
      want: 'J-4',
      token: { by: rsa },
      keys: only(jwkOf(rsa, { alg: 'PS256' }))
    },
    { name: 'J-4 PS256 signed as RS256', want: 'J-18', token: { by: { ...rsa, alg: 'PS256' }, signedAs: 'RS256' } },
    { name: 'J-5 no typ', want: 'valid', token: { header: { typ: undefined } } },
    { name: 'J-5 typ JOSE', want: 'valid', token: { header: { typ: 'JOSE' } } },
    { name: 'J-5 typ jwt', want: 'J-5', token: { header: { typ: 'jwt' } } },
    { name: 'J-5 typ at+jwt', want: 'J-5', token: { header: { typ: 'at+jwt' } } },
    { name: 'J-5 typ null', want: 'J-5', token: { header: { typ: null } } },
    { name: 'J-6 jku', want: 'J-6', token: { header: { jku: 'https://keys.test/' } } },
    { name: 'J-6 jwk with the key that signed', want: 'J-6', token: { by: last, header: { jwk: jwkOf(last) } } },
    { name: 'J-6 x5c', want: 'J-6', token: { header: { x5c: [] } } },
    { name: 'J-6 x5u', want: 'J-6', token: { header: { x5u: 'https://keys.test/' } } },
    { name: 'J-6 cty', want: 'J-6', token: { header: { cty: 'JWT' } } },
    { name: 'J-7 crit', want: 'J-7', token: { header: { crit: ['foo'], foo: 1 } } },
    { name: 'J-7 crit of an extension that others know', want: 'J-7', token: { header: { crit: ['b64'], b64: true } } },
    { name: 'J-7 an empty crit', want: 'J-7', token: { header: { crit: [] } } },
    { name: 'J-8 no kid', want: 'valid', token: { header: { kid: undefined } } },
    { name: 'J-8 no kid, and the second key that fits', want: 'valid', token: { by: other, header: { kid: undefined } } },
    { name: 'J-8 no kid, and no key that fits', want: 'J-18', token: { by: last, header: { kid: undefined } } },
    { name: 'J-8 no kid, and no key of this kind', want: 'J-4', token: { by: rsa, header: { kid: undefined } }, keys: only(jwkOf(es256)) },
    {
      name: 'J-8 no kid, neither in the key',
      want: 'valid',
      token: { header: { kid: undefined } },
      keys: only(jwkOf(es256, { kid: undefined }))
    },
    {
      name: 'J-8 no kid, and two keys without one',
      want: 'valid',
      token: { by: other, header: { kid: undefined } },
      keys: only(jwkOf(es256, { kid: undefined }), jwkOf(other, { kid: undefined }))
    },
    {
      name: 'J-8 no kid, and the 16th key',
      want: 'valid',
      token: { by: last, header: { kid: undefined } },
      keys: only(...sixteen.slice(1), jwkOf(last))
    },
    {
      name: 'J-8 no kid, and the 17th key',
      want: 'J-8',
      token: { by: last, header: { kid: undefined } },
      keys: only(...sixteen, jwkOf(last))
    },
    { name: 'J-9 the kid of the 17th key', want: 'valid', token: { by: last }, keys: only(...sixteen, jwkOf(last)) },
    { name: 'J-9 the kid of another key', want: 'J-18', token: { header: { kid: other.kid } } },
    { name: 'J-9 the kid of no key', want: 'J-9', token: { header: { kid: 'k-es257' } } },
    { name: 'J-9 the kid in another case', want: 'J-9', token: { header: { kid: 'K-es256' } } },
    { name: 'J-9 an empty kid', want: 'J-9', token: { header: { kid: '' } } },
    { name: 'J-9 a kid that is a number', want: 'J-9', token: { header: { kid: 7 } } },
    { name: 'J-9 a kid, and the key has none', want: 'J-9', token: {}, keys: only(jwkOf(es256, { kid: undefined })) },
    { name: 'W-1 a WIT-SVID', want: 'W-1', token: { header: { typ: 'wit+jwt' }, claims: { aud: undefined, cnf: { jwk: jwkOf(other) } } } },
    { name: 'W-1 a WIT-SVID with an audience', want: 'W-1', token: { header: { typ: 'wit+jwt' } } },
    { name: 'W-2 a token that is bound to a key', want: 'W-2', token: { claims: { cnf: { jwk: jwkOf(other) } } } }
  ])
})

describe('the claims', () => {
  check([
    { name: 'J-10 no sub', want: 'J-10', token: { claims: { sub: undefined } } },
    { name: 'J-10 a sub that is a name', want: 'J-10', token: { claims: { sub: 'alice' } } },
    { name: 'J-10 a sub that is a number', want: 'J-10', token: { claims: { sub: 7 } } },
    { name: 'J-10 a sub that is an array', want: 'J-10', token: { claims: { sub: [WORKLOAD] } } },
    { name: 'J-10 a sub with a dot segment', want: 'J-10', token: { claims: { sub: 'spiffe://vec.test/a/../b' } } },
    { name: 'J-10 a sub with a capital letter in its scheme', want: 'J-10', token: { claims: { sub: 'Spiffe://vec.test/a' } } },
    { name: 'J-10 a sub of one segment', want: 'valid', token: { claims: { sub: 'spiffe://vec.test/a' } } },
    { name: 'J-11 a sub without a path', want: 'J-11', token: { claims: { sub: 'spiffe://vec.test' } } },
    { name: 'J-12 no aud', want: 'J-12', token: { claims: { aud: undefined } } },
    { name: 'J-12 an aud that is our text', want: 'valid', token: { claims: { aud: AUDIENCE } } },
    { name: 'J-12 an empty text', want: 'J-12', token: { claims: { aud: '' } } },
    { name: 'J-12 an empty array', want: 'J-12', token: { claims: { aud: [] } } },
    { name: 'J-12 a number', want: 'J-12', token: { claims: { aud: [7] } } },
    { name: 'J-12 a number beside our text', want: 'J-12', token: { claims: { aud: [AUDIENCE, 7] } } },
    { name: 'J-12 an empty text beside ours', want: 'J-12', token: { claims: { aud: [AUDIENCE, ''] } } },
    { name: 'J-12 null', want: 'J-12', token: { claims: { aud: null } } },
    { name: 'J-13 another audience', want: 'J-13', token: { claims: { aud: ['billing'] } } },
    { name: 'J-13 ours among others', want: 'valid', token: { claims: { aud: ['billing', AUDIENCE] } } },
    { name: 'J-13 ours with another case', want: 'J-13', token: { claims: { aud: ['Vecauthz'] } } },
    { name: 'J-13 ours as a part of a longer one', want: 'J-13', token: { claims: { aud: [`${AUDIENCE}/x`] } } },
    { name: 'J-14 no audience of our own', want: 'J-14', token: good, check: { audience: '' } },
    { name: 'J-15 no exp', want: 'J-15', token: { claims: { exp: undefined } } },
    { name: 'J-15 an exp that is a text', want: 'J-15', token: { claims: { exp: String(NOW_S + 300) } } },
    { name: 'J-15 an exp that is null', want: 'J-15', token: { claims: { exp: null } } },
    {
      name: 'J-15 an exp beyond a double',
      want: 'J-15',
      token: withRaw('"exp":1e999', { exp: undefined })
    },
    { name: 'J-15 an exp beyond the calendar', want: 'J-15', token: withRaw('"exp":1e300', { exp: undefined }) },
    { name: 'J-15 an exp at the end of the calendar', want: 'valid', token: { claims: { exp: 8.64e12 } } },
    { name: 'J-15 an exp a second after the end of the calendar', want: 'J-15', token: { claims: { exp: 8.64e12 + 1 } } },
    { name: 'J-15 an exp with a fraction', want: 'valid', token: withRaw(`"exp":${NOW_S + 1}.5e0`, { exp: undefined }) },
    { name: 'J-15 an exp 90 seconds ago', want: 'J-15 expired', token: { claims: { exp: NOW_S - 90 } } },
    { name: 'J-15 an exp 4 seconds ago, within the leeway', want: 'valid', token: { claims: { exp: NOW_S - 4 } } },
    { name: 'J-15 an exp 5 seconds ago, at the end of the leeway', want: 'J-15 expired', token: { claims: { exp: NOW_S - 5 } } },
    { name: 'J-15 an exp this second, without leeway', want: 'J-15 expired', token: { claims: { exp: NOW_S } }, check: { leewayMs: 0 } },
    { name: 'J-15 an exp in a second, without leeway', want: 'valid', token: { claims: { exp: NOW_S + 1 } }, check: { leewayMs: 0 } },
    {
      name: 'J-15 a leeway of an hour is one of a minute',
      want: 'J-15 expired',
      token: { claims: { exp: NOW_S - 60 } },
      check: { leewayMs: 3_600_000 }
    },
    { name: 'J-15 a negative leeway is none', want: 'valid', token: { claims: { exp: NOW_S + 1 } }, check: { leewayMs: -5_000 } },
    { name: 'J-15 a leeway that is no number', want: 'J-15 expired', token: good, check: { leewayMs: Number.NaN } },
    { name: 'J-15 a clock that is no number', want: 'J-15 expired', token: good, check: { now: Number.NaN } },
    {
      name: 'J-15 an expired token of a stranger is untrusted, not expired',
      want: 'J-18',
      token: { by: { ...other, kid: es256.kid }, claims: { exp: NOW_S - 90 } }
    },
    { name: 'J-16 an nbf in two minutes', want: 'J-16', token: { claims: { nbf: NOW_S + 120 } } },
    { name: 'J-16 an nbf in 5 seconds, within the leeway', want: 'valid', token: { claims: { nbf: NOW_S + 5 } } },
    { name: 'J-16 an nbf in 6 seconds', want: 'J-16', token: { claims: { nbf: NOW_S + 6 } } },
    { name: 'J-16 an nbf that is a text', want: 'J-16', token: { claims: { nbf: String(NOW_S) } } },
    { name: 'J-17 an iat in two minutes', want: 'valid', token: { claims: { iat: NOW_S + 120 } } },
    { name: 'J-17 no iat', want: 'valid', token: { claims: { iat: undefined } } },
    { name: 'J-17 an iat that is a text', want: 'valid', token: { claims: { iat: 'yesterday' } } }
  ])
})

describe('keys and signatures', () => {
  const flipped = (at: number) => (made: Buffer) => Buffer.from(made.map((byte, index) => (index === at ? byte ^ 1 : byte)))
  const partner = { sub: 'spiffe://partner.test/a' }
  const caSet = only(jwkOf({ ...es256, key: root.key }, { use: 'x509-svid' }))
  check([
    { name: 'J-18 the last bit of the signature', want: 'J-18', token: { signature: flipped(63) } },
    { name: 'J-18 the first bit of the signature', want: 'J-18', token: { signature: flipped(0) } },
    {
      name: 'J-18 another claim under the same signature',
      want: 'J-18',
      token: `${head}.${base64Url(JSON.stringify({ ...goodClaims, sub: `${WORKLOAD}2` }))}.${tail}`
    },
    { name: 'J-18 a signature of zeros', want: 'J-18', token: { signature: () => Buffer.alloc(64) } },
    { name: 'J-18 a signature that is too short', want: 'J-18', token: { signature: (made) => made.subarray(0, 63) } },
    {
      name: 'J-18 a signature in DER',
      want: 'J-18',
      token: {
        signature: (made) =>
          Buffer.concat([Buffer.from('30440220', 'hex'), made.subarray(0, 32), Buffer.from('0220', 'hex'), made.subarray(32)])
      }
    },
    {
      name: 'J-18 an RSA signature that is too long',
      want: 'J-18',
      token: { by: rsa, signature: (made) => Buffer.concat([Buffer.alloc(1), made]) }
    },
    { name: 'J-18 a partner by its own key', want: 'valid', token: { by: partnerKey, claims: partner } },
    { name: 'J-18 a partner by our key', want: 'J-9', token: { claims: partner } },
    { name: 'J-18 a partner by our key, without a kid', want: 'J-18', token: { claims: partner, header: { kid: undefined } } },
    { name: "J-18 one of ours by the partner's key, without a kid", want: 'J-18', token: { by: partnerKey, header: { kid: undefined } } },
    { name: 'J-19 a trust domain without a bundle', want: 'J-19', token: { claims: { sub: 'spiffe://stranger.test/a' } } },
    { name: 'J-19 a trust domain named like a part of ours', want: 'J-19', token: { claims: { sub: 'spiffe://ec.test/a' } } },
    { name: 'J-20 a trust domain with an empty bundle', want: 'J-20', token: { claims: { sub: 'spiffe://empty.test/a' } } },
    {
      name: 'J-21 the key of the X.509 CA, where the set says what it is for',
      want: 'J-20',
      token: { by: { ...es256, key: root.key } },
      keys: caSet
    },
    { name: 'J-21 the key of the X.509 CA beside JWT keys', want: 'J-18', token: { by: { ...es256, key: root.key } } },
    { name: 'J-27 roles and scopes change nothing', want: 'valid', token: { claims: { roles: ['admin'], scope: 'all' } } }
  ])

  it('J-25 the same token twice', () => {
    expect([shown(verdictOf({ token: good })), shown(verdictOf({ token: good }))]).toEqual(['valid', 'valid'])
  })

  it('J-25 the other spelling of an ECDSA signature is accepted too, so the text of a token names nothing', () => {
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
    const mirrored = (made: Buffer) => {
      const s = order - BigInt(`0x${made.subarray(32).toString('hex')}`)
      return Buffer.concat([made.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')])
    }
    expect(shown(verdictOf({ token: { signature: mirrored } }))).toBe('valid')
  })

  it('J-27 the verdict has the ID, the audiences, the end and the jti, and no other claim', () => {
    const verdict = verdictOf({ token: { claims: { aud: ['billing', AUDIENCE], roles: ['admin'], jti: 'x' } } })
    expect(verdict).toEqual({
      ok: true,
      id: { trustDomain: 'vec.test', path: WORKLOAD.slice(17), text: WORKLOAD },
      audiences: ['billing', AUDIENCE],
      expiresAt: JWT_NOW + 300_000,
      tokenId: 'x'
    })
  })

  it('J-26 where tokens are not taken, one beside a certificate does not change whose call it is, and alone it is nobody', async () => {
    const token = makeToken({ claims: { sub: 'spiffe://vec.test/alice' } })
    const call = (peerCertificate: string | undefined) =>
      identify(
        {
          method: 'GET',
          target: '/',
          authority: 'chroma.test',
          headers: new Map([['authorization', `Bearer ${token}`]]),
          body: undefined,
          peerCertificate,
          peerPrincipal: undefined,
          httpId: '1',
          grpc: false,
          strippedCredentials: []
        },
        TRUST,
        NOW,
        createCallerCache(10)
      )
    expect(call(envoyPem((await svid(root)).der))).toMatchObject({ ok: true, value: { id: { text: WORKLOAD }, evidence: 'x509-svid' } })
    expect(call(undefined)).toMatchObject({ ok: false, reason: { kind: 'no-identity' } })
  })
})

/** Good claims with this member written as it stands. */
function withRaw(member: string, over: Readonly<Record<string, unknown>> = {}): { readonly claims: string } {
  return { claims: `{${member},${JSON.stringify({ ...goodClaims, ...over }).slice(1)}` }
}

/** A good token of this many characters: base64 leaves out some lengths, so there are several headers to choose from. */
function sized(characters: number): string {
  const headers = [{}, { typ: undefined }, { typ: 'JOSE' }, { kid: undefined }]
  const longest = Math.ceil((characters * 3) / 4)
  for (const header of headers) {
    const room = longest - Math.ceil((makeToken({ header }).length * 3) / 4)
    for (let filler = room - 24; filler < room; filler++) {
      const token = makeToken({ header, claims: { filler: 'x'.repeat(filler) } })
      if (token.length === characters) return token
    }
  }
  throw new Error(`no token of ${characters} characters`)
}

/** One bit more in the last character, which has four that count for nothing in a signature of 64 bytes. */
function nextLetter(letter = ''): string {
  return String.fromCharCode(letter.charCodeAt(0) + 1)
}
