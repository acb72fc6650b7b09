// Schemas of Kubernetes, Istio, Envoy Gateway and the Prometheus operator: they are in the Go modules of these, from which a few files are
// kept. What was downloaded is compared with the checksums of setup/requirements/kubernetes-schemas.txt before that.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import { dirname, join } from 'node:path'
import { forgetLeftOut, ROOT, RUN, text } from './files.mjs'
import { run, Stop } from './run.mjs'

const PINNED = join(ROOT, 'setup/requirements/kubernetes-schemas.txt')

export function schemas() {
  const folder = join(RUN, 'components', `kubernetes-schemas-${createHash('sha256').update(text(PINNED)).digest('hex').slice(0, 12)}`)
  return {
    name: 'schemas',
    folder,
    there: () => fs.existsSync(folder),
    leftOut: () =>
      spawnSync('go', ['version']).status === 0 ? undefined : 'no Go on PATH to fetch them with; their tests will be skipped',
    works: () => undefined,
    bring: () => bring(folder),
    after: []
  }
}

async function bring(folder) {
  const [fresh, temporary] = [`${folder}.next`, `${folder}.tmp`]
  for (const path of [fresh, temporary]) fs.rmSync(path, { recursive: true, force: true })
  fs.mkdirSync(temporary, { recursive: true })
  const modules = pins()
  // A cache of its own: of 200 MB of modules five are kept.
  const env = { ...process.env, GOMODCACHE: temporary, GOFLAGS: '-modcacherw', GOWORK: 'off' }
  const names = modules.map(({ module, version }) => `${module}@${version}`)
  try {
    await run('schemas', 'of Kubernetes and what is beside it, about 30 MB to download', 'go', ['mod', 'download', ...names], {
      env,
      remedy
    })
    for (const { module, version, sum, files } of modules) {
      const found = text(join(temporary, 'cache/download', module, '@v', `${version}.ziphash`)).trim()
      if (found !== sum) throw new Stop(`${module} ${version} has the checksum ${found || 'none'}, not the one that is pinned.`, FOREIGN)
      for (const file of files) {
        const to = join(fresh, module, file)
        fs.mkdirSync(dirname(to), { recursive: true })
        fs.copyFileSync(join(temporary, `${module}@${version}`, file), to)
      }
    }
    fs.renameSync(fresh, folder)
    forgetLeftOut(folder)
  } finally {
    fs.rmSync(temporary, { recursive: true, force: true })
  }
}

const FOREIGN = 'do not go on; find out which module proxy Go is set to.'

function remedy(log) {
  if (/checksum mismatch|SECURITY ERROR/.test(log)) return FOREIGN
  return 'the Go module proxy cannot be reached: connect, or set GOPROXY, and run it again.'
}

function pins() {
  const lines = text(PINNED)
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  return lines.map((line) => {
    const [module, version, sum, ...files] = line.split(' ')
    return { module, version, sum, files }
  })
}
