/** Titles of manuals with embeddings of a real model: what a database team's agents search for. Texts and licences: bench/data/manuals. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DIMENSIONS, readCorpus } from './corpus.ts'
import { DATABASE } from './identities.ts'
import { post } from './seed.ts'

const FILE = join(import.meta.dirname, '../bench/data/manuals/manuals-permissive-queries')
export const MANUAL = 'manual'
const FRESH = 12

export interface Title {
  readonly text: string
  /** Of length 1. */
  readonly vector: Float32Array
}

/** Titles by manual, and within it by page. */
type Manuals = ReadonlyMap<string, ReadonlyMap<string, readonly Title[]>>

function readManuals(): Manuals {
  const { rows } = JSON.parse(readFileSync(`${FILE}.json`, 'utf8')) as { rows: [string, string, string][] }
  const bytes = readFileSync(`${FILE}.i8`)
  const values = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length)
  const manuals = new Map<string, Map<string, Title[]>>()
  for (const [at, [text, manual, page]] of rows.entries()) {
    const pages = manuals.get(manual) ?? new Map<string, Title[]>()
    manuals.set(manual, pages)
    const vector = Float32Array.from(values.subarray(at * DIMENSIONS, (at + 1) * DIMENSIONS))
    const length = Math.hypot(...vector)
    pages.set(page, [...(pages.get(page) ?? []), { text, vector: vector.map((value) => value / length) }])
  }
  return manuals
}

export interface Questions {
  /** In the order in which bursts take them: page by page. */
  readonly own: readonly Title[]
  /** What was not learnt from, for later bursts. */
  readonly later: readonly Title[]
  /** Of another tenant's agents. */
  readonly foreign: readonly Title[]
  /** Another subject, by distance from the manual, the farthest first. */
  readonly fresh: readonly Title[]
}

/** Three of four titles are for learning. */
export function readQuestions(): Questions {
  const manuals = readManuals()
  const pages = [...(manuals.get('dba-postgresql')?.values() ?? [])]
  const own = pages.flatMap((titles, page) => titles.filter((_, at) => (page + at) % 4 !== 0))
  const later = pages.flatMap((titles, page) => titles.filter((_, at) => (page + at) % 4 === 0))
  const { tenants } = readCorpus()
  const foreign = tenants.filter(({ id }) => id === 'initech').flatMap(({ queries, documents }) => [...queries, ...documents])
  const web = ['mod_http2.html', 'mod_md.html', 'mod_proxy.html'].flatMap((page) => manuals.get('web-apache')?.get(page) ?? [])
  const nearness = new Map(web.map((title) => [title, Math.max(...own.map(({ vector }) => dot(title.vector, vector)))]))
  const fresh = web.sort((a, b) => (nearness.get(a) ?? 0) - (nearness.get(b) ?? 0)).slice(0, FRESH)
  return { own, later, foreign, fresh }
}

function dot(one: Float32Array, other: Float32Array): number {
  return one.reduce((sum, value, at) => sum + value * (other[at] ?? 0), 0)
}

/** Fills Acme's manual in Chroma. Gives the path at which it is searched. */
export async function seedManual(chromaUrl: string, titles: readonly Title[]): Promise<string> {
  const place = `/api/v2/tenants/acme/databases/${DATABASE}/collections`
  const { id } = (await post(chromaUrl + place, { name: MANUAL, configuration: { hnsw: { space: 'cosine' } } })) as { id: string }
  await post(`${chromaUrl}${place}/${id}/add`, {
    ids: titles.map((_, at) => `title-${at}`),
    documents: titles.map(({ text }) => text),
    embeddings: titles.map(({ vector }) => Array.from(vector))
  })
  return `${place}/${id}/query`
}
