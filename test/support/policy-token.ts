/** Policy tokens: good by default, with the knobs of `makeToken`, and the call that the good one was issued for. */
import { createHash } from 'node:crypto'
import type { PolicyIssuer } from '../../src/core/policy-token.ts'
import { type DigestedRequest, requestDigest } from '../../src/core/request-digest.ts'
import type { PolicyTokenCheck } from '../../src/identity/policy-token.ts'
import { bundlesOf, issueSvid, makeAuthority, type Svid, type SvidSpec } from './ca.ts'
import { callerOf } from './grants.ts'
import { es384, JWT_NOW, makeToken, NOW_S, rsa, type TokenSpec } from './jwt.ts'

const HOUR = 3_600_000
const lasting = { notBefore: JWT_NOW - 24 * HOUR, notAfter: JWT_NOW + 24 * HOUR }

export const EGRESS = 'spiffe://vec.test/vecauthz/egress'
export const PEER = callerOf('spiffe://vec.test/ns/acme/agent/support').id
export const INDEX = 'index.vec.test'
export const MEANING = ['dbname']

export const root = await makeAuthority({ trustDomain: 'vec.test', name: 'root', ...lasting })
export const mid = await makeAuthority({ trustDomain: 'vec.test', name: 'intermediate', parent: root, ...lasting })
export const partner = await makeAuthority({ trustDomain: 'partner.test', name: 'partner root', ...lasting })
/** Issues an SVID for an egress server below the intermediate. */
export const egressSvid = (spec: SvidSpec = {}, by = mid): Promise<Svid> =>
  issueSvid(by, { id: EGRESS, notBefore: JWT_NOW - 60_000, notAfter: JWT_NOW + HOUR, ...spec })
export const egress = await egressSvid()
export const egress384 = await egressSvid({ key: es384.key })
export const egressRsa = await egressSvid({ key: rsa.key })

export const REQUEST: DigestedRequest = {
  method: 'POST',
  authority: 'milvus.vec.test',
  target: '/v2/vectordb/entities/search?trace=1',
  headers: new Map([
    ['content-type', 'application/json'],
    ['dbname', 'acme']
  ]),
  body: Buffer.from('{"collectionName":"docs","limit":5}')
}
export const digestOf = (request: DigestedRequest, meaning = MEANING): string => requestDigest(request, meaning, createHash('sha256'))

export const vouches = (change: { readonly tenants?: readonly string[]; readonly audiences?: readonly string[] } = {}): PolicyIssuer => ({
  tenants: new Set(change.tenants ?? ['acme', 'globex']),
  audiences: new Set(change.audiences ?? [INDEX])
})

export const CHECK: PolicyTokenCheck = {
  audience: INDEX,
  issuers: new Map([[EGRESS, vouches()]]),
  trust: bundlesOf([root, partner]),
  peer: PEER,
  request: REQUEST,
  meaningHeaders: MEANING,
  operation: 'search',
  now: JWT_NOW,
  leewayMs: 5_000
}

export const goodPolicyClaims: Readonly<Record<string, unknown>> = {
  iss: EGRESS,
  sub: PEER.text,
  aud: INDEX,
  tenant: 'acme',
  purpose: 'inference',
  act: 'search',
  dig: digestOf(REQUEST),
  policy: 'f00d',
  jti: 'AAAAAAAAAAAAAAAAAAAAAA',
  iat: NOW_S,
  exp: NOW_S + 30
}

export const x5cOf = (chain: readonly Uint8Array[]): string[] => chain.map((der) => Buffer.from(der).toString('base64'))
export const policyHeader = (svid: Pick<Svid, 'chain'> = egress, alg = 'ES256'): Readonly<Record<string, unknown>> => ({
  alg,
  typ: 'vecauthz-policy+jwt',
  x5c: x5cOf(svid.chain)
})

export interface PolicyTokenSpec extends Omit<TokenSpec, 'by'> {
  readonly svid?: Svid
  readonly alg?: string
}

/** `header` and `claims` over the good ones; `undefined` leaves one out. */
export function policyToken({ svid = egress, alg = 'ES256', header = {}, claims = {}, ...rest }: PolicyTokenSpec = {}): string {
  return makeToken({
    ...rest,
    by: { alg, kid: '', key: svid.key },
    header: typeof header === 'string' ? header : JSON.stringify({ ...policyHeader(svid, alg), ...header }),
    claims: typeof claims === 'string' ? claims : JSON.stringify({ ...goodPolicyClaims, ...claims })
  })
}
