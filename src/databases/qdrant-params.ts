import { readObject, skipValue } from './json.ts'
import { keys } from './json-keys.ts'
import { type JsonReader, peek } from './json-reader.ts'
import { readFields } from './qdrant-fields.ts'
import { readFilter } from './qdrant-filter.ts'
import { NO_PINS, type Pins } from './qdrant-pins.ts'

const BRACE = 0x7b

const PARAMS = keys('hnsw_ef', 'exact', 'quantization', 'indexed_only', 'acorn', 'idf')
const CORPUS = keys('corpus')

/**
 * How to search, not what for; but of the corpus of `idf` the server counts the records that have a term, whatever the search is
 * confined to, and the scores tell how many.
 * @returns what the corpus proves about those records; undefined without one
 */
export function readParams(json: JsonReader, what: string): Pins | undefined {
  let corpus: Pins | undefined
  readFields(json, what, PARAMS, (key) => {
    if (key !== 'idf' || peek(json) !== BRACE) return skipValue(json, key)
    corpus = NO_PINS
    readObject(json, key, CORPUS, () => {
      corpus = readFilter(json, 'the corpus')
    })
  })
  return corpus
}
