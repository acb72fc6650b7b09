/** Standing records as the store keeps them. What cannot be read is a fault, never an empty record. */
import { z } from 'zod'
import { CAUSES, STANDINGS, STRIKES_KEPT, type StandingRecord } from '../core/standing.ts'
import { STORE_VALUE_CHARS_MAX } from '../core/store.ts'

const ms = z.number().min(0)
/** What a date can hold. */
const time = ms.max(8.64e15)
const text = z.string().max(4096)
const place = { tenant: text, agentType: text, database: text, collection: text }

const term = z.strictObject({
  dot: z.strictObject({ run: z.string().min(1).max(128), n: z.int().min(1) }),
  level: z.enum(STANDINGS).exclude(['normal']),
  cause: z.enum(CAUSES),
  evidence: z.strictObject({
    says: text,
    decisionIds: z.array(text),
    figures: z.record(z.string(), z.number()),
    place: z.strictObject(place).optional(),
    subject: text.optional()
  }),
  since: time,
  durationMs: ms,
  servedMs: ms,
  ended: z.strictObject({ how: z.enum(['hand', 'proof', 'fresh-svid', 'superseded']), at: time, by: text, reason: text }).optional()
})

const schema = z.strictObject({
  scope: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('workload'), id: text }),
    z.strictObject({ kind: z.literal('cohort'), ...place })
  ]),
  horizon: z.record(z.string(), z.int().min(1)),
  terms: z.array(term),
  strikes: z.array(time).max(STRIKES_KEPT),
  vouch: z.strictObject({ at: time, until: time, by: text }).optional()
})

/** @returns undefined for a record that is too long to be kept */
export function standingText(record: StandingRecord): string | undefined {
  const whole = JSON.stringify(record)
  if (whole.length <= STORE_VALUE_CHARS_MAX) return whole
  // The audit records say the same; what must not get lost is that it stands so.
  const bare = record.terms.map((one) => ({ ...one, evidence: { ...one.evidence, decisionIds: [], figures: {} } }))
  const short = JSON.stringify({ ...record, terms: bare })
  return short.length <= STORE_VALUE_CHARS_MAX ? short : undefined
}

export function standingFrom(written: string): StandingRecord | undefined {
  let value: unknown
  try {
    value = JSON.parse(written)
  } catch {
    return undefined
  }
  const parsed = schema.safeParse(value)
  if (!parsed.success) return undefined
  const { scope, horizon, terms, strikes, vouch } = parsed.data
  // Keys that are left out come back as undefined ones, so that read and written records are equal.
  return { scope, horizon, strikes, vouch, terms: terms.map((one) => ({ ...one, ended: one.ended })) as StandingRecord['terms'] }
}
