/** Calls of agents under a whole world with risk in it, on a clock that the test turns. */
import { CheckResponse } from '@envoyproxy/protos/auth'
import { auditLine } from '../../src/audit/record.ts'
import type { RiskRecord } from '../../src/core/risk.ts'
import type { Move } from '../../src/core/standings.ts'
import { createDecider, type Decided } from '../../src/envoy/decide.ts'
import { createRisk, type RiskParts, type RiskStage } from '../../src/risk-stage.ts'
import { createMemory } from '../../src/state/memory.ts'
import { createStandings, type SharedStandings } from '../../src/state/standings.ts'
import type { World } from '../../src/world.ts'
import { envoyPem, issueSvid, type Svid } from './ca.ts'
import { type CheckParts, checkRequest } from './check-request.ts'
import { type LearntParts, type TestLearnt, testLearnt } from './learnt.ts'
import { policyOf } from './policy.ts'
import { HANDBOOK, type TestWorld } from './world.ts'

export const TD = 'spiffe://demo.vecauthz.test'
export const NOON = Date.UTC(2026, 10, 21, 12)
const ENVOY = { ok: true, id: `${TD}/envoy/gateway` } as const

export interface Answer {
  readonly reason: string
  readonly headers: ReadonlyMap<string, string>
  readonly body: { readonly detail?: string; readonly step_up?: Readonly<Record<string, unknown>> }
  readonly metadata: { readonly verdict: string; readonly standing?: string; readonly risk_score?: string }
  readonly grpc: number
  readonly record: {
    readonly verdict: string
    readonly judged_reason?: string
    readonly vectors?: string
    readonly risk?: Readonly<Pick<RiskRecord, 'score' | 'causes'>> & { readonly standing_before: string; readonly standing_after: string }
  }
}

export interface Scene {
  readonly standings: SharedStandings
  readonly risk: RiskStage
  readonly told: TestLearnt
  readonly moves: Move[]
  readonly findings: string[]
  /** Milliseconds since the epoch. */
  now: number
  readonly ask: (who: Svid, parts: CheckParts) => Promise<Answer>
}

let checks = 0

/** @param wait whether the clock that never steps goes along with `now` */
export function sceneOf(test: TestWorld, policy: string, learnt: LearntParts = {}, change: Partial<World & RiskParts> = {}): Scene {
  const [moves, findings]: [Move[], string[]] = [[], []]
  const told = testLearnt(learnt)
  const scene = { now: NOON }
  const standings = createStandings({
    store: undefined,
    run: `run-${++checks}`,
    now: () => scene.now,
    tick: () => scene.now,
    onMove: (move) => moves.push(move),
    onTrouble: () => undefined
  })
  const risk = createRisk({
    standings,
    learnt: told.learnt,
    shared: false,
    staleMsMax: 5_000,
    onFinding: ({ rule }) => findings.push(rule.action),
    ...change
  })
  const world: World = { ...test.world, memory: createMemory(), policy: policyOf(policy), risk, ...change }
  let ids = 0
  const records: Decided[] = []
  const decider = createDecider({
    now: () => scene.now,
    tick: () => 0,
    newDecisionId: () => `aaaaaaaa-bbbb-4ccc-8ddd-${String(++ids).padStart(12, '0')}`,
    world: () => world,
    credentials: () => undefined,
    record: (one) => records.push(one) > 0,
    onFault: (_, cause) => {
      throw cause
    },
    deadlineMs: 1_000,
    pendingMax: 10
  })
  const ask = async (who: Svid, parts: CheckParts): Promise<Answer> => {
    const message = checkRequest({ id: String(++checks), certificate: envoyPem(who.chain[0] as Uint8Array), principal: who.id, ...parts })
    const answer = CheckResponse.decode(await decider.decide(message, ENVOY))
    return answerOf(answer, records.at(-1) as Decided)
  }
  return Object.assign(scene, { standings, risk, told, moves, findings, ask })
}

function answerOf({ deniedResponse, dynamicMetadata, status }: CheckResponse, record: Decided): Answer {
  const body = deniedResponse === undefined ? {} : JSON.parse(deniedResponse.body)
  const headers = new Map((deniedResponse?.headers ?? []).map(({ header }) => [header?.key ?? '', header?.value ?? '']))
  return {
    reason: deniedResponse === undefined ? 'allow' : body.reason,
    headers,
    body,
    metadata: dynamicMetadata as Answer['metadata'],
    grpc: status?.code ?? -1,
    record: JSON.parse(auditLine(record))
  }
}

/** An SVID of the world's authority, good around noon. */
export function svidOf(test: TestWorld, path: string, notBefore = NOON - 60_000): Promise<Svid> {
  return issueSvid(test.root, { id: TD + path, notBefore, notAfter: NOON + 30 * 86_400_000 })
}

export function searchFor(vector: ArrayLike<number>, change: Partial<CheckParts> = {}, topK = 5): CheckParts {
  const body = JSON.stringify({ query_embeddings: [Array.from(vector)], n_results: topK })
  return { path: `/api/v2/tenants/acme/databases/rag/collections/${HANDBOOK}/query`, body, ...change }
}
