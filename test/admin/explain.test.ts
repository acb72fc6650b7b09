/** `vecauthz explain`: where a decision ended, and that what would change it does. */
import { writeFileSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'
import type { Story } from '../../src/admin/explain-story.ts'
import { loadAll } from '../../src/config/load.ts'
import { SERVED } from '../../src/databases/dialects.ts'
import { createJudge } from '../../src/offline.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import { checkRequest } from '../support/check-request.ts'
import { folderOf } from '../support/offline.ts'
import { POLICY } from '../support/policy.ts'
import { HANDBOOK } from '../support/world.ts'

const folder = folderOf()
afterAll(() => folder.remove())

const PLACE = '/api/v2/tenants/acme/databases/rag/collections'
const SUPPORT = 'spiffe://demo.vecauthz.test/acme/support'
const query = (n: number, path = `${PLACE}/${HANDBOOK}/query`) => ({
  path,
  body: JSON.stringify({ query_embeddings: [[0.1, 0.2]], n_results: n })
})
type Call = Parameters<typeof checkRequest>[0]

async function explain(call: Call, who: string | undefined, policy = POLICY, ...more: readonly string[]) {
  writeFileSync(`${folder.path}/policy.yaml`, policy)
  const assumed = who === undefined ? [] : ['--assume-caller', who]
  const file = folder.file('call.bin', checkRequest(call))
  const args = ['--request', file, '--config', folder.path, '--resolved', `${folder.path}/names.json`, ...assumed, ...more]
  const { code, out, err } = await folder.run('explain', ...args, '--json')
  const story = JSON.parse(out) as Story
  return { code, err, story, ended: story.checks.find(({ result }) => result === 'no')?.check }
}

describe('a denial ends at the check that failed', () => {
  const rows: readonly { name: string; who?: string; call: Call; ended: string; verdict: string; code?: number }[] = [
    {
      name: 'a message that is cut',
      who: SUPPORT,
      call: { ...query(5), partial: 'true' },
      ended: 'the message is one HTTP request',
      verdict: 'call-too-large'
    },
    { name: 'a certificate without bundles', call: query(5), ended: 'the identity is proven', verdict: 'trust-unavailable', code: 2 },
    { name: 'a stranger', who: `${SUPPORT}s`, call: query(5), ended: 'the policy knows the workload', verdict: 'caller-unknown' },
    {
      name: 'another host',
      who: SUPPORT,
      call: { host: 'b.test' },
      ended: 'the call can be read as the database reads it',
      verdict: 'operation-unknown'
    },
    {
      name: 'another tenant',
      who: SUPPORT,
      call: query(5, `${PLACE.replace('acme', 'globex')}/${HANDBOOK}/query`),
      ended: 'its tenant is one that the workload may act for',
      verdict: 'tenant-not-allowed'
    },
    {
      name: 'an id without a name',
      who: SUPPORT,
      call: query(5, `${PLACE}/${HANDBOOK.replace('1', '2')}/query`),
      ended: 'each collection has a name',
      verdict: 'state-unavailable',
      code: 2
    },
    { name: 'too many results', who: SUPPORT, call: query(21), ended: 'a rule allows it, within its limits', verdict: 'call-too-large' }
  ]
  it.each(rows)('$name', async ({ who, call, ended: want, verdict, code: wanted = 1 }) => {
    const { code, story, ended } = await explain(call, who)
    expect([code, ended, story.verdict]).toEqual([wanted, want, `denied: ${verdict}`])
    const results = story.checks.map(({ result }) => result)
    const at = results.indexOf('no')
    expect(results).toEqual([...Array(at).fill('yes'), 'no', ...Array(results.length - at - 1).fill('not asked')])
    expect(story.checks[at]?.says).toBeTruthy()
    expect(story.change.length + (story.nearest?.if.length ?? 0)).toBeGreaterThan(0)
  })

  it('and an allow passes all of them', async () => {
    const { code, story, ended } = await explain(query(20), SUPPORT)
    expect([code, ended, story.verdict, story.nearest, story.change]).toEqual([0, undefined, 'allowed', undefined, []])
    expect(story.checks.find(({ check }) => check.startsWith('a rule'))?.says).toBe('policy.yaml:25 collections[0].allow[1]')
  })
})

describe('the nearest rule lacks what, added, lets the call pass', () => {
  const drop = { method: 'DELETE', path: `${PLACE}/handbook` }
  const SECOND = 'policy.yaml:25 collections[0].allow[1]'
  const rows: readonly { name: string; who?: string; call: Call; rule: string; lacks: readonly RegExp[]; from: string; to: string }[] = [
    {
      name: 'an action',
      call: drop,
      rule: SECOND,
      lacks: [/^its actions had drop$/],
      from: 'actions: [search, read, observe]',
      to: 'actions: [search, read, observe, drop]'
    },
    {
      name: 'a limit',
      call: query(21),
      rule: SECOND,
      lacks: [/^its limits.top_k were at least 21, or /],
      from: 'top_k: 20',
      to: 'top_k: 21'
    },
    {
      name: 'a bound',
      call: { path: `${PLACE}/${HANDBOOK}/get`, body: '{"include":["embeddings"],"limit":5}' },
      rule: SECOND,
      lacks: [/^its limits.vectors_out were allow/],
      from: 'vectors_out: deny',
      to: 'vectors_out: allow'
    },
    {
      name: 'a collection',
      call: { method: 'DELETE', path: `${PLACE}/diary` },
      rule: 'policy.yaml:32 collections[1].allow[0]',
      lacks: [/^its entry described "diary" in "rag"$/],
      from: 'names: [scratch-*]',
      to: 'names: [scratch-*, diary]'
    },
    {
      name: 'a tenant',
      who: 'spiffe://demo.vecauthz.test/globex/agent',
      call: { path: `${PLACE.replace('acme', 'globex')}/handbook` },
      rule: SECOND,
      lacks: [/^its tenants had "globex"$/],
      from: 'tenants: [acme]\n        actions: [search, read, observe]',
      to: 'tenants: [acme, globex]\n        actions: [search, read, observe]'
    },
    {
      name: 'a workload',
      call: query(5),
      rule: SECOND,
      lacks: [/^its workloads had spiffe:.+\/acme\/support$/],
      from: 'workloads: [spiffe://demo.vecauthz.test/shared/reporter]',
      to: 'workloads: [spiffe://demo.vecauthz.test/acme/support]'
    }
  ]
  it.each(rows)('$name', async ({ name, who = SUPPORT, call, rule, lacks, from, to }) => {
    const shared = 'tenants: [acme, globex]\n        actions: [search, read, observe]'
    const before =
      name === 'a tenant'
        ? POLICY.replace(shared, from)
        : name === 'a workload'
          ? POLICY.replace(shared, `${shared}\n        ${from}`)
          : POLICY
    const denied = await explain(call, who, before)
    expect(denied.story.nearest).toEqual({ rule, if: lacks.map((one) => expect.stringMatching(one)) })
    expect(denied.code).toBe(1)
    const after = before.replace(from, to)
    expect(after).not.toBe(before)
    expect((await explain(call, who, after)).code).toBe(0)
  })
})

it('a rule that lacks nothing of the call is kept from it by what its collection asks', async () => {
  const policy = POLICY.replace('names: [scratch-*]', 'names: [scratch-*]\n    purposes: [inference]')
  const { story, ended } = await explain({ method: 'DELETE', path: `${PLACE}/scratch-1` }, SUPPORT, policy)
  expect([story.verdict, ended]).toEqual(['denied: purpose-conflict', 'a rule allows it, within its limits'])
  expect(story.nearest).toEqual({ rule: expect.stringContaining('collections[1].allow[0]'), if: [] })
  expect(story.change.join(' ')).toContain('x-vecauthz-purpose')
})

describe('a recorded decision', () => {
  const records: Readonly<Record<string, unknown>>[] = []
  const record = async (call: Call, id: string) => {
    writeFileSync(`${folder.path}/policy.yaml`, POLICY)
    const loaded = loadAll(`${folder.path}/vecauthz.yaml`, SERVED, compilePolicy)
    if (!loaded.ok) throw new Error('faults')
    const facts = { at: Date.now(), anchors: undefined, jwtKeys: undefined, subjectKeys: new Map(), resolved: new Map() }
    const judged = await createJudge(loaded.settings, loaded.policy, facts)(checkRequest(call), { caller: SUPPORT })
    records.push({ ...judged.record, decision_id: id })
    return folder.file('audit.jsonl', `${records.map((one) => JSON.stringify(one)).join('\n')}\n`)
  }
  const of = (id: string, audit: string) => folder.run('explain', '--decision', id, '--audit', audit, '--config', folder.path)

  it('is explained by its id', async () => {
    const audit = await record({ method: 'DELETE', path: `${PLACE}/handbook` }, 'aaaa-1')
    await record({ path: '/api/v2/heartbeat' }, 'aaaa-2')
    await record({ ...query(5), partial: 'true' }, 'bbbb-3')
    const denied = await of('aaaa-1', audit)
    expect(denied).toMatchObject({ code: 1, err: '' })
    expect(denied.out).toContain('denied: delete-not-allowed')
    expect(denied.out).toContain('  it would allow this if\n    its actions had drop\n')
    expect(denied.out).toContain('recorded ')
    expect(denied.out).not.toContain('another one then')
    expect(await of('aaaa-2', audit)).toMatchObject({ code: 0, out: expect.stringMatching(/^allowed\n/) })
    expect((await of('bbbb', audit)).out).toContain('NO   the message is one HTTP request')
    expect(await of('aaaa', audit)).toMatchObject({ code: 2, err: expect.stringContaining('2 decisions') })
    expect(await of('cccc', audit)).toMatchObject({ code: 2, err: expect.stringContaining('There is no decision "cccc"') })
    writeFileSync(`${folder.path}/policy.yaml`, `${POLICY}# changed\n`)
    expect((await of('aaaa-1', audit)).out).toContain('another one then')
  })
})

describe('as a command', () => {
  it('tells a story', () => {
    writeFileSync(`${folder.path}/policy.yaml`, POLICY)
    folder.file('drop.bin', checkRequest({ method: 'DELETE', path: `${PLACE}/handbook` }))
    expect(folder.spawn('explain', '--request', 'drop.bin', '--assume-caller', SUPPORT)).toEqual({
      code: 1,
      err: '',
      out: `denied: delete-not-allowed
  the caller reads: This workload may not delete here.

who    ${SUPPORT} (assumed)
what   drop (collection.drop) on demo/rag/handbook for tenant acme

checks, in their order
  yes  the message is one HTTP request
  yes  the identity is proven: assumed, as was asked
  yes  the policy knows the workload: policy.yaml:6 workloads[0]
  yes  the end user is known, where one is needed
  yes  the call can be read as the database reads it
  yes  its tenant is one that the workload may act for: acme
  yes  each collection has a name
  NO   a rule allows it, within its limits: no rule allows drop on demo/rag/"handbook" for tenant acme and ${SUPPORT}
  -    the budget has room for it
  -    it can be sent on as it was judged

the nearest rule is policy.yaml:25 collections[0].allow[1]
  it would allow this if
    its actions had drop
`
    })
  })

  it.each([
    { name: 'nothing to explain', args: [], says: 'Say what to explain' },
    { name: 'a decision of no file', args: ['--decision', 'a'], says: 'with --audit FILE' },
    { name: 'a request and a decision', args: ['--request', 'a', '--decision', 'a'], says: 'Say what to explain' },
    { name: 'an audit file that is not there', args: ['--decision', 'a', '--audit', 'nope.jsonl'], says: 'There is no file "nope.jsonl".' }
  ])('cannot say: $name', async ({ args, says }) => {
    const { code, out, err } = await folder.run('explain', '--config', folder.path, ...args)
    expect([code, out]).toEqual([2, ''])
    expect(err).toContain(says)
  })
})
