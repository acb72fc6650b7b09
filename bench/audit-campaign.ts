/** What the audit promises, one stage each: nothing is lost but by a kill, that is bounded and found, and without room nothing passes. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { auditCommand } from '../src/admin/audit-verify.ts'
import { startCollector } from './audit-collector.ts'
import { type AuditStage, startLoad } from './audit-server.ts'

export interface CampaignOptions {
  readonly rate: number
  readonly seconds: number
}

const SLOW_MS = 200
const SETTLE_MS = 30_000

const idsOf = (text: string) =>
  new Set(
    text
      .split('\n')
      .filter(Boolean)
      .flatMap((line) => {
        const { decision_id: id } = JSON.parse(line) as { decision_id?: string }
        return id === undefined ? [] : [id]
      })
  )
const missing = (ledger: ReadonlyMap<string, number>, kept: ReadonlySet<string>) => [...ledger.keys()].filter((id) => !kept.has(id))

export interface Verified {
  readonly code: number
  readonly findings: readonly { readonly kind: string; readonly at: string; readonly says: string }[]
  readonly chains: readonly { readonly stream: string; readonly records: number; readonly last: number; readonly ended?: boolean }[]
}

export async function verified(files: readonly string[], anchors: string, bundle: string): Promise<Verified> {
  let out = ''
  const print = (text: string) => {
    out += text
  }
  const code = await auditCommand(['verify', ...files, '--anchors', anchors, '--bundle', bundle, '--json'], { print, complain: print })
  return { code, ...(JSON.parse(out) as Omit<Verified, 'code'>) }
}

async function settled(what: string, done: () => boolean): Promise<void> {
  const until = performance.now() + SETTLE_MS
  while (!done()) {
    if (performance.now() > until) throw new Error(`${what}: not within ${SETTLE_MS} ms`)
    await sleep(20)
  }
}

/** A sink that takes 200 ms for each batch, and SIGTERM in the middle of the load: each answer is on record, at the sink and in the file. */
export async function slowSink(stage: AuditStage, { rate, seconds }: CampaignOptions) {
  const collector = await startCollector(SLOW_MS)
  const [file, anchors] = [join(stage.folder, 'slow.jsonl'), join(stage.folder, 'slow-anchors.jsonl')]
  const server = await stage.start({
    file,
    sinks: [{ name: 'far', http: { url: collector.url } }],
    spill: { folder: join(stage.folder, 'slow-spill'), mib: 64 },
    chain: { anchor_seconds: 1, anchors: { file: anchors } }
  })
  const load = startLoad(server, stage.issuer, rate)
  await sleep(seconds * 1000)
  const reached = load.rate()
  const code = await server.stop()
  await load.stop()
  await collector.close()
  const verdict = await verified([file], anchors, stage.bundleFile)
  return {
    code,
    rate: reached,
    answers: load.ids.size,
    unrecorded: load.unrecorded(),
    missingAtSink: missing(load.ids, collector.ids()).length,
    missingInFile: missing(load.ids, idsOf(readFileSync(file, 'utf8'))).length,
    // The client may leave before an answer reaches it, and nothing else makes records of its own.
    unknownAtSink: [...collector.ids()].filter((id) => !load.ids.has(id)).length,
    batches: collector.batches(),
    verdict
  }
}

/** kill -9 while a sink is far behind: what is missing there is found against the signed heads, and lies at the end. */
export async function killed(stage: AuditStage, { rate, seconds }: CampaignOptions) {
  const collector = await startCollector(50)
  const [file, anchors, far] = ['killed.jsonl', 'killed-anchors.jsonl', 'killed-far.jsonl'].map((name) => join(stage.folder, name)) as [
    string,
    string,
    string
  ]
  const server = await stage.start({
    file,
    sinks: [{ name: 'far', http: { url: collector.url } }],
    chain: { anchor_seconds: 1, anchors: { file: anchors } }
  })
  const load = startLoad(server, stage.issuer, rate)
  await sleep(seconds * 500)
  // From now on the far sink takes longer than the rest of this server's life.
  collector.behave = { latencyMs: 60_000, status: 200 }
  const anchorsNow = () => readFileSync(anchors, 'utf8').split('\n').length
  const had = anchorsNow()
  await sleep(seconds * 500)
  await settled('two more heads', () => anchorsNow() >= had + 2)
  const at = Date.now()
  await server.kill()
  await load.stop()
  await collector.close()
  writeFileSync(
    far,
    collector
      .lines()
      .map((line) => `${line}\n`)
      .join('')
  )
  const inFile = idsOf(readFileSync(file, 'utf8'))
  const lost = missing(load.ids, inFile)
  return {
    answers: load.ids.size,
    lostInFile: lost.length,
    /** How long before the kill the oldest of them was answered, milliseconds. */
    lossWindowMs: lost.length === 0 ? 0 : at - Math.min(...lost.map((id) => load.ids.get(id) ?? at)),
    missingFar: missing(load.ids, collector.ids()).length,
    inFile: await verified([file], anchors, stage.bundleFile),
    far: await verified([far], anchors, stage.bundleFile)
  }
}

/** The sink is down: memory, then disk, then denial; when it is back all that was promised arrives, and calls pass again. */
export async function sinkDown(stage: AuditStage, { rate }: CampaignOptions) {
  const collector = await startCollector(0)
  collector.behave = { latencyMs: 0, status: 503 }
  const spill = join(stage.folder, 'down-spill')
  const server = await stage.start({
    sinks: [{ name: 'far', http: { url: collector.url } }],
    buffer_mib: 1,
    spill: { folder: spill, mib: 1 }
  })
  const load = startLoad(server, stage.issuer, rate)
  await settled('spilled', () => existsSync(join(spill, 'sink-far', '000000000001.ndjson')))
  await settled('refused for want of room', () => load.unrecorded() > 0)
  const refusedWhileDown = load.unrecorded()
  collector.behave = { latencyMs: 0, status: 200 }
  const before = load.allowed()
  await settled('calls pass again', () => load.allowed() > before + rate / 10)
  await load.stop()
  const code = await server.stop()
  await collector.close()
  return {
    code,
    answers: load.ids.size,
    refusedWhileDown,
    missingAtSink: missing(load.ids, collector.ids()).length,
    log: server.log()
  }
}

/** The sink is down until the end: what SIGTERM finds waiting goes to the disk, and the next process delivers it. */
export async function downAtEnd(stage: AuditStage, { rate, seconds }: CampaignOptions) {
  const collector = await startCollector(0)
  collector.behave = { latencyMs: 0, status: 503 }
  const audit = {
    sinks: [{ name: 'far', http: { url: collector.url } }],
    spill: { folder: join(stage.folder, 'end-spill'), mib: 64 },
    chain: { anchor_seconds: 1, anchors: { file: join(stage.folder, 'end-anchors.jsonl') } }
  }
  const server = await stage.start(audit)
  const load = startLoad(server, stage.issuer, rate)
  await sleep(seconds * 1000)
  const code = await server.stop()
  await load.stop()
  const before = collector.lines().length
  collector.behave = { latencyMs: 0, status: 200 }
  const next = await stage.start(audit)
  await settled('what was left is delivered', () => missing(load.ids, collector.ids()).length === 0)
  await next.stop()
  await collector.close()
  const far = join(stage.folder, 'end-far.jsonl')
  writeFileSync(
    far,
    collector
      .lines()
      .map((line) => `${line}\n`)
      .join('')
  )
  return { code, answers: load.ids.size, before, verdict: await verified([far], audit.chain.anchors.file, stage.bundleFile) }
}

/** The disk under the file is full from the beginning: memory, then denial, and it is said. */
export async function diskFull(stage: AuditStage, { rate }: CampaignOptions, whenFull: 'deny' | 'let_reads_pass' = 'deny') {
  const server = await stage.start({ sinks: [{ name: 'full', file: '/dev/full' }], buffer_mib: 1, when_full: whenFull })
  const load = startLoad(server, stage.issuer, rate)
  await settled('refused for want of room', () => load.unrecorded() > 0 && server.log().includes('calls are refused'))
  // Calls that were under way have come back by then.
  await sleep(500)
  const passed = load.allowed()
  await sleep(500)
  const passedAfter = load.allowed() - passed
  await load.stop()
  const code = await server.stop()
  return { code, passedAfter, log: server.log() }
}
