#!/usr/bin/env node
/** `npm run demo`: the whole stack on loopback, step by step; exit 1 when any step differs from what is expected. */
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { keepUp } from './keep.ts'
import { type Pair, startPair } from './pair.ts'
import { forRisk, riskSceneOf } from './risk.ts'
import { type Stack, type StackOptions, startStack } from './stack.ts'
import { sceneOf } from './step.ts'
import { STEPS } from './steps.ts'
import { APPROVAL_STEPS } from './steps-approvals.ts'
import { PAIR_STEPS } from './steps-pair.ts'
import { RISK_STEPS } from './steps-risk.ts'
import { show } from './table.ts'

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
      (await show(say, STEPS, sceneOf(stack), 0, began)) +
      (await show(say, APPROVAL_STEPS, { ...sceneOf(stack), requests: new Map() }, STEPS.length))
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
  const differing = await show(say, RISK_STEPS, scene, 0, began).finally(scene.close)
  say(`${RISK_STEPS.length - differing} of ${RISK_STEPS.length} steps as expected${differing === 0 ? '.' : `, ${differing} NOT.`}`)
  say(`Records: ${stack.auditFile}`)
  return differing === 0 ? 0 : 1
}

async function showPair(stack: Stack, pair: Pair, before: number, keep: boolean): Promise<number> {
  say('')
  const alone = STEPS.length + APPROVAL_STEPS.length
  const differing = before + (await show(say, PAIR_STEPS, { ...sceneOf(stack), pair }, alone))
  const all = alone + PAIR_STEPS.length
  say(`${all - differing} of ${all} steps as expected${differing === 0 ? '.' : `, ${differing} NOT.`}`)
  say(`Records: ${[stack.auditFile, ...Object.values(pair.auditFiles)].join(', ')}`)
  if (keep) await keepUp(stack, pair, say)
  return differing === 0 ? 0 : 1
}
