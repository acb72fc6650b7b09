/** The house kept: imports point inward, files and functions stay small, dependencies are known, banned words stay out. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
const SRC = join(ROOT, 'src')

/** Folder of src (or a file beside them) to what it may import: itself, these, and the packages of `PACKAGES`. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  core: [],
  identity: ['core'],
  databases: ['core'],
  policy: ['core'],
  risk: ['core'],
  verdict: ['core'],
  screening: ['core'],
  spire: ['core'],
  state: ['core'],
  // What is learnt: arithmetic of risk, over folders of state.
  learning: ['core', 'risk', 'state'],
  // Receivers of records are judged by the rulebook that judges callers.
  audit: ['core', 'identity'],
  // What workloads used: counters, and the file that outlives them.
  usage: ['core', 'state'],
  credentials: ['core'],
  config: ['core'],
  // Formats of messages, and the edge that sends them.
  paging: ['core'],
  'world.ts': ['core', 'identity', 'databases', 'policy'],
  'vouched.ts': ['core', 'identity', 'policy', 'world.ts'],
  'screen-stage.ts': ['core', 'databases', 'screening'],
  'settle.ts': ['core', 'identity', 'policy', 'risk', 'screen-stage.ts', 'world.ts'],
  'risk-stage.ts': ['core', 'risk', 'state'],
  'risk-answers.ts': ['core', 'risk', 'risk-stage.ts', 'state'],
  'risk-desk.ts': ['core', 'learning', 'risk', 'risk-answers.ts', 'risk-stage.ts', 'state'],
  'authorize.ts': ['core', 'identity', 'policy', 'risk', 'settle.ts', 'vouched.ts', 'world.ts'],
  envoy: ['core', 'verdict', 'authorize.ts', 'world.ts'],
  // Commands ask the same rulebooks and the same policy that judge a call, so that their answers are the server's.
  admin: ['audit', 'core', 'world.ts', 'identity', 'policy', 'config', 'usage'],
  // Admission judges what becomes an identity, by the policy that will judge that identity.
  k8s: ['core', 'identity', 'policy', 'config', 'admin'],
  'serve-audit.ts': ['audit', 'config', 'core', 'databases', 'spire', 'verdict'],
  'serve-policy.ts': ['core', 'config', 'load-policy.ts', 'policy'],
  'serve-state.ts': ['core', 'admin', 'audit', 'config', 'policy', 'serve-role.ts', 'state', 'world.ts'],
  'serve-risk.ts': ['core', 'audit', 'config', 'learning', 'policy', 'risk', 'risk-desk.ts', 'risk-stage.ts', 'state'],
  'serve-role.ts': ['core', 'config', 'envoy', 'identity', 'spire', 'state', 'verdict', 'world.ts'],
  'serve-watch.ts': [
    'core',
    'admin',
    'audit',
    'config',
    'envoy',
    'serve-answers.ts',
    'serve-console.ts',
    'serve-credentials.ts',
    'serve-evidence.ts',
    'serve-policy.ts',
    'serve-risk.ts',
    'tracing',
    'verdict'
  ],
  tracing: ['core'],
  'serve-console.ts': ['core', 'admin', 'config', 'risk', 'serve-risk.ts', 'state', 'usage'],
  'serve-revocations.ts': ['core', 'policy', 'serve-policy.ts'],
  'serve-world.ts': [
    'core',
    'config',
    'identity',
    'serve-evidence.ts',
    'serve-policy.ts',
    'serve-risk.ts',
    'serve-state.ts',
    'state',
    'world.ts'
  ],
  'serve-answers.ts': ['core', 'admin', 'audit', 'config', 'envoy', 'identity'],
  'serve-databases.ts': ['core', 'world.ts', 'config', 'databases', 'state'],
  'serve-credentials.ts': ['core', 'config', 'credentials', 'spire', 'verdict'],
  'serve-evidence.ts': ['core', 'config', 'identity', 'spire', 'state'],
  'serve-desk.ts': ['core', 'admin', 'config', 'identity', 'serve-risk.ts'],
  'serve-paging.ts': ['core', 'admin', 'config', 'credentials', 'paging', 'spire', 'state'],
  'load-policy.ts': ['core', 'config', 'databases', 'load-policy-worker.ts', 'policy'],
  'load-policy-worker.ts': ['core', 'config', 'databases', 'policy'],
  'serve.ts': [
    'core',
    'world.ts',
    'serve-role.ts',
    'serve-audit.ts',
    'serve-desk.ts',
    'serve-paging.ts',
    'serve-policy.ts',
    'serve-risk.ts',
    'serve-state.ts',
    'serve-watch.ts',
    'serve-revocations.ts',
    'serve-world.ts',
    'load-policy.ts',
    'serve-credentials.ts',
    'serve-databases.ts',
    'serve-evidence.ts',
    'audit',
    'config',
    'databases',
    'envoy',
    'admin',
    'identity',
    'policy',
    'spire',
    'state',
    'verdict'
  ],
  'offline-assumed.ts': ['core', 'admin', 'identity', 'spire'],
  'offline.ts': [
    'core',
    'world.ts',
    'serve-role.ts',
    'offline-assumed.ts',
    'serve-credentials.ts',
    'serve-databases.ts',
    'admin',
    'audit',
    'config',
    'envoy',
    'identity',
    'policy',
    'state',
    'verdict'
  ],
  // What stands in front of the server, judged with the server's settings.
  doctor: ['core', 'admin', 'config'],
  // The policy beside what was seen.
  inventory: ['core', 'admin', 'config', 'policy', 'usage'],
  // Who is who to SPIRE, and what it takes to let somebody in and out.
  registration: ['core', 'admin', 'config'],
  'commands.ts': [
    'core',
    'offline.ts',
    'admin',
    'config',
    'databases',
    'doctor',
    'identity',
    'inventory',
    'k8s',
    'policy',
    'registration',
    'spire'
  ],
  // Commands that have nothing to do with a running server live in admin.
  'main.ts': ['commands.ts', 'config', 'databases', 'policy', 'serve.ts', 'admin']
}

/** Every package that src may import, with a word on why it is here; nothing else gets in. */
const PACKAGES: Record<string, string> = {
  '@bufbuild/protobuf': 'wire reader and writer of what ts-proto generates',
  '@envoyproxy/protos': 'Envoy messages, generated here from the pinned proto files',
  '@vecauthz/spiffe-protos': 'Workload API messages, generated here',
  '@grpc/grpc-js': 'the gRPC server and the Workload API client; fixed by the mission',
  '@marcbachmann/cel-js': 'conditions of rules (CEL): type-checked at load, no dependencies of its own, about a microsecond a rule',
  '@peculiar/x509': 'issues certificates in the dev issuer; validates nothing',
  '@peculiar/asn1-schema': 'writes the ASN.1 of the next one; a part of @peculiar/x509',
  '@peculiar/asn1-x509': 'the certificate structures that @peculiar/x509 is made of, signed here by node:crypto',
  '@redis/client': 'state of several hosts; the official client without its modules, and no dependencies',
  '@opentelemetry/api': 'spans: their names, parents and attributes',
  '@opentelemetry/exporter-trace-otlp-http': 'sends them to a collector; loaded only where the settings have one',
  '@opentelemetry/resources': 'whose spans they are',
  '@opentelemetry/sdk-trace': 'collects them in batches, within bounds',
  'grpc-health-check': 'grpc.health.v1, from the grpc-js authors',
  pino: 'operational log and audit lines; fixed by the mission',
  'prom-client': 'metrics in the Prometheus text format',
  'reflect-metadata': '@peculiar/x509 cannot be imported before it',
  yaml: 'settings and policy with line and column of each node',
  zod: 'strict schemas of settings and policy, and the reference page from them'
}

/** Folders that touch nothing outside the process: no I/O, clock or randomness. */
const PURE = ['core', 'identity', 'databases', 'policy', 'risk', 'screening', 'verdict']
/** Pure functions of node: signatures and digests; whether bytes are UTF-8; what a compressed gRPC message unpacks to. */
const PURE_NODE_MODULES: Record<string, readonly string[]> = {
  identity: ['node:crypto', 'node:buffer'],
  verdict: ['node:crypto'],
  databases: ['node:buffer', 'node:zlib']
}

const files = list(SRC)
const edges = files.flatMap((file) => importsOf(file).map((target) => ({ file, target })))

describe('the house', () => {
  it('imports point inward', () => {
    const local = edges.filter(({ target }) => target.startsWith('.'))
    expect(local.length).toBeGreaterThan(40)
    const wrong = local.flatMap(({ file, target }) => {
      const [from, to] = [placeOf(file), placeOf(resolve(dirname(file), target))]
      return from === to || MAY_IMPORT[from]?.includes(to) ? [] : [`${relative(ROOT, file)} imports ${to}`]
    })
    expect(wrong).toEqual([])
  })

  it('every folder and file of src has its rule', () => {
    expect([...new Set(files.map(placeOf))].filter((place) => MAY_IMPORT[place] === undefined)).toEqual([])
  })

  it('nothing leads out of src', () => {
    const out = edges.filter(({ file, target }) => target.startsWith('.') && relative(SRC, resolve(dirname(file), target)).startsWith('..'))
    expect(out).toEqual([])
  })

  it('packages are known, and the known ones are used', () => {
    const used = new Set(
      edges.filter(({ target }) => !target.startsWith('.') && !target.startsWith('node:')).map(({ target }) => packageOf(target))
    )
    expect([...used].filter((name) => PACKAGES[name] === undefined)).toEqual([])
    const declared = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }
    expect(Object.keys(declared.dependencies).sort()).toEqual(Object.keys(PACKAGES).sort())
    expect(Object.entries(declared.dependencies).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([])
  })

  it('pure stages import nothing of node, and ask neither clock nor dice', () => {
    const wrong = files
      .filter((file) => PURE.includes(placeOf(file)))
      .flatMap((file) => {
        const allowed = PURE_NODE_MODULES[placeOf(file)] ?? []
        const modules = importsOf(file).filter((target) => target.startsWith('node:') && !allowed.includes(target))
        const words =
          codeOf(file).match(
            /\bDate\.now\(|\bnew Date\(\)|\bMath\.random\(|\bperformance\.now\(|\bprocess\.|\bfetch\(|\brandomUUID\b|\brandomBytes\b/g
          ) ?? []
        return [...modules, ...words].map((what) => `${relative(ROOT, file)}: ${what}`)
      })
    expect(wrong).toEqual([])
  })

  it('only main.ts exits and reads arguments and environment', () => {
    const wrong = files.filter((file) => placeOf(file) !== 'main.ts' && /\bprocess\.(exit|env|argv)\b/.test(codeOf(file)))
    expect(wrong.map((file) => relative(ROOT, file))).toEqual([])
  })

  it('files have at most 300 lines, functions at most 60', () => {
    const long = files.flatMap((file) => {
      const lines = readFileSync(file, 'utf8').split('\n')
      const found = lines.length > 301 ? [`${relative(ROOT, file)}: ${lines.length - 1} lines`] : []
      return [...found, ...longFunctions(lines).map((at) => `${relative(ROOT, file)}:${at}: a function of more than 60 lines`)]
    })
    expect(long).toEqual([])
  })

  it('no names that say nothing, no default exports, no barrels', () => {
    const bad = files.filter((file) => /(^|\/)(utils?|helpers?|common|managers?|services?|misc|index)\.ts$/.test(relative(SRC, file)))
    expect(bad).toEqual([])
    const exporting = files.filter((file) => /^export (default|\*)/m.test(readFileSync(file, 'utf8')))
    expect(exporting).toEqual([])
  })

  it('what commands print as JSON is ASCII (jsonLine): strings that others chose move no cursor', () => {
    const files = list(join(ROOT, 'src')).filter((file) => file.endsWith('.ts'))
    const raw = /\bprint\([^\n]*JSON\.stringify/
    expect(files.filter((file) => raw.test(readFileSync(file, 'utf8'))).map((file) => relative(ROOT, file))).toEqual([])
  })

  it('no unfinished business, no loosened types', () => {
    const folders = ['src', 'test', 'demo', 'bench', 'setup', 'envoy', 'docs'].map((name) => join(ROOT, name)).filter(existsSync)
    const all = folders.flatMap(list).filter((file) => file !== import.meta.filename)
    const banned =
      /\b(TODO|FIXME|XXX)\b|[nN]ot implemented yet|\bas any\b(?! \w)|@ts-ignore|@ts-expect-error|\b(it|test|describe)\.(only|skip|todo)\(/
    expect(all.filter((file) => banned.test(readFileSync(file, 'utf8'))).map((file) => relative(ROOT, file))).toEqual([])
  })
})

function list(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    if (name === 'gen' || name === 'node_modules' || name.startsWith('.')) return []
    if (statSync(path).isDirectory()) return list(path)
    return /\.(ts|mjs)$/.test(name) ? [path] : []
  })
}

/** `core`, `identity`, …, or the file's own name directly below src. */
function placeOf(path: string): string {
  const [first = '', second] = relative(SRC, path).split('/')
  return second === undefined ? first : first
}

function importsOf(file: string): string[] {
  return [
    ...readFileSync(file, 'utf8').matchAll(
      /^(?:import|export)\b[^'"]*?from\s+['"]([^'"]+)['"]|^import\s+['"]([^'"]+)['"]|\bimport\(['"]([^'"]+)['"]\)/gms
    )
  ].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? '')
}

function packageOf(target: string): string {
  return target
    .split('/')
    .slice(0, target.startsWith('@') ? 2 : 1)
    .join('/')
}

/** Without comments, so that prose about the clock is not a use of it. */
function codeOf(file: string): string {
  return readFileSync(file, 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')
}

/** Functions by indentation, as the formatter writes them: from a line that opens one to the closing brace in the same column. */
function longFunctions(lines: readonly string[]): number[] {
  return lines.flatMap((line, at) => {
    const opening = /^(\s*)(?:export )?(?:async )?(?:function\b|(?:const \w+ = )?(?:async )?\(.*=> \{$|(?:async )?[\w#]+\(.*\).*\{$)/.exec(
      line
    )
    if (opening === null || (!line.trimEnd().endsWith('{') && !/function\b/.test(line)) || /^\s*(if|for|while|switch|else)\b/.test(line))
      return []
    const end = lines.findIndex((other, index) => index > at && other.startsWith(`${opening[1]}}`))
    return end - at > 60 ? [at + 1] : []
  })
}
