/**
 * A real istiod beside a real API server, and what a sidecar needs of its pod's agent: a bootstrap and secrets. No kubelet: pods are
 * objects whose status is written here.
 */
import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SecretDiscoveryServiceService } from '@envoyproxy/protos/sds'
import { Server, ServerCredentials } from '@grpc/grpc-js'
import { parseAllDocuments, stringify } from 'yaml'
import { dyingWithParent } from '../../../demo/envoy.ts'
import type { Bootstrap } from '../../../demo/envoy-config.ts'
import { endProcess, endsWithUs, gone } from '../../../demo/process.ts'
import { kubernetesSchemas } from '../../../setup/components.ts'
import { sdsService } from '../../../src/spire/dev-sds-service.ts'
import type { Authority, Svid } from '../../support/ca.ts'
import { freePorts, type Kubernetes, type Manifest, pathOf, startKubernetes, whyNoKubernetes } from './kubernetes.ts'

const READY_MS_MAX = 60_000
const STOP_MS_MAX = 10_000
const APPLY = 'application/apply-patch+yaml'

/** Why there is none; undefined when there is. */
export function whyNoIstiod(): string | undefined {
  const program = process.env['VECAUTHZ_PILOT_DISCOVERY_BIN'] ?? ''
  if (!existsSync(program)) return 'no package registry has istiod as a program, and VECAUTHZ_PILOT_DISCOVERY_BIN names none'
  return whyNoKubernetes() ?? (kubernetesSchemas() === undefined ? 'there are no definitions of Istio without Go' : undefined)
}

export interface Mesh {
  readonly kubernetes: Kubernetes
  /** Server-side apply, tried again while a definition is not yet served. @throws Error when it is refused */
  readonly apply: (manifest: Manifest) => Promise<void>
  /** Its plain gRPC port. */
  readonly xdsPort: number
  readonly logFile: string
  readonly stop: () => Promise<void>
}

type Environment = Readonly<Record<string, string>>

/** @param mesh the mesh configuration, as in ConfigMap istio-system/istio. @param env of istiod, as Helm is given it */
export async function startMesh(folder: string, mesh: object, env: Environment = {}): Promise<Mesh> {
  const kubernetes = await startKubernetes(folder, [])
  const stops = [kubernetes.stop]
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one()
  }
  try {
    const apply = (manifest: Manifest) => applyTo(kubernetes, manifest)
    for (const one of definitions()) await apply(one)
    const system = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'istio-system' } }
    await apply(system)
    const data = { mesh: stringify(mesh), meshNetworks: 'networks: {}' }
    await apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'istio', namespace: 'istio-system' }, data })
    const { port, logFile, end } = await startIstiod(folder, kubernetes.kubeconfig, env)
    stops.push(end)
    return { kubernetes, apply, xdsPort: port, logFile, stop }
  } catch (cause) {
    await stop()
    throw cause
  }
}

async function applyTo(kubernetes: Kubernetes, manifest: Manifest): Promise<void> {
  for (const until = Date.now() + READY_MS_MAX; ; await sleep(100)) {
    const said = await kubernetes.ask('admin', 'PATCH', pathOf(manifest), manifest, APPLY)
    if (said.status < 300) return
    if (said.status !== 404 || Date.now() > until) throw new Error(`${manifest.kind} ${manifest.metadata.name}: ${said.message}`)
  }
}

function definitions(): Manifest[] {
  const from = join(kubernetesSchemas() ?? '', 'istio.io/api/kubernetes')
  return readdirSync(from)
    .filter((name) => name.endsWith('.yaml'))
    .flatMap((name) => parseAllDocuments(readFileSync(join(from, name), 'utf8')).map((one) => one.toJSON() as Manifest | null))
    .filter((one) => one?.kind === 'CustomResourceDefinition') as Manifest[]
}

async function startIstiod(folder: string, kubeconfig: string, more: Environment) {
  const [port = 0, http = 0, monitoring = 0, introspection = 0] = await freePorts(4)
  const logFile = join(folder, 'istiod.log')
  const log = openSync(logFile, 'a')
  const [command, before] = dyingWithParent(process.env['VECAUTHZ_PILOT_DISCOVERY_BIN'] ?? '')
  const at = (where: number) => `127.0.0.1:${where}`
  const args = [
    ...['discovery', '--kubeconfig', kubeconfig, '--namespace', 'istio-system', '--meshConfig', join(folder, 'none')],
    ...['--grpcAddr', at(port), '--httpAddr', at(http), '--monitoringAddr', at(monitoring), '--secureGRPCAddr', '', '--httpsAddr', ''],
    ...['--ctrlz_address', '127.0.0.1', '--ctrlz_port', String(introspection)]
  ]
  const env = {
    ...more,
    POD_NAME: 'istiod',
    POD_NAMESPACE: 'istio-system',
    ENABLE_LEADER_ELECTION: 'false',
    PILOT_CERT_PROVIDER: 'none',
    // Filters that only istio-proxy has; an Envoy without them refuses every listener.
    PILOT_ENABLE_METADATA_EXCHANGE: 'false',
    PILOT_ENABLE_ALPN_FILTER: 'false'
  }
  const child = spawn(command, [...before, ...args], { cwd: folder, stdio: ['ignore', log, log], env: { ...process.env, ...env } })
  closeSync(log)
  const release = endsWithUs(child)
  const end = async () => {
    release()
    await endProcess(child, STOP_MS_MAX)
  }
  for (const until = Date.now() + READY_MS_MAX; ; await sleep(100)) {
    const ready = await fetch(`http://${at(http)}/ready`).catch(() => undefined)
    if (ready?.status === 200) return { port, logFile, end }
    if (Date.now() < until && !gone(child)) continue
    await end()
    throw new Error(`istiod was not ready in time:\n${readFileSync(logFile, 'utf8').slice(-2_000)}`)
  }
}

export interface Pod {
  readonly name: string
  readonly namespace: string
  readonly address: string
  readonly labels: Readonly<Record<string, string>>
  readonly account: string
}

/** A pod that runs, as far as the API server knows. */
export async function registerPod(mesh: Mesh, { name, namespace, address, labels, account }: Pod): Promise<void> {
  const about = { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels } }
  await mesh.apply({ ...about, spec: { serviceAccountName: account, containers: [{ name: 'app', image: 'app:1' }] } })
  const status = {
    phase: 'Running',
    podIP: address,
    podIPs: [{ ip: address }],
    conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' }]
  }
  const path = `/api/v1/namespaces/${namespace}/pods/${name}/status`
  const said = await mesh.kubernetes.ask('admin', 'PATCH', path, { status }, 'application/merge-patch+json')
  if (said.status !== 200) throw new Error(`pod ${name}: ${said.message}`)
}

/** What a sidecar is started with: its agent's bootstrap, as far as the configuration of its listeners hangs on it. */
export function sidecarBootstrap(pod: Pod, xdsPort: number, secrets: string): Bootstrap {
  const http2 = {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      explicit_http_config: { http2_protocol_options: {} }
    }
  }
  const cluster = (name: string, address: object) => ({
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    typed_extension_protocol_options: http2,
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] }
  })
  const ads = { ads: {}, resource_api_version: 'V3', initial_fetch_timeout: '0s' }
  const metadata = {
    NAMESPACE: pod.namespace,
    NAME: pod.name,
    LABELS: pod.labels,
    SERVICE_ACCOUNT: pod.account,
    WORKLOAD_NAME: pod.account,
    INSTANCE_IPS: pod.address,
    CLUSTER_ID: 'Kubernetes',
    INTERCEPTION_MODE: 'REDIRECT',
    ISTIO_VERSION: '1.31.0',
    MESH_ID: 'cluster.local'
  }
  return {
    node: {
      id: `sidecar~${pod.address}~${pod.name}.${pod.namespace}~${pod.namespace}.svc.cluster.local`,
      cluster: `${pod.account}.${pod.namespace}`,
      metadata
    },
    admin: { address: { socket_address: { address: '127.0.0.1', port_value: 0 } } },
    // As its agent sets it: ours are longer than Envoy's own limit.
    layered_runtime: { layers: [{ name: 'global config', static_layer: { 're2.max_program_size.error_level': '32768' } }] },
    dynamic_resources: {
      lds_config: ads,
      cds_config: ads,
      ads_config: {
        api_type: 'GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [{ envoy_grpc: { cluster_name: 'xds-grpc' } }]
      }
    },
    static_resources: {
      listeners: [],
      clusters: [
        cluster('xds-grpc', { socket_address: { address: '127.0.0.1', port_value: xdsPort } }),
        cluster('sds-grpc', { pipe: { path: secrets } })
      ]
    }
  }
}

/** The secrets of a workload on a socket, under the names by which a SPIRE agent has them. */
export async function serveSecrets(path: string, svid: Svid, authority: Authority): Promise<() => void> {
  const trust = new Map([[authority.trustDomain, { roots: [authority.der] }]])
  const view = { svid: { id: svid.id, chain: svid.chain, key: svid.key }, hint: '', trustDomain: authority.trustDomain, trust }
  const source = { view: () => view, onChange: () => () => undefined, closing: new AbortController().signal, now: Date.now }
  const server = new Server()
  server.addService(SecretDiscoveryServiceService, sdsService(source as never))
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (cause) => (cause === null ? resolve() : reject(cause)))
  await promise
  return () => server.forceShutdown()
}
