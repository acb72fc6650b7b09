/** What is to be done so that SPIRE's server has the wanted entries: nothing, once it has been done. */
import { z } from 'zod'
import { type Entry, HINT } from './entries.ts'

const spiffeId = z.object({ trust_domain: z.string(), path: z.string() })
/** `spire-server entry show -output json` (spire.api.types.Entry); what is not compared is not read. */
const shown = z.object({
  entries: z
    .array(
      z.object({
        id: z.string(),
        spiffe_id: spiffeId,
        parent_id: spiffeId,
        selectors: z.array(z.object({ type: z.string(), value: z.string() })),
        x509_svid_ttl: z.coerce.number().default(0),
        federates_with: z.array(z.string()).default([]),
        dns_names: z.array(z.string()).default([]),
        hint: z.string().default('')
      })
    )
    .default([])
})

export interface Present extends Entry {
  /** Its id at the server. */
  readonly id: string
}

export interface Difference {
  readonly create: readonly Entry[]
  /** Ours by their hint, and wanted no more, or otherwise than they are. */
  readonly remove: readonly Present[]
  readonly kept: number
}

/** The entries that a server showed; undefined for a text that is none of its answers. */
export function readShown(text: string): readonly Present[] | undefined {
  try {
    const read = shown.safeParse(JSON.parse(text))
    return read.data?.entries.map((one) => ({ ...one, spiffe_id: textOf(one.spiffe_id), parent_id: textOf(one.parent_id) }))
  } catch {
    return undefined
  }
}

/** SPIRE takes no two entries with equal ID, parent and selectors, so what changed otherwise is removed first. */
export function differenceOf(wanted: readonly Entry[], present: readonly Present[]): Difference {
  const there = new Set(present.map(contentOf))
  const asked = new Set(wanted.map(contentOf))
  return {
    create: wanted.filter((one) => !there.has(contentOf(one))),
    remove: present.filter((one) => one.hint === HINT && !asked.has(contentOf(one))),
    kept: wanted.filter((one) => there.has(contentOf(one))).length
  }
}

function textOf({ trust_domain, path }: z.infer<typeof spiffeId>): string {
  return `spiffe://${trust_domain}${path}`
}

function contentOf({ spiffe_id, parent_id, selectors, x509_svid_ttl, federates_with, dns_names, hint }: Entry): string {
  const chosen = selectors.map(({ type, value }) => `${type}:${value}`).sort()
  return JSON.stringify([spiffe_id, parent_id, chosen, x509_svid_ttl, [...federates_with].sort(), [...dns_names].sort(), hint])
}
