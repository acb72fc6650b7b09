#!/usr/bin/env node
/**
 * `npm run bench:identity`: what it costs to know who calls, as ratios to one `crypto.verify` of ECDSA on P-256 in the same run: the
 * part that nobody can leave out. Exits 1 when a ratio is over its target.
 */
import { createPublicKey, verify } from 'node:crypto'
import { cpus } from 'node:os'
import type { Inbound } from '../src/core/inbound.ts'
import { createCallerCache, identify } from '../src/identity/identify.ts'
import { verifyJwtSvid } from '../src/identity/jwt-svid.ts'
import { readCertificate } from '../src/identity/x509-certificate.ts'
import { verifyX509Svid } from '../src/identity/x509-svid.ts'
import { bundlesOf, envoyPem, issueSvid, makeAuthority, xfccFor } from '../test/support/ca.ts'
import { AUDIENCE, es256, JWT_NOW, jwkOf, keySet, makeToken, WORKLOAD } from '../test/support/jwt.ts'
import { median } from './load.ts'

const HELP = 'npm run bench:identity [-- rounds]: 120 rounds unless told\n'
const ROUNDS = 120
/** Of each thing in one round, about 20 ms: long beside the clock's resolution, short beside what else the machine does. */
const CALLS = 200
/** Rounds before the first that counts: the compiler is done with the readers after some thousand calls. */
const WARM_UP = 20
/** Different certificates and tokens in turn, so that no measurement lives from having seen the same bytes just before. */
const SUBJECTS = 50

interface Measured {
  readonly name: string
  /** Times the cost of one `crypto.verify`, at most. */
  readonly target: number
  /** Makes what the calls of one round need, outside of the measured time. */
  readonly prepare: () => (at: number) => boolean
}

const say = (line: string) => process.stdout.write(`${line}\n`)
process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  const rounds = Number(args[0] ?? ROUNDS)
  if (args.length > 1 || !Number.isInteger(rounds) || rounds < 1) {
    say(HELP.trimEnd())
    return 2
  }
  const { baseline, measured } = await subjects()
  say(
    `node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}; ${rounds} rounds of ${CALLS} calls, median (min to max)`
  )
  const base: number[] = []
  const costs = measured.map((): number[] => [])
  // In turn within each round, so that a slow moment of the machine falls on all of them.
  for (let round = -Math.min(rounds, WARM_UP); round < rounds; round++) {
    const before = microsPerCall(baseline)
    const now = measured.map(({ prepare }) => microsPerCall(prepare()))
    if (round < 0) continue
    base.push((before + microsPerCall(baseline)) / 2)
    for (const [index, micros] of now.entries()) costs[index]?.push(micros)
  }
  say(row('crypto.verify, ECDSA on P-256', base))
  let missed = 0
  for (const [index, { name, target }] of measured.entries()) {
    const values = costs[index] ?? []
    // Pairs of one round, so that a machine that drifts moves both.
    const ratio = Number(median(values.map((one, round) => one / (base[round] ?? Number.NaN))).toFixed(3))
    if (!(ratio <= target)) missed++
    say(`${row(name, values)}  ${ratio.toFixed(3)} × crypto.verify, at most ${target}${ratio <= target ? '' : '  TOO SLOW'}`)
  }
  return missed === 0 ? 0 : 1
}

function row(name: string, values: readonly number[]): string {
  const numbers = `${median(values).toFixed(2).padStart(8)} µs (${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)})`
  return `  ${name.padEnd(52)} ${numbers}`
}

/** A bench of refusals would be a bench of nothing. */
function microsPerCall(call: (at: number) => boolean): number {
  let accepted = 0
  const began = process.hrtime.bigint()
  for (let at = 0; at < CALLS; at++) if (call(at)) accepted++
  const micros = Number(process.hrtime.bigint() - began) / 1000 / CALLS
  if (accepted !== CALLS) throw new Error(`${CALLS - accepted} of ${CALLS} calls were refused`)
  return micros
}

async function subjects(): Promise<{ readonly baseline: (at: number) => boolean; readonly measured: readonly Measured[] }> {
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
