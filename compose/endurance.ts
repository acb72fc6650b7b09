/**
 * For the tests that kill containers: calls without a pause, good and hostile ones, and a look at everything that reaches Chroma. One line
 * of JSON for each round says how it stands. Nothing may reach the database that no verdict let through, whatever is down. At SIGUSR2 the
 * scenario's steps are gone through in between.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { admin, gatewayDesk } from '../demo/approve.ts'
import { type Answer, call } from '../demo/client.ts'
import { APPROVER, INDEX_SERVER, INDEXER, OPERATOR, PAYROLL, TRIALS } from '../demo/identities.ts'
import { callFrom, type PairScene } from '../demo/pair.ts'
import type { Recorded } from '../demo/recorder.ts'
import { collectionPath, namedPath, runStep, type Step, searchBody, supportSearch, type TenantId } from '../demo/step.ts'
import { STEPS } from '../demo/steps.ts'
import { drop, make, PAIR_APPROVAL_STEPS, requestOf } from '../demo/steps-approvals.ts'
import { PAIR_STEPS, searchIn, straight, tokenFor } from '../demo/steps-pair.ts'
import { connectScene } from './scenario.ts'
import { watchWitness } from './witness.ts'

const ROUND_MS = 250
const CALM_MS_MAX = 60_000

/**
 * All steps but those that take seconds, for after each kill: of approvals, which start a program for each word that a person says, and the
 * one that waits for the end of an SVID.
 */
const STEPS_BETWEEN: readonly Step<PairScene>[] = [...STEPS, ...PAIR_STEPS].filter(
  (one) => !(PAIR_APPROVAL_STEPS as readonly Step<PairScene>[]).includes(one) && one.want.reason !== 'svid-expired'
)

type Say = (line: string) => void

export interface Round {
  readonly round: number
  /** Every way answered a good call in this round: through the gateway, through each agent's Envoy, and at the second index. */
  readonly passing: boolean
  /** Since the start: hostile calls that were answered with success, and requests at Chroma that carry no verdict for their tenant. */
  readonly broken: readonly string[]
  /** What came of the steps that were last gone through; which time that was, counted from 1. */
  readonly steps?: { readonly time: number; readonly all: number; readonly wrong: readonly string[] } | undefined
}

/** Never ends by itself. */
export async function runEndurance(say: Say): Promise<undefined> {
  const broken: string[] = []
  let [asked, steps]: [number, Round['steps']] = [0, undefined]
  process.on('SIGUSR2', () => {
    asked++
  })
  let scene: PairScene | undefined
  for (let round = 1; ; round++) {
    if (asked > (steps?.time ?? 0)) {
      await scene?.stack.stop()
      scene = undefined
      steps = { time: asked, all: STEPS_BETWEEN.length, wrong: await wrongSteps().catch((cause: Error) => [`not begun: ${cause.message}`]) }
    }
    scene ??= await connectScene(() => undefined, { keep: true }).catch(() => undefined)
    const passing = scene !== undefined && (await oneRound(scene, broken).catch(() => false))
    say(JSON.stringify({ round, passing, broken, steps } satisfies Round))
    await sleep(ROUND_MS)
  }
}

/** Steps that did not come out as expected, on collections made anew. */
async function wrongSteps(): Promise<string[]> {
  const scene = await connectScene(() => undefined)
  const wrong: string[] = []
  try {
    for (const step of STEPS_BETWEEN) {
      const outcome = await runStep(step, scene).catch((cause: Error) => ({ wrong: cause.message }))
      if (outcome.wrong !== undefined) wrong.push(`${step.name}: ${outcome.wrong}`)
    }
  } finally {
    await scene.stack.stop()
  }
  return wrong
}

/** Only while somebody looks: a round without the witness counts as none. */
async function oneRound({ stack, pair, who }: PairScene, broken: string[]): Promise<boolean> {
  const recorder = await watchWitness('witness')
  const scene: PairScene = { stack: { ...stack, recorder }, pair, who }
  try {
    const good = await Promise.all(
      [
        supportSearch(scene),
        callFrom(scene, 'indexer', searchIn(scene, 'acme')),
        callFrom(scene, 'trials', searchIn(scene, 'globex')),
        atSecondIndex(scene)
      ].map(statusOf)
    )
    const foreign = { target: collectionPath(FOREIGN, stack.collections[FOREIGN] ?? '', 'query'), body: searchBody(FOREIGN) }
    const hostile = {
      'another tenant through the pair': callFrom(scene, 'indexer', foreign),
      'another tenant through the gateway': call(stack.door, who.support, foreign),
      'the index without a token': straight(scene, INDEXER, searchIn(scene, 'acme'), undefined),
      'the second index without a token': straight(scene, INDEXER, searchIn(scene, 'acme'), undefined, 1)
    }
    for (const [what, going] of Object.entries(hostile)) if ((await statusOf(going)) === 200) broken.push(`${what}: answered`)
    for (const one of recorder.seen()) if (!judged(one)) broken.push(`at Chroma without a verdict: ${one.method} ${one.target}`)
    return good.every((status) => status === 200)
  } finally {
    await recorder.stop()
  }
}

/** Nobody's tenant here. */
const FOREIGN: TenantId = 'initech'

/** To the Envoy that no agent's Envoy leads to. */
async function atSecondIndex(scene: PairScene): Promise<Answer> {
  const ask = searchIn(scene, 'acme')
  return await straight(scene, INDEXER, ask, await tokenFor(scene, INDEXER, ask), 1)
}

/** Good calls here are acme's and globex', each in its own tenant. */
function judged({ target, headers }: Recorded): boolean {
  return ['acme', 'globex'].some((tenant) => target.startsWith(`/api/v2/tenants/${tenant}/`) && headers['x-tenant-id'] === tenant)
}

function statusOf(going: Promise<Answer>): Promise<Answer['status'] | 'none'> {
  return going.then(
    ({ status }) => status,
    () => 'none'
  )
}

/** Of collections, by the way that leads to them. */
const KEPT = { pair: 'scratch-kept-pair', gateway: 'scratch-kept-gateway' }

/** What people decide before the kills: a yes to a drop, and workloads whose sessions another system has revoked … */
export async function runBefore(say: Say): Promise<number> {
  const scene = await connectScene(() => undefined)
  for (const name of Object.values(KEPT)) await make(scene, name)
  const [index, gateway] = desks(scene)
  const ids = { pair: requestOf(await dropBy.pair(scene)), gateway: requestOf(await dropBy.gateway(scene)) }
  await Promise.all([
    tell(scene, APPROVER, index, 'approve', ids.pair, '--reason', 'before the kills'),
    tell(scene, APPROVER, gateway, 'approve', ids.gateway, '--reason', 'before the kills'),
    tell(scene, OPERATOR, index, 'signal', TRIALS, 'session_revoked', '--reason', 'before the kills'),
    tell(scene, OPERATOR, gateway, 'signal', PAYROLL, 'session_revoked', '--reason', 'before the kills')
  ])
  say(`approved: ${Object.values(ids).join(', ')}`)
  say(await quarantined(scene))
  return 0
}

const dropBy = {
  pair: (scene: PairScene) => callFrom(scene, 'indexer', { method: 'DELETE', target: namedPath('acme', KEPT.pair) }),
  gateway: (scene: PairScene) => drop(scene, KEPT.gateway)
}

/** … holds after them: each yes once, each quarantine until it is released. */
export async function runAfter(say: Say): Promise<number> {
  const scene = await connectScene(() => undefined, { keep: true })
  await calm(scene)
  for (const [name, dropped] of Object.entries(dropBy)) {
    const [first, second] = [await dropped(scene), await dropped(scene)]
    say(`drop through the ${name}: ${first.status}, then ${second.status} ${second.reason}`)
  }
  say(await quarantined(scene))
  const [index, gateway] = desks(scene)
  await Promise.all([
    tell(scene, OPERATOR, index, 'release', TRIALS, '--reason', 'after the kills'),
    tell(scene, OPERATOR, gateway, 'release', PAYROLL, '--reason', 'after the kills')
  ])
  say(`released: ${await quarantined(scene)}`)
  return 0
}

/** Waits until good calls pass both ways: an Envoy learns within seconds that a server is there again, and perhaps elsewhere. */
async function calm(scene: PairScene): Promise<void> {
  const until = performance.now() + CALM_MS_MAX
  for (;;) {
    const statuses = await Promise.all([supportSearch(scene), callFrom(scene, 'indexer', searchIn(scene, 'acme'))].map(statusOf))
    if (statuses.every((status) => status === 200)) return
    if (performance.now() > until) throw new Error(`good calls do not pass: ${statuses.join(', ')}`)
    await sleep(ROUND_MS)
  }
}

/** The index server that the agents' calls come to, and the gateway's. */
function desks({ stack, pair }: PairScene) {
  return [{ port: pair.indexes[0].adminPort, server: INDEX_SERVER }, gatewayDesk(stack.server)] as const
}

async function tell({ stack }: PairScene, id: string, desk: ReturnType<typeof gatewayDesk>, ...words: string[]): Promise<void> {
  const { exit, out, err } = await admin(stack, id, desk, ...words)
  if (exit !== 0) throw new Error(`vecauthz ${words[0]} ended with ${exit}: ${out}${err}`)
}

/** The handbook by its name: whoever only looks after the kills knows no UUID. */
async function quarantined(scene: PairScene): Promise<string> {
  const answers = {
    trials: await callFrom(scene, 'trials', { target: namedPath('globex') }),
    payroll: await call(scene.stack.door, scene.who.payroll, { target: namedPath('initech') })
  }
  return Object.entries(answers)
    .map(([name, { status, reason }]) => `${name}: ${status} ${reason ?? ''}`.trim())
    .join(', ')
}
