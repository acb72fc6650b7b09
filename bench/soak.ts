#!/usr/bin/env node
/**
 * `npm run soak`: good callers with short-lived SVIDs, under authorities that change, over pooled connections, for as long as asked; exit 1 when one call is
 * refused or lost. With `--control` the limits on the age of connections are off, and exit 1 means that nobody noticed.
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { printed, soak, wrongWith } from './rotation.ts'

const HELP = `npm run soak: rotation under load, through the real Envoy to the real Chroma, on loopback.

  npm run soak -- --minutes 15     how long; 15 unless told
  npm run soak -- --rate 200       requests a second
  npm run soak -- --svid 60        lifetime of every SVID in seconds
  npm run soak -- --control        without limits on the age of connections: there must be refusals
`

const say = (line: string) => process.stdout.write(`${line}\n`)
// Through `exit`, which takes the started programs down too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  const asked = read(args)
  if (typeof asked === 'string') {
    say(asked)
    return asked === HELP ? 0 : 2
  }
  const { minutes, rate, svid: svidSeconds, control } = asked
  say(`${minutes} min of ${rate} requests/s, SVIDs of ${svidSeconds} s${control ? ', connections of any age' : ''}`)
  const folder = join(import.meta.dirname, control ? '../.run/soak-control' : '../.run/soak')
  const result = await soak({ folder, seconds: minutes * 60, rate, svidSeconds, control, everyMs: 30_000, say }).catch((cause: Error) => {
    say(`The soak cannot run: ${cause.message}`)
  })
  if (result === undefined) return 2
  say(`FINAL  ${printed(result)}`)
  const wrong = wrongWith(result, { control, svidSeconds })
  say(wrong ?? (control ? 'As expected: refusals without the limits.' : 'No good caller was refused.'))
  return wrong === undefined ? 0 : 1
}

/** The numbers asked for, or what to print instead. */
function read(args: string[]): { minutes: number; rate: number; svid: number; control: boolean } | string {
  try {
    const { values } = parseArgs({
      args,
      options: {
        minutes: { type: 'string', default: '15' },
        rate: { type: 'string', default: '200' },
        svid: { type: 'string', default: '60' },
        control: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false }
      }
    })
    if (values.help) return HELP
    const [minutes, rate, svid] = [Number(values.minutes), Number(values.rate), Number(values.svid)]
    // The shortest lifetime that the server's settings take.
    if (!(minutes > 0 && rate > 0 && svid >= 20)) return 'minutes and rate must be above 0, svid at least 20. See --help.'
    return { minutes, rate, svid, control: values.control }
  } catch (cause) {
    return `${(cause as Error).message.split('\n')[0]} See --help.`
  }
}
