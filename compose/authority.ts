/** The keys that nobody commits: made once for a set of volumes, and again when they are about to end. */
import { createPrivateKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { TRUST_DOMAIN } from '../demo/identities.ts'
import { certificatePem, newKey, type Signer, writeCertificate } from '../src/spire/dev-certificate.ts'
import { NODE_NAME } from './roster.ts'

export interface KeyPair {
  readonly cert: string
  readonly key: string
}

export interface Keys {
  /** Above SPIRE's server or the dev issuer, and above what the scenario makes itself. */
  readonly root: KeyPair
  /** Signs certificates of nodes only. */
  readonly nodeCa: KeyPair
  readonly node: KeyPair
  readonly redisCa: KeyPair
  readonly redis: KeyPair
  /** Of the identity provider that the scenario plays; PKCS#8 PEM. */
  readonly idpKey: string
  readonly redisPassword: string
}

const DAY_MS = 86_400_000
const LIFE_MS = 90 * DAY_MS
const LEFT_MS_MIN = 7 * DAY_MS

/** What `file` holds, if it is good for a while yet; new keys otherwise. */
export function keptOrMade(file: string, now: number): { readonly keys: Keys; readonly made: boolean } {
  if (existsSync(file)) {
    const keys = JSON.parse(readFileSync(file, 'utf8')) as Keys
    if (new X509Certificate(keys.root.cert).validToDate.getTime() - now > LEFT_MS_MIN) return { keys, made: false }
  }
  return { keys: makeKeys(now), made: true }
}

function makeKeys(now: number): Keys {
  const root = authority('vecauthz compose root', now)
  const nodeCa = authority('vecauthz compose nodes', now)
  const redisCa = authority('vecauthz compose redis', now)
  return {
    root: pairOf(root),
    nodeCa: pairOf(nodeCa),
    node: pairOf(leaf(NODE_NAME, nodeCa, [], now)),
    redisCa: pairOf(redisCa),
    redis: pairOf(leaf('redis', redisCa, ['redis'], now)),
    idpKey: pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
    redisPassword: randomBytes(24).toString('base64url')
  }
}

interface Made extends Signer {
  readonly der: Uint8Array
}

function authority(name: string, now: number): Made {
  const key = newKey()
  const uris = [`spiffe://${TRUST_DOMAIN}`]
  return { name, key, der: writeCertificate({ ...dated(now), name, key, issuer: { name, key }, uris, dns: [], pathLength: 1 }) }
}

function leaf(name: string, issuer: Signer, dns: readonly string[], now: number): Made {
  const key = newKey()
  return { name, key, der: writeCertificate({ ...dated(now), name, key, issuer, uris: [], dns }) }
}

function dated(now: number) {
  return { serial: randomBytes(16), notBefore: now - 60_000, notAfter: now + LIFE_MS }
}

function pairOf({ der, key }: Made): KeyPair {
  return { cert: certificatePem(der), key: pem(key) }
}

function pem(key: Signer['key']): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** The public half, as a set of keys that vecauthz reads from a file. */
export function jwksOf(idpKey: string): string {
  const { d: _, ...published } = createPrivateKey(idpKey).export({ format: 'jwk' })
  return JSON.stringify({ keys: [{ ...published, kid: IDP_KEY_ID, use: 'sig', alg: 'ES256' }] })
}

export const IDP_KEY_ID = 'compose'

/** Where the keys are kept, in the folder of who makes them. */
export function keysFile(folder: string): string {
  return join(folder, 'keys.json')
}
