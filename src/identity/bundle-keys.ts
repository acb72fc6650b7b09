import { strictBase64 } from './base64.ts'
import { arrayOf, type Json, type JsonObject, objectOf, shown } from './json.ts'
import { readJwk } from './jwk.ts'
import { type JwtKey, readJwtKey, unambiguous } from './jwt-keys.ts'
import { type Fault, fault, type RuleNumber } from './rules.ts'
import { readCertificate } from './x509-certificate.ts'
import { KEY_USAGE } from './x509-extensions.ts'

/** A key of a document that was passed over, or not used as it stands: what whoever published it should mend. */
export interface Remark {
  /** Position in `keys`, from 1; 0 for what is about several keys. */
  readonly position: number
  readonly rule: RuleNumber
  readonly detail: string
}

export interface BundleKeys {
  /** Anchors for X.509-SVIDs, each one DER certificate. */
  readonly x509: readonly Uint8Array[]
  readonly jwt: readonly JwtKey[]
  readonly remarks: readonly Remark[]
}

interface Draft {
  readonly x509: Uint8Array[]
  readonly jwt: JwtKey[]
  readonly remarks: Remark[]
}

/** What the entries of a SPIFFE bundle are good for (Trust Domain and Bundle §4.2; rules B-2 to B-8, B-15). */
export function readBundleKeys(entries: readonly Json[]): BundleKeys {
  return readKeys(entries, (entry, draft) => {
    const use = entry.get('use')
    if (use === 'x509-svid') return readAnchor(entry, draft)
    if (use === 'jwt-svid') return entry.has('kid') ? addJwtKey(entry, draft) : fault('B-7', 'it has no kid')
    if (use === 'wit-svid') return fault('B-6', 'it is for WIT-SVIDs, which are not accepted here')
    return fault('B-3', useDetail(use))
  })
}

/** What the entries of a plain JWK set, as the Workload API gives it, are good for (Workload API §6.2.2; rules B-2, B-7, B-8, B-16). */
export function readPlainKeys(entries: readonly Json[]): BundleKeys {
  return readKeys(entries, (entry, draft) => {
    const use = entry.get('use')
    return use === undefined || use === 'jwt-svid' || use === 'sig' ? addJwtKey(entry, draft) : fault('B-16', useDetail(use))
  })
}

function readKeys(entries: readonly Json[], read: (entry: JsonObject, draft: Draft) => Fault | undefined): BundleKeys {
  const draft: Draft = { x509: [], jwt: [], remarks: [] }
  const ids = new Map<string, number>()
  for (const [index, entry] of entries.entries()) {
    const remark = (found: Fault): void => {
      draft.remarks.push({ position: index + 1, rule: found.rule, detail: found.detail })
    }
    const jwk = objectOf(entry)
    const passedOver = jwk === undefined ? fault('B-2', 'it is no JSON object') : read(jwk, draft)
    if (passedOver !== undefined) remark(passedOver)
    if (jwk !== undefined && moreCertificates(jwk)) remark(fault('B-5', 'its x5c has several certificates, and the first one counts'))
    const kid = jwk?.get('kid')
    if (typeof kid !== 'string') continue
    if (ids.has(kid)) remark(fault('B-8', `its kid ${shown(kid)} is that of key ${ids.get(kid)} too`))
    else ids.set(kid, index + 1)
  }
  const { keys, ambiguous } = unambiguous(draft.jwt)
  for (const kid of ambiguous) {
    draft.remarks.push({ position: 0, rule: 'B-8', detail: `the kid ${shown(kid)} stands for two keys, so neither is used` })
  }
  return { x509: draft.x509, jwt: keys, remarks: draft.remarks }
}

function addJwtKey(entry: JsonObject, draft: Draft): Fault | undefined {
  const read = readJwtKey(entry)
  if (!read.ok) return read
  draft.jwt.push(read.key)
  return undefined
}

/** X509-SVID §6.2: the certificate counts; the key beside it has to be the same, or one of the two is not what was meant. */
function readAnchor(entry: JsonObject, draft: Draft): Fault | undefined {
  const kty = entry.get('kty')
  if (kty !== 'EC' && kty !== 'RSA' && kty !== 'OKP')
    return fault('B-2', `its kty is ${typeof kty === 'string' ? shown(kty) : 'not there'}`)
  const [first] = arrayOf(entry.get('x5c')) ?? []
  if (first === undefined) return fault('B-4', 'it has no certificate in x5c')
  const der = typeof first === 'string' ? strictBase64(first) : undefined
  if (der === undefined) return fault('B-15', 'its x5c is not standard base64')
  const read = readCertificate(der)
  if (!read.ok) return fault('B-15', `its x5c is no certificate: ${read.detail} (${read.rule})`)
  const { serial, spki, extensions } = read.certificate
  if (extensions.basicConstraints?.ca !== true) return fault('B-15', `its certificate ${serial} is no CA`)
  if (((extensions.keyUsage?.bits ?? 0) & KEY_USAGE.keyCertSign) === 0) return fault('B-15', `its CA ${serial} has no keyCertSign`)
  const key = readJwk(entry)
  if (!key.ok) return key
  if (!key.spki.equals(spki)) return fault('B-15', `its certificate ${serial} has another key than the entry`)
  draft.x509.push(der)
  return undefined
}

function moreCertificates(jwk: JsonObject): boolean {
  return jwk.get('use') === 'x509-svid' && (arrayOf(jwk.get('x5c'))?.length ?? 0) > 1
}

function useDetail(use: Json | undefined): string {
  return use === undefined ? 'it has no use' : `its use is ${typeof use === 'string' ? shown(use) : 'not a text'}`
}
