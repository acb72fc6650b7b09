/**
 * What one process remembers between calls: the budget of each workload, and the checks that Envoy may repeat.
 * Bounded: when a table is full, what no longer matters goes first, and if nothing can go the caller is told so.
 */
import { BUDGETS_MAX, CHECK_REPEAT_MS, CHECK_REPEATS_MAX } from '../core/limits.ts'
import type { Charge, Memory } from '../core/memory.ts'

export interface MemoryBounds {
  readonly budgets: number
  readonly repeats: number
}

export function createMemory(bounds: MemoryBounds = { budgets: BUDGETS_MAX, repeats: CHECK_REPEATS_MAX }): Memory {
  const budgets = new Map<string, { tat: number }>()
  // Two generations instead of a timer per check: an entry lives between one and two periods.
  let young = new Map<string, Charge>()
  let old = new Map<string, Charge>()
  let turned = 0

  const turn = (now: number) => {
    if (now - turned < CHECK_REPEAT_MS && young.size < bounds.repeats) return
    old = now - turned < 2 * CHECK_REPEAT_MS ? young : new Map()
    young = new Map()
    turned = now
  }
  return {
    budgetOf: (name) => budgets.get(name)?.tat,
    keepBudget(name, tat, now) {
      const kept = budgets.get(name)
      if (kept !== undefined) {
        kept.tat = tat
        return true
      }
      if (budgets.size >= bounds.budgets) dropRefilled(budgets, now)
      if (budgets.size >= bounds.budgets) return false
      budgets.set(name, { tat })
      return true
    },
    repeatOf(check, now) {
      turn(now)
      return young.get(check) ?? old.get(check)
    },
    keepRepeat(check, charge, now) {
      turn(now)
      young.set(check, charge)
    },
    share: () => 1
  }
}

/** A budget whose time has passed is full again: forgetting it changes nothing. */
function dropRefilled(budgets: Map<string, { tat: number }>, now: number): void {
  for (const [name, { tat }] of budgets) if (tat <= now) budgets.delete(name)
}
