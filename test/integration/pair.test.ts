/** The pair on the wire: the demo's steps, and what only shows when one looks at both ends. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { parse, stringify } from 'yaml'
import { EGRESS_SERVER, INDEX_ENVOY, INDEXER } from '../../demo/identities.ts'
import { askEgress, callFrom, type Pair, type PairScene, startPair } from '../../demo/pair.ts'
import { askDirectly, type DirectAsk } from '../../demo/pair-check.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { runStep, sceneOf } from '../../demo/step.ts'
import { PAIR_STEPS, searchIn, straight, tokenFor, writeIn } from '../../demo/steps-pair.ts'
import { POLICY_TOKEN_HEADER } from '../../src/core/policy-token.ts'

let stack: Stack
let pair: Pair
let scene: PairScene

beforeAll(async () => {
  const say = () => undefined
  // The budgets are for the gateway's demo; here they would refuse before what is tested does.
  const policy = (document: { budget: object; workloads: { budget?: object }[] }) => {
    document.budget = { per_second: 1000, burst: 10_000 }
    for (const one of document.workloads) delete one.budget
  }
  stack = await startStack({ folder: join(import.meta.dirname, '../../.run/test-pair'), say, policy })
  pair = await startPair(stack, { say })
  scene = { ...sceneOf(stack), pair }
})
afterAll(async () => {
  await pair?.stop()
  await stack?.stop()
})
beforeEach(() => stack.recorder.clear())

describe("the demo's steps of the pair", () => {
  it('are of each kind, the refused ones most', () => {
    expect(new Set(PAIR_STEPS.map((one) => one.name)).size).toBe(PAIR_STEPS.length)
    const refused = PAIR_STEPS.filter(({ want }) => want.status === 'tls' || want.status >= 400)
    expect(refused.length).toBeGreaterThanOrEqual(30)
    expect(refused.filter(({ rule }) => rule !== undefined).length).toBeGreaterThanOrEqual(29)
    const reasons = new Set(refused.map(({ want }) => want.reason))
    for (const reason of ['token-missing', 'token-invalid', 'token-expired', 'token-mismatch'] as const) expect(reasons).toContain(reason)
  })

  it.each(PAIR_STEPS.map((step) => ({ name: step.name, step })))('$name', async ({ step }) => {
    const { wrong, answer } = await runStep(step, scene)
    expect(wrong).toBeUndefined()
    if (step.rule === undefined) return
    // Refused for what it shows, and not for something else that is wrong with it.
    const { because } = await recorded([pair.auditFiles.index, pair.auditFiles.index2], answer.decisionId)
    expect(because).toMatch(new RegExp(`^${step.rule}: `))
  })
})

describe('one use of a token for a write', () => {
  /** As the Envoy in front of the database asks; `id` is the name of its check. */
  const asIndexEnvoy = async (ask: DirectAsk, id: string, at: 0 | 1 = 0) => {
    const asserted = { id: INDEXER, chainPem: stack.credentials(INDEXER).cert }
    const server = { port: pair.indexes[at].port, ca: stack.door.ca }
    return (await askDirectly(server, stack.credentials(INDEX_ENVOY), { ...ask, asserted, id })).answer
  }
  const withToken = async (): Promise<DirectAsk> => {
    const ask = writeIn(scene)
    return { ...ask, headers: { [POLICY_TOKEN_HEADER]: await tokenFor(scene, INDEXER, ask) } }
  }

  it('is one however often Envoy repeats its check, and another check is another', async () => {
    const ask = await withToken()
    const first = await asIndexEnvoy(ask, '71')
    const repeated = await asIndexEnvoy(ask, '71')
    expect([first.status, repeated.status]).toEqual([200, 200])
    expect(await asIndexEnvoy(ask, '72')).toMatchObject({ status: 401, reason: 'token-mismatch' })
  })

  it('is one also when Envoy repeats its check at the other process', async () => {
    const ask = await withToken()
    const first = await asIndexEnvoy(ask, '73')
    const repeated = await asIndexEnvoy(ask, '73', 1)
    expect([first.status, repeated.status]).toEqual([200, 200])
    expect(await asIndexEnvoy(ask, '74', 1)).toMatchObject({ status: 401, reason: 'token-mismatch' })
  })

  it('is one of many that come at once to both processes', async () => {
    const ask = writeIn(scene)
    const token = await tokenFor(scene, INDEXER, ask)
    const answers = await Promise.all(Array.from({ length: 12 }, (_, at) => straight(scene, INDEXER, ask, token, (at % 2) as 0 | 1)))
    const statuses = answers.map(({ status }) => status).sort()
    expect(statuses).toEqual([201, ...Array(11).fill(401)])
    expect(stack.recorder.seen()).toHaveLength(1)
  })
})

describe('records', () => {
  it('of both ends are found by each other: the token is named after the decision that gave it', async () => {
    const answer = await callFrom(scene, 'indexer', searchIn(scene, 'acme'))
    expect(answer.status).toBe(200)
    const index = await recorded(pair.auditFiles.index, answer.decisionId)
    const egress = await recorded(pair.auditFiles.egress, index.policy_token.jti)
    expect(index).toMatchObject({ role: 'index', verdict: 'allow', tenant: 'acme', policy_token: { issuer: EGRESS_SERVER } })
    expect(egress).toMatchObject({ role: 'egress', verdict: 'allow', tenant: 'acme' })
    expect([egress.envoy, egress.caller.spiffe_id, index.caller.spiffe_id]).toEqual([INDEXER, INDEXER, INDEXER])
  })

  it('hold no token', async () => {
    await callFrom(scene, 'indexer', searchIn(scene, 'acme'))
    for (const file of Object.values(pair.auditFiles)) expect(readFileSync(file, 'utf8')).not.toMatch(/eyJ[A-Za-z0-9_-]{20}/)
    expect(readFileSync(join(stack.folder, 'pair/vecauthz.log'), 'utf8')).not.toMatch(/eyJ[A-Za-z0-9_-]{20}/)
  })
})

describe('SVIDs that are renewed', () => {
  it('break no token: neither that of the egress server, nor that of the agent', async () => {
    const ask = searchIn(scene, 'acme')
    const before = await tokenFor(scene, INDEXER, ask)
    stack.issuer.rotate(EGRESS_SERVER)
    stack.issuer.rotate(INDEXER)
    const after = await vi.waitFor(
      async () => {
        const token = await tokenFor(scene, INDEXER, ask)
        expect(headerOf(token)).not.toBe(headerOf(before))
        return token
      },
      { timeout: 10_000, interval: 100 }
    )
    for (const token of [before, after]) expect((await straight(scene, INDEXER, ask, token)).status).toBe(200)
    expect((await callFrom(scene, 'indexer', ask)).status).toBe(200)
  })
})

describe('a policy in shadow', () => {
  const globex = () => searchIn(scene, 'globex')

  it('at egress alone lets pass what the index then denies, for the reason that egress had', async () => {
    await setMode('egress', 'shadow', async () => (await askEgress(scene, INDEXER, globex())).answer.status === 200)
    expect(await callFrom(scene, 'indexer', globex())).toMatchObject({ status: 403, reason: 'tenant-not-allowed' })
    expect(stack.recorder.seen()).toEqual([])
  })

  it('at both ends lets it pass, and says at both what it would have been', async () => {
    const passes = async () => (await callFrom(scene, 'indexer', globex())).status === 200
    await setMode('index', 'shadow', passes)
    const answer = await callFrom(scene, 'indexer', globex())
    const index = await recorded(pair.auditFiles.index, answer.decisionId)
    const egress = await recorded(pair.auditFiles.egress, index.policy_token.jti)
    for (const one of [index, egress]) expect(one).toMatchObject({ verdict: 'allow', judged: 'deny', judged_reason: 'tenant-not-allowed' })
  })

  it('does not make a token less needed: there is none in the place of a denial of that', async () => {
    expect(await straight(scene, INDEXER, globex(), undefined)).toMatchObject({ status: 401, reason: 'token-missing' })
    expect(await straight(scene, INDEXER, globex(), await tokenFor(scene, INDEXER, searchIn(scene, 'acme')))).toMatchObject({
      status: 401,
      reason: 'token-mismatch'
    })
    expect(stack.recorder.seen()).toEqual([])
  })

  it('is enforced again when it is taken out', async () => {
    await setMode('egress', 'enforce', async () => (await callFrom(scene, 'indexer', globex())).status === 403)
    await setMode('index', 'enforce', async () => true)
    expect((await callFrom(scene, 'indexer', searchIn(scene, 'acme'))).status).toBe(200)
  })
})

describe('a state that is emptied', () => {
  it('brings back no token that was used, lets reads go on, and takes writes again soon', async () => {
    const write = writeIn(scene)
    const used = await tokenFor(scene, INDEXER, write)
    expect((await straight(scene, INDEXER, write, used)).status).toBe(201)
    for (const end of ['', '-wal', '-shm']) rmSync(join(stack.folder, `pair/index.sqlite${end}`), { force: true })
    const refused: (string | undefined)[] = []
    await vi.waitFor(
      async () => {
        const again = await straight(scene, INDEXER, write, used)
        refused.push(again.reason)
        expect((await callFrom(scene, 'indexer', searchIn(scene, 'acme'))).status).toBe(200)
        expect((await callFrom(scene, 'indexer', writeIn(scene))).status).toBe(201)
      },
      { timeout: 20_000, interval: 200 }
    )
    refused.push((await straight(scene, INDEXER, write, used)).reason)
    expect(refused.filter((reason) => reason !== 'state-unavailable' && reason !== 'token-mismatch')).toEqual([])
    expect(refused).toContain('state-unavailable')
  })
})

describe('without a server', () => {
  it('of the index there is 503, and nothing reaches the database', async () => {
    await pair.indexes[1].stop()
    const ask = searchIn(scene, 'acme')
    const token = await tokenFor(scene, INDEXER, ask)
    expect(await straight(scene, INDEXER, ask, token, 1)).toMatchObject({ status: 503 })
    expect(stack.recorder.seen()).toEqual([])
    expect((await straight(scene, INDEXER, ask, token)).status).toBe(200)
  })

  it('of the egress there is 503 at the agent, and no other way', async () => {
    await pair.egress.stop()
    const ask = searchIn(scene, 'acme')
    expect(await callFrom(scene, 'indexer', ask)).toMatchObject({ status: 503 })
    expect(await straight(scene, INDEXER, ask, undefined)).toMatchObject({ status: 401, reason: 'token-missing' })
    expect(stack.recorder.seen()).toEqual([])
  })
})

/** Saves the policy of one end with this mode, and waits until it has its effect. */
async function setMode(kind: 'egress' | 'index', mode: 'shadow' | 'enforce', effective: () => Promise<boolean>): Promise<void> {
  const file = pair.policyFiles[kind]
  const document = parse(readFileSync(file, 'utf8'))
  writeFileSync(`${file}.new`, stringify({ ...document, mode }))
  renameSync(`${file}.new`, file)
  await vi.waitFor(async () => expect(await effective()).toBe(true), { timeout: 15_000, interval: 100 })
  stack.recorder.clear()
}

/** The record of a decision, in one of these files; it is written soon after the answer. */
function recorded(files: string | readonly string[], decisionId: string | undefined) {
  return vi.waitFor(
    () => {
      const lines = [files].flat().flatMap((file) => readFileSync(file, 'utf8').split('\n'))
      const line = lines.find((one) => one.includes(`"decision_id":"${decisionId}"`))
      return line === undefined ? expect.fail(`there is no record of ${decisionId}`) : JSON.parse(line)
    },
    { timeout: 5_000, interval: 50 }
  )
}

function headerOf(token: string): string {
  return token.split('.')[0] ?? ''
}
