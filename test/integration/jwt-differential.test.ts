/**
 * Second opinions: jose and go-spiffe on generated tokens with one to three defects. Where one disagrees with the rulebook, the
 * disagreement is on the list. TOKENS sets how many tokens, TOKENS_SEED which.
 */
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { type JwtVerdict, verifyJwtSvid } from '../../src/identity/jwt-svid.ts'
import { buildGoSpiffe } from '../differential/go-spiffe.ts'
import { DEFECTS, type Defect, spoiled } from '../differential/jwt-defects.ts'
import { type Judge, LAXER, listed, STRICTER } from '../differential/jwt-disagreements.ts'
import { accepted, goSpiffeSays, joseSays, type Opinion } from '../differential/jwt-judges.ts'
import { AUDIENCE, KEY_SETS } from '../support/jwt.ts'

const TOKENS = Number(process.env['TOKENS'] ?? 500)
const SEED = Number(process.env['TOKENS_SEED'] ?? 26)
/** A token takes some 2 ms on an idle core. */
const LIMIT_MS = 120_000 + TOKENS * 20
/** go-spiffe has no clock but its own, so tokens are judged within seconds of the time that they were made for. */
const AT_ONCE = 1_000

interface Judged {
  readonly defects: readonly Defect[]
  readonly ours: JwtVerdict
  readonly theirs: Partial<Record<Judge, Opinion>>
}

/** Each defect alone, and a token without any; then those of chance. */
let alone: readonly Judged[] = []
let mixed: readonly Judged[] = []
let missing: string | undefined

beforeAll(async () => {
  missing = await buildGoSpiffe()
  if (missing !== undefined) process.stdout.write(`\n*** ${missing}\n*** Half of this comparison did not take place.\n`)
  alone = await judged([[], ...DEFECTS.map((one) => [one])])
  const some = fc.array(fc.constantFrom(...DEFECTS), { minLength: 1, maxLength: 3, size: 'max' }).map(compatible)
  const recipes = fc.sample(some, { numRuns: TOKENS, seed: SEED })
  const batches: Judged[] = []
  for (let from = 0; from < recipes.length; from += AT_ONCE) batches.push(...(await judged(recipes.slice(from, from + AT_ONCE))))
  mixed = batches
}, LIMIT_MS)

/** Without those that stand in the place of another. */
function compatible(defects: readonly Defect[]): readonly Defect[] {
  const kept: Defect[] = []
  for (const one of defects) {
    if (!kept.some(({ places }) => places.some((place) => one.places.includes(place)))) kept.push(one)
  }
  return kept
}

async function judged(recipes: readonly (readonly Defect[])[]): Promise<readonly Judged[]> {
  const nowS = Math.floor(Date.now() / 1000)
  const made = recipes.map((defects) => ({ defects, token: spoiled(defects, nowS) }))
  const fromGo = missing === undefined ? goSpiffeSays(made.map(({ token }) => token)) : []
  const found: Judged[] = []
  for (const [at, { defects, token }] of made.entries()) {
    const ours = verifyJwtSvid(token, KEY_SETS, { audience: AUDIENCE, now: nowS * 1000, leewayMs: 5_000 })
    const [jose, go] = [await joseSays(token, nowS), fromGo[at]]
    found.push({ defects, ours, theirs: { jose, ...(go === undefined ? {} : { 'go-spiffe': go }) } })
  }
  return found
}

const nameOf = (defects: readonly Defect[]): string => `[${defects.map(({ name }) => name).join(' | ')}]`

/** What is wrong with our own verdict: the defects say what it has to be. */
function ownFault({ defects, ours }: Judged): string | undefined {
  const rules = defects.flatMap((defect) => defect.rules)
  if (ours.ok ? rules.length === 0 : rules.includes(ours.rule)) return undefined
  return `${nameOf(defects)}: ${ours.ok ? 'accepted' : `${ours.rule}, ${ours.detail}`}`
}

/** A disagreement that is not on the list. A judge that accepts was content with every defect, so every one has to be listed. */
function faultOf({ defects, ours, theirs }: Judged, judge: Judge): string | undefined {
  const opinion = theirs[judge]
  if (opinion === undefined) return `${nameOf(defects)}: ${judge} was not asked`
  const said = `${nameOf(defects)} ours: ${ours.ok ? 'yes' : ours.rule}, ${judge}: ${opinion.ok ? 'yes' : opinion.said}`
  if (ours.ok && opinion.ok) {
    const same = accepted(ours.id.text, ours.audiences, ours.expiresAt / 1000).said === opinion.said
    return same ? undefined : `${said}, and reads ${opinion.said}`
  }
  if (ours.ok === opinion.ok) return undefined
  if (ours.ok) return defects.some((defect) => listed(STRICTER, judge, defect)) ? undefined : said
  const real = defects.filter(({ rules }) => rules.length > 0)
  return real.length > 0 && real.every((defect) => listed(LAXER, judge, defect)) ? undefined : said
}

const faults = (list: readonly Judged[], judge: Judge): readonly string[] =>
  list.map((one) => faultOf(one, judge)).filter((one) => one !== undefined)

describe('our own verdict', () => {
  it('is that of the defect, where there is one', () => {
    expect(alone.length).toBeGreaterThan(100)
    expect(alone.map(ownFault).filter((fault) => fault !== undefined)).toEqual([])
  })

  it('is that of one of the defects, where there are several', () => {
    expect(mixed).toHaveLength(TOKENS)
    expect(mixed.map(ownFault).filter((fault) => fault !== undefined)).toEqual([])
  })
})

describe.each<Judge>(['jose', 'go-spiffe'])('%s and the rulebook', (judge) => {
  const reason = (): string | undefined => (judge === 'go-spiffe' ? missing : undefined)

  it('agree about each defect alone, but for the list', ({ skip }) => {
    skip(reason() !== undefined, reason())
    expect(faults(alone, judge)).toEqual([])
  })

  it('disagree wherever the list says so', ({ skip }) => {
    skip(reason() !== undefined, reason())
    const odd = alone.filter(({ ours, theirs }) => ours.ok !== theirs[judge]?.ok)
    const found = (yes: boolean) => odd.filter(({ ours }) => ours.ok === yes).map(({ defects }) => nameOf(defects))
    const said = (list: typeof LAXER) => DEFECTS.filter((defect) => listed(list, judge, defect)).map((defect) => nameOf([defect]))
    expect(found(false)).toEqual(said(LAXER))
    expect(found(true)).toEqual(said(STRICTER))
  })

  it(`agree about ${TOKENS} tokens with one to three defects, but for the list`, ({ skip }) => {
    skip(reason() !== undefined, reason())
    expect(faults(mixed, judge)).toEqual([])
    const figures = { accepted: 0, refused: 0, laxer: 0, stricter: 0 }
    for (const { ours, theirs } of mixed) {
      figures[ours.ok ? (theirs[judge]?.ok ? 'accepted' : 'stricter') : theirs[judge]?.ok ? 'laxer' : 'refused']++
    }
    process.stdout.write(`${judge}, ${TOKENS} tokens: ${JSON.stringify(figures)}\n`)
    expect(Math.min(figures.accepted, figures.refused)).toBeGreaterThan(TOKENS / 50)
  })

  it('would be caught disagreeing: the opposite opinion on any token is not listed', ({ skip }) => {
    skip(reason() !== undefined, reason())
    const turned = alone.flatMap(({ theirs, ...rest }) => {
      const opinion = theirs[judge]
      if (opinion === undefined || opinion.ok !== rest.ours.ok) return []
      return [{ ...rest, theirs: { [judge]: { ok: !opinion.ok, said: 'turned' } } }]
    })
    expect(turned.length).toBeGreaterThan(50)
    expect(faults(turned, judge)).toHaveLength(turned.length)
  })

  it('would be caught reading another subject out of a token', ({ skip }) => {
    skip(reason() !== undefined, reason())
    const good = alone.filter(({ defects }) => defects.length === 0)
    const theirs = { [judge]: accepted('spiffe://vec.test/admin', [AUDIENCE], 0) }
    expect(good).toHaveLength(1)
    expect(
      faults(
        good.map((one) => ({ ...one, theirs })),
        judge
      )
    ).toHaveLength(1)
  })
})

it('every row of the list speaks of defects that there are, under their rule', () => {
  const known = new Map(DEFECTS.map((defect) => [defect.name, defect]))
  expect(known.size).toBe(DEFECTS.length)
  const wrong = [...LAXER, ...STRICTER].flatMap(({ rule, about }) =>
    about === 'every'
      ? DEFECTS.some(({ rules }) => rules.includes(rule))
        ? []
        : [rule]
      : about.filter((name) => !known.has(name) || (known.get(name)?.rules.length !== 0 && !known.get(name)?.rules.includes(rule)))
  )
  expect(wrong).toEqual([])
})
