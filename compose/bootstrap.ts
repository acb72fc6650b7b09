/**
 * Runs once, before anything else, and again at every `up`: makes the keys that are not there, writes everybody's configuration, and
 * with SPIRE the links under which each service finds the one socket of the agent. Doing it twice changes nothing.
 *
 * It is no root: what is meant for one service gets that service's group, which a user may give who is in it (`group_add`).
 */
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { keptOrMade, keysFile } from './authority.ts'
import { envoyFiles, type Folder, foreignFolders, serverFiles, type Wanted } from './configuration.ts'
import { CONFIG, MEMBERS, profilesOf, SOCKETS, STATE, socketOf, USERS } from './roster.ts'

export function bootstrap(say: (line: string) => void): 0 {
  const { identity, qdrant } = profilesOf(process.env['COMPOSE_PROFILES'])
  const own = join(CONFIG, 'bootstrap')
  folder(own, USERS.tools)
  const { keys, made } = keptOrMade(keysFile(own), Date.now())
  if (made) replace(keysFile(own), JSON.stringify(keys), USERS.tools)
  const written = foldersOf({ keys, qdrant }).filter(write)
  if (identity === 'spire') linkSockets()
  folder(STATE, MEMBERS['gateway-server'].user, 0o2770)
  say(
    `${made ? 'Keys made' : 'Keys kept'}; ${written.length === 0 ? 'configuration as it was' : `configuration written: ${written.map(({ name }) => name).join(', ')}`}.`
  )
  return 0
}

function foldersOf(wanted: Wanted): Folder[] {
  const server = (role: 'gateway' | 'egress' | 'index') => ({
    name: `${role}-server`,
    group: MEMBERS[`${role}-server`].user,
    files: serverFiles(role, wanted)
  })
  const envoy = (kind: Parameters<typeof envoyFiles>[0], name: string, member: keyof typeof MEMBERS, asked: string, careless = false) => ({
    name,
    group: MEMBERS[member].user,
    files: envoyFiles(kind, member, { asked, careless, qdrant: wanted.qdrant })
  })
  return [
    ...(['gateway', 'egress', 'index'] as const).map(server),
    envoy('gateway', 'gateway-envoy', 'gateway-envoy', 'vecauthz-gateway'),
    // Two Envoys in front of the database, each with an index server of its own: one identity, one Redis.
    envoy('index', 'index-envoy', 'index-envoy', 'vecauthz-index'),
    envoy('index', 'index-envoy-2', 'index-envoy', 'vecauthz-index-2', true),
    envoy('egress', 'indexer-envoy', 'indexer-envoy', 'vecauthz-egress'),
    envoy('egress', 'trials-envoy', 'trials-envoy', 'vecauthz-egress'),
    ...foreignFolders(wanted)
  ]
}

/** Gives whether anything changed. */
function write({ name, group, files }: Folder): boolean {
  const at = join(CONFIG, name)
  folder(at, group)
  return Object.entries(files).filter(([file, text]) => replace(join(at, file), text, group)).length > 0
}

function folder(path: string, group: number, mode = 0o750): void {
  mkdirSync(path, { recursive: true })
  chownSync(path, USERS.tools, group)
  chmodSync(path, mode)
}

/** Whole or not at all, and never readable for others in between. */
function replace(path: string, text: string, group: number): boolean {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return false
  const fresh = `${path}.next`
  rmSync(fresh, { force: true })
  writeFileSync(fresh, text, { mode: 0o600 })
  chownSync(fresh, USERS.tools, group)
  chmodSync(fresh, 0o640)
  renameSync(fresh, path)
  return true
}

function linkSockets(): void {
  // SPIRE's agent is another user, in our group here.
  chmodSync(SOCKETS, 0o775)
  for (const name of Object.keys(MEMBERS) as (keyof typeof MEMBERS)[]) {
    rmSync(socketOf(name), { force: true })
    symlinkSync('api.sock', socketOf(name))
  }
}
