/**
 * One check, from bytes to bytes: read, authorize, answer, record. Whatever happens in between, what leaves is a written verdict.
 */
import { authorize } from '../authorize.ts'
import type { Connection } from '../core/caller.ts'
import { type AnyGrant, type Decision, deny, tenantOfGrant } from '../core/decision.ts'
import type { DenyReason, Result } from '../core/deny-reason.ts'
import type { Inbound } from '../core/inbound.ts'
import type { Mark, StageTimes, Watching } from '../core/stages.ts'
import { allowAnswer, denyAnswer, egressAnswer, type HeaderPair, metadataOf, scoreOf } from '../verdict/answer.ts'
import { otherProxyHeaders, placeOf } from '../verdict/client-headers.ts'
import type { Credentials, NativeCredential } from '../verdict/native-credential.ts'
import type { Account, World } from '../world.ts'
import { readCheckRequest } from './check-request.ts'
import { type AllowParts, createAllowEncoder, encodeVerdict } from './check-response.ts'

/** All that an audit record may be made of; it chooses fields, it never scrubs. */
export interface Decided {
  readonly decisionId: string
  readonly at: number
  readonly latencyUs: number
  readonly role: World['role']['kind']
  readonly envoy: string
  readonly policyRevision: string
  /** All tenants of that policy. */
  readonly tenants: ReadonlySet<string>
  readonly inbound: Inbound | undefined
  readonly account: Account
  readonly decision: Decision
}

/** The clock, the dice and the record: all that is not a function of the call. */
export interface Edges {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Monotonic microseconds. */
  readonly tick: () => number
  readonly newDecisionId: () => string
  readonly world: () => World
  /** By the id of a database; undefined for one that asks for none. */
  readonly credentials: (database: string) => Credentials | undefined
  /** Role egress: the policy token for a granted call. Undefined: this port vouches for nothing, and databases are behind it. */
  readonly vouch?: Vouch | undefined
  /** False when the record cannot be kept: then the call is refused, for nothing happens here unrecorded. */
  readonly record: (decided: Decided) => boolean
  /** A fault of ours that a person should see; the text holds no request data. */
  readonly onFault: (decisionId: string, cause: unknown) => void
  /** Whether the stages of this one are timed: of few, for it costs. Asked once it is read. */
  readonly watch?: ((traceParent: string | undefined, now: number) => Watching) | undefined
  /** What was timed, once the answer is written. */
  readonly onWatched?: ((decided: Decided, times: StageTimes, as: Watching, traceParent: string | undefined) => void) | undefined
  readonly bodyBytesMax?: number
  readonly deadlineMs: number
  readonly pendingMax: number
}

/** What a policy token is made of. `decisionId` names it, so that index and egress speak of one decision. */
export interface Vouched {
  readonly grant: AnyGrant
  readonly judged: DenyReason | undefined
  readonly inbound: Inbound
  readonly meaningHeaders: readonly string[]
  readonly revision: string
  readonly decisionId: string
  readonly at: number
}

export type Vouch = (vouched: Vouched) => Result<string>

/** The Envoy that asks, proven by its connection, or why it is not. */
export type AskingEnvoy =
  | { readonly ok: true; readonly id: string; readonly connection?: Connection | undefined }
  | { readonly ok: false; readonly because: string }

export interface Decider {
  /**
   * @param askedUntil ms since the epoch after which Envoy no longer waits: then nothing is decided any more
   * @param traceParent of Envoy's own request, where anybody traces
   */
  readonly decide: (message: Buffer, envoy: AskingEnvoy, askedUntil?: number, traceParent?: string) => Buffer | Promise<Buffer>
  /** Decisions that wait for a name at this moment. */
  readonly pending: () => number
}

export function createDecider(edges: Edges): Decider {
  let pending = 0
  const encodeAllow = createAllowEncoder()
  return {
    pending: () => pending,
    decide(message, envoy, askedUntil = Number.POSITIVE_INFINITY, traceParent = undefined) {
      const check = begin(edges, message, envoy.ok ? envoy.id : '', encodeAllow)
      try {
        if (!envoy.ok)
          return finish(check, deny({ kind: 'trust-unavailable', because: `the asking Envoy is not proven: ${envoy.because}` }))
        // Under overload, work for those who have left would keep those who wait waiting until they leave too.
        if (check.at >= askedUntil) return finish(check, deny({ kind: 'deadline', because: 'Envoy no longer waits for this decision' }))
        const inbound = readCheckRequest(message, edges.bodyBytesMax)
        if (!inbound.ok) return finish(check, deny(inbound.reason))
        check.inbound = inbound.value
        const watching = edges.watch?.(traceParent, check.at) ?? 'not'
        if (watching !== 'not') beginTimes(check, watching, traceParent)
        // At egress whoever asks is the caller itself: one id on all its checks would be paid for once.
        const named = inbound.value.httpId !== '' && check.world.role.kind !== 'egress'
        const name = named ? `${envoy.id} ${inbound.value.httpId}` : ''
        const mark = check.times === undefined ? undefined : marking(check, check.times)
        const asking = { check: name, decisionId: check.decisionId, now: check.at, connection: envoy.connection, mark }
        const decision = authorize(inbound.value, asking, check.world, check.account)
        if (!(decision instanceof Promise)) return finish(check, decision)
        // The promise goes on after its deadline; its result is then dropped, and a look-up it made still fills the cache.
        if (pending >= edges.pendingMax) {
          decision.catch(() => undefined)
          return finish(check, deny({ kind: 'state-unavailable', because: `${pending} decisions already wait for a name` }))
        }
        pending++
        return inTime(decision, edges.deadlineMs)
          .catch((cause) => fault(check, cause))
          .then((value) => {
            pending--
            return finish(check, value)
          })
      } catch (cause) {
        return finish(check, fault(check, cause))
      }
    }
  }
}

/** Without a readable header list, words that a gRPC call has; a `grpc-status` too many harms nobody. */
const GRPC_TYPE = 'application/grpc'

interface Check {
  readonly edges: Edges
  readonly decisionId: string
  readonly at: number
  readonly tick: number
  readonly envoy: string
  readonly world: World
  readonly account: Account
  /** As it came: a refusal before it is read still has to be one that its caller understands. */
  readonly message: Buffer
  inbound: Inbound | undefined
  times: StageTimes | undefined
  watching: Watching
  traceParent: string | undefined
  readonly encodeAllow: ReturnType<typeof createAllowEncoder>
}

function begin(edges: Edges, message: Buffer, envoy: string, encodeAllow: Check['encodeAllow']): Check {
  const at = edges.now()
  return {
    edges,
    decisionId: edges.newDecisionId(),
    at,
    tick: edges.tick(),
    envoy,
    world: edges.world(),
    message,
    account: {},
    inbound: undefined,
    times: undefined,
    watching: 'not',
    traceParent: undefined,
    encodeAllow
  }
}

function beginTimes(check: Check, watching: Watching, traceParent: string | undefined): void {
  check.watching = watching
  check.times = { began: check.tick, ends: [{ stage: 'read', at: check.edges.tick() }] }
  check.traceParent = traceParent
}

function marking({ edges }: Check, { ends }: StageTimes): Mark {
  return (stage) => void ends.push({ stage, at: edges.tick() })
}

function fault(check: Check, cause: unknown): Decision {
  check.edges.onFault(check.decisionId, cause)
  return deny({ kind: 'internal', because: 'a fault of this server; see its log' })
}

/** A decision, and what an allow takes along beside it. */
interface Ready {
  readonly decision: Decision
  readonly place: string | undefined
  readonly credential: NativeCredential | undefined
  /** Role egress. */
  readonly token: string | undefined
}

/** Records the decision, and answers with it; what cannot be recorded is refused, and so is what cannot be sent on as judged. */
function finish(check: Check, reached: Decision): Buffer {
  try {
    check.times?.ends.push({ stage: 'settle', at: check.edges.tick() })
    const ready = readyToSend(check, reached)
    const decided = decidedOf(check, ready.decision)
    const kept = check.edges.record(decided)
    // A denial too: whoever is answered with an id finds it in the records, or is told that there was no room for one.
    const bytes = answer(check, kept ? ready : alone(deny(UNRECORDED)))
    if (check.times !== undefined) watched(check, decided, check.times)
    return bytes
  } catch (cause) {
    return answer(check, alone(fault(check, cause)))
  }
}

function alone(decision: Decision): Ready {
  return { decision, place: undefined, credential: undefined, token: undefined }
}

function readyToSend(check: Check, decision: Decision): Ready {
  const { account, at, edges } = check
  if (decision.verdict === 'deny') return alone(decision)
  if (edges.vouch !== undefined) return vouchedFor(check, edges.vouch, decision)
  const place = placeOf(decision.grant, account.dialect?.meaningHeaders ?? [])
  if (!place.ok) return alone(deny(place.reason))
  const credential = edges.credentials(account.database ?? '')?.(decision.grant, at)
  if (credential?.ok === false) return alone(deny(credential.reason))
  return { decision, place: place.value, credential: credential?.value, token: undefined }
}

/** At egress the database's own headers are left as they are, for the index gets the call as it was judged. */
function vouchedFor(check: Check, vouch: Vouch, decision: Extract<Decision, { verdict: 'allow' }>): Ready {
  const { inbound, account, world, decisionId, at } = check
  if (inbound === undefined) return alone(deny({ kind: 'internal', because: 'a grant without a request' }))
  const { grant, judged } = decision
  const meaningHeaders = account.dialect?.meaningHeaders ?? []
  const token = vouch({ grant, judged, inbound, meaningHeaders, revision: world.policy?.revision ?? '', decisionId, at })
  return token.ok ? { decision, place: undefined, credential: undefined, token: token.value } : alone(deny(token.reason))
}

const UNRECORDED: DenyReason = { kind: 'state-unavailable', because: 'the audit sink is full' }

/** @param its times, with the last of them still to come */
function watched({ edges, watching, traceParent }: Check, decided: Decided, its: StageTimes): void {
  its.ends.push({ stage: 'answer', at: edges.tick() })
  try {
    edges.onWatched?.(decided, its, watching, traceParent)
  } catch (cause) {
    // The answer is written: whoever only looks on changes nothing about it.
    edges.onFault(decided.decisionId, cause)
  }
}

function decidedOf(check: Check, decision: Decision): Decided {
  const { edges, decisionId, at, envoy, world, account, inbound } = check
  const latencyUs = Math.round(edges.tick() - check.tick)
  const { revision: policyRevision = '', tenants = NO_TENANTS } = world.policy ?? {}
  const role = world.role.kind
  return { decisionId, at, latencyUs, role, envoy, policyRevision, tenants, inbound, account, decision }
}

const NO_TENANTS: ReadonlySet<string> = new Set()

function answer(
  { decisionId, world, account, inbound, message, encodeAllow }: Check,
  { decision, place, credential, token }: Ready
): Buffer {
  const revision = world.policy?.revision ?? ''
  if (decision.verdict === 'deny') {
    const grpcCaller = inbound?.grpc ?? message.includes(GRPC_TYPE)
    return encodeVerdict(denyAnswer(decision, decisionId, grpcCaller), metadataOf(decision, decisionId, revision, account.risk))
  }
  const { grant } = decision
  const remove = token === undefined ? otherProxyHeaders(inbound?.headers ?? new Map()) : []
  const native = { set: nativeHeaders(place, credential), remove }
  const parts = { decisionId, token }
  const build = ({ decisionId: id, token: vouched }: AllowParts) => ({
    answer:
      vouched === undefined ? allowAnswer(grant, id, account.dialect?.credentialHeaders ?? [], native) : egressAnswer(grant, id, vouched),
    metadata: metadataOf(decision, id, revision, account.risk)
  })
  // Of these there are few, and no template.
  if (remove.length > 0 || grant.kind === 'shadow' || decision.judged !== undefined)
    return encodeVerdict(build(parts).answer, metadataOf(decision, decisionId, revision, account.risk))
  const tenant = tenantOfGrant(grant) ?? ''
  const [database, standing, score] = [account.database ?? '', account.risk?.after, scoreOf(account.risk)]
  const kind = { tenant, revision, database, place, credential, tokenChars: token?.length ?? 0, standing, score }
  return encodeAllow(grant.caller, kind, parts, build)
}

function nativeHeaders(place: string | undefined, credential: NativeCredential | undefined): readonly HeaderPair[] {
  return [...(place === undefined ? [] : [['dbname', place] as const]), ...(credential === undefined ? [] : [credential.header])]
}

async function inTime(decision: Promise<Decision>, deadlineMs: number): Promise<Decision> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Decision>((resolve) => {
    timer = setTimeout(() => resolve(deny({ kind: 'deadline', because: `no decision within ${deadlineMs} ms` })), deadlineMs)
  })
  try {
    return await Promise.race([decision, late])
  } finally {
    clearTimeout(timer)
  }
}
