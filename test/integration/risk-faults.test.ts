/** Standings of two replicas over one file: how soon the other one refuses, and what a `kill -9` under traffic takes along. */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parse, stringify } from 'yaml'
import { GATEWAY_ENVOY, SUPPORT } from '../../demo/identities.ts'
import { askDirectly } from '../../demo/pair-check.ts'
import { dba, forRisk } from '../../demo/risk.ts'
import { type ServerProcess, type Stack, startServerProcess, startStack } from '../../demo/stack.ts'
import { collectionPath, namedPath, searchBody } from '../../demo/step.ts'

const TRIALS = 24
const KILLS = Number(process.env['VECAUTHZ_KILLS'] ?? '10')
/** One for each trial, and one for each kill. */
const AGENTS = TRIALS + KILLS
/** A change is written at once, but beside the answer and not before it (docs/risk-standing.md): on an idle disk it takes some milliseconds. */
const WRITTEN_MS = 50

let stack: Stack
let server: ServerProcess
let checks = 0
const chains = new Map<string, string>()

beforeAll(async () => {
  const folder = join(import.meta.dirname, '../../.run/test-risk-faults')
  stack = await startStack({
    folder,
    say: () => undefined,
    agents: Array.from({ length: AGENTS }, (_, at) => dba(at)),
    policy: (document) => {
      forRisk.policy?.(document)
      document.budget = { per_second: 1000, burst: 10_000 }
      document.risk = { denials: { slowed: 1, step_up: 9, quarantine: 9 } }
    },
    ...(forRisk.settings && { settings: forRisk.settings })
  })
  server = stack.server
})
afterAll(async () => {
  await server?.stop()
  await stack?.stop()
})

async function ask(lane: ServerProcess, id: string, target: string, body?: object) {
  const chainPem = chains.get(id) ?? stack.credentials(id).cert
  chains.set(id, chainPem)
  const its = { target, asserted: { id, chainPem }, id: `fault-${++checks}`, ...(body && { body }) }
  return (await askDirectly({ port: lane.port, ca: stack.door.ca }, stack.credentials(GATEWAY_ENVOY), its)).answer
}

const search = (lane: ServerProcess, id: string) =>
  ask(lane, id, collectionPath('acme', stack.collections['acme'] ?? '', 'query'), searchBody('acme'))

/** Three pivots into another tenant, each to something else: the last one is a quarantine. */
async function raise(lane: ServerProcess, id: string): Promise<void> {
  for (const name of ['one', 'two', 'three']) {
    expect(await ask(lane, id, namedPath('globex', `${name}-${checks}`))).toMatchObject({ reason: 'tenant-not-allowed' })
  }
}

describe('two replicas over one file', () => {
  it(`${TRIALS} times: a standing raised on one refuses on the other within 250 ms`, async () => {
    const took: number[] = []
    for (let at = 0; at < TRIALS; at++) {
      const [one, other] = at % 2 === 0 ? [server, stack.writes] : [stack.writes, server]
      expect((await search(other, dba(at))).status).toBe(200)
      await raise(one, dba(at))
      const raisedAt = performance.now()
      while ((await search(other, dba(at))).reason !== 'quarantined') {
        if (performance.now() - raisedAt > 5_000) expect.fail(`${dba(at)} still passes`)
        await sleep(2)
      }
      took.push(performance.now() - raisedAt)
    }
    took.sort((a, b) => a - b)
    console.info(`refused by the other after ${took[TRIALS >> 1]?.toFixed(0)} ms (median), at most ${took.at(-1)?.toFixed(0)} ms`)
    expect(took[Math.floor(TRIALS * 0.9)]).toBeLessThan(250)
    // The worst one also measures what else this machine does.
    expect(took.at(-1)).toBeLessThan(1_000)
  })
})

describe('a server that is killed under traffic', () => {
  it(
    `${KILLS} times: each workload that it had quarantined is refused by the next one, from the first call on`,
    async () => {
      let isOver = false
      let passed = 0
      const traffic = async () => {
        while (!isOver) {
          const answer = await search(server, SUPPORT).catch(() => undefined)
          if (answer?.status === 200) passed++
          else await sleep(20)
        }
      }
      const running = [traffic(), traffic()]
      const settings = join(stack.folder, 'vecauthz-again.yaml')
      const { listen: _, ...kept } = parse(readFileSync(join(stack.folder, 'vecauthz.yaml'), 'utf8'))
      const lost: string[] = []
      try {
        for (let at = TRIALS; at < AGENTS; at++) {
          await raise(server, dba(at))
          await sleep(WRITTEN_MS)
          process.kill(server.pid, 'SIGKILL')
          writeFileSync(settings, stringify({ ...kept, listen: `127.0.0.1:${server.port}` }))
          server = await startServerProcess(stack.folder, settings)
          const ready = async () => (await fetch(`http://127.0.0.1:${server.healthPort}/readyz`)).status
          await vi.waitFor(async () => expect(await ready()).toBe(200), { timeout: 15_000, interval: 5 })
          for (let before = TRIALS; before <= at; before++) {
            const { reason } = await search(server, dba(before))
            if (reason !== 'quarantined') lost.push(`${dba(before)} after kill ${at - TRIALS + 1}: ${reason}`)
          }
        }
      } finally {
        isOver = true
        await Promise.all(running)
      }
      expect(lost).toEqual([])
      expect(passed).toBeGreaterThan(KILLS * 10)
    },
    20_000 + KILLS * 10_000
  )
})
