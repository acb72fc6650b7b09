/** The steps with an agent that acts for end users: the user's token says for which tenant, the policy's list bounds it. */

import { type Ask, call } from './client.ts'
import type { TenantId } from './step.ts'
import { collectionPath, hitsOf, type Scene, type Step, searchBody } from './step.ts'

const HEADER = 'x-vecauthz-subject-token'

export const USERS: readonly Step[] = [
  {
    name: 'an agent that acts for end users, with the token of one of acme',
    shows: `shared/desk: ${HEADER}: {sub: alice, tenant: acme}, POST …/tenants/acme/…/query`,
    run: ({ stack, who }) => call(stack.door, who.desk, search(stack, 'acme', stack.idp.token())),
    want: { status: 200 },
    check: (answer, scene) =>
      scene.stack.recorder.seen()[0]?.headers[HEADER] === undefined ? hitsOf('acme')(answer, scene) : "Chroma's side got the user's token"
  },
  {
    name: 'the same agent without a user',
    shows: 'shared/desk: POST …/tenants/acme/…/query',
    run: ({ stack, who }) => call(stack.door, who.desk, search(stack, 'acme')),
    want: { status: 401, reason: 'subject-required' }
  },
  {
    name: "that user's token, another tenant that the agent may act for",
    shows: `shared/desk: ${HEADER}: {sub: alice, tenant: acme}, POST …/tenants/globex/…/query`,
    run: ({ stack, who }) => call(stack.door, who.desk, search(stack, 'globex', stack.idp.token())),
    want: { status: 403, reason: 'tenant-not-allowed' }
  },
  {
    name: 'a user of a tenant that the agent may not act for',
    shows: `shared/desk: ${HEADER}: {sub: carol, tenant: initech}, POST …/tenants/initech/…/query`,
    run: ({ stack, who }) => call(stack.door, who.desk, search(stack, 'initech', stack.idp.token({ sub: 'carol', tenant: 'initech' }))),
    want: { status: 403, reason: 'tenant-not-allowed' }
  },
  {
    name: "a user's token with the right key id and the wrong key",
    shows: `shared/desk: ${HEADER}: forged, POST …/tenants/acme/…/query`,
    run: ({ stack, who }) => call(stack.door, who.desk, search(stack, 'acme', stack.idp.forged())),
    want: { status: 401, reason: 'subject-invalid' }
  },
  {
    name: 'a token that was given to another agent',
    shows: `shared/desk: ${HEADER}: {act: {sub: acme/support}}, POST …/tenants/acme/…/query`,
    run: ({ stack, who }) => {
      const act = { sub: 'spiffe://demo.vecauthz.test/acme/agent/support' }
      return call(stack.door, who.desk, search(stack, 'acme', stack.idp.token({ act })))
    },
    want: { status: 401, reason: 'subject-invalid' }
  }
]

function search(stack: Scene['stack'], tenant: TenantId, token?: string): Ask {
  const headers = token === undefined ? {} : { [HEADER]: token }
  return { target: collectionPath(tenant, stack.collections[tenant] ?? '', 'query'), body: searchBody(tenant), headers }
}
