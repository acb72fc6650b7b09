/** An agent: whatever the scenario tells it over its socket, it says to its own Envoy, on the loopback that only the two share. */
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { socketTo } from './relay.ts'
import { AGENTS, PORTS, USERS } from './roster.ts'

const LOOK_EVERY_MS = 1_000
const MISSED_MAX = 3

/** Gives 1 when the Envoy is gone: the network namespace goes with its container, and only a new start is in the next one. */
export async function runAgent(name: string, say: (line: string) => void): Promise<number> {
  await socketTo(join(AGENTS, `${name}.sock`), USERS.scenario, { host: '127.0.0.1', port: PORTS.egressIn })
  say('ready')
  for (let missed = 0; missed < MISSED_MAX; ) {
    await sleep(LOOK_EVERY_MS)
    missed = (await answers(PORTS.egressIn)) ? 0 : missed + 1
  }
  say('The Envoy beside this agent is gone: ending, to be started beside the next one.')
  return 1
}

function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const { promise, resolve } = Promise.withResolvers<boolean>()
  socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
  return promise.finally(() => socket.destroy())
}
