/** `vecauthz explain`: a decision in prose. */

import { DENIALS, type DenyKind } from '../core/deny-reason.ts'
import { shown } from '../identity/json.ts'
import { assumedBy, messageIn } from './check.ts'
import { exitCode, type Judged, noteOf } from './check-decision.ts'
import { type Configured, configured, type Edges } from './check-edges.ts'
import { FACT_HELP, FACT_OPTIONS, factsOf } from './check-facts.ts'
import { type Parsed, parsed, running } from './check-terminal.ts'
import { inProse, type Story, storyOf, type View } from './explain-story.ts'
import { linesOf } from './replay.ts'
import { type ReadRecord, readRecord } from './replay-facts.ts'
import { unreadable } from './svid-verify-question.ts'

const HELP = `vecauthz explain: why is this call allowed or denied, and what would change it?

Usage: vecauthz explain --request FILE [options]
       vecauthz explain --decision ID --audit FILE [--config FILE|DIR]

Says who calls and what the call is, goes through the checks in the order in which they are made, names the rule that allowed
it, or the check that ended it with the nearest rule and what that rule lacks. With --decision a line of the audit file is
explained: by the id that the caller got in x-vecauthz-decision, with the policy that is there now.

  --request FILE            an Envoy CheckRequest: protobuf JSON, or the bytes themselves
  --decision ID             the id of a recorded decision (its beginning will do, if it is the only one)
  --audit FILE              the audit file that has it
${FACT_HELP}  --json                    the same as one JSON object

The answer is for operators: it names rules and tenants that a caller is not told of.
Exit codes: 0 allowed, 1 denied, 2 cannot say (a fact is missing, something could not be read).
`

/** @param args what follows `explain`. @returns the exit code */
export function explainCommand(args: readonly string[], edges: Edges): Promise<number> {
  return running(args, HELP, edges, async () => {
    const options = parsed(args, [...FACT_OPTIONS, 'request', 'decision', 'audit'], ['json'])
    const [request, decision, audit] = [options.one('request'), options.one('decision'), options.one('audit')]
    if (options.words.length > 0) unreadable(`"${options.words[0]}" is not an option; see --help.`)
    const config = configured(options, edges)
    if (request !== undefined && decision === undefined) return explainRequest(request, options, config, edges)
    if (request === undefined && decision !== undefined && audit !== undefined)
      return explainRecord(decision, audit, options, config, edges)
    return unreadable('Say what to explain: --request FILE, or --decision ID with --audit FILE.')
  })
}

async function explainRequest(file: string, options: Parsed, config: Configured, edges: Edges): Promise<number> {
  const { settings, written } = config
  const facts = factsOf(options, config, edges.now())
  const judged = await edges.judge(settings, written.policy, facts)(messageIn(file), assumedBy(options))
  const note = noteOf(judged)
  print(storyOf(viewOf(judged, facts.at), written), note === undefined ? [] : [note], options, edges)
  return exitCode(judged)
}

function viewOf({ account, decision, readable, assumed }: Judged, at: number): View {
  const { caller, database, call, tenant, targets } = account
  const allowed = decision.verdict === 'allow' ? decision.grant : undefined
  const rule = allowed?.kind === 'tenant' ? allowed.rule : allowed?.kind
  const reason = decision.verdict === 'deny' ? decision.reason : undefined
  return { at, caller, assumed: assumed !== undefined, database, call, tenant, targets, readable, reason, rule }
}

type Found = Extract<ReadRecord, { ok: true }>

async function explainRecord(id: string, audit: string, options: Parsed, { written }: Configured, edges: Edges): Promise<number> {
  const { facts, recorded } = await find(id, audit)
  const { at, caller, database, call, targets } = facts
  const denied = recorded.verdict === 'deny'
  const kind = (recorded.reason ?? 'internal') as DenyKind
  if (denied && !Object.hasOwn(DENIALS, kind)) unreadable(`The record has the unknown reason ${shown(kind)}.`)
  const reason = denied ? { kind, because: recorded.because ?? '' } : undefined
  const where = database === '' ? undefined : database
  const known = targets?.map((target) => ({ ...target, tenant: recorded.tenant ?? target.tenant }))
  // A caller in the record means that there was a message to find it in.
  const readable = caller !== undefined || !kind.startsWith('call-')
  const view = {
    at,
    caller,
    assumed: false,
    database: where,
    call,
    tenant: recorded.tenant,
    targets: known,
    readable,
    reason,
    rule: recorded.rule
  }
  const notes = [`recorded ${recorded.ts} as ${recorded.id}`]
  if (recorded.revision !== written.policy.revision) {
    notes.push(
      `The policy was another one then (${recorded.revision.slice(0, 12)}); rules are explained by the one that is there now (${written.policy.revision.slice(0, 12)}).`
    )
  }
  print(storyOf(view, written), notes, options, edges)
  return denied ? 1 : 0
}

async function find(id: string, audit: string): Promise<Found> {
  const found: string[] = []
  // The lines of others are not parsed: an audit file is long.
  for await (const line of linesOf(audit)) if (line.includes(`"decision_id":"${id}`)) found.push(line)
  const [line, second] = found
  if (line === undefined) return unreadable(`There is no decision ${shown(id)} in ${shown(audit)}.`)
  if (second !== undefined) unreadable(`${found.length} decisions in ${shown(audit)} begin with ${shown(id)}; give more of the id.`)
  const read = readRecord(line)
  return read.ok ? read : unreadable(`The record of ${shown(id)} cannot be read: ${read.says}.`)
}

function print(story: Story, notes: readonly string[], options: Parsed, { print: out }: Edges): void {
  out(options.has('json') ? `${JSON.stringify({ ...story, notes })}\n` : inProse(story, notes))
}
