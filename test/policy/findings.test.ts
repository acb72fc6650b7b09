/** What is reported at load: each finding beside the nearest policy that has none. */
import { describe, expect, it } from 'vitest'
import { policyFindings } from '../../src/policy/findings.ts'
import { faultsOf, NOON, TD } from '../support/asking.ts'
import { documentOf } from '../support/policy.ts'

const POLICY = `
version: 1
trust_domains: [demo.vecauthz.test]
tenants: [{ id: acme, retention_days: 30 }, { id: globex }]
workloads:
  - { spiffe_id: ${TD}/one, tenants: [acme], owner: team-a, purposes: [inference], expires: 2026-11-22, review_by: 2026-11-22 }
  - { spiffe_id: ${TD}/pool/*, tenants: [globex] }
collections:
  - database: demo
    namespace: rag
    names: [handbook]
    tenancy: path
    allow:
      - { tenants: [acme], actions: [search, delete], workloads: [${TD}/one], purposes: [inference], limits: { top_k: 10 } }
      - { tenants: [acme, globex], actions: [search, read] }
limits: { top_k: 20, queries: 4, records: 100, vectors_out: deny }
budget: { per_second: 10, burst: 30 }
`

const ROWS: readonly [string, (text: string) => string, readonly string[]][] = [
  ['a tidy policy', (text) => text, []],
  [
    'a workload on the day it expires, and what only it made use of',
    (text) => text.replace('expires: 2026-11-22', 'expires: 2026-11-21'),
    [
      'workloads.0.expires: "spiffe://demo.vecauthz.test/one" expired on 2026-11-21 and is denied',
      'tenants.0.id: No workload may act for tenant "acme"',
      'collections.0.allow.0: No workload can meet this rule'
    ]
  ],
  [
    'a review on its day',
    (text) => text.replace('review_by: 2026-11-22', 'review_by: 2026-11-21'),
    ['workloads.0.review_by: The review of "spiffe://demo.vecauthz.test/one" is overdue since 2026-11-21; its owner is team-a']
  ],
  [
    'a tenant that nobody acts for',
    (text) => text.replace('{ id: globex }', '{ id: globex }, { id: initech }'),
    ['tenants.2.id: No workload may act for tenant "initech"']
  ],
  [
    'data that must go and that nobody may delete',
    (text) => text.replace('[search, delete]', '[search, write]'),
    ['tenants.0.retention_days: Data of tenant "acme" is kept for 30 days, and no rule lets anybody delete it']
  ],
  [
    'a workload that no rule speaks of',
    (text) => text.replace('tenants: [acme, globex], actions', `tenants: [acme, globex], workloads: [${TD}/one, ${TD}/pool], actions`),
    ['workloads.1.spiffe_id: No rule allows "spiffe://demo.vecauthz.test/pool/*" anything']
  ],
  [
    'a rule for a part of a pattern speaks of the pattern',
    (text) => text.replace('tenants: [acme, globex], actions', `tenants: [acme, globex], workloads: [${TD}/one, ${TD}/pool/a], actions`),
    []
  ],
  [
    'a rule for a workload that acts for another tenant',
    (text) => text.replace(`workloads: [${TD}/one]`, `workloads: [${TD}/pool/a]`),
    ['collections.0.allow.0: No workload can meet this rule']
  ],
  [
    'a rule for a purpose that none of its workloads has',
    (text) => text.replace('], purposes: [inference], limits', '], purposes: [training], limits'),
    ['collections.0.allow.0: No workload can meet this rule']
  ],
  [
    'a rule that another one says as well, in wider limits',
    (text) => text.replace('[search, delete]', '[search]').replace(', retention_days: 30', ''),
    ['collections.0.allow.0: Rule 2 of this collection allows all that this one does']
  ],
  [
    'the same with wider limits of its own',
    (text) => text.replace('[search, delete]', '[search]').replace(', retention_days: 30', '').replace('top_k: 10', 'top_k: 21'),
    []
  ],
  [
    'the same beside a rule with a condition',
    (text) =>
      text
        .replace('[search, delete]', '[search]')
        .replace(', retention_days: 30', '')
        .replace('[search, read]', '[search, read], when: "true"'),
    []
  ],
  [
    'two rules that say the same: the second',
    (text) =>
      text.replace(
        '      - { tenants: [acme, globex]',
        '      - { tenants: [globex, acme], actions: [read, search] }\n      - { tenants: [acme, globex]'
      ),
    ['collections.0.allow.2: Rule 2 of this collection allows all that this one does']
  ]
]

describe('findings', () => {
  it.each(ROWS)('%s', (_, change, want) => {
    const text = change(POLICY)
    expect(faultsOf(text)).toEqual([])
    expect(policyFindings(documentOf(text), NOON).map(({ path, says }) => `${path.join('.')}: ${says}`)).toEqual(want)
  })
})
