#!/usr/bin/env node
/** `npm run audit:campaign`: the audit under load, with a sink that is slow, down or full, and a server that is stopped or killed. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { diskFull, downAtEnd, killed, sinkDown, slowSink } from './audit-campaign.ts'
import { openAuditStage } from './audit-server.ts'

const HELP = `npm run audit:campaign: the audit under load.

  npm run audit:campaign -- --rate 1000     requests a second; 1200 unless told
  npm run audit:campaign -- --seconds 10    how long each part lasts; 10 unless told
`
const RATE_MIN = 1_000
const say = (line: string) => void process.stdout.write(`${line}\n`)
// Through `exit`, which takes the server down too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
process.exitCode = await main(process.argv.slice(2))

async function main(args: string[]): Promise<number> {
  const text = { type: 'string' } as const
  const { values } = parseArgs({
    args,
    options: { rate: { ...text, default: '1200' }, seconds: { ...text, default: '10' }, help: { type: 'boolean' } }
  })
  const asked = { rate: Number(values.rate), seconds: Number(values.seconds) }
  if (values.help === true || !(asked.rate > 0) || !(asked.seconds > 0)) {
    say(HELP)
    return values.help === true ? 0 : 2
  }
  const stage = await openAuditStage(join(import.meta.dirname, '../.run/audit'))
  let wrong = 0
  const check = (good: boolean, line: string) => {
    if (!good) wrong++
    say(`${good ? '  yes' : '  NO '}  ${line}`)
  }
  try {
    const slow = await slowSink(stage, asked)
    say(`a sink that takes 200 ms, ${slow.rate.toFixed(0)} answers/s, then SIGTERM: ${slow.answers} answers in ${slow.batches} batches`)
    check(slow.rate >= Math.min(RATE_MIN, asked.rate * 0.9), `the rate was reached`)
    check(
      slow.missingAtSink + slow.missingInFile + slow.unrecorded === 0,
      `missing at the sink ${slow.missingAtSink}, in the file ${slow.missingInFile}, refused for want of room ${slow.unrecorded}`
    )
    check(slow.verdict.code === 0 && slow.verdict.chains[0]?.ended === true, 'the chain is whole, and its run ended')
    const kill = await killed(stage, asked)
    say(
      `kill -9 under load: ${kill.answers} answers, ${kill.lostInFile} lost of the file, the oldest of them answered ${kill.lossWindowMs} ms before`
    )
    check(kill.lossWindowMs < 1_000, 'what is lost lies in the last second')
    check(kill.inFile.chains[0]?.ended === false, 'the run is said not to have ended')
    const cut = kill.far.findings.find((one) => one.kind === 'cut')
    check(kill.missingFar > 0 && cut !== undefined, `the sink that was behind misses ${kill.missingFar}: ${cut?.says ?? 'not found'}`)
    const down = await sinkDown(stage, asked)
    say(`a sink that is down: ${down.answers} answers on record, ${down.refusedWhileDown} calls refused until it was back`)
    check(down.missingAtSink === 0, `missing at the sink afterwards: ${down.missingAtSink}`)
    const end = await downAtEnd(stage, asked)
    say(`a sink that is down until SIGTERM: ${end.answers} answers, ${end.before} delivered by then, all by the next process`)
    check(end.code === 0 && end.verdict.code === 0, 'none is missing, and the chain is whole')
    if (existsSync('/dev/full')) {
      const full = await diskFull(stage, asked)
      say('a disk that is full')
      check(full.passedAfter === 0, `calls that pass once there is no room: ${full.passedAfter}`)
    }
    return wrong === 0 ? 0 : 1
  } finally {
    await stage.close()
  }
}
