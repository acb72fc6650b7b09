/** What the admin port does when a workload is let go: nothing that was asked for or approved for it is left. */
import { z } from 'zod'
import type { ApprovalDesk } from '../core/approval.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { type AdminRoute, problem, route, type Visit } from './admin-route.ts'

type Body = { readonly workload: string; readonly reason: string }

/** @param reason shape of a reason, as the other acts have it */
export function offboardRoute(desk: ApprovalDesk, reason: z.ZodType<string>): AdminRoute {
  const workload = z.string().refine((text) => parseSpiffeId(text).ok, 'must be a SPIFFE ID')
  const handle = async ({ body, now }: Visit<Body>) => {
    const whose = parseSpiffeId(body.workload)
    if (!whose.ok) return problem(400, 'The request cannot be read', 'That is no SPIFFE ID.')
    const all = await desk.list(now, whose.id)
    if (all.kind === 'unavailable') return problem(503, 'Unavailable', all.because)
    const ended: string[] = []
    for (const { id, state } of all.entries) {
      if (state !== 'waiting' && state !== 'approved') continue
      // In the name of its holder, who may end what is its own.
      const acted = await desk.release(id, whose.id, now)
      if (acted.kind === 'unavailable') return problem(503, 'Unavailable', `${ended.length} ended, and then: ${acted.because}`)
      if (acted.kind === 'done') ended.push(id)
    }
    const facts = { workload: body.workload, ended }
    return { status: 200, body: { ...facts, more: all.more }, facts }
  }
  return route({
    method: 'POST',
    path: '/v1/workloads/end',
    who: 'operator',
    body: z.strictObject({ workload, reason }),
    act: 'workload.end',
    says: 'Ends every grant and approval of a workload.',
    handle
  })
}
