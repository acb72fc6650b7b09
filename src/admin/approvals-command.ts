/** `vecauthz approvals`, `approve`, `refuse`, `grants` and `end-run`: what people do about requests, over the admin port. */
import { RUN_PATTERN } from '../core/approval.ts'
import { ACTIONS } from '../core/policy-document.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { readCertificate } from '../identity/x509-certificate.ts'
import { readLeaf } from '../identity/x509-leaf.ts'
import { type AdminAnswer, type AdminIdentity, type AdminTarget, askAdmin } from './admin-client.ts'
import { entryLines, oneLine } from './approvals-lines.ts'
import { type Output, type Parsed, parsed, readBytes, running } from './check-terminal.ts'
import { readPemCertificates } from './svid-verify-pem.ts'
import { unreadable } from './svid-verify-question.ts'

export interface AdminEdges extends Output {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Our SVID and its bundles from a Workload API. Rejects with `Unreadable`. */
  readonly identityFrom: (workloadApi: string) => Promise<AdminIdentity>
}

const CONNECTION = `Where, and who you are:
  --admin HOST:PORT       the admin port: admin.listen of the server's settings
  --workload-api ADDRESS  take SVID and bundles from a Workload API: unix:///run/spire/agent/api.sock
  --svid FILE             or from files: your certificate and its intermediates (PEM),
  --key FILE              its private key (PEM),
  --bundle FILE           the trust bundle of your trust domain (PEM)
  --server ID             go on only if the server has this SPIFFE ID; without it, any SVID that verifies will do
  --json                  the server's answer as one JSON object

Exit codes: 0 done, 1 the server says no, 2 cannot say (unreachable, not proven, bad arguments).
`

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
    const values = [
      'admin',
      'workload-api',
      'svid',
      'key',
      'bundle',
      'server',
      'reason',
      'database',
      'tenant',
      'operation',
      'target',
      'run'
    ]
    const options = parsed(args, values, ['json', 'all'])
    checkOptions(command, options)
    const asked = ASKED[command]?.(options) ?? unreadable('There is no such command.')
    const target = targetOf(options)
    const identity = await identityOf(options, edges)
    const answer = await askAdmin(target, identity, asked, edges.now())
    return tell(command, answer, options, edges)
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

interface Asked {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: unknown
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

function only(options: Parsed, count: number): readonly string[] {
  const { words } = options
  if (words.length < count) unreadable('Something is missing; see --help.')
  return words.length === count ? words : unreadable(`"${oneLine(words[count] ?? '')}" is one word too many; see --help.`)
}

function idOf(text = ''): string {
  return /^[0-9a-f-]{8,64}$/.test(text) ? text : unreadable(`"${oneLine(text)}" is no id of a request; vecauthz approvals shows them.`)
}

function targetOf(options: Parsed): AdminTarget {
  const text = options.one('admin') ?? unreadable('Say where the admin port is: --admin HOST:PORT.')
  const [, six, host = six, port] = /^(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text) ?? []
  if (host === undefined || Number(port) > 65_535) return unreadable('--admin is HOST:PORT, such as 127.0.0.1:9903.')
  const server = options.one('server')
  if (server !== undefined && !parseSpiffeId(server).ok) unreadable('--server is a SPIFFE ID, such as spiffe://example.org/vecauthz.')
  return { host, port: Number(port), server }
}

async function identityOf(options: Parsed, edges: AdminEdges): Promise<AdminIdentity> {
  const [address, svid, key, bundle] = ['workload-api', 'svid', 'key', 'bundle'].map((name) => options.one(name))
  const files = svid !== undefined || key !== undefined || bundle !== undefined
  if (address !== undefined) {
    return files ? unreadable('Give --workload-api, or --svid, --key and --bundle.') : edges.identityFrom(address)
  }
  if (svid === undefined || key === undefined || bundle === undefined)
    return unreadable('Say who you are: --workload-api ADDRESS, or --svid, --key and --bundle.')
  const [leaf] = certificatesIn(svid)
  const read = leaf === undefined ? undefined : readCertificate(leaf)
  const stated = read?.ok ? readLeaf(read.certificate) : undefined
  if (!stated?.ok) return unreadable(`The file ${oneLine(svid)} does not begin with an X.509-SVID.`)
  const x509 = new Map([[stated.id.trustDomain, certificatesIn(bundle)]])
  return {
    cert: readBytes(svid).toString('utf8'),
    key: readBytes(key).toString('utf8'),
    trust: { generation: 1, x509, receivedAt: edges.now() }
  }
}

function certificatesIn(file: string): readonly Uint8Array[] {
  const read = readPemCertificates(readBytes(file).toString('utf8'))
  if (!read.ok) return unreadable(`The file ${oneLine(file)} ${read.detail}.`)
  return read.certificates.length > 0 ? read.certificates : unreadable(`The file ${oneLine(file)} has no certificate.`)
}

function tell(command: string, { status, body }: AdminAnswer, options: Parsed, { print, complain }: AdminEdges): number {
  const code = status < 300 ? 0 : status < 500 ? 1 : 2
  if (options.has('json')) print(`${JSON.stringify(body)}\n`)
  else if (code !== 0) complain(`vecauthz: ${oneLine(String(body['detail'] ?? `status ${status}`))}\n`)
  else print(`${saidBy(command, body, options).join('\n')}\n`)
  return code
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
