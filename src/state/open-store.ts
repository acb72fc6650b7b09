/** The store that the settings name. */
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import type { Store } from '../core/store.ts'
import type { StoreEvent, StoreWait } from './store-faults.ts'
import { createMemoryStore } from './store-memory.ts'
import { openRedisStore } from './store-redis.ts'
import { openSqliteStore } from './store-sqlite.ts'

/** `state` of the settings, its files absolute. */
export type StoreSettings =
  | { readonly kind: 'memory' }
  | { readonly kind: 'sqlite'; readonly file: string }
  | {
      readonly kind: 'redis'
      readonly url: string
      readonly ca_file?: string | undefined
      readonly username?: string | undefined
      readonly password_file?: string | undefined
    }

/**
 * Returns at once: until the file is open or Redis answers, so is `unavailable` what is asked, or waits a moment.
 * @throws when `ca_file` cannot be read, or the URL is none
 */
export function openStore(settings: StoreSettings, onEvent: (event: StoreEvent) => void, wait: StoreWait = {}): Store {
  if (settings.kind === 'memory') return createMemoryStore()
  if (settings.kind === 'sqlite') return openSqliteStore({ file: settings.file, onEvent, ...wait })
  const { url, username, ca_file: ca, password_file: file } = settings
  return openRedisStore({
    url,
    username,
    ca: ca === undefined ? undefined : readFileSync(ca, 'utf8'),
    // As editors leave it: with a line end that is no part of the password.
    password: file === undefined ? undefined : async () => (await readFile(file, 'utf8')).replace(/\r?\n$/, ''),
    onEvent,
    ...wait
  })
}
