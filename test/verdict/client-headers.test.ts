import { describe, expect, it } from 'vitest'
import type { Grant, ProbeGrant } from '../../src/core/decision.ts'
import type { ResolvedTarget } from '../../src/core/vector-call.ts'
import { DIALECTS } from '../../src/databases/dialects.ts'
import { allowAnswer } from '../../src/verdict/answer.ts'
import { otherProxyHeaders, placeOf } from '../../src/verdict/client-headers.ts'
import { callerOf, callOf, targetOf } from '../support/grants.ts'

const caller = callerOf('spiffe://demo.vecauthz.test/acme/support')
const probe = { kind: 'probe', caller, call: callOf('probe', undefined) } as ProbeGrant
const MILVUS = DIALECTS.milvus.meaningHeaders

function grantOf(...targets: readonly ResolvedTarget[]): Grant {
  return { kind: 'tenant', caller, call: callOf('search', undefined), tenant: 'acme', targets, rule: 'policy.yaml:1' } as unknown as Grant
}

describe('headers that no client says to a database itself', () => {
  it.each(Object.values(DIALECTS))('are all gone from a call to $kind', ({ credentialHeaders }) => {
    const { remove } = allowAnswer(probe, 'id', credentialHeaders)
    const never = ['authorization', 'proxy-authorization', 'api-key', 'x-api-key', 'x-chroma-token', 'x-proxy-user', 'dbname', 'db-name']
    expect(remove).toEqual(expect.arrayContaining([...never, ...credentialHeaders, 'x-vecauthz-subject-token']))
    expect(new Set(remove).size).toBe(remove.length)
  })

  it('are not removed again where we set them: Envoy removes after it sets', () => {
    const native = {
      set: [
        ['authorization', 'Basic ours'],
        ['dbname', 'db_acme']
      ],
      remove: ['x-proxy-ext-tenant']
    } as const
    const { set, remove } = allowAnswer(probe, 'id', ['authorization'], native)
    expect(set).toEqual(expect.arrayContaining([...native.set]))
    expect(remove).not.toContain('authorization')
    expect(remove).not.toContain('dbname')
    expect(remove).toEqual(expect.arrayContaining(['db-name', 'api-key', 'x-proxy-ext-tenant']))
  })

  it('of a trusted proxy are found whatever they end in, and nothing else is', () => {
    const headers = new Map([
      ['x-proxy-ext-tenant', 'globex'],
      ['x-proxy-user', 'root'],
      ['x-proxied', '1'],
      ['proxy-authorization', '1']
    ])
    expect(otherProxyHeaders(headers)).toEqual(['x-proxy-ext-tenant'])
  })
})

describe('the database of Milvus', () => {
  const rows: readonly { name: string; grant: Grant | ProbeGrant; want: string }[] = [
    { name: 'is the one that was judged', grant: grantOf(targetOf('acme', 'docs', 'db_acme')), want: 'db_acme' },
    {
      name: 'is the one that all targets have',
      grant: grantOf(targetOf('acme', 'docs', 'db_acme'), targetOf('acme', 'more', 'db_acme')),
      want: 'db_acme'
    },
    {
      name: 'cannot be two',
      grant: grantOf(targetOf('acme', 'docs', 'db_acme'), targetOf('acme', 'docs', 'db_globex')),
      want: 'call-ambiguous'
    },
    { name: 'of a start-up call is the default one', grant: probe, want: 'default' },
    {
      name: 'cannot be one and the default one',
      grant: grantOf(targetOf('acme', 'docs', 'db_acme'), { ...targetOf('acme'), namespace: undefined }),
      want: 'call-ambiguous'
    }
  ]
  it.each(rows)('$name', ({ grant, want }) => {
    const place = placeOf(grant, MILVUS)
    expect(place.ok ? place.value : place.reason.kind).toBe(want)
  })

  it('is nothing to say to the others', () => {
    for (const { kind, meaningHeaders } of Object.values(DIALECTS).filter((one) => one.kind !== 'milvus'))
      expect(placeOf(grantOf(targetOf('acme')), meaningHeaders), kind).toEqual({ ok: true, value: undefined })
  })
})
