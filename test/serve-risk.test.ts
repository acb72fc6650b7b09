/** Risk as the server puts it together: what one part finds out reaches the others. */
import type { Logger } from 'pino'
import { afterAll, describe, expect, it } from 'vitest'
import type { Settings } from '../src/config/settings-schema.ts'
import type { Grant } from '../src/core/decision.ts'
import type { RiskCall } from '../src/core/risk.ts'
import { BYTES_PACE, RISK_DEFAULTS } from '../src/core/risk-rules.ts'
import type { Policy } from '../src/policy/policy.ts'
import { openRisk, type RiskEdges, type ServedRisk } from '../src/serve-risk.ts'
import { createMemoryStore } from '../src/state/store-memory.ts'
import { callsOf, worldOf } from './risk/drift-material.ts'
import { callerOf, callOf, targetOf } from './support/grants.ts'

const KEY = { tenant: 'acme', agentType: 'support', collection: 'demo/rag/handbook' }
const ANN = { by: 'spiffe://demo.vecauthz.test/ops/ann', reason: 'seen', now: 1 }
const idOf = (name: string) => `spiffe://demo.vecauthz.test/acme/${name}`
const material = worldOf(96, 2)
const policy = {
  risk: RISK_DEFAULTS,
  monitoring: [],
  budgets: { tenant: undefined, collection: undefined, operations: undefined, bytes: BYTES_PACE }
}

const quiet = Object.fromEntries(['info', 'warn', 'error'].map((level) => [level, () => undefined])) as unknown as Logger
const served: ServedRisk[] = []
afterAll(async () => {
  for (const one of served) await one.close()
})

async function opened(): Promise<ServedRisk> {
  const settings = {
    role: 'gateway',
    risk: { freeze_after_bursts: 40, approve: 'by-hand', standings_max_age_seconds: 5 },
    state: { kind: 'memory' }
  } as unknown as Settings
  const edges: RiskEdges = {
    settingsFile: '/nowhere/settings.yaml',
    policy: () => policy as unknown as Policy,
    store: createMemoryStore(),
    sink: { write: () => true } as unknown as RiskEdges['sink'],
    log: quiet,
    onMove: () => undefined,
    onPaged: () => undefined
  }
  const risk = (await openRisk(settings, edges)) as ServedRisk
  served.push(risk)
  return risk
}

function searching({ risk }: ServedRisk) {
  let ids = 0
  return (name: string, vector: Float32Array, at: number) => {
    const caller = callerOf(idOf(name))
    const shape = { queries: 1, topK: 5, vectors: [vector], dimensions: 96 }
    const call = callOf('search', 'acme', 'handbook', shape)
    const grant = { kind: 'tenant', caller, call, tenant: 'acme', targets: [targetOf('acme')] } as unknown as Grant
    const its = {
      caller,
      agentType: 'support',
      budget: { per_second: 10, burst: 30 },
      policy,
      check: `check-${++ids}`,
      decisionId: `d-${ids}`
    }
    return risk.observe(grant, { ...its, shadow: false, now: at } as unknown as RiskCall, 'demo', undefined)
  }
}

describe('a workload that is raised', () => {
  it('speaks for no new neighbourhood from then on: it is shown as one that does not count', async () => {
    const served = await opened()
    const { desk } = served
    const search = searching(served)
    let last = 0
    for (const { vectors, at } of callsOf(material, 0, 60, 7)) {
      last = at
      for (const vector of vectors) search('support', vector, at)
    }
    expect(await desk.freeze(KEY, ANN)).toMatchObject({ kind: 'done' })
    expect(await desk.approve(KEY, undefined, ANN)).toMatchObject({ kind: 'done' })
    // Something new, so little of it that nobody is slowed; then one goes on.
    const topic = material.topics[1]?.[0] as Float32Array
    const fresh = callsOf({ ...material, topics: [[topic]] }, 0, 12, 3).flatMap(({ vectors }) => vectors)
    for (let at = 0; at < 6; at++) search(`agent-${at % 3}`, fresh[at] as Float32Array, last + 60_000 * (at + 1))
    const supporters = () => desk.baselines()[0]?.proposals[0]?.supporters ?? []
    expect(supporters().map(({ standing, raised }) => [standing, raised])).toEqual([1, 2, 3].map(() => ['normal', false]))
    for (let at = 6; at < 26; at++) search('agent-1', fresh[at] as Float32Array, last + 600_000 + 400 * at)
    const [one] = supporters().filter(({ workload }) => workload === idOf('agent-1'))
    expect(one).toMatchObject({ raised: true, standing: expect.stringMatching(/slowed|step-up|quarantine/) })
    const id = desk.baselines()[0]?.proposals[0]?.id ?? ''
    expect(await desk.adopt(KEY, id, false, ANN)).toMatchObject({ kind: 'not', status: 409, says: expect.stringContaining('agent-1') })
    const done = await desk.adopt(KEY, id, true, ANN)
    expect(done).toMatchObject({ kind: 'done', facts: { anyway: true } })
    expect(JSON.stringify(done)).toContain(`"workload":"${idOf('agent-1')}"`)
  }, 60_000)
})
