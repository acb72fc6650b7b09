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
const known = BENCHES[values.database as keyof typeof BENCHES]
if (
  known === undefined ||
  (values.control !== undefined && !known.controls.includes(values.control)) ||
  !Number.isInteger(runs) ||
  !Number.isInteger(seed)
) {
  process.stderr.write(
    `Usage: node test/differential/databases.ts --database ${Object.keys(BENCHES).join('|')} [--runs 10000] [--seed 1] [--control ${known?.controls.join('|') ?? 'NAME'}]\n`
  )
  process.exit(2)
}
const bench = await known.begin(join(import.meta.dirname, '../../.run/differential'), values.control)
try {
  const report = await run(bench, runs, seed, (line) => process.stdout.write(`FOUND ${line}\n`))
  const weak = weaknessesOf(report, bench)
  process.stdout.write(`${[textOf(report), ...weak.map((one) => `WEAK ${one}`)].join('\n')}\n`)
  const bad = values.control === undefined ? report.findings.length + weak.length > 0 : report.findings.length === 0
  if (bad) process.exitCode = 1
} finally {
  await bench.stop()
}
