import { describe, expect, it } from 'vitest'
import type { ApprovalAnswer, ApprovalNeed, Needs } from '../../src/core/approval.ts'
import type { Grant } from '../../src/core/decision.ts'
import { NO_SHAPE, type Operation, type ResolvedTarget, type VectorCall } from '../../src/core/vector-call.ts'
import { DIALECTS } from '../../src/databases/dialects.ts'
import { approvalNeed, approvalRefusal, grantNeed, isIrreversible, mayApprove, runOf, spelled } from '../../src/policy/approval-need.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import { callerOf, callOf, targetOf } from '../support/grants.ts'
import { documentOf, POLICY, policyOf } from '../support/policy.ts'

const ALICE = 'spiffe://demo.vecauthz.test/people/alice'
const INDEXER = 'spiffe://demo.vecauthz.test/acme/indexer'
const APPROVALS = `approvals: { actions: [drop, define, delete], approvers: [spiffe://demo.vecauthz.test/people/*] }\n`
const policy = policyOf(POLICY + APPROVALS)

function faultsOf(text: string): string[] {
  const known = {
    databases: [{ id: 'demo', kind: 'chroma', tenancies: ['path'], namespaces: true, asked: true }],
    subjectIssuers: []
  } as const
  const compiled = compilePolicy(documentOf(text), known, 'r', (path) => path.join('.'))
  return compiled.ok ? [] : compiled.faults.map(({ path, says }) => `${path.join('.')}: ${says}`)
}

describe('approvals in a policy', () => {
  it.each<[name: string, approvals: string, fault: string | undefined]>([
    ['people of a listed trust domain', APPROVALS, undefined],
    ['no actions: only what rules ask for', APPROVALS.replace('[drop, define, delete]', '[]'), undefined],
    [
      'an approver of another trust domain',
      APPROVALS.replace('demo.vecauthz.test/people/*', 'other.test/alice'),
      'Trust domain "other.test" is not listed'
    ],
    ['a pattern that is none', APPROVALS.replace('people/*', 'people*'), 'is not a SPIFFE ID or pattern'],
    ['the same approver twice', `approvals: { actions: [drop], approvers: [${ALICE}, ${ALICE}] }\n`, 'stands here a second time']
  ])('%s', (_, approvals, fault) => {
    expect(faultsOf(POLICY + approvals)).toEqual(fault === undefined ? [] : [expect.stringContaining(fault)])
  })

  it('no approvers at all, or a wrong time, is not of the shape', () => {
    expect(() => documentOf(`${POLICY}approvals: { actions: [drop], approvers: [] }\n`)).toThrow(/approvers/)
    expect(() => documentOf(POLICY + APPROVALS.replace(' }', ', seconds: 5 }'))).toThrow(/seconds/)
    expect(() => documentOf(POLICY + APPROVALS.replace('[drop,', '[search,'))).toThrow(/actions/)
  })

  it('the only approver is not the only workload', () => {
    const [start = '', rest = ''] = POLICY.split('workloads:\n')
    const alone = `${start}workloads:\n  - { spiffe_id: ${INDEXER}, tenants: [acme, globex] }\ncollections:\n${rest.split('collections:\n')[1]}`
    const by = (...approvers: string[]) => faultsOf(`${alone}approvals: { actions: [drop], approvers: [${approvers.join(', ')}] }\n`)
    expect(by(INDEXER)).toEqual([expect.stringContaining('nobody approves its own calls')])
    expect(by(INDEXER, ALICE)).toEqual([])
    expect(by(ALICE)).toEqual([])
  })

  it.each(['approval', 'grant'])('a rule that says %s: required needs somebody who may give it', (key) => {
    const asking = POLICY.replace('actions: [search, read, observe]', `${key}: required\n        actions: [search, read, observe]`)
    expect(faultsOf(asking)).toEqual([expect.stringContaining(`allow.1.${key}: This rule asks for`)])
    expect(faultsOf(asking + APPROVALS)).toEqual([])
  })

  it('says for how long', () => {
    expect(policy.approvals).toMatchObject({ approvalMs: 300_000, grantMs: 3_600_000 })
    const longer = policyOf(POLICY + APPROVALS.replace(' }', ', seconds: 60, grant_seconds: 90 }'))
    expect(longer.approvals).toMatchObject({ approvalMs: 60_000, grantMs: 90_000 })
  })
})

describe('who may approve', () => {
  const id = (text: string) => callerOf(text).id
  it.each<[string, string, string, boolean]>([
    ['a person of the pattern', ALICE, POLICY + APPROVALS, true],
    ['one segment deeper', `${ALICE}/laptop`, POLICY + APPROVALS, false],
    ['a workload', INDEXER, POLICY + APPROVALS, false],
    ['where nobody is listed', ALICE, POLICY, false],
    ['somebody revoked', ALICE, `${POLICY}${APPROVALS}revoked: { spiffe_ids: [${ALICE}] }\n`, false]
  ])('%s', (_, text, yaml, may) => {
    expect(mayApprove(id(text), policyOf(yaml))).toBe(may)
  })
})

const call = (operation: Operation, endpoint: string, records = 0): VectorCall => ({
  database: 'chroma',
  endpoint,
  operation,
  targets: [],
  shape: { ...NO_SHAPE, records }
})

describe('what cannot be undone', () => {
  it.each<[string, VectorCall, boolean]>([
    ['dropping a collection', call('drop', 'collection.drop'), true],
    ['creating one', call('define', 'collection.create'), false],
    ['changing one', call('define', 'collection.change'), true],
    ['a definition that nobody has judged', call('define', 'collection.unheard-of'), true],
    ['deleting by filter', call('delete', 'records.delete'), true],
    ['deleting by ids', call('delete', 'records.delete', 3), false],
    ['a batch of deletions with ids in it, for it may have filters too', call('delete', 'points.batch', 3), true],
    ['the same over gRPC', call('delete', 'Points/UpdateBatch', 3), true],
    ['writing', call('write', 'records.upsert', 3), false],
    ['searching', call('search', 'records.query'), false]
  ])('%s', (_, one, irreversible) => {
    expect(isIrreversible(one)).toBe(irreversible)
  })

  it('every definition of every database is either harmless by name or asks', () => {
    const routes: readonly { readonly name: string; readonly operation?: Operation | undefined }[] = Object.values(DIALECTS).flatMap(
      (one) => one.routes
    )
    const defines = routes.filter((one) => one.operation === 'define').map((one) => one.name)
    expect(defines.length).toBeGreaterThan(20)
    const asking = [...new Set(defines)].filter((name) => isIrreversible(call('define', name))).sort()
    expect(asking).toEqual([
      'Collections/Update',
      'Points/DeleteFieldIndex',
      'class.change',
      'collection.change',
      'collection.update',
      'index.delete',
      'index.drop'
    ])
  })
})

function grantOf(operation: Operation, change: Partial<Grant> = {}): Grant {
  const targets: ResolvedTarget[] = [targetOf('acme')]
  const its = {
    caller: callerOf(INDEXER),
    call: callOf(operation, 'acme'),
    tenant: 'acme',
    targets,
    purpose: undefined,
    rule: 'policy.yaml:20 rule'
  }
  return { kind: 'tenant', ...its, judged: undefined, ...change } as unknown as Grant
}

const WITH = { database: 'demo', digest: () => 'D', run: 'job-7' }
const needOf = (grant: Grant, needs?: Needs, under = policy) => approvalNeed(grant, needs, under, WITH)

describe('the need of a granted call', () => {
  it('a drop is bound to all of it', () => {
    expect(needOf(grantOf('drop'))).toEqual({
      steps: ['approval'],
      caller: INDEXER,
      blocked: [INDEXER],
      operation: 'drop',
      endpoint: 'test.drop',
      database: 'demo',
      tenant: 'acme',
      targets: ['rag/handbook'],
      digest: 'D',
      run: 'job-7',
      because: 'approvals lists drop',
      approvalMs: 300_000,
      grantMs: 3_600_000
    })
  })

  it('is none where policy lists another operation, or nothing', () => {
    expect(needOf(grantOf('drop'), undefined, policyOf(POLICY + APPROVALS.replace('drop, ', '')))).toBeUndefined()
    expect(needOf(grantOf('drop'), undefined, policyOf())).toBeUndefined()
    expect(needOf(grantOf('search'))).toBeUndefined()
  })

  it('a rule can ask for either, and a grant comes first', () => {
    expect(needOf(grantOf('search'), { approval: true, grant: false })).toMatchObject({
      steps: ['approval'],
      because: 'policy.yaml:20 rule'
    })
    expect(needOf(grantOf('search'), { approval: true, grant: true })?.steps).toEqual(['grant', 'approval'])
    expect(needOf(grantOf('drop'), { approval: false, grant: true })?.steps).toEqual(['grant', 'approval'])
  })

  it('a grant alone asks for no digest', () => {
    const asked: string[] = []
    const digest = () => {
      asked.push('digest')
      return 'D'
    }
    expect(approvalNeed(grantOf('search'), { approval: false, grant: true }, policy, { ...WITH, digest })?.digest).toBe('')
    expect(asked).toEqual([])
  })

  it('carrier, actors and user of a chain may not approve', () => {
    const subject = { issuer: 'i', id: 'spiffe://demo.vecauthz.test/people/bob', actors: ['spiffe://demo.vecauthz.test/planner'] }
    const caller = { ...callerOf(INDEXER), carrier: callerOf('spiffe://demo.vecauthz.test/mesh').id, subject } as unknown as Grant['caller']
    expect(needOf(grantOf('drop', { caller }))?.blocked).toEqual([
      INDEXER,
      'spiffe://demo.vecauthz.test/mesh',
      'spiffe://demo.vecauthz.test/planner',
      'spiffe://demo.vecauthz.test/people/bob'
    ])
  })

  it('no two targets are spelled alike', () => {
    const name = (text: string, namespace?: string) => spelled({ namespace, collection: { kind: 'name', name: text } })
    const all = [
      name('a/b'),
      name('b', 'a'),
      name('"a/b"'),
      name('every collection'),
      name('every collection', 'a'),
      name('\ud800'),
      name('\ud801')
    ]
    const others = [
      spelled({ namespace: undefined, collection: { kind: 'every' } }),
      spelled({ namespace: 'a', collection: { kind: 'none' } })
    ]
    expect(new Set([...all, ...others]).size).toBe(9)
    expect([name('handbook'), name('handbook', 'rag')]).toEqual(['handbook', 'rag/handbook'])
  })
})

describe('a grant asked for ahead', () => {
  const asked = { database: 'demo', tenant: 'acme', operation: 'search', targets: ['rag/handbook'], run: undefined } as const
  const ask = (change: object, id = INDEXER, under = policy) => grantNeed(callerOf(id).id, { ...asked, ...change }, under, 0)

  it('is the same need as the first call has', () => {
    const inband = needOf({ ...grantOf('search') }, { approval: false, grant: true }) as ApprovalNeed
    const ahead = ask({ run: 'job-7' }) as ApprovalNeed
    const bound = ({ caller, operation, database, tenant, targets, run, digest }: ApprovalNeed) => [
      caller,
      operation,
      database,
      tenant,
      targets,
      run,
      digest
    ]
    expect(bound(ahead)).toEqual(bound(inband))
  })

  it.each<[string, unknown, string]>([
    ['a stranger', ask({}, 'spiffe://demo.vecauthz.test/nobody'), 'not a workload'],
    ['a tenant of others', ask({ tenant: 'globex' }), 'may not act'],
    ['a database that is not there', ask({ database: 'other' }), 'no such database'],
    ['where nothing needs one', ask({}, INDEXER, policyOf()), 'Nothing needs a grant']
  ])('not by %s', (_, said, sentence) => {
    expect(said).toEqual(expect.stringContaining(sentence))
  })
})

describe('the run of a call', () => {
  it.each<[string | undefined, boolean]>([
    [undefined, true],
    ['nightly-2026-11-20', true],
    ['x'.repeat(128), true],
    ['x'.repeat(129), false],
    ['', false],
    ['two words', false],
    ['naïve', false]
  ])('%s', (header, good) => {
    expect(runOf(header).ok).toBe(good)
  })
})

describe('what the caller is told', () => {
  const need = needOf(grantOf('drop')) as ApprovalNeed
  it.each<[string, ApprovalAnswer, string | undefined, string]>([
    ['approved', { kind: 'approved', id: 'x', by: ALICE }, undefined, ''],
    ['asked for', { kind: 'required', step: 'approval', id: 'ab-1', state: 'asked' }, 'approval-required', 'vecauthz approve ab-1'],
    ['refused', { kind: 'required', step: 'approval', id: 'ab-1', state: 'refused' }, 'approval-required', 'was refused'],
    ['ended', { kind: 'ended', run: 'job-7' }, 'approval-required', 'has ended'],
    ['unknown', { kind: 'unavailable', because: 'no store' }, 'state-unavailable', '']
  ])('%s', (_, answer, kind, remedy) => {
    const reason = approvalRefusal(need, answer)
    expect([reason?.kind, reason?.remedy ?? '']).toEqual([kind, expect.stringContaining(remedy)])
    expect(reason?.remedy?.length ?? 0).toBeLessThan(220)
  })
})
