/** How long a broken stream waits; all in milliseconds (rules E-7, E-8, E-11). */
export interface BackoffLimits {
  readonly firstMs: number
  /** Nobody listens there: dialling a local socket costs nothing, and a returning agent must be found within two seconds. */
  readonly unreachableMs: number
  /** The entry may be created any moment, yet every try makes the agent attest the process again. */
  readonly deniedMs: number
  /** Everything else that an agent answers. */
  readonly mostMs: number
}

export const BACKOFF: BackoffLimits = { firstMs: 500, unreachableMs: 1_000, deniedMs: 10_000, mostMs: 30_000 }

/**
 * Delay before the next try after `failures` failures of one kind (1 or more), with equal jitter: between half of and the whole
 * of the ceiling, so that a restarted agent does not meet all its workloads in one moment. `random` is in [0, 1).
 */
export function backoffMs(failures: number, firstMs: number, mostMs: number, random: number): number {
  const ceiling = Math.min(mostMs, firstMs * 2 ** Math.min(failures - 1, 30))
  return Math.round(ceiling * (0.5 + random / 2))
}
