/** What the evaluation prints: Markdown tables. */
import { ATTACKS, type Attack } from './attacks.ts'
import { ABLATIONS } from './detectors.ts'
import { type Outcome, type Outcomes, PRODUCT, RHYTHMS } from './evaluate.ts'
import { RIVALS } from './rivals.ts'
import { middle, wilson } from './statistics.ts'
import { per10000, percent } from './targets.ts'

/** Attack cells: share of the runs that were found, in percent / queries of the attack until then, median. */
export function comparison(outcomes: Outcomes): string[] {
  const rows = [PRODUCT, ...ABLATIONS, ...RIVALS].flatMap((name) => {
    const outcome = outcomes.get(name)
    if (outcome === undefined || outcome.streams === 0) return []
    return [[name, falseAlarms(outcome), ...ATTACKS.map((attack) => cell(outcome, attack))]]
  })
  return table(['detector', 'false alarms per 10,000', ...ATTACKS], rows)
}

/** The product alone, with confidence. */
export function confidence(outcomes: Outcomes): string[] {
  const { delays } = outcomes.get(PRODUCT) as Outcome
  const rows = ATTACKS.flatMap((attack) => {
    const runs = delays[attack]
    if (runs.length === 0) return []
    const hits = runs.filter(Number.isFinite).length
    const { low, high } = wilson(hits, runs.length)
    return [[attack, `${runs.length}`, percent(hits / runs.length), `${percent(low)} to ${percent(high)}`, queries(middle(runs))]]
  })
  return table(['attack', 'runs', 'found', '95 % interval', 'queries until then, median'], rows)
}

/** Normal streams, also of rhythms that were not learnt. */
export function normality(outcomes: Outcomes): string[] {
  const rows = [PRODUCT, ...Object.keys(RHYTHMS)].map((name) => {
    const outcome = outcomes.get(name) as Outcome
    const { low, high } = wilson(outcome.alarmedStreams, outcome.streams)
    return [
      name === PRODUCT ? 'as learnt' : name,
      `${outcome.streams}`,
      `${outcome.queries}`,
      `${outcome.alarmedStreams} (${percent(low)} to ${percent(high)})`,
      falseAlarms(outcome),
      per10000(outcome.novelEpisodes, outcome).toFixed(2),
      `${outcome.quarantinedStreams}`
    ]
  })
  return table(
    ['normal streams', 'streams', 'queries', 'with a step-up', 'step-ups per 10,000 queries', 'of novelty alone', 'quarantined'],
    rows
  )
}

function falseAlarms(outcome: Outcome): string {
  const { low, high } = wilson(outcome.alarmEpisodes, outcome.queries)
  return `${per10000(outcome.alarmEpisodes, outcome).toFixed(2)} (${(1e4 * low).toFixed(2)} to ${(1e4 * high).toFixed(2)})`
}

function cell(outcome: Outcome, attack: Attack): string {
  const delays = outcome.delays[attack]
  const already = outcome.alreadyAlarmed[attack]
  if (already > delays.length) return 'in alarm'
  if (delays.length === 0) return ''
  const found = delays.filter(Number.isFinite).length
  return `${Math.round((100 * found) / delays.length)}/${queries(middle(delays))}`
}

function queries(count: number): string {
  return Number.isFinite(count) ? `${count}` : '–'
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`)
}
