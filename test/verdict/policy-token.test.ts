import { describe, expect, it } from 'vitest'
import type { Grant, ProbeGrant } from '../../src/core/decision.ts'
import { verifyPolicyToken } from '../../src/identity/policy-token.ts'
import { createPolicyIssuerCache } from '../../src/identity/policy-token-issuer.ts'
import { mintPolicyToken, type PolicyTokenFacts, policyTokenSigner } from '../../src/verdict/policy-token.ts'
import { newKey, type Svid } from '../support/ca.ts'
import { callerOf, callOf, targetOf } from '../support/grants.ts'
import { JWT_NOW, NOW_S } from '../support/jwt.ts'
import {
  CHECK,
  digestOf,
  EGRESS,
  egress,
  egress384,
  egressRsa,
  egressSvid,
  INDEX,
  MEANING,
  PEER,
  REQUEST
} from '../support/policy-token.ts'

const caller = callerOf(PEER.text)
const grant = {
  kind: 'tenant',
  caller,
  call: callOf('search', 'acme'),
  tenant: 'acme',
  targets: [targetOf('acme')],
  rule: ''
} as unknown as Grant
const probe = { kind: 'probe', caller, call: callOf('probe', undefined) } as unknown as ProbeGrant

const facts = (change: Partial<PolicyTokenFacts> = {}): PolicyTokenFacts => ({
  audience: INDEX,
  request: REQUEST,
  meaningHeaders: MEANING,
  policy: 'f00d',
  tokenId: 'AAAAAAAAAAAAAAAAAAAAAA',
  now: JWT_NOW + 999,
  ...change
})

const svidOf = ({ chain, key }: Pick<Svid, 'chain' | 'key'>) => ({ id: callerOf(EGRESS).id, certificates: chain, key })
function signerOf(svid: Pick<Svid, 'chain' | 'key'>) {
  const made = policyTokenSigner(svidOf(svid))
  if (!made.ok) throw new Error(made.because)
  return made.signer
}
const jsonOf = (token: string, part: 0 | 1): unknown => JSON.parse(Buffer.from(token.split('.')[part] ?? '', 'base64url').toString())

describe('minting a policy token', () => {
  it.each([
    ['ES256', egress],
    ['ES384', egress384],
    ['RS256', egressRsa]
  ] as const)('the index believes one by %s', (alg, svid) => {
    const token = mintPolicyToken(grant, signerOf(svid), facts())
    expect(jsonOf(token, 0)).toMatchObject({ alg, typ: 'vecauthz-policy+jwt' })
    expect(verifyPolicyToken(token, CHECK, createPolicyIssuerCache())).toMatchObject({ ok: true, token: { tenant: 'acme', act: 'search' } })
  })

  it('says what was granted, to whom, and for thirty seconds', () => {
    expect(jsonOf(mintPolicyToken(grant, signerOf(egress), facts()), 1)).toEqual({
      iss: EGRESS,
      sub: PEER.text,
      aud: INDEX,
      tenant: 'acme',
      act: 'search',
      dig: digestOf(REQUEST),
      policy: 'f00d',
      jti: 'AAAAAAAAAAAAAAAAAAAAAA',
      iat: NOW_S,
      exp: NOW_S + 30
    })
    expect(jsonOf(mintPolicyToken({ ...grant, purpose: 'inference' }, signerOf(egress), facts()), 1)).toMatchObject({
      purpose: 'inference'
    })
  })

  it('a probe names no tenant', () => {
    const token = mintPolicyToken(probe, signerOf(egress), facts())
    expect(jsonOf(token, 1)).not.toHaveProperty('tenant')
    const verdict = verifyPolicyToken(token, { ...CHECK, operation: 'probe' }, createPolicyIssuerCache())
    expect(verdict).toMatchObject({ ok: true, token: { tenant: undefined, act: 'probe' } })
    expect(verifyPolicyToken(token, CHECK, createPolicyIssuerCache())).toMatchObject({ kind: 'token-mismatch' })
  })

  it.each(['P-521', 'Ed25519'] as const)('a key of %s signs none, and the operator is told', async (kind) => {
    const made = policyTokenSigner(svidOf(await egressSvid({ key: newKey(kind) })))
    expect(made).toEqual({ ok: false, because: expect.stringContaining('P-256, P-384 or RSA') })
  })

  it('certificates that fit into no header are refused when they arrive, not at each call', () => {
    const made = policyTokenSigner(svidOf({ key: egress.key, chain: Array.from({ length: 24 }, () => egress.der) }))
    expect(made).toEqual({ ok: false, because: expect.stringContaining('too long') })
  })
})
