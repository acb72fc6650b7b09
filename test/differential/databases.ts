/**
 * The differential of the databases at length: `node test/differential/databases.ts --database chroma --runs 10000 --seed 1`.
 * With `--control NAME` decisions are made wrongly on purpose, and that must be found.
 * Exit code 0 without a finding, 1 with one or when the campaign proves nothing, 2 for what it was not told rightly.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { BENCHES } from './databases/benches.ts'
import { run, textOf, weaknessesOf } from './databases/campaign.ts'

const { values } = parseArgs({
  options: {
    database: { type: 'string' },
    runs: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    control: { type: 'string' }
  }
})
const [runs, seed] = [Number(values.runs), Number(values.seed)]
const begin = BENCHES[values.database as keyof typeof BENCHES]
if (begin === undefined || !Number.isInteger(runs) || !Number.isInteger(seed)) {
  process.stderr.write(
    `Usage: node test/differential/databases.ts --database ${Object.keys(BENCHES).join('|')} [--runs 10000] [--seed 1] [--control NAME]\n`
  )
  process.exit(2)
}
const bench = await begin(join(import.meta.dirname, '../../.run/differential'))
try {
  const { control } = values
  if (control !== undefined && !bench.controls.includes(control))
    throw new Error(`${bench.name} has the controls ${bench.controls.join(', ')}`)
  const told = (row: string) => void process.stdout.write(`FOUND ${row}\n`)
  const report = await run(bench, { runs, seed, told, ...(control === undefined ? {} : { control }) })
  const weak = control === undefined ? weaknessesOf(report, bench) : []
  process.stdout.write(`${[textOf(report), ...weak.map((one) => `WEAK ${one}`)].join('\n')}\n`)
  const bad = control === undefined ? report.findings.length + weak.length > 0 : report.findings.length === 0
  if (bad) process.exitCode = 1
} finally {
  await bench.stop()
}
