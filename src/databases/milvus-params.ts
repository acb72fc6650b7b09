/** The lists of key and text that Milvus calls carry beside their fields: `search_params`, `rank_params`, `query_params`. */
import { readJson, readMap, skipValue } from './json.ts'
import { fail, quote } from './json-reader.ts'
import type { FunctionScore, Pair } from './milvus-messages.ts'
import { accepted } from './milvus-place.ts'

export type Params = ReadonlyMap<string, string>

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '))

/** What tunes an index, beside what the readers below ask for; none of it says which records are searched. */
export const SEARCH_PARAMS = words(
  'anns_field topk limit offset params metric_type round_decimal ignore_growing group_by_field group_size strict_group_size hints ' +
    'iterator search_iter_v2 search_iter_batch_size search_iter_id search_iter_last_bound collection_id guarantee_timestamp ' +
    'page_retain_order analyzer_name timezone time_fields order_by_fields nprobe ef radius range_filter search_list itopk_size ' +
    'search_width reorder_k level refine_k drop_ratio_search dim_max_score_ratio max_empty_result_buckets retain_iterator_order'
)
export const RANK_PARAMS = words('strategy params limit offset round_decimal group_by_field group_size strict_group_size rank_group_scorer')
export const QUERY_PARAMS = words(
  'limit offset ignore_growing reduce_stop_for_best iterator collection_id query_iter_last_pk query_iter_last_element_offset ' +
    'group_by_fields order_by_fields timezone time_fields'
)

/** @returns the list as a map; each key once, and a known one */
export function readParams(pairs: readonly Pair[] | undefined, known: ReadonlySet<string>, what: string): Params {
  const params = new Map<string, string>()
  for (const { key = '', value = '' } of pairs ?? []) {
    if (!known.has(key)) fail('call-unreadable', `unknown key ${quote(key)} in ${what}`, `Leave ${quote(key)} out of ${what}.`)
    // The server takes the first of two, a map of them the last.
    if (params.has(key)) fail('call-ambiguous', `key ${quote(key)} stands twice in ${what}`, 'Send each parameter once.')
    params.set(key, value)
  }
  const inner = params.get('params') ?? ''
  if (inner !== '')
    accepted(readJson(Buffer.from(inner), (json) => readMap(json, `params in ${what}`, () => skipValue(json, 'a parameter'))))
  return params
}

/** The server reads `010` as eight and `0x10` as sixteen, Milvus Lite as ten or not at all: only one spelling passes. */
const COUNT = /^(0|[1-9][0-9]{0,14})$/

export function countOf(params: Params, key: string): number | undefined {
  const text = params.get(key)
  if (text === undefined) return undefined
  if (!COUNT.test(text)) fail('call-unreadable', `${key} is not a plain count`, `Send ${key} as decimal digits.`)
  return Number(text)
}

/** Most results that one query of these parameters asks for; undefined where they do not say. */
export function topKOf(params: Params): number | undefined {
  const counts = [countOf(params, 'topk'), countOf(params, 'limit'), countOf(params, 'search_iter_batch_size')]
  const given = counts.filter((count) => count !== undefined)
  countOf(params, 'offset')
  return given.length === 0 ? undefined : Math.max(...given) * Math.max(1, countOf(params, 'group_size') ?? 1)
}

const RERANKERS = words('rrf weighted decay')
const RERANKER_PARAMS = words('reranker k weights norm_score function origin scale offset decay score_mode')
const RERANK = 3

/** A ranking that is arithmetic; others call models elsewhere, or bring filters of their own. */
export function checkFunctionScore(score: FunctionScore | undefined): void {
  if ((score?.params ?? []).length > 0) fail('call-unreadable', 'function_score has parameters of its own', 'Use one ranker.')
  for (const { type, params, input_field_ids, output_field_ids } of score?.functions ?? []) {
    const known = readParams(params, RERANKER_PARAMS, 'the ranker')
    if (type !== RERANK || !RERANKERS.has(known.get('reranker') ?? ''))
      fail('call-unreadable', 'function_score is not one of the rankers rrf, weighted and decay', 'Rank with rrf, weighted or decay.')
    if ((input_field_ids ?? []).length + (output_field_ids ?? []).length > 0) fail('call-unreadable', 'a ranker names fields by id')
  }
}

/**
 * Whether an answer with these fields may hold raw vectors. A call does not tell which fields are vectors, so beside the wildcards
 * and the fields that it searches, those count that are named like one.
 */
export function asksForVectors(fields: readonly string[] | undefined, searched: readonly string[]): boolean {
  return (fields ?? []).some((field) => field !== COUNT_ALL && (WIDE.test(field) || searched.includes(field)))
}

export const COUNT_ALL = 'count(*)'
/** `*` is every field, `%` was every vector; the rest is how people name embeddings. */
const WIDE = /[*%]|vec|emb|dense|sparse/i
