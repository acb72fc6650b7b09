/** A drop is blocked, asked for, approved by somebody else, passes once, and is blocked again. From Envoy's bytes to the verdict. */
import { CheckResponse } from '@envoyproxy/protos/auth'
import { beforeEach, describe, expect, it } from 'vitest'
import { auditLine } from '../../src/audit/record.ts'
import type { ApprovalDesk } from '../../src/core/approval.ts'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { createDecider, type Decided } from '../../src/envoy/decide.ts'
import { mayApprove } from '../../src/policy/approval-need.ts'
import { createApprovalDesk } from '../../src/state/approval-desk.ts'
import { createApprovals } from '../../src/state/approvals.ts'
import { createMemory } from '../../src/state/memory.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'
import type { World } from '../../src/world.ts'
import { envoyPem, issueSvid, type Svid } from '../support/ca.ts'
import { type CheckParts, checkRequest } from '../support/check-request.ts'
import { POLICY, policyOf } from '../support/policy.ts'
import { testWorld } from '../support/world.ts'

const ENVOY = { ok: true, id: 'spiffe://demo.vecauthz.test/envoy/gateway' } as const
const PLACE = '/api/v2/tenants/acme/databases/rag/collections'
const APPROVER = 'spiffe://demo.vecauthz.test/people/ada'
const INDEXER = 'spiffe://demo.vecauthz.test/acme/indexer'
const TEXT = `${POLICY}approvals: { actions: [drop], approvers: [${APPROVER}, ${INDEXER}], seconds: 60 }\n`
const drop = (name = 'handbook', headers: CheckParts['headers'] = []): CheckParts => ({
  method: 'DELETE',
  path: `${PLACE}/${name}`,
  headers
})

const test = await testWorld()
const svids = new Map<string, Svid>()
let now = Date.now()
let world: World
let desk: ApprovalDesk
let checks = 0

beforeEach(() => {
  now = Date.now()
  const policy = policyOf(TEXT)
  const parts = { store: createMemoryStore(), mayApprove: (id: ReturnType<typeof idOf>) => mayApprove(id, policy), onStep: () => true }
  desk = createApprovalDesk(parts)
  world = { ...test.world, policy, memory: createMemory(), approvals: createApprovals(parts) }
})

function idOf(text: string) {
  const parsed = parseSpiffeId(text)
  if (!parsed.ok) throw new Error(parsed.detail)
  return parsed.id
}

async function ask(parts: CheckParts, path = '/acme/indexer', its: World = world) {
  const svid = svids.get(path) ?? (await issueSvid(test.root, { id: `spiffe://demo.vecauthz.test${path}` }))
  svids.set(path, svid)
  const records: Decided[] = []
  const decider = createDecider({
    now: () => now,
    tick: () => 0,
    newDecisionId: () => crypto.randomUUID(),
    world: () => its,
    credentials: () => undefined,
    record: (one) => records.push(one) > 0,
    onFault: (_, cause) => {
      throw cause
    },
    deadlineMs: 1_000,
    pendingMax: 10
  })
  const message = checkRequest({ id: `d${++checks}`, certificate: envoyPem(svid.chain[0] as Uint8Array), principal: svid.id, ...parts })
  const response = CheckResponse.decode(await decider.decide(message, ENVOY))
  const denied = response.deniedResponse
  const problem = denied === undefined ? undefined : (JSON.parse(denied.body) as { reason: string; approval_id?: string; detail: string })
  const header = denied?.headers.find(({ header: one }) => one?.key === 'x-vecauthz-approval')?.header?.value
  expect(header).toBe(problem?.approval_id)
  return {
    reason: problem?.reason ?? 'allow',
    id: problem?.approval_id ?? '',
    problem,
    record: JSON.parse(auditLine(records[0] as Decided))
  }
}

const approve = (id: string, by = APPROVER) => desk.decide(id, 'approve', idOf(by), 'the old handbook is archived', now)

describe('dropping a collection', () => {
  it('is blocked, requested, approved by another, passes once, and is blocked again', async () => {
    const first = await ask(drop())
    expect([first.reason, first.id]).toEqual(['approval-required', expect.stringMatching(/./)])
    expect(first.problem?.detail).toContain(first.id)
    const again = await ask(drop())
    expect([again.reason, again.id]).toEqual(['approval-required', first.id])
    expect(await approve(first.id)).toMatchObject({ kind: 'done' })
    const passed = await ask(drop(undefined, []), undefined)
    expect([passed.reason, passed.record.approval]).toEqual(['allow', { state: 'approved', id: first.id, by: APPROVER }])
    const after = await ask(drop())
    expect(after.reason).toBe('approval-required')
    expect(after.id).not.toBe(first.id)
  })

  it('the same check again is the same use: Envoy repeats it', async () => {
    const { id } = await ask(drop())
    await approve(id)
    const parts = { ...drop(), id: 'one-and-the-same' }
    expect([(await ask(parts)).reason, (await ask(parts)).reason, (await ask(drop())).reason]).toEqual([
      'allow',
      'allow',
      'approval-required'
    ])
  })

  it('nobody approves its own call, nor does anybody whom the policy does not name', async () => {
    const { id } = await ask(drop())
    for (const by of [INDEXER, 'spiffe://demo.vecauthz.test/people/eve']) expect((await approve(id, by)).kind).not.toBe('done')
    expect((await ask(drop())).reason).toBe('approval-required')
  })

  it.each([
    ['another collection', drop('scratch-1')],
    ['another request for the same one', { ...drop(), path: `${PLACE}/handbook?x=1` }],
    ['another run', drop('handbook', [['x-vecauthz-run', 'night-2']])]
  ])('is not approved for %s', async (_, other) => {
    const { id } = await ask(drop())
    await approve(id)
    expect((await ask(other)).reason).not.toBe('allow')
    expect((await ask(drop())).reason).toBe('allow')
  })

  it('is not approved for longer than the policy says, and not for a run that has ended', async () => {
    const { id } = await ask(drop())
    await approve(id)
    now += 60_001
    expect((await ask(drop())).reason).toBe('approval-required')
    const run = drop('handbook', [['x-vecauthz-run', 'night-1']])
    const other = await ask(run)
    await approve(other.id)
    expect((await desk.endRun('night-1', undefined, now)).kind).toBe('done')
    expect((await ask(run)).reason).toBe('approval-required')
  })

  it('a run that is no name is not read over', async () => {
    const { id } = await ask(drop())
    await approve(id)
    expect((await ask(drop('handbook', [['x-vecauthz-run', 'night 1']]))).reason).toBe('call-unreadable')
    expect((await ask(drop())).reason).toBe('allow')
  })

  it('a caller whom no rule lets drop asks nobody; without a place for approvals nothing passes', async () => {
    const refused = await ask(drop(), '/acme/support')
    expect([refused.reason, refused.id]).toEqual(['delete-not-allowed', ''])
    expect((await ask(drop(), undefined, { ...world, approvals: undefined })).reason).toBe('state-unavailable')
    expect((await desk.list(now)).kind === 'entries').toBe(true)
  })
})

describe('in shadow', () => {
  it('a drop passes and is recorded as one that waits', async () => {
    const shadow = { ...world, policy: policyOf(`mode: shadow\n${TEXT}`) }
    const answer = await ask(drop(), undefined, shadow)
    expect([answer.reason, answer.record.judged_reason]).toEqual(['allow', 'approval-required'])
  })

  it('so do more of them than one caller may ask for, which enforcing does not', async () => {
    const shadow = { ...world, policy: policyOf(`mode: shadow\n${TEXT}`) }
    for (let nth = 0; nth < 33; nth++) expect((await ask(drop(`scratch-${nth}`), undefined, shadow)).reason).toBe('allow')
    expect((await ask(drop('scratch-33'))).reason).toBe('state-unavailable')
    expect((await ask(drop('scratch-33'), undefined, shadow)).record.judged_reason).toBe('approval-required')
  })
})

describe('rules', () => {
  const RULE = TEXT.replace('actions: [drop], approvers', 'actions: [define], approvers').replace(
    '        workloads: [spiffe://demo.vecauthz.test/acme/indexer]\n',
    '        workloads: [spiffe://demo.vecauthz.test/acme/indexer]\n        grant: required\n'
  )
  const write = {
    path: `${PLACE}/11111111-2222-4333-8444-555555555555/add`,
    body: JSON.stringify({ ids: ['a'], embeddings: [[0.1, 0.2]] })
  }

  it('a grant is asked for once and used until it is released', async () => {
    const its = { ...world, policy: policyOf(RULE) }
    const asked = await ask(write, undefined, its)
    expect(asked.reason).toBe('approval-required')
    await approve(asked.id)
    for (let at = 0; at < 3; at++) expect((await ask(write, undefined, its)).reason).toBe('allow')
    expect((await desk.release(asked.id, idOf(INDEXER), now)).kind).toBe('done')
    expect((await ask(write, undefined, its)).reason).toBe('approval-required')
  })

  it('a rule that asks for nothing lets the call pass, wherever it stands', async () => {
    const free = '      - { tenants: [acme], actions: [write], workloads: [spiffe://demo.vecauthz.test/acme/indexer] }\n'
    const anchor = '      - tenants: [acme, globex]\n'
    for (const text of [RULE.replace(anchor, free + anchor), RULE.replace('    allow:\n', `    allow:\n${free}`)])
      expect((await ask(write, undefined, { ...world, policy: policyOf(text) })).reason).toBe('allow')
  })
})
