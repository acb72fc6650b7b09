/** The rules of a policy as they are written: where each stands, what it speaks of, and what it lacks for a call. */
import type { AllowDocument, CollectionsDocument } from '../core/policy-document.ts'
import { compileIdPattern, matchesId, type SpiffeId } from '../core/spiffe-id.ts'
import type { Operation, ResolvedTarget, Shape } from '../core/vector-call.ts'
import { covers, readPattern } from '../policy/names.ts'
import type { Written } from './check-edges.ts'

export interface WrittenRule {
  /** As decisions name it, such as `policy.yaml:31 collections[0].allow[1]`. */
  readonly source: string
  readonly entry: CollectionsDocument
  readonly allow: AllowDocument
}

export function rulesOf({ document, place }: Pick<Written, 'document' | 'place'>): readonly WrittenRule[] {
  return document.collections.flatMap((entry, at) =>
    entry.allow.map((allow, index) => ({ source: place(['collections', at, 'allow', index]), entry, allow }))
  )
}

export interface NamedPlace {
  readonly database: string
  readonly namespace: string | undefined
  readonly collection: ResolvedTarget['collection']
}

/** Whether an entry speaks of a place, for this tenant where its names have one in them. */
export function describes(entry: CollectionsDocument, { database, namespace, collection }: NamedPlace, tenant: string): boolean {
  if (entry.database !== database || !covers(readPattern(entry.namespace ?? ''), namespace ?? '', tenant)) return false
  if (collection.kind === 'name') return entry.names.some((one) => covers(readPattern(one), collection.name, tenant))
  return collection.kind === 'none' || entry.names.includes('*')
}

/** What a rule is held against. */
export interface Wanted extends NamedPlace {
  readonly caller: SpiffeId
  readonly tenant: string
  readonly operation: Exclude<Operation, 'probe'>
  readonly shape: Shape
}

/** A thing that would have to be otherwise, in words that fit after "if". */
export interface Lack {
  /** How far it is from what the call asks for: another collection is farther than another limit. */
  readonly weight: number
  readonly words: string
}

/** The rule that lacks least, with what it lacks; undefined for a policy that has no rule for that database. */
export function nearestRule(written: Written, wanted: Wanted): { readonly rule: WrittenRule; readonly lacks: readonly Lack[] } | undefined {
  const weighed = rulesOf(written)
    .filter(({ entry }) => entry.database === wanted.database)
    .map((rule) => ({ rule, lacks: lacksOf(rule, wanted, written) }))
  const weight = (lacks: readonly Lack[]) => lacks.reduce((sum, one) => sum + one.weight, 0)
  // Of two that lack as much, widening the one that allows less is the smaller step.
  return weighed.sort((a, b) => weight(a.lacks) - weight(b.lacks) || a.rule.allow.actions.length - b.rule.allow.actions.length)[0]
}

function lacksOf({ entry, allow }: WrittenRule, wanted: Wanted, { document }: Written): readonly Lack[] {
  const { caller, tenant, operation, shape, collection, namespace } = wanted
  const lacks: Lack[] = []
  const lack = (weight: number, words: string) => void lacks.push({ weight, words })
  const inPlace = namespace === undefined ? '' : ` in ${JSON.stringify(namespace)}`
  const what = collection.kind === 'name' ? JSON.stringify(collection.name) : collection.kind === 'every' ? '"*"' : 'that namespace'
  if (!describes(entry, wanted, tenant)) lack(100, `its entry described ${what}${inPlace}`)
  if (!allow.tenants.includes(tenant)) lack(30, `its tenants had ${JSON.stringify(tenant)}`)
  if (allow.workloads !== undefined && !allow.workloads.some((one) => isFor(one, caller))) lack(20, `its workloads had ${caller.text}`)
  if (!allow.actions.includes(operation)) lack(10, `its actions had ${operation}`)
  const vectorsOut = allow.limits?.vectors_out ?? document.limits.vectors_out
  if (shape.vectorsOut && vectorsOut === 'deny') lack(2, 'its limits.vectors_out were allow, or the call left embeddings out')
  const most = (name: 'top_k' | 'queries' | 'records', asked: number) => {
    const limit = allow.limits?.[name] ?? document.limits[name] ?? 0
    if (asked <= limit) return
    const needed = Number.isFinite(asked) ? `its limits.${name} were at least ${asked}, or ` : ''
    lack(1, `${needed}the call asked for at most ${limit} (limits.${name})`)
  }
  most('top_k', shape.topK)
  most('queries', shape.queries)
  most('records', shape.records)
  return lacks
}

function isFor(pattern: string, caller: SpiffeId): boolean {
  const compiled = compileIdPattern(pattern)
  return compiled.ok && matchesId(compiled.pattern, caller)
}
