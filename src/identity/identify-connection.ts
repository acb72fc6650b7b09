/**
 * Who calls, by the connection that asks: in the role `egress` a workload's own Envoy asks about the workload's own calls, so the
 * SVID of that connection is whose call it is. Whatever the message says of a peer, its sender could have written.
 */
import type { Caller, Connection } from '../core/caller.ts'
import { accept, type Result, refuse } from '../core/deny-reason.ts'
import type { TrustBundles } from '../core/trust.ts'
import { verifyX509Svid } from './x509-svid.ts'

/** Verdicts of connections that are open, worth nothing under other bundles. They go with their connection. */
export interface ConnectionCache {
  generation: number
  proven: WeakMap<Connection, Proven>
}

interface Proven {
  readonly caller: Caller
  /** When the path is valid, milliseconds since the epoch, both ends inside. */
  readonly from: number
  readonly until: number
}

export function createConnectionCache(): ConnectionCache {
  return { generation: Number.NaN, proven: new WeakMap() }
}

/** The caller, or why there is none. `now` and `since` are milliseconds since the epoch: a verdict from before `since` is reached again. Never throws. */
export function identifyConnection(
  connection: Connection | undefined,
  trust: TrustBundles,
  now: number,
  cache: ConnectionCache,
  since = Number.NEGATIVE_INFINITY
): Result<Caller> {
  if (connection === undefined) return refuse('no-identity', 'P-9: the connection that asks has no certificate')
  if (cache.generation !== trust.generation) {
    cache.proven = new WeakMap()
    cache.generation = trust.generation
  }
  const known = cache.proven.get(connection)
  if (known !== undefined && now >= known.from && now <= known.until && known.caller.provenAt >= since) return accept(known.caller)
  const judged = verifyX509Svid(connection.chain, trust, now)
  if (!judged.ok) return refuse(judged.kind, `${judged.rule}: ${judged.detail}`)
  const { id, serial, leaf, notBefore, notAfter } = judged
  const none = { tokenId: undefined, carrier: undefined, subject: undefined }
  const dates = { notAfter: leaf.notAfter, issuedAt: leaf.notBefore }
  const caller = { id, evidence: 'x509-svid', ...dates, serial, provenAt: now, ...none } as unknown as Caller
  cache.proven.set(connection, { caller, from: notBefore, until: notAfter })
  return accept(caller)
}
