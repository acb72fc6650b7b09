/** Records as HTTP requests: newline-delimited JSON to a collector of one's own, or OTLP logs (OpenTelemetry protocol, HTTP with JSON). */
import { readFileSync } from 'node:fs'
import { Agent as PlainAgent, request as plainRequest } from 'node:http'
import { request } from 'node:https'
import type { Outlet } from './delivery.ts'
import { otlpLogs } from './otlp.ts'
import { createTlsAgents, type OwnIdentity, type TlsPlan } from './send-tls.ts'

export interface HttpOptions extends TlsPlan {
  readonly url: string
  readonly form: 'ndjson' | 'otlp'
  /** File with the value of `authorization`, read for each request, so that it can be renewed. */
  readonly authorizationFile: string | undefined
  readonly timeoutMs: number
}

/** Of an answer, only OTLP's is looked at, and that is short. */
const ANSWER_BYTES_MAX = 16 * 1024

/** @param onRejected what the receiver took and yet did not keep: words without its contents. @param own who we are, where that is asked for */
export function openHttp(
  options: HttpOptions,
  onRejected: (says: string) => void,
  own: () => OwnIdentity | undefined = () => undefined
): Outlet {
  const url = new URL(options.url)
  const secure = url.protocol === 'https:'
  const agents = secure ? createTlsAgents(options, own, Date.now, options.timeoutMs) : plainAgents()
  const contentType = options.form === 'otlp' ? 'application/json' : 'application/x-ndjson'
  const post = (body: Buffer | string, id: string) =>
    new Promise<string>((resolve, reject) => {
      const headers: Record<string, string | number> = {
        'content-type': contentType,
        'content-length': Buffer.byteLength(body),
        // The same when a batch is sent again: its receiver can leave out what it has.
        'x-vecauthz-batch': id
      }
      if (options.authorizationFile !== undefined) headers['authorization'] = readFileSync(options.authorizationFile, 'utf8').trim()
      const agent = agents.agent()
      const asked = (secure ? request : plainRequest)(url, { method: 'POST', agent, headers, timeout: options.timeoutMs }, (answer) => {
        let text = ''
        answer.setEncoding('utf8')
        answer.on('data', (part: string) => {
          if (text.length < ANSWER_BYTES_MAX) text += part
        })
        answer.on('end', () => {
          const { statusCode = 0 } = answer
          if (statusCode >= 200 && statusCode < 300) resolve(text)
          else reject(new Error(`${url.origin} answered ${statusCode}`))
        })
        answer.on('error', reject)
      })
      const late = () => {
        reject(new Error(`${url.origin}: no answer within ${options.timeoutMs} ms`))
        asked.destroy()
      }
      asked.on('timeout', late)
      // An answer that comes drop by drop, or never to its end, is never idle.
      let deadline: NodeJS.Timeout | undefined
      asked.on('finish', () => {
        deadline = setTimeout(late, options.timeoutMs)
      })
      asked.on('error', (cause) => reject(new Error(`${url.origin}: ${cause.message}`)))
      asked.on('close', () => {
        clearTimeout(deadline)
        reject(new Error(`${url.origin} gave no answer to its end`))
      })
      asked.end(body)
    })
  return {
    async send(lines, id) {
      const answer = await post(options.form === 'otlp' ? otlpLogs(lines) : lines, id)
      const rejected = options.form === 'otlp' ? rejectedOf(answer) : 0
      // The protocol forbids to send these again.
      if (rejected > 0) onRejected(`${url.origin} did not keep ${rejected} of the records that it took`)
    },
    close: agents.close
  }
}

function plainAgents() {
  const agent = new PlainAgent({ keepAlive: true, maxSockets: 1 })
  return { agent: () => agent, close: () => agent.destroy() }
}

/** `partialSuccess.rejectedLogRecords` of an OTLP answer: an int64, which JSON has as text. */
function rejectedOf(answer: string): number {
  try {
    const { partialSuccess } = JSON.parse(answer) as { partialSuccess?: { rejectedLogRecords?: string | number } }
    return Number(partialSuccess?.rejectedLogRecords ?? 0)
  } catch {
    return 0
  }
}
