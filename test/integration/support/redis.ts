/** A real redis-server of one's own: on loopback, with nothing but what is given. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@redis/client'
import { freePort } from '../../../demo/database-process.ts'
import { endProcess, endsWithUs } from '../../../demo/process.ts'
import { redisBinary } from '../../../setup/components.ts'

const START_MS_MAX = 20_000

export interface Redis {
  readonly port: number
  readonly url: string
  readonly child: ChildProcess
  /** One command, over a connection of its own. */
  readonly say: (...words: readonly string[]) => Promise<unknown>
  /** SIGKILL, as when the machine goes. */
  readonly kill: () => Promise<void>
  readonly stop: () => Promise<void>
}

export interface RedisSpec {
  /** Its working directory: what it keeps is there. */
  readonly folder: string
  readonly port?: number
  readonly args?: readonly string[]
  /** How the test itself connects, where that is not plain and without credentials. */
  readonly connect?: Parameters<typeof createClient>[0]
}

export async function startRedis({ folder, port: wanted, args = [], connect }: RedisSpec): Promise<Redis> {
  mkdirSync(folder, { recursive: true })
  const port = wanted ?? (await freePort(0))
  const fixed = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '']
  const child = spawn(redisBinary(), [...fixed, ...args], { stdio: 'ignore' })
  const release = endsWithUs(child)
  const url = `redis://127.0.0.1:${port}`
  const say = async (...words: readonly string[]) => {
    const client = createClient({
      url,
      RESP: 2,
      disableOfflineQueue: true,
      ...connect,
      socket: { reconnectStrategy: false, ...connect?.socket }
    })
    client.on('error', () => {})
    await client.connect()
    try {
      return await client.sendCommand([...words])
    } finally {
      client.destroy()
    }
  }
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    release()
    if (signal === 'SIGTERM') await endProcess(child, 5_000)
    else if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }
  }
  const until = performance.now() + START_MS_MAX
  while (
    !(await say('PING').then(
      () => true,
      () => false
    ))
  ) {
    if (performance.now() > until || child.exitCode !== null) {
      await end('SIGKILL')
      throw new Error(`redis-server did not start on port ${port}`)
    }
    await sleep(30)
  }
  return { port, url, child, say, kill: () => end('SIGKILL'), stop: () => end('SIGTERM') }
}
