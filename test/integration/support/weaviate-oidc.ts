/**
 * Weaviate with OIDC and RBAC, as docs/credentials.md sets it up, and the credentials that vecauthz makes for it: what comes of them,
 * as one line of JSON for each call. Meant to run in a network namespace of its own, where server, key set and calls meet on loopback.
 * Usage: weaviate-oidc.ts FOLDER
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import * as grpc from '@grpc/grpc-js'
import pino from 'pino'
import { freePort, startDatabase } from '../../../demo/database-process.ts'
import { dyingWithParent } from '../../../demo/envoy.ts'
import { weaviateBinary } from '../../../setup/components.ts'
import { startHealth } from '../../../src/admin/health.ts'
import { createMetrics } from '../../../src/admin/metrics.ts'
import { settingsSchema } from '../../../src/config/settings-schema.ts'
import type { Grant } from '../../../src/core/decision.ts'
import { openCredentials } from '../../../src/serve-credentials.ts'
import { chunk, floatBytes, number } from '../../databases/protobuf-write.ts'
import { callerOf, callOf, targetOf } from '../../support/grants.ts'

const ISSUER = 'https://vecauthz.demo.test'
const AUDIENCE = 'weaviate'
const ADMIN_KEY = 'key-of-the-operator-of-this-test'
const TENANTS = ['acme', 'globex'] as const
type Tenant = (typeof TENANTS)[number]
const OBJECTS: Readonly<Record<Tenant, string>> = {
  acme: '11111111-2222-4333-8444-555555555555',
  globex: '99999999-2222-4333-8444-555555555555'
}

const folder = process.argv[2] ?? ''
// In a namespace of its own not even loopback is up; elsewhere it is, and this fails.
spawnSync('ip', ['link', 'set', 'lo', 'up'])
const [rest = 0, grpcPort = 0, gossip, data, raft, raftRpc] = await Promise.all(Array.from({ length: 6 }, () => freePort(0)))
const base = `http://127.0.0.1:${rest}`

const settings = settingsSchema.parse({
  version: 1,
  role: 'gateway',
  listen: '127.0.0.1:0',
  workload_api: 'unix:///nowhere.sock',
  envoys: ['spiffe://demo.vecauthz.test/envoy/gateway'],
  policy: 'policy.yaml',
  databases: [
    {
      id: 'weaviate',
      kind: 'weaviate',
      version: '1.35',
      authorities: ['weaviate.test'],
      credential: { mode: 'oidc', issuer: ISSUER, audience: AUDIENCE }
    },
    {
      id: 'other',
      kind: 'weaviate',
      version: '1.35',
      authorities: ['other.test'],
      credential: { mode: 'oidc', issuer: ISSUER, audience: 'other' }
    }
  ],
  audit: { file: 'stdout' },
  svid_ttl_seconds: 600,
  bundle_max_age_seconds: 600,
  deadline_ms: 400
})
const credentials = openCredentials(settings, {
  settingsFile: join(folder, 'settings.yaml'),
  environment: () => undefined,
  log: pino({ level: 'silent' })
})
while (credentials.fault() !== undefined) await new Promise((resolve) => setTimeout(resolve, 20))
const metrics = createMetrics(() => ({
  svidNotAfter: undefined,
  trustBundleAgeMs: undefined,
  jwtBundleAgeMs: undefined,
  generation: undefined,
  subjectKeyAgesMs: [],
  credentials: credentials.counts()
}))
const health = await startHealth('127.0.0.1', 0, () => undefined, metrics, credentials.jwks)

const [command, before] = dyingWithParent(weaviateBinary())
const stop = await startDatabase({
  name: 'Weaviate',
  command,
  args: [...before, '--host', '127.0.0.1', '--port', String(rest), '--scheme', 'http'],
  env: {
    PATH: process.env['PATH'],
    PERSISTENCE_DATA_PATH: join(folder, 'data'),
    GRPC_PORT: String(grpcPort),
    CLUSTER_HOSTNAME: 'node1',
    CLUSTER_BIND_ADDR: '127.0.0.1',
    CLUSTER_ADVERTISE_ADDR: '127.0.0.1',
    CLUSTER_GOSSIP_BIND_PORT: String(gossip),
    CLUSTER_DATA_BIND_PORT: String(data),
    RAFT_PORT: String(raft),
    RAFT_INTERNAL_RPC_PORT: String(raftRpc),
    RAFT_BOOTSTRAP_EXPECT: '1',
    RAFT_JOIN: `node1:${raft}`,
    DEFAULT_VECTORIZER_MODULE: 'none',
    DISABLE_TELEMETRY: 'true',
    GO_PROFILING_DISABLE: 'true',
    LOG_LEVEL: 'warning',
    AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED: 'false',
    AUTHENTICATION_OIDC_ENABLED: 'true',
    AUTHENTICATION_OIDC_ISSUER: ISSUER,
    AUTHENTICATION_OIDC_CLIENT_ID: AUDIENCE,
    AUTHENTICATION_OIDC_USERNAME_CLAIM: 'sub',
    AUTHENTICATION_OIDC_GROUPS_CLAIM: 'groups',
    AUTHENTICATION_OIDC_JWKS_URL: `http://127.0.0.1:${health.port}/credentials/jwks.json`,
    AUTHENTICATION_APIKEY_ENABLED: 'true',
    AUTHENTICATION_APIKEY_ALLOWED_KEYS: ADMIN_KEY,
    AUTHENTICATION_APIKEY_USERS: 'operator',
    AUTHORIZATION_RBAC_ENABLED: 'true',
    AUTHORIZATION_RBAC_ROOT_USERS: 'operator'
  },
  logFile: join(folder, 'weaviate.log'),
  isUp: async () => (await fetch(`${base}/v1/.well-known/ready`)).ok
})

try {
  await prepare()
  for (const [name, status] of Object.entries(await results())) process.stdout.write(`${JSON.stringify({ name, status })}\n`)
} finally {
  await stop()
  await credentials.close()
  health.close()
}
process.exit(0)

async function operator(path: string, body: object): Promise<void> {
  const headers = { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' }
  const answer = await fetch(`${base}/v1/${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
}

/** A class with two tenants, an object in each, and for each a role that its group has. */
async function prepare(): Promise<void> {
  const properties = [{ name: 'text', dataType: ['text'] }]
  await operator('schema', { class: 'Docs', vectorizer: 'none', properties, multiTenancyConfig: { enabled: true } })
  await operator('schema/Docs/tenants', TENANTS.map((name) => ({ name })) as never)
  for (const tenant of TENANTS) {
    await operator('objects', { class: 'Docs', tenant, id: OBJECTS[tenant], properties: { text: tenant }, vector: [0.1, 0.2] })
    const permissions = ['read_data', 'create_data', 'update_data'].map((action) => ({
      action,
      data: { collection: 'Docs', tenant, object: '*' }
    }))
    await operator('authz/roles', { name: `tenant_${tenant}`, permissions })
    await operator(`authz/groups/${tenant}/assign`, { roles: [`tenant_${tenant}`], groupType: 'oidc' })
  }
}

/** The header that a granted call gets. */
function headerFor(tenant: Tenant, now = Date.now(), database = 'weaviate'): string {
  const caller = callerOf(`spiffe://demo.vecauthz.test/${tenant}/agent`)
  const grant = {
    kind: 'tenant',
    caller,
    call: callOf('read', tenant),
    tenant,
    targets: [targetOf(tenant, 'Docs')],
    rule: ''
  } as unknown as Grant
  const credential = credentials.of(database)?.(grant, now)
  if (credential?.ok !== true) throw new Error('no credential')
  return credential.value?.header[1] ?? ''
}

async function results(): Promise<Record<string, number | string>> {
  const [acme, globex] = [headerFor('acme'), headerFor('globex')]
  const forged = `${acme.slice(0, -4)}AAAA`
  return {
    'acme reads its object': await readObject('acme', acme),
    'globex reads its object': await readObject('globex', globex),
    "acme's token reads globex's": await readObject('globex', acme),
    "globex's token reads acme's": await readObject('acme', globex),
    'acme writes': await writeObject('acme', acme),
    "acme's token writes into globex": await writeObject('globex', acme),
    'acme searches over gRPC': await search('acme', acme),
    "acme's token searches globex over gRPC": await search('globex', acme),
    "acme's token drops the class": await status('schema/Docs', 'DELETE', acme),
    'no token': await readObject('acme', undefined),
    'a token that has expired': await readObject('acme', headerFor('acme', Date.now() - 60_000)),
    'a token for another server': await readObject('acme', headerFor('acme', Date.now(), 'other')),
    'a token with another signature': await readObject('acme', forged)
  }
}

async function status(path: string, method: string, authorization: string | undefined, body?: object): Promise<number> {
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  if (authorization !== undefined) headers['authorization'] = authorization
  const answer = await fetch(`${base}/v1/${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  await answer.arrayBuffer()
  return answer.status
}

function readObject(tenant: Tenant, authorization: string | undefined): Promise<number> {
  return status(`objects/Docs/${OBJECTS[tenant]}?tenant=${tenant}`, 'GET', authorization)
}

function writeObject(tenant: Tenant, authorization: string): Promise<number> {
  return status('objects', 'POST', authorization, { class: 'Docs', tenant, properties: { text: 'new' }, vector: [0.3, 0.4] })
}

/** SearchRequest: collection 1, tenant 10, metadata 21 { uuid 1 }, limit 30, near_vector 43 { vector_bytes 4 }, uses_127_api 127. @returns the name of the gRPC status */
function search(tenant: Tenant, authorization: string): Promise<string> {
  const vector = chunk(43, chunk(4, floatBytes([0.1, 0.2])))
  const message = Buffer.concat([chunk(1, 'Docs'), chunk(10, tenant), chunk(21, number(1, 1)), number(30, 5), vector, number(127, 1)])
  const metadata = new grpc.Metadata()
  metadata.set('authorization', authorization)
  const client = new grpc.Client(`127.0.0.1:${grpcPort}`, grpc.credentials.createInsecure())
  const bytes = (one: Buffer) => one
  return new Promise((resolve) => {
    client.makeUnaryRequest('/weaviate.v1.Weaviate/Search', bytes, bytes, message, metadata, (error, answer) => {
      client.close()
      resolve(
        error === null
          ? `OK, ${answer?.includes(Buffer.from(OBJECTS[tenant])) ? 'its object' : 'nothing'}`
          : (grpc.status[error.code] ?? '?')
      )
    })
  })
}
