/** Risk as the server has it: standings over the shared store, what is learnt from a folder, the stage that asks both, and its rounds. */
import { randomBytes } from 'node:crypto'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import type { Logger } from 'pino'
import { findingLine, standingLine } from './audit/act-record.ts'
import type { AuditSink } from './audit/sink.ts'
import type { Settings } from './config/settings-schema.ts'
import type { Memory } from './core/memory.ts'
import type { Risk, RiskCall } from './core/risk.ts'
import type { RiskDesk } from './core/risk-desk.ts'
import { type Scope, type Standing, standingOf } from './core/standing.ts'
import type { Move } from './core/standings.ts'
import type { Store } from './core/store.ts'
import { type Baselines, openBaselines, ownerName } from './learning/baselines.ts'
import { createEvidenceSync, type EvidenceSync } from './learning/evidence-sync.ts'
import { createLearnt, type HabitsLearnt } from './learning/learnt.ts'
import { openOrders } from './learning/orders.ts'
import type { Policy } from './policy/policy.ts'
import { startKernel } from './risk/kernel-wasm.ts'
import type { Finding } from './risk/monitoring.ts'
import { createRiskDesk } from './risk-desk.ts'
import { createRisk, type RiskStage } from './risk-stage.ts'
import { createMemory } from './state/memory.ts'
import { type SharedMemory, shareMemory } from './state/memory-shared.ts'
import { createReplicas } from './state/replicas.ts'
import { openSealedFiles, type SealedFiles } from './state/sealed-files.ts'
import { createSignIns } from './state/sign-ins.ts'
import { createStandings, type SharedStandings } from './state/standings.ts'
import { openJournal } from './state/standings-journal.ts'

export interface ServedRisk {
  readonly risk: Risk
  /** Budgets, as one with those of the other replicas. */
  readonly memory: Memory
  /** Processes that share the store, this one included, as it was last heard. */
  readonly replicas: () => number
  readonly desk: RiskDesk
  /** How a workload, or an agent type in a collection, stands; undefined while that is not known. */
  readonly standing: (scope: Scope) => Standing | undefined
  /** Why nothing may be sent here yet: it is not known how workloads stand, or what is normal. */
  readonly fault: () => string | undefined
  /** Why what is known of standings may be old, as it lasts; undefined: the store answers. */
  readonly outage: () => string | undefined
  /** Writes what is known, and ends the rounds; the store must still be open. */
  readonly close: () => Promise<void>
}

export interface RiskEdges {
  readonly settingsFile: string
  readonly policy: () => Policy
  readonly store: Store
  readonly sink: AuditSink
  readonly log: Logger
  readonly onMove: (move: Move) => void
  /** A rule of the policy calls a person for a figure; once a window. */
  readonly onPaged: (finding: Finding, call: RiskCall) => void
}

const HABITS = 'habits-00000000'
const HABITS_MS = 60_000
/** Without an answer of the store for so long, what others admit is not known, and budgets are cut to a share. */
const AWAY_MS = 2_000
/** Without an answer of the store for so long, it is away. */
const STALE_MS = 10_000

/** undefined at egress: exactly one role owns standings. Rejects with a sentence where the folder cannot be used. */
export async function openRisk(settings: Settings, edges: RiskEdges): Promise<ServedRisk | undefined> {
  if (settings.role === 'egress') return undefined
  const { settingsFile, policy, log } = edges
  const { folder: named } = settings.risk
  const absolute = (path: string) => (isAbsolute(path) ? path : join(dirname(settingsFile), path))
  const folder = named && absolute(named)
  const { state } = settings
  const journals = state.kind === 'sqlite' ? `${absolute(state.file)}-standings` : folder && join(folder, 'standings')
  const owner = resolve(settingsFile)
  const learning = learningOf(settings, folder, log)
  const baselines = await openBaselines({
    ...learning,
    owner,
    kernel: startKernel(),
    onFrozen: (key, versions) => log.info({ ...key, versions }, 'risk: a baseline was frozen')
  })
  const standings = await standingsOf(settings, edges, baselines, journals)
  const orders = await openOrders({
    ...learning,
    onFrozen: (agentType, version) => log.info({ agentType, version }, 'risk: an order of calls was frozen')
  })
  const learnt = createLearnt({ ...baselines, sequenceOf: orders.sequenceOf })
  const habits = folder === undefined ? undefined : await keepHabits(join(folder, 'habits'), owner, learnt, log)
  // A store of this process alone has nobody to tell.
  const shared = settings.state.kind !== 'memory'
  const signIns = createSignIns(edges.store)
  const stage: RiskStage = createRisk({
    standings,
    learnt,
    shared,
    staleMsMax: settings.risk.standings_max_age_seconds * 1000,
    takeSignIn: signIns.take,
    onFinding: (finding, call) => noteFinding(finding, call, edges)
  })
  const sync = shared ? evidenceSync(edges, stage, baselines, learnt) : undefined
  const budgets = shared ? budgetsOf(edges, standings) : undefined
  standings.start()
  baselines.start()
  orders.start()
  sync?.start()
  budgets?.start()
  return {
    memory: budgets ?? createMemory(),
    replicas: budgets?.replicas ?? (() => 1),
    risk: sync === undefined ? stage : toldOf(stage, sync),
    desk: createRiskDesk({ standings, baselines, orders, learnt, stage, rules: () => policy().risk, signIns }),
    standing: (scope) => (standings.isLoaded() ? standingOf(standings.of(scope)) : undefined),
    fault: () => (standings.isLoaded() ? (baselines.fault() ?? orders.fault()) : 'it is not known yet how workloads stand (standings)'),
    outage: () => (standings.staleMs() > STALE_MS ? 'the store does not answer: standings of other replicas are not known' : undefined),
    async close() {
      await sync?.stop()
      await budgets?.stop()
      await standings.stop()
      await baselines.stop()
      await orders.stop()
      await habits?.()
    }
  }
}

/** How baselines and orders of calls are learnt alike. */
function learningOf({ risk }: Settings, folder: string | undefined, log: Logger) {
  return {
    folder,
    freezeAfterBursts: risk.freeze_after_bursts,
    approveByItself: risk.approve === 'automatic',
    now: Date.now,
    onTrouble: (because: string) => log.error({ because }, 'risk: what is learnt')
  }
}

function evidenceSync(
  { store, log }: RiskEdges,
  { workloads }: RiskStage,
  { readyOf }: Baselines,
  { dailyOf }: HabitsLearnt
): EvidenceSync {
  return createEvidenceSync({
    store,
    now: Date.now,
    stateOf: workloads.peek,
    readyOf,
    dailyOf,
    onTrouble: (because) => {
      if (because === undefined) log.info('risk: evidence is shared with the other replicas again')
      else log.error({ because }, 'risk: evidence is not shared with the other replicas; each judges by what it sees')
    }
  })
}

function budgetsOf({ store, log }: RiskEdges, { staleMs }: SharedStandings): SharedMemory & { readonly replicas: () => number } {
  const replicas = createReplicas({ store, run: randomBytes(12).toString('hex'), now: Date.now })
  const memory = shareMemory(createMemory(), {
    store,
    now: Date.now,
    share: () => (staleMs() > AWAY_MS ? 1 / replicas.count() : 1),
    onTrouble: (because) => {
      if (because === undefined) log.info('budgets: shared with the other replicas again')
      else
        log.error({ because, replicas: replicas.count() }, 'budgets: not shared with the other replicas; each admits its share by itself')
    }
  })
  return {
    ...memory,
    replicas: replicas.count,
    start() {
      memory.start()
      replicas.start()
    },
    async stop() {
      await memory.stop()
      await replicas.stop()
    }
  }
}

/** Who has called here is told to the others. */
function toldOf(stage: RiskStage, { note }: EvidenceSync): Risk {
  return {
    ...stage,
    observe(grant, call, ...rest) {
      const judgement = stage.observe(grant, call, ...rest)
      note(call.caller.id.text)
      return judgement
    }
  }
}

/**
 * A store of this process alone has nothing to tell it.
 * @param journals folder for what a kill would take along; undefined: there is no place for it
 */
async function standingsOf(
  { state }: Settings,
  { store, sink, log, onMove }: RiskEdges,
  { raised }: Baselines,
  journals: string | undefined
): Promise<SharedStandings> {
  const run = randomBytes(12).toString('hex')
  const tick = () => performance.now()
  const isAlone = state.kind === 'memory'
  if (!isAlone && journals === undefined)
    log.warn('standings: what is raised in the moment before a kill may be lost; risk.folder would keep it')
  const journal =
    isAlone || journals === undefined
      ? undefined
      : await openJournal({ folder: journals, run, tick, onTrouble: (because) => log.error({ because }, 'standings: the journal') })
  return createStandings({
    store: isAlone ? undefined : store,
    journal,
    run,
    now: Date.now,
    tick,
    onMove(move) {
      onMove(move)
      noteMove(move, sink, log)
      if (move.scope.kind === 'workload' && move.to !== 'normal') raised(move.scope.id, move.at)
    },
    onTrouble: (because) => {
      if (because === undefined) log.info('standings: the store is there again')
      else log.error({ because }, 'standings: the store cannot be relied on; what is known here goes on')
    }
  })
}

function noteFinding(finding: Finding, call: RiskCall, { sink, log, onPaged }: RiskEdges): void {
  const { caller, decisionId, now } = call
  const line = findingLine(now, caller.id.text, decisionId, finding)
  if (!sink.write(line)) log.error('audit: a monitored figure could not be recorded')
  if (finding.rule.action !== 'page') return
  log.warn({ workload: caller.id.text, metric: finding.rule.metric, value: finding.value }, 'risk: a person is called for')
  onPaged(finding, call)
}

function noteMove(move: Move, sink: AuditSink, log: Logger): void {
  const { scope, from, to, term, heard } = move
  // Whoever decided it has recorded it; each replica notes in its log that it knows.
  if (!heard && !sink.write(standingLine(move))) log.error('audit: a change of standing could not be recorded')
  const facts = { scope, from, to, cause: term?.cause, heard }
  if (to === 'quarantine' && !heard)
    log.warn({ ...facts, decision_ids: term?.evidence.decisionIds }, 'risk: quarantined; a person is called for')
  else log.info(facts, 'risk: a standing has changed')
}

/** @returns what ends it */
async function keepHabits(folder: string, owner: string, learnt: HabitsLearnt, log: Logger): Promise<() => Promise<void>> {
  const files = await openSealedFiles(folder, ownerName(owner))
  await readHabits(files, learnt, log)
  let last = learnt.text()
  const save = async () => {
    const text = learnt.text()
    if (text === last) return
    try {
      await files.write(HABITS, [Buffer.from(text, 'utf8')])
      last = text
    } catch (cause) {
      log.error({ fault: (cause as Error).message }, 'risk: what agent types need cannot be saved')
    }
  }
  const timer = setInterval(() => void save(), HABITS_MS)
  timer.unref()
  return async () => {
    clearInterval(timer)
    await save()
  }
}

async function readHabits(files: SealedFiles, learnt: HabitsLearnt, log: Logger): Promise<void> {
  const own = (await files.read(HABITS)).find(({ owner }) => owner === files.owner)
  if (own === undefined) return
  const read = own.bytes === undefined ? { ok: false as const, because: 'it is damaged' } : learnt.take(own.bytes.toString('utf8'))
  if (!read.ok) log.error({ because: read.because }, 'risk: what agent types need is lost, and is learnt again')
}
