import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/state/open-store.ts'

const folder = mkdtempSync(join(tmpdir(), 'open-store-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const T = 1_000_000

describe('the store that the settings name', () => {
  it('memory answers without a promise, and is of this process from now', async () => {
    const before = Date.now()
    const store = openStore({ kind: 'memory' }, () => {})
    const put = store.putOnce('a', '1', T + 10, T)
    expect(put).toMatchObject({ kind: 'put' })
    if (put instanceof Promise || put.kind !== 'put') throw new Error('not put')
    expect(put.since).toBeGreaterThanOrEqual(before)
    expect(put.since).toBeLessThanOrEqual(Date.now())
    await store.close()
  })

  it('sqlite is the file', async () => {
    const events: string[] = []
    const settings = { kind: 'sqlite', file: join(folder, 'state.db') } as const
    const first = openStore(settings, ({ kind, because }) => events.push(`${kind} ${because}`), { answerMsMax: 10_000 })
    await first.putOnce('a', '1', T + 10, T)
    await first.close()
    expect(events).toEqual([`ready ${settings.file}`])
    const second = openStore(settings, () => {}, { answerMsMax: 10_000 })
    expect(await second.get('a', T)).toMatchObject({ value: '1' })
    await second.close()
  })

  it('redis that nobody serves is unavailable, and its events have no password', async () => {
    const events: string[] = []
    const settings = { kind: 'redis', url: 'redis://127.0.0.1:1', password_file: join(folder, 'none') } as const
    const store = openStore(settings, ({ kind, because }) => events.push(`${kind} ${because}`), { answerMsMax: 10_000 })
    expect(await store.get('a', T)).toMatchObject({ kind: 'unavailable', because: expect.stringContaining('ECONNREFUSED') })
    await store.close()
    expect(events[0]).toMatch(/^unavailable .*ECONNREFUSED/)
  })

  it.each([
    ['authorities that cannot be read', { kind: 'redis', url: 'rediss://127.0.0.1:1', ca_file: join(folder, 'none.pem') }],
    ['a URL that is none', { kind: 'redis', url: 'rediss://127.0.0.1:99999' }]
  ] as const)('%s are said at once', (_, settings) => expect(() => openStore(settings, () => {})).toThrow())
})
