/** What the admin port offers about revocations: at once, for everybody, and until somebody takes them back. */
import { z } from 'zod'
import type { Revocation, Revocations } from '../core/revocation.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { type AdminRoute, problem, route } from './admin-route.ts'
import { reason } from './approval-routes.ts'

const spiffeId = z.string().refine((text) => parseSpiffeId(text).ok, 'must be a SPIFFE ID')
const what = [
  z.strictObject({ spiffe_id: spiffeId, reason }),
  z.strictObject({ serial: z.string().regex(/^[0-9a-f]{2,64}$/, 'must be lower-case hex'), reason }),
  z.strictObject({ token_id: z.string().min(1).max(512), reason })
] as const
const body = z.union(what)

export function revocationRoutes(revocations: Revocations): readonly AdminRoute[] {
  return [
    route({
      method: 'GET',
      path: '/v1/revocations',
      who: 'either',
      says: 'What operators have revoked, beside the policy.',
      handle: async () => ({ status: 200, body: { revocations: revocations.list().map(rowJson) } })
    }),
    route({
      method: 'POST',
      path: '/v1/revocations',
      who: 'operator',
      body,
      act: 'identity.revoke',
      says: 'Refuses a SPIFFE ID, a certificate or a token from now on.',
      handle: async ({ id, body: asked, now }) => {
        const one: Revocation = { ...namedIn(asked), by: id.text, reason: asked.reason, at: now }
        const kept = await revocations.add(one)
        if (kept === 'full') return problem(409, 'Not possible', 'There is no room for another one: put some into the policy.')
        const facts = { [one.kind]: one.value, kept }
        return { status: 200, body: { ...rowJson(one), kept }, facts }
      }
    }),
    route({
      method: 'POST',
      path: '/v1/revocations/lift',
      who: 'operator',
      body,
      act: 'identity.reinstate',
      says: 'Takes a revocation back; one of the policy stays.',
      handle: async ({ body: asked, now }) => {
        const { kind, value } = namedIn(asked)
        const facts = { [kind]: value }
        if (await revocations.lift(kind, value, now)) return { status: 200, body: { ...facts, lifted: true }, facts }
        return problem(409, 'Not possible', 'No such revocation is kept, or the store does not answer; nothing was changed.')
      }
    })
  ]
}

function namedIn(asked: z.infer<typeof body>): Pick<Revocation, 'kind' | 'value'> {
  if ('spiffe_id' in asked) return { kind: 'spiffe_id', value: asked.spiffe_id }
  return 'serial' in asked ? { kind: 'serial', value: asked.serial } : { kind: 'token_id', value: asked.token_id }
}

function rowJson({ kind, value, by, reason: why, at }: Revocation) {
  return { kind, value, by, reason: why, at: new Date(at).toISOString() }
}
