/** What a record keeps of a call so that it can be decided again, and what it never keeps. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { auditLine, type Recordable } from '../../src/audit/record.ts'
import type { Bounds, Target } from '../../src/core/vector-call.ts'
import { callerOf, callOf } from '../support/grants.ts'

const NOTHING: Bounds = { shards: undefined, pins: new Map(), changes: [], unpinned: undefined, unsharded: undefined }

function recordOf(target: Partial<Target>, tenant?: string, headers: readonly (readonly [string, string])[] = []) {
  return JSON.parse(auditLine(recordableOf(target, tenant, headers)))
}

function recordableOf(target: Partial<Target>, tenant?: string, headers: readonly (readonly [string, string])[] = []): Recordable {
  const whole: Target = { tenant: { kind: 'none' }, namespace: undefined, collection: { kind: 'name', name: 'docs' }, ...target }
  return {
    decisionId: 'd',
    at: 0,
    latencyUs: 1,
    role: 'gateway' as const,
    envoy: 'e',
    policyRevision: 'r',
    tenants: new Set(['acme', 'globex']),
    inbound: { method: 'GET', target: '/', httpId: '1', headers: new Map(headers), strippedCredentials: [] },
    account: {
      caller: callerOf('spiffe://vec.test/a'),
      call: { ...callOf('search', 'acme'), targets: [whole] },
      ...(tenant === undefined ? {} : { tenant })
    },
    decision: { verdict: 'deny', reason: { kind: 'internal', because: 'x' } }
  }
}

function scopeOf(target: Partial<Target>, tenant?: string): Readonly<Record<string, unknown>> {
  const { dataset_scope: scope } = recordOf(target, tenant)
  const { kind: _, name: __, ...proof } = scope[0]
  return proof
}
const bounds = (change: Partial<Bounds>) => scopeOf({ bounds: { ...NOTHING, ...change } })['bounds']

describe('the place of a call', () => {
  it.each([
    { name: 'claims its tenant in the path', target: { tenant: { kind: 'path', tenant: 'acme' } }, want: { claim: 'path' } },
    {
      name: 'claims another in the path',
      target: { tenant: { kind: 'path', tenant: 'globex' } },
      want: { claim: 'path', claimed: 'globex' }
    },
    {
      name: 'claims what no tenant is called',
      target: { tenant: { kind: 'native', tenant: "x'; --" } },
      want: { claim: 'native', claimed: null }
    },
    {
      name: 'claims more than a name can hold',
      target: { tenant: { kind: 'native', tenant: 'a'.repeat(129) } },
      want: { claim: 'native', claimed: null }
    },
    { name: 'claims nothing', target: {}, want: {} },
    { name: 'has bounds that say nothing', target: { bounds: NOTHING }, want: {} }
  ] as const)('$name', ({ target, want }) => {
    expect(scopeOf(target, 'acme')).toEqual(want)
  })

  it('keeps of a filter the names of tenants, and no other text', () => {
    const pins = new Map([
      ['tenant_id', 'acme'],
      ['patient', 'Jane Doe'],
      ['f'.repeat(129), 'acme']
    ])
    expect(bounds({ pins })).toEqual({ pins: { tenant_id: 'acme', patient: null } })
    expect(bounds({ pins: new Map([['patient', 'Jane Doe']]) })).toEqual({ pins: { patient: null } })
    const many = Array.from({ length: 40 }, (_, at): [string, string] => [`f${at}`, at < 38 ? 'text' : 'acme'])
    expect(Object.values((bounds({ pins: new Map(many) }) as { pins: object }).pins)).toEqual(['acme', 'acme', ...Array(16).fill(null)])
  })

  it('keeps how many shards there are, and the names of tenants', () => {
    expect(bounds({ shards: ['acme', 'wing-7'] })).toEqual({ shards: ['acme', null] })
    expect(bounds({ shards: [] })).toEqual({ shards: [] })
  })

  it('keeps which fields are changed, or that it could be any', () => {
    expect(bounds({ changes: ['a', 'b'] })).toEqual({ changes: ['a', 'b'] })
    expect(bounds({ changes: Array.from({ length: 17 }, (_, at) => `f${at}`) })).toEqual({ changes: ['*'] })
    expect(bounds({ changes: ['f'.repeat(129)] })).toEqual({ changes: ['*'] })
  })

  it('keeps why nothing is proved', () => {
    expect(bounds({ unpinned: 'records by id', unsharded: 'no key' })).toEqual({ unpinned: 'records by id', unsharded: 'no key' })
  })
})

it('keeps the purpose that a call says, if it could be one', () => {
  const purpose = (said: string) => recordOf({}, 'acme', [['x-vecauthz-purpose', said]]).purpose
  expect(purpose('inference')).toBe('inference')
  expect(purpose('a'.repeat(64))).toBe('?')
  expect(purpose('Bearer abc')).toBe('?')
  expect(recordOf({}).purpose).toBeUndefined()
})

describe('what every line writes', () => {
  it('the time as ISO 8601 has it, in whatever order the clock says it (property)', () => {
    // Few seconds, so that the same one comes again; some before 1970, some in other centuries.
    const at = fc.tuple(
      fc.constantFrom(-62_135_596_800, -1, 0, 1, 951_782_399, 1_795_290_000, 253_402_300_799),
      fc.integer({ min: 0, max: 999 })
    )
    fc.assert(
      fc.property(fc.array(at, { minLength: 1, maxLength: 20 }), (times) => {
        for (const ms of times.map(([seconds, rest]) => seconds * 1000 + rest))
          expect(JSON.parse(auditLine({ ...recordableOf({}), at: ms })).ts).toBe(new Date(ms).toISOString())
      })
    )
  })

  it('texts of the policy, also those that need escaping, the first time and again, and more of them than are kept', () => {
    for (let round = 0; round < 2; round++) {
      for (let at = 0; at < 1_100; at++) {
        const [envoy, policyRevision] = [`e"${at}`, `r\\${at}\n`]
        const record = JSON.parse(auditLine({ ...recordableOf({}), envoy, policyRevision }))
        expect([record.envoy, record.policy_revision]).toEqual([envoy, policyRevision])
      }
    }
  })

  it('each collection of a call once, and its credentials in the order they were found', () => {
    const one = recordableOf({})
    const call = {
      ...callOf('search', 'acme'),
      targets: [1, 2, 3].map((at) => ({ ...one.account.call?.targets[0], namespace: `n${at}` }) as Target)
    }
    const inbound = { method: 'GET', target: '/', httpId: '1', headers: new Map([['api-key', 'k']]), strippedCredentials: ['x-taken'] }
    const dialect = { credentialHeaders: ['authorization', 'api-key'] }
    const record = JSON.parse(auditLine({ ...one, inbound, account: { ...one.account, call, dialect } }))
    expect(record.dataset_scope.map((scope: { namespace: string }) => scope.namespace)).toEqual(['n1', 'n2', 'n3'])
    expect(record.client_credentials).toEqual(['x-taken', 'api-key'])
    expect(inbound.strippedCredentials).toEqual(['x-taken'])
  })
})

describe('the facts of a denial', () => {
  it.each([
    ['tenant "globex" is not one of acme', 'tenant "globex" is not one of acme'],
    [
      'no rule allows drop on demo/rag/"handbook" for spiffe://a.test/x',
      'no rule allows drop on demo/rag/"handbook" for spiffe://a.test/x'
    ],
    ['tenant "my password is" is not one of acme', 'tenant "?" is not one of acme'],
    ['unknown key "a=b" in "the\\" body"', 'unknown key "?" in "?"'],
    ['key "claſs" differs', 'key "claſs" differs']
  ])('%s', (because, want) => {
    const record = JSON.parse(auditLine({ ...recordableOf({}), decision: { verdict: 'deny', reason: { kind: 'internal', because } } }))
    expect(record.because).toBe(want)
  })
})
