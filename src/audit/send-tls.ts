/**
 * How a receiver of records and we prove ourselves to each other. Nothing is sent before the receiver is proven: by a name and an
 * authority, or by its SPIFFE ID and the rulebook that judges callers. What proves us is taken anew when it changes.
 */
import { readFileSync, statSync } from 'node:fs'
import { Agent, type AgentOptions } from 'node:https'
import { connect, type TLSSocket } from 'node:tls'
import type { TrustBundles } from '../core/trust.ts'
import { chainOf } from '../identity/peer-chain.ts'
import { verifyX509Svid } from '../identity/x509-svid.ts'

export interface TlsPlan {
  readonly client: 'svid' | { readonly certFile: string; readonly keyFile: string } | undefined
  /** SPIFFE ID that the receiver must prove, in the place of a name. */
  readonly serverId: string | undefined
  /** PEM of the authorities of that name, instead of the public ones. */
  readonly caFile: string | undefined
}

/** Our SVID as PEM, the leaf first, and whom we believe; another object when one of them is another. */
export interface OwnIdentity {
  readonly cert: string
  readonly key: string
  readonly trust: TrustBundles
}

export interface TlsAgents {
  /** To be used for one request, and asked for again for the next. @throws Error with a sentence */
  readonly agent: () => Agent
  readonly close: () => void
}

/** @param own undefined: there is no SVID yet. @param handshakeMs a receiver that takes longer is none. @throws Error for a file that is not there */
export function createTlsAgents(plan: TlsPlan, own: () => OwnIdentity | undefined, now: () => number, handshakeMs: number): TlsAgents {
  stampOf(plan)
  let current: { readonly of: string; readonly identity: OwnIdentity | undefined; readonly agent: Agent } | undefined
  /** When the receiver's SVID ends: a connection proves it no longer than that. */
  let provenUntil = Number.POSITIVE_INFINITY
  const usesSvid = plan.client === 'svid' || plan.serverId !== undefined
  const renew = (of: string, identity: OwnIdentity | undefined): Agent => {
    const made = { ...materialOf(plan, identity), keepAlive: true, maxSockets: 1, minVersion: 'TLSv1.2' as const }
    const agent = new Agent(made)
    if (plan.serverId !== undefined && identity !== undefined) {
      const id = plan.serverId
      const judge = (socket: TLSSocket) => {
        provenUntil = provenBy(socket, id, identity.trust, now())
      }
      Object.assign(agent, { createConnection: pinned(judge, handshakeMs) })
    }
    // Nothing is under way on it: one request is made at a time.
    current?.agent.destroy()
    current = { of, identity, agent }
    provenUntil = Number.POSITIVE_INFINITY
    return agent
  }
  return {
    agent() {
      const identity = usesSvid ? own() : undefined
      if (usesSvid && identity === undefined) throw new Error('there is no SVID to prove ourselves with yet')
      const of = stampOf(plan)
      if (current !== undefined && current.of === of && current.identity === identity && now() < provenUntil) return current.agent
      return renew(of, identity)
    },
    close: () => current?.agent.destroy()
  }
}

/** Another text when one of the files is another. */
function stampOf({ client, caFile }: TlsPlan): string {
  const files = [...(typeof client === 'object' ? [client.certFile, client.keyFile] : []), ...(caFile === undefined ? [] : [caFile])]
  return files
    .map((file) => {
      const { mtimeMs, size, ino } = statSync(file)
      return `${ino} ${size} ${mtimeMs}`
    })
    .join()
}

/** @throws Error where a file cannot be read */
function materialOf({ client, caFile }: TlsPlan, identity: OwnIdentity | undefined): AgentOptions {
  const ca = caFile === undefined ? {} : { ca: readFileSync(caFile) }
  if (client === undefined) return ca
  if (client === 'svid') return { ...ca, cert: identity?.cert ?? '', key: identity?.key ?? '' }
  return { ...ca, cert: readFileSync(client.certFile), key: readFileSync(client.keyFile) }
}

/** Of a connection, for node's agent: handed out when the receiver is proven, and not before. */
function pinned(judge: (socket: TLSSocket) => void, handshakeMs: number) {
  return (options: object, done: (cause: Error | null, socket?: TLSSocket) => void): undefined => {
    const socket = connect({ ...options, rejectUnauthorized: false })
    const failed = (cause: Error) => {
      socket.destroy()
      done(cause)
    }
    socket.once('error', failed)
    socket.setTimeout(handshakeMs, () => failed(new Error(`no TLS handshake within ${handshakeMs} ms`)))
    socket.once('secureConnect', () => {
      socket.off('error', failed)
      socket.setTimeout(0)
      try {
        judge(socket)
      } catch (cause) {
        return failed(cause as Error)
      }
      done(null, socket)
    })
    return undefined
  }
}

/** @returns until when, milliseconds since the epoch. @throws Error when somebody else answers */
function provenBy(socket: TLSSocket, id: string, trust: TrustBundles, now: number): number {
  const verdict = verifyX509Svid(chainOf(socket), trust, now)
  if (!verdict.ok) throw new Error(`whoever answers there is not proven (${verdict.rule}: ${verdict.detail}), and gets nothing`)
  if (verdict.id.text !== id) throw new Error(`whoever answers there is ${verdict.id.text}, not ${id}, and gets nothing`)
  return verdict.notAfter
}
