/** The texts of a call, looked through for what the policy asks about. Pure, in linear time, and nothing of a text is kept. */
import { SCREENED_CHARACTERS_MAX, type Screened, type ScreeningAction, type ScreeningRules } from '../core/screening.ts'
import { hasInstruction, huntsSecrets } from './instructions.ts'
import { hasSecret } from './secrets.ts'
import { wordsOf } from './words.ts'

/** Shorter ones say nothing. */
const CHARACTERS_MIN = 3

/** The names of tenants as texts may have them: `acme-eu`, `acme_eu` and `Acme EU` are one. */
export interface TenantNames {
  /** Words with one space between them, to the tenants that are so called. */
  readonly names: ReadonlyMap<string, readonly string[]>
  /** How many words those names have. */
  readonly lengths: readonly number[]
}

/** @param tenant whose call it is: its own name may be in it. @returns each kind once */
export function screen(texts: readonly string[], rules: ScreeningRules, tenants: TenantNames, tenant: string): readonly Screened[] {
  const found = new Set<Screened>()
  let left = SCREENED_CHARACTERS_MAX
  for (const text of texts) {
    if (text.length < CHARACTERS_MIN) continue
    left -= text.length
    if (left < 0) {
      found.add('unscreened')
      break
    }
    const words = wordsOf(text)
    if (rules.instructions !== undefined && hasInstruction(words)) found.add('instruction')
    if (rules.secrets !== undefined && hasSecret(text)) found.add('secret')
    if (rules.secrets !== undefined && huntsSecrets(words)) found.add('secret-hunt')
    if (rules.tenants !== undefined && namesOther(words, tenants, tenant)) found.add('other-tenant')
  }
  return [...found]
}

function namesOther(words: readonly string[], { names, lengths }: TenantNames, tenant: string): boolean {
  for (let at = 0; at < words.length; at++)
    for (const length of lengths) {
      const called = names.get(length === 1 ? (words[at] ?? '') : words.slice(at, at + length).join(' '))
      if (called?.some((one) => one !== tenant) === true && !called.includes(tenant)) return true
    }
  return false
}

export function tenantNames(tenants: Iterable<string>): TenantNames {
  const names = new Map<string, string[]>()
  const lengths = new Set<number>()
  for (const tenant of tenants) {
    const words = wordsOf(tenant)
    const name = words.join(' ')
    if (name.length < CHARACTERS_MIN) continue
    names.set(name, [...(names.get(name) ?? []), tenant])
    lengths.add(words.length)
  }
  return { names, lengths: [...lengths].sort((one, other) => one - other) }
}

/** What is to be done about something that was found. */
export function actionOf(found: Screened, { instructions, secrets, tenants }: ScreeningRules): ScreeningAction {
  switch (found) {
    case 'instruction':
      return instructions ?? 'flag'
    case 'secret':
    case 'secret-hunt':
      return secrets ?? 'flag'
    case 'other-tenant':
      return tenants ?? 'flag'
    case 'unscreened':
      // What is not looked at could be anything.
      return [instructions, secrets, tenants].includes('deny') ? 'deny' : 'flag'
  }
}
