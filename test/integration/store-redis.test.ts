/** The store of many hosts against a real redis-server: the contract, and what becomes of it when the server does. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { freePort } from '../../demo/database-process.ts'
import { whyLeftOut } from '../../setup/components.ts'
import type { Store } from '../../src/core/store.ts'
import { openStore, type StoreSettings } from '../../src/state/open-store.ts'
import { createSharedSpentTokens } from '../../src/state/spent-tokens-shared.ts'
import type { StoreWait } from '../../src/state/store-faults.ts'
import { openRedisStore } from '../../src/state/store-redis.ts'
import { storeContract } from '../state/store-contract.ts'
import { issueSvid, makeAuthority } from '../support/ca.ts'
import { type Redis, type RedisSpec, startRedis } from './support/redis.ts'

const leftOut = whyLeftOut('redis-server')
const T = 1_000_000
/** What a store answers within, 200 ms, and what a busy machine adds; the client's own patience would be 5 s and more. */
const ANSWERED_MS_MAX = 200 + 1_300
/** Where time is not the question. */
const PATIENT = { answerMsMax: 10_000 }

describe.skipIf(leftOut !== undefined)(`redis${leftOut === undefined ? '' : ` (${leftOut})`}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'redis-'))
  const servers: Redis[] = []
  const stores: Store[] = []
  let shared: Redis
  let names = 0

  const start = async (spec: Partial<RedisSpec> = {}) => {
    const server = await startRedis({ folder: join(folder, String(names++)), ...spec })
    servers.push(server)
    return server
  }
  const open = (settings: Omit<Extract<StoreSettings, { kind: 'redis' }>, 'kind'>, wait: StoreWait = PATIENT) => {
    const events: string[] = []
    const store = openStore({ kind: 'redis', ...settings }, ({ kind, because }) => events.push(`${kind}: ${because}`), wait)
    stores.push(store)
    return { store, events }
  }
  /** Until it answers again, at most some seconds. */
  const recovered = async (store: Store) => {
    const until = performance.now() + 10_000
    while ((await store.get('x', T)).kind === 'unavailable' && performance.now() < until) await sleep(20)
    return store.get('x', T)
  }

  beforeAll(async () => {
    shared = await startRedis({ folder: join(folder, 'shared') })
  })
  afterEach(async () => {
    await Promise.all(stores.splice(0).map((store) => store.close()))
    await Promise.all(servers.splice(0).map((server) => server.stop()))
  })
  afterAll(async () => {
    await shared.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  storeContract(
    'redis',
    async (bounds) => {
      const options = { url: shared.url, prefix: `{t${names++}}:`, answerMsMax: 10_000, ...bounds }
      return [openRedisStore(options), openRedisStore(options)]
    },
    { raced: 1_000, runs: 15 }
  )

  describe('a server that goes', () => {
    it('is unavailable at once while it is away, and there again without a restart of ours', async () => {
      const spec = { folder: join(folder, 'goes') }
      const first = await start(spec)
      const { store, events } = open({ url: first.url }, {})
      await recovered(store)
      await store.putOnce('a', '1', T + 10, T)
      await first.kill()
      const asked = performance.now()
      for (let at = 0; at < 5; at++) expect(await store.putOnce('b', '1', T + 10, T)).toMatchObject({ kind: 'unavailable' })
      expect(await store.replace('a', '1', '2', T + 10, T)).toBe('unavailable')
      expect(await store.list('', T, 10)).toMatchObject({ kind: 'unavailable' })
      expect(performance.now() - asked).toBeLessThan(ANSWERED_MS_MAX)
      await start({ ...spec, port: first.port })
      expect(await recovered(store)).toEqual({ kind: 'none' })
      expect(events.at(-1)).toMatch(/^ready: /)
      expect(events.some((event) => event.startsWith('unavailable: '))).toBe(true)
    })

    it('is unavailable in time when it stands still, and nothing gathers meanwhile', async () => {
      const server = await start()
      const { store } = open({ url: server.url }, {})
      await recovered(store)
      await store.putOnce('a', '1', T + 10_000_000, T)
      server.child.kill('SIGSTOP')
      try {
        const asked = performance.now()
        const answers = await Promise.all(Array.from({ length: 3_000 }, (_, at) => store.putOnce(`k${at}`, '1', T + 10, T)))
        expect(performance.now() - asked).toBeLessThan(2 * ANSWERED_MS_MAX)
        expect(answers.every(({ kind }) => kind === 'unavailable')).toBe(true)
        expect(answers.at(-1)).toMatchObject({ because: expect.stringContaining('too much is under way') })
        await sleep(1_200)
        await store.get('a', T)
      } finally {
        server.child.kill('SIGCONT')
      }
      expect(await recovered(store)).toEqual({ kind: 'none' })
      expect(await store.get('a', T)).toMatchObject({ value: '1' })
    })

    it('is unavailable when it was never there, and found when it comes', async () => {
      const gone = await start()
      await gone.stop()
      const { store, events } = open({ url: gone.url })
      expect(await store.putOnce('a', '1', T + 10, T)).toMatchObject({
        kind: 'unavailable',
        because: expect.stringContaining('ECONNREFUSED')
      })
      expect(events[0]).toContain('ECONNREFUSED')
      await start({ port: gone.port })
      expect(await recovered(store)).toEqual({ kind: 'none' })
    })
  })

  describe('what a server may have forgotten', () => {
    const LIFE = 30_000

    it('wiped: everything is over, and a token that can have been used before is not taken for unused', async () => {
      const server = await start()
      const { store } = open({ url: server.url })
      await store.putOnce('grant', '1', Date.now() + 60_000, Date.now())
      // As if the server had begun to remember an hour ago.
      await server.say('HSET', '{vecauthz}:epoch', 'since', String(Date.now() - 3_600_000))
      const tokens = createSharedSpentTokens(store, 0)
      const [now, issued] = [Date.now(), Date.now() - 1_000]
      expect(await tokens.spend('t', 'check 1', issued + LIFE, now)).toBe('ours')
      expect(await tokens.spend('t', 'check 2', issued + LIFE, now)).toBe('spent')
      await server.say('FLUSHALL')
      expect(await tokens.spend('t', 'check 2', issued + LIFE, now)).toBe('unavailable')
      expect(await tokens.spend('t', 'check 2', issued + LIFE, now)).toBe('unavailable')
      expect(await tokens.spend('t', 'check 3', issued + LIFE, now)).toBe('spent')
      expect(await store.get('grant', now)).toEqual({ kind: 'none' })
      // Issued after that: nobody can have used it before.
      const later = Date.now() + 5
      expect(await tokens.spend('new', 'check 4', later + LIFE, later)).toBe('ours')
      expect(await tokens.spend('new', 'check 5', later + LIFE, later)).toBe('spent')
    })

    it('started again: what it kept is there, and since says that there may have been more', async () => {
      const spec = { folder: join(folder, 'again'), args: ['--appendonly', 'yes', '--appendfsync', 'always'] }
      const first = await start(spec)
      const { store } = open({ url: first.url })
      const before = await store.putOnce('a', '1', T + 10, T)
      expect(await store.putOnce('b', '1', T + 10, T)).toEqual(before)
      await first.kill()
      await start({ ...spec, port: first.port })
      await recovered(store)
      const after = await store.putOnce('a', '2', T + 10, T)
      expect(after).toMatchObject({ kind: 'there', value: '1' })
      if (before.kind !== 'put' || after.kind !== 'there') throw new Error('no since')
      expect(after.since).toBeGreaterThan(before.since)
      expect(await store.putOnce('c', '1', T + 10, T)).toEqual({ kind: 'put', since: after.since })
    })

    it('scripts that it forgot are given to it again', async () => {
      const server = await start()
      const { store } = open({ url: server.url })
      await store.putOnce('a', '1', T + 10, T)
      await server.say('SCRIPT', 'FLUSH')
      expect(await store.get('a', T)).toMatchObject({ value: '1' })
    })

    it('a host whose clock is an hour ahead makes others forget nothing', async () => {
      const server = await start()
      const { store } = open({ url: server.url })
      const now = Date.now()
      await store.putOnce('a', '1', now + 30_000, now)
      for (let at = 0; at < 20; at++) await store.putOnce(`ahead ${at}`, '1', now + 3_630_000, now + 3_600_000)
      expect(await store.get('a', now)).toMatchObject({ value: '1' })
      expect(await store.putOnce('a', '2', now + 30_000, now)).toMatchObject({ kind: 'there', value: '1' })
    })

    it('all that is written ends by itself', async () => {
      const server = await start()
      const { store } = open({ url: server.url })
      await store.putOnce('a', '1', T + 10_000, T)
      const left = Number(await server.say('PTTL', '{vecauthz}:entry:a'))
      expect(left).toBeGreaterThan(60_000)
      expect(left).toBeLessThanOrEqual(70_000)
    })
  })

  describe('a server that cannot be relied on', () => {
    it.each(['allkeys-lru', 'volatile-ttl', 'volatile-lru', 'allkeys-random'])('would drop entries to make room: %s', async (policy) => {
      const server = await start({ args: ['--maxmemory', '50mb', '--maxmemory-policy', policy] })
      const { store } = open({ url: server.url })
      const why = { kind: 'unavailable', because: expect.stringContaining('set noeviction') }
      expect(await store.putOnce('a', '1', T + 10, T)).toMatchObject(why)
      await server.say('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
      expect(await recovered(store)).toEqual({ kind: 'none' })
    })

    it('is a replica, or becomes one', async () => {
      const [master, other] = [await start(), await start()]
      const { store } = open({ url: other.url })
      expect(await store.putOnce('a', '1', T + 10, T)).toMatchObject({ kind: 'put' })
      await other.say('REPLICAOF', '127.0.0.1', String(master.port))
      expect(await store.putOnce('b', '1', T + 10, T)).toMatchObject({ kind: 'unavailable' })
      const late = open({ url: other.url }).store
      expect(await late.get('a', T)).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('role is slave') })
      await other.say('REPLICAOF', 'NO', 'ONE')
      expect(await recovered(store)).toEqual({ kind: 'none' })
    })

    it('has no memory left: full, and what is there still counts', async () => {
      const server = await start({ args: ['--maxmemory-policy', 'noeviction'] })
      const { store } = open({ url: server.url })
      await store.putOnce('a', '1', T + 10, T)
      await server.say('CONFIG', 'SET', 'maxmemory', '1')
      expect(await store.putOnce('b', '1', T + 10, T)).toEqual({ kind: 'full' })
      expect(await store.get('a', T)).toMatchObject({ value: '1' })
    })

    it('holds something else under our names', async () => {
      const server = await start()
      const { store } = open({ url: server.url })
      await server.say('SET', '{vecauthz}:entry:a', 'x')
      expect(await store.putOnce('a', '1', T + 10, T)).toMatchObject({ kind: 'unavailable' })
      expect(await store.get('a', T)).toMatchObject({ kind: 'unavailable' })
    })
  })

  it('works in a cluster, where all keys are in one slot', async () => {
    const server = await start({ args: ['--cluster-enabled', 'yes'] })
    await server.say('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
    while (!String(await server.say('CLUSTER', 'INFO')).includes('cluster_state:ok')) await sleep(50)
    const { store } = open({ url: server.url })
    for (const at of ['a', 'b', '{c}', '}{']) expect(await store.putOnce(at, at, T + 10, T)).toMatchObject({ kind: 'put' })
    expect(await store.list('', T, 10)).toMatchObject({ entries: [{ key: 'a' }, { key: 'b' }, { key: '{c}' }, { key: '}{' }] })
  })

  describe('credentials and TLS', () => {
    /** What the store needs, and nothing more. */
    const ALLOWED = '+eval +evalsha +info +hmget +hset +pexpire +zadd +zrem +zcard +zrangebyscore +zrangebylex +unlink +time'

    it('a user with the rights of the store is enough, and a wrong password is not', async () => {
      const server = await start()
      await server.say('ACL', 'SETUSER', 'vecauthz', 'on', '>right', '~{vecauthz}:*', '-@all', ...ALLOWED.split(' '))
      const file = join(folder, 'password')
      writeFileSync(file, 'wrong\n')
      const { store, events } = open({ url: server.url, username: 'vecauthz', password_file: file })
      expect(await store.putOnce('a', '1', T + 10, T)).toMatchObject({ kind: 'unavailable' })
      expect(events[0]).toContain('WRONGPASS')
      expect(events.join()).not.toMatch(/wrong\b/)
      // It is read again for each connection.
      writeFileSync(file, 'right\n')
      expect(await recovered(store)).toEqual({ kind: 'none' })
      expect(await store.putOnce('a', '1', T + 10, T)).toMatchObject({ kind: 'put' })
      expect(await store.replace('a', '1', '2', T + 10, T)).toBe('replaced')
      expect(await store.list('', T, 10)).toMatchObject({ entries: [{ value: '2' }] })
    })

    it('over TLS only a server that the authority vouches for is believed', async () => {
      const times = { notBefore: Date.now() - 60_000, notAfter: Date.now() + 3_600_000 }
      const root = await makeAuthority({ trustDomain: 'vec.test', ...times })
      const other = await makeAuthority({ trustDomain: 'other.test', ...times })
      const serve = async (address: readonly number[]) => {
        const leaf = await issueSvid(root, { ...times, sans: [{ type: 'ip', value: Uint8Array.from(address) }] })
        const at = join(folder, String(names++))
        writeFileSync(`${at}.crt`, leaf.pem)
        writeFileSync(`${at}.key`, leaf.keyPem)
        writeFileSync(`${at}.ca`, root.pem)
        const files = ['--tls-cert-file', `${at}.crt`, '--tls-key-file', `${at}.key`, '--tls-ca-cert-file', `${at}.ca`]
        const plain = await start({ args: [...files, '--tls-auth-clients', 'no'] })
        const tlsPort = String(await freePort(0))
        await plain.say('CONFIG', 'SET', 'tls-port', tlsPort)
        return { url: `rediss://127.0.0.1:${tlsPort}`, ca: `${at}.ca` }
      }
      const good = await serve([127, 0, 0, 1])
      expect(await open({ url: good.url, ca_file: good.ca }).store.putOnce('a', '1', T + 10, T)).toMatchObject({ kind: 'put' })
      const wrong = join(folder, 'other.ca')
      writeFileSync(wrong, other.pem)
      for (const settings of [{ url: good.url, ca_file: wrong }, { url: good.url }]) {
        expect(await open(settings).store.putOnce('b', '1', T + 10, T)).toMatchObject({ kind: 'unavailable' })
      }
      const elsewhere = await serve([10, 0, 0, 1])
      expect(await open({ url: elsewhere.url, ca_file: elsewhere.ca }).store.putOnce('a', '1', T + 10, T)).toMatchObject({
        kind: 'unavailable',
        because: expect.stringMatching(/altnames|IP/)
      })
    })
  })
})
