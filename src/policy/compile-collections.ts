/** The `collections` of a policy: names, templates, tenancies, and that no collection is under two descriptions. */
import type { AllowDocument, CollectionsDocument, DocumentPath, KnownDatabase } from '../core/policy-document.ts'
import { attestationOf, fault, type Work } from './compile-work.ts'
import { byTenant, looksOf, type Names, namesOf, permissionsOf, templatesNaming, templatesOf } from './name-index.ts'
import { clashesOf, type Described } from './name-overlaps.ts'
import { mixedUp, type NamePattern, patternFault, readPattern, tenantIn } from './names.ts'
import type { Data, DatabaseRules, NamedRules, NamespaceTemplate, Rule, TenancyRule } from './policy.ts'

type CompileRule = (allow: AllowDocument, data: Data, path: DocumentPath) => Rule

/** The names of one namespace, as far as they are known. */
interface Draft {
  readonly named: NamedRules[]
  readonly described: Placed[]
  readonly seen: Set<string>
  /** Undefined for a namespace of one name. */
  readonly pattern: NamePattern | undefined
}

interface Placed extends Described {
  readonly path: DocumentPath
  readonly tenancy: string
}

/** Yields after each entry, so that a caller can see to others in between. */
export function* compileCollections(work: Work, compileRule: CompileRule): Generator<void, Map<string, DatabaseRules>> {
  const databases = new Map<string, Map<string, Draft>>()
  for (const [at, entry] of work.document.collections.entries()) {
    compileEntry(work, entry, ['collections', at], databases, compileRule)
    yield
  }
  const compiled = new Map<string, DatabaseRules>()
  for (const [database, drafts] of databases) {
    for (const draft of drafts.values()) reportClashes(work, yield* clashesOf(draft.described, work.tenants))
    const rules = yield* rulesOf(drafts)
    checkNamespaces(work, database, rules)
    compiled.set(database, rules)
  }
  return compiled
}

function* rulesOf(drafts: ReadonlyMap<string, Draft>): Generator<void, DatabaseRules> {
  const exact: [string, Names][] = []
  const templates: NamespaceTemplate[] = []
  for (const [namespace, { named, pattern }] of drafts) {
    const names = yield* namesOf(named)
    if (pattern === undefined) exact.push([namespace, names])
    else templates.push({ pattern, names })
    yield
  }
  const ofOneName = [...drafts.values()].flatMap(({ named, pattern }) => (pattern === undefined ? named : []))
  const all = [...drafts.values()].flatMap(({ named }) => named)
  yield
  const looks = yield* looksOf(ofOneName)
  yield
  const anything = yield* permissionsOf(all)
  yield
  return { exact: new Map(exact), templates: templatesOf(templates, (one) => one.pattern), looks, anything }
}

function compileEntry(
  work: Work,
  entry: CollectionsDocument,
  path: DocumentPath,
  databases: Map<string, Map<string, Draft>>,
  compileRule: CompileRule
): void {
  const known = work.databases.get(entry.database)
  if (known === undefined) {
    const says = `Database "${entry.database}" is not one of the server's settings`
    fault(work, [...path, 'database'], says, `Known: ${[...work.databases.keys()].join(', ') || 'none'}.`)
  }
  const tenancy = compileTenancy(work, entry, known, path)
  const data = compileData(work, entry, path)
  const everyRule = entry.allow.map((allow, index) => compileRule(allow, data, [...path, 'allow', index]))
  checkResidency(work, entry, path)
  const rules = byTenant(everyRule, (one) => one.tenants)
  const common = { tenancy, data, rules, everyRule, source: work.place(path) }
  const drafts = databases.get(entry.database) ?? new Map<string, Draft>()
  databases.set(entry.database, drafts)
  const namespace = entry.namespace ?? ''
  const pattern = tenancy.kind === 'database' ? tenancy.pattern : undefined
  const draft: Draft = drafts.get(namespace) ?? { named: [], described: [], seen: new Set(), pattern }
  drafts.set(namespace, draft)
  const spelled = JSON.stringify(entry.tenancy)
  const as = JSON.stringify([spelled, entry.region, [...(entry.tags ?? [])].sort(), entry.attestation, [...(entry.purposes ?? [])].sort()])
  for (const [index, name] of entry.names.entries()) {
    const at = [...path, 'names', index]
    checkName(work, tenancy, name, at)
    if (draft.seen.has(name)) fault(work, at, `Collection "${name}" is described twice`, 'Put all its allow rules into one entry.')
    draft.seen.add(name)
    const one = readPattern(name)
    draft.named.push({ pattern: one, ...common })
    draft.described.push({ pattern: one, as, path: at, tenancy: spelled })
  }
}

function compileData(work: Work, entry: CollectionsDocument, path: DocumentPath): Data {
  const { tags = [], purposes } = entry
  const weights = tags.map((tag, at) => {
    const weight = work.document.tags?.[tag]
    if (weight === undefined)
      fault(work, [...path, 'tags', at], `"${tag}" is not one of tags`, 'Add it with a weight, or correct the name.')
    return weight ?? 1
  })
  return {
    region: entry.region,
    attestation: attestationOf(work, entry.attestation, path),
    attestationClass: entry.attestation,
    purposes: purposes === undefined ? undefined : new Set(purposes),
    tags,
    weight: Math.max(1, ...weights)
  }
}

/** A tenant's data stays in its region: nothing of it is in a collection of another one. */
function checkResidency(work: Work, { region, allow }: CollectionsDocument, path: DocumentPath): void {
  if (region === undefined || work.tenantRegions.size === 0) return
  for (const [at, { tenants }] of allow.entries()) {
    for (const [index, tenant] of tenants.entries()) {
      const home = work.tenantRegions.get(tenant)
      if (home === undefined || home === region) continue
      const says = `Tenant "${tenant}" stays in region "${home}", and this collection is in "${region}"`
      fault(work, [...path, 'allow', at, 'tenants', index], says, 'Take the tenant away here, or correct one of the regions.')
    }
  }
}

/** A namespace that is one tenant's by its name is nothing else beside that. */
function checkNamespaces(work: Work, database: string, { exact, templates }: DatabaseRules): void {
  for (const name of exact.keys()) {
    const clash = templatesNaming(templates, name, []).find(({ pattern }) => tenantIn(pattern, name, work.tenants) !== undefined)
    if (clash === undefined) continue
    const at = work.document.collections.findIndex((one) => one.database === database && one.namespace === name)
    const says = `"${name}" is under two different tenancies: "${clash.pattern.text}" covers it too`
    fault(work, ['collections', at, 'namespace'], says, 'Make the names of the two entries exclude each other.')
  }
}

function compileTenancy(work: Work, entry: CollectionsDocument, known: KnownDatabase | undefined, path: DocumentPath): TenancyRule {
  const kind = typeof entry.tenancy === 'string' ? entry.tenancy : 'filter'
  if (known !== undefined && !known.tenancies.includes(kind)) {
    const says = `${known.kind} does not keep tenants apart by ${kind}`
    const all = known.tenancies.map((one) => (one === 'filter' ? '{ filter: FIELD }' : one)).join(', ')
    fault(work, [...path, 'tenancy'], says, `Use one of: ${all}.`)
  }
  if (known !== undefined && known.namespaces !== (entry.namespace !== undefined)) {
    const says = known.namespaces
      ? `${known.kind} has databases, and no namespace says which one`
      : `${known.kind} has no databases above its collections`
    fault(work, [...path, 'namespace'], says, known.namespaces ? 'Add namespace: with its name.' : 'Leave namespace out.')
  }
  const { namespace = '' } = entry
  const templated = namespace.includes('{tenant}')
  const wrong = patternFault(namespace) ?? (namespace.endsWith('*') ? `"${namespace}" ends in *, and a namespace is one name` : undefined)
  if (wrong !== undefined) fault(work, [...path, 'namespace'], wrong, 'Write one name, with {tenant} in it under tenancy database.')
  if (templated !== (kind === 'database')) {
    const says = templated
      ? `{tenant} in a namespace means tenancy database, and this is ${kind}`
      : 'Tenancy database needs {tenant} in the namespace'
    fault(work, [...path, 'namespace'], says, 'Write namespace: db_{tenant} and tenancy: database, or neither.')
  }
  if (kind === 'database') return { kind, pattern: readPattern(namespace) }
  return typeof entry.tenancy === 'string' ? ({ kind } as TenancyRule) : { kind: 'filter', field: entry.tenancy.filter }
}

function checkName(work: Work, tenancy: TenancyRule, name: string, path: DocumentPath): void {
  const wrong = patternFault(name)
  if (wrong !== undefined) fault(work, path, wrong, 'Use an exact name, or a prefix and one final *; {tenant} once.')
  const pattern = readPattern(name)
  if ((pattern.after !== undefined) !== (tenancy.kind === 'collection')) {
    const says =
      tenancy.kind === 'collection'
        ? 'Tenancy collection needs {tenant} in each name'
        : `{tenant} in a name means tenancy collection, and this is ${tenancy.kind}`
    fault(work, path, says, 'Write names: [docs_{tenant}] and tenancy: collection, or neither.')
  }
  const mixed = mixedUp(pattern, work.tenants)
  if (mixed !== undefined)
    fault(work, path, `"${name}" mixes up the tenants "${mixed[0]}" and "${mixed[1]}"`, 'Put another text between {tenant} and *.')
}

function reportClashes(work: Work, clashes: readonly [Placed, Placed][]): void {
  const reported = new Set<Placed>()
  for (const [one, other] of clashes) {
    if (reported.has(other)) continue
    reported.add(one)
    const what = one.tenancy === other.tenancy ? 'descriptions (region, tags, attestation, purposes)' : 'tenancies'
    const says = `"${one.pattern.text}" is under two different ${what}: "${other.pattern.text}" covers a part of it`
    fault(work, one.path, says, 'Make the names of the two entries exclude each other, or describe them alike.')
  }
}
