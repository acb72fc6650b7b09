/** docs/data-protection.md names every field that is kept anywhere, and none that is not: held to what is really written. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { approvalLine, findingLine, operatorActLine, standingLine, uncheckedLine } from '../src/audit/act-record.ts'
import { createChain } from '../src/audit/chain.ts'
import { auditLine, type Recordable } from '../src/audit/record.ts'
import type { ApprovalEntry } from '../src/core/approval.ts'
import type { BaselineKey } from '../src/core/drift.ts'
import type { Page } from '../src/core/page.ts'
import type { Revocation } from '../src/core/revocation.ts'
import type { MonitoringRule } from '../src/core/risk-rules.ts'
import type { StandingRecord } from '../src/core/standing.ts'
import type { Kept as KeptBaseline, Slot } from '../src/learning/slot-text.ts'
import type { Kept as KeptApproval } from '../src/state/approvals.ts'
import { standingFrom, standingText } from '../src/state/standing-text.ts'
import { headSchema, workloadSchema } from '../src/usage/usage-text.ts'
import { callerOf, callOf } from './support/grants.ts'
import { moveTo } from './support/pages.ts'

const text = readFileSync(join(import.meta.dirname, '../docs/data-protection.md'), 'utf8')

/** `caller.spiffe_id`, `subject_chain[].sub`; what stands under names that others chose is `.*`. */
function pathsOf(value: unknown, at = ''): string[] {
  if (Array.isArray(value)) return value.length === 0 ? [`${at}[]`] : value.flatMap((one) => pathsOf(one, `${at}[]`))
  if (typeof value !== 'object' || value === null) return [at]
  if (/(^|\.)(figures|pins|horizon|place)$/.test(at)) return [`${at}.*`]
  return Object.entries(value).flatMap(([name, one]) => pathsOf(one, at === '' ? name : `${at}.${name}`))
}

const fieldsOf = (values: readonly unknown[]) => [...new Set(values.flatMap((one) => pathsOf(JSON.parse(JSON.stringify(one)))))].sort()

/** As the page has them, and each with a class that the page explains. */
function written(name: string): readonly string[] {
  const [, table = ''] = new RegExp(`<!-- fields ${name} -->\n([\\s\\S]*?)<!-- end fields -->`).exec(text) ?? []
  const rows = [...table.matchAll(/^\| (`[^|]+`) +\| ([A-Z–])\s+\| \S[^|]*\|$/gm)]
  expect(rows.length).toBe(table.trim().split('\n').length - 2)
  for (const [, , kind = ''] of rows) expect(text).toContain(`| **${kind}** `)
  return rows.flatMap(([, names = '']) => [...names.matchAll(/`([^`]+)`/g)].map(([, field = '']) => field)).sort()
}

const caller = {
  ...callerOf('spiffe://vec.test/a'),
  tokenId: 'j',
  carrier: callerOf('spiffe://vec.test/b').id,
  subject: { issuer: 'https://idp.test', id: 'u', actors: [], tenants: ['acme'], expiresAt: 1, tokenId: 't', provenAt: 0 }
} as unknown as Recordable['account']['caller']
const trace = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
const bounds = { shards: ['acme'], pins: new Map([['f', 'acme']]), changes: ['f'], unpinned: 'x', unsharded: 'y' }
const place = { namespace: 'rag', bounds, tenant: { kind: 'native', tenant: 'globex' } }
const target = { ...place, collection: { kind: 'id', name: 'docs', id: '1' } }
const base = {
  decisionId: 'd',
  at: 0,
  latencyUs: 1,
  role: 'index',
  envoy: 'e',
  policyRevision: 'r',
  tenants: new Set(['acme']),
  inbound: {
    method: 'GET',
    target: '/',
    httpId: '1',
    headers: new Map([
      ['x-request-id', 'r'],
      ['traceparent', trace],
      ['x-vecauthz-run', 'run'],
      ['x-vecauthz-purpose', 'inference'],
      ['x-key', 'k']
    ]),
    strippedCredentials: []
  },
  account: {
    caller,
    agentType: 'support',
    database: 'demo',
    tenant: 'acme',
    call: { ...callOf('search', 'acme'), targets: [target] },
    token: { issuer: { text: 'i' }, tokenId: 't', policy: 'p' },
    approval: { kind: 'approved', id: 'a', by: 'b' },
    risk: {
      score: 1,
      before: 'normal',
      after: 'slowed',
      vectors: 'unseen',
      learning: 'cold',
      causes: [{ cause: 'drift', says: 's', figures: { novelty: 1 } }]
    },
    screened: ['secret'],
    dialect: { credentialHeaders: ['x-key'] }
  },
  promptId: 'p'
}
const reason = { kind: 'rate-exceeded', because: 'x' }
const grant = { kind: 'tenant', rule: 'policy.yaml:1', tags: [['pii']] }
/** All that a record can have, between them. */
const decisions = [
  { ...base, decision: { verdict: 'deny', reason, retryAfterMs: 1 } },
  { ...base, decision: { verdict: 'allow', grant, judged: reason } }
].map((one) => {
  const line = createChain('0'.repeat(16), 'people').seal(Buffer.from(`${auditLine(one as unknown as Recordable)}\n`))
  return JSON.parse(line.toString())
})

const entry: Record<keyof ApprovalEntry, unknown> = {
  id: 'i',
  step: 'approval',
  state: 'used',
  askedAt: 0,
  lastsMs: 1,
  until: 1,
  by: 'b',
  reason: 'r',
  caller: 'c',
  operation: 'drop',
  database: 'd',
  endpoint: 'e',
  tenant: 't',
  targets: ['x'],
  digest: 'x',
  blocked: ['x'],
  run: 'r',
  because: 'x'
}
const cohort = { kind: 'cohort' as const, tenant: 't', agentType: 'a', database: 'd', collection: 'c' }
const act = {
  at: 0,
  actId: 'a',
  stage: 'done',
  act: 'x',
  by: 'b',
  serial: 's',
  about: 'x',
  reason: 'r',
  status: 200,
  facts: undefined
} as const
const rule = { metric: 'signal', signal: 's', threshold: 1, action: 'flag', source: 'policy.yaml:1' } as unknown as MonitoringRule
const unchecked = { envoy: 'e', workload: 'w', database: 'd', decisionId: 'x', verdict: 'deny', status: 200, bytes: 1 }
const others = [
  operatorActLine(act),
  approvalLine('used', entry as unknown as ApprovalEntry, 0),
  standingLine(moveTo('slowed')),
  standingLine({ ...moveTo('slowed'), scope: cohort }),
  findingLine(0, 'w', 'd', { rule, value: 1 }),
  uncheckedLine(0, unchecked)
].map((line) => JSON.parse(line))

const term = {
  dot: { run: 'r', n: 1 },
  level: 'slowed',
  cause: 'drift',
  evidence: {
    says: 's',
    decisionIds: ['d'],
    figures: { a: 1 },
    place: { tenant: 't', agentType: 'a', database: 'd', collection: 'c' },
    subject: 'u'
  },
  since: 1,
  durationMs: 1,
  servedMs: 1,
  ended: { how: 'hand', at: 1, by: 'b', reason: 'r' }
}
const standing = { horizon: { r: 1 }, terms: [term], strikes: [1], vouch: { at: 1, until: 1, by: 'b' } }
const standings = [
  { ...standing, scope: { kind: 'workload', id: 'i' } },
  { ...standing, scope: cohort }
].map((one) => {
  const kept = standingText(one as unknown as StandingRecord) ?? ''
  // As the store takes it: a field that the page lists and no store keeps would not be read back.
  expect(standingFrom(kept)).toBeDefined()
  return JSON.parse(kept)
})

/** Of a schema, the paths that a text of it can have. */
function schemaPaths(schema: z.core.JSONSchema.BaseSchema, at = ''): string[] {
  const { properties, items, prefixItems } = schema
  const of = (one: unknown, path: string) => schemaPaths(one as z.core.JSONSchema.BaseSchema, path)
  if (properties !== undefined) return Object.entries(properties).flatMap(([name, one]) => of(one, at === '' ? name : `${at}.${name}`))
  if (prefixItems !== undefined) return [at]
  if (items !== undefined) return of(items, `${at}[]`)
  return [at]
}
const ofSchema = (schema: z.ZodType) => schemaPaths(z.toJSONSchema(schema))

// Types of what is kept as it is: a field more or less does not compile.
const approval: Record<keyof KeptApproval, true> = {
  ...(Object.fromEntries(Object.keys(entry).map((name) => [name, true])) as Record<keyof ApprovalEntry, true>),
  need: true,
  check: true
}
const revocation: Record<keyof Revocation, true> = { kind: true, value: true, by: true, reason: true, at: true }
const slot: Record<keyof Slot, true> = { key: true, inForce: true, waiting: true, since: true }
const slotKey: Record<keyof BaselineKey, true> = { tenant: true, agentType: true, collection: true }
const keptBaseline: Record<keyof KeptBaseline, true> = { baseline: true, background: true, daily: true, by: true, reason: true, at: true }
const page: Record<keyof Page, true> = {
  key: true,
  about: true,
  kind: true,
  severity: true,
  subject: true,
  scope: true,
  cause: true,
  summary: true,
  place: true,
  figures: true,
  decisionIds: true,
  since: true,
  until: true,
  ended: true
}
const baselines = [
  ...Object.keys(slotKey).map((name) => `key.${name}`),
  ...Object.keys(keptBaseline).map((name) => `in_force.${name}`),
  ...Object.keys(slot).filter((name) => name !== 'key' && name !== 'inForce')
]

describe('docs/data-protection.md', () => {
  it.each([
    { name: 'decisions', fields: fieldsOf(decisions) },
    { name: 'acts', fields: fieldsOf(others) },
    { name: 'standings', fields: fieldsOf(standings) },
    { name: 'approvals', fields: Object.keys(approval).sort() },
    { name: 'revocations', fields: Object.keys(revocation).sort() },
    { name: 'baselines', fields: [...baselines].sort() },
    { name: 'inventory', fields: [...ofSchema(headSchema), ...ofSchema(workloadSchema).map((path) => `workloads[].${path}`)].sort() },
    { name: 'pages', fields: Object.keys(page).sort() }
  ])('names every field of $name, and no other', ({ name, fields }) => {
    expect(fields.length).toBeGreaterThan(3)
    expect(written(name)).toEqual(fields)
  })

  it('says of each class what it is kept for, on which ground, for how long and how it ends', () => {
    const [, table = ''] = /<!-- classes -->\n([\s\S]*?)<!-- end classes -->/.exec(text) ?? []
    const rows = [...table.matchAll(/^\| \*\*([A-Z–])\*\* (.+)\|$/gm)]
    expect(rows.map(([, kind]) => kind)).toEqual(['P', 'O', 'W', 'C', 'D', 'N'])
    for (const [row] of rows)
      expect(
        row
          .split('|')
          .slice(1, -1)
          .every((cell) => cell.trim().length > 6)
      ).toBe(true)
  })
})
