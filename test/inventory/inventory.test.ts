/** `vecauthz inventory` from audit files: what is used, what is not, what cannot be told, and the patch that takes out the rest. */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { archivePolicy } from '../../src/config/policy-archive.ts'
import { revisionOf as hashOf } from '../../src/config/policy-files.ts'
import { type Made, recordLine } from '../support/audit-records.ts'
import { type Folder, folderOf } from '../support/offline.ts'

const DAY = 86_400_000
const END = Date.parse('2026-11-01T12:00:00Z')
const POLICY = `# Who may do what here.
version: 1
trust_domains: [demo.vecauthz.test]
tenants: [{ id: acme }, { id: globex }]
workloads:
  # The desk's agent.
  - spiffe_id: spiffe://demo.vecauthz.test/acme/support
    tenants: [acme]
    owner: desk
    review_by: 2026-01-01
  - spiffe_id: spiffe://demo.vecauthz.test/acme/indexer # writes
    tenants: [acme]
  # Gone since spring.
  - spiffe_id: spiffe://demo.vecauthz.test/acme/former
    tenants: [acme]
    expires: 2026-03-01
  - { spiffe_id: "spiffe://demo.vecauthz.test/globex/*", tenants: [globex], owner: globex }
collections:
  - database: demo
    namespace: rag
    names: [handbook]
    tenancy: path
    tags: [personal]
    allow:
      # Everybody reads.
      - tenants: [acme, globex]
        actions: [search, read, observe]
      # Nobody ever did this.
      - tenants: [acme]
        actions: [drop]
        workloads: [spiffe://demo.vecauthz.test/acme/indexer]
      - tenants: [acme]
        workloads: [spiffe://demo.vecauthz.test/acme/indexer, spiffe://demo.vecauthz.test/acme/support]
        actions: [write]
        limits: { top_k: 50, vectors_out: allow }
  # The attic.
  - database: demo
    namespace: rag
    names: [attic-*]
    tenancy: path
    allow:
      - { tenants: [acme], actions: [read] } # until when?
tags: { personal: 10 }
limits: { top_k: 20, queries: 4, records: 100, vectors_out: deny }
budget: { per_second: 10, burst: 30 }
`
const revisionOf = (text: string) => createHash('sha256').update(text).digest('hex')
const REVISION = revisionOf(POLICY)

const folders: Folder[] = []
afterAll(() => {
  for (const one of folders) one.remove()
})

function open(records: readonly Omit<Made, 'revision'>[], { policy = POLICY, revision = REVISION, more = [] as readonly string[] } = {}) {
  const folder = folderOf({ 'policy.yaml': policy })
  folders.push(folder)
  const lines = records.map((one) => recordLine({ revision, ...one }))
  const audit = folder.file('audit.jsonl', `${[...lines, ...more].join('\n')}\n`)
  const run = (...args: readonly string[]) => folder.run('inventory', '--audit', audit, '--config', folder.path, ...args)
  const json = async (...args: readonly string[]) => {
    const { code, out } = await run('--json', ...args)
    return { code, body: JSON.parse(out) }
  }
  return { folder, audit, run, json }
}

/** A hundred days: the desk searches, the indexer writes, globex reads; and on the first day somebody reads the attic. */
const USED: readonly Omit<Made, 'revision'>[] = [
  { at: END - 100 * DAY, who: 'acme/support' },
  { at: END - 100 * DAY, who: 'acme/support', action: 'read', collection: 'attic-1' },
  ...Array.from({ length: 20 }, (_, at) => ({ at: END - (at + 1) * DAY, who: 'acme/support', keys: at < 3 ? ['api-key'] : [] })),
  { at: END - 5 * DAY, who: 'acme/indexer', action: 'write' },
  { at: END - 4 * DAY, who: 'globex/reader', tenant: 'globex', action: 'read' },
  { at: END - 4 * DAY, who: 'globex/stranger', tenant: 'globex', reason: 'tenant-not-allowed' },
  { at: END - 3 * DAY, who: 'acme/nobody', reason: 'caller-unknown' },
  { at: END, who: 'acme/support' }
]

describe('what there is', () => {
  it('each workload and each grant, with who answers for it, when it was seen, and what is unused', async () => {
    const { code, body } = await open(USED).json()
    expect(code).toBe(1)
    expect(body).toMatchObject({ told: true, policy_revision: REVISION, period: { days: 90, to: '2026-11-01T12:00:00Z' } })
    const workload = (name: string) => body.workloads.find((one: { spiffe_id: string }) => one.spiffe_id.endsWith(name))
    expect(workload('acme/support')).toMatchObject({ owner: 'desk', overdue: true, first_seen: '2026-07-24T12:00:00Z', identities: 1 })
    expect(workload('acme/former')).toMatchObject({ expired: true, identities: 0, seen_in_period: false })
    expect(workload('globex/*')).toMatchObject({ identities: 2, used: { collections: ['demo/rag/handbook'], actions: ['read'] } })
    const grant = (name: string, rule: string) =>
      body.grants.find((one: { workload: string; rule: string }) => one.workload.endsWith(name) && one.rule.endsWith(rule))
    expect(grant('acme/support', 'collections[0].allow[0]')).toMatchObject({
      used: { search: 22 },
      recommended: 'narrow',
      unused_actions: ['read', 'observe']
    })
    expect(grant('acme/indexer', 'collections[0].allow[1]')).toMatchObject({ used: {}, recommended: 'remove' })
    expect(grant('acme/support', 'collections[1].allow[0]')).toMatchObject({ recommended: 'remove', last_used: '2026-07-24T12:00:00Z' })
    expect(body.not_in_policy).toMatchObject([
      { spiffe_id: 'spiffe://demo.vecauthz.test/acme/nobody', allowed: 0, denied: { 'caller-unknown': 1 } }
    ])
    expect(body.permanent_keys).toMatchObject([{ headers: [{ header: 'api-key', count: 3 }] }])
  })

  it('how far each could reach, and how far it did', async () => {
    const { body } = await open(USED).json()
    const [support] = body.workloads
    expect(support.reach).toEqual({
      tenants: ['acme'],
      collections: ['demo/rag/attic-*', 'demo/rag/handbook'],
      actions: ['observe', 'read', 'search', 'write'],
      // Weight 10 × the 100 records that one read may bring, which is more than 4 queries × 20; embeddings are out where it only writes.
      exposure: 1_000
    })
    expect(support.used).toEqual({ tenants: ['acme'], collections: ['demo/rag/handbook'], actions: ['search'] })
  })

  it('in prose, without what a name could do to a terminal', async () => {
    const { code, out } = await open([...USED, { at: END, who: 'acme/support', collection: 'attic-\u001b[2J' }]).run()
    expect(code).toBe(1)
    expect(out).toContain('seen, not in the policy: 1\n  spiffe://demo.vecauthz.test/acme/nobody')
    expect(out).toContain('still send permanent keys: 1\n  spiffe://demo.vecauthz.test/acme/support: api-key 3 times')
    expect(out).toContain('\\u001b[2J')
    expect(out).not.toContain('\u001b')
  })

  it('one identity by two certificates that do something else, side by side', async () => {
    const by = (serial: string, collection: string) =>
      Array.from({ length: 60 }, (_, at) => ({ at: END - at * 1_000, who: 'acme/support', action: 'read', serial, collection }))
    const { body } = await open([...USED, ...by('01', 'handbook'), ...by('02', 'attic-1')]).json()
    expect(body.diverging_certificates).toMatchObject([{ spiffe_id: 'spiffe://demo.vecauthz.test/acme/support', calls: [60, 60] }])
    const same = await open([...USED, ...by('01', 'handbook'), ...by('02', 'handbook')]).json()
    expect(same.body.diverging_certificates).toEqual([])
  })
})

describe('what cannot be told', () => {
  it.each<[string, { records?: readonly Omit<Made, 'revision'>[]; more?: readonly string[]; args?: readonly string[] }, string]>([
    ['the records are of a shorter time', { args: ['--days', '101'] }, 'known for 100 days only, and 101'],
    ['a line cannot be read', { more: ['{"ts":'] }, '1 lines of'],
    [
      'a chain has a hole',
      {
        more: [3, 5].map((seq) =>
          JSON.stringify({ ts: '2026-10-01T00:00:00.000Z', kind: 'standing', chain: { run: '00', stream: 'agents', seq, prev: '' } })
        )
      },
      '1 lines are missing'
    ],
    [
      'a chain has a hole, and as many lines twice as are missing',
      {
        more: [1, 1, 1, 1, 2, 31, 32, 1_024, 1_023, 1_024].map((seq) =>
          JSON.stringify({ ts: '2026-10-01T00:00:00.000Z', kind: 'standing', chain: { run: '00', stream: 'agents', seq, prev: '' } })
        )
      },
      '1018 lines are missing'
    ],
    [
      'a place in a chain is none',
      { more: ['{"ts":"2026-10-01T00:00:00.000Z","kind":"standing","chain":{"run":"00","stream":"agents","seq":1.5}}'] },
      '1 lines of'
    ]
  ])(
    'is said where %s: nothing is called unused, and nothing is taken out',
    async (_, { records = USED, more = [], args = [] }, because) => {
      const its = open(records, { more })
      const { code, body } = await its.json(...args)
      expect([code, body.told]).toEqual([2, false])
      expect(body.cannot_tell_because.join()).toContain(because)
      expect(body.grants.map(({ recommended }: { recommended: string }) => recommended)).not.toContain('remove')
      const prune = await its.run('--prune', ...args)
      expect([prune.code, prune.out]).toEqual([2, ''])
      expect(prune.err).toContain('Nothing can be called unused')
      expect((await its.run('--report', 'md', ...args)).code).toBe(2)
    }
  )

  it('of a rule is when it was added, if a policy of before cannot be read; with the archive it is told', async () => {
    const before = POLICY.replace('        actions: [drop]\n', '        actions: [drop, define]\n')
    const was = { at: END - 95 * DAY, who: 'acme/support', revision: revisionOf(before) }
    const files = (revision: string) => USED.map((one) => ({ ...one, revision })).filter(({ at }) => at > END - 90 * DAY)
    const its = open([was, ...files(REVISION)])
    const unknown = await its.json('--days', '90')
    expect([...new Set(unknown.body.grants.map(({ recommended }: { recommended: string }) => recommended))].sort()).toEqual([
      'cannot tell',
      'keep'
    ])
    archivePolicy(join(its.folder.path, 'archive'), revisionOf(before), [{ file: 'policy.yaml', text: before }])
    const { body } = await its.json('--days', '90', '--archive', join(its.folder.path, 'archive'))
    expect(body.grants.filter(({ recommended }: { recommended: string }) => recommended === 'remove').length).toBeGreaterThan(0)
  })
})

describe('the patch', () => {
  /** What `git apply` makes of it is asked in test/integration/inventory.test.ts; here the text is put together by hand. */
  const WANTED = POLICY.replace(
    '  # Gone since spring.\n  - spiffe_id: spiffe://demo.vecauthz.test/acme/former\n    tenants: [acme]\n    expires: 2026-03-01\n',
    ''
  )
    .replace('[search, read, observe]', '[search, read]')
    .replace(
      '      # Nobody ever did this.\n      - tenants: [acme]\n        actions: [drop]\n        workloads: [spiffe://demo.vecauthz.test/acme/indexer]\n',
      ''
    )
    .replace(
      '[spiffe://demo.vecauthz.test/acme/indexer, spiffe://demo.vecauthz.test/acme/support]',
      '[spiffe://demo.vecauthz.test/acme/indexer]'
    )

  it('takes out what nobody used, leaves what the records show, keeps comments; and replayed, nothing new is denied', async () => {
    const its = open(USED)
    const { code, body } = await its.json('--prune')
    expect(code).toBe(0)
    expect(body.policy_revision_after).toBe(revisionOf(WANTED))
    expect(body.removed.map(({ what }: { what: string }) => what.replace(/policy.yaml:\d+ /, '')).sort()).toEqual([
      expect.stringMatching(/^collections\[0\]\.allow\[0\]: action observe$/),
      expect.stringMatching(/^collections\[0\]\.allow\[1\] \(drop in handbook/),
      expect.stringMatching(/^collections\[0\]\.allow\[2\]: workload spiffe:.*acme\/support$/),
      expect.stringMatching(/^workloads\[2\] /)
    ])
    // The attic was used once, before the period: replayed, that comes out as before.
    expect(body.left).toEqual([
      {
        what: expect.stringContaining('read in attic-*'),
        because: 'last used on 2026-07-24, before the period; the records that were given show it'
      }
    ])
    const pruned = its.folder.file('pruned.yaml', WANTED)
    const replay = await its.folder.run('replay', its.audit, '--policy', pruned, '--config', its.folder.path, '--json')
    const { decisions } = JSON.parse(replay.out) as { decisions: { before: string; after: string }[] }
    expect(decisions.filter(({ before, after }) => before === 'allow' && after !== 'allow')).toEqual([])
    const text = await its.run('--prune')
    expect(text.out).toMatch(/^# policy revision [0-9a-f]{12}, held against 90 days\n# taken out:\n/)
    expect(text.out).toContain('-        actions: [drop]\n')
  })

  it('leaves what was added in the period, and whoever was; and says so', async () => {
    const before = POLICY.replace('        actions: [drop]\n', '        actions: [define]\n').replace(
      / {2}- spiffe_id: \S+acme\/indexer # writes\n {4}tenants: \[acme\]\n/,
      ''
    )
    const its = open([
      ...USED.slice(2),
      { at: END - 95 * DAY, who: 'acme/support', revision: revisionOf(before) } as Omit<Made, 'revision'>
    ])
    const archive = join(its.folder.path, 'archive')
    archivePolicy(archive, revisionOf(before), [{ file: 'policy.yaml', text: before }])
    const { body } = await its.json('--prune', '--archive', archive)
    const because = (what: RegExp) => body.left.find((one: { what: string }) => what.test(one.what))?.because
    expect(because(/allow\[1\] \(drop/)).toBe('it was added or widened in the period')
    expect(body.removed.map(({ what }: { what: string }) => what).join()).not.toMatch(/drop/)
    // The attic is old, and so is everybody whom it is for but the indexer.
    expect(because(/attic/)).toBe('spiffe://demo.vecauthz.test/acme/indexer was added or widened in the period')
  })

  it.each(['approval-required', 'quarantined', 'rate-exceeded'])(
    'leaves what was asked for and refused for something else (%s)',
    async (reason) => {
      const { body } = await open([...USED, { at: END - DAY, who: 'acme/indexer', action: 'drop', reason }]).json('--prune')
      expect(body.removed.map(({ what }: { what: string }) => what).join()).not.toMatch(/\(drop/)
    }
  )

  it('is nothing where all is used', async () => {
    const all = (['search', 'read', 'observe', 'drop', 'write'] as const).flatMap((action) =>
      ['acme/support', 'acme/indexer'].map((who) => ({ at: END - DAY, who, action }))
    )
    const more = ['search', 'read', 'observe'].map((action) => ({ at: END - DAY, who: 'globex/reader', tenant: 'globex', action }))
    const policy = POLICY.replace(/ {2}# Gone since spring\.\n(?: .*\n){3}/, '')
    const { code, body } = await open([...USED, ...all, ...more], { policy, revision: revisionOf(policy) }).json('--prune')
    expect([code, body.removed, body.patch, body.policy_revision_after]).toEqual([0, [], '', body.policy_revision])
  })

  it('goes over a folder of files, each with its own difference', async () => {
    const at = POLICY.indexOf('collections:')
    const folder = folderOf()
    folders.push(folder)
    mkdirSync(join(folder.path, 'policy'))
    const [first, second] = [POLICY.slice(0, at), POLICY.slice(at)]
    writeFileSync(join(folder.path, 'policy/10-people.yaml'), first)
    writeFileSync(join(folder.path, 'policy/20-rules.yaml'), second)
    folder.file('vecauthz.yaml', readFileSync(join(folder.path, 'vecauthz.yaml'), 'utf8').replace('policy: policy.yaml', 'policy: policy'))
    const revision = hashOf([
      { file: '10-people.yaml', text: first },
      { file: '20-rules.yaml', text: second }
    ])
    const audit = folder.file('audit.jsonl', USED.map((one) => recordLine({ revision, ...one })).join('\n'))
    const { code, out } = await folder.run('inventory', '--audit', audit, '--config', folder.path, '--prune')
    expect(code).toBe(0)
    expect(out).not.toContain('empty list')
    expect(out.match(/^--- .*$/gm)).toEqual([expect.stringMatching(/10-people\.yaml$/), expect.stringMatching(/20-rules\.yaml$/)])
  })
})

it('a file whose name would be lines of the patch is in none', async () => {
  const folder = folderOf()
  folders.push(folder)
  mkdirSync(join(folder.path, 'policy'))
  const file = '10-x\n+++ b@etc@cron.yaml'
  writeFileSync(join(folder.path, 'policy', file), POLICY)
  folder.file('vecauthz.yaml', readFileSync(join(folder.path, 'vecauthz.yaml'), 'utf8').replace('policy: policy.yaml', 'policy: policy'))
  const revision = hashOf([{ file, text: POLICY }])
  const audit = folder.file('audit.jsonl', USED.map((one) => recordLine({ revision, ...one })).join('\n'))
  const { code, out, err } = await folder.run('inventory', '--audit', audit, '--config', folder.path, '--prune')
  expect([code, out]).toEqual([2, ''])
  expect(err).toContain('10-x\\u000a+++ b@etc@cron.yaml cannot stand in a patch')
})

it('a file of a folder whose list would be empty keeps one item, and that is said', async () => {
  const folder = folderOf()
  folders.push(folder)
  mkdirSync(join(folder.path, 'policy'))
  const former = `workloads:
  - { spiffe_id: "spiffe://demo.vecauthz.test/old/one", tenants: [acme] }
  - { spiffe_id: "spiffe://demo.vecauthz.test/old/two", tenants: [acme] }
`
  const texts = [
    { file: join(folder.path, 'policy/10-all.yaml'), text: POLICY },
    { file: join(folder.path, 'policy/20-former.yaml'), text: former }
  ]
  for (const { file, text } of texts) writeFileSync(file, text)
  folder.file('vecauthz.yaml', readFileSync(join(folder.path, 'vecauthz.yaml'), 'utf8').replace('policy: policy.yaml', 'policy: policy'))
  const revision = hashOf(texts)
  const audit = folder.file('audit.jsonl', USED.map((one) => recordLine({ revision, ...one })).join('\n'))
  const { code, out } = await folder.run('inventory', '--audit', audit, '--config', folder.path, '--prune', '--json')
  const { removed, left } = JSON.parse(out)
  const about = (all: { what: string }[], name: string) => all.filter(({ what }) => what.includes(name))
  expect([code, about(removed, 'old/one'), about(removed, 'old/two').length]).toEqual([0, [], 1])
  expect(about(left, 'old/one')).toMatchObject([{ because: 'its file would have an empty list' }])
})

describe('the report', () => {
  const rows = (csv: string) => csv.split('\r\n').filter((line) => line !== '' && !line.startsWith('#'))

  it('as CSV: a row for each workload and grant, what nobody takes for a formula, and blanks for the decision', async () => {
    const owner = '=cmd|calc'
    const policy = POLICY.replace('owner: desk', `owner: "${owner}"`)
    const { code, out } = await open(USED, { policy, revision: revisionOf(policy) }).run('--report', 'csv')
    expect(code).toBe(0)
    const [head, ...body] = rows(out)
    expect(head).toContain('workload,owner,review by,expires,rule')
    expect(body).toHaveLength(10)
    expect(body[0]).toContain(`,'${owner},2026-01-01,`)
    expect(body.every((line) => line.endsWith(',,,'))).toBe(true)
    expect(out).toContain('# period,2026-08-03T12:00:00Z to 2026-11-01T12:00:00Z (90 days)\r\n')
  })

  it.each(['\u3000=1+1', ' @SUM(1)', '\uff1d1+1'])('a formula behind blanks, or with a wide sign, is text: %j', async (formula) => {
    const policy = POLICY.replace('owner: desk', `owner: "${formula}"`)
    const { out } = await open(USED, { policy, revision: revisionOf(policy) }).run('--report', 'csv')
    expect(out).toContain(`,'${formula},`)
  })

  it('as Markdown: the same, with what a name could break written out', async () => {
    const policy = POLICY.replace('owner: desk', 'owner: "a | b <script>"')
    const { out } = await open(USED, { policy, revision: revisionOf(policy) }).run('--report', 'md')
    expect(out).toContain('a \\| b \\<script\\>')
    expect(out.match(/^\| spiffe/gm)).toHaveLength(10)
    expect(out).toContain('**complete**: nothing is known to be missing')
  })
})

it('docs/inventory.md has every option', async () => {
  const { folder } = open(USED)
  const { code, out } = await folder.run('inventory', '--help')
  const text = readFileSync(join(import.meta.dirname, '../../docs/inventory.md'), 'utf8')
  const options = [...new Set(out.match(/--[a-z][a-z-]+/g))]
  expect([code, options.filter((one) => !text.includes(one))]).toEqual([0, []])
  expect(options.length).toBeGreaterThan(8)
})

it.each([
  [['--days', '0']],
  [['--days', 'x']],
  [['--report', 'html']],
  [['--report', 'md', '--prune']],
  [['--admin', '127.0.0.1:1']],
  [['more']]
])('refuses %s with a sentence', async (args) => {
  const { code, err } = await open(USED).run(...args)
  expect([code, err]).toEqual([2, expect.stringMatching(/^vecauthz: .*\.\n$|^vecauthz: .*see --help\.\n$/)])
})
