/**
 * For the tests that kill containers: calls without a pause, good and hostile ones, and a look at everything that reaches Chroma. One line
 * of JSON for each round says how it stands. Nothing may reach the database that no verdict let through, whatever is down.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { admin } from '../demo/approve.ts'
import { type Answer, call } from '../demo/client.ts'
import { APPROVER, INDEX_SERVER, INDEXER, OPERATOR, TRIALS } from '../demo/identities.ts'
import { callFrom, type PairScene } from '../demo/pair.ts'
import type { Recorded } from '../demo/recorder.ts'
import { collectionPath, namedPath, searchBody, supportSearch } from '../demo/step.ts'
import { requestOf } from '../demo/steps-approvals.ts'
import { searchIn, straight } from '../demo/steps-pair.ts'
import { connectScene } from './scenario.ts'
import { watchWitness } from './witness.ts'

const ROUND_MS = 250

type Say = (line: string) => void

export interface Round {
  readonly round: number
  /** Both ways answered a good call in this round. */
  readonly passing: boolean
  /** Since the start: hostile calls that were answered with success, and requests at Chroma that carry no verdict for their tenant. */
  readonly broken: readonly string[]
}

/** Never ends by itself. */
export async function runEndurance(say: Say): Promise<undefined> {
  const scene = await connectScene(() => undefined, { keep: true })
  const broken: string[] = []
  for (let round = 1; ; round++) {
    const passing = await oneRound(scene, broken).catch(() => false)
    say(JSON.stringify({ round, passing, broken } satisfies Round))
    await sleep(ROUND_MS)
  }
}

/** Only while somebody looks: a round without the witness counts as none. */
async function oneRound({ stack, pair, who }: PairScene, broken: string[]): Promise<boolean> {
  const recorder = await watchWitness('witness')
  const scene: PairScene = { stack: { ...stack, recorder }, pair, who }
  try {
    const good = await Promise.all([callFrom(scene, 'indexer', searchIn(scene, 'acme')), supportSearch(scene)].map(statusOf))
    const foreign = { target: collectionPath('globex', stack.collections['globex'] ?? '', 'query'), body: searchBody('globex') }
    const hostile = {
      'another tenant through the pair': callFrom(scene, 'indexer', foreign),
      'another tenant through the gateway': call(stack.door, who.support, foreign),
      'the index without a token': straight(scene, INDEXER, searchIn(scene, 'acme'), undefined)
    }
    for (const [what, going] of Object.entries(hostile)) if ((await statusOf(going)) === 200) broken.push(`${what}: answered`)
    for (const one of recorder.seen()) if (!judged(one)) broken.push(`at Chroma without a verdict: ${one.method} ${one.target}`)
    return good.every((status) => status === 200)
  } finally {
    await recorder.stop()
  }
}

/** Only acme's calls are good ones here. */
function judged({ target, headers }: Recorded): boolean {
  return target.startsWith('/api/v2/tenants/acme/') && headers['x-tenant-id'] === 'acme'
}

function statusOf(going: Promise<Answer>): Promise<Answer['status'] | 'none'> {
  return going.then(
    ({ status }) => status,
    () => 'none'
  )
}

const KEPT = 'scratch-kept'
const DROP = { method: 'DELETE', target: namedPath('acme', KEPT) }

/** What people decide before the kills: a yes to a drop, and a workload whose session another system has revoked … */
export async function runBefore(say: Say): Promise<number> {
  const scene = await connectScene(() => undefined)
  const made = await callFrom(scene, 'indexer', { target: namedPath('acme', '').replace(/\/$/, ''), body: { name: KEPT } })
  if (made.status !== 200) throw new Error(`${KEPT} could not be made: ${made.status} ${made.body}`)
  const id = requestOf(await callFrom(scene, 'indexer', DROP))
  await tell(scene, APPROVER, 'approve', id, '--reason', 'before the kills')
  await tell(scene, OPERATOR, 'signal', TRIALS, 'session_revoked', '--reason', 'before the kills')
  say(`approved ${id}; trials: ${await trialsAnswer(scene)}`)
  return 0
}

/** … holds after them: the yes once, the quarantine until it is released. */
export async function runAfter(say: Say): Promise<number> {
  const scene = await connectScene(() => undefined, { keep: true })
  const [first, second] = [await callFrom(scene, 'indexer', DROP), await callFrom(scene, 'indexer', DROP)]
  say(`drop: ${first.status}, then ${second.status} ${second.reason}`)
  say(`trials: ${await trialsAnswer(scene)}`)
  await tell(scene, OPERATOR, 'release', TRIALS, '--reason', 'after the kills')
  say(`trials, released: ${await trialsAnswer(scene)}`)
  return 0
}

/** A command at the index server that the agents' calls come to. */
async function tell({ stack, pair }: PairScene, id: string, ...words: string[]): Promise<void> {
  const { exit, out, err } = await admin(stack, id, { port: pair.indexes[0].adminPort, server: INDEX_SERVER }, ...words)
  if (exit !== 0) throw new Error(`vecauthz ${words[0]} ended with ${exit}: ${out}${err}`)
}

/** The handbook by its name: whoever only looks after the kills knows no UUID. */
async function trialsAnswer(scene: PairScene): Promise<string> {
  const { status, reason } = await callFrom(scene, 'trials', { target: namedPath('globex') })
  return `${status} ${reason ?? ''}`.trim()
}
