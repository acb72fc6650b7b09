#!/usr/bin/env node
/**
 * `node bench/policy-token.ts`: what minting and believing a policy token costs, as ratios to one `crypto.verify` of ECDSA on P-256 in
 * the same run. Exits 1 when a ratio is over its target.
 */
import { createHash, createPublicKey, sign, verify } from 'node:crypto'
import type { Grant } from '../src/core/decision.ts'
import { type DigestedRequest, requestDigest } from '../src/core/request-digest.ts'
import { type PolicyTokenCheck, verifyPolicyToken } from '../src/identity/policy-token.ts'
import { createPolicyIssuerCache } from '../src/identity/policy-token-issuer.ts'
import { mintPolicyToken, type PolicyTokenSigner, policyTokenSigner } from '../src/verdict/policy-token.ts'
import { callerOf, callOf, targetOf } from '../test/support/grants.ts'
import { CHECK, EGRESS, egress, egressSvid, INDEX, MEANING, REQUEST, root } from '../test/support/policy-token.ts'
import { CALLS, measureRatios, type Subjects } from './ratios.ts'

const HELP = 'node bench/policy-token.ts [rounds]: 120 rounds unless told'
/** A query of 1,536 dimensions as JSON. */
const QUERY_BYTES = 17_500

process.exitCode = await measureRatios(HELP, subjects, process.argv.slice(2))

async function subjects(): Promise<Subjects> {
  const [signer, flatSigner] = [egress, await egressSvid({}, root)].map(({ chain, key }) => {
    const made = policyTokenSigner({ id: callerOf(EGRESS).id, certificates: chain, key })
    if (!made.ok) throw new Error(made.because)
    return made.signer
  }) as [PolicyTokenSigner, PolicyTokenSigner]
  const grant = granted()
  const query: DigestedRequest = { ...REQUEST, body: Buffer.alloc(QUERY_BYTES, '0.1234,') }
  const mint = (request: DigestedRequest, at: number, by = signer): string => {
    const tokenId = createHash('sha256').update(String(at)).digest('base64url').slice(0, 22)
    const facts = { audience: INDEX, request, meaningHeaders: MEANING, policy: 'f00d', tokenId, now: CHECK.now }
    return mintPolicyToken(grant, by, facts)
  }
  // Different tokens in turn, so that no measurement lives from having seen the same bytes just before.
  const tokensFor = (request: DigestedRequest, by = signer): readonly string[] =>
    Array.from({ length: CALLS }, (_, at) => mint(request, at, by))
  const [small, large, flat] = [tokensFor(REQUEST), tokensFor(query), tokensFor(REQUEST, flatSigner)]
  const one = <T>(list: readonly T[], at: number): T => list[at % list.length] as T
  const warm = createPolicyIssuerCache()
  // Texts of their own for each call, as they come off the wire: none has been hashed before.
  const believe = (tokens: readonly string[], change: Partial<PolicyTokenCheck>, cacheOf = () => warm) => {
    const [check, texts] = [{ ...CHECK, ...change }, tokens.map((token) => Buffer.from(token, 'latin1').toString('latin1'))]
    return (at: number): boolean => verifyPolicyToken(one(texts, at), check, cacheOf()).ok
  }
  const publicKey = createPublicKey(egress.key)
  const signed = small.map((token) => {
    const bytes = Buffer.from(token.slice(0, token.lastIndexOf('.')))
    return { bytes, signature: sign('sha256', bytes, egress.key) }
  })
  return {
    baseline: (at) => {
      const { bytes, signature } = one(signed, at)
      return verify('sha256', bytes, publicKey, signature)
    },
    measured: [
      { name: 'verifyPolicyToken, its issuer seen before', target: 1.25, prepare: () => believe(small, {}) },
      { name: 'the same, with a body of 17.5 kB under the digest', target: 1.5, prepare: () => believe(large, { request: query }) },
      // Once for each SVID and each change of the bundles: two signatures, or three, and a key that OpenSSL has to be told, which
      // costs it more than a signature.
      {
        name: 'verifyPolicyToken, its issuer never seen, below the root',
        target: 5,
        prepare: () => believe(flat, {}, createPolicyIssuerCache)
      },
      { name: 'the same, below an intermediate', target: 6.5, prepare: () => believe(small, {}, createPolicyIssuerCache) },
      { name: 'mintPolicyToken', target: 1.25, prepare: () => (at) => mint(REQUEST, at).length > 0 },
      {
        name: 'requestDigest, a body of 17.5 kB',
        target: 0.3,
        prepare: () => () => requestDigest(query, MEANING, createHash('sha256')).length === 43
      }
    ]
  }
}

function granted(): Grant {
  const caller = callerOf(CHECK.peer.text)
  return {
    kind: 'tenant',
    caller,
    call: callOf('search', 'acme'),
    tenant: 'acme',
    purpose: 'inference',
    targets: [targetOf('acme')],
    rule: ''
  } as unknown as Grant
}
