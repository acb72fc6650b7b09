/**
 * Texts that were embedded, as files: `X.json` with `{ dim, rows: [[text, department, topic], …] }` and `X.i8` with a row of `dim`
 * int8 for each; optionally `Y-docs.i8` beside `Y-queries.i8`, a document for each query. All pairs of a folder are one data set.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { diceFor } from './dice.ts'

export interface DataSet {
  readonly name: string
  readonly dimensions: number
  /** Unit vectors. */
  readonly queries: readonly Float32Array[]
  /** What each query finds; the queries themselves where the set has no documents. */
  readonly documents: readonly Float32Array[]
  /** Rows of each department and, within it, of each topic. */
  readonly departments: ReadonlyMap<string, ReadonlyMap<string, readonly number[]>>
  /** What belongs to no department. */
  readonly unknown: readonly Float32Array[]
}

/** Department of what belongs to none. */
const UNKNOWN = 'oos'
/** So many topics are files or headings, not subjects: they are grouped into `TOPICS`. */
const TOPICS_MAX = 30
const TOPICS = 15
const ROUNDS = 10

/** @throws Error that says in a sentence which file is not as it should be */
export function readDataSet(folder: string): DataSet {
  const names = readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
  if (names.length === 0) throw new Error(`${folder} has no .json file with rows`)
  const parts = names.map((file) => readPart(join(folder, file)))
  const dimensions = parts[0]?.dimensions ?? 0
  if (parts.some((part) => part.dimensions !== dimensions)) throw new Error(`the files of ${folder} differ in their dimensions`)
  const queries = parts.flatMap((part) => part.queries)
  const labels = parts.flatMap((part) => part.labels)
  const departments = new Map<string, Map<string, number[]>>()
  for (const [row, [department, topic]] of labels.entries()) {
    if (department === UNKNOWN) continue
    const topics = departments.get(department) ?? new Map<string, number[]>()
    departments.set(department, topics)
    topics.set(topic, [...(topics.get(topic) ?? []), row])
  }
  for (const [department, topics] of departments)
    if (topics.size > TOPICS_MAX) departments.set(department, groupedTopics([...topics.values()].flat(), queries))
  return {
    name: basename(folder),
    dimensions,
    queries,
    documents: parts.flatMap((part) => part.documents),
    departments,
    unknown: queries.filter((_, row) => labels[row]?.[0] === UNKNOWN)
  }
}

interface Part {
  readonly dimensions: number
  readonly queries: Float32Array[]
  readonly documents: Float32Array[]
  readonly labels: (readonly [string, string])[]
}

function readPart(file: string): Part {
  const { dim, rows } = JSON.parse(readFileSync(file, 'utf8')) as { dim?: unknown; rows?: unknown }
  if (typeof dim !== 'number' || !Array.isArray(rows)) throw new Error(`${file} has no dim and rows`)
  const labels = rows.map((row: unknown): readonly [string, string] => {
    const [, department, topic] = Array.isArray(row) ? row : []
    if (typeof department !== 'string' || typeof topic !== 'string') throw new Error(`a row of ${file} is not [text, department, topic]`)
    return [department, topic]
  })
  const path = file.replace(/\.json$/, '.i8')
  const queries = readVectors(path, dim, labels.length)
  const documents = path.replace(/-queries\.i8$/, '-docs.i8')
  return { dimensions: dim, queries, documents: documents !== path ? readVectors(documents, dim, labels.length) : queries, labels }
}

function readVectors(file: string, dimensions: number, count: number): Float32Array[] {
  const bytes = readFileSync(file)
  if (bytes.length !== dimensions * count) throw new Error(`${file} has ${bytes.length} bytes, not ${count} rows of ${dimensions}`)
  const values = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  return Array.from({ length: count }, (_, row) => unit(Float32Array.from(values.subarray(row * dimensions, (row + 1) * dimensions))))
}

/** In place. */
export function unit(vector: Float32Array): Float32Array {
  const length = Math.sqrt(dot(vector, vector))
  for (let at = 0; at < vector.length; at++) vector[at] = (vector[at] as number) / (length || 1)
  return vector
}

/** Four sums side by side: an addition need not wait for the one before. */
export function dot(one: Float32Array, other: Float32Array): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0]
  for (let at = 0; at < one.length; at += 4) {
    s0 += (one[at] as number) * (other[at] as number)
    s1 += (one[at + 1] as number) * (other[at + 1] as number)
    s2 += (one[at + 2] as number) * (other[at + 2] as number)
    s3 += (one[at + 3] as number) * (other[at + 3] as number)
  }
  return s0 + s1 + s2 + s3
}

export function meanOf(vectors: readonly Float32Array[]): Float32Array {
  const sum = new Float64Array(vectors[0]?.length ?? 0)
  for (const vector of vectors) for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] as number) + (vector[at] as number)
  return Float32Array.from(sum, (value) => value / vectors.length)
}

/** Spherical k-means around the department's mean. */
function groupedTopics(rows: readonly number[], queries: readonly Float32Array[]): Map<string, number[]> {
  const own = rows.map((row) => queries[row] as Float32Array)
  const mean = meanOf(own)
  const centred = own.map((vector) => unit(vector.map((value, at) => value - (mean[at] as number))))
  let centres = diceFor('topics', rows.length).shuffled(centred).slice(0, TOPICS)
  let nearest: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    nearest = centred.map((vector) => mostAlike(vector, centres))
    centres = centres.map((centre, at) => {
      const members = centred.filter((_, row) => nearest[row] === at)
      return members.length > 0 ? unit(meanOf(members)) : centre
    })
  }
  const topics = new Map<string, number[]>()
  for (const [at, row] of rows.entries()) {
    const name = `topic-${nearest[at]}`
    topics.set(name, [...(topics.get(name) ?? []), row])
  }
  return topics
}

function mostAlike(vector: Float32Array, centres: readonly Float32Array[]): number {
  let [best, most] = [0, -2]
  for (const [at, centre] of centres.entries()) {
    const alike = dot(vector, centre)
    if (alike > most) [best, most] = [at, alike]
  }
  return best
}
