/** A baseline with all that it needs to judge elsewhere, as one text: its space, which is secret, and the background it was calibrated with. */
import {
  BACKGROUND_MAX,
  type Background,
  type Baseline,
  type DriftSpace,
  FOLDED_DIMENSIONS,
  type Points,
  SKETCH_DIMENSIONS
} from '../core/drift.ts'
import { VECTOR_DIMENSIONS_MAX } from '../core/limits.ts'
import { exportBaseline, fail, importBaseline, readArray, readName, readNumber, readObject, readText, toBase64 } from './drift-baseline.ts'

/** Text of a bundle: a space of 384 dimensions is 134 kB, a baseline 25 kB, a background 12 kB. */
export const BUNDLE_CHARS_MAX = 262_144

export interface Bundle {
  readonly space: DriftSpace
  readonly background: Background
  readonly baseline: Baseline
}

export type Unbundled<Value> = { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly because: string }

export function exportSpace({ mean, projection, ...plain }: DriftSpace): object {
  return { ...plain, mean: toBase64(mean), projection: toBase64(projection) }
}

export function exportBackground({ version, points }: Background): object {
  return { version, rows: toBase64(points.rows), scales: toBase64(points.scales) }
}

export function exportBundle({ space, background, baseline }: Bundle): string {
  return JSON.stringify({
    format: 'vecauthz-baseline 1',
    space: exportSpace(space),
    background: exportBackground(background),
    baseline: JSON.parse(exportBaseline(baseline))
  })
}

/** Takes nothing on trust, and nothing that does not belong together. */
export function importBundle(text: string): Unbundled<Bundle> {
  if (text.length > BUNDLE_CHARS_MAX) return { ok: false, because: `an exported baseline has at most ${BUNDLE_CHARS_MAX} characters` }
  return said(() => {
    const fields = readObject(JSON.parse(text), ['format', 'space', 'background', 'baseline'], 'the text')
    if (fields.format !== 'vecauthz-baseline 1') fail('the text is no exported baseline, or one of another format')
    const space = readSpace(fields.space)
    const background = readBackground(fields.background)
    const read = importBaseline(JSON.stringify(fields.baseline))
    const baseline = read.ok ? read.baseline : fail(read.because)
    if (baseline.space !== space.version) fail('the baseline is of another space than the one beside it')
    if (baseline.background !== background.version) fail('the baseline was calibrated with another background than the one beside it')
    return { space, background, baseline }
  })
}

export function importSpace(value: unknown): Unbundled<DriftSpace> {
  return said(() => readSpace(value))
}

export function importBackground(value: unknown): Unbundled<Background> {
  return said(() => readBackground(value))
}

function said<Value>(read: () => Value): Unbundled<Value> {
  try {
    return { ok: true, value: read() }
  } catch (cause) {
    return { ok: false, because: cause instanceof RangeError ? cause.message : 'an exported baseline is JSON' }
  }
}

function readSpace(value: unknown): DriftSpace {
  const { version, form, dimensions, seed, mean, projection } = readObject(
    value,
    ['version', 'form', 'dimensions', 'seed', 'mean', 'projection'],
    'the space'
  )
  const [wide, secret] = [readNumber(dimensions, 'dimensions'), readNumber(seed, 'seed')]
  if (!Number.isSafeInteger(wide) || wide < 1 || wide > VECTOR_DIMENSIONS_MAX) fail('dimensions is no number of components')
  if (!Number.isSafeInteger(secret) || secret > 0xffffffff) fail('seed is not a whole number of 32 bits')
  const columns = Math.min(wide, FOLDED_DIMENSIONS)
  const space: DriftSpace = {
    version: readName(version, 'version'),
    form: form === 'dense' || form === 'sparse' ? form : fail('form is neither dense nor sparse'),
    dimensions: wide,
    seed: secret,
    mean: new Float32Array(readArray(mean, 'mean', columns * 4, 1)),
    projection: new Float32Array(readArray(projection, 'projection', SKETCH_DIMENSIONS * columns * 4, 1))
  }
  if (!space.mean.every(Number.isFinite) || !space.projection.every(Number.isFinite)) fail('the space holds what is no number')
  return space
}

function readBackground(value: unknown): Background {
  const { version, rows, scales } = readObject(value, ['version', 'rows', 'scales'], 'the background')
  const factors = new Float32Array(readArray(scales, 'background.scales', undefined, 4))
  if (factors.length > BACKGROUND_MAX) fail('the background has too many centroids')
  if (!factors.every((factor) => Number.isFinite(factor) && factor >= 0)) fail('the background holds what is no scale')
  const points: Points = {
    rows: new Int8Array(readArray(rows, 'background.rows', factors.length * SKETCH_DIMENSIONS, 1)),
    scales: factors
  }
  return { version: readText(version, 'background.version'), points }
}
