/** Fits spaces and freezes baselines beside the event loop: seconds of arithmetic for a full draft. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Background, Baseline, BaselineKey, DriftDraft, DriftSpace } from '../core/drift.ts'
import { backgroundOf, freeze } from '../risk/drift-freeze.ts'
import { mergeDrafts } from '../risk/drift-learn.ts'
import { NO_BACKGROUND } from '../risk/drift-ready.ts'
import { readySpace } from '../risk/drift-sketch.ts'
import { fitSpace } from '../risk/drift-space.ts'
import { startKernel } from '../risk/kernel-wasm.ts'

export interface FreezeQuestion {
  /** Of one tenant and model; each as its replicas have learnt it. */
  readonly drafts: readonly (readonly DriftDraft[])[]
  /** The tenant's; undefined: it is fitted to these drafts. */
  readonly space: DriftSpace | undefined
  readonly spaceVersion: string
  /** Of each draft, and two of each to be distinguished. */
  readonly versions: readonly string[]
  /** The tenant's other baselines of that space. */
  readonly others: readonly Baseline[]
  readonly frozenAt: number
  readonly seed: number
}

export interface Frozen {
  readonly key: BaselineKey
  readonly baseline: Baseline
  readonly background: Background
  /** What a draft has to know when it is frozen once more in that space. */
  readonly holds: Pick<DriftDraft, 'held' | 'heldOf' | 'folds'>
}

export type FreezeAnswer =
  | { readonly ok: true; readonly space: DriftSpace; readonly made: readonly Frozen[] }
  /** Too little to learn from, or not of one model. */
  | { readonly ok: false; readonly because: string }

function answer({ drafts, space: known, spaceVersion, versions, others, frozenAt, seed }: FreezeQuestion): FreezeAnswer {
  const whole = drafts.map((parts) => parts.slice(1).reduce(mergeDrafts, parts[0] as DriftDraft))
  try {
    const fitted = known ?? fitSpace(whole, spaceVersion)
    const space = readySpace(fitted)
    const kernel = startKernel()
    const options = { space, frozenAt, seed, kernel }
    // Backgrounds are made of baselines, so those that are frozen together are first frozen without one.
    const alone = whole.length === 1 ? [] : whole.map((draft, at) => freeze(draft, { ...options, version: `${versions[at]}-alone` }))
    const made = whole.map((draft, at): Frozen => {
      const around = [...others, ...alone.filter((_, other) => other !== at)]
      const background = around.length === 0 ? NO_BACKGROUND : backgroundOf(around, kernel)
      const { held, heldOf, folds } = draft
      const baseline = freeze(draft, { ...options, background, version: versions[at] as string })
      return { key: draft.key, baseline, background, holds: { held, heldOf, folds } }
    })
    return { ok: true, space: fitted, made }
  } catch (cause) {
    if (cause instanceof RangeError) return { ok: false, because: cause.message }
    throw cause
  }
}

parentPort?.postMessage(answer(workerData as FreezeQuestion))
