import { generateKeyPairSync } from 'node:crypto'
import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import type { Grant, ProbeGrant } from '../../src/core/decision.ts'
import { accept, refuse } from '../../src/core/deny-reason.ts'
import { type Secret, secretOf } from '../../src/core/secret.ts'
import {
  type CredentialRule,
  createCredentials,
  type NativeCredential,
  type SecretAt,
  secretFault
} from '../../src/verdict/native-credential.ts'
import { callerOf, callOf, targetOf } from '../support/grants.ts'

const NOW = Date.UTC(2026, 10, 21)
const caller = callerOf('spiffe://demo.vecauthz.test/acme/support')
const probe = { kind: 'probe', caller, call: callOf('probe', undefined) } as ProbeGrant
const PEM = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string

function grantOf(tenant = 'acme', collection = 'handbook', operation: 'search' | 'write' = 'search', by = caller): Grant {
  const call = callOf(operation, undefined)
  return { kind: 'tenant', caller: by, call, tenant, targets: [targetOf(tenant, collection)], rule: '' } as unknown as Grant
}
const STATIC: CredentialRule = { mode: 'static', header: 'api-key', prefix: '' }
const RBAC: CredentialRule = { mode: 'rbac_jwt', ttlMs: 30_000, manage: false }
const OIDC: CredentialRule = { mode: 'oidc', ttlMs: 30_000, issuer: 'https://vecauthz.test', audience: 'weaviate' }
const USER: CredentialRule = { mode: 'user_password', user: (tenant) => (tenant === undefined ? undefined : `u_${tenant}`) }

function credentialsOf(rule: CredentialRule, text: string) {
  let secret: Secret = secretOf(text)
  const secretAt: SecretAt = () => accept(secret)
  const credentials = createCredentials(rule, secretAt)
  const headerOf = (grant: Grant | ProbeGrant = grantOf(), now = NOW) => {
    const found = credentials(grant, now)
    return found.ok ? found.value : (found.reason.kind as never)
  }
  const rotate = (next: string) => {
    secret = secretOf(next)
  }
  return { headerOf, rotate }
}
const tokenOf = (credential: NativeCredential | undefined) => decodeJwt((credential?.header[1] ?? '').replace(/^Bearer /, ''))

describe('the credential of a call', () => {
  it.each([
    { name: 'an API key of Qdrant', rule: STATIC, want: ['api-key', 'secret-key'] },
    {
      name: 'an API key of Weaviate',
      rule: { mode: 'static', header: 'authorization', prefix: 'Bearer ' },
      want: ['authorization', 'Bearer secret-key']
    },
    { name: 'a user of Milvus', rule: USER, want: ['authorization', Buffer.from('u_acme:secret-key').toString('base64')] }
  ] as const)('$name', ({ rule, want }) => {
    expect(credentialsOf(rule, 'secret-key').headerOf()?.header).toEqual(want)
  })

  it('of Milvus is the tenant’s own, and a start-up call goes without where it has none', () => {
    const { headerOf } = credentialsOf(USER, 'p')
    expect(headerOf(grantOf('globex'))?.header[1]).toBe(Buffer.from('u_globex:p').toString('base64'))
    expect(headerOf(probe)).toBeUndefined()
  })

  it('is the same object for the same call, and another one for another secret', () => {
    for (const rule of [STATIC, USER, RBAC]) {
      const { headerOf, rotate } = credentialsOf(rule, 'k'.repeat(32))
      const first = headerOf()
      expect(headerOf()).toBe(first)
      rotate('K'.repeat(32))
      expect(headerOf()).not.toBe(first)
      expect(headerOf()?.header[1]).not.toBe(first?.header[1])
    }
  })

  it('is refused when there is no secret, whatever was there before', () => {
    let there = true
    const secret = secretOf('k'.repeat(32))
    for (const rule of [STATIC, RBAC]) {
      there = true
      const credentials = createCredentials(rule, () => (there ? accept(secret) : refuse('state-unavailable', 'gone')))
      expect(credentials(grantOf(), NOW).ok).toBe(true)
      there = false
      expect(credentials(grantOf(), NOW)).toMatchObject({ ok: false, reason: { kind: 'state-unavailable' } })
    }
  })

  it('that has none for this call is none', () => {
    expect(createCredentials(STATIC, () => accept('none'))(grantOf(), NOW)).toEqual({ ok: true, value: undefined })
  })
})

describe('a minted token', () => {
  it.each([RBAC, OIDC])('of $mode is kept for half of its life, so that none arrives too late', (rule) => {
    const { headerOf } = credentialsOf(rule, rule === OIDC ? PEM : 'k'.repeat(32))
    const first = headerOf(grantOf(), NOW)
    expect(headerOf(grantOf(), NOW + 14_999)).toBe(first)
    const second = headerOf(grantOf(), NOW + 15_000)
    expect(second).not.toBe(first)
    expect([first, second].map((one) => tokenOf(one)['exp'])).toEqual([NOW / 1000 + 30, NOW / 1000 + 45])
  })

  it.each([
    { name: 'another collection', grant: grantOf('acme', 'faq') },
    { name: 'a write', grant: grantOf('acme', 'handbook', 'write') },
    { name: 'a start-up call', grant: probe }
  ])('for Qdrant is not the one for $name', ({ grant }) => {
    const { headerOf } = credentialsOf(RBAC, 'k'.repeat(32))
    expect(tokenOf(headerOf(grant))['access']).not.toEqual(tokenOf(headerOf())['access'])
    expect(headerOf(grant)).not.toBe(headerOf())
  })

  it('for Qdrant of a call about two collections is not the one for a collection of a name that looks like both', () => {
    const { headerOf } = credentialsOf(RBAC, 'k'.repeat(32))
    const both = { ...grantOf(), targets: [targetOf('acme', 'a'), targetOf('acme', 'b')] } as Grant
    const names = ['["a","b"]', 'list ["a","b"]', 'a,b', 'a']
    const tokens = [both, ...names.map((name) => grantOf('acme', name)), { ...both, targets: both.targets.slice(0, 1) } as Grant].map(
      (grant) => headerOf(grant)
    )
    expect(new Set(tokens.slice(0, 5)).size).toBe(5)
    expect(tokens[5]).toBe(tokens[4])
    expect(tokenOf(tokens[0])['access']).toEqual(['a', 'b'].map((collection) => ({ collection, access: 'r' })))
  })

  it('for Qdrant is refused each time where the first was, and does not stand in for another operation', () => {
    const { headerOf } = credentialsOf(RBAC, 'k'.repeat(32))
    const define = (endpoint: string) => ({ ...grantOf(), call: { ...callOf('define', undefined), endpoint } }) as Grant
    expect([headerOf(define('collection.create')), headerOf(define('collection.create'))]).toEqual([
      'operation-unknown',
      'operation-unknown'
    ])
    expect(tokenOf(headerOf(define('index.create')))['access']).toEqual([{ collection: 'handbook', access: 'rw' }])
    expect(tokenOf(headerOf(grantOf('acme', 'handbook', 'write')))['access']).toEqual([{ collection: 'handbook', access: 'prw' }])
    expect(tokenOf(headerOf(grantOf()))['access']).toEqual([{ collection: 'handbook', access: 'r' }])
  })

  it('for Weaviate is not the one for another tenant of the same caller, nor for another caller of the same tenant', () => {
    const { headerOf } = credentialsOf(OIDC, PEM)
    const other = callerOf('spiffe://demo.vecauthz.test/acme/indexer')
    const grants = [grantOf('acme'), grantOf('globex'), grantOf('acme', 'handbook', 'search', other)]
    const tokens = [...grants, ...grants].map((grant) => tokenOf(headerOf(grant)))
    expect(tokens.map((one) => [one.sub, one['groups']])).toEqual([...grants, ...grants].map((one) => [one.caller.id.text, [one.tenant]]))
  })

  it('of one caller is kept for 16 scopes, and the seventeenth is minted too', () => {
    const { headerOf } = credentialsOf(RBAC, 'k'.repeat(32))
    const first = headerOf(grantOf('acme', 'c0'))
    for (let at = 1; at < 16; at++) headerOf(grantOf('acme', `c${at}`))
    expect(headerOf(grantOf('acme', 'c0'))).toBe(first)
    expect(tokenOf(headerOf(grantOf('acme', 'c16')))['access']).toEqual([{ collection: 'c16', access: 'r' }])
    expect(headerOf(grantOf('acme', 'c0'))).not.toBe(first)
  })
})

describe('a secret that cannot be one', () => {
  const rows: readonly { rule: CredentialRule; good: string; bad: readonly string[] }[] = [
    { rule: STATIC, good: 'key', bad: ['', 'a b', 'a\r\nx-tenant-id: globex', 'schlüssel', 'x'.repeat(4097)] },
    { rule: USER, good: 'pass wörd', bad: ['', 'a\nb', 'a\u0000'] },
    { rule: RBAC, good: 'k'.repeat(32), bad: ['', 'k'.repeat(31), `${'k'.repeat(32)}\n`] },
    { rule: OIDC, good: PEM, bad: ['', 'k'.repeat(32), PEM.replace('BEGIN', 'BEGUN')] }
  ]
  it.each(rows)('$rule.mode', ({ rule, good, bad }) => {
    expect(secretFault(rule, good)).toBeUndefined()
    for (const text of bad) expect(secretFault(rule, text), JSON.stringify(text)).toMatch(/^it is /)
  })
})
