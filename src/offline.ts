/** The server's own decider without a server: the same path from the bytes of a check to the bytes of its answer, on facts that are handed in. */
import { generateKeyPairSync } from 'node:crypto'
import { CheckResponse } from '@envoyproxy/protos/auth'
import type { Assumed, Judge, Judged, Told } from './admin/check-decision.ts'
import type { Facts } from './admin/check-edges.ts'
import { auditLine } from './audit/record.ts'
import type { CredentialSettings } from './config/credential-schema.ts'
import type { Settings } from './config/settings-schema.ts'
import type { Caller, Connection } from './core/caller.ts'
import { accept } from './core/deny-reason.ts'
import { secretOf } from './core/secret.ts'
import type { TrustBundles } from './core/trust.ts'
import { readCheckRequest } from './envoy/check-request.ts'
import { createDecider, type Decided } from './envoy/decide.ts'
import { createCallerCaches } from './identity/identify-call.ts'
import { decodeUrlPem } from './identity/pem.ts'
import { createVerdictCache } from './identity/verdict-cache.ts'
import { CHAIN_CERTIFICATES_MAX } from './identity/x509-svid.ts'
import { type Assume, createAssume } from './offline-assumed.ts'
import type { Policy } from './policy/policy.ts'
import { credentialRule } from './serve-credentials.ts'
import { type AskedOf, serveDatabases } from './serve-databases.ts'
import { roleOf } from './serve-role.ts'
import { createMemory } from './state/memory.ts'
import { type Credentials, createCredentials } from './verdict/native-credential.ts'
import type { World } from './world.ts'

const DECISION_ID = '00000000-0000-4000-8000-000000000000'
/** Nobody waits for the answer. */
const DEADLINE_MS = 60_000
const SUBJECT_LEEWAY_MS = 30_000

/** Each call is judged by itself: budgets are full, nothing is remembered. */
export function createJudge(settings: Settings, policy: Policy, facts: Facts): Judge {
  let assume: Promise<Assume> | undefined
  return async (message, assumed) => {
    // What is refused as it stands would be refused whoever called, and writing it anew could mend it.
    if (assumed === undefined || !readCheckRequest(message, settings.body_bytes_max).ok)
      return judge(message, undefined, settings, policy, facts)
    assume ??= createAssume(facts.at)
    const evidence = await (await assume)(message, assumed, policy.subjects)
    const anchors = evidence.trust.x509
    const subjectKeys = new Map([...policy.subjects.keys()].map((issuer) => [issuer, evidence.subjectKeys]))
    return judge(evidence.message, assumed, settings, policy, { ...facts, anchors, jwtKeys: undefined, subjectKeys })
  }
}

async function judge(message: Buffer, assumed: Assumed | undefined, settings: Settings, policy: Policy, facts: Facts): Promise<Judged> {
  const records: Decided[] = []
  const faults: unknown[] = []
  const credentials = new Map(settings.databases.map(({ id, kind, credential }) => [id, credential && stoodIn(kind, credential)]))
  const decider = createDecider({
    now: () => facts.at,
    tick: () => 0,
    newDecisionId: () => DECISION_ID,
    world: () => worldOf(assumed, settings, policy, facts),
    credentials: (database) => credentials.get(database),
    record: (decided) => records.push(decided) > 0,
    onFault: (_, cause) => void faults.push(cause),
    bodyBytesMax: settings.body_bytes_max,
    deadlineMs: DEADLINE_MS,
    pendingMax: 1
  })
  const answer = await decider.decide(message, { ok: true, id: settings.envoys?.[0] ?? '', connection: connectionOf(message, settings) })
  const [decided] = records
  if (decided === undefined) throw faults[0] ?? new Error('a decision without a record')
  const { account, decision } = decided
  const record = JSON.parse(auditLine(decided)) as Judged['record']
  return { record, account, readable: decided.inbound !== undefined, decision, policy, told: toldBy(answer), assumed }
}

function worldOf(assumed: Assumed | undefined, settings: Settings, policy: Policy, { at, anchors, ...facts }: Facts): World {
  const trust: TrustBundles | undefined = anchors && { generation: 1, x509: anchors, receivedAt: at }
  const bundles = facts.jwtKeys && { generation: 1, keys: facts.jwtKeys, receivedAt: at }
  const door = settings.jwt_svid && { audience: settings.jwt_svid.audience, leewayMs: settings.jwt_svid.leeway_seconds * 1000, bundles }
  return {
    trust,
    trustAgeMs: 0,
    trustAgeMsMax: 0,
    // Whoever is assumed to call needs no token of its own, and one that came along is not its.
    tokens: assumed === undefined ? door : undefined,
    subjectKeys: { generation: 1, keysOf: (issuer) => facts.subjectKeys.get(issuer), askAgain: () => false },
    subjectLeewayMs: SUBJECT_LEEWAY_MS,
    policy,
    changedAt: () => 0,
    served: serveDatabases(settings, () => ({}), namesIn(facts.resolved)),
    callers: createCallerCaches(1),
    subjects: createVerdictCache<Caller>(1),
    memory: createMemory(),
    risk: undefined,
    role: roleOf(settings),
    // Nobody is asked, and nothing was approved: what needs an approval is refused for that.
    approvals: { use: ({ steps: [step = 'approval'] }) => ({ kind: 'required', step, id: 'ID', state: 'waiting' }) }
  }
}

/** Role egress: the connection that asks is whose call it is, and a message on its own has its certificate in `source.certificate`. */
function connectionOf(message: Buffer, { role, body_bytes_max }: Settings): Connection | undefined {
  const inbound = role === 'egress' ? readCheckRequest(message, body_bytes_max) : undefined
  if (inbound?.ok !== true || inbound.value.peerCertificate === undefined) return undefined
  const read = decodeUrlPem(inbound.value.peerCertificate, CHAIN_CERTIFICATES_MAX)
  return read.ok ? { chain: read.certificates } : undefined
}

/** Names from a table: an id that is not in it cannot be had, one of another place is not there. */
function namesIn(resolved: Facts['resolved']): AskedOf {
  return () => ({
    path: (tenant, namespace, id) => JSON.stringify([tenant, namespace, id]),
    fetchName: async (path) => {
      const [tenant, namespace, id] = JSON.parse(path) as [string, string, string]
      const found = resolved.get(id)
      if (found === undefined) throw new Error(`no name is given for ${id}`)
      const here = found.tenant === tenant && found.namespace === namespace
      return { status: here ? 200 : 404, body: Buffer.from(JSON.stringify({ id, tenant, namespace, name: found.name })) }
    },
    read: (status, body) => accept(status === 200 ? JSON.parse(Buffer.from(body).toString()) : 'absent')
  })
}

/** The database's credential as the rules have it, with a secret that stands in for the real one: it is not printed, and not read here. */
function stoodIn(kind: string, settings: CredentialSettings): Credentials {
  const secret = secretOf(settings.mode === 'oidc' ? rsaKey() : 'stands-in-for-the-secret-of-the-database')
  return createCredentials(credentialRule(kind, settings), () => accept(secret))
}

function rsaKey(): string {
  return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
}

function toldBy(answer: Buffer): Told {
  const { status, okResponse, deniedResponse } = CheckResponse.decode(answer)
  const pairs = (headers: NonNullable<typeof okResponse>['headers'] = []) =>
    headers.map(({ header }) => [header?.key ?? '', header?.value ?? ''] as const)
  return {
    grpc: status?.code ?? 0,
    http: deniedResponse?.status?.code,
    set: pairs(okResponse?.headers),
    remove: okResponse?.headersToRemove ?? [],
    respond: pairs(deniedResponse?.headers ?? okResponse?.responseHeadersToAdd)
  }
}
