/** Where things are in a cluster, as options and settings say it. */
import type { Settings } from '../config/settings-schema.ts'
import type { PolicyDocument } from '../core/policy-document.ts'
import type { Places, Pods } from './network-policies.ts'

const GATEWAY = 'vecauthz/app.kubernetes.io/name=vecauthz-gateway:8443'
const SERVER = 'vecauthz/app.kubernetes.io/name=vecauthz:9901,9911'
const NAME = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'
const LABEL = '[A-Za-z0-9](?:[A-Za-z0-9./_-]{0,251}[A-Za-z0-9])?=[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?'
const PODS = new RegExp(`^(${NAME})/(${LABEL}):([0-9]{1,5}(?:,[0-9]{1,5})*)$`)
const SERVICE = new RegExp(`^(${NAME})\\.(${NAME})\\.svc(?:\\..+)?$`)

export interface PlaceOptions {
  readonly gateway: string | undefined
  readonly server: string | undefined
  /** `ID=NAMESPACE/LABEL=VALUE:PORT,…` each. */
  readonly databases: readonly string[]
  /** `NAMESPACE:PORT` */
  readonly metrics: string | undefined
}

/** @returns a sentence when something cannot be placed */
export function placesOf(options: PlaceOptions, settings: Settings, document: PolicyDocument): Places | string {
  const gateway = podsOf(options.gateway ?? GATEWAY)
  const server = podsOf(options.server ?? SERVER)
  if (gateway === undefined) return `--gateway ${options.gateway}: this is no NAMESPACE/LABEL=VALUE:PORT`
  if (server === undefined) return `--server ${options.server}: this is no NAMESPACE/LABEL=VALUE:PORT,PORT`
  const given = new Map(options.databases.map((text) => [text.split('=')[0] ?? '', text.slice(text.indexOf('=') + 1)]))
  const used = [...new Set(document.collections.map(({ database }) => database))].sort()
  const strange = [...given.keys()].find((id) => !used.includes(id))
  if (strange !== undefined) return `--database ${strange}: no collection of the policy is in a database of this id`
  const databases = new Map<string, Pods>()
  for (const id of used) {
    const text = given.get(id)
    const pods = text === undefined ? fromUrl(settings.databases.find((one) => one.id === id)?.url) : podsOf(text)
    if (pods === undefined) return `database ${id}: say where its pods are with --database ${id}=NAMESPACE/LABEL=VALUE:PORT,PORT`
    databases.set(id, pods)
  }
  const metrics = options.metrics === undefined ? undefined : new RegExp(`^(${NAME}):([0-9]{1,5})$`).exec(options.metrics)
  if (metrics === null) return `--metrics-from ${options.metrics}: this is no NAMESPACE:PORT`
  const readers = metrics === undefined ? undefined : { namespace: metrics[1] ?? '', port: Number(metrics[2]) }
  return { gateway, server, databases, metrics: readers }
}

function podsOf(text: string): Pods | undefined {
  const [, namespace = '', label = '', list = ''] = PODS.exec(text) ?? []
  const ports = list.split(',').map(Number)
  if (namespace === '' || ports.some((port) => port < 1 || port > 65_535)) return undefined
  const at = label.indexOf('=')
  return { namespace, label: [label.slice(0, at), label.slice(at + 1)], ports }
}

/** `http://chroma.data.svc:8000` says where the Service is; its pods have its name, as is the custom. */
function fromUrl(url: string | undefined): Pods | undefined {
  if (url === undefined || !URL.canParse(url)) return undefined
  const { hostname, port, protocol } = new URL(url)
  const [, name, namespace] = SERVICE.exec(hostname) ?? []
  if (name === undefined || namespace === undefined) return undefined
  const number = port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
  return { namespace, label: ['app.kubernetes.io/name', name], ports: [number] }
}
