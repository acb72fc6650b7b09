/** What the texts of a call are looked through for: kinds only, for the text itself is never kept. */

export const SCREENED = ['instruction', 'secret', 'secret-hunt', 'other-tenant', 'unscreened'] as const
/**
 * - `instruction`: words that tell a model to leave its instructions. - `secret`: what looks like a key, token or password.
 * - `secret-hunt`: a question for such things. - `other-tenant`: the name of a tenant that is not the call's.
 * - `unscreened`: more text than is looked through.
 */
export type Screened = (typeof SCREENED)[number]

/** As the policy says it; undefined: not looked for. */
export interface ScreeningRules {
  readonly instructions: ScreeningAction | undefined
  readonly secrets: ScreeningAction | undefined
  readonly tenants: ScreeningAction | undefined
}

export type ScreeningAction = 'flag' | 'deny'

/** Characters of text of one call that are looked through: as many as a body of the default size has at most. */
export const SCREENED_CHARACTERS_MAX = 1024 * 1024
