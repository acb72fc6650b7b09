/** Any bytes as a bundle, a bundle map or a key set give a verdict: never a throw, and never a key that the text does not vouch for. */
import { createPublicKey, type JsonWebKey, X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Bundle, parseBundle, parseBundleMap, parseJwtKeySet } from '../../src/identity/bundle-document.ts'
import type { JwtKey } from '../../src/identity/jwt-keys.ts'
import { verifyJwtSvid } from '../../src/identity/jwt-svid.ts'
import { verifyX509Svid } from '../../src/identity/x509-svid.ts'
import { newKey } from '../support/ca.ts'
import { authority, NOW, root, svid } from '../support/chains.ts'
import { AUDIENCE, es256, es384, JWT_NOW, jwkOf, makeToken, rsa, WORKLOAD } from '../support/jwt.ts'
import { changed, hasNameTwice, reshaped, textChanges, treeChanges } from './json-changes.ts'
import { catches, expectClosed, runs } from './runs.ts'

const RUNS = runs(200)

const anchor = {
  ...createPublicKey(root.key).export({ format: 'jwk' }),
  use: 'x509-svid',
  x5c: [Buffer.from(root.der).toString('base64')]
}
const keys = [anchor, jwkOf(es256, { use: 'jwt-svid' }), jwkOf(rsa, { use: 'jwt-svid' })]
const bundle = { keys, spiffe_sequence: 7, spiffe_refresh_hint: 60 }
const map = { trust_domains: { 'vec.test': { keys }, 'partner.test': { keys: [] } } }
const plain = { keys: [jwkOf(es256), jwkOf(es384), jwkOf(rsa, { use: 'sig', alg: 'RS256' })] }

const damaged = (value: object): fc.Arbitrary<string> =>
  fc.oneof(
    treeChanges.map((list) => reshaped(value, list)),
    textChanges.map((list) => changed(JSON.stringify(value), list))
  )
const bytesOf = (text: fc.Arbitrary<string>): fc.Arbitrary<Uint8Array> =>
  fc.oneof(
    { arbitrary: text.map((one) => new Uint8Array(Buffer.from(one))), weight: 8 },
    text.map((one) => new Uint8Array(Buffer.from(one, 'latin1'))),
    fc.uint8Array({ maxLength: 60 })
  )

/** What is read out of a document, of whatever kind: the keys with their trust domain. */
interface Read {
  readonly anchors: readonly Uint8Array[]
  readonly keys: readonly JwtKey[]
  readonly trustDomain: string
}
type Reader = (bytes: Uint8Array) => readonly Read[]

const readOf = ({ x509, jwt, trustDomain, remarks }: Bundle): Read => {
  for (const { position, ...remark } of remarks) expectClosed(remark)
  return { anchors: x509, keys: jwt, trustDomain }
}
const ourBundle: Reader = (bytes) => {
  const read = parseBundle(bytes, 'vec.test')
  if (read.ok) expect(read.refreshAfterMs).toBeGreaterThanOrEqual(10_000)
  else expectClosed(read)
  return read.ok ? [readOf(read.bundle)] : []
}
const ourMap: Reader = (bytes) => {
  const read = parseBundleMap(bytes)
  if (!read.ok) expectClosed(read)
  return read.ok ? [...read.bundles.values()].map(readOf) : []
}
const ourKeySet: Reader = (bytes) => {
  const read = parseJwtKeySet(bytes)
  if (!read.ok) expectClosed(read)
  return read.ok ? [readOf({ x509: [], jwt: read.keys, remarks: read.remarks, trustDomain: 'vec.test', sequence: undefined })] : []
}

type Entry = Readonly<Record<string, unknown>>
type Entries = (document: Record<string, unknown>, trustDomain: string) => unknown
interface Kind {
  readonly read: Reader
  readonly value: object
  /** Where the entries stand. */
  readonly entries: Entries
  /** What makes an entry a key for JWT-SVIDs. */
  readonly uses: readonly unknown[]
}
const BUNDLE: Kind = { read: ourBundle, value: bundle, entries: (document) => document['keys'], uses: ['jwt-svid'] }
const KEY_SET: Kind = { read: ourKeySet, value: plain, entries: (document) => document['keys'], uses: [undefined, 'sig', 'jwt-svid'] }
const MAP: Kind = {
  read: ourMap,
  value: map,
  entries: (document, name) => (document['trust_domains'] as Record<string, Record<string, unknown>>)[name]?.['keys'],
  uses: ['jwt-svid']
}

/** A JWK as node reads it, from the members that make it up. */
function spkiOf({ kty, crv, n, e, x, y }: Entry): Buffer | undefined {
  try {
    return createPublicKey({ key: { kty, crv, n, e, x, y } as JsonWebKey, format: 'jwk' }).export({ type: 'spki', format: 'der' })
  } catch {
    return undefined
  }
}

/** Each key that is read stands in the text, as JSON.parse, OpenSSL and node read it, with a use that makes it what it is taken for. */
const vouchedFor = ({ read, value, entries, uses }: Kind, useful: { count: number }) =>
  fc.property(bytesOf(damaged(value)), (bytes) => {
    const found = read(bytes)
    if (found.length === 0) return
    const text = Buffer.from(bytes).toString()
    const document = JSON.parse(text) as Record<string, unknown>
    expect(hasNameTwice(text)).toBe(false)
    for (const { anchors, keys: jwt, trustDomain } of found) {
      const listed = entries(document, trustDomain)
      expect(Array.isArray(listed)).toBe(true)
      const objects = (listed as unknown[]).filter((one): one is Entry => typeof one === 'object' && one !== null)
      for (const der of anchors) {
        const certificate = new X509Certificate(der)
        const spki = certificate.publicKey.export({ type: 'spki', format: 'der' })
        const stated = Buffer.from(der).toString('base64')
        const origins = objects.filter(({ use, x5c }) => use === 'x509-svid' && Array.isArray(x5c) && x5c[0] === stated)
        expect(certificate.ca && origins.some((entry) => spkiOf(entry)?.equals(spki))).toBe(true)
      }
      for (const { kid, spki } of jwt) {
        const open = objects.filter((entry) => !('d' in entry || 'k' in entry))
        const namesakes = open.filter((entry) => entry['kid'] === kid && uses.includes(entry['use']))
        expect(namesakes.some((entry) => spkiOf(entry)?.toString('hex') === spki)).toBe(true)
      }
      const ids = jwt.map(({ kid }) => kid).filter((kid) => kid !== undefined)
      expect(new Set(ids).size).toBe(ids.length)
      if (anchors.length + jwt.length > 0) useful.count++
    }
  })

/** Nothing that is done to a document makes somebody else's certificate or token good. */
const stranger = { ...es256, key: newKey('P-256') }
const forged = [makeToken({ by: stranger }), makeToken({ by: stranger, header: { kid: undefined } })]
const chain = (await svid(await authority({ name: 'strange' }))).chain
const helpsNobody = ({ read, value }: Kind) =>
  fc.property(bytesOf(damaged(value)), (bytes) => {
    for (const { anchors, keys: jwt } of read(bytes)) {
      const sets = new Map([['vec.test', jwt]])
      const check = { audience: AUDIENCE, now: JWT_NOW, leewayMs: 5_000 }
      for (const token of forged) expect(verifyJwtSvid(token, sets, check).ok).toBe(false)
      const trust = { generation: 1, x509: new Map([['vec.test', anchors]]), receivedAt: NOW }
      expect(verifyX509Svid(chain, trust, NOW).ok).toBe(false)
    }
  })

const KINDS = [
  { name: 'bundle', kind: BUNDLE },
  { name: 'bundle map', kind: MAP },
  { name: 'key set of the Workload API', kind: KEY_SET }
]

describe.each(KINDS)('a changed $name', ({ kind }) => {
  it('holds no key that the text does not vouch for', () => {
    const useful = { count: 0 }
    fc.assert(vouchedFor(kind, useful), RUNS)
    expect(useful.count).toBeGreaterThan(RUNS.numRuns / 10)
  })

  it('vouches for nobody else', () => {
    fc.assert(helpsNobody(kind), RUNS)
  })

  it('vouches for ours where it is not changed', () => {
    const read = kind.read(Buffer.from(JSON.stringify(kind.value))).filter(({ trustDomain }) => trustDomain === 'vec.test')
    const sets = new Map(read.map(({ keys: jwt, trustDomain }) => [trustDomain, jwt]))
    const verdict = verifyJwtSvid(makeToken(), sets, { audience: AUDIENCE, now: JWT_NOW, leewayMs: 5_000 })
    expect(verdict).toMatchObject({ ok: true, id: { text: WORKLOAD } })
  })
})

describe('the same machinery finds a reader', () => {
  it('that does not look at the use of a key', async () => {
    expect(await catches(vouchedFor({ ...BUNDLE, read: ourKeySet }, { count: 0 }))).toBe(true)
  })

  it('that takes the last of two members', async () => {
    const careless: Reader = (bytes) => {
      try {
        return ourBundle(Buffer.from(JSON.stringify(JSON.parse(Buffer.from(bytes).toString()))))
      } catch {
        return []
      }
    }
    expect(await catches(vouchedFor({ ...BUNDLE, read: careless }, { count: 0 }))).toBe(true)
  })

  it('that takes a certificate without the key beside it', async () => {
    const careless: Reader = (bytes) => {
      const [read] = ourBundle(bytes)
      if (read === undefined) return []
      const { keys: listed } = JSON.parse(Buffer.from(bytes).toString()) as { keys: Entry[] }
      const anchors = listed.flatMap((entry) => (entry?.['use'] === 'x509-svid' ? [entry['x5c']].flat().slice(0, 1) : []))
      return [{ ...read, anchors: anchors.includes(anchor.x5c[0]) ? [root.der] : [] }]
    }
    expect(await catches(vouchedFor({ ...BUNDLE, read: careless }, { count: 0 }))).toBe(true)
  })
})
