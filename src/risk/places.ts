/** Where a call goes, in the words that baselines and monitored figures have for it. */
import type { ResolvedTarget } from '../core/vector-call.ts'

/** `database/namespace/name`, or `database/name`; undefined for what is no single collection. @param database id in the settings */
export function collectionName(database: string, { namespace, collection }: ResolvedTarget): string | undefined {
  if (collection.kind !== 'name') return undefined
  return namespace === undefined ? `${database}/${collection.name}` : `${database}/${namespace}/${collection.name}`
}
