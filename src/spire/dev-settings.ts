import { existsSync, lstatSync, mkdirSync, realpathSync } from 'node:fs'
import { dirname, isAbsolute, join, relative } from 'node:path'
import { parseSpiffeId, parseTrustDomain } from '../core/spiffe-id.ts'
import type { GivenRoot } from './dev-authority.ts'

/** One identity that the dev issuer serves; the demo's registration entry. */
export interface DevEntry {
  readonly id: string
  readonly dns?: readonly string[]
  /** Other trust domains whose bundles this workload is given. */
  readonly federatesWith?: readonly string[]
  /** At most 1024 bytes (Workload API §5.2.1). */
  readonly hint?: string
}

export interface DevIssuerOptions {
  /** Absolute; everything the issuer writes is below it. Made with mode 0700 when it is missing. */
  readonly folder: string
  /** Below `folder`; `sockets` in it by default. */
  readonly socketFolder?: string
  /** Below `folder`; `sds` in it by default. */
  readonly sdsFolder?: string
  readonly trustDomains: readonly string[]
  /** Roots from outside, by trust domain; the others get one of their own. */
  readonly roots?: Readonly<Record<string, GivenRoot>>
  readonly entries: readonly DevEntry[]
  /** Lifetime of X.509-SVIDs in milliseconds, 10 minutes by default and one hour at most. They are renewed at half of it. */
  readonly ttlMs?: number
  /** How long a new root is published before it signs; 1 s by default. */
  readonly rootSettleMs?: number
  /** How often due renewals are looked for, in milliseconds; 500 by default. 0: only when `step()` is called. */
  readonly stepEveryMs?: number
  /** The process's environment: NODE_ENV is looked at. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Gets the banner and a line for each rotation and revocation. */
  readonly say: (line: string) => void
  /** Milliseconds since the epoch. */
  readonly now?: () => number
  readonly randomBytes?: (count: number) => Uint8Array
}

export interface DevFolders {
  readonly sockets: string
  readonly sds: string
}

const SETTINGS: ReadonlySet<string> = new Set([
  'folder',
  'socketFolder',
  'sdsFolder',
  'trustDomains',
  'roots',
  'entries',
  'ttlMs',
  'rootSettleMs',
  'stepEveryMs',
  'environment',
  'say',
  'now',
  'randomBytes'
])

const HOUR_MS = 3_600_000
export const TTL_MS_DEFAULT = 600_000
const HINT_BYTES_MAX = 1_024
/** Names that DNS promises never to give anybody (RFC 2606, RFC 6761). */
const RESERVED = /\.(?:test|example|localhost|invalid)$/
/** sockaddr_un holds 108 bytes on Linux and 104 on macOS, the closing NUL among them. */
const SOCKET_PATH_BYTES_MAX = 103

/** Why the dev issuer must not start like this: one sentence with its remedy for each fault, all at once; empty when it may. */
export function devIssuerFaults(options: DevIssuerOptions): readonly string[] {
  const faults = [...productionFaults(options), ...folderFaults(options)]
  return faults.length > 0 ? faults : [...entryFaults(options)]
}

function* productionFaults(options: DevIssuerOptions): Generator<string> {
  for (const setting of Object.keys(options)) {
    if (SETTINGS.has(setting)) continue
    yield `The dev issuer has no setting ${JSON.stringify(setting)}: it listens on unix sockets only, never on a network; leave the setting out.`
  }
  if (options.environment['NODE_ENV'] === 'production') {
    yield 'NODE_ENV is production: the dev issuer is for demo and tests only; use SPIRE here, or unset NODE_ENV on a development machine.'
  }
  if (options.trustDomains.length === 0) yield 'The dev issuer needs at least one trust domain, such as vec.test.'
  for (const name of options.trustDomains) {
    const read = parseTrustDomain(name)
    if (!read.ok) yield `The trust domain ${JSON.stringify(name)} is not valid (${read.rule}: ${read.detail}); use one like vec.test.`
    else if (!RESERVED.test(name)) {
      yield `The trust domain ${name} could be a real one: the dev issuer serves names that end in .test, .example, .localhost or .invalid only.`
    }
  }
  const ttl = options.ttlMs ?? TTL_MS_DEFAULT
  if (!(ttl >= 1_000 && ttl <= HOUR_MS)) {
    yield `An SVID lifetime of ${ttl} ms is not for development: set ttlMs between 1000 (one second) and ${HOUR_MS} (one hour).`
  }
}

function* folderFaults(options: DevIssuerOptions): Generator<string> {
  const { folder } = options
  if (!isAbsolute(folder)) {
    yield `The folder ${folder} must be an absolute path, so that what is below it does not depend on where the program was started.`
    return
  }
  const root = realPathOf(folder)
  yield* accessFaults(root)
  const { sockets, sds } = foldersOf(options)
  for (const [setting, path] of Object.entries({ socketFolder: sockets, sdsFolder: sds })) {
    const real = realPathOf(path)
    const inside = relative(root, real)
    if (!isAbsolute(path) || inside === '' || inside === '..' || inside.startsWith('../')) {
      yield `The ${setting} ${path} is not inside the dev issuer's folder ${folder}: choose a folder below it, or leave the setting out.`
    } else {
      yield* accessFaults(real)
    }
  }
}

/** A folder that exists already must be ours alone: whoever can enter it can take an identity. */
function* accessFaults(path: string): Generator<string> {
  if (!existsSync(path)) return
  const { mode, uid } = lstatSync(path)
  if (!lstatSync(path).isDirectory()) yield `${path} is not a folder: remove it, or choose another path.`
  else if (uid !== process.getuid?.()) yield `The folder ${path} belongs to another user: choose one of your own.`
  else if ((mode & 0o077) !== 0) yield `Others can enter the folder ${path} (mode ${(mode & 0o777).toString(8)}): run chmod 700 on it.`
}

function* entryFaults(options: DevIssuerOptions): Generator<string> {
  const { sockets } = foldersOf(options)
  const files = new Set<string>()
  for (const { id, hint = '', federatesWith = [], dns = [] } of options.entries) {
    const read = parseSpiffeId(id)
    if (!read.ok) {
      yield `The entry ${JSON.stringify(id)} is not a SPIFFE ID (${read.rule}: ${read.detail}).`
      continue
    }
    if (read.id.path === '') yield `The entry ${id} names a trust domain: a workload's SPIFFE ID has a path.`
    const own = read.id.trustDomain
    for (const name of new Set([own, ...federatesWith])) {
      if (!options.trustDomains.includes(name)) yield `The entry ${id} needs the trust domain ${name}: add it to trustDomains.`
    }
    if (federatesWith.includes(own)) yield `The entry ${id} federates with its own trust domain: leave that out.`
    if (Buffer.byteLength(hint) > HINT_BYTES_MAX) yield `The hint of ${id} is longer than ${HINT_BYTES_MAX} bytes: shorten it.`
    const badName = dns.find((name) => !/^[a-z0-9-]+(\.[a-z0-9-]+)*$/.test(name))
    if (badName !== undefined) yield `The DNS name ${JSON.stringify(badName)} of ${id} is not one: use lower-case labels with dots.`
    // Two IDs that differ by case only would share files where the file system ignores case.
    const file = fileNameOf(id).toLowerCase()
    if (files.has(file)) yield `The entry ${id} is there twice, or differs from another by case only: keep one.`
    files.add(file)
    if (Buffer.byteLength(socketPath(sockets, id)) > SOCKET_PATH_BYTES_MAX) {
      yield `The socket path of ${id} is longer than ${SOCKET_PATH_BYTES_MAX} bytes, which a unix socket cannot be: choose a shorter folder.`
    }
  }
}

/** `spiffe://vec.test/agents/rag` is `vec.test+agents+rag`: no segment can hold a '+', so no two IDs share a name. */
export function fileNameOf(id: string): string {
  return id.slice('spiffe://'.length).replaceAll('/', '+')
}

export function socketPath(folder: string, id: string): string {
  return join(folder, `${fileNameOf(id)}.sock`)
}

export function foldersOf({ folder, socketFolder, sdsFolder }: DevIssuerOptions): DevFolders {
  return { sockets: socketFolder ?? join(folder, 'sockets'), sds: sdsFolder ?? join(folder, 'sds') }
}

/** Makes the folder and those above it that are missing; mode 0700. */
export function makePrivateFolder(path: string): void {
  mkdirSync(path, { recursive: true, mode: 0o700 })
}

/** The path with every link in its existing part followed. */
function realPathOf(path: string): string {
  if (existsSync(path)) return realpathSync(path)
  const above = dirname(path)
  return above === path ? path : join(realPathOf(above), relative(above, path))
}
