/** What is to be taken out of a policy, as a difference of the files that it is written in. */
import { isAbsolute, relative } from 'node:path'
import { oneLine } from '../admin/approvals-lines.ts'
import { faulty } from '../admin/check-terminal.ts'
import { unreadable } from '../admin/svid-verify-question.ts'
import { mergePolicies, readPolicyTexts, revisionOf } from '../config/policy-files.ts'
import type { Left, Plan, Removal } from './prune.ts'
import { unifiedDiff } from './unified-diff.ts'
import { applied, editing } from './yaml-removal.ts'

export interface PolicyPatch extends Plan {
  /** Each file as it would be. */
  readonly texts: readonly { readonly file: string; readonly text: string }[]
  /** Empty where nothing goes. */
  readonly patch: string
}

/** Throws `Unreadable`. @param revision of the policy that was looked at */
export function policyPatch(path: string, revision: string, plan: Plan): PolicyPatch {
  const read = readPolicyTexts(path)
  if (!read.ok) return faulty(read.faults)
  if (revisionOf(read.texts) !== revision) unreadable('The policy was changed in the meantime; ask again.')
  const merged = mergePolicies(read.texts)
  if (!merged.ok) return faulty(merged.faults)
  const located = plan.removals.map((removal) => ({ removal, at: merged.parsed.locate(removal.path) }))
  const [going, left]: [Removal[], Left[]] = [[], [...plan.left]]
  const files = read.texts.map(({ file, text }) => {
    const mine = located.filter(({ at }) => at.file === file)
    const { lengthOf, removals } = editing(text)
    const lists = Map.groupBy(mine, ({ at }) => JSON.stringify(at.path.slice(0, -1)))
    const some = [...lists.values()].flatMap((items) => {
      // A file without the list would do as well, but an empty list is a fault.
      const emptied = items.length === lengthOf(items[0]?.at.path.slice(0, -1) ?? [])
      const [first] = items
      if (emptied && first !== undefined) left.push({ what: first.removal.what, because: 'its file would have an empty list' })
      return emptied ? items.slice(1) : items
    })
    going.push(...some.map(({ removal }) => removal))
    const edits = removals(some.map(({ at }) => at.path))
    return { file, text: applied(text, edits), diff: edits.length === 0 ? '' : unifiedDiff(namesOf(file), text, edits) }
  })
  return { removals: plan.removals.filter((one) => going.includes(one)), left, texts: files, patch: files.map(({ diff }) => diff).join('') }
}

/** As `git apply` and `patch -p1` take them, from here; else in full, for `patch -p0`. */
function namesOf(file: string): { old: string; new: string } {
  // A line of its own in a name would be one of the patch, and name another file.
  if (/[\p{Cc}"\\]/u.test(file)) return unreadable(`The name ${oneLine(file)} cannot stand in a patch: give the file a plainer one.`)
  const here = relative('.', file)
  return here.startsWith('..') || isAbsolute(here) ? { old: file, new: file } : { old: `a/${here}`, new: `b/${here}` }
}
