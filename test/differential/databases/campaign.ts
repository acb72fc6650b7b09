/**
 * The differential: odd requests are judged here, and what is allowed is sent to the real server exactly as it is. Whatever the
 * other tenant has carries canaries: none may be in an answer, and after each allowed change all of it is read back and compared.
 */
import type { Account } from '../../../src/world.ts'
import type { Judge, Told } from './decision.ts'
import { type Dice, diceOf } from './dice.ts'
import type { Answer, Wire } from './wire.ts'

export interface Drawn {
  /** How tenants are kept apart in what the request is about. */
  readonly mode: string
  /** What the request was before it was changed: name of a route. */
  readonly endpoint: string
  readonly changes: readonly string[]
  readonly wire: Wire
  /** Where tenants are kept apart in this way it is to be refused, unless a change makes something else of it. */
  readonly refused?: boolean
  /** The body before it was compressed. */
  readonly plain?: Buffer
}

/** Places to content: `acme/rag/handbook`. A place of the other tenant never changes, one of its own when a call names it. */
export type Content = ReadonlyMap<string, string>

/** A real server with the data of two tenants in it. */
export interface Bench {
  readonly name: string
  /** Decisions as they are made; or, in the way of a control, wrongly. */
  readonly judge: (control: string | undefined) => Promise<Judge>
  readonly controls: readonly string[]
  readonly draw: (dice: Dice) => Drawn
  /** What clients send, each once and unchanged: a campaign begins with them. */
  readonly bases: readonly ((dice: Dice) => Drawn)[]
  readonly send: (wire: Wire) => Promise<Answer>
  /** Whether the server did what it was asked. */
  readonly succeeded: (answer: Answer) => boolean
  /** Everything there is, read directly. */
  readonly content: () => Promise<Content>
  /** Whether a place is of the tenant that asks. */
  readonly isOurs: (place: string) => boolean
  /** Whether a call of those targets may change a place of its own. */
  readonly mayChange: (account: Account, place: string) => boolean
  /** What is wrong with an answer beside canaries in it, such as a count. */
  readonly judgeAnswer?: (account: Account, answer: Answer, content: Content) => string | undefined
  /** Makes everything as it was at the beginning; all of it where the other tenant's data was changed. */
  readonly mend: (all: boolean) => Promise<void>
  /** Every `mode endpoint` that must be allowed at least once. */
  readonly supported: readonly string[]
  readonly stop: () => Promise<void>
}

/** Starts a server with its data in a folder. */
export type Begin = (folder: string) => Promise<Bench>

export interface Finding {
  readonly run: number
  readonly seed: number
  readonly what: string
  readonly drawn: Drawn
}

interface Tally {
  runs: number
  allowed: number
  done: number
}

export interface Report {
  readonly bench: string
  readonly seed: number
  readonly seconds: number
  readonly total: Tally
  readonly byEndpoint: ReadonlyMap<string, Tally>
  readonly statuses: ReadonlyMap<string, number>
  readonly denials: ReadonlyMap<string, number>
  readonly findings: readonly Finding[]
  /** Why requests that clients send are denied. */
  readonly denied: ReadonlyMap<string, number>
  /** Allowed, yet refused by the server: nothing is lost, but it says little. */
  readonly refused: ReadonlyMap<string, number>
}

/**
 * Words that no answer to the tenant may hold: of the other tenant's records, and of its own that policy does not open. Each ends in
 * its only z, as in a binary answer anything may follow.
 */
const CANARY = /(?:gx|ax)(?:canary|known)[a-y0-9-]*z|globex/gi
/** A component of every vector of theirs: exact in float32, in text and in bytes; close to what clients look for. */
export const CANARY_FLOAT = 0.4853515625
/** As float32 and float64 begin in text, and its bytes. */
const FLOAT_FORMS = [Buffer.from('0.48535156'), Buffer.from(Float32Array.of(CANARY_FLOAT).buffer)]

const CHANGING = new Set(['write', 'delete', 'define', 'drop'])
/** Its own collections fill up with what is written. */
const MEND_EVERY = 40
const LOOK_EVERY = 100
const FINDINGS_MAX = 20

export interface Campaign {
  readonly runs: number
  readonly seed: number
  /** Decisions are made wrongly on purpose: then what concerns the other tenant is a finding, and the first one is enough. */
  readonly control?: string
  /** Told of each finding, as a row for a test. */
  readonly told?: (row: string) => void
}

export async function run(bench: Bench, { runs, seed, control, told }: Campaign): Promise<Report> {
  const began = performance.now()
  const judge = await bench.judge(control)
  const report = emptyReport(bench.name, seed)
  const most = control === undefined ? FINDINGS_MAX : 1
  await bench.mend(false)
  let content = await bench.content()
  let changes = 0
  for (let at = 0; at < runs && report.findings.length < most; at++) {
    const drawn = (bench.bases[at] ?? bench.draw)(diceOf(seed * 1_000_003 + at))
    const tallies = [report.total, tallyOf(report, drawn)]
    for (const one of tallies) one.runs++
    const decision = await judge.decide(drawn.wire)
    if (decision.verdict === 'deny') {
      count(report.denials, decision.kind)
      if (at < bench.bases.length && drawn.refused !== true) count(report.denied, `${drawn.mode} ${drawn.endpoint}: ${decision.because}`)
      continue
    }
    for (const one of tallies) one.allowed++
    const answer = await bench.send(decision.wire)
    count(report.statuses, answer.grpc === undefined ? String(answer.status) : `${answer.status}/${answer.grpc}`)
    if (bench.succeeded(answer)) for (const one of tallies) one.done++
    else count(report.refused, `${drawn.endpoint}: ${wordsOf(answer)}`)
    const faults = [
      leakIn(answer, drawn, content, bench, control),
      control === undefined ? bench.judgeAnswer?.(decision.account, answer, content) : undefined
    ]
    const operation = decision.account.call?.operation ?? 'write'
    if (CHANGING.has(operation) || at % LOOK_EVERY === 0) {
      const after = await bench.content()
      faults.push(changeIn(content, after, decision, bench, control))
      content = after
      changes++
    }
    const found = faults.filter((fault) => fault !== undefined)
    for (const what of found) {
      const finding = { run: at, seed, what, drawn }
      report.findings.push(finding)
      told?.(rowOf(finding))
    }
    if (found.length === 0 && changes < MEND_EVERY && operation !== 'define' && operation !== 'drop') continue
    await bench.mend(found.length > 0)
    content = await bench.content()
    changes = 0
  }
  return { ...report, seconds: (performance.now() - began) / 1000 }
}

const noTally = (): Tally => ({ runs: 0, allowed: 0, done: 0 })

function emptyReport(bench: string, seed: number) {
  const counts = () => new Map<string, number>()
  const findings: Finding[] = []
  const byEndpoint = new Map<string, Tally>()
  return {
    bench,
    seed,
    seconds: 0,
    total: noTally(),
    byEndpoint,
    statuses: counts(),
    denials: counts(),
    denied: counts(),
    refused: counts(),
    findings
  }
}

function tallyOf({ byEndpoint }: ReturnType<typeof emptyReport>, { mode, endpoint }: Drawn): Tally {
  const its = byEndpoint.get(`${mode} ${endpoint}`) ?? noTally()
  byEndpoint.set(`${mode} ${endpoint}`, its)
  return its
}

/** What an answer says, in short. */
function wordsOf({ headers, body }: Answer): string {
  const said = body
    .subarray(-160)
    .toString('latin1')
    .replace(/[^ -~]/g, '.')
  const message = /"grpc-message":"([^"]*)"/.exec(headers)?.[1] ?? ''
  return `${headers.startsWith('{') ? message : headers.split('\r\n')[0]} ${said}`
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

/** A canary that neither the request nor the tenant's own earlier ones brought along. */
function leakIn(
  { headers, body }: Answer,
  { wire, plain }: Drawn,
  content: Content,
  { isOurs }: Bench,
  control: string | undefined
): string | undefined {
  const asked = `${wire.target}\n${wire.headers.join('\n')}\n${(plain ?? wire.body)?.toString('latin1') ?? ''}`.toLowerCase()
  const told = `${headers}\n${body.toString('latin1')}`
  const strange = [...told.matchAll(CANARY)]
    .map(([word]) => word.toLowerCase())
    .find((word) => {
      if (word.startsWith('ax')) return control === undefined && !asked.includes(word)
      return !asked.includes(word) && ![...content].some(([place, text]) => isOurs(place) && text.toLowerCase().includes(word))
    })
  if (strange !== undefined) return `the answer holds ${strange}`
  return FLOAT_FORMS.some((form) => body.includes(form)) ? 'the answer holds a vector of the other tenant' : undefined
}

function changeIn(
  before: Content,
  after: Content,
  decision: Told,
  { mayChange, isOurs }: Bench,
  control: string | undefined
): string | undefined {
  for (const place of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before.get(place), after.get(place)]
    if (was === is || (isOurs(place) && (control !== undefined || mayChange(decision.account, place)))) continue
    return `${place} changed: ${difference(was, is)}`
  }
  return undefined
}

function difference(was: string | undefined, is: string | undefined): string {
  if (was === undefined) return `it is new: ${is?.slice(0, 300)}`
  if (is === undefined) return 'it is gone'
  let at = 0
  while (was[at] === is[at]) at++
  const from = Math.max(0, at - 60)
  return `…${was.slice(from, at + 120)}… became …${is.slice(from, at + 120)}…`
}

/** JSON whose objects have their keys in order: equal texts exactly for equal values. */
export function sorted(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) =>
    typeof one === 'object' && one !== null && !Array.isArray(one) ? Object.fromEntries(Object.entries(one).sort()) : one
  )
}

/** A finding as a row for a test. */
export function rowOf({ run: at, seed, what, drawn }: Finding): string {
  const { wire } = drawn
  const readable = wire.body !== undefined && /^[\t\n\r -~]*$/.test(wire.body.toString('latin1'))
  const body = readable ? wire.body?.toString() : undefined
  const bytes = readable ? undefined : wire.body?.toString('base64')
  const { method, target, headers } = wire
  return JSON.stringify({
    what,
    seed,
    run: at,
    mode: drawn.mode,
    endpoint: drawn.endpoint,
    changes: drawn.changes,
    method,
    target,
    headers,
    body,
    bytes
  })
}

/** Least part of all requests that must be allowed: a server that denies everything lets nothing through either. */
export const ALLOWED_MIN = 0.4

/** Why a campaign proves nothing; empty when it proves something. */
export function weaknessesOf({ total, byEndpoint }: Report, { supported }: Bench): readonly string[] {
  const rate = total.allowed / Math.max(1, total.runs)
  const never = supported.filter((one) => (byEndpoint.get(one)?.allowed ?? 0) === 0)
  return [
    ...(rate < ALLOWED_MIN ? [`only ${percent(rate)} of the requests were allowed, ${percent(ALLOWED_MIN)} are wanted`] : []),
    ...never.map((one) => `${one} was never allowed`)
  ]
}

const percent = (part: number): string => `${(part * 100).toFixed(1)} %`

export function textOf(report: Report): string {
  const { total, byEndpoint, statuses, denials, denied, findings, refused } = report
  const sorted = (counts: ReadonlyMap<string, number>) => [...counts].sort(([, a], [, b]) => b - a)
  return [
    `${report.bench}: ${total.runs} requests in ${report.seconds.toFixed(0)} s (seed ${report.seed}), ${percent(total.allowed / total.runs)} allowed, ` +
      `of these ${percent(total.done / Math.max(1, total.allowed))} done by the server; ${findings.length} findings`,
    ...[...byEndpoint].sort().map(([name, { runs, allowed, done }]) => `  ${name}: ${runs} requests, ${allowed} allowed, ${done} done`),
    `  answers: ${sorted(statuses)
      .map(([status, times]) => `${status} × ${times}`)
      .join(', ')}`,
    `  denials: ${sorted(denials)
      .map(([kind, times]) => `${kind} × ${times}`)
      .join(', ')}`,
    ...sorted(denied).map(([what, times]) => `  denied as clients send it: ${times} × ${what}`),
    ...sorted(refused)
      .slice(0, 12)
      .map(([what, times]) => `  allowed, and refused by the server: ${times} × ${what}`)
  ].join('\n')
}
