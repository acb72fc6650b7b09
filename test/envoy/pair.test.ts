/** Egress vouches, the index believes it for this very call of this very workload only. Each allow beside its nearest denials. */
import { beforeAll, describe, expect, it } from 'vitest'
import { auditLine } from '../../src/audit/record.ts'
import { envoyPem, issueSvid, type Svid } from '../support/ca.ts'
import type { CheckParts } from '../support/check-request.ts'
import { type Answer, PAIR_POLICY, type Pair, pairOf, passed } from '../support/pair.ts'
import { HANDBOOK } from '../support/world.ts'

const PLACE = '/api/v2/tenants/acme/databases/rag/collections'
const QUERY = JSON.stringify({ query_embeddings: [[0.1, 0.2]], n_results: 5 })
const search = (change: Partial<CheckParts> = {}): CheckParts => ({ path: `${PLACE}/${HANDBOOK}/query`, body: QUERY, ...change })
const ADD = JSON.stringify({ ids: ['a'], embeddings: [[0.1, 0.2]] })
const write = (change: Partial<CheckParts> = {}): CheckParts => ({ path: `${PLACE}/${HANDBOOK}/add`, body: ADD, ...change })

let pair: Pair
const svids: Record<'support' | 'indexer' | 'globex' | 'stranger', Svid> = {} as never

beforeAll(async () => {
  pair = await pairOf()
  const [support, indexer, globex, stranger] = await Promise.all(
    ['/acme/support', '/acme/indexer', '/globex/desk', '/acme/nobody'].map((path) => pair.issue(path))
  )
  Object.assign(svids, { support, indexer, globex, stranger })
})

const outcome = async (answer: Promise<Answer>) => (await answer).reason
const withToken = async (parts: CheckParts, who = svids.support) => passed(parts, await pair.egress(who, parts))

describe('through both', () => {
  it('a search passes: the token goes as far as the index, and no credential of the client goes anywhere', async () => {
    const sent = search({
      headers: [
        ['authorization', 'Bearer key'],
        ['x-vecauthz-purpose', 'inference']
      ]
    })
    const policy = PAIR_POLICY.replace('    tenants: [acme]\n', '    tenants: [acme]\n    purposes: [inference]\n')
    const other = await pairOf({ egressPolicy: policy, indexPolicy: policy })
    const who = await other.issue('/acme/support')
    const egress = await other.egress(who, sent)
    expect(egress.reason).toBe('allow')
    expect(egress.set.get('x-tenant-id')).toBe('acme')
    expect(egress.removed).toContain('authorization')
    expect(egress.removed).not.toContain('x-vecauthz-purpose')
    const index = await other.index(who, passed(sent, egress))
    expect(index.reason).toBe('allow')
    expect(index.removed).toEqual(expect.arrayContaining(['x-vecauthz-policy-token', 'x-vecauthz-purpose', 'authorization']))
    const record = JSON.parse(auditLine(index.record))
    expect(record).toMatchObject({ role: 'index', policy_token: { jti: egress.record.decisionId } })
    expect(JSON.stringify(record)).not.toContain(egress.set.get('x-vecauthz-policy-token'))
  })

  it('a start-up call passes with a token that names no tenant', async () => {
    expect(await outcome(pair.through(svids.support, { path: '/api/v2/heartbeat' }))).toBe('allow')
  })

  it('what egress refuses never gets a token', async () => {
    const refused = await pair.egress(svids.globex, search())
    expect([refused.reason, refused.set.size]).toEqual(['tenant-not-allowed', 0])
  })
})

describe('at egress', () => {
  it('the connection says who calls, and nothing in the message', async () => {
    const asserted = { certificate: envoyPem(svids.support.chain[0] as Uint8Array), principal: svids.support.id }
    expect(await outcome(pair.egress(svids.globex, search(asserted)))).toBe('tenant-not-allowed')
    const own = await pair.egress(svids.support, search({ ...asserted, principal: svids.globex.id }))
    expect([own.reason, own.set.get('x-vecauthz-caller')]).toEqual(['allow', svids.support.id])
  })

  it('a workload that is not listed is unknown, and one with another authority is nobody', async () => {
    expect(await outcome(pair.egress(svids.stranger, search()))).toBe('caller-unknown')
    const { makeAuthority } = await import('../support/ca.ts')
    const forger = await makeAuthority({ trustDomain: 'demo.vecauthz.test' })
    const forged = await issueSvid(forger, { id: svids.support.id })
    expect(await outcome(pair.egress(forged, search()))).toBe('svid-untrusted')
  })

  it('whoever asks names its checks itself, so one name for all of them pays for one only', async () => {
    const narrow = PAIR_POLICY.replace('budget: { per_second: 10, burst: 30 }', 'budget: { per_second: 0.001, burst: 2 }')
    const other = await pairOf({ egressPolicy: narrow })
    const who = await other.issue('/acme/support')
    const reasons: string[] = []
    for (const n of [1, 2, 3]) reasons.push((await other.egress(who, search({ id: 'same', body: QUERY.replace('5', String(n)) }))).reason)
    expect(reasons).toEqual(['allow', 'allow', 'rate-exceeded'])
  })

  it('a collection behind an id passes as far as anything of its tenant would; the action must be allowed somewhere', async () => {
    const anywhere = { path: `${PLACE}/aaaaaaaa-2222-4333-8444-555555555555/query`, body: QUERY }
    expect(await outcome(pair.egress(svids.support, anywhere))).toBe('allow')
    expect(await outcome(pair.through(svids.support, anywhere))).toBe('collection-not-allowed')
    const alone = PAIR_POLICY.replace(/ {2}- database: demo\n {4}namespace: rag\n {4}names: \[scratch-\*\][\s\S]*?(?=limits:)/, '')
    const only = await pairOf({ egressPolicy: alone })
    expect(await outcome(only.egress(await only.issue('/acme/support'), write()))).toBe('write-not-allowed')
    expect(await outcome(only.egress(await only.issue('/acme/indexer'), write()))).toBe('allow')
  })
})

describe('at the index', () => {
  const cases: readonly (readonly [string, () => Promise<CheckParts>, keyof typeof svids, string])[] = [
    ['the call as it was vouched for', () => withToken(search()), 'support', 'allow'],
    ['no token', async () => search(), 'support', 'token-missing'],
    ['another body', async () => ({ ...(await withToken(search())), body: QUERY.replace('5', '6') }), 'support', 'token-mismatch'],
    ['another path', async () => ({ ...(await withToken(search())), path: `${PLACE}/${HANDBOOK}/get` }), 'support', 'token-mismatch'],
    ['another method', async () => ({ ...(await withToken(search())), method: 'PUT' }), 'support', 'token-mismatch'],
    [
      'another host',
      async () => ({ ...(await withToken(search())), host: 'chroma.demo.vecauthz.test:8000' }),
      'support',
      'operation-unknown'
    ],
    ['another peer', () => withToken(search()), 'indexer', 'token-mismatch'],
    ['a peer of another tenant', () => withToken(search()), 'globex', 'token-mismatch']
  ]
  it.each(cases)('%s → %s', async (_, parts, who, want) => {
    expect(await outcome(pair.index(svids[who], await parts()))).toBe(want)
  })

  it('a token for another index, and one from an issuer that is not listed, or not for this tenant', async () => {
    const elsewhere = await pairOf({ audience: 'other.demo.vecauthz.test' })
    expect(await outcome(elsewhere.through(await elsewhere.issue('/acme/support'), search()))).toBe('token-invalid')
    const unlisted = await pairOf({ indexPolicy: PAIR_POLICY.replace(/issuers:.*\n/, '') })
    expect(await outcome(unlisted.through(await unlisted.issue('/acme/support'), search()))).toBe('token-invalid')
    const narrow = await pairOf({ indexPolicy: PAIR_POLICY.replace('tenants: [acme, globex], aud', 'tenants: [globex], aud') })
    expect(await outcome(narrow.through(await narrow.issue('/acme/support'), search()))).toBe('token-invalid')
  })

  it('a token ends, and a revoked issuer is no issuer', async () => {
    let now = Date.now()
    const other = await pairOf({ now: () => now })
    const who = await other.issue('/acme/support')
    const vouched = passed(search(), await other.egress(who, search()))
    now += 31_000
    expect(await outcome(other.index(who, vouched))).toBe('allow')
    now += 2_000
    expect(await outcome(other.index(who, vouched))).toBe('token-expired')
    const revoked = await pairOf({
      indexPolicy: `${PAIR_POLICY}revoked: { spiffe_ids: [spiffe://demo.vecauthz.test/vecauthz/egress] }\n`
    })
    expect(await outcome(revoked.through(await revoked.issue('/acme/support'), search()))).toBe('identity-revoked')
  })

  it('a token that is revoked by its jti', async () => {
    let revoked = ''
    const other = await pairOf({ indexPolicy: () => PAIR_POLICY + revoked })
    const who = await other.issue('/acme/support')
    const egress = await other.egress(who, search())
    expect(await outcome(other.index(who, passed(search(), egress)))).toBe('allow')
    revoked = `revoked: { token_ids: [${egress.record.decisionId}] }\n`
    expect(await outcome(other.index(who, passed(search(), egress)))).toBe('identity-revoked')
    expect(await outcome(other.through(who, search()))).toBe('allow')
  })

  it('a token for another operation than the index reads, though the request is the same', async () => {
    const { record } = await pair.egress(svids.support, search())
    const { decision, inbound } = record
    if (decision.verdict !== 'allow' || inbound === undefined) throw new Error('refused')
    const vouchedAs = (operation: 'search' | 'read') => {
      const grant = { ...decision.grant, call: { ...decision.grant.call, operation } } as typeof decision.grant
      const facts = {
        grant,
        judged: undefined,
        inbound,
        meaningHeaders: [],
        revision: 'f00d',
        decisionId: crypto.randomUUID(),
        at: Date.now()
      }
      const token = pair.vouch(facts)
      if (!token.ok) throw new Error(token.reason.because)
      return search({ headers: [['x-vecauthz-policy-token', token.value]] })
    }
    expect(await outcome(pair.index(svids.support, vouchedAs('search')))).toBe('allow')
    expect(await outcome(pair.index(svids.support, vouchedAs('read')))).toBe('token-mismatch')
  })

  it('what changes something is done once, also under the same check; a read as often as it likes', async () => {
    const once = passed(write(), await pair.egress(svids.indexer, write()))
    expect(await outcome(pair.index(svids.indexer, { ...once, id: 'w1' }))).toBe('allow')
    expect(await outcome(pair.index(svids.indexer, { ...once, id: 'w1' }))).toBe('allow')
    expect(await outcome(pair.index(svids.indexer, { ...once, id: 'w2' }))).toBe('token-mismatch')
    const often = passed(search(), await pair.egress(svids.support, search()))
    for (const id of ['r1', 'r2', 'r3']) expect(await outcome(pair.index(svids.support, { ...often, id }))).toBe('allow')
  })

  it('a purpose that egress has not vouched for', async () => {
    const policy = PAIR_POLICY.replace('    tenants: [acme]\n', '    tenants: [acme]\n    purposes: [inference, evaluation]\n')
    const other = await pairOf({ egressPolicy: policy, indexPolicy: policy })
    const who = await other.issue('/acme/support')
    const said = (purpose: string) => search({ headers: [['x-vecauthz-purpose', purpose]] })
    const vouched = await other.egress(who, said('inference'))
    expect(await outcome(other.index(who, passed(said('inference'), vouched)))).toBe('allow')
    expect(await outcome(other.index(who, passed(search(), vouched)))).toBe('allow')
    expect(await outcome(other.index(who, passed(said('evaluation'), vouched)))).toBe('token-mismatch')
  })
})

describe('shadow across the pair', () => {
  const SHADOW = `mode: shadow\n${PAIR_POLICY}`
  it('a shadowed denial carries a token that says so, and passes where the index is in shadow too', async () => {
    const both = await pairOf({ egressPolicy: SHADOW, indexPolicy: SHADOW })
    const who = await both.issue('/globex/desk')
    const egress = await both.egress(who, search())
    expect([egress.reason, egress.metadata.judged, egress.metadata.judged_reason]).toEqual(['allow', 'deny', 'tenant-not-allowed'])
    const index = await both.index(who, passed(search(), egress))
    expect([index.reason, index.metadata.judged_reason]).toEqual(['allow', 'tenant-not-allowed'])
    expect(await outcome(both.through(await both.issue('/acme/nobody'), search()))).toBe('allow')
    expect(await outcome(both.through(await both.issue('/acme/nobody'), { path: '/api/v2/heartbeat' }))).toBe('allow')
  })

  it('an index that enforces refuses it', async () => {
    const mixed = await pairOf({ egressPolicy: SHADOW })
    const answer = await mixed.through(await mixed.issue('/globex/desk'), search())
    expect(answer.reason).toBe('tenant-not-allowed')
    expect(await outcome(mixed.through(await mixed.issue('/acme/support'), search()))).toBe('allow')
  })

  it('a rule in shadow at both ends passes what both judge alike, and no more', async () => {
    const rule = PAIR_POLICY.replace('      - tenants: [acme, globex]\n', '      - tenants: [acme, globex]\n        mode: shadow\n')
    const large = search({ body: QUERY.replace('5', '21') })
    const both = await pairOf({ egressPolicy: rule, indexPolicy: rule })
    const who = await both.issue('/acme/support')
    expect((await both.through(who, large)).metadata).toMatchObject({ verdict: 'allow', judged_reason: 'call-too-large' })
    expect((await both.through(who, search())).metadata.judged).toBeUndefined()
    const one = await pairOf({ egressPolicy: rule })
    expect(await outcome(one.through(await one.issue('/acme/support'), large))).toBe('call-too-large')
    const wider = await pairOf({ egressPolicy: rule, indexPolicy: rule.replace('top_k: 20', 'top_k: 50') })
    expect(await outcome(wider.through(await wider.issue('/acme/support'), large))).toBe('call-too-large')
    const purposes = rule
      .replace('        mode: shadow\n', '        mode: shadow\n        purposes: [inference]\n')
      .replace('top_k: 20', 'top_k: 50')
    const unlike = await pairOf({ egressPolicy: rule, indexPolicy: purposes })
    expect(await outcome(unlike.through(await unlike.issue('/acme/support'), large))).toBe('call-too-large')
  })

  it('a token of somebody whom no policy knows is used once, too, and its end user is proved or refused', async () => {
    const both = await pairOf({ egressPolicy: SHADOW, indexPolicy: SHADOW })
    const who = await both.issue('/acme/nobody')
    const vouched = passed(write(), await both.egress(who, write()))
    expect(await outcome(both.index(who, { ...vouched, id: 'u1' }))).toBe('allow')
    expect(await outcome(both.index(who, { ...vouched, id: 'u2' }))).toBe('token-mismatch')
    expect(await outcome(both.egress(who, search({ headers: [['x-vecauthz-subject-token', 'forged']] })))).toBe('subject-invalid')
  })

  it('a token without a tenant vouches for none that its issuer may not name', async () => {
    const unlisted = PAIR_POLICY.replace(/ {2}- spiffe_id: \S+acme\/support\n {4}tenants: \[acme\]\n/, '')
    const acme = PAIR_POLICY.replace('{ id: acme }', '{ id: acme, mode: shadow }')
    const options = { egressPolicy: `mode: shadow\n${unlisted}`, indexPolicy: acme }
    const wide = await pairOf(options)
    expect(await outcome(wide.through(await wide.issue('/acme/support'), search()))).toBe('allow')
    const narrow = await pairOf({ ...options, indexPolicy: acme.replace('tenants: [acme, globex], aud', 'tenants: [globex], aud') })
    expect(await outcome(narrow.through(await narrow.issue('/acme/support'), search()))).toBe('token-mismatch')
  })

  it('identity, tokens and reading are enforced all the same', async () => {
    const both = await pairOf({ egressPolicy: SHADOW, indexPolicy: SHADOW })
    const who = await both.issue('/acme/support')
    expect(await outcome(both.index(who, search()))).toBe('token-missing')
    expect(await outcome(both.through(who, search({ body: '{"query_embeddings": [[1]], "query_embeddings": [[2]]}' })))).toBe(
      'call-ambiguous'
    )
  })
})
