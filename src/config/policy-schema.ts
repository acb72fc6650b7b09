/** The policy file's shape. The reference page is generated from the descriptions here. */
import { z } from 'zod'
import { ACTIONS, type PolicyDocument } from '../core/policy-document.ts'

const TENANT = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/
const count = (what: string) => z.int().min(1).max(1_000_000).describe(what)

const tenantId = z
  .string()
  .regex(TENANT, 'must be 1 to 128 of letters, digits, ".", "_", "-", beginning with a letter or digit')
  .describe('Tenant name, equal to the tenant name in the database')

const limits = {
  top_k: count('Most results one query may ask for, and most records one read may return'),
  queries: count('Most similarity queries in one call'),
  records: count('Most records written, or named by id, in one call'),
  vectors_out: z.enum(['allow', 'deny']).describe('Whether raw embeddings may be in an answer')
}

const budget = z
  .strictObject({
    per_second: z.number().positive().max(100_000).describe('Sustained similarity queries (or other calls) per second'),
    burst: z.int().min(1).max(1_000_000).describe('How many may come at once after a pause')
  })
  .describe('Rate budget of each workload')

const allow = z
  .strictObject({
    tenants: z.array(tenantId).min(1).describe('Tenants this rule is for'),
    actions: z.array(z.enum(ACTIONS)).min(1).describe('What they may do'),
    workloads: z.array(z.string()).min(1).optional().describe('SPIFFE IDs or patterns; without it, every workload of those tenants'),
    limits: z
      .strictObject({
        top_k: limits.top_k.optional(),
        queries: limits.queries.optional(),
        records: limits.records.optional(),
        vectors_out: limits.vectors_out.optional()
      })
      .optional()
      .describe('Limits of this rule where they differ from the common ones')
  })
  .describe('One permission; the first rule of the file that matches decides')

export const policySchema: z.ZodType<PolicyDocument> = z.strictObject({
  version: z.literal(1).describe('Version of this format'),
  trust_domains: z
    .array(z.string().regex(TRUST_DOMAIN, 'must be a trust domain name, such as example.org'))
    .min(1)
    .describe('SPIFFE trust domains whose workloads may be listed'),
  tenants: z
    .array(z.strictObject({ id: tenantId }))
    .min(1)
    .describe('Every tenant that exists'),
  workloads: z
    .array(
      z.strictObject({
        spiffe_id: z.string().describe('SPIFFE ID; `*` is one whole path segment, a final `**` is one or more'),
        tenants: z.array(tenantId).min(1).describe('Tenants the workload may act for; each call names one of them'),
        budget: budget.optional().describe('Rate budget where it differs from the common one'),
        delegated: z
          .boolean()
          .optional()
          .describe("It acts for end users: the tenant must also be named by the user's token in `x-vecauthz-subject-token`"),
        reverify_every_seconds: z
          .int()
          .min(1)
          .max(86_400)
          .optional()
          .describe('Its evidence is verified again after so long, remembered verdict or not')
      })
    )
    .min(1)
    .describe('Who may call at all'),
  collections: z
    .array(
      z.strictObject({
        database: z.string().min(1).describe("Id of a database in the server's settings"),
        namespace: z
          .string()
          .min(1)
          .max(512)
          .optional()
          .describe('Chroma: the database inside the tenant. Milvus: the database, with `{tenant}` under tenancy `database`. Others: none'),
        names: z
          .array(z.string().min(1).max(512))
          .min(1)
          .describe('Collection names: exact, or a prefix and a final `*`; with `{tenant}` under tenancy `collection`'),
        tenancy: z
          .union([
            z.enum(['path', 'native', 'database', 'collection', 'shard']),
            z.strictObject({ filter: z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'must be the plain name of a field') })
          ])
          .describe(
            'How tenants are kept apart: `path` (in the request path), `native` (tenants of the database), `database` or `collection` (one for each tenant, `{tenant}` in its name), `shard` (shard key or partition named like the tenant), `{ filter: FIELD }` (a field of every record)'
          ),
        allow: z.array(allow).min(1).describe('Who may do what')
      })
    )
    .min(1)
    .describe('What may be called; a collection that is not listed is denied'),
  subjects: z
    .array(
      z.strictObject({
        issuer: z
          .string()
          .regex(/^https?:\/\/[^\s?#]{1,500}$/, 'must be the issuer URL, exactly as tokens have it in `iss`')
          .describe('Exact `iss` of the tokens'),
        audience: z.string().min(1).max(255).describe('One `aud` of each token must be this'),
        tenant_claim: z
          .string()
          .regex(/^[\x21-\x7e]{1,255}$/, 'must be the name of a claim')
          .describe('Claim with the tenant, or an array of them'),
        tenants: z.array(tenantId).min(1).describe('Tenants that this issuer may name; others in its tokens do not count')
      })
    )
    .optional()
    .describe('Who may vouch for end users'),
  carriers: z
    .array(z.string())
    .optional()
    .describe('SPIFFE IDs or patterns of workloads whose connection may carry the JWT-SVID of another, which is then the caller'),
  revoked: z
    .strictObject({
      spiffe_ids: z.array(z.string()).optional().describe('SPIFFE IDs or patterns'),
      serials: z
        .array(z.string().regex(/^[0-9a-f]{1,40}$/, 'must be a serial number in lower-case hex, as the audit record shows it'))
        .optional()
        .describe('Serial numbers of single certificates; the workload goes on with its next one'),
      token_ids: z.array(z.string().min(1).max(256)).optional().describe("`jti` of single JWT-SVIDs and end users' tokens")
    })
    .optional()
    .describe('Identities refused at once, whatever else says yes; in force as soon as the file is saved'),
  limits: z.strictObject(limits).describe('Common limits; all are required, so that none is unlimited by silence'),
  budget: budget.describe('Common rate budget of each workload')
})
