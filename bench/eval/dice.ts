/** Seeded random numbers of the shapes that the stream generator needs. */
import { diceOf } from '../../src/risk/drift-cluster.ts'

export interface Dice {
  /** 0 to 1. */
  readonly next: () => number
  /** 0 to count - 1. */
  readonly below: (count: number) => number
  /** Standard normal. */
  readonly normal: () => number
  readonly shuffled: <Item>(items: readonly Item[]) => Item[]
  /** An index with the chance of its weight. The weights are at least 0 and not all 0. */
  readonly weighted: (weights: readonly number[]) => number
  /** Shares that add up to 1. @param shapes above 0 */
  readonly dirichlet: (shapes: readonly number[]) => number[]
}

/** The same parts give the same numbers. */
export function diceFor(...parts: readonly (string | number)[]): Dice {
  const next = diceOf(seedOf(parts.join('/')))
  const below = (count: number) => Math.min(count - 1, Math.floor(next() * count))
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  return {
    next,
    below,
    normal,
    shuffled: (items) => {
      const out = [...items]
      for (let at = out.length - 1; at > 0; at--) {
        const other = below(at + 1)
        ;[out[at], out[other]] = [out[other] as never, out[at] as never]
      }
      return out
    },
    weighted: (weights) => {
      let left = next() * weights.reduce((sum, weight) => sum + weight, 0)
      let last = 0
      for (const [at, weight] of weights.entries()) {
        if (!(weight > 0)) continue
        last = at
        left -= weight
        if (left < 0) break
      }
      return last
    },
    dirichlet: (shapes) => {
      const gammas = shapes.map((shape) => gamma(shape, next, normal))
      const sum = gammas.reduce((total, value) => total + value, 0)
      return gammas.map((value) => (sum > 0 ? value / sum : 1 / shapes.length))
    }
  }
}

/** FNV-1a. */
function seedOf(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash
}

/** Marsaglia and Tsang's method; below a shape of 1 with the usual power of a uniform number. */
function gamma(shape: number, next: () => number, normal: () => number): number {
  if (shape < 1) return gamma(shape + 1, next, normal) * next() ** (1 / shape)
  const d = shape - 1 / 3
  const c = 1 / Math.sqrt(9 * d)
  for (;;) {
    const x = normal()
    const v = (1 + c * x) ** 3
    if (v > 0 && Math.log(1 - next()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v
  }
}
