import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startDevIssuer } from '../../src/spire/dev-issuer.ts'
import { type DevEntry, type DevIssuerOptions, devIssuerFaults, fileNameOf } from '../../src/spire/dev-settings.ts'

let above: string
let folder: string

beforeEach(() => {
  above = mkdtempSync(join(tmpdir(), 'dev-'))
  folder = join(above, 'issuer')
})

afterEach(() => rmSync(above, { recursive: true, force: true }))

function options(changes: Partial<DevIssuerOptions> = {}): DevIssuerOptions {
  return { folder, trustDomains: ['vec.test'], entries: [{ id: 'spiffe://vec.test/a' }], environment: {}, say: () => {}, ...changes }
}

const entries = (...list: readonly DevEntry[]) => ({ entries: list })
const vecA = 'spiffe://vec.test/a'

/** A folder that is there already, with exactly this mode. */
function made(path: string, mode: number): Partial<DevIssuerOptions> {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  chmodSync(path, mode)
  return {}
}

function madeLinkOut(): Partial<DevIssuerOptions> {
  made(folder, 0o700)
  symlinkSync(above, join(folder, 'out'))
  return { sdsFolder: join(folder, 'out', 'sds') }
}

function madeFile(): Partial<DevIssuerOptions> {
  writeFileSync(folder, '')
  return {}
}

describe('the dev issuer starts', () => {
  const rows: { name: string; changes: () => Partial<DevIssuerOptions> }[] = [
    { name: 'with a folder that is not there yet', changes: () => ({}) },
    { name: 'under NODE_ENV=test', changes: () => ({ environment: { NODE_ENV: 'test' } }) },
    { name: 'with an hour of lifetime', changes: () => ({ ttlMs: 3_600_000 }) },
    { name: 'with a folder of mode 700', changes: () => made(folder, 0o700) },
    { name: 'with an SDS folder further down', changes: () => ({ sdsFolder: join(folder, 'x/y') }) },
    { name: 'with a hint of 1024 bytes', changes: () => entries({ id: vecA, hint: 'h'.repeat(1_024) }) },
    {
      name: 'with two trust domains that federate',
      changes: () => ({ trustDomains: ['vec.test', 'partner.example'], ...entries({ id: vecA, federatesWith: ['partner.example'] }) })
    }
  ]
  it.each(rows)('$name', ({ changes }) => {
    expect(devIssuerFaults(options(changes()))).toEqual([])
  })
  it.each(['vec.test', 'vec.example', 'vec.localhost', 'vec.invalid'])('for %s', (name) => {
    expect(devIssuerFaults(options({ trustDomains: [name], entries: [] }))).toEqual([])
  })
})

describe('the dev issuer refuses to start, with the remedy', () => {
  const rows: { name: string; changes: () => object; says: RegExp }[] = [
    { name: 'under NODE_ENV=production', changes: () => ({ environment: { NODE_ENV: 'production' } }), says: /NODE_ENV.*use SPIRE/ },
    {
      name: 'for a trust domain that could be real',
      changes: () => ({ trustDomains: ['vec.test', 'corp.example.com'] }),
      says: /corp\.example\.com.*end in \.test/
    },
    { name: 'for one that only holds a reserved name', changes: () => ({ trustDomains: ['vec.test.io'] }), says: /vec\.test\.io/ },
    { name: 'for one whose last label only ends like a reserved name', changes: () => ({ trustDomains: ['mytest'] }), says: /mytest/ },
    { name: 'for an invalid trust domain', changes: () => ({ trustDomains: ['Vec.test'] }), says: /ID-7/ },
    { name: 'without a trust domain', changes: () => ({ trustDomains: [] }), says: /at least one/ },
    { name: 'with a lifetime of an hour and a millisecond', changes: () => ({ ttlMs: 3_600_001 }), says: /ttlMs/ },
    { name: 'with a lifetime below a second', changes: () => ({ ttlMs: 999 }), says: /ttlMs/ },
    { name: 'with a lifetime that is no number', changes: () => ({ ttlMs: Number.NaN }), says: /ttlMs/ },
    { name: 'with a network address', changes: () => ({ address: '0.0.0.0:8081' }), says: /no setting "address".*unix sockets only/ },
    { name: 'with a relative folder', changes: () => ({ folder: 'run' }), says: /absolute/ },
    {
      name: 'with a folder others can enter',
      changes: () => made(folder, 0o750),
      says: /mode 750.*chmod 700/
    },
    {
      name: 'with a folder others can only pass through',
      changes: () => made(folder, 0o701),
      says: /mode 701/
    },
    { name: 'with a file for a folder', changes: madeFile, says: /not a folder/ },
    { name: 'with an open socket folder inside', changes: () => made(join(folder, 'sockets'), 0o755), says: /sockets \(mode 755\)/ },
    { name: 'with a socket folder outside', changes: () => ({ socketFolder: join(above, 'sockets') }), says: /socketFolder.*not inside/ },
    {
      name: 'with an SDS folder that climbs out',
      changes: () => ({ sdsFolder: join(folder, '..', 'sds') }),
      says: /sdsFolder.*not inside/
    },
    {
      name: 'with an SDS folder whose name begins like ours',
      changes: () => ({ sdsFolder: `${folder}-sds` }),
      says: /sdsFolder.*not inside/
    },
    { name: 'with the folder itself for the sockets', changes: () => ({ socketFolder: folder }), says: /socketFolder.*not inside/ },
    { name: 'with an SDS folder that a link leads out', changes: madeLinkOut, says: /sdsFolder.*not inside/ },
    { name: 'S-6: with a hint of 1025 bytes', changes: () => entries({ id: vecA, hint: 'h'.repeat(1_025) }), says: /hint/ },
    { name: 'with an entry that is no SPIFFE ID', changes: () => entries({ id: 'spiffe://vec.test/a/' }), says: /ID-14/ },
    { name: 'with an entry that is a trust domain', changes: () => entries({ id: 'spiffe://vec.test' }), says: /has a path/ },
    {
      name: 'with an entry of another trust domain',
      changes: () => entries({ id: 'spiffe://other.test/a' }),
      says: /add it to trustDomains/
    },
    {
      name: 'with an entry that federates with nobody we serve',
      changes: () => entries({ id: vecA, federatesWith: ['partner.test'] }),
      says: /partner\.test/
    },
    {
      name: 'with an entry that federates with itself',
      changes: () => entries({ id: vecA, federatesWith: ['vec.test'] }),
      says: /own trust domain/
    },
    { name: 'with an entry twice', changes: () => entries({ id: vecA }, { id: vecA }), says: /twice/ },
    { name: 'with two entries that differ by case', changes: () => entries({ id: vecA }, { id: 'spiffe://vec.test/A' }), says: /case/ },
    { name: 'with a DNS name that is none', changes: () => entries({ id: vecA, dns: ['a b'] }), says: /DNS name/ },
    { name: 'with an ID too long for a socket path', changes: () => entries({ id: `${vecA}${'a'.repeat(103)}` }), says: /shorter folder/ }
  ]
  it.each(rows)('$name', ({ changes, says }) => {
    const faults = devIssuerFaults(options(changes() as Partial<DevIssuerOptions>))
    expect(faults).toHaveLength(1)
    expect(faults[0]).toMatch(says)
  })

  it('tells every fault at once, and makes nothing', async () => {
    const said: string[] = []
    const wrong = options({ environment: { NODE_ENV: 'production' }, ttlMs: 1, say: (line) => said.push(line) })
    await expect(startDevIssuer(wrong)).rejects.toThrow(/NODE_ENV[\s\S]*ttlMs/)
    expect(said).toEqual([])
    expect(() => mkdirSync(folder)).not.toThrow()
  })
})

it('two different IDs never share a file name', () => {
  expect(fileNameOf('spiffe://vec.test/a/b-c')).not.toBe(fileNameOf('spiffe://vec.test/a-b/c'))
  expect(fileNameOf('spiffe://vec.test/a/b')).toBe('vec.test+a+b')
})
