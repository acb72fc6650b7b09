/** One gRPC call through the gateway, down to the bytes that no client would send. */
import { connect, type IncomingHttpHeaders } from 'node:http2'
import { gunzipSync } from 'node:zlib'
import type { Credentials, Door } from '../../../demo/client.ts'
import { HOST } from '../../../demo/identities.ts'
import { frame } from '../../databases/protobuf-write.ts'

export interface GrpcAsk {
  readonly authority: string
  readonly path: string
  readonly message: Uint8Array
  /** Sends these bytes instead of the message in its frame. */
  readonly body?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

export interface GrpcAnswer {
  readonly http: number
  /** `grpc-status`, from the headers or the trailers. */
  readonly grpc: number
  /** `grpc-message`, decoded. */
  readonly said: string
  /** The message, unpacked. */
  readonly body: Buffer
}

const TIMEOUT_MS = 20_000

export async function callGrpc(door: Door, who: Credentials, { authority, path, message, body, headers }: GrpcAsk): Promise<GrpcAnswer> {
  const session = connect(`https://127.0.0.1:${door.port}`, { ca: door.ca, servername: HOST, ...who, ALPNProtocols: ['h2'] })
  try {
    return await new Promise<GrpcAnswer>((resolve, reject) => {
      session.on('error', reject)
      const own = { ':method': 'POST', ':path': path, ':authority': authority, 'content-type': 'application/grpc', te: 'trailers' }
      const stream = session.request({ ...own, ...headers })
      stream.setTimeout(TIMEOUT_MS, () => reject(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)))
      let all: IncomingHttpHeaders = {}
      const chunks: Buffer[] = []
      stream.on('response', (got) => {
        all = { ...all, ...got }
      })
      stream.on('trailers', (got) => {
        all = { ...all, ...got }
      })
      stream.on('data', (bytes: Buffer) => chunks.push(bytes))
      stream.on('error', reject)
      stream.on('end', () =>
        resolve({
          http: Number(all[':status']),
          grpc: Number(all['grpc-status']),
          said: decodeURIComponent(String(all['grpc-message'] ?? '')),
          body: messageOf(Buffer.concat(chunks))
        })
      )
      stream.end(body ?? frame(message))
    })
  } finally {
    session.destroy()
  }
}

function messageOf(frames: Buffer): Buffer {
  const message = frames.subarray(5)
  return frames[0] === 1 ? gunzipSync(message) : message
}
