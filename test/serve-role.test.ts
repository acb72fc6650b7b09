/** What a port is for, by its settings: only egress vouches, always with the SVID of this moment. */
import { expect, it } from 'vitest'
import { settingsSchema } from '../src/config/settings-schema.ts'
import { parseSpiffeId } from '../src/core/spiffe-id.ts'
import type { Vouched } from '../src/envoy/decide.ts'
import { roleOf, voucher } from '../src/serve-role.ts'
import { issueSvid, makeAuthority, type Svid } from './support/ca.ts'
import { callerOf, callOf, targetOf } from './support/grants.ts'

const settings = (role: string, more: object = {}) =>
  settingsSchema.parse({
    version: 1,
    role,
    listen: '127.0.0.1:0',
    workload_api: 'unix:///nowhere',
    policy: 'policy.yaml',
    databases: [{ id: 'demo', kind: 'chroma', authorities: ['chroma.test'], version: '1.5.9' }],
    audit: { file: 'audit.jsonl' },
    svid_ttl_seconds: 600,
    bundle_max_age_seconds: 600,
    deadline_ms: 200,
    ...more
  })

const root = await makeAuthority({ trustDomain: 'vec.test' })
const ID = 'spiffe://vec.test/vecauthz/egress'
const snapshotOf = ({ chain, key }: Svid) => {
  const parsed = parseSpiffeId(ID)
  if (!parsed.ok) throw new Error(parsed.detail)
  return { svid: { id: parsed.id, certificates: chain, key } } as never
}
const grant = {
  kind: 'tenant',
  caller: callerOf('spiffe://vec.test/a'),
  call: callOf('search', 'acme'),
  tenant: 'acme',
  targets: [targetOf('acme')]
}
const vouched = {
  grant,
  judged: undefined,
  inbound: { method: 'GET', target: '/', authority: 'chroma.test', headers: new Map(), body: undefined },
  meaningHeaders: [],
  revision: 'f00d',
  decisionId: 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee',
  at: Date.now()
} as unknown as Vouched
const headerOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()) as { x5c: string[] }

it('gateway and index vouch for nothing', () => {
  expect(voucher(settings('gateway'), () => undefined)).toBeUndefined()
  expect(voucher(settings('index', { audience: 'index' }), () => undefined)).toBeUndefined()
})

it('egress signs with the SVID that is its own now, and without one it signs nothing', async () => {
  const [first, second] = await Promise.all([issueSvid(root, { id: ID }), issueSvid(root, { id: ID })])
  let own: unknown
  const vouch = voucher(settings('egress', { audience: 'index' }), () => own as never)
  if (vouch === undefined) throw new Error('egress vouches for nothing')
  expect(vouch(vouched)).toMatchObject({ ok: false, reason: { kind: 'trust-unavailable' } })
  for (const svid of [first, second, first]) {
    own = snapshotOf(svid)
    const token = vouch(vouched)
    if (!token.ok) throw new Error(token.reason.because)
    expect(headerOf(token.value).x5c[0]).toBe(Buffer.from(svid.chain[0] ?? []).toString('base64'))
  }
})

it('a key that signs no policy tokens is said, and nothing passes', async () => {
  const svid = await issueSvid(root, { id: ID, keyKind: 'P-521' })
  const vouch = voucher(settings('egress', { audience: 'index' }), () => snapshotOf(svid))
  expect(vouch?.(vouched)).toMatchObject({
    ok: false,
    reason: { kind: 'trust-unavailable', because: expect.stringContaining('secp521r1') }
  })
})

it('the index knows its own name and its leeway', () => {
  expect(roleOf(settings('index', { audience: 'index.test', token_leeway_seconds: 4 }))).toMatchObject({
    kind: 'index',
    audience: 'index.test',
    leewayMs: 4_000
  })
  expect(roleOf(settings('gateway'))).toEqual({ kind: 'gateway' })
})
