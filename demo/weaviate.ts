import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WEAVIATE_VERSION, weaviateBinary } from '../setup/components.ts'
import { freePort, startDatabase } from './database-process.ts'
import { dyingWithParent } from './envoy.ts'
import type { Upstream } from './recorder.ts'

export interface RunningWeaviate {
  readonly rest: Upstream
  readonly grpc: Upstream
  /** False where this machine gives no network namespace: the gRPC and data ports are then on every interface. */
  readonly enclosed: boolean
  readonly stop: () => Promise<void>
}

const OPEN_TO_ALL =
  'Weaviate runs without a network namespace (unshare or ip is missing, or not allowed): its gRPC and data ports are on every interface.'

interface Ports {
  readonly rest: number
  readonly grpc: number
  readonly others: readonly number[]
}

/**
 * Starts Weaviate. Its gRPC and data ports can be bound to no address, so it gets a network namespace of its own, where there is
 * nothing but loopback, and is reached through two unix sockets in a folder that only this user may enter (weaviate-enclosed.ts).
 * Where the machine allows no namespaces it runs without: fit for a test on a machine that nobody else can reach, no more.
 */
export async function startWeaviate(folder: string): Promise<RunningWeaviate> {
  const unshare = namespaces()
  // A unix socket's path has at most 107 bytes, and a checkout may lie deep.
  const home = mkdtempSync(join(tmpdir(), 'vecauthz-wv-'))
  mkdirSync(folder, { recursive: true })
  const ports = await freePorts()
  const enclosed = unshare !== undefined
  if (!enclosed) process.stderr.write(`${OPEN_TO_ALL}\n`)
  const sockets = { rest: { socketPath: join(home, 'rest') }, grpc: { socketPath: join(home, 'grpc') } }
  const open = { rest: { host: '127.0.0.1', port: ports.rest }, grpc: { host: '127.0.0.1', port: ports.grpc } }
  const { rest, grpc }: { rest: Upstream; grpc: Upstream } = enclosed ? sockets : open
  const server = [weaviateBinary(), '--host', '127.0.0.1', '--port', String(ports.rest), '--scheme', 'http']
  const relays = [`${sockets.rest.socketPath}=${ports.rest}`, `${sockets.grpc.socketPath}=${ports.grpc}`]
  const inside = [process.execPath, join(import.meta.dirname, 'weaviate-enclosed.ts'), ...relays, '--', ...server]
  const [command, args] = dyingWithParent(enclosed ? unshare[0] : weaviateBinary())
  try {
    const stop = await startDatabase({
      name: 'Weaviate',
      command,
      args: [...args, ...(enclosed ? [...unshare.slice(1), ...inside] : server.slice(1))],
      env: environment(folder, ports),
      logFile: join(folder, 'weaviate.log'),
      isUp: async () => (await ask(rest, '/v1/.well-known/ready')).status === 200
    })
    const ended = () => stop().finally(() => rmSync(home, { recursive: true, force: true }))
    const said = JSON.parse((await ask(rest, '/v1/meta')).body) as { version?: string }
    if (said.version === WEAVIATE_VERSION) return { rest, grpc, enclosed, stop: ended }
    await ended()
    throw new Error(`Weaviate is not version ${WEAVIATE_VERSION} but ${said.version}. Remedy: correct or unset VECAUTHZ_WEAVIATE_BIN`)
  } catch (cause) {
    rmSync(home, { recursive: true, force: true })
    throw cause
  }
}

/** How to make a network namespace here, if at all: as root, or as the root of a user namespace. */
function namespaces(): [string, ...string[]] | undefined {
  const ways: [string, ...string[]][] = [
    ['unshare', '--net', '--'],
    ['unshare', '--map-root-user', '--net', '--']
  ]
  return ways.find(([command, ...args]) => spawnSync(command, [...args, 'ip', 'link', 'set', 'lo', 'up']).status === 0)
}

async function freePorts(): Promise<Ports> {
  const [rest = 0, grpc = 0, ...others] = await Promise.all(Array.from({ length: 6 }, () => freePort(0)))
  return { rest, grpc, others }
}

function environment(folder: string, { grpc, others: [gossip, data, raft, raftRpc] }: Ports): NodeJS.ProcessEnv {
  return {
    PATH: process.env['PATH'],
    PERSISTENCE_DATA_PATH: join(folder, 'data'),
    GRPC_PORT: String(grpc),
    CLUSTER_HOSTNAME: 'node1',
    CLUSTER_BIND_ADDR: '127.0.0.1',
    CLUSTER_ADVERTISE_ADDR: '127.0.0.1',
    CLUSTER_GOSSIP_BIND_PORT: String(gossip),
    CLUSTER_DATA_BIND_PORT: String(data),
    RAFT_PORT: String(raft),
    RAFT_INTERNAL_RPC_PORT: String(raftRpc),
    RAFT_BOOTSTRAP_EXPECT: '1',
    RAFT_JOIN: `node1:${raft}`,
    // As docs/weaviate.md asks for them.
    AUTOSCHEMA_ENABLED: 'false',
    DISABLE_GRAPHQL: 'true',
    DEFAULT_VECTORIZER_MODULE: 'none',
    API_BASED_MODULES_DISABLED: 'true',
    AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED: 'true',
    DISABLE_TELEMETRY: 'true',
    GO_PROFILING_DISABLE: 'true',
    LOG_LEVEL: 'warning'
  }
}

function ask(upstream: Upstream, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const asking = request({ ...upstream, path, timeout: 5_000 }, (answer) => {
      let body = ''
      answer.setEncoding('utf8')
      answer.on('data', (text: string) => {
        body += text
      })
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body }))
    })
    asking.on('error', reject)
    asking.end()
  })
}
