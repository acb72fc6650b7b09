/** A report as text for people, and as JSON for programs. */
import { stringify } from 'yaml'
import type { EnvoyDocument } from './document.ts'
import type { Finding, Fix } from './finding.ts'
import type { Judged, Report, Verdict } from './judge.ts'
import { isMessage, type Path } from './values.ts'

const WORDS = { pass: 'PASS', fail: 'FAIL', 'cannot-tell': 'CANNOT TELL' } as const satisfies Record<Verdict, string>
const MARGIN = ' '.repeat(13)
const HOPS = {
  gateway: 'in front of the databases (gateway or index)',
  egress: 'beside an agent, and asks (egress)',
  sidecar: 'beside an agent, and decides nothing'
} as const

/** @param source file or URL. @param brief leaves out the lines that pass */
export function reportLines(source: string, report: Report, brief: boolean): readonly string[] {
  const { judged, elsewhere, hops, document, ownCalls } = report
  const shown = judged.filter(({ verdict }) => !brief || verdict !== 'pass')
  const counts = (['pass', 'fail', 'cannot-tell'] as const).map((verdict) => ({
    verdict,
    number: judged.filter((one) => one.verdict === verdict).length
  }))
  const told = counts.map(({ verdict, number }) => `${number} ${WORDS[verdict]}`).join(', ')
  const others = elsewhere.length === 0 ? '' : `; ${elsewhere.length} lines are about other hops`
  return [
    `${source}: ${hops.map((hop) => HOPS[hop]).join('; ')}`,
    ...(ownCalls === 0 ? [] : [`${ownCalls} listeners are for the calls of the pod itself, its metrics and its readiness, and left out.`]),
    ...(document.note === undefined ? [] : [document.note]),
    '',
    ...shown.flatMap((one) => judgedLines(one, document)),
    ...(shown.length > 0 ? [''] : []),
    `${told}${others}`
  ]
}

function judgedLines({ check, verdict, findings }: Judged, document: EnvoyDocument): readonly string[] {
  const first = `${WORDS[verdict].padEnd(MARGIN.length)}${check.line}  [${check.id}]`
  if (verdict === 'pass') return [first]
  const details = findingLines(findings, document)
  return [first, `${MARGIN}why: ${check.why}`, ...details.map((line) => `${MARGIN}${line}`)]
}

/** The same said of many places is said once, with the first of them. */
function findingLines(findings: readonly Finding[], document: EnvoyDocument): readonly string[] {
  const bySentence = Map.groupBy(findings, ({ says, fix }) => (fix === undefined ? says : `${says} ${JSON.stringify(fix)}`))
  return [...bySentence.values()].flatMap((same) => {
    const [{ at, says, fix }] = same as [Finding, ...Finding[]]
    const more = same.length === 1 ? '' : ` (and at ${same.length - 1} more)`
    const where = at.length === 0 ? '' : `${whereOf(document, at)}${more}: `
    return [`${where}${says}`, ...(fix === undefined ? [] : fixLines(fix, document))]
  })
}

function fixLines(fix: Fix, document: EnvoyDocument): readonly string[] {
  if (fix.kind === 'do') return [`fix: ${fix.text}`]
  const where = whereOf(document, fix.at)
  if (fix.kind === 'remove') return [`fix: remove ${where}`]
  const yaml = stringify(fix.kind === 'insert' ? [fix.value] : fix.value, { lineWidth: 0 })
    .trimEnd()
    .split('\n')
    .map((line) => `  ${line}`)
  const head = {
    put: `fix: in ${where}, put`,
    replace: `fix: in the place of ${where}, put`,
    insert: `fix: in ${where}, before element ${fix.kind === 'insert' ? fix.index : 0} (from 0), put`
  }
  return [head[fix.kind], ...yaml]
}

export function verdictOf({ judged }: Report): Verdict {
  const has = (verdict: Verdict) => judged.some((one) => one.verdict === verdict)
  return has('fail') ? 'fail' : has('cannot-tell') || judged.length === 0 ? 'cannot-tell' : 'pass'
}

export function reportJson(source: string, report: Report): object {
  return {
    source,
    hops: report.hops,
    ...(report.ownCalls === 0 ? {} : { own_calls: report.ownCalls }),
    verdict: verdictOf(report),
    lines: report.judged.map(({ check, verdict, findings }) => ({
      id: check.id,
      line: check.line,
      verdict,
      ...(verdict === 'pass'
        ? {}
        : { why: check.why, findings: findings.map((one) => ({ ...one, where: whereOf(report.document, one.at) })) })
    })),
    elsewhere: report.elsewhere.map(({ id }) => id)
  }
}

/** A path with the names that things have in the file: `listeners[gateway_in].filter_chains[0]…`. */
function whereOf(document: EnvoyDocument, path: Path): string {
  let here: unknown = document.root.value
  const parts = path.map((key) => {
    here = isMessage(here) || Array.isArray(here) ? (here as Record<string | number, unknown>)[key] : undefined
    if (typeof key === 'string') return key.includes('.') ? `["${key}"]` : `.${key}`
    const name = isMessage(here) ? here['name'] : undefined
    return `[${typeof name === 'string' ? name : key}]`
  })
  return parts.join('').replace(/^\.(static_resources\.)?/, '') || 'the document'
}
