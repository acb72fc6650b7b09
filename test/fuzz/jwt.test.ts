/**
 * Any bytes as token, key set or bundle give a verdict: never a throw, and never an identity that no key vouched for.
 * FUZZ_RUNS sets the runs of each property; the unit run keeps them few.
 */
import { createPublicKey } from 'node:crypto'
import fc from 'fast-check'
import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import { parseBundle, parseBundleMap, parseJwtKeySet } from '../../src/identity/bundle-document.ts'
import { objectOf, parseJson } from '../../src/identity/json.ts'
import { readBearer } from '../../src/identity/jwt-bearer.ts'
import { readClaims } from '../../src/identity/jwt-claims.ts'
import type { JwtKeySets } from '../../src/identity/jwt-keys.ts'
import { verifyJwtSvid } from '../../src/identity/jwt-svid.ts'
import { verifyX509Svid } from '../../src/identity/x509-svid.ts'
import { newKey } from '../support/ca.ts'
import { authority, NOW, root, svid } from '../support/chains.ts'
import { AUDIENCE, es256, goodClaims, headerFor, JWT_NOW, jwkOf, KEY_SETS, makeToken, rsa, WORKLOAD } from '../support/jwt.ts'

const RUNS = { numRuns: Number(process.env['FUZZ_RUNS'] ?? 200) }
const CHECK = { audience: AUDIENCE, now: JWT_NOW, leewayMs: 5_000 }
const verify = (token: string, keys: JwtKeySets = KEY_SETS) => verifyJwtSvid(token, keys, CHECK)

interface Change {
  readonly kind: 'set' | 'cut' | 'insert' | 'repeat'
  /** A place, as a part of the whole. */
  readonly at: number
  readonly length: number
  readonly text: string
}
const PIECES = [
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\\',
  '.',
  '=',
  ' ',
  '0',
  '-',
  'e',
  'A',
  'null',
  '"sub":',
  '"aud":',
  '\\u0000',
  'é',
  '\0'
]
const changes: fc.Arbitrary<readonly Change[]> = fc.array(
  fc.record({
    kind: fc.constantFrom('set', 'cut', 'insert', 'repeat'),
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    length: fc.integer({ min: 1, max: 20 }),
    text: fc.oneof(fc.constantFrom(...PIECES), fc.string({ maxLength: 3 }))
  }),
  { maxLength: 3 }
)

function changed(text: string, list: readonly Change[]): string {
  return list.reduce((before, { kind, at, length, text: piece }) => {
    const from = Math.floor(at * before.length)
    const [head, middle, tail] = [before.slice(0, from), before.slice(from, from + length), before.slice(from + length)]
    if (kind === 'cut') return head + tail
    if (kind === 'repeat') return head + middle + middle + tail
    return kind === 'insert' ? head + piece + middle + tail : head + piece + before.slice(from + piece.length)
  }, text)
}

const good = makeToken()
const header = JSON.stringify(headerFor(es256))
const claims = JSON.stringify(goodClaims)

describe('tokens', () => {
  it('texts of chance are no token', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.array(fc.base64String(), { maxLength: 5 }).map((parts) => parts.join('.'))
    )
    fc.assert(
      fc.property(text, (token) => {
        expect(verify(token).ok).toBe(false)
        readBearer(token)
      }),
      RUNS
    )
  })

  it('a changed token is refused', () => {
    fc.assert(
      fc.property(changes, (list) => {
        const token = changed(good, list)
        expect(verify(token).ok).toBe(token === good)
      }),
      RUNS
    )
  })

  it('changed header or claims under the old signature are refused', () => {
    const [, , signature] = good.split('.')
    const part = (text: string) => Buffer.from(text).toString('base64url')
    fc.assert(
      fc.property(changes, changes, (inHeader, inClaims) => {
        const token = `${part(changed(header, inHeader))}.${part(changed(claims, inClaims))}.${signature}`
        expect(verify(token).ok).toBe(token === good)
      }),
      RUNS
    )
  })

  it('a strange token that our own key signed is refused, or says to others what it says to us', () => {
    let accepted = 0
    fc.assert(
      fc.property(changes, changes, (inHeader, inClaims) => {
        const token = makeToken({ header: changed(header, inHeader.slice(1)), claims: changed(claims, inClaims) })
        const verdict = verify(token)
        if (!verdict.ok) return
        accepted++
        const read = decodeJwt(token)
        expect(read.sub).toBe(verdict.id.text)
        expect([read.aud].flat()).toEqual(verdict.audiences)
        expect((read.exp ?? 0) * 1000).toBe(verdict.expiresAt)
        expect(verdict.audiences).toContain(AUDIENCE)
      }),
      RUNS
    )
    expect(accepted).toBeGreaterThan(RUNS.numRuns / 20)
  })

  it('these changes do find a verifier that checks no signature', () => {
    const careless = fc.property(changes, (list) => {
      const text = changed(claims, list)
      const read = parseJson(Buffer.from(text), 8)
      const members = read.ok ? objectOf(read.value) : undefined
      expect(members !== undefined && readClaims(members).ok).toBe(text === claims)
    })
    expect(fc.check(careless, { numRuns: 5_000, seed: 1 }).failed).toBe(true)
  })
})

describe('bundles', async () => {
  const stranger = { ...es256, key: newKey('P-256') }
  const strange = await authority({ name: 'strange' })
  const forged = [makeToken({ by: stranger }), makeToken({ by: stranger, header: { kid: undefined } })]
  const chain = (await svid(strange)).chain
  const anchor = {
    ...createPublicKey(root.key).export({ format: 'jwk' }),
    use: 'x509-svid',
    x5c: [Buffer.from(root.der).toString('base64')]
  }
  const keys = [anchor, jwkOf(es256, { use: 'jwt-svid' }), jwkOf(rsa, { use: 'jwt-svid' })]
  const document = JSON.stringify({ keys, spiffe_sequence: 7, spiffe_refresh_hint: 60 })
  const map = JSON.stringify({ trust_domains: { 'vec.test': { keys }, 'partner.test': { keys: [] } } })

  it('a changed one vouches for nobody else', () => {
    const spoiltBytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      changes.map((list) => Buffer.from(changed(document, list))),
      changes.map((list) => Buffer.from(changed(map, list))),
      changes.map((list) => Buffer.from(changed(map, list), 'latin1'))
    )
    let useful = 0
    fc.assert(
      fc.property(spoiltBytes, (bytes) => {
        const [one, many, plain] = [parseBundle(bytes, 'vec.test'), parseBundleMap(bytes), parseJwtKeySet(bytes)]
        const bundles = [...(one.ok ? [one.bundle] : []), ...(many.ok ? many.bundles.values() : [])]
        const sets = [...bundles.map(({ jwt }) => jwt), ...(plain.ok ? [plain.keys] : [])]
        for (const set of sets) {
          for (const token of forged) expect(verify(token, new Map([['vec.test', set]])).ok).toBe(false)
          if (verify(good, new Map([['vec.test', set]])).ok) useful++
        }
        for (const { x509 } of bundles) {
          const trust = { generation: 1, x509: new Map([['vec.test', x509]]), receivedAt: NOW }
          expect(verifyX509Svid(chain, trust, NOW).ok).toBe(false)
        }
      }),
      RUNS
    )
    expect(useful).toBeGreaterThan(RUNS.numRuns / 20)
  })

  it('the good one vouches for ours', () => {
    const read = parseBundle(Buffer.from(document), 'vec.test')
    const sets = new Map([['vec.test', read.ok ? read.bundle.jwt : []]])
    expect(verify(good, sets)).toMatchObject({ ok: true, id: { text: WORKLOAD } })
    expect(verify(makeToken({ by: rsa }), sets).ok).toBe(true)
  })
})
