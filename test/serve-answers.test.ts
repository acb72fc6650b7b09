/** What becomes of answers: which are alarms, and what is known of a workload's minute. */
import { describe, expect, it } from 'vitest'
import type { SeenAnswer } from '../src/envoy/access-log.ts'
import { ANSWER_SIGNALS, answersTaker } from '../src/serve-answers.ts'
import { openMetricsPages } from './support/metrics.ts'

const A = 'spiffe://x.test/a'
const SEEN: SeenAnswer = {
  decisionId: 'd-1',
  verdict: 'allow',
  workload: A,
  authority: 'chroma.test:443',
  reached: true,
  status: 200,
  bytes: 1_000,
  flags: []
}

function open() {
  const { metrics } = openMetricsPages()
  const lines: string[] = []
  const logged: unknown[] = []
  const figures: [string, string, number][] = []
  let now = 1_790_000_000_000
  const edges = {
    page: metrics,
    sink: { write: (line: string) => lines.push(line) > 0 },
    log: { error: (facts: unknown) => void logged.push(facts) } as never,
    desk: {
      signal: (workload: string, name: string, value: number) => {
        figures.push([workload, name, value])
        return { kind: 'done', facts: {} } as const
      }
    }
  }
  const settings = { databases: [{ id: 'demo', authorities: ['chroma.test'] }] } as never
  const take = answersTaker(settings, edges, () => now)
  return {
    take: (seen: Partial<SeenAnswer>) => take({ ...SEEN, ...seen }, 'spiffe://x.test/envoy'),
    wait: (ms: number) => {
      now += ms
    },
    lines,
    logged,
    figures,
    metrics
  }
}

describe('answers', () => {
  it.each([
    { name: 'one that was allowed', seen: {}, alarm: false },
    { name: 'one without a decision', seen: { decisionId: '', verdict: '' }, alarm: true },
    { name: 'one that was denied and came through', seen: { verdict: 'deny' }, alarm: true },
    { name: 'a verdict without an id', seen: { decisionId: '' }, alarm: true },
    { name: 'one that Envoy refused itself', seen: { decisionId: '', verdict: '', reached: false, status: 400 }, alarm: false },
    { name: 'one that was denied and came to nothing', seen: { verdict: 'deny', reached: false, status: 403 }, alarm: false }
  ])('$name: $alarm', async ({ seen, alarm }) => {
    const { take, lines, logged, metrics } = open()
    take(seen)
    expect(lines.map((line) => JSON.parse(line).kind)).toEqual(alarm ? ['unchecked_call'] : [])
    expect(logged).toHaveLength(alarm ? 1 : 0)
    const text = await metrics.text()
    expect(text.includes('vecauthz_unchecked_calls_total{database="demo"} 1\n')).toBe(alarm)
  })

  it('a minute of answers is one figure, and what is older is not in it', () => {
    const { take, wait, figures } = open()
    take({})
    take({ bytes: 500 })
    wait(30_000)
    take({ bytes: 1 })
    wait(45_000)
    take({ bytes: 2 })
    expect(figures.map(([, , value]) => value)).toEqual([1_000, 1_500, 1_501, 3])
    expect(new Set(figures.map(([, name]) => name))).toEqual(new Set([ANSWER_SIGNALS.bytes]))
  })

  it('every alarm is on record, and the log says it once a second', () => {
    const { take, lines, logged, wait } = open()
    for (let at = 0; at < 5; at++) take({ decisionId: '', verdict: '' })
    wait(1_000)
    take({ decisionId: '', verdict: '', workload: '' })
    expect(lines).toHaveLength(6)
    expect(logged).toHaveLength(2)
  })

  it('an unknown host is a database of none, and never a label of its own', async () => {
    const { take, metrics } = open()
    take({ authority: 'made.up.test', decisionId: '', verdict: '' })
    const text = await metrics.text()
    expect(text).toContain('vecauthz_unchecked_calls_total{database="none"} 1\n')
    expect(text).not.toContain('made.up')
  })
})
