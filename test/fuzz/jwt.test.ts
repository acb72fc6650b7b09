/** Any text as a token gives a verdict: never a throw, and never an identity that no key vouched for. */
import fc from 'fast-check'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { readBearer } from '../../src/identity/jwt-bearer.ts'
import { type JwtVerdict, verifyJwtSvid } from '../../src/identity/jwt-svid.ts'
import { AUDIENCE, es256, goodClaims, headerFor, JWT_NOW, KEY_SETS, makeToken } from '../support/jwt.ts'
import { changed, hasNameTwice, reshaped, textChanges, treeChanges } from './json-changes.ts'
import { catches, expectClosed, runs } from './runs.ts'

const RUNS = runs(200)

type Verifier = (token: string) => JwtVerdict
const ours: Verifier = (token) => {
  const verdict = verifyJwtSvid(token, KEY_SETS, { audience: AUDIENCE, now: JWT_NOW, leewayMs: 5_000 })
  if (!verdict.ok) expectClosed(verdict)
  return verdict
}

const good = makeToken()
const header = headerFor(es256)
const text = (value: object): string => JSON.stringify(value)
const part = (json: string): string => Buffer.from(json).toString('base64url')

/** Damage to one JSON text, of either kind. */
const damaged = (value: object): fc.Arbitrary<string> =>
  fc.oneof(
    treeChanges.map((list) => reshaped(value, list)),
    textChanges.map((list) => changed(text(value), list))
  )

/** Accepted is what was signed, and nothing else. */
const changedIsRefused = (verify: Verifier) =>
  fc.property(textChanges, (list) => {
    const token = changed(good, list)
    expect(verify(token).ok).toBe(token === good)
  })

/** Whatever our own key signed: where it is accepted, jose reads the same out of it. */
const readTheSame = (verify: Verifier, accepted: { count: number }) =>
  fc.property(fc.oneof({ arbitrary: fc.constant(text(header)), weight: 2 }, damaged(header)), damaged(goodClaims), (head, body) => {
    const token = makeToken({ header: head, claims: body })
    const verdict = verify(token)
    if (!verdict.ok) return
    accepted.count++
    const [read, { alg, typ, kid, ...others }] = [decodeJwt(token), decodeProtectedHeader(token)]
    expect([read.sub, [read.aud].flat(), (read.exp ?? 0) * 1000]).toEqual([verdict.id.text, verdict.audiences, verdict.expiresAt])
    expect(verdict.audiences).toContain(AUDIENCE)
    expect(verdict.expiresAt).toBeGreaterThan(JWT_NOW - 5_000)
    expect(read.nbf ?? 0).toBeLessThanOrEqual(JWT_NOW / 1000 + 5)
    expect([alg, [undefined, es256.kid].includes(kid), [undefined, 'JWT', 'JOSE'].includes(typ), others]).toEqual(['ES256', true, true, {}])
    expect([head, body].some(hasNameTwice)).toBe(false)
  })

describe('tokens', () => {
  it('texts of chance are no token', () => {
    const soup = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.array(fc.base64String(), { maxLength: 5 }).map((parts) => parts.join('.'))
    )
    fc.assert(
      fc.property(soup, (token) => {
        expect(ours(token).ok).toBe(false)
        const bearer = readBearer(token)
        if (!bearer.ok) expectClosed(bearer)
      }),
      RUNS
    )
  })

  it('a changed token is refused', () => {
    fc.assert(changedIsRefused(ours), RUNS)
  })

  it('changed header or claims under the old signature are refused', () => {
    const [, , signature] = good.split('.')
    fc.assert(
      fc.property(damaged(header), damaged(goodClaims), (head, body) => {
        const token = `${part(head)}.${part(body)}.${signature}`
        expect(ours(token).ok).toBe(token === good)
      }),
      RUNS
    )
  })

  it('a strange token that our own key signed is refused, or jose reads it the same way', () => {
    const accepted = { count: 0 }
    fc.assert(readTheSame(ours, accepted), RUNS)
    expect(accepted.count).toBeGreaterThan(RUNS.numRuns / 20)
  })
})

describe('the same machinery finds a verifier', () => {
  type Members = Record<string, unknown>
  /** Reads with JSON.parse, which takes the last of several members, and signs what it read itself. */
  const lenient =
    (readHeader: (members: Members) => Members): Verifier =>
    (token) => {
      const [head = '', body = ''] = token.split('.').map((one) => Buffer.from(one, 'base64url').toString())
      try {
        const [members, { sub, aud, exp, nbf }] = [JSON.parse(head) as Members, JSON.parse(body) as Members]
        return ours(makeToken({ header: text(readHeader(members)), claims: text({ sub, aud, exp, nbf }) }))
      } catch {
        return ours('')
      }
    }
  const asItStands = lenient((members) => members)

  it('that checks no signature', async () => {
    expect(await catches(changedIsRefused(asItStands))).toBe(true)
  })

  it('that takes the last of two claims', async () => {
    expect(await catches(readTheSame(asItStands, { count: 0 }))).toBe(true)
  })

  it('that goes on with a header it does not know', async () => {
    const known = lenient(({ alg, kid }) => ({ alg, kid }))
    const careless: Verifier = (token) => {
      const verdict = ours(token)
      return !verdict.ok && ['J-5', 'J-6', 'J-7'].includes(verdict.rule) ? known(token) : verdict
    }
    expect(await catches(readTheSame(careless, { count: 0 }))).toBe(true)
  })
})
