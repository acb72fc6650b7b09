import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { type KeptSecrets, keepSecrets, type SecretEvent } from '../../src/credentials/secret-keeper.ts'
import {
  type SecretReading,
  type SecretSource,
  secretFromEnvironment,
  secretFromFile,
  secretMadeHere
} from '../../src/credentials/secret-source.ts'

const FOREVER = Number.POSITIVE_INFINITY
const closing: (() => void)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const never = new AbortController().signal
const good = (text: string, leaseMs = 60_000): SecretReading => ({ ok: true, text, leaseMs })
const gone: SecretReading = { ok: false, because: 'vault: answered 503' }

interface Options {
  readonly readings: readonly SecretReading[]
  readonly refreshMs?: number
  readonly perTenant?: boolean
  readonly faultOf?: (text: string) => string | undefined
}

/** Answers one reading after the other, the last one for ever; `clock` is what time it is. */
function keep({ readings, refreshMs = 5, perTenant = false, faultOf = () => undefined }: Options) {
  const clock = { now: 1_000_000 }
  const events: SecretEvent[] = []
  const pauses: number[] = []
  let reads = 0
  const source = (tenant: string | undefined): SecretSource => ({
    place: `vault docs/${tenant ?? 'all'}`,
    refreshMs,
    read: async () => {
      const reading = readings[Math.min(reads++, readings.length - 1)] as SecretReading
      return reading.ok && tenant !== undefined ? { ...reading, text: `${reading.text}-${tenant}` } : reading
    }
  })
  const secrets: KeptSecrets = keepSecrets({
    source: (tenant) => (tenant === 'nowhere' ? undefined : source(tenant)),
    perTenant,
    faultOf,
    pauseMs: (failures) => {
      pauses.push(failures)
      return 5
    },
    now: () => clock.now,
    onEvent: (event) => events.push(event)
  })
  closing.push(secrets.close)
  const textAt = (tenant?: string) => {
    const found = secrets.at(tenant, clock.now)
    if (!found.ok) return found.reason.kind
    return found.value === 'none' ? 'none' : found.value.reveal()
  }
  return { secrets, textAt, clock, events, pauses, readsSoFar: () => reads }
}

describe('a kept secret', () => {
  it('is refused until it has been read, and there from then on', async () => {
    const { secrets, textAt } = keep({ readings: [good('one')] })
    expect(secrets.at(undefined, 1_000_000)).toMatchObject({ ok: false, reason: { because: expect.stringContaining('not read yet') } })
    expect(secrets.fault()).toContain('not read yet')
    await wait(1)
    expect(textAt()).toBe('one')
    expect(secrets.fault()).toBeUndefined()
  })

  it('is the same object as long as it is the same secret', async () => {
    const { secrets, textAt, readsSoFar } = keep({ readings: [good('one'), good('one'), good('two')], refreshMs: 15 })
    await wait(1)
    const first = secrets.at(undefined, 1_000_000)
    await wait(20)
    expect(readsSoFar()).toBe(2)
    expect(secrets.at(undefined, 1_000_000)).toEqual(first)
    await wait(20)
    expect(textAt()).toBe('two')
  })

  it('is used to the end of its lease when it cannot be read again, and not a moment longer', async () => {
    const { secrets, textAt, clock, pauses } = keep({ readings: [good('one', 1_000), gone] })
    await wait(40)
    expect(pauses.slice(0, 3)).toEqual([1, 2, 3])
    clock.now += 999
    expect(textAt()).toBe('one')
    expect(secrets.fault()).toBeUndefined()
    clock.now += 1
    expect(textAt()).toBe('state-unavailable')
    expect(secrets.fault()).toContain('vault: answered 503')
    expect(secrets.counts()).toEqual({ wanted: 1, missing: 1 })
  })

  it('comes back when its place does', async () => {
    const { textAt, pauses } = keep({ readings: [gone, gone, good('one')] })
    await wait(1)
    expect(textAt()).toBe('state-unavailable')
    await wait(30)
    expect(textAt()).toBe('one')
    expect(pauses).toEqual([1, 2])
  })

  it('that cannot be one does not replace a good one', async () => {
    const { textAt, events } = keep({
      readings: [good('one'), good('broken')],
      faultOf: (text) => (text === 'broken' ? 'it is broken glass' : undefined)
    })
    await wait(20)
    expect(textAt()).toBe('one')
    expect(events.at(-1)).toEqual({ kind: 'failed', tenant: undefined, because: 'vault docs/all: it is broken glass' })
  })

  it('is read again before its lease ends, however seldom it is to be read', async () => {
    const { readsSoFar } = keep({ readings: [good('one', 30)], refreshMs: 60_000 })
    await wait(70)
    expect(readsSoFar()).toBeGreaterThan(2)
  })

  it('is not read any more after closing, and not there', async () => {
    const { secrets, textAt, readsSoFar } = keep({ readings: [good('one')] })
    await wait(1)
    secrets.close()
    const before = readsSoFar()
    await wait(20)
    expect([readsSoFar(), textAt()]).toEqual([before, 'state-unavailable'])
  })

  it('cannot be printed', async () => {
    const { secrets, events } = keep({ readings: [good('canary-5f1e')] })
    await wait(1)
    const found = secrets.at(undefined, 1_000_000)
    expect(found.ok).toBe(true)
    for (const text of [JSON.stringify(found), inspect(found, { depth: 9, showHidden: true }), String(found), JSON.stringify(events)])
      expect(text).not.toContain('canary')
  })
})

describe('a secret for each tenant', () => {
  it('is the tenant’s own; a call without a tenant goes without', async () => {
    const { secrets, textAt } = keep({ readings: [good('p')], perTenant: true })
    secrets.want(['acme', 'globex'])
    await wait(1)
    expect([textAt('acme'), textAt('globex'), textAt()]).toEqual(['p-acme', 'p-globex', 'none'])
  })

  it('that nobody asked for before is refused once, and read', async () => {
    const { textAt } = keep({ readings: [good('p')], perTenant: true })
    expect(textAt('acme')).toBe('state-unavailable')
    await wait(1)
    expect(textAt('acme')).toBe('p-acme')
  })

  it('whose name has no place there is refused', () => {
    expect(keep({ readings: [good('p')], perTenant: true }).textAt('nowhere')).toBe('state-unavailable')
  })

  it('that is missing is no fault of the server as long as another one is there', async () => {
    const { secrets } = keep({ readings: [good('p'), gone], perTenant: true, refreshMs: 60_000 })
    secrets.want(['acme', 'globex'])
    await wait(1)
    expect(secrets.counts()).toEqual({ wanted: 2, missing: 1 })
    expect(secrets.fault()).toBeUndefined()
  })
})

describe('where secrets are', () => {
  it('a file: its text without the line end, and a reason without the text', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'secret-'))
    closing.push(() => rmSync(folder, { recursive: true }))
    const file = join(folder, 'key')
    const source = secretFromFile(file, 10, 1_000)
    expect(await source.read(never)).toEqual({ ok: false, because: `file ${file}: cannot be read (ENOENT)` })
    for (const [written, read] of [
      ['key\n', 'key'],
      ['key\r\n', 'key'],
      ['key\n\n', 'key\n'],
      ['key', 'key'],
      [' key ', ' key ']
    ] as const) {
      writeFileSync(file, written)
      expect(await source.read(never)).toEqual({ ok: true, text: read, leaseMs: 1_000 })
    }
    writeFileSync(file, Buffer.from([0x6b, 0xff]))
    expect(await source.read(never)).toMatchObject({ ok: false })
    writeFileSync(file, 'k'.repeat(65_537))
    expect(await source.read(never)).toMatchObject({ ok: false, because: expect.stringContaining('longer than') })
  })

  it('the environment: as it was at the start, for ever', async () => {
    expect(await secretFromEnvironment('KEY', 'key\n').read(never)).toEqual({ ok: true, text: 'key', leaseMs: FOREVER })
    expect(await secretFromEnvironment('KEY', undefined).read(never)).toEqual({ ok: false, because: 'environment variable KEY: not set' })
  })

  it('this process: made once', async () => {
    let made = 0
    const source = secretMadeHere('a key', async () => `key ${++made}`)
    expect([await source.read(never), await source.read(never)]).toEqual([good('key 1', FOREVER), good('key 1', FOREVER)])
  })
})
