#!/usr/bin/env node
/**
 * `npm run faults`: what fails around a gateway, tried on real processes under load, and what they must do then: keep every standing, answer
 * with written verdicts and the right reasons, say why they are not ready, and recover by themselves. Exit 1 when one does not.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { FAULTS, folderOf } from './faults/campaign.ts'
import type { Fault } from './faults/finding.ts'

const HELP = `npm run faults: faults, one after the other, on loopback. A quarter of an hour.

  npm run faults -- --only NAME   one of: ${FAULTS.map(({ name }) => `"${name}"`).join(', ')}
  npm run faults -- --short       seconds instead of minutes, tens instead of thousands
`
const say = (line: string) => void process.stdout.write(`${line}\n`)
// Through `exit`, which takes the started programs down too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  const asked = read(args)
  if (typeof asked === 'string') {
    say(asked)
    return asked === HELP ? 0 : 2
  }
  let wrong = 0
  for (const fault of asked.faults) {
    const began = performance.now()
    say(`${fault.name}: ${fault.what}`)
    const folder = join(import.meta.dirname, '../.run/faults', folderOf(fault))
    const found = await fault.run({ folder, short: asked.short, say: (line) => say(`  … ${line}`) }).catch((cause: Error) => {
      wrong++
      return `FAILED: ${cause.stack}`
    })
    if (typeof found === 'string') say(`  ${found}`)
    else
      for (const { must, seen, ok } of found) {
        if (!ok) wrong++
        say(`  ${ok ? 'ok   ' : 'WRONG'}  ${must}: ${seen}`)
      }
    say(`  ${((performance.now() - began) / 1_000).toFixed(0)} s`)
  }
  say(wrong === 0 ? 'Every fault was borne.' : `${wrong} things are not as they must be.`)
  return wrong === 0 ? 0 : 1
}

function read(args: string[]): { faults: readonly Fault[]; short: boolean } | string {
  try {
    const { values } = parseArgs({
      args,
      options: { only: { type: 'string', multiple: true }, short: { type: 'boolean', default: false }, help: { type: 'boolean' } }
    })
    if (values.help === true) return HELP
    const faults = FAULTS.filter(({ name }) => values.only?.includes(name) ?? true)
    return faults.length === 0 ? `There is no such fault. See --help.` : { faults, short: values.short }
  } catch (cause) {
    return `${(cause as Error).message.split('\n')[0]} See --help.`
  }
}
