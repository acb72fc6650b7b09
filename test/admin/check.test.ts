/** `vecauthz check`: the same decision as the server's, from files. */
import { CheckRequest, CheckResponse } from '@envoyproxy/protos/auth'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decisionJson } from '../../src/admin/check-decision.ts'
import { readRequest } from '../../src/admin/check-request-json.ts'
import { isUnreadable } from '../../src/admin/svid-verify-question.ts'
import { loadAll } from '../../src/config/load.ts'
import { SERVED } from '../../src/databases/dialects.ts'
import { readCheckRequest } from '../../src/envoy/check-request.ts'
import { createDecider } from '../../src/envoy/decide.ts'
import { createJudge } from '../../src/offline.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import { bundlesOf, envoyPem, issueSvid, pemOf, type Svid } from '../support/ca.ts'
import { type CheckParts, checkRequest } from '../support/check-request.ts'
import { type Folder, folderOf } from '../support/offline.ts'
import { HANDBOOK, type TestWorld, testWorld } from '../support/world.ts'

const PLACE = '/api/v2/tenants/acme/databases/rag/collections'
const QUERY = JSON.stringify({ query_embeddings: [[0.1, 0.2]], n_results: 5 })
const SUPPORT = 'spiffe://demo.vecauthz.test/acme/support'

let test: TestWorld
let folder: Folder
let svids: Readonly<Record<'support' | 'globex' | 'stranger' | 'late', Svid>>
let facts: readonly string[]

beforeAll(async () => {
  test = await testWorld()
  folder = folderOf()
  const of = (path: string, more = {}) => issueSvid(test.root, { id: `spiffe://demo.vecauthz.test${path}`, ...more })
  const late = await of('/acme/support', { notBefore: Date.now() - 7_200_000, notAfter: Date.now() - 3_600_000 })
  svids = { support: await of('/acme/support'), globex: await of('/globex/agent'), stranger: await of('/acme/nobody'), late }
  const bundle = folder.file('root.pem', pemOf(test.root.der))
  facts = ['--config', folder.path, '--bundle', `demo.vecauthz.test=${bundle}`, '--resolved', `${folder.path}/names.json`]
})
afterAll(() => folder.remove())

const evidenceOf = (who: Svid | undefined) =>
  who === undefined ? {} : { certificate: envoyPem(who.chain[0] as Uint8Array), principal: who.id }
const search = (who: Svid | undefined, change: Partial<CheckParts> = {}) =>
  checkRequest({ ...evidenceOf(who), path: `${PLACE}/${HANDBOOK}/query`, body: QUERY, ...change })

async function check(message: Uint8Array, ...more: readonly string[]) {
  const { code, out, err } = await folder.run('check', '--request', folder.file('call.bin', message), ...more)
  return { code, err, ...(out === '' ? {} : JSON.parse(out)) }
}

/** What the command judges by, without reading the files for each call. */
async function judgeOf() {
  const loaded = loadAll(`${folder.path}/vecauthz.yaml`, SERVED, compilePolicy)
  if (!loaded.ok) throw new Error('faults')
  const resolved = new Map([[HANDBOOK, { name: 'handbook', tenant: 'acme', namespace: 'rag' }]])
  const anchors = new Map([['demo.vecauthz.test', [test.root.der]]])
  const others = { at: Date.now(), anchors, jwtKeys: undefined, subjectKeys: new Map(), resolved }
  return createJudge(loaded.settings, loaded.policy, others)
}

describe('a call', () => {
  it.each([
    { name: 'of support in its handbook', who: 'support', want: { code: 0, verdict: 'allow', tenant: 'acme' } },
    { name: 'of globex in that of acme', who: 'globex', want: { code: 1, verdict: 'deny', reason: 'tenant-not-allowed' } },
    { name: 'of a stranger', who: 'stranger', want: { code: 1, reason: 'caller-unknown' } },
    { name: 'by a certificate of yesterday', who: 'late', want: { code: 1, reason: 'svid-expired' } }
  ] as const)('$name', async ({ who, want }) => {
    expect(await check(search(svids[who]), ...facts)).toMatchObject(want)
  })

  it('at another time', async () => {
    expect(await check(search(svids.late), ...facts, '--at', new Date(Date.now() - 5_400_000).toISOString())).toMatchObject({ code: 0 })
    expect(await check(search(svids.support), ...facts, '--at', new Date(Date.now() + 86_400_000).toISOString())).toMatchObject({
      reason: 'svid-expired'
    })
  })

  it('says what Envoy would do, and shows no value that could be a secret', async () => {
    const headers = [
      ['x-chroma-token', 'chroma-secret-1'],
      ['authorization', 'Bearer jwt-secret-2'],
      ['x-request-id', 'r-1']
    ] as const
    const allowed = await check(search(svids.support, { headers }), ...facts)
    expect(allowed.answer).toMatchObject({ grpc: 0, set: { 'x-tenant-id': 'acme', 'x-vecauthz-caller': SUPPORT } })
    expect(allowed.answer.remove).toEqual(expect.arrayContaining(['x-chroma-token', 'authorization']))
    expect(allowed).toMatchObject({
      rule: expect.stringContaining('collections[0].allow[1]'),
      client_credentials: ['x-chroma-token', 'authorization']
    })
    expect(JSON.stringify(allowed)).not.toContain('secret-')
    const denied = await check(search(svids.globex, { headers }), ...facts)
    expect(denied.answer).toMatchObject({ http: 403, grpc: 7 })
  })

  it("sets the database's own credential, and does not show it", async () => {
    const settings = (await import('node:fs')).readFileSync(`${folder.path}/vecauthz.yaml`, 'utf8')
    const credential = '    credential: { mode: header, header: x-chroma-token, secret: { env: CHROMA_TOKEN } }\n'
    const config = folder.file('with-credential.yaml', settings.replace('audit:', `${credential}audit:`))
    const allowed = await check(search(svids.support), ...facts.slice(2), '--config', config)
    expect(allowed).toMatchObject({ code: 0, answer: { set: { 'x-chroma-token': '(not shown)' } } })
    expect(JSON.stringify(allowed)).not.toContain('stands-in')
  })

  it('cannot be judged without the facts it needs, and says which', async () => {
    const noBundle = await check(search(svids.support), '--config', folder.path)
    expect(noBundle).toMatchObject({ code: 2, reason: 'trust-unavailable', note: expect.stringContaining('--assume-caller') })
    const noName = await check(search(svids.support), ...facts.slice(0, 4))
    expect(noName).toMatchObject({ code: 2, reason: 'state-unavailable', note: expect.stringContaining(HANDBOOK) })
    const elsewhere = folder.file('other.json', JSON.stringify({ [HANDBOOK]: { name: 'handbook', tenant: 'globex', namespace: 'rag' } }))
    const foreign = await check(search(svids.support), ...facts.slice(0, 4), '--resolved', elsewhere)
    expect(foreign).toMatchObject({ code: 1, reason: 'collection-not-allowed' })
  })
})

describe('a caller that is assumed', () => {
  const assume = (id: string) => ['--config', folder.path, '--resolved', `${folder.path}/names.json`, '--assume-caller', id]

  it('is judged by policy, and said to be assumed', async () => {
    const want = { code: 0, caller: { spiffe_id: SUPPORT, assumed: true } }
    expect(await check(search(undefined), ...assume(SUPPORT))).toMatchObject(want)
    expect(await check(search(svids.globex), ...assume(SUPPORT))).toMatchObject(want)
    expect(await check(search(undefined), ...assume(`${SUPPORT}s`))).toMatchObject({ code: 1, reason: 'caller-unknown' })
    expect(await check(search(undefined), ...assume('spiffe://demo.vecauthz.test'))).toMatchObject({ code: 2 })
  })

  it('does not mend what cannot be read', async () => {
    expect(await check(search(undefined, { partial: 'true' }), ...assume(SUPPORT))).toMatchObject({ code: 1, reason: 'call-too-large' })
    const twice = [
      ['x-a', '1'],
      ['x-a', '2']
    ] as const
    expect(await check(search(undefined, { headers: twice }), ...assume(SUPPORT))).toMatchObject({ reason: 'call-ambiguous' })
  })
})

describe('protobuf JSON', () => {
  const http = { method: 'GET', host: 'chroma.demo.vecauthz.test', path: '/api/v2/heartbeat' }
  const read = (value: unknown) => readRequest('call.json', Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)))

  it('is the message it stands for, in both spellings', async () => {
    const message = search(svids.support)
    const json = CheckRequest.toJSON(CheckRequest.decode(message)) as object
    const snake = JSON.stringify(json).replaceAll('"rawBody"', '"raw_body"').replaceAll('"headerMap"', '"header_map"')
    for (const text of [JSON.stringify(json, undefined, 2), snake]) {
      const again = read(text)
      expect(again.ok && readCheckRequest(again.value)).toEqual(readCheckRequest(message))
      const { code, out } = await folder.run('check', '--request', folder.file('call.json', text), ...facts)
      expect([code, JSON.parse(out).verdict]).toEqual([0, 'allow'])
    }
  })

  it.each([
    { name: 'a member that does not exist', value: { attributes: { request: { http: { ...http, pathh: '/' } } } }, says: 'pathh' },
    { name: 'a member twice', value: '{"attributes": {"request": {}, "request": {}}}', says: 'Map keys must be unique' },
    {
      name: 'a member in two spellings',
      value: { attributes: { request: { http: { raw_body: '', rawBody: '' } } } },
      says: 'two spellings'
    },
    { name: 'a body that is not base64', value: { attributes: { request: { http: { rawBody: '{}' } } } }, says: 'must be base64' },
    { name: 'a number for a text', value: { attributes: { request: { http: { path: 7 } } } }, says: 'expected string' },
    { name: 'a comma too many', value: '{"attributes": {},}', says: 'call.json:1' },
    { name: 'no object', value: '[]', says: 'expected object' }
  ])('refuses $name', ({ value, says }) => {
    const again = read(value)
    expect(again.ok ? 'read' : JSON.stringify({ ...again.faults[0], at: `call.json:${again.faults[0]?.line}` })).toContain(says)
  })
})

it('says of any file what is wrong with it, and of any message what would be decided', async () => {
  const leaf = fc.oneof(fc.string(), fc.integer(), fc.constant(null), fc.base64String(), fc.boolean())
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.dictionary(fc.constantFrom('key', 'value', 'raw_value', 'headers', 'fields', 'a'), tie('any')),
      fc.array(tie('any'), { maxLength: 3 })
    )
  })).any
  const names = fc.constantFrom('method', 'path', 'host', 'headers', 'header_map', 'rawBody', 'body', 'size', 'id')
  const texts = fc.dictionary(fc.constantFrom('method', 'path', 'host', 'id', 'body'), fc.string())
  const http = fc.oneof(fc.dictionary(names, value), texts)
  const metadata = fc.dictionary(fc.constantFrom('filter_metadata', 'filterMetadata'), fc.dictionary(fc.string(), value))
  const request = fc.record({
    attributes: fc.record({ request: fc.record({ http }), metadata_context: metadata, source: value }, { requiredKeys: ['request'] })
  })
  const readable = fc.record({ attributes: fc.record({ request: fc.record({ http: texts }) }) })
  const lines = [...fc.sample(request, 40), ...fc.sample(readable, 20)].map((one) => JSON.stringify(one))
  const file = folder.file('any.jsonl', lines.join('\n'))
  const { code, out, err } = await folder.run('check', '--requests', file, '--config', folder.path, '--assume-caller', SUPPORT)
  const verdicts = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line).verdict)
  expect([code, err, verdicts.length]).toEqual([2, '', lines.length])
  expect(new Set(verdicts)).toEqual(new Set(['deny', 'unreadable']))
})

it('puts a caller into any message that can be read, or says that it cannot', async () => {
  const judge = await judgeOf()
  const message = search(undefined)
  const outcomes = new Set<string>()
  for (const noise of fc.sample(fc.uint8Array({ minLength: 1, maxLength: 20 }), 100)) {
    const judged = judge(Buffer.concat([message, noise]), { caller: SUPPORT })
    outcomes.add(
      await judged.then(
        ({ decision }) => decision.verdict,
        (cause) => (isUnreadable(cause) ? 'unreadable' : String(cause))
      )
    )
  }
  for (const one of outcomes) expect(['allow', 'deny', 'unreadable']).toContain(one)
})

describe('many', () => {
  const probe = { attributes: { request: { http: { method: 'GET', host: 'chroma.demo.vecauthz.test', path: '/api/v2/heartbeat' } } } }
  const many = async (...lines: readonly unknown[]) => {
    const text = lines.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('\n')
    const args = ['--requests', folder.file('many.jsonl', text), '--config', folder.path, '--assume-caller', SUPPORT]
    const { code, out, err } = await folder.run('check', ...args)
    return {
      code,
      err,
      lines: out
        .trimEnd()
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
    }
  }
  const drop = { attributes: { request: { http: { ...probe.attributes.request.http, method: 'DELETE', path: `${PLACE}/handbook` } } } }

  it('are answered line by line', async () => {
    expect(await many(probe, probe)).toMatchObject({ code: 0, lines: [{ line: 1, verdict: 'allow' }, { line: 2 }] })
    expect(await many(probe, '', drop)).toMatchObject({ code: 1, lines: [{ line: 1 }, { line: 3, reason: 'delete-not-allowed' }] })
    const { code, lines } = await many(drop, '{"attributes": {"reqest": {}}}', probe)
    expect([code, lines.map(({ verdict }) => verdict)]).toEqual([2, ['deny', 'unreadable', 'allow']])
    expect(lines[1].says[0]).toContain('many.jsonl:2:')
    expect(await many('')).toMatchObject({ code: 2, err: expect.stringContaining('no request') })
  })

  it('have budgets of their own', async () => {
    const { lines } = await many(...Array.from({ length: 40 }, () => probe))
    expect(lines.filter(({ verdict }) => verdict === 'allow')).toHaveLength(40)
  })
})

it('gives the decision of the server on the same bytes, whatever they are', async () => {
  const judge = await judgeOf()
  const { world } = test
  const decider = createDecider({
    now: Date.now,
    tick: () => 0,
    newDecisionId: () => '00000000-0000-4000-8000-000000000000',
    // A fresh memory, since each call is judged by itself.
    world: () => ({
      ...world,
      trust: bundlesOf([test.root]),
      memory: { ...world.memory, budgetOf: () => undefined, repeatOf: () => undefined }
    }),
    credentials: () => undefined,
    record: () => true,
    onFault: () => undefined,
    deadlineMs: 1_000,
    pendingMax: 10
  })
  const parts = fc.record(
    {
      method: fc.constantFrom('GET', 'POST', 'PUT', 'DELETE'),
      path: fc.constantFrom(
        `${PLACE}/${HANDBOOK}/query`,
        `${PLACE}/${HANDBOOK}/get`,
        `${PLACE}/${HANDBOOK}/upsert`,
        `${PLACE}/${HANDBOOK.replace('1', '7')}/query`,
        `${PLACE}/handbook`,
        `${PLACE.replace('acme', 'globex')}/${HANDBOOK}/query`,
        '/api/v2/heartbeat',
        '/api/v2/../secret'
      ),
      host: fc.constantFrom('chroma.demo.vecauthz.test', 'other.test'),
      form: fc.constantFrom('raw' as const, 'map' as const),
      body: fc.constantFrom(
        QUERY,
        '{}',
        '{"n_results":900,"query_embeddings":[[1]]}',
        '{"ids":["a"],"embeddings":[[1]]}',
        '{"a":1,"a":2}',
        'x'
      ),
      partial: fc.constantFrom('false' as const, 'true' as const)
    },
    { requiredKeys: ['path'] }
  )
  const whos = fc.constantFrom('support', 'support', 'support', 'globex', 'stranger', 'late', undefined)
  const flips = fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.nat() })
  const good = fc.record({
    path: fc.constantFrom(`${PLACE}/${HANDBOOK}/query`, `${PLACE}/${HANDBOOK}/get`),
    body: fc.constantFrom(QUERY, '{}')
  })
  const seen = new Map<string, number>()
  const same = async (message: Buffer) => {
    const { deniedResponse, okResponse, status } = CheckResponse.decode(await decider.decide(message, { ok: true, id: 'e' }))
    const printed = JSON.parse(JSON.stringify(decisionJson(await judge(message, undefined))))
    const reason = deniedResponse === undefined ? undefined : JSON.parse(deniedResponse.body).reason
    seen.set(reason ?? 'allow', (seen.get(reason ?? 'allow') ?? 0) + 1)
    // Only this world's table of names calls an unknown id absent; the command says that it does not know.
    const isName = printed.reason === 'state-unavailable' && reason === 'collection-not-allowed'
    if (isName) return
    expect([printed.reason, printed.answer.grpc, printed.answer.http]).toEqual([reason, status?.code, deniedResponse?.status?.code])
    expect(printed.answer.remove).toEqual(okResponse?.headersToRemove ?? [])
    expect(Object.keys(printed.answer.set)).toEqual((okResponse?.headers ?? []).map(({ header }) => header?.key))
  }
  await fc.assert(
    fc.asyncProperty(fc.oneof(parts, good), whos, flips, async (some, who, flip) => {
      const message = checkRequest({ ...evidenceOf(who === undefined ? undefined : svids[who]), ...some })
      if (flip !== null) message[flip % message.length] = (message[flip % message.length] ?? 0) ^ (1 << (flip % 8))
      await same(message)
    }),
    { numRuns: 100, examples: [[{ path: `${PLACE}/${HANDBOOK}/query`, body: QUERY }, 'support', null]] }
  )
  // Otherwise the two would agree on nothing but refusals.
  expect(seen.get('allow')).toBeGreaterThan(0)
  expect(seen.size).toBeGreaterThan(3)
})

describe('as a command', () => {
  it('prints a decision', () => {
    const request = {
      attributes: { request: { http: { method: 'DELETE', host: 'chroma.demo.vecauthz.test', path: `${PLACE}/handbook` } } }
    }
    folder.file('drop.json', JSON.stringify(request))
    const { code, out, err } = folder.spawn('check', '--request', 'drop.json', '--assume-caller', SUPPORT, '--json')
    const { policy_revision: _, ...printed } = JSON.parse(out)
    expect({ code, err, printed }).toEqual({
      code: 1,
      err: '',
      printed: {
        verdict: 'deny',
        reason: 'delete-not-allowed',
        because: `no rule allows drop on demo/rag/"handbook" for tenant acme and ${SUPPORT}`,
        actor_kind: 'service',
        policy_snapshot: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
        atlas_mapping: [
          { technique: 'AML.T0101', confidence: 'observed', version: '5.6.0' },
          { technique: 'AML.T0053', confidence: 'suspected', version: '5.6.0' }
        ],
        owasp: ['LLM06', 'ASI02'],
        role: 'gateway',
        tenant: 'acme',
        database: 'demo',
        endpoint: 'collection.drop',
        operation: 'drop',
        shape: { queries: 0, top_k: 0, records: 0, vectors_out: false, dimensions: 0 },
        caller: { spiffe_id: SUPPORT, assumed: true },
        targets: [expect.objectContaining({ kind: 'name', namespace: 'rag', name: 'handbook' })],
        answer: {
          http: 403,
          grpc: 7,
          set: {},
          remove: [],
          respond: {
            'content-type': 'application/problem+json',
            'cache-control': 'no-store',
            'x-vecauthz-decision': '(the id of the decision)'
          }
        }
      }
    })
  })

  it.each([
    { name: 'nothing to check', args: [], says: 'Say what to check' },
    { name: 'a file that is not there', args: ['--request', 'nope.json'], says: 'There is no file "nope.json".' },
    { name: 'settings that are not there', args: ['--request', 'x', '--config', 'nope'], says: 'There is no settings file "nope"' },
    { name: 'an option that is none', args: ['--reqest', 'x'], says: "Unknown option '--reqest'" },
    { name: 'an option twice', args: ['--request', 'a', '--request', 'b'], says: '--request is given twice' },
    { name: 'a time that is none', args: ['--request', 'names.json', '--at', 'noon'], says: 'RFC 3339' },
    { name: 'a bundle of nobody', args: ['--request', 'names.json', '--bundle', 'names.json'], says: 'no SPIFFE bundle map' },
    { name: 'a user without a caller', args: ['--request', 'names.json', '--assume-user', 'x=y'], says: '--assume-caller' },
    { name: 'names in another form', args: ['--request', 'names.json', '--resolved', 'vecauthz.yaml'], says: 'vecauthz.yaml:' }
  ])('cannot say: $name', async ({ args, says }) => {
    const inFolder = args.map((one) => (/^(names\.json|vecauthz\.yaml)$/.test(one) ? `${folder.path}/${one}` : one))
    const config = args.includes('--config') ? [] : ['--config', folder.path]
    const { code, out, err } = await folder.run('check', ...inFolder, ...config)
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(/^(vecauthz: [^\n]+\n)+$/)
    expect(err).toContain(says)
    expect(JSON.parse((await folder.run('check', ...inFolder, ...config, '--json')).out)).toMatchObject({ verdict: 'unreadable' })
  })

  it('helps', async () => {
    expect(await folder.run('check', '--help')).toMatchObject({ code: 0, err: '', out: expect.stringContaining('Usage: vecauthz check') })
  })
})
