/** What Qdrant's searching and reading RPCs come to: the same as their REST twins. */
import { fail } from './json-reader.ts'
import type { MessageOf } from './protobuf-fields.ts'
import type { Filter, ShardSelector, WithVectors } from './qdrant-messages.ts'
import { NO_PINS, type Pins } from './qdrant-pins.ts'
import type { InputMessage, LookupMessage, NodeMessage, ParamsMessage, QueryMessage } from './qdrant-query-messages.ts'
import {
  addExample,
  addLookup,
  addQuery,
  addRead,
  type Bucket,
  type Examples,
  GROUP_SIZE_DEFAULT,
  type Lookup,
  newExamples,
  type QueryNode,
  type QueryRoot,
  type Reach
} from './qdrant-reach.ts'
import { PAGE_DEFAULT } from './qdrant-records.ts'
import {
  checkSparseMessage,
  collectionOf,
  filterPins,
  pushRow,
  pushRows,
  pushStored,
  type Rpc,
  rpc,
  selectedShards,
  vectorsOut
} from './qdrant-rpc.ts'
import { NEIGHBOURS_DEFAULT, SAMPLE_DEFAULT } from './qdrant-search.ts'
import {
  COUNT_POINTS,
  DISCOVER_BATCH,
  DISCOVER_POINTS,
  FACET_COUNTS,
  GET_POINTS,
  MATRIX_POINTS,
  QUERY_BATCH,
  QUERY_GROUPS,
  QUERY_POINTS,
  RECOMMEND_BATCH,
  RECOMMEND_GROUPS,
  RECOMMEND_POINTS,
  SCROLL_POINTS,
  SEARCH_BATCH,
  SEARCH_GROUPS,
  SEARCH_POINTS
} from './qdrant-search-messages.ts'
import type { StoredVector } from './qdrant-vector-messages.ts'
import { refuseInference } from './qdrant-vectors.ts'

/** What all searches have that is not what they are near to: a prefetch has it as well, or only the whole search. */
type Common = Node & Root
interface Node {
  readonly filter: Filter | undefined
  readonly params?: ParamsMessage | undefined
  readonly limit: number | undefined
  readonly lookup_from?: LookupMessage | undefined
}
interface Root {
  readonly with_vectors: WithVectors | undefined
  readonly shard_key_selector: ShardSelector | undefined
  readonly with_lookup?: { readonly collection: string | undefined; readonly with_vectors: WithVectors | undefined } | undefined
  readonly group_size?: number | undefined
}

function add(reach: Reach, common: Common, examples: Examples, groups: boolean): void {
  addNode(reach, common, nodeWith(common, examples, []), groups)
}

function nodeWith({ filter, params, limit, lookup_from }: Node, examples: Examples, children: readonly QueryNode[]): QueryNode {
  return { examples, pins: pinsOf(filter), corpus: corpusOf(params), limit, lookup: lookupOf(lookup_from), children }
}

function addNode(reach: Reach, common: Root, node: QueryNode, groups: boolean): void {
  const { with_vectors, shard_key_selector, with_lookup, group_size } = common
  const root: QueryRoot = {
    shards: selectedShards(shard_key_selector),
    vectorsOut: vectorsOut(with_vectors) || vectorsOut(with_lookup?.with_vectors),
    groupSize: groups ? (group_size ?? GROUP_SIZE_DEFAULT) : undefined,
    withLookup: with_lookup === undefined ? undefined : collectionOf(with_lookup.collection)
  }
  addQuery(reach, node, root)
}

function pinsOf(filter: Filter | undefined): Pins {
  return filter === undefined ? NO_PINS : filterPins(filter)
}

/** The corpus may also be left out of `idf`, and is then the one without a filter. */
function corpusOf(params: ParamsMessage | undefined): Pins | undefined {
  return params?.idf === undefined ? undefined : pinsOf(params.idf.corpus)
}

function lookupOf(lookup: LookupMessage | undefined): Lookup | undefined {
  if (lookup === undefined) return undefined
  return { collection: collectionOf(lookup.collection_name), shards: selectedShards(lookup.shard_key_selector) }
}

function nodeOf(message: NodeMessage): QueryNode {
  const { query, prefetch = [] } = message
  const children = prefetch.map((child) => nodeOf(child))
  return nodeWith(message, examplesOf(query), children)
}

function examplesOf(query: QueryMessage | undefined): Examples {
  const examples = newExamples()
  if (query === undefined) return examples
  const { nearest, recommend, discover, context, nearest_with_mmr, relevance_feedback } = query
  const of = nearest ?? recommend ?? discover ?? context ?? nearest_with_mmr ?? relevance_feedback
  if (of !== undefined) examples.queries++
  else if (Object.keys(query).length === 0) fail('call-unreadable', 'a query is empty')
  if (nearest !== undefined) pushInput(nearest, examples, 0)
  if (discover !== undefined) pushInput(discover.target, examples, 0)
  if (nearest_with_mmr !== undefined) pushInput(nearest_with_mmr.nearest, examples, 0)
  if (relevance_feedback !== undefined) pushInput(relevance_feedback.target, examples, 0)
  for (const input of recommend?.positive ?? []) pushInput(input, examples, 1)
  for (const input of recommend?.negative ?? []) pushInput(input, examples, 2)
  for (const { positive, negative } of context?.pairs ?? discover?.context?.pairs ?? []) {
    pushInput(positive, examples, 1)
    pushInput(negative, examples, 2)
  }
  for (const { example } of relevance_feedback?.feedback ?? []) pushInput(example, examples, 1)
  return examples
}

function pushInput(input: InputMessage | undefined, examples: Examples, bucket: Bucket): void {
  const { id, dense, sparse, multi_dense, document, image, object } = input ?? NO_INPUT
  if (document !== undefined || image !== undefined || object !== undefined) refuseInference()
  if (id !== undefined) examples.ids = true
  else if (dense !== undefined) addExample(examples, bucket, (into) => pushRow(into, dense))
  else if (sparse !== undefined) checkSparseMessage(sparse)
  else if (multi_dense !== undefined) addExample(examples, bucket, (into) => pushRows(into, multi_dense.vectors ?? []))
  else fail('call-unreadable', 'an example of a query is empty')
}

const NO_INPUT: { readonly [key in keyof InputMessage]?: undefined } = {}

function query(message: MessageOf<typeof QUERY_POINTS>, reach: Reach): void {
  addNode(reach, message, nodeOf(message), false)
}

function queryGroups(message: MessageOf<typeof QUERY_GROUPS>, reach: Reach): void {
  addNode(reach, message, nodeOf(message), true)
}

interface Near {
  readonly vector: Float32Array | undefined
  readonly sparse_indices: { readonly data: readonly number[] | undefined } | undefined
}

function searchWith(groups: boolean) {
  return (message: Common & Near, reach: Reach): void => {
    const { vector, sparse_indices } = message
    if (vector === undefined) fail('call-unreadable', 'the search has no vector')
    const examples = newExamples(1)
    if (sparse_indices === undefined) addExample(examples, 0, (into) => into.push(vector))
    else checkSparseMessage({ values: vector, indices: sparse_indices.data })
    add(reach, message, examples, groups)
  }
}

interface Recommending {
  readonly positive: readonly unknown[] | undefined
  readonly negative: readonly unknown[] | undefined
  readonly positive_vectors: readonly StoredVector[] | undefined
  readonly negative_vectors: readonly StoredVector[] | undefined
}

function recommendWith(groups: boolean) {
  return (message: Common & Recommending, reach: Reach): void => {
    const { positive = [], negative = [], positive_vectors = [], negative_vectors = [] } = message
    const examples = newExamples(1)
    examples.ids = positive.length + negative.length > 0
    for (const vector of positive_vectors) addExample(examples, 1, (into) => pushStored(into, vector))
    for (const vector of negative_vectors) addExample(examples, 2, (into) => pushStored(into, vector))
    add(reach, message, examples, groups)
  }
}

function discover(message: MessageOf<typeof DISCOVER_POINTS>, reach: Reach): void {
  const examples = newExamples(1)
  pushExample(message.target?.single, examples, 0)
  for (const { positive, negative } of message.context ?? []) {
    pushExample(positive, examples, 1)
    pushExample(negative, examples, 2)
  }
  add(reach, message, examples, false)
}

function pushExample(example: { readonly vector: StoredVector | undefined } | undefined, examples: Examples, bucket: Bucket): void {
  const vector = example?.vector
  if (vector !== undefined) addExample(examples, bucket, (into) => pushStored(into, vector))
  else if (example !== undefined) examples.ids = true
}

interface Part {
  readonly collection_name: string | undefined
}

/** Each part of a batch; a collection that it names and the server ignores must be the one outside. */
function each<T extends Part>(collection: string | undefined, parts: readonly T[] | undefined, read: (part: T) => void): void {
  for (const part of parts ?? []) {
    const { collection_name } = part
    if (collection_name !== undefined && collection_name !== '' && collection_name !== collection)
      fail('call-ambiguous', 'a part of the batch names another collection', 'Send a batch for one collection.')
    read(part)
  }
}

function matrix({ filter, sample, limit, shard_key_selector }: MessageOf<typeof MATRIX_POINTS>, reach: Reach): void {
  const common = { filter, limit: limit ?? NEIGHBOURS_DEFAULT, with_vectors: undefined, shard_key_selector }
  add(reach, common, newExamples(sample ?? SAMPLE_DEFAULT), false)
}

function scroll({ filter, limit, with_vectors, shard_key_selector }: MessageOf<typeof SCROLL_POINTS>, reach: Reach): void {
  addRead(reach, pinsOf(filter), selectedShards(shard_key_selector), limit ?? PAGE_DEFAULT, vectorsOut(with_vectors))
}

function count({ filter, shard_key_selector }: MessageOf<typeof COUNT_POINTS>, reach: Reach): void {
  addRead(reach, pinsOf(filter), selectedShards(shard_key_selector), 0, false)
}

function facet({ filter, limit, shard_key_selector }: MessageOf<typeof FACET_COUNTS>, reach: Reach): void {
  addRead(reach, pinsOf(filter), selectedShards(shard_key_selector), limit ?? PAGE_DEFAULT, false)
}

function get({ ids = [], with_vectors, shard_key_selector }: MessageOf<typeof GET_POINTS>, reach: Reach): void {
  addLookup(reach, ids.length, selectedShards(shard_key_selector), vectorsOut(with_vectors))
}

export const SEARCH_RPCS = {
  query: rpc(QUERY_POINTS, query),
  queryBatch: rpc(QUERY_BATCH, (batch, reach) => each(batch.collection_name, batch.query_points, (part) => query(part, reach))),
  queryGroups: rpc(QUERY_GROUPS, queryGroups),
  search: rpc(SEARCH_POINTS, searchWith(false)),
  searchBatch: rpc(SEARCH_BATCH, (batch, reach) =>
    each(batch.collection_name, batch.search_points, (part) => searchWith(false)(part, reach))
  ),
  searchGroups: rpc(SEARCH_GROUPS, searchWith(true)),
  recommend: rpc(RECOMMEND_POINTS, recommendWith(false)),
  recommendBatch: rpc(RECOMMEND_BATCH, (batch, reach) =>
    each(batch.collection_name, batch.recommend_points, (part) => recommendWith(false)(part, reach))
  ),
  recommendGroups: rpc(RECOMMEND_GROUPS, recommendWith(true)),
  discover: rpc(DISCOVER_POINTS, discover),
  discoverBatch: rpc(DISCOVER_BATCH, (batch, reach) => each(batch.collection_name, batch.discover_points, (part) => discover(part, reach))),
  matrix: rpc(MATRIX_POINTS, matrix),
  scroll: rpc(SCROLL_POINTS, scroll),
  count: rpc(COUNT_POINTS, count),
  facet: rpc(FACET_COUNTS, facet),
  get: rpc(GET_POINTS, get)
} as const satisfies Record<string, Rpc>
