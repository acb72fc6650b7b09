/** `vecauthz replay`: what would have been, under another policy? */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { shown } from '../identity/json.ts'
import type { Policy } from '../policy/policy.ts'
import { configured, type Edges } from './check-edges.ts'
import { type Parsed, parsed, running } from './check-terminal.ts'
import { type Change, cannotSay, changeOf, compare, counted } from './replay-diff.ts'
import { type Recorded, readRecord } from './replay-facts.ts'
import { unreadable } from './svid-verify-question.ts'

const HELP = `vecauthz replay: what would another policy have said about these calls?

Usage: vecauthz replay AUDIT.jsonl --policy NEW [--config FILE|DIR] [--json]
       vecauthz replay AUDIT.jsonl --archive DIR [--config FILE|DIR] [--json]

Takes the records of an audit file and gives each decision again under the policy NEW, or each under the one that it names,
from the grant on: the workload, the end user, the tenant, the rule and its limits, at the time of the record. What is no
matter of policy (a certificate that was not valid, a call that could not be read, a spent budget, an outage) stays as it was.
Nothing is asked of anybody.

Shown are the decisions that come out otherwise: counted by what changes and by rule, by caller, then line by line. Some cannot
be said: a call of a workload that was unknown then was never read, so nobody knows what it was.

  --policy NEW        the other policy
  --archive DIR       the folder policy_archive of the server's settings: each record is judged under its own policy_revision
  --config FILE|DIR   the settings that know the databases (default: vecauthz.yaml; of a folder, that file in it)
  --json              one JSON object

Exit codes: 0 all as before, 1 some come out otherwise, 2 cannot say (a line or a file could not be read, or a fact is missing).
`

/** Faults that are shown before only their number is. */
const FAULTS_SHOWN = 10
/** A large one is tens of megabytes. */
const POLICIES_KEPT = 4

interface Replay {
  readonly records: number
  readonly changes: readonly Change[]
  readonly unknown: readonly Change[]
  readonly faults: readonly string[]
  /** Why there is no policy to judge by, to the number of records. */
  readonly missing: ReadonlyMap<string, number>
}

/** @param args what follows `replay`. @returns the exit code */
export function replayCommand(args: readonly string[], edges: Edges): Promise<number> {
  return running(args, HELP, edges, async () => {
    const options = parsed(args, ['policy', 'archive', 'config'], ['json'])
    const [file, second] = options.words
    if (file === undefined || second !== undefined) unreadable('Say which audit file to replay, one at a time: vecauthz replay FILE.')
    const under = policiesOf(options, edges)
    const replay = await replayFile(file ?? '', under)
    if (replay.records === 0 && replay.faults.length === 0) unreadable(`There is no record in ${shown(file ?? '')}.`)
    print(replay, under, options, edges)
    for (const fault of replay.faults.slice(0, FAULTS_SHOWN)) edges.complain(`vecauthz: ${fault}\n`)
    if (replay.faults.length > FAULTS_SHOWN) edges.complain(`vecauthz: and ${replay.faults.length - FAULTS_SHOWN} lines more.\n`)
    if (replay.faults.length > 0) return 2
    if (replay.changes.length > 0) return 1
    return replay.unknown.length > 0 ? 2 : 0
  })
}

/** Under which policy each record is judged. */
interface Under {
  /** For people. */
  readonly title: string
  /** The one policy, where there is one. */
  readonly revision: string | undefined
  /** Of a record, or why there is none. */
  readonly policyOf: (recorded: Recorded) => Policy | string
}

function policiesOf(options: Parsed, edges: Edges): Under {
  const [name, dir] = [options.one('policy'), options.one('archive')]
  if ((name === undefined) === (dir === undefined))
    unreadable('Say under which policy: --policy FILE, or --archive DIR for that of each record.')
  const { settings } = configured(options, edges)
  if (dir === undefined) {
    const { policy, file } = edges.loadPolicy(name ?? '', settings)
    return { title: file, revision: policy.revision, policyOf: () => policy }
  }
  const known = new Map<string, Policy | string>()
  const policyOf = ({ revision }: Recorded): Policy | string => {
    const found = known.get(revision) ?? edges.loadArchived(dir, revision, settings)
    // Records follow each other in time, so the latest few are those that are asked for again.
    if (known.size >= POLICIES_KEPT && !known.has(revision)) known.delete(known.keys().next().value ?? '')
    known.set(revision, found)
    return found
  }
  return { title: `the policies of ${dir}, each under its own`, revision: undefined, policyOf }
}

/** What operators did, how workloads stand, and the life of a request are in the same file. */
const NO_DECISION = /^\{"ts":"[^"]*","kind":"(operator_act|approval|standing|monitoring|unchecked_call)"/

async function replayFile(file: string, { policyOf }: Under): Promise<Replay> {
  const changes: Change[] = []
  const unknown: Change[] = []
  const faults: string[] = []
  const missing = new Map<string, number>()
  let at = 0
  let records = 0
  for await (const line of linesOf(file)) {
    at++
    if (line.trim() === '' || NO_DECISION.test(line)) continue
    const read = readRecord(line)
    if (!read.ok) {
      faults.push(`${file}:${at}: ${read.says}.`)
      continue
    }
    records++
    const policy = policyOf(read.recorded)
    if (typeof policy === 'string') missing.set(policy, (missing.get(policy) ?? 0) + 1)
    const compared = typeof policy === 'string' ? cannotSay(read.recorded, policy) : compare(read.facts, read.recorded, policy)
    if (compared.after === compared.before) continue
    const list = compared.after === 'unknown' ? unknown : changes
    list.push(changeOf(at, read.facts, read.recorded, compared))
  }
  return { records, changes, unknown, faults, missing }
}

/** The lines of a file of any length. Throws `Unreadable`. */
export async function* linesOf(file: string): AsyncGenerator<string> {
  try {
    yield* createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === undefined) throw cause
    unreadable(code === 'ENOENT' ? `There is no file ${shown(file)}.` : `The file ${shown(file)} cannot be read (${code}).`)
  }
}

const kindOf = ({ before, after }: Change) => `${before} -> ${after}`
const ruleOf = (one: Change) => `${kindOf(one)}${one.rule === undefined ? '' : `, by ${one.rule}`}`
const callerOf = ({ caller = 'nobody that was proven' }: Change) => caller

function print({ records, changes, unknown, missing }: Replay, { title, revision }: Under, options: Parsed, edges: Edges): void {
  const same = records - changes.length - unknown.length
  const all = [...changes, ...unknown]
  if (options.has('json')) {
    const [byRule, byCaller] = [Object.fromEntries(counted(all, ruleOf)), Object.fromEntries(counted(all, callerOf))]
    const counts = { policy_revision: revision, records, same, changed: changes.length, unknown: unknown.length }
    edges.print(
      `${JSON.stringify({ ...counts, by_rule: byRule, by_caller: byCaller, missing: Object.fromEntries(missing), decisions: all })}\n`
    )
    return
  }
  const cannot = unknown.length === 0 ? '' : `, ${unknown.length} cannot be said`
  edges.print(`${records} decisions under ${title}: ${same} as before, ${changes.length} otherwise${cannot}\n`)
  section('without a policy', [...missing], edges)
  section('by rule', counted(all, ruleOf), edges)
  section('by caller', counted(all, callerOf), edges)
  if (all.length > 0) edges.print('\ndecisions\n')
  for (const one of all) edges.print(lineOf(one))
}

function section(title: string, counts: readonly (readonly [string, number])[], edges: Edges): void {
  if (counts.length === 0) return
  edges.print(`\n${title}\n`)
  for (const [words, count] of counts) edges.print(`  ${String(count).padStart(6)}  ${words}\n`)
}

function lineOf(one: Change): string {
  const { line, ts, id, caller, operation, where, tenant, rule, after, because } = one
  const what = [operation, where.join(' and '), tenant === undefined ? '' : `for ${tenant}`].filter(Boolean).join(' ')
  const why = because ?? (after === 'allow' ? `by ${rule}` : undefined)
  return `  line ${line}  ${ts}  ${id}  ${caller ?? '-'}  ${what || '-'}\n      ${kindOf(one)}${why === undefined ? '' : `: ${why}`}\n`
}
