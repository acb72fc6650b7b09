import { type Json, type JsonObject, shown } from './json.ts'
import { JWT_ALGORITHMS, type JwtAlgorithm } from './jwt-keys.ts'
import { type Fault, fault } from './rules.ts'

/** All that a JOSE header may say in a JWT-SVID (JWT-SVID §2). */
export interface JwtHeader {
  readonly ok: true
  readonly algorithm: JwtAlgorithm
  readonly kid: string | undefined
}

/** Rules W-1, J-3, J-5, J-6, J-7. */
export function readHeader(members: JsonObject): JwtHeader | Fault {
  const [alg, kid, typ] = [members.get('alg'), members.get('kid'), members.get('typ')]
  if (typ === 'wit+jwt') return fault('W-1', 'a WIT-SVID, which is no bearer token: it proves nothing without its key')
  const algorithm = typeof alg === 'string' ? JWT_ALGORITHMS.get(alg) : undefined
  if (algorithm === undefined) return fault('J-3', `the alg of its header is ${described(alg)}`)
  if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') return fault('J-5', `the typ of its header is ${described(typ)}`)
  if (members.has('crit')) return fault('J-7', 'its header has crit, and no extension is known here')
  for (const name of members.keys()) {
    if (name !== 'alg' && name !== 'kid' && name !== 'typ') return fault('J-6', `its header has the member ${shown(name)}`)
  }
  if (kid !== undefined && typeof kid !== 'string') return fault('J-9', 'the kid of its header is not a text')
  return { ok: true, algorithm, kid }
}

function described(value: Json | undefined): string {
  return typeof value === 'string' ? shown(value) : value === undefined ? 'not there' : 'not a text'
}
