/**
 * The texts in a call, for whoever looks through them: every string of a JSON body with its escapes undone, every text field of a
 * protobuf message, and the query of the target. Which of them the database searches with is not asked: a text is a text. Only for
 * calls that were read in full already.
 */
import { isUtf8 } from 'node:buffer'
import type { Inbound } from '../core/inbound.ts'
import { readGrpcMessage } from './grpc-frame.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** Messages within messages that are looked into; those of the databases that are served are fewer. */
const DEPTH_MAX = 24
const CHARACTERS_MIN = 3
const ESCAPED = /\\u([0-9a-fA-F]{4})|\\(.)/g
const PLAIN_ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: ' ', f: ' ' }

export function textsOf(inbound: Inbound): readonly string[] {
  const texts: string[] = []
  const query = inbound.target.indexOf('?')
  if (query !== -1) texts.push(decoded(inbound.target.slice(query + 1)))
  if (inbound.body === undefined) return texts
  if (inbound.grpc) {
    const message = readGrpcMessage(inbound)
    if (message.ok) textsOfMessage(viewOf(message.value), texts, 0)
  } else textsOfJson(viewOf(inbound.body), texts)
  return texts
}

function viewOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** From quote to quote: what lies between strings, such as a vector, is stepped over. */
function textsOfJson(body: Buffer, texts: string[]): void {
  for (let at = body.indexOf(QUOTE); at !== -1; ) {
    const end = endOfString(body, at + 1)
    if (end === -1) return
    if (end - at > CHARACTERS_MIN) texts.push(unescaped(body.toString('utf8', at + 1, end)))
    at = body.indexOf(QUOTE, end + 1)
  }
}

function endOfString(body: Buffer, from: number): number {
  for (let at = body.indexOf(QUOTE, from); at !== -1; at = body.indexOf(QUOTE, at + 1)) {
    let slashes = 0
    while (body[at - 1 - slashes] === BACKSLASH) slashes++
    if (slashes % 2 === 0) return at
  }
  return -1
}

/** Twice, for a text within a text: GraphQL in JSON, or an expression. */
function unescaped(text: string): string {
  return text.includes('\\') ? once(once(text)) : text
}

function once(text: string): string {
  if (!text.includes('\\')) return text
  return text.replace(ESCAPED, (_, code: string | undefined, letter: string) =>
    code === undefined ? (PLAIN_ESCAPES[letter] ?? letter) : String.fromCharCode(Number.parseInt(code, 16))
  )
}

function decoded(query: string): string {
  try {
    return decodeURIComponent(query.replaceAll('+', ' '))
  } catch {
    return query
  }
}

/** Bytes that are UTF-8 are taken for a text, and for a message too where they can be one: a schema would be needed to know. */
function textsOfMessage(message: Buffer, texts: string[], depth: number): void {
  const found: Buffer[] = []
  let at = 0
  while (at < message.length) {
    const tag = varint(message, at)
    if (tag === undefined) return
    at = tag.end
    switch (tag.value & 7) {
      case 0: {
        const value = varint(message, at)
        if (value === undefined) return
        at = value.end
        break
      }
      case 1:
        at += 8
        break
      case 5:
        at += 4
        break
      case 2: {
        const length = varint(message, at)
        if (length === undefined || length.end + length.value > message.length) return
        found.push(message.subarray(length.end, length.end + length.value))
        at = length.end + length.value
        break
      }
      default:
        return
    }
  }
  // Only what is a message to its end is one.
  if (at !== message.length) return
  for (const part of found) {
    if (part.length < CHARACTERS_MIN) continue
    if (isUtf8(part)) texts.push(unescaped(part.toString('utf8')))
    if (depth < DEPTH_MAX) textsOfMessage(part, texts, depth + 1)
  }
}

/** @returns numbers up to 2^53; larger ones are no length of ours */
function varint(bytes: Buffer, from: number): { readonly value: number; readonly end: number } | undefined {
  let value = 0
  for (let at = from; at < bytes.length && at < from + 10; at++) {
    const byte = bytes[at] ?? 0
    value += (byte & 0x7f) * 2 ** (7 * (at - from))
    if (byte < 0x80) return { value, end: at + 1 }
  }
  return undefined
}
