/** The table of what the admin port does. A route is a line in it: who may, what the body is, what is done. */
import type { ServerResponse } from 'node:http'
import type { ZodType } from 'zod'
import type { SpiffeId } from '../core/spiffe-id.ts'
import type { Policy } from '../policy/policy.ts'

/**
 * Who may ask. - `operator`: of the settings. - `approver`: of the policy. - `either`. - `anybody`: whoever has a verified SVID that
 * is not revoked; the route decides what is its own.
 */
export type Who = 'operator' | 'approver' | 'either' | 'anybody'

/** One request by somebody who is proven, at a moment, under the policy in force. */
export interface Visit<B> {
  readonly id: SpiffeId
  readonly isOperator: boolean
  readonly isApprover: boolean
  /** The `{…}` of the path, decoded. */
  readonly parts: readonly string[]
  readonly body: B
  readonly policy: Policy
  /** Milliseconds since the epoch. */
  readonly now: number
}

export interface Reply {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
  /** For the second audit line. */
  readonly facts?: Readonly<Record<string, unknown>>
}

/** What is not JSON: a page and what belongs to it. */
interface TextAnswer {
  readonly type: string
  readonly text: string
}

/** Events, as long as the connection lasts. */
interface StreamAnswer {
  readonly stream: (response: ServerResponse) => void
}

export type Answer = Reply | TextAnswer | StreamAnswer

export interface AdminRoute<B = unknown> {
  readonly method: 'GET' | 'POST'
  /** `{…}` is one segment: `/v1/approvals/{id}/approve`. */
  readonly path: string
  readonly who: Who
  /** Shape of the JSON body; a POST without one takes none. */
  readonly body?: ZodType<B>
  /** Most bytes of that, where it is not a few. */
  readonly bodyBytesMax?: number
  /** Shape of the answer, for the OpenAPI document. */
  readonly answer?: ZodType
  /** Name in the audit record; every POST has one, looking has none. */
  readonly act?: string
  /** In a sentence, for the OpenAPI document. */
  readonly says?: string
  /** Shows nothing of this server by itself: whoever reaches the port may have it. */
  readonly isPage?: boolean
  readonly handle: (visit: Visit<B>) => Promise<Answer>
}

/** Checks that a route and its body agree, and forgets which body it was: the port reads it by `body` before it hands it over. */
export function route<B>(one: AdminRoute<B>): AdminRoute {
  return one as unknown as AdminRoute
}

/** RFC 9457 problem details. */
export function problem(status: number, title: string, detail: string): Reply {
  return { status, body: { type: 'about:blank', title, status, detail } }
}

export type Matched =
  | { readonly kind: 'route'; readonly route: AdminRoute; readonly parts: readonly string[] }
  | { readonly kind: 'method' }
  | { readonly kind: 'none' }

/** @param target of the request line; a query or an odd spelling matches nothing */
export function match(routes: readonly AdminRoute[], method: string, target: string): Matched {
  let elsewhere = false
  for (const one of routes) {
    const parts = partsOf(one.path, target)
    if (parts === undefined) continue
    if (one.method === method) return { kind: 'route', route: one, parts }
    elsewhere = true
  }
  return { kind: elsewhere ? 'method' : 'none' }
}

const SEGMENT_CHARS_MAX = 512

function partsOf(path: string, target: string): readonly string[] | undefined {
  const [wanted, given] = [path.split('/'), target.split('/')]
  if (wanted.length !== given.length) return undefined
  const parts: string[] = []
  for (const [at, segment] of wanted.entries()) {
    const text = given[at] ?? ''
    if (!segment.startsWith('{')) {
      if (segment !== text) return undefined
      continue
    }
    const decoded = decode(text)
    if (decoded === undefined) return undefined
    parts.push(decoded)
  }
  return parts
}

function decode(text: string): string | undefined {
  if (text === '' || text.length > SEGMENT_CHARS_MAX || /[?#]/.test(text)) return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}
