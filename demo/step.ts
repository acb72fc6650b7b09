/** A step of the demo, which is also a row of the integration tests: what is sent, what must come back, what may reach Chroma. */
import type { DenyKind } from '../src/core/deny-reason.ts'
import { type Answer, type Ask, type Credentials, call } from './client.ts'
import { readCorpus } from './corpus.ts'
import { COLLECTION, DATABASE, DESK, INDEXER, PAYROLL, SUPPORT, TRIALS } from './identities.ts'
import type { Stack } from './stack.ts'

export interface Step<S extends Scene = Scene> {
  readonly name: string
  /** The call as a person would write it. */
  readonly shows: string
  readonly run: (scene: S) => Promise<Answer>
  /** HTTP status (`tls`: no connection), and the reason when vecauthz itself said no; `envoy` when Envoy did before it asked. */
  readonly want: { readonly status: number | 'tls'; readonly reason?: DenyKind | 'envoy' }
  /** What is wrong with an answer whose status is right; undefined when nothing is. */
  readonly check?: (answer: Answer, scene: S) => string | undefined
}

/** A running stack with what the steps share. */
export interface Scene {
  readonly stack: Stack
  readonly who: Readonly<Record<'support' | 'trials' | 'payroll' | 'indexer' | 'desk', Credentials>>
}

export function sceneOf(stack: Stack): Scene {
  const { credentials } = stack
  const agents = { support: credentials(SUPPORT), trials: credentials(TRIALS), payroll: credentials(PAYROLL) }
  const who = { ...agents, indexer: credentials(INDEXER), desk: credentials(DESK) }
  return { stack, who }
}

export interface Outcome {
  readonly answer: Answer
  /** Requests that reached Chroma's side of Envoy. */
  readonly reached: number
  /** undefined: as expected. */
  readonly wrong: string | undefined
}

export async function runStep<S extends Scene>(step: Step<S>, scene: S): Promise<Outcome> {
  scene.stack.recorder.clear()
  const answer = await step.run(scene)
  const reached = scene.stack.recorder.seen().length
  return { answer, reached, wrong: problemOf(step, answer, reached, scene) }
}

function problemOf<S extends Scene>(step: Step<S>, answer: Answer, reached: number, scene: S): string | undefined {
  const { status, reason } = step.want
  if (answer.status !== status) return `status ${answer.status} instead of ${status}: ${answer.body.slice(0, 200)}`
  const said = answer.reason ?? (denied(status) ? 'envoy' : undefined)
  if (said !== reason && status !== 'tls') return `reason ${said} instead of ${reason}: ${answer.body.slice(0, 200)}`
  if (denied(status) && reached > 0) return `${reached} requests reached Chroma`
  if (!denied(status) && reached === 0) return 'nothing reached Chroma'
  return step.check?.(answer, scene)
}

function denied(status: number | 'tls'): boolean {
  return status === 'tls' || status >= 400
}

const corpus = readCorpus()

export type TenantId = 'acme' | 'globex' | 'initech'

/** The path of a tenant's handbook by its UUID, or of something else in that tenant. */
export function collectionPath(tenant: string, id: string, call: string): string {
  return `/api/v2/tenants/${tenant}/databases/${DATABASE}/collections/${id}/${call}`
}

export function namedPath(tenant: string, name: string = COLLECTION): string {
  return `/api/v2/tenants/${tenant}/databases/${DATABASE}/collections/${name}`
}

/** A question that a tenant's agent would really ask, with its embedding, and the sentence that should come first. */
export function question(tenant: TenantId, at = 0) {
  const found = corpus.tenants.find((one) => one.id === tenant)?.queries[at]
  if (found === undefined) throw new Error(`the corpus has no query ${at} for ${tenant}`)
  return found
}

/** The body of a search as the official client writes it. */
export function searchBody(tenant: TenantId, at = 0, more: object = {}): object {
  return { query_embeddings: [Array.from(question(tenant, at).vector)], n_results: 3, include: ['documents', 'distances'], ...more }
}

/** A search of the support agent in its own handbook, with changes: the allowed neighbour of most attacks. */
export function supportSearch({ stack, who }: Scene, change: Partial<Ask> = {}): Promise<Answer> {
  const target = collectionPath('acme', stack.collections['acme'] ?? '', 'query')
  return call(stack.door, who.support, { target, body: searchBody('acme'), ...change })
}

/** The first document of a search's answer. */
export function firstHit(answer: Answer): { id: string | undefined; document: string | undefined } {
  const body = JSON.parse(answer.body) as { ids?: string[][]; documents?: string[][] }
  return { id: body.ids?.[0]?.[0], document: body.documents?.[0]?.[0] }
}

/** A check: the expected sentence comes first, and every hit is the tenant's own. */
export function hitsOf(tenant: TenantId, at = 0): NonNullable<Step['check']> {
  return (answer) => {
    const first = firstHit(answer)
    const { expected } = question(tenant, at)
    if (first.id !== expected) return `the first hit is ${first.id}, expected ${expected}`
    const own = new Set(corpus.tenants.find((one) => one.id === tenant)?.documents.map((one) => one.id))
    const stray = (JSON.parse(answer.body) as { ids: string[][] }).ids.flat().find((id) => !own.has(id))
    return stray === undefined ? undefined : `hit ${stray} is not ${tenant}'s`
  }
}
