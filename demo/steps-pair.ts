/** The pair's steps: what comes through both hops, and what is tried past the first one, straight at the index. */
import { Agent } from 'node:https'
import { POLICY_TOKEN_HEADER } from '../src/core/policy-token.ts'
import type { RuleNumber } from '../src/identity/rules.ts'
import { type Answer, type Ask, type Credentials, call } from './client.ts'
import { EGRESS_SERVER, GATEWAY_SERVER, INDEXER, OTHER_INDEX_NAME, TRIALS } from './identities.ts'
import { askEgress, callFrom, type PairScene } from './pair.ts'
import { bentOnly, type Change, macBy, partsOf, signedBy, x5cOf } from './pair-token.ts'
import { collectionPath, hitsOf, namedPath, type Step, searchBody, type TenantId } from './step.ts'
import { PAIR_APPROVAL_STEPS } from './steps-approvals.ts'

export interface PairStep extends Step<PairScene> {
  /** By which rule of the policy token the index refuses it (src/identity/rules.ts). */
  readonly rule?: RuleNumber
}

const THROUGH: readonly PairStep[] = [
  {
    name: 'the pair: an agent searches its own handbook through its own Envoy and the index',
    shows: 'globex/trials: http://chroma…/tenants/globex/…/query, no certificate, no token of its own',
    run: (scene) => callFrom(scene, 'trials', searchIn(scene, 'globex')),
    want: { status: 200 },
    check: (answer, scene) => hitsOf('globex')(answer, scene) ?? cleanCall(scene, 'globex')
  },
  {
    name: 'another agent writes into its own corner',
    shows: 'acme/indexer: POST …/{scratch}/add through its own Envoy',
    run: (scene) => callFrom(scene, 'indexer', writeIn(scene)),
    want: { status: 201 },
    check: (_, scene) => cleanCall(scene, 'acme')
  },
  {
    name: 'an agent that brings a policy token and a tenant of its own: overwritten, not believed',
    shows: `globex/trials: ${POLICY_TOKEN_HEADER}: x.y.z, x-tenant-id: acme, own search`,
    run: (scene) =>
      callFrom(scene, 'trials', {
        ...searchIn(scene, 'globex'),
        headers: { [POLICY_TOKEN_HEADER]: 'x.y.z', 'x-tenant-id': 'acme', 'x-vecauthz-tenant': 'acme' }
      }),
    want: { status: 200 },
    check: (_, scene) => cleanCall(scene, 'globex')
  },
  {
    name: "another tenant's path ends at the first hop",
    shows: 'acme/indexer: POST …/tenants/globex/…/query through its own Envoy',
    run: (scene) => callFrom(scene, 'indexer', searchIn(scene, 'globex')),
    want: { status: 403, reason: 'tenant-not-allowed' }
  },
  {
    name: "an agent that asks the egress server itself, with another agent's certificate in its message",
    shows: 'acme/indexer: Check {source: {certificate, principal: globex/trials}, XFCC: globex/trials}, POST …/tenants/globex/…/query',
    run: async (scene) => (await askEgress(scene, INDEXER, { ...searchIn(scene, 'globex'), ...asTrials(scene) })).answer,
    want: { status: 403, reason: 'tenant-not-allowed' }
  },
  {
    name: 'the token that it gets that way for a path of its own is its own, and good for nobody else',
    shows: 'acme/indexer: the same message, POST …/tenants/acme/…/query; globex/trials takes that token to the index',
    run: async (scene) => {
      const ask = searchIn(scene, 'acme')
      return straight(scene, TRIALS, ask, await tokenFor(scene, INDEXER, { ...ask, ...asTrials(scene) }))
    },
    want: { status: 401, reason: 'token-mismatch' },
    rule: 'T-11'
  }
]

/** The index whose Envoy somebody configured without care (carelessHost; in compose only this one). */
const CARELESS = 1

const STRAIGHT: readonly PairStep[] = [
  {
    name: 'straight to the index, past the first hop',
    shows: 'acme/indexer: mTLS to the index, POST …/tenants/acme/…/query',
    run: (scene) => straight(scene, INDEXER, searchIn(scene, 'acme'), undefined),
    want: { status: 401, reason: 'token-missing' },
    rule: 'T-1'
  },
  {
    name: 'the same with the token that the egress server gave for this very request (the neighbour of what follows)',
    shows: `acme/indexer: ${POLICY_TOKEN_HEADER}: {sub: acme/indexer, act: search, dig, …}`,
    run: (scene) => withToken(scene, (token) => token),
    want: { status: 200 },
    check: (answer, scene) => hitsOf('acme')(answer, scene) ?? cleanCall(scene, 'acme')
  },
  {
    name: 'a role by `Host`: a host whose checks say that a gateway asks',
    shows: 'acme/indexer: Host: localhost, for which a careless Envoy sends context_extensions {role: gateway}; no token',
    run: (scene) => straight(scene, INDEXER, { ...searchIn(scene, 'acme'), headers: { host: 'localhost' } }, undefined, CARELESS),
    want: { status: 401, reason: 'token-missing' },
    rule: 'T-1'
  },
  {
    name: 'the token, for that host',
    shows: 'acme/indexer: Host: localhost, token for chroma.demo.vecauthz.test',
    run: (scene) => withToken(scene, (token) => token, { headers: { host: 'localhost' } }, CARELESS),
    want: { status: 401, reason: 'token-mismatch' },
    rule: 'T-13'
  },
  {
    name: 'the token, with another body',
    shows: 'acme/indexer: token for n_results 3, body with n_results 4',
    run: (scene) => withToken(scene, (token) => token, { body: searchBody('acme', 0, { n_results: 4 }) }),
    want: { status: 401, reason: 'token-mismatch' },
    rule: 'T-13'
  },
  {
    name: 'the token, on another path',
    shows: 'acme/indexer: token for …/query, POST …/get',
    run: (scene) =>
      withToken(scene, (token) => token, { target: collectionPath('acme', scene.stack.collections['acme'] ?? '', 'get'), body: '{}' }),
    want: { status: 401, reason: 'token-mismatch' },
    rule: 'T-13'
  },
  {
    name: 'the token, with another method: dropping what it let one read',
    shows: 'acme/indexer: token for GET …/collections/scratch-pair, DELETE of the same path',
    run: async (scene) => {
      const ask = { method: 'GET', target: namedPath('acme', 'scratch-pair') }
      return straight(scene, INDEXER, { ...ask, method: 'DELETE' }, await tokenFor(scene, INDEXER, ask))
    },
    want: { status: 401, reason: 'token-mismatch' },
    rule: 'T-13'
  },
  {
    name: "another agent's certificate at the index",
    shows: "globex/trials: acme/indexer's token, with its very request",
    run: async (scene) => {
      const ask = searchIn(scene, 'acme')
      return straight(scene, TRIALS, ask, await tokenFor(scene, INDEXER, ask))
    },
    want: { status: 401, reason: 'token-mismatch' },
    rule: 'T-11'
  },
  {
    name: 'the token, as if it were for another agent',
    shows: 'globex/trials: {…, sub: globex/trials}, signature as it was',
    run: async (scene) => {
      const ask = searchIn(scene, 'acme')
      return straight(scene, TRIALS, ask, bentOnly(await tokenFor(scene, INDEXER, ask), { claims: { sub: TRIALS } }))
    },
    want: { status: 401, reason: 'token-invalid' },
    rule: 'T-7'
  }
]

/** What even the egress server's own key does not make good. */
const CLAIMED: readonly PairStep[] = [
  byEgress('for another tenant', { tenant: 'globex' }, 'token-mismatch', 'T-12'),
  byEgress('for a tenant that the egress server may not vouch for', { tenant: 'initech' }, 'token-invalid', 'T-12'),
  byEgress('for another index', { aud: OTHER_INDEX_NAME }, 'token-mismatch', 'T-10'),
  byEgress('for an index that nobody listed', { aud: 'elsewhere' }, 'token-invalid', 'T-10'),
  byEgress('for another operation', { act: 'read' }, 'token-mismatch', 'T-14'),
  byEgress('that expired half a minute ago', () => ({ iat: seconds() - 60, exp: seconds() - 30 }), 'token-expired', 'T-16'),
  byEgress('from the future', () => ({ iat: seconds() + 60, exp: seconds() + 90 }), 'token-invalid', 'T-17'),
  byEgress('for an hour', () => ({ exp: seconds() + 3600 }), 'token-invalid', 'T-15')
]

const SIGNED: readonly PairStep[] = [
  {
    name: 'an issuer that is on no list, though its SVID is good',
    shows: `acme/indexer: {iss: ${GATEWAY_SERVER}}, signed by it`,
    run: (scene) => withToken(scene, (token) => signedBy(svid(scene, GATEWAY_SERVER), token, { claims: { iss: GATEWAY_SERVER } })),
    want: { status: 401, reason: 'token-invalid' },
    rule: 'T-9'
  },
  bent('T-1', 'the signature stripped', 'header.claims.', (token) => bentOnly(token, {}, '')),
  {
    name: 'the signature of another good token',
    shows: 'acme/indexer: header.claims of the one, signature of the other',
    run: async (scene) => {
      const other = await tokenFor(scene, INDEXER, { ...searchIn(scene, 'acme'), body: searchBody('acme', 1) })
      return withToken(scene, (token) => bentOnly(token, {}, partsOf(other).signature))
    },
    want: { status: 401, reason: 'token-invalid' },
    rule: 'T-7'
  },
  bent('T-1', '`alg: none`, and no signature', '{alg: none}', (token) => bentOnly(token, { header: { alg: 'none' } }, '')),
  bent('T-2', '`alg: none`, with the signature that was there', '{alg: none}', (token) => bentOnly(token, { header: { alg: 'none' } })),
  bent('T-2', '`alg: HS256` under the public key of the egress server', '{alg: HS256}, HMAC under the certificate in x5c', (token) =>
    macBy(Buffer.from(leafOf(token), 'base64'), token)
  ),
  bent('T-7', 'another algorithm of the same key', '{alg: ES384}', (token) => bentOnly(token, { header: { alg: 'ES384' } })),
  bent('T-8', "the agent's own chain in `x5c`, with its own signature", '{x5c: acme/indexer}', (token, scene) =>
    signedBy(svid(scene, INDEXER), token)
  ),
  bent('T-8', "the agent's own chain in `x5c`, with the signature that was there", '{x5c: acme/indexer}', (token, scene) =>
    bentOnly(token, { header: { x5c: x5cOf(svid(scene, INDEXER).chain) } })
  ),
  bent('T-7', "the egress server's chain in `x5c`, signed by the agent", '{x5c: vecauthz/egress}', (token, scene) =>
    signedBy(svid(scene, INDEXER), token, { header: { x5c: partsOf(token).header['x5c'] } })
  ),
  bent('T-6', "the egress server's name, from an authority of one's own", '{x5c: vecauthz/egress of a foreign CA}', (token, scene) =>
    signedBy(scene.stack.issuer.issueOdd({ kind: 'foreign-authority', id: EGRESS_SERVER }), token)
  )
]

const ONCE: readonly PairStep[] = [
  {
    name: 'a token for a search is good again within its seconds, also at the other index server',
    shows: 'acme/indexer: the same search with the same token at both',
    run: async (scene) => {
      const ask = searchIn(scene, 'acme')
      const token = await tokenFor(scene, INDEXER, ask)
      await mustPass(straight(scene, INDEXER, ask, token), 200)
      return straight(scene, INDEXER, ask, token, 1)
    },
    want: { status: 200 }
  },
  {
    name: 'a token for a write, used twice',
    shows: 'acme/indexer: the same POST …/{scratch}/add with the same token, again',
    run: (scene) => writtenAgain(scene, 0),
    want: { status: 401, reason: 'token-mismatch' },
    rule: 'T-19'
  },
  {
    name: 'a token for a write, the second time at another index server',
    shows: 'acme/indexer: the same write with the same token, at the other Envoy, which asks another process',
    run: (scene) => writtenAgain(scene, 1),
    want: { status: 401, reason: 'token-mismatch' },
    rule: 'T-19'
  },
  {
    name: 'that other index server takes a write whose token is new (its neighbour)',
    shows: 'acme/indexer: another write with a token of its own, at the other Envoy',
    run: async (scene) => {
      const ask = writeIn(scene)
      return straight(scene, INDEXER, ask, await tokenFor(scene, INDEXER, ask), 1)
    },
    want: { status: 201 }
  },
  {
    name: 'an agent asks an index server for a verdict itself',
    shows: 'acme/indexer: connects to the ext_authz port',
    run: ({ stack, pair }) => {
      const agent = new Agent({ ALPNProtocols: ['h2'], maxCachedSessions: 0, checkServerIdentity: () => undefined })
      return call({ ...stack.door, port: pair.indexes[0].port }, stack.credentials(INDEXER), { target: '/', agent })
    },
    want: { status: 'tls' }
  }
]

export const PAIR_STEPS: readonly PairStep[] = [...THROUGH, ...STRAIGHT, ...CLAIMED, ...SIGNED, ...ONCE, ...PAIR_APPROVAL_STEPS]

/** A search of a tenant's agent in its handbook. */
export function searchIn({ stack }: PairScene, tenant: TenantId): Ask {
  return { target: collectionPath(tenant, stack.collections[tenant] ?? '', 'query'), body: searchBody(tenant) }
}

let written = 0

/** A write that is like no other. */
export function writeIn({ pair }: PairScene): Ask {
  const id = `record-${++written}`
  return { target: collectionPath('acme', pair.scratch, 'add'), body: { ids: [id], embeddings: [[1, 0, 0]], documents: [id] } }
}

/** What the egress server gives this workload for this call. */
export async function tokenFor(scene: PairScene, id: string, ask: Parameters<typeof askEgress>[2]): Promise<string> {
  const { answer, set } = await askEgress(scene, id, ask)
  const token = set.get(POLICY_TOKEN_HEADER)
  if (answer.status !== 200 || token === undefined) throw new Error(`egress gave no token: ${answer.status} ${answer.body}`)
  return token
}

/** Past the first hop, to the Envoy in front of the database, with the agent's own SVID. */
export function straight(scene: PairScene, id: string, ask: Ask, token: string | undefined, at: 0 | 1 = 0): Promise<Answer> {
  const { stack, pair } = scene
  const headers = { ...ask.headers, ...(token === undefined ? {} : { [POLICY_TOKEN_HEADER]: token }) }
  const who: Credentials = stack.credentials(id)
  return call(pair.doors[at], who, { ...ask, headers })
}

/** The indexer's search straight at the index: with its token as `bend` makes it, and with changes that the token does not know. */
async function withToken(scene: PairScene, bend: (token: string) => string, change: Partial<Ask> = {}, at: 0 | 1 = 0): Promise<Answer> {
  const ask = searchIn(scene, 'acme')
  const token = await tokenFor(scene, INDEXER, ask)
  return straight(scene, INDEXER, { ...ask, ...change }, bend(token), at)
}

function bent(rule: RuleNumber, name: string, shows: string, bend: (token: string, scene: PairScene) => string): PairStep {
  return {
    name,
    shows: `acme/indexer: ${shows}`,
    run: (scene) => withToken(scene, (token) => bend(token, scene)),
    want: { status: 401, reason: 'token-invalid' },
    rule
  }
}

type Claims = NonNullable<Change['claims']>

/** A token of the egress server's own, that says something else than the call is. */
function byEgress(
  name: string,
  claims: Claims | (() => Claims),
  reason: 'token-invalid' | 'token-mismatch' | 'token-expired',
  rule: RuleNumber
): PairStep {
  const given = typeof claims === 'function' ? claims : () => claims
  return {
    name: `a token ${name}`,
    shows: `acme/indexer: {${Object.keys(given()).join(', ')}} changed, signed by vecauthz/egress`,
    run: (scene) => withToken(scene, (token) => signedBy(svid(scene, EGRESS_SERVER), token, { claims: given() })),
    want: { status: 401, reason },
    rule
  }
}

function svid({ stack }: PairScene, id: string) {
  return stack.issuer.issueX509(id)
}

function leafOf(token: string): string {
  const [leaf] = partsOf(token).header['x5c'] as string[]
  return leaf ?? ''
}

function seconds(): number {
  return Math.floor(Date.now() / 1000)
}

/** What a message says that has globex/trials as the peer of its Envoy: certificate, chain and principal. */
function asTrials({ stack }: PairScene) {
  return { asserted: { id: TRIALS, chainPem: stack.credentials(TRIALS).cert } }
}

async function mustPass(going: Promise<Answer>, status: number): Promise<void> {
  const answer = await going
  if (answer.status !== status) throw new Error(`the first use did not pass: ${answer.status} ${answer.body}`)
}

/** One write with its token at the first index, then the same at the first or the second: the answer of the latter. */
async function writtenAgain(scene: PairScene, at: 0 | 1): Promise<Answer> {
  const ask = writeIn(scene)
  const token = await tokenFor(scene, INDEXER, ask)
  await mustPass(straight(scene, INDEXER, ask, token), 201)
  scene.stack.recorder.clear()
  return straight(scene, INDEXER, ask, token, at)
}

/** A check: what reached the database carries the tenant, and nothing that was ours only. */
function cleanCall({ stack }: PairScene, tenant: TenantId): string | undefined {
  const headers = stack.recorder.seen().at(-1)?.headers ?? {}
  const ours = [POLICY_TOKEN_HEADER, 'x-vecauthz-subject-token', 'x-vecauthz-purpose', 'x-vecauthz-run'].find((name) => name in headers)
  if (ours !== undefined) return `Chroma's side got ${ours}`
  return headers['x-tenant-id'] === tenant ? undefined : `Chroma's side got x-tenant-id ${headers['x-tenant-id']}`
}
