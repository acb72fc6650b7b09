/**
 * A second opinion: jose 6 (`jwtVerify` with a local key set, told all that it can be told) on generated tokens with one to three
 * defects. Where it disagrees, the disagreement is on the list below with its rule. JWT_DIFFERENTIAL_RUNS sets the runs.
 */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyOptions, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { JWT_ALGORITHMS } from '../../src/identity/jwt-keys.ts'
import { verifyJwtSvid } from '../../src/identity/jwt-svid.ts'
import { AUDIENCE, es256, es384, es512, JWT_NOW, jwkOf, KEY_SETS, other, rsa } from '../support/jwt.ts'
import { DEFECTS, type Defect, spoiled } from '../support/jwt-defects.ts'

const RUNS = Number(process.env['JWT_DIFFERENTIAL_RUNS'] ?? 400)

/** Defects that jose accepts though a rule refuses them, and why the rule stands. */
const JOSE_ACCEPTS: Readonly<Record<string, readonly [rule: string, why: string]>> = {
  padding: ['J-2', 'its decoder skips what it does not know'],
  'a space behind': ['J-2', 'its decoder skips what it does not know'],
  'a line break behind': ['J-2', 'its decoder skips what it does not know'],
  'sub twice': ['J-22', 'JSON.parse takes the last'],
  'a claim twice, deep': ['J-22', 'JSON.parse takes the last'],
  'header alg twice': ['J-22', 'JSON.parse takes the last'],
  'a name that means something to the engine': ['J-24', 'ours'],
  'claims nine deep': ['J-24', 'it has no bound'],
  '10,000 characters': ['J-24', 'it has no bound'],
  'half a surrogate pair': ['J-1', 'RFC 8259 leaves open what that is; readers differ'],
  'header typ in lower case': ['J-5', 'its option allows one value only, and JWT-SVID two or none'],
  'header typ at+jwt': ['J-5', 'as above'],
  'header typ wit+jwt': ['W-1', 'as above'],
  'header jku there': ['J-6', 'it does not use it, and does not refuse it'],
  'header jwk there': ['J-6', 'as above'],
  'header x5c there': ['J-6', 'as above'],
  'header cty there': ['J-6', 'as above'],
  'sub a name': ['J-10', 'it knows no SPIFFE IDs'],
  'sub a number': ['J-10', 'it asks that it is there, not what it is'],
  'sub a dot segment': ['J-10', 'it knows no SPIFFE IDs'],
  'sub a trust domain': ['J-11', 'it knows no SPIFFE IDs'],
  'sub of a stranger': ['J-19', 'it has one key set, whoever the subject is'],
  'aud with a number': ['J-12', 'ours is among them, and it looks no further'],
  'aud with an empty text': ['J-12', 'as above'],
  'exp beyond the calendar': ['J-15', 'any number is a time to it'],
  'cnf there': ['W-2', 'it ignores the claim']
}

/** What jose refuses though no rule does. */
const JOSE_REFUSES: Readonly<Record<string, readonly [rule: string, why: string]>> = {
  'iat a text': ['J-17', 'it asks for a number; here the time of issue never decides']
}

const keys = { keys: [es256, other, es384, es512, rsa].map((key) => jwkOf(key)) }
const keySet = createLocalJWKSet(keys as unknown as JSONWebKeySet)
const options: JWTVerifyOptions = {
  algorithms: [...JWT_ALGORITHMS.keys()],
  audience: AUDIENCE,
  requiredClaims: ['sub', 'aud', 'exp'],
  clockTolerance: 5,
  currentDate: new Date(JWT_NOW)
}

async function joseAccepts(token: string): Promise<boolean> {
  try {
    await jwtVerify(token, keySet, options)
    return true
  } catch (cause) {
    if (!(cause instanceof errors.JWKSMultipleMatchingKeys)) return false
    for await (const key of cause) {
      const verified = await jwtVerify(token, key, options).then(
        () => true,
        () => false
      )
      if (verified) return true
    }
    return false
  }
}

/** What is wrong with the two verdicts on a token with these defects; undefined when all is as it should be. */
async function faultOf(defects: readonly Defect[], seen: Set<string>): Promise<string | undefined> {
  const token = spoiled(defects)
  const ours = verifyJwtSvid(token, KEY_SETS, { audience: AUDIENCE, now: JWT_NOW, leewayMs: 5_000 })
  const theirs = await joseAccepts(token)
  const real = defects.filter(({ rule }) => rule !== undefined)
  const said = `[${defects.map(({ name }) => name).join(' | ')}] ours: ${ours.ok ? 'yes' : ours.rule}, jose: ${theirs}`
  if (ours.ok !== (real.length === 0)) return said
  if (!ours.ok && !real.some(({ rule }) => rule === ours.rule)) return `${said}: the rule of no defect`
  if (ours.ok === theirs) return undefined
  const list = ours.ok ? JOSE_REFUSES : JOSE_ACCEPTS
  const listed = (ours.ok ? defects : real).filter(({ name }) => list[name] !== undefined)
  for (const { name } of listed) seen.add(name)
  if (ours.ok) return listed.length > 0 ? undefined : `${said}: not listed`
  // jose was content with every one of them, so every one has to be on the list, and ours refused for the rule of one.
  const known = listed.length === real.length && listed.some(({ name }) => list[name]?.[0] === ours.rule)
  return known ? undefined : `${said}: not listed`
}

/** Numbers that look random and are the same each time (mulberry32). */
function dice(seed: number): (sides: number) => number {
  let state = seed
  return (sides) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides
  }
}

describe('jose and the rulebook', () => {
  it('agree about each defect alone, but for the list, which has no row too many', async () => {
    const seen = new Set<string>()
    const faults: string[] = []
    for (const defect of DEFECTS) faults.push((await faultOf([defect], seen)) ?? '')
    expect(faults.filter((fault) => fault !== '')).toEqual([])
    expect([...seen].sort()).toEqual([...Object.keys(JOSE_ACCEPTS), ...Object.keys(JOSE_REFUSES)].sort())
  })

  it(
    `agree about ${RUNS} tokens with one to three defects, but for the list`,
    async () => {
      const roll = dice(26)
      const faults: string[] = []
      for (let run = 0; run < RUNS; run++) {
        const chosen = new Map<string, Defect>()
        for (let left = roll(3); left >= 0; left--) {
          const defect = DEFECTS[roll(DEFECTS.length)]
          if (defect !== undefined) chosen.set(defect.place, defect)
        }
        const fault = await faultOf([...chosen.values()], new Set())
        if (fault !== undefined) faults.push(fault)
      }
      expect(faults).toEqual([])
    },
    5_000 + RUNS * 5
  )
})
