/** All metrics of a server, without one. */
import { answerMetrics } from '../../src/admin/answer-metrics.ts'
import { decisionMetrics } from '../../src/admin/decision-metrics.ts'
import { createMetrics } from '../../src/admin/metrics.ts'
import { pageMetrics } from '../../src/admin/page-metrics.ts'
import { type ServerFacts, serverMetrics } from '../../src/admin/server-metrics.ts'

const NOW = 1_790_000_000_000
const EVIDENCE = {
  svidNotAfter: NOW,
  trustBundleAgeMs: 1_500,
  jwtBundleAgeMs: undefined,
  generation: 3,
  subjectKeyAgesMs: [{ issuer: 'https://idp.test', ageMs: 2_000 }],
  credentials: [{ database: 'demo', wanted: 2, missing: 1 }]
}
const none = { normal: 0, slowed: 0, 'step-up': 0, quarantine: 0 }
export const SERVER_FACTS: ServerFacts = {
  ready: false,
  policy: { since: NOW, refused: true, loaded: 2, failed: 1 },
  standings: { workload: { ...none, quarantine: 2 }, cohort: { ...none, 'step-up': 1 } },
  standingsStaleMs: 250,
  budgets: { share: 0.5, replicas: 2 },
  audit: { refused: 7, waitingBytes: 512, spilledBytes: 1024, oldestMs: 90_500, used: { memory: 1, spill: 0.25 }, failing: ['sink-far'] },
  pending: 4
}

export function openMetricsPages(facts: ServerFacts = SERVER_FACTS) {
  const metrics = createMetrics(() => EVIDENCE)
  const decisions = decisionMetrics(metrics.registry)
  const server = serverMetrics(metrics.registry, () => facts)
  const names = async () => {
    answerMetrics(metrics.registry)
    pageMetrics(metrics.registry, ['oncall'], () => 0)
    return new Set((await metrics.registry.getMetricsAsJSON()).map(({ name }) => name))
  }
  return { metrics, decisions, server, names }
}
