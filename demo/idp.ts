/** The demo's identity provider: signs end users' tokens (ES256) and publishes its keys on loopback. Nobody logs in to it. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomUUID, sign } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export const IDP_ISSUER = 'https://idp.demo.vecauthz.test'

export interface Idp {
  readonly jwksUrl: string
  /** A good token of five minutes; `claims` over its own, `undefined` leaves one out. */
  readonly token: (claims?: Readonly<Record<string, unknown>>) => string
  /** The same, signed with a key that is not published. */
  readonly forged: (claims?: Readonly<Record<string, unknown>>) => string
  /** Publishes a new key beside the old one, and signs with it from now on. */
  readonly rotate: () => void
  /** How often the keys were asked for. */
  readonly asked: () => number
  readonly stop: () => Promise<void>
}

interface SigningKey {
  readonly kid: string
  readonly key: KeyObject
}

export async function startIdp(): Promise<Idp> {
  const keys: SigningKey[] = [newKey()]
  let asked = 0
  const server = createServer((_, answer) => {
    asked++
    const published = keys.map(({ kid, key }) => ({ ...createPublicKey(key).export({ format: 'jwk' }), kid, use: 'sig', alg: 'ES256' }))
    answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: published }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const latest = () => keys.at(-1) as SigningKey
  return {
    jwksUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    token: (claims) => signed(latest(), claims),
    forged: (claims) => signed({ ...newKey(), kid: latest().kid }, claims),
    rotate: () => void keys.push(newKey()),
    asked: () => asked,
    stop: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    }
  }
}

/** The same with a key whose public half somebody else publishes. */
export function idpWith({ kid, keyPem }: { readonly kid: string; readonly keyPem: string }): Idp {
  const own = { kid, key: createPrivateKey(keyPem) }
  return {
    jwksUrl: '',
    token: (claims) => signed(own, claims),
    forged: (claims) => signed({ ...newKey(), kid }, claims),
    rotate: () => {
      throw new Error('the keys of this identity provider are published elsewhere')
    },
    asked: () => 0,
    stop: async () => undefined
  }
}

function newKey(): SigningKey {
  return { kid: randomUUID(), key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey }
}

function signed({ kid, key }: SigningKey, claims: Readonly<Record<string, unknown>> = {}): string {
  const now = Math.floor(Date.now() / 1000)
  const good = { iss: IDP_ISSUER, sub: 'alice', aud: 'vecauthz', iat: now, exp: now + 300, jti: randomUUID(), tenant: 'acme' }
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ alg: 'ES256', typ: 'JWT', kid })}.${part({ ...good, ...claims })}`
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}
