/** Calm agents that go on calling while something fails, and what they were told. */
import { setTimeout as sleep } from 'node:timers/promises'
import { agent, type Call, type Replica, type Scene } from './scene.ts'

const AGENTS = 8
const TICK_MS = 5

export interface Load {
  /** What was answered since it was last asked. */
  readonly take: () => Told
  readonly stop: () => Promise<void>
}

export interface Told {
  readonly answers: number
  /** `allow` or a reason, and how often. */
  readonly by: ReadonlyMap<string, number>
  /** Calls that got no answer: the process was gone. */
  readonly unanswered: number
  /** Milliseconds, ascending. */
  readonly took: readonly number[]
}

/** @param rate calls a second at each of the replicas, in turn of each kind */
export function startLoad(
  scene: Scene,
  replicas: () => readonly Replica[],
  rate: number,
  calls: readonly Call[] = [scene.calls.look, scene.calls.search]
): Load {
  let [by, unanswered, took] = [new Map<string, number>(), 0, [] as number[]]
  const under = new Set<Promise<void>>()
  const one = async (replica: Replica, at: number) => {
    const call = calls[at % calls.length] as Call
    const answer = await scene.ask(replica, agent(`calm-${(at >> 1) % AGENTS}`), call).catch(() => undefined)
    if (answer === undefined) {
      unanswered++
      return
    }
    const said = answer.status === 200 ? 'allow' : (answer.reason ?? `status ${answer.status}`)
    by.set(said, (by.get(said) ?? 0) + 1)
    took.push(answer.ms)
  }
  let [sent, isOver] = [0, false]
  const began = performance.now()
  const running = (async () => {
    while (!isOver) {
      for (const due = ((performance.now() - began) * rate) / 1_000; sent < due; sent++) {
        for (const replica of replicas()) {
          const asked = one(replica, sent)
          under.add(asked)
          void asked.finally(() => under.delete(asked))
        }
      }
      await sleep(TICK_MS)
    }
    await Promise.all(under)
  })()
  return {
    take() {
      const told = { answers: took.length, by, unanswered, took: took.toSorted((a, b) => a - b) }
      ;[by, unanswered, took] = [new Map(), 0, []]
      return told
    },
    stop() {
      isOver = true
      return running
    }
  }
}

/** @param share 0 to 1 */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export function reasonsOf({ by }: Told): string {
  return [...by].map(([said, times]) => `${said} ${times}`).join(', ')
}
