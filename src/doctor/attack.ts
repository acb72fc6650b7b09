/** Sends the hostile steps through a live listener, one after the other, and tells what got through. */
import { type Attack, judged, type Outcome, STEPS } from './attack-steps.ts'
import { http1, speak } from './attack-wire.ts'
import { MARK } from './attack-witness.ts'

export interface StepReport {
  readonly name: string
  /** The line of the list that closes it. */
  readonly line: string
  readonly outcome: Outcome
  readonly says: string
}

export interface AttackReport {
  /** What became of the read that is allowed: when it does not pass, that all others are refused says little. */
  readonly control: { readonly passed: boolean; readonly says: string }
  readonly steps: readonly StepReport[]
  /** Steps for which something was not given, by name. */
  readonly untried: readonly string[]
}

/** @param newMark a text of its own for each step */
export async function attack(given: Attack, newMark: () => string): Promise<AttackReport> {
  const mark = newMark()
  const heard = await speak(
    given.door,
    http1('GET', given.read, [
      ['host', given.door.name],
      [MARK, mark]
    ])
  )
  const passed = given.witness === undefined ? heard.kind === 'answer' && heard.status < 300 : given.witness.arrived(mark) !== undefined
  const steps: StepReport[] = []
  const untried: string[] = []
  for (const { name, line, run } of STEPS) {
    const tried = await run(given, newMark())
    if (tried === undefined) untried.push(name)
    else steps.push({ name, line, ...tried })
  }
  return { control: { passed, says: passed ? 'it passes' : judged(heard, given, mark).says }, steps, untried }
}

/** Nothing that got through is news only where something else does. */
export function outcomeOf({ control, steps }: AttackReport): Outcome {
  if (steps.some(({ outcome }) => outcome === 'got-through')) return 'got-through'
  return !control.passed || steps.some(({ outcome }) => outcome === 'cannot-tell') ? 'cannot-tell' : 'held'
}
