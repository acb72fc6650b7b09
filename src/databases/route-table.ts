/** Finds the row of a dialect's route table. A path has one reading, so a row matches whole segments and nothing else. */
import { type Refused, refuse } from '../core/deny-reason.ts'
import type { Route } from './dialect.ts'

export interface Matched<R extends Route> {
  readonly route: R
  /** Text of each `{parameter}`. */
  readonly parameters: ReadonlyMap<string, string>
}

export interface RouteTable<R extends Route> {
  /** Rows by number of segments, literal ones before those with a parameter in the same place. */
  readonly byLength: ReadonlyMap<number, readonly Row<R>[]>
  readonly open: readonly Row<R>[]
}

interface Row<R extends Route> {
  readonly route: R
  readonly parts: readonly Part[]
}

/** A literal segment, or the name of a parameter. */
type Part = { readonly literal: string } | { readonly parameter: string }

export function compileRoutes<R extends Route>(routes: readonly R[]): RouteTable<R> {
  const byLength = new Map<number, Row<R>[]>()
  const open: Row<R>[] = []
  for (const route of routes) {
    const parts = route.template === '/' ? [] : route.template.slice(1).split('/').map(partOf)
    if (route.template.endsWith('/{*rest}')) open.push({ route, parts: parts.slice(0, -1) })
    else byLength.set(parts.length, [...(byLength.get(parts.length) ?? []), { route, parts }])
  }
  // The databases' own routers try a literal segment first: `collections/by-id/x` is never `collections/{name}/x`.
  for (const rows of byLength.values()) rows.sort((a, b) => rank(a).localeCompare(rank(b)))
  return { byLength, open }
}

/** @returns the row, or `operation-unknown`: an allow-list has no default */
export function matchRoute<R extends Route>(table: RouteTable<R>, method: string, segments: readonly string[]): Matched<R> | Refused {
  let path = false
  for (const row of table.byLength.get(segments.length) ?? []) {
    if (!fits(row, segments)) continue
    path = true
    if (row.route.method !== method && row.route.method !== '*') continue
    return { route: row.route, parameters: parametersOf(row, segments) }
  }
  for (const row of table.open) {
    if (segments.length > row.parts.length && fits(row, segments)) return { route: row.route, parameters: new Map() }
  }
  return refuse('operation-unknown', path ? `method ${method} is not one of this path` : 'no row of the route table matches the path')
}

function partOf(segment: string): Part {
  return segment.startsWith('{') ? { parameter: segment.slice(1, -1) } : { literal: segment }
}

function rank<R extends Route>(row: Row<R>): string {
  return row.parts.map((part) => ('literal' in part ? '0' : '1')).join('')
}

function fits<R extends Route>(row: Row<R>, segments: readonly string[]): boolean {
  return row.parts.every((part, index) => 'parameter' in part || part.literal === segments[index])
}

function parametersOf<R extends Route>(row: Row<R>, segments: readonly string[]): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>()
  for (const [index, part] of row.parts.entries()) {
    if ('parameter' in part) parameters.set(part.parameter, segments[index] as string)
  }
  return parameters
}
