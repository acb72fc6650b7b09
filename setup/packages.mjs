// The npm packages, Node 24 among them, and the TypeScript generated from the proto files that they bring.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { json, MIB, MODULES, NODE, ROOT, sizeOf, wantedNode } from './files.mjs'
import { run, Stop } from './run.mjs'

export const packages = { name: 'packages', there: packagesThere, works: nodeWorks, bring: bringPackages, after: [] }
export const messageCode = { name: 'message code', there: protosThere, works: () => undefined, bring: bringProtos, after: [packages] }

/** npm writes its own record of what it installed as its last act; it must hold what the lock file wants, and nothing else. */
function packagesThere() {
  const have = json(join(MODULES, '.package-lock.json'))?.packages
  const want = json(join(ROOT, 'package-lock.json'))?.packages
  if (have === undefined || want === undefined || !fs.existsSync(NODE)) return false
  const same = (path) => have[path].version === want[path]?.version && have[path].integrity === want[path]?.integrity
  const needed = (path) => path !== '' && !want[path].optional && !want[path].peer
  return Object.keys(have).every(same) && Object.keys(want).every((path) => !needed(path) || path in have)
}

function nodeWorks() {
  const said = spawnSync(NODE, ['--version'], { encoding: 'utf8' }).stdout?.trim()
  return said === `v${wantedNode()}` ? undefined : `node_modules/.bin/node answers ${said || 'nothing'}, not v${wantedNode()}`
}

/**
 * As `npm ci` does: an empty folder, then exactly what the lock file names. `npm ci` itself also demands entries for the
 * optional packages of every other operating system, which a registry with Linux packages only cannot give.
 */
async function bringPackages() {
  const args = ['install', '--no-save', '--prefer-offline', '--include=dev', '--no-audit', '--no-fund', '--no-progress', '--loglevel=error']
  // npm's own pauses between tries add up to more than ten minutes where there is no network at all.
  args.push('--fetch-retries=1', '--fetch-retry-mintimeout=1000', '--fetch-retry-maxtimeout=2000')
  fs.rmSync(MODULES, { recursive: true, force: true })
  await run('packages', 'npm install of what package-lock.json names, about 550 MB unpacked', 'npm', args, {
    env: withoutOwnModules(process.env),
    progress: () => `${Math.round(sizeOf(MODULES) / MIB)} MB unpacked`,
    remedy: (log) =>
      /EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|ENOTCACHED|ECONNRESET|network/.test(log)
        ? 'the npm registry cannot be reached: connect, or set its proxy or mirror in .npmrc, and run it again.'
        : 'see the log; package.json and package-lock.json must be as committed.'
  })
  if (!fs.existsSync(NODE)) {
    fs.rmSync(MODULES, { recursive: true, force: true })
    throw new Stop(
      'npm did not install Node from the package "node".',
      'allow its install script (npm config set ignore-scripts false) and run it again.'
    )
  }
  const fault = packagesThere() ? nodeWorks() : 'node_modules does not hold exactly what package-lock.json names'
  if (fault !== undefined) throw new Stop(`${fault}.`, 'package.json and package-lock.json must be as committed: git status tells.')
}

/** npm must not run on the Node that it is about to replace. */
function withoutOwnModules(env) {
  const path = (env.PATH ?? '').split(delimiter).filter((folder) => !folder.startsWith(MODULES))
  return { ...env, PATH: path.join(delimiter) }
}

function protosThere() {
  if (!fs.existsSync(NODE)) return false
  return spawnSync(NODE, [join(ROOT, 'setup/generate-protos.mjs'), '--check'], { stdio: 'ignore' }).status === 0
}

async function bringProtos() {
  const env = { ...process.env, PATH: `${dirname(NODE)}${delimiter}${process.env.PATH ?? ''}` }
  await run('message code', "generating TypeScript from Envoy's and SPIFFE's protos", NODE, [join(ROOT, 'setup/generate-protos.mjs')], {
    env,
    remedy: () => 'delete node_modules/ and run it again.'
  })
}
