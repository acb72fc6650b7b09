/** Policies swapped under load at a real server process, in the short form; `npm run bench:reload` is the long one. */
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { type ReloadResult, reloadCampaign } from '../../bench/reload-campaign.ts'

let result: ReloadResult

beforeAll(async () => {
  const folder = join(import.meta.dirname, '../../.run/test-reload')
  result = await reloadCampaign({
    folder,
    swaps: 20,
    rate: 150,
    badEvery: 7,
    large: [200, 1_000, 1_000],
    largeTimes: 1,
    say: () => undefined
  })
})

describe('two policies in turn, under load', () => {
  it('each answer has a verdict, names the policy it was made under, and is as that one says', () => {
    expect(result.wrong).toEqual([])
    expect([result.wrongs, result.swaps]).toEqual([0, 20])
    expect(result.answers).toBeGreaterThan(1_000)
  })

  it('bad files between them stay out', () => {
    // While one lies there, an answer under anything but the policy before it would be among what is wrong.
    expect(result.bad).toBe(3)
    expect(result.archived).toBe(3)
  })

  it('a large one that is compiled holds the event loop for less than 20 ms at once', () => {
    // In CPU time: other tests take of the machine what they need.
    for (const { cpuMax } of result.whileCompiling) expect(cpuMax).toBeLessThan(20)
    expect(result.whileCompiling).toHaveLength(1)
  })
})
