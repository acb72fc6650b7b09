/** `inventory` of the settings: where what workloads used is kept, for whoever asks later. */
import { z } from 'zod'

export const inventory = z
  .strictObject({
    folder: z
      .string()
      .min(1)
      .describe(
        'Folder for it, relative to this file; processes may share it, each writes files of its own. Made if need be, for this user alone'
      ),
    every_seconds: z
      .int()
      .min(1)
      .max(300)
      .default(10)
      .describe('How often it is written while something changes: a killed server has not seen the last so many seconds'),
    instance: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/, 'must be 1 to 128 of letters, digits, ".", "_", "-"')
      .optional()
      .describe(
        'Name of this process among those that share the folder, the same after a restart; host and name of this file, if it is not said'
      )
  })
  .optional()
  .describe(
    'Keeps what workloads used, and what became of alerts, across restarts (docs/inventory.md); without it, both begin anew with each start'
  )
