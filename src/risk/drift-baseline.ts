/** Baselines as things that are added up, chosen, handed over and taken back. */
import {
  ADOPTED_MAX,
  type Baseline,
  type BaselineCounts,
  BURSTS_MIN,
  CENTROIDS_MAX,
  CHANNELS,
  HISTOGRAM_BINS,
  SCORES,
  SKETCH_DIMENSIONS
} from '../core/drift.ts'
import { LUNDBERG_FLOATS } from './drift-lundberg.ts'
import { NORM_FLOATS } from './drift-score.ts'

/** Text of a baseline of 80 centroids is about 25 kB. */
const EXPORT_CHARS_MAX = 65_536
/** A projection is 64 × 384 floats in base64. */
const TEXT_CHARS_MAX = 262_144
const NAME_CHARS_MAX = 1024
/** Sums of one channel. */
const CHANNEL_FLOATS = LUNDBERG_FLOATS / CHANNELS.length
/** A sum that makes no rate fair, for a channel that nothing is known of. */
const NEVER_FAIR = 1e30

/**
 * What replicas counted against the same codebook, as if one had counted it all. Addition: in any order, any number of them.
 *
 * @throws RangeError when the codebooks are not the same
 */
export function mergeBaselines(one: Baseline, other: Baseline): Baseline {
  if (one.version !== other.version || one.counts.centroids.length !== other.counts.centroids.length)
    throw new RangeError(`baseline ${one.version} and ${other.version} have different codebooks`)
  const [a, b] = [one.counts, other.counts]
  const counts: BaselineCounts = {
    centroids: a.centroids.map((count, at) => count + (b.centroids[at] as number)),
    histograms: a.histograms.map((count, at) => count + (b.histograms[at] as number)),
    queries: a.queries + b.queries,
    nearDuplicates: a.nearDuplicates + b.nearDuplicates,
    compared: a.compared + b.compared,
    bursts: a.bursts + b.bursts,
    blocks: a.blocks + b.blocks,
    lundberg: a.lundberg.map((sum, at) => sum + (b.lundberg[at] as number))
  }
  return { ...one, counts }
}

/** The first that has seen enough to judge: the baseline itself, then its parents (agent type across collections, tenant). */
export function judgingBaseline<Some extends { readonly baseline: Baseline }>(candidates: readonly (Some | undefined)[]): Some | undefined {
  return candidates.find((candidate) => candidate !== undefined && candidate.baseline.counts.bursts >= BURSTS_MIN)
}

/** Bytes of the numbers, without names. */
export function baselineBytes({ centroids, norms, ranges, counts }: Baseline): number {
  const arrays = [centroids.rows, centroids.scales, norms, ranges, counts.centroids, counts.histograms, counts.lundberg]
  return arrays.reduce((sum, array) => sum + array.byteLength, 6 * 8)
}

/** JSON with the arrays in base64 (little-endian), for `importBaseline`. */
export function exportBaseline(baseline: Baseline): string {
  const { centroids, norms, ranges, counts, ...plain } = baseline
  const { centroids: members, histograms, lundberg, ...numbers } = counts
  return JSON.stringify({
    ...plain,
    centroids: { rows: toBase64(centroids.rows), scales: toBase64(centroids.scales) },
    norms: toBase64(norms),
    ranges: toBase64(ranges),
    counts: { ...numbers, centroids: toBase64(members), histograms: toBase64(histograms), lundberg: toBase64(lundberg) }
  })
}

export type Imported = { readonly ok: true; readonly baseline: Baseline } | { readonly ok: false; readonly because: string }

/** Takes nothing on trust: every key known, every array of its length, every number within its bounds. */
export function importBaseline(text: string): Imported {
  if (text.length > EXPORT_CHARS_MAX) return { ok: false, because: `a baseline has at most ${EXPORT_CHARS_MAX} characters` }
  try {
    return { ok: true, baseline: readBaseline(JSON.parse(text)) }
  } catch (cause) {
    // Both JSON.parse and the readers below say in a sentence what is wrong; neither quotes more than a name.
    return { ok: false, because: cause instanceof RangeError ? cause.message : 'a baseline is JSON' }
  }
}

const FIELDS = [
  'format',
  'key',
  'version',
  'space',
  'background',
  'frozenAt',
  'gapMs',
  'centroids',
  'norms',
  'ranges',
  'joinDistance',
  'counts'
] as const
const COUNTS = ['centroids', 'histograms', 'queries', 'nearDuplicates', 'compared', 'bursts', 'blocks', 'lundberg'] as const

function readBaseline(value: unknown): Baseline {
  const fields = readObject(value, FIELDS, 'the baseline')
  if (fields.format !== 2 && fields.format !== 1) fail('the format of the baseline is neither 1 nor 2')
  const before = fields.format === 1
  const key = readObject(fields.key, ['tenant', 'agentType', 'collection'], 'key')
  const { rows, scales } = readObject(fields.centroids, ['rows', 'scales'], 'centroids')
  const factors = new Float32Array(readArray(scales, 'centroids.scales', undefined, Float32Array.BYTES_PER_ELEMENT))
  const count = factors.length
  if (count < 1 || count > CENTROIDS_MAX + ADOPTED_MAX) fail('the baseline has too few or too many centroids')
  const baseline: Baseline = {
    format: 2,
    key: {
      tenant: readName(key.tenant, 'tenant'),
      agentType: readName(key.agentType, 'agentType'),
      collection: readName(key.collection, 'collection')
    },
    version: readName(fields.version, 'version'),
    space: readName(fields.space, 'space'),
    background: readText(fields.background, 'background'),
    frozenAt: readNumber(fields.frozenAt, 'frozenAt'),
    gapMs: readNumber(fields.gapMs, 'gapMs'),
    centroids: { rows: new Int8Array(readArray(rows, 'centroids.rows', count * SKETCH_DIMENSIONS, 1)), scales: factors },
    norms: new Float32Array(readArray(fields.norms, 'norms', count * NORM_FLOATS, 4)),
    ranges: before
      ? Float32Array.of(...new Float32Array(readArray(fields.ranges, 'ranges', 2 * (SCORES.length - 1), 4)), 0, 1)
      : new Float32Array(readArray(fields.ranges, 'ranges', 2 * SCORES.length, 4)),
    joinDistance: readNumber(fields.joinDistance, 'joinDistance'),
    counts: readCounts(fields.counts, count, before)
  }
  const { norms, ranges, counts } = baseline
  if (![...factors, ...norms, ...ranges, ...counts.lundberg].every(Number.isFinite)) fail('the baseline holds what is no number')
  factors.forEach((factor, at) => {
    const row = baseline.centroids.rows.subarray(at * SKETCH_DIMENSIONS, (at + 1) * SKETCH_DIMENSIONS)
    const length = factor * Math.hypot(...row)
    if (Math.abs(length - 1) > 1e-3 && length !== 0) fail('a centroid of the baseline is not of unit length')
  })
  // Every second one divides.
  if ([...norms, ...ranges].some((number, at) => at % 2 === 1 && !(number > 0))) fail('a deviation or width of the baseline is not above 0')
  if ([...factors, ...counts.lundberg].some((number) => number < 0)) fail('a scale or sum of the baseline is below 0')
  return baseline
}

/** @param before of format 1, which knew nothing of the distance to the query before: that channel stays mute */
function readCounts(value: unknown, centroids: number, before: boolean): BaselineCounts {
  const fields = readObject(value, COUNTS, 'counts')
  const whole = (name: 'queries' | 'nearDuplicates' | 'compared' | 'bursts' | 'blocks') => {
    const number = readNumber(fields[name], `counts.${name}`)
    return Number.isSafeInteger(number) ? number : fail(`counts.${name} is not a whole number`)
  }
  const counts = {
    centroids: new Uint32Array(readArray(fields.centroids, 'counts.centroids', centroids, 4)),
    histograms: new Uint32Array(SCORES.length * (HISTOGRAM_BINS + 1)),
    queries: whole('queries'),
    nearDuplicates: whole('nearDuplicates'),
    compared: whole('compared'),
    bursts: whole('bursts'),
    blocks: whole('blocks'),
    lundberg: new Float32Array(LUNDBERG_FLOATS).fill(NEVER_FAIR)
  }
  const scores = SCORES.length - Number(before)
  counts.histograms.set(new Uint32Array(readArray(fields.histograms, 'counts.histograms', scores * (HISTOGRAM_BINS + 1), 4)))
  const sums = new Float32Array(readArray(fields.lundberg, 'counts.lundberg', LUNDBERG_FLOATS - Number(before) * CHANNEL_FLOATS, 4))
  // The last channel is that of near-duplicates; the new one came before it.
  counts.lundberg.set(sums.subarray(0, scores * CHANNEL_FLOATS))
  counts.lundberg.set(sums.subarray(scores * CHANNEL_FLOATS), SCORES.length * CHANNEL_FLOATS)
  if (counts.nearDuplicates > counts.compared) fail('more near-duplicates than compared queries')
  return counts
}

export function fail(because: string): never {
  throw new RangeError(because)
}

export function readObject<Key extends string>(value: unknown, keys: readonly Key[], name: string): Record<Key, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return fail(`${name} is not an object`)
  const found = Object.keys(value)
  const missing = keys.find((key) => !found.includes(key))
  if (missing !== undefined) fail(`${name} has no ${missing}`)
  if (found.length !== keys.length) fail(`${name} has a key that is not known`)
  return value as Record<Key, unknown>
}

export function readText(value: unknown, name: string): string {
  return typeof value === 'string' && value.length <= TEXT_CHARS_MAX ? value : fail(`${name} is not a text`)
}

export function readName(value: unknown, name: string): string {
  const text = readText(value, name)
  return text.length > 0 && text.length <= NAME_CHARS_MAX ? text : fail(`${name} is empty or too long`)
}

export function readNumber(value: unknown, name: string): number {
  return typeof value === 'number' && value >= 0 ? value : fail(`${name} is not a number from 0 on`)
}

export function readArray(value: unknown, name: string, length: number | undefined, bytesEach: number): ArrayBuffer {
  const text = readText(value, name)
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text) || text.length % 4 !== 0) return fail(`${name} is not base64`)
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0))
  if (bytes.length % bytesEach !== 0 || (length !== undefined && bytes.length !== length * bytesEach)) fail(`${name} has the wrong length`)
  return bytes.buffer
}

/** Every machine that Node 24 runs on is little-endian. */
export function toBase64(array: Int8Array | Uint8Array | Uint32Array | Float32Array | Float64Array): string {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}
