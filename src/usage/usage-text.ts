/** What was used, as it is kept in a file and told over the admin port: one shape for both. Times are milliseconds since the epoch. */
import { z } from 'zod'

const count = z.int().min(0)
const at = z.number().min(0).max(8.64e15)
const text = z.string().max(4_096)

const place = z.strictObject({
  namespace: text.optional(),
  /** `name`: that collection. `none`: the namespace itself. `every`: all of them at once. `any`: one of them, it is not known which. */
  kind: z.enum(['name', 'none', 'every', 'any']),
  name: text.optional()
})

const used = z.strictObject({
  tenant: text,
  database: text,
  ...place.shape,
  action: text,
  /** Calls that passed, when first and when last. */
  allowed: count,
  firstAt: at.optional(),
  lastAt: at.optional(),
  /** Calls that a rule would have let pass, and that were refused for something else: a budget, an approval, a standing. */
  refused: count,
  refusedAt: at.optional()
})

const certificate = z.strictObject({
  serial: text,
  /** End of its validity. */
  until: at,
  firstAt: at,
  lastAt: at,
  calls: count,
  /** Index of `used`, and how often; further uses are in `others`, refused calls in `refused`. */
  shares: z.array(z.tuple([count, count])).max(64),
  others: count,
  refused: count,
  /** Searches and reads by top-k: 1, to 2, to 4, … to 1,024, and above. */
  topK: z.array(count).length(12)
})

const times = { count, firstAt: at, lastAt: at }

export const workloadSchema = z.strictObject({
  id: text,
  firstAt: at,
  lastAt: at,
  allowed: count,
  denied: z.array(z.strictObject({ reason: text, count, lastAt: at })).max(128),
  /** Headers with which it sent a permanent key. */
  keys: z.array(z.strictObject({ header: text, ...times })).max(64),
  used: z.array(used).max(100_000),
  certificates: z.array(certificate).max(1_000),
  certificatesGone: count
})

const run = z.strictObject({
  from: at,
  /** When what it had seen was last written. */
  to: at,
  /** It said that it ended; false: it goes on, or was killed. */
  ended: z.boolean()
})

export const headSchema = z.strictObject({
  version: z.literal(1),
  instance: text,
  /** From when on what was used is known here. */
  since: at,
  runs: z.array(run).max(1_000),
  /** Runs before those. */
  runsBefore: count,
  /** Runs that were killed: what each saw in its last seconds is not here. */
  killed: count,
  everySeconds: count,
  revisions: z.array(z.strictObject({ revision: text, firstAt: at, lastAt: at })).max(1_000),
  forgotten: count,
  lost: count
})

export type Place = z.infer<typeof place>
export type Used = z.infer<typeof used>
export type Certificate = z.infer<typeof certificate>
export type UsedWorkload = z.infer<typeof workloadSchema>
export type Head = z.infer<typeof headSchema>
export type Usage = Head & { readonly workloads: readonly UsedWorkload[] }
