// Weaviate: no registry has its server as a program, so it is built from its Go module. What went into the binary is compared
// with the checksums of setup/requirements/weaviate-server.txt before it gets its place.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { forgetLeftOut, ROOT, RUN, text } from './files.mjs'
import { run, Stop } from './run.mjs'

const PINNED = join(ROOT, 'setup/requirements/weaviate-server.txt')
const MODULE = 'github.com/weaviate/weaviate'
const OVERRIDE = 'VECAUTHZ_WEAVIATE_BIN'
/** Older ones do not fetch the Go that a module asks for. */
const GO_MINOR_MIN = 21
/** Packages that `go install -v` names for the pinned version, to tell how far it is. */
const PACKAGES = 1720

export function weaviate() {
  const version = pinnedVersion()
  const folder = join(RUN, 'components', `weaviate-server-${version}-${process.arch}`)
  return {
    name: 'Weaviate',
    folder,
    there: () => process.env[OVERRIDE] !== undefined || fs.existsSync(join(folder, 'weaviate-server')),
    leftOut: whyNoGo,
    works: () => (process.env[OVERRIDE] === undefined ? runs(join(folder, 'weaviate-server')) : undefined),
    bring: () => build(version, folder),
    after: []
  }
}

async function build(version, folder) {
  const [fresh, temporary] = [`${folder}.next`, `${folder}.tmp`]
  for (const path of [fresh, temporary, folder]) fs.rmSync(path, { recursive: true, force: true })
  fs.mkdirSync(temporary, { recursive: true })
  // Caches of its own, as they come to several GB and are of no use afterwards; and no flags meant for other builds.
  const caches = { GOMODCACHE: join(temporary, 'modules'), GOCACHE: join(temporary, 'build'), GOTMPDIR: temporary }
  const own = { CGO_ENABLED: '0', GOBIN: fresh, GOFLAGS: '-modcacherw', GOWORK: 'off', GOTOOLCHAIN: 'auto' }
  const args = ['install', '-v', '-trimpath', '-ldflags=-s -w', `${MODULE}/cmd/weaviate-server@v${version}`]
  try {
    await run('Weaviate', `${version}, to be built from source, which takes some minutes the first time`, 'go', args, {
      env: { ...process.env, ...caches, ...own },
      progress,
      remedy: goRemedy
    })
    const fault = unpinned(join(fresh, 'weaviate-server')) ?? runs(join(fresh, 'weaviate-server'))
    if (fault !== undefined) throw new Stop(`Weaviate was built but ${fault}.`, 'do not go on; find out which module proxy Go is set to.')
    fs.renameSync(fresh, folder)
    forgetLeftOut(folder)
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true })
  }
}

/** From the log: a line for each module that is fetched, then one for each package that is compiled. */
function progress(log) {
  const lines = log.split('\n')
  const fetched = lines.filter((line) => line.startsWith('go: downloading ')).length
  const compiled = lines.filter((line) => line !== '' && !line.startsWith('go: ')).length
  return compiled === 0 ? `${fetched} modules fetched` : `${Math.min(99, Math.floor((100 * compiled) / PACKAGES))} % compiled`
}

function goRemedy(log) {
  if (/checksum mismatch|SECURITY ERROR/.test(log))
    return 'the module proxy gave something other than the checksum database knows: do not go on; find out which proxy Go is set to.'
  if (/no space left/.test(log)) return 'make room: the build needs 6 GB for as long as it takes.'
  if (/dial tcp|no such host|timeout|EOF/.test(log))
    return `the Go module proxy cannot be reached: connect, or set GOPROXY, or name a weaviate-server ${pinnedVersion()} in ${OVERRIDE}, and run it again.`
  return `see the log, or name a weaviate-server ${pinnedVersion()} in ${OVERRIDE}, and run it again.`
}

function unpinned(binary) {
  const said = spawnSync('go', ['version', '-m', binary], { encoding: 'utf8' })
  const pins = new Set(text(PINNED).split('\n'))
  const lines = (said.stdout ?? '').split('\n').map((line) => line.split('\t'))
  if (lines.some(([, kind]) => kind === '=>')) return 'from modules put in the place of others'
  const modules = lines.filter(([, kind]) => kind === 'mod' || kind === 'dep').map(([, , ...module]) => module.join(' '))
  if (!modules.some((one) => one.startsWith(`${MODULE} `))) return 'does not tell from what'
  const other = modules.find((one) => !pins.has(one))
  return other === undefined ? undefined : `from a module that is not pinned (${other})`
}

function runs(binary) {
  const said = spawnSync(binary, ['--help'], { encoding: 'utf8' })
  return said.error === undefined && said.status === 0 ? undefined : 'does not run here'
}

function whyNoGo() {
  const said = spawnSync('go', ['version'], { encoding: 'utf8' })
  if (said.status !== 0) return 'no Go on PATH to build it with; its tests will be skipped'
  const minor = Number(/go1\.(\d+)/.exec(said.stdout)?.[1])
  return minor >= GO_MINOR_MIN
    ? undefined
    : `Go 1.${minor} is too old to build it with (1.${GO_MINOR_MIN} is needed); its tests will be skipped`
}

function pinnedVersion() {
  const version = new RegExp(`^${MODULE} v([0-9.]+) `, 'm').exec(text(PINNED))?.[1]
  if (version === undefined) throw new Stop('setup/requirements/weaviate-server.txt pins no version.', 'git checkout setup/requirements')
  return version
}
