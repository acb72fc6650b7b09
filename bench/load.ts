/** A fixed number of checks over one HTTP/2 connection, and the CPU that the server process spent on them. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { type ClientHttp2Session, connect } from 'node:http2'

const STREAMS = 64
const PATH = '/envoy.service.auth.v3.Authorization/Check'

export interface Target {
  readonly pid: number
  readonly port: number
}

export interface Tls {
  readonly key: string
  readonly cert: string
  readonly ca: string
}

const TICKS_PER_SECOND = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

/** User and system time of a process since its start, microseconds (proc(5), fields 14 and 15 of stat). */
export function cpuMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND) * 1e6
}

/** Microseconds of the server's CPU per check. `message(n)` gives the n-th CheckRequest; `expect` looks at each answer. */
export async function cpuPerCheck(
  target: Target,
  tls: Tls | undefined,
  checks: number,
  message: (at: number) => Buffer,
  expect: (answer: Buffer) => void
): Promise<number> {
  return withSession(target, tls, async (session) => {
    await run(session, checks, message, expect) // warm-up, not counted: the compiler takes some 10 000 calls
    const before = cpuMicros(target.pid)
    await run(session, checks, message, expect)
    return (cpuMicros(target.pid) - before) / checks
  })
}

export async function withSession<T>(target: Target, tls: Tls | undefined, use: (session: ClientHttp2Session) => Promise<T>): Promise<T> {
  const session =
    tls === undefined
      ? connect(`http://127.0.0.1:${target.port}`)
      : connect(`https://127.0.0.1:${target.port}`, { ...tls, ALPNProtocols: ['h2'], checkServerIdentity: () => undefined })
  try {
    await new Promise((resolve, reject) => session.once('connect', resolve).once('error', reject))
    return await use(session)
  } finally {
    session.destroy()
  }
}

async function run(
  session: ClientHttp2Session,
  checks: number,
  message: (at: number) => Buffer,
  expect: (answer: Buffer) => void
): Promise<void> {
  let sent = 0
  const lane = async () => {
    while (sent < checks) expect(await ask(session, message(sent++)))
  }
  await Promise.all(Array.from({ length: STREAMS }, lane))
}

/** One check. Rejects when no answer came. */
export function ask(session: ClientHttp2Session, body: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':method': 'POST', ':path': PATH, 'content-type': 'application/grpc', te: 'trailers' })
    const chunks: Buffer[] = []
    stream.on('data', (chunk: Buffer) => chunks.push(chunk))
    stream.on('end', () => resolve(Buffer.concat(chunks).subarray(5)))
    stream.on('error', reject)
    const head = Buffer.alloc(5)
    head.writeUInt32BE(body.length, 1)
    stream.write(head)
    stream.end(body)
  })
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}
