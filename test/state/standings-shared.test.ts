import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { RISK_DEFAULTS } from '../../src/core/risk-rules.ts'
import { standingOf } from '../../src/core/standing.ts'
import { raise } from '../../src/risk/cohort.ts'
import { createStandings } from '../../src/state/standings.ts'
import { openSqliteStore } from '../../src/state/store-sqlite.ts'

const folder = mkdtempSync(join(tmpdir(), 'vecauthz-standings-'))
afterAll(() => rmSync(folder, { recursive: true }))

const ID = 'spiffe://demo.vecauthz.test/acme/support'
const scope = { kind: 'workload', id: ID } as const

/** A process as the server makes one: real clocks, real rounds, the file of this host. */
function started(run: string) {
  const store = openSqliteStore({ file: join(folder, 'state.db'), onEvent: () => undefined, answerMsMax: 10_000 })
  const troubles: (string | undefined)[] = []
  const standings = createStandings({
    store,
    run,
    now: () => Date.now(),
    tick: () => performance.now(),
    onMove: () => undefined,
    onTrouble: (because) => void troubles.push(because)
  })
  standings.start()
  return { standings, troubles, end: () => standings.stop().then(() => store.close()) }
}

async function until(holds: () => boolean): Promise<number> {
  const began = performance.now()
  while (!holds() && performance.now() - began < 20_000) await new Promise((resolve) => setTimeout(resolve, 5))
  return performance.now() - began
}

describe('standings of two processes on one host', () => {
  it('are known to the other at once, and to the next one from its start on', async () => {
    const [a, b] = [started('a'), started('b')]
    await until(() => a.standings.isLoaded() && b.standings.isLoaded())
    const alarm = { level: 'quarantine', cause: 'drift', evidence: { says: 'novelty 412', decisionIds: ['d1'], figures: {} } } as const
    raise(a.standings, scope, alarm, RISK_DEFAULTS, Date.now())
    const heard = await until(() => standingOf(b.standings.ofWorkload(ID)) === 'quarantine')
    // Two looks of 100 ms, and what this machine does beside.
    expect(heard).toBeLessThan(2_000)
    expect(b.standings.staleMs()).toBeLessThan(2_000)
    await Promise.all([a.end(), b.end()])
    const c = started('c')
    expect([c.standings.isLoaded(), standingOf(c.standings.ofWorkload(ID))]).toEqual([false, 'normal'])
    await until(() => c.standings.isLoaded())
    expect(standingOf(c.standings.ofWorkload(ID))).toBe('quarantine')
    expect(await c.standings.release(scope, 'ann', 'a drill', Date.now())).toEqual({ kind: 'done', was: 'quarantine' })
    await c.end()
    const d = started('d')
    await until(() => d.standings.isLoaded())
    expect(standingOf(d.standings.ofWorkload(ID))).toBe('normal')
    await d.end()
    expect([...a.troubles, ...b.troubles, ...c.troubles, ...d.troubles].filter((one) => one !== undefined)).toEqual([])
  })
})
