/** The alerts and the board that are shipped: of metrics that exist, and each alert with its page in the runbook. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { openMetricsPages } from './support/metrics.ts'

const ROOT = join(import.meta.dirname, '..')
const read = (name: string) => readFileSync(join(ROOT, name), 'utf8')

interface Rule {
  readonly alert: string
  readonly expr: string
  readonly labels: { readonly severity: string }
  readonly annotations: { readonly summary: string }
}
const rules = (parse(read('docs/observability/vecauthz.rules.yml')) as { groups: { rules: Rule[] }[] }).groups.flatMap((one) => one.rules)
const board = JSON.parse(read('docs/observability/vecauthz.board.json')) as {
  panels: { id: number; title: string; targets: { expr: string }[] }[]
}
const names = await openMetricsPages().names()
const labels = new Set(['vecauthz'])
const metricsOf = (expr: string) =>
  [...expr.matchAll(/\b((?:vecauthz|nodejs|process)_[a-z0-9_]+)\b/g)].map(([, name = '']) => name).filter((name) => !labels.has(name))
const isKnown = (name: string) => names.has(name) || names.has(name.replace(/_(bucket|count|sum)$/, ''))

describe('what is shipped for Prometheus and Grafana', () => {
  it('names metrics that this server has', () => {
    const used = [...rules.map(({ expr }) => expr), ...board.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))].flatMap(
      metricsOf
    )
    expect(used.length).toBeGreaterThan(30)
    expect(used.filter((name) => !isKnown(name))).toEqual([])
    expect(isKnown('vecauthz_ready_at')).toBe(false)
  })

  it('shows every metric of ours on the board, or has an alert for it', () => {
    const shown = new Set(
      [...rules.map(({ expr }) => expr), ...board.panels.flatMap(({ targets }) => targets.map((one) => one.expr))].flatMap(metricsOf)
    )
    const own = [...names].filter((name) => name.startsWith('vecauthz_'))
    const seen = (name: string) => shown.has(name) || shown.has(`${name}_bucket`)
    expect(own.filter((name) => !seen(name))).toEqual(['vecauthz_svid_generation', 'vecauthz_policy_loads_total'])
  })

  it('has a page in the runbook for each alert, complete, and no page without one', () => {
    const fields = ['Means', 'First look', 'Likely causes', 'Act', 'Over when']
    const sections = read('docs/runbook.md')
      .split(/^## /m)
      .slice(1)
      .map((text) => ({ name: text.split('\n')[0], fields: [...text.matchAll(/^\*\*([^*]+)\*\*: \S.{15,}/gm)].map(([, field]) => field) }))
    expect(sections.filter((one) => one.fields.join() !== fields.join())).toEqual([])
    const pages = sections.map(({ name }) => name)
    expect(pages).toEqual(rules.map(({ alert }) => alert))
    expect(rules.filter(({ labels: { severity } }) => !['page', 'ticket', 'info'].includes(severity))).toEqual([])
  })
})

describe('docs/runbook.md', () => {
  it('names commands and metrics that there are', () => {
    const text = read('docs/runbook.md')
    const used = [...text.matchAll(/`(vecauthz_[a-z_]+)/g)].map(([, name = '']) => name)
    expect(used.length).toBeGreaterThan(20)
    expect(used.filter((name) => !isKnown(name))).toEqual([])
    const commands = [...text.matchAll(/`vecauthz ([a-z][a-z-]*)/g)].map(([, name = '']) => name)
    const known = read('docs/commands.md')
    expect(commands.length).toBeGreaterThan(20)
    expect([...new Set(commands)].filter((name) => !known.includes(`\`${name}\``) && !known.includes(`\`${name} `))).toEqual([])
  })
})

describe('docs/operate.md', () => {
  it('names every metric of ours', () => {
    const text = read('docs/operate.md')
    const named = new Set([...text.matchAll(/`(vecauthz_[a-z0-9_]+)`/g)].map(([, name = '']) => name))
    expect([...names].filter((name) => name.startsWith('vecauthz_') && !named.has(name))).toEqual([])
    expect([...named].filter((name) => !names.has(name))).toEqual([])
  })
})
