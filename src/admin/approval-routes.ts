/** What the admin port offers about approvals, grants and runs. */
import { z } from 'zod'
import { type Acted, type ApprovalDesk, type ApprovalEntry, REASON_CHARACTERS_MAX, RUN_PATTERN, type Step } from '../core/approval.ts'
import { ACTIONS } from '../core/policy-document.ts'
import { grantNeed } from '../policy/approval-need.ts'
import { type AdminRoute, problem, type Reply, route, type Visit } from './admin-route.ts'
import { offboardRoute } from './offboard-route.ts'

const run = z.string().regex(RUN_PATTERN, 'must be 1 to 128 printable characters without spaces')
/** Whoever reads the record later has nothing else to go by; control characters would forge lines on a terminal. */
export const reason = z
  .string()
  .trim()
  .min(1, 'must say why')
  .max(REASON_CHARACTERS_MAX)
  .regex(/^[^\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]*$/u, 'must be one line of text')
const decision = z.strictObject({ reason })
const grant = z.strictObject({
  database: z.string().min(1).max(64),
  tenant: z.string().min(1).max(128),
  operation: z.enum(ACTIONS),
  targets: z.array(z.string().min(1).max(1_100)).min(1).max(32),
  run: run.optional()
})

export function approvalRoutes(desk: ApprovalDesk): readonly AdminRoute[] {
  const decide =
    (verdict: 'approve' | 'refuse') =>
    async ({ id, parts: [about = ''], body, now }: Visit<z.infer<typeof decision>>) =>
      replyOf(await desk.decide(about, verdict, id, body.reason, now))
  return [
    route({ method: 'GET', path: '/v1/approvals', who: 'anybody', handle: (visit) => list(desk, visit, 'approval') }),
    route({ method: 'GET', path: '/v1/grants', who: 'anybody', handle: (visit) => list(desk, visit, 'grant') }),
    route({
      method: 'POST',
      path: '/v1/approvals/{id}/approve',
      who: 'approver',
      body: decision,
      act: 'approval.approve',
      handle: decide('approve')
    }),
    route({
      method: 'POST',
      path: '/v1/approvals/{id}/refuse',
      who: 'approver',
      body: decision,
      act: 'approval.refuse',
      handle: decide('refuse')
    }),
    route({
      method: 'POST',
      path: '/v1/grants',
      who: 'anybody',
      body: grant,
      act: 'grant.request',
      handle: async ({ id, body, policy, now }) => {
        const need = grantNeed(id, { ...body, run: body.run }, policy, now)
        return typeof need === 'string' ? problem(403, 'Forbidden', need) : replyOf(await desk.request(need, now))
      }
    }),
    route({
      method: 'POST',
      path: '/v1/grants/{id}/release',
      who: 'anybody',
      act: 'grant.release',
      handle: async ({ id, parts: [about = ''], now }) => replyOf(await desk.release(about, id, now))
    }),
    route({
      method: 'POST',
      path: '/v1/runs/{run}/end',
      who: 'anybody',
      act: 'run.end',
      handle: async ({ id, isOperator, parts: [name = ''], now }) => {
        if (!RUN_PATTERN.test(name)) return problem(400, 'The request cannot be read', 'That is no name of a run.')
        // A caller ends its own; what others call their run is not its business.
        const ended = await desk.endRun(name, isOperator ? undefined : id, now)
        const of = isOperator ? 'everybody' : id.text
        if (ended.kind === 'none') return problem(404, 'Not found', 'You have asked for nothing that belongs to that run.')
        return ended.kind === 'done' ? { status: 200, body: { run: name, ended: true, of }, facts: { of } } : unavailable(ended.because)
      }
    }),
    offboardRoute(desk, reason)
  ]
}

/** Everything, for those who decide or watch; a caller sees its own. */
async function list(desk: ApprovalDesk, { id, isOperator, isApprover, now }: Visit<unknown>, step: Step): Promise<Reply> {
  // Of its own there are few: nobody has all of them read for that, nor finds its own behind a thousand others.
  const all = await desk.list(now, isOperator || isApprover ? undefined : id)
  if (all.kind === 'unavailable') return unavailable(all.because)
  const seen = all.entries.filter((one) => one.step === step && (isOperator || isApprover || one.caller === id.text))
  return { status: 200, body: { [`${step}s`]: seen.map(entryJson), more: all.more } }
}

function replyOf(acted: Acted): Reply {
  if (acted.kind === 'unavailable') return unavailable(acted.because)
  if (acted.kind === 'not') return problem(acted.status, acted.status === 404 ? 'Not found' : 'Not possible', acted.says)
  const { id, step, caller, operation, database, tenant, targets, digest, run: of } = acted.entry
  const facts = { id, step, caller, operation, database, tenant, targets, digest: digest === '' ? undefined : digest, run: of }
  return { status: 200, body: entryJson(acted.entry), facts }
}

function unavailable(because: string): Reply {
  return problem(503, 'Unavailable', because)
}

function entryJson({ askedAt, until, lastsMs, blocked, ...rest }: ApprovalEntry) {
  return {
    ...rest,
    may_not_approve: blocked,
    asked_at: new Date(askedAt).toISOString(),
    until: new Date(until).toISOString(),
    seconds: lastsMs / 1000
  }
}
