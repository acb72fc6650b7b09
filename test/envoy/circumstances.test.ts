/** The clock and the purpose of a call reach the policy: from Envoy's bytes to the reason, each allow beside its nearest denial. */
import { CheckResponse } from '@envoyproxy/protos/auth'
import { expect, it } from 'vitest'
import { createDecider } from '../../src/envoy/decide.ts'
import { envoyPem, issueSvid } from '../support/ca.ts'
import { checkRequest } from '../support/check-request.ts'
import { POLICY, policyOf } from '../support/policy.ts'
import { HANDBOOK, testWorld } from '../support/world.ts'

const ENVOY = { ok: true, id: 'spiffe://demo.vecauthz.test/envoy/gateway' } as const
const EXPIRES = Date.UTC(2027, 0, 1)
const text = POLICY.replace(
  '    tenants: [acme]\n',
  '    tenants: [acme]\n    expires: 2027-01-01\n    purposes: [inference, evaluation]\n'
).replace('    names: [handbook]\n', '    names: [handbook]\n    purposes: [inference]\n')
const test = await testWorld({ policy: policyOf(text) })
const id = 'spiffe://demo.vecauthz.test/acme/support'
const svid = await issueSvid(test.root, { id, notBefore: EXPIRES - 1_000_000, notAfter: EXPIRES + 1_000_000 })

async function told(now: number, purpose: string | undefined): Promise<string> {
  const decider = createDecider({
    now: () => now,
    tick: () => 0,
    newDecisionId: () => 'aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee',
    world: () => test.world,
    credentials: () => undefined,
    record: () => true,
    onFault: (_, cause) => {
      throw cause
    },
    deadlineMs: 1_000,
    pendingMax: 10
  })
  const headers = purpose === undefined ? {} : { headers: [['x-vecauthz-purpose', purpose]] as [string, string][] }
  const message = checkRequest({
    id: `${now} ${purpose}`,
    certificate: envoyPem(svid.chain[0] as Uint8Array),
    principal: svid.id,
    path: `/api/v2/tenants/acme/databases/rag/collections/${HANDBOOK}/query`,
    body: JSON.stringify({ query_embeddings: [[0.1, 0.2]], n_results: 5 }),
    ...headers
  })
  const body = CheckResponse.decode(await decider.decide(message, ENVOY)).deniedResponse?.body
  return body === undefined ? 'allow' : (JSON.parse(body).reason as string)
}

it.each([
  ['the purpose that the data serves', EXPIRES - 1, 'inference', 'allow'],
  ['another of its purposes', EXPIRES - 1, 'evaluation', 'purpose-conflict'],
  ['no purpose', EXPIRES - 1, undefined, 'purpose-conflict'],
  ['a moment later the workload has expired', EXPIRES, 'inference', 'caller-unknown']
])('%s → %s %s %s', async (_, now, purpose, want) => {
  expect(await told(now, purpose)).toBe(want)
})
