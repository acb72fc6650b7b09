/** The audit file keeps whole lines, says so when it cannot, and comes back. */
import { execFileSync } from 'node:child_process'
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { type AuditSink, openSink } from '../../src/audit/sink.ts'

const folder = mkdtempSync(join(tmpdir(), 'sink-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const file = (name: string) => join(folder, name)
const quiet = () => undefined
const line = (name: string, padding = '') => JSON.stringify({ name, padding })
const namesIn = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((one) => (JSON.parse(one) as { name: string }).name)
const until = (what: () => boolean) => expect.poll(what, { timeout: 3_000, interval: 10 }).toBe(true)

describe('a line stays one line', () => {
  it.each([
    { name: 'a short one', padding: 'x' },
    { name: 'one that fills a chunk', padding: 'x'.repeat(128 * 1024) },
    { name: 'one of many chunks', padding: 'x'.repeat(800_000) },
    { name: 'one whose bytes are more than its characters', padding: 'é'.repeat(80_000) }
  ])('$name', async ({ name, padding }) => {
    const sink = await openSink(file('lines.jsonl'), quiet)
    expect(sink.write(line('before'))).toBe(true)
    expect(sink.write(line(name, padding))).toBe(true)
    expect(sink.write(line('after'))).toBe(true)
    await sink.close()
    expect(namesIn(readFileSync(file('lines.jsonl'), 'utf8')).slice(-3)).toEqual(['before', name, 'after'])
  })

  it('all that was taken is in the file when close resolves, in order', async () => {
    const sink = await openSink(file('many.jsonl'), quiet)
    const names = Array.from({ length: 5_000 }, (_, at) => `n${at}`)
    for (const name of names) expect(sink.write(line(name))).toBe(true)
    await sink.close()
    expect(namesIn(readFileSync(file('many.jsonl'), 'utf8'))).toEqual(names)
  })

  it('nobody else may read the file', async () => {
    const sink = await openSink(file('mode.jsonl'), quiet)
    await sink.close()
    expect(execFileSync('stat', ['-c', '%a', file('mode.jsonl')], { encoding: 'utf8' }).trim()).toBe('600')
  })
})

/** Writes until the sink says no. */
async function refusedBy(sink: AuditSink): Promise<void> {
  await until(() => !sink.write(line('filler')))
}

describe('a file that cannot be written', () => {
  it.skipIf(!existsSync('/dev/full'))('a full disk: lines are refused and counted, it is said once, and close ends', async () => {
    const said: string[] = []
    const sink = await openSink('/dev/full', (cause) => said.push(cause.message))
    await refusedBy(sink)
    expect(sink.write(line('more'))).toBe(false)
    expect(sink.refused()).toBeGreaterThanOrEqual(2)
    await sink.close()
    expect(said).toEqual([expect.stringContaining('ENOSPC')])
  })

  it('is tried again: lines are taken once it can be written, and none that was taken is missing', async () => {
    execFileSync('mkfifo', [file('fifo')])
    const first = createReadStream(file('fifo'))
    const sink = await openSink(file('fifo'), quiet)
    first.destroy()
    await refusedBy(sink)
    let text = ''
    const second = createReadStream(file('fifo'), 'utf8').on('data', (chunk) => {
      text += chunk
    })
    await until(() => sink.write(line('again')))
    await sink.close()
    await until(() => second.readableEnded)
    expect(namesIn(text).at(-1)).toBe('again')
    expect(namesIn(text).length).toBeGreaterThan(1)
  })

  it('a file that cannot be opened is said with its name', async () => {
    await expect(openSink(folder, quiet)).rejects.toThrow(`the audit file ${folder} cannot be opened`)
  })
})
