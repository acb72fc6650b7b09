/**
 * `node test/mutation/run.ts [--rule X-17]`: switches each rule of the identity off in turn, in a copy of the sources, and demands
 * that tests named for the rule fail, and no others than those named on its `also` list. Takes some minutes. Exit code 1 when a
 * rule survives.
 */
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MUTATIONS, type Mutation, NO_MUTATION } from './table.ts'

const ROOT = join(import.meta.dirname, '../..')
const COPIED = ['src', 'test/core', 'test/identity', 'test/support', 'package.json', 'tsconfig.json', 'vitest.config.ts']
/** The number of a rule, and not the curve P-256. Tests without a number hold several rules at once (properties, readers of bytes), so they are not asked. */
const NUMBER = String.raw`\b(?:ID|X|P|J|W|B|U|T)-\d{1,2}\b`
const RUN_MS_MAX = 30_000

interface Outcome {
  readonly passed: number
  readonly failed: readonly FailedTest[]
}

interface FailedTest {
  readonly name: string
  /** The rules that the test is for: its title begins with them. */
  readonly rules: readonly string[]
  /** Those, and the ones that it says it expects. */
  readonly mentioned: readonly string[]
}

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string; readonly title: string }[]
  }[]
}

/** Runs the named tests of the copy. Undefined when they gave no report: a change may make a loop without end. */
function runTests(copy: string): Outcome | undefined {
  const report = join(copy, 'report.json')
  rmSync(report, { force: true })
  const options = ['--root', copy, '--project', 'unit', '--no-cache', '--fsModuleCachePath', join(copy, '.modules')]
  const once = ['--pool', 'threads', '--no-isolate', '--maxWorkers', '1', '--reporter', 'json', '--outputFile', report]
  const files = ['--exclude', 'test/identity/rules.test.ts', 'test/identity', 'test/core']
  const args = [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', ...options, ...once, '--testNamePattern', NUMBER, ...files]
  const { error } = spawnSync(process.execPath, args, { cwd: copy, stdio: 'ignore', timeout: RUN_MS_MAX })
  if (error !== undefined || !existsSync(report)) return undefined
  const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as Report
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
  return {
    passed: tests.filter(({ status }) => status === 'passed').length,
    failed: tests
      .filter(({ status }) => status === 'failed')
      .map(({ fullName, title }) => ({
        name: fullName,
        rules: rulesIn(/^(?:[A-Z]+-\d+\b\W*)+/.exec(title)?.[0] ?? ''),
        mentioned: rulesIn(fullName)
      }))
  }
}

function rulesIn(text: string): readonly string[] {
  return text.match(new RegExp(NUMBER, 'g')) ?? []
}

/** Why the mutation counts as survived; empty when the tests did what they are for. */
function complaints({ rule, also }: Mutation, outcome: Outcome | undefined, tests: number): readonly string[] {
  if (outcome === undefined) return [`the tests gave no report within ${RUN_MS_MAX / 1000} s`]
  const { passed, failed } = outcome
  if (passed + failed.length !== tests) return [`${passed + failed.length} tests ran instead of ${tests}: a file does not load`]
  const silent = failed.some(({ rules }) => rules.includes(rule)) ? [] : [`survives: no test named ${rule} fails`]
  const strangers = failed.filter(({ mentioned }) => !mentioned.some((one) => one === rule || one in also))
  const idle = Object.keys(also).filter((one) => !failed.some(({ mentioned }) => mentioned.includes(one)))
  return [
    ...silent,
    ...strangers.map(({ name }) => `fails too, and is not named for it: ${name}`),
    ...idle.map((one) => `${one} is on its list, and no test of that name fails`)
  ]
}

function mutate(copy: string, { rule, file, source, instead }: Mutation): () => void {
  const path = join(copy, file)
  const text = readFileSync(path, 'utf8')
  const found = text.split(source).length - 1
  if (found !== 1) throw new Error(`${rule}: this text stands ${found} times in ${file}, and not once: ${source}`)
  writeFileSync(
    path,
    text.replace(source, () => instead)
  )
  return () => writeFileSync(path, text)
}

function runTable(copy: string, mutations: readonly Mutation[]): number {
  for (const path of COPIED) cpSync(join(ROOT, path), join(copy, path), { recursive: true })
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  const unchanged = runTests(copy)
  if (unchanged === undefined || unchanged.failed.length > 0 || unchanged.passed === 0) {
    console.error(`without any change, the tests are not green: ${JSON.stringify(unchanged?.failed ?? 'no end')}`)
    return 1
  }
  console.log(`${unchanged.passed} tests, all green without a change`)
  let survived = 0
  for (const mutation of mutations) {
    const began = performance.now()
    const restore = mutate(copy, mutation)
    const outcome = runTests(copy)
    restore()
    const wrong = complaints(mutation, outcome, unchanged.passed)
    if (wrong.length > 0) survived++
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    console.log(
      `${mutation.rule} ${wrong.length === 0 ? 'seen' : 'NOT AS IT SHOULD'}: ${outcome?.failed.length ?? 0} tests fail (${seconds} s)`
    )
    for (const line of wrong) console.log(`  ${line}`)
  }
  const rules = new Set(mutations.map(({ rule }) => rule)).size
  console.log(
    `${mutations.length} changes to ${rules} rules, ${survived} not as they should; ${Object.keys(NO_MUTATION).length} rules without`
  )
  return survived === 0 ? 0 : 1
}

const [flag, wanted] = process.argv.slice(2)
const chosen =
  flag === undefined
    ? MUTATIONS
    : MUTATIONS.filter(({ rule }) => rule === wanted || (wanted?.endsWith('-') === true && rule.startsWith(wanted)))
if ((flag !== undefined && flag !== '--rule') || chosen.length === 0) {
  console.error('usage: node test/mutation/run.ts [--rule X-17 | --rule X-], with a rule or letter that is in test/mutation/table.ts')
  process.exitCode = 2
} else {
  const copy = mkdtempSync(join(tmpdir(), 'vecauthz-mutation-'))
  try {
    process.exitCode = runTable(copy, chosen)
  } finally {
    rmSync(copy, { recursive: true })
  }
}
