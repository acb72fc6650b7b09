/** Other judges of the tokens: jose in this process, and go-spiffe where Go is on PATH. */
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTPayload, type JWTVerifyOptions, jwtVerify } from 'jose'
import { JWT_ALGORITHMS } from '../../src/identity/jwt-keys.ts'
import { AUDIENCE, es256, es384, es512, jwkOf, other, partnerKey, rsa, type SigningKey } from '../support/jwt.ts'
import { askGoSpiffe } from './go-spiffe.ts'

export interface Opinion {
  readonly ok: boolean
  /** Whose token it is, for whom and how long; or why it was refused. */
  readonly said: string
}

/** How an accepted token is written down: equal exactly when the same was read. `expiry` is in seconds since the epoch. */
export function accepted(id: unknown, audiences: readonly unknown[], expiry: number): Opinion {
  return { ok: true, said: JSON.stringify([id, audiences, Math.floor(expiry)]) }
}

const refused = (cause: unknown): Opinion => ({ ok: false, said: cause instanceof Error ? cause.message : String(cause) })

const setOf = (...keys: readonly SigningKey[]) => ({ keys: keys.map((key) => jwkOf(key)) })
/** As `KEY_SETS` has them, but in the form of the Workload API. */
const KEY_SETS = { 'vec.test': setOf(es256, other, es384, es512, rsa), 'partner.test': setOf(partnerKey), 'empty.test': setOf() }

const keySet = createLocalJWKSet(KEY_SETS['vec.test'] as unknown as JSONWebKeySet)

/** jose 6, `jwtVerify` told all that it can be told: it has one key set, that of our own trust domain. */
export async function joseSays(token: string, nowS: number): Promise<Opinion> {
  const options: JWTVerifyOptions = {
    algorithms: [...JWT_ALGORITHMS.keys()],
    audience: AUDIENCE,
    requiredClaims: ['sub', 'aud', 'exp'],
    clockTolerance: 5,
    currentDate: new Date(nowS * 1000)
  }
  try {
    return readByJose((await jwtVerify(token, keySet, options)).payload)
  } catch (cause) {
    if (!(cause instanceof errors.JWKSMultipleMatchingKeys)) return refused(cause)
    for await (const key of cause) {
      const verified = await jwtVerify(token, key, options).catch(() => undefined)
      if (verified !== undefined) return readByJose(verified.payload)
    }
    return refused('no key of several')
  }
}

function readByJose({ sub, aud, exp }: JWTPayload): Opinion {
  return accepted(sub, [aud].flat(), exp ?? Number.NaN)
}

/** go-spiffe's jwtsvid.ParseAndValidate, by the clock of this moment. */
export function goSpiffeSays(tokens: readonly string[]): readonly Opinion[] {
  const answers = askGoSpiffe(tokens.map((token) => ({ token, keySets: KEY_SETS, audience: AUDIENCE })))
  return answers.map(({ id, audience = [], expiry = Number.NaN, error }) =>
    id === undefined ? refused(error ?? 'no reason') : accepted(id, audience, expiry)
  )
}
