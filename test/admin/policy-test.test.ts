/** `vecauthz test`: cases that hold and cases that do not, for each way of keeping tenants apart. */
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type Folder, folderOf } from '../support/offline.ts'
import { POLICY } from '../support/policy.ts'

const ROOT = join(import.meta.dirname, '../..')
const TENANCIES = `
version: 1
trust_domains: [demo.vecauthz.test]
tenants: [{ id: acme }, { id: globex }]
workloads:
  - { spiffe_id: spiffe://demo.vecauthz.test/acme/agent, tenants: [acme] }
collections:
  - { database: weaviate, names: [Docs], tenancy: native, allow: [{ tenants: [acme], actions: [search] }] }
  - { database: qdrant, names: [shared], tenancy: { filter: tenant_id }, allow: [{ tenants: [acme], actions: [search] }] }
  - { database: qdrant, names: ["docs_{tenant}"], tenancy: collection, allow: [{ tenants: [acme, globex], actions: [search, drop] }] }
  - { database: qdrant, names: [sharded], tenancy: shard, allow: [{ tenants: [acme], actions: [search] }] }
  - { database: milvus, namespace: "db_{tenant}", names: ["*"], tenancy: database, allow: [{ tenants: [acme], actions: [search, observe] }] }
limits: { top_k: 20, queries: 4, records: 100, vectors_out: deny }
budget: { per_second: 10, burst: 30 }
`
const SETTINGS = `
version: 1
role: gateway
listen: 127.0.0.1:0
workload_api: unix:///tmp/none.sock
envoys: [spiffe://demo.vecauthz.test/envoy/gateway]
policy: policy.yaml
databases:
  - { id: weaviate, kind: weaviate, version: 1.35.2, authorities: [weaviate.test] }
  - { id: qdrant, kind: qdrant, version: 1.19.0, authorities: [qdrant.test] }
  - { id: milvus, kind: milvus, version: "2.6", authorities: [milvus.test] }
audit: { file: stdout }
svid_ttl_seconds: 3600
bundle_max_age_seconds: 600
deadline_ms: 200
`

const plain = folderOf()
const many = folderOf({ 'vecauthz.yaml': SETTINGS, 'policy.yaml': TENANCIES })
afterAll(() => [plain, many].forEach((one) => void one.remove()))

const SUPPORT = 'spiffe://demo.vecauthz.test/acme/support'

interface Row {
  readonly name: string
  readonly call?: string
  readonly request?: string
  readonly caller?: string
  readonly more?: string
  readonly expect: string
}

async function results(folder: Folder, rows: readonly Row[], caller = SUPPORT) {
  const cases = rows.map(
    (row) => `  - name: ${row.name}
    caller: ${row.caller ?? caller}
    ${row.call === undefined ? `request: ${row.request}` : `call: ${row.call}`}
    expect: ${row.expect}
${row.more ?? ''}`
  )
  const file = folder.file('tests.yaml', `version: 1\n${'cases:\n'}${cases.join('\n')}\n`)
  const { code, out } = await folder.run('test', '--config', folder.path, file, '--json')
  return {
    code,
    ...(JSON.parse(out) as {
      cases: { name: string; ok: boolean; actual: string; because?: string }[]
      rules: { rule: string; hits: number }[]
    })
  }
}

const HANDBOOK = '{ database: demo, operation: search, tenant: acme, namespace: rag, collection: handbook'

const rowsOfShadow: readonly Row[] = [
  { name: 'as allowed', call: `${HANDBOOK} }`, expect: 'allow' },
  { name: 'above the limit', call: `${HANDBOOK}, top_k: 21 }`, expect: 'call-too-large' },
  { name: 'of an unknown caller', caller: `${SUPPORT}s`, call: `${HANDBOOK} }`, expect: 'caller-unknown' },
  { name: 'of another tenant', call: `${HANDBOOK.replace('acme', 'globex')} }`, expect: 'tenant-not-allowed' },
  {
    name: 'a request',
    request: '{ method: DELETE, path: /api/v2/tenants/acme/databases/rag/collections/handbook }',
    expect: 'delete-not-allowed'
  }
]

describe('a case', () => {
  const rows: readonly Row[] = [
    { name: 'as allowed', call: `${HANDBOOK} }`, expect: 'allow' },
    { name: 'at the limit', call: `${HANDBOOK}, top_k: 20, queries: 4 }`, expect: 'allow' },
    { name: 'above the limit', call: `${HANDBOOK}, top_k: 21 }`, expect: 'call-too-large' },
    { name: 'without a limit', call: `${HANDBOOK}, top_k: unbounded }`, expect: 'call-too-large' },
    { name: 'of too many queries', call: `${HANDBOOK}, queries: 5 }`, expect: 'call-too-large' },
    { name: 'for vectors', call: `${HANDBOOK}, vectors_out: true }`, expect: 'vectors-not-allowed' },
    { name: 'any denial', call: `${HANDBOOK}, vectors_out: true }`, expect: 'deny' },
    { name: 'of another tenant', call: `${HANDBOOK.replace('acme', 'globex')} }`, expect: 'tenant-not-allowed' },
    { name: 'of no known collection', call: `${HANDBOOK.replace('handbook', 'diary')} }`, expect: 'collection-not-allowed' },
    { name: 'of an unknown caller', caller: `${SUPPORT}s`, call: `${HANDBOOK} }`, expect: 'caller-unknown' },
    { name: 'a probe', call: '{ database: demo, operation: probe }', expect: 'allow' },
    { name: 'a request', request: '{ method: GET, path: /api/v2/heartbeat }', expect: 'allow' },
    { name: 'a request to another host', request: '{ method: GET, path: /api/v2/heartbeat, host: b.test }', expect: 'operation-unknown' },
    { name: 'a request nobody knows', request: '{ method: GET, path: /api/v9 }', expect: 'operation-unknown' }
  ]

  it('holds', async () => {
    const { code, cases } = await results(plain, rows)
    expect(cases.filter(({ ok }) => !ok)).toEqual([])
    expect([code, cases.length]).toEqual([0, rows.length])
  })

  it('fails when it expects anything else', async () => {
    for (const wrong of ['allow', 'deny', 'internal']) {
      const other = rows
        .filter(({ expect: right }) => (wrong === 'deny' ? right === 'allow' : right !== wrong))
        .map((row) => ({ ...row, expect: wrong }))
      const { code, cases } = await results(plain, other)
      expect([wrong, code, cases.filter(({ ok }) => ok)]).toEqual([wrong, 1, []])
    }
  })

  it('proves its tenant in the way that the policy keeps tenants apart', async () => {
    const call = (database: string, collection: string, tenant: string | undefined, more = '') =>
      `{ database: ${database}, operation: search, collection: "${collection}"${tenant === undefined ? '' : `, tenant: ${tenant}`}${more} }`
    const { code, cases } = await results(
      many,
      [
        { name: 'native', call: call('weaviate', 'Docs', 'acme'), expect: 'allow' },
        { name: 'native, another', call: call('weaviate', 'Docs', 'globex'), expect: 'tenant-not-allowed' },
        { name: 'native, none', call: call('weaviate', 'Docs', undefined), expect: 'tenant-not-named' },
        { name: 'filter', call: call('qdrant', 'shared', 'acme'), expect: 'allow' },
        { name: 'filter, another', call: call('qdrant', 'shared', 'globex'), expect: 'tenant-not-allowed' },
        { name: 'filter, none', call: call('qdrant', 'shared', undefined), expect: 'tenant-not-named' },
        { name: 'shard', call: call('qdrant', 'sharded', 'acme'), expect: 'allow' },
        { name: 'shard, none', call: call('qdrant', 'sharded', undefined), expect: 'tenant-not-named' },
        { name: 'collection', call: call('qdrant', 'docs_{tenant}', 'acme'), expect: 'allow' },
        { name: 'collection by its name', call: call('qdrant', 'docs_acme', undefined), expect: 'allow' },
        { name: 'collection of another', call: call('qdrant', 'docs_{tenant}', 'globex'), expect: 'tenant-not-allowed' },
        { name: 'database', call: call('milvus', 'any', 'acme', ', namespace: "db_{tenant}"'), expect: 'allow' },
        { name: 'database of another', call: call('milvus', 'any', 'globex', ', namespace: "db_{tenant}"'), expect: 'tenant-not-allowed' }
      ],
      'spiffe://demo.vecauthz.test/acme/agent'
    )
    expect(cases.filter(({ ok }) => !ok)).toEqual([])
    expect(code).toBe(0)
  })
})

describe('a policy in shadow, or with approvals', () => {
  it('is tested for what it says, not for what is let pass meanwhile', async () => {
    const shadow = folderOf({ 'policy.yaml': `${POLICY}mode: shadow\n` })
    const { cases } = await results(shadow, rowsOfShadow)
    expect(cases.filter(({ ok }) => !ok)).toEqual([])
    shadow.remove()
  })

  it('is tested for what somebody else must say yes to, which uses the rule', async () => {
    const approvals = 'approvals: { actions: [drop, delete], approvers: [spiffe://demo.vecauthz.test/boss] }'
    const folder = folderOf({ 'policy.yaml': `${POLICY}${approvals}\n` })
    const scratch = 'tenant: acme, namespace: rag, collection: scratch-1'
    const { cases, rules } = await results(folder, [
      { name: 'drop', call: `{ database: demo, operation: drop, ${scratch} }`, expect: 'approval-required' },
      { name: 'delete by id', call: `{ database: demo, operation: delete, ${scratch} }`, expect: 'allow' },
      { name: 'delete by filter', call: `{ database: demo, operation: delete, ${scratch}, records: 0 }`, expect: 'approval-required' }
    ])
    expect(cases.filter(({ ok }) => !ok)).toEqual([])
    expect(rules.map(({ hits }) => hits)).toEqual([0, 0, 3])
    folder.remove()
  })
})

describe('rules', () => {
  it('that no case needs are named, and a case that fails covers nothing', async () => {
    const { rules } = await results(plain, [{ name: 'one', call: `${HANDBOOK} }`, expect: 'allow' }])
    expect(rules).toEqual([
      { rule: 'policy.yaml:21 collections[0].allow[0]', hits: 0 },
      { rule: 'policy.yaml:25 collections[0].allow[1]', hits: 1 },
      { rule: 'policy.yaml:32 collections[1].allow[0]', hits: 0 }
    ])
    const wrong = await results(plain, [{ name: 'one', call: `${HANDBOOK} }`, expect: 'deny' }])
    expect(wrong.rules.map(({ hits }) => hits)).toEqual([0, 0, 0])
  })
})

describe('as a command', () => {
  it('holds for the demo, with every rule used', async () => {
    const { code, out } = await plain.run('test', '--config', join(ROOT, 'demo/config'), join(ROOT, 'demo/config/policy-tests.yaml'))
    expect([code, out]).toEqual([0, '18 cases: 18 as expected, 0 not\n2 allow rules: 2 used by a case\n'])
  })

  it('shows what is not as expected', () => {
    const text = `version: 1
cases:
  - name: support searches its handbook
    caller: ${SUPPORT}
    call: ${HANDBOOK} }
    expect: tenant-not-allowed
  - name: and drops it
    caller: ${SUPPORT}
    call: { database: demo, operation: drop, tenant: acme, namespace: rag, collection: handbook }
    expect: allow
`
    plain.file('wrong.yaml', text)
    expect(plain.spawn('test', 'wrong.yaml')).toEqual({
      code: 1,
      err: '',
      out: `FAIL wrong.yaml:3: support searches its handbook
     expected tenant-not-allowed
     actual   allow: by policy.yaml:25 collections[0].allow[1]
FAIL wrong.yaml:7: and drops it
     expected allow
     actual   delete-not-allowed: no rule allows drop on demo/rag/"handbook" for tenant acme and ${SUPPORT}
2 cases: 0 as expected, 2 not
3 allow rules: 0 used by a case, 3 by none:
     policy.yaml:21 collections[0].allow[0]
     policy.yaml:25 collections[0].allow[1]
     policy.yaml:32 collections[1].allow[0]
`
    })
  })

  const good = `version: 1\ncases:\n  - { name: a, caller: "${SUPPORT}", call: ${HANDBOOK} }, expect: allow }\n`
  it.each([
    { name: 'no file', text: undefined, says: 'Say which files' },
    { name: 'a misspelt key', text: good.replace('tenant:', 'tennant:'), says: 'tests.yaml:3:' },
    { name: 'a reason that is none', text: good.replace('expect: allow', 'expect: no'), says: 'cases.0.expect' },
    { name: 'a caller that is none', text: good.replace('spiffe://', 'https://'), says: 'must be a SPIFFE ID' },
    { name: 'neither call nor request', text: good.replace(/call: \{.*?\}, /, ''), says: 'either a call or a request' },
    { name: 'no cases', text: 'version: 1\ncases: []\n', says: 'cases' },
    { name: 'no YAML', text: 'version: [', says: 'tests.yaml:1:' }
  ])('cannot say: $name', async ({ text, says }) => {
    const files = text === undefined ? [] : [plain.file('tests.yaml', text)]
    const { code, out, err } = await plain.run('test', '--config', plain.path, ...files)
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(/^(vecauthz: [^\n]+\n)+$/)
    expect(err).toContain(says)
  })

  it('helps', async () => {
    expect(await plain.run('test', '--help')).toMatchObject({ code: 0, out: expect.stringContaining('expect: tenant-not-allowed') })
  })
})
