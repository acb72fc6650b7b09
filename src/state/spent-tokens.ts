import { SPENT_TOKENS_MAX, type Spending, type SpentTokens } from '../core/policy-token.ts'

interface Use {
  readonly check: string
  readonly until: number
}

/** Answers without a promise. */
interface SpentAtOnce extends SpentTokens {
  readonly spend: (token: string, check: string, until: number, now: number) => Spending
}

/**
 * Single-use tokens of one process. Nothing is forgotten before its time, whatever comes: when all room is taken by tokens that
 * somebody would still accept, the answer is `full`.
 */
export function createSpentTokens(tokensMax = SPENT_TOKENS_MAX): SpentAtOnce {
  // In the order of use, which is that of their ends but for some seconds: what is over stands in front, or is found a little later.
  const uses = new Map<string, Use>()
  const dropOver = (now: number) => {
    for (const [token, { until }] of uses) {
      if (!(until <= now)) return
      uses.delete(token)
    }
  }
  return {
    spend(token, check, until, now) {
      dropOver(now)
      const known = uses.get(token)
      if (known !== undefined && (known.check !== check || check === '')) return 'spent'
      // What is said last of its end counts if it is later: nothing is forgotten while anybody takes it.
      if (known !== undefined) {
        if (until > known.until) uses.set(token, { check, until })
        return 'ours'
      }
      if (uses.size >= tokensMax) return 'full'
      uses.set(token, { check, until })
      return 'ours'
    }
  }
}
