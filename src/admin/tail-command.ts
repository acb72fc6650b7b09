/** `vecauthz tail`: decisions as servers make them, in prose or as JSON lines, until somebody has seen enough. */
import { DENIALS } from '../core/deny-reason.ts'
import { compileIdPattern, type IdPattern, matchesId, parseSpiffeId } from '../core/spiffe-id.ts'
import { type AdminEdges, CONNECTION, CONNECTION_OPTIONS, identityOf, only, targetAt } from './admin-terminal.ts'
import { jsonLine, oneLine } from './approvals-lines.ts'
import { type Parsed, parsed, running } from './check-terminal.ts'
import { unreadable } from './svid-verify-question.ts'
import { followServer, type Notice, type Told } from './tail-follow.ts'

const HELP = `vecauthz tail: decisions as they are made

Usage: vecauthz tail --admin HOST:PORT [--admin HOST:PORT …] --workload-api ADDRESS [--verdict deny] [--workload ID] …

One line for each decision: when, who, what, for which tenant, and why not. Follows every server that is named, each process of it: the
write lane has an admin port of its own. A connection that ends is made again; what was decided meanwhile is shown then, and what the
server no longer has is counted: the audit record has all of it. Of several servers, one that is down is tried again. Ctrl-C ends it.
For operators and approvers.

  --workload ID           only of this SPIFFE ID, or a pattern of the policy: spiffe://example.org/acme/**
  --tenant NAME           only for this tenant
  --reason NAME           only refused for it, or let through by shadow: tenant-not-allowed (docs/why-denied.md has all)
  --verdict NAME          only allow, deny, or would-deny (what shadow let through)

Each may be repeated: any of its values will do. All that is given must hold.

  vecauthz tail --admin 127.0.0.1:9903 --workload-api unix:///run/spire/agent/api.sock --verdict deny
  vecauthz tail … --workload 'spiffe://example.org/acme/**' --reason rate-exceeded --reason cost-exceeded
  vecauthz tail … --json | jq -r .workload

With --json, lines that say "event" are about the connection: joined, lost, back, anew, left-out. Why a call was refused, in full:
vecauthz explain --decision ID --audit FILE.

${CONNECTION}`

const FILTERS = ['workload', 'tenant', 'reason', 'verdict'] as const
const VERDICTS = ['allow', 'deny', 'would-deny']

/** @param stopped resolves when the process is told to end. @returns the exit code */
export function tailCommand(args: readonly string[], edges: AdminEdges, stopped: () => Promise<unknown>): Promise<number> {
  return running(args, HELP, edges, async () => {
    const options = parsed(args, [...CONNECTION_OPTIONS, ...FILTERS], ['json'])
    only(options, 0)
    const places = options.many('admin')
    if (places.length === 0) unreadable('Say where the admin port is: --admin HOST:PORT.')
    if (new Set(places).size < places.length) unreadable('--admin names one place twice.')
    const targets = places.map((text) => targetAt(text, options))
    const isWanted = filterOf(options)
    const ending = new AbortController()
    void stopped().then(() => ending.abort())
    const { now } = edges
    // One server that is down hides no other one; that none can be had is said at once.
    const missing = new Set<number>()
    const following = targets.map((target, at) => {
      const mayWait = () => missing.add(at).size < targets.length
      const show = shower(places.length > 1, String(places[at]), options.has('json'), edges)
      const identity = () => identityOf(options, edges)
      const decided = (one: Told) => void (isWanted(one) && show.decision(one))
      return followServer({ target, identity, now, stopped: ending.signal, mayWait, decided, notice: show.notice })
    })
    try {
      await Promise.all(following)
      return 0
    } finally {
      // A fault of one ends the others as well.
      ending.abort()
      await Promise.allSettled(following)
    }
  })
}

/** Throws `Unreadable` for what nothing could ever match. */
function filterOf(options: Parsed): (one: Told) => boolean {
  const patterns = options.many('workload').map(patternOf)
  const [tenants, reasons, verdicts] = ['tenant', 'reason', 'verdict'].map((name) => new Set(options.many(name))) as [
    Set<string>,
    Set<string>,
    Set<string>
  ]
  for (const one of reasons)
    if (!Object.hasOwn(DENIALS, one)) unreadable(`"${oneLine(one)}" is no reason of a denial: docs/why-denied.md has them.`)
  for (const one of verdicts) if (!VERDICTS.includes(one)) unreadable(`"${oneLine(one)}" is none of: ${VERDICTS.join(', ')}.`)
  return (one) => {
    const has = (wanted: Set<string>, value: unknown) => wanted.size === 0 || (typeof value === 'string' && wanted.has(value))
    const verdict = one['judged'] === undefined ? one['verdict'] : 'would-deny'
    const isVerdict = has(verdicts, verdict) || (verdict === 'would-deny' && verdicts.has('allow'))
    return isVerdict && has(tenants, one['tenant']) && has(reasons, one['reason'] ?? one['judged']) && isOf(patterns, one['workload'])
  }
}

function patternOf(text: string): IdPattern {
  const compiled = compileIdPattern(text)
  return compiled.ok ? compiled.pattern : unreadable(`--workload: ${oneLine(compiled.detail)}.`)
}

function isOf(patterns: readonly IdPattern[], workload: unknown): boolean {
  if (patterns.length === 0) return true
  const read = typeof workload === 'string' ? parseSpiffeId(workload) : undefined
  return read?.ok === true && patterns.some((one) => matchesId(one, read.id))
}

function shower(isOneOfMany: boolean, server: string, json: boolean, { print, complain }: AdminEdges) {
  const prefix = isOneOfMany ? `${server} ` : ''
  return {
    decision: (one: Told) => print(json ? `${jsonLine({ server, ...one })}\n` : `${prefix}${decisionLine(one)}\n`),
    notice(one: Notice) {
      if (json) print(`${jsonLine({ server, ...one })}\n`)
      else complain(`vecauthz: ${server}: ${noticeLine(one)}\n`)
    }
  }
}

function noticeLine({ event, made = 0, shown = 0, says = '' }: Notice): string {
  const gone = made - shown
  const missed = gone === 0 ? 'all of them are shown' : `${gone} of them are shown nowhere but in the audit record`
  const meanwhile = made === 0 ? 'nothing was decided meanwhile' : `${counted(made)} meanwhile; ${missed}`
  if (event === 'joined') return 'decisions from now on'
  if (event === 'lost') return `the connection is lost, and tried again. ${oneLine(says)}`
  if (event === 'back') return `back: ${meanwhile}`
  if (event === 'anew') return `it began anew, and what the process before decided last is in its audit record only; ${meanwhile}`
  return `left out ${counted(made)}: more than are told at once, let through`
}

function counted(number: number): string {
  return number === 1 ? '1 decision' : `${number} decisions`
}

/** Names in it were chosen by others: one line, printable. */
export function decisionLine(one: Told): string {
  const say = (name: string) => (one[name] === undefined ? '' : oneLine(String(one[name])))
  const collections = Array.isArray(one['collections']) ? one['collections'].map((name) => oneLine(String(name))) : []
  const what = [say('operation'), ...collections.map((name) => (say('database') === '' ? name : `${say('database')}/${name}`))]
  const tenant = say('tenant') === '' ? '' : `for ${say('tenant')}`
  const about = [...what, tenant].filter((word) => word !== '').join(' ')
  const who = say('workload') || 'nobody proven'
  const why = say('because') || say('tells')
  const verdict = one['verdict'] === 'deny' ? 'denied ' : 'allowed'
  const ends = [
    say('reason') === '' ? '' : `: ${say('reason')}: ${why}`,
    say('judged') === '' ? '' : `; shadow let it through: ${say('judged')}`,
    ['', 'normal'].includes(say('standing')) ? '' : `; stands ${say('standing')}`
  ]
  return `${say('at')} ${verdict} ${who}${about === '' ? '' : `: ${about}`}${ends.join('')} [${say('id')}]`
}
