/** Single-use tokens of several processes: whoever notes the use first has it. */
import { key } from '../core/keys.ts'
import { POLICY_TOKEN_LEEWAY_MS_MAX, POLICY_TOKEN_SECONDS_MAX, type Spending, type SpentTokens } from '../core/policy-token.ts'
import type { Put, Store } from '../core/store.ts'

/**
 * A store that is new, was wiped or started again may have forgotten uses, so a token that can have been used before is `unavailable`
 * there: it was issued at most as long before its end as a token lives, and used at most the clock difference before that.
 * @param leewayMs clock difference that is tolerated, which is in the end of each token too
 */
export function createSharedSpentTokens(store: Store, leewayMs = POLICY_TOKEN_LEEWAY_MS_MAX): SpentTokens {
  const lifeMs = POLICY_TOKEN_SECONDS_MAX * 1000 + 2 * leewayMs
  return {
    spend(token, check, until, now) {
      const put = store.putOnce(key('spent', token), check, until, now)
      const spending = (answer: Put) => spendingOf(answer, check, until - lifeMs)
      return put instanceof Promise ? put.then(spending) : spending(put)
    }
  }
}

/** @param from nobody took the token before then, milliseconds since the epoch */
function spendingOf(put: Put, check: string, from: number): Spending {
  if (put.kind === 'full' || put.kind === 'unavailable') return put.kind
  if (put.kind === 'there' && (put.value !== check || check === '')) return 'spent'
  return put.since <= from ? 'ours' : 'unavailable'
}
