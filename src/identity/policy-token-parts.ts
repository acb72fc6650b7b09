import { POLICY_TOKEN_ALGORITHMS, POLICY_TOKEN_CHARS_MAX, POLICY_TOKEN_TYPE } from '../core/policy-token.ts'
import { strictBase64, strictBase64Url } from './base64.ts'
import { arrayOf, type JsonObject, objectOf, parseJson, shown } from './json.ts'
import { JWT_ALGORITHMS, type JwtAlgorithm } from './jwt-keys.ts'
import { type Fault, fault } from './rules.ts'
import { CHAIN_CERTIFICATES_MAX } from './x509-svid.ts'

export interface PolicyTokenParts {
  readonly ok: true
  /** As it is written: the same text for every token of one SVID, so it is read once. */
  readonly header: string
  readonly claims: JsonObject
  /** The bytes under the signature (RFC 7515 §5.2). */
  readonly signed: Buffer
  readonly signature: Buffer
}

/** The three parts of a compact JWS; of the header, only that it is there. Rule T-1. */
export function readPolicyParts(token: string): PolicyTokenParts | Fault {
  if (token.length > POLICY_TOKEN_CHARS_MAX) return fault('T-1', `${token.length} characters, and ${POLICY_TOKEN_CHARS_MAX} are the most`)
  const [header = '', body = '', tail = '', ...more] = token.split('.')
  if (header === '' || body === '' || tail === '' || more.length > 0) return fault('T-1', 'it has not three parts')
  const [claims, signature] = [strictBase64Url(body), strictBase64Url(tail)]
  if (claims === undefined || signature === undefined) return fault('T-1', 'a part is not strict base64url')
  const members = objectIn(claims, 'claims', 1)
  if ('rule' in members) return members
  const signed = Buffer.from(token.slice(0, header.length + 1 + body.length), 'latin1')
  return { ok: true, header, claims: members, signed, signature }
}

export interface PolicyTokenHeader {
  readonly ok: true
  readonly algorithm: JwtAlgorithm
  /** DER, leaf first. */
  readonly chain: readonly Uint8Array[]
}

/** The JOSE header. Rules T-1 to T-5. @param typ what it must be */
export function readPolicyHeader(part: string, typ = POLICY_TOKEN_TYPE): PolicyTokenHeader | Fault {
  const bytes = strictBase64Url(part)
  if (bytes === undefined) return fault('T-1', 'a part is not strict base64url')
  const members = objectIn(bytes, 'header', 2)
  if ('rule' in members) return members
  const alg = members.get('alg')
  const algorithm = typeof alg === 'string' && POLICY_TOKEN_ALGORITHMS.includes(alg) ? JWT_ALGORITHMS.get(alg) : undefined
  if (algorithm === undefined) return fault('T-2', 'the alg of its header is not one that is taken here')
  if (members.get('typ') !== typ) return fault('T-3', 'the typ of its header is not that of a policy token')
  for (const name of members.keys())
    if (name !== 'alg' && name !== 'typ' && name !== 'x5c') return fault('T-4', `its header has the member ${shown(name)}`)
  const x5c = arrayOf(members.get('x5c'))
  if (x5c === undefined || x5c.length === 0 || x5c.length > CHAIN_CERTIFICATES_MAX)
    return fault('T-5', `its x5c is not an array of 1 to ${CHAIN_CERTIFICATES_MAX} certificates`)
  const chain = x5c.map((one) => (typeof one === 'string' ? strictBase64(one) : undefined))
  if (!chain.every((one) => one !== undefined)) return fault('T-5', 'its x5c has something that is not strict base64')
  return { ok: true, algorithm, chain }
}

function objectIn(json: Buffer, what: string, depthMax: number): JsonObject | Fault {
  const read = parseJson(json, depthMax)
  if (!read.ok) return fault('T-1', `its ${what} ${read.detail}`)
  return objectOf(read.value) ?? fault('T-1', `its ${what} is no JSON object`)
}
