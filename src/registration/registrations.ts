/** How workloads are known to SPIRE: the file that says it, beside the policy that says what they may do. */
import { z } from 'zod'
import { parseSpiffeId } from '../core/spiffe-id.ts'

const SELECTOR = /^[a-z0-9_]+:.+$/
const id = z.string().refine((text) => parseSpiffeId(text).ok, 'must be a SPIFFE ID, without patterns')
const selectors = z.array(z.string().regex(SELECTOR, 'must be a selector, such as unix:uid:1000 or k8s:ns:acme'))

const entry = z.strictObject({
  spiffe_id: id,
  selectors: selectors.min(1).optional(),
  parent: id.optional(),
  /** Of the vecauthz servers and Envoys: no workload of the policy, and known to SPIRE all the same. */
  infrastructure: z.boolean().default(false),
  dns: z.array(z.string().min(1)).default([]),
  federates_with: z.array(z.string().min(1)).default([]),
  ttl_seconds: z.int().min(20).optional()
})

export const registrationsSchema = z.strictObject({
  version: z.literal(1),
  /** Of entries that name none: the agent's node. */
  parent: id,
  /** What an entry of each attestation class of the policy has at least: types of selectors. */
  classes: z.record(z.string(), selectors.or(z.array(z.string()))).default({}),
  entries: z.array(entry)
})

export type Registrations = z.infer<typeof registrationsSchema>
export type Registration = Registrations['entries'][number]
