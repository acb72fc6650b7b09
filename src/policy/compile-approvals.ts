/** The `approvals` of a policy, and the rules that ask for one. */
import type { Needs } from '../core/approval.ts'
import type { AllowDocument, DocumentPath } from '../core/policy-document.ts'
import { compilePattern, fault, type Work } from './compile-work.ts'
import { addId, newIdIndex } from './id-index.ts'
import type { ApprovalRules } from './policy.ts'

const APPROVAL_SECONDS = 300
const GRANT_SECONDS = 3_600

export function compileApprovals(work: Work): ApprovalRules | undefined {
  const { approvals, workloads } = work.document
  if (approvals === undefined) return undefined
  const { actions, seconds = APPROVAL_SECONDS, grant_seconds = GRANT_SECONDS } = approvals
  const approvers = newIdIndex<string>()
  const seen = new Set<string>()
  for (const [at, text] of approvals.approvers.entries()) {
    const path = ['approvals', 'approvers', at]
    if (seen.has(text)) fault(work, path, `Approver "${text}" stands here a second time`, 'Keep one of the two.')
    seen.add(text)
    const pattern = compilePattern(work, text, path)
    if (pattern !== undefined) addId(approvers, pattern, pattern.text)
  }
  // Whoever calls never approves: where nobody else is on both lists, nothing could ever be approved.
  const [only, ...others] = workloads
  if (only !== undefined && others.length === 0 && !only.spiffe_id.includes('*') && seen.size === 1 && seen.has(only.spiffe_id)) {
    const says = `The only approver, "${only.spiffe_id}", is the only workload too, and nobody approves its own calls`
    fault(work, ['approvals', 'approvers', 0], says, 'Name somebody else: a person, or a workload with another SPIFFE ID.')
  }
  const source = work.place(['approvals'])
  return { actions: new Set(actions), approvers, approvalMs: seconds * 1000, grantMs: grant_seconds * 1000, source }
}

export function needsOf(work: Work, { approval, grant }: AllowDocument, path: DocumentPath): Needs | undefined {
  if (approval === undefined && grant === undefined) return undefined
  if (work.document.approvals === undefined) {
    const key = approval === undefined ? 'grant' : 'approval'
    const says = `This rule asks for ${key === 'grant' ? 'a grant' : 'an approval'}, and nobody may give one`
    fault(work, [...path, key], says, 'Add approvals with approvers to the policy, or take the key away.')
  }
  return { approval: approval !== undefined, grant: grant !== undefined }
}
