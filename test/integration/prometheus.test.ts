/** Metrics as a real Prometheus sees them: it scrapes both lanes, and the shipped rules fire on a quarantine, and no longer after a release. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { admin, gatewayDesk } from '../../demo/approve.ts'
import { call } from '../../demo/client.ts'
import { OPERATOR, SUPPORT } from '../../demo/identities.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { collectionPath, namedPath, type Scene, sceneOf, searchBody } from '../../demo/step.ts'
import { prometheusBinaries, whyLeftOut } from '../../setup/components.ts'
import { type Prometheus, startPrometheus } from './support/prometheus.ts'

const SHIPPED = join(import.meta.dirname, '../../docs/observability')
const leftOut = whyLeftOut('prometheus')
if (leftOut !== undefined) console.info(`metrics with a real Prometheus: skipped, ${leftOut}`)
const WAIT = { timeout: 30_000, interval: 250 }

describe.skipIf(leftOut !== undefined)('metrics, seen by a real Prometheus', () => {
  let stack: Stack
  let scene: Scene
  let prometheus: Prometheus

  beforeAll(async () => {
    stack = await startStack({
      folder: join(import.meta.dirname, '../../.run/test-prometheus'),
      say: () => undefined,
      // biome-ignore lint/suspicious/noExplicitAny: the document as YAML gives it
      policy: (document: any) => {
        document.risk = { denials: { slowed: 1, step_up: 9, quarantine: 9 } }
      }
    })
    scene = sceneOf(stack)
    prometheus = await startPrometheus(join(stack.folder, 'prometheus'), [
      `127.0.0.1:${stack.server.healthPort}`,
      `127.0.0.1:${stack.writes.healthPort}`
    ])
  })
  afterAll(async () => {
    await prometheus?.stop()
    await stack?.stop()
  })

  const ask = (target: string, body?: object) => call(stack.door, scene.who.support, { target, ...(body && { body }) })
  const search = () => ask(collectionPath('acme', stack.collections['acme'] ?? '', 'query'), searchBody('acme'))

  it('promtool finds no fault in the rules, nor in what a server answers', async () => {
    const { promtool } = prometheusBinaries()
    expect(execFileSync(promtool, ['check', 'rules', join(SHIPPED, 'vecauthz.rules.yml')], { encoding: 'utf8' })).toContain('SUCCESS')
    const text = await (await fetch(`http://127.0.0.1:${stack.server.healthPort}/metrics`)).text()
    execFileSync(promtool, ['check', 'metrics'], { input: text })
    expect(() => execFileSync(promtool, ['check', 'metrics'], { input: `${text}vecauthz-ready 1\n`, stdio: 'pipe' })).toThrow()
  })

  it('both lanes are scraped, and what was decided is counted', async () => {
    expect((await search()).status).toBe(200)
    await vi.waitFor(async () => expect(await prometheus.value('sum(up{job="vecauthz"})')).toBe(2), WAIT)
    await vi.waitFor(
      async () => expect(await prometheus.value('sum(vecauthz_decisions_total{verdict="allow",operation="search"})')).toBeGreaterThan(0),
      WAIT
    )
    expect(await prometheus.value('sum(vecauthz_ready)')).toBe(2)
    expect(await prometheus.value('count(vecauthz_stage_duration_seconds_count{stage="settle"})')).toBe(2)
    expect(await prometheus.firing()).not.toContain('VecauthzQuarantined')
  })

  it('a quarantine fires its alert, and a release ends it', async () => {
    for (const name of ['one', 'two', 'three']) expect((await ask(namedPath('globex', name))).status).toBe(403)
    expect((await search()).reason).toBe('quarantined')
    await vi.waitFor(async () => expect(await prometheus.firing()).toContain('VecauthzQuarantined'), WAIT)
    const released = await admin(stack, OPERATOR, gatewayDesk(stack.server), 'release', SUPPORT, '--reason', 'a drill')
    expect(released).toMatchObject({ exit: 0 })
    await vi.waitFor(async () => expect(await prometheus.firing()).not.toContain('VecauthzQuarantined'), WAIT)
    await vi.waitFor(
      async () => expect(await prometheus.value('sum(vecauthz_operator_acts_total{act="standing.release",stage="done"})')).toBe(1),
      WAIT
    )
  })

  it('nothing of a caller, a tenant or a collection is in a metric', async () => {
    const text = await (await fetch(`http://127.0.0.1:${stack.server.healthPort}/metrics`)).text()
    for (const word of ['spiffe://', 'acme', 'globex', 'handbook', stack.collections['acme'] ?? '']) expect(text).not.toContain(word)
  })
})
