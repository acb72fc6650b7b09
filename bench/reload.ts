#!/usr/bin/env node
/**
 * `npm run bench:reload`: policies swapped under load. Each answer has to name its policy and to be as that one says; bad files have to
 * stay out; a large policy must neither hold the event loop up while it is compiled nor make decisions dearer. Exit 1 when one does not.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { measureRatios } from './ratios.ts'
import { reloadCampaign } from './reload-campaign.ts'
import { decisionCosts } from './reload-cost.ts'

const HELP = `npm run bench:reload: two policies in turn, under load, then a large one.

  npm run bench:reload -- --swaps 1000   how many; 1000 unless told
  npm run bench:reload -- --rate 500     requests a second
`
const LOOP_MS_MAX = 20
const LARGE = [1_000, 10_000, 10_000] as const
const say = (line: string) => void process.stdout.write(`${line}\n`)
// Through `exit`, which takes the server down too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  const asked = read(args)
  if (typeof asked === 'string') {
    say(asked)
    return asked === HELP ? 0 : 2
  }
  const folder = join(import.meta.dirname, '../.run/reload')
  const result = await reloadCampaign({ folder, ...asked, badEvery: 20, large: LARGE, largeTimes: 3, say })
  const { swaps, bad, answers, wrong, wrongs, seenAfter, whileCompiling, atRest } = result
  say(`${swaps} swaps and ${bad} bad files under ${asked.rate} requests/s: ${answers} answers, ${wrongs} not as they should be`)
  for (const words of wrong) say(`  ${words}`)
  say(`from the rename to the first answer under it: median ${seenAfter.median.toFixed(0)} ms, at most ${seenAfter.max.toFixed(0)} ms`)
  const shown = ({ max, p99, cpuMax }: typeof atRest) =>
    `by the clock ${max.toFixed(1)} ms (p99 ${p99.toFixed(1)}), in CPU time ${cpuMax.toFixed(1)} ms`
  say(`longest that the server's event loop was held: ${shown(atRest)} at rest under that load`)
  for (const one of whileCompiling)
    say(`  while ${LARGE[0]} tenants, ${LARGE[1]} workloads and ${LARGE[2]} collections compile: ${shown(one)}`)
  // What others take of the machine only adds: the best of several times is the nearest to what is ours.
  const held = Math.min(...whileCompiling.map(({ max }) => max))
  const own = Math.max(...whileCompiling.map(({ cpuMax }) => cpuMax))
  const short = held < LOOP_MS_MAX && own < LOOP_MS_MAX
  say(
    `  least by the clock ${held.toFixed(1)} ms, most in CPU time ${own.toFixed(1)} ms, below ${LOOP_MS_MAX} each${short ? '' : '  TOO LONG'}`
  )
  const dear = await measureRatios(HELP, () => decisionCosts(LARGE), ['60'])
  return wrongs === 0 && short && dear === 0 ? 0 : 1
}

/** The numbers asked for, or what to print instead. */
function read(args: string[]): { swaps: number; rate: number } | string {
  try {
    const text = { type: 'string' } as const
    const { values } = parseArgs({
      args,
      options: { swaps: { ...text, default: '1000' }, rate: { ...text, default: '500' }, help: { type: 'boolean' } }
    })
    if (values.help === true) return HELP
    const [swaps, rate] = [Number(values.swaps), Number(values.rate)]
    return Number.isInteger(swaps) && swaps > 0 && rate > 0 ? { swaps, rate } : 'swaps and rate must be above 0. See --help.'
  } catch (cause) {
    return `${(cause as Error).message.split('\n')[0]} See --help.`
  }
}
