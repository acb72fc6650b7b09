/** Made-up vectors for tests of drift: topics as random directions, queries near them; the same for the same seed. */

/** Numbers from -1 to 1 (a linear congruential generator: the study's own code can make the same ones). */
export function numbersFrom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 31 - 1
  }
}
