// Redis: from the distribution's own packages, which apt checks the signatures of. They are unpacked into a folder, not installed:
// that needs no root, starts no service, and changes nothing on the machine.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { forgetLeftOut, ROOT, RUN, text } from './files.mjs'
import { firstLine, run, Stop } from './run.mjs'

const OVERRIDE = 'VECAUTHZ_REDIS_BIN'

/** The packages, and the libraries that the server names; with package lists of our own where the machine's are old or missing. */
const FETCH = `
set -e
cd "$1"
fetch() {
  libraries=$(apt-cache "$@" depends --important redis-tools | sed -n 's/^ *Depends: \\(lib[a-z0-9.+-]*\\)$/\\1/p' | grep -v '^libc6$')
  apt-get "$@" -q download redis-server redis-tools $libraries
}
if ! fetch -q; then
  mkdir -p lists/partial cache/archives/partial
  apt-get -q -o Dir::State::Lists="$1/lists" -o Dir::Cache="$1/cache" update
  fetch -o Dir::State::Lists="$1/lists" -o Dir::Cache="$1/cache"
fi
for package in *.deb; do dpkg-deb -x "$package" "$2"; done
`

/** Finds its libraries beside it, and becomes the server. */
const LAUNCHER = `#!/bin/sh
here=$(dirname "$0")
for folder in "$here"/usr/lib/*-linux-gnu "$here"/lib/*-linux-gnu; do LD_LIBRARY_PATH="$folder:$LD_LIBRARY_PATH"; done
export LD_LIBRARY_PATH
exec "$here/usr/bin/redis-server" "$@"
`

export function redis() {
  const version = oldest()
  const folder = join(RUN, 'components', `redis-server-${process.arch}`)
  return {
    name: 'Redis',
    folder,
    there: () => process.env[OVERRIDE] !== undefined || fs.existsSync(join(folder, 'redis-server')),
    leftOut: whyNoApt,
    works: () => (process.env[OVERRIDE] === undefined ? fault(folder, version) : undefined),
    bring: () => bring(folder, version),
    after: []
  }
}

async function bring(folder, version) {
  const [fresh, temporary] = [`${folder}.next`, `${folder}.tmp`]
  for (const path of [fresh, temporary, folder]) fs.rmSync(path, { recursive: true, force: true })
  for (const path of [fresh, temporary]) fs.mkdirSync(path, { recursive: true })
  try {
    await run('Redis', 'packages of this distribution, about 4 MB to download', 'sh', ['-c', FETCH, 'fetch', temporary, fresh], {
      env: { ...process.env, LC_ALL: 'C' },
      remedy: aptRemedy
    })
    fs.writeFileSync(join(fresh, 'redis-server'), LAUNCHER, { mode: 0o755 })
    const wrong = fault(fresh, version)
    if (wrong !== undefined) throw new Stop(`Redis was fetched but ${wrong}.`, `name a redis-server ${version} or newer in ${OVERRIDE}.`)
    fs.renameSync(fresh, folder)
    forgetLeftOut(folder)
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true })
  }
}

function aptRemedy(log) {
  if (/NO_PUBKEY|not signed|BADSIG|Hash Sum/i.test(log))
    return 'the package mirror gave something that is not signed as it should be: do not go on; find out which mirror apt is set to.'
  return `apt's mirror cannot be reached or has no redis-server: see the log, or name a redis-server in ${OVERRIDE}, and run it again.`
}

function fault(folder, version) {
  const said = spawnSync(join(folder, 'redis-server'), ['--version'], { encoding: 'utf8' })
  const found = /v=(\d+)\.(\d+)/.exec(said.stdout ?? '')
  if (found === null) return `does not run here (${firstLine(said)})`
  const [major, minor] = version.split('.').map(Number)
  const enough = Number(found[1]) > major || (Number(found[1]) === major && Number(found[2]) >= minor)
  return enough ? undefined : `is version ${found[1]}.${found[2]}, older than ${version}`
}

function whyNoApt() {
  const has = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
  return has('apt-get') && has('dpkg-deb') ? undefined : 'no apt-get and dpkg-deb to fetch it with; its tests will be skipped'
}

/** A lower bound, as the distribution chooses the version. */
function oldest() {
  const version = /^redis-server >= ([0-9.]+)$/m.exec(text(join(ROOT, 'setup/requirements/redis-server.txt')))?.[1]
  if (version === undefined) throw new Stop('setup/requirements/redis-server.txt names no version.', 'git checkout setup/requirements')
  return version
}
