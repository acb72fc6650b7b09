/** Other judges of the chains: Node's TLS in this process, and go-spiffe where Go is on PATH. */
import { execFile, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { promisify } from 'node:util'
import { issueSvid, makeAuthority, pemOf } from '../support/ca.ts'
import type { Case } from './x509-chains.ts'

export interface Opinion {
  readonly ok: boolean
  /** The SPIFFE ID where the judge reads one, or why it refused. */
  readonly said: string
}

const own = await issueSvid(await makeAuthority({ trustDomain: 'server.test' }))
const HANDSHAKE_MS = 10_000

/** A handshake in which a server asks for the certificate; all anchors in one pool, because that is all it can have. */
export async function nodeTls({ chain, bundles, key }: Case): Promise<Opinion> {
  const ca = [...bundles.x509.values()].flat().map(pemOf)
  const server = createServer({ cert: own.pem, key: own.keyPem, ca, requestCert: true, rejectUnauthorized: false })
  const [near, far] = duplexPair()
  const outcome = Promise.race([
    once(server, 'secureConnection', { signal: AbortSignal.timeout(HANDSHAKE_MS) }).then(([socket]) => opinionOf(socket as TLSSocket)),
    once(server, 'tlsClientError').then(([error]) => refused(`the handshake failed: ${(error as Error).message}`))
  ])
  try {
    // What the client may show is not the question: at level 0 OpenSSL lets it show any key.
    const client = connect({
      socket: near,
      ca: [],
      cert: chain.map(pemOf).join(''),
      key: key.export({ type: 'pkcs8', format: 'pem' }),
      ciphers: 'DEFAULT@SECLEVEL=0',
      rejectUnauthorized: false
    })
    client.on('error', () => undefined)
    server.emit('connection', far)
    return await outcome
  } catch (cause) {
    outcome.catch(() => undefined)
    return refused(`it could not be shown: ${(cause as Error).message}`)
  } finally {
    near.destroy()
    far.destroy()
  }
}

function opinionOf(socket: TLSSocket): Opinion {
  socket.on('error', () => undefined)
  const opinion = socket.authorized ? { ok: true, said: '' } : refused(String(socket.authorizationError))
  socket.destroy()
  return opinion
}

const refused = (said: string): Opinion => ({ ok: false, said })

const ROOT = join(import.meta.dirname, '../..')
const HARNESS = join(import.meta.dirname, 'go-spiffe')
const JUDGE = join(ROOT, '.run/go-spiffe-judge')
const BUILD_MS = 240_000
const ANSWERS_BYTES_MAX = 64 * 1024 * 1024

/**
 * Builds the harness. A text says why this judge is missing: no Go, or no way to fetch go-spiffe. A harness that does not compile
 * throws.
 */
export async function buildGoSpiffe(): Promise<string | undefined> {
  const missing = (await fault('version')) ?? (await fault('mod', 'download'))
  if (missing !== undefined) return `go-spiffe has no say: ${missing}`
  await mkdir(join(ROOT, '.run'), { recursive: true })
  const broken = await fault('build', '-o', JUDGE, '.')
  if (broken !== undefined) throw new Error(`the go-spiffe harness does not build: ${broken}`)
  return undefined
}

async function fault(...args: readonly string[]): Promise<string | undefined> {
  const env = { ...process.env, GOTOOLCHAIN: 'local', GOFLAGS: '-buildvcs=false' }
  try {
    await promisify(execFile)('go', args, { cwd: HARNESS, env, timeout: BUILD_MS })
    return undefined
  } catch (cause) {
    const { code, stderr = '' } = cause as { code?: unknown; stderr?: string }
    return code === 'ENOENT' ? 'go is not on PATH' : `go ${args[0]} failed: ${stderr.trim()}`
  }
}

/** What go-spiffe's x509svid.ParseAndVerify says of each. */
export function goSpiffe(cases: readonly Case[]): readonly Opinion[] {
  const text = (der: Uint8Array): string => Buffer.from(der).toString('base64')
  const lines = cases.map(({ chain, bundles, now }) =>
    JSON.stringify({
      chain: chain.map(text),
      bundles: Object.fromEntries([...bundles.x509].map(([name, ders]) => [name, ders.map(text)])),
      now
    })
  )
  const run = spawnSync(JUDGE, { input: `${lines.join('\n')}\n`, encoding: 'utf8', maxBuffer: ANSWERS_BYTES_MAX })
  if (run.status !== 0) throw new Error(`the go-spiffe harness failed: ${run.stderr}`)
  const answers = run.stdout.trimEnd().split('\n')
  if (answers.length !== cases.length) throw new Error(`${answers.length} answers of go-spiffe to ${cases.length} questions`)
  return answers.map((line) => {
    const { id, error } = JSON.parse(line) as { id?: string; error?: string }
    return id === undefined ? refused(error ?? 'no reason') : { ok: true, said: id }
  })
}
