/** What a workload may do, in sentences: for whoever lets it in, before it is in. */
import type { AllowDocument, CollectionsDocument, PolicyDocument, WorkloadDocument } from '../core/policy-document.ts'
import { compileIdPattern, matchesId, parseSpiffeId } from '../core/spiffe-id.ts'

/** One sentence for each rule that is about it; none: it may do nothing. */
export function mayDo(policy: PolicyDocument, workload: WorkloadDocument): readonly string[] {
  const rules = policy.collections.flatMap((collections) =>
    (collections.allow ?? []).flatMap((rule) => sentences(rule, collections, workload))
  )
  return rules.length === 0 ? ['It may do nothing yet: no allow rule is about its tenants and it.'] : rules
}

function sentences(rule: AllowDocument, collections: CollectionsDocument, workload: WorkloadDocument): readonly string[] {
  const tenants = rule.tenants.includes('*') ? workload.tenants : workload.tenants.filter((one) => rule.tenants.includes(one))
  if (tenants.length === 0 || !isMeant(rule, workload)) return []
  const purposes = rule.purposes ?? collections.purposes
  const lacking = purposes !== undefined && !purposes.some((one) => workload.purposes?.includes(one))
  const names = 'names' in collections && Array.isArray(collections.names) ? collections.names.join(', ') : 'collections'
  const conditions = [
    ...(purposes === undefined ? [] : [`for ${purposes.join(' or ')}${lacking ? ' (which it is not registered for: refused)' : ''}`]),
    ...(workload.delegated === true ? ['with the token of an end user of that tenant'] : []),
    ...(rule.when === undefined ? [] : [`when ${rule.when}`]),
    ...(collections.attestation === undefined
      ? []
      : [`attested at least as ${collections.attestation} (it is ${workload.attestation ?? 'of no class'})`]),
    ...(rule.approval === 'required' ? ["after somebody else's yes to each call"] : []),
    ...(rule.grant === 'required' ? ['under a grant that somebody else gives'] : [])
  ]
  const what = `${rule.actions.join(', ')} in ${names} of ${collections.database}, as ${tenants.join(' or ')}`
  return [`It may ${[what, ...conditions].join(', ')}.`]
}

function isMeant(rule: AllowDocument, workload: WorkloadDocument): boolean {
  if (rule.workloads === undefined) return true
  const id = parseSpiffeId(workload.spiffe_id)
  return rule.workloads.some((text) => {
    const pattern = compileIdPattern(text)
    return text === workload.spiffe_id || (id.ok && pattern.ok && matchesId(pattern.pattern, id.id))
  })
}
