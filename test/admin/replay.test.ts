/** `vecauthz replay`: recorded decisions again, under the same policy and under others. */
import { readFileSync } from 'node:fs'
import { CheckRequest } from '@envoyproxy/protos/auth'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRecord } from '../../src/admin/replay-facts.ts'
import { regrant } from '../../src/admin/replay-grant.ts'
import { findingLine, standingLine } from '../../src/audit/act-record.ts'
import { loadAll } from '../../src/config/load.ts'
import { archivePolicy } from '../../src/config/policy-archive.ts'
import { revisionOf } from '../../src/config/policy-files.ts'
import { SERVED } from '../../src/databases/dialects.ts'
import { createJudge } from '../../src/offline.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { type Folder, folderOf } from '../support/offline.ts'
import { POLICY } from '../support/policy.ts'
import { HANDBOOK } from '../support/world.ts'

const IDP = 'https://idp.vecauthz.test'
const SETTINGS = `
version: 1
role: gateway
listen: 127.0.0.1:0
workload_api: unix:///tmp/none.sock
envoys: [spiffe://demo.vecauthz.test/envoy/gateway]
policy: policy.yaml
databases:
  - { id: demo, kind: chroma, version: 1.5.9, authorities: [chroma.test], url: "http://127.0.0.1:8000" }
  - { id: qdrant, kind: qdrant, version: 1.19.0, authorities: [qdrant.test] }
subject_issuers: [{ issuer: "${IDP}", jwks_url: "${IDP}/keys" }]
audit: { file: stdout }
svid_ttl_seconds: 3600
bundle_max_age_seconds: 600
deadline_ms: 200
`
const QDRANT = `  - database: qdrant
    names: [shared]
    tenancy: { filter: tenant_id }
    allow: [{ tenants: [acme, globex], actions: [search, delete] }]
  - { database: qdrant, names: ["docs_{tenant}"], tenancy: collection, allow: [{ tenants: [acme], actions: [search, read, drop] }] }
`
const DESK = `  - { spiffe_id: spiffe://demo.vecauthz.test/shared/desk, tenants: [acme, globex], delegated: true }
`
const WHOLE = POLICY.replace('collections:\n', `${DESK}collections:\n${QDRANT}`).replace(
  'limits: { top_k: 20',
  `subjects: [{ issuer: "${IDP}", audience: vecauthz, tenant_claim: tenant, tenants: [acme, globex] }]\nlimits: { top_k: 20`
)

const PLACE = '/api/v2/tenants/acme/databases/rag/collections'
const filter = (tenant: string) => ({
  must: [
    { key: 'tenant_id', match: { value: tenant } },
    { key: 'patient', match: { value: 'Jane Doe' } }
  ]
})
const chroma = (method: string, path: string, json?: unknown) => ({ host: 'chroma.test', method, path, json })
const qdrant = (method: string, path: string, json?: unknown) => ({ host: 'qdrant.test', method, path, json })
const query = { query_embeddings: [[0.1, 0.2]], n_results: 5 }

const CALLS = [
  { who: 'acme/support', call: chroma('POST', `${PLACE}/${HANDBOOK}/query`, query), want: 'allow' },
  { who: 'acme/support', call: chroma('POST', `${PLACE}/${HANDBOOK}/query`, { ...query, n_results: 21 }), want: 'call-too-large' },
  {
    who: 'acme/support',
    call: chroma('POST', `${PLACE}/${HANDBOOK}/get`, { limit: 3, include: ['embeddings'] }),
    want: 'vectors-not-allowed'
  },
  { who: 'acme/support', call: chroma('DELETE', `${PLACE}/handbook`), want: 'delete-not-allowed' },
  { who: 'acme/support', call: chroma('DELETE', `${PLACE}/scratch-1`), want: 'allow' },
  { who: 'acme/support', call: chroma('GET', `${PLACE}/diary`), want: 'collection-not-allowed' },
  { who: 'acme/indexer', call: chroma('DELETE', `${PLACE}/handbook`), want: 'allow' },
  { who: 'globex/agent', call: chroma('GET', `${PLACE}/handbook`), want: 'tenant-not-allowed' },
  { who: 'acme/nobody', call: chroma('GET', `${PLACE}/handbook`), want: 'caller-unknown' },
  { who: 'acme/support', call: chroma('GET', '/api/v2/heartbeat'), want: 'allow' },
  { who: 'acme/support', call: chroma('POST', `${PLACE}/${HANDBOOK}/query`, '{"n_results":1,"n_results":2}'), want: 'call-ambiguous' },
  { who: 'acme/support', call: chroma('POST', `${PLACE}/${HANDBOOK.replace('1', '9')}/query`, query), want: 'state-unavailable' },
  {
    who: 'acme/support',
    call: qdrant('POST', '/collections/shared/points/query', { query: [0.1], limit: 3, filter: filter('acme') }),
    want: 'allow'
  },
  {
    who: 'acme/support',
    call: qdrant('POST', '/collections/shared/points/query', { query: [0.1], limit: 3, filter: filter('globex') }),
    want: 'tenant-not-allowed'
  },
  { who: 'acme/support', call: qdrant('POST', '/collections/shared/points/query', { query: [0.1], limit: 3 }), want: 'tenant-not-named' },
  { who: 'acme/support', call: qdrant('POST', '/collections/docs_acme/points/query', { query: [0.1], limit: 3 }), want: 'allow' },
  {
    who: 'acme/support',
    call: qdrant('POST', '/collections/docs_globex/points/query', { query: [0.1], limit: 3 }),
    want: 'tenant-not-allowed'
  },
  { who: 'shared/desk', user: ['acme'], call: chroma('POST', `${PLACE}/${HANDBOOK}/query`, query), want: 'allow' },
  { who: 'shared/desk', user: ['globex'], call: chroma('POST', `${PLACE}/${HANDBOOK}/query`, query), want: 'tenant-not-allowed' },
  { who: 'shared/desk', call: chroma('POST', `${PLACE}/${HANDBOOK}/query`, query), want: 'subject-required' }
] as const

let folder: Folder
let policy: Policy
let records: readonly Readonly<Record<string, unknown>>[]
let audit: string

beforeAll(async () => {
  folder = folderOf({ 'vecauthz.yaml': SETTINGS, 'policy.yaml': WHOLE })
  const loaded = loadAll(`${folder.path}/vecauthz.yaml`, SERVED, compilePolicy)
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.faults))
  policy = loaded.policy
  const resolved = new Map([[HANDBOOK, { name: 'handbook', tenant: 'acme', namespace: 'rag' }]])
  const facts = { at: Date.now(), anchors: undefined, jwtKeys: undefined, subjectKeys: new Map(), resolved }
  const judge = createJudge(loaded.settings, policy, facts)
  const made = []
  for (const [at, { who, call, ...more }] of CALLS.entries()) {
    const { json, ...target } = call
    const rawBody = json === undefined ? Buffer.alloc(0) : Buffer.from(typeof json === 'string' ? json : JSON.stringify(json))
    const headers = { 'content-type': 'application/json' }
    const http = { id: 'r', ...target, headers, size: rawBody.length, rawBody }
    const message = CheckRequest.encode(CheckRequest.fromPartial({ attributes: { request: { http } } })).finish()
    const user = 'user' in more ? { issuer: IDP, tenants: more.user } : undefined
    const { record } = await judge(Buffer.from(message), { caller: `spiffe://demo.vecauthz.test/${who}`, user })
    made.push({ ...record, decision_id: `d${at}` })
  }
  records = made
  audit = folder.file('audit.jsonl', `${records.map((one) => JSON.stringify(one)).join('\n')}\n`)
})
afterAll(() => folder.remove())

const verdictOf = (record: Readonly<Record<string, unknown>>) => (record['verdict'] === 'allow' ? 'allow' : record['reason'])

async function replay(text: string, ...more: readonly string[]) {
  const file = folder.file('new.yaml', text)
  const { code, out, err } = await folder.run('replay', audit, '--policy', file, '--config', folder.path, '--json', ...more)
  const { decisions, ...counts } = JSON.parse(out)
  const flips = Object.fromEntries((decisions as { line: number; after: string }[]).map(({ line, after }) => [line - 1, after]))
  return { code, err, flips, ...counts }
}

describe('the records', () => {
  it('are of the decisions they should be of', () => {
    expect(records.map(verdictOf)).toEqual(CALLS.map(({ want }) => want))
  })

  it('hold no text of a filter that is no tenant', () => {
    expect(JSON.stringify(records)).not.toContain('Jane Doe')
    expect(JSON.stringify(records)).toContain('"pins":{"tenant_id":"globex","patient":null}')
  })

  it('give each verdict again, though the verdict is blanked', () => {
    const again = records.map((record) => {
      const blank = {
        ...record,
        verdict: 'deny',
        reason: undefined,
        because: undefined,
        rule: undefined,
        atlas_mapping: undefined,
        owasp: undefined
      }
      const read = readRecord(JSON.stringify(blank))
      if (!read.ok) throw new Error(read.says)
      const outcome = regrant(read.facts, policy)
      return outcome.verdict === 'deny'
        ? [outcome.reason.kind, undefined]
        : [outcome.verdict, outcome.verdict === 'allow' ? outcome.rule : undefined]
    })
    // What never came to the policy is not known from the record: a call that is not read, an id without a name.
    const want = records.map((one) =>
      ['call-ambiguous', 'state-unavailable'].includes(String(verdictOf(one))) ? ['unknown', undefined] : [verdictOf(one), one['rule']]
    )
    expect(again).toEqual(want)
  })
})

describe('another policy', () => {
  it('that is the same flips nothing', async () => {
    expect(await replay(`${WHOLE}\n# a remark\n`)).toMatchObject({ code: 0, flips: {}, records: CALLS.length, same: CALLS.length })
  })

  const rows: readonly { name: string; from: string | RegExp; to: string; flips: Readonly<Record<number, string>>; code: number }[] = [
    { name: 'with a higher limit', from: 'limits: { top_k: 20', to: 'limits: { top_k: 21', flips: { 1: 'allow' }, code: 1 },
    {
      name: 'with a lower limit',
      from: 'limits: { top_k: 20',
      to: 'limits: { top_k: 4',
      flips: { 0: 'call-too-large', 17: 'call-too-large' },
      code: 1
    },
    { name: 'that gives vectors away', from: 'vectors_out: deny', to: 'vectors_out: allow', flips: { 2: 'allow' }, code: 1 },
    {
      name: 'without scratch collections',
      from: 'names: [scratch-*]',
      to: 'names: [other-*]',
      flips: { 4: 'collection-not-allowed' },
      code: 1
    },
    {
      name: 'with a purpose that the call did not say',
      from: 'names: [scratch-*]',
      to: 'names: [scratch-*]\n    purposes: [inference]',
      flips: { 4: 'purpose-conflict' },
      code: 1
    },
    {
      name: 'under which the indexer has expired',
      from: 'tenants: [acme]\n    budget',
      to: 'tenants: [acme]\n    expires: "2026-01-01"\n    budget',
      flips: { 6: 'caller-unknown' },
      code: 1
    },
    { name: 'with the diary', from: 'names: [handbook]', to: 'names: [handbook, diary]', flips: { 5: 'allow' }, code: 1 },
    {
      name: 'where globex may act for acme',
      from: 'globex/*\n    tenants: [globex]',
      to: 'globex/*\n    tenants: [globex, acme]',
      flips: { 7: 'allow' },
      code: 1
    },
    {
      name: 'where support may act for globex',
      from: 'acme/support\n    tenants: [acme]',
      to: 'acme/support\n    tenants: [acme, globex]',
      // The rule for docs_{tenant} is for acme only.
      flips: { 13: 'allow', 16: 'collection-not-allowed' },
      code: 1
    },
    {
      name: 'by another field that the calls did not pin',
      from: 'filter: tenant_id',
      to: 'filter: owner',
      flips: { 12: 'tenant-not-named', 13: 'tenant-not-named' },
      code: 1
    },
    {
      name: 'whose issuer may not name acme',
      from: 'tenant_claim: tenant, tenants: [acme, globex]',
      to: 'tenant_claim: tenant, tenants: [globex]',
      flips: { 17: 'tenant-not-allowed' },
      code: 1
    },
    { name: 'that knows a stranger', from: 'acme/indexer\n', to: 'acme/nobody\n', flips: { 8: 'unknown', 6: 'caller-unknown' }, code: 1 },
    {
      name: 'that knows one stranger more',
      from: '  - spiffe_id: spiffe://demo.vecauthz.test/acme/indexer',
      to: '  - { spiffe_id: spiffe://demo.vecauthz.test/acme/nobody, tenants: [acme] }\n  - spiffe_id: spiffe://demo.vecauthz.test/acme/indexer',
      flips: { 8: 'unknown' },
      code: 2
    }
  ]
  it.each(rows)('$name', async ({ from, to, flips, code }) => {
    const text = WHOLE.replace(from, to)
    expect(text).not.toBe(WHOLE)
    // An issuer that may not name a tenant of a delegated workload is a fault, so that workload loses it too.
    const whole = text.includes('tenants: [globex] }]')
      ? text.replace('tenants: [acme, globex], delegated', 'tenants: [globex], delegated')
      : text
    expect(await replay(whole)).toMatchObject({ flips, code })
  })

  it('leaves alone what is no matter of policy', async () => {
    const spent = records.map((one) => ({ ...one, verdict: 'deny', reason: 'rate-exceeded' }))
    folder.file('spent.jsonl', spent.map((one) => JSON.stringify(one)).join('\n'))
    const run = await folder.run(
      'replay',
      `${folder.path}/spent.jsonl`,
      '--policy',
      `${folder.path}/policy.yaml`,
      '--config',
      folder.path,
      '--json'
    )
    const { decisions } = JSON.parse(run.out) as { decisions: { after: string }[] }
    expect(decisions.every(({ after }) => after !== 'allow' && after !== 'unknown')).toBe(true)
  })
})

describe('the policies of an archive', () => {
  const dir = () => `${folder.path}/archive`
  const under = (text: string, list: typeof records) => {
    const revision = revisionOf([{ file: 'policy.yaml', text }])
    archivePolicy(dir(), revision, [{ file: 'policy.yaml', text }])
    return list.map((one) => ({ ...one, policy_revision: revision }))
  }
  const replayOf = async (list: readonly object[], ...more: readonly string[]) => {
    const file = folder.file('archived.jsonl', list.map((one) => JSON.stringify(one)).join('\n'))
    const { code, out, err } = await folder.run('replay', file, '--archive', dir(), '--config', folder.path, ...more)
    return { code, out, err }
  }

  it('give each record again, under its own', async () => {
    // Under the second policy these two calls come out otherwise, and so does that of its record.
    const stricter = WHOLE.replace('names: [scratch-*]', 'names: [other-*]')
    const others = under(stricter, records).map((one, at) =>
      at === 4 ? { ...one, verdict: 'deny', reason: 'collection-not-allowed', rule: undefined } : one
    )
    expect((await replayOf([...under(WHOLE, records), ...others], '--json')).code).toBe(0)
    const lying = under(stricter, records)
    const { code, out } = await replayOf(lying, '--json')
    expect([code, JSON.parse(out)]).toMatchObject([1, { records: lying.length, changed: 1, missing: {}, decisions: [{ line: 5 }] }])
  })

  it('say which are not there, damaged, or of other settings', async () => {
    const gone = records.slice(0, 3).map((one) => ({ ...one, policy_revision: 'a'.repeat(64) }))
    const [damaged] = under(`${WHOLE}# damaged\n`, records.slice(0, 1))
    folder.file(`archive/${String(damaged?.['policy_revision'])}.json`, '{}')
    const foreign = under(WHOLE.replaceAll('database: qdrant', 'database: quadrant'), records.slice(0, 1))
    const { code, out } = await replayOf([...gone, ...under(WHOLE, records), damaged ?? {}, ...foreign])
    expect(code).toBe(2)
    expect(out).toContain(
      `decisions under the policies of ${dir()}, each under its own: ${records.length} as before, 0 otherwise, 5 cannot be said`
    )
    expect(out).toContain(`     3  revision ${'a'.repeat(64)} is not in the archive\n`)
    expect(out).toMatch(/ {5}1 {2}revision [0-9a-f]{64} is damaged/)
    expect(out).toMatch(/ {5}1 {2}revision [0-9a-f]{64} cannot be used under these settings: policy.yaml:\d+:\d+: Database "quadrant"/)
  })

  it('are asked for instead of a policy, not beside it', async () => {
    const { code, err } = await replayOf(under(WHOLE, records), '--policy', `${folder.path}/policy.yaml`)
    expect([code, err]).toEqual([2, 'vecauthz: Say under which policy: --policy FILE, or --archive DIR for that of each record.\n'])
  })
})

describe('as a command', () => {
  it('shows what comes out otherwise', () => {
    folder.file('stricter.yaml', WHOLE.replace('names: [scratch-*]', 'names: [other-*]'))
    const { code, out, err } = folder.spawn('replay', 'audit.jsonl', '--policy', 'stricter.yaml')
    const ts = String(records[4]?.['ts'])
    const rule = String(records[4]?.['rule'])
    expect({ code, err, out }).toEqual({
      code: 1,
      err: '',
      out: `${CALLS.length} decisions under stricter.yaml: ${CALLS.length - 1} as before, 1 otherwise

by rule
       1  allow -> collection-not-allowed, by ${rule}

by caller
       1  spiffe://demo.vecauthz.test/acme/support

decisions
  line 5  ${ts}  d4  spiffe://demo.vecauthz.test/acme/support  drop demo/rag/scratch-1 for acme
      allow -> collection-not-allowed: no collections entry describes demo/rag/"scratch-1"
`
    })
  })

  it('passes over what is no decision: how workloads stand, and figures', async () => {
    const lines = readFileSync(audit, 'utf8')
    const scope = { kind: 'workload', id: 'spiffe://demo.vecauthz.test/acme/support' } as const
    const move = standingLine({ scope, from: 'normal', to: 'slowed', term: undefined, heard: false, at: 0 })
    const rule = {
      metric: 'bytes',
      signal: undefined,
      windowMs: 1,
      threshold: 1,
      action: 'page',
      agentTypes: undefined,
      source: 's'
    } as const
    const mixed = folder.file('mixed.jsonl', `${move}\n${lines}${findingLine(0, scope.id, 'd', { rule, value: 2 })}\n`)
    const { code, out } = await folder.run('replay', mixed, '--policy', `${folder.path}/policy.yaml`, '--config', folder.path)
    expect(code).toBe(0)
    expect(out).toContain(`${CALLS.length} decisions`)
  })

  it('goes on after a line that is no record, and says so', async () => {
    const lines = readFileSync(audit, 'utf8')
    const bad = folder.file('bad.jsonl', `${lines}{"ts":1}\nnot json\n`)
    const { code, out, err } = await folder.run('replay', bad, '--policy', `${folder.path}/policy.yaml`, '--config', folder.path)
    expect(code).toBe(2)
    expect(out).toContain(`${CALLS.length} decisions`)
    expect(err).toContain(`bad.jsonl:${CALLS.length + 1}: No audit record: ts`)
    expect(err).toContain(`bad.jsonl:${CALLS.length + 2}: The line is no JSON.`)
  })

  it.each([
    { name: 'no file', args: ['--policy', 'policy.yaml'], says: 'which audit file' },
    { name: 'no policy', args: ['audit.jsonl'], says: '--policy FILE' },
    { name: 'a policy that is not there', args: ['audit.jsonl', '--policy', 'nope.yaml'], says: 'There is no policy' },
    { name: 'an audit file that is not there', args: ['nope.jsonl', '--policy', 'policy.yaml'], says: 'There is no file "' },
    { name: 'a policy with faults', args: ['audit.jsonl', '--policy', 'vecauthz.yaml'], says: 'vecauthz.yaml:' },
    { name: 'an empty file', args: ['empty.jsonl', '--policy', 'policy.yaml'], says: 'no record' }
  ])('cannot say: $name', async ({ args, says }) => {
    folder.file('empty.jsonl', '\n')
    const paths = args.map((one) => (/\.(yaml|jsonl)$/.test(one) ? `${folder.path}/${one}` : one))
    const { code, out, err } = await folder.run('replay', ...paths, '--config', folder.path)
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(/^(vecauthz: [^\n]+\n)+$/)
    expect(err).toContain(says)
  })
})
