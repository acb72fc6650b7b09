/**
 * What a database is to this server: how its calls are read, which of a client's headers it must never see, and how it is
 * asked for a name. Pure: nothing here does I/O.
 */
import type { Result } from '../core/deny-reason.ts'
import type { Inbound } from '../core/inbound.ts'
import type { DatabaseKind, Operation, Tenancy, VectorCall } from '../core/vector-call.ts'

/** Every database this design has a place for. A version serves some of them: `DIALECTS` in dialects.ts. */
export const KNOWN_KINDS = ['chroma', 'qdrant', 'weaviate', 'milvus', 'pinecone', 'opensearch', 'elasticsearch'] as const

/** An endpoint that is served. */
export interface ServedRoute {
  /** Becomes the call's `endpoint`, such as `records.query`. */
  readonly name: string
  readonly method: string
  /** `/api/v2/tenants/{tenant}`; gRPC: `/qdrant.Points/Query` with POST. A last `{*rest}` stands for one segment or more. */
  readonly template: string
  /** The widest thing the endpoint does; a body may make it another (a search without a vector is a read). */
  readonly operation: Operation
}

/** An endpoint that exists and is refused on purpose. */
export interface RefusedRoute {
  readonly name: string
  /** `*` for every method. */
  readonly method: string
  readonly template: string
  /** Why; for the audit record. */
  readonly refused: string
  /** What the caller can do instead; public. */
  readonly remedy: string
}

export type Route = ServedRoute | RefusedRoute

/** A collection as the database itself describes it. */
export interface FoundName {
  readonly id: string
  readonly name: string
  readonly tenant: string
  readonly namespace: string
}

/** How to ask the database for the name behind an id. */
export interface NameLookup {
  /** Request target of a GET that honours tenant and namespace. */
  readonly path: (tenant: string, namespace: string, id: string) => string
  /** @returns `absent` where there is no such id in that tenant and namespace; `state-unavailable` for an answer that is none */
  readonly read: (status: number, body: Uint8Array) => Result<FoundName | 'absent'>
}

export interface Dialect {
  readonly kind: DatabaseKind
  /** Allow-list: what matches no row is refused. */
  readonly routes: readonly Route[]
  /** Reads the whole call or refuses it; there is no partly read call. */
  readonly readCall: (inbound: Inbound) => Result<VectorCall>
  /** Lower-case names of headers that carry the database's own credential: removed from every call. */
  readonly credentialHeaders: readonly string[]
  /** Lower-case names of headers that change what a call means (Milvus: `dbname`). */
  readonly meaningHeaders: readonly string[]
  /** Undefined where calls name collections by name only. */
  readonly names: NameLookup | undefined
  /** Whether calls name a namespace above collections (Chroma, Milvus: database). */
  readonly namespaces: boolean
  /** How tenants can be kept apart in this database, for the loader and the reference. */
  readonly tenancies: readonly Tenancy[]
  /** What a caller writes so that `field` is proved to be `value`: the exact filter (or form) for this endpoint; public. */
  readonly pin?: (endpoint: string, field: string, value: string) => string
}
