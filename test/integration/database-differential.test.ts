/**
 * What vecauthz allows, the real databases do for the tenant that asked and for nobody else: generated requests, some hundred for each
 * server here and as many as wanted with `npm run differential`. A server that set-up could not bring is left out, loudly.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { whyLeftOut } from '../../setup/components.ts'
import { BENCHES } from '../differential/databases/benches.ts'
import { type Bench, rowOf, run, weaknessesOf } from '../differential/databases/campaign.ts'

const RUNS = 250
const SEED = 26
/** Within so many requests a broken decision is found out, of this seed. */
const CONTROL_RUNS = 2_000
const LIMIT_MS = 180_000

const LEFT_OUT = { chroma: undefined, milvus: whyLeftOut('milvus-lite'), weaviate: whyLeftOut('weaviate-server') } as const
const CONTROLS = {
  chroma: ['everything allowed', 'names unasked'],
  milvus: ['everything allowed', 'pins anywhere', 'first partition'],
  weaviate: ['everything allowed', 'first target']
} as const

for (const why of Object.values(LEFT_OUT))
  if (why !== undefined) process.stdout.write(`\n*** ${why}\n*** The differential did not ask it.\n`)

describe.each(['chroma', 'milvus', 'weaviate'] as const)('%s', (name) => {
  const leftOut = LEFT_OUT[name]
  const folder = mkdtempSync(join(tmpdir(), 'vecauthz-differential-'))
  let bench: Bench

  beforeAll(async () => {
    if (leftOut === undefined) bench = await BENCHES[name](folder)
  }, LIMIT_MS)

  afterAll(async () => {
    await bench?.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('gives nothing of another tenant away and changes nothing of it, whatever is allowed', { timeout: LIMIT_MS }, async ({ skip }) => {
    skip(leftOut !== undefined, leftOut)
    const report = await run(bench, { runs: bench.bases.length + RUNS, seed: SEED })
    expect(report.findings.map(rowOf)).toEqual([])
    expect(weaknessesOf(report, bench)).toEqual([])
    // An allow that the server never carries out would prove nothing.
    expect(report.total.done / report.total.allowed).toBeGreaterThan(0.6)
  })

  it('knows the controls that are listed here', ({ skip }) => {
    skip(leftOut !== undefined, leftOut)
    expect(bench.controls).toEqual(CONTROLS[name])
  })

  it.for(CONTROLS[name])('is found out with %s', { timeout: LIMIT_MS }, async (control, { skip }) => {
    skip(leftOut !== undefined, leftOut)
    const report = await run(bench, { runs: CONTROL_RUNS, seed: SEED, control })
    expect(report.findings).toHaveLength(1)
  })
})
