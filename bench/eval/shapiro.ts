/** Shapiro and Wilk's W by Royston's approximation (Applied Statistics 44, 1995, algorithm AS R94), for 12 to 2 000 values. */

/** @returns W, 1 for a sample that could not be more normal */
export function shapiroW(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const n = sorted.length
  const weights = weightsFor(n)
  const mean = sorted.reduce((sum, value) => sum + value, 0) / n
  const spread = sorted.reduce((sum, value) => sum + (value - mean) ** 2, 0)
  const slope = sorted.reduce((sum, value, at) => sum + (weights[at] as number) * value, 0)
  return spread > 0 ? Math.min(1, (slope * slope) / spread) : 1
}

const known = new Map<number, number[]>()

function weightsFor(n: number): number[] {
  const kept = known.get(n)
  if (kept !== undefined) return kept
  const scores = Array.from({ length: n }, (_, at) => normalQuantile((at + 1 - 0.375) / (n + 0.25)))
  const square = scores.reduce((sum, score) => sum + score * score, 0)
  const root = 1 / Math.sqrt(n)
  const at = (place: number) => scores[place] as number
  const last = at(n - 1) / Math.sqrt(square) + polynomial([0, 0.221157, -0.147981, -2.07119, 4.434685, -2.706056], root)
  const next = at(n - 2) / Math.sqrt(square) + polynomial([0, 0.042981, -0.293762, -1.752461, 5.682633, -3.582633], root)
  const rest = (square - 2 * at(n - 1) ** 2 - 2 * at(n - 2) ** 2) / (1 - 2 * last * last - 2 * next * next)
  const weights = scores.map((score) => score / Math.sqrt(rest))
  weights[n - 1] = last
  weights[n - 2] = next
  weights[0] = -last
  weights[1] = -next
  known.set(n, weights)
  return weights
}

function polynomial(factors: readonly number[], x: number): number {
  return factors.reduceRight((sum, factor) => sum * x + factor, 0)
}

/** Acklam's rational approximation; relative error below 1.2e-9. */
function normalQuantile(p: number): number {
  if (p > 0.5) return -normalQuantile(1 - p)
  if (p < 0.02425) {
    const q = Math.sqrt(-2 * Math.log(p))
    return (
      polynomial(
        [2.938163982698783, 4.374664141464968, -2.549732539343734, -2.400758277161838, -0.3223964580411365, -0.007784894002430293],
        q
      ) / polynomial([1, 3.754408661907416, 2.445134137142996, 0.3224671290700398, 0.007784695709041462], q)
    )
  }
  const q = p - 0.5
  const r = q * q
  return (
    (q *
      polynomial([2.506628277459239, -30.66479806614716, 138.357751867269, -275.9285104469687, 220.9460984245205, -39.69683028665376], r)) /
    polynomial([1, -13.28068155288572, 66.80131188771972, -155.6989798598866, 161.5858368580409, -54.47609879822406], r)
  )
}
