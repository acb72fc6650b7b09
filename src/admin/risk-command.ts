/** `vecauthz standings`, `release`, `step-up`, `baselines`, `signal` and `figure`: what people do about risk, over the admin port. */
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { type AdminAnswer, type AdminIdentity, type AdminTarget, askAdmin } from './admin-client.ts'
import { type AdminEdges, type Asked, CONNECTION_OPTIONS, identityOf, only, targetOf, told } from './admin-terminal.ts'
import { jsonLine, oneLine } from './approvals-lines.ts'
import { type Parsed, parsed, readBytes, running } from './check-terminal.ts'
import { RISK_HELP } from './risk-help.ts'
import { baselineLines, standingLines } from './risk-lines.ts'
import { SIGNAL_EVENTS, SIGNAL_ID, SIGNAL_LEVELS } from './signal-routes.ts'
import { answerStepUp, answerStepUpAsUser, STEP_UP_ID, type StepUpAnswer, type StepUpSignIn } from './step-up-client.ts'
import { unreadable } from './svid-verify-question.ts'

/** What each takes beside where and who. */
const TAKES: Readonly<Record<string, readonly string[]>> = {
  standings: [],
  release: ['reason'],
  'step-up': ['reason', 'user-token'],
  baselines: ['reason', 'tenant', 'agent-type', 'collection', 'records-a-day', 'add', 'anyway'],
  signal: ['reason', 'level', 'id'],
  figure: []
}
const OPTIONS = ['reason', 'tenant', 'agent-type', 'collection', 'records-a-day', 'user-token', 'level', 'id'] as const
const FLAGS = ['add', 'anyway'] as const

/** @param command which of them. @param args what follows it. @returns the exit code */
export function riskCommand(command: string, args: readonly string[], edges: AdminEdges): Promise<number> {
  return running(args, RISK_HELP[command] ?? '', edges, async () => {
    const options = parsed(args, [...CONNECTION_OPTIONS, ...OPTIONS], ['json', ...FLAGS])
    for (const name of [...OPTIONS, ...FLAGS]) {
      const given = options.has(name) || options.many(name).length > 0
      if (given && TAKES[command]?.includes(name) !== true) unreadable(`--${name} does not go with ${command}; see --help.`)
    }
    const asked = ASKED[command]?.(options, edges.now()) ?? unreadable('There is no such command.')
    const target = targetOf(options)
    const identity = await identityOf(options, edges)
    const now = edges.now()
    const answer = await sent(asked, target, identity, now)
    const isExport = command === 'baselines' && options.words[0] === 'export'
    return isExport && answer.status === 200 ? keepExport(answer, options, edges) : tell(command, answer, options, edges)
  })
}

function sent(asked: Asked | StepUpAnswer | StepUpSignIn, target: AdminTarget, identity: AdminIdentity, now: number): Promise<AdminAnswer> {
  if ('verdict' in asked) return answerStepUp(target, identity, asked, now)
  return 'token' in asked ? answerStepUpAsUser(target, identity, asked, now) : askAdmin(target, identity, asked, now)
}

const ASKED: Readonly<Record<string, (options: Parsed, now: number) => Asked | StepUpAnswer | StepUpSignIn>> = {
  standings: (options) => {
    only(options, 0)
    return { method: 'GET', path: '/v1/standings' }
  },
  release: (options) => {
    const [text = ''] = only(options, 1)
    return { method: 'POST', path: '/v1/standings/release', body: { scope: scopeOf(text), reason: reasonOf(options) } }
  },
  'step-up': (options) => {
    const [word = '', id = ''] = only(options, 2)
    if (word !== 'answer' && word !== 'refuse') unreadable(`"${oneLine(word)}" is neither answer nor refuse; see --help.`)
    if (!STEP_UP_ID.test(id)) unreadable(`"${oneLine(id)}" is no id of a step-up; vecauthz standings shows them.`)
    const file = options.one('user-token')
    if (file === undefined) return { id, verdict: word === 'answer' ? 'approve' : 'refuse', reason: reasonOf(options) }
    if (word !== 'answer') unreadable('--user-token goes with answer only; see --help.')
    return { id, token: readBytes(file).toString('utf8').trim(), reason: reasonOf(options) }
  },
  baselines: baselinesAsked,
  signal: signalAsked,
  figure: (options) => {
    const [workload = '', name = '', text = ''] = only(options, 3)
    if (!parseSpiffeId(workload).ok) unreadable(`"${oneLine(workload)}" is no SPIFFE ID.`)
    if (text.trim() === '' || !Number.isFinite(Number(text))) unreadable(`"${oneLine(text)}" is no number.`)
    return { method: 'POST', path: '/v1/figures', body: { workload, name, value: Number(text) } }
  }
}

function signalAsked(options: Parsed, now: number): Asked {
  const [workload = '', event = ''] = only(options, 2)
  if (!parseSpiffeId(workload).ok) unreadable(`"${oneLine(workload)}" is no SPIFFE ID.`)
  if (!(SIGNAL_EVENTS as readonly string[]).includes(event)) unreadable(`"${oneLine(event)}" is none of: ${SIGNAL_EVENTS.join(', ')}.`)
  const level = options.one('level')
  if (event === 'risk_spike' && !(SIGNAL_LEVELS as readonly (string | undefined)[]).includes(level))
    unreadable(`Say --level: one of ${SIGNAL_LEVELS.join(', ')}.`)
  if (event !== 'risk_spike' && level !== undefined) unreadable('--level goes with risk_spike only; see --help.')
  const id = options.one('id') ?? randomUUID()
  if (!SIGNAL_ID.test(id)) unreadable('--id has 1 to 128 letters, digits, ".", "_", ":" or "-".')
  const at = new Date(now).toISOString()
  return { method: 'POST', path: '/v1/signals', body: { workload, event, level, id, at, reason: reasonOf(options) } }
}

const VERBS: ReadonlySet<string> = new Set(['approve', 'freeze', 'reset', 'adopt', 'export', 'import'])

function baselinesAsked(options: Parsed): Asked {
  const [verb, what] = options.words
  if (verb === undefined) return { method: 'GET', path: '/v1/baselines' }
  if (!VERBS.has(verb)) unreadable(`"${oneLine(verb)}" is nothing that is done with baselines; see --help.`)
  const hasWord = verb === 'adopt' || verb === 'export' || verb === 'import'
  only(options, hasWord ? 2 : 1)
  if (options.has('add') && verb !== 'import') unreadable('--add goes with import only; see --help.')
  if (options.has('anyway') && verb !== 'adopt') unreadable('--anyway goes with adopt only; see --help.')
  const path = `/v1/baselines/${verb}`
  const reason = reasonOf(options)
  if (verb === 'import') {
    const baseline = readBytes(what ?? '').toString('utf8')
    return { method: 'POST', path, body: { baseline, add: options.has('add'), reason } }
  }
  const need = (name: string) => options.one(name) ?? unreadable(`Say --${name}; see --help.`)
  const key = { tenant: need('tenant'), agent_type: need('agent-type'), collection: need('collection'), reason }
  if (verb === 'adopt') return { method: 'POST', path, body: { ...key, proposal: what, anyway: options.has('anyway') } }
  const daily = options.one('records-a-day')
  if (daily === undefined) return { method: 'POST', path, body: key }
  if (verb !== 'approve') unreadable('--records-a-day goes with approve only; see --help.')
  if (!(Number(daily) >= 1)) unreadable(`"${oneLine(daily)}" is no number of records.`)
  return { method: 'POST', path, body: { ...key, records_a_day: Number(daily) } }
}

function reasonOf(options: Parsed): string {
  return options.one('reason') ?? unreadable('Say why: --reason TEXT.')
}

function scopeOf(text: string): object {
  if (parseSpiffeId(text).ok) return { workload: text }
  const [tenant, agentType, database, ...rest] = text.split('/')
  const collection = rest.join('/')
  if (text.startsWith('spiffe:') || collection === '') {
    return unreadable(`"${oneLine(text)}" is neither a SPIFFE ID nor TENANT/AGENT-TYPE/DATABASE/COLLECTION; vecauthz standings shows them.`)
  }
  return { tenant, agent_type: agentType, database, collection }
}

/** It holds the projection with which one could hide: for its owner only, and over no other file. */
function keepExport({ body }: AdminAnswer, options: Parsed, { print }: AdminEdges): number {
  const file = options.words[1] ?? ''
  const text = String(body['baseline'])
  try {
    writeFileSync(file, text, { flag: 'wx', mode: 0o600 })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    return unreadable(
      code === 'EEXIST' ? `There is a file ${oneLine(file)} already.` : `The file ${oneLine(file)} cannot be written (${code}).`
    )
  }
  print(options.has('json') ? `${jsonLine({ file, characters: text.length })}\n` : `exported: ${oneLine(file)}\n`)
  return 0
}

function tell(command: string, answer: AdminAnswer, options: Parsed, edges: AdminEdges): number {
  return told(answer, options.has('json'), () => saidBy(command, answer.body, options), edges)
}

function saidBy(command: string, body: AdminAnswer['body'], { words }: Parsed): readonly string[] {
  if (command === 'standings') return standingLines(body)
  if (command === 'baselines' && words.length === 0) return baselineLines(body)
  if (command === 'release') return [`released: it was ${String(body['was'])}, and stands normal (${oneLine(String(body['kept']))})`]
  if (command === 'step-up') return [`${oneLine(String(body['workload']))} now stands: ${String(body['standing'])}`]
  if (command === 'signal') {
    const stands = body['heard'] === 'before' ? 'it was heard before, and nothing was done' : `it now stands: ${String(body['standing'])}`
    return [`${oneLine(String(body['workload']))}: ${stands}`]
  }
  if (command === 'figure') return [`told: ${oneLine(String(body['name']))} ${String(body['value'])}`]
  const versions = Array.isArray(body['versions']) ? body['versions'].map((one) => oneLine(String(one))) : []
  return [`done: ${words[0]}${versions.length === 0 ? '' : `, version ${versions.join(', ')}`}`]
}
