import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { openSqliteStore } from '../../src/state/store-sqlite.ts'
import { storeContract } from './store-contract.ts'

const folder = mkdtempSync(join(tmpdir(), 'store-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let files = 0

storeContract(
  'sqlite',
  async (bounds) => {
    const file = join(folder, `${files++}.db`)
    const options = { file, answerMsMax: 10_000, ...bounds }
    return [openSqliteStore(options), openSqliteStore(options)]
  },
  { raced: 1_000, runs: 5 }
)
