import { createPublicKey } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { parseBundle, parseBundleMap, parseJwtKeySet, succeed } from '../../src/identity/bundle-document.ts'
import { isSameKey } from '../../src/identity/jwt-keys.ts'
import { verifyJwtSvid } from '../../src/identity/jwt-svid.ts'
import { verifyX509Svid } from '../../src/identity/x509-svid.ts'
import { type Authority, newKey } from '../support/ca.ts'
import { authority, NOW, partner, root, rsaKey, svid } from '../support/chains.ts'
import { AUDIENCE, es256, es384, JWT_NOW, jwkOf, keySet, makeToken, other, rsa, type SigningKey, type TokenSpec } from '../support/jwt.ts'

const bytes = (document: unknown): Buffer => Buffer.from(typeof document === 'string' ? document : JSON.stringify(document))

/** The entry of a CA certificate, as X509-SVID §6.1 has it. */
function anchor({ der, key }: Pick<Authority, 'der' | 'key'>, members: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { ...createPublicKey(key).export({ format: 'jwk' }), use: 'x509-svid', x5c: [Buffer.from(der).toString('base64')], ...members }
}
const signer = (key: SigningKey, members: Readonly<Record<string, unknown>> = {}) => jwkOf(key, { use: 'jwt-svid', ...members })

/** `2+1`: anchors and JWT keys; then the rules of the remarks. Or the rule that refused the document. */
function shownBundle(document: unknown): string {
  const read = parseBundle(bytes(document), 'vec.test')
  if (!read.ok) return read.rule
  const { x509, jwt, remarks } = read.bundle
  for (const { detail } of remarks) expect(detail).toMatch(/^[\x20-\x7e]+$/)
  return [`${x509.length}+${jwt.length}`, ...remarks.map(({ position, rule }) => `${rule}@${position}`)].join(' ')
}

interface Row {
  /** The rule number first. */
  readonly name: string
  readonly document: unknown
  readonly want: string
}
function check(rows: readonly Row[]): void {
  it.each(rows)('$name: $want', ({ document, want }) => {
    expect(shownBundle(document)).toBe(want)
  })
}
const withKeys = (...keys: readonly unknown[]) => ({ keys })
const mid = await authority({ name: 'between', parent: root })
const edwards = await authority({ name: 'edwards', keyKind: 'Ed25519' })
const rsaRoot = await authority({ name: 'rsa root', key: rsaKey })
const leaf = await svid(root)
const noCa = await authority({ name: 'no CA', basicConstraints: { ca: false } })
const noSigner = await authority({ name: 'no signer', keyUsages: ['cRLSign'] })
const base64 = (der: Uint8Array): string => Buffer.from(der).toString('base64')

describe('bundle documents', () => {
  check([
    { name: 'B-1 anchors and JWT keys', want: '1+1', document: withKeys(anchor(root), signer(es256)) },
    { name: 'B-1 no keys in it', want: '0+0', document: { keys: [] } },
    { name: 'B-1 no member keys', want: 'B-1', document: {} },
    { name: 'B-1 keys that are no array', want: 'B-1', document: { keys: { a: anchor(root) } } },
    { name: 'B-1 keys that are null', want: 'B-1', document: { keys: null } },
    { name: 'B-1 an array', want: 'B-1', document: [anchor(root)] },
    { name: 'B-1 no JSON', want: 'B-1', document: '{"keys":[]' },
    { name: 'B-1 nothing', want: 'B-1', document: '' },
    { name: 'B-1 a megabyte', want: '0+0', document: `{"keys":[]}${' '.repeat(1024 * 1024 - 11)}` },
    { name: 'B-1 a megabyte and a byte', want: 'B-1', document: `{"keys":[]}${' '.repeat(1024 * 1024 - 10)}` },
    {
      name: 'B-2 an unknown kty beside a good key',
      want: '1+1 B-2@2',
      document: withKeys(anchor(root), { kty: 'ZZ', use: 'jwt-svid', kid: 'z' }, signer(es256))
    },
    { name: 'B-2 an unknown kty with a certificate', want: '0+0 B-2@1', document: withKeys(anchor(root, { kty: 'ZZ' })) },
    { name: 'B-2 no kty', want: '0+1 B-2@1', document: withKeys(signer(es384, { kty: undefined }), signer(es256)) },
    {
      name: 'B-2 a symmetric key',
      want: '0+1 B-2@1',
      document: withKeys({ kty: 'oct', k: 'AAAA', kid: 'a', use: 'jwt-svid' }, signer(es256))
    },
    { name: 'B-2 a null among the keys', want: '0+1 B-2@1', document: withKeys(null, signer(es256)) },
    {
      name: 'B-2 a curve that is not known',
      want: '0+1 B-2@1',
      document: withKeys(signer({ ...es256, kid: 'x', key: newKey('secp256k1') }), signer(es256))
    },
    { name: 'B-3 no use', want: '0+1 B-3@1', document: withKeys(signer(es384, { use: undefined }), signer(es256)) },
    { name: 'B-3 a use in capitals', want: '0+1 B-3@1', document: withKeys(signer(es384, { use: 'JWT-SVID' }), signer(es256)) },
    { name: 'B-3 the use sig', want: '0+1 B-3@1', document: withKeys(signer(es384, { use: 'sig' }), signer(es256)) },
    { name: 'B-3 an anchor without use', want: '0+0 B-3@1', document: withKeys(anchor(root, { use: undefined })) },
    { name: 'B-3 key_ops with verify', want: '0+1', document: withKeys(signer(es256, { key_ops: ['verify'] })) },
    { name: 'B-3 key_ops without verify', want: '0+0 B-3@1', document: withKeys(signer(es256, { key_ops: ['encrypt'] })) },
    { name: 'B-4 no x5c', want: '1+0 B-4@1', document: withKeys(anchor(mid, { x5c: undefined }), anchor(root)) },
    { name: 'B-4 an empty x5c', want: '1+0 B-4@1', document: withKeys(anchor(mid, { x5c: [] }), anchor(root)) },
    { name: 'B-5 two certificates', want: '1+0 B-5@1', document: withKeys(anchor(root, { x5c: [base64(root.der), base64(partner.der)] })) },
    { name: 'B-5 rubbish behind the first', want: '1+0 B-5@1', document: withKeys(anchor(root, { x5c: [base64(root.der), 7] })) },
    {
      name: 'B-5 the fitting one second',
      want: '0+0 B-15@1 B-5@1',
      document: withKeys(anchor(root, { x5c: [base64(partner.der), base64(root.der)] }))
    },
    { name: 'B-6 a wit-svid key', want: '0+1 B-6@1', document: withKeys(signer(other, { use: 'wit-svid' }), signer(es256)) },
    {
      name: 'B-6 a wit-svid key with the same kid',
      want: '0+1 B-6@2 B-8@2',
      document: withKeys(signer(es256), signer(other, { use: 'wit-svid', kid: es256.kid }))
    },
    { name: 'B-7 a jwt-svid key without a kid', want: '0+1 B-7@1', document: withKeys(signer(es384, { kid: undefined }), signer(es256)) },
    { name: 'B-7 a kid that is a number', want: '0+0 B-7@1', document: withKeys(signer(es256, { kid: 7 })) },
    { name: 'B-7 an empty kid', want: '0+0 B-7@1', document: withKeys(signer(es256, { kid: '' })) },
    { name: 'B-7 an anchor needs no kid', want: '1+0', document: withKeys(anchor(root)) },
    {
      name: 'B-8 one kid for two keys',
      want: '0+1 B-8@2 B-8@0',
      document: withKeys(signer(es256), signer(other, { kid: es256.kid }), signer(es384))
    },
    { name: 'B-8 one key twice', want: '0+1 B-8@2', document: withKeys(signer(es256), signer(es256)) },
    { name: 'B-8 two ids for one key', want: '0+2', document: withKeys(signer(es256), signer(es256, { kid: 'k2' })) },
    {
      name: 'B-8 one kid for keys of two kinds',
      want: '0+0 B-8@2 B-8@0',
      document: withKeys(signer(es256), signer(rsa, { kid: es256.kid }))
    },
    { name: 'B-12 unknown members', want: '1+0', document: { vendor: { a: [1] }, ...withKeys(anchor(root, { vendor: 1 })) } },
    { name: 'B-13 keys twice', want: 'B-13', document: '{"keys":[],"keys":[]}' },
    {
      name: 'J-4 an RSA key of 1024 bits',
      want: '0+1 J-4@1',
      document: withKeys(signer({ ...rsa, kid: 'weak', key: newKey('RSA-1024') }), signer(rsa))
    },
    { name: 'J-4 a key that is reserved for another algorithm', want: '0+0 J-4@1', document: withKeys(signer(es256, { alg: 'ES384' })) },
    { name: 'J-4 an Ed25519 key for JWT-SVIDs', want: '0+0 J-4@1', document: withKeys(signer({ ...es256, key: edwards.key })) }
  ])
})

describe('key material', () => {
  const short = {
    x: Buffer.from(String(jwkOf(es256)['x']), 'base64url')
      .subarray(1)
      .toString('base64url')
  }
  check([
    { name: 'B-15 RSA, P-256 and Ed25519 anchors', want: '3+0', document: withKeys(anchor(root), anchor(rsaRoot), anchor(edwards)) },
    { name: 'B-15 an anchor that is not self-signed', want: '1+0', document: withKeys(anchor(mid)) },
    { name: 'B-15 a CA:FALSE that may sign certificates', want: '1+0 B-15@1', document: withKeys(anchor(noCa), anchor(root)) },
    { name: 'B-15 a CA that may not sign certificates', want: '1+0 B-15@1', document: withKeys(anchor(noSigner), anchor(root)) },
    { name: 'B-15 a leaf as anchor', want: '1+0 B-15@1', document: withKeys(anchor(leaf), anchor(root)) },
    {
      name: 'B-15 a certificate with another key',
      want: '1+0 B-15@1',
      document: withKeys(anchor({ ...root, der: partner.der }), anchor(root))
    },
    {
      name: 'B-15 a certificate beside a key of another kind',
      want: '0+0 B-15@1',
      document: withKeys(anchor({ ...root, der: rsaRoot.der }))
    },
    { name: 'B-15 a certificate without its key', want: '0+0 B-15@1', document: withKeys(anchor(root, { x: undefined, y: undefined })) },
    {
      name: 'B-15 a certificate in base64url',
      want: '0+0 B-15@1',
      document: withKeys(anchor(root, { x5c: [Buffer.from(root.der).toString('base64url')] }))
    },
    { name: 'B-15 a certificate as PEM', want: '0+0 B-15@1', document: withKeys(anchor(root, { x5c: [root.pem] })) },
    { name: 'B-15 an x5c entry that is no text', want: '0+0 B-15@1', document: withKeys(anchor(root, { x5c: [7] })) },
    {
      name: 'B-15 two certificates in one text',
      want: '0+0 B-15@1',
      document: withKeys(anchor(root, { x5c: [base64(Buffer.concat([root.der, root.der]))] }))
    },
    { name: 'B-15 a private key', want: '0+1 B-15@1', document: withKeys(signer(es256, { d: 'AAAA' }), signer(es384)) },
    { name: 'B-15 a coordinate that is too short', want: '0+1 B-15@1', document: withKeys(signer(es256, short), signer(es384)) },
    { name: 'B-15 a coordinate with padding', want: '0+0 B-15@1', document: withKeys(signer(es256, { x: `${jwkOf(es256)['x']}=` })) },
    { name: 'B-15 a point that is not on the curve', want: '0+0 B-15@1', document: withKeys(signer(es256, { y: jwkOf(other)['y'] })) },
    { name: 'B-15 an RSA key without an exponent', want: '0+0 B-15@1', document: withKeys(signer(rsa, { e: '' })) },
    { name: 'B-15 an RSA exponent of one', want: '0+0 J-4@1', document: withKeys(signer(rsa, { e: 'AQ' })) }
  ])
})

describe('what a bundle vouches for', () => {
  const read = parseBundle(bytes(withKeys(anchor(root), anchor(mid), signer(es256))), 'vec.test')
  const bundle = read.ok ? read.bundle : undefined
  const verify = (spec: TokenSpec) =>
    verifyJwtSvid(makeToken(spec), new Map([['vec.test', bundle?.jwt ?? []]]), { audience: AUDIENCE, now: JWT_NOW, leewayMs: 0 })

  it('B-6 the jwt-svid key for tokens, and no wit-svid key under its kid', () => {
    const mixed = parseBundle(bytes(withKeys(signer(es256), signer(other, { use: 'wit-svid', kid: es256.kid }))), 'vec.test')
    const sets = new Map([['vec.test', mixed.ok ? mixed.bundle.jwt : []]])
    const verdict = (by: SigningKey) => verifyJwtSvid(makeToken({ by }), sets, { audience: AUDIENCE, now: JWT_NOW, leewayMs: 0 }).ok
    expect([verdict(es256), verdict({ ...other, kid: es256.kid })]).toEqual([true, false])
  })

  it('J-21 the key of an anchor signs no token', () => {
    expect(verify({}).ok).toBe(true)
    expect(verify({ by: { ...es256, key: root.key } })).toMatchObject({ ok: false, rule: 'J-18' })
    expect(verify({ by: { ...es256, key: root.key }, header: { kid: undefined } })).toMatchObject({ ok: false, rule: 'J-18' })
  })

  it('X-20 its anchors, byte for byte, for X.509-SVIDs', async () => {
    const x509 = new Map([['vec.test', bundle?.x509 ?? []]])
    expect(x509.get('vec.test')).toEqual([Buffer.from(root.der), Buffer.from(mid.der)])
    const trust = { generation: 1, x509, receivedAt: NOW }
    expect(verifyX509Svid((await svid(root)).chain, trust, NOW).ok).toBe(true)
    expect(verifyX509Svid((await svid(partner)).chain, trust, NOW).ok).toBe(false)
  })
})

describe('sequence and refresh', () => {
  const sequence = (literal: string) => {
    const read = parseBundle(bytes(`{"keys":[],"spiffe_sequence":${literal}}`), 'vec.test')
    return read.ok ? read.bundle.sequence : read.rule
  }
  const refresh = (member: string) => {
    const read = parseBundle(bytes(`{"keys":[]${member}}`), 'vec.test')
    return read.ok ? read.refreshAfterMs : read.rule
  }
  it.each([
    ['B-9 beyond a double', '9007199254740993', 9007199254740993n],
    ['B-9 the last of 64 bits', '18446744073709551615', 18446744073709551615n],
    ['B-9 beyond 64 bits', '18446744073709551616', 18446744073709551616n],
    ['B-9 zero', '0', 0n],
    ['B-9 below zero', '-1', 'B-9'],
    ['B-9 a fraction', '1.5', 'B-9'],
    ['B-9 an exponent', '1e3', 'B-9'],
    ['B-9 a text', '"7"', 'B-9'],
    ['B-9 null', 'null', 'B-9']
  ])('%s', (_name, literal, want) => expect(sequence(literal)).toBe(want))

  it('B-9 a bundle without one', () => {
    expect(parseBundle(bytes('{"keys":[]}'), 'vec.test')).toMatchObject({ ok: true, bundle: { sequence: undefined } })
  })

  it.each([
    { name: 'B-11 none', member: '', want: 300_000 },
    { name: 'B-11 a minute', member: ',"spiffe_refresh_hint":60', want: 60_000 },
    { name: 'B-11 four weeks', member: ',"spiffe_refresh_hint":2419200', want: 3_600_000 },
    { name: 'B-11 a second', member: ',"spiffe_refresh_hint":1', want: 10_000 },
    { name: 'B-11 below zero', member: ',"spiffe_refresh_hint":-5', want: 10_000 },
    { name: 'B-11 a text', member: ',"spiffe_refresh_hint":"60"', want: 'B-11' },
    { name: 'B-11 a fraction', member: ',"spiffe_refresh_hint":0.5', want: 'B-11' }
  ])('$name', ({ member, want }) => expect(refresh(member)).toBe(want))

  const numbered = (spiffe_sequence: number | undefined, trustDomain = 'vec.test') => {
    const read = parseBundle(bytes({ keys: [], spiffe_sequence }), trustDomain)
    if (!read.ok) throw new Error(read.detail)
    return read.bundle
  }
  it.each([
    { name: 'B-10 eight after seven', held: 7, fetched: 8, want: true },
    { name: 'B-10 seven after seven', held: 7, fetched: 7, want: true },
    { name: 'B-10 four after seven', held: 7, fetched: 4, want: false },
    { name: 'B-10 none after seven: the latest counts', held: 7, fetched: undefined, want: true },
    { name: 'B-10 seven after none', held: undefined, fetched: 7, want: true }
  ])('$name', ({ held, fetched, want }) => {
    const [before, after] = [numbered(held), numbered(fetched)]
    const next = succeed(before, after)
    expect(next.ok ? next.bundle === after : next.rule).toBe(want ? true : 'B-10')
  })

  it('B-14 a bundle of another trust domain replaces nothing', () => {
    expect(succeed(numbered(1), numbered(2, 'partner.test'))).toMatchObject({ ok: false, rule: 'B-14' })
  })
})

describe('bundle maps', () => {
  const map = (trust_domains: unknown, more = {}) => parseBundleMap(bytes({ trust_domains, ...more }))
  const two = { 'vec.test': withKeys(anchor(root), signer(es256)), 'partner.test': withKeys(anchor(partner)) }

  it('B-14 each trust domain keeps its own', () => {
    const read = map(two)
    const found = read.ok ? [...read.bundles].map(([name, { trustDomain, x509, jwt }]) => [name, trustDomain, x509.length, jwt.length]) : []
    expect(found).toEqual([
      ['vec.test', 'vec.test', 1, 1],
      ['partner.test', 'partner.test', 1, 0]
    ])
    expect(read.ok && read.bundles.get('partner.test')?.x509).toEqual([Buffer.from(partner.der)])
  })

  it.each([
    ['B-13 no trust domains', parseBundleMap(bytes({ keys: [] }))],
    ['B-13 trust domains in an array', map([two])],
    ['B-13 a trust domain twice', parseBundleMap(bytes('{"trust_domains":{"vec.test":{"keys":[]},"vec.test":{"keys":[]}}}'))],
    [
      'B-13 a trust domain twice, once escaped',
      parseBundleMap(bytes('{"trust_domains":{"vec.test":{"keys":[]},"ve\\u0063.test":{"keys":[]}}}'))
    ],
    ['B-13 a name that is no trust domain', map({ 'Vec.test': { keys: [] } })],
    ['B-13 a name with a scheme', map({ 'spiffe://vec.test': { keys: [] } })]
  ])('%s', (_name, read) => expect(read).toMatchObject({ ok: false, rule: 'B-13' }))

  it('B-1 one bundle that cannot be read', () => {
    expect(map({ ...two, 'other.test': {} })).toMatchObject({ ok: false, rule: 'B-1' })
    expect(map({ ...two, 'other.test': [] })).toMatchObject({ ok: false, rule: 'B-1' })
    expect(map({ ...two, 'other.test': { keys: [] } }).ok).toBe(true)
    expect(map({}).ok).toBe(true)
    expect(parseBundleMap(bytes('[]'))).toMatchObject({ ok: false, rule: 'B-1' })
  })

  it('B-13 only the hint of the whole map counts', () => {
    const hinted = { 'vec.test': { keys: [], spiffe_refresh_hint: 60 } }
    expect(map(hinted)).toMatchObject({ ok: true, refreshAfterMs: 300_000 })
    expect(map(hinted, { spiffe_refresh_hint: 120 })).toMatchObject({ ok: true, refreshAfterMs: 120_000 })
    expect(map(hinted, { spiffe_refresh_hint: 'soon' })).toMatchObject({ ok: false, rule: 'B-11' })
  })
})

describe('JWT bundles of the Workload API', () => {
  const kids = (...keys: readonly unknown[]) => {
    const read = parseJwtKeySet(bytes({ keys }))
    return read.ok ? [...read.keys.map(({ kid }) => kid), ...read.remarks.map(({ rule }) => rule)] : read.rule
  }
  it.each([
    ['B-16 no use, as SPIRE has it', {}, [es256.kid]],
    ['B-16 the use jwt-svid', { use: 'jwt-svid' }, [es256.kid]],
    ['B-16 the use sig', { use: 'sig' }, [es256.kid]],
    ['B-16 the use x509-svid', { use: 'x509-svid' }, ['B-16']],
    ['B-16 the use wit-svid', { use: 'wit-svid' }, ['B-16']],
    ['B-16 the use enc', { use: 'enc' }, ['B-16']],
    ['B-16 the use null', { use: null }, ['B-16']],
    ['B-16 no kid', { kid: undefined }, [undefined]],
    ['B-16 an unknown kty', { kty: 'ZZ' }, ['B-2']]
  ])('%s', (_name, members, want) => expect(kids(jwkOf(es256, members))).toEqual(want))

  it('B-16 one kid for two keys', () => {
    expect(kids(jwkOf(es256), jwkOf(other, { kid: es256.kid }), jwkOf(es384))).toEqual([es384.kid, 'B-8', 'B-8'])
  })

  it('B-16 what is no key set', () => {
    expect(parseJwtKeySet(bytes('{}'))).toMatchObject({ ok: false, rule: 'B-1' })
    expect(parseJwtKeySet(bytes('x'))).toMatchObject({ ok: false, rule: 'B-1' })
    expect(parseJwtKeySet(bytes('{"keys":[]}'))).toEqual({ ok: true, keys: [], remarks: [] })
  })
})

it.each([
  ['itself', jwkOf(rsa), true],
  ['itself for one algorithm only', jwkOf(rsa, { alg: 'PS256' }), false],
  ['itself under another name', jwkOf({ ...rsa, kid: 'k-new' }), false],
  ['another one of its name', jwkOf({ ...rsa, key: es256.key }), false]
])('B-8 a key is the same as %s: %#', (_, jwk, want) => {
  const [one, other] = [keySet(jwkOf(rsa))[0], keySet(jwk)[0]]
  expect(one !== undefined && isSameKey(one, other)).toBe(want)
})
