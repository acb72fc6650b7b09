/** Standings and baselines as people read them. Names in them were chosen by others: one line each, printable. */
import { oneLine } from './approvals-lines.ts'

type Fields = Readonly<Record<string, unknown>>

const fieldsOf = (value: unknown): Fields => (typeof value === 'object' && value !== null ? (value as Fields) : {})
const listOf = (value: unknown): readonly Fields[] => (Array.isArray(value) ? value.map(fieldsOf) : [])
const say = (value: unknown): string => (value === undefined || value === null ? '' : oneLine(String(value)))

export function standingLines(body: Fields): readonly string[] {
  const rows = listOf(body['standings'])
  const stale = Number(body['stale_seconds'])
  return [
    ...rows.flatMap((row) => [...standingRow(row), '']),
    ...(rows.length === 0 ? ['Everybody stands normal.'] : []),
    ...(body['more'] === true ? ['There are more than can be shown.'] : []),
    ...(stale > 2 ? [`The store was last heard ${stale} s ago: others may know more.`] : [])
  ]
}

function standingRow(row: Fields): readonly string[] {
  const scope = fieldsOf(row['scope'])
  const who =
    scope['workload'] === undefined
      ? ['tenant', 'agent_type', 'database', 'collection'].map((name) => say(scope[name])).join('/')
      : say(scope['workload'])
  const decisions = Array.isArray(row['decision_ids']) ? row['decision_ids'].map(say) : []
  const standing = say(row['standing'])
  const answers = row['for_user'] === true ? 'the end user by signing in again, or ' : ''
  const lines: [string, string][] = [
    ['why', `${say(row['cause'])}: ${say(row['says'])}`],
    ['since', say(row['since'])],
    ['until', say(row['until']) || 'somebody ends it'],
    ['shown by', decisions.join(' ')],
    ['answered by', standing === 'step-up' ? `${answers}vecauthz step-up answer ${say(row['id'])}` : '']
  ]
  return [`${who}  ${standing}`, ...shown(lines)]
}

export function baselineLines(body: Fields): readonly string[] {
  const rows = listOf(body['baselines'])
  return rows.length === 0
    ? ['Nothing was searched yet, so nothing is learnt.']
    : rows.flatMap((row) => [...baselineRow(row), '']).slice(0, -1)
}

function baselineRow(row: Fields): readonly string[] {
  const frozen = (value: unknown) => {
    if (value === undefined) return ''
    const { version, bursts, queries, neighbourhoods, kinds, by, at } = fieldsOf(value)
    const of =
      kinds === undefined
        ? [`${say(queries)} queries`, `${say(neighbourhoods)} neighbourhoods`]
        : [`${say(queries)} calls`, `${say(kinds)} kinds of calls`]
    return `${say(version)}: ${of[0]} in ${say(bursts)} bursts, ${of[1]}; by ${say(by)}, ${say(at)}`
  }
  const daily = fieldsOf(row['in_force'])['records_a_day']
  const lines: [string, string][] = [
    ['in force', frozen(row['in_force'])],
    ['waiting', frozen(row['waiting'])],
    ['a day', daily === undefined ? '' : `${say(daily)} records`],
    ['learnt', row['learning'] === undefined ? '' : learningLine(fieldsOf(row['learning']))],
    ...listOf(row['proposals']).map((one): [string, string] => ['proposed', proposalLine(one)])
  ]
  return [`${['tenant', 'agent_type', 'collection'].map((name) => say(row[name])).join('  ')}  ${say(row['state'])}`, ...shown(lines)]
}

function learningLine(its: Fields): string {
  const [judges, rhythm] = [Number(its['bursts_until_it_judges']), Number(its['bursts_until_rhythm_counts'])]
  const missing = judges > 0 ? `${judges} bursts until it could judge` : rhythm > 0 ? `${rhythm} bursts until rhythm counts` : 'enough'
  const full = its['full'] === true ? '; full' : ''
  const [what, whose] = its['workloads'] === undefined ? ['calls', ''] : ['queries', ` of ${say(its['workloads'])} workloads`]
  return `${say(its['queries'])} ${what} in ${say(its['bursts'])} bursts${whose}: ${missing}${full}`
}

function proposalLine(one: Fields): string {
  const who = listOf(one['supporters']).map((its) => {
    const standing = its['standing'] === 'normal' ? '' : `, ${say(its['standing'])}`
    const raised = its['raised_meanwhile'] === true ? ', does not count' : ''
    return `${say(its['workload'])} (${say(its['queries'])}${standing}${raised})`
  })
  const doubts = one['doubts'] === undefined ? '' : `; takes --anyway: ${say(one['doubts'])}`
  return `${say(one['id'])}: ${say(one['queries'])} queries of ${who.join(', ')}; ${say(one['first_at'])} to ${say(one['last_at'])}${doubts}`
}

function shown(lines: readonly [string, string][]): readonly string[] {
  return lines.filter(([, value]) => value !== '').map(([name, value]) => `  ${name.padEnd(12)}${value}`)
}
