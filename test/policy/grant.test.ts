import { describe, expect, it } from 'vitest'
import type { Operation, ResolvedTarget, Shape } from '../../src/core/vector-call.ts'
import { grantFor, grantProbe, knownWorkload, tenantOf } from '../../src/policy/grant.ts'
import { type Workload, workloadOf } from '../../src/policy/policy.ts'
import { callerOf, callOf, targetOf } from '../support/grants.ts'
import { POLICY, policyOf } from '../support/policy.ts'

const TD = 'spiffe://demo.vecauthz.test'
const policy = policyOf()
const NOW = Date.UTC(2026, 10, 1)
/** What the policy knows of a caller whom it knows. */
const under = (who: string) => ({ workload: workloadOf(policy, callerOf(TD + who).id) as Workload, purpose: undefined, now: NOW })

const asking = (workload: Workload) => ({ workload, subject: undefined, database: 'demo', policy, pin: undefined })

interface Row {
  readonly name: string
  readonly who: string
  readonly does: Operation
  readonly tenant: string | undefined
  readonly collection?: string
  readonly shape?: Partial<Shape>
  /** `allow`, or the kind of the denial. */
  readonly want: string
}

const ROWS: readonly Row[] = [
  { name: 'support searches its own handbook', who: '/acme/support', does: 'search', tenant: 'acme', want: 'allow' },
  { name: 'support searches the other tenant', who: '/acme/support', does: 'search', tenant: 'globex', want: 'tenant-not-allowed' },
  { name: 'support names no tenant', who: '/acme/support', does: 'search', tenant: undefined, want: 'tenant-not-named' },
  { name: 'support names its tenant in capitals', who: '/acme/support', does: 'search', tenant: 'ACME', want: 'tenant-not-allowed' },
  { name: 'a workload with two tenants acts for one', who: '/shared/reporter', does: 'read', tenant: 'globex', want: 'allow' },
  {
    name: 'a workload with two tenants acts for a third',
    who: '/shared/reporter',
    does: 'read',
    tenant: 'initech',
    want: 'tenant-not-allowed'
  },
  { name: 'a pattern admits one segment', who: '/globex/trial', does: 'search', tenant: 'globex', want: 'allow' },
  { name: 'a pattern does not admit two segments', who: '/globex/trial/x', does: 'search', tenant: 'globex', want: 'caller-unknown' },
  { name: 'a workload nobody listed', who: '/acme/supportx', does: 'search', tenant: 'acme', want: 'caller-unknown' },
  {
    name: 'a collection nobody listed',
    who: '/acme/support',
    does: 'search',
    tenant: 'acme',
    collection: 'handbook2',
    want: 'collection-not-allowed'
  },
  { name: 'a collection under a prefix', who: '/acme/support', does: 'search', tenant: 'acme', collection: 'scratch-1', want: 'allow' },
  {
    name: 'the prefix without its last byte',
    who: '/acme/support',
    does: 'search',
    tenant: 'acme',
    collection: 'scratch',
    want: 'collection-not-allowed'
  },
  {
    name: 'another tenant under the same prefix',
    who: '/globex/trial',
    does: 'search',
    tenant: 'globex',
    collection: 'scratch-1',
    want: 'collection-not-allowed'
  },
  { name: 'support writes', who: '/acme/support', does: 'write', tenant: 'acme', want: 'write-not-allowed' },
  { name: 'the indexer writes', who: '/acme/indexer', does: 'write', tenant: 'acme', want: 'allow' },
  { name: 'support defines', who: '/acme/support', does: 'define', tenant: 'acme', want: 'write-not-allowed' },
  { name: 'support deletes', who: '/acme/support', does: 'delete', tenant: 'acme', want: 'delete-not-allowed' },
  { name: 'support drops', who: '/acme/support', does: 'drop', tenant: 'acme', want: 'delete-not-allowed' },
  { name: 'support exports', who: '/acme/support', does: 'export', tenant: 'acme', want: 'export-not-allowed' },
  {
    name: 'support asks for as many results as allowed',
    who: '/acme/support',
    does: 'search',
    tenant: 'acme',
    shape: { topK: 20 },
    want: 'allow'
  },
  { name: 'support asks for one more', who: '/acme/support', does: 'search', tenant: 'acme', shape: { topK: 21 }, want: 'call-too-large' },
  {
    name: 'support reads without a limit',
    who: '/acme/support',
    does: 'read',
    tenant: 'acme',
    shape: { topK: Number.POSITIVE_INFINITY },
    want: 'call-too-large'
  },
  { name: 'support sends four queries', who: '/acme/support', does: 'search', tenant: 'acme', shape: { queries: 4 }, want: 'allow' },
  { name: 'support sends five', who: '/acme/support', does: 'search', tenant: 'acme', shape: { queries: 5 }, want: 'call-too-large' },
  {
    name: 'the indexer writes more than the common limit',
    who: '/acme/indexer',
    does: 'write',
    tenant: 'acme',
    shape: { records: 5461 },
    want: 'allow'
  },
  {
    name: 'the indexer writes one more than its own',
    who: '/acme/indexer',
    does: 'write',
    tenant: 'acme',
    shape: { records: 5462 },
    want: 'call-too-large'
  },
  {
    name: 'support asks for embeddings',
    who: '/acme/support',
    does: 'search',
    tenant: 'acme',
    shape: { vectorsOut: true },
    want: 'vectors-not-allowed'
  },
  {
    name: 'the indexer asks for embeddings',
    who: '/acme/indexer',
    does: 'read',
    tenant: 'acme',
    shape: { vectorsOut: true },
    want: 'allow'
  }
]

function decide(row: Row): string {
  const caller = callerOf(TD + row.who)
  const call = callOf(row.does, row.tenant, row.collection, row.shape)
  const workload = knownWorkload(caller, policy, NOW)
  if (!workload.ok) return workload.reason.kind
  const tenant = tenantOf(call, asking(workload.value))
  if (!tenant.ok) return tenant.reason.kind
  const grant = grantFor(caller, call, tenant.value, [targetOf(tenant.value, row.collection)], 'demo', policy, under(row.who))
  return grant.ok ? 'allow' : grant.reason.kind
}

describe('grant', () => {
  it.each(ROWS)('$name → $want', (row) => {
    expect(decide(row)).toBe(row.want)
  })

  it('a call whose targets name two tenants is refused although the workload may act for both', () => {
    const caller = callerOf(`${TD}/shared/reporter`)
    const both = { ...callOf('read', 'acme'), targets: [...callOf('read', 'acme').targets, ...callOf('read', 'globex').targets] }
    const workload = knownWorkload(caller, policy, NOW)
    expect(workload.ok && tenantOf(both, asking(workload.value))).toMatchObject({ ok: false, reason: { kind: 'tenant-not-allowed' } })
  })

  it('a target that was resolved to another tenant is refused', () => {
    const grant = grantFor(
      callerOf(`${TD}/acme/support`),
      callOf('search', 'acme'),
      'acme',
      [targetOf('globex')],
      'demo',
      policy,
      under('/acme/support')
    )
    expect(grant).toMatchObject({ ok: false, reason: { kind: 'tenant-not-allowed' } })
  })

  it('every target needs a rule: one allowed and one not is refused', () => {
    const targets = [targetOf('acme'), targetOf('acme', 'secret')]
    const grant = grantFor(
      callerOf(`${TD}/acme/indexer`),
      callOf('define', 'acme'),
      'acme',
      targets,
      'demo',
      policy,
      under('/acme/indexer')
    )
    expect(grant).toMatchObject({ ok: false, reason: { kind: 'collection-not-allowed' } })
  })

  it('a listing of all collections needs a rule for *, looking at the namespace needs any rule', () => {
    const caller = callerOf(`${TD}/acme/support`)
    const list = grantFor(
      caller,
      callOf('observe', 'acme'),
      'acme',
      [{ tenant: 'acme', namespace: 'rag', collection: { kind: 'every' } }],
      'demo',
      policy,
      under('/acme/support')
    )
    const look = grantFor(
      caller,
      callOf('observe', 'acme'),
      'acme',
      [{ tenant: 'acme', namespace: 'rag', collection: { kind: 'none' } }],
      'demo',
      policy,
      under('/acme/support')
    )
    const other = grantFor(
      caller,
      callOf('observe', 'acme'),
      'acme',
      [{ tenant: 'acme', namespace: 'raw', collection: { kind: 'none' } }],
      'demo',
      policy,
      under('/acme/support')
    )
    expect([list.ok, look.ok, other.ok]).toEqual([false, true, false])
  })

  it('the tenant itself may be looked at by whoever may look at anything in it, and is never listed or changed', () => {
    const itself = { tenant: 'acme', namespace: undefined, collection: { kind: 'none' } } as const
    const at = (who: string, does: Operation, target: ResolvedTarget) =>
      grantFor(callerOf(TD + who), callOf(does, target.tenant), target.tenant, [target], 'demo', policy, under(who)).ok
    expect(at('/acme/support', 'observe', itself)).toBe(true)
    expect(at('/acme/support', 'observe', { ...itself, tenant: 'nobody' })).toBe(false)
    expect(at('/acme/support', 'observe', { ...itself, collection: { kind: 'every' } })).toBe(false)
    expect(at('/acme/indexer', 'define', itself)).toBe(false)
  })

  it('another database with the same names has no rule', () => {
    const grant = grantFor(
      callerOf(`${TD}/acme/support`),
      callOf('search', 'acme'),
      'acme',
      [targetOf('acme')],
      'other',
      policy,
      under('/acme/support')
    )
    expect(grant).toMatchObject({ ok: false, reason: { kind: 'collection-not-allowed' } })
  })

  it('a caller of a trust domain that the policy does not list is unknown, whatever the patterns say', () => {
    expect(knownWorkload(callerOf('spiffe://other.test/acme/support'), policy, NOW)).toMatchObject({
      ok: false,
      reason: { kind: 'caller-unknown' }
    })
  })

  it('a revoked ID, pattern or certificate is refused at once, its neighbours are not', () => {
    const revoking = (revoked: object) => policyOf(`${POLICY}revoked: ${JSON.stringify(revoked)}\n`)
    const kindFor = (who: string, revoked: object, serial = '01') => {
      const known = knownWorkload({ ...callerOf(TD + who), serial }, revoking(revoked), NOW)
      return known.ok ? 'known' : known.reason.kind
    }
    expect(kindFor('/acme/support', { spiffe_ids: [`${TD}/acme/support`] })).toBe('identity-revoked')
    expect(kindFor('/acme/indexer', { spiffe_ids: [`${TD}/acme/support`] })).toBe('known')
    expect(kindFor('/globex/trial', { spiffe_ids: [`${TD}/globex/*`] })).toBe('identity-revoked')
    expect(kindFor('/acme/support', { serials: ['5f3a'] }, '5f3a')).toBe('identity-revoked')
    expect(kindFor('/acme/support', { serials: ['5f3a'] }, '5f3b')).toBe('known')
    expect(kindFor('/acme/support', {})).toBe('known')
  })

  it('a probe grant is for probes only, and a tenant grant never for a probe', () => {
    const caller = callerOf(`${TD}/acme/support`)
    expect(grantProbe(caller, callOf('probe', undefined)).ok).toBe(true)
    expect(grantProbe(caller, callOf('search', 'acme'))).toMatchObject({ ok: false, reason: { kind: 'internal' } })
    expect(grantFor(caller, callOf('probe', undefined), 'acme', [targetOf('acme')], 'demo', policy, under('/acme/support')).ok).toBe(false)
    expect(grantFor(caller, callOf('search', 'acme'), 'acme', [], 'demo', policy, under('/acme/support')).ok).toBe(false)
  })
})
