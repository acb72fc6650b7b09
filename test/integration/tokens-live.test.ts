/** Tokens through the real Envoy: JWT-SVIDs from a real Workload API on a port that takes them, and end users whose issuer rotates its keys. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Answer, type Credentials, call } from '../../demo/client.ts'
import { INDEXER, SUPPORT, TRIALS } from '../../demo/identities.ts'
import { IDP_ISSUER } from '../../demo/idp.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { collectionPath, type Scene, sceneOf, searchBody } from '../../demo/step.ts'
import { readEndpointAddress } from '../../src/spire/endpoint-address.ts'
import { fetchJwtSvid } from '../../src/spire/jwt-svid-fetch.ts'

let stack: Stack
let scene: Scene

beforeAll(async () => {
  stack = await startStack({
    folder: join(import.meta.dirname, '../../.run/test-tokens'),
    say: () => undefined,
    settings: (document) => {
      document.jwt_svid = { audience: 'vecauthz' }
      document.subject_issuers[0].refresh_seconds = 5
    },
    policy: (document) => {
      document.budget = { per_second: 1000, burst: 10_000 }
      document.carriers = [INDEXER]
    }
  })
  scene = sceneOf(stack)
})
afterAll(() => stack?.stop())

async function tokenOf(id: string, audience = 'vecauthz'): Promise<string> {
  const read = readEndpointAddress(stack.issuer.socketOf(id), undefined)
  if (!read.ok) throw new Error(read.detail)
  const fetched = await fetchJwtSvid({ address: read.address, audience: [audience], timeoutMs: 5_000 })
  if (!fetched.ok || fetched.svids[0] === undefined) throw new Error('no JWT-SVID')
  return fetched.svids[0].token
}

function search(who: Credentials, headers: Record<string, string>): Promise<Answer> {
  stack.recorder.clear()
  return call(stack.door, who, {
    target: collectionPath('acme', stack.collections['acme'] ?? '', 'query'),
    body: searchBody('acme'),
    headers
  })
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

describe('a JWT-SVID on a port that takes them', () => {
  it('of the same workload as the certificate: allowed, and Chroma gets no token', async () => {
    const answer = await search(scene.who.support, bearer(await tokenOf(SUPPORT)))
    expect(answer).toMatchObject({ status: 200 })
    expect(stack.recorder.seen().map(({ headers }) => headers.authorization)).toEqual([undefined])
  })

  it('of another workload, carried by one that the policy lists: the call is the token’s, and of one that it does not: nobody’s', async () => {
    expect(await search(scene.who.indexer, bearer(await tokenOf(SUPPORT)))).toMatchObject({ status: 200 })
    // What the carrier itself may do it may not do with the token of another.
    const write = { target: '/api/v2/tenants/acme/databases/rag/collections', body: { name: 'scratch-carried' } }
    expect(await call(stack.door, scene.who.indexer, { ...write, headers: bearer(await tokenOf(SUPPORT)) })).toMatchObject({
      reason: 'write-not-allowed'
    })
    expect(await search(scene.who.payroll, bearer(await tokenOf(SUPPORT)))).toMatchObject({ status: 401, reason: 'identity-conflict' })
    expect(await search(scene.who.support, bearer(await tokenOf(TRIALS)))).toMatchObject({ status: 401, reason: 'identity-conflict' })
    expect(stack.recorder.seen()).toEqual([])
  })

  it('for another audience, or a database’s permanent key in its place: refused', async () => {
    expect(await search(scene.who.support, bearer(await tokenOf(SUPPORT, 'billing')))).toMatchObject({
      status: 401,
      reason: 'svid-untrusted'
    })
    expect(await search(scene.who.support, bearer('very-secret'))).toMatchObject({ status: 401, reason: 'svid-untrusted' })
    expect(stack.recorder.seen()).toEqual([])
  })

  it('whose jti is put on the revoked list: refused as soon as the file is saved', async () => {
    const user = stack.idp.token({ jti: 'stolen' })
    const asked = { 'x-vecauthz-subject-token': user }
    expect(await search(scene.who.desk, asked)).toMatchObject({ status: 200 })
    const good = readFileSync(stack.policyFile, 'utf8')
    writeFileSync(stack.policyFile, `${good}revoked: { token_ids: [stolen] }\n`)
    try {
      await until(async () => (await search(scene.who.desk, asked)).reason === 'subject-invalid')
      expect(await search(scene.who.desk, { 'x-vecauthz-subject-token': stack.idp.token() })).toMatchObject({ status: 200 })
    } finally {
      writeFileSync(stack.policyFile, good)
    }
    await until(async () => (await search(scene.who.desk, asked)).status === 200)
  })
})

describe('end users', () => {
  it('with a key that their issuer has just begun to use are let in when its keys were read again', async () => {
    stack.idp.rotate()
    const headers = { 'x-vecauthz-subject-token': stack.idp.token() }
    const first = await search(scene.who.desk, headers)
    expect(['trust-unavailable', 'subject-invalid', undefined]).toContain(first.reason)
    await until(async () => (await search(scene.who.desk, headers)).status === 200)
  })
})

describe('what can be seen of the evidence', () => {
  it('ages and ends are metrics', async () => {
    const text = await (await fetch(`http://127.0.0.1:${stack.server.healthPort}/metrics`)).text()
    const value = (name: string) => Number(new RegExp(`^${name}(?:\\{issuer="${IDP_ISSUER}"\\})? (\\S+)$`, 'm').exec(text)?.[1])
    const left = value('vecauthz_svid_not_after_timestamp_seconds') - Date.now() / 1000
    expect([left > 60, left < 700]).toEqual([true, true])
    for (const name of ['trust_bundle', 'jwt_bundle', 'subject_keys']) {
      const age = value(`vecauthz_${name}_age_seconds`)
      expect([name, age >= 0 && age < 10]).toEqual([name, true])
    }
    expect(value('vecauthz_svid_generation')).toBeGreaterThan(0)
    expect((await fetch(`http://127.0.0.1:${stack.server.healthPort}/readyz`)).status).toBe(200)
  })
})

async function until(test: () => Promise<boolean>, msMax = 12_000): Promise<void> {
  const end = performance.now() + msMax
  while (!(await test())) {
    if (performance.now() > end) throw new Error(`not within ${msMax} ms`)
    await sleep(100)
  }
}
