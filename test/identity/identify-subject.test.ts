import { describe, expect, it } from 'vitest'
import type { Caller } from '../../src/core/caller.ts'
import { identifySubject, type SubjectEvidence, type SubjectKeys } from '../../src/identity/identify-subject.ts'
import { createVerdictCache } from '../../src/identity/verdict-cache.ts'
import { callerOf } from '../support/grants.ts'
import { jwkOf, keySet, NOW_S, other } from '../support/jwt.ts'
import { IDP, SUBJECT_AUDIENCE, SUBJECT_NOW, subjectToken, USER } from '../support/subject.ts'

const caller = callerOf('spiffe://demo.vecauthz.test/shared/reporter')
const issuers = new Map([[IDP, { issuer: IDP, audience: SUBJECT_AUDIENCE, tenantClaim: 'tenant', tenants: new Set(['acme']) }]])
const keys = keySet(jwkOf(other))
const KEYS: SubjectKeys = { generation: 1, keysOf: () => keys, askAgain: () => false }
const evidence = (change: Partial<SubjectEvidence> = {}): SubjectEvidence => ({
  issuers,
  revision: 'r1',
  keys: KEYS,
  leewayMs: 5_000,
  since: Number.NEGATIVE_INFINITY,
  ...change
})
const cache = () => createVerdictCache<Caller>(10)
const token = subjectToken()

describe('the end user of a call', () => {
  it('U-14 is given with the caller, the same one for the same token', () => {
    const kept = cache()
    const first = identifySubject(token, caller, evidence(), SUBJECT_NOW, kept)
    expect(first).toMatchObject({ ok: true, value: { id: { text: caller.id.text }, subject: { id: USER, tenants: ['acme'] } } })
    expect(identifySubject(token, caller, evidence(), SUBJECT_NOW + 9, kept)).toBe(first)
  })

  it('U-14 U-8 U-10 U-12 is asked for again for another caller, with other keys, under another policy, and after its end', () => {
    const kept = cache()
    const bound = subjectToken({ claims: { may_act: { sub: caller.id.text } } })
    const ask = (change: Partial<SubjectEvidence>, now: number, who = caller) => identifySubject(bound, who, evidence(change), now, kept).ok
    expect(ask({}, SUBJECT_NOW)).toBe(true)
    expect(ask({}, SUBJECT_NOW, callerOf('spiffe://demo.vecauthz.test/acme/support'))).toBe(false)
    expect(ask({ issuers: new Map(), revision: 'r2' }, SUBJECT_NOW)).toBe(false)
    expect(ask({ keys: { ...KEYS, generation: 2, keysOf: () => [] } }, SUBJECT_NOW)).toBe(false)
    expect(ask({}, SUBJECT_NOW + 305_000)).toBe(false)
  })

  it('U-14 evidence from before a change of standing is verified again', () => {
    const kept = cache()
    const at = (since: number, now: number) => {
      const result = identifySubject(token, caller, evidence({ since }), now, kept)
      return result.ok ? result.value.subject?.provenAt : undefined
    }
    expect([at(0, SUBJECT_NOW), at(0, SUBJECT_NOW + 9), at(SUBJECT_NOW + 1, SUBJECT_NOW + 9)]).toEqual([
      SUBJECT_NOW,
      SUBJECT_NOW,
      SUBJECT_NOW + 9
    ])
  })

  it('U-14 the carrier of a call is that of this call, whatever carried the same workload before', () => {
    const kept = cache()
    const carried = (path: string) => ({
      ...caller,
      serial: '05',
      evidence: 'jwt-svid' as const,
      carrier: callerOf(`spiffe://demo.vecauthz.test${path}`).id
    })
    for (const path of ['/proxy/one', '/proxy/two'])
      expect(identifySubject(token, carried(path), evidence(), SUBJECT_NOW, kept)).toMatchObject({ value: { carrier: { path } } })
    const own = identifySubject(token, { ...caller, serial: '05' }, evidence(), SUBJECT_NOW, kept)
    expect(own).toMatchObject({ value: { evidence: 'x509-svid', carrier: undefined } })
  })

  it('U-14 a caller whose own evidence was verified again is not given back with the old one', () => {
    const kept = cache()
    identifySubject(token, caller, evidence(), SUBJECT_NOW, kept)
    const fresh = { ...caller, provenAt: SUBJECT_NOW + 9 }
    expect(identifySubject(token, fresh, evidence(), SUBJECT_NOW + 9, kept)).toMatchObject({ value: { provenAt: SUBJECT_NOW + 9 } })
  })

  it.each([
    { name: 'a forged token', token: subjectToken({ claims: { iss: 'https://evil.test' } }), asked: true, want: 'subject-invalid' },
    { name: 'an expired one', token: subjectToken({ claims: { exp: NOW_S - 60 } }), asked: true, want: 'subject-expired' },
    {
      name: 'a key that is new, and is asked for',
      token: subjectToken({ header: { kid: 'new' } }),
      asked: true,
      want: 'trust-unavailable'
    },
    {
      name: 'a key that was asked for a moment ago',
      token: subjectToken({ header: { kid: 'new' } }),
      asked: false,
      want: 'subject-invalid'
    }
  ])('$name → $want', ({ token: sent, asked, want }) => {
    const result = identifySubject(sent, caller, evidence({ keys: { ...KEYS, askAgain: () => asked } }), SUBJECT_NOW, cache())
    expect(result).toMatchObject({ ok: false, reason: { kind: want } })
  })

  it('keys that were never had say nothing about a token', () => {
    const asked: string[] = []
    const none: SubjectKeys = { generation: 1, keysOf: () => undefined, askAgain: (issuer) => asked.push(issuer) > 9 }
    const result = identifySubject(token, caller, evidence({ keys: none }), SUBJECT_NOW, cache())
    expect(result).toMatchObject({ ok: false, reason: { kind: 'trust-unavailable' } })
    expect(asked).toEqual([IDP])
  })
})
