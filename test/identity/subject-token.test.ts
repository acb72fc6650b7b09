import { describe, expect, it } from 'vitest'
import type { SubjectIssuer } from '../../src/core/caller.ts'
import type { JwtKey } from '../../src/identity/jwt-keys.ts'
import { type SubjectVerdict, verifySubjectToken } from '../../src/identity/subject-token.ts'
import { base64Url, es256, es384, jwkOf, keySet, NOW_S, other, rsa, type TokenSpec } from '../support/jwt.ts'
import { IDP, SUBJECT_AUDIENCE, SUBJECT_NOW, subjectToken, USER } from '../support/subject.ts'

const CALLER = 'spiffe://demo.vecauthz.test/shared/reporter'
const ELSE = 'https://other.vecauthz.test'
const issuer = (iss: string): SubjectIssuer => ({
  issuer: iss,
  audience: SUBJECT_AUDIENCE,
  tenantClaim: 'tenant',
  tenants: new Set(['acme', 'globex'])
})
const ISSUERS = new Map([IDP, ELSE].map((iss) => [iss, issuer(iss)]))
const KEYS = new Map<string, readonly JwtKey[]>([
  [IDP, keySet(...[other, es384, rsa].map((key) => jwkOf(key, { use: 'sig' })))],
  [ELSE, keySet(jwkOf(es256))]
])

function verdict(token: string, now = SUBJECT_NOW, keysOf = (iss: string) => KEYS.get(iss)): SubjectVerdict {
  return verifySubjectToken(token, { issuers: ISSUERS, keysOf, caller: CALLER, now, leewayMs: 5_000 })
}

/** The user, or the rule that refuses. */
const told = (spec: TokenSpec): string => {
  const judged = verdict(subjectToken(spec))
  return judged.ok ? judged.subject.id : judged.rule
}

interface Row {
  readonly name: string
  readonly spec: TokenSpec
  readonly want: string
}

const claim = (name: string, claims: Record<string, unknown>, want: string): Row => ({ name, spec: { claims }, want })
const header = (name: string, members: Record<string, unknown>, want: string): Row => ({ name, spec: { header: members }, want })

const ROWS: readonly Row[] = [
  { name: 'U-1 a good ID token', spec: {}, want: USER },
  { name: 'U-1 a name twice in the claims', spec: { claims: `{"iss":"${IDP}","sub":"a","sub":"b","aud":"x","exp":1}` }, want: 'U-1' },
  claim('U-1 a jti that is no text', { jti: 7 }, 'U-1'),
  claim('U-1 a jti', { jti: 'a7' }, USER),
  { name: 'U-2 ES384', spec: { by: es384 }, want: USER },
  { name: 'U-2 RS256', spec: { by: rsa }, want: USER },
  header('U-2 none', { alg: 'none' }, 'U-2'),
  header('U-2 a shared secret', { alg: 'HS256' }, 'U-2'),
  header('U-2 a curve that is not taken', { alg: 'EdDSA' }, 'U-2'),
  header('U-3 an access token', { typ: 'at+jwt' }, USER),
  header('U-3 an access token with the whole media type, in another case', { typ: 'application/AT+JWT' }, USER),
  header('U-3 no typ', { typ: undefined }, USER),
  header('U-3 a logout token', { typ: 'logout+jwt' }, 'U-3'),
  header('U-3 a WIT-SVID', { typ: 'wit+jwt' }, 'U-3'),
  header('U-4 the thumbprints of some issuers', { x5t: 'abc', 'x5t#S256': 'def' }, USER),
  header('U-4 a key of its own', { jwk: jwkOf(es256) }, 'U-4'),
  header('U-4 the address of a key', { jku: 'https://evil.test/keys' }, 'U-4'),
  header('U-4 an extension that must be known', { crit: ['exp'] }, 'U-4'),
  header('U-4 a kid that is no text', { kid: 7 }, 'U-4'),
  claim('U-5 an issuer that is not listed', { iss: 'https://evil.test' }, 'U-5'),
  claim('U-5 the listed issuer with a slash at its end', { iss: `${IDP}/` }, 'U-5'),
  claim('U-5 no issuer', { iss: undefined }, 'U-5'),
  claim('U-5 an array with the listed issuer', { iss: [IDP] }, 'U-5'),
  claim('U-6 no subject', { sub: undefined }, 'U-6'),
  claim('U-6 an empty subject', { sub: '' }, 'U-6'),
  claim('U-6 a subject with a line break', { sub: 'a\nb' }, 'U-6'),
  claim('U-6 a subject of 255 characters', { sub: 'a'.repeat(255) }, 'a'.repeat(255)),
  claim('U-6 a subject of 256 characters', { sub: 'a'.repeat(256) }, 'U-6'),
  claim('U-7 for somebody else', { aud: 'billing' }, 'U-7'),
  claim('U-7 for somebody else and us', { aud: ['billing', SUBJECT_AUDIENCE] }, USER),
  claim('U-7 for nobody', { aud: [] }, 'U-7'),
  claim('U-7 our audience as a part of a text', { aud: `${SUBJECT_AUDIENCE}-staging` }, 'U-7'),
  claim('U-7 an audience that is a number', { aud: [SUBJECT_AUDIENCE, 7] }, 'U-7'),
  claim('U-8 no end', { exp: undefined }, 'U-8'),
  claim('U-8 an end that is a text', { exp: String(NOW_S + 300) }, 'U-8'),
  claim('U-8 a second past the leeway', { exp: NOW_S - 6 }, 'U-8'),
  claim('U-8 within the leeway', { exp: NOW_S - 4 }, USER),
  claim('U-9 not yet', { nbf: NOW_S + 6 }, 'U-9'),
  claim('U-9 now', { nbf: NOW_S }, USER),
  claim('U-9 a beginning that is a text', { nbf: 'soon' }, 'U-9'),
  { name: 'U-10 the key of another issuer', spec: { by: es256 }, want: 'U-10' },
  { name: 'U-10 the key of another issuer under a kid of this one', spec: { by: es256, header: { kid: other.kid } }, want: 'U-10' },
  { name: 'U-10 a bit of the signature changed', spec: { signature: flipped }, want: 'U-10' },
  { name: 'U-10 no kid, and one of its keys', spec: { header: { kid: undefined } }, want: USER },
  claim('U-11 a token that is bound to a key', { cnf: { jkt: 'x' } }, 'U-11'),
  claim('U-12 the caller may act', { may_act: { sub: CALLER } }, USER),
  claim('U-12 another one may act', { may_act: { sub: 'spiffe://demo.vecauthz.test/acme/support' } }, 'U-12'),
  claim('U-12 may_act that names nobody', { may_act: {} }, 'U-12'),
  claim('U-12 the caller acts', { act: { sub: CALLER } }, USER),
  claim('U-12 another workload acts', { act: { sub: 'spiffe://demo.vecauthz.test/acme/support' } }, 'U-12'),
  claim('U-12 an agent without SPIFFE ID acts', { act: { sub: 'planner' } }, USER),
  claim('U-12 issued to the caller', { azp: CALLER }, USER),
  claim('U-12 issued to another workload', { azp: 'spiffe://demo.vecauthz.test/acme/support' }, 'U-12'),
  claim('U-12 issued to the client of a person', { azp: 'web-app' }, USER),
  claim('U-12 an endless chain of actors', { act: nested(5) }, 'U-12'),
  claim('U-13 tenants as an array', { tenant: ['acme', 'globex'] }, USER),
  claim('U-13 no tenant at all is a user all the same', { tenant: undefined }, USER),
  claim('U-13 a tenant that is a number', { tenant: 7 }, 'U-13'),
  claim('U-13 an array with a number', { tenant: ['acme', 7] }, 'U-13')
]

function flipped(made: Buffer): Buffer {
  const copy = Buffer.from(made)
  copy[5] = (copy[5] ?? 0) ^ 1
  return copy
}

function nested(depth: number): object {
  return depth === 0 ? { sub: 'z' } : { sub: `a${depth}`, act: nested(depth - 1) }
}

describe("an end user's token", () => {
  it.each(ROWS)('$name → $want', ({ spec, want }) => expect(told(spec)).toBe(want))

  it.each([
    ['nothing', ''],
    ['two parts', 'a.b'],
    ['padding', subjectToken().replace(/\.[^.]*$/, (part) => `${part}=`)],
    ['a SPIFFE bundle', base64Url('{}')],
    ['a token of 9 KiB', `${'a'.repeat(9000)}.b.c`]
  ])('U-1 %s is no token', (_, token) => expect(verdict(token)).toMatchObject({ ok: false, rule: 'U-1', kind: 'invalid' }))

  it('U-12 tells who acted before, the latest first, and leaves the caller out', () => {
    const act = { sub: CALLER, act: { sub: 'planner', act: { sub: 'front' } } }
    expect(verdict(subjectToken({ claims: { act } }))).toMatchObject({ subject: { actors: ['planner', 'front'] } })
  })

  it('U-13 tenants that the issuer may not name do not count', () => {
    const judged = verdict(subjectToken({ claims: { tenant: ['initech', 'acme'] } }))
    expect(judged).toMatchObject({ ok: true, subject: { tenants: ['acme'], issuer: IDP, expiresAt: SUBJECT_NOW + 300_000 } })
  })

  it('U-8 U-10 tells apart what a user can mend and what the issuer can', () => {
    expect(verdict(subjectToken({ claims: { exp: NOW_S - 60 } }))).toMatchObject({ kind: 'expired' })
    expect(verdict(subjectToken({ header: { kid: 'new' } }))).toMatchObject({ kind: 'no-such-key', issuer: IDP })
    expect(verdict(subjectToken(), SUBJECT_NOW, () => undefined)).toMatchObject({ kind: 'no-keys', issuer: IDP })
    expect(verdict(subjectToken({ claims: { exp: NOW_S - 60 }, signature: flipped }))).toMatchObject({ kind: 'invalid' })
  })

  it('U-8 a clock that is no number refuses', () => expect(verdict(subjectToken(), Number.NaN)).toMatchObject({ ok: false, rule: 'U-8' }))
})
