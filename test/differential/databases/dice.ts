/** Chance that repeats: mulberry32, 32 bits of state. */

export interface Dice {
  /** In [0, 1). */
  readonly roll: () => number
  /** A whole number in [0, below). */
  readonly below: (below: number) => number
  readonly chance: (likely: number) => boolean
  readonly pick: <T>(list: readonly T[]) => T
}

export function diceOf(seed: number): Dice {
  let state = seed >>> 0
  const roll = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
  const below = (limit: number) => Math.floor(roll() * limit)
  return {
    roll,
    below,
    chance: (likely) => roll() < likely,
    pick: (list) => {
      if (list.length === 0) throw new Error('nothing to pick from')
      return list[below(list.length)] as (typeof list)[number]
    }
  }
}

/** One change of a thing in place; undefined where there is nothing of its kind in it. */
export interface Change<T> {
  readonly name: string
  readonly weight: number
  readonly make: (dice: Dice, thing: T) => T | undefined
}

/** Picks by weight. @returns the changed thing, or undefined where that change has nothing to change */
export function changeOf<T>(dice: Dice, changes: readonly Change<T>[], thing: T): { readonly name: string; readonly made: T } | undefined {
  let at = dice.roll() * changes.reduce((sum, { weight }) => sum + weight, 0)
  for (const { name, weight, make } of changes) {
    at -= weight
    if (at >= 0) continue
    const made = make(dice, thing)
    return made === undefined ? undefined : { name, made }
  }
  return undefined
}

/** How many changes a request gets: none to three. */
export function oddities(dice: Dice): number {
  const roll = dice.roll()
  return roll < 0.34 ? 0 : roll < 0.74 ? 1 : roll < 0.92 ? 2 : 3
}
