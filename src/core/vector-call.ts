/**
 * A vector-database call as the database will read it. A call that cannot be read in full is not a VectorCall.
 */

export type DatabaseKind = 'chroma' | 'qdrant' | 'weaviate' | 'milvus'

/**
 * How a collection keeps tenants apart.
 * - `path`: the tenant is in the request path (Chroma). - `native`: the database's own tenants (Weaviate).
 * - `database`: a database (namespace) for each tenant. - `collection`: a collection for each tenant, by its name.
 * - `shard`: a shard key for each tenant. - `filter`: one collection, and a field of every record says whose it is.
 */
export type Tenancy = 'path' | 'native' | 'database' | 'collection' | 'shard' | 'filter'

/** What a call does. `drop` is apart from `delete` because it cannot be undone; `probe` is the tenantless start-up call of a client. */
export type Operation = 'search' | 'read' | 'write' | 'delete' | 'define' | 'drop' | 'export' | 'observe' | 'probe'

/**
 * The tenant that the database's own grammar names in the call.
 * - `path`: a part of the request path (Chroma). - `native`: the database's tenant field (Weaviate).
 * - `none`: the grammar has no place for it, or the call leaves it out: a name, a shard key or a filter may carry it (`Bounds`).
 */
export type TenantClaim =
  | { readonly kind: 'path'; readonly tenant: string }
  | { readonly kind: 'native'; readonly tenant: string }
  | { readonly kind: 'none' }

/**
 * How the call names its collection.
 * - `name`: by its name.
 * - `id`: by an id that the database handed out; must be resolved to a name before anything is granted.
 * - `every`: all collections of the namespace (a listing).
 * - `none`: the call is about the namespace or tenant itself.
 */
export type CollectionRef =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'id'; readonly id: string }
  | { readonly kind: 'every' }
  | { readonly kind: 'none' }

/** One place that the call touches. */
export interface Target {
  readonly tenant: TenantClaim
  /** The database's own grouping above collections (Chroma: database of a tenant; Milvus: database), or undefined where there is none. */
  readonly namespace: string | undefined
  readonly collection: CollectionRef
  /** Undefined where the call cannot be confined to a part of the collection: then all of it is meant. */
  readonly bounds?: Bounds
}

/**
 * What the call itself proves about the records it touches in a collection that tenants share. Read as the database evaluates
 * it; what is not proved is not here.
 */
export interface Bounds {
  /** The only shard keys (Qdrant) or partitions (Milvus) that are touched; undefined: all of them. */
  readonly shards: readonly string[] | undefined
  /** Field to the one text value that it has in every record read, changed, deleted or written. */
  readonly pins: ReadonlyMap<string, string>
  /** Fields that the call changes in records that exist: their names, or `*` where it could be any. Empty for reads and whole new records. */
  readonly changes: readonly string[]
  /** Why `pins` do not bind everything (records named by id, a lookup into another collection): words for the record. */
  readonly unpinned: string | undefined
  /** The same for `shards`. */
  readonly unsharded: string | undefined
}

/** What the call costs and gives away, and the vectors in it. */
export interface Shape {
  /** Similarity queries in the call. */
  readonly queries: number
  /** Most results any one query asks for, the database's default when it does not say; 0 when the call returns no records. */
  readonly topK: number
  /** Records written or named by id. */
  readonly records: number
  /** Raw embeddings are asked for in the answer. */
  readonly vectorsOut: boolean
  /** Components of the longest vector, 0 without vectors. */
  readonly dimensions: number
  /** Every dense vector of the call: queries of a search, embeddings of a write. Finite numbers only. */
  readonly vectors: readonly Float32Array[]
  /** Rows of each query of a search, where one is a multi-vector: `vectors` in groups. Left out where each vector is a query. */
  readonly rows?: readonly number[]
}

export interface VectorCall {
  readonly database: DatabaseKind
  /** Name of the row of the dialect's route table, such as `collection.query`. */
  readonly endpoint: string
  readonly operation: Operation
  /** At least one, but none for a probe. A name that the call gives to a collection (create, rename) is a target too. */
  readonly targets: readonly Target[]
  readonly shape: Shape
}

/** A target whose collection id was exchanged for a name that the database itself gave. */
export interface ResolvedTarget {
  readonly tenant: string
  readonly namespace: string | undefined
  readonly collection:
    | { readonly kind: 'name'; readonly name: string; readonly id?: string }
    /** Where names are not asked of the database: role egress. */
    | { readonly kind: 'id'; readonly id: string }
    | { readonly kind: 'every' }
    | { readonly kind: 'none' }
  /** What the call itself named as tenant; a path, where it is not said. */
  readonly claim?: TenantClaim
  readonly bounds?: Bounds
}

export const NO_SHAPE: Shape = { queries: 0, topK: 0, records: 0, vectorsOut: false, dimensions: 0, vectors: [] }
