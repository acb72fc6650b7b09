/** The `collections` of a policy: names, templates, tenancies, and that no collection is under two of them. */
import type { AllowDocument, CollectionsDocument, DocumentPath, KnownDatabase } from '../core/policy-document.ts'
import { fault, type Work } from './compile-work.ts'
import { mixedUp, type NamePattern, patternFault, readPattern, tenantIn } from './names.ts'
import type { DatabaseRules, NamedRules, Rule, TenancyRule } from './policy.ts'

type CompileRule = (allow: AllowDocument, path: DocumentPath) => Rule

interface Draft {
  readonly exact: Map<string, NamedRules[]>
  readonly templates: { readonly pattern: NamePattern; readonly named: NamedRules[] }[]
}

export function compileCollections(work: Work, compileRule: CompileRule): Map<string, DatabaseRules> {
  const databases = new Map<string, Draft>()
  const seen = new Map<string, string>()
  for (const [at, entry] of work.document.collections.entries()) {
    const path: DocumentPath = ['collections', at]
    const known = work.databases.get(entry.database)
    if (known === undefined) {
      const says = `Database "${entry.database}" is not one of the server's settings`
      fault(work, [...path, 'database'], says, `Known: ${[...work.databases.keys()].join(', ') || 'none'}.`)
    }
    const draft: Draft = databases.get(entry.database) ?? { exact: new Map(), templates: [] }
    databases.set(entry.database, draft)
    const tenancy = compileTenancy(work, entry, known, path)
    const rules = entry.allow.map((allow, index) => compileRule(allow, [...path, 'allow', index]))
    const named = entry.names.map((name, index) => {
      checkName(work, entry, tenancy, name, [...path, 'names', index], seen)
      return { pattern: readPattern(name), tenancy, rules, source: work.place(path) }
    })
    if (tenancy.kind === 'database') draft.templates.push({ pattern: tenancy.pattern, named })
    else draft.exact.set(entry.namespace ?? '', [...(draft.exact.get(entry.namespace ?? '') ?? []), ...named])
  }
  for (const [database, { exact, templates }] of databases) checkNamespaces(work, database, [...exact.keys()], templates)
  return databases
}

/** A namespace that is one tenant's by its name is nothing else beside that. */
function checkNamespaces(work: Work, database: string, exact: readonly string[], templates: Draft['templates']): void {
  for (const name of exact) {
    const clash = templates.find(({ pattern }) => tenantIn(pattern, name, work.tenants) !== undefined)
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
    fault(
      work,
      [...path, 'tenancy'],
      says,
      `Use one of: ${known.tenancies.map((one) => (one === 'filter' ? '{ filter: FIELD }' : one)).join(', ')}.`
    )
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

function checkName(
  work: Work,
  entry: CollectionsDocument,
  tenancy: TenancyRule,
  name: string,
  path: DocumentPath,
  seen: Map<string, string>
): void {
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
  const place = [entry.database, entry.namespace ?? '']
  const key = JSON.stringify([...place, name])
  if (seen.has(key)) fault(work, path, `Collection "${name}" is described twice`, 'Put all its allow rules into one entry.')
  const spelled = JSON.stringify(entry.tenancy)
  for (const one of instances(pattern, work.tenants)) checkOverlap(work, place, one, pattern.open, spelled, path, seen)
  seen.set(key, spelled)
}

/** The names, or prefixes of names, that a pattern stands for. */
function instances({ before, after }: NamePattern, tenants: ReadonlySet<string>): readonly string[] {
  return after === undefined ? [before] : [...tenants].map((tenant) => before + tenant + after)
}

/** One collection under two tenancies would be two answers to "whose is this record". */
function checkOverlap(
  work: Work,
  place: readonly string[],
  text: string,
  open: boolean,
  tenancy: string,
  path: DocumentPath,
  seen: Map<string, string>
): void {
  const keyOf = (kind: string, name: string) => JSON.stringify([kind, ...place, name])
  const clash = (key: string) => (seen.get(key) ?? tenancy) !== tenancy
  // An exact name or a prefix meets every prefix of itself; a prefix also meets what begins with it, which `within` remembers.
  const clashes = [
    !open && clash(keyOf('exact', text)),
    open && clash(keyOf('within', text)),
    ...Array.from({ length: text.length + 1 }, (_, length) => clash(keyOf('prefix', text.slice(0, length))))
  ]
  if (clashes.includes(true)) {
    fault(
      work,
      path,
      `"${text}${open ? '*' : ''}" is under two different tenancies`,
      'Make the names of the two entries exclude each other.'
    )
  }
  seen.set(keyOf(open ? 'prefix' : 'exact', text), tenancy)
  for (let length = 0; length <= text.length; length++) {
    const key = keyOf('within', text.slice(0, length))
    seen.set(key, clash(key) ? 'several' : tenancy)
  }
}
