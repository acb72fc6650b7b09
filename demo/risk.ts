/** The agents of the steps of risk (steps-risk.ts): one type, many identities, what they ask, and what people say about them. */
import type { Agent } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { type AdminDoor, admin, gatewayDesk, type Said } from './approve.ts'
import { type Answer, type Credentials, call, keptOpen } from './client.ts'
import { APPROVER, DATABASE, OPERATOR, TRUST_DOMAIN } from './identities.ts'
import { MANUAL, type Questions, readQuestions, seedManual, type Title } from './manuals.ts'
import type { Stack, StackOptions } from './stack.ts'
import { type Scene, sceneOf } from './step.ts'

/** As many as learn at the same time: each has one burst, and it takes twelve bursts to judge, forty to know a rhythm. */
export const LEARNERS = 44
const LATER = 125
const AGENT_TYPE = 'dba'
/** At once: two cores are enough for that. */
const SIDE_BY_SIDE = 8
/** A slowed agent gets a call through about so often (`forRisk`: a twentieth of 40 a second). */
const RETRY_MS = 510
const ANSWER_SECONDS = 8
/** Step-ups that are closer together count as one. */
export const STRIKES_APART_MS = ANSWER_SECONDS * 1_000 + 200
export const BASELINE = ['--tenant', 'acme', '--agent-type', AGENT_TYPE, '--collection', `demo/${DATABASE}/${MANUAL}`]

/** A system that knows something about agents, and may say so. */
export const SCANNER = `spiffe://${TRUST_DOMAIN}/tools/scanner`

export function dba(number: number): string {
  return `spiffe://${TRUST_DOMAIN}/acme/agent/dba/${number}`
}

/** What the demo's settings and policy have besides, for these steps. Times are short, so that nobody waits. */
export const forRisk: Pick<StackOptions, 'agents' | 'policy' | 'settings'> = {
  agents: [SCANNER, ...Array.from({ length: LEARNERS + LATER }, (_, at) => dba(at))],
  policy(document) {
    const spiffeId = `spiffe://${TRUST_DOMAIN}/acme/agent/dba/*`
    document.workloads.push({ spiffe_id: spiffeId, tenants: ['acme'], agent_type: AGENT_TYPE, budget: { per_second: 40, burst: 40 } })
    const allow = [{ tenants: ['acme'], workloads: [spiffeId], actions: ['search'] }]
    document.collections.push({ database: 'demo', namespace: 'rag', names: [MANUAL], tenancy: 'path', allow })
    document.risk = {
      drift: { watch: 20 },
      slowed: { seconds: 120, rate_share: 0.05 },
      // Of supervisors, the agents themselves are some as well: it helps none of them with its own challenge.
      step_up: { answer_seconds: ANSWER_SECONDS, strikes: 2, supervisors: [APPROVER, spiffeId] }
    }
  },
  settings(document, { url, keyFile }) {
    document.admin.signalers = [SCANNER]
    document.paging = { folder: 'paging', receivers: [{ id: 'oncall', kind: 'webhook', url, secret: { file: keyFile } }] }
    document.risk = { folder: 'learnt', freeze_after_bursts: 1_000 }
  }
}

export interface RiskScene extends Scene {
  readonly questions: Questions
  /** Path of Acme's manual. */
  readonly manual: string
  readonly agents: Map<number, { readonly who: Credentials; readonly connection: Agent }>
  /** What the hijacked agent has not asked for yet. */
  readonly foreign: Title[]
  /** What earlier steps leave to later ones. */
  readonly found: { stepUp: string; challengedAt: number }
  readonly close: () => void
}

export async function riskSceneOf(stack: Stack): Promise<RiskScene> {
  const questions = readQuestions()
  const manual = await seedManual(stack.chromaUrl, questions.own)
  const agents: RiskScene['agents'] = new Map()
  const close = () => {
    for (const { connection } of agents.values()) connection.destroy()
  }
  return { ...sceneOf(stack), questions, manual, agents, close, foreign: [...questions.foreign], found: { stepUp: '', challengedAt: 0 } }
}

/** @param headers beside those of the call, such as an end user's token */
export function search(
  { stack, manual, agents }: RiskScene,
  number: number,
  { vector }: Title,
  results = 3,
  headers: Readonly<Record<string, string>> = {}
): Promise<Answer> {
  const agent = agents.get(number) ?? { who: stack.credentials(dba(number)), connection: keptOpen() }
  agents.set(number, agent)
  const body = { query_embeddings: [Array.from(vector)], n_results: results, include: ['documents', 'distances'] }
  return call(stack.door, agent.who, { target: manual, headers, body, agent: agent.connection })
}

/** Bursts side by side, each of an agent of its own. @throws Error at the first answer that is no 200 */
export async function morning(scene: RiskScene, bursts: ReadonlyMap<number, readonly Title[]>): Promise<Answer> {
  const left = [...bursts]
  let last: Answer | undefined
  const one = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      for (const title of next[1]) {
        last = await search(scene, next[0], title)
        if (last.status !== 200) throw new Error(`${dba(next[0])} asked for "${title.text}": ${last.status} ${last.body}`)
      }
    }
  }
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, one))
  if (last === undefined) throw new Error('nobody asked')
  return last
}

/** Titles in bursts of 3 to 14, one for each agent from `first` on. */
export function burstsOf(titles: readonly Title[], first: number, count: number): ReadonlyMap<number, readonly Title[]> {
  const bursts = new Map<number, readonly Title[]>()
  for (let [at, number] = [0, 0]; number < count; number++) {
    const length = 3 + ((number * 5) % 12)
    bursts.set(first + number, titles.slice(at, at + length))
    at += length
  }
  return bursts
}

interface UntilRefused {
  readonly results?: number
  readonly patient?: boolean
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * One after the other, taken from `titles`, until something else than a 200 comes; what reached Chroma is counted for that last call
 * only. @param patient asks again where it was told to come later
 */
export async function untilRefused(
  scene: RiskScene,
  number: number,
  titles: Title[],
  { results = 3, patient = false, headers = {} }: UntilRefused = {}
): Promise<Answer> {
  for (;;) {
    const [next] = titles
    if (next === undefined) throw new Error('everything was asked, and nothing was refused')
    scene.stack.recorder.clear()
    const answer = await search(scene, number, next, results, headers)
    if (patient && answer.reason === 'rate-exceeded') await sleep(RETRY_MS)
    else if (answer.status !== 200) return answer
    else titles.shift()
  }
}

/** A person's command, at the admin port of the lane that decides about searches. @throws Error when it ends otherwise */
export async function command({ stack }: RiskScene, exit: number, id: string, ...words: string[]): Promise<Said> {
  const door: AdminDoor = gatewayDesk(stack.server)
  const said = await admin(stack, id, door, ...words)
  if (said.exit === exit) return said
  throw new Error(`vecauthz ${words.join(' ')} ended with ${said.exit} instead of ${exit}: ${said.out}${said.err}`)
}

/** What an operator reads in an answer. @throws Error when it is not there */
export async function mustSay(scene: RiskScene, says: string | RegExp, ...words: string[]): Promise<string> {
  const { out } = await command(scene, 0, OPERATOR, ...words)
  const found = typeof says === 'string' ? out.includes(says) : says.test(out)
  if (found) return out
  throw new Error(`vecauthz ${words[0]} does not say "${says}", but:\n${out}`)
}
