/**
 * Which operations pass under which tenancy: not claimed but tried, with what the official clients send (test/databases/recorded/)
 * through the dialects and the grant. `node docs/tables.ts --write` puts the table into README.md.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Inbound } from '../src/core/inbound.ts'
import { ACTIONS, type Action, type PolicyDocument } from '../src/core/policy-document.ts'
import type { DatabaseKind, Tenancy, VectorCall } from '../src/core/vector-call.ts'
import type { Dialect } from '../src/databases/dialect.ts'
import { DIALECTS, SERVED } from '../src/databases/dialects.ts'
import { compilePolicy } from '../src/policy/compile.ts'
import { grantFor, tenantOf } from '../src/policy/grant.ts'
import { type Workload, workloadOf } from '../src/policy/policy.ts'
import { callerOf } from '../test/support/grants.ts'

const RECORDED = join(import.meta.dirname, '../test/databases/recorded')
/** Folders of each database, one for each client. */
const CLIENTS: Readonly<Record<DatabaseKind, readonly string[]>> = {
  chroma: ['chroma/3.5.0', 'chroma-python/1.5.9'],
  milvus: ['milvus/3.0.6'],
  qdrant: ['qdrant-rest/1.19.0', 'qdrant-grpc/1.19.0'],
  weaviate: ['weaviate/3.14.0', 'weaviate-python/4.23.1']
}
const CALLER = 'spiffe://docs.test/agent'

interface Recorded {
  readonly request: {
    readonly method?: string
    readonly target: string
    readonly headers: Readonly<Record<string, string>>
    readonly body?: string | null
    readonly base64?: string
  }
}

export interface CoverageRow {
  readonly database: DatabaseKind
  readonly tenancy: Tenancy
  /** `here`: a client's call passes. `refused`: the database has such endpoints, and none of the clients' calls passes. `none`: it has none. */
  readonly cells: Readonly<Record<Action, 'here' | 'refused' | 'none'>>
}

export function coverage(): readonly CoverageRow[] {
  return Object.values(DIALECTS).flatMap((dialect: Dialect) => {
    const calls = CLIENTS[dialect.kind].flatMap(readAll).flatMap((inbound) => {
      const read = dialect.readCall(inbound)
      return read.ok ? [read.value] : []
    })
    return dialect.tenancies.map((tenancy) => ({ database: dialect.kind, tenancy, cells: cellsOf(dialect, tenancy, calls) }))
  })
}

function cellsOf(dialect: Dialect, tenancy: Tenancy, calls: readonly VectorCall[]): CoverageRow['cells'] {
  const passing = new Set(calls.filter((call) => passes(call, dialect, tenancy)).map(({ operation }) => operation))
  const served = new Set(dialect.routes.map((route) => ('operation' in route ? route.operation : undefined)))
  const known = new Set(calls.map(({ operation }) => operation))
  const cell = (action: Action) => (passing.has(action) ? 'here' : served.has(action) || known.has(action) ? 'refused' : 'none')
  return Object.fromEntries(ACTIONS.map((action) => [action, cell(action)])) as CoverageRow['cells']
}

function readAll(folder: string): readonly Inbound[] {
  const path = join(RECORDED, folder)
  return readdirSync(path)
    .filter((name) => name.endsWith('.json'))
    .flatMap((name) => {
      const { request } = JSON.parse(readFileSync(join(path, name), 'utf8')) as Recorded
      return [request, ...variants(folder, request)].map(inboundOf)
    })
}

/** The same call as it is sent under another tenancy: Qdrant's with a shard key, Weaviate's to a class without tenants of its own. */
function variants(folder: string, request: Recorded['request']): readonly Recorded['request'][] {
  const { target, body } = request
  if (folder.startsWith('qdrant-rest') && body?.startsWith('{') === true) {
    return [{ ...request, body: JSON.stringify({ ...JSON.parse(body), shard_key: 'acme' }) }]
  }
  if (!folder.startsWith('weaviate') || (request.headers['content-type'] ?? '').startsWith('application/grpc')) return []
  const bare = target.replace(/[?&]tenant=[^&]*/, '').replace(/^([^?]*)&/, '$1?')
  if (body?.startsWith('{') !== true) return [{ ...request, target: bare }]
  const { tenant: _, ...rest } = JSON.parse(body)
  return [{ ...request, target: bare, body: JSON.stringify(rest) }]
}

function inboundOf({ method = 'POST', target, headers, body, base64 }: Recorded['request']): Inbound {
  const grpc = (headers['content-type'] ?? '').startsWith('application/grpc')
  const text = base64 ?? body ?? ''
  const bytes = text === '' ? undefined : Buffer.from(text, base64 !== undefined || grpc ? 'base64' : 'utf8')
  const kept = Object.entries(headers).filter(([name]) => name !== 'content-length')
  const peer = { peerCertificate: undefined, peerPrincipal: undefined, httpId: '1', strippedCredentials: [] }
  return { method, target, authority: headers['host'] ?? '', headers: new Map(kept), body: bytes, grpc, ...peer }
}

/** Whether the call passes for one of the tenants that it could be for. */
function passes(call: VectorCall, { kind }: Dialect, tenancy: Tenancy): boolean {
  if (call.targets.length === 0) return false
  const pinned = call.targets.flatMap(({ bounds }) => [...(bounds?.pins.keys() ?? [])])
  const fields = tenancy === 'filter' ? [...new Set([...pinned, 'tenant'])] : ['']
  return fields.some((field) =>
    candidates(call).some((tenant) => granted(call, kind, policyFor(call, kind, tenancy, tenant, field), tenant))
  )
}

/** Every text of the call that can be the name of a tenant. */
function candidates({ targets }: VectorCall): readonly string[] {
  const all = targets.flatMap(({ tenant, namespace, collection, bounds }) => [
    tenant.kind === 'none' ? undefined : tenant.tenant,
    namespace,
    'name' in collection ? collection.name : undefined,
    ...(bounds?.shards ?? []),
    ...(bounds?.pins.values() ?? [])
  ])
  return [...new Set(all.filter((one): one is string => one !== undefined && one !== ''))]
}

function policyFor({ targets }: VectorCall, kind: DatabaseKind, tenancy: Tenancy, tenant: string, field: string): PolicyDocument {
  const namespaces = kind === 'chroma' || kind === 'milvus' ? [...new Set(targets.map((one) => one.namespace ?? 'default'))] : [undefined]
  const names = tenancy === 'collection' ? ['{tenant}'] : ['*']
  const allow = [{ tenants: [tenant], actions: [...ACTIONS] }]
  const entry = (namespace: string | undefined) => ({
    database: kind,
    ...(namespace === undefined ? {} : { namespace: tenancy === 'database' ? '{tenant}' : namespace }),
    names,
    tenancy: tenancy === 'filter' ? { filter: field } : tenancy,
    allow
  })
  return {
    version: 1,
    trust_domains: ['docs.test'],
    tenants: [{ id: tenant }],
    workloads: [{ spiffe_id: CALLER, tenants: [tenant] }],
    collections: (tenancy === 'database' ? [namespaces[0]] : namespaces).map(entry),
    limits: { top_k: 1_000_000, queries: 1_000_000, records: 1_000_000, vectors_out: 'allow' },
    budget: { per_second: 1, burst: 1 }
  }
}

function granted(call: VectorCall, kind: DatabaseKind, document: PolicyDocument, tenant: string): boolean {
  const known = { databases: SERVED.filter((one) => one.kind === kind).map((one) => ({ id: kind, ...one })), subjectIssuers: [] }
  const compiled = compilePolicy(document, known, 'docs', () => 'docs')
  if (!compiled.ok) return false
  const { policy } = compiled
  const caller = callerOf(CALLER)
  const workload = workloadOf(policy, caller.id) as Workload
  const named = tenantOf(call, { workload, subject: undefined, database: kind, policy, pin: undefined })
  if (!named.ok || named.value !== tenant) return false
  // An id of Chroma's stands for a name that the database gave; the name is not what decides here.
  const targets = call.targets.map(({ tenant: claim, collection, ...rest }) => {
    const resolved = collection.kind === 'id' ? { kind: 'name' as const, name: collection.id } : collection
    return { ...rest, tenant, claim, collection: resolved }
  })
  const unlimited = { ...call, shape: { ...call.shape, topK: Math.min(call.shape.topK, 1_000_000) } }
  return grantFor(caller, unlimited, tenant, targets, kind, policy, { workload, purpose: undefined, now: 0 }).ok
}
