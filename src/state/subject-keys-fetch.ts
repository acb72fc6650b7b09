/** Reads a JWK set from where it is published. Nothing that an answer says (redirects, types, lengths) is followed. */
import { readFile } from 'node:fs/promises'
import { type IncomingMessage, request as plain } from 'node:http'
import { request as secure } from 'node:https'

/** @returns the document. @throws an Error whose message fits behind the place and a colon */
export type FetchKeys = (signal: AbortSignal) => Promise<Uint8Array>

/** Key sets of large providers are under 20 KiB. */
const DOCUMENT_BYTES_MAX = 256 * 1024
const ANSWER_MS_MAX = 5_000

export function keysFromFile(path: string): FetchKeys {
  return async (signal) => {
    const document = await readFile(path, { signal }).catch((cause: NodeJS.ErrnoException) => {
      throw new Error(`cannot be read (${cause.code ?? cause.message})`)
    })
    if (document.length > DOCUMENT_BYTES_MAX) throw new Error(`longer than ${DOCUMENT_BYTES_MAX} bytes`)
    return document
  }
}

/** @param ca PEM of the authorities to believe, instead of the public ones */
export function keysFromUrl(url: string, ca: string | undefined): FetchKeys {
  const { protocol } = new URL(url)
  return (signal) =>
    new Promise((resolve, reject) => {
      const options = { headers: { accept: 'application/json' }, signal: AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS_MAX)]) }
      const trust = ca === undefined ? {} : { ca }
      const onAnswer = (answer: IncomingMessage) => readAnswer(answer).then(resolve, reject)
      const call =
        protocol === 'https:'
          ? secure(url, { ...options, ...trust, agent: false }, onAnswer)
          : plain(url, { ...options, agent: false }, onAnswer)
      call.on('error', (cause: NodeJS.ErrnoException) => reject(new Error(`no answer (${cause.code ?? cause.message})`)))
      call.end()
    })
}

async function readAnswer(answer: IncomingMessage): Promise<Uint8Array> {
  const { statusCode } = answer
  if (statusCode !== 200) {
    answer.destroy()
    throw new Error(`answered ${statusCode}`)
  }
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of answer) {
    size += chunk.length
    if (size > DOCUMENT_BYTES_MAX) throw new Error(`longer than ${DOCUMENT_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
