import { describe, expect, it } from 'vitest'
import type { Result } from '../../src/core/deny-reason.ts'
import type { PolicyToken } from '../../src/core/policy-token.ts'
import type { Operation } from '../../src/core/vector-call.ts'
import type { PolicyTokenCheck } from '../../src/identity/policy-token.ts'
import { createPolicyIssuerCache } from '../../src/identity/policy-token-issuer.ts'
import { admitPolicyToken, spendPolicyToken } from '../../src/identity/policy-token-use.ts'
import { createSpentTokens } from '../../src/state/spent-tokens.ts'
import { callerOf } from '../support/grants.ts'
import { JWT_NOW } from '../support/jwt.ts'
import { CHECK, policyToken, REQUEST } from '../support/policy-token.ts'

function admit(token: string | undefined, change: Partial<PolicyTokenCheck> = {}): Result<PolicyToken> {
  const sent: readonly (readonly [string, string])[] = token === undefined ? [] : [['x-vecauthz-policy-token', token]]
  const request = { ...REQUEST, headers: new Map([...REQUEST.headers, ...sent]) }
  return admitPolicyToken({ ...CHECK, request, ...change }, createPolicyIssuerCache())
}

const admitted = (claims: Record<string, unknown> = {}): PolicyToken => {
  const result = admit(policyToken({ claims }))
  if (!result.ok) throw new Error(result.reason.because)
  return result.value
}

describe('the policy token of a call', () => {
  it.each([
    ['no token', undefined, {}, 'token-missing', 'T-1'],
    ['a token that is none', 'a.b.c', {}, 'token-invalid', 'T-1'],
    ['a token of yesterday', policyToken(), { now: JWT_NOW + 60_000 }, 'token-expired', 'T-16'],
    ['a token of another call', policyToken(), { operation: 'drop' as const }, 'token-mismatch', 'T-14']
  ] as const)('T-1 T-14 T-16 %s is a denial with its rule', (_, token, change, kind, rule) => {
    expect(admit(token, change)).toMatchObject({
      ok: false,
      reason: { kind, because: expect.stringContaining(`${rule}: `), remedy: expect.any(String) }
    })
  })
})

describe('the use of a policy token', () => {
  const atOnce = (refused: ReturnType<typeof spendPolicyToken>) => {
    if (refused instanceof Promise) throw new Error('a promise, where the tokens gave none')
    return refused?.reason.kind ?? 'passes'
  }

  const uses = (operation: Operation, ...checks: readonly string[]) => {
    const tokens = createSpentTokens()
    return checks.map((check) => atOnce(spendPolicyToken(admitted(), operation, check, JWT_NOW, tokens)))
  }

  it.each(['write', 'delete', 'define', 'drop'] as const)('T-19 a %s passes once', (operation) =>
    expect(uses(operation, 'a', 'b', 'a')).toEqual(['passes', 'token-mismatch', 'passes'])
  )

  it.each(['search', 'read', 'export', 'observe', 'probe'] as const)('T-19 a %s passes as often as it likes', (operation) =>
    expect(uses(operation, 'a', 'b')).toEqual(['passes', 'passes'])
  )

  it('T-19 one id of two issuers is two tokens, and two ids of one issuer are', () => {
    const tokens = createSpentTokens()
    const spend = (token: PolicyToken, check: string) => spendPolicyToken(token, 'write', check, JWT_NOW, tokens)
    expect(spend(admitted(), 'a')).toBeUndefined()
    expect(spend({ ...admitted(), issuer: callerOf('spiffe://vec.test/vecauthz/other').id }, 'b')).toBeUndefined()
    expect(spend(admitted({ jti: 'B'.repeat(22) }), 'c')).toBeUndefined()
    expect(spend(admitted(), 'd')).toMatchObject({ reason: { kind: 'token-mismatch' } })
  })

  it('T-19 the other spelling of an ECDSA signature is the same token', () => {
    const tokens = createSpentTokens()
    const order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
    const mirrored = (made: Buffer): Buffer => {
      const s = order - BigInt(`0x${made.toString('hex', 32)}`)
      return Buffer.concat([made.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')])
    }
    const spent = [policyToken(), policyToken({ signature: mirrored })].map((text, at) => {
      const result = admit(text)
      if (!result.ok) return result.reason.because
      return atOnce(spendPolicyToken(result.value, 'write', String(at), JWT_NOW, tokens))
    })
    expect(spent).toEqual(['passes', 'token-mismatch'])
  })

  it('T-19 is refused when it cannot be noted', () => {
    expect(spendPolicyToken(admitted(), 'write', 'a', JWT_NOW, createSpentTokens(0))).toMatchObject({
      reason: { kind: 'state-unavailable' }
    })
  })

  it.each([
    ['ours', undefined],
    ['spent', 'token-mismatch'],
    ['full', 'state-unavailable'],
    ['unavailable', 'state-unavailable']
  ] as const)('T-19 what is answered later counts as what is answered at once: %s', async (spending, kind) => {
    const later = spendPolicyToken(admitted(), 'drop', 'a', JWT_NOW, { spend: async () => spending })
    expect(later).toBeInstanceOf(Promise)
    expect((await later)?.reason.kind).toBe(kind)
    expect(atOnce(spendPolicyToken(admitted(), 'drop', 'a', JWT_NOW, { spend: () => spending }))).toBe(kind ?? 'passes')
  })

  it('T-19 a check without a name is never the same again', () => expect(uses('write', '', '')).toEqual(['passes', 'token-mismatch']))
})
