/** Filters of gRPC calls (`Filters` of base.proto): read to see where they lead, for they tell no tenants apart here. */
import { fail } from './json-reader.ts'
import type { Filters } from './weaviate-grpc-tables.ts'
import { checkPathPart, walksAlongReferences } from './weaviate-where.ts'

/** And, or, not. */
const COMPOSITES = new Set([7, 8, 15])

/** Refuses a filter that walks into another class, or that can be read in two ways. */
export function checkFilters({ operator = 0, on = [], filters = [], target }: Filters): void {
  if (target?.single_target !== undefined || target?.multi_target !== undefined || on.length > 1) walksAlongReferences()
  if (COMPOSITES.has(operator)) {
    // Of nothing, all is true: such a filter would match every object.
    if (filters.length === 0) fail('call-ambiguous', 'a filter that combines nothing', 'Leave out filters without operands.')
    if (on.length > 0 || target !== undefined) fail('call-ambiguous', 'a filter that combines others and compares itself')
    for (const one of filters) checkFilters(one)
    return
  }
  if (filters.length > 0) fail('call-ambiguous', 'a filter that compares and combines')
  const path = [...on, target?.property, target?.count?.on].filter((part) => part !== undefined)
  if (path.length !== 1) fail('call-ambiguous', 'a filter on no property, or on two')
  checkPathPart(path[0] as string)
}
