/** The shipped Envoy files with settings of the servers that they ask, and the fixes of the doctor put into them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { settingsSchema } from '../../src/config/settings-schema.ts'
import { type EnvoyDocument, readDocument, readValue } from '../../src/doctor/document.ts'
import type { Fix } from '../../src/doctor/finding.ts'
import type { Server } from '../../src/doctor/look.ts'
import type { Hop } from '../../src/doctor/survey.ts'

// biome-ignore lint/suspicious/noExplicitAny: configuration of any shape
export type Loose = Record<string, any>

const ROOT = join(import.meta.dirname, '../..')
const WRITE_BYTES = 33_554_432

function server(file: string, changes: object): Server {
  const settings = parse(readFileSync(join(ROOT, 'demo/config', file), 'utf8'))
  // The files are for SVIDs of an hour; the demo's live for ten minutes, and it shortens their connections.
  return { file, settings: settingsSchema.parse({ ...settings, svid_ttl_seconds: 3600, ...changes }) }
}

function lanes(file: string, writes: string): readonly Server[] {
  return [server(file, {}), server(file, { listen: writes, body_bytes_max: WRITE_BYTES, deadline_ms: 2500 })]
}

interface Shipped {
  readonly servers: readonly Server[]
  readonly hop?: Hop
}

export const SHIPPED = {
  'gateway.yaml': { servers: lanes('vecauthz.yaml', '127.0.0.1:9911') },
  'index.yaml': { servers: lanes('index.yaml', '127.0.0.1:9931') },
  'egress.yaml': { servers: lanes('egress.yaml', '127.0.0.1:9951') },
  'agent-sidecar.yaml': { servers: lanes('vecauthz.yaml', '127.0.0.1:9911'), hop: 'sidecar' }
} as const satisfies Record<string, Shipped>
export type ShippedFile = keyof typeof SHIPPED

export function shippedText(file: string): string {
  return readFileSync(join(ROOT, 'envoy', file), 'utf8')
}

const parsed = new Map<string, unknown>()

export function shippedValue(file: string): Loose {
  const value = parsed.get(file) ?? documentIn(readDocument(shippedText(file))).root.value
  parsed.set(file, value)
  return structuredClone(value) as Loose
}

export function documentOf(value: Loose): EnvoyDocument {
  return documentIn(readValue(value))
}

function documentIn(read: ReturnType<typeof readDocument>): EnvoyDocument {
  if (!read.ok) throw new Error(read.says)
  return read.document
}

/** The only HTTP connection manager, its filters by name, and clusters by name, of a value that may be changed. */
export function partsOf(value: Loose) {
  const listener: Loose = value['static_resources'].listeners[0]
  const chain: Loose = listener['filter_chains'][0]
  const http: Loose = chain['filters'][0].typed_config
  const filter = (name: string): Loose =>
    http['http_filters'].find((one: Loose) => one['name'] === `envoy.filters.http.${name}`).typed_config
  const cluster = (name: string): Loose => value['static_resources'].clusters.find((one: Loose) => one['name'] === name)
  const host: Loose = http['route_config'].virtual_hosts[0]
  const tls = (): Loose => chain['transport_socket'].typed_config
  const upstream = (name: string): Loose => cluster(name)['transport_socket'].typed_config
  return { value, listener, chain, http, filter, cluster, host, tls, upstream, authz: () => filter('ext_authz') }
}

/** What a person does with a fix: put it there, take it out. @throws Error for one that no change of the file can be. */
export function applyFix(value: Loose, fix: Fix): void {
  if (fix.kind === 'do') throw new Error(`not for this file: ${fix.text}`)
  const path = [...fix.at]
  if (fix.kind === 'put' || fix.kind === 'replace') {
    const last = path.pop() as string | number
    const parent = walk(value, path)
    parent[last] = fix.kind === 'put' ? merged(parent[last], fix.value) : structuredClone(fix.value)
  } else if (fix.kind === 'insert') walk(value, path)['splice'](fix.index, 0, structuredClone(fix.value))
  else {
    const last = path.pop() as string | number
    const parent = walk(value, path)
    if (Array.isArray(parent)) parent.splice(last as number, 1)
    else delete parent[last]
  }
}

function walk(value: Loose, path: readonly (string | number)[]): Loose {
  return path.reduce((here: Loose, key) => {
    here[key] ??= {}
    return here[key]
  }, value)
}

function merged(old: unknown, added: unknown): unknown {
  if (!isMap(old) || !isMap(added)) return structuredClone(added)
  return { ...old, ...Object.fromEntries(Object.entries(added).map(([key, one]) => [key, merged(old[key], one)])) }
}

function isMap(value: unknown): value is Loose {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
