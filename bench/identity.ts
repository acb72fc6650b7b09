#!/usr/bin/env node
/**
 * `npm run bench:identity`: what it costs to know who calls, as ratios to one `crypto.verify` of ECDSA on P-256 in the same run: the
 * part that nobody can leave out. Exits 1 when a ratio is over its target.
 */
import { createPublicKey, verify } from 'node:crypto'
import type { Inbound } from '../src/core/inbound.ts'
import { createCallerCache, identify } from '../src/identity/identify.ts'
import { verifyJwtSvid } from '../src/identity/jwt-svid.ts'
import { readCertificate } from '../src/identity/x509-certificate.ts'
import { verifyX509Svid } from '../src/identity/x509-svid.ts'
import { bundlesOf, envoyPem, issueSvid, makeAuthority, xfccFor } from '../test/support/ca.ts'
import { AUDIENCE, es256, JWT_NOW, jwkOf, keySet, makeToken, WORKLOAD } from '../test/support/jwt.ts'
import { CALLS, measureRatios, type Subjects } from './ratios.ts'

const HELP = 'npm run bench:identity [-- rounds]: 120 rounds unless told'
/** Different certificates and tokens in turn, so that no measurement lives from having seen the same bytes just before. */
const SUBJECTS = 50

process.exitCode = await measureRatios(HELP, subjects, process.argv.slice(2))

async function subjects(): Promise<Subjects> {
  const now = Date.now()
  const root = await makeAuthority({ trustDomain: 'vec.test', notBefore: now - 3_600_000, notAfter: now + 3_600_000 })
  const trust = bundlesOf([root])
  const all = Array.from({ length: SUBJECTS }, (_, index) => index)
  const svids = await Promise.all(all.map((index) => issueSvid(root, { id: `${WORKLOAD}-${index}` })))
  const signed = svids.map(({ der }) => {
    const read = readCertificate(der)
    if (!read.ok) throw new Error(read.detail)
    return read.certificate
  })
  const tokens = all.map((index) => makeToken({ claims: { sub: `${WORKLOAD}-${index}` } }))
  const keySets = new Map([['vec.test', keySet(jwkOf(es256))]])
  const check = { audience: AUDIENCE, now: JWT_NOW, leewayMs: 5_000 }
  const cache = createCallerCache(SUBJECTS)
  const rootKey = createPublicKey(root.key)
  const one = <T>(list: readonly T[], at: number): T => list[at % list.length] as T
  return {
    baseline: (at) => {
      const { tbs, signature } = one(signed, at)
      return verify('sha256', tbs, rootKey, signature)
    },
    measured: [
      {
        name: 'identify, a certificate and XFCC seen before',
        target: 0.06,
        // Texts of their own for each call, as they come off the wire: none has been hashed before.
        prepare: () => {
          const calls = Array.from({ length: CALLS }, (_, at) => inboundOf(envoyPem(one(svids, at).der), xfccFor(one(svids, at))))
          return (at) => identify(one(calls, at), trust, now, cache).ok
        }
      },
      {
        name: 'verifyX509Svid, leaf to root on P-256, never seen',
        target: 1.3,
        prepare: () => (at) => verifyX509Svid(one(svids, at).chain, trust, now).ok
      },
      {
        name: 'verifyJwtSvid, ES256, never seen',
        target: 1.3,
        prepare: () => (at) => verifyJwtSvid(one(tokens, at), keySets, check).ok
      }
    ]
  }
}

function inboundOf(peerCertificate: string, xfcc: string): Inbound {
  const headers = new Map([['x-forwarded-client-cert', Buffer.from(xfcc).toString('latin1')]])
  return {
    method: 'POST',
    target: '/',
    authority: 'vec.test',
    headers,
    body: undefined,
    peerCertificate: Buffer.from(peerCertificate).toString('latin1'),
    peerPrincipal: undefined,
    httpId: '1',
    grpc: false,
    strippedCredentials: []
  }
}
