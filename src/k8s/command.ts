/** `vecauthz k8s`: the admission webhook, and manifests from the policy. */
import { readFileSync, statSync } from 'node:fs'
import { stringify } from 'yaml'
import type { Configured } from '../admin/check-edges.ts'
import { type Output, type Parsed, parsed, readBytes, running } from '../admin/check-terminal.ts'
import { unreadable } from '../admin/svid-verify-question.ts'
import { policyStamp } from '../config/policy-files.ts'
import type { AdmissionRules, Registry } from './admission.ts'
import { namespaceManifests } from './namespaces.ts'
import { networkPolicies } from './network-policies.ts'
import { placesOf } from './places.ts'
import { registryOf } from './registry.ts'
import { startWebhook, type TlsFiles, WEBHOOK_PATH } from './webhook.ts'

const HELP = `vecauthz k8s: Kubernetes namespaces and pods under the policy (docs/kubernetes.md)

Usage: vecauthz k8s webhook --tls-cert FILE --tls-key FILE --spiffe-id TEMPLATE [options]
       vecauthz k8s namespaces [--config FILE]
       vecauthz k8s network-policies [--config FILE] [options]

  webhook            answer the API server's admission reviews (admission.k8s.io/v1) at ${WEBHOOK_PATH}, until it is told to stop
  namespaces         print the tenants' namespaces with the labels that the webhook asks of them
  network-policies   print who may reach whom: tenants the gateway, the gateway vecauthz and the databases, nobody else them

Options
  --config FILE          settings file (default: vecauthz.yaml)

  --listen ADDRESS:PORT  where the webhook listens (default: 0.0.0.0:9443)
  --tls-cert FILE        its certificate, with what signed it; read again when it changes
  --tls-key FILE         the key of that
  --client-ca FILE       the API server must show a certificate of these authorities (PEM)
  --spiffe-id TEMPLATE   as the ClusterSPIFFEID has it, such as
                         spiffe://example.org/ns/{namespace}/tenant/{tenant}/sa/{service_account}
                         (under Istio without the tenant, which the namespace stands for)
  --exempt NAMES         namespaces without a tenant that go on when the policy cannot be read, with commas between
                         (default: kube-system,vecauthz,spire)
  --allow-unregistered   pods whose SPIFFE ID no workload of the policy has may run; it opens nothing
  --deadline-ms N        longest time for a decision (default: 2000; below timeoutSeconds of the webhook configuration)

  --gateway PODS         the Envoy in front of the databases (default: vecauthz/app.kubernetes.io/name=vecauthz-gateway:8443)
  --server PODS          vecauthz (default: vecauthz/app.kubernetes.io/name=vecauthz:9901,9911)
  --database ID=PODS     a database, where its url in the settings is not NAME.NAMESPACE.svc
  --metrics-from NS:PORT whose pods may read vecauthz's health port
                         PODS is NAMESPACE/LABEL=VALUE:PORT,PORT

Exit codes: 0 yes, 2 cannot say.
`

export interface KubernetesEdges extends Output {
  readonly now: () => number
  /** Throws `Unreadable`. */
  readonly load: (config: string) => Configured
  /** Resolves when the process is told to end. */
  readonly stopped: Promise<unknown>
}

const NAMES = [
  'config',
  'listen',
  'tls-cert',
  'tls-key',
  'client-ca',
  'spiffe-id',
  'exempt',
  'deadline-ms',
  'gateway',
  'server',
  'database',
  'metrics-from'
]
/** How often files are looked at that others replace. */
const LOOK_MS = 5_000
/** The policy, which is looked at when somebody asks. */
const LOOK_AGAIN_MS = 1_000

export function kubernetesCommand(args: readonly string[], edges: KubernetesEdges): Promise<number> {
  return running(args, HELP, edges, async () => {
    const options = parsed(args, NAMES, ['allow-unregistered'])
    const [word = '', ...others] = options.words
    const verb = Object.hasOwn(VERBS, word) ? VERBS[word] : undefined
    if (verb === undefined || others.length > 0) return unreadable('Say webhook, namespaces or network-policies; see --help.')
    return verb(options, edges)
  })
}

const VERBS: Readonly<Record<string, (options: Parsed, edges: KubernetesEdges) => Promise<number> | number>> = {
  webhook,
  namespaces: (options, edges) => {
    const manifests = namespaceManifests(configuredBy(options, edges).written.document)
    return typeof manifests === 'string' ? unreadable(`${manifests}.`) : printed(manifests, edges)
  },
  'network-policies': (options, edges) => {
    const { settings, written } = configuredBy(options, edges)
    const [gateway, server, metrics] = ['gateway', 'server', 'metrics-from'].map(options.one)
    const places = placesOf({ gateway, server, metrics, databases: options.many('database') }, settings, written.document)
    return typeof places === 'string' ? unreadable(`${places}.`) : printed(networkPolicies(written.document, places), edges)
  }
}

function configuredBy(options: Parsed, { load }: KubernetesEdges): Configured {
  return load(options.one('config') ?? 'vecauthz.yaml')
}

function printed(manifests: readonly object[], { print }: Output): number {
  // Written out in full: not every reader of manifests takes YAML's aliases.
  print(manifests.map((one) => `---\n${stringify(one, { aliasDuplicateObjects: false, lineWidth: 0 })}`).join(''))
  return 0
}

async function webhook(options: Parsed, edges: KubernetesEdges): Promise<number> {
  const say = (line: object) =>
    edges.complain(`${JSON.stringify({ time: new Date(edges.now()).toISOString(), name: 'vecauthz-k8s', ...line })}\n`)
  const { host, port } = addressOf(options.one('listen') ?? '0.0.0.0:9443')
  const files = { cert: needed(options, 'tls-cert'), key: needed(options, 'tls-key'), clientCa: options.one('client-ca') }
  const deadlineMs = Number(options.one('deadline-ms') ?? 2000)
  if (!Number.isInteger(deadlineMs) || deadlineMs < 1 || deadlineMs > 30_000) unreadable('--deadline-ms is a number from 1 to 30000.')
  const source = registrySource(options, edges, say)
  const running = await startWebhook({
    host,
    port,
    tls: readTls(files),
    rules: rulesOf(options),
    registry: source,
    deadlineMs,
    now: edges.now,
    log: ({ allowed, because, uid, what, user }) => say({ msg: allowed ? 'allowed' : 'denied', what, user, uid, because })
  })
  say({ msg: 'admission webhook: listening', port: running.port })
  const renewing = renewOnChange(files, running.renew, say)
  await edges.stopped
  clearInterval(renewing)
  await running.close()
  return 0
}

function rulesOf(options: Parsed): AdmissionRules {
  const spiffeId = needed(options, 'spiffe-id')
  const names = [...spiffeId.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
  const lacking = ['namespace', 'service_account'].find((name) => !names.includes(name))
  // An identity that says less would be one for several workloads, and without the namespace for several tenants.
  if (lacking !== undefined) unreadable(`--spiffe-id has no {${lacking}}.`)
  const exempt = (options.one('exempt') ?? 'kube-system,vecauthz,spire').split(',').filter((name) => name !== '')
  return { exempt: new Set(exempt), spiffeId, unregistered: options.has('allow-unregistered') ? 'allow' : 'deny' }
}

/** The policy in force; a bad new one changes nothing and is said once. */
function registrySource(options: Parsed, edges: KubernetesEdges, say: (line: object) => void): () => Promise<Registry> {
  const read = () => configuredBy(options, edges)
  const first = read()
  let registry = registryOf(first.written.policy, first.written.document)
  let [stamp, lookedAt] = [policyStamp(first.written.file), edges.now()]
  return async () => {
    // The clock may be set back.
    if (Math.abs(edges.now() - lookedAt) < LOOK_AGAIN_MS) return registry
    lookedAt = edges.now()
    const fresh = policyStamp(first.written.file)
    if (fresh === stamp) return registry
    stamp = fresh
    try {
      const { policy, document } = read().written
      registry = registryOf(policy, document)
      say({ msg: 'policy: in force', revision: policy.revision.slice(0, 12) })
    } catch (cause) {
      say({ msg: 'policy: the new file is not used', faults: (cause as { unreadable?: string }).unreadable ?? String(cause) })
    }
    return registry
  }
}

interface TlsPaths {
  readonly cert: string
  readonly key: string
  readonly clientCa: string | undefined
}

function readTls({ cert, key, clientCa }: TlsPaths): TlsFiles {
  const text = (path: string) => readBytes(path).toString('utf8')
  return { cert: text(cert), key: text(key), clientCa: clientCa === undefined ? undefined : text(clientCa) }
}

function renewOnChange({ cert, key, clientCa }: TlsPaths, renew: (tls: TlsFiles) => void, say: (line: object) => void): NodeJS.Timeout {
  const paths = [cert, key, ...(clientCa === undefined ? [] : [clientCa])]
  const stamped = () => paths.map((path) => statSync(path).mtimeMs).join()
  let seen = stamped()
  return setInterval(() => {
    try {
      const now = stamped()
      if (now === seen) return
      seen = now
      renew({
        cert: readFileSync(cert, 'utf8'),
        key: readFileSync(key, 'utf8'),
        clientCa: clientCa === undefined ? undefined : readFileSync(clientCa, 'utf8')
      })
      say({ msg: 'certificate: renewed' })
    } catch (cause) {
      say({ msg: 'certificate: the new one is not used', because: (cause as Error).message })
    }
  }, LOOK_MS)
}

function addressOf(text: string): { host: string; port: number } {
  const [, host, port] = /^\[?([0-9a-fA-F.:]+?)\]?:([0-9]{1,5})$/.exec(text) ?? []
  if (host === undefined || Number(port) > 65_535) return unreadable(`--listen ${text}: this is no ADDRESS:PORT.`)
  return { host, port: Number(port) }
}

function needed(options: Parsed, name: string): string {
  return options.one(name) ?? unreadable(`--${name} is needed; see --help.`)
}
