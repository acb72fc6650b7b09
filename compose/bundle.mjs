// The server as a few files without packages beside them, for its image: the program, the workers that it starts by name, and a
// message definition that one package reads from its folder.
import { cpSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'

const WORKERS = ['src/load-policy-worker.ts', 'src/state/store-sqlite-worker.ts', 'src/learning/freeze-worker.ts']
const HEALTH = 'node_modules/grpc-health-check'

const out = process.argv[2] ?? 'dist'
const told = []

/** What a source looks for beside it lies beside the program. */
const beside = {
  name: 'beside',
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, rewriting(/new URL\('\.\/([a-z-]+-worker)\.ts'/, "new URL('./$1.mjs'", 'ts'))
    onLoad({ filter: /\/grpc-health-check\/build\/src\/health\.js$/ }, rewriting('/../../proto`', '/proto`', 'js'))
  }
}

function rewriting(from, to, loader) {
  return async ({ path }) => {
    const text = await readFile(path, 'utf8')
    const contents = text.replace(from, to)
    if (contents !== text) told.push(path)
    return { contents, loader }
  }
}

const { warnings } = await build({
  entryPoints: [{ in: 'src/main.ts', out: 'vecauthz' }, ...WORKERS.map((one) => ({ in: one, out: one.split('/').at(-1).slice(0, -3) }))],
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  // Names stay: of errors, and in stack traces.
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'linked',
  // For packages that are CommonJS inside.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url); const __dirname = import.meta.dirname;"
  },
  plugins: [beside],
  logLevel: 'warning'
})
cpSync(join(HEALTH, 'proto'), join(out, 'proto'), { recursive: true })
cpSync('src/admin/console', join(out, 'console'), { recursive: true })

// A worker or a folder that is not found would show at the first policy, not here.
if (told.length !== WORKERS.length + 1 || warnings.length > 0) {
  process.stderr.write(
    `The bundle is not complete: ${told.length} of ${WORKERS.length + 1} places were rewritten. See compose/bundle.mjs.\n`
  )
  process.exitCode = 1
}
