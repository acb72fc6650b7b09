/** Answers as Envoy tells of them: how much came back, for metrics and for what is watched of a workload; and calls that nobody checked. */
import type { Logger } from 'pino'
import { type AnswerMetrics, answerMetrics } from './admin/answer-metrics.ts'
import type { MetricsPage } from './admin/metrics.ts'
import { uncheckedLine } from './audit/act-record.ts'
import type { AuditSink } from './audit/sink.ts'
import { splitAddress } from './config/address.ts'
import type { Settings } from './config/settings-schema.ts'
import type { RiskDesk } from './core/risk-desk.ts'
import type { TrustBundles } from './core/trust.ts'
import type { SeenAnswer } from './envoy/access-log.ts'
import { type AccessLogServer, startAccessLogServer } from './envoy/access-log-server.ts'
import type { OwnPem } from './envoy/listener.ts'
import { verifyX509Svid } from './identity/x509-svid.ts'

export interface AnswerEdges {
  readonly page: MetricsPage
  readonly sink: Pick<AuditSink, 'write'>
  readonly log: Logger
  readonly trust: () => TrustBundles | undefined
  /** Undefined at egress. */
  readonly desk: Pick<RiskDesk, 'signal'> | undefined
  readonly onUnchecked?: (envoy: string, database: string, workload: string, at: number) => void
}

/** Figures of a workload that a policy can watch (`monitoring` with `metric: signal`). */
export const ANSWER_SIGNALS = { bytes: 'answer_bytes', unchecked: 'unchecked_calls' } as const

const CONNECTION_AGE_SHARE = 0.4
const BUCKET_MS = 10_000
/** A minute of them. */
const BUCKETS = 6
const WORKLOADS_MAX = 10_000
/** A log that nobody reads to its end helps nobody. */
const SAID_EVERY_MS = 1_000

/** Undefined where the settings have no such port. */
export async function openAnswers(own: OwnPem, settings: Settings, edges: AnswerEdges): Promise<AccessLogServer | undefined> {
  if (settings.access_log === undefined) return undefined
  const [host, port] = splitAddress(settings.access_log.listen)
  const onSeen = answersTaker(settings, edges, Date.now)
  return startAccessLogServer(own, {
    host,
    port,
    envoys: new Set(settings.envoys),
    verify: verifyX509Svid,
    trust: edges.trust,
    now: Date.now,
    onRefused: (address, because) => edges.log.warn({ peer: address, because }, 'a peer of the access log port was refused'),
    onFault: (because) => edges.log.error({ because }, 'access log: not understood'),
    onSeen,
    connectionAgeMs: settings.svid_ttl_seconds * 1000 * CONNECTION_AGE_SHARE
  })
}

export function answersTaker(
  settings: Pick<Settings, 'databases'>,
  { page, sink, log, desk, onUnchecked }: Omit<AnswerEdges, 'trust'>,
  now: () => number
): (seen: SeenAnswer, envoy: string) => void {
  const metrics: AnswerMetrics = answerMetrics(page.registry)
  const databaseOf = databasesBy(settings)
  const bytesOf = newVolumes()
  const uncheckedOf = newVolumes()
  let saidAt = Number.NEGATIVE_INFINITY
  return (seen, envoy) => {
    const at = now()
    const database = databaseOf(seen.authority) ?? 'none'
    const { workload } = seen
    metrics.answered(seen.reached ? database : 'none', seen.status, seen.bytes)
    if (!seen.reached) return
    if (workload !== '') desk?.signal(workload, ANSWER_SIGNALS.bytes, bytesOf(workload, seen.bytes, at), at)
    if (seen.verdict === 'allow' && seen.decisionId !== '') return
    metrics.unchecked(database)
    onUnchecked?.(envoy, database, workload, at)
    sink.write(uncheckedLine(at, { envoy, database, ...seen }))
    if (workload !== '') desk?.signal(workload, ANSWER_SIGNALS.unchecked, uncheckedOf(workload, 1, at), at)
    if (at - saidAt < SAID_EVERY_MS) return
    saidAt = at
    log.error({ envoy, database, workload, decision_id: seen.decisionId }, 'a call reached a database without a decision that allows it')
  }
}

/** As requests name them: a host, or a host with any port where the settings name it without. */
function databasesBy({ databases }: Pick<Settings, 'databases'>): (authority: string) => string | undefined {
  const byAuthority = new Map(databases.flatMap(({ id, authorities }) => authorities.map((one) => [one, id] as const)))
  return (authority) => byAuthority.get(authority) ?? byAuthority.get(authority.replace(/:\d{1,5}$/, ''))
}

/** What came together within the last minute, by workload. */
function newVolumes(): (workload: string, more: number, now: number) => number {
  const all = new Map<string, { last: number; readonly counts: Float64Array }>()
  return (workload, more, now) => {
    const bucket = Math.floor(now / BUCKET_MS)
    const its = all.get(workload) ?? { last: bucket, counts: new Float64Array(BUCKETS) }
    // The one that has been quiet for longest leaves first: who calls is put behind all others.
    all.delete(workload)
    if (all.size >= WORKLOADS_MAX) all.delete(all.keys().next().value as string)
    all.set(workload, its)
    for (let gone = Math.max(its.last + 1, bucket - BUCKETS + 1); gone <= bucket; gone++) its.counts[gone % BUCKETS] = 0
    its.last = Math.max(its.last, bucket)
    its.counts[bucket % BUCKETS] = (its.counts[bucket % BUCKETS] as number) + more
    return its.counts.reduce((sum, one) => sum + one, 0)
  }
}
