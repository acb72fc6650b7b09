/** Signals of other systems, end users' answers and whoever is held himself: the commands and raw requests, over real TLS, on the real desk. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type AdminPort, startAdminPort } from '../../src/admin/admin-port.ts'
import { approvalRoutes } from '../../src/admin/approval-routes.ts'
import { approvalsCommand } from '../../src/admin/approvals-command.ts'
import { heldBack } from '../../src/admin/held-routes.ts'
import { createPace } from '../../src/admin/pace.ts'
import { riskCommand } from '../../src/admin/risk-command.ts'
import { operatorActLine } from '../../src/audit/act-record.ts'
import type { ApprovalNeed } from '../../src/core/approval.ts'
import type { RiskDesk } from '../../src/core/risk-desk.ts'
import { RISK_DEFAULTS } from '../../src/core/risk-rules.ts'
import { type Raised, standingOf, subjectKey } from '../../src/core/standing.ts'
import type { SubjectKeys } from '../../src/identity/identify-subject.ts'
import { mayApprove } from '../../src/policy/approval-need.ts'
import { raise } from '../../src/risk/cohort.ts'
import { createRiskDesk, type DeskParts } from '../../src/risk-desk.ts'
import { riskRoutes } from '../../src/serve-desk.ts'
import type { ServedRisk } from '../../src/serve-risk.ts'
import { createApprovalDesk } from '../../src/state/approval-desk.ts'
import { createApprovals } from '../../src/state/approvals.ts'
import { createSignIns } from '../../src/state/sign-ins.ts'
import { createStandings, type SharedStandings } from '../../src/state/standings.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'
import { edgesOf } from '../support/admin-edges.ts'
import { bundlesOf, issueSvid, makeAuthority, type Svid } from '../support/ca.ts'
import { es256, jwkOf, keySet, other } from '../support/jwt.ts'
import { POLICY, policyOf } from '../support/policy.ts'
import { IDP, subjectToken } from '../support/subject.ts'

const DOMAIN = 'spiffe://demo.vecauthz.test'
const [AGENT, OTHER] = [`${DOMAIN}/acme/support`, `${DOMAIN}/acme/indexer`]
const TEXT = `${POLICY}
subjects:
  - { issuer: '${IDP}', audience: vecauthz, tenant_claim: tenant, tenants: [acme] }
risk: { step_up: { supervisors: [${DOMAIN}/people/*], acr_values: [mfa] } }
approvals: { actions: [drop], approvers: [${DOMAIN}/people/*] }
revoked: { token_ids: [stolen-token] }
`
const PEOPLE = {
  ops: 'ops/night',
  day: 'ops/day',
  lead: 'people/lead',
  ada: 'people/ada',
  siem: 'tools/siem',
  agent: 'acme/support',
  nobody: 'nobody'
}

const BRINGERS = 12

const folder = mkdtempSync(join(tmpdir(), 'vecauthz-signals-'))
const policy = policyOf(TEXT)
const lines: Record<string, unknown>[] = []
const figures: unknown[][] = []
let ids = 0
const svids: Record<string, Svid> = {}
const store = createMemoryStore()
let port: AdminPort
let ca: string
let standings: SharedStandings
let desk: RiskDesk
let keys: SubjectKeys
let skewMs = 0
/** Another one for each test: a sign-in answers once. */
let user = ''
const now = () => Date.now() + skewMs

const approvalParts = {
  store,
  mayApprove: (id: Parameters<typeof mayApprove>[0]) => mayApprove(id, policy) && !desk.isHeld(id),
  onStep: () => true
}

beforeAll(async () => {
  const root = await makeAuthority({ trustDomain: 'demo.vecauthz.test' })
  const stranger = await makeAuthority({ trustDomain: 'demo.vecauthz.test', name: 'another root' })
  const own = await issueSvid(root, { id: `${DOMAIN}/vecauthz` })
  ca = root.pem
  writeFileSync(join(folder, 'ca.pem'), ca)
  const bringers = Array.from({ length: BRINGERS }, (_, at): [string, string] => [`bringer-${at}`, `bringer/${at}`])
  for (const [name, path] of [...Object.entries(PEOPLE), ...bringers]) svids[name] = await issueSvid(root, { id: `${DOMAIN}/${path}` })
  svids['forged'] = await issueSvid(stranger, { id: `${DOMAIN}/tools/siem` })
  for (const [name, { pem, keyPem }] of Object.entries(svids)) {
    writeFileSync(join(folder, `${name}.pem`), pem)
    writeFileSync(join(folder, `${name}.key`), keyPem)
  }
  const published = keySet(jwkOf(other))
  keys = { generation: 1, keysOf: () => published, askAgain: () => false }
  standings = createStandings({
    store: undefined,
    run: 'run',
    now,
    tick: () => performance.now(),
    onMove: () => undefined,
    onTrouble: () => undefined
  })
  const signIns = createSignIns(store)
  const learnt = { putSignal: (...said: unknown[]) => figures.push(said) > 0 }
  // What is learnt is not asked here.
  desk = createRiskDesk({
    standings,
    learnt,
    baselines: {},
    orders: {},
    stage: { clear: () => undefined },
    rules: () => policy.risk,
    signIns
  } as unknown as DeskParts)
  const admin = { listen: '127.0.0.1:0', operators: [`${DOMAIN}/ops/*`], signalers: [`${DOMAIN}/tools/*`] }
  const routes = riskRoutes({ admin } as Parameters<typeof riskRoutes>[0], {
    risk: { desk } as ServedRisk,
    store,
    keys: { ...keys, keysOf: (issuer) => keys.keysOf(issuer), askAgain: (issuer) => keys.askAgain(issuer) },
    leewayMs: 5_000
  })
  port = await startAdminPort(
    { key: own.keyPem, cert: own.pem },
    {
      host: '127.0.0.1',
      port: 0,
      operators: admin.operators,
      routes: heldBack([...approvalRoutes(createApprovalDesk(approvalParts)), ...routes], desk.isHeld),
      trust: () => bundlesOf([root]),
      policy: () => policy,
      now,
      record: (act) => lines.push(JSON.parse(operatorActLine(act))) > 0,
      onRefused: () => undefined,
      onFault: (cause) => {
        throw cause
      }
    }
  )
})
afterAll(async () => {
  await port.close()
  rmSync(folder, { recursive: true })
})
beforeEach(async () => {
  lines.length = 0
  skewMs = 0
  user = `user-${++ids}`
  for (const { scope } of standings.list(Date.now())) await standings.release(scope, 'test', 'test', Date.now())
})

async function run(who: string, command: string, ...args: readonly string[]) {
  const { said, edges } = edgesOf()
  const files = ['--svid', join(folder, `${who}.pem`), '--key', join(folder, `${who}.key`), '--bundle', join(folder, 'ca.pem')]
  const [does, where] = [command === 'approve' ? approvalsCommand : riskCommand, ['--admin', `127.0.0.1:${port.port}`, ...files]]
  return { code: await does(command, [...args, ...where], edges), ...said }
}

/** One POST as an attacker would write it. @param who undefined: without a certificate */
function post(who: string | undefined, path: string, body: unknown, headers: object = {}): Promise<{ status: number; body: string }> {
  const identity = who === undefined ? {} : { cert: svids[who]?.pem ?? '', key: svids[who]?.keyPem ?? '' }
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const call = request(
      {
        ...{ host: '127.0.0.1', port: port.port, method: 'POST', path, agent: false, checkServerIdentity: () => undefined },
        ...{ ...identity, ca, headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), ...headers } }
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }))
        response.on('error', reject)
      }
    )
    call.on('error', reject)
    call.end(text)
  })
}

const signalOf = (change: object = {}) => ({
  workload: AGENT,
  event: 'risk_spike',
  level: 'high',
  id: `sig-${++ids}`,
  at: new Date(now()).toISOString(),
  reason: 'a scanner found it',
  ...change
})
const standing = (id = AGENT) => standingOf(standings.ofWorkload(id))

/** @returns the id of the standing. @param behind the end user of the call */
function raised(level: Raised, id = AGENT, behind: string | null = user): string {
  const subject = behind === null ? {} : { subject: subjectKey(IDP, behind) }
  const evidence = { says: 'novelty 412', decisionIds: ['d1'], figures: {}, ...subject }
  raise(standings, { kind: 'workload', id }, { level, cause: 'drift', evidence }, RISK_DEFAULTS, Date.now())
  return standings.list(Date.now()).find(({ scope }) => scope.kind === 'workload' && scope.id === id)?.id ?? ''
}

/** Of a sign-in so many seconds from now, the whole second after the challenge. */
function token(change: Readonly<Record<string, unknown>> = {}, by = other): string {
  const seconds = Math.floor(Date.now() / 1000)
  return subjectToken({ by, claims: { sub: user, iat: seconds, exp: seconds + 300, auth_time: seconds + 1, acr: 'mfa', ...change } })
}

describe('a signal', () => {
  it.each([
    ['risk_spike', ['--level', 'medium'], 'slowed'],
    ['risk_spike', ['--level', 'high'], 'step-up'],
    ['session_revoked', [], 'quarantine'],
    ['risk_spike', ['--level', 'low'], 'normal']
  ])('%s %j of a system that may tell: %s, at once and on record', async (event, level, stands) => {
    const { code, out } = await run('siem', 'signal', AGENT, event, ...level, '--reason', 'case 7')
    expect([code, out]).toEqual([0, `${AGENT}: it now stands: ${stands}\n`])
    expect(standing()).toBe(stands)
    expect(lines).toMatchObject([
      { kind: 'operator_act', stage: 'begun', act: 'signal', by: `${DOMAIN}/tools/siem`, reason: 'case 7' },
      { kind: 'operator_act', stage: 'done', act: 'signal', status: 200, workload: AGENT, standing: stands }
    ])
  })

  it('of an operator is heard, and of nobody else', async () => {
    for (const who of ['lead', 'agent', 'nobody']) {
      expect([who, (await post(who, '/v1/signals', signalOf())).status]).toEqual([who, 403])
      expect([who, (await run(who, 'signal', AGENT, 'session_revoked', '--reason', 'x')).code]).toEqual([who, 1])
    }
    expect(standing()).toBe('normal')
    expect(lines.filter(({ stage }) => stage === 'refused').length).toBe(6)
    expect((await run('ops', 'signal', AGENT, 'session_revoked', '--reason', 'x')).code).toBe(0)
    expect(standing()).toBe('quarantine')
  })

  it('without an identity, or with a forged one, is not even read', async () => {
    await expect(post(undefined, '/v1/signals', signalOf())).rejects.toThrow()
    await expect(post('forged', '/v1/signals', signalOf())).rejects.toThrow()
    expect([standing(), lines]).toEqual(['normal', []])
  })

  it('who may tell signals may do nothing else', async () => {
    raised('quarantine')
    for (const [path, body] of [
      ['/v1/standings/release', { scope: { workload: AGENT }, reason: 'x' }],
      ['/v1/approvals/x/approve', { reason: 'x' }],
      ['/v1/baselines/reset', { tenant: 'acme', agent_type: 'a', collection: 'b', reason: 'x' }]
    ] as const)
      expect([path, (await post('siem', path, body)).status]).toEqual([path, 403])
    expect((await run('siem', 'standings')).code).toBe(1)
    expect(standing()).toBe('quarantine')
  })

  it.each([
    ['a workload that nobody knows', { workload: `${DOMAIN}/acme/ghost` }, 404],
    ['something that is no SPIFFE ID', { workload: 'acme/support' }, 404],
    ['another trust domain', { workload: 'spiffe://other.test/acme/support' }, 404],
    ['an event of its own', { event: 'drop_tables' }, 400],
    ['a level that there is not', { level: 'critical' }, 400],
    ['no level', { level: undefined }, 400],
    ['a level beside a revoked session', { event: 'session_revoked' }, 400],
    ['no reason', { reason: '' }, 400],
    ['a reason of two lines', { reason: 'a\nb' }, 400],
    ['no id', { id: undefined }, 400],
    ['an id with a line end', { id: 'a\nb' }, 400],
    ['a time in words', { at: 'yesterday' }, 400],
    ['a time six minutes ago', { at: new Date(Date.now() - 360_000).toISOString() }, 409],
    ['a time in six minutes', { at: new Date(Date.now() + 360_000).toISOString() }, 409],
    ['one more member', { standing: 'normal' }, 400]
  ])('with %s raises nothing', async (_, change, status) => {
    expect((await post('siem', '/v1/signals', signalOf(change))).status).toBe(status)
    expect(standings.list(Date.now())).toEqual([])
  })

  it.each([
    ['too long', JSON.stringify(signalOf({ reason: 'x'.repeat(20_000) })), {}, 413],
    ['no JSON', '{"workload":', {}, 400],
    ['JSON that can be read in two ways', '{"workload":"a","workload":"b"}', {}, 400],
    ['a form', 'workload=a', { 'content-type': 'application/x-www-form-urlencoded' }, 415]
  ])('whose body is %s raises nothing', async (_, body, headers, status) => {
    expect((await post('siem', '/v1/signals', body, headers)).status).toBe(status)
    expect(standings.list(Date.now())).toEqual([])
  })

  it('heard twice is one: after a release it raises nothing again', async () => {
    const said = signalOf({ event: 'session_revoked', level: undefined })
    expect((await post('siem', '/v1/signals', said)).status).toBe(200)
    expect(standing()).toBe('quarantine')
    expect((await run('ops', 'release', AGENT, '--reason', 'looked')).code).toBe(0)
    const again = await post('siem', '/v1/signals', { ...said, at: new Date().toISOString(), reason: said.reason })
    expect([again.status, JSON.parse(again.body)]).toEqual([200, { workload: AGENT, signal: said.id, heard: 'before' }])
    expect(standing()).toBe('normal')
    // The same name for something else is a mistake, or somebody's trick.
    expect((await post('siem', '/v1/signals', { ...said, workload: OTHER })).status).toBe(409)
    // Another system counts its own.
    expect((await post('ops', '/v1/signals', said)).status).toBe(200)
    expect(standing()).toBe('quarantine')
  })

  it('lowers nothing', async () => {
    raised('quarantine')
    for (const level of ['low', 'medium', 'high']) expect((await post('siem', '/v1/signals', signalOf({ level }))).status).toBe(200)
    expect(standing()).toBe('quarantine')
  })

  it('of one system comes a thousand times an hour at most: it cannot fill the room that standings have', () => {
    const inPace = createPace([
      { windowMs: 60_000, most: 60 },
      { windowMs: 3_600_000, most: 1_000 }
    ])
    let told = 0
    for (let at = 0; at < 3_600_000; at += 500) if (inPace('siem', at)) told++
    expect([told, inPace('siem', 3_600_000), inPace('other', 3_599_999)]).toEqual([1_000, true, true])
  })

  it('of one system comes sixty times a minute at most, and another one is still heard', async () => {
    // From the beginning of a minute on, so that none of it falls into the next; the port's own pace counts in ten seconds.
    skewMs = 60_000 - (Date.now() % 60_000)
    const statuses: number[] = []
    for (let at = 0; at < 62; at++) statuses.push((await post('siem', '/v1/signals', signalOf({ level: 'low' }))).status)
    expect([statuses.slice(0, 60).every((one) => one === 200), statuses.slice(60)]).toEqual([true, [429, 429]])
    expect((await post('ops', '/v1/signals', signalOf())).status).toBe(200)
  })

  it.each([
    [['signal', 'acme', 'risk_spike', '--level', 'high']],
    [['signal', AGENT, 'risk_spike']],
    [['signal', AGENT, 'risk_spike', '--level', 'huge']],
    [['signal', AGENT, 'session_revoked', '--level', 'high']],
    [['signal', AGENT, 'nonsense']],
    [['signal', AGENT]],
    [['signal', AGENT, 'session_revoked', '--id', 'a b']]
  ])('%j is wrong before anything is asked', async ([command = '', ...args]) => {
    expect((await run('siem', command, ...args, '--reason', 'x')).code).toBe(2)
    expect(lines).toEqual([])
  })
})

describe('a figure', () => {
  it('is told by a system that may, of a workload that there is', async () => {
    expect((await run('siem', 'figure', AGENT, 'cpu', '0.93')).code).toBe(0)
    expect(figures.at(-1)?.slice(0, 3)).toEqual([AGENT, 'cpu', 0.93])
    expect((await run('lead', 'figure', AGENT, 'cpu', '0.1')).code).toBe(1)
    expect((await run('siem', 'figure', `${DOMAIN}/acme/ghost`, 'cpu', '0.1')).code).toBe(1)
    expect(figures).toHaveLength(1)
  })
})

describe('whoever is held himself', () => {
  const need = (digest: string): ApprovalNeed => ({
    steps: ['approval'],
    caller: OTHER,
    blocked: [OTHER],
    operation: 'drop',
    endpoint: 'collection.drop',
    database: 'demo',
    tenant: 'acme',
    targets: ['rag/handbook'],
    digest,
    run: undefined,
    because: 'approvals lists drop',
    approvalMs: 60_000,
    grantMs: 60_000
  })
  const approvals = createApprovals(approvalParts)

  it.each(['step-up', 'quarantine'] as const)('in %s approves nothing, and vouches, releases and tells nothing', async (level) => {
    const asked = await approvals.use(need(level), '', Date.now())
    const id = asked.kind === 'required' ? asked.id : ''
    const challenge = raised('step-up')
    for (const who of ['people/lead', 'ops/night', 'tools/siem']) raised(level, `${DOMAIN}/${who}`)
    for (const [who, ...words] of [
      ['lead', 'approve', id],
      ['lead', 'step-up', 'answer', challenge],
      ['ops', 'step-up', 'answer', challenge],
      ['ops', 'step-up', 'refuse', challenge],
      ['ops', 'release', AGENT],
      ['siem', 'signal', OTHER, 'session_revoked']
    ] as const) {
      const [command, ...rest] = words
      expect([words, (await run(who, command, ...rest, '--reason', 'x')).code]).toEqual([words, 1])
    }
    expect((await run('siem', 'figure', OTHER, 'cpu', '1')).code).toBe(1)
    expect([standing(), standing(OTHER)]).toEqual(['step-up', 'normal'])
    // Another one of the same list does it.
    expect((await run('day', 'release', `${DOMAIN}/people/lead`, '--reason', 'x')).code).toBe(0)
    expect((await run('lead', 'approve', id, '--reason', 'x')).code).toBe(0)
    expect((await run('day', 'step-up', 'answer', challenge, '--reason', 'x')).code).toBe(0)
    expect(standing()).toBe('slowed')
  })

  it('has approved nothing that is not used yet', async () => {
    const asked = await approvals.use(need('later'), '', Date.now())
    const id = asked.kind === 'required' ? asked.id : ''
    expect((await run('ada', 'approve', id, '--reason', 'x')).code).toBe(0)
    raised('quarantine', `${DOMAIN}/people/ada`)
    expect((await approvals.use(need('later'), '', Date.now())).kind).toBe('required')
  })

  it('slowed, still may: that is about how much it calls', async () => {
    const asked = await approvals.use(need('slowed'), '', Date.now())
    raised('slowed', `${DOMAIN}/people/lead`)
    expect((await run('lead', 'approve', asked.kind === 'required' ? asked.id : '', '--reason', 'x')).code).toBe(0)
  })

  it('may look', async () => {
    raised('quarantine', `${DOMAIN}/ops/night`)
    expect((await run('ops', 'standings')).code).toBe(0)
  })
})

describe('an end user who has signed in again', () => {
  /** Each brings a few only: how many one may bring is bounded. */
  const answer = (id: string, text: string, who = `bringer-${ids % BRINGERS}`) => {
    writeFileSync(join(folder, 'token'), `${text}\n`)
    return run(who, 'step-up', 'answer', id, '--user-token', join(folder, 'token'), '--reason', 'it was me')
  }

  it('answers, whoever brings the token; who brought it and who signed in is on record, and the token is not', async () => {
    const id = raised('step-up')
    const text = token()
    expect(await answer(id, text, 'nobody')).toMatchObject({ code: 0, out: `${AGENT} now stands: slowed\n` })
    expect(standing()).toBe('slowed')
    expect(lines).toMatchObject([
      { stage: 'begun', act: 'step-up.answer', by: `${DOMAIN}/nobody`, about: id, reason: 'it was me' },
      { stage: 'done', status: 200, workload: AGENT, by_proof_of: 'user', end_user: { issuer: IDP, id: user } }
    ])
    expect(JSON.stringify(lines)).not.toContain(text.split('.')[1])
    expect((await answer(id, text)).err).toContain('No step-up of that id is open')
  })

  it.each<[string, Readonly<Record<string, unknown>>, string]>([
    ['another user', { sub: 'mallory' }, 'Another end user'],
    ['a sign-in of before the challenge', { auth_time: Math.floor(Date.now() / 1000) - 600 }, 'has not authenticated since'],
    ['no time of sign-in', { auth_time: undefined }, 'does not say when'],
    ['a sign-in of tomorrow', { auth_time: Math.floor(Date.now() / 1000) + 86_400 }, 'in the future'],
    ['too weak a sign-in', { acr: 'pwd' }, 'must authenticate as one of: mfa'],
    ['no acr', { acr: undefined }, 'must authenticate as one of: mfa'],
    ['an audience of somebody else', { aud: 'another-app' }, 'not valid here'],
    ['an issuer that nobody lists', { iss: 'https://evil.test' }, 'not valid here'],
    ['a time that is over', { exp: Math.floor(Date.now() / 1000) - 3_600, iat: Math.floor(Date.now() / 1000) - 7_200 }, 'has expired'],
    ['another workload in azp', { azp: OTHER }, 'not valid here'],
    ['another workload in may_act', { may_act: { sub: OTHER } }, 'not valid here'],
    ['another workload in act', { act: { sub: OTHER } }, 'not valid here'],
    ['a jti that was revoked', { jti: 'stolen-token' }, 'not valid here']
  ])('with %s answers nothing', async (_, change, says) => {
    const id = raised('step-up')
    expect(await answer(id, token(change))).toMatchObject({ code: 1, err: expect.stringContaining(says) })
    expect(standing()).toBe('step-up')
    // Nor has it used up the sign-in that does.
    expect((await answer(id, token({ azp: AGENT }))).code).toBe(0)
  })

  it('with a token that nobody signed, or somebody else, answers nothing, and is not told why', async () => {
    const id = raised('step-up')
    const good = token({ jti: 'forged' })
    for (const text of [token({}, es256), `${good.slice(0, -8)}AAAAAAAA`, 'a.b.c', '', 'x'.repeat(40_000)])
      expect([text.length, (await answer(id, text)).code > 0]).toEqual([text.length, true])
    expect(standing()).toBe('step-up')
    expect(lines.find(({ because }) => because !== undefined)?.['because']).toMatch(/^U-\d+: /)
  })

  it('answers for the workload that was challenged, and with one sign-in for no other one', async () => {
    const [first, second] = [raised('step-up'), raised('step-up', OTHER)]
    const seconds = Math.floor(Date.now() / 1000) + 3
    expect((await answer(first, token({ auth_time: seconds }))).code).toBe(0)
    expect(await answer(second, token({ auth_time: seconds, jti: 'another token of it' }))).toMatchObject({
      code: 1,
      err: expect.stringContaining('has answered another step-up')
    })
    expect([standing(), standing(OTHER)]).toEqual(['slowed', 'step-up'])
    expect((await answer(second, token({ auth_time: seconds + 1 }))).code).toBe(0)
  })

  it('answers no challenge behind which nobody stood, and no quarantine', async () => {
    const id = raised('step-up', AGENT, null)
    expect((await answer(id, token())).err).toContain('a supervisor has to approve')
    raised('quarantine')
    expect((await answer(id, token())).err).toContain('No step-up of that id is open')
    expect(standing()).toBe('quarantine')
  })

  it('is asked to come again where the keys of his issuer are not known', async () => {
    const id = raised('step-up')
    const before = keys
    keys = { ...keys, keysOf: () => undefined, askAgain: () => true }
    expect(await answer(id, token())).toMatchObject({ code: 2, err: expect.stringContaining('are being asked for') })
    keys = before
    expect(standing()).toBe('step-up')
  })

  it('brings twenty tokens a minute at most: each is looked at', async () => {
    const id = raised('step-up')
    skewMs = 60_000 - (Date.now() % 60_000)
    const statuses: number[] = []
    for (let at = 0; at < 22; at++)
      statuses.push((await post('nobody', `/v1/step-ups/${id}/end-user`, { token: 'a.b.c', reason: 'x' })).status)
    expect([new Set(statuses.slice(0, 20)), statuses.slice(20)]).toEqual([new Set([403]), [429, 429]])
    expect((await post('lead', `/v1/step-ups/${id}/end-user`, { token: 'a.b.c', reason: 'x' })).status).toBe(403)
  })

  it('cannot refuse with a token, nor be asked without an identity', async () => {
    const id = raised('step-up')
    writeFileSync(join(folder, 'token'), token())
    expect((await run('nobody', 'step-up', 'refuse', id, '--user-token', join(folder, 'token'), '--reason', 'x')).code).toBe(2)
    await expect(post(undefined, `/v1/step-ups/${id}/end-user`, { token: token(), reason: 'x' })).rejects.toThrow()
    expect(standing()).toBe('step-up')
  })
})
