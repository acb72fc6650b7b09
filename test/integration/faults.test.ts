/** The faults of `npm run faults`, each in seconds: what must be so then, finding by finding. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FAULTS, folderOf } from '../../bench/faults/campaign.ts'

const folder = join(import.meta.dirname, '../../.run/test-faults')

describe('a gateway bears', () => {
  it.each(FAULTS.map((fault) => ({ name: fault.name, fault })))('$name', { timeout: 180_000 }, async ({ fault }) => {
    const found = await fault.run({ folder: join(folder, folderOf(fault)), short: true, say: () => undefined })
    // It says why it was not tried here.
    if (typeof found === 'string') return console.info(`${fault.name}: ${found}`)
    expect(found.length).toBeGreaterThan(3)
    expect(found.filter(({ ok }) => !ok)).toEqual([])
  })
})
