/**
 * Costs as ratios in the same run, to one `crypto.verify` of ECDSA on P-256 unless told: what nobody who verifies anything can leave out.
 */
import { cpus } from 'node:os'
import { median } from './load.ts'

const ROUNDS = 120
/** Of each thing in one round, about 20 ms: long beside the clock's resolution, short beside what else the machine does. */
export const CALLS = 200
/** Rounds before the first that counts: the compiler is done with the readers after some thousand calls. */
const WARM_UP = 20

export interface Subjects {
  /** What the baseline is; one `crypto.verify` unless told. */
  readonly unit?: string
  readonly baseline: (at: number) => boolean
  readonly measured: readonly Measured[]
}

export interface Measured {
  readonly name: string
  /** Times the cost of the baseline, at most. */
  readonly target: number
  /** Makes what the calls of one round need, outside of the measured time. */
  readonly prepare: () => (at: number) => boolean
}

const say = (line: string) => process.stdout.write(`${line}\n`)

/** Measures and prints. @returns the exit code: 1 when a ratio is over its target, 2 for arguments that are no number of rounds */
export async function measureRatios(help: string, subjects: () => Promise<Subjects>, args: readonly string[]): Promise<number> {
  const rounds = Number(args[0] ?? ROUNDS)
  if (args.length > 1 || !Number.isInteger(rounds) || rounds < 1) {
    say(help)
    return 2
  }
  const { unit, baseline, measured } = await subjects()
  say(
    `node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown CPU'}; ${rounds} rounds of ${CALLS} calls, median (min to max)`
  )
  const base: number[] = []
  const costs = measured.map((): number[] => [])
  // In turn within each round, so that a slow moment of the machine falls on all of them.
  for (let round = -Math.min(rounds, WARM_UP); round < rounds; round++) {
    const before = microsPerCall(baseline)
    const now = measured.map(({ prepare }) => microsPerCall(prepare()))
    if (round < 0) continue
    base.push((before + microsPerCall(baseline)) / 2)
    for (const [index, micros] of now.entries()) costs[index]?.push(micros)
  }
  say(row(unit ?? 'crypto.verify, ECDSA on P-256', base))
  let missed = 0
  for (const [index, { name, target }] of measured.entries()) {
    const values = costs[index] ?? []
    // Pairs of one round, so that a machine that drifts moves both.
    const ratio = Number(median(values.map((one, round) => one / (base[round] ?? Number.NaN))).toFixed(3))
    if (!(ratio <= target)) missed++
    say(
      `${row(name, values)}  ${ratio.toFixed(3)} × ${unit === undefined ? 'crypto.verify' : 'that'}, at most ${target}${ratio <= target ? '' : '  TOO SLOW'}`
    )
  }
  return missed === 0 ? 0 : 1
}

function row(name: string, values: readonly number[]): string {
  const numbers = `${median(values).toFixed(2).padStart(8)} µs (${Math.min(...values).toFixed(2)} to ${Math.max(...values).toFixed(2)})`
  return `  ${name.padEnd(58)} ${numbers}`
}

/** A bench of refusals would be a bench of nothing. */
function microsPerCall(call: (at: number) => boolean): number {
  let accepted = 0
  const began = process.hrtime.bigint()
  for (let at = 0; at < CALLS; at++) if (call(at)) accepted++
  const micros = Number(process.hrtime.bigint() - began) / 1000 / CALLS
  if (accepted !== CALLS) throw new Error(`${CALLS - accepted} of ${CALLS} calls were refused`)
  return micros
}
