/** `vecauthz check`: what the server would decide about a call, without a server. */

import { printFault } from '../config/read-yaml.ts'
import { jsonLine } from './approvals-lines.ts'
import { type Assumed, decisionJson, exitCode, type Judge } from './check-decision.ts'
import { configured, type Edges } from './check-edges.ts'
import { FACT_HELP, FACT_OPTIONS, factsOf } from './check-facts.ts'
import { readRequest, readRequestJson } from './check-request-json.ts'
import { faulty, type Parsed, parsed, readBytes, running } from './check-terminal.ts'
import { unreadable } from './svid-verify-question.ts'

const HELP = `vecauthz check: what would the server decide about this call?

Usage: vecauthz check --request FILE [options]
       vecauthz check --requests FILE.jsonl [options]

The call goes the server's own way (read, identify, policy, limits, answer) without a network: what would be asked of others
is taken from files. The answer is the whole decision as JSON: verdict, reason and because, rule, tenant, targets, and what
Envoy would set, remove and send. Budgets are full for each call.

  --request FILE            an Envoy CheckRequest: protobuf JSON, or the bytes themselves
  --requests FILE           many, one JSON object a line; one line of JSON comes out for each
${FACT_HELP}  --json                    on one line

A first one, without certificate:
  {"attributes": {"request": {"http": {"method": "GET", "host": "chroma.example.org", "path": "/api/v2/heartbeat"}}}}
  vecauthz check --request first.json --assume-caller spiffe://example.org/acme/agent

"vecauthz explain" says the same in prose, and what would change it.
Exit codes: 0 allowed (each one), 1 denied, 2 cannot say (a fact is missing, something could not be read).
`

/** @param args what follows `check`. @returns the exit code */
export function checkCommand(args: readonly string[], edges: Edges): Promise<number> {
  return running(args, HELP, edges, async () => {
    const options = parsed(args, [...FACT_OPTIONS, 'request', 'requests'], ['json'])
    const [request, requests] = [options.one('request'), options.one('requests')]
    if (options.words.length > 0) unreadable(`"${options.words[0]}" is not an option; see --help.`)
    if ((request === undefined) === (requests === undefined)) unreadable('Say what to check: --request FILE or --requests FILE.')
    const config = configured(options, edges)
    const assumed = assumedBy(options)
    const judge = edges.judge(config.settings, config.written.policy, factsOf(options, config, edges.now()))
    if (requests !== undefined) return checkLines(requests, judge, assumed, edges)
    const judged = await judge(messageIn(request ?? ''), assumed)
    edges.print(`${jsonLine(decisionJson(judged), options.has('json') ? 0 : 2)}\n`)
    return exitCode(judged)
  })
}

/** The bytes of the one request that a file holds. Throws `Unreadable`. */
export function messageIn(file: string): Buffer {
  const read = readRequest(file, readBytes(file))
  return read.ok ? read.value : faulty(read.faults)
}

export function assumedBy(options: Parsed): Assumed | undefined {
  const [caller, user] = [options.one('assume-caller'), options.one('assume-user')]
  if (user === undefined) return caller === undefined ? undefined : { caller }
  if (caller === undefined) return unreadable('--assume-user says for whom a caller acts; say which with --assume-caller.')
  const [, issuer = '', tenants = ''] = /^(.+)=([^=]+)$/.exec(user) ?? unreadable('Write --assume-user ISSUER=TENANT.')
  return { caller, user: { issuer, tenants: tenants.split(',') } }
}

async function checkLines(file: string, judge: Judge, assumed: Assumed | undefined, edges: Edges): Promise<number> {
  const lines = readBytes(file).toString('utf8').split('\n')
  let worst = 0
  let count = 0
  for (const [at, text] of lines.entries()) {
    if (text.trim() === '') continue
    count++
    const read = readRequestJson(file, text, at + 1)
    const judged = read.ok ? await judge(read.value, assumed) : undefined
    const answer = read.ok ? {} : { verdict: 'unreadable', says: read.faults.map(printFault) }
    edges.print(`${jsonLine({ line: at + 1, ...(judged === undefined ? answer : decisionJson(judged)) })}\n`)
    worst = Math.max(worst, judged === undefined ? 2 : exitCode(judged))
  }
  return count === 0 ? unreadable(`There is no request in ${file}.`) : worst
}
