import type { DatabaseKind } from '../core/vector-call.ts'
import { chroma } from './chroma.ts'
import type { Dialect } from './dialect.ts'
import { milvus } from './milvus.ts'
import { qdrant } from './qdrant.ts'
import { weaviate } from './weaviate.ts'

/** The plain list of what is served. */
export const DIALECTS = { chroma, milvus, qdrant, weaviate } as const satisfies Partial<Record<DatabaseKind, Dialect>>

export const SERVED_KINDS = Object.keys(DIALECTS) as readonly (keyof typeof DIALECTS)[]
