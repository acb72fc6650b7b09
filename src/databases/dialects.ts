import type { KnownKind } from '../core/policy-document.ts'
import type { DatabaseKind } from '../core/vector-call.ts'
import { chroma } from './chroma.ts'
import type { Dialect } from './dialect.ts'
import { milvus } from './milvus.ts'
import { qdrant } from './qdrant.ts'
import { weaviate } from './weaviate.ts'

/** The plain list of what is served. */
export const DIALECTS = { chroma, milvus, qdrant, weaviate } as const satisfies Partial<Record<DatabaseKind, Dialect>>

/** What the settings and the policy are checked against. */
export const SERVED: readonly KnownKind[] = Object.values(DIALECTS).map(({ kind, tenancies, namespaces, names }) => ({
  kind,
  tenancies,
  namespaces,
  asked: names !== undefined
}))
