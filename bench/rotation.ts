/** Good callers under rotation: every SVID short-lived, connections pooled, calls at a steady rate; counts what was refused. */
import { X509Certificate } from 'node:crypto'
import { readFileSync, realpathSync } from 'node:fs'
import { type ClientHttp2Session, connect } from 'node:http2'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { type Bootstrap, httpOf, upstreamHttpOf } from '../demo/envoy-config.ts'
import { HOST, SUPPORT, TRUST_DOMAIN } from '../demo/identities.ts'
import { type Stack, startStack } from '../demo/stack.ts'
import { collectionPath, searchBody } from '../demo/step.ts'

export interface SoakOptions {
  readonly folder: string
  readonly seconds: number
  /** Requests a second, all callers together. */
  readonly rate: number
  /** Lifetime of every SVID: the caller's, Envoy's and vecauthz's. */
  readonly svidSeconds: number
  /** Without the limits on the age of connections: what they are there for must show. */
  readonly control: boolean
  /** Between two lines of progress. */
  readonly everyMs: number
  readonly say: (line: string) => void
}

export interface SoakResult {
  readonly seconds: number
  readonly requests: number
  /** By reason: the kind of a denial, an HTTP status, or how the connection failed. */
  readonly refused: Readonly<Record<string, number>>
  /** Calls sent twice, because the first time they met the end of their connection. */
  readonly repeated: number
  /** New SVIDs after the first, as seen in use; new roots and intermediates. */
  readonly rotations: { readonly caller: number; readonly envoy: number; readonly vecauthz: number; readonly authority: number }
  /** Opened in all: by callers to Envoy, and by Envoy to vecauthz. */
  readonly connections: { readonly callers: number; readonly vecauthz: number }
  readonly p50: number
  readonly p99: number
}

const POOL = 8
const TICK_MS = 10
const ANSWER_MS_MAX = 10_000
/** Of an SVID's life; SVIDs are renewed at half, so that these fall between. */
const AUTHORITY_EVERY = 0.75
/** What is tested is who calls, not Chroma: one call in this many is a search, the others count. */
const SEARCH_EVERY = 10

type Pool = (ClientHttp2Session | undefined)[]

interface Tally {
  requests: number
  readonly refused: Record<string, number>
  repeated: number
  readonly times: number[]
  readonly callerSerials: Set<string>
  readonly envoySerials: Set<string>
  authorities: number
  connections: number
}

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const { folder, svidSeconds, control } = options
  const policy = (document: { budget: object }) => {
    document.budget = { per_second: 100_000, burst: 1_000_000 }
  }
  // Twice the lifetime is the most that the server believes; Envoy's limits go altogether.
  const ageless = control ? { claimedSvidSeconds: svidSeconds * 2, envoy: { edit: withoutAge } } : {}
  const stack = await startStack({ folder, say: () => undefined, svidSeconds, policy, ...ageless })
  try {
    return await run(stack, options)
  } finally {
    await stack.stop()
  }
}

/** What is wrong with a result; undefined when it is as it should be. */
export function wrongWith(result: SoakResult, { control, svidSeconds }: Pick<SoakOptions, 'control' | 'svidSeconds'>): string | undefined {
  const refused = Object.values(result.refused).reduce((sum, one) => sum + one, 0)
  if (control) return refused > 0 ? undefined : 'NO REFUSALS: the limits on the age of connections are not what keeps good callers good.'
  if (refused > 0) return `REFUSED: ${refused} calls of good callers.`
  // SVIDs are renewed at half of their life, authorities less often; one may be missed at either end of the run.
  const least = Math.max(1, Math.floor(result.seconds / (svidSeconds * AUTHORITY_EVERY)) - 2)
  const few = Object.entries(result.rotations).find(([, seen]) => seen < least)
  if (few !== undefined) return `TOO FEW ROTATIONS of ${few[0]}: ${few[1]}, at least ${least} belong to this time.`
  return result.requests > 0 ? undefined : 'NO REQUESTS were made.'
}

export function printed({ seconds, requests, refused, repeated, rotations, connections, p50, p99 }: SoakResult): string {
  const reasons = Object.entries(refused).map(([reason, count]) => `${count} ${reason}`)
  const { caller, envoy, vecauthz, authority } = rotations
  return [
    `${Math.round(seconds)} s`,
    `${requests} requests`,
    `refused: ${reasons.length === 0 ? 'none' : reasons.join(', ')}`,
    `sent twice: ${repeated}`,
    `rotations: caller ${caller}, Envoy ${envoy}, vecauthz ${vecauthz}, authority ${authority}`,
    `connections: ${connections.callers} to Envoy, ${connections.vecauthz} to vecauthz`,
    `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`
  ].join('; ')
}

function withoutAge(bootstrap: Bootstrap): void {
  const { listeners, clusters } = bootstrap.static_resources
  for (const listener of listeners) delete httpOf(listener)['common_http_protocol_options'].max_connection_duration
  for (const cluster of clusters) delete upstreamHttpOf(cluster)['common_http_protocol_options'].max_connection_duration
}

async function run(stack: Stack, options: SoakOptions): Promise<SoakResult> {
  const tally: Tally = {
    requests: 0,
    refused: {},
    repeated: 0,
    times: [],
    callerSerials: new Set(),
    envoySerials: new Set(),
    authorities: 0,
    connections: 0
  }
  const pool: Pool = Array.from({ length: POOL }, () => undefined)
  const under = new Set<Promise<void>>()
  const began = performance.now()
  const elapsed = () => (performance.now() - began) / 1000
  let nextLine = options.everyMs
  while (elapsed() < options.seconds) {
    for (const due = elapsed() * options.rate; tally.requests < due; ) {
      const at = tally.requests++
      const asked = ask(pool, stack, at, tally)
      under.add(asked)
      void asked.finally(() => under.delete(asked))
    }
    if (elapsed() * 1000 >= nextLine) {
      options.say(printed(await resultOf(stack, tally, elapsed())))
      nextLine += options.everyMs
    }
    if (elapsed() > (tally.authorities + 1) * options.svidSeconds * AUTHORITY_EVERY) rotateAuthority(stack, tally)
    stack.recorder.clear()
    await sleep(TICK_MS)
  }
  const seconds = elapsed()
  await Promise.all(under)
  for (const session of pool) session?.destroy()
  return resultOf(stack, tally, seconds)
}

/** A new root, from which everything is new a second later, then a new intermediate below it, and so on. */
function rotateAuthority({ issuer }: Stack, tally: Tally): void {
  if (tally.authorities++ % 2 === 0) issuer.rotateRoot(TRUST_DOMAIN)
  else issuer.rotateIntermediate(TRUST_DOMAIN)
}

/** A connection is used until its other side says goodbye, then made anew with the SVID that is current by then. */
function sessionOf(pool: Pool, at: number, stack: Stack, tally: Tally): ClientHttp2Session {
  const known = pool[at]
  if (known !== undefined && !known.closed && !known.destroyed) return known
  // The link is followed once: chain and key are then of one revision whatever happens next.
  const folder = realpathSync(join(stack.issuer.sdsFolderOf(SUPPORT), 'current'))
  const [cert, key] = [readFileSync(join(folder, 'chain.pem'), 'utf8'), readFileSync(join(folder, 'key.pem'), 'utf8')]
  tally.callerSerials.add(new X509Certificate(cert).serialNumber)
  tally.connections++
  const ca = stack.issuer.bundlePem(TRUST_DOMAIN)
  const session = connect(`https://127.0.0.1:${stack.door.port}`, { ca, servername: HOST, cert, key, ALPNProtocols: ['h2'] })
  session.once('connect', (_, socket) => tally.envoySerials.add((socket as TLSSocket).getPeerCertificate().serialNumber))
  // Every call under way on it ends with the same error, and is counted there.
  session.on('error', () => session.destroy())
  pool[at] = session
  return session
}

/**
 * A call that crosses its connection's GOAWAY ends with REFUSED_STREAM, which promises that nobody has seen it: clients send it
 * again on a new connection (RFC 9113 §8.7). Once is enough, and it is counted.
 */
async function ask(pool: Pool, stack: Stack, at: number, tally: Tally): Promise<void> {
  const began = performance.now()
  const collection = stack.collections['acme'] ?? ''
  const send = () => outcome(sessionOf(pool, at % POOL, stack, tally), collection, at % SEARCH_EVERY === 0)
  const again = (cause: Error) => {
    if (!cause.message.includes('NGHTTP2_REFUSED_STREAM')) throw cause
    tally.repeated++
    return send()
  }
  const refusal = await send()
    .catch(again)
    .catch((cause: Error) => cause.message)
  if (refusal === undefined) tally.times.push(performance.now() - began)
  else tally.refused[refusal] = (tally.refused[refusal] ?? 0) + 1
}

/** Why a call was refused; undefined when it was not. Rejects when no answer came. */
function outcome(session: ClientHttp2Session, collection: string, search: boolean): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>()
  const stream = session.request({
    ':method': search ? 'POST' : 'GET',
    ':path': collectionPath('acme', collection, search ? 'query' : 'count'),
    ':authority': HOST,
    ...(search ? { 'content-type': 'application/json' } : {})
  })
  let [status, body] = [0, '']
  stream.setEncoding('utf8')
  stream.setTimeout(ANSWER_MS_MAX, () => stream.destroy(new Error(`no answer within ${ANSWER_MS_MAX / 1000} s`)))
  stream.on('response', (headers) => {
    status = Number(headers[':status'])
  })
  stream.on('data', (chunk: string) => {
    body += chunk
  })
  stream.on('error', reject)
  stream.on('close', () => (status === 0 ? reject(new Error('the connection ended without an answer')) : resolve(reasonIn(status, body))))
  stream.end(search ? JSON.stringify(searchBody('acme')) : undefined)
  return promise
}

function reasonIn(status: number, body: string): string | undefined {
  if (status === 200) return undefined
  const reason = /"reason":"([a-z-]+)"/.exec(body)?.[1]
  return reason ?? `status ${status}`
}

async function resultOf(stack: Stack, tally: Tally, seconds: number): Promise<SoakResult> {
  const sorted = tally.times.toSorted((a, b) => a - b)
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
  const renewed = readFileSync(stack.server.logFile, 'utf8').split('"event":"updated"').length - 1
  return {
    seconds,
    requests: tally.requests,
    refused: tally.refused,
    repeated: tally.repeated,
    rotations: {
      caller: tally.callerSerials.size - 1,
      envoy: tally.envoySerials.size - 1,
      vecauthz: renewed - 1,
      authority: tally.authorities
    },
    connections: { callers: tally.connections, vecauthz: await stack.envoy.stats('cluster.vecauthz.upstream_cx_total') },
    p50: at(0.5),
    p99: at(0.99)
  }
}
