import { createHmac, createPublicKey, generateKeyPairSync, type JsonWebKey } from 'node:crypto'
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import type { Grant, ProbeGrant } from '../../src/core/decision.ts'
import type { Operation, ResolvedTarget } from '../../src/core/vector-call.ts'
import { DIALECTS } from '../../src/databases/dialects.ts'
import { type OidcKey, qdrantAccess, qdrantToken, readOidcKey, weaviateToken } from '../../src/verdict/native-token.ts'
import { callerOf, callOf, targetOf } from '../support/grants.ts'

const NOW = Date.UTC(2026, 10, 21)
const ID = 'spiffe://demo.vecauthz.test/acme/support'
const KEY = 'k'.repeat(32)
const FACTS = { caller: ID, now: NOW, ttlMs: 30_000 }
const pem = (bits: number) =>
  generateKeyPairSync('rsa', { modulusLength: bits }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
const RSA = readOidcKey(pem(2048)) as OidcKey

function grantOf(operation: Operation, targets: readonly ResolvedTarget[] = [targetOf('acme')], endpoint = `points.${operation}`): Grant {
  const call = { ...callOf(operation, undefined), endpoint }
  return { kind: 'tenant', caller: callerOf(ID), call, tenant: 'acme', targets, rule: 'policy.yaml:1' } as unknown as Grant
}
const probe = { kind: 'probe', caller: callerOf(ID), call: callOf('probe', undefined) } as ProbeGrant

describe('what a token for Qdrant allows', () => {
  const docs = (access: string) => [{ collection: 'handbook', access }]
  const every: ResolvedTarget = { tenant: 'acme', namespace: undefined, collection: { kind: 'every' } }
  const rows: readonly { name: string; grant: Grant | ProbeGrant; manage?: boolean; want: unknown }[] = [
    { name: 'a search reads', grant: grantOf('search'), want: docs('r') },
    { name: 'a read reads', grant: grantOf('read'), want: docs('r') },
    { name: 'a look at a collection reads', grant: grantOf('observe'), want: docs('r') },
    { name: 'a write reads and writes points', grant: grantOf('write'), want: docs('prw') },
    { name: 'a delete as well', grant: grantOf('delete'), want: docs('prw') },
    { name: 'an index is made with rw', grant: grantOf('define', undefined, 'index.create'), want: docs('rw') },
    { name: 'a named vector is dropped with rw', grant: grantOf('drop', undefined, 'Points/DeleteVectorName'), want: docs('rw') },
    {
      name: 'two collections are two entries, and one that is named twice is one',
      grant: grantOf('search', [targetOf('acme'), targetOf('acme', 'faq'), targetOf('acme')]),
      want: [...docs('r'), { collection: 'faq', access: 'r' }]
    },
    { name: 'a listing lists nothing', grant: grantOf('observe', [every]), want: [] },
    { name: 'a start-up call may nothing', grant: probe, want: [] },
    { name: 'a collection is not created', grant: grantOf('define', undefined, 'collection.create'), want: 'operation-unknown' },
    { name: 'nor over gRPC', grant: grantOf('define', undefined, 'Collections/Create'), want: 'operation-unknown' },
    { name: 'nor dropped', grant: grantOf('drop', undefined, 'collection.drop'), want: 'operation-unknown' },
    { name: 'but with manage', grant: grantOf('define', undefined, 'collection.create'), manage: true, want: 'm' },
    { name: 'which gives a write no more', grant: grantOf('write'), manage: true, want: docs('prw') },
    { name: 'nothing is for an export', grant: grantOf('export'), want: 'operation-unknown' },
    {
      name: 'a token of too many collections would be no header',
      grant: grantOf(
        'search',
        Array.from({ length: 257 }, (_, at) => targetOf('acme', `c${at}`))
      ),
      want: 'call-too-large'
    }
  ]
  it.each(rows)('$name', ({ grant, manage = false, want }) => {
    const access = qdrantAccess(grant, manage)
    expect(access.ok ? access.value : access.reason.kind).toEqual(want)
  })

  it('every served call that defines or drops a collection is known as one, and no other', () => {
    const changing = DIALECTS.qdrant.routes.filter((one) => 'operation' in one && ['define', 'drop'].includes(one.operation))
    const managing = changing.filter(({ name }) => !qdrantAccess(grantOf('define', undefined, name), false).ok).map(({ name }) => name)
    expect(managing.sort()).toEqual([
      'Collections/Create',
      'Collections/Delete',
      'Collections/Update',
      'collection.create',
      'collection.drop',
      'collection.update'
    ])
    expect(changing.length).toBeGreaterThan(managing.length)
  })
})

describe('a token for Qdrant', () => {
  const token = qdrantToken(KEY, [{ collection: 'handbook', access: 'r' }], FACTS)

  it('verifies with the API key, and with no other', async () => {
    const { payload, protectedHeader } = await jwtVerify(token, Buffer.from(KEY), { currentDate: new Date(NOW + 29_000) })
    expect(protectedHeader).toEqual({ alg: 'HS256', typ: 'JWT' })
    expect(payload).toEqual({ access: [{ collection: 'handbook', access: 'r' }], exp: NOW / 1000 + 30, subject: ID })
    await expect(jwtVerify(token, Buffer.from(`${KEY}1`), { currentDate: new Date(NOW) })).rejects.toThrow()
    await expect(jwtVerify(token, Buffer.from(KEY), { currentDate: new Date(NOW + 31_000) })).rejects.toThrow()
  })

  it('always says what it allows: without `access` it would be everything', () => {
    for (const access of [[], 'm', [{ collection: 'a', access: 'prw' }]] as const)
      expect(decodeJwt(qdrantToken(KEY, access, FACTS))).toHaveProperty('access', access)
  })

  it('is signed over what is sent', () => {
    const [header, claims, signature] = token.split('.')
    expect(createHmac('sha256', KEY).update(`${header}.${claims}`).digest('base64url')).toBe(signature)
  })
})

describe('a token for Weaviate', () => {
  const names = { issuer: 'https://vecauthz.demo.test', audience: 'weaviate' }
  const token = weaviateToken(RSA, names, 'acme', FACTS)
  const keys = createLocalJWKSet({ keys: [RSA.jwk as JsonWebKey & { kty: string }] })
  const verify = (change: object = {}) => jwtVerify(token, keys, { ...names, algorithms: ['RS256'], currentDate: new Date(NOW), ...change })

  it('verifies with the published key, issuer, audience and time, and with none of them changed', async () => {
    expect((await verify()).payload).toEqual({
      iss: names.issuer,
      aud: names.audience,
      sub: ID,
      groups: ['acme'],
      iat: NOW / 1000,
      exp: NOW / 1000 + 30
    })
    await expect(verify({ audience: 'other' })).rejects.toThrow()
    await expect(verify({ issuer: 'https://other.test' })).rejects.toThrow()
    await expect(verify({ currentDate: new Date(NOW + 30_000) })).rejects.toThrow()
  })

  it('of a start-up call is in no group', () => {
    expect(decodeJwt(weaviateToken(RSA, names, undefined, FACTS))['groups']).toEqual([])
  })

  it('publishes the public half only', () => {
    expect(Object.keys(RSA.jwk).sort()).toEqual(['alg', 'e', 'kid', 'kty', 'n', 'use'])
    expect(createPublicKey({ key: RSA.jwk as JsonWebKey, format: 'jwk' }).asymmetricKeyType).toBe('rsa')
  })

  it('is signed with an RSA key of 2048 bits or more', () => {
    const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    expect([pem(2048), pem(1024), ec, 'no key', ''].map((text) => readOidcKey(text) !== undefined)).toEqual([
      true,
      false,
      false,
      false,
      false
    ])
  })
})
