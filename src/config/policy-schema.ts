/** The policy file's shape. The reference page is generated from the descriptions here. */
import { z } from 'zod'
import { ACTIONS, IRREVERSIBLE, type PolicyDocument } from '../core/policy-document.ts'
import { budgets, monitoring, risk } from './risk-schema.ts'

const TENANT = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,127}$/
const TRUST_DOMAIN = /^[a-z0-9._-]{1,255}$/
const count = (what: string) => z.int().min(1).max(1_000_000).describe(what)

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$/
const name = z.string().regex(NAME, 'must be 1 to 63 of letters, digits, ".", "_", "-", beginning with a letter or digit')
/** Lists that a condition can look through stay this short. */
const LIST_MAX = 32
const names = z.array(name).min(1).max(LIST_MAX)
const day = z.iso.date('must be a day, such as 2027-01-31')

const tenantId = z
  .string()
  .regex(TENANT, 'must be 1 to 128 of letters, digits, ".", "_", "-", beginning with a letter or digit')
  .describe('Tenant name, equal to the tenant name in the database')

const mode = z.enum(['enforce', 'shadow'])

const limits = {
  top_k: count('Most results one query may ask for, and most records one read may return'),
  queries: count('Most similarity queries in one call'),
  records: count('Most records written, or named by id, in one call'),
  vectors_out: z.enum(['allow', 'deny']).describe('Whether raw embeddings may be in an answer')
}

const budget = z
  .strictObject({
    per_second: z.number().positive().max(100_000).describe('Sustained similarity queries (or other calls) per second'),
    burst: z.int().min(1).max(1_000_000).describe('How many may come at once after a pause'),
    learn: z
      .boolean()
      .optional()
      .describe('What the agent type needs is learnt from its bursts and pauses, and never more than these figures; without it, they hold')
  })
  .describe('Rate budget of each workload')

const allow = z
  .strictObject({
    mode: mode
      .optional()
      .describe('Under `shadow`, conditions, purposes and limits of this rule are judged and recorded, and not enforced'),
    tenants: z.array(tenantId).min(1).describe('Tenants this rule is for'),
    actions: z.array(z.enum(ACTIONS)).min(1).describe('What they may do'),
    workloads: z.array(z.string()).min(1).optional().describe('SPIFFE IDs or patterns; without it, every workload of those tenants'),
    purposes: names.optional().describe('Purposes this rule is for; without it, every purpose that the collection serves'),
    when: z
      .string()
      .min(1)
      .optional()
      .describe('Condition in CEL over `subject`, `action`, `resource` and `environment`; unless it is true, the rule does not apply'),
    approval: z
      .literal('required')
      .optional()
      .describe('Each call waits until one of `approvals.approvers` has approved this very call, once'),
    grant: z
      .literal('required')
      .optional()
      .describe('Calls of this kind wait until one of `approvals.approvers` has granted them, and then pass until that grant ends'),
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
  .describe('One permission. A call passes when at least one rule allows it within its own limits; the order says nothing')

const tenant = z.strictObject({
  id: tenantId,
  mode: mode.optional().describe('Under `shadow`, what policy or risk would deny of this tenant passes, and is recorded as it was judged'),
  region: name
    .optional()
    .describe('Where its data stays: a collection of another region cannot be allowed to it, and callers need the region'),
  retention_days: z.int().min(1).max(36_500).optional().describe('How long its data is kept; reported when no rule lets anybody delete it'),
  namespaces: z
    .array(z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be the name of a Kubernetes namespace'))
    .min(1)
    .optional()
    .describe('Kubernetes namespaces that are its alone: a workload under `/ns/NAME/` acts for this tenant or is a fault')
})

const workload = z.strictObject({
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
    .describe('Its evidence is verified again after so long, remembered verdict or not'),
  owner: z.string().min(1).max(256).optional().describe('Who answers for it'),
  review_by: day.optional().describe('From this day (UTC) on, its review is reported as overdue; nothing is denied'),
  expires: day.optional().describe('From the first moment of this day (UTC) on, it is denied as `caller-unknown`'),
  agent_type: name.optional().describe('What kind of agent it is'),
  purposes: names
    .optional()
    .describe('What it may call for; a call says which in `x-vecauthz-purpose`, and need not where there is one only'),
  ring: name.optional().describe('Deployment ring, for `when`'),
  zone: name.optional().describe('Zone it runs in, for `when`'),
  attestation: name.optional().describe('One of `attestation_classes`: how strongly it is attested; without it, weaker than all of them'),
  regions: names.optional().describe('Regions whose data may come to it; without it, only data that has no region')
})

const collection = z.strictObject({
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
  region: name.optional().describe('Where this data is; only workloads with this region in their `regions` get at it'),
  tags: names.optional().describe('How sensitive it is: keys of the common `tags`'),
  attestation: name.optional().describe('Weakest of `attestation_classes` that is enough for this data'),
  purposes: names.optional().describe('What this data may be used for; without it, for any purpose'),
  allow: z.array(allow).min(1).describe('Who may do what')
})

const screened = z.enum(['flag', 'deny']).optional()

export const policySchema: z.ZodType<PolicyDocument> = z.strictObject({
  version: z.literal(1).describe('Version of this format'),
  mode: mode
    .optional()
    .describe(
      'Under `shadow`, what policy or risk would deny passes, and is recorded as it was judged; identity, tokens and the reading of calls are always enforced'
    ),
  trust_domains: z
    .array(z.string().regex(TRUST_DOMAIN, 'must be a trust domain name, such as example.org'))
    .min(1)
    .describe('SPIFFE trust domains whose workloads may be listed'),
  tenants: z.array(tenant).min(1).describe('Every tenant that exists'),
  workloads: z.array(workload).min(1).describe('Who may call at all'),
  collections: z.array(collection).min(1).describe('What may be called; a collection that is not listed is denied'),
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
  issuers: z
    .array(
      z.strictObject({
        spiffe_id: z.string().describe('Exact SPIFFE ID of a vecauthz in the role `egress`'),
        tenants: z.array(tenantId).min(1).describe('Tenants that it may vouch for'),
        audiences: z
          .array(z.string().min(1).max(255))
          .min(1)
          .describe('Names of the indexes that it may vouch to: `audience` of their settings')
      })
    )
    .optional()
    .describe('Whose policy tokens the role `index` believes; without it, nobody is believed'),
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
  attestation_classes: names.optional().describe('How strongly workloads can be attested, the weakest first, such as [none, k8s, tpm]'),
  tags: z.record(name, z.int().min(1).max(1000)).optional().describe('Every tag that collections may have, and its weight in `exposure`'),
  limits: z.strictObject(limits).describe('Common limits; all are required, so that none is unlimited by silence'),
  budget: budget.describe('Common rate budget of each workload'),
  budgets,
  risk,
  monitoring,
  approvals: z
    .strictObject({
      actions: z
        .array(z.enum(IRREVERSIBLE))
        .describe(
          'Operations that need an approval wherever a rule allows them: `drop`, `define` (where it changes what is there), `delete` (by filter)'
        ),
      approvers: z
        .array(z.string())
        .min(1)
        .describe(
          'SPIFFE IDs or patterns of those who may approve and grant; nobody approves what it asked for, or what is done in its name'
        ),
      seconds: z.int().min(30).max(3600).optional().describe('How long an approval is good for, once given; 300 where it is not said'),
      grant_seconds: z.int().min(30).max(86_400).optional().describe('The same for a grant; 3600 where it is not said')
    })
    .optional()
    .describe("What passes only with somebody else's yes"),
  screening: z
    .strictObject({
      instructions: screened.describe('Words that tell a model to leave its instructions'),
      secrets: screened.describe('Keys, tokens and passwords, and questions for them'),
      tenants: screened.describe("Names of other tenants than the call's")
    })
    .optional()
    .describe('What the texts of granted calls (queries, documents, filters) are looked through for; the texts themselves are never kept')
})
