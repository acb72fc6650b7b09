/** Writes to a store until it is killed, and says each thing only after the store did: `node store-writer.ts FILE NAME`. */
import { writeSync } from 'node:fs'
import { openSqliteStore } from '../../src/state/store-sqlite.ts'

const [file = '', name = ''] = process.argv.slice(2)
const store = openSqliteStore({ file, answerMsMax: 10_000 })
const until = 9_000_000

/** Several at once, so that a kill finds some under way. */
await Promise.all(Array.from({ length: 8 }, (_, lane) => write(lane)))

async function write(lane: number): Promise<void> {
  for (let at = 0; ; at++) {
    const key = `${name} ${lane} ${at}`
    const put = await store.putOnce(key, 'put', until, 1)
    if (put.kind !== 'put') throw new Error(`${key}: ${JSON.stringify(put)}`)
    writeSync(1, `${key}=put\n`)
    if (at % 2 === 0) continue
    const replaced = await store.replace(key, 'put', 'used', until, 1)
    if (replaced !== 'replaced') throw new Error(`${key}: ${replaced}`)
    writeSync(1, `${key}=used\n`)
  }
}
