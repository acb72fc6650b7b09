import { describe, expect, it } from 'vitest'
import { DRIFT_THRESHOLDS } from '../../src/core/drift.ts'
import { SEQUENCE_OTHER, type SequenceModel } from '../../src/core/sequence.ts'
import type { Operation } from '../../src/core/vector-call.ts'
import {
  clearSequence,
  newSequenceState,
  observeSequence,
  type ReadySequence,
  readySequence,
  sequenceAlarm,
  sequenceEvidence
} from '../../src/risk/sequence.ts'
import { eventName, mergedModels, newSequenceModel, probabilityOf, stateOf } from '../../src/risk/sequence-model.ts'
import { targetOf } from '../support/grants.ts'

const PAUSE = 60_000

function dice(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const event = (operation: Operation, collection: string) => eventName(operation, 'main', [targetOf('acme', collection)])

interface Call {
  readonly at: number
  readonly event: string
}

/** What the time is after so many more milliseconds. */
function clock(from: number): (ms: number) => number {
  let at = from
  return (ms) => {
    at += ms
    return at
  }
}

/** An agent that looks what there is, searches one or two collections, reads what it found, and sometimes takes a note. */
function* normal(next: () => number): Generator<Call> {
  for (const later = clock(0); ; later(PAUSE)) {
    const docs = ['handbook', 'tickets', 'notes'][Math.floor(next() * 3)] as string
    yield { at: later(300), event: event('observe', docs) }
    for (let again = 0; again < 2 + next() * 4; again++) {
      const where = next() < 0.85 ? docs : 'handbook'
      yield { at: later(300), event: event('search', where) }
      if (next() < 0.7) yield { at: later(300), event: event('read', where) }
    }
    if (next() < 0.2) yield { at: later(300), event: event('write', 'notes') }
  }
}

/** One that is rarely in another mood: then a whole burst is of rare calls. */
function* moody(next: () => number): Generator<Call> {
  for (const later = clock(0); ; later(PAUSE)) {
    const docs = ['handbook', 'tickets', 'notes'][Math.floor(next() * 3)] as string
    const isRare = next() < 0.02
    for (let again = 0; again < 8; again++) {
      yield { at: later(300), event: isRare ? event('export', `archive-${Math.floor(next() * 5)}`) : event('search', docs) }
    }
  }
}

/** The same calls in another order: it reads before it searches, and goes from one collection to the next. */
function* shuffled(next: () => number, from: number): Generator<Call> {
  for (const later = clock(from); ; ) {
    const docs = ['handbook', 'tickets', 'notes'][Math.floor(next() * 3)] as string
    const operation = (['read', 'observe', 'write', 'search'] as const)[Math.floor(next() * 4)] as Operation
    yield { at: later(300), event: event(operation, docs) }
  }
}

/** From one collection that it never used to the next. */
function* lateral(next: () => number, from: number): Generator<Call> {
  for (const later = clock(from); ; ) yield { at: later(300), event: event('search', `payroll-${Math.floor(next() * 20)}`) }
}

function trained(seed: number, calls: number, habit = normal): SequenceModel {
  const [model, state, stream] = [newSequenceModel(), newSequenceState(), habit(dice(seed))]
  let ready = readySequence(model)
  for (let call = 0; call < calls; call++) {
    const { at, event: name } = stream.next().value as Call
    observeSequence(ready, state, name, at, true)
    if (call % 50 === 0) ready = readySequence(model)
  }
  model.frozen = true
  return model
}

/** Most evidence in the calls, and after how many it reached a step-up. */
function run(ready: ReadySequence, stream: Generator<Call>, calls: number, its = newSequenceState()) {
  let [most, stepUp] = [0, Number.POSITIVE_INFINITY]
  const ps: number[] = []
  for (let call = 1; call <= calls; call++) {
    const { at, event: name } = stream.next().value as Call
    const { evidence, p } = observeSequence(ready, its, name, at, true)
    ps.push(p)
    most = Math.max(most, evidence)
    if (evidence >= DRIFT_THRESHOLDS.stepUp) stepUp = Math.min(stepUp, call)
  }
  return { most, stepUp, ps, its }
}

describe('the order of calls', () => {
  const ready = readySequence(trained(1, 4000))

  it('is learnt: what follows has a chance, what never followed has a small one', () => {
    const { model } = ready
    const number = (operation: Operation, docs: string) => stateOf(model, event(operation, docs), false)
    const usual = probabilityOf(model, number('search', 'tickets'), number('read', 'tickets'))
    const never = probabilityOf(model, number('read', 'tickets'), number('observe', 'notes'))
    expect(usual).toBeGreaterThan(0.4)
    expect(never).toBeLessThan(0.01)
  })

  it('p-values of an honest agent are no smaller than they should be', () => {
    const ps = Array.from({ length: 20 }, (_, seed) => run(ready, normal(dice(100 + seed)), 500).ps).flat()
    for (const level of [0.01, 0.05, 0.2]) expect(ps.filter((p) => p <= level).length / ps.length).toBeLessThanOrEqual(level * 1.1)
  })

  it('of 300 honest agents with 300 calls each, fewer are asked to step up than the bound says', () => {
    const asked = Array.from({ length: 300 }, (_, seed) => run(ready, normal(dice(1000 + seed)), 300)).filter((one) => one.stepUp < 301)
    // About 35 bursts each: at most 35 / 300 of them by the bound.
    expect(asked.length).toBeLessThanOrEqual(3)
  })

  it('without the burst correction, honest bursts that hang together would be taken for an attack: what it buys', () => {
    const model = trained(7, 12_000, moody)
    const corrected = readySequence(model)
    const naive: ReadySequence = { ...corrected, rates: corrected.rates.map(() => 1) }
    const asked = (its: ReadySequence) =>
      Array.from({ length: 100 }, (_, seed) => run(its, moody(dice(5000 + seed)), 400)).filter((one) => one.stepUp <= 400).length
    const [withIt, without] = [asked(corrected), asked(naive)]
    expect(without).toBeGreaterThanOrEqual(25)
    expect(withIt).toBeLessThanOrEqual(without / 5)
  })

  it('another order of the same calls is noticed', () => {
    const found = Array.from({ length: 50 }, (_, seed) => {
      const next = dice(2000 + seed)
      const { its } = run(ready, normal(next), 100)
      return run(ready, shuffled(next, its.lastAt + 1000), 40, its)
    })
    expect(found.filter((one) => one.stepUp <= 40).length).toBeGreaterThanOrEqual(45)
  })

  it('lateral movement is noticed within a handful of calls', () => {
    const found = Array.from({ length: 50 }, (_, seed) => {
      const next = dice(3000 + seed)
      const { its } = run(ready, normal(next), 100)
      return run(ready, lateral(next, its.lastAt + 1000), 40, its).stepUp
    }).sort((a, b) => a - b)
    expect(found.at(-1)).toBeLessThanOrEqual(20)
    expect(found[25]).toBeLessThanOrEqual(10)
  })

  it('is not judged while little is known', () => {
    const young = readySequence(trained(5, 150))
    expect(young.cold).toBe(true)
    expect(run(young, lateral(dice(1), 0), 60)).toMatchObject({ most: 0, ps: Array.from({ length: 60 }, () => 1) })
    expect(readySequence(newSequenceModel()).cold).toBe(true)
  })

  it('does not move once it is frozen, nor by a workload that is not in good standing', () => {
    const before = structuredClone(ready.model)
    run(ready, lateral(dice(9), 0), 200)
    expect(ready.model).toEqual(before)
    const open = newSequenceModel()
    observeSequence(readySequence(open), newSequenceState(), 'x', 0, false)
    expect(open).toEqual(newSequenceModel())
  })

  it('evidence is forgotten after a step-up, and asks for no more than one', () => {
    const { its } = run(ready, lateral(dice(4), 0), 60)
    const alarm = sequenceAlarm({ p: 0.001, probability: 0.001, evidence: 1e20, cold: false }, DRIFT_THRESHOLDS, { decisionIds: [] })
    expect(alarm).toMatchObject({ level: 'step-up', cause: 'sequence' })
    expect(sequenceAlarm({ p: 1, probability: 1, evidence: 29, cold: false }, DRIFT_THRESHOLDS, { decisionIds: [] })).toBeUndefined()
    expect(sequenceEvidence(ready, its)).toBeGreaterThan(DRIFT_THRESHOLDS.stepUp)
    clearSequence(its)
    expect(sequenceEvidence(ready, its)).toBe(0)
  })

  it('two replicas together know what both saw', () => {
    const [a, b] = [trained(11, 1000), trained(12, 1500)]
    const both = mergedModels(a, b)
    expect(both.events).toBe(2500)
    expect(both.counts.reduce((sum, one) => sum + one, 0)).toBe(2500)
    const other = mergedModels(b, a)
    const chance = (model: SequenceModel) =>
      probabilityOf(model, stateOf(model, event('search', 'notes'), false), stateOf(model, event('read', 'notes'), false))
    expect(chance(both)).toBe(chance(other))
    expect(chance(both)).toBeGreaterThan(0.4)
  })

  it('a type that does a thousand things has one name for most of them', () => {
    const model = newSequenceModel()
    for (let at = 0; at < 1000; at++) stateOf(model, `event ${at}`, true)
    expect(model.names.size).toBe(SEQUENCE_OTHER - 1)
    expect(stateOf(model, 'event 999', true)).toBe(SEQUENCE_OTHER)
  })

  it('a call for several collections is one event, in whatever order it names them', () => {
    const both = (one: string, other: string) => eventName('search', 'main', [targetOf('acme', one), targetOf('acme', other)])
    expect(both('a', 'b')).toBe(both('b', 'a'))
    expect(both('a', 'a')).toBe(eventName('search', 'main', [targetOf('globex', 'a')]))
    expect(both('a', 'b')).not.toBe(both('a', 'c'))
    expect(eventName('observe', 'main', [])).not.toBe(eventName('observe', 'second', []))
  })
})
