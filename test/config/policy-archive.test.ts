/** The archive of policies: exact, whole or not at all, never changed, and bounded. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { archivePolicy, readArchived } from '../../src/config/policy-archive.ts'
import { type PolicyText, revisionOf } from '../../src/config/policy-files.ts'
import { loadPolicyAside } from '../../src/load-policy.ts'
import { largePolicy, SETTINGS } from '../support/large-policy.ts'

const root = mkdtempSync(join(tmpdir(), 'vecauthz-archive-'))
afterAll(() => rmSync(root, { recursive: true }))
let folders = 0
const newFolder = () => join(root, String(folders++), 'deep')

const one = (text: string): PolicyText[] => [{ file: '/etc/policy.yaml', text }]
const keep = (dir: string, files: readonly PolicyText[], inForce: readonly string[] = [], most?: number) => {
  archivePolicy(dir, revisionOf(files), files, inForce, most)
  return revisionOf(files)
}
const age = (dir: string, revision: string, seconds: number) => utimesSync(join(dir, `${revision}.json`), seconds, seconds)

describe('the archive', () => {
  it.each([
    { name: 'one file', files: one('version: 1\n') },
    { name: 'an empty one', files: one('') },
    { name: 'text of all kinds', files: one('# "ä" \\ \u{1f512}\r\n\ttab\0\n') },
    {
      name: 'several files',
      files: [
        { file: '/p/a.yaml', text: 'a: 1' },
        { file: '/p/b.yaml', text: 'b: 2' }
      ]
    }
  ])('gives back $name exactly', ({ files }) => {
    const dir = newFolder()
    const revision = keep(dir, files)
    const named = files.map(({ file, text }) => ({ file: file.split('/').at(-1), text }))
    expect(readArchived(dir, revision)).toEqual({ ok: true, files: named })
    expect(readdirSync(dir)).toEqual([`${revision}.json`])
    expect(statSync(join(dir, `${revision}.json`)).mode & 0o777).toBe(0o600)
    expect(statSync(dir).mode & 0o777).toBe(0o700)
  })

  it('keeps no files under a revision that is not theirs', () => {
    const dir = newFolder()
    expect(() => archivePolicy(dir, revisionOf(one('a')), one('b'))).toThrow('not those of revision')
    expect(() => readdirSync(dir)).toThrow()
  })

  it('never writes over what is there, and says when that is damaged', () => {
    const dir = newFolder()
    const revision = keep(dir, one('a'))
    const path = join(dir, `${revision}.json`)
    const { ino } = statSync(path)
    keep(dir, one('a'))
    expect(statSync(path).ino).toBe(ino)
    for (const damage of ['', '{"files":[]}', JSON.stringify({ files: [{ name: 'policy.yaml', text: 'b' }] }), 'null']) {
      writeFileSync(path, damage)
      expect(readArchived(dir, revision)).toEqual({ ok: false, missing: false, says: expect.stringContaining('damaged') })
      expect(() => keep(dir, one('a'))).toThrow('damaged')
      expect(readFileSync(path, 'utf8')).toBe(damage)
    }
  })

  it.each([
    { name: 'one that is not there', revision: 'a'.repeat(64), missing: true, says: 'not in the archive' },
    { name: 'one that leads elsewhere', revision: '../../etc/passwd', missing: false, says: 'no revision' },
    { name: 'a short one', revision: 'abc', missing: false, says: 'no revision' }
  ])('does not give $name', ({ revision, missing, says }) => {
    const dir = newFolder()
    mkdirSync(dir, { recursive: true })
    expect(readArchived(dir, revision)).toEqual({ ok: false, missing, says: expect.stringContaining(says) })
  })

  it('drops the oldest, by when they last came into force, and never what is in force', () => {
    const dir = newFolder()
    const [a = '', b = '', c = '', d = ''] = ['a', 'b', 'c', 'd'].map((text) => keep(dir, one(text)))
    for (const [at, revision] of [a, b, c, d].entries()) age(dir, revision, 1_000 + at)
    // The oldest of all comes into force again.
    keep(dir, one('a'))
    const e = keep(dir, one('e'), [b], 3)
    expect(readdirSync(dir).sort()).toEqual([a, b, e].map((revision) => `${revision}.json`).sort())
    // Nothing is left to drop but what is in force.
    keep(dir, one('f'), [a, b, e], 1)
    expect(readdirSync(dir)).toHaveLength(4)
  })

  it('leaves other files alone, but for what a writer left behind an hour ago', () => {
    const dir = newFolder()
    keep(dir, one('a'))
    for (const name of ['README', 'x.json', '.old.tmp', '.new.tmp']) writeFileSync(join(dir, name), '')
    utimesSync(join(dir, '.old.tmp'), 1, 1)
    const b = keep(dir, one('b'), [], 1)
    expect(readdirSync(dir).sort()).toEqual(['.new.tmp', 'README', `${b}.json`, 'x.json'].sort())
  })

  it('says when it cannot keep it, and leaves nothing half written', () => {
    const file = join(root, 'a-file')
    writeFileSync(file, '')
    expect(() => keep(file, one('a'))).toThrow()
    const dir = newFolder()
    mkdirSync(join(dir, `${revisionOf(one('a'))}.json`), { recursive: true })
    expect(() => keep(dir, one('a'))).toThrow('cannot be read')

    expect(readdirSync(dir)).toHaveLength(1)
  })
})

// Each load starts a worker, which takes a while where the machine is busy.
describe('loading aside', { timeout: 30_000 }, () => {
  const write = (name: string, text: string) => {
    writeFileSync(join(root, name), text)
    return join(root, name)
  }

  it('keeps what is good, as it was read, and nothing else', async () => {
    const archive = { dir: newFolder(), inForce: [] }
    const text = JSON.stringify(largePolicy(2, 4, 4))
    const good = await loadPolicyAside(write('policy.yaml', text), SETTINGS, 0, archive)
    const revision = good.ok ? good.policy.revision : ''
    expect(good).toMatchObject({ ok: true, archiveFault: undefined })
    expect(readArchived(archive.dir, revision)).toEqual({ ok: true, files: [{ file: 'policy.yaml', text }] })
    await loadPolicyAside(write('bad.yaml', text.replace('"t1"', '"t9"')), SETTINGS, 0, archive)
    expect(readdirSync(archive.dir)).toEqual([`${revision}.json`])
  })

  it('goes on without an archive, and says why', async () => {
    const file = write('policy.yaml', JSON.stringify(largePolicy(2, 4, 4)))
    const loaded = await loadPolicyAside(file, SETTINGS, 0, { dir: file, inForce: [] })
    expect(loaded).toMatchObject({ ok: true, archiveFault: expect.stringContaining('EEXIST') })
  })
})
