import { createHash, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import type { TrustBundles } from '../../src/core/trust.ts'
import { bits, bool, context, type Der, int, name, nil, octets, oid, seq, time, tlv } from './der-write.ts'

/**
 * Certificate authorities and SVIDs in memory. Good by default (SPIFFE X509-SVID §2 to §5), with a knob for every defect that
 * the rules of `src/identity/` refuse. Times are milliseconds since the epoch, or Dates.
 */

export type KeyKind = 'P-256' | 'P-384' | 'P-521' | 'secp256k1' | 'RSA-1024' | 'RSA-2048' | 'RSA-3072' | 'Ed25519'
export type KeyUsageName =
  | 'digitalSignature'
  | 'nonRepudiation'
  | 'keyEncipherment'
  | 'dataEncipherment'
  | 'keyAgreement'
  | 'keyCertSign'
  | 'cRLSign'

export interface RawExtension {
  readonly oid: string
  readonly critical?: boolean
  /** Ready-made DER in the place of the critical flag. */
  readonly flag?: Uint8Array
  readonly value: Uint8Array
}

/** A string is written as UTF-8; bytes are written as they are. */
export type San = { readonly type: 'uri' | 'dns' | 'email' | 'ip'; readonly value: string | Uint8Array }

export interface NameConstraints {
  readonly permittedUris?: readonly string[]
  readonly excludedUris?: readonly string[]
  readonly permittedDns?: readonly string[]
  readonly excludedDns?: readonly string[]
  /** Ready-made GeneralName values, for the types without a knob. */
  readonly permittedRaw?: readonly Uint8Array[]
  readonly excludedRaw?: readonly Uint8Array[]
  readonly critical?: boolean
}

/** What can be turned on any certificate. `null` leaves the extension out. */
export interface Knobs {
  readonly notBefore?: number | Date
  readonly notAfter?: number | Date
  /** A number, or lower-case hex. */
  readonly serial?: bigint | string
  /** A ready-made Name; `EMPTY_NAME` for none. */
  readonly subject?: Uint8Array
  /** A Name to write as issuer instead of the issuer's own subject. */
  readonly issuerName?: Uint8Array
  readonly keyKind?: KeyKind
  /** Use this private key instead of a fresh one. */
  readonly key?: KeyObject
  readonly hash?: 'sha1' | 'sha224' | 'sha256' | 'sha384' | 'sha512'
  /** RSASSA-PSS with salt as long as the digest. */
  readonly pss?: boolean
  readonly sanCritical?: boolean
  /** All subject alternative names, in order, instead of those that would be written. */
  readonly sans?: readonly San[] | null
  readonly basicConstraints?: { readonly ca: boolean; readonly pathLength?: number; readonly critical?: boolean } | null
  readonly keyUsages?: readonly KeyUsageName[] | null
  readonly keyUsageCritical?: boolean
  /** OIDs of extended key usages. */
  readonly eku?: readonly string[] | null
  readonly ekuCritical?: boolean
  readonly nameConstraints?: NameConstraints
  /** Bytes of the key identifier, `null` for none. */
  readonly authorityKeyId?: Uint8Array | null
  readonly subjectKeyId?: Uint8Array | null
  /** Written after all others, as they are: unknown ones, duplicates, malformed ones. */
  readonly extensions?: readonly RawExtension[]
  /** Version number as written: 2 is v3. */
  readonly version?: number
  /** Change the last byte of the signature. */
  readonly tampered?: boolean
  /** Another AlgorithmIdentifier in the outer certificate than in the signed part. */
  readonly outerAlgorithm?: Uint8Array
  /** Any other damage to the signed part before it is signed. */
  readonly editTbs?: (tbs: Uint8Array) => Uint8Array
}

export interface AuthoritySpec extends Knobs {
  readonly trustDomain: string
  /** Common name; two authorities with one name have the same DN. */
  readonly name?: string
  /** Signs this authority; without it the authority signs itself. */
  readonly parent?: Authority
  readonly pathLength?: number
  /** The authority's own URI SAN; the trust domain's ID by default, `null` for none. */
  readonly id?: string | null
}

export interface Authority {
  readonly name: string
  readonly trustDomain: string
  readonly der: Uint8Array
  readonly pem: string
  readonly keyPem: string
  readonly keyDer: Uint8Array
  readonly key: KeyObject
  /** From this CA up to, but without, the self-signed root: empty for a root. */
  readonly chain: readonly Uint8Array[]
  /** The self-signed end of the path: what belongs in the bundle. */
  readonly root: Uint8Array
  /** The subject, a DER Name. */
  readonly subject: Uint8Array
  readonly keyId: Uint8Array
}

export interface SvidSpec extends Knobs {
  /** The SPIFFE ID: the only URI SAN unless `uris` is given. */
  readonly id?: string
  readonly uris?: readonly (string | Uint8Array)[]
  readonly dns?: readonly string[]
}

export interface Svid {
  readonly id: string
  readonly der: Uint8Array
  /** Leaf first, then the intermediates. */
  readonly chain: readonly Uint8Array[]
  /** Leaf and intermediates. */
  readonly pem: string
  readonly leafPem: string
  readonly keyPem: string
  /** PKCS#8, as the Workload API hands it out. */
  readonly keyDer: Uint8Array
  readonly key: KeyObject
}

export const EKU = { serverAuth: '1.3.6.1.5.5.7.3.1', clientAuth: '1.3.6.1.5.5.7.3.2', codeSigning: '1.3.6.1.5.5.7.3.3' } as const
export const EMPTY_NAME: Uint8Array = seq()

export const EXTENSION = {
  subjectKeyId: '2.5.29.14',
  keyUsage: '2.5.29.15',
  subjectAltName: '2.5.29.17',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  authorityKeyId: '2.5.29.35',
  extendedKeyUsage: '2.5.29.37'
} as const

const KEY_USAGE_BITS: readonly KeyUsageName[] = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign'
]
const SAN_TAG = { email: 1, dns: 2, uri: 6, ip: 7 } as const

const MINUTE = 60_000
const HOUR = 60 * MINUTE

export async function makeAuthority(spec: AuthoritySpec): Promise<Authority> {
  const { parent } = spec
  const label = spec.name ?? `${spec.trustDomain} ${parent === undefined ? 'root' : 'intermediate'}`
  const key = spec.key ?? newKey(spec.keyKind ?? 'P-256')
  const subject = spec.subject ?? name([['2.5.4.3', label]])
  const uri = spec.id === undefined ? `spiffe://${spec.trustDomain}` : spec.id
  const der = writeCertificate({
    knobs: {
      basicConstraints: spec.pathLength === undefined ? { ca: true } : { ca: true, pathLength: spec.pathLength },
      keyUsages: ['keyCertSign', 'cRLSign'],
      eku: null,
      sans: uri === null ? null : [{ type: 'uri', value: uri }],
      notBefore: Date.now() - HOUR,
      notAfter: Date.now() + 48 * HOUR,
      ...spec
    },
    subject,
    key,
    issuer: parent === undefined ? { subject, key, keyId: keyId(key) } : parent
  })
  return {
    name: label,
    trustDomain: spec.trustDomain,
    der,
    pem: pemOf(der),
    ...exportKey(key),
    chain: parent === undefined ? [] : [der, ...parent.chain],
    root: parent === undefined ? der : parent.root,
    subject,
    keyId: keyId(key)
  }
}

export async function issueSvid(authority: Authority, spec: SvidSpec = {}): Promise<Svid> {
  const id = spec.id ?? `spiffe://${authority.trustDomain}/workload`
  const key = spec.key ?? newKey(spec.keyKind ?? 'P-256')
  const sans: San[] = [
    ...(spec.dns ?? []).map((value) => ({ type: 'dns', value }) as const),
    ...(spec.uris ?? [id]).map((value) => ({ type: 'uri', value }) as const)
  ]
  const der = writeCertificate({
    knobs: {
      basicConstraints: { ca: false },
      keyUsages: ['digitalSignature', 'keyEncipherment'],
      eku: [EKU.serverAuth, EKU.clientAuth],
      sans,
      notBefore: Date.now() - MINUTE,
      notAfter: Date.now() + HOUR,
      ...spec
    },
    subject: spec.subject ?? name([['2.5.4.10', 'SPIRE']]),
    key,
    issuer: authority
  })
  const chain = [der, ...authority.chain]
  return { id, der, chain, pem: chain.map(pemOf).join(''), leafPem: pemOf(der), ...exportKey(key) }
}

/** The snapshot a verifier would hold: each authority's own certificate is an anchor of its trust domain. */
export function bundlesOf(authorities: readonly Pick<Authority, 'trustDomain' | 'der'>[], generation = 1): TrustBundles {
  const x509 = new Map<string, Uint8Array[]>()
  for (const { trustDomain, der } of authorities) x509.set(trustDomain, [...(x509.get(trustDomain) ?? []), der])
  return { generation, x509, receivedAt: Date.now() }
}

/** The URL-encoded PEM that Envoy writes into `source.certificate`, XFCC `Cert` and, for a whole chain, XFCC `Chain`. */
export function envoyPem(...certificates: readonly Uint8Array[]): string {
  const escapes: Readonly<Record<string, string>> = { '\n': '%0A', ' ': '%20', '+': '%2B', '/': '%2F', '=': '%3D' }
  return certificates
    .map(pemOf)
    .join('')
    .replace(/[\n +/=]/g, (character) => escapes[character] ?? character)
}

/** One XFCC element as Envoy 1.40 writes it under SANITIZE_SET with `cert`, `chain`, `subject` and `uri` set. */
export function xfccFor(svid: Pick<Svid, 'chain' | 'id'>, by = 'spiffe://vec.test/gateway'): string {
  const leaf = svid.chain[0] ?? new Uint8Array()
  const hash = createHash('sha256').update(leaf).digest('hex')
  return `By=${by};Hash=${hash};Cert="${envoyPem(leaf)}";Chain="${envoyPem(...svid.chain)}";Subject="O=SPIRE";URI=${svid.id}`
}

export function newKey(kind: KeyKind): KeyObject {
  if (kind === 'Ed25519') return generateKeyPairSync('ed25519').privateKey
  if (kind.startsWith('RSA-')) return generateKeyPairSync('rsa', { modulusLength: Number(kind.slice(4)) }).privateKey
  return generateKeyPairSync('ec', { namedCurve: kind }).privateKey
}

export function pemOf(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

interface CertificateParts {
  readonly knobs: Knobs
  readonly subject: Der
  readonly key: KeyObject
  readonly issuer: { readonly subject: Der; readonly key: KeyObject; readonly keyId: Uint8Array }
}

function writeCertificate({ knobs, subject, key, issuer }: CertificateParts): Der {
  const serial = typeof knobs.serial === 'string' ? BigInt(`0x${knobs.serial}`) : (knobs.serial ?? freshSerial())
  const hash = knobs.hash ?? 'sha256'
  const algorithm = signatureAlgorithm(issuer.key, hash, knobs.pss === true)
  const version = knobs.version ?? 2
  const extensions = writeExtensions(knobs, key, issuer.keyId)
  let tbs = seq(
    ...(version === 0 ? [] : [context(0, true, int(version))]),
    int(serial),
    algorithm,
    knobs.issuerName ?? issuer.subject,
    seq(time(Number(knobs.notBefore)), time(Number(knobs.notAfter))),
    subject,
    spki(key),
    ...(extensions.length === 0 ? [] : [context(3, true, seq(...extensions))])
  )
  if (knobs.editTbs !== undefined) tbs = knobs.editTbs(tbs)
  const signature = signBytes(tbs, issuer.key, hash, knobs.pss === true)
  if (knobs.tampered === true) signature[signature.length - 1] = (signature.at(-1) ?? 0) ^ 1
  return seq(tbs, knobs.outerAlgorithm ?? algorithm, bits(signature))
}

function writeExtensions(knobs: Knobs, key: KeyObject, issuerKeyId: Uint8Array): Der[] {
  const { basicConstraints: basic, keyUsages, eku, sans, nameConstraints, authorityKeyId, subjectKeyId } = knobs
  const written: Der[] = []
  const add = (type: string, critical: boolean, value: Uint8Array) => written.push(writeExtension({ oid: type, critical, value }))
  if (keyUsages) add(EXTENSION.keyUsage, knobs.keyUsageCritical ?? true, keyUsageBits(keyUsages))
  if (eku) add(EXTENSION.extendedKeyUsage, knobs.ekuCritical ?? false, seq(...eku.map(oid)))
  if (basic) {
    const parts = [...(basic.ca ? [bool(true)] : []), ...(basic.pathLength === undefined ? [] : [int(basic.pathLength)])]
    add(EXTENSION.basicConstraints, basic.critical ?? true, seq(...parts))
  }
  if (subjectKeyId !== null) add(EXTENSION.subjectKeyId, false, octets(subjectKeyId ?? keyId(key)))
  if (authorityKeyId !== null) add(EXTENSION.authorityKeyId, false, seq(context(0, false, authorityKeyId ?? issuerKeyId)))
  if (sans && sans.length > 0) add(EXTENSION.subjectAltName, knobs.sanCritical ?? false, sanExtension(sans))
  if (nameConstraints) add(EXTENSION.nameConstraints, nameConstraints.critical ?? true, constraints(nameConstraints))
  for (const extension of knobs.extensions ?? []) written.push(writeExtension(extension))
  return written
}

function writeExtension({ oid: type, critical, flag, value }: RawExtension): Der {
  return seq(oid(type), flag ?? (critical === true ? bool(true) : new Uint8Array()), octets(value))
}

/** The value of a subjectAltName extension. */
export function sanExtension(sans: readonly San[]): Der {
  return seq(...sans.map(({ type, value }) => tlv(0x80 | SAN_TAG[type], typeof value === 'string' ? Buffer.from(value, 'utf8') : value)))
}

function keyUsageBits(usages: readonly KeyUsageName[]): Der {
  const positions = usages.map((usage) => KEY_USAGE_BITS.indexOf(usage))
  const last = Math.max(-1, ...positions)
  const byte = positions.reduce((sum, position) => sum | (0x80 >> position), 0)
  return last < 0 ? bits(new Uint8Array()) : bits(Uint8Array.of(byte), 7 - last)
}

function constraints(spec: NameConstraints): Der {
  const subtrees = (tag: number, uris: readonly string[] = [], dns: readonly string[] = [], raw: readonly Uint8Array[] = []) => {
    const names = [...uris.map((uri) => tlv(0x86, Buffer.from(uri))), ...dns.map((host) => tlv(0x82, Buffer.from(host))), ...raw]
    return names.length === 0 ? [] : [context(tag, true, ...names.map((one) => seq(one)))]
  }
  return seq(
    ...subtrees(0, spec.permittedUris, spec.permittedDns, spec.permittedRaw),
    ...subtrees(1, spec.excludedUris, spec.excludedDns, spec.excludedRaw)
  )
}

function signatureAlgorithm(key: KeyObject, hash: string, pss: boolean): Der {
  if (key.asymmetricKeyType === 'ed25519') return seq(oid('1.3.101.112'))
  if (key.asymmetricKeyType === 'ec') {
    if (hash === 'sha1') return seq(oid('1.2.840.10045.4.1'))
    return seq(oid(`1.2.840.10045.4.3.${{ sha224: 1, sha256: 2, sha384: 3, sha512: 4 }[hash]}`))
  }
  if (pss) {
    const digest = seq(oid(`2.16.840.1.101.3.4.2.${{ sha256: 1, sha384: 2, sha512: 3 }[hash]}`), nil())
    const salt = { sha256: 32, sha384: 48, sha512: 64 }[hash] ?? 32
    const mgf = seq(oid('1.2.840.113549.1.1.8'), digest)
    return seq(oid('1.2.840.113549.1.1.10'), seq(context(0, true, digest), context(1, true, mgf), context(2, true, int(salt))))
  }
  return seq(oid(`1.2.840.113549.1.1.${{ sha1: 5, sha224: 14, sha256: 11, sha384: 12, sha512: 13 }[hash]}`), nil())
}

function signBytes(bytes: Uint8Array, key: KeyObject, hash: string, pss: boolean): Uint8Array {
  if (key.asymmetricKeyType === 'ed25519') return new Uint8Array(sign(null, bytes, key))
  // 6 is RSA_PKCS1_PSS_PADDING, -1 the digest-long salt; without them PKCS#1 v1.5 or ECDSA as the key says.
  return new Uint8Array(sign(hash, bytes, pss ? { key, padding: 6, saltLength: -1 } : key))
}

function spki(key: KeyObject): Der {
  return new Uint8Array(createPublicKey(key).export({ type: 'spki', format: 'der' }))
}

function keyId(key: KeyObject): Uint8Array {
  return new Uint8Array(createHash('sha1').update(spki(key)).digest())
}

function exportKey(key: KeyObject): { readonly key: KeyObject; readonly keyPem: string; readonly keyDer: Uint8Array } {
  return {
    key,
    keyPem: key.export({ type: 'pkcs8', format: 'pem' }).toString(),
    keyDer: new Uint8Array(key.export({ type: 'pkcs8', format: 'der' }))
  }
}

let serials = 0x1000n
function freshSerial(): bigint {
  serials += 1n
  return (1n << 63n) + serials
}
