import { createPublicKey, verify } from 'node:crypto'
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
const publicOf = ({ key }: Pick<Svid, 'key'>) => createPublicKey(key)
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

  it.each([
    ['ES256', egress],
    ['ES384', egress384]
  ] as const)('its two numbers by %s are in their places, also the short ones', (_, svid) => {
    const signer = signerOf(svid)
    let short = 0
    for (let at = 0; at < 700; at++) {
      const token = mintPolicyToken(grant, signer, facts())
      const cut = token.lastIndexOf('.')
      const signature = Buffer.from(token.slice(cut + 1), 'base64url')
      const half = signature.length / 2
      if (signature[0] === 0 || signature[half] === 0) short++
      expect(verify(signer.hash, Buffer.from(token.slice(0, cut)), { key: publicOf(svid), dsaEncoding: 'ieee-p1363' }, signature)).toBe(
        true
      )
    }
    // One in 128 has a number that begins with a zero byte: none among 700 would be a chance of 1 in 240.
    expect(short).toBeGreaterThan(0)
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
