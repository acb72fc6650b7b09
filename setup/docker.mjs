// A Docker engine, its command with Compose, and a small Debian below the images that compose/offline makes: for the tests that run
// compose.yaml. Engine and tools are the distribution's own packages, unpacked and not installed; nothing is started here. The tests start
// the engine in a network namespace of its own (test/integration/support/engine.ts).
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { FETCH } from './debian.mjs'
import { forgetLeftOut, ROOT, RUN, text } from './files.mjs'
import { firstLine, run, Stop } from './run.mjs'

const MODULE = 'github.com/docker/compose/v2'
const PACKAGES = ['docker.io', 'iptables', 'iproute2', 'debootstrap', 'runc', 'containerd', 'tini']
/** What the images need that is in no minimal system: certificates, what Chroma's wheel runs in, and Redis. */
const INCLUDED = 'ca-certificates,python3-minimal,redis-server'
const LEFT_OUT_OF_BASE = ['./var/cache/apt/*', './var/lib/apt/lists/*', './usr/share/doc/*', './usr/share/locale/*', './usr/share/man/*']
const GO_MINOR_MIN = 21

const folder = join(RUN, 'components', `docker-${process.arch}`)

/** @param before the steps that use apt before this one */
export function docker(before) {
  return {
    name: 'Docker',
    folder,
    there: () => fs.existsSync(folder),
    leftOut: whyNot,
    works: () => fault(folder),
    bring,
    after: before
  }
}

/** A folder of this name is complete: it gets it as the last step. */
async function bring() {
  const [fresh, temporary] = [`${folder}.next`, `${folder}.tmp`]
  for (const path of [fresh, temporary, folder]) fs.rmSync(path, { recursive: true, force: true })
  for (const path of [fresh, temporary]) fs.mkdirSync(path, { recursive: true })
  try {
    const fetched = run(
      'Docker',
      'packages of this distribution, about 70 MB to download',
      'sh',
      ['-c', FETCH, 'fetch', temporary, fresh, ...PACKAGES],
      {
        env: { ...process.env, LC_ALL: 'C' },
        remedy: aptRemedy
      }
    ).then(() => makeBase(fresh, temporary))
    // All are waited for even when one fails, so that nothing is at work in a folder that is removed.
    const ended = await Promise.allSettled([fetched, buildCompose(fresh, temporary), packagesOfImages()])
    for (const one of ended) if (one.status === 'rejected') throw one.reason
    const wrong = fault(fresh)
    if (wrong !== undefined) throw new Stop(`Docker was brought but ${wrong}.`, 'see the logs in .run/.')
    fs.renameSync(fresh, folder)
    forgetLeftOut(folder)
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true })
    fs.rmSync(fresh, { recursive: true, force: true })
  }
}

/** What npm installs in the images: when they are made, nothing has to be fetched. */
function packagesOfImages() {
  return run('Docker npm', 'packages of the images', process.execPath, [join(ROOT, 'compose/offline/make.mjs'), 'packages'], {
    env: process.env,
    remedy: () => 'the npm registry cannot be reached: see the log, and run it again.'
  })
}

/** debootstrap into a folder, and that as one file. */
async function makeBase(fresh, temporary) {
  const rootfs = join(temporary, 'rootfs')
  const args = ['--variant=minbase', `--include=${INCLUDED}`, codename(), rootfs, ...mirror()]
  await run('Docker base', 'a minimal Debian, about 60 MB to download', join(fresh, 'usr/sbin/debootstrap'), args, {
    env: {
      ...process.env,
      LC_ALL: 'C',
      DEBOOTSTRAP_DIR: join(fresh, 'usr/share/debootstrap'),
      // It fetches with wget, which comes along.
      PATH: `${process.env.PATH}:/usr/sbin:/sbin:${join(fresh, 'usr/bin')}`,
      ...aptProxy()
    },
    remedy: aptRemedy
  })
  const excluded = LEFT_OUT_OF_BASE.map((one) => `--exclude=${one}`)
  await run('Docker base', 'packing it', 'tar', ['-C', rootfs, ...excluded, '-cf', join(fresh, 'base.tar'), '.'], {
    env: process.env,
    remedy: () => 'see the log.'
  })
}

/** In a module of its own: `go install` refuses a module that replaces others. */
async function buildCompose(fresh, temporary) {
  const [, version] = pin()
  const module = join(temporary, 'compose')
  fs.mkdirSync(module, { recursive: true })
  const caches = { GOMODCACHE: join(temporary, 'modules'), GOCACHE: join(temporary, 'build'), GOTMPDIR: temporary }
  const env = { ...process.env, ...caches, CGO_ENABLED: '0', GOFLAGS: '-modcacherw', GOWORK: 'off', GOTOOLCHAIN: 'auto' }
  const plugin = join(fresh, 'cli-plugins/docker-compose')
  const script = `
set -e
cd "$1"
go mod init vecauthz.test/compose
go get ${MODULE}/cmd@${version}
go build -trimpath -ldflags='-s -w -X ${MODULE}/internal.Version=${version}' -o "$2" ${MODULE}/cmd
`
  await run(
    'Compose',
    `${version}, to be built from source, which takes some minutes the first time`,
    'sh',
    ['-c', script, 'build', module, plugin],
    {
      env,
      remedy: (log) =>
        /checksum mismatch|SECURITY ERROR/.test(log)
          ? 'the module proxy gave something other than the checksum database knows: do not go on; find out which proxy Go is set to.'
          : 'the Go module proxy cannot be reached, or there is no room: see the log, and run it again.'
    }
  )
  const said = spawnSync('go', ['version', '-m', plugin], { encoding: 'utf8' }).stdout ?? ''
  if (!said.split('\n').some((line) => line.split('\t').slice(2).join(' ') === pin().join(' ')))
    throw new Stop('Compose was built from another module than the pinned one.', 'do not go on; find out which module proxy Go is set to.')
}

function pin() {
  const found = /^(github\.com\/docker\/compose\/v2) (v[0-9.]+) (h1:\S+)$/m.exec(text(join(ROOT, 'setup/requirements/docker-compose.txt')))
  if (found === null) throw new Stop('setup/requirements/docker-compose.txt pins no version.', 'git checkout setup/requirements')
  return found.slice(1)
}

function fault(at) {
  const plugin = spawnSync(join(at, 'cli-plugins/docker-compose'), ['docker-cli-plugin-metadata'], { encoding: 'utf8' })
  if (plugin.status !== 0) return `Compose does not run here (${firstLine(plugin)})`
  const missing = ['usr/sbin/dockerd', 'usr/sbin/runc', 'usr/bin/containerd', 'usr/bin/docker', 'base.tar'].find(
    (one) => !fs.existsSync(join(at, one))
  )
  return missing === undefined ? undefined : `has no ${missing}`
}

/** The machine that cannot have it: whoever is not root can neither start an engine nor make a system below its images. */
function whyNot() {
  const skipped = 'the tests that run compose.yaml will be skipped'
  if (process.getuid?.() !== 0) return `not root, so no engine can be started; ${skipped}`
  const has = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
  if (!has('apt-get') || !has('dpkg-deb') || osRelease('ID') !== 'debian') return `no Debian to take an engine from; ${skipped}`
  if (spawnSync('unshare', ['--net', '--mount', 'true'], { stdio: 'ignore' }).status !== 0)
    return `no namespaces can be made here; ${skipped}`
  const minor = Number(/go1\.(\d+)/.exec(spawnSync('go', ['version'], { encoding: 'utf8' }).stdout ?? '')?.[1] ?? 0)
  return minor >= GO_MINOR_MIN ? undefined : `no Go 1.${GO_MINOR_MIN} or newer to build Compose with; ${skipped}`
}

function osRelease(key) {
  return new RegExp(`^${key}="?([^"\\n]+)"?$`, 'm').exec(text('/etc/os-release'))?.[1] ?? ''
}

function codename() {
  return osRelease('VERSION_CODENAME')
}

/** Where apt itself takes this distribution from; debootstrap has a default of its own. */
function mirror() {
  const said = spawnSync('apt-get', ['indextargets', '--format', '$(CREATED_BY) $(CODENAME) $(SITE)'], { encoding: 'utf8' }).stdout ?? ''
  const site = said
    .split('\n')
    .map((line) => line.split(' '))
    .find(([by, name]) => by === 'Packages' && name === codename())?.[2]
  return site === undefined ? [] : [site]
}

/** As apt itself goes out; debootstrap reads the environment only. */
function aptProxy() {
  const said = spawnSync('apt-config', ['shell', 'PROXY', 'Acquire::http::Proxy'], { encoding: 'utf8' }).stdout ?? ''
  const proxy = /^PROXY='([^']+)'$/m.exec(said)?.[1]
  return proxy === undefined || proxy === 'DIRECT' ? {} : { http_proxy: proxy }
}

function aptRemedy(log) {
  if (/NO_PUBKEY|not signed|BADSIG|Hash Sum|Invalid Release signature/i.test(log))
    return 'the package mirror gave something that is not signed as it should be: do not go on; find out which mirror apt is set to.'
  return "apt's mirror cannot be reached: see the log, and run it again."
}
