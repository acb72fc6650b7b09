import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { chromaCommand } from '../setup/components.ts'
import { freePort } from './database-process.ts'
import { endProcess, endsWithUs, gone } from './process.ts'

const START_MS_MAX = 30_000
const STOP_MS_MAX = 5_000
const ASK_EVERY_MS = 25
/** What a Chroma server of the pinned package answers at /api/v2/version: the version of its interface. */
const API_VERSION = '1.0.0'

export interface RunningChroma {
  /** `http://127.0.0.1:PORT`, without a path. */
  readonly url: string
  readonly port: number
  /** Everything that the server printed. */
  readonly logFile: string
  /** Ends the server and waits until it is gone; may be called twice. */
  stop(): Promise<void>
}

/**
 * Starts the real Chroma server on loopback and waits until it answers. Data and `chroma.log` go into `folder`; without a
 * port a free one is taken. The server ends with this process, however that ends.
 *
 * @throws Error with the end of the server's log when it does not come up within 30 s, or when the port is taken.
 */
export async function startChroma(options: { folder: string; port?: number }): Promise<RunningChroma> {
  const { command, args } = chromaCommand()
  const port = await freePort(options.port ?? 0)
  const data = join(options.folder, 'data')
  mkdirSync(data, { recursive: true })
  const logFile = join(options.folder, 'chroma.log')
  const log = openSync(logFile, 'a')
  const child = spawn(command, [...args, 'run', '--path', data, '--host', '127.0.0.1', '--port', String(port)], {
    stdio: ['ignore', log, log]
  })
  closeSync(log)
  const release = endsWithUs(child)
  const stop = async () => {
    release()
    await endProcess(child, STOP_MS_MAX)
  }
  const url = `http://127.0.0.1:${port}`
  try {
    await answers(child, url)
  } catch (cause) {
    await stop()
    const tail = readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-5).join('\n')
    throw new Error(`Chroma did not start on port ${port}: ${cause instanceof Error ? cause.message : cause}. End of ${logFile}:\n${tail}`)
  }
  return { url, port, logFile, stop }
}

async function answers(child: ChildProcess, url: string): Promise<void> {
  let failed: Error | undefined
  child.once('error', (error) => {
    failed = error
  })
  const until = performance.now() + START_MS_MAX
  while (performance.now() < until) {
    if (failed !== undefined) throw failed
    if (gone(child)) throw new Error(`the server ended with ${child.signalCode ?? `exit code ${child.exitCode}`}`)
    const beat = await fetch(`${url}/api/v2/heartbeat`).catch(() => undefined)
    if (beat?.ok && !gone(child)) return assertVersion(url)
    await sleep(ASK_EVERY_MS)
  }
  throw new Error(`no heartbeat within ${START_MS_MAX / 1000} s`)
}

async function assertVersion(url: string): Promise<void> {
  const said: unknown = await (await fetch(`${url}/api/v2/version`)).json()
  if (said !== API_VERSION) throw new Error(`its interface is version ${JSON.stringify(said)}, not ${API_VERSION}`)
}
