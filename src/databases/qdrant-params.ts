import { readObject, skipValue } from './json.ts'
import { keys } from './json-keys.ts'
import { type JsonReader, peek } from './json-reader.ts'
import { readFields } from './qdrant-fields.ts'
import { readFilter } from './qdrant-filter.ts'

const BRACE = 0x7b

const PARAMS = keys('hnsw_ef', 'exact', 'quantization', 'indexed_only', 'acorn', 'idf')
const CORPUS = keys('corpus')

/** How to search, not what for; the corpus of `idf` only weighs terms. */
export function readParams(json: JsonReader, what: string): void {
  readFields(json, what, PARAMS, (key) => {
    if (key === 'idf' && peek(json) === BRACE) readObject(json, key, CORPUS, () => void readFilter(json, 'the corpus'))
    else skipValue(json, key)
  })
}
