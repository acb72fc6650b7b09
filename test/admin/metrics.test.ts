/** What is counted, what it is called, and what it can never hold. */
import { describe, expect, it } from 'vitest'
import { SAMPLED_EVERY } from '../../src/admin/decision-metrics.ts'
import { type AnyGrant, type Decision, deny } from '../../src/core/decision.ts'
import { openMetricsPages, SERVER_FACTS } from '../support/metrics.ts'

const allowed: Decision = { verdict: 'allow', grant: { kind: 'probe' } as AnyGrant }

describe('metrics', () => {
  it('decisions are counted by reason, database and operation, and their time is a histogram', async () => {
    const { metrics, decisions } = openMetricsPages()
    const account = { database: 'demo', call: { operation: 'search' } }
    for (const latencyUs of [90, 90, 400]) decisions.decided({ latencyUs, account, decision: allowed })
    decisions.decided({ latencyUs: 20, account: {}, decision: deny({ kind: 'no-identity', because: 'none came' }) })
    const shadow = { ...allowed, judged: { kind: 'quarantined', because: 'it is' } } as Decision
    decisions.decided({ latencyUs: 90, account, decision: shadow })
    const text = await metrics.text()
    expect(text).toContain('vecauthz_decisions_total{verdict="allow",reason="none",database="demo",operation="search"} 4\n')
    expect(text).toContain('vecauthz_decisions_total{verdict="deny",reason="no-identity",database="none",operation="none"} 1\n')
    expect(text).toContain('vecauthz_shadowed_total{reason="quarantined"} 1\n')
    expect(text).toContain('vecauthz_decision_duration_seconds_bucket{le="0.0001"} 4\n')
    expect(text).toContain('vecauthz_decision_duration_seconds_count 5\n')
    // A second scrape counts nothing twice.
    expect(await metrics.text()).toContain('operation="search"} 4\n')
  })

  it('the facts of the server are there, and not a number for what does not exist', async () => {
    const { metrics } = openMetricsPages()
    const text = await metrics.text()
    for (const line of [
      'vecauthz_ready 0',
      'vecauthz_policy_refused 1',
      'vecauthz_policy_loads_total{result="failed"} 1',
      'vecauthz_standings{scope="workload",standing="quarantine"} 2',
      'vecauthz_standings{scope="cohort",standing="step-up"} 1',
      'vecauthz_standings_stale_seconds 0.25',
      'vecauthz_replicas 2',
      'vecauthz_budget_share 0.5',
      'vecauthz_audit_refused_total 7',
      'vecauthz_audit_waiting_bytes{in="memory"} 512',
      'vecauthz_audit_waiting_bytes{in="spill"} 1024',
      'vecauthz_audit_sinks_failing 1',
      'vecauthz_audit_used_ratio{in="memory"} 1',
      'vecauthz_audit_used_ratio{in="spill"} 0.25',
      'vecauthz_audit_oldest_seconds 90.5',
      'vecauthz_pending_decisions 4',
      'vecauthz_jwt_bundle_age_seconds Nan',
      'vecauthz_credentials_missing{database="demo"} 1'
    ])
      expect(text.split('\n')).toContain(line)
    expect(text).toContain('nodejs_eventloop_lag_p99_seconds')
  })

  it('at egress nobody stands in any way', async () => {
    const { metrics } = openMetricsPages({ ...SERVER_FACTS, standings: undefined, standingsStaleMs: undefined, budgets: undefined })
    const text = await metrics.text()
    expect(text).not.toContain('vecauthz_standings{')
    expect(text).toContain('vecauthz_standings_stale_seconds Nan\n')
  })

  it('one decision in so many is timed, stage by stage', async () => {
    const { metrics, decisions } = openMetricsPages()
    const sampled = Array.from({ length: 2 * SAMPLED_EVERY }, () => decisions.isSampled()).filter(Boolean)
    expect(sampled).toHaveLength(2)
    decisions.timed({
      began: 1_000,
      ends: [
        { stage: 'read', at: 1_040 },
        { stage: 'identify', at: 1_340 }
      ]
    })
    const text = await metrics.text()
    expect(text).toContain('vecauthz_stage_duration_seconds_sum{stage="read"} 0.00004\n')
    expect(text).toContain('vecauthz_stage_duration_seconds_sum{stage="identify"} 0.0003\n')
    expect(text).toContain('vecauthz_stage_duration_seconds_count{stage="answer"} 0\n')
  })

  it('a move of a standing is counted where it was decided, not where it is heard', async () => {
    const { metrics, server } = openMetricsPages()
    const move = { scope: { kind: 'workload', id: 'spiffe://x.test/a' }, from: 'normal', to: 'quarantine' } as const
    server.moved({ ...move, heard: false })
    server.moved({ ...move, heard: true })
    server.acted('standing.release', 'done')
    const text = await metrics.text()
    expect(text).toContain('vecauthz_standing_moves_total{scope="workload",from="normal",to="quarantine"} 1\n')
    expect(text).toContain('vecauthz_operator_acts_total{act="standing.release",stage="done"} 1\n')
    expect(text).not.toContain('spiffe://')
  })
})
