/** Our own decision about a request, in this process: the message as Envoy writes it, the real policy, the real names. */
import { CheckRequest, CheckResponse } from '@envoyproxy/protos/auth'
import { accept } from '../../../src/core/deny-reason.ts'
import type { KnownServer } from '../../../src/core/policy-document.ts'
import type { ResolvedTarget, VectorCall } from '../../../src/core/vector-call.ts'
import type { Dialect } from '../../../src/databases/dialect.ts'
import { SERVED } from '../../../src/databases/dialects.ts'
import { createDecider, type Decided } from '../../../src/envoy/decide.ts'
import { createCallerCaches } from '../../../src/identity/identify-call.ts'
import { createVerdictCache } from '../../../src/identity/verdict-cache.ts'
import { compilePolicy } from '../../../src/policy/compile.ts'
import { createMemory } from '../../../src/state/memory.ts'
import type { Account, Served, World } from '../../../src/world.ts'
import { bundlesOf, envoyPem, issueSvid, makeAuthority } from '../../support/ca.ts'
import { documentOf } from '../../support/policy.ts'
import type { Header, Wire } from './wire.ts'

const HOST = 'db.demo.vecauthz.test'
const TRUST_DOMAIN = 'demo.vecauthz.test'
/** The tenant that asks, and the one that must stay as it is. */
export const OURS = 'acme'
export const THEIRS = 'globex'
/** What policy writes where every action is allowed. */
export const ALL = `allow: [{ tenants: [${OURS}, ${THEIRS}], actions: [search, read, write, delete, define, drop, export, observe] }]`

const DATABASES: KnownServer = { databases: SERVED.map((one) => ({ id: one.kind, ...one })), subjectIssuers: [] }
/** Time passes quickly here, so that no budget and no allowance of misses is ever used up. */
const MS_PER_REQUEST = 3_000

/** @param collections as YAML */
function policyText(collections: string): string {
  return `
version: 1
trust_domains: [${TRUST_DOMAIN}]
tenants: [{ id: ${OURS} }, { id: ${THEIRS} }]
workloads: [{ spiffe_id: 'spiffe://${TRUST_DOMAIN}/${OURS}/agent', tenants: [${OURS}] }]
collections:
${collections}
limits: { top_k: 1000000, queries: 1000000, records: 1000000, vectors_out: allow }
budget: { per_second: 100000, burst: 1000000 }
`
}

export type Told =
  | { readonly verdict: 'allow'; readonly wire: Wire; readonly account: Account }
  | { readonly verdict: 'deny'; readonly kind: string; readonly because: string; readonly account: Account }

export interface Judge {
  readonly decide: (wire: Wire) => Promise<Told>
}

/** @param servedAt given the clock of the decisions, which is not the wall's */
export async function judgeOf(collections: string, servedAt: (now: () => number) => Served, control?: string): Promise<Judge> {
  if (control === EVERYTHING) return gullible
  const from = Date.now()
  const until = from + 400 * 86_400_000
  const root = await makeAuthority({ trustDomain: TRUST_DOMAIN, notBefore: from - 3_600_000, notAfter: until })
  const svid = await issueSvid(root, { id: `spiffe://${TRUST_DOMAIN}/${OURS}/agent`, notBefore: from - 3_600_000, notAfter: until })
  const compiled = compilePolicy(documentOf(policyText(collections)), DATABASES, 'differential', (path) => path.join('.'))
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults))
  let asked = 0
  const now = () => from + asked * MS_PER_REQUEST
  const served = servedAt(now)
  const world: World = {
    trust: bundlesOf([root]),
    trustAgeMs: 0,
    trustAgeMsMax: 60_000,
    policy: compiled.policy,
    served: (authority) => (authority === HOST ? served : undefined),
    tokens: undefined,
    subjectKeys: { generation: 1, keysOf: () => undefined, askAgain: () => false },
    subjectLeewayMs: 5_000,
    changedAt: () => 0,
    callers: createCallerCaches(100),
    subjects: createVerdictCache(100),
    memory: createMemory(),
    risk: undefined,
    role: { kind: 'gateway' },
    approvals: undefined
  }
  const peer = { certificate: envoyPem(svid.chain[0] as Uint8Array), principal: svid.id }
  let heard: Decided | undefined
  const decider = createDecider({
    now,
    tick: () => 0,
    newDecisionId: () => 'dddddddd-1111-4222-8333-444444444444',
    world: () => world,
    credentials: () => undefined,
    record: (decided) => {
      heard = decided
      return true
    },
    onFault: (_, cause) => {
      throw cause
    },
    deadlineMs: 30_000,
    pendingMax: 10
  })
  return {
    decide: async (wire) => {
      asked++
      const answer = CheckResponse.decode(await decider.decide(messageOf(wire, peer), ENVOY))
      const { account = {}, decision } = heard ?? {}
      if (answer.status?.code !== 0 || answer.okResponse === undefined || decision === undefined) {
        const reason = decision?.verdict === 'deny' ? decision.reason : { kind: 'internal', because: 'no decision' }
        return { verdict: 'deny', kind: reason.kind, because: reason.because, account }
      }
      // As Envoy does it: what is set replaces every copy, and then what is to go goes.
      const { headers, headersToRemove } = answer.okResponse
      const set = headers.map(
        ({ header }): Header => [header?.key ?? '', Buffer.from(header?.rawValue ?? []).toString('latin1') || (header?.value ?? '')]
      )
      const [overwritten, gone] = [new Set(set.map(([name]) => name)), new Set(headersToRemove)]
      const left = [...wire.headers.filter(([name]) => !overwritten.has(name)), ...set].filter(([name]) => !gone.has(name))
      return { verdict: 'allow', account, wire: { ...wire, headers: left } }
    }
  }
}

const ENVOY = { ok: true, id: `spiffe://${TRUST_DOMAIN}/envoy/gateway` } as const

/** A database whose calls name their collections. */
export function byName(id: string, dialect: Dialect): Served {
  const resolve = (call: VectorCall, tenant: string) =>
    call.targets.map(({ tenant: claim, ...rest }) => ({ ...rest, claim, tenant }) as ResolvedTarget)
  return { id, dialect, resolve: (_, call, tenant) => accept(resolve(call, tenant)), forget: () => undefined }
}

/** The control that allows whatever it is asked. */
export const EVERYTHING = 'everything allowed'

const gullible: Judge = { decide: (wire) => Promise.resolve({ verdict: 'allow', wire, account: {} }) }

/** As Envoy writes it for a request of HTTP/1.1 (REST) or HTTP/2 (gRPC). */
function messageOf({ port, method, target, headers, body }: Wire, source: { certificate: string; principal: string }): Buffer {
  const all: Header[] = [[':method', method], [':path', target], [':authority', HOST], [':scheme', 'https'], ...headers]
  if (body !== undefined && port === 'rest') all.push(['content-length', String(body.length)])
  if (body !== undefined) all.push(['x-envoy-auth-partial-body', 'false'])
  const http = {
    id: '',
    method,
    path: target,
    host: HOST,
    scheme: 'https',
    size: body?.length ?? 0,
    protocol: port === 'rest' ? 'HTTP/1.1' : 'HTTP/2',
    headers: {},
    headerMap: { headers: all.map(([key, value]) => ({ key, rawValue: Buffer.from(value, 'latin1') })) },
    body: '',
    rawBody: body ?? Buffer.alloc(0)
  }
  return Buffer.from(CheckRequest.encode(CheckRequest.fromPartial({ attributes: { source, request: { http } } })).finish())
}
