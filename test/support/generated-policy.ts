/** Policies of all four databases, with every way of keeping tenants apart, for properties. */
import fc from 'fast-check'
import { ACTIONS, type AllowDocument, type CollectionsDocument, type PolicyDocument } from '../../src/core/policy-document.ts'
import { SERVED } from '../../src/databases/dialects.ts'
import { TD } from './asking.ts'

export const IDP = 'https://idp.test'
/** Each database by the name of its kind. */
export const KNOWN = { databases: SERVED.map((one) => ({ id: one.kind, ...one })), subjectIssuers: [IDP] }
export const TENANTS = ['acme', 'globex'] as const
const some = <T>(of: readonly T[]) => fc.uniqueArray(fc.constantFrom(...of), { minLength: 1 })

/** Mostly what lets calls pass, so that enough of them do. */
export const often = <T>(usual: T, one: fc.Arbitrary<T>) =>
  fc.oneof({ arbitrary: fc.constant(usual), weight: 2 }, { arbitrary: one, weight: 1 })

const rule: fc.Arbitrary<AllowDocument> = fc.record({
  tenants: often([...TENANTS], some(TENANTS)),
  actions: often([...ACTIONS], some(ACTIONS)),
  workloads: fc.option(some([`${TD}/a/one`, `${TD}/a/*`, `${TD}/b`, `${TD}/**`]), { nil: undefined, freq: 1 }),
  purposes: fc.option(some(['p', 'q']), { nil: undefined, freq: 1 }),
  when: fc.option(fc.constantFrom('environment.top_k < 6', 'resource.tenant == "acme"', 'has(subject.user)'), { nil: undefined, freq: 1 }),
  limits: fc.constantFrom(undefined, { top_k: 1 }, { top_k: 9, vectors_out: 'allow' as const })
})

/** Descriptions that may stand beside each other, and names for each that may overlap within it. */
const KINDS: readonly (Omit<CollectionsDocument, 'names' | 'allow'> & { readonly among: readonly string[] })[] = [
  { database: 'chroma', namespace: 'rag', tenancy: 'path', among: ['x', 'y', 'x*', '*'] },
  { database: 'qdrant', tenancy: { filter: 'owner' }, among: ['shared', 'shar*'] },
  { database: 'qdrant', tenancy: 'collection', among: ['docs_{tenant}'] },
  { database: 'qdrant', tenancy: 'shard', among: ['parts', 'part*'] },
  { database: 'milvus', namespace: 'default', tenancy: { filter: 'owner' }, among: ['x', '*'] },
  { database: 'milvus', namespace: 'db_{tenant}', tenancy: 'database', among: ['x', 'x*', '*'] },
  { database: 'weaviate', tenancy: 'native', among: ['Docs', 'Doc*', '*'], region: 'eu' }
]

const collections = fc
  .array(
    fc
      .constantFrom(...KINDS)
      .chain(({ among, ...kind }) => fc.record({ kind: fc.constant(kind), names: some(among), allow: fc.array(rule, { maxLength: 3 }) })),
    { minLength: 3, maxLength: 6 }
  )
  .map((drafts) => {
    const taken = new Set<string>()
    return drafts.flatMap(({ kind, names, allow }): CollectionsDocument[] => {
      const own = names.filter((name) => !taken.has(`${kind.database}/${kind.namespace}/${name}`))
      for (const name of own) taken.add(`${kind.database}/${kind.namespace}/${name}`)
      return own.length === 0 ? [] : [{ ...kind, names: own, allow }]
    })
  })

const workload = {
  tenants: often([...TENANTS], some(TENANTS)),
  purposes: often(['p', 'q'], fc.constant(['p'])),
  regions: often(['eu'], fc.constant([])),
  delegated: often(false, fc.constant(true))
}

export const generatedPolicy: fc.Arbitrary<PolicyDocument> = fc
  .record({ collections, group: fc.record(workload), one: fc.option(fc.record(workload)), b: fc.record(workload) })
  .map(({ collections: all, group, one, b }) => ({
    version: 1,
    trust_domains: ['demo.vecauthz.test'],
    tenants: TENANTS.map((id) => ({ id })),
    workloads: [
      { spiffe_id: `${TD}/a/*`, ...group },
      ...(one === null ? [] : [{ spiffe_id: `${TD}/a/one`, ...one }]),
      { spiffe_id: `${TD}/b`, ...b }
    ],
    collections: all,
    subjects: [{ issuer: IDP, audience: 'v', tenant_claim: 't', tenants: [...TENANTS] }],
    limits: { top_k: 5, queries: 4, records: 100, vectors_out: 'deny' },
    // Spent budgets are no matter of policy alone.
    budget: { per_second: 1_000, burst: 1_000_000 }
  }))
