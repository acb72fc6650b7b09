/** Where a JSON text is being read, and the few things that every reading function needs. */

import { type DenyKind, type Refused, refuse } from '../core/deny-reason.ts'
import { VECTORS_MAX } from '../core/limits.ts'
import { namesOnly } from '../core/quoted.ts'

export interface JsonReader {
  /** The body, and behind its end zeros, which are valid nowhere in JSON: no loop over it needs a bound. */
  readonly bytes: Buffer
  readonly view: DataView
  readonly end: number
  /** Index of the next byte to be read. */
  at: number
  depth: number
  /** Dense vectors read so far. */
  vectors: number
}

/** Skips white space. @returns the byte that begins the next token, or undefined at the end of the body */
export function peek(json: JsonReader): number | undefined {
  const { bytes } = json
  let at = json.at
  let byte = bytes[at]
  while (byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09) byte = bytes[++at]
  json.at = at
  return at < json.end ? byte : undefined
}

/**
 * Told of each dense vector of the body before it is made. Asked here and not of the whole, because one of a single component
 * takes a hundred times the memory that it has in the text.
 */
export function countVector(json: JsonReader): void {
  if (++json.vectors > VECTORS_MAX) fail('call-too-large', `more than ${VECTORS_MAX} vectors`)
}

/** Ends the reading: `readJson` gives this refusal as its result. */
export function fail(kind: DenyKind, because: string, remedy?: string): never {
  throw refuse(kind, because, remedy)
}

/** Whether what was thrown is `fail`'s. */
export function isRefused(cause: unknown): cause is Refused {
  return typeof cause === 'object' && cause !== null && 'ok' in cause && cause.ok === false
}

/** A name out of a body for a reason's text, bounded; what could be no name is data, and is not said. */
export function quote(text: string): string {
  return text.length > 64 ? `${namesOnly(JSON.stringify(text.slice(0, 64)))}…` : namesOnly(JSON.stringify(text))
}
