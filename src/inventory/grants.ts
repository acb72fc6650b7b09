/**
 * Rules of a policy, and which of them could have let a use pass. Conditions, purposes and limits are not asked: whatever a rule may have
 * been used for counts as a use of it, so that nothing is called unused that was not.
 */
import type { AllowDocument, CollectionsDocument, DocumentPath, PolicyDocument, WorkloadDocument } from '../core/policy-document.ts'
import { compileIdPattern, type IdPattern, matchesId, parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts'
import { addId, findId, type IdIndex, meetingId, newIdIndex } from '../policy/id-index.ts'
import { covers, matchesAll, type NamePattern, readPattern } from '../policy/names.ts'
import type { Used } from '../usage/usage-text.ts'

/** One rule of the policy. */
export interface Grant {
  readonly path: readonly ['collections', number, 'allow', number]
  /** Such as `policy.yaml:31 collections[0].allow[1]`. */
  readonly source: string
  readonly entry: CollectionsDocument
  readonly rule: AllowDocument
  readonly actions: ReadonlySet<string>
  readonly namespace: NamePattern | undefined
  readonly names: readonly NamePattern[]
  /** Undefined: every workload of its tenants. */
  readonly workloads: readonly IdPattern[] | undefined
  readonly admits: IdIndex<true>
}

/** One line under `workloads`. */
export interface Entry {
  readonly at: number
  readonly source: string
  readonly document: WorkloadDocument
  readonly pattern: IdPattern
}

export interface Grants {
  readonly all: readonly Grant[]
  readonly entries: readonly Entry[]
  /** The line that names an identity; undefined for one that none does. */
  readonly entryOf: (id: string) => Entry | undefined
  /** The rules that could have let it pass. */
  readonly serving: (use: Used, id: string) => readonly Grant[]
  /** The rules that are for the workloads of a line. */
  readonly of: (entry: Entry) => readonly Grant[]
}

export function grantsOf({ collections, workloads }: PolicyDocument, place: (path: DocumentPath) => string): Grants {
  const all = collections.flatMap((entry, at) =>
    entry.allow.map((rule, index) => grantOf(entry, rule, ['collections', at, 'allow', index], place))
  )
  const byTenant = new Map<string, Grant[]>()
  for (const grant of all) for (const tenant of new Set(grant.rule.tenants)) append(byTenant, tenant, grant)
  const entries = workloads.flatMap((document, at): Entry[] =>
    patternsOf([document.spiffe_id]).map((pattern) => ({ at, source: place(['workloads', at]), document, pattern }))
  )
  const index = newIdIndex<Entry>()
  for (const entry of entries) addId(index, entry.pattern, entry)
  const idOf = (text: string) => {
    const read = parseSpiffeId(text)
    return read.ok ? read.id : undefined
  }
  return {
    all,
    entries,
    entryOf(text) {
      const id = idOf(text)
      return id === undefined ? undefined : findId(index, id)
    },
    serving(use, text) {
      const id = idOf(text)
      return id === undefined ? [] : (byTenant.get(use.tenant) ?? []).filter((grant) => serves(grant, use, id))
    },
    of: ({ document, pattern }) => {
      const found = document.tenants.flatMap((tenant) => byTenant.get(tenant) ?? [])
      return [...new Set(found)].filter((grant) => isFor(grant, pattern))
    }
  }
}

function grantOf(entry: CollectionsDocument, rule: AllowDocument, path: Grant['path'], place: (path: DocumentPath) => string): Grant {
  const workloads = rule.workloads && patternsOf(rule.workloads)
  const admits = newIdIndex<true>()
  for (const one of workloads ?? []) addId(admits, one, true)
  return {
    path,
    source: place(path),
    entry,
    rule,
    actions: new Set(rule.actions),
    namespace: entry.namespace === undefined ? undefined : readPattern(entry.namespace),
    names: entry.names.map(readPattern),
    workloads,
    admits
  }
}

export function patternsOf(texts: readonly string[]): IdPattern[] {
  return texts.flatMap((text) => {
    const compiled = compileIdPattern(text)
    return compiled.ok ? [compiled.pattern] : []
  })
}

function serves(grant: Grant, use: Used, id: SpiffeId): boolean {
  if (!grant.actions.has(use.action)) return false
  if (grant.workloads !== undefined && findId(grant.admits, id) === undefined) return false
  return describes(grant, use)
}

/** Whether its entry speaks of the place, whoever's it is. */
export function describes(grant: Grant, use: Used): boolean {
  if (grant.entry.database !== use.database) return false
  const { namespace, kind, name = '', tenant } = use
  // A use whose place is not known in full could be one of any that fit.
  if (namespace !== undefined && (grant.namespace === undefined || !covers(grant.namespace, namespace, tenant))) return false
  if (kind === 'name') return grant.names.some((one) => covers(one, name, tenant))
  return kind === 'any' || use.action === 'observe' || grant.names.some(matchesAll)
}

/** Whether an identity that a line names can be one that a rule is for. */
function isFor({ workloads, admits }: Grant, pattern: IdPattern): boolean {
  if (workloads === undefined) return true
  if (pattern.exact) {
    const id = parseSpiffeId(pattern.text)
    return id.ok && findId(admits, id.id) === true
  }
  return meetingId(admits, pattern) === true || workloads.some((one) => one.exact && covering(pattern, one.text))
}

function covering(pattern: IdPattern, text: string): boolean {
  const id = parseSpiffeId(text)
  return id.ok && matchesId(pattern, id.id)
}

function append<T>(map: Map<string, T[]>, key: string, one: T): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [one])
  else list.push(one)
}
