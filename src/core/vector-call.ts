/**
 * A vector-database call as the database will read it. A call that cannot be read in full is not a VectorCall.
 */

export type DatabaseKind = 'chroma'

/** What a call does. `drop` is apart from `delete` because it cannot be undone; `probe` is the tenantless start-up call of a client. */
export type Operation = 'search' | 'read' | 'write' | 'delete' | 'define' | 'drop' | 'export' | 'observe' | 'probe'

/** Where the call names its tenant. `none` is a call without a tenant, allowed for probes only. */
export type TenantClaim = { readonly kind: 'path'; readonly tenant: string } | { readonly kind: 'none' }

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
  /** The database's own grouping inside a tenant (Chroma: database), or undefined where the call names none. */
  readonly namespace: string | undefined
  readonly collection: CollectionRef
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
    | { readonly kind: 'every' }
    | { readonly kind: 'none' }
}

export const NO_SHAPE: Shape = { queries: 0, topK: 0, records: 0, vectorsOut: false, dimensions: 0, vectors: [] }
