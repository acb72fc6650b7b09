/** Until when, from where, how well attested and what for: each allowed call beside its nearest denied one. */
import { describe, expect, it } from 'vitest'
import { grantFor, knownWorkload } from '../../src/policy/grant.ts'
import { ask, faultsOf, NOON, policyFrom, type Question, TD } from '../support/asking.ts'
import { callerOf, callOf, targetOf } from '../support/grants.ts'

const DAY = 86_400_000
const SEARCH = 'actions: [search, read]'
const POLICY = `
version: 1
trust_domains: [demo.vecauthz.test]
attestation_classes: [none, k8s, tpm]
tags: { internal: 1, pii: 10 }
tenants:
  - { id: acme, region: eu, retention_days: 30, namespaces: [acme-prod] }
  - { id: globex }
workloads:
  - { spiffe_id: ${TD}/ns/acme-prod/agent, tenants: [acme], owner: team-a, regions: [eu], attestation: tpm, purposes: [inference] }
  - { spiffe_id: ${TD}/both, tenants: [acme], regions: [eu, us], attestation: k8s, purposes: [inference, evaluation] }
  - { spiffe_id: ${TD}/plain, tenants: [acme, globex] }
  - { spiffe_id: ${TD}/us, tenants: [acme, globex], regions: [us] }
  - { spiffe_id: ${TD}/guest/*, tenants: [acme], regions: [eu], expires: 2026-11-22, review_by: 2026-01-01 }
collections:
  - { database: demo, namespace: rag, names: [handbook], tenancy: path, allow: [{ tenants: [acme, globex], ${SEARCH} }] }
  - { database: demo, namespace: rag, names: [usa], tenancy: path, region: us, allow: [{ tenants: [globex], ${SEARCH} }] }
  - { database: demo, namespace: rag, names: [safe], tenancy: path, attestation: tpm, tags: [pii], allow: [{ tenants: [acme], ${SEARCH} }] }
  - { database: demo, namespace: rag, names: [some], tenancy: path, attestation: none, allow: [{ tenants: [acme, globex], ${SEARCH} }] }
  - database: demo
    namespace: rag
    names: [served]
    tenancy: path
    purposes: [inference, training]
    allow: [{ tenants: [acme, globex], ${SEARCH} }]
  - database: demo
    namespace: rag
    names: [ruled]
    tenancy: path
    allow:
      - { tenants: [acme], actions: [search], purposes: [evaluation] }
      - { tenants: [acme], actions: [read] }
limits: { top_k: 20, queries: 4, records: 100, vectors_out: deny }
budget: { per_second: 10, burst: 30 }
`
const policy = policyFrom(POLICY)

const ROWS: readonly (Question & { readonly name: string; readonly want: string })[] = [
  { name: 'a guest on its last day', who: '/guest/one', now: Date.UTC(2026, 10, 22) - 1, want: 'allow' },
  { name: 'a guest on the first moment of the day it expires', who: '/guest/one', now: Date.UTC(2026, 10, 22), want: 'caller-unknown' },
  { name: 'a guest whose review is overdue', who: '/guest/one', now: NOON, want: 'allow' },
  { name: 'a workload without an end, in a hundred years', who: '/both', now: NOON + 36_500 * DAY, want: 'allow' },

  { name: 'data of a tenant in the EU, to a workload of the EU', who: '/ns/acme-prod/agent', want: 'allow' },
  { name: 'the same to a workload of the US', who: '/us', want: 'residency-conflict' },
  { name: 'the same to a workload of no region', who: '/plain', want: 'residency-conflict' },
  { name: 'data of a tenant without a region, to a workload of no region', who: '/plain', tenant: 'globex', want: 'allow' },
  { name: 'a collection in the US, to a workload of the US', who: '/us', tenant: 'globex', collection: 'usa', want: 'allow' },
  { name: 'the same to a workload of no region', who: '/plain', tenant: 'globex', collection: 'usa', want: 'residency-conflict' },

  { name: 'data that asks for a TPM, to one with it', who: '/ns/acme-prod/agent', collection: 'safe', want: 'allow' },
  { name: 'the same to one class weaker', who: '/both', collection: 'safe', want: 'attestation-too-weak' },
  { name: 'data that asks for the weakest class, to a stronger one', who: '/both', collection: 'some', want: 'allow' },
  { name: 'the same to one of no class', who: '/plain', tenant: 'globex', collection: 'some', want: 'attestation-too-weak' },

  { name: 'the only purpose need not be said', who: '/ns/acme-prod/agent', collection: 'served', want: 'allow' },
  { name: 'one of two must be', who: '/both', collection: 'served', want: 'purpose-conflict' },
  { name: 'and is', who: '/both', collection: 'served', purpose: 'inference', want: 'allow' },
  { name: 'a purpose that the data does not serve', who: '/both', collection: 'served', purpose: 'evaluation', want: 'purpose-conflict' },
  {
    name: 'one that the data serves and the caller has not',
    who: '/both',
    collection: 'served',
    purpose: 'training',
    want: 'purpose-conflict'
  },
  { name: 'a purpose in another spelling', who: '/both', collection: 'served', purpose: 'Inference', want: 'purpose-conflict' },
  { name: 'a caller of no purpose, data for some', who: '/plain', tenant: 'globex', collection: 'served', want: 'purpose-conflict' },
  { name: 'a caller of no purpose that says one', who: '/plain', tenant: 'globex', purpose: 'inference', want: 'purpose-conflict' },
  { name: 'one of two, not said, for data that serves any', who: '/both', want: 'allow' },
  { name: 'a rule for the purpose that is said', who: '/both', collection: 'ruled', purpose: 'evaluation', want: 'allow' },
  { name: 'a rule for another purpose', who: '/both', collection: 'ruled', purpose: 'inference', want: 'purpose-conflict' },
  { name: 'the other rule, for any purpose', who: '/both', does: 'read', collection: 'ruled', purpose: 'inference', want: 'allow' },
  {
    name: 'what no rule allows is that, whatever the purpose',
    who: '/both',
    does: 'drop',
    collection: 'served',
    want: 'delete-not-allowed'
  }
]

describe('the circumstances of a call', () => {
  it.each(ROWS)('$name → $want', ({ want, ...question }) => {
    expect(ask(policy, question).said).toBe(want)
  })

  it('the record says that a workload expired, when, and where that stands', () => {
    expect(ask(policy, { who: '/guest/one', now: NOON + DAY }).because).toBe(
      `the workloads entry of ${TD}/guest/one expired on 2026-11-22 (workloads.4)`
    )
  })

  it('a caller without a purpose is told how to say one, a caller with a wrong one learns nothing', () => {
    expect(ask(policy, { who: '/both', collection: 'served' }).remedy).toBe('Say the purpose in x-vecauthz-purpose.')
    expect(ask(policy, { who: '/both', collection: 'served', purpose: 'evaluation' }).remedy).toBeUndefined()
  })
})

describe('several rules for one call', () => {
  const rule = (limits: string) => `      - { tenants: [globex], actions: [search], limits: ${limits} }`
  const both = (first: string, second: string) =>
    policyFrom(
      POLICY.replace('names: [handbook], tenancy: path', 'names: [other], tenancy: path').replace(
        'collections:\n',
        `collections:\n  - database: demo\n    namespace: rag\n    names: [handbook]\n    tenancy: path\n    allow:\n${rule(first)}\n${rule(second)}\n`
      )
    )
  const [narrow, wide, vectors] = ['{ top_k: 5 }', '{ top_k: 50 }', '{ top_k: 9, vectors_out: allow }']
  const asked = (shape: Question['shape']): Question => ({ who: '/plain', tenant: 'globex', ...(shape === undefined ? {} : { shape }) })

  it.each([
    ['the wider limit counts', narrow, wide, { topK: 50 }, 'allow'],
    ['and not one more', narrow, wide, { topK: 51 }, 'call-too-large'],
    ['what one rule allows is not put together with what another does', wide, vectors, { topK: 10, vectorsOut: true }, 'call-too-large'],
    ['each by itself is', wide, vectors, { topK: 9, vectorsOut: true }, 'allow']
  ])('%s', (_, first, second, shape, want) => {
    for (const policy of [both(first, second), both(second, first)]) expect(ask(policy, asked(shape)).said).toBe(want)
  })

  it('the caller is told of the wider limit', () => {
    for (const policy of [both(narrow, wide), both(wide, narrow)])
      expect(ask(policy, asked({ topK: 51 })).remedy).toBe('Ask for at most 50 results.')
  })
})

describe('a rule in shadow', () => {
  const under = (collection: string, rules: string) =>
    policyFrom(
      `${POLICY}approvals: { actions: [drop], approvers: [${TD}/ada] }\n`.replace(
        'collections:\n',
        `collections:\n  - database: demo\n    namespace: rag\n    tenancy: path\n${collection}\n    allow:\n${rules}\n`
      )
    )
  const shadowed = '      - { tenants: [acme, globex], actions: [search], mode: shadow, purposes: [training], limits: { top_k: 1 } }'
  it.each([
    ['its own purposes and limits', 'names: [new]', { who: '/both' }, 'allow'],
    ['but not the region of the data', 'names: [new], region: us', { who: '/plain', tenant: 'globex' }, 'residency-conflict'],
    ['nor the class of attestation that it asks for', 'names: [new], attestation: tpm', { who: '/both' }, 'attestation-too-weak'],
    ['nor the purposes that it serves', 'names: [new], purposes: [inference]', { who: '/both', purpose: 'evaluation' }, 'purpose-conflict'],
    ['and again its own', 'names: [new], purposes: [inference]', { who: '/both', purpose: 'inference' }, 'allow']
  ])('%s', (_, collection, question, want) => {
    const mine = want === 'residency-conflict' ? shadowed.replace('acme, ', '') : shadowed
    const policy = under(`    ${collection.split(', ').join('\n    ')}`, mine)
    expect(ask(policy, { ...question, collection: 'new' }).said).toBe(want)
  })

  it('of two, the one that asks for less counts, in any order', () => {
    const [plain, needy] = ['{ top_k: 1 }', '{ top_k: 2 }, approval: required'].map(
      (limits) => `      - { tenants: [acme], actions: [search], mode: shadow, limits: ${limits} }`
    )
    const sources = [`${plain}\n${needy}`, `${needy}\n${plain}`].map((rules) => {
      return ask(under('    names: [new]', rules), { who: '/both', collection: 'new' }).because
    })
    expect(sources).toEqual(['collections.0.allow.0', 'collections.0.allow.1'])
  })
})

describe('what cannot be meant is a fault at load', () => {
  const rows: readonly (readonly [string, (text: string) => string, readonly (string | number)[] | undefined, RegExp])[] = [
    ['as it stands', (text) => text, undefined, /./],
    [
      "a tenant's data outside of its region",
      (text) => text.replace('[globex], actions', '[globex, acme], actions'),
      ['collections', 1, 'allow', 0, 'tenants', 1],
      /Tenant "acme" stays in region "eu", and this collection is in "us"/
    ],
    [
      'a class that is none',
      (text) => text.replace('attestation: k8s', 'attestation: k9s'),
      ['workloads', 1, 'attestation'],
      /"k9s" is not one of/
    ],
    ['a tag without a weight', (text) => text.replace('[pii]', '[pi]'), ['collections', 2, 'tags', 0], /"pi" is not one of tags/],
    ['a class twice', (text) => text.replace('[none, k8s, tpm]', '[none, k8s, tpm, k8s]'), ['attestation_classes', 3], /a second time/],
    [
      "a workload in one tenant's namespace that acts for another",
      (text) => text.replace('agent, tenants: [acme]', 'agent, tenants: [acme, globex]'),
      ['workloads', 0, 'tenants'],
      /in namespace "acme-prod" of tenant "acme", and acts for tenant "globex"/
    ],
    [
      'a pattern that can match such a one',
      (text) => text.replace(`${TD}/plain`, `${TD}/ns/*/agent`),
      ['workloads', 2, 'tenants'],
      /can be in namespace "acme-prod" of tenant "acme", and acts for tenant "globex"/
    ],
    ['a pattern of that namespace for its tenant only', (text) => text.replace('/guest/*', '/ns/acme-prod/x/**'), undefined, /./],
    [
      'a namespace of two tenants',
      (text) => text.replace('{ id: globex }', '{ id: globex, namespaces: [acme-prod] }'),
      ['tenants', 1, 'namespaces', 0],
      /already belongs to tenant "acme"/
    ],
    [
      'a collection described in two ways: as it is, and by a prefix that asks for less',
      (text) => text.replace('names: [some], tenancy: path, attestation: none', "names: ['sa*'], tenancy: path"),
      ['collections', 2, 'names', 0],
      /"safe" is under two different descriptions/
    ],
    [
      'and by a prefix that asks for the same',
      (text) =>
        text.replace('names: [some], tenancy: path, attestation: none', "names: ['sa*'], tenancy: path, attestation: tpm, tags: [pii]"),
      undefined,
      /./
    ]
  ]
  it.each(rows)('%s', (_, change, path, says) => {
    const changed = change(POLICY)
    const faults = faultsOf(changed)
    if (path === undefined) expect(faults).toEqual([])
    else expect(faults).toMatchObject([{ path, says: expect.stringMatching(says) }])
  })
})

describe('the weight of data', () => {
  const granted = (...collections: string[]) => {
    const caller = callerOf(`${TD}/ns/acme-prod/agent`)
    const call = callOf('search', 'acme', collections[0])
    const workload = knownWorkload(caller, policy, NOON)
    if (!workload.ok) throw new Error(workload.reason.because)
    const targets = collections.map((name) => targetOf('acme', name))
    const circumstances = { workload: workload.value, purpose: 'inference', now: NOON }
    const grant = grantFor(caller, call, 'acme', targets, 'demo', policy, circumstances)
    return grant.ok ? grant.value.weights : grant.reason
  }
  it('goes along with a grant, for each target, where any has one', () => {
    expect(granted('safe')).toEqual([10])
    expect(granted('handbook', 'safe')).toEqual([1, 10])
    expect(granted('handbook')).toBeUndefined()
  })
})
