/**
 * Raises one standing after the other until it is killed, and says each as soon as it is decided: `node standing-raiser.ts FILE NAME [OWN]`.
 * With OWN it kills itself after so many, before anything else can run.
 */
import { writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { RISK_DEFAULTS } from '../../src/core/risk-rules.ts'
import { raise } from '../../src/risk/cohort.ts'
import { createStandings } from '../../src/state/standings.ts'
import { openJournal } from '../../src/state/standings-journal.ts'
import { openSqliteStore } from '../../src/state/store-sqlite.ts'

const [file = '', name = '', own = 'Infinity'] = process.argv.slice(2)
const fail = (because: string) => {
  throw new Error(because)
}
const store = openSqliteStore({ file, answerMsMax: 10_000 })
const journal = await openJournal({ folder: `${file}-standings`, run: name, tick: () => performance.now(), onTrouble: fail })
const standings = createStandings({
  store,
  journal,
  run: name,
  now: Date.now,
  tick: () => performance.now(),
  onMove: () => undefined,
  onTrouble: () => undefined
})
standings.start()
while (!standings.isLoaded()) await sleep(5)
writeSync(1, `loaded ${standings.list(Date.now()).length} ${Date.now()}\n`)
for (let at = 0; ; at++) {
  const id = `spiffe://demo.vecauthz.test/${name}/${at}`
  const evidence = { says: 'novelty 412', decisionIds: ['d'], figures: {} }
  raise(standings, { kind: 'workload', id }, { level: 'quarantine', cause: 'drift', evidence }, RISK_DEFAULTS, Date.now())
  writeSync(1, `raised ${id} ${Date.now()}\n`)
  if (at + 1 >= Number(own)) process.kill(process.pid, 'SIGKILL')
  await sleep(Math.random() * 10)
}
