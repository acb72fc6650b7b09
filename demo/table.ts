/** The demo's table: each step with what was expected of it and what came. */
import { type Outcome, runStep, type Scene, type Step } from './step.ts'

type Say = (line: string) => void

/**
 * Runs steps one after the other, and gives how many were not as expected.
 * @param before number of the step before the first
 * @param began when the first decision was waited for, by performance.now()
 */
export async function show<S extends Scene>(
  say: Say,
  steps: readonly Step<S>[],
  scene: S,
  before: number,
  began?: number
): Promise<number> {
  let differing = 0
  for (const [at, step] of steps.entries()) {
    const outcome = await runStep(step, scene).catch((cause: Error) => cause)
    if (at === 0 && began !== undefined) say(`First decision after ${((performance.now() - began) / 1000).toFixed(1)} s.\n`)
    if (outcome instanceof Error || outcome.wrong !== undefined) differing++
    print(say, before + at + 1, step.name, step.shows, outcome, `${step.want.status} ${step.want.reason ?? ''}`)
  }
  return differing
}

function print(say: Say, number: number, name: string, shows: string, outcome: Outcome | Error, expected: string): void {
  say(`${String(number).padStart(2)}. ${name}`)
  say(`    ${shows}`)
  if (outcome instanceof Error) {
    say(`    FAILED    ${outcome.message}\n`)
    return
  }
  const { answer, reached, wrong } = outcome
  const verdict = wrong === undefined ? 'as expected' : `DIFFERS: ${wrong}`
  say(`    expected  ${expected}`)
  say(
    `    actual    ${answer.status} ${answer.reason ?? (passed(answer.status) || answer.status === 'tls' ? '' : 'envoy')}  (${verdict}; ${reached} reached Chroma; ${answer.ms.toFixed(1)} ms)`
  )
  say(`    decision  ${answer.decisionId ?? 'none: refused before vecauthz was asked'}`)
  if (answer.approvalId !== undefined) say(`    request   ${answer.approvalId}`)
  if (answer.challenge !== undefined) say(`    challenge ${answer.challenge}`)
  const first = answer.status === 200 ? hit(answer.body) : ''
  if (first !== '') say(`    hit       ${first}`)
  say('')
}

function passed(status: number | 'tls'): boolean {
  return status !== 'tls' && status < 400
}

function hit(body: string): string {
  const { documents } = JSON.parse(body) as { documents?: (string | null)[][] }
  return documents?.[0]?.[0] ?? ''
}
