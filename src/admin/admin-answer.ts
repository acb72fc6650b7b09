/**
 * What an admin port answers, whoever proved that it is who asks: the table of routes, who may, and two audit lines for whatever changes
 * something. What a browser sends for another site changes nothing and shows nothing.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { OperatorAct } from '../core/operator-act.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'
import { mayApprove } from '../policy/approval-need.ts'
import type { Policy } from '../policy/policy.ts'
import { BODY_REFUSED, readBody } from './admin-body.ts'
import { type AdminRoute, type Answer, match, problem, type Visit } from './admin-route.ts'

export interface Answering {
  readonly routes: readonly AdminRoute[]
  readonly policy: () => Policy
  readonly now: () => number
  /** Keeps one audit line; false when it cannot. */
  readonly record: (act: OperatorAct) => boolean
}

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Of pages that this port serves, such as `https://127.0.0.1:9903`. */
  readonly origin: string
}

/** Who asks, as its port proved it. */
export interface Asker {
  readonly id: SpiffeId
  /** Of its certificate; else words for how it was proven. */
  readonly serial: string
  readonly isOperator: boolean
}

/** @param asker undefined: nobody is proven; then pages only, which show nothing by themselves */
export async function answer({ request, response, origin }: Exchange, asker: Asker | undefined, options: Answering): Promise<void> {
  const found = match(options.routes, request.method ?? '', request.url ?? '')
  const isPage = found.kind === 'route' && found.route.isPage === true
  const foreign = isPage ? undefined : crossSite(request, origin)
  if (foreign !== undefined) return send(response, problem(403, 'Forbidden', foreign))
  if (asker === undefined && !isPage) return send(response, UNPROVEN)
  if (found.kind === 'none') return send(response, problem(404, 'Not found', 'There is nothing at this path.'))
  if (found.kind === 'method') return send(response, problem(405, 'Method not allowed', 'This path takes another method.'))
  const { route, parts } = found
  if (asker === undefined) return send(response, await route.handle(NOBODY as unknown as Visit<unknown>))
  const policy = options.policy()
  const visitor = { id: asker.id, isOperator: asker.isOperator, isApprover: mayApprove(asker.id, policy) }
  const body = await readBody(request, route.body, route.bodyBytesMax)
  if (BODY_REFUSED in body) return send(response, body[BODY_REFUSED])
  const visit: Visit<unknown> = { ...visitor, parts, body: body.value, policy, now: options.now() }
  send(response, await acted(route, visit, asker, options))
}

/** A page looks at nothing of its visitor. */
const NOBODY = { parts: [] }
const UNPROVEN = problem(401, 'Unauthorized', 'Say who you are: authorization: Bearer and the token of the token file.')

/**
 * Why this was sent for another site's page, undefined when it was not (Fetch Metadata, W3C; RFC 6454). Programs that are no browsers
 * send neither header.
 */
function crossSite({ headers }: IncomingMessage, origin: string): string | undefined {
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return 'This was sent for a page of another site.'
  if (headers.origin !== undefined && headers.origin !== origin) return 'This was sent for a page of another origin.'
  return undefined
}

/** Two lines for whatever changes something: that it is tried, and what came of it. */
async function acted(one: AdminRoute, visit: Visit<unknown>, asker: Asker, options: Answering): Promise<Answer> {
  const allowed = isAllowed(one, visit)
  if (one.act === undefined) return allowed ? one.handle(visit) : FORBIDDEN
  const reason = (visit.body as { readonly reason?: unknown } | undefined)?.reason
  const common = {
    actId: randomUUID(),
    act: one.act,
    by: asker.id.text,
    serial: asker.serial,
    about: visit.parts.join(' '),
    reason: typeof reason === 'string' ? reason : undefined
  }
  const keep = (stage: OperatorAct['stage'], reply?: { readonly status: number; readonly facts?: Readonly<Record<string, unknown>> }) =>
    options.record({ at: options.now(), stage, ...common, status: reply?.status, facts: reply?.facts })
  if (!keep('begun')) return problem(503, 'Unavailable', 'This cannot be recorded right now, and so it is not done.')
  try {
    const reply = allowed ? await one.handle(visit) : FORBIDDEN
    if (!('body' in reply)) throw new Error('an act answers with a body')
    keep(reply.status < 300 ? 'done' : reply.status < 500 ? 'refused' : 'failed', reply)
    return reply
  } catch (cause) {
    keep('failed')
    throw cause
  }
}

const FORBIDDEN = problem(403, 'Forbidden', 'You may not do this here.')

function isAllowed({ who }: AdminRoute, { isOperator, isApprover }: Visit<unknown>): boolean {
  if (who === 'anybody') return true
  return (who !== 'approver' && isOperator) || (who !== 'operator' && isApprover)
}

/** Of every answer: a browser takes it for what it is, shows it in no frame, and runs nothing that did not come from here. */
const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY'
}

export function send(response: ServerResponse, answer: Answer): void {
  if (response.headersSent) return void response.destroy()
  if ('stream' in answer) {
    response.writeHead(200, { ...HEADERS, 'content-type': 'text/event-stream' })
    answer.stream(response)
    return
  }
  if ('text' in answer) return void response.writeHead(200, { ...HEADERS, 'content-type': answer.type }).end(answer.text)
  const type = answer.status < 300 ? 'application/json' : 'application/problem+json'
  response.writeHead(answer.status, { ...HEADERS, 'content-type': type }).end(`${JSON.stringify(answer.body)}\n`)
}
