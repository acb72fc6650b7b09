#!/usr/bin/env node
/** The command line. The only file that reads the environment, signals and arguments, and the only one that exits. */
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import pino from 'pino'
import { auditCommand } from './admin/audit-verify.ts'
import { svidCommand } from './admin/svid-verify.ts'
import { adminCommand, lastingCommand, policyCommand } from './commands.ts'
import { type Loaded, loadAll, readPolicy } from './config/load.ts'
import { printFault } from './config/read-yaml.ts'
import { SERVED } from './databases/dialects.ts'
import { compilePolicy } from './policy/compile.ts'
import { policyFindings } from './policy/findings.ts'
import type { Policy } from './policy/policy.ts'
import { serve } from './serve.ts'

const HELP = `vecauthz: Envoy external authorization for vector databases

Usage: vecauthz COMMAND [options]

  serve      run the authorization server
  validate   read settings and policy, print every fault, change nothing
  check      what would be decided about a call: the whole decision as JSON, without a server
  explain    the same in prose: who, what, which check ended it, the nearest rule and what it lacks
  test       run policy tests: who may do what, and which rules no test needs
  replay     recorded decisions again, under another policy: what would come out otherwise
  inventory  who may do what, who uses it, and a patch that takes out what nobody used
  doctor     hold an Envoy configuration, or a running Envoy, against the safe-deployment list
  spire      registration entries for SPIRE from the policy
  onboard    let a workload in: its place in the policy, its entry at SPIRE, and what it may do then
  offboard   let it go: refused from its next call on, and nothing of it is left
  svid       verify an SVID, a bundle or a SPIFFE ID, and say by which rule
  audit      verify records: whether they are all there, as they were written

  approvals  what waits for somebody's yes; approve ID and refuse ID decide
  grants     permissions for one step of a job: list, request, release
  end-run    nothing more is approved for a run

  standings  who is slowed, challenged or quarantined, and why; release ends it
  step-up    answer a challenge for a workload, or refuse to
  baselines  what is normal: learnt, approved, exported, reset, taken in
  signal     say that a workload is not what it should be: its standing rises at once
  figure     tell a figure of another system about a workload

  tail       decisions as they are made, and why not
  revoke     refuse an identity, a certificate or a token from now on: list, add, end

  k8s        Kubernetes: the admission webhook, and namespaces and NetworkPolicies from the policy

Each has a --help of its own: vecauthz check --help. A first policy test is demo/config/policy-tests.yaml.

Options of serve and validate:
  --config FILE   settings file (default: vecauthz.yaml). It names the policy file.

  --help          this text

A first settings file and policy are in demo/config/; docs/reference.md explains each key.
Exit codes: 0 yes, 1 no (faults found), 2 cannot say (bad arguments, something unreachable).
`

const code = await run(process.argv.slice(2))
if (code !== undefined) process.exitCode = code

async function run(args: readonly string[]): Promise<number | undefined> {
  const [command, ...rest] = args
  if (command === undefined || command === '--help' || command === '-h' || command === 'help') {
    process.stdout.write(HELP)
    return command === undefined ? 2 : 0
  }
  if (command === 'svid') return svid(rest)
  if (command === 'audit') return auditCommand(rest, output())
  const ofPolicy = policyCommand(command, output()) ?? adminCommand(command, output()) ?? lastingCommand(command, output(), told)
  if (ofPolicy !== undefined) return ofPolicy(rest)
  if (command !== 'serve' && command !== 'validate') return complain(`There is no command "${command}"; see --help.`)
  const config = configOf(rest)
  if (typeof config === 'number') return config
  const loaded = loadAll(config, SERVED, compilePolicy)
  if (command === 'validate') return validate(loaded)
  if (!loaded.ok) return validate(loaded)
  return start(loaded)
}

/** Resolves when somebody ends this process. */
function told(): Promise<unknown> {
  return new Promise((resolve) => {
    process.once('SIGTERM', resolve)
    process.once('SIGINT', resolve)
  })
}

function svid(args: readonly string[]): Promise<number> {
  return svidCommand(args, { input: process.stdin, ...output(), now: Date.now })
}

function output() {
  // Whoever reads the answers may have seen enough (head): what was not said was not said.
  process.stdout.on('error', () => process.exit(2))
  const print = (text: string) => void process.stdout.write(text)
  const complain = (text: string) => void process.stderr.write(text)
  return { print, complain }
}

function configOf(args: readonly string[]): string | number {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { config: { type: 'string', default: 'vecauthz.yaml' }, help: { type: 'boolean' } }
    })
    if (values.help === true) {
      process.stdout.write(HELP)
      return 0
    }
    if (!existsSync(values.config))
      return complain(
        `There is no settings file "${values.config}". Give one with --config FILE; demo/config/vecauthz.yaml is a first one.`
      )
    return values.config
  } catch (cause) {
    return complain(`${(cause as Error).message.split('\n')[0]} See --help.`)
  }
}

function validate(loaded: Loaded<Policy>): number {
  if (loaded.ok) {
    process.stdout.write(`good: ${loaded.policyFile}, revision ${loaded.policy.revision.slice(0, 12)}\n`)
    const read = readPolicy(loaded.policyFile)
    const findings = read.ok ? policyFindings(read.document, Date.now()).map(read.faultAt) : []
    for (const finding of findings) process.stdout.write(`worth a look: ${printFault(finding)}\n`)
    return 0
  }
  for (const fault of loaded.faults) process.stderr.write(`${printFault(fault)}\n`)
  process.stderr.write(`${loaded.faults.length} fault${loaded.faults.length === 1 ? '' : 's'}\n`)
  return 1
}

async function start(loaded: Extract<Loaded<Policy>, { ok: true }>): Promise<number | undefined> {
  // A young generation that stays small frees each request's buffers at once. Left to grow, it keeps them until whole-heap
  // collections have to: a seventh of the CPU of a decision (npm run bench).
  setFlagsFromString('--semi-space-growth-factor=1')
  // The messages of grpc-js, of some 20 kB, then come out of larger pieces and not each in one of its own: a third fewer collections
  // of the whole heap. Whatever keeps bytes for long copies them out of the pool (`Buffer.allocUnsafeSlow`), or it would keep a piece.
  Buffer.poolSize = 256 * 1024
  const log = pino(
    { base: { name: 'vecauthz', pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true })
  )
  try {
    const serving = await serve(loaded, log, (name) => process.env[name])
    let stopping = false
    const stop = (signal: NodeJS.Signals) => {
      if (stopping) return
      stopping = true
      void serving.drain(signal).then(() => process.exit(0))
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
    return undefined
  } catch (cause) {
    // What was opened on the way (a stream, a port) must not keep a server alive that does not serve.
    process.exit(complain(cause instanceof Error ? cause.message : String(cause)))
  }
}

function complain(sentence: string): number {
  process.stderr.write(`vecauthz: ${sentence}\n`)
  return 2
}
