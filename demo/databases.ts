/** The databases beside Chroma: started, filled for two tenants, and with a recorder in front of each of their ports. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Address } from './envoy-config.ts'
import { startMilvus } from './milvus.ts'
import { type Recorded, type Recorder, startRecorder, type Upstream } from './recorder.ts'
import { startGrpcRecorder } from './recorder-grpc.ts'
import { seedMilvus } from './seed-milvus.ts'
import { seedWeaviate } from './seed-weaviate.ts'
import { startWeaviate } from './weaviate.ts'

export type OtherDatabase = 'weaviate' | 'milvus' | 'qdrant'

export interface RunningDatabase {
  /** Where the gateway's clusters for this database lead: the recorders. */
  readonly upstreams: Readonly<Record<string, Address>>
  /** What reached it over any of its ports since the start or the last `clear`. */
  readonly seen: () => readonly Recorded[]
  readonly clear: () => void
  readonly stop: () => Promise<void>
}

export interface OtherServer {
  readonly rest?: Upstream
  readonly grpc: Upstream
  readonly stop: () => Promise<unknown>
}

/** Gateway cluster names: the database's for its first port, with `_grpc` for the second. */
const STARTS: Readonly<Record<'weaviate' | 'milvus', (folder: string) => Promise<OtherServer>>> = {
  weaviate: startWeaviate,
  milvus: startMilvus
}

/** Starts and fills one; `server` stands in for it where it is given. */
export async function startOther(kind: OtherDatabase, folder: string, server?: OtherServer): Promise<RunningDatabase> {
  if (kind === 'qdrant' && server === undefined) throw new Error('Qdrant is in no package registry: hand in a server')
  const started = server ?? (await STARTS[kind as 'weaviate' | 'milvus'](folder))
  const recorders: Record<string, Recorder> = {}
  const stop = async () => {
    await Promise.all(Object.values(recorders).map((one) => one.stop()))
    await started.stop()
  }
  const clear = () => {
    for (const one of Object.values(recorders)) one.clear()
  }
  try {
    const grpc = await startGrpcRecorder(started.grpc)
    if (started.rest === undefined) recorders[kind] = grpc
    else Object.assign(recorders, { [kind]: await startRecorder(started.rest), [`${kind}_grpc`]: grpc })
    if (kind === 'weaviate') await seedWeaviate(`http://127.0.0.1:${recorders[kind]?.port}`)
    if (kind === 'milvus') await seedMilvus(`127.0.0.1:${grpc.port}`)
  } catch (cause) {
    await stop()
    throw cause
  }
  clear()
  const ports = Object.entries(recorders).map(([cluster, { port }]) => [cluster, { address: '127.0.0.1', port }] as const)
  return { upstreams: Object.fromEntries(ports), seen: () => Object.values(recorders).flatMap((one) => one.seen()), clear, stop }
}

/** What settings and policy need to say about them. */
// biome-ignore lint/suspicious/noExplicitAny: documents as YAML gives them
export function addDatabases(kinds: readonly OtherDatabase[], settings: any, policy: any): void {
  const all = parse(readFileSync(join(import.meta.dirname, 'config/databases.yaml'), 'utf8'))
  for (const kind of kinds) {
    settings.databases.push(all[kind].settings)
    policy.collections.push(...all[kind].collections)
  }
}
