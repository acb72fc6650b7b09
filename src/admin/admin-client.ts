/** Talks to an admin port: the server is judged by the SVID rulebook before anything is said to it. */
import { request as httpRequest } from 'node:http'
import { connect, type TLSSocket } from 'node:tls'
import type { TrustBundles } from '../core/trust.ts'
import { chainOf } from '../identity/peer-chain.ts'
import { verifyPeer } from './peer-identity.ts'
import { unreadable } from './svid-verify-question.ts'

/** Who we are to the server, and whom we believe. */
export interface AdminIdentity {
  /** PEM, the leaf first. */
  readonly cert: string
  readonly key: string
  readonly trust: TrustBundles
}

export interface AdminTarget {
  readonly host: string
  readonly port: number
  /** The server's SPIFFE ID; undefined: any SVID that verifies. */
  readonly server: string | undefined
}

export interface AdminAnswer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

const REACHED_MS = 15_000
/** What was begun there is answered within two minutes; nobody is to do it twice for not having heard. */
const ANSWER_MS = 125_000
/** A thousand requests with all their targets stay below this. */
const ANSWER_BYTES_MAX = 32 * 1024 * 1024

/** Throws `Unreadable` where no answer can be had. @param now milliseconds since the epoch */
export async function askAdmin(
  target: AdminTarget,
  identity: AdminIdentity,
  asked: { readonly method: 'GET' | 'POST'; readonly path: string; readonly body?: unknown },
  now: number
): Promise<AdminAnswer> {
  const where = `${target.host}:${target.port}`
  const socket = await proven(target, identity, now)
  try {
    return await exchanged(socket, asked, where)
  } finally {
    socket.destroy()
  }
}

/** A connection to the server that is meant. Throws `Unreadable`. @param now milliseconds since the epoch */
export async function proven(target: AdminTarget, identity: AdminIdentity, now: number): Promise<TLSSocket> {
  const where = `${target.host}:${target.port}`
  const socket = await opened(target, identity, where)
  try {
    const peer = verifyPeer(chainOf(socket), identity.trust, now)
    if (!peer.ok) return unreadable(`Whoever answers at ${where} is not proven: ${peer.because}.`)
    if (target.server !== undefined && target.server !== peer.id.text)
      return unreadable(`Whoever answers at ${where} is ${peer.id.text}, and not ${target.server}.`)
    return socket
  } catch (cause) {
    socket.destroy()
    throw cause
  }
}

function opened({ host, port }: AdminTarget, { cert, key }: AdminIdentity, where: string): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
  const fail = (detail: string) => reject({ unreadable: `The admin port ${where} cannot be reached: ${detail}.` })
  try {
    const socket = connect({ host, port, cert, key, rejectUnauthorized: false, minVersion: 'TLSv1.3', ALPNProtocols: ['http/1.1'] })
    socket.setTimeout(REACHED_MS, () => socket.destroy(new Error('it does not answer in time')))
    socket.once('secureConnect', () => resolve(socket))
    socket.on('error', (cause) => fail(cause.message))
  } catch (cause) {
    fail(`certificate and key cannot be used (${(cause as Error).message})`)
  }
  return promise
}

function exchanged(
  socket: TLSSocket,
  { method, path, body }: { readonly method: string; readonly path: string; readonly body?: unknown },
  where: string
): Promise<AdminAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<AdminAnswer>()
  socket.setTimeout(ANSWER_MS)
  // With TLS 1.3 a client hears that its certificate is not taken only now.
  const lost = () => reject({ unreadable: `${where} ended the connection without an answer; its log says whether it takes this identity.` })
  const text = body === undefined ? '' : JSON.stringify(body)
  const type = body === undefined ? {} : { 'content-type': 'application/json' }
  const headers = { ...type, 'content-length': Buffer.byteLength(text), host: where, connection: 'close' }
  const call = httpRequest({ createConnection: () => socket, method, path, headers }, (response) => {
    const chunks: Buffer[] = []
    let size = 0
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.length
      if (size > ANSWER_BYTES_MAX) socket.destroy()
    })
    response.on('error', lost)
    response.on('end', () => {
      const answer = objectIn(Buffer.concat(chunks).toString('utf8'))
      if (answer === undefined) reject({ unreadable: `${where} gives an answer that cannot be read.` })
      else resolve({ status: response.statusCode ?? 0, body: answer })
    })
  })
  call.on('error', lost)
  socket.once('close', lost)
  call.end(text)
  return promise
}

export function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
