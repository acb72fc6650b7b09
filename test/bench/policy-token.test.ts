import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'

const bench = (...args: readonly string[]) =>
  spawnSync(process.execPath, [`${import.meta.dirname}/../../bench/policy-token.ts`, ...args], { encoding: 'utf8' })

it('the bench of policy tokens runs, and says what it measured: how much is for the bench to judge', { timeout: 30_000 }, () => {
  const { status, stdout, stderr } = bench('1')
  expect(stderr).toBe('')
  const ratios = [...stdout.matchAll(/ ([0-9.]+) × crypto\.verify, at most ([0-9.]+)/g)].map(([, ratio, target]) => [
    Number(ratio),
    Number(target)
  ])
  expect(ratios.map(([, target]) => target)).toEqual([1.25, 1.5, 5, 6.5, 1.25, 0.3])
  expect(status).toBe(ratios.some(([ratio = Number.NaN, target = 0]) => !(ratio <= target)) ? 1 : 0)
})

it('it asks for a number of rounds', () => {
  expect(bench('many')).toMatchObject({ status: 2, stdout: expect.stringContaining('rounds') })
})
