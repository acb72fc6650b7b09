/**
 * For the tests that kill containers: calls without a pause, good and hostile ones, and a look at everything that reaches Chroma. One line
 * of JSON for each round says how it stands. Nothing may reach the database that no verdict let through, whatever is down.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { admin } from '../demo/approve.ts'
import { type Answer, call } from '../demo/client.ts'
import { APPROVER, INDEX_SERVER, INDEXER } from '../demo/identities.ts'
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
  const scene = await connectScene(() => undefined)
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

/** What an approver says before the kills … */
export async function runApprove(say: Say): Promise<number> {
  const scene = await connectScene(() => undefined)
  const made = await callFrom(scene, 'indexer', { target: namedPath('acme', '').replace(/\/$/, ''), body: { name: KEPT } })
  if (made.status !== 200) throw new Error(`${KEPT} could not be made: ${made.status} ${made.body}`)
  const id = requestOf(await callFrom(scene, 'indexer', DROP))
  const door = { port: scene.pair.indexes[0].adminPort, server: INDEX_SERVER }
  const { exit, out, err } = await admin(scene.stack, APPROVER, door, 'approve', id, '--reason', 'before the kills')
  say(`${id} ${out}${err}`)
  return exit
}

/** … is good after them, once. */
export async function runUseApproval(say: Say): Promise<number> {
  const scene = await connectScene(() => undefined, { keep: true })
  const [first, second] = [await callFrom(scene, 'indexer', DROP), await callFrom(scene, 'indexer', DROP)]
  say(`${first.status} ${second.status} ${second.reason}`)
  return first.status === 200 && second.status !== 200 ? 0 : 1
}
