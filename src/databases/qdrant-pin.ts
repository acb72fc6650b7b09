/** What a caller writes so that a field is proved, for each endpoint; public text. */

const UPSERTS = new Set(['points.upsert', 'Points/Upsert'])
const UPDATES = new Set(['vectors.update', 'Points/UpdateVectors'])
const BATCHES: Readonly<Record<string, string>> = {
  'points.query-batch': 'searches',
  'points.search-batch': 'searches',
  'points.recommend-batch': 'searches',
  'points.discover-batch': 'searches',
  'points.batch': 'operations',
  'Points/QueryBatch': 'query_points',
  'Points/SearchBatch': 'search_points',
  'Points/RecommendBatch': 'recommend_points',
  'Points/DiscoverBatch': 'discover_points',
  'Points/UpdateBatch': 'operations'
}
const BY_ID = new Set(['points.get', 'points.get-one', 'Points/Get'])
/** The field of a message that holds its selector. */
const SELECTORS: Readonly<Record<string, string>> = {
  'Points/Delete': 'points',
  'Points/ClearPayload': 'points',
  'Points/DeleteVectors': 'points_selector',
  'Points/SetPayload': 'points_selector',
  'Points/OverwritePayload': 'points_selector',
  'Points/DeletePayload': 'points_selector'
}

/** @param endpoint name of a row of the route table */
export function pin(endpoint: string, field: string, value: string): string {
  const rpc = endpoint.includes('/')
  const filter = rpc ? messageFilter(field, value) : jsonFilter(field, value)
  const named = (name: string) => (rpc ? `${name} { ${filter} }` : `"${name}":${filter}`)
  if (BY_ID.has(endpoint))
    return rpc ? `Points/Scroll with filter { ${filter} } and has_id` : `points/scroll with "filter":${scrollById(filter)}`
  if (UPSERTS.has(endpoint)) return `${named('update_filter')}, and ${JSON.stringify({ [field]: value })} in the payload of each point`
  if (UPDATES.has(endpoint)) return named('update_filter')
  const batch = BATCHES[endpoint]
  if (batch !== undefined) return `${named('filter')} in each of ${batch}${batch === 'operations' ? ' (upsert: update_filter)' : ''}`
  const selector = SELECTORS[endpoint]
  return selector === undefined ? named('filter') : `${selector} { ${named('filter')} }`
}

function jsonFilter(field: string, value: string): string {
  return JSON.stringify({ must: [{ key: field, match: { value } }] })
}

function scrollById(filter: string): string {
  return filter.replace(/\]\}$/, ',{"has_id":[…]}]}')
}

/** As the text format of protobuf writes it. */
function messageFilter(field: string, value: string): string {
  return `must { field { key: ${JSON.stringify(field)} match { keyword: ${JSON.stringify(value)} } } }`
}
