/** The configuration of each service, from the files that the repository ships: only addresses, sockets and lifetimes are another's. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { addDatabases } from '../demo/databases.ts'
import { type Address, applyOverrides, type Bootstrap, httpFilterOf, named, readBootstrap, renderBootstrap } from '../demo/envoy-config.ts'
import { IDP_ISSUER } from '../demo/idp.ts'
import { carelessHost } from '../demo/pair.ts'
import { WRITE_BODY_BYTES_MAX } from '../src/core/limits.ts'
import { jwksOf, type Keys } from './authority.ts'
import { type MemberName, PORTS, STATE, SVID_SECONDS, socketOf, USERS } from './roster.ts'

const ROOT = join(import.meta.dirname, '..')
const DEADLINE_MS = 2_000

/** Text by path below a folder that one group may read. */
export interface Folder {
  readonly name: string
  readonly group: number
  readonly files: Readonly<Record<string, string>>
}

export interface Wanted {
  readonly keys: Keys
  readonly qdrant: boolean
}

/** What the services that are not ours, and the scenario, are given. */
export function foreignFolders({ keys }: Wanted): Folder[] {
  const { root, node, nodeCa, redis, redisPassword } = keys
  return [
    {
      name: 'redis',
      group: USERS.redis,
      files: { 'redis.conf': redisConf(redisPassword), 'cert.pem': redis.cert, 'key.pem': redis.key, ...redisClient(keys) }
    },
    { name: 'spire-server', group: USERS.spireServer, files: { 'root.crt': root.cert, 'root.key': root.key, 'node-ca.crt': nodeCa.cert } },
    { name: 'spire-agent', group: USERS.spireAgent, files: { 'root.crt': root.cert, 'node.crt': node.cert, 'node.key': node.key } },
    { name: 'scenario', group: USERS.scenario, files: { 'root.crt': root.cert, 'root.key': root.key, 'idp.key': keys.idpKey } },
    { name: 'issuer', group: USERS.tools, files: { 'root.crt': root.cert, 'root.key': root.key } }
  ]
}

export function serverFiles(role: 'gateway' | 'egress' | 'index', wanted: Wanted): Folder['files'] {
  const settings = parse(demoConfig(role === 'gateway' ? 'vecauthz.yaml' : `${role}.yaml`))
  const policy = parse(demoConfig('policy.yaml'))
  Object.assign(settings, {
    listen: `0.0.0.0:${PORTS.authz}`,
    // For the health check of the container, which is inside.
    health: `127.0.0.1:${PORTS.health}`,
    workload_api: `unix://${socketOf(`${role}-server`)}`,
    policy: 'policy.yaml',
    subject_issuers: [{ issuer: IDP_ISSUER, jwks_file: 'idp.json' }],
    // To standard output, which is the container's log.
    audit: { file: 'stdout' },
    svid_ttl_seconds: SVID_SECONDS,
    deadline_ms: DEADLINE_MS,
    // No write lane of its own here: this server is asked about batches, too.
    body_bytes_max: WRITE_BODY_BYTES_MAX
  })
  if (wanted.qdrant) addDatabases(['qdrant'], settings, policy)
  const files = { 'idp.json': jwksOf(wanted.keys.idpKey), 'policy.yaml': stringify(policy) }
  if (role === 'egress') return { ...files, 'vecauthz.yaml': stringify(settings) }
  settings.databases[0].url = 'http://chroma:8000'
  settings.admin.listen = `0.0.0.0:${PORTS.admin}`
  // What is for people on the host itself has none in a container.
  delete settings.admin.local
  if (role === 'gateway') {
    settings.state = { kind: 'sqlite', file: join(STATE, 'state.sqlite') }
    settings.inventory = { folder: join(STATE, 'inventory') }
    return { ...files, 'vecauthz.yaml': stringify(settings) }
  }
  settings.state = { kind: 'redis', url: 'rediss://redis:6379', ca_file: 'redis-ca.pem', password_file: 'redis-password' }
  return { ...files, ...redisClient(wanted.keys), 'vecauthz.yaml': stringify(settings) }
}

export interface EnvoyPlace {
  /** Where the server is that this Envoy asks. */
  readonly asked: string
  /** With the mistake that two steps of the scenario are about. `vecauthz doctor` fails this Envoy for it. */
  readonly careless?: boolean
  /** Whether there is a Qdrant. An Envoy that begins waits many seconds for a name that nobody has. */
  readonly qdrant: boolean
}

export function envoyFiles(
  kind: 'gateway' | 'index' | 'egress',
  name: MemberName,
  { asked, careless = false, qdrant }: EnvoyPlace
): Folder['files'] {
  const bootstrap = readBootstrap(join(ROOT, `envoy/spire/${kind}.yaml`))
  const authz = { address: asked, port: PORTS.authz }
  const chroma = { address: 'witness', port: 8000 }
  const index = { address: 'index-envoy', port: PORTS.indexIn }
  const upstreams: Record<string, Address> =
    kind === 'egress'
      ? { vecauthz: authz, vecauthz_writes: authz, index, index_grpc: index }
      : {
          vecauthz: authz,
          vecauthz_writes: authz,
          chroma,
          ...(qdrant ? { qdrant: { address: 'qdrant', port: 6333 }, qdrant_grpc: { address: 'qdrant', port: 6334 } } : {})
        }
  const ports = {
    admin: PORTS.envoyAdmin,
    ...{ gateway: { gateway_in: PORTS.gatewayIn }, index: { index_in: PORTS.indexIn }, egress: { egress_in: PORTS.egressIn } }[kind]
  }
  const edit = (one: Bootstrap) => {
    pipeOf(one).path = socketOf(name)
    // An agent's own Envoy stays on loopback, which only that agent shares. The others are the door.
    const [listener] = one.static_resources.listeners
    if (kind !== 'egress' && listener?.address.socket_address !== undefined) listener.address.socket_address.address = '0.0.0.0'
    if (careless) carelessHost(one)
    patient(one)
  }
  applyOverrides(bootstrap, { ports, upstreams, maxConnectionSeconds: Math.floor(SVID_SECONDS * 0.4), edit })
  return { 'envoy.yaml': renderBootstrap(bootstrap) }
}

/** Twenty containers share a laptop here: what is late is not yet a fault. The server's own deadline stays below Envoy's. */
function patient({ static_resources: { listeners, clusters } }: Bootstrap): void {
  const limit = `${DEADLINE_MS / 1000 + 0.5}s`
  for (const listener of listeners) {
    const service = httpFilterOf(listener, 'envoy.filters.http.ext_authz')['grpc_service']
    service.timeout = limit
    service.retry_policy.retry_back_off.max_interval = limit
  }
  for (const name of ['vecauthz', 'vecauthz_writes']) named(clusters, name)['health_checks'][0].timeout = '2s'
}

/** The policy and settings of the demo, unchanged. */
function demoConfig(name: string): string {
  return readFileSync(join(ROOT, 'demo/config', name), 'utf8')
}

function pipeOf(bootstrap: Bootstrap): { path: string } {
  return named(bootstrap.static_resources.clusters, 'spire_agent')['load_assignment'].endpoints[0].lb_endpoints[0].endpoint.address.pipe
}

function redisClient({ redisCa, redisPassword }: Keys): Folder['files'] {
  return { 'redis-ca.pem': redisCa.cert, 'redis-password': redisPassword }
}

/** TLS only, a password, and every change written before it is answered: what is used once stays used when Redis is
 * killed. When the power goes, a second of it may be lost (docs/state.md has what a deployment should set). */
function redisConf(password: string): string {
  const at = '/run/vecauthz/config/redis'
  return `port 0
tls-port 6379
bind 0.0.0.0
tls-cert-file ${at}/cert.pem
tls-key-file ${at}/key.pem
tls-ca-cert-file ${at}/redis-ca.pem
tls-auth-clients no
requirepass ${password}
maxmemory-policy noeviction
dir /data
save ""
appendonly yes
appendfsync everysec
`
}
