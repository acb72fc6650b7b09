/** End to end under Envoy: the same search to the same Chroma, with ext_authz in the way and without. */
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { call, keptOpen } from '../demo/client.ts'
import { startEnvoy } from '../demo/envoy.ts'
import { type Config, httpOf } from '../demo/envoy-config.ts'
import { GATEWAY_ENVOY, SUPPORT } from '../demo/identities.ts'
import type { Stack } from '../demo/stack.ts'
import { collectionPath, searchBody } from '../demo/step.ts'
import { envoyBinary } from '../setup/components.ts'
import { median } from './load.ts'

const CALLS = 400
const ROUNDS = 5
const GUARDS = ['envoy.filters.http.ext_authz', 'envoy.filters.http.rbac']

export async function measureLatency(stack: Stack, say: (line: string) => void): Promise<void> {
  const open = await startOpenEnvoy(stack)
  try {
    const results = { without: [] as number[][], with: [] as number[][] }
    for (let round = 0; round < ROUNDS; round++) {
      results.without.push(await latencies(stack, open.port))
      results.with.push(await latencies(stack, stack.door.port))
    }
    say(`\nA search through Envoy to Chroma, one connection, ${ROUNDS} rounds of ${CALLS}, milliseconds (median of rounds)`)
    for (const [name, rounds] of Object.entries(results)) {
      const at = (share: number) =>
        median(rounds.map((one) => one.toSorted((a, b) => a - b)[Math.floor(one.length * share)] ?? 0)).toFixed(2)
      say(`  ${name.padEnd(7)} ext_authz   p50 ${at(0.5)}   p90 ${at(0.9)}   p99 ${at(0.99)}`)
    }
  } finally {
    await open.stop()
  }
}

/** The shipped gateway without the two filters that decide: only a bench has a use for it. */
async function startOpenEnvoy(stack: Stack) {
  const folder = join(stack.folder, 'open')
  mkdirSync(folder, { mode: 0o700 })
  symlinkSync(stack.issuer.sdsFolderOf(GATEWAY_ENVOY), join(folder, 'sds'))
  const edit = (bootstrap: { static_resources: { listeners: Parameters<typeof httpOf>[0][] } }) => {
    for (const listener of bootstrap.static_resources.listeners) {
      const http = httpOf(listener)
      http['http_filters'] = http['http_filters'].filter((one: Config) => !GUARDS.includes(one['name']))
    }
  }
  const upstreams = {
    chroma: { address: '127.0.0.1', port: stack.recorder.port },
    vecauthz: { address: '127.0.0.1', port: stack.server.port }
  }
  const configFile = join(import.meta.dirname, '../envoy/gateway.yaml')
  const envoy = await startEnvoy({ binary: envoyBinary(), configFile, folder, overrides: { upstreams, edit } })
  return { port: envoy.port('gateway_in'), stop: envoy.stop }
}

async function latencies(stack: Stack, port: number): Promise<number[]> {
  const agent = keptOpen()
  const who = stack.credentials(SUPPORT)
  const ask = {
    target: collectionPath('acme', stack.collections['acme'] ?? '', 'query'),
    body: Buffer.from(JSON.stringify(searchBody('acme'))),
    agent
  }
  const times: number[] = []
  try {
    for (let at = 0; at < CALLS + 50; at++) {
      const answer = await call({ ...stack.door, port }, who, ask)
      if (answer.status !== 200) throw new Error(`a search was refused: ${answer.status} ${answer.body}`)
      if (at >= 50) times.push(answer.ms)
    }
  } finally {
    agent.destroy()
  }
  return times
}
