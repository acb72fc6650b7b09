/** How long the fuzzers run, and what all of them demand of a verdict. */
import fc from 'fast-check'
import { expect, vi } from 'vitest'
import { RULES } from '../../src/identity/rules.ts'

/** An input takes up to a millisecond on an idle core, where a certificate is issued for it. */
vi.setConfig({ testTimeout: 10_000 + Number(process.env['FUZZ_RUNS'] ?? 0) * 5 })

/** FUZZ_RUNS sets the inputs of each property; the unit run keeps them few. */
export function runs(few: number): { readonly numRuns: number } {
  return { numRuns: Number(process.env['FUZZ_RUNS'] ?? few) }
}

/** A place, as a part of the whole: all are as likely, which those of `fc.double` are not (nearly all of them are nearly 0). */
export const place: fc.Arbitrary<number> = fc.noBias(fc.nat({ max: 2 ** 30 - 1 })).map((one) => one / 2 ** 30)

/**
 * Whether a property finds what it is for, when it is asked about a reader that is broken: by what it demands, not by a throw.
 * The same inputs each time, however long the fuzzers run: as many as it takes, at most this many.
 */
export async function catches<T>(property: fc.IProperty<T> | fc.IAsyncProperty<T>): Promise<boolean> {
  const details = await fc.check(property as fc.IAsyncProperty<T>, { numRuns: 100_000, seed: 1, endOnFailure: true })
  return details.errorInstance instanceof Error && details.errorInstance.name === 'AssertionError'
}

/** A refusal names a rule that there is, and says why in a short line of printable ASCII. */
export function expectClosed(refusal: { readonly rule: string; readonly detail: string; readonly kind?: string }): void {
  expect(RULES).toHaveProperty(refusal.rule)
  expect(refusal.detail).toMatch(/^[\x20-\x7e]{1,600}$/)
  expect([undefined, 'svid-expired', 'svid-untrusted']).toContain(refusal.kind)
}
