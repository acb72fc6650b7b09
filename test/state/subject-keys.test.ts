import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { parseJwtKeySet } from '../../src/identity/bundle-document.ts'
import type { JwtKey } from '../../src/identity/jwt-keys.ts'
import { keepSubjectKeys, type SubjectKeyEvent, type SubjectKeyStore } from '../../src/state/subject-keys.ts'
import { keysFromFile, keysFromUrl } from '../../src/state/subject-keys-fetch.ts'
import { es256, jwkOf, other } from '../support/jwt.ts'
import { IDP } from '../support/subject.ts'

const ends: (() => unknown)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

const document = (...keys: (typeof es256)[]) => JSON.stringify({ keys: keys.map((key) => jwkOf(key, { use: 'sig' })) })

async function publish(answer: RequestListener): Promise<string> {
  const server: Server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  ends.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`
}

interface Kept {
  readonly store: SubjectKeyStore<JwtKey>
  readonly events: SubjectKeyEvent[]
  readonly kids: () => readonly (string | undefined)[] | undefined
  clock: number
}

function keep(fetch: ReturnType<typeof keysFromUrl>, refreshMs = 60_000, maxAgeMs = 600_000): Kept {
  const events: SubjectKeyEvent[] = []
  const kept = { events, clock: 1_000_000 } as unknown as Kept
  const store = keepSubjectKeys<JwtKey>({
    sources: [{ issuer: IDP, where: 'there', fetch, refreshMs, maxAgeMs }],
    parse: parseJwtKeySet,
    same: (a, b) => JSON.stringify(a.map(({ spki }) => spki)) === JSON.stringify(b.map(({ spki }) => spki)),
    now: () => kept.clock,
    onEvent: (event) => events.push(event)
  })
  ends.push(store.close)
  return Object.assign(kept, { store, kids: () => store.keysOf(IDP)?.map(({ kid }) => kid) })
}

describe("the keys of end users' issuers", () => {
  it('are read from a URL, again and again, and a change is one event', async () => {
    let published = document(es256)
    const kept = keep(keysFromUrl(await publish((_, answer) => answer.end(published)), undefined), 20)
    await vi.waitFor(() => expect(kept.kids()).toEqual([es256.kid]))
    const { store } = kept
    expect(store.generation()).toBe(2)
    published = document(other)
    await vi.waitFor(() => expect(kept.kids()).toEqual([other.kid]))
    await sleep(60)
    expect([store.generation(), kept.events.map(({ kind }) => kind)]).toEqual([3, ['updated', 'updated']])
  })

  it('are read from a file, and a file that is bad keeps the ones before', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'vecauthz-keys-'))
    ends.push(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'keys.json')
    writeFileSync(file, document(es256))
    const kept = keep(keysFromFile(file), 20)
    await vi.waitFor(() => expect(kept.kids()).toEqual([es256.kid]))
    writeFileSync(file, '{"keys":[]}')
    await vi.waitFor(() =>
      expect(kept.events.at(-1)).toMatchObject({ kind: 'failed', because: 'there: there is no key in it that verifies tokens' })
    )
    expect(kept.kids()).toEqual([es256.kid])
    writeFileSync(file, '{"keys":[')
    await vi.waitFor(() => expect(kept.events.at(-1)?.because).toMatch(/^there: not a JWK set that is read here \(B-1: /))
    rmSync(file)
    await vi.waitFor(() => expect(kept.events.at(-1)?.because).toBe('there: cannot be read (ENOENT)'))
    expect(kept.kids()).toEqual([es256.kid])
  })

  it('end when nobody could renew them for too long', async () => {
    let status = 200
    const kept = keep(keysFromUrl(await publish((_, answer) => answer.writeHead(status).end(document(es256))), undefined), 20, 1_000)
    await vi.waitFor(() => expect(kept.kids()).toEqual([es256.kid]))
    status = 503
    await vi.waitFor(() => expect(kept.events.at(-1)?.because).toBe('there: answered 503'))
    kept.clock += 1_000
    expect([kept.kids(), kept.store.ageOf(IDP)]).toEqual([[es256.kid], 1_000])
    // A verdict that rests on them is remembered by the generation, so it has to end with them.
    const before = kept.store.generation()
    kept.clock += 1
    expect([kept.store.generation(), kept.store.generation()]).toEqual([before + 1, before + 1])
    expect(kept.kids()).toBeUndefined()
    expect(kept.store.keysOf('https://nobody.test')).toBeUndefined()
  })

  it('are asked for again for a new key, and not more often than every 30 s', async () => {
    let published = document(es256)
    let asked = 0
    const url = await publish((_, answer) => {
      asked++
      answer.end(published)
    })
    const kept = keep(keysFromUrl(url, undefined))
    await vi.waitFor(() => expect(kept.kids()).toEqual([es256.kid]))
    published = document(es256, other)
    expect(kept.store.askAgain(IDP)).toBe(false)
    kept.clock += 30_000
    expect([kept.store.askAgain(IDP), kept.store.askAgain(IDP)]).toEqual([true, true])
    await vi.waitFor(() => expect(kept.kids()).toEqual([es256.kid, other.kid]))
    expect([kept.store.askAgain(IDP), asked]).toEqual([false, 2])
    expect(kept.store.askAgain('https://nobody.test')).toBe(false)
  })

  it.each<[string, RequestListener, string]>([
    ['a redirect is not followed', (_, answer) => answer.writeHead(302, { location: 'http://127.0.0.1:1/' }).end(), 'answered 302'],
    ['an answer without end of size is not kept', (_, answer) => answer.end(Buffer.alloc(300_000)), 'longer than 262144 bytes'],
    ['a connection that ends is no answer', (request) => request.socket.destroy(), 'no answer (ECONNRESET)']
  ])('%s', async (_, listener, because) => {
    const fetch = keysFromUrl(await publish(listener), undefined)
    await expect(fetch(new AbortController().signal)).rejects.toThrow(because)
  })
})
