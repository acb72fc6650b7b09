import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { type Acted, type ApprovalAnswer, type ApprovalNeed, REQUEST_MS, REQUESTS_PER_CALLER_MAX } from '../../src/core/approval.ts'
import { parseSpiffeId, type SpiffeId } from '../../src/core/spiffe-id.ts'
import type { Store } from '../../src/core/store.ts'
import { createApprovalDesk } from '../../src/state/approval-desk.ts'
import { createApprovals } from '../../src/state/approvals.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'
import { openSqliteStore } from '../../src/state/store-sqlite.ts'

const AT = Date.UTC(2026, 10, 21)
const APPROVAL_MS = 300_000
const GRANT_MS = 3_600_000

function idOf(text: string): SpiffeId {
  const read = parseSpiffeId(`spiffe://demo.test/${text}`)
  if (!read.ok) throw new Error(text)
  return read.id
}

const ALICE = idOf('people/alice')
const BOB = idOf('people/bob')
const INDEXER = idOf('indexer')
const APPROVERS = new Set([ALICE.text, BOB.text, INDEXER.text])

const DROP: ApprovalNeed = {
  steps: ['approval'],
  caller: INDEXER.text,
  blocked: [INDEXER.text],
  operation: 'drop',
  endpoint: 'collection.drop',
  database: 'demo',
  tenant: 'acme',
  targets: ['rag/handbook'],
  digest: 'digest 1',
  run: undefined,
  because: 'policy.yaml:9 approvals lists drop',
  approvalMs: APPROVAL_MS,
  grantMs: GRANT_MS
}
const SEARCH: ApprovalNeed = { ...DROP, steps: ['grant'], operation: 'search', digest: '' }

function desk(store: Store = createMemoryStore({ begun: AT }), approvers: ReadonlySet<string> = APPROVERS, onStep = () => true) {
  const steps: string[] = []
  const parts = {
    store,
    mayApprove: (id: SpiffeId) => approvers.has(id.text),
    onStep: (what: string) => {
      steps.push(what)
      return onStep()
    }
  }
  return { ...createApprovals(parts), ...createApprovalDesk(parts), steps }
}

const asked = (answer: ApprovalAnswer): string => {
  if (answer.kind !== 'required') throw new Error(`not asked for: ${JSON.stringify(answer)}`)
  return answer.id
}
const stateOf = (acted: Acted) => (acted.kind === 'done' ? acted.entry.state : acted.kind === 'not' ? acted.status : acted.kind)

describe('an approval', () => {
  it('blocked, requested, approved by another, passes once, blocked again', async () => {
    const { use, decide, steps } = desk()
    const id = asked(await use(DROP, 'c1', AT))
    expect(await use(DROP, 'c2', AT + 1)).toEqual({ kind: 'required', step: 'approval', id, state: 'waiting' })
    expect(stateOf(await decide(id, 'approve', ALICE, 'ticket 7', AT + 2))).toBe('approved')
    expect(await use(DROP, 'c3', AT + 3)).toEqual({ kind: 'approved', id, by: ALICE.text })
    const again = await use(DROP, 'c4', AT + 4)
    expect(again).toMatchObject({ kind: 'required', state: 'asked' })
    expect(asked(again)).not.toBe(id)
    expect(steps).toEqual(['asked', 'used', 'asked'])
  })

  it('the same check again is the same use; a check without a name never is', async () => {
    const { use, decide } = desk()
    const approve = async (at: number) => decide(asked(await use(DROP, '', at)), 'approve', ALICE, 'yes', at)
    await approve(AT)
    expect((await use(DROP, 'c1', AT)).kind).toBe('approved')
    expect((await use(DROP, 'c1', AT + 1)).kind).toBe('approved')
    expect((await use(DROP, 'c2', AT + 2)).kind).toBe('required')
    await approve(AT + 3)
    expect((await use(DROP, '', AT + 4)).kind).toBe('approved')
    expect((await use(DROP, '', AT + 5)).kind).toBe('required')
  })

  it.each<[string, Partial<ApprovalNeed>]>([
    ['another target', { targets: ['rag/handbook-2'] }],
    ['one target more', { targets: ['rag/handbook', 'rag/scratch'] }],
    ['another request', { digest: 'digest 2' }],
    ['a run, where none was', { run: 'job-7' }],
    ['another caller', { caller: idOf('support').text }],
    ['another tenant', { tenant: 'globex' }],
    ['another database', { database: 'other' }],
    ['another operation', { operation: 'define' }]
  ])('of one call is none for %s', async (_, change) => {
    const { use, decide } = desk()
    await decide(asked(await use(DROP, 'c1', AT)), 'approve', ALICE, 'yes', AT)
    expect((await use({ ...DROP, ...change }, 'c2', AT)).kind).toBe('required')
    expect((await use(DROP, 'c3', AT)).kind).toBe('approved')
  })

  it('of one run is none for another', async () => {
    const { use, decide } = desk()
    const of = (run: string) => ({ ...DROP, run })
    await decide(asked(await use(of('job-7'), 'c1', AT)), 'approve', ALICE, 'yes', AT)
    expect((await use(of('job-8'), 'c2', AT)).kind).toBe('required')
    expect((await use(of('job-7'), 'c3', AT)).kind).toBe('approved')
  })

  it('targets cannot be moved into one another', async () => {
    const { use, decide } = desk()
    await decide(asked(await use({ ...DROP, targets: ['a', 'b'] }, '', AT)), 'approve', ALICE, 'yes', AT)
    expect((await use({ ...DROP, targets: ['a1:b'] }, '', AT)).kind).toBe('required')
  })

  it('ends after its time, and so does a request', async () => {
    const { use, decide } = desk()
    const first = asked(await use(DROP, 'c1', AT))
    expect(stateOf(await decide(first, 'approve', ALICE, 'late', AT + REQUEST_MS))).toBe(404)
    const second = asked(await use(DROP, 'c2', AT + REQUEST_MS))
    expect(second).not.toBe(first)
    const at = AT + 2 * REQUEST_MS - 1
    expect(stateOf(await decide(second, 'approve', ALICE, 'in time', at))).toBe('approved')
    expect((await use(DROP, 'c3', at + APPROVAL_MS)).kind).toBe('required')
  })

  it('is good until just before its end', async () => {
    const { use, decide } = desk()
    await decide(asked(await use(DROP, 'c1', AT)), 'approve', ALICE, 'yes', AT)
    expect((await use(DROP, 'c2', AT + APPROVAL_MS - 1)).kind).toBe('approved')
  })

  it.each<[string, SpiffeId, readonly string[], number | string]>([
    ['another identity', ALICE, [INDEXER.text], 'approved'],
    ['the caller, though it is on the list', INDEXER, [INDEXER.text], 403],
    ['somebody in its chain', ALICE, [INDEXER.text, ALICE.text], 403],
    ['somebody who is not on the list', idOf('people/mallory'), [INDEXER.text], 403]
  ])('by %s', async (_, by, blocked, state) => {
    const { use, decide } = desk()
    const need = { ...DROP, blocked }
    expect(stateOf(await decide(asked(await use(need, 'c1', AT)), 'approve', by, 'yes', AT))).toBe(state)
    expect((await use(need, 'c2', AT)).kind).toBe(state === 'approved' ? 'approved' : 'required')
  })

  it('does not help whoever has the approver in its chain by then', async () => {
    const { use, decide } = desk()
    await decide(asked(await use(DROP, 'c1', AT)), 'approve', ALICE, 'yes', AT)
    expect((await use({ ...DROP, blocked: [INDEXER.text, ALICE.text] }, 'c2', AT)).kind).toBe('required')
  })

  it('ends with the right of its approver', async () => {
    const store = createMemoryStore({ begun: AT })
    const approvers = new Set([ALICE.text])
    const { use, decide } = desk(store, approvers)
    await decide(asked(await use(DROP, 'c1', AT)), 'approve', ALICE, 'yes', AT)
    approvers.delete(ALICE.text)
    expect((await use(DROP, 'c2', AT)).kind).toBe('required')
  })

  it('refused stays refused until its end, and nobody overrides it', async () => {
    const { use, decide } = desk()
    const id = asked(await use(DROP, 'c1', AT))
    expect(stateOf(await decide(id, 'refuse', ALICE, 'no', AT))).toBe('refused')
    expect(await use(DROP, 'c2', AT + 1)).toEqual({ kind: 'required', step: 'approval', id, state: 'refused' })
    expect(stateOf(await decide(id, 'approve', BOB, 'yes', AT + 2))).toBe(409)
    expect(await use(DROP, 'c3', AT + REQUEST_MS)).toMatchObject({ kind: 'required', state: 'asked' })
  })

  it.each<[string, number | string]>([
    ['x', 'approved'],
    ['x'.repeat(500), 'approved'],
    ['x'.repeat(501), 409],
    ['', 409],
    ['  ', 409]
  ])('a reason of %s', async (reason, state) => {
    const { use, decide } = desk()
    expect(stateOf(await decide(asked(await use(DROP, 'c1', AT)), 'approve', ALICE, reason, AT))).toBe(state)
  })

  it('is decided once, and only by the id it has now', async () => {
    const { use, decide } = desk()
    const id = asked(await use(DROP, 'c1', AT))
    await decide(id, 'approve', ALICE, 'yes', AT)
    expect(stateOf(await decide(id, 'approve', BOB, 'yes too', AT))).toBe(409)
    await use(DROP, 'c2', AT)
    const next = asked(await use(DROP, 'c3', AT))
    expect(stateOf(await decide(id, 'approve', BOB, 'the old one', AT))).toBe(404)
    expect(stateOf(await decide(next, 'approve', BOB, 'the new one', AT))).toBe('approved')
    expect(stateOf(await decide('nonsense', 'approve', BOB, 'x', AT))).toBe(404)
  })
})

describe('a run that has ended', () => {
  const OF_RUN = { ...DROP, run: 'job-7' }

  it('takes its approvals with it, and gets no new ones', async () => {
    const { use, decide, endRun } = desk()
    const id = asked(await use(OF_RUN, 'c1', AT))
    await decide(id, 'approve', ALICE, 'yes', AT)
    expect(await endRun('job-7', undefined, AT)).toEqual({ kind: 'done' })
    expect(await use(OF_RUN, 'c2', AT)).toEqual({ kind: 'ended', run: 'job-7' })
    expect((await use({ ...DROP, run: 'job-8' }, 'c3', AT)).kind).toBe('required')
    expect(await endRun('job-7', undefined, AT + 1)).toEqual({ kind: 'done' })
  })

  it('cannot be approved any more', async () => {
    const { use, decide, endRun } = desk()
    const id = asked(await use(OF_RUN, 'c1', AT))
    await endRun('job-7', undefined, AT)
    expect(stateOf(await decide(id, 'approve', ALICE, 'yes', AT))).toBe(409)
  })

  it('a caller ends its own only, and only one that there is', async () => {
    const { use, endRun } = desk()
    const other = { ...OF_RUN, caller: idOf('support').text }
    await use(OF_RUN, 'c1', AT)
    await use(other, 'c2', AT)
    expect(await endRun('job-9', INDEXER, AT)).toEqual({ kind: 'none' })
    expect(await endRun('job-7', INDEXER, AT)).toEqual({ kind: 'done' })
    expect([(await use(OF_RUN, 'c3', AT)).kind, (await use(other, 'c4', AT)).kind]).toEqual(['ended', 'required'])
  })
})

describe('a grant', () => {
  it('requested, approved, used many times for many requests, released', async () => {
    const { use, request, decide, release } = desk()
    const made = await request(SEARCH, AT)
    const id = made.kind === 'done' ? made.entry.id : ''
    expect(asked(await use(SEARCH, 'c1', AT))).toBe(id)
    await decide(id, 'approve', ALICE, 'ingestion step', AT)
    for (const digest of ['', 'one', 'two']) expect((await use({ ...SEARCH, digest }, '', AT + 1)).kind).toBe('approved')
    expect(stateOf(await release(id, INDEXER, AT + 2))).toBe('approved')
    expect(await use(SEARCH, 'c2', AT + 3)).toMatchObject({ kind: 'required', state: 'asked' })
  })

  it.each<[string, SpiffeId, number | string]>([
    ['its holder', INDEXER, 'approved'],
    ['who may approve', BOB, 'approved'],
    ['another caller', idOf('support'), 403]
  ])('released by %s', async (_, by, state) => {
    const { use, decide, release } = desk()
    const id = asked(await use(SEARCH, '', AT))
    await decide(id, 'approve', ALICE, 'yes', AT)
    expect(stateOf(await release(id, by, AT))).toBe(state)
    expect((await use(SEARCH, '', AT)).kind).toBe(state === 403 ? 'approved' : 'required')
  })

  it('lasts for its time', async () => {
    const { use, decide } = desk()
    await decide(asked(await use(SEARCH, '', AT)), 'approve', ALICE, 'yes', AT)
    expect((await use(SEARCH, '', AT + GRANT_MS - 1)).kind).toBe('approved')
    expect((await use(SEARCH, '', AT + GRANT_MS)).kind).toBe('required')
  })

  it('is no approval, and where both are needed an approval is used up only with a grant', async () => {
    const { use, decide, release } = desk()
    const both: ApprovalNeed = { ...DROP, steps: ['grant', 'approval'] }
    const grant = await use(both, 'c1', AT)
    expect(grant).toMatchObject({ step: 'grant' })
    await decide(asked(grant), 'approve', ALICE, 'yes', AT)
    const approval = await use(both, 'c2', AT)
    expect(approval).toMatchObject({ step: 'approval' })
    await decide(asked(approval), 'approve', ALICE, 'yes', AT)
    await release(asked(grant), INDEXER, AT)
    const second = await use(both, 'c3', AT)
    expect(second).toMatchObject({ step: 'grant', state: 'asked' })
    await decide(asked(second), 'approve', ALICE, 'yes', AT)
    expect((await use(both, 'c4', AT)).kind).toBe('approved')
  })

  it('a refusal cannot be released away', async () => {
    const { use, decide, release } = desk()
    const id = asked(await use(SEARCH, '', AT))
    await decide(id, 'refuse', ALICE, 'no', AT)
    expect(stateOf(await release(id, INDEXER, AT))).toBe(409)
  })
})

describe('bounds and faults', () => {
  it('a caller has so many at a time, and others are not in its way', async () => {
    const { use, list } = desk()
    const nth = (at: number) => ({ ...DROP, digest: `digest ${at}` })
    for (let at = 0; at < REQUESTS_PER_CALLER_MAX; at++) asked(await use(nth(at), '', AT))
    expect(await use(nth(REQUESTS_PER_CALLER_MAX), '', AT)).toMatchObject({ kind: 'unavailable' })
    expect((await use(nth(0), '', AT)).kind).toBe('required')
    expect((await use({ ...DROP, caller: idOf('support').text }, '', AT)).kind).toBe('required')
    expect(await list(AT)).toMatchObject({ kind: 'entries', more: false, entries: { length: REQUESTS_PER_CALLER_MAX + 1 } })
    expect(await list(AT, idOf('support'))).toMatchObject({ entries: [{ caller: idOf('support').text }] })
    expect((await use(nth(REQUESTS_PER_CALLER_MAX), '', AT + REQUEST_MS)).kind).toBe('required')
  })

  it('more targets than anybody can look at', async () => {
    const { use } = desk()
    const targets = Array.from({ length: 256 }, (_, at) => `rag/a-collection-with-a-long-name-${at}`)
    expect(await use({ ...DROP, targets }, '', AT)).toMatchObject({ kind: 'unavailable' })
  })

  it('what cannot be recorded does not pass', async () => {
    const store = createMemoryStore({ begun: AT })
    const kept = desk(store)
    await kept.decide(asked(await kept.use(DROP, 'c1', AT)), 'approve', ALICE, 'yes', AT)
    expect(await desk(store, APPROVERS, () => false).use(DROP, 'c2', AT)).toMatchObject({ kind: 'unavailable' })
    expect((await kept.use(DROP, 'c3', AT)).kind).toBe('required')
  })

  it('a store that is closed, or holds something else there, allows nothing', async () => {
    const store = createMemoryStore({ begun: AT })
    const { use, list, decide, endRun } = desk(store)
    const id = asked(await use(DROP, 'c1', AT))
    const listed = await store.list('', AT, 10)
    const [entry] = listed.kind === 'entries' ? listed.entries : []
    if (entry === undefined) throw new Error('nothing is kept')
    await store.replace(entry.key, entry.value, '{"state":"approved"}', AT + 1_000, AT)
    expect((await use(DROP, 'c2', AT)).kind).toBe('unavailable')
    expect(stateOf(await decide(id, 'approve', ALICE, 'x', AT))).toBe('unavailable')
    await store.close()
    expect((await use(DROP, 'c3', AT)).kind).toBe('unavailable')
    expect((await list(AT)).kind).toBe('unavailable')
    expect((await endRun('r', undefined, AT)).kind).toBe('unavailable')
  })

  it('of two processes that use one approval at once, one passes', async () => {
    const store = createMemoryStore({ begun: AT })
    const [one, other] = [desk(store), desk(store)]
    await one.decide(asked(await one.use(DROP, 'c1', AT)), 'approve', ALICE, 'yes', AT)
    const answers = await Promise.all([one.use(DROP, 'c2', AT), other.use(DROP, 'c3', AT), one.use(DROP, 'c4', AT)])
    expect(answers.filter((answer) => answer.kind === 'approved')).toHaveLength(1)
  })
})

describe('several processes and one file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vecauthz-approvals-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  it('asked at one, approved at another, used once between them, and remembered', async () => {
    const file = join(folder, 'state.sqlite')
    const stores = [openSqliteStore({ file, answerMsMax: 10_000 }), openSqliteStore({ file, answerMsMax: 10_000 })]
    const [one, other] = stores.map((store) => desk(store)) as [ReturnType<typeof desk>, ReturnType<typeof desk>]
    const id = asked(await one.use(DROP, 'c1', AT))
    expect(asked(await other.use(DROP, 'c2', AT))).toBe(id)
    const both = await Promise.all([one.decide(id, 'approve', ALICE, 'yes', AT), other.decide(id, 'refuse', BOB, 'no', AT)])
    expect(both.filter(({ kind }) => kind === 'done')).toHaveLength(1)
    const second: ApprovalNeed = { ...DROP, digest: 'digest 2' }
    await other.decide(asked(await one.use(second, 'c3', AT)), 'approve', ALICE, 'yes', AT)
    const uses = await Promise.all([0, 1, 2, 3].map((nth) => (nth % 2 === 0 ? one : other).use(second, `u${nth}`, AT)))
    expect(uses.filter(({ kind }) => kind === 'approved')).toHaveLength(1)
    await Promise.all(stores.map((store) => store.close()))
    const again = openSqliteStore({ file, answerMsMax: 10_000 })
    expect((await desk(again).use(second, 'c4', AT)).kind).toBe('required')
    await again.close()
  })
})

describe('property', () => {
  const needs = [DROP, { ...DROP, digest: 'digest 2' }, { ...DROP, run: 'job-7' }]
  const step = fc.oneof(
    fc.record({ do: fc.constant('use' as const), need: fc.nat(2) }),
    fc.record({ do: fc.constantFrom('approve' as const, 'refuse' as const), need: fc.nat(2), by: fc.nat(2) }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, APPROVAL_MS, REQUEST_MS) }),
    fc.record({ do: fc.constant('release' as const), need: fc.nat(2) })
  )

  it('no order of asking, approving, using and waiting lets a need pass more often than it was approved by another', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const { use, decide, release } = desk()
        const ids: (string | undefined)[] = []
        const passed = [0, 0, 0]
        const approved = [0, 0, 0]
        let at = AT
        for (const [check, one] of steps.entries()) {
          if (one.do === 'wait') at += one.ms
          else if (one.do === 'use') {
            const answer = await use(needs[one.need] as ApprovalNeed, `c${check}`, at)
            if (answer.kind === 'approved') passed[one.need] = (passed[one.need] ?? 0) + 1
            else if (answer.kind === 'required') ids[one.need] = answer.id
          } else if (one.do === 'release') await release(ids[one.need] ?? '', INDEXER, at)
          else {
            const by = [ALICE, BOB, INDEXER][one.by] as SpiffeId
            const acted = await decide(ids[one.need] ?? '', one.do, by, 'because', at)
            if (acted.kind === 'done' && one.do === 'approve' && by !== INDEXER) approved[one.need] = (approved[one.need] ?? 0) + 1
          }
          expect(passed.every((times, need) => times <= (approved[need] ?? 0))).toBe(true)
        }
      }),
      { numRuns: 300 }
    )
  })
})
