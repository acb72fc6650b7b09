/** A real SPIRE server or agent on loopback, configured here, with its command line. Everything lies below one private folder. */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { dyingWithParent } from '../../../demo/envoy.ts'
import { endProcess, gone } from '../../../demo/process.ts'
import type { EndpointAddress } from '../../../src/spire/endpoint-address.ts'

const START_MS_MAX = 30_000
const STOP_MS_MAX = 10_000
const COMMAND_MS_MAX = 20_000
const ASK_EVERY_MS = 20
const HOST = '127.0.0.1'
const run = promisify(execFile)

export interface ServerOptions {
  readonly binary: string
  /** Short: a unix socket's path has at most 107 bytes. */
  readonly folder: string
  readonly trustDomain: string
  readonly caKeyType?: 'ec-p256' | 'ec-p384'
  readonly jwtKeyType?: 'ec-p256' | 'rsa-2048'
  /** Serves its bundle to other trust domains (https_spiffe). */
  readonly bundleEndpoint?: boolean
  /** PEM files of the root above the server's own authority. */
  readonly upstream?: { readonly cert: string; readonly key: string }
  /** PEM file of the authority that signed the agents' certificates; without it agents come with a join token. */
  readonly nodeCa?: string
}

export interface SpireServer {
  readonly trustDomain: string
  readonly port: number
  /** 0 when it serves none. */
  readonly bundleEndpointPort: number
  readonly logFile: string
  /** A command of spire-server: its standard output. */
  readonly command: (...words: string[]) => Promise<string>
  /** The same with `-output json`, parsed. */
  // biome-ignore lint/suspicious/noExplicitAny: SPIRE's own answers, each of another shape
  readonly json: (...words: string[]) => Promise<any>
  readonly stop: () => Promise<unknown>
}

export async function startSpireServer(options: ServerOptions): Promise<SpireServer> {
  const { binary, folder } = options
  mkdirSync(join(folder, 'data'), { recursive: true, mode: 0o700 })
  const [port, bundleEndpointPort] = [await freePort(), options.bundleEndpoint === true ? await freePort() : 0]
  const config = join(folder, 'server.conf')
  writeFileSync(config, serverConfig(options, port, bundleEndpointPort))
  const socket = join(folder, 'api.sock')
  const logFile = join(folder, 'server.log')
  const child = launch(binary, ['run', '-config', config], logFile)
  await reached(child, socket, logFile)
  const command = (...words: string[]) => commandLine(binary, [...words, '-socketPath', socket])
  return {
    trustDomain: options.trustDomain,
    port,
    bundleEndpointPort,
    logFile,
    command,
    json: async (...words) => JSON.parse(await command(...words, '-output', 'json')),
    stop: () => endProcess(child, STOP_MS_MAX)
  }
}

function serverConfig(options: ServerOptions, port: number, bundleEndpointPort: number): string {
  const { folder, trustDomain, upstream, nodeCa } = options
  const endpoint = `federation { bundle_endpoint { address = "${HOST}", port = ${bundleEndpointPort}, refresh_hint = "10s", profile "https_spiffe" {} } }`
  return `
server {
  bind_address = "${HOST}"
  bind_port = "${port}"
  socket_path = "${join(folder, 'api.sock')}"
  trust_domain = "${trustDomain}"
  data_dir = "${join(folder, 'data')}"
  log_level = "INFO"
  ca_ttl = "24h"
  default_x509_svid_ttl = "1h"
  default_jwt_svid_ttl = "5m"
  ca_key_type = "${options.caKeyType ?? 'ec-p256'}"
  jwt_key_type = "${options.jwtKeyType ?? 'ec-p256'}"
  ca_subject { country = ["ZZ"], organization = ["vecauthz test"], common_name = "${trustDomain} CA" }
  ${bundleEndpointPort === 0 ? '' : endpoint}
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3", connection_string = "${join(folder, 'data/datastore.sqlite3')}" } }
  KeyManager "disk" { plugin_data { keys_path = "${join(folder, 'data/keys.json')}" } }
  ${upstream === undefined ? '' : `UpstreamAuthority "disk" { plugin_data { cert_file_path = "${upstream.cert}", key_file_path = "${upstream.key}" } }`}
  ${
    nodeCa === undefined
      ? 'NodeAttestor "join_token" { plugin_data {} }'
      : `NodeAttestor "x509pop" { plugin_data { ca_bundle_path = "${nodeCa}", agent_path_template = "/x509pop/{{ .Subject.CommonName }}" } }`
  }
}
`
}

export interface AgentOptions {
  readonly binary: string
  readonly folder: string
  readonly server: SpireServer
  /** PEM of the roots by which the agent knows its server the first time. */
  readonly bootstrap: string
  /** How the agent proves which node it is. */
  readonly as: { readonly joinToken: string } | { readonly cert: string; readonly key: string }
}

export interface SpireAgent {
  readonly binary: string
  /** The Workload API and the SDS of Envoy. */
  readonly socket: string
  readonly address: EndpointAddress
  readonly logFile: string
  /** A command of spire-agent against this socket: its standard output. */
  readonly command: (...words: string[]) => Promise<string>
  /** Ends it, and resolves when it is gone. */
  readonly stop: () => Promise<unknown>
  /** Starts it again, with what it kept on disk; resolves when its socket accepts. */
  readonly start: () => Promise<void>
}

export async function startSpireAgent(options: AgentOptions): Promise<SpireAgent> {
  const { binary, folder, as } = options
  for (const name of ['data', 'public']) mkdirSync(join(folder, name), { recursive: true, mode: 0o700 })
  writeFileSync(join(folder, 'bootstrap.pem'), options.bootstrap)
  const config = join(folder, 'agent.conf')
  writeFileSync(config, agentConfig(options))
  const socket = join(folder, 'public/api.sock')
  const logFile = join(folder, 'agent.log')
  let child: ChildProcess | undefined
  const start = async (...more: string[]) => {
    child = launch(binary, ['run', '-config', config, ...more], logFile)
    await reached(child, socket, logFile)
  }
  await start(...('joinToken' in as ? ['-joinToken', as.joinToken] : []))
  return {
    binary,
    socket,
    address: { text: `unix://${socket}`, target: `unix:${socket}` },
    logFile,
    command: (...words) => commandLine(binary, [...words, '-socketPath', socket]),
    stop: async () => child !== undefined && (await endProcess(child, STOP_MS_MAX)),
    start: () => start()
  }
}

function agentConfig({ folder, server, as }: AgentOptions): string {
  const attestor =
    'joinToken' in as
      ? 'NodeAttestor "join_token" { plugin_data {} }'
      : `NodeAttestor "x509pop" { plugin_data { private_key_path = "${as.key}", certificate_path = "${as.cert}" } }`
  return `
agent {
  data_dir = "${join(folder, 'data')}"
  log_level = "INFO"
  server_address = "${HOST}"
  server_port = "${server.port}"
  socket_path = "${join(folder, 'public/api.sock')}"
  trust_bundle_path = "${join(folder, 'bootstrap.pem')}"
  trust_domain = "${server.trustDomain}"
}
plugins {
  ${attestor}
  KeyManager "disk" { plugin_data { directory = "${join(folder, 'data')}" } }
  WorkloadAttestor "unix" { plugin_data { discover_workload_path = true } }
}
`
}

function launch(binary: string, args: readonly string[], logFile: string): ChildProcess {
  const log = openSync(logFile, 'a', 0o600)
  const [command, before] = dyingWithParent(binary)
  const child = spawn(command, [...before, ...args], { stdio: ['ignore', log, log] })
  closeSync(log)
  return child
}

/** Its socket accepts connections. */
async function reached(child: ChildProcess, socket: string, logFile: string): Promise<void> {
  const until = performance.now() + START_MS_MAX
  while (performance.now() < until && !gone(child)) {
    if (await accepts(socket)) return
    await sleep(ASK_EVERY_MS)
  }
  await endProcess(child, STOP_MS_MAX)
  const tail = existsSync(logFile) ? readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-8).join('\n') : 'no log was written'
  throw new Error(`SPIRE ended by itself, or was not up within ${START_MS_MAX / 1000} s. End of its log:\n${tail}`)
}

async function accepts(path: string): Promise<boolean> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

async function commandLine(binary: string, words: readonly string[]): Promise<string> {
  try {
    return (await run(binary, words, { timeout: COMMAND_MS_MAX, maxBuffer: 8 * 1024 * 1024 })).stdout
  } catch (cause) {
    const { stdout = '', stderr = '' } = cause as { stdout?: string; stderr?: string }
    throw new Error(`spire: ${words.slice(0, 3).join(' ')} failed: ${`${stderr}${stdout}`.trim()}`)
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, HOST)
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}
