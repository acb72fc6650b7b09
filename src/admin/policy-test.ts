/** `vecauthz test`: does the policy say what its authors mean it to say? */
import { CheckRequest } from '@envoyproxy/protos/auth'
import { jsonLine } from './approvals-lines.ts'
import { type Configured, configured, type Edges } from './check-edges.ts'
import { type Parsed, parsed, running } from './check-terminal.ts'
import { rulesOf } from './explain-rules.ts'
import { factsOfCase, readTests, type TestCase, type TestFile, type TestRequest } from './policy-test-cases.ts'
import { regrant } from './replay-grant.ts'
import { unreadable } from './svid-verify-question.ts'

const HELP = `vecauthz test: does the policy say what it is meant to say?

Usage: vecauthz test [--config FILE|DIR] [--json] FILE...

Each FILE has cases: who calls, what, and what is expected. A call is judged by the policy alone, as if its identity had been
proven and the call read; a request goes the whole way, from the bytes on. Budgets are full for each case.

  version: 1
  cases:
    - name: support searches its handbook
      caller: spiffe://example.org/acme/agent/support
      call: { database: demo, operation: search, tenant: acme, namespace: rag, collection: handbook, top_k: 10 }
      expect: allow
    - name: and not that of globex
      caller: spiffe://example.org/acme/agent/support
      call: { database: demo, operation: search, tenant: globex, namespace: rag, collection: handbook }
      expect: tenant-not-allowed
    - name: nor two collections by one key
      caller: spiffe://example.org/acme/agent/support
      request: { method: POST, path: /api/v2/tenants/acme/databases/rag/collections, body: '{"name":"docs-1","name":"docs-2"}' }
      expect: call-ambiguous

"expect" is allow, deny, or the reason of the denial. After the failures come the allow rules that no case needed: a rule
without a case is one that nobody will miss when it is lost, or notice when it is too wide. docs/commands.md has all keys.

  --config FILE|DIR   the settings, which name the policy (default: vecauthz.yaml; of a folder, that file in it)
  --json              one JSON object with every case and every rule

Exit codes: 0 all as expected, 1 some are not, 2 cannot say (a file could not be read).
`

interface Result {
  readonly file: string
  readonly line: number
  readonly name: string
  readonly ok: boolean
  readonly expected: string
  /** \`allow\`, or the reason. */
  readonly actual: string
  readonly because: string | undefined
  readonly rule: string | undefined
}

/** @param args what follows `test`. @returns the exit code */
export function testCommand(args: readonly string[], edges: Edges): Promise<number> {
  return running(args, HELP, edges, async () => {
    const options = parsed(args, ['config'], ['json'])
    if (options.words.length === 0) unreadable('Say which files have the tests: vecauthz test FILE...; see --help for a first one.')
    const config = configured(options, edges)
    const files = options.words.map(readTests)
    const results: Result[] = []
    for (const file of files) for (const one of file.cases) results.push(await resultOf(file, one, config, edges))
    print(results, config, options, edges)
    return results.every(({ ok }) => ok) ? 0 : 1
  })
}

type Actual = Pick<Result, 'actual' | 'because' | 'rule'>

async function resultOf(file: TestFile, { test, line }: TestFile['cases'][number], config: Configured, edges: Edges): Promise<Result> {
  const actual = await actualOf(file, test, config, edges)
  const { expect: expected, name } = test
  const ok = expected === actual.actual || (expected === 'deny' && actual.actual !== 'allow' && actual.actual !== 'unknown')
  return { file: file.file, line, name, ok, expected, ...actual }
}

async function actualOf(file: TestFile, test: TestCase, { settings, written }: Configured, edges: Edges): Promise<Actual> {
  const now = edges.now()
  if (test.request === undefined) {
    const outcome = test.call && regrant(factsOfCase(test, test.call, settings, written, now), written.policy)
    if (outcome?.verdict === 'allow') {
      // What the policy says is asked, and shadow only puts off that it counts.
      const { rule, judged, waits } = outcome
      if (judged !== undefined) return { actual: judged.kind, because: judged.because, rule: undefined }
      return { actual: waits === undefined ? 'allow' : 'approval-required', because: waits, rule }
    }
    if (outcome?.verdict === 'deny') return { actual: outcome.reason.kind, because: outcome.reason.because, rule: undefined }
    return { actual: 'unknown', because: outcome?.because, rule: undefined }
  }
  const at = test.at === undefined ? now : Date.parse(test.at)
  const facts = { at, anchors: undefined, jwtKeys: undefined, subjectKeys: new Map(), resolved: file.resolved }
  const message = messageOf(test.request, settings.databases[0]?.authorities[0] ?? '')
  const { decision } = await edges.judge(settings, written.policy, facts)(message, { caller: test.caller, user: test.user })
  if (decision.verdict === 'deny') return { actual: decision.reason.kind, because: decision.reason.because, rule: undefined }
  if (decision.judged !== undefined) return { actual: decision.judged.kind, because: decision.judged.because, rule: undefined }
  return { actual: 'allow', because: undefined, rule: decision.grant.kind === 'tenant' ? decision.grant.rule : 'probe' }
}

/** As Envoy writes it. @param host where the case names none */
function messageOf({ method, path, host, headers = {}, body, json }: TestRequest, usualHost: string): Buffer {
  const text = json === undefined ? body : JSON.stringify(json)
  const rawBody = Buffer.from(text ?? '')
  const typed = text === undefined || 'content-type' in headers ? headers : { ...headers, 'content-type': 'application/json' }
  const http = { id: 'test', method, path, host: host ?? usualHost, headers: typed, size: rawBody.length, rawBody }
  return Buffer.from(CheckRequest.encode(CheckRequest.fromPartial({ attributes: { request: { http } } })).finish())
}

function print(results: readonly Result[], { written }: Configured, options: Parsed, edges: Edges): void {
  const failed = results.filter(({ ok }) => !ok)
  const rules = rulesOf(written).map(({ source }) => ({
    rule: source,
    hits: results.filter((one) => one.ok && one.rule === source).length
  }))
  const missed = rules.filter(({ hits }) => hits === 0)
  if (options.has('json')) {
    edges.print(`${jsonLine({ cases: results, passed: results.length - failed.length, failed: failed.length, rules })}\n`)
    return
  }
  for (const { file, line, name, expected, actual, because, rule } of failed) {
    const why = because ?? (rule === undefined ? undefined : `by ${rule}`)
    edges.print(`FAIL ${file}:${line}: ${name}\n     expected ${expected}\n     actual   ${actual}${why === undefined ? '' : `: ${why}`}\n`)
  }
  edges.print(`${results.length} cases: ${results.length - failed.length} as expected, ${failed.length} not\n`)
  edges.print(
    `${rules.length} allow rules: ${rules.length - missed.length} used by a case${missed.length === 0 ? '' : `, ${missed.length} by none:`}\n`
  )
  for (const { rule } of missed) edges.print(`     ${rule}\n`)
}
