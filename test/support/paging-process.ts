/**
 * A process with nothing but paging in it, for tests that kill one: `node paging-process.ts SETTINGS-FILE [MOVE]`. Says `ready` on stdout
 * when it runs and MOVE, if there is one, was noted and is on the disk.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import pino from 'pino'
import { Registry } from 'prom-client'
import { parse } from 'yaml'
import { settingsSchema } from '../../src/config/settings-schema.ts'
import { openPaging } from '../../src/serve-paging.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'

const [settingsFile = '', move] = process.argv.slice(2)
const settings = settingsSchema.parse(parse(readFileSync(settingsFile, 'utf8')))
const paging = await openPaging(settings, {
  settingsFile,
  environment: (name) => process.env[name],
  store: createMemoryStore(),
  registry: new Registry(),
  from: 'spiffe://demo.vecauthz.test/vecauthz',
  log: pino({ level: 'silent' })
})
paging?.begin({ standing: () => 'quarantine', fault: () => undefined })
if (move !== undefined) {
  paging?.moved(JSON.parse(move))
  const folder = join(settingsFile, '../paging')
  const files = () => readdirSync(folder, { recursive: true }).map(String)
  while (!files().some((file) => /\/page-[0-9a-f]+$/.test(file))) await new Promise((resolve) => setTimeout(resolve, 5))
}
process.stdout.write('ready\n')
setInterval(() => undefined, 60_000)
