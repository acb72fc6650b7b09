/** Whether anybody is told: pages by receiver and by what came of them. Receivers are those of the settings. */
import { Counter, Gauge, type Registry } from 'prom-client'

export interface PageMetrics {
  /** @param outcome `told`, `failed` (it is tried again) or `dead` (it is not) */
  readonly page: (receiver: string, outcome: 'told' | 'failed' | 'dead') => void
}

/** @param waiting pages that somebody has not been told all about */
export function pageMetrics(registry: Registry, receivers: readonly string[], waiting: () => number): PageMetrics {
  const pages = new Counter({
    name: 'vecauthz_pages_total',
    help: 'Messages to receivers of pages, by what came of them: told, failed (tried again) or dead (given up)',
    labelNames: ['receiver', 'outcome'],
    registers: [registry]
  })
  // One that was never counted cannot be seen to rise.
  for (const receiver of receivers) for (const outcome of ['told', 'failed', 'dead']) pages.inc({ receiver, outcome }, 0)
  new Gauge({
    name: 'vecauthz_pages_waiting',
    help: 'Pages that a receiver has not been told all about',
    registers: [registry],
    collect() {
      this.set(waiting())
    }
  })
  return { page: (receiver, outcome) => pages.inc({ receiver, outcome }) }
}
