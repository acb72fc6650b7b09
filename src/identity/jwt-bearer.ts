import { type Fault, fault } from './rules.ts'

export type BearerResult = { readonly ok: true; readonly token: string } | Fault

/**
 * The token in the value of an `authorization` header (JWT-SVID §5.2, RFC 6750 §2.1; rule J-23). Two headers that a proxy joined
 * with a comma are no token. Whether the token means anything is for `verifyJwtSvid` to say.
 */
export function readBearer(authorization: string): BearerResult {
  const token = /^bearer ([A-Za-z0-9_~+/.=-]+)$/i.exec(authorization)?.[1]
  return token === undefined ? fault('J-23', 'the authorization header is not Bearer, one space and one token') : { ok: true, token }
}
