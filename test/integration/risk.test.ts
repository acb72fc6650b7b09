/** Risk on the wire: the demo's steps, with real embeddings. */
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { forRisk, type RiskScene, riskSceneOf } from '../../demo/risk.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { runStep } from '../../demo/step.ts'
import { RISK_STEPS } from '../../demo/steps-risk.ts'

let stack: Stack
let scene: RiskScene

beforeAll(async () => {
  stack = await startStack({ folder: join(import.meta.dirname, '../../.run/test-risk'), say: () => undefined, ...forRisk })
  scene = await riskSceneOf(stack)
})
afterAll(async () => {
  scene?.close()
  await stack?.stop()
})

describe("the demo's steps of risk", () => {
  it.each(RISK_STEPS.map((step) => ({ name: step.name, step })))('$name', async ({ step }) => {
    expect((await runStep(step, scene)).wrong).toBeUndefined()
  })
})
