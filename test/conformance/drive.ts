/** Drives a harness (contract v1) as a stranger would: as its TLS peer in both roles, and over its control port. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, createServer } from 'node:tls'
import type { Svid } from '../support/ca.ts'

const PROGRAM = join(import.meta.dirname, 'harness.ts')
const CALL_MS = 5_000

export interface Harness {
  readonly x509Port: number
  readonly controlPort: number
}

export interface HarnessProcess {
  /** Resolves at READY; rejects when the process ends before that. */
  readonly ready: Promise<Harness>
  /** True from READY on. */
  readonly isReady: () => boolean
  /** The exit code. */
  readonly ended: Promise<number | null>
  readonly stop: () => Promise<number | null>
}

/** Nothing but the address of the Workload API is told to it (EP-1). */
export function spawnHarness(endpoint: string): HarnessProcess {
  const child = spawn(process.execPath, [PROGRAM], { env: { SPIFFE_ENDPOINT_SOCKET: endpoint }, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stderr.on('data', (piece: Buffer) => {
    said = (said + piece.toString()).slice(-4_000)
  })
  let isReady = false
  const ended = once(child, 'exit').then(([code]: (number | null)[]) => code ?? null)
  const ready = Promise.race([
    linesUntilReady(child).then((harness) => {
      isReady = true
      return harness
    }),
    ended.then((code) => Promise.reject(new Error(`the harness ended with ${code} before it was ready: ${said}`)))
  ])
  // Some tests want it never to be ready and do not look.
  ready.catch(() => undefined)
  const stop = () => {
    child.kill('SIGTERM')
    return ended
  }
  return { ready, isReady: () => isReady, ended, stop }
}

async function linesUntilReady(child: ChildProcess): Promise<Harness> {
  if (child.stdout === null) throw new Error('the harness has no output')
  const values = new Map<string, string>()
  for await (const line of createInterface(child.stdout)) {
    const [, name, value] = /^(SPIFFE_\w+)=(\d+)$/.exec(line) ?? []
    if (name !== undefined && value !== undefined) values.set(name, value)
    if (line !== 'READY') continue
    if (values.get('SPIFFE_HARNESS_VERSION') !== '1') throw new Error('the harness speaks another version')
    return { x509Port: Number(values.get('SPIFFE_X509_PORT')), controlPort: Number(values.get('SPIFFE_CONTROL_PORT')) }
  }
  return new Promise(() => undefined)
}

export type Peer = Pick<Svid, 'pem' | 'keyPem'>

interface Meeting {
  /** Leaf that the harness showed, DER in hex; undefined when it showed none. */
  readonly shown: string | undefined
  /** DER in hex, leaf first. */
  readonly chain: readonly string[]
  /** What it wrote before it closed. */
  readonly line: string
}

/** Connects to the X.509 port with the peer's certificate. Throws where nothing was learned: nobody listens, or nothing ends. */
export async function meet({ x509Port }: Harness, peer: Peer): Promise<Meeting> {
  const socket = connect({ host: '127.0.0.1', port: x509Port, cert: peer.pem, key: peer.keyPem, rejectUnauthorized: false })
  let line = ''
  let chain: string[] = []
  let fault: NodeJS.ErrnoException | undefined
  socket.on('secureConnect', () => {
    let at: ReturnType<typeof socket.getPeerX509Certificate> = socket.getPeerX509Certificate()
    for (; at !== undefined && chain.length < 9; at = at.issuerCertificate) chain = [...chain, at.raw.toString('hex')]
  })
  socket.on('data', (piece) => {
    line += piece.toString()
  })
  socket.on('error', (error) => {
    fault = error
  })
  // Not `once`, which fails at the error that a refusal may come as.
  await new Promise<void>((resolve, reject) => {
    socket.on('close', () => resolve())
    socket.setTimeout(CALL_MS, () => reject(new Error('the harness neither answered nor closed')))
  }).finally(() => socket.destroy())
  if (fault?.code === 'ECONNREFUSED') throw fault
  return { shown: chain[0], chain, line }
}

/** Says the harness's verdict on a peer that connects to it: the SPIFFE ID, or `rejected`. */
export async function asServer(harness: Harness, peer: Peer): Promise<string> {
  const { line, shown } = await meet(harness, peer)
  // Without this, a harness that presents nothing would pass for one that refuses everything.
  if (shown === undefined) throw new Error('the harness presented no SVID')
  return line === '' ? 'rejected' : line.trimEnd()
}

/** The same for a peer that the harness connects to; `met` hears which leaf (hex) it presented. */
export async function asClient(harness: Harness, peer: Peer, met?: (leaf: string | undefined) => void): Promise<string> {
  const server = createServer({ cert: peer.pem, key: peer.keyPem, requestCert: true, rejectUnauthorized: false }, (socket) => {
    socket.on('error', () => undefined)
    met?.(socket.getPeerX509Certificate()?.raw.toString('hex'))
    socket.resume()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    const answer = await ask(harness, '/v1/x509/dial', { address: `127.0.0.1:${(server.address() as AddressInfo).port}` })
    return verdictOf(answer)
  } finally {
    server.close()
  }
}

interface Answer {
  readonly code: number
  readonly body: {
    readonly status: string
    readonly message?: string
    readonly spiffe_id?: string
    readonly claims?: Readonly<Record<string, unknown>>
    readonly svids?: readonly { readonly spiffe_id: string; readonly token: string; readonly hint: string }[]
  }
}

export async function ask({ controlPort }: Harness, path: string, question: unknown): Promise<Answer> {
  const body = typeof question === 'string' ? question : JSON.stringify(question)
  const response = await fetch(`http://127.0.0.1:${controlPort}${path}`, { method: 'POST', body, signal: AbortSignal.timeout(CALL_MS) })
  return { code: response.status, body: (await response.json()) as Answer['body'] }
}

export const validate = async (harness: Harness, token: string, audience = 'conformance'): Promise<string> =>
  verdictOf(await ask(harness, '/v1/jwt/validate', { token, audience }))

/** An error is no refusal: a harness that is broken must not pass a negative test. */
function verdictOf({ code, body }: Answer): string {
  if (code === 200 && body.status === 'ok') return body.spiffe_id ?? 'no id'
  if (code === 422 && body.status === 'rejected') return 'rejected'
  throw new Error(`the harness answered ${code} ${body.status}: ${body.message}`)
}

export async function until(what: string, condition: () => boolean | Promise<boolean>, withinMs = 5_000): Promise<void> {
  const end = Date.now() + withinMs
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`did not happen within ${withinMs} ms: ${what}`)
    await sleep(5)
  }
}
