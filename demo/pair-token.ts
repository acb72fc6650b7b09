/** Policy tokens bent and forged, with every key that somebody of the trust domain could have. */
import { createHmac, type KeyObject, sign } from 'node:crypto'

export interface TokenParts {
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
  /** base64url. */
  readonly signature: string
}

export interface Change {
  /** Over those of the token; `undefined` leaves one out. */
  readonly header?: Readonly<Record<string, unknown>>
  readonly claims?: Readonly<Record<string, unknown>>
}

/** An SVID with its key, as the dev issuer gives it. */
export interface Signer {
  readonly chain: readonly Uint8Array[]
  readonly key: KeyObject
}

export function partsOf(token: string): TokenParts {
  const [header = '', claims = '', signature = ''] = token.split('.')
  const read = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
  return { header: read(header), claims: read(claims), signature }
}

/** The token with changes, signed with the key of this SVID, whose chain it then carries unless `header` says otherwise. */
export function signedBy({ chain, key }: Signer, token: string, change: Change = {}): string {
  const input = bent(token, { ...change, header: { x5c: x5cOf(chain), ...change.header } })
  return `${input}.${sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

/** The same with a MAC in the place of the signature, under a key that everybody knows. */
export function macBy(secret: string | Buffer, token: string): string {
  const input = bent(token, { header: { alg: 'HS256' } })
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
}

/** The token with changes, and with the signature that it had, or this one. */
export function bentOnly(token: string, change: Change, signature = partsOf(token).signature): string {
  return `${bent(token, change)}.${signature}`
}

export function x5cOf(chain: readonly Uint8Array[]): string[] {
  return chain.map((one) => Buffer.from(one).toString('base64'))
}

/** Header and claims. What is not changed keeps its very bytes, as the order of members is kept. */
function bent(token: string, change: Change): string {
  const { header, claims } = partsOf(token)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ ...header, ...change.header })}.${part({ ...claims, ...change.claims })}`
}
