/**
 * A Docker engine of one's own, from what set-up unpacked: in namespaces for its processes, network and mounts, so that nothing of it is
 * seen on this machine, and all of it is gone when it ends. There is no way out of its network: nothing can be pulled.
 */
import { execFile, spawn } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { dyingWithParent } from '../../../demo/envoy.ts'
import { endProcess, endsWithUs, gone } from '../../../demo/process.ts'

const COMPONENT = join(import.meta.dirname, '../../../.run/components', `docker-${process.arch}`)
const START_MS_MAX = 180_000
const STOP_MS_MAX = 30_000
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

export interface Ran {
  readonly exit: number
  readonly out: string
  readonly err: string
}

export interface Engine {
  /** All that there is of it on this machine; gone after `stop`. */
  readonly folder: string
  /** Runs a program with this engine's `docker` on PATH. @throws Error when it does not end in time */
  readonly run: (command: string, args: readonly string[], options?: RunOptions) => Promise<Ran>
  /** The same in the network of the engine's host, where ports are published. */
  readonly inside: (command: string, args: readonly string[]) => Promise<Ran>
  readonly stop: () => Promise<void>
}

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly timeoutMs?: number
}

/** An engine, or why there cannot be one on this machine. @throws Error when there should be one: set-up has not been run, or it does not start */
export async function startEngine(): Promise<Engine | string> {
  if (!existsSync(COMPONENT)) {
    const note = `${COMPONENT}.left-out`
    if (existsSync(note)) return `Docker was left out: ${readFileSync(note, 'utf8')}`
    throw new Error(`Docker is not at ${COMPONENT}. Remedy: run: node setup/setup.mjs compose`)
  }
  // Short, because it holds sockets.
  const folder = mkdtempSync(join(tmpdir(), 'vzd-'))
  const path = [
    join(folder, 'bin'),
    ...['usr/sbin', 'usr/bin', 'sbin', 'bin'].map((one) => join(COMPONENT, one)),
    process.env['PATH'] ?? '',
    '/usr/sbin',
    '/sbin'
  ].join(delimiter)
  const missing = await whatIsMissing(path)
  if (missing !== undefined) {
    rmSync(folder, { recursive: true, force: true })
    return `no Docker engine can be started here: ${missing}`
  }
  prepare(folder)
  const log = openSync(join(folder, 'log'), 'a')
  const [command, before] = dyingWithParent('unshare')
  const child = spawn(
    command,
    [...before, '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'sh', join(folder, 'start.sh')],
    {
      env: { ...process.env, PATH: path },
      stdio: ['ignore', log, log]
    }
  )
  closeSync(log)
  const release = endsWithUs(child)
  const env = { PATH: path, DOCKER_HOST: `unix://${folder}/d.sock`, DOCKER_CONFIG: join(folder, 'config'), DOCKER_BUILDKIT: '0' }
  const run: Engine['run'] = (program, args, options = {}) => runs(program, args, { ...options, env: { ...env, ...options.env } })
  const stop = async () => {
    release()
    // `unshare` itself ignores it; the first process in the namespace is dockerd.
    for (const pid of childrenOf(child.pid ?? 0)) process.kill(pid, 'SIGTERM')
    await endProcess(child, STOP_MS_MAX)
    removeCgroups(folder.split('/').at(-1) ?? '')
    rmSync(folder, { recursive: true, force: true })
  }
  const until = performance.now() + START_MS_MAX
  for (;;) {
    const { exit, out } = await run('docker', ['info', '--format', '{{.Driver}}'])
    const copies = exit === 0 && out.trim() === 'vfs'
    if (exit === 0 && !copies) break
    if (copies || gone(child) || performance.now() > until) {
      const why = copies ? 'it would copy whole file systems (vfs)' : tailOf(join(folder, 'log'))
      await stop()
      throw new Error(`The Docker engine does not start, though this machine has what it needs: ${why}`)
    }
    await sleep(200)
  }
  const inside: Engine['inside'] = (program, args) => run('nsenter', ['-t', String(child.pid), '-n', program, ...args])
  return { folder, run, inside, stop }
}

/** What the engine does first, tried where nobody else sees it: `$1` is a folder where its data would be. */
const PROBE = `
cannot() { echo "$1"; exit 0; }
cd "$1"
mount -t tmpfs tmpfs /run || cannot 'no file system can be mounted'
mkdir lower upper work merged
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged || cannot 'no overlay file system can be mounted'
ip link set lo up && ip link add vzd0 type bridge && ip link add vzd1 type veth peer name vzd2 || cannot 'no bridge can be made'
iptables -t nat -A POSTROUTING -j MASQUERADE || cannot 'there is no NAT in the firewall'
iptables -t nat -A OUTPUT -m addrtype --dst-type LOCAL -j RETURN || cannot 'the firewall cannot tell local addresses'
iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT || cannot 'the firewall knows no connections'
for place in /sys/fs/cgroup/memory /sys/fs/cgroup/pids /sys/fs/cgroup; do
  if [ -e "$place/cgroup.procs" ]; then
    mkdir "$place/$2" && rmdir "$place/$2" || cannot 'no control group can be made'
  fi
done
[ -e /sys/fs/cgroup/cgroup.controllers ] || [ -e /sys/fs/cgroup/memory/cgroup.procs ] || cannot 'there are no control groups'
`

/** Undefined when an engine should start. */
async function whatIsMissing(path: string): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'not root'
  const folder = mkdtempSync(join(tmpdir(), 'vzd-probe-'))
  try {
    prepare(folder)
    const env = { PATH: `${join(folder, 'bin')}${delimiter}${path}` }
    const own = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc']
    const name = folder.split('/').at(-1) ?? ''
    const { exit, out, err } = await runs('unshare', [...own, 'sh', '-c', PROBE, 'probe', folder, name], { env })
    if (exit !== 0) return `no namespaces can be made: ${err.trim().split('\n').at(-1)}`
    return out.trim() === '' ? undefined : `${out.trim()} (${err.trim().split('\n').at(-1)})`
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Its command's plugins, its start, and firewall commands that find their libraries. */
function prepare(folder: string): void {
  mkdirSync(join(folder, 'config'), { mode: 0o700 })
  symlinkSync(join(COMPONENT, 'cli-plugins'), join(folder, 'config/cli-plugins'))
  mkdirSync(join(folder, 'bin'))
  const libraries = ['usr/lib', 'lib'].flatMap((one) => {
    const at = join(COMPONENT, one)
    return existsSync(at)
      ? readdirSync(at)
          .filter((name) => name.endsWith('-linux-gnu'))
          .map((name) => join(at, name))
      : []
  })
  const own = join(COMPONENT, 'usr/sbin/xtables-legacy-multi')
  for (const name of ['iptables', 'ip6tables', 'iptables-save', 'ip6tables-save', 'iptables-restore', 'ip6tables-restore'].filter(() =>
    existsSync(own)
  )) {
    const xtables = libraries.map((one) => join(one, 'xtables')).find((one) => existsSync(one)) ?? ''
    const text = `#!/bin/sh\nLD_LIBRARY_PATH=${libraries.join(':')} XTABLES_LIBDIR=${xtables} exec ${own} ${name} "$@"\n`
    writeFileSync(join(folder, 'bin', name), text)
    chmodSync(join(folder, 'bin', name), 0o755)
  }
  const proxy = join(COMPONENT, 'usr/sbin/docker-proxy')
  const options = [
    '--data-root',
    `${folder}/data`,
    '--exec-root',
    `${folder}/exec`,
    '--pidfile',
    `${folder}/pid`,
    '-H',
    `unix://${folder}/d.sock`
  ]
  options.push('--userland-proxy-path', proxy, '--cgroup-parent', `/${folder.split('/').at(-1)}`)
  // Programs that the machine itself has come first for libraries of their own; dockerd's may be here only.
  writeFileSync(
    join(folder, 'start.sh'),
    `ip link set lo up && mount -t tmpfs tmpfs /run || exit 1\nLD_LIBRARY_PATH=${libraries.join(':')} exec dockerd ${options.join(' ')}\n`
  )
}

function runs(program: string, args: readonly string[], { cwd, env = {}, timeoutMs = 60_000 }: RunOptions): Promise<Ran> {
  const { promise, resolve, reject } = Promise.withResolvers<Ran>()
  const all = { ...process.env, ...env }
  execFile(program, args, { cwd, env: all, timeout: timeoutMs, maxBuffer: OUTPUT_BYTES_MAX }, (failed, out, err) => {
    const exit = failed === null ? 0 : failed.code
    if (typeof exit === 'number') resolve({ exit, out, err })
    else
      reject(
        new Error(
          `${program} ${args.slice(0, 3).join(' ')} did not end by itself: ${failed?.message}\n${out.slice(-2000)}${err.slice(-2000)}`
        )
      )
  })
  return promise
}

function childrenOf(pid: number): number[] {
  const file = `/proc/${pid}/task/${pid}/children`
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split(' ').filter(Boolean).map(Number) : []
}

/** Empty by now, and kept by nobody. */
function removeCgroups(name: string): void {
  const root = '/sys/fs/cgroup'
  for (const place of [root, ...readdirSync(root).map((one) => join(root, one))]) removeEmpty(join(place, name))
}

function removeEmpty(path: string): void {
  try {
    for (const one of readdirSync(path, { withFileTypes: true })) if (one.isDirectory()) removeEmpty(join(path, one.name))
    rmdirSync(path)
  } catch {
    // Not there, or not empty: nothing that stands in anybody's way.
  }
}

function tailOf(file: string): string {
  return readFileSync(file, 'utf8').trimEnd().split('\n').slice(-3).join(' ')
}
