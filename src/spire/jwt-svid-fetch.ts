import { type ServiceError, status } from '@grpc/grpc-js'
import type { JWTSVIDRequest, JWTSVIDResponse } from '@vecauthz/spiffe-protos/workload'
import { parseSpiffeId, type SpiffeId } from '../core/spiffe-id.ts'
import type { EndpointAddress } from './endpoint-address.ts'
import { securityHeader, statusName, workloadClient } from './workload-client.ts'

/** A JWT-SVID of this process. Whoever holds the token is this process for those audiences, so it belongs in no log. */
export interface FetchedJwtSvid {
  readonly id: SpiffeId
  readonly token: string
  readonly hint: string
}

export type JwtSvidsResult =
  /** At least one, the default one first (Workload API §8). */
  | { readonly ok: true; readonly svids: readonly FetchedJwtSvid[] }
  /** `code` is the gRPC status; undefined where the fault is in the question or in a good answer's content. Holds no token. */
  | { readonly ok: false; readonly code: number | undefined; readonly because: string }

export interface JwtSvidQuestion {
  readonly address: EndpointAddress
  /** All of them in one token, as they are (rule A-14). Empty asks nothing. */
  readonly audience: readonly string[]
  /** The identity to ask for; without it all identities of this process. */
  readonly spiffeId?: string
  readonly timeoutMs: number
}

/** What a bearer header can hold without becoming two: the alphabet of a compact JWS (RFC 7515 §7.1). */
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/

/**
 * Asks a Workload API once for JWT-SVIDs of this process (FetchJWTSVID, Workload API §6.2.1; rules, E-4). No retry
 * and no cache: a redacted identity is never answered from memory. Never throws.
 */
export async function fetchJwtSvid({ address, audience, spiffeId, timeoutMs }: JwtSvidQuestion): Promise<JwtSvidsResult> {
  if (audience.length === 0 || audience.includes('')) return refused('A JWT-SVID needs an audience, and an empty one is none.')
  const client = workloadClient(address)
  const request: JWTSVIDRequest = { audience: [...audience], spiffeId: spiffeId ?? '' }
  try {
    const response = await new Promise<JWTSVIDResponse>((resolve, reject) => {
      const options = { deadline: Date.now() + timeoutMs }
      client.fetchJwtsvid(request, securityHeader(), options, (error, answer) => (error === null ? resolve(answer) : reject(error)))
    })
    return readResponse(response, spiffeId)
  } catch (fault) {
    const { code = status.UNKNOWN, details = '' } = fault as Partial<ServiceError>
    return { ok: false, code, because: `${address.text} gave no JWT-SVID (${statusName(code)}): ${details}` }
  } finally {
    client.close()
  }
}

function readResponse({ svids }: JWTSVIDResponse, asked: string | undefined): JwtSvidsResult {
  const read: FetchedJwtSvid[] = []
  for (const { spiffeId, svid, hint } of svids) {
    const id = parseSpiffeId(spiffeId)
    if (!id.ok) return refused(`A JWT-SVID of the answer has an invalid spiffe_id (${id.rule}: ${id.detail}).`)
    if (!COMPACT.test(svid)) return refused('A JWT-SVID of the answer is not a compact token.')
    if (asked === undefined || asked === '' || asked === spiffeId) read.push({ id: id.id, token: svid, hint })
  }
  if (read.length > 0) return { ok: true, svids: read }
  return refused(svids.length === 0 ? 'The answer holds no JWT-SVID.' : 'The answer holds no JWT-SVID of the identity that was asked for.')
}

function refused(because: string): JwtSvidsResult {
  return { ok: false, code: undefined, because }
}
