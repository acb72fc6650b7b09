/** Lines of the audit file that are no decisions, and that what reads decisions passes over them and over nothing else. */
import { afterAll, describe, expect, it } from 'vitest'
import { approvalLine, operatorActLine } from '../../src/audit/act-record.ts'
import type { ApprovalEntry } from '../../src/core/approval.ts'
import type { OperatorAct } from '../../src/core/operator-act.ts'
import { folderOf } from '../support/offline.ts'

const AT = Date.UTC(2026, 10, 21)
const ALICE = 'spiffe://demo.vecauthz.test/people/alice'

const ACT: OperatorAct = {
  at: AT,
  actId: 'act-1',
  stage: 'begun',
  act: 'approval.approve',
  by: ALICE,
  serial: '0a',
  about: 'id-1',
  reason: 'ticket 7',
  status: undefined,
  facts: undefined
}

const ENTRY: ApprovalEntry = {
  id: 'id-1',
  step: 'approval',
  state: 'used',
  caller: 'spiffe://demo.vecauthz.test/acme/indexer',
  blocked: [],
  operation: 'drop',
  endpoint: 'collection.drop',
  database: 'demo',
  tenant: 'acme',
  targets: ['rag/handbook'],
  digest: 'D',
  run: 'job-7',
  because: 'approvals lists drop',
  askedAt: AT,
  lastsMs: 300_000,
  until: AT + 300_000,
  by: ALICE,
  reason: 'ticket 7'
}

const folder = folderOf()
afterAll(() => folder.remove())

describe('audit lines that are no decisions', () => {
  it('an act: who, what, about what, why', () => {
    const { at, actId, status: _, facts: __, ...rest } = ACT
    expect(JSON.parse(operatorActLine(ACT))).toEqual({ ts: new Date(at).toISOString(), kind: 'operator_act', act_id: actId, ...rest })
    const done = operatorActLine({ ...ACT, stage: 'done', status: 200, facts: { targets: ['rag/handbook'] } })
    expect(JSON.parse(done)).toMatchObject({ stage: 'done', status: 200, targets: ['rag/handbook'] })
  })

  it('facts never change who did it', () => {
    const line = operatorActLine({ ...ACT, facts: { by: 'somebody else', kind: 'decision', targets: [] } })
    expect(JSON.parse(line)).toMatchObject({ by: ALICE, kind: 'operator_act' })
  })

  it('a use: what was approved, by whom, why', () => {
    const what = { id: 'id-1', operation: 'drop', targets: ['rag/handbook'], digest: 'D', run: 'job-7', by: ALICE, reason: 'ticket 7' }
    expect(JSON.parse(approvalLine('used', ENTRY, AT))).toMatchObject({ kind: 'approval', stage: 'used', ...what })
    expect(JSON.parse(approvalLine('asked', { ...ENTRY, digest: '' }, AT))).not.toHaveProperty('digest')
  })

  it('a reason stays within its line', () => {
    expect(operatorActLine({ ...ACT, reason: 'a\n{"ts":"","verdict":"allow"}' }).includes('\n')).toBe(false)
  })

  it('replay passes over them, and over no line that is damaged', async () => {
    const decision = { ts: new Date(AT).toISOString(), decision_id: 'd-1', verdict: 'deny', reason: 'no-identity', policy_revision: 'r' }
    const lines = [operatorActLine(ACT), approvalLine('asked', ENTRY, AT), JSON.stringify(decision)]
    const replayed = async (name: string, ...all: readonly string[]) =>
      folder.run('replay', folder.file(name, `${all.join('\n')}\n`), '--policy', `${folder.path}/policy.yaml`, '--config', folder.path)
    expect(await replayed('good.jsonl', ...lines)).toMatchObject({ code: 0, out: expect.stringContaining('1 decisions') })
    expect((await replayed('bad.jsonl', ...lines, '{"ts":"now","kind":"something"}')).code).toBe(2)
  })
})
