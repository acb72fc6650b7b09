/**
 * Conditions of rules, in CEL (the Common Expression Language): typed, and bounded before they are ever run. What is absent is
 * absent: to ask for it without `has()` is an error, and a rule whose condition fails does not apply.
 */
import { type ASTNode, Environment, type ParseResult } from '@marcbachmann/cel-js'

/** What a condition speaks about: `name.field` to its type. The reference page is generated from this. */
export const FACTS = {
  subject: {
    id: 'string',
    trust_domain: 'string',
    path: 'string',
    owner: 'string',
    agent_type: 'string',
    attestation: 'string',
    purposes: 'list<string>',
    user: 'string',
    user_issuer: 'string',
    actors: 'list<string>'
  },
  resource: {
    database: 'string',
    namespace: 'string',
    collection: 'string',
    tenant: 'string',
    region: 'string',
    tags: 'list<string>'
  },
  environment: {
    ring: 'string',
    zone: 'string',
    purpose: 'string',
    time: 'google.protobuf.Timestamp',
    exposure: 'int',
    top_k: 'int',
    queries: 'int',
    records: 'int',
    vectors_out: 'bool'
  }
} as const

export type Facts = { readonly action: string } & {
  readonly [Name in keyof typeof FACTS]: { readonly [Field in keyof (typeof FACTS)[Name]]?: unknown }
}

export interface When {
  readonly text: string
  /** Undefined when it holds, else why not. */
  readonly fails: (facts: Facts) => string | undefined
}

export type WhenResult =
  | { readonly ok: true; readonly when: When }
  /** `at`: characters into the text. */
  | { readonly ok: false; readonly says: string; readonly at: number }

/** A condition that people can still read. */
const TEXT_MAX = 1024
const NODES_MAX = 200
const DEPTH_MAX = 16
/** Lists of facts are held to this by the schema; longer ones (actors of a token) are absent. */
export const WHEN_LIST_MAX = 32
/** Steps of one evaluation in the worst case, as counted at load: about 100 µs. */
const STEPS_MAX = 2_000

/** Cheap whatever they are given. No regular expressions (the library's backtrack), and nothing that builds lists. */
const FUNCTIONS = new Set(
  'has size timestamp duration startsWith endsWith contains getFullYear getMonth getDate getDayOfMonth getDayOfWeek getHours getMinutes'.split(
    ' '
  )
)
const LOOPS = new Set(['all', 'exists', 'exists_one'])

const LANGUAGE = new Environment({
  limits: { maxAstNodes: NODES_MAX, maxDepth: DEPTH_MAX, maxListElements: WHEN_LIST_MAX, maxMapEntries: 0, maxCallArguments: 4 }
}).registerVariable('action', 'string')
for (const [name, schema] of Object.entries(FACTS)) LANGUAGE.registerVariable({ name, schema })

export function compileWhen(text: string): WhenResult {
  if (text.length > TEXT_MAX) return refused(`longer than ${TEXT_MAX} characters`, 0)
  let parsed: ParseResult
  try {
    parsed = LANGUAGE.parse(text)
  } catch (cause) {
    return refusedFor(cause)
  }
  const cost = costOf(parsed.ast, false)
  if ('says' in cost) return refused(cost.says, cost.at)
  if (cost.steps > STEPS_MAX) return refused(`up to ${cost.steps} steps, and ${STEPS_MAX} is the most`, 0)
  const checked = parsed.check()
  if (!checked.valid) return refusedFor(checked.error)
  if (checked.type !== 'bool') return refused(`it is a ${checked.type}, and a condition is true or false`, 0)
  return { ok: true, when: { text, fails: (facts) => failure(parsed, facts) } }
}

function failure(parsed: ParseResult, facts: Facts): string | undefined {
  try {
    return parsed(facts) === true ? undefined : 'is not true'
  } catch (cause) {
    return `cannot be told: ${summaryOf(cause)}`
  }
}

type Cost = { readonly steps: number } | { readonly says: string; readonly at: number }

/** Most steps that an evaluation can take, or what in it is not for conditions. */
function costOf(node: ASTNode, looping: boolean): Cost {
  const { op, args } = node
  const called = op === 'call' || op === 'rcall' ? (args[0] as string) : undefined
  const loops = op === 'rcall' && LOOPS.has(args[0] as string)
  if (called !== undefined && !loops && !FUNCTIONS.has(called)) {
    return { says: `${called}() is not for conditions; there are ${[...FUNCTIONS, ...LOOPS].join(', ')}`, at: node.start }
  }
  if (loops && looping) return { says: `${called}() within another one`, at: node.start }
  if (op === 'map') return { says: 'a map is not for conditions', at: node.start }
  const children = nodesOf(args)
  const list = loops ? children[0] : op === 'in' ? children[1] : undefined
  // Then it is no longer than a list can be written or handed in here.
  if (list !== undefined && list.op !== 'list' && list.op !== '.')
    return { says: 'only a written list or a field is looked through', at: list.start }
  let steps = op === 'in' ? WHEN_LIST_MAX : 1
  for (const [at, child] of children.entries()) {
    const cost = costOf(child, looping || (loops && at > 0))
    if ('says' in cost) return cost
    steps += loops && at > 0 ? cost.steps * WHEN_LIST_MAX : cost.steps
  }
  return { steps }
}

function nodesOf(args: unknown): ASTNode[] {
  if (Array.isArray(args)) return args.flatMap(nodesOf)
  return typeof args === 'object' && args !== null && 'op' in args ? [args as ASTNode] : []
}

function refused(says: string, at: number): WhenResult {
  return { ok: false, says, at }
}

function refusedFor(cause: unknown): WhenResult {
  const range = typeof cause === 'object' && cause !== null && 'range' in cause ? (cause.range as { start: number } | undefined) : undefined
  return refused(summaryOf(cause), range?.start ?? 0)
}

/** The library's first line: names and types of the policy's text. */
function summaryOf(cause: unknown): string {
  const summary = typeof cause === 'object' && cause !== null && 'summary' in cause ? String(cause.summary) : 'it failed'
  return summary.split('\n')[0]?.slice(0, 200) ?? summary
}
