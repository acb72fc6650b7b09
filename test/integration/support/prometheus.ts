/** A real Prometheus of one's own: on loopback, with the rules that are shipped, looking every second. */
import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { freePort } from '../../../demo/database-process.ts'
import { endProcess, endsWithUs } from '../../../demo/process.ts'
import { prometheusBinaries } from '../../../setup/components.ts'

const START_MS_MAX = 20_000
const SHIPPED = join(import.meta.dirname, '../../../docs/observability')

export interface Prometheus {
  /** Names of the alerts that fire at this moment. */
  readonly firing: () => Promise<readonly string[]>
  /** The first value of an expression; undefined where there is none. */
  readonly value: (expr: string) => Promise<number | undefined>
  readonly stop: () => Promise<unknown>
}

export async function startPrometheus(folder: string, targets: readonly string[]): Promise<Prometheus> {
  mkdirSync(folder, { recursive: true })
  const config = parse(readFileSync(join(SHIPPED, 'prometheus.yml'), 'utf8'))
  config.global = { scrape_interval: '1s', evaluation_interval: '1s' }
  config.rule_files = [join(SHIPPED, 'vecauthz.rules.yml')]
  config.scrape_configs[0].static_configs[0].targets = targets
  const file = join(folder, 'prometheus.yml')
  writeFileSync(file, stringify(config))
  const port = await freePort(0)
  const logFile = join(folder, 'prometheus.log')
  const log = openSync(logFile, 'a', 0o600)
  const args = [`--config.file=${file}`, `--storage.tsdb.path=${join(folder, 'data')}`, `--web.listen-address=127.0.0.1:${port}`]
  const child = spawn(prometheusBinaries().prometheus, args, { stdio: ['ignore', log, log] })
  closeSync(log)
  const release = endsWithUs(child)
  const stop = async () => {
    release()
    return endProcess(child, 5_000)
  }
  // biome-ignore lint/suspicious/noExplicitAny: the answer as Prometheus gives it
  const ask = async (path: string): Promise<any> => (await fetch(`http://127.0.0.1:${port}${path}`)).json()
  const until = performance.now() + START_MS_MAX
  while (
    !(await fetch(`http://127.0.0.1:${port}/-/ready`).then(
      ({ ok }) => ok,
      () => false
    ))
  ) {
    if (performance.now() > until || child.exitCode !== null) {
      await stop()
      throw new Error(`Prometheus did not start: ${readFileSync(logFile, 'utf8').slice(-600)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return {
    firing: async () =>
      (await ask('/api/v1/alerts')).data.alerts
        .filter(({ state }: { state: string }) => state === 'firing')
        .map((one: { labels: { alertname: string } }) => one.labels.alertname),
    value: async (expr) => {
      const [first] = (await ask(`/api/v1/query?query=${encodeURIComponent(expr)}`)).data.result
      return first === undefined ? undefined : Number(first.value[1])
    },
    stop
  }
}
