import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { DenyKind } from '../../src/core/deny-reason.ts'
import { RISK_DEFAULTS, type RiskRules } from '../../src/core/risk-rules.ts'
import {
  type Cause,
  merged,
  newRecord,
  type Place,
  quarantinePlaces,
  type Raised,
  rankOf,
  type StandingRecord,
  served,
  standingOf,
  subjectKey
} from '../../src/core/standing.ts'
import type { Alarm } from '../../src/core/standings.ts'
import { togetherAlarm } from '../../src/risk/cohort.ts'
import { countDenial, countsAsRisk, newDenialScore, scoreAt } from '../../src/risk/denials.ts'
import { atCall, climb, driftAlarm, isVouched, levelOf, released, strikesOf, withFreshSvid } from '../../src/risk/ladder.ts'
import { signalAlarm } from '../../src/risk/signals.ts'
import { challengeOf, type Proof, prove, refuseStepUp } from '../../src/risk/step-up.ts'
import { idOf, patternOf } from '../support/ids.ts'

const ID = idOf('spiffe://demo.vecauthz.test/acme/support')
const SCOPE = { kind: 'workload', id: ID.text } as const
const RULES: RiskRules = { ...RISK_DEFAULTS, supervisors: [patternOf('spiffe://demo.vecauthz.test/ops/*')] }
const USER = subjectKey('https://idp.vecauthz.test', 'ann')
const T0 = Date.UTC(2026, 10, 21)
const moment = (now = T0, run = 'a') => ({ now, run })
const alarm = (level: Raised, cause: Cause = 'drift', subject: string | undefined = USER): Alarm => ({
  level,
  cause,
  evidence: { says: 'novelty 412', decisionIds: ['d1'], figures: { novelty: 412 }, ...(subject === undefined ? {} : { subject }) }
})
const raisedBy = (...alarms: readonly Alarm[]) => alarms.reduce((record, one) => climb(record, one, RULES, moment()), fresh())
const fresh = (): StandingRecord => newRecord(SCOPE)
const byUser = (change: Partial<Extract<Proof, { kind: 'user' }>> = {}): Proof => ({
  kind: 'user',
  subject: USER,
  acr: undefined,
  authTime: T0 + 1_000,
  ...change
})

describe('the ladder', () => {
  it('goes up at once, to where the alarm says', () => {
    expect(standingOf(raisedBy(alarm('slowed')))).toBe('slowed')
    expect(standingOf(raisedBy(alarm('quarantine')))).toBe('quarantine')
    expect(standingOf(raisedBy(alarm('quarantine'), alarm('slowed')))).toBe('quarantine')
  })

  it('goes down slowly: from a quarantine to slowed, and then to normal', () => {
    const record = raisedBy(alarm('quarantine'))
    const nearly = served(record, RULES.quarantineMs - 1)
    expect(standingOf(nearly)).toBe('quarantine')
    expect(standingOf(served(nearly, 1))).toBe('slowed')
    expect(standingOf(served(nearly, RULES.slowedMs))).toBe('slowed')
    expect(standingOf(served(nearly, RULES.slowedMs + 1))).toBe('normal')
  })

  it('an alarm that goes on changes nothing, but keeps a slowed workload slowed', () => {
    const record = raisedBy(alarm('slowed'))
    expect(climb(record, alarm('slowed'), RULES, moment(T0 + 1))).toBe(record)
    const later = climb(served(record, RULES.slowedMs / 2), alarm('slowed'), RULES, moment(T0 + 2))
    expect(standingOf(served(later, RULES.slowedMs * 0.75))).toBe('slowed')
    expect(later.terms).toHaveLength(1)
    const quarantined = raisedBy(alarm('quarantine'))
    for (const level of ['slowed', 'step-up', 'quarantine'] as const) {
      expect(climb(quarantined, alarm(level), RULES, moment(T0 + 1))).toBe(quarantined)
    }
  })

  it('the third step-up within a day is a quarantine, and the third within two days is none', () => {
    const strike = (record: StandingRecord, now: number) => {
      const raised = climb(record, alarm('step-up'), RULES, moment(now))
      const proved = prove(raised, ID, byUser({ authTime: now + 1_000 }), RULES, moment(now + 2_000))
      return proved.ok ? proved.record : raised
    }
    const twice = strike(strike(fresh(), T0), T0 + 3_600_000)
    expect(standingOf(twice)).toBe('slowed')
    expect(standingOf(climb(twice, alarm('step-up'), RULES, moment(T0 + 7_200_000)))).toBe('quarantine')
    expect(standingOf(climb(twice, alarm('step-up'), RULES, moment(T0 + 86_400_001)))).toBe('step-up')
    expect(strikesOf(twice, RULES, T0 + 7_200_000)).toBe(2)
  })

  it('two replicas that raise one step-up raise one strike', () => {
    const one = climb(fresh(), alarm('step-up'), RULES, moment(T0, 'a'))
    const other = climb(fresh(), alarm('step-up'), RULES, moment(T0 + 400, 'b'))
    expect(strikesOf(merged(one, other), RULES, T0 + 1_000)).toBe(1)
  })

  it('a challenge that is not answered, by a workload that goes on calling, is a quarantine', () => {
    const record = raisedBy(alarm('step-up'))
    const early = served(record, RULES.stepUpAnswerMs - 1)
    expect(atCall(early, RULES, moment(), 'd2')).toBe(early)
    const late = atCall(served(record, RULES.stepUpAnswerMs), RULES, moment(), 'd2')
    expect(standingOf(late)).toBe('quarantine')
    // Its own challenge is over with it: what follows a quarantine is not the next one.
    expect(standingOf(served(late, RULES.quarantineMs))).toBe('slowed')
  })

  it('a challenge from elsewhere does not run out while the workload is quarantined', () => {
    const both = merged(climb(fresh(), alarm('step-up'), RULES, moment(T0, 'b')), raisedBy(alarm('quarantine')))
    const down = served(both, RULES.quarantineMs)
    expect(standingOf(down)).toBe('step-up')
    expect(atCall(down, RULES, moment(), 'd2')).toBe(down)
  })

  it('a fresh SVID clears slowed, and nothing else', () => {
    const slowed = raisedBy(alarm('slowed'))
    expect(standingOf(withFreshSvid(slowed, T0 + 1, 'x', RULES, T0 + 2))).toBe('normal')
    expect(withFreshSvid(slowed, T0, 'x', RULES, T0 + 2)).toBe(slowed)
    expect(withFreshSvid(slowed, T0 + 3, 'x', RULES, T0 + 2)).toBe(slowed)
    for (const level of ['step-up', 'quarantine'] as const) {
      const record = raisedBy(alarm('slowed'), alarm(level))
      expect(withFreshSvid(record, T0 + 1, 'x', RULES, T0 + 2)).toBe(record)
    }
    const down = served(raisedBy(alarm('quarantine')), RULES.quarantineMs)
    expect(standingOf(withFreshSvid(down, T0 + 1, 'x', RULES, T0 + RULES.quarantineMs + 9))).toBe('slowed')
    const attested = T0 + RULES.quarantineMs + 5
    expect(standingOf(withFreshSvid(down, attested, 'x', RULES, attested + 1))).toBe('normal')
  })

  it('an operator releases everything at once', () => {
    expect(standingOf(released(raisedBy(alarm('step-up'), alarm('quarantine')), 'ann', 'a test', T0))).toBe('normal')
  })

  it('a verdict on drift names its family', () => {
    const verdict = { tier: 'watch', causes: [{ family: 'coherence' }] } as never
    expect(driftAlarm(verdict, alarm('slowed').evidence)).toMatchObject({ level: 'slowed', cause: 'coherence' })
    expect(driftAlarm({ tier: 'quarantine', causes: [] } as never, alarm('slowed').evidence)).toMatchObject({ cause: 'drift' })
    expect(driftAlarm({ tier: 'normal' } as never, alarm('slowed').evidence)).toBeUndefined()
  })

  it('a higher score never yields a gentler standing (property)', () => {
    const steps = fc.array(
      fc.record({
        level: fc.constantFrom<Raised>('slowed', 'step-up', 'quarantine'),
        cause: fc.constantFrom<Cause>('drift', 'monitoring', 'risk_spike', 'signal'),
        pause: fc.nat(100_000_000),
        next: fc.constantFrom('nothing', 'prove', 'release', 'svid')
      }),
      { maxLength: 12 }
    )
    const scores = fc.double({ min: 0, max: 1e6, noNaN: true })
    const cause = fc.constantFrom<Cause>('drift', 'monitoring', 'signal')
    const thresholds = { slowed: 30, 'step-up': 300, quarantine: 100_000 }
    fc.assert(
      fc.property(steps, scores, scores, cause, (history, one, other, why) => {
        let [record, now] = [fresh(), T0]
        for (const { level, cause, pause, next } of history) {
          now += pause
          record = climb(served(record, pause), alarm(level, cause), RULES, moment(now))
          if (next === 'release') record = released(record, 'ann', '', now)
          if (next === 'svid') record = withFreshSvid(record, now, 'x', RULES, now)
          const proved = prove(record, ID, byUser({ authTime: now }), RULES, moment(now))
          if (next === 'prove' && proved.ok) record = proved.record
        }
        const standing = (score: number) => {
          const level = levelOf(score, thresholds)
          return rankOf(standingOf(level === 'normal' ? record : climb(record, alarm(level, why), RULES, moment(now))))
        }
        expect(standing(Math.min(one, other))).toBeLessThanOrEqual(standing(Math.max(one, other)))
      }),
      { numRuns: 3_000 }
    )
  })

  it('a score that is no number is not a low one', () => {
    expect(levelOf(Number.NaN, RULES.denials)).toBe('step-up')
    expect(levelOf(Number.POSITIVE_INFINITY, RULES.denials)).toBe('quarantine')
  })
})

describe('a step-up', () => {
  const record = raisedBy(alarm('step-up'))
  const challenge = challengeOf(record, RULES)?.id ?? ''
  const supervisor: Proof = { kind: 'supervisor', challenge, by: idOf('spiffe://demo.vecauthz.test/ops/night'), blocked: [] }

  it.each<readonly [string, Proof, boolean]>([
    ['the end user, authenticated since', byUser(), true],
    ['the end user, authenticated a millisecond before', byUser({ authTime: T0 - 1 }), false],
    ['the end user, who did not say when', byUser({ authTime: undefined }), false],
    ['the end user, authenticated tomorrow', byUser({ authTime: T0 + 86_400_000 }), false],
    ['the end user, authenticated at no time at all', byUser({ authTime: Number.NaN }), false],
    ['another end user', byUser({ subject: subjectKey('https://idp.vecauthz.test', 'bob') }), false],
    ['a supervisor', supervisor, true],
    ['a supervisor, for another challenge', { ...supervisor, challenge: `${challenge}0` }, false],
    ['somebody who is no supervisor', { ...supervisor, by: idOf('spiffe://demo.vecauthz.test/acme/indexer') }, false],
    ['a supervisor in whose name the call was', { ...supervisor, blocked: ['spiffe://demo.vecauthz.test/ops/night'] }, false],
    ['the workload itself', { ...supervisor, by: ID }, false],
    ['an operator', { kind: 'operator', challenge, by: 'ann' }, true],
    ['an operator, for another challenge', { kind: 'operator', challenge: 'b.1', by: 'ann' }, false]
  ])('is answered by %s: %s', (_, proof, good) => {
    const proved = prove(record, ID, proof, RULES, moment(T0 + 5_000))
    expect(proved.ok).toBe(good)
    if (proved.ok) expect(standingOf(proved.record)).toBe('slowed')
  })

  it('wants the acr that policy wants', () => {
    const strict = { ...RULES, acrValues: new Set(['urn:mfa']) }
    expect(prove(record, ID, byUser({ acr: 'urn:mfa' }), strict, moment(T0 + 5_000)).ok).toBe(true)
    expect(prove(record, ID, byUser({ acr: 'urn:password' }), strict, moment(T0 + 5_000)).ok).toBe(false)
    expect(prove(record, ID, byUser(), strict, moment(T0 + 5_000)).ok).toBe(false)
  })

  it('is answered by no end user when none stood behind the call', () => {
    const bare = climb(fresh(), { ...alarm('step-up'), evidence: { says: '', decisionIds: [], figures: {} } }, RULES, moment())
    expect(challengeOf(bare, RULES)).toMatchObject({ forUser: false })
    expect(prove(bare, ID, byUser(), RULES, moment(T0 + 5_000)).ok).toBe(false)
  })

  it('is answered once', () => {
    const proved = prove(record, ID, supervisor, RULES, moment(T0 + 5_000))
    if (!proved.ok) throw new Error(proved.says)
    expect(prove(proved.record, ID, supervisor, RULES, moment(T0 + 6_000)).ok).toBe(false)
    const again = climb(proved.record, alarm('step-up'), RULES, moment(T0 + 3_600_000))
    expect(prove(again, ID, supervisor, RULES, moment(T0 + 3_601_000)).ok).toBe(false)
  })

  it('answers for a figure that lasts, for its time, and not for new evidence', () => {
    const proved = prove(record, ID, byUser(), RULES, moment(T0 + 5_000))
    if (!proved.ok) throw new Error(proved.says)
    const at = (now: number, cause: Cause) => standingOf(climb(proved.record, alarm('step-up', cause), RULES, moment(now)))
    expect(at(T0 + 600_000, 'monitoring')).toBe('slowed')
    expect(at(T0 + 600_000, 'drift')).toBe('step-up')
    expect(at(T0 + 5_000 + RULES.stepUpValidMs, 'monitoring')).toBe('step-up')
    expect(isVouched(proved.record, T0)).toBe(false)
  })

  it('is not open in quarantine, and a refusal to vouch is one', () => {
    const refused = refuseStepUp(record, 'ann', 'never seen it', RULES, moment())
    expect(standingOf(refused)).toBe('quarantine')
    expect(challengeOf(refused, RULES)).toBeUndefined()
    expect(prove(refused, ID, supervisor, RULES, moment(T0 + 1)).ok).toBe(false)
    expect(refuseStepUp(fresh(), 'ann', '', RULES, moment())).toEqual(fresh())
  })
})

describe('denials', () => {
  const bare = { decisionIds: ['d1'] }
  const deny = (kind: DenyKind) => ({ kind, because: '' })

  it('a scan over tenants ends in quarantine', () => {
    const kept = newDenialScore()
    const levels = Array.from(
      { length: 12 },
      (_, at) => countDenial(kept, deny('tenant-not-allowed'), `tenant ${at}`, RULES, T0, bare)?.level
    )
    expect(levels).toEqual([...Array(2).fill(undefined), 'slowed', 'slowed', ...Array(5).fill('step-up'), ...Array(3).fill('quarantine')])
  })

  it('so does one whose made-up names have one digest', () => {
    // FNV-1a can be run backwards: three characters from the front and three from the back meet.
    const [prime, inverse] = [0x01000193, 0x359c449b]
    const chars = Array.from({ length: 40 }, (_, at) => String.fromCharCode(65 + at))
    const trios = chars.flatMap((a) => chars.flatMap((b) => chars.map((c) => a + b + c)))
    const forth = (from: number, text: string) => [...text].reduce((hash, c) => Math.imul(hash ^ c.charCodeAt(0), prime), from)
    const back = (to: number, text: string) => [...text].reduceRight((hash, c) => Math.imul(hash, inverse) ^ c.charCodeAt(0), to)
    const meets = new Map(trios.map((trio) => [back(12_345, trio), trio]))
    const scan = (tenant: string) => {
      const from = forth(0x811c9dc5 | 0, `tenant-not-allowed collection.query ${tenant}/rag/`)
      const front = trios.find((trio) => meets.has(forth(from, trio)))
      return front === undefined ? undefined : `collection.query ${tenant}/rag/${front}${meets.get(forth(from, front))}`
    }
    const targets = Array.from({ length: 60 }, (_, at) => scan(`tenant-${at}`)).filter((one) => one !== undefined)
    expect(new Set(targets.map((one) => forth(0x811c9dc5 | 0, `tenant-not-allowed ${one}`)))).toEqual(new Set([12_345]))
    expect(targets.length).toBeGreaterThan(20)
    const kept = newDenialScore()
    const reason = { kind: 'tenant-not-allowed', because: '' } as const
    const levels = targets.map((one) => countDenial(kept, reason, one, RULES, T0, { decisionIds: [] })?.level)
    expect(levels.at(-1)).toBe('quarantine')
  })

  it('a broken client that repeats itself for an hour is slowed, and no more', () => {
    const kept = newDenialScore()
    const levels = Array.from(
      { length: 3_600 },
      (_, at) => countDenial(kept, deny('tenant-not-allowed'), 'globex', RULES, T0 + at * 1000, bare)?.level
    )
    expect(new Set(levels)).toEqual(new Set([undefined, 'slowed']))
  })

  it('a score halves with time, and a clock that goes back gives nothing', () => {
    const kept = newDenialScore()
    countDenial(kept, deny('token-mismatch'), 'x', RULES, T0, bare)
    expect(scoreAt(kept, RULES.denialsHalfLifeMs, T0 + RULES.denialsHalfLifeMs)).toBeCloseTo(2)
    expect(scoreAt(kept, RULES.denialsHalfLifeMs, T0 - 1e9)).toBe(4)
  })

  it('outages and budgets say nothing about who calls', () => {
    const kept = newDenialScore()
    for (const kind of ['internal', 'rate-exceeded', 'state-unavailable', 'step-up-required', 'quarantined', 'svid-expired'] as const) {
      expect(countDenial(kept, deny(kind), kind, RULES, T0, bare)).toBeUndefined()
      expect(countsAsRisk(kind)).toBe(false)
    }
    expect(kept.score).toBe(0)
    expect(countsAsRisk('operation-unknown')).toBe(true)
  })

  it('what others say raises too, and takes nothing back', () => {
    const signal = (event: Parameters<typeof signalAlarm>[0]['event']) =>
      signalAlarm({ id: 'j', by: 'edr', workload: ID.text, event, at: T0 })
    expect(signal({ kind: 'session-revoked' })?.level).toBe('quarantine')
    expect(signal({ kind: 'risk-level-change', level: 'HIGH' })?.level).toBe('step-up')
    expect(signal({ kind: 'risk-level-change', level: 'MEDIUM' })?.level).toBe('slowed')
    expect(signal({ kind: 'risk-level-change', level: 'LOW' })).toBeUndefined()
  })
})

describe('identities together', () => {
  const place: Place = { tenant: 'acme', agentType: 'support', database: 'main', collection: 'docs' }
  const rules = { ...RULES, identitiesTogether: 3 }

  it('quarantine their type for the collection from the k-th on, and one identity is one', () => {
    const members = new Map([
      ['a', T0],
      ['b', T0]
    ])
    expect(togetherAlarm(members, rules, T0)).toBeUndefined()
    expect(togetherAlarm(members.set('b', T0 + 1), rules, T0 + 1)).toBeUndefined()
    expect(togetherAlarm(members.set('c', T0 + 1), rules, T0 + 1)?.level).toBe('quarantine')
    expect(togetherAlarm(members, rules, T0 + rules.togetherWithinMs)?.level).toBeUndefined()
    expect(togetherAlarm(members, RULES, T0 + 1)).toBeUndefined()
  })

  it('counts where a quarantine has a place, and nothing gentler', () => {
    const evidence = { ...alarm('quarantine').evidence, place }
    const quarantined = climb(fresh(), { ...alarm('quarantine'), evidence }, RULES, moment())
    expect(quarantinePlaces(quarantined)).toEqual([{ cohort: { kind: 'cohort', ...place }, since: T0 }])
    expect(quarantinePlaces(climb(fresh(), { ...alarm('step-up'), evidence }, RULES, moment()))).toEqual([])
    expect(quarantinePlaces(raisedBy(alarm('quarantine')))).toEqual([])
    expect(quarantinePlaces(released(quarantined, 'ann', '', T0))).toEqual([])
  })
})
