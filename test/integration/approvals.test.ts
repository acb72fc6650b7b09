/** Approvals on the wire: the demo's steps, and what only shows in the records, with a second process, or after a death. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { parse, stringify } from 'yaml'
import { admin, gatewayDesk } from '../../demo/approve.ts'
import { APPROVER, GATEWAY_ENVOY, INDEXER, OPERATOR } from '../../demo/identities.ts'
import { askDirectly } from '../../demo/pair-check.ts'
import { type ServerProcess, type Stack, startServerProcess, startStack } from '../../demo/stack.ts'
import { namedPath, runStep, sceneOf, searchBody, supportSearch } from '../../demo/step.ts'
import { APPROVAL_STEPS, type ApprovalScene, drop, isThere, make, requestOf } from '../../demo/steps-approvals.ts'

/** The shortest that a policy may say. */
const APPROVAL_MS = 30_000
/** The line of the policy, also when that was reloaded. */
const ASKED_BY = /^policy\.yaml:\d+ approvals lists drop$/
const REASON = 'it is moved, and 3 people know'

let stack: Stack
let scene: ApprovalScene
let again: ServerProcess | undefined
/** Approved when the tests begin, and not used until they end. */
let late: { readonly id: string; readonly approvedAt: number }

beforeAll(async () => {
  // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
  const policy = (document: any) => {
    document.budget = { per_second: 1000, burst: 10_000 }
    document.approvals.seconds = APPROVAL_MS / 1000
  }
  stack = await startStack({ folder: join(import.meta.dirname, '../../.run/test-approvals'), say: () => undefined, policy })
  scene = { ...sceneOf(stack), requests: new Map() }
  const id = await asked('scratch-late')
  await approve(id)
  late = { id, approvedAt: performance.now() }
})
afterAll(async () => {
  await again?.stop()
  await stack?.stop()
})
beforeEach(() => stack.recorder.clear())

/** Makes it, and has its drop refused: the request that waits. */
async function asked(name: string): Promise<string> {
  await make(scene, name)
  const id = requestOf(await drop(scene, name))
  expect(await isThere(stack, name)).toBe(true)
  return id
}

async function approve(id: string, lane: ServerProcess = stack.writes): Promise<void> {
  expect(await admin(stack, APPROVER, gatewayDesk(lane), 'approve', id, '--reason', REASON)).toMatchObject({ exit: 0 })
}

type Line = Readonly<Record<string, unknown>>

function linesOf(file: string): Line[] {
  const text = readFileSync(file, 'utf8')
  return text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Line]))
}

/** The lines that match, as soon as there are so many: they are written soon after the answer. */
function recorded(file: string, count: number, matches: (line: Line) => boolean): Promise<Line[]> {
  return vi.waitFor(
    () => {
      const found = linesOf(file).filter(matches)
      return found.length >= count ? found : expect.fail(`${found.length} lines of ${count}`)
    },
    { timeout: 3_000, interval: 50 }
  )
}

describe("the demo's steps of approvals", () => {
  it.each(APPROVAL_STEPS.map((step) => ({ name: step.name, step })))('$name', async ({ step }) => {
    expect((await runStep(step, scene)).wrong).toBeUndefined()
  })
})

describe('records', () => {
  const actsFile = () => join(stack.folder, 'audit-writes.jsonl')
  const id = () => scene.requests.get('drop') ?? ''

  it('of the request and of its use: who wanted what, what the yes was for, who gave it and why', async () => {
    const lines = await recorded(stack.auditFile, 2, (line) => line['kind'] === 'approval' && line['id'] === id())
    const what = { step: 'approval', caller: INDEXER, operation: 'drop', database: 'demo', tenant: 'acme', targets: ['rag/scratch-old'] }
    const [first, last] = lines
    expect(lines.map((line) => line['stage'])).toEqual(['asked', 'used'])
    for (const line of lines) expect(line).toMatchObject({ ...what, because: expect.stringMatching(ASKED_BY) })
    expect(last).toMatchObject({ by: APPROVER, reason: 'ticket 4711: moved to the archive', digest: first?.['digest'] })
    expect(first).not.toHaveProperty('by')
  })

  it('of the decision: under which approval it passed', async () => {
    const isDecision = ({ approval }: Line) => (approval as { id?: string } | undefined)?.id === id()
    const lines = await recorded(stack.auditFile, 3, isDecision)
    const passed = lines.filter((line) => line['verdict'] === 'allow')
    expect(passed).toEqual([expect.objectContaining({ operation: 'drop', approval: { state: 'approved', id: id(), by: APPROVER } })])
    expect(lines.filter((line) => line['verdict'] === 'deny').every((line) => line['reason'] === 'approval-required')).toBe(true)
  })

  it('of every act, before it and after it: also of those that were refused', async () => {
    const acts = await recorded(actsFile(), 6, (line) => line['kind'] === 'operator_act' && line['about'] === id())
    const told = acts.map(({ by, stage, status }) => [by, stage, status])
    expect(told).toEqual([
      [INDEXER, 'begun', undefined],
      [INDEXER, 'refused', 403],
      [OPERATOR, 'begun', undefined],
      [OPERATOR, 'refused', 403],
      [APPROVER, 'begun', undefined],
      [APPROVER, 'done', 200]
    ])
    const done = acts.at(-1)
    expect(done).toMatchObject({ act: 'approval.approve', reason: 'ticket 4711: moved to the archive', caller: INDEXER, operation: 'drop' })
    expect(done).toMatchObject({
      act_id: acts.at(-2)?.['act_id'],
      serial: expect.stringMatching(/^[0-9a-f]+$/),
      targets: ['rag/scratch-old']
    })
  })

  it('of a run that was ended: by whom', async () => {
    const acts = await recorded(actsFile(), 2, (line) => line['act'] === 'run.end')
    expect(acts.map(({ by, about, stage }) => [by, about, stage])).toEqual([
      [INDEXER, 'nightly-7', 'begun'],
      [INDEXER, 'nightly-7', 'done']
    ])
  })
})

describe('two processes of one gateway', () => {
  let checks = 0
  /** As the gateway's Envoy asks a lane, which its routes would not do for a drop. */
  const askLane = async (lane: ServerProcess, name: string) => {
    const ask = { method: 'DELETE', target: namedPath('acme', name), id: `lane-${++checks}` }
    const asserted = { id: INDEXER, chainPem: scene.who.indexer.cert }
    return (await askDirectly({ port: lane.port, ca: stack.door.ca }, stack.credentials(GATEWAY_ENVOY), { ...ask, asserted })).answer
  }

  it('know one request, whichever was asked; approved at the one, it is used at the other, and used up at both', async () => {
    const id = await asked('scratch-lanes')
    expect(await askLane(stack.writes, 'scratch-lanes')).toMatchObject({ status: 403, reason: 'approval-required', approvalId: id })
    await approve(id, stack.server)
    expect(await askLane(stack.writes, 'scratch-lanes')).toMatchObject({ status: 200 })
    for (const lane of [stack.server, stack.writes]) {
      const after = await askLane(lane, 'scratch-lanes')
      expect(after).toMatchObject({ status: 403, reason: 'approval-required' })
      expect(requestOf(after)).not.toBe(id)
    }
  })

  it('let one of many pass that come to both at once', async () => {
    await approve(await asked('scratch-race'))
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, at) => askLane(at % 2 === 0 ? stack.server : stack.writes, 'scratch-race'))
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    // Whoever came too late, or could not know: no other of them passes.
    for (const { status, reason } of answers.filter((one) => one.status !== 200))
      expect([`403 approval-required`, `503 state-unavailable`]).toContain(`${status} ${reason}`)
  })
})

describe('whoever has left the list of approvers', () => {
  // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
  const save = async (change: (document: any) => void, effective: () => Promise<boolean>) => {
    const document = parse(readFileSync(stack.policyFile, 'utf8'))
    change(document)
    writeFileSync(`${stack.policyFile}.new`, stringify(document))
    renameSync(`${stack.policyFile}.new`, stack.policyFile)
    await vi.waitFor(async () => expect(await effective()).toBe(true), { timeout: 15_000, interval: 100 })
    stack.recorder.clear()
  }

  it('has approved nothing by then, and approves nothing more', async () => {
    const id = await asked('scratch-left')
    await approve(id)
    const before = readFileSync(stack.policyFile, 'utf8')
    const searches = async () => (await supportSearch(scene, { body: searchBody('acme', 0, { n_results: 7 }) })).status
    // The limit is for seeing that the policy is in force.
    await save(
      (document) => {
        document.approvals.approvers = [INDEXER]
        document.limits.top_k = 6
      },
      async () => (await searches()) === 413
    )
    const other = await drop(scene, 'scratch-left')
    expect(requestOf(other)).not.toBe(id)
    const [line] = await recorded(stack.auditFile, 1, ({ kind, id: of }) => kind === 'approval' && of === requestOf(other))
    expect(line).toMatchObject({ because: expect.stringMatching(ASKED_BY) })
    expect(await admin(stack, APPROVER, gatewayDesk(stack.server), 'approve', requestOf(other), '--reason', REASON)).toMatchObject({
      exit: 1
    })
    expect(stack.recorder.seen()).toEqual([])
    await save(
      (document) => Object.assign(document, parse(before)),
      async () => (await searches()) === 200
    )
    await approve(requestOf(other), stack.server)
    expect((await drop(scene, 'scratch-left')).status).toBe(200)
  })
})

describe('a server that is killed between the yes and the use', () => {
  it('has lost neither what was approved, nor what waits', async () => {
    const approved = await asked('scratch-killed')
    const waiting = await asked('scratch-waiting')
    await approve(approved, stack.server)
    // Lines are written a tenth of a second later.
    await recorded(stack.auditFile, 2, (line) => line['kind'] === 'operator_act' && line['about'] === approved)
    for (const { pid } of [stack.server, stack.writes]) process.kill(pid, 'SIGKILL')
    await vi.waitFor(async () => expect((await drop(scene, 'scratch-killed')).status).toBe(503), { timeout: 5_000, interval: 50 })
    expect(stack.recorder.seen()).toEqual([])
    // Where Envoy looks for it.
    const settings = join(stack.folder, 'vecauthz-again.yaml')
    const { listen: _, ...kept } = parse(readFileSync(join(stack.folder, 'vecauthz.yaml'), 'utf8'))
    writeFileSync(settings, stringify({ ...kept, listen: `127.0.0.1:${stack.server.port}` }))
    again = await startServerProcess(stack.folder, settings)
    await vi.waitFor(async () => expect((await supportSearch(scene)).status).toBe(200), { timeout: 15_000, interval: 100 })
    stack.recorder.clear()

    const { out } = await admin(stack, OPERATOR, gatewayDesk(again), 'approvals', '--all')
    expect(out).toContain(`${approved}  approval, approved`)
    expect(out).toContain(`${waiting}  approval, waiting`)
    // Its Envoy may find it not ready once more, and then asks nobody.
    const dropped = await vi.waitFor(
      async () => {
        const answer = await drop(scene, 'scratch-killed')
        return answer.status === 503 ? expect.fail('nobody is asked') : answer
      },
      { timeout: 5_000, interval: 100 }
    )
    expect(dropped.status).toBe(200)
    expect([await isThere(stack, 'scratch-killed'), await isThere(stack, 'scratch-waiting')]).toEqual([false, true])
    await make(scene, 'scratch-killed')
    expect(requestOf(await drop(scene, 'scratch-killed'))).not.toBe(approved)
  })
})

describe('an approval that has expired', () => {
  it('lets nothing pass: the call waits for another', async () => {
    await sleep(Math.max(0, late.approvedAt + APPROVAL_MS + 200 - performance.now()))
    const after = await drop(scene, 'scratch-late')
    expect(requestOf(after)).not.toBe(late.id)
    expect(stack.recorder.seen()).toEqual([])
    expect(await isThere(stack, 'scratch-late')).toBe(true)
    await approve(requestOf(after), again)
    expect((await drop(scene, 'scratch-late')).status).toBe(200)
  })
})
