import { describe, expect, it, vi } from 'vitest'
import { createRounds } from '../../src/state/rounds.ts'

describe('rounds', () => {
  it('come one after the other, however long one takes', async () => {
    let [under, most, done] = [0, 0, 0]
    const rounds = createRounds(
      async () => {
        most = Math.max(most, ++under)
        await new Promise((resolve) => setTimeout(resolve, 5))
        under--
        done++
      },
      () => 0
    )
    rounds.start()
    await vi.waitFor(() => expect(done).toBeGreaterThan(4), { timeout: 10_000 })
    await rounds.stop()
    expect([most, under]).toEqual([1, 0])
  })

  it('that are stopped wait for the one under way, and no other begins', async () => {
    let began = 0
    const open = Promise.withResolvers<void>()
    const rounds = createRounds(
      () => {
        began++
        return open.promise
      },
      () => 0
    )
    rounds.start()
    await vi.waitFor(() => expect(began).toBe(1), { timeout: 10_000 })
    let isStopped = false
    const stopping = rounds.stop().then(() => {
      isStopped = true
    })
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(isStopped).toBe(false)
    open.resolve()
    await stopping
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(began).toBe(1)
  })

  it('with nothing to do wait until they are woken, and then go on as long as there is', async () => {
    let [left, done] = [0, 0]
    const rounds = createRounds(
      async () => {
        left--
        done++
      },
      () => (left > 0 ? 0 : undefined)
    )
    // Before the start nothing is to be woken.
    left = 2
    rounds.wake()
    left = 0
    rounds.start()
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(done).toBe(0)
    for (const all of [3, 6]) {
      left = 3
      rounds.wake()
      rounds.wake()
      await vi.waitFor(() => expect(done).toBe(all), { timeout: 10_000 })
      await new Promise((resolve) => setTimeout(resolve, 5))
      expect(done).toBe(all)
    }
    await rounds.stop()
    left = 1
    rounds.wake()
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(done).toBe(6)
  })

  it('that are stopped before they begin never do', async () => {
    const round = vi.fn(async () => undefined)
    const rounds = createRounds(round, () => 0)
    rounds.start()
    await rounds.stop()
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect(round).not.toHaveBeenCalled()
  })
})
