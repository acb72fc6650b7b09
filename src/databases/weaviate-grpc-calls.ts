/** The smaller gRPC calls: delete by filter, look at tenants, health. */
import { NO_SHAPE } from '../core/vector-call.ts'
import { fail } from './json-reader.ts'
import { bool, enumeration, one, table, text, texts } from './protobuf-fields.ts'
import { type Facts, nothingTouched, targetsOf, touch } from './weaviate-facts.ts'
import { checkFilters } from './weaviate-grpc-filters.ts'
import { readerOf } from './weaviate-grpc-read.ts'
import { FILTERS, LEVELS } from './weaviate-grpc-tables.ts'

const DELETE = table(
  'BatchDeleteRequest',
  text(1, 'collection'),
  one(2, 'filters', () => FILTERS),
  bool(3, 'verbose'),
  bool(4, 'dry_run'),
  enumeration(5, 'consistency_level', LEVELS),
  text(6, 'tenant')
)

export const readGrpcDelete = readerOf(DELETE, ({ collection = '', filters, tenant }): Facts => {
  if (filters === undefined) return fail('call-ambiguous', 'the delete has no filter', 'Say in filters which objects to delete.')
  checkFilters(filters)
  const touched = nothingTouched()
  touch(touched, collection, tenant)
  return { shape: NO_SHAPE, targets: targetsOf(touched) }
})

const NAMES = table('TenantNames', texts(1, 'values'))
const TENANTS = table(
  'TenantsGetRequest',
  text(1, 'collection'),
  one(2, 'names', () => NAMES)
)

export const readTenantsGet = readerOf(TENANTS, ({ collection = '', names }): Facts => {
  const named = names?.values ?? []
  if (named.length === 0 || named.includes(''))
    return fail('operation-unknown', 'a list of all tenants', 'Name the tenants to look at: tenants.getByNames.')
  const touched = nothingTouched()
  for (const tenant of named) touch(touched, collection, tenant)
  return { shape: NO_SHAPE, targets: targetsOf(touched) }
})

const HEALTH = table('HealthCheckRequest', text(1, 'service'))

export const readHealthCheck = readerOf(HEALTH, (): Facts => ({ shape: NO_SHAPE, targets: [] }))
