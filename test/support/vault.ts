/**
 * A small Vault: the five endpoints that are used here (JWT login, renew-self, lookup-self, revoke-self, KV version 2), after the
 * HTTP API of Vault 1.20 and OpenBao 2. Times are real, and leases may be parts of a second.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

export interface FakeVault {
  readonly address: string
  /** KV: path below the mount `secret` to fields. */
  readonly kv: Map<string, Record<string, unknown>>
  /** Every request: method, path, and who asked. */
  readonly calls: { readonly line: string; readonly token: string | undefined; readonly headers: IncomingMessage['headers'] }[]
  /** Tokens that are good now. */
  readonly tokens: Map<string, { endsAt: number }>
  /** Bodies of the logins. */
  readonly logins: { readonly role: string; readonly jwt: string }[]
  knobs: Knobs
  readonly close: () => void
}

interface Knobs {
  /** Seconds. */
  lease: number
  /** Seconds that a renewal gives. */
  renewed: number
  renewable: boolean
  /** The role that may log in, and the token it must show. */
  role: string
  jwt: string
  /** Status instead of any answer. */
  broken: number | undefined
  /** Bytes instead of the JSON of a good answer. */
  garbage: string | undefined
  /** KV paths that no policy allows. */
  forbidden: readonly string[]
}

export async function startVault(change: Partial<Knobs> = {}, tls?: { readonly key: string; readonly cert: string }): Promise<FakeVault> {
  const knobs: Knobs = {
    lease: 60,
    renewed: 60,
    renewable: true,
    role: 'vecauthz',
    jwt: 'jwt-svid-of-vecauthz',
    broken: undefined,
    garbage: undefined,
    forbidden: [],
    ...change
  }
  const state = { kv: new Map(), calls: [], tokens: new Map(), logins: [], knobs } as unknown as FakeVault
  const onRequest = (request: IncomingMessage, response: ServerResponse) => void answer(state, request, response)
  const server = tls === undefined ? createServer(onRequest) : createTlsServer(tls, onRequest)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return Object.assign(state, {
    address: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    close: () => {
      server.close()
      server.closeAllConnections()
    }
  })
}

async function answer(vault: FakeVault, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const token = request.headers['x-vault-token'] as string | undefined
  const line = `${request.method} ${request.url}`
  vault.calls.push({ line, token, headers: request.headers })
  const { knobs } = vault
  const send = (status: number, body?: object) => {
    response.writeHead(status, { 'content-type': 'application/json' })
    response.end(
      status === 200 && knobs.garbage !== undefined ? knobs.garbage : JSON.stringify(body ?? { errors: [`no: ${line} ${token}`] })
    )
  }
  if (knobs.broken !== undefined) return send(knobs.broken)
  if (line === 'POST /v1/auth/jwt/login') {
    const { role, jwt } = JSON.parse(Buffer.concat(chunks).toString()) as { role: string; jwt: string }
    vault.logins.push({ role, jwt })
    if (role !== knobs.role || jwt !== knobs.jwt) return send(400)
    const fresh = `hvs.token-${vault.logins.length}`
    vault.tokens.set(fresh, { endsAt: Date.now() + knobs.lease * 1000 })
    return send(200, { auth: { client_token: fresh, lease_duration: knobs.lease, renewable: knobs.renewable } })
  }
  const held = vault.tokens.get(token ?? '')
  if (held === undefined || Date.now() >= held.endsAt) return send(403)
  if (line === 'POST /v1/auth/token/renew-self') {
    held.endsAt = Date.now() + knobs.renewed * 1000
    return send(200, { auth: { client_token: token, lease_duration: knobs.renewed, renewable: true } })
  }
  if (line === 'GET /v1/auth/token/lookup-self') return send(200, { data: { ttl: 1 } })
  if (line === 'POST /v1/auth/token/revoke-self') {
    vault.tokens.delete(token ?? '')
    response.writeHead(204).end()
    return
  }
  const path = /^GET \/v1\/secret\/data\/(.+)$/.exec(line)?.[1] ?? ''
  if (knobs.forbidden.includes(path)) return send(403)
  const data = vault.kv.get(path)
  return data === undefined ? send(404) : send(200, { lease_id: '', lease_duration: 0, data: { data, metadata: { version: 1 } } })
}
