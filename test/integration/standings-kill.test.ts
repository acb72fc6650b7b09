/** Processes that are killed while they raise standings: what was decided a moment before is known to the next one. STANDING_KILLS sets how many. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { standingOf } from '../../src/core/standing.ts'
import { createStandings } from '../../src/state/standings.ts'
import { openJournal } from '../../src/state/standings-journal.ts'
import { openSqliteStore } from '../../src/state/store-sqlite.ts'

const KILLS = Number(process.env['STANDING_KILLS'] ?? 10)
const RAISER = fileURLToPath(new URL('../support/standing-raiser.ts', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'standings-kill-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

interface Raised {
  readonly id: string
  /** Between the decision and the kill. */
  readonly beforeMs: number
}

describe('processes that are killed', () => {
  it(
    `lose no standing, in ${KILLS} kills`,
    async () => {
      const file = join(folder, 'state.db')
      const raised: Raised[] = []
      for (let kill = 0; kill < KILLS; kill++) raised.push(...(await raiseUntilKilled(file, `run${kill}`, kill % 2 === 0)))
      const store = openSqliteStore({ file, answerMsMax: 30_000 })
      const tick = () => performance.now()
      const journal = await openJournal({ folder: `${file}-standings`, run: 'last', tick, onTrouble: () => undefined })
      const standings = createStandings({
        store,
        journal,
        run: 'last',
        // An hour back: no clock ends a quarantine.
        now: () => Date.now() - 3_600_000,
        tick,
        onMove: () => undefined,
        onTrouble: () => undefined
      })
      try {
        while (!standings.isLoaded()) await standings.poll()
        const lost = raised.filter(({ id }) => standingOf(standings.ofWorkload(id)) !== 'quarantine')
        const worst = lost.reduce((most, { beforeMs }) => Math.max(most, beforeMs), 0)
        console.info(`${raised.length} raised, ${lost.length} lost; the oldest of those ${worst} ms before its kill`)
        expect(raised.length).toBeGreaterThan(KILLS)
        expect(lost).toEqual([])
      } finally {
        await standings.stop()
        await store.close()
      }
    },
    60_000 + KILLS * 5_000
  )
})

/** @param own it kills itself, in the very moment of a decision */
async function raiseUntilKilled(file: string, name: string, own: boolean): Promise<Raised[]> {
  const raiser = spawn(process.execPath, [RAISER, file, name, ...(own ? ['7'] : [])], { stdio: ['ignore', 'pipe', 'pipe'] })
  let [text, complaints] = ['', '']
  raiser.stdout.setEncoding('utf8').on('data', (more) => {
    text += more
  })
  raiser.stderr.setEncoding('utf8').on('data', (more) => {
    complaints += more
  })
  const ended = once(raiser, 'close')
  await Promise.race([once(raiser.stdout, 'data'), ended])
  if (!own) await sleep(300 + Math.random() * 300)
  const killedAt = Date.now()
  if (!own) raiser.kill('SIGKILL')
  const [, signal] = await ended
  if (signal !== 'SIGKILL') throw new Error(`it ended by itself: ${complaints}`)
  return text.split('\n').flatMap((line) => {
    const [, id, at] = /^raised (\S+) (\d+)$/.exec(line) ?? []
    return id === undefined ? [] : [{ id, beforeMs: killedAt - Number(at) }]
  })
}
