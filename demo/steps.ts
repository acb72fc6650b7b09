/** The demo's steps, in the order they are shown. */

import { Agent } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import { BODY_BYTES_MAX } from '../src/core/limits.ts'
import { type Answer, type Ask, call, callHttp2, keptOpen } from './client.ts'
import { DATABASE, OTHER_ENVOY, PAYROLL, STRANGER, SUPPORT, TRIALS } from './identities.ts'
import { collectionPath, hitsOf, namedPath, type Scene, type Step, searchBody, supportSearch } from './step.ts'
import { USERS } from './steps-users.ts'

const ACME = `/api/v2/tenants/acme/databases/${DATABASE}/collections`

const allowed: Step[] = [
  {
    name: 'an agent searches its own handbook',
    shows: 'acme/support: POST …/tenants/acme/…/query {n_results: 3}',
    run: (scene) => supportSearch(scene),
    want: { status: 200 },
    check: hitsOf('acme')
  },
  {
    name: 'another agent searches its own',
    shows: 'globex/trials: POST …/tenants/globex/…/query',
    run: ({ stack, who }) =>
      call(stack.door, who.trials, {
        target: collectionPath('globex', stack.collections['globex'] ?? '', 'query'),
        body: searchBody('globex')
      }),
    want: { status: 200 },
    check: hitsOf('globex')
  }
]

const tenancy: Step[] = [
  {
    name: "another tenant's path",
    shows: 'acme/support: POST …/tenants/globex/…/{globex uuid}/query',
    run: ({ stack, who }) =>
      call(stack.door, who.support, {
        target: collectionPath('globex', stack.collections['globex'] ?? '', 'query'),
        body: searchBody('globex')
      }),
    want: { status: 403, reason: 'tenant-not-allowed' }
  },
  {
    name: "another tenant's UUID under one's own path (Chroma 1.5.9 would serve it)",
    shows: 'acme/support: POST …/tenants/acme/…/{globex uuid}/query',
    run: (scene) => foreignUuid(scene, (id) => id),
    want: { status: 403, reason: 'collection-not-allowed' }
  },
  spelling('in upper case', (id) => id.toUpperCase()),
  spelling('without dashes', (id) => id.replaceAll('-', '')),
  spelling('as urn:uuid:', (id) => `urn:uuid:${id}`),
  {
    name: 'a forged tenant header: overwritten, not believed',
    shows: 'acme/support: x-tenant-id: globex, own search',
    run: (scene) => supportSearch(scene, { headers: { 'x-tenant-id': 'globex', 'x-vecauthz-tenant': 'globex' } }),
    want: { status: 200 },
    check: (answer, scene) => {
      const got = scene.stack.recorder.seen()[0]?.headers['x-tenant-id']
      return got === 'acme' ? hitsOf('acme')(answer, scene) : `Chroma's side got x-tenant-id ${got}`
    }
  },
  {
    name: 'a forged client-certificate header (XFCC) that claims globex',
    shows: `acme/support: x-forwarded-client-cert: URI=${TRIALS}, globex path`,
    run: ({ stack, who }) =>
      call(stack.door, who.support, {
        target: namedPath('globex'),
        headers: { 'x-forwarded-client-cert': `Hash=${'0'.repeat(64)};URI=${TRIALS}` }
      }),
    want: { status: 403, reason: 'tenant-not-allowed' }
  }
]

const identity: Step[] = [
  {
    name: 'no certificate at all',
    shows: '(nobody): POST …/tenants/acme/…/query',
    run: ({ stack }) => call(stack.door, undefined, ownSearch(stack.collections['acme'])),
    want: { status: 'tls' }
  },
  {
    name: 'a good SVID of an agent nobody registered',
    shows: 'acme/stranger: POST …/tenants/acme/…/query',
    run: ({ stack }) =>
      call(stack.door, odd(stack.issuer.issueOdd({ kind: 'unknown-agent', id: STRANGER })), ownSearch(stack.collections['acme'])),
    want: { status: 403, reason: 'caller-unknown' }
  },
  {
    name: 'the right name, signed by a foreign authority',
    shows: 'acme/support (foreign CA): POST …/tenants/acme/…/query',
    run: ({ stack }) =>
      call(stack.door, odd(stack.issuer.issueOdd({ kind: 'foreign-authority', id: SUPPORT })), ownSearch(stack.collections['acme'])),
    want: { status: 'tls' }
  },
  {
    name: 'a certificate with two URI SANs (Envoy accepts it)',
    shows: 'acme/support + globex/trials: POST …/tenants/acme/…/query',
    run: ({ stack }) =>
      call(
        stack.door,
        odd(stack.issuer.issueOdd({ kind: 'two-uri-sans', id: SUPPORT, second: TRIALS })),
        ownSearch(stack.collections['acme'])
      ),
    want: { status: 401, reason: 'svid-untrusted' }
  },
  {
    name: 'an SVID that expires while its connection stays open',
    shows: 'acme/support (3 s SVID): search, wait, the same search again',
    run: expireOnOpenConnection,
    want: { status: 401, reason: 'svid-expired' }
  },
  {
    name: 'another Envoy asks for a verdict itself',
    shows: 'envoy/other: connects to the ext_authz port',
    run: askAsOtherEnvoy,
    want: { status: 'tls' }
  }
]

const bytes: Step[] = [
  {
    name: 'a body above the limit over HTTP/1.1',
    shows: 'acme/support: POST …/query, 1 MiB + 16 KB',
    run: (scene) => supportSearch(scene, { body: Buffer.concat(largeBody()) }),
    want: { status: 413, reason: 'envoy' }
  },
  {
    name: 'the same over HTTP/2, which Envoy cuts and passes on',
    shows: 'acme/support: HTTP/2, last frame crosses the limit',
    run: ({ stack, who }) =>
      callHttp2(stack.door, who.support, { target: collectionPath('acme', stack.collections['acme'] ?? '', 'query'), pieces: largeBody() }),
    want: { status: 413, reason: 'call-too-large' }
  },
  path('`..` into the other tenant', `${ACME}/../../../../globex/databases/${DATABASE}/collections/handbook`, {
    status: 403,
    reason: 'tenant-not-allowed'
  }),
  path('`//` into the other tenant', `/api/v2//tenants//globex/databases/${DATABASE}/collections/handbook`, {
    status: 403,
    reason: 'tenant-not-allowed'
  }),
  path('`%2F` in a segment', `/api/v2/tenants/acme%2F..%2Fglobex/databases/${DATABASE}/collections/handbook`, {
    status: 400,
    reason: 'envoy'
  }),
  path('`%252f`, escaped twice', `/api/v2/tenants/acme%252f..%252fglobex/databases/${DATABASE}/collections/handbook`, {
    status: 400,
    reason: 'call-ambiguous'
  }),
  {
    name: 'the same key twice in one JSON object',
    shows: 'acme/support: POST …/query {"n_results":3, …, "n_results":3}',
    run: (scene) => supportSearch(scene, { body: JSON.stringify(searchBody('acme')).replace('{', '{"n_results":3,') }),
    want: { status: 400, reason: 'call-ambiguous' }
  }
]

const policy: Step[] = [
  {
    name: 'raw embeddings asked for',
    shows: 'acme/support: POST …/query {include: [documents, embeddings]}',
    run: (scene) => supportSearch(scene, { body: searchBody('acme', 0, { include: ['documents', 'embeddings'] }) }),
    want: { status: 403, reason: 'vectors-not-allowed' }
  },
  {
    name: 'more results than policy allows',
    shows: 'acme/support: POST …/query {n_results: 21}',
    run: (scene) => supportSearch(scene, { body: searchBody('acme', 0, { n_results: 21 }) }),
    want: { status: 413, reason: 'call-too-large' }
  },
  {
    name: 'as many as policy allows',
    shows: 'acme/support: POST …/query {n_results: 20}',
    run: (scene) => supportSearch(scene, { body: searchBody('acme', 0, { n_results: 20 }) }),
    want: { status: 200 },
    check: hitsOf('acme')
  },
  {
    name: 'the collection dropped',
    shows: 'acme/support: DELETE …/tenants/acme/…/collections/handbook',
    run: ({ stack, who }) => call(stack.door, who.support, { method: 'DELETE', target: namedPath('acme') }),
    want: { status: 403, reason: 'delete-not-allowed' }
  },
  {
    name: 'an endpoint nobody listed',
    shows: 'acme/support: POST /api/v2/reset',
    run: ({ stack, who }) => call(stack.door, who.support, { method: 'POST', target: '/api/v2/reset' }),
    want: { status: 403, reason: 'operation-unknown' }
  },
  {
    name: 'a burst above the budget of 12',
    shows: 'initech/payroll: 13 × POST …/tenants/initech/…/query',
    run: burst,
    want: { status: 429, reason: 'rate-exceeded' }
  }
]

export const STEPS: readonly Step[] = [...allowed, ...tenancy, ...identity, ...USERS, ...bytes, ...policy]

function ownSearch(id: string | undefined): Ask {
  return { target: collectionPath('acme', id ?? '', 'query'), body: searchBody('acme') }
}

function odd(svid: { readonly chainPem: string; readonly keyPem: string }) {
  return { cert: svid.chainPem, key: svid.keyPem }
}

function foreignUuid({ stack, who }: Scene, spell: (id: string) => string): Promise<Answer> {
  const target = collectionPath('acme', spell(stack.collections['globex'] ?? ''), 'query')
  return call(stack.door, who.support, { target, body: searchBody('globex') })
}

function spelling(how: string, spell: (id: string) => string): Step {
  return {
    name: `that UUID ${how}`,
    shows: `acme/support: POST …/tenants/acme/…/${spell('{globex uuid}')}/query`,
    run: (scene) => foreignUuid(scene, spell),
    want: { status: 400, reason: 'call-ambiguous' }
  }
}

function path(name: string, target: string, want: Step['want']): Step {
  return { name, shows: `acme/support: GET ${target}`, run: ({ stack, who }) => call(stack.door, who.support, { target }), want }
}

/** A search padded above the limit; the last piece fits into one HTTP/2 frame that crosses it. */
function largeBody(): Buffer[] {
  const text = Buffer.from(`${JSON.stringify(searchBody('acme')).slice(0, -1)},"ids":["`)
  const body = Buffer.concat([text, Buffer.alloc(BODY_BYTES_MAX + 8_000 - text.length, 'a'), Buffer.from('"]}')])
  return [body.subarray(0, BODY_BYTES_MAX - 4_000), body.subarray(BODY_BYTES_MAX - 4_000)]
}

async function expireOnOpenConnection({ stack }: Scene): Promise<Answer> {
  const agent = keptOpen()
  try {
    const who = stack.credentials(SUPPORT, 3_000)
    const ask = { ...ownSearch(stack.collections['acme']), agent }
    const before = await call(stack.door, who, ask)
    if (before.status !== 200) throw new Error(`the SVID was refused while it was good: ${before.status} ${before.body}`)
    stack.recorder.clear()
    await sleep(3_100)
    return await call(stack.door, who, ask)
  } finally {
    agent.destroy()
  }
}

async function askAsOtherEnvoy({ stack }: Scene): Promise<Answer> {
  const { cert, key } = stack.credentials(OTHER_ENVOY)
  const agent = new Agent({ ALPNProtocols: ['h2'], maxCachedSessions: 0, checkServerIdentity: () => undefined })
  return await call({ ...stack.door, port: stack.server.port }, { cert, key }, { target: '/', agent })
}

/** An empty budget of 12 is full again after this time, at 2 a second. */
const FULL_AGAIN_MS = 6_500

/** The first calls of a burst pass; the answer shown is the first that does not. Where these steps were gone through just before, the budget fills up first. */
async function burst(scene: Scene): Promise<Answer> {
  const agent = keptOpen()
  try {
    const first = await untilRefused(scene, agent)
    if (first.passed >= 12) return first.answer
    await sleep(FULL_AGAIN_MS)
    const { passed, answer } = await untilRefused(scene, agent)
    if (passed < 12) throw new Error(`only ${passed} calls of the burst of 12 passed`)
    return answer
  } finally {
    agent.destroy()
  }
}

async function untilRefused({ stack }: Scene, agent: Agent): Promise<{ readonly passed: number; readonly answer: Answer }> {
  const who = stack.credentials(PAYROLL)
  const target = collectionPath('initech', stack.collections['initech'] ?? '', 'query')
  const answers: Answer[] = []
  for (let at = 0; at < 40 && answers.at(-1)?.status !== 429; at++) {
    stack.recorder.clear()
    answers.push(await call(stack.door, who, { target, body: searchBody('initech'), agent }))
  }
  return { passed: answers.filter((one) => one.status === 200).length, answer: answers.at(-1) as Answer }
}
