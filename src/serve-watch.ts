/** What is looked at beside decisions: metrics of all that happens here. Nothing of it changes a verdict. */

import type { Logger } from 'pino'
import type { AdminRoute } from './admin/admin-route.ts'
import { decisionMetrics } from './admin/decision-metrics.ts'
import { createMetrics, type MetricsPage } from './admin/metrics.ts'
import { type ServerFacts, serverMetrics } from './admin/server-metrics.ts'
import type { AuditSink } from './audit/sink.ts'
import type { Settings } from './config/settings-schema.ts'
import type { OperatorAct } from './core/operator-act.ts'
import type { Move } from './core/standings.ts'
import type { TrustBundles } from './core/trust.ts'
import type { AccessLogServer } from './envoy/access-log-server.ts'
import type { Decided, Decider, Edges } from './envoy/decide.ts'
import type { OwnPem } from './envoy/listener.ts'
import { type AnswerEdges, openAnswers } from './serve-answers.ts'
import { type ConsoleEdges, type ConsoleParts, openConsole, type ServedConsole } from './serve-console.ts'
import type { ServedCredentials } from './serve-credentials.ts'
import type { EvidenceSources } from './serve-evidence.ts'
import type { PolicyWatch } from './serve-policy.ts'
import type { ServedRisk } from './serve-risk.ts'
import type { Traces } from './tracing/spans.ts'
import { clientCopies } from './verdict/client-headers.ts'

/** What is there before the first decision, but after this. */
export interface Watched {
  readonly risk: ServedRisk | undefined
  readonly decider: Decider
  readonly readiness: () => string | undefined
  /** Our SVID. */
  readonly own: OwnPem
  readonly trust: () => TrustBundles | undefined
  readonly log: Logger
}

export interface ServerWatch extends Required<Pick<Edges, 'watch' | 'onWatched'>> {
  readonly page: MetricsPage
  readonly decided: (decided: Decided) => void
  readonly moved: (move: Move) => void
  readonly acted: (act: OperatorAct) => void
  readonly found: ServedConsole['found']
  /** Of the admin port. */
  readonly routes: (parts: Omit<ConsoleParts, 'state'>) => readonly AdminRoute[]
  /** From now on there is something to tell of these; opens the port for access logs, where there is to be one. */
  readonly begin: (its: Watched) => Promise<void>
  readonly accessLogPort: () => number | undefined
  readonly renew: (own: OwnPem) => void
  readonly close: () => Promise<void>
}

interface Sources extends ConsoleEdges {
  readonly evidence: EvidenceSources
  readonly credentials: ServedCredentials
  readonly policy: PolicyWatch
  readonly sink: AuditSink
}

export async function openWatch(settings: Settings, sources: Sources): Promise<ServerWatch> {
  const page = metricsOf(settings, sources)
  let its: Watched | undefined
  let answers: AccessLogServer | undefined
  const server = serverMetrics(page.registry, () => serverFacts(sources, its))
  const decisions = decisionMetrics(page.registry)
  const shown = await openConsole(settings, sources)
  const traces = await tracesOf(settings)
  return {
    page,
    decided(decided) {
      decisions.decided(decided)
      const copies = countCopies(decided, page)
      shown?.decided(decided, copies)
    },
    moved(move) {
      server.moved(move)
      shown?.moved(move)
    },
    found: (rule, value, workload, decisionId, at) => shown?.found(rule, value, workload, decisionId, at),
    routes: (parts) => shown?.routes({ ...parts, state: () => stateOf(settings, sources, its) }) ?? [],
    acted: ({ act, stage }) => server.acted(act, stage),
    watch(parent, now) {
      const isSampled = decisions.isSampled()
      return traces?.wants(parent, now) === true ? 'traced' : isSampled ? 'timed' : 'not'
    },
    onWatched(decided, times, as, parent) {
      decisions.timed(times)
      if (as === 'traced') traces?.add(decided, times, parent)
    },
    async begin(watched) {
      its = watched
      const { own, trust, log, risk } = watched
      answers = await openAnswers(own, settings, { page, sink: sources.sink, log, trust, desk: risk?.desk, ...unchecked(shown) })
    },
    accessLogPort: () => answers?.port,
    renew: (own) => answers?.renew(own),
    async close() {
      answers?.close()
      await traces?.close().catch(() => undefined)
      await shown?.close()
    }
  }
}

/** What nobody asks for is not even loaded. */
async function tracesOf({ traces, role }: Settings): Promise<Traces | undefined> {
  if (traces === undefined) return undefined
  const { openTraces } = await import('./tracing/spans.ts')
  return openTraces({ url: traces.url, ratio: traces.ratio, perSecondMax: traces.per_second_max, role }, Math.random)
}

function unchecked(shown: ServedConsole | undefined): Pick<AnswerEdges, 'onUnchecked'> {
  return shown === undefined ? {} : { onUnchecked: shown.unchecked }
}

/** For the console: what a person asks first. */
function stateOf(settings: Settings, sources: Sources, its: Watched | undefined): Readonly<Record<string, unknown>> {
  const { evidence, credentials, policy } = sources
  const own = evidence.svid.current()
  const { policy: inForce } = policy.inForce()
  const { loadedAt, faults } = policy.loads()
  const { ready, standings, standingsStaleMs, audit, pending } = serverFacts(sources, its)
  return {
    now: new Date().toISOString(),
    started: new Date(Date.now() - process.uptime() * 1000).toISOString(),
    role: settings.role,
    spiffe_id: own?.svid.id.text,
    svid_ends: own && new Date(own.svid.notAfter).toISOString(),
    trust_seconds: own && Math.round((Date.now() - own.receivedAt) / 1000),
    ready,
    not_ready_because: its?.readiness(),
    policy: { revision: inForce.revision, since: new Date(loadedAt).toISOString(), shadow: inForce.shadow, faults },
    standings,
    standings_stale_seconds: standingsStaleMs === undefined ? undefined : Math.round(standingsStaleMs / 1000),
    audit_refused: audit.refused,
    pending,
    credentials: credentials.counts(),
    trust_domains: [...inForce.trustDomains],
    tenants: [...inForce.tenants],
    databases: settings.databases.map(({ id, kind, authorities }) => ({ id, kind, authorities }))
  }
}

function serverFacts({ policy, sink }: Sources, its: Watched | undefined): ServerFacts {
  const { loaded, failed, loadedAt, faults } = policy.loads()
  return {
    ready: its !== undefined && its.readiness() === undefined,
    policy: { since: loadedAt, refused: faults.length > 0, loaded, failed },
    standings: its?.risk?.desk.counts(Date.now()),
    standingsStaleMs: its?.risk?.desk.staleMs(),
    budgets: its?.risk && { share: its.risk.memory.share(), replicas: its.risk.replicas() },
    audit: { refused: sink.refused(), ...sink.figures() },
    pending: its?.decider.pending() ?? 0
  }
}

/** A caller that still sends a permanent key is a finding; the name of the header is all that is kept of it. */
function countCopies({ account, inbound }: Decided, metrics: MetricsPage): readonly string[] {
  if (account.database === undefined || inbound === undefined) return NONE
  const ownIdentity = account.caller?.evidence === 'jwt-svid'
  const copies = clientCopies(inbound.headers, inbound.strippedCredentials, ownIdentity)
  for (const header of copies) metrics.clientCredential(account.database, header)
  return copies
}

const NONE: readonly string[] = []

function metricsOf({ subject_issuers = [] }: Settings, { evidence: { svid, jwt, subjects }, credentials }: Sources): MetricsPage {
  const ageOf = (snapshot: { readonly receivedAt: number } | undefined) => snapshot && Date.now() - snapshot.receivedAt
  return createMetrics(() => {
    const own = svid.current()
    return {
      svidNotAfter: own?.svid.notAfter,
      trustBundleAgeMs: ageOf(own),
      jwtBundleAgeMs: ageOf(jwt?.current()),
      generation: own?.generation,
      subjectKeyAgesMs: subject_issuers.map(({ issuer }) => ({ issuer, ageMs: subjects.ageOf(issuer) })),
      credentials: credentials.counts()
    }
  })
}
