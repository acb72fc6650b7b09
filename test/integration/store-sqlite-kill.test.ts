/** Processes that share a file and are killed while they write to it: what was answered is there. STORE_KILLS sets how many. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { openSqliteStore } from '../../src/state/store-sqlite.ts'

const KILLS = Number(process.env['STORE_KILLS'] ?? 20)
const WRITER = fileURLToPath(new URL('../support/store-writer.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'kill-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('processes that are killed', () => {
  it(
    `lose nothing that was answered, in ${KILLS} kills`,
    async () => {
      const file = join(folder, 'store.db')
      const said = new Map<string, string>()
      let kills = 0
      while (kills < KILLS) {
        const names = [`${kills} left`, `${kills} right`]
        const written = await Promise.all(names.map((name) => writeUntilKilled(file, name)))
        kills += written.length
        for (const line of written.flat()) {
          const [key = '', value = ''] = line.split('=')
          said.set(key, value)
        }
      }
      expect(said.size).toBeGreaterThan(KILLS)
      const store = openSqliteStore({ file, answerMsMax: 30_000 })
      try {
        for (const [key, value] of said) {
          const found = await store.get(key, 1)
          // What was under way when it was killed may be there or not.
          expect(found).toMatchObject({ kind: 'value', value: value === 'used' ? 'used' : expect.stringMatching(/^(put|used)$/) })
          expect(await store.putOnce(key, 'again', 9_000_000, 1)).toMatchObject({ kind: 'there' })
        }
      } finally {
        await store.close()
      }
    },
    60_000 + KILLS * 5_000
  )
})

/** @returns the lines that it said whole */
async function writeUntilKilled(file: string, name: string): Promise<string[]> {
  const writer = spawn(process.execPath, [WRITER, file, name], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [text, complaints] = ['', '']
  writer.stdout.setEncoding('utf8').on('data', (more) => {
    text += more
  })
  writer.stderr.setEncoding('utf8').on('data', (more) => {
    complaints += more
  })
  const ended = once(writer, 'close')
  await Promise.race([once(writer.stdout, 'data'), ended])
  await sleep(Math.random() * 60)
  writer.kill('SIGKILL')
  const [, signal] = await ended
  if (signal !== 'SIGKILL') throw new Error(`it ended by itself: ${complaints}`)
  return text.split('\n').slice(0, -1)
}
