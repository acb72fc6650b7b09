/**
 * A real Alertmanager of one's own, on loopback, that tells nobody. Set-up brings none: Debian's program looks for its templates at one
 * place of the machine, so it must be installed there.
 */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../../../demo/database-process.ts'
import { endProcess, endsWithUs } from '../../../demo/process.ts'

const START_MS_MAX = 20_000
const BINARY = process.env['VECAUTHZ_ALERTMANAGER_BIN'] ?? '/usr/bin/prometheus-alertmanager'

/** undefined: there is one. */
export function whyNoAlertmanager(): string | undefined {
  if (existsSync(BINARY)) return undefined
  return `There is no ${BINARY} (Debian: prometheus-alertmanager; VECAUTHZ_ALERTMANAGER_BIN names another): its tests are skipped.`
}

export interface AlertSeen {
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly startsAt: string
  readonly endsAt: string
}

export interface Alertmanager {
  readonly url: string
  /** That fire at this moment. */
  readonly alerts: () => Promise<readonly AlertSeen[]>
  readonly stop: () => Promise<unknown>
}

export async function startAlertmanager(folder: string): Promise<Alertmanager> {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'alertmanager.yml')
  writeFileSync(file, 'route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n')
  const url = `http://127.0.0.1:${await freePort(0)}`
  const logFile = join(folder, 'alertmanager.log')
  const log = openSync(logFile, 'a', 0o600)
  const where = [`--config.file=${file}`, `--storage.path=${join(folder, 'data')}`, `--web.listen-address=${url.slice('http://'.length)}`]
  const child = spawn(BINARY, [...where, '--cluster.listen-address='], { stdio: ['ignore', log, log] })
  closeSync(log)
  const release = endsWithUs(child)
  const stop = async () => {
    release()
    return endProcess(child, 5_000)
  }
  const isReady = () =>
    fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false
    )
  for (const until = performance.now() + START_MS_MAX; !(await isReady()); await new Promise((resolve) => setTimeout(resolve, 50))) {
    if (performance.now() < until && child.exitCode === null) continue
    await stop()
    throw new Error(`Alertmanager did not start: ${readFileSync(logFile, 'utf8').slice(-600)}`)
  }
  return {
    url,
    alerts: async () => (await (await fetch(`${url}/api/v2/alerts?active=true`)).json()) as readonly AlertSeen[],
    stop
  }
}
