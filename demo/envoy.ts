import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { basename, extname, join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { applyOverrides, type EnvoyOverrides, readBootstrap, renderBootstrap } from './envoy-config.ts'
import { endProcess, endsWithUs, gone } from './process.ts'

const START_MS_MAX = 20_000
const STOP_MS_MAX = 5_000
const ASK_EVERY_MS = 20
const LOG_TAIL_LINES = 12

export interface EnvoyOptions {
  /** Path of the Envoy binary: `envoyBinary()` of setup/components.ts. */
  readonly binary: string
  /** One of envoy/*.yaml. */
  readonly configFile: string
  /** Working folder: holds `sds/` (see envoy-secrets.ts), gets the rendered configuration and the logs. One for each Envoy. */
  readonly folder: string
  readonly overrides?: EnvoyOverrides
  /** Worker threads; 1 unless told. */
  readonly concurrency?: number
}

export interface RunningEnvoy {
  readonly pid: number
  /** Ports in use, by listener name, and `admin`. */
  readonly ports: Readonly<Record<string, number>>
  /** The port of one listener. @throws Error when there is no such listener. */
  port(listener: string): number
  /** `http://127.0.0.1:PORT`, without a path. */
  readonly adminUrl: string
  /** What Envoy says about itself. */
  readonly logFile: string
  /** What Envoy says about requests, one JSON object a line; written with up to a second's delay. */
  readonly accessLogFile: string
  readonly renderedFile: string
  /** A counter or gauge by its full name; 0 when Envoy has not counted it yet. */
  stats(name: string): Promise<number>
  /** Ends this Envoy and waits until it is gone; may be called twice. */
  stop(): Promise<void>
}

/**
 * Renders a shipped configuration for this run, starts the real Envoy with it and waits until it is ready, with every
 * listener accepting. Envoy ends with this process, however that ends.
 *
 * @throws Error with the end of Envoy's log when it does not come up within 20 s.
 */
export async function startEnvoy(options: EnvoyOptions): Promise<RunningEnvoy> {
  const folder = resolve(options.folder)
  mkdirSync(folder, { recursive: true })
  const name = basename(options.configFile, extname(options.configFile))
  const files = {
    rendered: join(folder, `${name}.rendered.yaml`),
    log: join(folder, `${name}.log`),
    accessLog: join(folder, `${name}.access.log`),
    admin: join(folder, `${name}.admin`)
  }
  const bootstrap = readBootstrap(options.configFile)
  applyOverrides(bootstrap, options.overrides ?? {})
  writeFileSync(files.rendered, renderBootstrap(bootstrap))
  rmSync(files.admin, { force: true })
  const listeners = bootstrap.static_resources.listeners.map((one) => one.name)

  const child = launch(options.binary, options.concurrency ?? 1, folder, files)
  const release = endsWithUs(child)
  const stop = async () => {
    release()
    await endProcess(child, STOP_MS_MAX)
  }
  try {
    const ports = await ready(child, files.admin, listeners)
    const adminUrl = `http://127.0.0.1:${ports['admin']}`
    const port = (listener: string) => known(ports, listener)
    const stats = (stat: string) => readStat(adminUrl, stat)
    const { log: logFile, accessLog: accessLogFile, rendered: renderedFile } = files
    return { pid: child.pid ?? 0, ports, port, adminUrl, logFile, accessLogFile, renderedFile, stats, stop }
  } catch (cause) {
    await stop()
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`Envoy did not start with ${options.configFile}: ${why}. End of ${files.log}:\n${tailOf(files.log)}`)
  }
}

function launch(
  binary: string,
  concurrency: number,
  cwd: string,
  files: { rendered: string; log: string; accessLog: string; admin: string }
) {
  const args = ['-c', files.rendered, '--use-dynamic-base-id', '--concurrency', String(concurrency), '--admin-address-path', files.admin]
  args.push('--log-format', '%Y-%m-%dT%T.%eZ %l %n %v', '--file-flush-interval-msec', '200')
  const [access, log] = [openSync(files.accessLog, 'a', 0o600), openSync(files.log, 'a', 0o600)]
  const [command, before] = dyingWithParent(binary)
  const child = spawn(command, [...before, ...args], { cwd, stdio: ['ignore', access, log] })
  closeSync(access)
  closeSync(log)
  return child
}

/** setpriv becomes the binary (same process id) and has the kernel end it when this process is killed without a last word. */
export function dyingWithParent(binary: string): [string, string[]] {
  const setpriv = '/usr/bin/setpriv'
  return existsSync(setpriv) ? [setpriv, ['--pdeathsig', 'KILL', '--', binary]] : [binary, []]
}

async function ready(child: ChildProcess, adminFile: string, listeners: readonly string[]): Promise<Record<string, number>> {
  let failed: Error | undefined
  child.once('error', (error) => {
    failed = error
  })
  const until = performance.now() + START_MS_MAX
  while (performance.now() < until) {
    if (failed !== undefined) throw failed
    if (gone(child)) throw new Error(`it ended with ${child.signalCode ?? `exit code ${child.exitCode}`}`)
    const ports = await portsInUse(adminFile).catch(() => undefined)
    if (ports !== undefined && listeners.every((name) => ports[name] !== undefined)) {
      // One that listens in the file system has none.
      for (const port of listeners.map((name) => known(ports, name))) if (port > 0) await accepts(port)
      return ports
    }
    await sleep(ASK_EVERY_MS)
  }
  throw new Error(`it was not ready within ${START_MS_MAX / 1000} s`)
}

interface ListenerStatus {
  readonly name: string
  readonly local_address: { readonly socket_address?: { readonly port_value: number } }
}

/** Undefined until Envoy is live: its secrets are loaded and its clusters have been health-checked once. */
async function portsInUse(adminFile: string): Promise<Record<string, number> | undefined> {
  if (!existsSync(adminFile)) return undefined
  const admin = Number(readFileSync(adminFile, 'utf8').trim().split(':').at(-1))
  if (!(admin > 0)) return undefined
  const live = await fetch(`http://127.0.0.1:${admin}/ready`)
  if (!live.ok) return undefined
  const said = (await (await fetch(`http://127.0.0.1:${admin}/listeners?format=json`)).json()) as { listener_statuses?: ListenerStatus[] }
  const ports = (said.listener_statuses ?? []).map((one) => [one.name, one.local_address.socket_address?.port_value ?? 0] as const)
  return { ...Object.fromEntries(ports), admin }
}

async function accepts(port: number): Promise<void> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.destroy()
}

async function readStat(adminUrl: string, name: string): Promise<number> {
  const filter = encodeURIComponent(`^${name.replaceAll('.', '\\.')}$`)
  const answer = await fetch(`${adminUrl}/stats?format=json&filter=${filter}`)
  const { stats } = (await answer.json()) as { stats: { name?: string; value?: number }[] }
  return stats.find((one) => one.name === name)?.value ?? 0
}

function known(ports: Readonly<Record<string, number>>, name: string): number {
  const port = ports[name]
  if (port === undefined) throw new Error(`Envoy has no listener ${name}, but: ${Object.keys(ports).join(', ')}`)
  return port
}

function tailOf(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n') : 'no log was written'
}
