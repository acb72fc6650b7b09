#!/usr/bin/env node
/** `npm run demo`: the whole stack on loopback, step by step; exit 1 when any step differs from what is expected. */
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { keepUp } from './keep.ts'
import { type Pair, startPair } from './pair.ts'
import { forRisk, riskSceneOf } from './risk.ts'
import { type Stack, type StackOptions, startStack } from './stack.ts'
import { type Outcome, runStep, type Scene, type Step, sceneOf } from './step.ts'
import { STEPS } from './steps.ts'
import { APPROVAL_STEPS } from './steps-approvals.ts'
import { PAIR_STEPS } from './steps-pair.ts'
import { RISK_STEPS } from './steps-risk.ts'

const HELP = `npm run demo: real Envoy, real Chroma, real SVIDs and vecauthz between them, on loopback, in numbered steps.

  npm run demo             run the steps, take everything down, exit 1 when a step differs
  npm run demo -- --keep   leave it up, and print how to call it with curl and with the official chromadb client
  npm run demo -- --risk   other steps: what is normal is learnt and approved; who leaves it is slowed, challenged, quarantined, released
  npm run demo -- --help   this text
`

const say = (line: string) => void writeSync(1, `${line}\n`)

process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  let [keep, risk] = [false, false]
  try {
    const { values } = parseArgs({
      args,
      options: {
        keep: { type: 'boolean', default: false },
        risk: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false }
      }
    })
    if (values.help) return say(HELP) ?? 0
    ;({ keep, risk } = values)
    if (keep && risk) throw new Error('--keep does not go with --risk.')
  } catch (cause) {
    say(`${(cause as Error).message.split('\n')[0]} See npm run demo -- --help.`)
    return 2
  }
  const options: StackOptions = { folder: join(import.meta.dirname, '../.run/demo'), say, ...(risk ? forRisk : {}) }
  const began = performance.now()
  say('Starting on loopback (issuer, Chroma, vecauthz, Envoy):')
  const cannot = (cause: Error) => void say(`The demo cannot start: ${cause.message}`)
  const stack = await startStack(options).catch(cannot)
  if (stack === undefined) return 2
  try {
    if (risk) return await showRisk(stack, began)
    const differing =
      (await show(STEPS, sceneOf(stack), 0, began)) + (await show(APPROVAL_STEPS, { ...sceneOf(stack), requests: new Map() }, STEPS.length))
    say('\nStarting the pair beside it (egress and index servers, an Envoy beside each agent and in front of Chroma):')
    const pair = await startPair(stack, { say }).catch(cannot)
    if (pair === undefined) return 2
    return await showPair(stack, pair, differing, keep).finally(pair.stop)
  } finally {
    await stack.stop()
  }
}

async function showRisk(stack: Stack, began: number): Promise<number> {
  const scene = await riskSceneOf(stack)
  const differing = await show(RISK_STEPS, scene, 0, began).finally(scene.close)
  say(`${RISK_STEPS.length - differing} of ${RISK_STEPS.length} steps as expected${differing === 0 ? '.' : `, ${differing} NOT.`}`)
  say(`Records: ${stack.auditFile}`)
  return differing === 0 ? 0 : 1
}

async function showPair(stack: Stack, pair: Pair, before: number, keep: boolean): Promise<number> {
  say('')
  const alone = STEPS.length + APPROVAL_STEPS.length
  const differing = before + (await show(PAIR_STEPS, { ...sceneOf(stack), pair }, alone))
  const all = alone + PAIR_STEPS.length
  say(`${all - differing} of ${all} steps as expected${differing === 0 ? '.' : `, ${differing} NOT.`}`)
  say(`Records: ${[stack.auditFile, ...Object.values(pair.auditFiles)].join(', ')}`)
  if (keep) await keepUp(stack, pair, say)
  return differing === 0 ? 0 : 1
}

/** Gives how many steps were not as expected. */
async function show<S extends Scene>(steps: readonly Step<S>[], scene: S, before: number, began?: number): Promise<number> {
  let differing = 0
  for (const [at, step] of steps.entries()) {
    const outcome = await runStep(step, scene).catch((cause: Error) => cause)
    if (at === 0 && began !== undefined) say(`First decision after ${((performance.now() - began) / 1000).toFixed(1)} s.\n`)
    if (outcome instanceof Error || outcome.wrong !== undefined) differing++
    print(before + at + 1, step.name, step.shows, outcome, `${step.want.status} ${step.want.reason ?? ''}`)
  }
  return differing
}

function print(number: number, name: string, shows: string, outcome: Outcome | Error, expected: string): void {
  say(`${String(number).padStart(2)}. ${name}`)
  say(`    ${shows}`)
  if (outcome instanceof Error) {
    say(`    FAILED    ${outcome.message}\n`)
    return
  }
  const { answer, reached, wrong } = outcome
  const verdict = wrong === undefined ? 'as expected' : `DIFFERS: ${wrong}`
  say(`    expected  ${expected}`)
  say(
    `    actual    ${answer.status} ${answer.reason ?? (passed(answer.status) || answer.status === 'tls' ? '' : 'envoy')}  (${verdict}; ${reached} reached Chroma; ${answer.ms.toFixed(1)} ms)`
  )
  say(`    decision  ${answer.decisionId ?? 'none: refused before vecauthz was asked'}`)
  if (answer.approvalId !== undefined) say(`    request   ${answer.approvalId}`)
  if (answer.challenge !== undefined) say(`    challenge ${answer.challenge}`)
  const first = answer.status === 200 ? hit(answer.body) : ''
  if (first !== '') say(`    hit       ${first}`)
  say('')
}

function passed(status: number | 'tls'): boolean {
  return status !== 'tls' && status < 400
}

function hit(body: string): string {
  const { documents } = JSON.parse(body) as { documents?: (string | null)[][] }
  return documents?.[0]?.[0] ?? ''
}
