/** `vecauthz serve`: wires the parts, keeps what they need current, and takes them down in order. */
import { randomUUID } from 'node:crypto'
import { dirname, resolve } from 'node:path'
import type { Logger } from 'pino'
import { type HealthPort, startHealth } from './admin/health.ts'
import type { MetricsPage } from './admin/metrics.ts'
import type { AuditSink } from './audit/sink.ts'
import { splitAddress } from './config/address.ts'
import { archivePolicy } from './config/policy-archive.ts'
import type { PolicyText } from './config/policy-files.ts'
import type { Settings } from './config/settings-schema.ts'
import { CHECK_REQUEST_EXTRA_BYTES, CHECKS_IN_FLIGHT_MAX } from './core/limits.ts'
import { createDecider, type Decider, type Edges } from './envoy/decide.ts'
import type { OwnPem } from './envoy/listener.ts'
import { type AuthzServer, startServer } from './envoy/server.ts'
import { verifyX509Svid } from './identity/x509-svid.ts'
import type { Policy } from './policy/policy.ts'
import { openAudit, type ServedAudit } from './serve-audit.ts'
import { openCredentials, type ServedCredentials } from './serve-credentials.ts'
import { serveDatabases } from './serve-databases.ts'
import { riskRoutes } from './serve-desk.ts'
import { type EvidenceSources, evidenceFault, openEvidence, subjectKeys } from './serve-evidence.ts'
import { openPaging, type ServedPaging } from './serve-paging.ts'
import { type PolicyWatch, watchPolicy } from './serve-policy.ts'
import { revocable } from './serve-revocations.ts'
import { openRisk, type RiskEdges, type ServedRisk } from './serve-risk.ts'
import { voucher } from './serve-role.ts'
import { openState, type ServedAdmin, type ServedState } from './serve-state.ts'
import { openWatch, type ServerWatch } from './serve-watch.ts'
import { SUBJECT_LEEWAY_MS, worldOf } from './serve-world.ts'
import type { SvidSnapshot } from './spire/workload-api.ts'

export interface Serving {
  readonly port: number
  readonly healthPort: number | undefined
  readonly adminPort: number | undefined
  /** Of people on this host. */
  readonly localPort: number | undefined
  readonly accessLogPort: number | undefined
  /** Readiness off, connections let go, what is under way answered, records written. */
  readonly drain: (reason: string) => Promise<void>
}

/** How long Envoy's health checks get to see NOT_SERVING before connections are let go: two of its intervals. */
const DRAIN_NOTICE_MS = 1_000
const DRAIN_GRACE_MS = 5_000
const FIRST_SVID_MS = 30_000
/** Envoy's first health check comes as soon as it is up: what is ready a little later than that waits for the second one. */
const READINESS_MS = 100
/** grpc-js spreads connection ages by a tenth; 0.4 with that is still below half of the lifetime. */
const CONNECTION_AGE_SHARE = 0.4

export interface Loaded {
  readonly settings: Settings
  readonly settingsFile: string
  readonly policy: Policy
  readonly policyFile: string
  readonly policyTexts: readonly PolicyText[]
}

/** The environment of this process, which only main.ts reads. */
export type Environment = (name: string) => string | undefined

export async function serve(
  { settings, settingsFile, policy: firstPolicy, policyFile, policyTexts }: Loaded,
  log: Logger,
  environment: Environment
): Promise<Serving> {
  const evidence = openEvidence(settings, settingsFile, log)
  const source = evidence.svid
  const first = await source.ready(FIRST_SVID_MS).catch((cause: Error) => {
    evidence.close()
    throw cause
  })
  checkLifetime(first, settings)
  const sink = await openAudit(settings, { settingsFile, own: source.current, log })
  const credentials = openCredentials(settings, { settingsFile, environment, log })
  credentials.want(firstPolicy.tenants)
  const archive = archiveOf(settings, settingsFile, firstPolicy, policyTexts)
  const onNew = ({ tenants }: Policy) => credentials.want(tenants)
  const policy = revocable(watchPolicy(firstPolicy, { path: policyFile, settings, archive, log, onNew }), Date.now)
  const databases = serveDatabases(settings, credentials.headersFor)
  const watched = await openWatch(settings, { evidence, credentials, policy, sink, settingsFile, log })
  const edges = { settingsFile, policy: () => policy.inForce().policy, sink, log }
  const state = openState(settings, { ...edges, onAct: watched.acted, isHeld: (id) => risk?.desk.isHeld(id) === true })
  policy.obey(state.revocations)
  const from = first.svid.id.text
  const paging = await openPaging(settings, { ...edges, environment, store: state.store, registry: watched.page.registry, from })
  const risk = await openRisk(settings, { ...edges, store: state.store, ...calling(watched, paging) })
  const decider = deciderOf(settings, log, {
    world: worldOf(settings, evidence, policy.inForce, databases, state, risk),
    vouch: voucher(settings, source.current),
    credentials: credentials.of,
    sink,
    watched
  })
  const server = await openPort(decider, evidence, first, settings, log)
  const routes = riskRoutes(settings, { risk, store: state.store, keys: subjectKeys(evidence), leewayMs: SUBJECT_LEEWAY_MS })
  const trust = () => believed(source.current(), settings)
  const looks = watched.routes({ risk, memory: risk?.memory, revocations: state.revocations })
  const admin = await state.openAdmin(pemOf(first), trust, [...routes, ...looks])
  source.onChange((snapshot) => {
    if (snapshot === undefined) return
    server.renew(pemOf(snapshot))
    admin?.admin.renew(pemOf(snapshot))
    watched.renew(pemOf(snapshot))
  })
  const readiness = () => evidenceFault(evidence, settings) ?? credentials.fault() ?? state.fault() ?? risk?.fault() ?? sink.fault()
  await watched.begin({ risk, decider, readiness, own: pemOf(first), trust, log })
  paging?.begin({ standing: (scope) => (risk === undefined ? 'normal' : risk.standing(scope)), fault: () => readiness() ?? risk?.outage() })
  const stopReadiness = keepReadiness(server, readiness)
  const health = await openHealth(settings, readiness, watched.page, credentials)
  const ports = { port: server.port, healthPort: health?.port, ...portsOf(admin), accessLogPort: watched.accessLogPort() }
  sayServing(ports, settings, first, firstPolicy, log)
  return {
    ...ports,
    drain: (reason) =>
      drain(reason, { evidence, credentials, sink, server, health, admin, state, risk, paging, watched, stopReadiness, policy, log })
  }
}

function calling(watched: ServerWatch, paging: ServedPaging | undefined): Pick<RiskEdges, 'onMove' | 'onPaged'> {
  return {
    onMove(move) {
      watched.moved(move)
      paging?.moved(move)
    },
    onPaged: ({ rule, value }, { caller, decisionId, now }) => {
      paging?.found({ ...rule, value, workload: caller.id.text, decisionId, at: now })
      watched.found(rule, value, caller.id.text, decisionId, now)
    }
  }
}

const portsOf = (admin: ServedAdmin | undefined) => ({ adminPort: admin?.admin.port, localPort: admin?.local?.port })

function sayServing(
  { port, healthPort, adminPort, localPort, accessLogPort }: Omit<Serving, 'drain'>,
  { role }: Settings,
  { svid }: SvidSnapshot,
  { revision }: Policy,
  log: Logger
): void {
  const ports = { port, health_port: healthPort, admin_port: adminPort, local_port: localPort, access_log_port: accessLogPort }
  log.info({ ...ports, role, spiffe_id: svid.id.text, policy_revision: revision.slice(0, 12) }, 'serving')
}

async function openHealth({ health }: Settings, readiness: () => string | undefined, metrics: MetricsPage, { jwks }: ServedCredentials) {
  return health === undefined ? undefined : startHealth(...splitAddress(health), readiness, metrics, jwks)
}

/** The folder where every policy that comes into force is kept. Without a place for it nothing starts: what was decided could not be explained. */
function archiveOf({ policy_archive }: Settings, settingsFile: string, first: Policy, texts: readonly PolicyText[]): string | undefined {
  if (policy_archive === undefined) return undefined
  const archive = resolve(dirname(settingsFile), policy_archive)
  archivePolicy(archive, first.revision, texts)
  return archive
}

interface DeciderParts extends Pick<Edges, 'world' | 'vouch' | 'credentials'> {
  readonly sink: ServedAudit
  readonly watched: ServerWatch
}

function deciderOf(settings: Settings, log: Logger, { sink, watched, ...parts }: DeciderParts): Decider {
  return createDecider({
    ...parts,
    record(decided) {
      watched.decided(decided)
      return sink.record(decided)
    },
    watch: watched.watch,
    onWatched: watched.onWatched,
    onFault: (decisionId, cause) =>
      log.error({ decision_id: decisionId, fault: cause instanceof Error ? cause.stack : String(cause) }, 'a decision failed'),
    now: Date.now,
    tick: () => performance.now() * 1000,
    newDecisionId: randomUUID,
    bodyBytesMax: settings.body_bytes_max,
    deadlineMs: settings.deadline_ms,
    pendingMax: CHECKS_IN_FLIGHT_MAX
  })
}

/** The ext_authz port, open to the Envoys of the settings. */
function openPort(decider: Decider, { svid }: EvidenceSources, first: SvidSnapshot, settings: Settings, log: Logger): Promise<AuthzServer> {
  const [host, port] = splitAddress(settings.listen)
  return startServer(pemOf(first), {
    host,
    port,
    envoys: settings.envoys === undefined ? undefined : new Set(settings.envoys),
    verify: verifyX509Svid,
    trust: () => svid.current()?.bundles,
    now: Date.now,
    onRefused: (address, because) => log.warn({ peer: address, because }, 'a peer of the ext_authz port was refused'),
    decider,
    connectionAgeMs: settings.svid_ttl_seconds * 1000 * CONNECTION_AGE_SHARE,
    messageBytesMax: settings.body_bytes_max + CHECK_REQUEST_EXTRA_BYTES,
    isTraced: settings.traces !== undefined
  })
}

/** Trust bundles that the Workload API has stood by lately. */
function believed(snapshot: SvidSnapshot | undefined, { bundle_max_age_seconds }: Settings): SvidSnapshot['bundles'] | undefined {
  const young = snapshot !== undefined && Date.now() - snapshot.receivedAt <= bundle_max_age_seconds * 1000
  return young ? snapshot.bundles : undefined
}

/** A setting that claims longer-lived SVIDs than there are would keep connections open past their certificates. */
function checkLifetime({ svid }: SvidSnapshot, settings: Settings): void {
  const left = (svid.notAfter - Date.now()) / 1000
  const least = settings.svid_ttl_seconds / 4
  if (left >= least) return
  throw new Error(
    `svid_ttl_seconds is ${settings.svid_ttl_seconds}, but our own SVID ends in ${Math.max(0, Math.round(left))} s. Set it to the shortest SVID lifetime in use.`
  )
}

function pemOf({ svid }: SvidSnapshot): OwnPem {
  const cert = svid.certificates.map(
    (der) => `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE-----\n`
  )
  return { key: svid.key.export({ type: 'pkcs8', format: 'pem' }) as string, cert: cert.join('') }
}

function keepReadiness(server: AuthzServer, readiness: () => string | undefined): () => void {
  server.setReady(readiness() === undefined)
  const timer = setInterval(() => server.setReady(readiness() === undefined), READINESS_MS)
  timer.unref()
  return () => {
    clearInterval(timer)
    server.setReady(false)
  }
}

interface Parts {
  readonly evidence: EvidenceSources
  readonly credentials: ServedCredentials
  readonly sink: AuditSink
  readonly server: AuthzServer
  readonly health: HealthPort | undefined
  readonly admin: ServedAdmin | undefined
  readonly state: ServedState
  readonly risk: ServedRisk | undefined
  readonly paging: ServedPaging | undefined
  readonly watched: ServerWatch
  readonly stopReadiness: () => void
  readonly policy: PolicyWatch
  readonly log: Logger
}

async function drain(reason: string, parts: Parts): Promise<void> {
  parts.log.info({ reason }, 'draining')
  parts.stopReadiness()
  parts.health?.drain()
  await new Promise((resolve) => setTimeout(resolve, DRAIN_NOTICE_MS))
  await parts.server.drain(DRAIN_GRACE_MS)
  await parts.admin?.local?.close()
  await parts.admin?.admin.close()
  await parts.watched.close()
  await parts.risk?.close()
  await parts.paging?.close()
  await parts.state.close()
  parts.policy.close()
  await parts.credentials.close()
  parts.evidence.close()
  parts.health?.close()
  await parts.sink.close()
  parts.log.info('stopped')
}
