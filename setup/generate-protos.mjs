// Generates the TypeScript of the two local message packages: @envoyproxy/protos from the Envoy proto files that
// @grpc/grpc-js-xds ships (pinned by the lockfile), @vecauthz/spiffe-protos from spire/protos/workload.proto.
// With --check nothing is written, and the exit code is 1 when the output is not in step with its sources.
// Run by set-up; the output (gen/) is not committed. Plain JavaScript, so that it needs no build of its own.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const require = createRequire(import.meta.url)
const folderOf = (name) => dirname(require.resolve(`${name}/package.json`))
const versionOf = (name) => JSON.parse(readFileSync(join(folderOf(name), 'package.json'), 'utf8')).version
const deps = join(folderOf('@grpc/grpc-js-xds'), 'deps')

const OPTIONS = 'outputServices=grpc-js,importSuffix=.ts,unrecognizedEnum=false,enumsAsLiterals=true,esModuleInterop=true'
const PACKAGES = [
  {
    folder: join(root, 'envoy/protos'),
    roots: ['envoy-api', 'googleapis', 'protoc-gen-validate', 'xds'].map((name) => join(deps, name)),
    wanted: [
      'envoy-api/envoy/service/auth/v3/external_auth.proto',
      'envoy-api/envoy/service/secret/v3/sds.proto',
      'envoy-api/envoy/extensions/transport_sockets/tls/v3/secret.proto',
      'envoy-api/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config.proto'
    ],
    options: OPTIONS
  },
  {
    folder: join(root, 'spire/protos'),
    roots: [join(root, 'spire/protos')],
    wanted: ['protos/workload.proto'],
    options: `${OPTIONS},env=node`
  }
]

for (const one of PACKAGES) generate(one)

function generate({ folder, roots, wanted, options }) {
  const versions = ['ts-proto', '@bufbuild/buf', '@grpc/grpc-js-xds'].map(versionOf)
  const own = existsSync(join(folder, 'workload.proto')) ? readFileSync(join(folder, 'workload.proto'), 'utf8') : ''
  const stamp = createHash('sha256')
    .update(JSON.stringify([wanted, options, versions, own]))
    .digest('hex')
  const out = join(folder, 'gen')
  if (existsSync(join(out, '.stamp')) && readFileSync(join(out, '.stamp'), 'utf8') === stamp) return
  if (process.argv.includes('--check')) {
    process.exitCode = 1
    return
  }

  const [fresh, work] = [join(folder, '.gen-next'), join(folder, '.gen-work')]
  for (const path of [fresh, work]) {
    rmSync(path, { recursive: true, force: true })
    mkdirSync(path, { recursive: true })
  }
  // buf reads modules below its own folder only, so the roots are linked into a work folder.
  const links = roots.map((path) => path.split('/').at(-1))
  for (const [at, path] of roots.entries()) symlinkSync(path, join(work, links[at]))
  writeFileSync(join(work, 'buf.yaml'), JSON.stringify({ version: 'v2', modules: links.map((path) => ({ path })) }))
  const plugin = { local: join(folderOf('ts-proto'), 'protoc-gen-ts_proto'), out: fresh, opt: options, include_imports: true }
  writeFileSync(join(work, 'buf.gen.yaml'), JSON.stringify({ version: 'v2', plugins: [{ ...plugin, include_wkt: true }] }))
  const paths = wanted.flatMap((file) => ['--path', file])
  execFileSync(join(folderOf('@bufbuild/buf'), 'bin/buf'), ['generate', ...paths], { cwd: work, stdio: 'inherit' })
  rmSync(work, { recursive: true, force: true })
  writeFileSync(join(fresh, '.stamp'), stamp)
  rmSync(out, { recursive: true, force: true })
  renameSync(fresh, out)
}
