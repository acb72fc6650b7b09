/**
 * The entries that may speak of a name, found without asking each: exact names by a map, prefixes and templates by their lengths.
 * What is found is asked again by the rules of `tenancy.ts`; an index only leaves out what cannot match.
 */
import { matchesAll, type NamePattern } from './names.ts'
import type { NamedRules, Rule } from './policy.ts'

/** Things by tenant; one that is for many tenants is kept once. */
export interface ByTenant<T> {
  readonly own: ReadonlyMap<string, readonly T[]>
  readonly shared: readonly T[]
}

/** More tenants than this, and a rule is looked at for each of them rather than kept for each. */
const SHARED_FROM = 16
/** Entries that are sorted at once: some tenths of a millisecond. */
const STEP = 500

export function byTenant<T>(all: Iterable<T>, tenantsOf: (one: T) => ReadonlySet<string>): ByTenant<T> {
  const own = new Map<string, T[]>()
  const shared: T[] = []
  for (const one of all) keep(own, shared, one, tenantsOf(one))
  return { own, shared }
}

/** The same of many: it yields now and then. */
function* byTenantSteps<T>(all: Iterable<T>, tenantsOf: (one: T) => ReadonlySet<string>): Generator<void, ByTenant<T>> {
  const own = new Map<string, T[]>()
  const shared: T[] = []
  let at = 0
  for (const one of all) {
    keep(own, shared, one, tenantsOf(one))
    if (++at % STEP === 0) yield
  }
  return { own, shared }
}

function keep<T>(own: Map<string, T[]>, shared: T[], one: T, tenants: ReadonlySet<string>): void {
  if (tenants.size >= SHARED_FROM) shared.push(one)
  else for (const tenant of tenants) push(own, tenant, one)
}

/** Things by patterns with `{tenant}`. */
export interface Templates<T> {
  readonly closed: ReadonlyMap<string, readonly T[]>
  readonly open: ReadonlyMap<string, readonly T[]>
  /** Lengths of what is before and after `{tenant}`; `after` is -1 where a `*` follows. */
  readonly shapes: readonly { readonly before: number; readonly after: number }[]
}

export function templatesOf<T>(all: Iterable<T>, patternOf: (one: T) => NamePattern): Templates<T> {
  const closed = new Map<string, T[]>()
  const open = new Map<string, T[]>()
  const shapes = new Map<string, { before: number; after: number }>()
  for (const one of all) {
    const { before, after, open: goesOn } = patternOf(one)
    if (after === undefined) continue
    if (goesOn) push(open, before, one)
    else push(closed, `${before}\0${after}`, one)
    const shape = { before: before.length, after: goesOn ? -1 : after.length }
    shapes.set(`${shape.before} ${shape.after}`, shape)
  }
  return { closed, open, shapes: [...shapes.values()] }
}

export function templatesNaming<T>({ closed, open, shapes }: Templates<T>, name: string, found: T[]): T[] {
  for (const { before, after } of shapes) {
    if (name.length < before + Math.max(after, 0)) continue
    const start = name.slice(0, before)
    const some = after < 0 ? open.get(start) : closed.get(`${start}\0${name.slice(name.length - after)}`)
    if (some !== undefined) found.push(...some)
  }
  return found
}

export interface Permission {
  readonly entry: NamedRules
  readonly rule: Rule
}

/** The entries of one namespace. */
export interface Names {
  readonly exact: ReadonlyMap<string, readonly NamedRules[]>
  readonly prefixes: ReadonlyMap<string, readonly NamedRules[]>
  readonly lengths: readonly number[]
  readonly templates: Templates<NamedRules>
  /** Those for every name there is. */
  readonly every: readonly NamedRules[]
  /** One for each tenancy: what is to know for a call that names no collection. */
  readonly tenancies: readonly NamedRules[]
  /** What allows `observe`, for looking at the namespace itself. */
  readonly looks: ByTenant<Permission>
}

/** Yields between its parts. */
export function* namesOf(all: readonly NamedRules[]): Generator<void, Names> {
  const exact = new Map<string, NamedRules[]>()
  const prefixes = new Map<string, NamedRules[]>()
  const tenancies = new Map<string, NamedRules>()
  for (const [at, one] of all.entries()) {
    if (at % STEP === 0) yield
    const { before, after, open } = one.pattern
    if (after === undefined) push(open ? prefixes : exact, before, one)
    const { tenancy } = one
    const text = tenancy.kind === 'filter' ? `filter ${tenancy.field}` : tenancy.kind
    if (!tenancies.has(text)) tenancies.set(text, one)
  }
  yield
  const templates = templatesOf(all, (one) => one.pattern)
  const every = all.filter((one) => matchesAll(one.pattern))
  yield
  const looks = yield* looksOf(all)
  yield
  const lengths = [...new Set([...prefixes.keys()].map((one) => one.length))]
  return { exact, prefixes, lengths, templates, every, tenancies: [...tenancies.values()], looks }
}

export function looksOf(all: readonly NamedRules[]): Generator<void, ByTenant<Permission>> {
  return byTenantSteps(permissions(all), ({ rule }) => rule.tenants)
}

/** Every rule with its entry; of an entry with many names once. */
export function permissionsOf(all: readonly NamedRules[]): Generator<void, ByTenant<Permission>> {
  const seen = new Set<Rule>()
  const each = function* (): Generator<Permission> {
    for (const entry of all) {
      for (const rule of entry.everyRule) {
        if (!seen.has(rule)) yield { entry, rule }
        seen.add(rule)
      }
    }
  }
  return byTenantSteps(each(), ({ rule }) => rule.tenants)
}

function* permissions(all: readonly NamedRules[]): Generator<Permission> {
  for (const entry of all) {
    for (const rule of entry.everyRule) if (rule.actions.has('observe')) yield { entry, rule }
  }
}

export function entriesNaming({ exact, prefixes, lengths, templates }: Names, name: string): readonly NamedRules[] {
  const found = exact.get(name)
  if (lengths.length === 0 && templates.shapes.length === 0) return found ?? []
  const all = found === undefined ? [] : [...found]
  for (const length of lengths) {
    const some = length > name.length ? undefined : prefixes.get(name.slice(0, length))
    if (some !== undefined) all.push(...some)
  }
  return templatesNaming(templates, name, all)
}

function push<T>(map: Map<string, T[]>, key: string, one: T): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [one])
  else list.push(one)
}
