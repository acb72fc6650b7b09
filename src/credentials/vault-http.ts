/** Vault's and OpenBao's HTTP API: JSON in, JSON out. Nothing that an answer says is followed, and none of its text gets into a message. */
import { type IncomingMessage, Agent as PlainAgent, request as plain } from 'node:http'
import { Agent as SecureAgent, request as secure } from 'node:https'

export interface VaultOptions {
  /** `https://host:port`, without a path. */
  readonly address: string
  /** PEM of the authorities to believe instead of the public ones. */
  readonly ca: string | undefined
  /** Of Vault Enterprise and OpenBao. */
  readonly namespace: string | undefined
}

export interface VaultCall {
  readonly method: 'GET' | 'POST'
  /** Below `/v1/`, encoded. */
  readonly path: string
  readonly token?: string
  readonly body?: object
}

export type VaultAnswer =
  | { readonly ok: true; readonly body: unknown }
  /** `status` 0: there was no answer. */
  | { readonly ok: false; readonly status: number; readonly because: string }

export interface VaultClient {
  /** Never throws. */
  readonly call: (call: VaultCall, signal: AbortSignal) => Promise<VaultAnswer>
  readonly close: () => void
}

const ANSWER_BYTES_MAX = 256 * 1024
const ANSWER_MS_MAX = 5_000
const SOCKETS_MAX = 4

export function createVaultClient({ address, ca, namespace }: VaultOptions): VaultClient {
  const isSecure = address.startsWith('https:')
  const agent = isSecure
    ? new SecureAgent({ keepAlive: true, maxSockets: SOCKETS_MAX, minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }) })
    : new PlainAgent({ keepAlive: true, maxSockets: SOCKETS_MAX })
  const ask = isSecure ? secure : plain
  const once = ({ method, path, token, body }: VaultCall, signal: AbortSignal) =>
    new Promise<VaultAnswer>((resolve, reject) => {
      const headers = {
        accept: 'application/json',
        // Vault refuses calls without it from an agent or proxy that asks for it: a browser cannot be made to send it.
        'x-vault-request': 'true',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { 'x-vault-token': token }),
        ...(namespace === undefined ? {} : { 'x-vault-namespace': namespace })
      }
      const limits = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)])
      const call = ask(new URL(`/v1/${path}`, address), { method, headers, agent, signal: limits })
      call.on('error', reject)
      call.on('response', (answer) => readAnswer(answer).then(resolve, reject))
      call.end(body === undefined ? undefined : JSON.stringify(body))
    })
  return {
    call: (call, signal) => once(call, signal).catch((cause) => noAnswer(cause)),
    close: () => agent.destroy()
  }
}

function noAnswer(cause: NodeJS.ErrnoException): VaultAnswer {
  return { ok: false, status: 0, because: `no answer (${cause.code ?? cause.name})` }
}

async function readAnswer(answer: IncomingMessage): Promise<VaultAnswer> {
  const status = answer.statusCode ?? 0
  if (status !== 200) {
    // A 204 says yes to what has no answer.
    answer.resume()
    return status === 204 ? { ok: true, body: undefined } : { ok: false, status, because: `answered ${status}` }
  }
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer) {
    size += chunk.length
    if (size > ANSWER_BYTES_MAX) return { ok: false, status: 0, because: `its answer is longer than ${ANSWER_BYTES_MAX} bytes` }
    chunks.push(chunk)
  }
  try {
    return { ok: true, body: JSON.parse(Buffer.concat(chunks).toString('utf8')) }
  } catch {
    return { ok: false, status: 0, because: 'its answer is no JSON' }
  }
}

/** A member of an answer, if the way there consists of objects. */
export function memberOf(body: unknown, ...way: readonly string[]): unknown {
  return way.reduce<unknown>((value, name) => {
    return typeof value === 'object' && value !== null && Object.hasOwn(value, name) ? (value as Record<string, unknown>)[name] : undefined
  }, body)
}
