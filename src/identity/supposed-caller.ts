import type { Caller } from '../core/caller.ts'

/** The brand that makes a Caller, which nothing but a proof gives. */
type Proof = { readonly [K in keyof Caller as K extends symbol ? K : never]: Caller[K] }

/**
 * A caller that nobody proved, for commands that ask what would be (`test`, `replay`). Nothing is signed, counted or sent on for one:
 * a test holds that only such commands import this file.
 */
export function supposedCaller(claims: Omit<Caller, keyof Proof>): Caller {
  return claims as Caller
}
