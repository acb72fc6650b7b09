/** Any text as a policy token gives a verdict: never a throw, and never a belief that no listed issuer signed for. */
import fc from 'fast-check'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { type PolicyTokenVerdict, verifyPolicyToken } from '../../src/identity/policy-token.ts'
import { createPolicyIssuerCache } from '../../src/identity/policy-token-issuer.ts'
import { JWT_NOW } from '../support/jwt.ts'
import { CHECK, EGRESS, egress, goodPolicyClaims, INDEX, PEER, policyHeader, policyToken, x5cOf } from '../support/policy-token.ts'
import { change, distort, spoil } from './byte-changes.ts'
import { changed, hasNameTwice, reshaped, textChanges, treeChanges } from './json-changes.ts'
import { catches, expectClosed, runs } from './runs.ts'

const RUNS = runs(150)

type Verifier = (token: string) => PolicyTokenVerdict
const cache = createPolicyIssuerCache()
const ours: Verifier = (token) => {
  const verdict = verifyPolicyToken(token, { ...CHECK, operation: undefined }, cache)
  // What is remembered never changes an answer.
  const afresh = verifyPolicyToken(token, { ...CHECK, operation: undefined }, createPolicyIssuerCache())
  expect(afresh).toEqual(verdict)
  if (!verdict.ok) {
    expectClosed({ rule: verdict.rule, detail: verdict.detail })
    expect(verdict.rule).toMatch(/^T-/)
    expect(['token-invalid', 'token-expired', 'token-mismatch']).toContain(verdict.kind)
  }
  return verdict
}

const good = policyToken()
const header = policyHeader()
const text = (value: object): string => JSON.stringify(value)
const part = (json: string): string => Buffer.from(json).toString('base64url')

const damaged = (value: object): fc.Arbitrary<string> =>
  fc.oneof(
    treeChanges.map((list) => reshaped(value, list)),
    textChanges.map((list) => changed(text(value), list))
  )

/** Believed is what was signed, and nothing else. */
const changedIsRefused = (verify: Verifier) =>
  fc.property(textChanges, (list) => {
    const token = changed(good, list)
    expect(verify(token).ok).toBe(token === good)
  })

/** Whatever the issuer itself signed: where it is believed, jose reads the same out of it. */
const readTheSame = (verify: Verifier, believed: { count: number }) =>
  fc.property(fc.oneof({ arbitrary: fc.constant(text(header)), weight: 3 }, damaged(header)), damaged(goodPolicyClaims), (head, body) => {
    const token = policyToken({ header: head, claims: body })
    const verdict = verify(token)
    if (!verdict.ok) return
    believed.count++
    const { iat = 0, exp = 0, ...read } = decodeJwt<Record<string, unknown>>(token)
    const { tenant, purpose, act, digest: dig, policy, tokenId: jti } = verdict.token
    const said = { iss: EGRESS, sub: PEER.text, aud: INDEX, act, dig, policy, jti }
    const optional = { ...(tenant === undefined ? {} : { tenant }), ...(purpose === undefined ? {} : { purpose }) }
    expect(read).toEqual({ ...said, ...optional })
    expect([exp - iat > 0 && exp - iat <= 30, exp * 1000 + 5_000]).toEqual([true, verdict.token.until])
    expect([iat * 1000 <= JWT_NOW + 5_000, exp * 1000 > JWT_NOW - 5_000]).toEqual([true, true])
    expect(decodeProtectedHeader(token)).toMatchObject({ alg: 'ES256', typ: 'vecauthz-policy+jwt' })
    expect([head, body].some(hasNameTwice)).toBe(false)
  })

describe('policy tokens', () => {
  it('texts of chance are no token', () => {
    const soup = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.array(fc.base64String(), { maxLength: 5 }).map((parts) => parts.join('.'))
    )
    fc.assert(
      fc.property(soup, (token) => {
        expect(ours(token).ok).toBe(false)
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
      fc.property(damaged(header), damaged(goodPolicyClaims), (head, body) => {
        const token = `${part(head)}.${part(body)}.${signature}`
        expect(ours(token).ok).toBe(token === good)
      }),
      RUNS
    )
  })

  it('a strange token that the issuer signed is refused, or jose reads it the same way', () => {
    const believed = { count: 0 }
    fc.assert(readTheSame(ours, believed), RUNS)
    expect(believed.count).toBeGreaterThan(RUNS.numRuns / 20)
  })

  it('a damaged certificate in x5c proves nothing, whichever it is', () => {
    const which = fc.nat({ max: egress.chain.length - 1 })
    fc.assert(
      fc.property(which, fc.boolean(), change, (at, whole, damage) => {
        const chain = egress.chain.map((der, index) => (index !== at ? der : whole ? distort(der, damage) : spoil(der, damage)))
        const same = chain.every((der, index) => Buffer.compare(der, egress.chain[index] ?? new Uint8Array()) === 0)
        expect(ours(policyToken({ header: { x5c: x5cOf(chain) } })).ok).toBe(same)
      }),
      RUNS
    )
  })
})

describe('the same machinery finds a verifier', () => {
  /** Reads with JSON.parse, which takes the last of several members, and signs what it read itself. */
  const asItStands: Verifier = (token) => {
    const [head = '', body = ''] = token.split('.').map((one) => Buffer.from(one, 'base64url').toString())
    try {
      return ours(policyToken({ header: text(JSON.parse(head)), claims: text(JSON.parse(body)) }))
    } catch {
      return ours('')
    }
  }

  it('that checks no signature', async () => {
    expect(await catches(changedIsRefused(asItStands))).toBe(true)
  })

  it('that takes the last of two claims', async () => {
    expect(await catches(readTheSame(asItStands, { count: 0 }))).toBe(true)
  })

  it('that leaves out the claims it does not know', async () => {
    const tolerant: Verifier = (token) => {
      const verdict = ours(token)
      if (verdict.ok || verdict.rule !== 'T-18') return verdict
      const members = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
      const known = Object.keys(goodPolicyClaims).map((name) => [name, members[name]])
      return ours(policyToken({ claims: text(Object.fromEntries(known)) }))
    }
    expect(await catches(readTheSame(tolerant, { count: 0 }))).toBe(true)
  })
})
