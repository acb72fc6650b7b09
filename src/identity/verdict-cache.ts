/** Verdicts on tokens, kept while nothing that they rest on has changed. What a key names is the caller's affair. */
import type { Result } from '../core/deny-reason.ts'

export interface VerdictCache<T> {
  /** What the verdicts rest on: key sets, policy. Another text empties the cache. */
  basis: string
  readonly entriesMax: number
  readonly proven: Map<string, Kept<T>>
  readonly refused: Map<string, Kept<T>>
}

interface Kept<T> {
  readonly at: number
  /** Milliseconds since the epoch, not inside. */
  readonly until: number
  readonly verdict: Result<T>
}

/** As for certificates: refusals have room of their own, and a mended caller waits little. */
const REFUSALS_MAX = 256
const REFUSAL_TTL_MS = 1_000

export function createVerdictCache<T>(entriesMax: number): VerdictCache<T> {
  return { basis: '', entriesMax, proven: new Map(), refused: new Map() }
}

/** The verdict that is known, or the one that `judge` reaches. Nothing proven before `since` is believed. */
export function remembered<T>(
  cache: VerdictCache<T>,
  { basis, key, now, since }: { readonly basis: string; readonly key: string; readonly now: number; readonly since: number },
  judge: () => { readonly verdict: Result<T>; readonly until: number }
): Result<T> {
  if (cache.basis !== basis) restart(cache, basis)
  const known = cache.proven.get(key) ?? cache.refused.get(key)
  if (known !== undefined && known.at >= since && now >= known.at && now < known.until) return known.verdict
  const { verdict, until } = judge()
  const [kept, max] = verdict.ok ? [cache.proven, cache.entriesMax] : [cache.refused, REFUSALS_MAX]
  const [oldest] = kept.keys()
  if (kept.size >= max && !kept.has(key) && oldest !== undefined) kept.delete(oldest)
  kept.set(key, { at: now, until: verdict.ok ? until : now + REFUSAL_TTL_MS, verdict })
  if (!verdict.ok) cache.proven.delete(key)
  return verdict
}

function restart<T>(cache: VerdictCache<T>, basis: string): void {
  cache.proven.clear()
  cache.refused.clear()
  cache.basis = basis
}
