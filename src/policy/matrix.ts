/** What a policy allows, as a table that people can read: which tenant may do what with which collections. Conditions stay conditions. */
import { covers, type NamePattern } from './names.ts'
import type { DatabaseRules, NamedRules, Policy } from './policy.ts'

export interface MatrixRow {
  readonly tenant: string
  readonly database: string
  readonly namespace: string
  /** Name or pattern, with the tenant filled in. */
  readonly collection: string
  readonly actions: readonly string[]
  /** Some of it only under conditions: for listed workloads, purposes, or with a `when`. */
  readonly conditional: boolean
  readonly source: string
  /** Whether the row is about a collection. @param name with its namespace, as records have it */
  readonly isAbout: (name: string) => boolean
}

export const MATRIX_ROWS_MAX = 2_000

export function matrixOf({ databases }: Policy): { readonly rows: readonly MatrixRow[]; readonly more: boolean } {
  const rows: MatrixRow[] = []
  for (const [database, rules] of databases) {
    for (const [namespace, named] of namedIn(rules)) {
      for (const row of rowsOf(database, namespace, named)) {
        if (rows.length === MATRIX_ROWS_MAX) return { rows, more: true }
        rows.push(row)
      }
    }
  }
  return { rows, more: false }
}

function* namedIn({ exact, templates }: DatabaseRules): Generator<readonly [NamePattern | string, NamedRules]> {
  for (const [namespace, names] of exact) for (const one of everyOf(names)) yield [namespace, one]
  for (const group of [...templates.closed.values(), ...templates.open.values()])
    for (const { pattern, names } of group) for (const one of everyOf(names)) yield [pattern, one]
}

function* everyOf({ exact, prefixes, templates }: DatabaseRules['exact'] extends ReadonlyMap<string, infer Names> ? Names : never) {
  for (const map of [exact, prefixes, templates.closed, templates.open]) for (const some of map.values()) yield* some
}

function* rowsOf(database: string, namespace: NamePattern | string, { pattern, everyRule, source }: NamedRules): Generator<MatrixRow> {
  const byTenant = new Map<string, { actions: Set<string>; conditional: boolean }>()
  for (const { tenants, actions, workloads, purposes, when } of everyRule) {
    for (const tenant of tenants) {
      const its = byTenant.get(tenant) ?? { actions: new Set(), conditional: false }
      byTenant.set(tenant, its)
      for (const action of actions) its.actions.add(action)
      its.conditional ||= workloads !== undefined || purposes !== undefined || when !== undefined
    }
  }
  for (const [tenant, { actions, conditional }] of byTenant) {
    const place = typeof namespace === 'string' ? namespace : filled(namespace, tenant)
    const before = place === '' ? '' : `${place}/`
    const isAbout = (name: string) => name.startsWith(before) && covers(pattern, name.slice(before.length), tenant)
    const row = { tenant, database, namespace: place, collection: filled(pattern, tenant), actions: [...actions], conditional, source }
    yield { ...row, isAbout }
  }
}

function filled({ before, after, open }: NamePattern, tenant: string): string {
  return `${after === undefined ? before : before + tenant + after}${open ? '*' : ''}`
}
