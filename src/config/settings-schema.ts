/** The server's own settings file. The reference page is generated from the descriptions here. */
import { z } from 'zod'
import { BODY_BYTES_MAX, WRITE_BODY_BYTES_MAX } from '../core/limits.ts'
import { compileIdPattern, parseSpiffeId } from '../core/spiffe-id.ts'
import { audit } from './audit-schema.ts'
import { credential } from './credential-schema.ts'
import { inventory } from './inventory-schema.ts'
import { learning } from './learning-schema.ts'
import { paging } from './paging-schema.ts'
import { state } from './state-schema.ts'

const LISTEN = /^(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[[0-9a-fA-F:]+\]):\d{1,5}$/
const address = z.string().regex(LISTEN, 'must be an IP address and a port, such as 127.0.0.1:9901')
const AUTHORITY = /^[a-z0-9.-]+(:\d{1,5})?$/

const database = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must be 1 to 64 of a-z, 0-9, "-"')
    .describe('Name used in policy and records'),
  kind: z.string().describe('chroma, milvus, qdrant or weaviate'),
  authorities: z
    .array(z.string().regex(AUTHORITY, 'must be a lower-case host name, with a port if clients send one'))
    .min(1)
    .describe('Host or :authority values that mean this database; `host` also covers `host:any-port`'),
  url: z
    .string()
    .regex(/^http:\/\/[^/?#@\s]+$/, 'must be http://host:port without path')
    .optional()
    .describe('Chroma: where to ask for names; reachable by Envoy and this server only'),
  credential: credential
    .optional()
    .describe("The database's own credential; every client's is removed. Without it, calls go to the database without any"),
  version: z
    .string()
    .min(1)
    .describe('Version the calls are read for, checked against nothing else: Chroma 1.5.9, Milvus 2.6, Qdrant 1.19, Weaviate 1.35')
})

const actsAs = z
  .string()
  .refine((text) => parseSpiffeId(text).ok, 'must be a SPIFFE ID')
  .describe('SPIFFE ID in whose name is acted by whoever can open it; an operator, and an approver if the policy lists it')
const local = z.union([
  z.strictObject({
    socket: z.string().min(1).max(100).describe('Unix socket that only its owner may open, relative to this file'),
    as: actsAs
  }),
  z.strictObject({
    listen: address
      .refine((text) => /^(127\.|\[::1\]:)/.test(text), 'must be a loopback address')
      .describe('Loopback address of plain HTTP, for a browser'),
    token_file: z
      .string()
      .min(1)
      .describe('File, relative to this one, with the token; made where there is none, and only its owner may read it'),
    as: actsAs
  })
])

export const settingsSchema = z.strictObject({
  version: z.literal(1).describe('Version of this format'),
  role: z
    .enum(['gateway', 'egress', 'index'])
    .describe(
      'Role of this port; fixed here, never chosen by a message. `gateway`: in front of databases, alone. `egress`: in front of workloads, gives policy tokens. `index`: in front of databases, takes calls with a policy token only'
    ),
  audience: z
    .string()
    .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 printable characters without spaces')
    .optional()
    .describe('Name of the index: at `egress` whom policy tokens are for, at `index` our own'),
  token_leeway_seconds: z.int().min(0).max(5).default(2).describe('Role `index`: clock difference to egress that is tolerated'),
  listen: address.describe('Address of the ext_authz port (gRPC over mTLS)'),
  workload_api: z.string().min(1).describe('SPIFFE Workload API: unix:///path or tcp://ip:port'),
  envoys: z
    .array(z.string().startsWith('spiffe://'))
    .min(1)
    .optional()
    .describe(
      'SPIFFE IDs of the Envoys that may ask; any other peer is refused. Role `egress` has none: each workload asks with its own SVID, about itself'
    ),
  policy: z.string().min(1).describe('Policy file, or a folder of them, relative to this file'),
  policy_archive: z
    .string()
    .min(1)
    .optional()
    .describe('Folder in which every policy that comes into force is kept under its revision, relative to this file; without it, none is'),
  databases: z.array(database).min(1).describe('The databases behind those Envoys'),
  audit: audit.describe('Where decisions are recorded'),
  health: address.optional().describe('Address of the plain HTTP health port (/livez, /readyz)'),
  admin: z
    .strictObject({
      listen: address.describe('Address of the admin port (HTTPS over mTLS, whoever has an SVID that verifies)'),
      local: local.optional().describe('For people on this host: the same API, and the console (docs/operate.md)'),
      operators: z
        .array(z.string().refine((text) => compileIdPattern(text).ok, 'must be a SPIFFE ID or pattern'))
        .min(1)
        .describe('SPIFFE IDs or patterns of those who see every request and end runs; who may approve, the policy says'),
      signalers: z
        .array(z.string().refine((text) => compileIdPattern(text).ok, 'must be a SPIFFE ID or pattern'))
        .min(1)
        .optional()
        .describe('The same, of systems that may tell signals and figures about workloads, and nothing else; operators may as well')
    })
    .optional()
    .describe('Port for approvals and grants; without it, what needs one cannot be approved here'),
  inventory,
  access_log: z
    .strictObject({
      listen: address.describe('Address of the port on which `envoys` tell of answers (gRPC access log over mTLS, envoy/access-log.yaml)')
    })
    .optional()
    .describe('Takes what Envoy knows of answers: how much came back, and calls that nobody checked; without it, neither is seen'),
  traces: z
    .strictObject({
      url: z
        .string()
        .regex(/^https?:\/\/[^\s?#@]+$/, 'must be a http:// or https:// URL')
        .describe('OTLP over HTTP of a collector, such as http://127.0.0.1:4318/v1/traces'),
      ratio: z
        .number()
        .min(0)
        .max(1)
        .default(0)
        .describe("Share of the decisions that are in no trace of Envoy's; of those in one, Envoy decides"),
      per_second_max: z.int().min(1).max(1_000).default(50).describe('Most decisions traced in a second, whoever asks for it')
    })
    .optional()
    .describe("Decisions as OpenTelemetry spans in Envoy's traces; without it, none are made"),
  jwt_svid: z
    .strictObject({
      audience: z.string().min(1).max(255).describe('Who we are: one audience of each token must be exactly this'),
      leeway_seconds: z.int().min(0).max(60).default(5).describe('Clock difference tolerated')
    })
    .optional()
    .describe('This port takes JWT-SVIDs in `authorization`; without it they identify nobody'),
  subject_issuers: z
    .array(
      z.strictObject({
        issuer: z.string().min(1).max(512).describe('Exact `iss` of the tokens'),
        jwks_url: z
          .string()
          .regex(
            /^(https:\/\/|http:\/\/(127\.0\.0\.1|\[::1\]|localhost)[:/])[^\s?#@]+$/,
            'must be an https:// URL (http:// for loopback only)'
          )
          .optional()
          .describe('Where its keys are published'),
        jwks_file: z.string().min(1).optional().describe('File with its keys (a JWK set) instead, relative to this file'),
        ca_file: z.string().min(1).optional().describe('PEM of the authorities for that URL, instead of the public ones'),
        refresh_seconds: z.int().min(5).max(86_400).default(300).describe('How often the keys are read again'),
        max_age_seconds: z.int().min(60).max(604_800).default(86_400).describe('Keys older than this vouch for nobody')
      })
    )
    .optional()
    .describe("Issuers of end users' tokens, and where their keys are; what they may vouch for says the policy"),
  state: state
    .default({ kind: 'memory' })
    .describe('What several processes must know together: used policy tokens, approvals, grants, and how workloads stand'),
  risk: learning
    .prefault({})
    .describe('What is learnt of agent types, and how old what is known of standings may be; not at role `egress`, which has none'),
  paging: paging.optional().describe('Who is called when a person has to look; without it, the log says that one should be'),
  svid_ttl_seconds: z
    .int()
    .min(20)
    .max(7 * 86_400)
    .describe('Shortest lifetime of the SVIDs in use: connections from Envoy are closed before half of it'),
  bundle_max_age_seconds: z.int().min(5).max(86_400).describe('Trust bundles older than this no longer vouch for anybody'),
  body_bytes_max: z
    .int()
    .min(65_536)
    .max(WRITE_BODY_BYTES_MAX)
    .default(BODY_BYTES_MAX)
    .describe(
      'Most bytes of a body, unpacked; the same number as `max_request_bytes` of the Envoy filter that asks this port. More than the default belongs to a write lane with a process of its own'
    ),
  deadline_ms: z.int().min(10).max(10_000).describe("Longest a decision may take; keep it below Envoy's ext_authz timeout")
})

export type Settings = z.infer<typeof settingsSchema>
