/** Seals, sorts and delivers records beside the event loop that decides. */
import { parentPort, workerData } from 'node:worker_threads'
import { type Head, STREAMS, type Stream } from '../core/audit-anchor.ts'
import { type Chain, createChain } from './chain.ts'
import { createDelivery, type Delivery } from './delivery.ts'
import { type FileOptions, openFile } from './send-file.ts'
import { type HttpOptions, openHttp } from './send-http.ts'
import type { OwnIdentity } from './send-tls.ts'
import type { SinkFigures } from './sink.ts'
import { openSpill } from './spill.ts'

export interface SinkPlan {
  readonly name: string
  /** `anchors`: the signed heads of the chains, and no records. */
  readonly takes: 'all' | 'anchors' | Stream
  readonly to: ({ readonly kind: 'file' } & FileOptions) | ({ readonly kind: 'http' } & HttpOptions)
}

export interface WorkerPlan {
  readonly sinks: readonly SinkPlan[]
  /** Name of this run in chains and batches: 16 characters of lower-case hex. */
  readonly run: string
  readonly chained: boolean
  readonly memoryBytesMax: number
  readonly spill: { readonly folder: string; readonly bytesMax: number } | undefined
  /** At the start; only where a sink asks for it. */
  readonly identity?: OwnIdentity | undefined
}

export type ToWorker =
  | { readonly kind: 'records'; readonly stream: Stream; readonly lines: Uint8Array }
  | { readonly kind: 'heads' }
  | { readonly kind: 'anchor'; readonly lines: Uint8Array }
  /** From now on, to receivers that ask who we are. */
  | { readonly kind: 'identity'; readonly own: OwnIdentity }
  | { readonly kind: 'close'; readonly msMax: number }

export type FromWorker =
  | { readonly kind: 'open' }
  | { readonly kind: 'failed'; readonly because: string }
  /** So many bytes of records are promised for: delivered, or waiting where there is room for them. */
  | { readonly kind: 'kept'; readonly bytes: number }
  | { readonly kind: 'heads'; readonly heads: Readonly<Record<Stream, Head>> }
  /** `because` undefined: it works again. */
  | { readonly kind: 'trouble'; readonly sink: string; readonly because: string | undefined }
  | ({ readonly kind: 'figures' } & SinkFigures)
  /** `lost`: bytes that could be neither delivered nor put on the disk. */
  | { readonly kind: 'closed'; readonly lost: number }

const FIGURES_MS = 1_000

if (parentPort !== null) run(workerData as WorkerPlan, (message) => parentPort?.postMessage(message))

function run(plan: WorkerPlan, say: (message: FromWorker) => void): void {
  const port = parentPort
  try {
    const chains = plan.chained ? { agents: createChain(plan.run, 'agents'), people: createChain(plan.run, 'people') } : undefined
    const kept = keeper(say)
    let own = plan.identity
    const sinks = plan.sinks.map((sink) => ({
      takes: sink.takes,
      name: sink.name,
      delivery: open(sink, plan, say, { onRoom: () => kept.again(sinks), own: () => own })
    }))
    const timer = setInterval(() => say(figuresOf(sinks)), FIGURES_MS)
    port?.on('message', (message: ToWorker) => {
      switch (message.kind) {
        case 'records': {
          // What waits is a copy of its own size, for the room around it would wait with it.
          const lines = Buffer.from(message.lines.buffer, message.lines.byteOffset, message.lines.byteLength)
          give(sinks, message.stream, chains === undefined ? Buffer.concat([lines]) : chains[message.stream].seal(lines))
          return kept.note(lines.length, sinks)
        }
        case 'heads':
          return chains && say({ kind: 'heads', heads: headsOf(chains) })
        case 'anchor':
          return give(sinks, 'anchors', Buffer.from(message.lines))
        case 'identity':
          own = message.own
          return
        case 'close':
          clearInterval(timer)
          return void Promise.all(sinks.map(({ delivery }) => delivery.close(message.msMax))).then((lost) => {
            say({ kind: 'closed', lost: lost.reduce((sum, one) => sum + one, 0) })
            port.close()
          })
      }
    })
    say({ kind: 'open' })
  } catch (cause) {
    say({ kind: 'failed', because: cause instanceof Error ? cause.message : String(cause) })
    port?.close()
  }
}

interface Sink {
  readonly name: string
  readonly takes: SinkPlan['takes']
  readonly delivery: Delivery
}

function give(sinks: readonly Sink[], what: Stream | 'anchors', lines: Buffer): void {
  for (const { takes, delivery } of sinks) if (takes === what || (takes === 'all' && what !== 'anchors')) delivery.add(lines)
}

/** Says what is promised for as long as every sink has room: what is not said stays on the account of those who decide. */
function keeper(say: (message: FromWorker) => void) {
  let owed = 0
  const again = (sinks: readonly Sink[]) => {
    if (owed === 0 || sinks.some(({ delivery }) => delivery.full())) return
    say({ kind: 'kept', bytes: owed })
    owed = 0
  }
  return {
    again,
    note(bytes: number, sinks: readonly Sink[]) {
      owed += bytes
      again(sinks)
    }
  }
}

interface OpenEdges {
  readonly onRoom: () => void
  readonly own: () => OwnIdentity | undefined
}

function open({ name, to, takes }: SinkPlan, plan: WorkerPlan, say: (message: FromWorker) => void, { onRoom, own }: OpenEdges): Delivery {
  const onTrouble = (because: string | undefined) => say({ kind: 'trouble', sink: name, because })
  const outlet = to.kind === 'file' ? openFile(to, Date.now) : openHttp(to, onTrouble, own)
  const { run, memoryBytesMax } = plan
  const spill = plan.spill && openSpill(`${plan.spill.folder}/${name}`, plan.spill.bytesMax, onTrouble)
  // Those who wait for room ask all sinks, and anchors are few.
  return createDelivery({
    outlet,
    spill,
    memoryBytesMax,
    now: Date.now,
    run: takes === 'anchors' ? `${run}-anchors` : run,
    onTrouble,
    onRoom
  })
}

const headsOf = (chains: Readonly<Record<Stream, Chain>>) =>
  Object.fromEntries(STREAMS.map((stream) => [stream, chains[stream].head()])) as Record<Stream, Head>

function figuresOf(sinks: readonly Sink[]): FromWorker {
  const all = sinks.map(({ name, delivery }) => ({ name, ...delivery.figures() }))
  return {
    kind: 'figures',
    waitingBytes: all.reduce((sum, one) => sum + one.memoryBytes, 0),
    spilledBytes: all.reduce((sum, one) => sum + one.spilledBytes, 0),
    oldestMs: Math.max(...all.map(({ oldestMs }) => oldestMs)),
    used: { memory: Math.max(...all.map(({ used }) => used.memory)), spill: Math.max(...all.map(({ used }) => used.spill)) },
    failing: all.filter(({ failures }) => failures > 0).map(({ name }) => name)
  }
}
