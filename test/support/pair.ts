/** Egress and index in one process: two real deciders, and the hop between them as Envoy makes it. */
import { CheckResponse } from '@envoyproxy/protos/auth'
import type { SpentTokens } from '../../src/core/policy-token.ts'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { chroma } from '../../src/databases/chroma.ts'
import { createDecider, type Decided, type Vouch } from '../../src/envoy/decide.ts'
import { createPolicyIssuerCache } from '../../src/identity/policy-token-issuer.ts'
import { voucher } from '../../src/serve-role.ts'
import { createSpentTokens } from '../../src/state/spent-tokens.ts'
import type { Served, World } from '../../src/world.ts'
import { envoyPem, issueSvid, type Svid } from './ca.ts'
import { type CheckParts, checkRequest } from './check-request.ts'
import { POLICY, policyOf } from './policy.ts'
import { type TestWorld, testWorld } from './world.ts'

export const AUDIENCE = 'index.demo.vecauthz.test'
export const EGRESS_ID = 'spiffe://demo.vecauthz.test/vecauthz/egress'
const ISSUERS = `issuers: [{ spiffe_id: ${EGRESS_ID}, tenants: [acme, globex], audiences: [${AUDIENCE}] }]\n`
export const PAIR_POLICY = POLICY + ISSUERS

export interface Answer {
  readonly reason: string
  /** The problem document of a denial. */
  readonly problem: { readonly reason?: string; readonly approval_id?: string; readonly detail?: string } | undefined
  readonly set: ReadonlyMap<string, string>
  readonly removed: readonly string[]
  readonly metadata: { readonly verdict?: string; readonly judged?: string; readonly judged_reason?: string }
  readonly record: Decided
}

export interface PairOptions {
  readonly egressPolicy?: string
  readonly indexPolicy?: string | (() => string)
  readonly spent?: SpentTokens
  readonly now?: () => number
  readonly audience?: string
  readonly index?: Partial<World>
}

export interface Pair {
  readonly test: TestWorld
  readonly issue: (path: string) => Promise<Svid>
  /** Asked by the workload's own Envoy, over a connection with its SVID. */
  readonly egress: (who: Svid, parts: CheckParts) => Promise<Answer>
  /** Asked by the Envoy of the index, whose TLS peer is `who`. */
  readonly index: (who: Svid, parts: CheckParts) => Promise<Answer>
  /** As egress signs, for whatever one likes. */
  readonly vouch: Vouch
  /** Both, one after the other: the second only if the first lets it pass. */
  readonly through: (who: Svid, parts: CheckParts) => Promise<Answer>
}

let checks = 0

export async function pairOf(options: PairOptions = {}): Promise<Pair> {
  const test = await testWorld()
  const issue = (path: string) => issueSvid(test.root, { id: `spiffe://demo.vecauthz.test${path}` })
  const own = await issue('/vecauthz/egress')
  const now = options.now ?? Date.now
  const unasked: Served = {
    id: 'demo',
    dialect: chroma,
    resolve: (_, call, tenant) => ({
      ok: true,
      value: call.targets.map(({ namespace, collection, tenant: claim }) => ({ tenant, namespace, collection, claim }))
    }),
    forget: () => undefined
  }
  const egressWorld: World = {
    ...test.world,
    policy: policyOf(options.egressPolicy ?? PAIR_POLICY),
    role: { kind: 'egress' },
    served: (authority) => (authority === 'chroma.demo.vecauthz.test' ? unasked : undefined)
  }
  const spent = options.spent ?? createSpentTokens()
  const indexWorld: World = {
    ...test.world,
    role: { kind: 'index', audience: AUDIENCE, leewayMs: 2_000, issuers: createPolicyIssuerCache(), spent },
    ...options.index
  }
  const svid = { id: idOf(EGRESS_ID), certificates: own.chain, key: own.key, notAfter: Date.now() + 1e9, notBefore: 0 }
  const vouch = voucher({ role: 'egress', audience: options.audience ?? AUDIENCE } as never, () => ({ svid }) as never)
  const indexNow = (): World => {
    const text = typeof options.indexPolicy === 'function' ? options.indexPolicy() : (options.indexPolicy ?? PAIR_POLICY)
    return { ...indexWorld, policy: policyOf(text), ...options.index }
  }
  const asker =
    (world: () => World, role: 'egress' | 'index') =>
    async (who: Svid, parts: CheckParts): Promise<Answer> => {
      const records: Decided[] = []
      const decider = createDecider({
        now,
        tick: () => 0,
        newDecisionId: () => crypto.randomUUID(),
        world,
        credentials: () => undefined,
        vouch: role === 'egress' ? vouch : undefined,
        record: (one) => records.push(one) > 0,
        onFault: (_, cause) => {
          throw cause
        },
        deadlineMs: 1_000,
        pendingMax: 10
      })
      const peer = role === 'index' ? { certificate: envoyPem(who.chain[0] as Uint8Array), principal: who.id } : {}
      const asking = role === 'egress' ? { ok: true as const, id: who.id, connection: { chain: who.chain } } : INDEX_ENVOY
      const bytes = await decider.decide(checkRequest({ id: String(++checks), ...peer, ...parts }), asking)
      return answerOf(CheckResponse.decode(bytes), records[0] as Decided)
    }
  const egress = asker(() => egressWorld, 'egress')
  const index = asker(indexNow, 'index')
  const through = async (who: Svid, parts: CheckParts) => {
    const first = await egress(who, parts)
    return first.reason === 'allow' ? index(who, passed(parts, first)) : first
  }
  if (vouch === undefined) throw new Error('egress vouches for nothing')
  return { test, issue, egress, index, through, vouch }
}

const INDEX_ENVOY = { ok: true, id: 'spiffe://demo.vecauthz.test/envoy/index' } as const

/** The call as it leaves the workload's Envoy: with the token, and without what was removed. */
export function passed(parts: CheckParts, { set, removed }: Pick<Answer, 'set' | 'removed'>): CheckParts {
  const kept = (parts.headers ?? []).filter(([name]) => !removed.includes(name))
  const token = set.get('x-vecauthz-policy-token')
  return { ...parts, headers: token === undefined ? kept : [...kept, ['x-vecauthz-policy-token', token]] }
}

function answerOf(response: CheckResponse, record: Decided): Answer {
  const body = response.deniedResponse?.body
  const problem = body === undefined ? undefined : (JSON.parse(body) as NonNullable<Answer['problem']>)
  const set = (response.okResponse?.headers ?? []).map(({ header }) => [header?.key ?? '', header?.value ?? ''] as const)
  return {
    reason: response.status?.code === 0 ? 'allow' : String(problem?.reason),
    problem,
    set: new Map(set),
    removed: response.okResponse?.headersToRemove ?? [],
    metadata: response.dynamicMetadata ?? {},
    record
  }
}

function idOf(text: string) {
  const parsed = parseSpiffeId(text)
  if (!parsed.ok) throw new Error(parsed.detail)
  return parsed.id
}
