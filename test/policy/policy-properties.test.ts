/**
 * What must be true of every policy, whatever keeps its tenants apart: less allowed is never more, the last support counts, order
 * says nothing. Policies of all four databases, callers with and without end users, one call at a time, from the grant on.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CallFacts, callOf, resolvedOf } from '../../src/admin/replay-facts.ts'
import { type Outcome, regrant } from '../../src/admin/replay-grant.ts'
import { ACTIONS, type AllowDocument, type CollectionsDocument, type PolicyDocument } from '../../src/core/policy-document.ts'
import { compileIdPattern, matchesId, parseSpiffeId, type SpiffeId } from '../../src/core/spiffe-id.ts'
import { type Bounds, NO_SHAPE, type Target, type TenantClaim } from '../../src/core/vector-call.ts'
import { SERVED } from '../../src/databases/dialects.ts'
import { recordedCaller } from '../../src/identity/recorded-caller.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import { covers, readPattern } from '../../src/policy/names.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { runs } from '../fuzz/runs.ts'
import { NOON, TD } from '../support/asking.ts'
import { generatedPolicy as document, IDP, KNOWN, often, TENANTS } from '../support/generated-policy.ts'

const ref = (...names: readonly string[]) =>
  fc.oneof(
    { arbitrary: fc.constantFrom(...names).map((name) => ({ kind: 'name' as const, name })), weight: 6 },
    fc.constant({ kind: 'every' as const }),
    fc.constant({ kind: 'none' as const })
  )
const bounds = fc.record({
  shards: fc.constantFrom(undefined, ['acme'], ['globex'], ['acme', 'globex']),
  pins: fc.constantFrom(...['acme', 'globex', 'hooli'].map((one) => new Map([['owner', one]])), new Map()),
  changes: fc.constantFrom([], [], ['owner']),
  unpinned: fc.constant(undefined),
  unsharded: fc.constant(undefined)
})
const NOTHING_PROVED: Bounds = { shards: undefined, pins: new Map(), changes: [], unpinned: undefined, unsharded: undefined }
const claimed = <Kind extends 'path' | 'native'>(kind: Kind) => fc.constantFrom(...TENANTS).map((tenant) => ({ kind, tenant }))
const unclaimed = fc.constant({ kind: 'none' as const })
const fixed = fc.constant(undefined)

const place: fc.Arbitrary<{ readonly database: string; readonly target: Target }> = fc
  .oneof(
    fc.record({
      database: fc.constant('chroma'),
      target: fc.record({ tenant: claimed('path'), namespace: often('rag', fixed), collection: ref('x', 'xx', 'y') })
    }),
    fc.record({
      database: fc.constant('qdrant'),
      target: fc.record({
        tenant: unclaimed,
        namespace: fixed,
        collection: ref('shared', 'share', 'docs_acme', 'docs_globex', 'parts'),
        bounds
      })
    }),
    fc.record({
      database: fc.constant('milvus'),
      target: fc.record({
        tenant: unclaimed,
        namespace: fc.constantFrom('default', 'db_acme', 'db_globex'),
        collection: ref('x', 'xx'),
        bounds
      })
    }),
    fc.record({
      database: fc.constant('weaviate'),
      target: fc.record({
        tenant: often({ kind: 'native', tenant: 'acme' } as TenantClaim, unclaimed),
        namespace: fixed,
        collection: ref('Docs', 'Doc')
      })
    })
  )
  .map(({ database, target }) => {
    const proved = target as Target
    // A call that names no collection has no filter either.
    const unproved = proved.collection.kind !== 'name' && proved.bounds !== undefined
    return { database, target: unproved ? { ...proved, bounds: NOTHING_PROVED } : proved }
  })

/** Purposes are always said: what a workload with one purpose leaves unsaid is that one, so that fewer purposes can say more. */
const facts: fc.Arbitrary<CallFacts> = fc
  .record({
    who: fc.constantFrom('/a/one', '/a/one', '/a/two', '/b'),
    user: fc.constantFrom(undefined, ['acme'], ['globex'], [...TENANTS]),
    does: fc.constantFrom(...ACTIONS),
    place,
    purpose: often('p', fc.constant('q')),
    shape: fc.record({ topK: often(1, fc.constantFrom(5, 6)), vectorsOut: often(false, fc.constant(true)) })
  })
  .map(({ who, user, does, place: { database, target }, purpose, shape }) => {
    const proof = { id: idOf(TD + who), evidence: 'x509-svid' as const, serial: '01', tokenId: undefined, carrier: undefined }
    const subject = user && { issuer: IDP, id: 'u', tenants: user, tokenId: undefined }
    const call = callOf(`test.${does}`, does, [target], { ...NO_SHAPE, ...shape })
    const resolved = resolvedOf(target)
    return {
      ...{ at: NOON, database, purpose, call },
      caller: recordedCaller({ ...proof, user: subject }, NOON),
      targets: resolved === undefined ? undefined : [resolved]
    }
  })

function idOf(text: string): SpiffeId {
  const parsed = parseSpiffeId(text)
  if (!parsed.ok) throw new Error(text)
  return parsed.id
}

/** A policy of nothing but faults is none: everything is denied under it. */
function compile(one: PolicyDocument): Policy | undefined {
  const compiled = compilePolicy(one, KNOWN, 'r', (path) => path.join('.'))
  return compiled.ok ? compiled.policy : undefined
}

function outcome(one: PolicyDocument, asked: CallFacts): Outcome {
  const policy = compile(one)
  return policy === undefined
    ? { verdict: 'deny', reason: { kind: 'policy-unavailable', because: '' }, tenant: undefined }
    : regrant(asked, policy)
}

const allows = (one: PolicyDocument, asked: CallFacts) => outcome(one, asked).verdict === 'allow'

const without = <T>(list: readonly T[]) => list.map((_, at) => list.filter((__, other) => other !== at))
const matches = (pattern: string, id: SpiffeId) => {
  const compiled = compileIdPattern(pattern)
  return compiled.ok && matchesId(compiled.pattern, id)
}

/** The same with one entry of `collections` replaced; one without names or rules is gone, or says nothing. */
const withEntry = (one: PolicyDocument, at: number, entry: CollectionsDocument) => ({
  ...one,
  collections: one.collections.flatMap((each, index) => (index !== at ? [each] : entry.names.length === 0 ? [] : [entry]))
})
const withRule = (one: PolicyDocument, at: number, index: number, rules: readonly AllowDocument[]) => {
  const entry = one.collections[at] as CollectionsDocument
  return withEntry(one, at, { ...entry, allow: entry.allow.toSpliced(index, 1, ...rules) })
}
const withWorkload = (one: PolicyDocument, at: number, change: object) => ({
  ...one,
  workloads: one.workloads.map((each, index) => (index === at ? { ...each, ...change } : each))
})

/** Each document with one entry of one list less; a rule whose last entry of a list goes, goes with it. */
function smaller(one: PolicyDocument, asked: CallFacts): PolicyDocument[] {
  const rules = one.collections.flatMap(({ allow }, at) =>
    allow.flatMap((each, index) => [
      withRule(one, at, index, []),
      ...(['tenants', 'actions', 'workloads', 'purposes'] as const).flatMap((key) =>
        without<string>(each[key] ?? []).map((list) => withRule(one, at, index, list.length === 0 ? [] : [{ ...each, [key]: list }]))
      )
    ])
  )
  const entries = one.collections.flatMap((entry, at) => without(entry.names).map((names) => withEntry(one, at, { ...entry, names })))
  // Whose tenant is not in the call gets that of a workload with only one, and that is more than none.
  const looks = asked.call?.operation === 'observe' && asked.call.targets[0]?.tenant.kind === 'none'
  const lists = one.workloads.flatMap((each, at) =>
    (['tenants', 'regions', 'purposes'] as const).flatMap((key) =>
      looks && key === 'tenants' ? [] : without<string>(each[key] ?? []).map((list) => withWorkload(one, at, { [key]: list }))
    )
  )
  // An entry of its own beside a pattern says what the pattern does not; without it the pattern's word counts (see below).
  const gone = without(one.workloads).filter((left) => left.some((each) => each.spiffe_id === `${TD}/a/one`) === hasOwn(one))
  const issuers = without(one.subjects?.[0]?.tenants ?? []).map((tenants) => ({
    ...one,
    subjects: one.subjects?.map((each) => ({ ...each, tenants }))
  }))
  return [...rules, ...entries, ...lists, ...gone.map((workloads) => ({ ...one, workloads })), ...issuers]
}

const hasOwn = ({ workloads }: PolicyDocument) => workloads.some((each) => each.spiffe_id === `${TD}/a/one`)

/** Places of the rules that allow the call by themselves. */
function supporting(one: PolicyDocument, asked: CallFacts): (readonly [at: number, index: number])[] {
  const places = one.collections.flatMap(({ allow }, at) => allow.map((_, index) => [at, index] as const))
  return places.filter(([at, index]) => {
    const only = one.collections.map((entry, other) => ({
      ...entry,
      allow: entry.allow.filter((_, which) => other === at && which === index)
    }))
    return allows({ ...one, collections: only }, asked)
  })
}

/** Each document without one thing that an allow stood on, where one rule supported it. */
function unsupported(one: PolicyDocument, [at, index]: readonly [number, number], tenant: string, { call, caller }: CallFacts) {
  const entry = one.collections[at] as CollectionsDocument
  const allow = entry.allow[index] as AllowDocument
  const id = caller?.id as SpiffeId
  const collection = call?.targets[0]?.collection
  const less = <Key extends 'tenants' | 'actions' | 'workloads'>(key: Key, goes: (one: string) => boolean) => {
    const list = (allow[key] ?? []).filter((each) => !goes(each))
    return withRule(one, at, index, list.length === 0 ? [] : [{ ...allow, [key]: list }])
  }
  const own = one.workloads.findIndex((each) => each.spiffe_id === id.text)
  const entries = own >= 0 ? own : one.workloads.findIndex((each) => matches(each.spiffe_id, id))
  const nameless = collection?.kind !== 'name' || allow.actions.length === 0
  const names = entry.names.filter((name) => nameless || !covers(readPattern(name), collection.name, tenant))
  return {
    'the rule': withRule(one, at, index, []),
    'its tenant': less('tenants', (each) => each === tenant),
    'its action': less('actions', (each) => each === call?.operation),
    ...(allow.workloads === undefined ? {} : { 'its workload': less('workloads', (each) => matches(each, id)) }),
    ...(nameless ? {} : { 'the name': withEntry(one, at, { ...entry, names }) }),
    'the tenant of the workload': withWorkload(one, entries, {
      tenants: one.workloads[entries]?.tenants.filter((each) => each !== tenant)
    }),
    // All that match, its own entry and the pattern behind it.
    'the workload': { ...one, workloads: one.workloads.filter((each) => !matches(each.spiffe_id, id)) },
    'the trust domain': { ...one, trust_domains: ['other.test'] }
  }
}

const turned = document.chain((one) => {
  const shuffled = <T>(list: readonly T[]) => fc.shuffledSubarray([...list], { minLength: list.length })
  const rules = one.collections.flatMap((entry) => entry.allow)
  return fc
    .record({
      order: shuffled(one.collections.map((_, at) => at)),
      workloads: shuffled(one.workloads),
      tenants: shuffled(one.tenants),
      coins: fc.array(fc.boolean(), { minLength: 3 * rules.length + 8, maxLength: 3 * rules.length + 8 })
    })
    .map(({ order, workloads, tenants, coins }) => {
      let next = 0
      const flip = <T>(list: readonly T[]) => (coins[next++ % coins.length] === true ? list.toReversed() : list)
      const other = order.map((at) => {
        const entry = one.collections[at] as CollectionsDocument
        const allow = flip(entry.allow).map((each) => ({ ...each, tenants: flip(each.tenants), actions: flip(each.actions) }))
        return { ...entry, names: flip(entry.names), allow }
      })
      return [one, { ...one, collections: other, workloads, tenants }] as const
    })
})

const said = (one: Outcome) => (one.verdict === 'deny' ? one.reason.kind : one.verdict)

describe('every policy', () => {
  it('allows and denies calls of every database', () => {
    const seen = new Map<string, number>()
    fc.assert(
      fc.property(document, facts, (one, asked) => {
        const key = `${asked.database} ${allows(one, asked)}`
        seen.set(key, (seen.get(key) ?? 0) + 1)
      }),
      runs(1_200)
    )
    for (const { kind } of SERVED)
      for (const which of [true, false]) expect(seen.get(`${kind} ${which}`), `${kind} ${which}`).toBeGreaterThan(5)
  })

  it('less allowed is never more: an entry taken from a list turns no denial into an allow', () => {
    fc.assert(
      fc.property(document, facts, (one, asked) => {
        if (allows(one, asked)) return
        for (const less of smaller(one, asked)) expect(said(outcome(less, asked))).not.toBe('allow')
      }),
      // Each stands for some fifty policies.
      { numRuns: Math.ceil(runs(800).numRuns / 10) }
    )
  })

  it('an allow names a rule that supports it, and without the last such rule, or any entry it stands on, it is a denial', () => {
    const seen = { none: 0, one: 0, more: 0 }
    fc.assert(
      fc.property(turned, facts, ([, one], asked) => {
        const now = outcome(one, asked)
        const supports = supporting(one, asked)
        expect(now.verdict === 'allow').toBe(supports.length > 0)
        seen[supports.length === 0 ? 'none' : supports.length === 1 ? 'one' : 'more']++
        if (now.verdict !== 'allow') return
        expect(supports.map(([at, index]) => `collections.${at}.allow.${index}`)).toContain(now.rule)
        for (const [at, index] of supports) expect(allows(withRule(one, at, index, []), asked)).toBe(supports.length > 1)
        const [only, ...others] = supports
        if (only === undefined || others.length > 0) return
        for (const [what, less] of Object.entries(unsupported(one, only, now.tenant ?? '', asked)))
          expect([what, allows(less, asked)]).toEqual([what, false])
      }),
      runs(800)
    )
    expect(seen.one).toBeGreaterThan(15)
    expect(seen.more).toBeGreaterThan(2)
  })

  it('order says nothing: not of rules, entries, names, workloads or tenants', () => {
    fc.assert(
      fc.property(turned, facts, ([one, other], asked) => {
        const [first, second] = [outcome(one, asked), outcome(other, asked)]
        expect(said(second)).toBe(said(first))
        // Without a collection several entries speak, and each has its own remedy.
        if (first.verdict === 'deny' && second.verdict === 'deny' && asked.call?.targets[0]?.collection.kind === 'name')
          expect(second.reason.remedy).toBe(first.reason.remedy)
      }),
      runs(800)
    )
  })

  it('whose own entry beside a pattern goes has what the pattern gives, and no more', () => {
    fc.assert(
      fc.property(document.filter(hasOwn), facts, (one, asked) => {
        const left = { ...one, workloads: one.workloads.filter((each) => each.spiffe_id !== `${TD}/a/one`) }
        const sibling = asked.caller && { ...asked.caller, id: idOf(`${TD}/a/two`) }
        const anyWorkload = left.collections.map((entry) => ({
          ...entry,
          allow: entry.allow.filter((each) => each.workloads === undefined)
        }))
        const alike = { ...left, collections: anyWorkload }
        expect(said(outcome(alike, asked))).toBe(
          said(outcome(alike, asked.caller?.id.path === '/a/one' ? { ...asked, caller: sibling } : asked))
        )
      }),
      runs(200)
    )
  })
})
