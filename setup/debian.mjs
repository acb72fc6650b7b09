// Prometheus and Chromium for the tests that look at what is seen: from the distribution's own packages, as Redis is (redis.mjs), with
// those of their libraries that this machine has not. Unpacked, not installed: no root, no service, nothing changed on the machine.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { forgetLeftOut, RUN } from './files.mjs'
import { firstLine, run, Stop } from './run.mjs'

/** "$1": where to work, "$2": where to unpack, then packages. Lists of our own where the machine's are old or missing. */
export const FETCH = `
set -e
cd "$1"
out=$2
shift 2
mkdir -p cache/archives/partial
fetch() { apt-get -q -y -o Debug::NoLocking=1 -o Dir::Cache="$PWD/cache" "$@"; }
if ! fetch --no-install-recommends --download-only install "$@"; then
  mkdir -p lists/partial
  fetch -o Dir::State::Lists="$PWD/lists" update
  fetch -o Dir::State::Lists="$PWD/lists" --no-install-recommends --download-only install "$@"
fi
for package in cache/archives/*.deb; do dpkg-deb -x "$package" "$out"; done
`

/** Finds its libraries and fonts beside it. */
const launcher = (program) => `#!/bin/sh
here=$(dirname "$0")
for folder in "$here"/usr/lib/*-linux-gnu "$here"/usr/lib/*-linux-gnu/pulseaudio "$here"/lib/*-linux-gnu; do
  if [ -d "$folder" ]; then LD_LIBRARY_PATH="$folder:$LD_LIBRARY_PATH"; fi
done
export LD_LIBRARY_PATH FONTCONFIG_FILE="$here/fonts.conf" XDG_CACHE_HOME="$here/cache"
exec "$here/${program}" "$@"
`

const FONTS = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">usr/share/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir prefix="xdg">fontconfig</cachedir>
</fontconfig>
`

const PROMETHEUS = {
  name: 'Prometheus',
  folder: 'prometheus',
  variable: 'VECAUTHZ_PROMETHEUS_BIN',
  size: 'about 22 MB',
  packages: ['prometheus'],
  programs: { prometheus: 'usr/bin/prometheus', promtool: 'usr/bin/promtool' },
  says: /^(prometheus|promtool), version \d/m
}

const CHROMIUM = {
  name: 'Chromium',
  folder: 'chromium',
  variable: 'VECAUTHZ_CHROMIUM_BIN',
  size: 'about 100 MB',
  packages: ['chromium-headless-shell', 'fonts-dejavu-core'],
  programs: { chromium: 'usr/lib/chromium/chromium-headless-shell' },
  says: /^Chromium \d/m
}

/** @param before the steps that use apt before this one: it does one thing at a time */
export const prometheus = (before) => step(PROMETHEUS, before)
export const chromium = (before) => step(CHROMIUM, before)

function step(one, before) {
  const folder = join(RUN, 'components', `${one.folder}-${process.arch}`)
  const programs = Object.keys(one.programs)
  const own = () => process.env[one.variable] !== undefined
  return {
    name: one.name,
    folder,
    there: () => own() || programs.every((name) => fs.existsSync(join(folder, name))),
    leftOut: () => whyNoApt(one),
    works: () => (own() ? undefined : fault(one, folder)),
    bring: () => bring(one, folder),
    after: before
  }
}

async function bring(one, folder) {
  const [fresh, temporary] = [`${folder}.next`, `${folder}.tmp`]
  for (const path of [fresh, temporary, folder]) fs.rmSync(path, { recursive: true, force: true })
  for (const path of [fresh, temporary]) fs.mkdirSync(path, { recursive: true })
  try {
    const said = `packages of this distribution, ${one.size} to download`
    await run(one.name, said, 'sh', ['-c', FETCH, 'fetch', temporary, fresh, ...one.packages], {
      env: { ...process.env, LC_ALL: 'C' },
      remedy: (log) => remedy(one, log)
    })
    fs.writeFileSync(join(fresh, 'fonts.conf'), FONTS)
    for (const [name, program] of Object.entries(one.programs)) fs.writeFileSync(join(fresh, name), launcher(program), { mode: 0o755 })
    const wrong = fault(one, fresh)
    if (wrong !== undefined) throw new Stop(`${one.name} was fetched but ${wrong}.`, `name one that runs here in ${one.variable}.`)
    fs.renameSync(fresh, folder)
    forgetLeftOut(folder)
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true })
  }
}

function remedy({ name, variable }, log) {
  if (/NO_PUBKEY|not signed|BADSIG|Hash Sum/i.test(log))
    return 'the package mirror gave something that is not signed as it should be: do not go on; find out which mirror apt is set to.'
  return `apt's mirror cannot be reached or has no ${name}: see the log, or name one in ${variable}, and run it again.`
}

function fault({ programs, says }, folder) {
  for (const name of Object.keys(programs)) {
    const said = spawnSync(join(folder, name), ['--version'], { encoding: 'utf8' })
    // Some say it on the one, some on the other.
    if (!says.test(`${said.stdout ?? ''}\n${said.stderr ?? ''}`)) return `${name} does not run here (${firstLine(said)})`
  }
  return undefined
}

/** The machine that cannot have it is one without apt, or one whose distribution packs it otherwise (Ubuntu's Chromium is a snap). */
function whyNoApt({ name, packages: [first] }) {
  const has = (command) => spawnSync(command, ['--version'], { stdio: 'ignore' }).status === 0
  if (!has('apt-get') || !has('dpkg-deb')) return `no apt-get and dpkg-deb to fetch ${name} with; its tests will be skipped`
  const known = spawnSync('apt-cache', ['policy', first], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } })
  const lists = spawnSync('apt-cache', ['policy', 'dpkg'], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } })
  const isOffered = (said) => /Candidate: (?!\(none\))\S/.test(said.stdout ?? '')
  // Without any lists it is not known yet what there is.
  if (isOffered(known) || !/https?:/.test(lists.stdout ?? '')) return undefined
  return `this distribution has no package ${first}; the tests with ${name} will be skipped`
}
