import { describe, expect, it } from 'vitest'
import { accept } from '../../src/core/deny-reason.ts'
import type { KnownServer } from '../../src/core/policy-document.ts'
import { type Bounds, NO_SHAPE, type Operation, type ResolvedTarget, type Target, type VectorCall } from '../../src/core/vector-call.ts'
import { SERVED } from '../../src/databases/dialects.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import { grantFor, knownWorkload, tenantOf } from '../../src/policy/grant.ts'
import { callerOf } from '../support/grants.ts'
import { documentOf } from '../support/policy.ts'

const TD = 'spiffe://demo.vecauthz.test'
const DATABASES: KnownServer = {
  databases: SERVED.map((one) => ({ id: one.kind, ...one })),
  subjectIssuers: []
}

const written = (collections: string, tenants = '[{ id: acme }, { id: globex }]') => `
version: 1
trust_domains: [demo.vecauthz.test]
tenants: ${tenants}
workloads:
  - { spiffe_id: ${TD}/one, tenants: [acme] }
  - { spiffe_id: ${TD}/two, tenants: [acme, globex] }
collections:
${collections}
limits: { top_k: 20, queries: 4, records: 100, vectors_out: deny }
budget: { per_second: 10, burst: 30 }
`
const RULE = 'allow: [{ tenants: [acme, globex], actions: [search, read, write, delete, define, drop, observe] }]'
const compile = (text: string) => compilePolicy(documentOf(text), DATABASES, 'r', (path) => path.join('.'))
const policy = (() => {
  const compiled = compile(
    written(`
  - { database: qdrant, names: ['docs_{tenant}', 'log_{tenant}-*'], tenancy: collection, ${RULE} }
  - { database: qdrant, names: [shared], tenancy: { filter: tenant_id }, ${RULE} }
  - { database: qdrant, names: [sharded], tenancy: shard, ${RULE} }
  - { database: weaviate, names: [Docs], tenancy: native, ${RULE} }
  - { database: weaviate, names: ['Own_{tenant}'], tenancy: collection, ${RULE} }
  - { database: milvus, namespace: 'db_{tenant}', names: ['*'], tenancy: database, ${RULE} }
  - { database: milvus, namespace: default, names: [shared], tenancy: { filter: owner }, ${RULE} }`)
  )
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults))
  return compiled.policy
})()

const pinsOf = (pins: Record<string, string>, rest: Partial<Bounds> = {}): Bounds => ({
  shards: undefined,
  pins: new Map(Object.entries(pins)),
  changes: [],
  unpinned: undefined,
  unsharded: undefined,
  ...rest
})

interface Named {
  readonly name?: string
  readonly all?: true
  readonly namespace?: string
  readonly native?: string
  readonly bounds?: Bounds
}

function target({ name, all, namespace, native, bounds }: Named): Target {
  const collection = name === undefined ? { kind: all ? ('every' as const) : ('none' as const) } : { kind: 'name' as const, name }
  const tenant = native === undefined ? ({ kind: 'none' } as const) : ({ kind: 'native', tenant: native } as const)
  return { tenant, namespace, collection, ...(bounds === undefined ? {} : { bounds }) }
}

/** The tenant it was granted for, or the kind of the denial. */
function told(
  who: '/one' | '/two',
  database: 'qdrant' | 'weaviate' | 'milvus',
  named: readonly Named[],
  operation: Operation = 'search'
): string {
  const caller = callerOf(TD + who)
  const call: VectorCall = { database, endpoint: 'test', operation, targets: named.map(target), shape: NO_SHAPE }
  const workload = knownWorkload(caller, policy, 0)
  if (!workload.ok) return workload.reason.kind
  const pin = (field: string, value: string) => `{${field}=${value}}`
  const tenant = tenantOf(call, { workload: workload.value, subject: undefined, database, policy, pin })
  if (!tenant.ok) return tenant.reason.kind
  const resolved = accept(call.targets.map(({ tenant: claim, ...rest }) => ({ ...rest, claim, tenant: tenant.value }) as ResolvedTarget))
  const grant = grantFor(caller, call, tenant.value, resolved.value, database, policy, {
    workload: workload.value,
    purpose: undefined,
    now: 0
  })
  return grant.ok ? grant.value.tenant : grant.reason.kind
}

describe('a collection for each tenant', () => {
  it.each([
    { name: 'its own', named: [{ name: 'docs_acme' }], want: 'acme' },
    { name: "another tenant's", named: [{ name: 'docs_globex' }], want: 'tenant-not-allowed' },
    { name: 'of a tenant that is none', named: [{ name: 'docs_initech' }], want: 'collection-not-allowed' },
    { name: 'a name that nobody listed', named: [{ name: 'other' }], want: 'collection-not-allowed' },
    { name: 'an open name of its own', named: [{ name: 'log_acme-2026' }], want: 'acme' },
    {
      name: 'its own, and a lookup in another tenant’s',
      named: [{ name: 'docs_acme' }, { name: 'docs_globex' }],
      want: 'tenant-not-allowed'
    },
    { name: 'its own, twice', named: [{ name: 'docs_acme' }, { name: 'log_acme-1' }], want: 'acme' },
    { name: 'a listing of all', named: [{ all: true as const }], want: 'collection-not-allowed' },
    {
      name: 'a filter that names the other tenant decides nothing',
      named: [{ name: 'docs_acme', bounds: pinsOf({ tenant_id: 'globex' }) }],
      want: 'acme'
    }
  ])('$name → $want', ({ named, want }) => expect(told('/one', 'qdrant', named)).toBe(want))

  it('a workload of two tenants that names both is refused', () => {
    expect(told('/two', 'qdrant', [{ name: 'docs_acme' }, { name: 'docs_globex' }])).toBe('tenant-not-allowed')
    expect(told('/two', 'qdrant', [{ name: 'docs_globex' }])).toBe('globex')
  })
})

describe('a filter', () => {
  const own = pinsOf({ tenant_id: 'acme' })
  it.each([
    { name: 'that pins the tenant', bounds: own, want: 'acme' },
    { name: 'that pins another tenant', bounds: pinsOf({ tenant_id: 'globex' }), want: 'tenant-not-allowed' },
    { name: 'that pins another field', bounds: pinsOf({ tenant: 'acme' }), want: 'tenant-not-named' },
    { name: 'that is not there', bounds: undefined, want: 'tenant-not-named' },
    { name: 'beside ids that it does not bind', bounds: pinsOf({ tenant_id: 'acme' }, { unpinned: 'ids' }), want: 'tenant-not-named' },
    {
      name: 'and a change of the field itself',
      bounds: pinsOf({ tenant_id: 'acme' }, { changes: ['tenant_id'] }),
      want: 'write-not-allowed'
    },
    { name: 'and a change of anything', bounds: pinsOf({ tenant_id: 'acme' }, { changes: ['*'] }), want: 'write-not-allowed' },
    { name: 'and a change of another field', bounds: pinsOf({ tenant_id: 'acme' }, { changes: ['color'] }), want: 'acme' },
    { name: 'shards are another matter', bounds: pinsOf({ tenant_id: 'acme' }, { unsharded: 'all shards' }), want: 'acme' }
  ])('$name → $want', ({ bounds, want }) =>
    expect(told('/one', 'qdrant', [{ name: 'shared', ...(bounds === undefined ? {} : { bounds }) }])).toBe(want)
  )

  it('must be in every target of a batch, and for one tenant', () => {
    const both = (bounds: Bounds) =>
      told('/two', 'qdrant', [
        { name: 'shared', bounds: own },
        { name: 'shared', bounds }
      ])
    expect([both(own), both(pinsOf({})), both(pinsOf({ tenant_id: 'globex' }))]).toEqual(['acme', 'tenant-not-named', 'tenant-not-allowed'])
  })

  it('the remedy is what would pass', () => {
    const workload = knownWorkload(callerOf(`${TD}/one`), policy, 0)
    if (!workload.ok) throw new Error(workload.reason.because)
    const call: VectorCall = {
      database: 'qdrant',
      endpoint: 'test',
      operation: 'search',
      targets: [target({ name: 'shared' })],
      shape: NO_SHAPE
    }
    const asking = {
      workload: workload.value,
      subject: undefined,
      database: 'qdrant',
      policy,
      pin: (field: string, value: string) => `${field}=${value}`
    }
    expect(tenantOf(call, asking)).toMatchObject({ ok: false, reason: { remedy: 'This would pass: tenant_id=acme' } })
  })

  it('what tenants share is not defined or dropped by one of them', () => {
    for (const operation of ['define', 'drop', 'export'] as const)
      expect(told('/one', 'qdrant', [{ name: 'shared' }], operation)).toBe('tenant-not-named')
    expect(told('/one', 'qdrant', [{ name: 'docs_acme' }], 'drop')).toBe('acme')
  })

  it('what tenants share is looked at by a workload of one tenant, and not by one that could be either', () => {
    expect(told('/one', 'qdrant', [{ name: 'shared' }], 'observe')).toBe('acme')
    expect(told('/two', 'qdrant', [{ name: 'shared' }], 'observe')).toBe('tenant-not-named')
    expect(told('/one', 'qdrant', [{ name: 'docs_globex' }], 'observe')).toBe('tenant-not-allowed')
  })
})

describe('a shard key', () => {
  it.each([
    { name: 'of the tenant', bounds: pinsOf({}, { shards: ['acme'] }), want: 'acme' },
    { name: 'of another', bounds: pinsOf({}, { shards: ['globex'] }), want: 'tenant-not-allowed' },
    { name: 'and a second one', bounds: pinsOf({}, { shards: ['acme', 'globex'] }), want: 'tenant-not-named' },
    { name: 'twice', bounds: pinsOf({}, { shards: ['acme', 'acme'] }), want: 'tenant-not-named' },
    { name: 'none', bounds: pinsOf({ tenant_id: 'acme' }), want: 'tenant-not-named' },
    { name: 'none of several', bounds: pinsOf({}, { shards: [] }), want: 'tenant-not-named' },
    { name: 'beside ids of all shards', bounds: pinsOf({}, { shards: ['acme'], unsharded: 'ids' }), want: 'tenant-not-named' }
  ])('$name → $want', ({ bounds, want }) => expect(told('/one', 'qdrant', [{ name: 'sharded', bounds }])).toBe(want))
})

describe("the database's own tenants", () => {
  it.each([
    { name: 'its own', named: { name: 'Docs', native: 'acme' }, want: 'acme' },
    { name: "another's", named: { name: 'Docs', native: 'globex' }, want: 'tenant-not-allowed' },
    { name: 'none', named: { name: 'Docs' }, want: 'tenant-not-named' },
    { name: 'one where the collection is the tenant’s', named: { name: 'Own_acme', native: 'acme' }, want: 'tenant-not-allowed' },
    { name: 'none where the collection is the tenant’s', named: { name: 'Own_acme' }, want: 'acme' },
    { name: 'a class that nobody listed', named: { name: 'Other', native: 'acme' }, want: 'collection-not-allowed' }
  ])('$name → $want', ({ named, want }) => expect(told('/one', 'weaviate', [named])).toBe(want))
})

describe('a database for each tenant', () => {
  it.each([
    { name: 'its own', named: { namespace: 'db_acme', name: 'anything' }, want: 'acme' },
    { name: "another's", named: { namespace: 'db_globex', name: 'anything' }, want: 'tenant-not-allowed' },
    { name: 'of a tenant that is none', named: { namespace: 'db_initech', name: 'anything' }, want: 'collection-not-allowed' },
    { name: 'all collections of its own', named: { namespace: 'db_acme', all: true as const }, want: 'acme' },
    { name: 'all collections of the shared one', named: { namespace: 'default', all: true as const }, want: 'collection-not-allowed' },
    {
      name: 'a shared collection in another',
      named: { namespace: 'default', name: 'shared', bounds: pinsOf({ owner: 'acme' }) },
      want: 'acme'
    },
    { name: 'a shared collection, unpinned', named: { namespace: 'default', name: 'shared' }, want: 'tenant-not-named' }
  ])('$name → $want', ({ named, want }) => expect(told('/one', 'milvus', [named])).toBe(want))
})

describe('what the loader refuses', () => {
  it.each([
    [
      'a tenancy that the database has not',
      '{ database: qdrant, names: [x], tenancy: native, RULE }',
      /qdrant does not keep tenants apart by native/
    ],
    [
      'a filter in Weaviate',
      '{ database: weaviate, names: [X], tenancy: { filter: t }, RULE }',
      /weaviate does not keep tenants apart by filter/
    ],
    ['a namespace where there are none', '{ database: qdrant, namespace: x, names: [x], tenancy: shard, RULE }', /no databases above/],
    ['no namespace where there are some', '{ database: milvus, names: [x], tenancy: shard, RULE }', /no namespace says which one/],
    ['tenancy collection without {tenant}', '{ database: qdrant, names: [x], tenancy: collection, RULE }', /needs \{tenant\} in each name/],
    ['{tenant} under another tenancy', "{ database: qdrant, names: ['x_{tenant}'], tenancy: shard, RULE }", /means tenancy collection/],
    [
      'tenancy database without {tenant}',
      "{ database: milvus, namespace: x, names: ['*'], tenancy: database, RULE }",
      /needs \{tenant\} in the namespace/
    ],
    [
      '{tenant} in the namespace of another tenancy',
      "{ database: milvus, namespace: 'x_{tenant}', names: [y], tenancy: shard, RULE }",
      /means tenancy database/
    ],
    [
      'a namespace with a star',
      "{ database: milvus, namespace: 'x_{tenant}_*', names: [y], tenancy: database, RULE }",
      /a namespace is one name/
    ],
    ['a template that runs into a star', "{ database: qdrant, names: ['x_{tenant}*'], tenancy: collection, RULE }", /nothing between/],
    [
      'an exact name under two tenancies',
      "{ database: qdrant, names: ['x*'], tenancy: shard, RULE }\n  - { database: qdrant, names: [xy], tenancy: { filter: t }, RULE }",
      /two different tenancies/
    ],
    [
      'a prefix under two, the wider one last',
      "{ database: qdrant, names: [xy], tenancy: { filter: t }, RULE }\n  - { database: qdrant, names: ['*'], tenancy: shard, RULE }",
      /two different tenancies/
    ],
    [
      'a name that a template covers',
      "{ database: qdrant, names: ['x_{tenant}'], tenancy: collection, RULE }\n  - { database: qdrant, names: [x_acme], tenancy: shard, RULE }",
      /two different tenancies/
    ],
    [
      'two fields for one collection',
      "{ database: qdrant, names: ['x*'], tenancy: { filter: a }, RULE }\n  - { database: qdrant, names: [xy], tenancy: { filter: b }, RULE }",
      /two different tenancies/
    ],
    [
      'a namespace that a template covers',
      "{ database: milvus, namespace: 'x_{tenant}', names: ['*'], tenancy: database, RULE }\n  - { database: milvus, namespace: x_acme, names: [y], tenancy: shard, RULE }",
      /two different tenancies/
    ],
    [
      'two wider ones around a third',
      "{ database: qdrant, names: [ab], tenancy: shard, RULE }\n  - { database: qdrant, names: [ac], tenancy: { filter: t }, RULE }\n  - { database: qdrant, names: ['a*'], tenancy: { filter: t }, RULE }",
      /two different tenancies/
    ]
  ])('%s', (_, entries, want) => {
    const compiled = compile(written(`  - ${entries.replaceAll('RULE', RULE)}`))
    expect(compiled.ok ? [] : compiled.faults.map(({ says }) => says)).toEqual([expect.stringMatching(want)])
  })

  it('tenants whose names an open template would mix up', () => {
    const compiled = compile(
      written(
        `  - { database: qdrant, names: ['x_{tenant}_*'], tenancy: collection, ${RULE} }`,
        '[{ id: acme }, { id: globex }, { id: acme_b }]'
      )
    )
    expect(compiled.ok ? [] : compiled.faults.map(({ says }) => says)).toEqual(['"x_{tenant}_*" mixes up the tenants "acme" and "acme_b"'])
  })

  it('and not the nearest that is right', () => {
    const good = `  - { database: qdrant, names: ['x*'], tenancy: shard, ${RULE} }
  - { database: qdrant, names: ['y_{tenant}', 'z_{tenant}-*'], tenancy: collection, ${RULE} }
  - { database: qdrant, names: [xy], tenancy: shard, ${RULE} }
  - { database: weaviate, names: ['x*'], tenancy: native, ${RULE} }
  - { database: milvus, namespace: x_initech, names: [y], tenancy: shard, ${RULE} }
  - { database: milvus, namespace: 'x_{tenant}', names: ['*'], tenancy: database, ${RULE} }`
    expect(compile(written(good))).toMatchObject({ ok: true })
  })
})
