/** `risk` of the settings: where what is learnt is kept, and who says yes to it. What risk leads to, the policy says. */
import { z } from 'zod'

export const learning = z.strictObject({
  folder: z
    .string()
    .min(1)
    .optional()
    .describe(
      'Folder for baselines and what is learnt, relative to this file; processes of one host may share it. Without it, all of that ends with the process'
    ),
  freeze_after_bursts: z
    .int()
    .min(12)
    .max(1_000)
    .default(40)
    .describe('What was learnt in so many bursts is frozen, and waits for approval; below 40, rhythm does not count'),
  approve: z
    .enum(['by_hand', 'automatic'])
    .default('by_hand')
    .describe('`automatic`: nobody is asked, so whoever misuses an agent from the first day on is taken for normal'),
  standings_max_age_seconds: z
    .int()
    .min(1)
    .max(3_600)
    .default(30)
    .describe('When the store has not been heard for so long, calls that show much are refused')
})
