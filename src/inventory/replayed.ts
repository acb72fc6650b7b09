/** Whether a policy from which something was taken out still lets all pass that is used. It must; this looks whether it does. */

import { linesOf } from '../admin/replay.ts'
import { readRecord } from '../admin/replay-facts.ts'
import { regrant } from '../admin/replay-grant.ts'
import type { Policy } from '../policy/policy.ts'
import type { Grants } from './grants.ts'
import type { Observed } from './observed.ts'

const SHOWN_MAX = 3

/** Sentences about what would be refused; none, if all is well. @param files records, where there are some: each is decided by both */
export async function deniedBy(
  policy: Policy,
  after: Policy,
  grants: Grants,
  grantsAfter: Grants,
  { usage, from, kind }: Observed,
  files: readonly string[]
): Promise<readonly string[]> {
  const denied: string[] = []
  for (const { id, used } of usage.workloads()) {
    for (const use of used) {
      const counts = kind === 'records' || (use.lastAt ?? 0) >= from
      const before = grants.entryOf(id) !== undefined && grants.serving(use, id).length > 0
      const isServed = grantsAfter.entryOf(id) !== undefined && grantsAfter.serving(use, id).length > 0
      if (counts && before && !isServed) denied.push(`${use.action} in ${use.database} for ${use.tenant} by ${id}`)
    }
  }
  if (policy.revision === after.revision) return denied.slice(0, SHOWN_MAX)
  for (const file of files) {
    for await (const line of linesOf(file)) {
      const read = readRecord(line)
      if (!read.ok || regrant(read.facts, policy).verdict !== 'allow') continue
      const outcome = regrant(read.facts, after)
      if (outcome.verdict !== 'allow') denied.push(`decision ${read.recorded.id} of ${read.recorded.ts}`)
    }
  }
  return denied.slice(0, SHOWN_MAX)
}
