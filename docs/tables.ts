/**
 * The tables that documents share with code. `node docs/tables.ts --write` puts them between their markers; a test holds them
 * there (test/docs.test.ts).
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { policySchema } from '../src/config/policy-schema.ts'
import { settingsSchema } from '../src/config/settings-schema.ts'
import { ACTIONS } from '../src/core/policy-document.ts'
import type { Dialect } from '../src/databases/dialect.ts'
import { DIALECTS } from '../src/databases/dialects.ts'
import { CHECKS } from '../src/doctor/checks.ts'
import { FACTS } from '../src/policy/when.ts'
import { coverage } from './coverage.ts'
import { forShadow, forSpire } from './envoy-variants.ts'
import { openapiDocument } from './openapi.ts'
import { whyDenied } from './why-denied.ts'

const ROOT = join(import.meta.dirname, '..')

interface Table {
  readonly file: string
  readonly marker: string
  readonly text: () => string
}

const TABLES: readonly Table[] = [
  { file: 'README.md', marker: 'coverage', text: coverageTable },
  { file: 'docs/why-denied.md', marker: 'denials', text: whyDenied },
  { file: 'docs/reference.md', marker: 'settings', text: () => keys(settingsSchema) },
  { file: 'docs/reference.md', marker: 'policy', text: () => keys(policySchema) },
  { file: 'docs/policy.md', marker: 'facts', text: facts },
  { file: 'docs/doctor.md', marker: 'checks', text: doctorChecks },
  { file: 'docs/chroma.md', marker: 'routes', text: () => routesOf(DIALECTS.chroma) },
  { file: 'docs/qdrant.md', marker: 'routes', text: () => routesOf(DIALECTS.qdrant) },
  { file: 'docs/milvus.md', marker: 'routes', text: () => routesOf(DIALECTS.milvus) },
  { file: 'docs/weaviate.md', marker: 'routes', text: () => routesOf(DIALECTS.weaviate) }
]

/** For editors: a policy's first line can be `# yaml-language-server: $schema=docs/policy.schema.json`. */
const POLICY_SCHEMA = 'docs/policy.schema.json'

/** For clients of the admin port; served there as /v1/openapi.json. */
const OPENAPI = 'docs/openapi.json'

/** Files of envoy/ that exist for a SPIRE agent as well. */
const SPIRE_VARIANTS = ['gateway.yaml', 'agent-sidecar.yaml', 'egress.yaml', 'index.yaml'] as const

/** Each document's name, its text, and the text it should have. */
export function documents(): { file: string; is: string; shouldBe: string }[] {
  const withTables = [...new Set(TABLES.map((one) => one.file))].map((file) => {
    const is = textOf(file)
    const shouldBe = TABLES.filter((one) => one.file === file).reduce(put, is)
    return { file, is, shouldBe }
  })
  const schema = { title: 'vecauthz policy', ...z.toJSONSchema(policySchema, { io: 'input' }) }
  const forAgent = SPIRE_VARIANTS.map((name) => made(`envoy/spire/${name}`, forSpire(name, textOf(`envoy/${name}`))))
  const variants = [...forAgent, made('envoy/shadow.yaml', forShadow(textOf('envoy/gateway.yaml')))]
  const json = (file: string, document: unknown) => ({ file, is: textOf(file), shouldBe: `${JSON.stringify(document, null, 2)}\n` })
  return [...withTables, ...variants, json(POLICY_SCHEMA, schema), json(OPENAPI, openapiDocument())]
}

function made(file: string, shouldBe: string) {
  return { file, is: textOf(file), shouldBe }
}

/** What is not there yet is empty. */
function textOf(file: string): string {
  return existsSync(join(ROOT, file)) ? readFileSync(join(ROOT, file), 'utf8') : ''
}

function put(document: string, { file, marker, text }: Table): string {
  const [from, to] = [`<!-- begin ${marker} -->`, `<!-- end ${marker} -->`]
  const [start, end] = [document.indexOf(from), document.indexOf(to)]
  if (start === -1 || end < start) throw new Error(`${file} has no place for the table "${marker}": it needs the lines ${from} and ${to}`)
  return `${document.slice(0, start + from.length)}\n${text()}\n${document.slice(end)}`
}

function rows(head: readonly string[], body: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...body.map(line)].join('\n')
}

const CELLS = { here: 'here', refused: 'refused', none: '–' } as const
/** What the database enforces as well, with a credential that vecauthz sets. */
const NATIVELY: Readonly<Record<string, string>> = {
  'qdrant collection': 'RBAC token for the collection',
  'weaviate native': 'OIDC token with a role for the tenant',
  'weaviate collection': 'OIDC token with a role for the class',
  'milvus database': 'user with rights in the database'
}

function coverageTable(): string {
  return rows(
    ['database', 'tenancy', ...ACTIONS, 'natively too'],
    coverage().map(({ database, tenancy, cells }) => [
      database,
      `\`${tenancy}\``,
      ...ACTIONS.map((action) => CELLS[cells[action]]),
      NATIVELY[`${database} ${tenancy}`] ?? '–'
    ])
  )
}

function doctorChecks(): string {
  return rows(
    ['line', 'what is true', 'hops', 'why'],
    CHECKS.map(({ id, line, hops, why }) => [`\`${id}\``, line, hops.length === 3 ? 'all' : hops.join(', '), why])
  )
}

const MEANS: { readonly [Name in keyof typeof FACTS]: { readonly [Field in keyof (typeof FACTS)[Name]]: string } } = {
  subject: {
    id: 'SPIFFE ID of the caller',
    trust_domain: 'its trust domain',
    path: 'its path, with the first slash',
    owner: 'of the workload',
    agent_type: 'of the workload',
    attestation: 'class of the workload',
    purposes: 'all of the workload',
    user: '`sub` of the end user for whom it acts',
    user_issuer: '`iss` of the end user',
    actors: 'who acted for the user before, the latest first; absent when there are more than 32'
  },
  resource: {
    database: 'id in the settings',
    namespace: 'the database inside the database (Chroma, Milvus)',
    collection: 'its name; absent where the call names none',
    tenant: 'the tenant of the call',
    region: "of the collection, else the tenant's",
    tags: 'of the collection'
  },
  environment: {
    ring: 'of the workload',
    zone: 'of the workload',
    purpose: 'of the call',
    time: 'when the call is decided (UTC)',
    exposure: 'largest weight of the tags × most records that come back × 10 with raw embeddings; 0 for what returns no records',
    top_k: 'most results of one query',
    queries: 'similarity queries in the call',
    records: 'records written or named by id',
    vectors_out: 'raw embeddings are asked for'
  }
}

function facts(): string {
  const fields = Object.entries(FACTS).flatMap(([name, types]) =>
    Object.entries(types).map(([field, type]) => [
      `\`${name}.${field}\``,
      type === 'google.protobuf.Timestamp' ? 'timestamp' : type,
      (MEANS as Record<string, Record<string, string>>)[name]?.[field] ?? ''
    ])
  )
  return rows(['what', 'type', 'meaning'], [...fields, ['`action`', 'string', 'what the call does: one of the actions of a rule']])
}

function routesOf({ routes }: Dialect): string {
  const described = routes.map((route) => {
    const does = 'operation' in route ? route.operation : `refused: ${route.refused}`
    return [route.method, `\`${route.template}\``, route.name, does]
  })
  return rows(['method', 'path', 'endpoint', 'operation'], described)
}

interface JsonSchema {
  readonly type?: string
  readonly description?: string
  readonly properties?: Record<string, JsonSchema>
  readonly required?: readonly string[]
  readonly items?: JsonSchema
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly oneOf?: readonly JsonSchema[]
}

/** Every key of a schema with its place, its type and its description. */
function keys(schema: z.ZodType): string {
  const found: string[][] = []
  const visit = (one: JsonSchema, path: string) => {
    for (const [name, child] of Object.entries(one.properties ?? {})) {
      const place = path === '' ? name : `${path}.${name}`
      found.push([`\`${place}\``, typeOf(child), one.required?.includes(name) ? 'yes' : 'no', child.description ?? ''])
      visit(child, place)
      for (const { properties: { kind, ...own } = {}, required } of child.oneOf ?? []) {
        if (kind === undefined) continue
        found.push([`\`${place}.kind\``, typeOf(kind), 'yes', kind.description ?? ''])
        visit(required === undefined ? { properties: own } : { properties: own, required }, place)
      }
      if (child.items !== undefined) visit(child.items, `${place}[]`)
    }
  }
  visit(z.toJSONSchema(schema) as JsonSchema, '')
  return rows(['key', 'type', 'required', 'meaning'], found)
}

function typeOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum !== undefined) return schema.enum.map(String).join(', ')
  if (schema.items !== undefined) return `list of ${typeOf(schema.items)}`
  return schema.type ?? (schema.oneOf === undefined ? 'any' : 'object')
}

if (process.argv[1] === import.meta.filename && process.argv.includes('--write')) {
  for (const { file, shouldBe } of documents()) writeFileSync(join(ROOT, file), shouldBe)
}
