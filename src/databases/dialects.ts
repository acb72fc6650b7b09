import type { DatabaseKind } from '../core/vector-call.ts'
import { chroma } from './chroma.ts'
import type { Dialect } from './dialect.ts'

/** The plain list. A kind without a dialect does not compile. */
export const DIALECTS = { chroma } as const satisfies Record<DatabaseKind, Dialect>

export const SERVED_KINDS = Object.keys(DIALECTS) as readonly DatabaseKind[]
