/** HTTP/1.1 by hand over mTLS, for what Node's own client will not send. */
import { connect } from 'node:tls'
import type { Answer, Credentials, Door } from '../../../demo/client.ts'
import { HOST } from '../../../demo/identities.ts'

const TIMEOUT_MS = 10_000

/** Sends the lines (and a body with its content-length) and reads the answer until the connection ends. */
export function sendRaw(door: Door, who: Credentials, lines: readonly string[], body = ''): Promise<Answer> {
  const began = performance.now()
  const head = [...lines, `content-length: ${Buffer.byteLength(body)}`, 'connection: close', '', ''].join('\r\n')
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port: door.port, servername: HOST, ca: door.ca, ...who, ALPNProtocols: ['http/1.1'] })
    let text = ''
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error('no answer')))
    socket.on('secureConnect', () => socket.write(head + body))
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', reject)
    socket.on('close', () => resolve(parseAnswer(text, performance.now() - began)))
  })
}

function parseAnswer(text: string, ms: number): Answer {
  const [head = '', body = ''] = text.split('\r\n\r\n', 2)
  const header = (name: string) => new RegExp(`^${name}: (.*)$`, 'im').exec(head)?.[1]?.trim()
  const problem = header('content-type')?.startsWith('application/problem+json') === true
  return {
    status: Number(/^HTTP\/1.1 (\d+)/.exec(head)?.[1]),
    reason: problem ? (JSON.parse(body) as { reason?: string }).reason : undefined,
    decisionId: header('x-vecauthz-decision'),
    body,
    ms
  }
}
