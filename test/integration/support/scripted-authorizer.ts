import type { CheckRequest, CheckResponse } from '@envoyproxy/protos/auth'
import { AuthorizationService } from '@envoyproxy/protos/auth'
import type { HeaderValueOption } from '@envoyproxy/protos/base'
import { Server, ServerCredentials, type ServerUnaryCall, type ServiceError, type sendUnaryData } from '@grpc/grpc-js'
import { HealthImplementation } from 'grpc-health-check'
import type { Svid } from '../../support/ca.ts'

/**
 * An ext_authz server that answers exactly what a test tells it to, whether or not that is sensible: it shows what Envoy makes of
 * an answer. It is nobody's model of vecauthz.
 */
export interface ScriptedAuthorizer {
  readonly port: number
  /** Every check since `reset`, oldest first. */
  readonly checks: CheckRequest[]
  /** The answer to the next checks: a message, an error, or undefined for none at all; now or later. */
  answer: (check: CheckRequest) => Answer | Promise<Answer>
  /** The certificate of the last Envoy that asked, as PEM-less DER. */
  peer: Buffer | undefined
  reset(): void
  stop(): Promise<void>
}

type Answer = CheckResponse | Partial<ServiceError> | undefined

export const OVERWRITE = 2
const APPEND = 0

type Health = 'SERVING' | 'NOT_SERVING'

export async function startAuthorizer(
  svid: Pick<Svid, 'pem' | 'keyPem'>,
  trustedPem: string,
  health: Health = 'SERVING'
): Promise<ScriptedAuthorizer> {
  const key = { cert_chain: Buffer.from(svid.pem), private_key: Buffer.from(svid.keyPem) }
  const server = new Server({ 'grpc.max_receive_message_length': 4 * 1024 * 1024 })
  const authorizer: { -readonly [K in keyof ScriptedAuthorizer]: ScriptedAuthorizer[K] } = {
    port: 0,
    checks: [],
    answer: () => allow(),
    peer: undefined,
    reset() {
      this.checks.length = 0
      this.answer = () => allow()
    },
    stop: async () => server.forceShutdown()
  }
  const check = async (call: ServerUnaryCall<CheckRequest, CheckResponse>, done: sendUnaryData<CheckResponse>) => {
    authorizer.peer = call.getAuthContext()['sslPeerCertificate']?.raw
    authorizer.checks.push(call.request)
    const answer = await authorizer.answer(call.request)
    if (answer === undefined) return
    if ('code' in answer) done(answer)
    else done(null, answer as CheckResponse)
  }
  server.addService(AuthorizationService, { check })
  new HealthImplementation({ 'envoy.service.auth.v3.Authorization': health }).addToServer(server)
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const credentials = ServerCredentials.createSsl(Buffer.from(trustedPem), [key], true)
  server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error === null ? resolve(port) : reject(error)))
  authorizer.port = await promise
  return authorizer
}

export interface AllowParts {
  readonly set?: Readonly<Record<string, string>>
  readonly options?: readonly Partial<HeaderValueOption>[]
  readonly remove?: readonly string[]
  readonly query?: readonly { key: string; value: string }[]
  /** `{ verdict: 'allow' }` unless told; undefined for none. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
}

export function allow(parts: AllowParts = {}): CheckResponse {
  return {
    status: { code: 0, message: '', details: [] },
    okResponse: {
      headers: [...Object.entries(parts.set ?? {}).map(([key, value]) => overwrite(key, value)), ...(parts.options ?? []).map(option)],
      headersToRemove: [...(parts.remove ?? [])],
      dynamicMetadata: undefined,
      responseHeadersToAdd: [],
      queryParametersToSet: [...(parts.query ?? [])],
      queryParametersToRemove: []
    },
    deniedResponse: undefined,
    dynamicMetadata: 'metadata' in parts ? parts.metadata : { verdict: 'allow' }
  }
}

export interface DenyParts {
  readonly code?: number
  readonly http?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export function deny({ code = 7, http = 403, headers = {}, body = '' }: DenyParts = {}): CheckResponse {
  return {
    status: { code, message: 'never seen by a client', details: [] },
    deniedResponse: {
      status: { code: http as never },
      headers: Object.entries(headers).map(([key, value]) => overwrite(key, value)),
      body
    },
    okResponse: undefined,
    dynamicMetadata: { verdict: 'deny' }
  }
}

/** Both forms of "overwrite" at once, as vecauthz sends it. */
function overwrite(key: string, value: string): HeaderValueOption {
  return option({ header: { key, value, rawValue: Buffer.alloc(0) }, append: false, appendAction: OVERWRITE })
}

/** A header option with the defaults of the wire: `append` unset, action 0. */
function option(parts: Partial<HeaderValueOption>): HeaderValueOption {
  return { header: undefined, append: undefined, appendAction: APPEND, keepEmptyValue: false, ...parts }
}

/** The request inside a check, with the headers of whichever form was sent. */
export function requestOf(check: CheckRequest | undefined) {
  const http = check?.attributes?.request?.http
  if (http === undefined) throw new Error('there was no check with an HTTP request')
  const raw = (http.headerMap?.headers ?? []).map(({ key, rawValue }) => [key, Buffer.from(rawValue).toString('latin1')] as const)
  const headers = raw.length > 0 ? raw : Object.entries(http.headers)
  const all = (name: string) => headers.filter(([key]) => key === name).map(([, value]) => value)
  return { ...http, all }
}
