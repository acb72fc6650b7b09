/** `vecauthz approvals`, `approve`, `refuse`, `grants` and `end-run`: what people do about requests, over the admin port. */
import { RUN_PATTERN } from '../core/approval.ts'
import { ACTIONS } from '../core/policy-document.ts'
import { type AdminAnswer, askAdmin } from './admin-client.ts'
import { type AdminEdges, type Asked, CONNECTION, CONNECTION_OPTIONS, identityOf, only, targetOf, told } from './admin-terminal.ts'
import { entryLines, oneLine } from './approvals-lines.ts'
import { type Parsed, parsed, running } from './check-terminal.ts'
import { unreadable } from './svid-verify-question.ts'

const HELP: Readonly<Record<string, string>> = {
  approvals: `vecauthz approvals: what waits for somebody's yes?

Usage: vecauthz approvals [--all] --admin HOST:PORT --workload-api ADDRESS

Lists the requests that calls have made: who wants to do what, where, why policy asks, and until when it waits. Operators and
approvers see every one, a caller its own. Look at the targets: they are what will be dropped, changed or deleted.

  --all                   also what is approved, used or refused, as long as it is kept

${CONNECTION}`,
  approve: `vecauthz approve: let one call pass, once

Usage: vecauthz approve ID --reason TEXT --admin HOST:PORT --workload-api ADDRESS

The caller then sends the very same call again: same target, same body, same run. It passes once, within approvals.seconds of the
policy. For a grant: calls of that kind pass until it ends. You must be one of the policy's approvers, and neither the caller nor
anybody in whose name it calls.

  --reason TEXT           why: 1 to 500 characters, kept in the audit record

${CONNECTION}`,
  refuse: `vecauthz refuse: say no to a request

Usage: vecauthz refuse ID --reason TEXT --admin HOST:PORT --workload-api ADDRESS

The caller is told so, and the same call makes no new request until this one would have ended.

  --reason TEXT           why: 1 to 500 characters, kept in the audit record

${CONNECTION}`,
  grants: `vecauthz grants: permissions for one step of a job

Usage: vecauthz grants --admin HOST:PORT --workload-api ADDRESS
       vecauthz grants request --database ID --tenant NAME --operation NAME --target NAME [--run RUN] …
       vecauthz grants release ID …

Where a rule says grant: required, a workload asks for a grant (its first call does that too), somebody approves it, its calls
pass, and it gives the grant back when the step is done. Without a word more, the grants there are are listed.

  --database ID           as the server's settings name it
  --tenant NAME           for which tenant
  --operation NAME        ${ACTIONS.join(', ')}
  --target NAME           the collection, as requests show it: handbook, or rag/handbook; may be repeated
  --run RUN               the run it is for, as calls have it in x-vecauthz-run; it ends with it

${CONNECTION}`,
  'end-run': `vecauthz end-run: nothing more is approved for a run

Usage: vecauthz end-run RUN --admin HOST:PORT --workload-api ADDRESS

Whatever was asked or approved for calls with x-vecauthz-run: RUN ends now, and no call of it gets a new one. An operator ends the
run of everybody; a caller its own.

${CONNECTION}`
}

/** @param command which of them. @param args what follows it. @returns the exit code */
export function approvalsCommand(command: string, args: readonly string[], edges: AdminEdges): Promise<number> {
  return running(args, HELP[command] ?? '', edges, async () => {
    const values = [...CONNECTION_OPTIONS, 'reason', 'database', 'tenant', 'operation', 'target', 'run']
    const options = parsed(args, values, ['json', 'all'])
    checkOptions(command, options)
    const asked = ASKED[command]?.(options) ?? unreadable('There is no such command.')
    const target = targetOf(options)
    const identity = await identityOf(options, edges)
    const answer = await askAdmin(target, identity, asked, edges.now())
    return told(answer, options.has('json'), () => saidBy(command, answer.body, options), edges)
  })
}

/** What each takes beside where and who. */
const TAKES: Readonly<Record<string, readonly string[]>> = {
  approvals: ['all'],
  approve: ['reason'],
  refuse: ['reason'],
  grants: ['database', 'tenant', 'operation', 'target', 'run'],
  'end-run': []
}

function checkOptions(command: string, options: Parsed): void {
  for (const name of ['all', 'reason', 'database', 'tenant', 'operation', 'target', 'run']) {
    const given = options.has(name) || options.many(name).length > 0
    if (given && TAKES[command]?.includes(name) !== true) unreadable(`--${name} does not go with ${command}; see --help.`)
  }
}

const ASKED: Readonly<Record<string, (options: Parsed) => Asked>> = {
  approvals: (options) => {
    only(options, 0)
    return { method: 'GET', path: '/v1/approvals' }
  },
  approve: (options) => decision(options, 'approve'),
  refuse: (options) => decision(options, 'refuse'),
  grants: (options) => {
    const [word] = options.words
    if (word === undefined) return { method: 'GET', path: '/v1/grants' }
    if (word === 'release') return { method: 'POST', path: `/v1/grants/${idOf(only(options, 2)[1])}/release` }
    if (word !== 'request') return unreadable(`"${oneLine(word)}" is neither request nor release; see --help.`)
    only(options, 1)
    const need = (name: string) => options.one(name) ?? unreadable(`Say --${name}; see --help.`)
    if (options.many('target').length === 0) unreadable('Say --target; see --help.')
    const run = options.one('run')
    const what = { database: need('database'), tenant: need('tenant'), operation: need('operation'), targets: options.many('target') }
    return { method: 'POST', path: '/v1/grants', body: run === undefined ? what : { ...what, run } }
  },
  'end-run': (options) => {
    const [run = ''] = only(options, 1)
    if (!RUN_PATTERN.test(run)) unreadable('A run is 1 to 128 printable characters without spaces.')
    return { method: 'POST', path: `/v1/runs/${encodeURIComponent(run)}/end` }
  }
}

function decision(options: Parsed, verb: 'approve' | 'refuse'): Asked {
  const reason = options.one('reason') ?? unreadable('Say why: --reason TEXT.')
  return { method: 'POST', path: `/v1/approvals/${idOf(only(options, 1)[0])}/${verb}`, body: { reason } }
}

function idOf(text = ''): string {
  return /^[0-9a-f-]{8,64}$/.test(text) ? text : unreadable(`"${oneLine(text)}" is no id of a request; vecauthz approvals shows them.`)
}

function saidBy(command: string, body: AdminAnswer['body'], options: Parsed): readonly string[] {
  if (command === 'end-run') return [`ended: ${oneLine(String(body['run']))}, of ${oneLine(String(body['of']))}`]
  const all = body['approvals'] ?? body['grants']
  if (!Array.isArray(all)) return entryLines(body)
  const shown = options.has('all') || command === 'grants' ? all : all.filter((one) => one?.state === 'waiting')
  const lines = shown.flatMap((one) => [...entryLines(one), ''])
  const rest = body['more'] === true ? ['There are more than can be shown; narrow it by ending or refusing some.'] : []
  return lines.length === 0 ? [command === 'grants' ? 'No grants.' : 'Nothing waits.', ...rest] : [...lines.slice(0, -1), ...rest]
}
