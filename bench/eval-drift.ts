#!/usr/bin/env node
/**
 * `npm run eval:drift`: how well drift is found, measured through the code that the server runs, on real embeddings (docs/drift.md).
 * Exits 1 when a target is missed, 2 when it is called wrongly.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startKernel } from '../src/risk/kernel-wasm.ts'
import { type DataSet, readDataSet } from './eval/data-set.ts'
import { diceFor } from './eval/dice.ts'
import { evaluate, type Plan } from './eval/evaluate.ts'
import { comparison, confidence, normality } from './eval/tables.ts'
import { PROMISED_SHARE, percent, shortcomings } from './eval/targets.ts'

const HELP = `npm run eval:drift -- [--data DIR]... [--shared DIR] [--streams N] [--seed S] [--quick] [--no-rivals]
  --data DIR     a data set (several times: each by itself) instead of those below; its files: bench/data/manuals/NOTICE.md
  --shared DIR   where clinc150 and packages (all seven manuals) are; ../shared/drift-dataset, or EVAL_DRIFT_SHARED
  --streams N    normal streams of each data set, 1000
  --seed S       first seed, 1
  --quick        one world, few streams; no rivals
  --no-rivals    without the other detectors, which take most of the time`

const MANUALS = join(import.meta.dirname, 'data/manuals')
const SHARED = join(import.meta.dirname, '../../shared/drift-dataset')
const SHARED_SETS = ['packages', 'clinc150']
const [STREAMS, WORLDS, ATTACKS, RIVALS] = [1000, 10, 200, 20]
/** A data set that has nothing of no department borrows from another one. */
const BORROWED = 1000

const say = (line: string) => process.stdout.write(`${line}\n`)
const progress = (line: string) => process.stderr.write(`${line}\n`)
process.exitCode = main()

function main(): number {
  let given: ReturnType<typeof readArguments>
  let sets: DataSet[]
  try {
    given = readArguments()
    sets = foldersOf(given).map(readDataSet)
  } catch (cause) {
    say(cause instanceof Error ? cause.message : String(cause))
    say(HELP)
    return 2
  }
  const { plan } = given
  const kernel = startKernel()
  say(`seeds from ${plan.seed} on; at least ${plan.streams} normal streams and ${plan.attacks} runs of each attack; kernel ${kernel.kind}`)
  return sets.map((data) => report(data, sets, plan, kernel)).every((met) => met) ? 0 : 1
}

function readArguments() {
  const { values } = parseArgs({
    options: {
      data: { type: 'string', multiple: true },
      shared: { type: 'string' },
      streams: { type: 'string' },
      seed: { type: 'string' },
      quick: { type: 'boolean', default: false },
      'no-rivals': { type: 'boolean', default: false }
    }
  })
  const { quick, data, shared = process.env['EVAL_DRIFT_SHARED'] ?? SHARED } = values
  const plan: Plan = {
    seed: wholeNumber('seed', values.seed, 1),
    streams: wholeNumber('streams', values.streams, quick ? 40 : STREAMS),
    worlds: quick ? 1 : WORLDS,
    attacks: quick ? 1 : ATTACKS,
    rivals: quick || values['no-rivals'] ? 0 : RIVALS
  }
  return { plan, data, shared }
}

function wholeNumber(name: string, text: string | undefined, otherwise: number): number {
  const number = Number(text ?? otherwise)
  if (!Number.isSafeInteger(number) || number < 1) throw new Error(`--${name} is a whole number from 1 on`)
  return number
}

function foldersOf({ data, shared }: { readonly data?: string[] | undefined; readonly shared: string }): string[] {
  if (data !== undefined) return data
  const folders = SHARED_SETS.map((name) => join(shared, name))
  for (const folder of folders.filter((folder) => !existsSync(folder))) say(`LEFT OUT: there is no ${folder}; nothing below is about it`)
  return [MANUALS, ...folders.filter(existsSync)]
}

/** @returns whether all targets are met */
function report(data: DataSet, sets: readonly DataSet[], plan: Plan, kernel: ReturnType<typeof startKernel>): boolean {
  const unknown = unknownFor(data, sets)
  const departments = [...data.departments].map(([name, topics]) => `${name} ${[...topics.values()].flat().length}`)
  say(`\n## ${data.name}: ${departments.join(', ')}`)
  if (unknown.length === 0) say('LEFT OUT: the attack from unknown ground; no data set here has rows of no department')
  const started = performance.now()
  const outcomes = evaluate(data, unknown, plan, kernel, progress)
  say('\nfound in percent of the runs / queries of the attack until then, median:\n')
  for (const lines of [comparison(outcomes), confidence(outcomes), normality(outcomes)]) say(`${lines.join('\n')}\n`)
  say(
    `promised: at most ${percent(PROMISED_SHARE)} of normal streams see a step-up; ${((performance.now() - started) / 1000).toFixed(0)} s`
  )
  const short = shortcomings(data.name, outcomes, plan.streams < STREAMS)
  for (const sentence of short) say(`MISSED: ${sentence}`)
  return short.length === 0
}

function unknownFor(data: DataSet, sets: readonly DataSet[]): readonly Float32Array[] {
  if (data.unknown.length > 0) return data.unknown
  const other = sets.find((one) => one.unknown.length > 0 && one.dimensions === data.dimensions)
  return other === undefined ? [] : diceFor('unknown').shuffled(other.queries).slice(0, BORROWED)
}
