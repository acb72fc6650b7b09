import { JWT_NOW, makeToken, NOW_S, other, type TokenSpec } from './jwt.ts'

/** End users' tokens: good by default (OpenID Connect Core §2, RFC 9068), with the knobs of `makeToken`. */
export const IDP = 'https://idp.vecauthz.test'
export const USER = 'user-4711'
export const SUBJECT_AUDIENCE = 'vecauthz'
export const SUBJECT_NOW = JWT_NOW

const good = { iss: IDP, sub: USER, aud: SUBJECT_AUDIENCE, exp: NOW_S + 300, iat: NOW_S, tenant: 'acme' }

/** `claims` over the good ones; `undefined` leaves one out. */
export function subjectToken({ claims = {}, by = other, ...rest }: TokenSpec = {}): string {
  return makeToken({ ...rest, by, claims: typeof claims === 'string' ? claims : { ...good, ...claims } })
}
