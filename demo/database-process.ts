import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { endProcess, endsWithUs, gone } from './process.ts'
import type { Upstream } from './recorder.ts'

const START_MS_MAX = 60_000
const STOP_MS_MAX = 10_000
const ASK_EVERY_MS = 50

export interface DatabaseProcess {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  /** Gets everything that the server prints. */
  readonly logFile: string
  /** Whether it answers; may throw where it does not. */
  readonly isUp: () => Promise<boolean>
}

/**
 * Starts a database and waits until it answers. It ends with this process. Gives what ends it, which may be called twice.
 *
 * @throws Error with the end of the server's log when it does not come up within a minute.
 */
export async function startDatabase({ name, command, args, env, logFile, isUp }: DatabaseProcess): Promise<() => Promise<void>> {
  mkdirSync(dirname(logFile), { recursive: true })
  const log = openSync(logFile, 'a')
  const child = spawn(command, args, { stdio: ['ignore', log, log], ...(env === undefined ? {} : { env }) })
  closeSync(log)
  let failed: Error | undefined
  child.once('error', (error) => {
    failed = error
  })
  const release = endsWithUs(child)
  const stop = async () => {
    release()
    await endProcess(child, STOP_MS_MAX)
  }
  const until = performance.now() + START_MS_MAX
  while (performance.now() < until && failed === undefined && !gone(child)) {
    if (await isUp().catch(() => false)) return stop
    await sleep(ASK_EVERY_MS)
  }
  await stop()
  const why = failed?.message ?? (child.exitCode === null ? 'no answer in time' : `it ended with ${child.exitCode}`)
  throw new Error(
    `${name} did not start: ${why}. End of ${logFile}:\n${readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-8).join('\n')}`
  )
}

export async function accepts(upstream: Upstream): Promise<boolean> {
  const socket = 'port' in upstream ? connect(upstream.port, upstream.host) : connect(upstream.socketPath)
  const { promise, resolve } = Promise.withResolvers<boolean>()
  socket.once('connect', () => resolve(true))
  socket.once('error', () => resolve(false))
  const up = await promise
  socket.destroy()
  return up
}

/** The port itself when nothing listens there; for 0 any free one. */
export async function freePort(wanted: number): Promise<number> {
  const probe = createServer()
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  probe.once('error', () =>
    reject(new Error(`Port ${wanted} of 127.0.0.1 is taken. Remedy: stop what listens there or choose another port`))
  )
  probe.listen(wanted, '127.0.0.1', () => {
    const address = probe.address()
    probe.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port'))))
  })
  return promise
}
