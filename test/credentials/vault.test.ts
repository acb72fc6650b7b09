import { afterEach, describe, expect, it } from 'vitest'
import { createVaultClient } from '../../src/credentials/vault-http.ts'
import { secretFromVault } from '../../src/credentials/vault-secret.ts'
import { VaultSession } from '../../src/credentials/vault-session.ts'
import { issueSvid, makeAuthority, pemOf } from '../support/ca.ts'
import { type FakeVault, startVault } from '../support/vault.ts'

const MAX_AGE_MS = 60_000
const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const pauseOf = (ms: number) => () => ms
const until = async (what: () => boolean) => {
  for (let at = 0; at < 200 && !what(); at++) await new Promise((resolve) => setTimeout(resolve, 5))
  expect(what()).toBe(true)
}

async function open(change: Parameters<typeof startVault>[0] = {}, pauseMs = 10) {
  const vault = await startVault(change)
  vault.kv.set('milvus/acme', { password: 'p-acme' })
  const fetched: number[] = []
  let jwt: Awaited<ReturnType<ConstructorParameters<typeof VaultSession>[1]['fetchJwt']>> = { ok: true, token: 'jwt-svid-of-vecauthz' }
  const client = createVaultClient({ address: vault.address, ca: undefined, namespace: undefined })
  const session = new VaultSession(client, {
    authMount: 'jwt',
    role: 'vecauthz',
    fetchJwt: async () => {
      fetched.push(Date.now())
      return jwt
    },
    pauseMs: pauseOf(pauseMs),
    now: Date.now
  })
  closing.push(vault.close, client.close, () => session.close())
  const read = (path = 'milvus/acme', field = 'password') =>
    secretFromVault(client, session, { mount: 'secret', path, field }, 1_000, MAX_AGE_MS).read(new AbortController().signal)
  const give = (next: typeof jwt) => {
    jwt = next
  }
  return { vault, session, read, fetched, give }
}
const linesOf = ({ calls }: FakeVault) => calls.map(({ line }) => line.replace('/v1/', ''))

describe('a secret in Vault', () => {
  it('is read with a token that a JWT-SVID gave, and the next one with the same token', async () => {
    const { vault, read, fetched } = await open()
    expect(await read()).toEqual({ ok: true, text: 'p-acme', leaseMs: MAX_AGE_MS })
    expect(await read()).toMatchObject({ ok: true })
    expect(linesOf(vault)).toEqual(['POST auth/jwt/login', 'GET secret/data/milvus/acme', 'GET secret/data/milvus/acme'])
    expect(vault.logins).toEqual([{ role: 'vecauthz', jwt: 'jwt-svid-of-vecauthz' }])
    expect(fetched).toHaveLength(1)
    expect(vault.calls[0]?.token).toBeUndefined()
  })

  it('that many ask for at once is one login', async () => {
    const { vault, read } = await open()
    await Promise.all(Array.from({ length: 8 }, () => read()))
    expect(vault.logins).toHaveLength(1)
  })

  const bad: readonly { name: string; path?: string; field?: string; want: RegExp }[] = [
    { name: 'a path that is not there', path: 'milvus/globex', want: /^vault secret\/milvus\/globex#password: answered 404$/ },
    { name: 'a field that is not there', field: 'user', want: /no such field/ },
    { name: 'a field that is no text', field: 'list', want: /no such field, or it is no text/ },
    { name: 'a field of every object', field: 'constructor', want: /no such field/ }
  ]
  it.each(bad)('$name cannot be had', async ({ path, field, want }) => {
    const { vault, read } = await open()
    vault.kv.set('milvus/acme', { password: 'p-acme', list: ['p-acme'] })
    const reading = await read(path, field)
    expect(reading).toMatchObject({ ok: false, because: expect.stringMatching(want) })
    expect(JSON.stringify(reading)).not.toContain('p-acme')
  })

  const broken: readonly { name: string; knobs: Parameters<typeof startVault>[0]; want: RegExp }[] = [
    { name: 'a role that is not ours', knobs: { role: 'other' }, want: /login as vecauthz: answered 400$/ },
    { name: 'a JWT-SVID that Vault does not take', knobs: { jwt: 'another' }, want: /login as vecauthz: answered 400$/ },
    { name: 'a sealed Vault', knobs: { broken: 503 }, want: /answered 503$/ },
    { name: 'a standby that sends elsewhere', knobs: { broken: 307 }, want: /answered 307$/ },
    { name: 'an answer that is no JSON', knobs: { garbage: '<html>' }, want: /its answer is no JSON$/ },
    { name: 'an answer without a token', knobs: { garbage: '{"auth":{}}' }, want: /holds no token with an end$/ },
    { name: 'a token without an end', knobs: { lease: 0 }, want: /holds no token with an end$/ },
    { name: 'an answer without end', knobs: { garbage: `"${'x'.repeat(300_000)}"` }, want: /longer than 262144 bytes$/ }
  ]
  it.each(broken)('$name: no secret, and a reason that holds none of what was sent', async ({ knobs, want }) => {
    const { read } = await open(knobs)
    const reading = await read()
    expect(reading).toMatchObject({ ok: false, because: expect.stringMatching(want) })
    expect(JSON.stringify(reading)).not.toMatch(/jwt-svid|hvs\.|p-acme/)
  })

  it('a Vault that is not there, and a JWT-SVID that cannot be had', async () => {
    const { vault, read, give } = await open()
    vault.close()
    expect(await read()).toMatchObject({ ok: false, because: expect.stringMatching(/login as vecauthz: no answer \(ECONN/) })
    await new Promise((resolve) => setTimeout(resolve, 15))
    give({ ok: false, because: 'the agent is away' })
    expect(await read()).toMatchObject({ ok: false, because: 'vault secret/milvus/acme#password: the agent is away' })
  })

  it('after a login that failed nobody asks again until the pause is over', async () => {
    const { vault, read } = await open({ role: 'other' }, 100)
    await Promise.all([read(), read(), read()])
    await read()
    expect(vault.logins).toHaveLength(1)
    vault.knobs.role = 'vecauthz'
    await new Promise((resolve) => setTimeout(resolve, 110))
    expect(await read()).toMatchObject({ ok: true, text: 'p-acme' })
  })
})

describe('a token of Vault', () => {
  it('is renewed before its end, again and again, and never logged in for anew', async () => {
    const { vault, read } = await open({ lease: 0.15, renewed: 0.15 })
    await read()
    await until(() => linesOf(vault).filter((line) => line === 'POST auth/token/renew-self').length >= 3)
    expect(await read()).toMatchObject({ ok: true })
    expect(vault.logins).toHaveLength(1)
  })

  it('that is not renewable is got anew when it has ended', async () => {
    const { vault, read } = await open({ lease: 0.05, renewable: false })
    await read()
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(await read()).toMatchObject({ ok: true })
    expect(vault.logins).toHaveLength(2)
    expect(linesOf(vault)).not.toContain('POST auth/token/renew-self')
  })

  it('that was revoked is got anew on the spot', async () => {
    const { vault, read } = await open()
    await read()
    vault.tokens.clear()
    expect(await read()).toMatchObject({ ok: true, text: 'p-acme' })
    expect(vault.logins).toHaveLength(2)
  })

  it('stays when only the path is forbidden: no login helps there', async () => {
    const { vault, read } = await open({ forbidden: ['milvus/globex'] })
    vault.kv.set('milvus/globex', { password: 'p-globex' })
    for (let at = 0; at < 3; at++) expect(await read('milvus/globex')).toMatchObject({ ok: false, because: expect.stringMatching(/403$/) })
    expect(await read()).toMatchObject({ ok: true })
    expect(vault.logins).toHaveLength(1)
  })

  it('that runs into its last end is given up for a new one', async () => {
    const { vault, read } = await open({ lease: 0.1, renewed: 0.01 })
    await read()
    await until(() => linesOf(vault).includes('POST auth/token/renew-self'))
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(await read()).toMatchObject({ ok: true })
    expect(vault.logins).toHaveLength(2)
  })

  it('is renewed later when Vault was away for a moment', async () => {
    const { vault, read } = await open({ lease: 0.3, renewed: 0.3 })
    await read()
    vault.knobs.broken = 503
    await until(() => linesOf(vault).filter((line) => line === 'POST auth/token/renew-self').length >= 2)
    vault.knobs.broken = undefined
    const before = vault.calls.length
    await until(() => linesOf(vault).slice(before).includes('POST auth/token/renew-self'))
    expect(await read()).toMatchObject({ ok: true })
    expect(vault.logins).toHaveLength(1)
  })

  it('is revoked at the end', async () => {
    const { vault, session, read } = await open()
    await read()
    expect(vault.tokens.size).toBe(1)
    await session.close()
    expect(vault.tokens.size).toBe(0)
  })
})

describe('the connection to Vault', () => {
  it('is TLS to one whom the given authority vouches for, and to nobody else', async () => {
    const times = { notBefore: Date.now() - 60_000, notAfter: Date.now() + 600_000 }
    const [root, stranger] = [
      await makeAuthority({ trustDomain: 'vec.test', ...times }),
      await makeAuthority({ trustDomain: 'vec.test', ...times })
    ]
    const leaf = await issueSvid(root, { ...times, sans: [{ type: 'ip', value: Uint8Array.of(127, 0, 0, 1) }] })
    const vault = await startVault({}, { key: leaf.keyPem, cert: leaf.pem })
    closing.push(vault.close)
    const login = { method: 'POST', path: 'auth/jwt/login', body: { role: 'vecauthz', jwt: 'jwt-svid-of-vecauthz' } } as const
    const answers = []
    for (const ca of [pemOf(root.der), pemOf(stranger.der), undefined]) {
      const client = createVaultClient({ address: vault.address, ca, namespace: 'team' })
      closing.push(client.close)
      answers.push(await client.call(login, AbortSignal.timeout(2_000)))
    }
    expect(answers.map(({ ok }) => ok)).toEqual([true, false, false])
    expect(answers.slice(1)).toEqual(
      [1, 2].map(() => ({
        ok: false,
        status: 0,
        because: expect.stringMatching(/^no answer \([A-Z_]*(SELF_SIGNED|UNABLE|CERT)[A-Z_]*\)$/)
      }))
    )
    expect(vault.calls).toHaveLength(1)
    expect(vault.calls[0]?.headers).toMatchObject({ 'x-vault-namespace': 'team', 'x-vault-request': 'true' })
  })
})
