/** A real API server with its etcd, and nothing behind it: no nodes, no controllers. Enough for whatever is decided on the way in. */
import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, existsSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { dyingWithParent } from '../../../demo/envoy.ts'
import { endProcess, endsWithUs } from '../../../demo/process.ts'

const READY_MS_MAX = 60_000
const STOP_MS_MAX = 10_000

/** Why there is none; undefined when there is. */
export function whyNoKubernetes(): string | undefined {
  const lacking = ['VECAUTHZ_KUBE_APISERVER_BIN', 'VECAUTHZ_ETCD_BIN'].find((name) => !existsSync(process.env[name] ?? ''))
  return lacking === undefined ? undefined : `no package registry has a kube-apiserver as a program, and ${lacking} names none`
}

export interface Said {
  readonly status: number
  /** Of a refusal: why. */
  readonly message: string
  // biome-ignore lint/suspicious/noExplicitAny: any kind of object
  readonly body: any
}

export interface Kubernetes {
  /** @param user `admin`, or one of those that were given */
  readonly ask: (user: string, method: string, path: string, body?: object, contentType?: string) => Promise<Said>
  /** A file for other clients, as admin. */
  readonly kubeconfig: string
  readonly stop: () => Promise<void>
}

export async function startKubernetes(folder: string, users: readonly string[]): Promise<Kubernetes> {
  const stops: (() => Promise<unknown>)[] = []
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one()
  }
  const run = (variable: string, name: string, args: readonly string[]) => {
    const log = openSync(join(folder, `${name}.log`), 'a')
    const [command, before] = dyingWithParent(process.env[variable] ?? '')
    const child = spawn(command, [...before, ...args], { cwd: folder, stdio: ['ignore', log, log] })
    closeSync(log)
    const release = endsWithUs(child)
    stops.push(async () => {
      release()
      await endProcess(child, STOP_MS_MAX)
    })
  }
  const [etcd = 0, peer = 0, port = 0] = await freePorts(3)
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  writeFileSync(join(folder, 'sa.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const tokens = [`admin-token,admin,admin,"system:masters"`, ...users.map((user) => `${user}-token,${user},${user}`)]
  writeFileSync(join(folder, 'tokens.csv'), `${tokens.join('\n')}\n`, { mode: 0o600 })
  const [client, between] = [`http://127.0.0.1:${etcd}`, `http://127.0.0.1:${peer}`]
  const own = ['--data-dir', 'etcd', '--listen-client-urls', client, '--advertise-client-urls', client, '--listen-peer-urls', between]
  run('VECAUTHZ_ETCD_BIN', 'etcd', [...own, '--unsafe-no-fsync'])
  run('VECAUTHZ_KUBE_APISERVER_BIN', 'kube-apiserver', [
    ...['--etcd-servers', client, '--cert-dir', 'certs', '--bind-address', '127.0.0.1', '--secure-port', String(port)],
    ...[
      '--service-account-issuer',
      'https://t.test',
      '--service-account-key-file',
      'sa.key',
      '--service-account-signing-key-file',
      'sa.key'
    ],
    ...['--token-auth-file', 'tokens.csv', '--authorization-mode', 'RBAC', '--service-cluster-ip-range', '10.0.0.0/24'],
    // It waits for the default service account, which a controller makes that is not here.
    ...['--disable-admission-plugins', 'ServiceAccount', '--allow-privileged']
  ])
  const ask: Kubernetes['ask'] = (user, method, path, body, contentType = 'application/json') =>
    askServer(port, `${user}-token`, method, path, body, contentType)
  for (const until = Date.now() + READY_MS_MAX; ; await sleep(200)) {
    const ready = await ask('admin', 'GET', '/readyz').catch(() => undefined)
    if (ready?.status === 200) return { ask, kubeconfig: writeKubeconfig(folder, port), stop }
    if (Date.now() < until) continue
    await stop()
    throw new Error(`kube-apiserver was not ready in time:\n${readFileSync(join(folder, 'kube-apiserver.log'), 'utf8').slice(-2_000)}`)
  }
}

function writeKubeconfig(folder: string, port: number): string {
  const file = join(folder, 'kubeconfig')
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server: `https://127.0.0.1:${port}`, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'admin', user: { token: 'admin-token' } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
    'current-context': 'test'
  }
  writeFileSync(file, JSON.stringify(config), { mode: 0o600 })
  return file
}

async function askServer(
  port: number,
  token: string,
  method: string,
  path: string,
  body: object | undefined,
  contentType: string
): Promise<Said> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': contentType }
  const sent = request({ host: '127.0.0.1', port, method, path, headers, rejectUnauthorized: false, agent: false })
  sent.end(body === undefined ? undefined : JSON.stringify(body))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  const parsed = text.startsWith('{') ? JSON.parse(text) : {}
  return { status: response.statusCode ?? 0, message: parsed.message ?? '', body: parsed }
}

export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    })
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

const PLURALS: Readonly<Record<string, string>> = {
  NetworkPolicy: 'networkpolicies',
  ValidatingAdmissionPolicy: 'validatingadmissionpolicies',
  Gateway: 'gateways',
  AuthorizationPolicy: 'authorizationpolicies',
  WorkloadEntry: 'workloadentries',
  SecurityPolicy: 'securitypolicies',
  ClientTrafficPolicy: 'clienttrafficpolicies',
  BackendTLSPolicy: 'backendtlspolicies',
  EnvoyPatchPolicy: 'envoypatchpolicies',
  EnvoyProxy: 'envoyproxies'
}

/** Where an object of a manifest is applied. */
export function pathOf({ apiVersion, kind, metadata }: Manifest): string {
  const group = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`
  const place = metadata.namespace === undefined ? '' : `/namespaces/${metadata.namespace}`
  return `${group}${place}/${PLURALS[kind] ?? `${kind.toLowerCase()}s`}/${metadata.name}?fieldManager=test&fieldValidation=Strict&force=true`
}

export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly [key: string]: unknown }
  // biome-ignore lint/suspicious/noExplicitAny: any kind of object
  readonly [key: string]: any
}
