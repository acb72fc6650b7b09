/** Requests that official clients were seen to send: where the differential begins. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Header } from './wire.ts'

export interface Recorded {
  /** Client and name: `chroma/3.5.0/query`. */
  readonly name: string
  /** Of the call it was read as; undefined where it is refused. */
  readonly endpoint: string | undefined
  readonly method: string
  readonly target: string
  readonly headers: readonly Header[]
  /** Text of a REST call, bytes of a gRPC call. */
  readonly body: Buffer | undefined
  readonly grpc: boolean
}

const FOLDER = join(import.meta.dirname, '../../databases/recorded')
/** What belongs to the connection that was recorded, and what would have answers compressed. */
const LEFT_OUT = new Set([
  'host',
  'connection',
  'content-length',
  'accept-encoding',
  'grpc-accept-encoding',
  'grpc-timeout',
  'transfer-encoding',
  'keep-alive'
])

interface File {
  readonly request: {
    readonly method?: string
    readonly target: string
    readonly headers: Readonly<Record<string, string>>
    readonly body?: string | null
    readonly base64?: string
  }
  readonly want?: { readonly endpoint?: string }
}

/** @param folder such as `chroma/3.5.0` */
export function recorded(folder: string): readonly Recorded[] {
  return readdirSync(join(FOLDER, folder))
    .sort()
    .map((file): Recorded => {
      const { request, want } = JSON.parse(readFileSync(join(FOLDER, folder, file), 'utf8')) as File
      const grpc = request.headers['content-type']?.startsWith('application/grpc') === true
      const headers = Object.entries(request.headers).filter(([name]) => !LEFT_OUT.has(name))
      const text = request.base64 ?? request.body ?? undefined
      const body = text === undefined ? undefined : Buffer.from(text, grpc ? 'base64' : 'utf8')
      return {
        name: `${folder}/${file.slice(0, -5)}`,
        endpoint: want?.endpoint,
        method: request.method ?? 'POST',
        target: request.target,
        headers,
        body,
        grpc
      }
    })
}
