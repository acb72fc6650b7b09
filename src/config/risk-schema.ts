/** The policy's `risk`, `monitoring` and `budgets`. The reference page is generated from the descriptions here. */
import { z } from 'zod'
import { ACTIONS } from '../core/policy-document.ts'
import { type BudgetsDocument, MONITORING_ACTIONS, MONITORING_METRICS, MONITORING_RULES_MAX } from '../core/risk-document.ts'
import { RISK_DEFAULTS } from '../core/risk-rules.ts'

const its = RISK_DEFAULTS
const DAY = 86_400
const WEEK = 7 * DAY
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/
const name = z.string().regex(NAME, 'must be 1 to 63 of letters, digits, ".", "_", "-", beginning with a letter or digit')

/** @param standard what it is where the policy does not say it */
const score = (what: string, standard: number) => z.number().positive().max(1e9).optional().describe(`${what}; ${standard}`)
const seconds = (what: string, ms: number, max = DAY) =>
  z
    .int()
    .min(1)
    .max(max)
    .optional()
    .describe(`${what}; ${ms / 1000}`)

const pace = (rate: string, burst: string) =>
  z.strictObject({
    per_second: z.number().positive().max(1e9).describe(rate),
    burst: z.int().min(1).max(1e9).describe(burst)
  })
const calls = () => pace('Sustained cost per second', 'Cost that may come at once after a pause')

const operations = z
  .strictObject(
    Object.fromEntries(ACTIONS.map((action) => [action, calls().optional().describe(`For \`${action}\``)])) as Record<
      (typeof ACTIONS)[number],
      z.ZodOptional<ReturnType<typeof calls>>
    >
  )
  .optional()
  .describe('Of each workload for one kind of call')

export const budgets: z.ZodType<BudgetsDocument | undefined> = z
  .strictObject({
    tenant: calls().optional().describe('Of each tenant, all its callers together'),
    collection: calls().optional().describe('Of each collection of each tenant, all callers together'),
    operations,
    bytes: pace('Sustained bytes per second', 'Bytes that may come at once after a pause')
      .optional()
      .describe("Bytes of each workload's bodies above 64 KiB; 10 MB/s and 64 MiB at once where it is not said")
  })
  .optional()
  .describe('Budgets beside `budget`; a call must fit in all that it touches')

export const monitoring = z
  .array(
    z.strictObject({
      metric: z
        .enum(MONITORING_METRICS)
        .describe(
          'What is looked at, for each workload in the window: `request_rate` and `queries` and `bytes` per second, `deny_rate` as a share of at least 10 calls, `distinct_collections`, `top_k_mean`, `vectors_out` as calls that ask for raw vectors, or `signal`'
        ),
      signal: name.optional().describe('Name of the pushed figure; with `metric: signal` only'),
      window_seconds: z.int().min(10).max(DAY).describe('Length of the window; at most eight different ones'),
      threshold: z.number().min(-1e12).max(1e12).describe('It acts above this'),
      action: z.enum(MONITORING_ACTIONS).describe('`flag` records, `page` calls a person, the others raise the standing'),
      agent_types: z.array(name).min(1).max(32).optional().describe('Agent types it is for; without it, all workloads')
    })
  )
  .max(MONITORING_RULES_MAX)
  .optional()
  .describe('Figures that are watched for each workload, and what follows')

const drift = z
  .strictObject({
    watch: score('Evidence of novelty that slows', its.drift.watch),
    step_up: score('that asks for a step-up', its.drift.stepUp),
    quarantine: score('that quarantines', its.drift.quarantine),
    coherence_step_up: score('Evidence of coherence (sweeps, walks, probing) that asks for a step-up', its.drift.coherenceStepUp)
  })
  .optional()
  .describe('From which evidence of drift on something follows')

const denials = z
  .strictObject({
    slowed: score('Score of denials that slows', its.denials.slowed),
    step_up: score('that asks for a step-up', its.denials['step-up']),
    quarantine: score('that quarantines', its.denials.quarantine),
    half_life_seconds: seconds('The score halves in this time', its.denialsHalfLifeMs)
  })
  .optional()
  .describe('What denials of a proven identity lead to (`risk_spike`)')

const slowed = z
  .strictObject({
    seconds: seconds('How long', its.slowedMs),
    rate_share: z.number().min(0.01).max(1).optional().describe(`What remains of its rate; ${its.slowedShare}`)
  })
  .optional()
  .describe('The first step: a smaller budget')

const stepUp = z
  .strictObject({
    answer_seconds: seconds('A workload that goes on calling without an answer for so long is quarantined', its.stepUpAnswerMs),
    valid_seconds: seconds('How long an answer holds for what lasts, such as a monitored figure', its.stepUpValidMs),
    strikes: z.int().min(2).max(8).optional().describe(`So many step-ups are a quarantine; ${its.strikes}`),
    strikes_within_seconds: seconds('within this time', its.strikesWithinMs, WEEK),
    supervisors: z
      .array(z.string())
      .min(1)
      .max(32)
      .optional()
      .describe('SPIFFE IDs or patterns of those who may vouch for a workload once'),
    acr_values: z
      .array(z.string().min(1).max(256))
      .min(1)
      .max(8)
      .optional()
      .describe("`acr` that the end user's new token must have; any, where it is not said")
  })
  .optional()
  .describe('The second step: somebody else vouches for it')

const quarantine = z
  .strictObject({
    seconds: seconds('How long, unless somebody releases it', its.quarantineMs, 90 * DAY),
    identities_together: z
      .int()
      .min(2)
      .max(1000)
      .optional()
      .describe(
        'So many identities of one agent type, quarantined for one collection, quarantine the type there; never where it is not said'
      ),
    together_within_seconds: seconds('within this time', its.togetherWithinMs, WEEK)
  })
  .optional()
  .describe('The third step: nothing passes')

export const risk = z
  .strictObject({ drift, denials, slowed, step_up: stepUp, quarantine })
  .optional()
  .describe('From when on a workload is slowed, has to step up, or is quarantined, and for how long; the number behind each is its default')
