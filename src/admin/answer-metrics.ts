/** What came back from databases, as Envoy tells it. Labels from closed lists: databases of the settings, classes of status. */
import { Counter, type Registry } from 'prom-client'

export interface AnswerMetrics {
  /** @param database of the settings, or `none`. @param status 0 where there was none */
  readonly answered: (database: string, status: number, bytes: number) => void
  readonly unchecked: (database: string) => void
}

const CLASSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const

export function answerMetrics(registry: Registry): AnswerMetrics {
  const answers = new Counter({
    name: 'vecauthz_answers_total',
    help: 'Answers that Envoy gave, by class of status; those that it made itself are of database `none`',
    labelNames: ['database', 'status'],
    registers: [registry]
  })
  const bytes = new Counter({
    name: 'vecauthz_answer_bytes_total',
    help: 'Bytes of bodies that came back from databases',
    labelNames: ['database'],
    registers: [registry]
  })
  const unchecked = new Counter({
    name: 'vecauthz_unchecked_calls_total',
    help: 'Calls that reached a database without a decision that allows them',
    labelNames: ['database'],
    registers: [registry]
  })
  return {
    answered(database, status, count) {
      answers.inc({ database, status: CLASSES[Math.floor(status / 100)] ?? 'none' })
      if (database !== 'none') bytes.inc({ database }, count)
    },
    unchecked: (database) => unchecked.inc({ database })
  }
}
