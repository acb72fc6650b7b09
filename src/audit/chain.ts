/**
 * Records as a chain: each carries the SHA-256 of the one before it, so that none can be changed, taken away, put in or moved without
 * the next one saying so. One chain for each run of a process and each stream, numbered from 1.
 *
 * hash(n) = SHA-256(length of line n as 8 bytes, big endian, then line n as it is written, without its end); line 1 carries 64 zeros.
 */
import { hash } from 'node:crypto'
import type { Head, Stream } from '../core/audit-anchor.ts'

export interface Chain {
  /** Lines in, each ended by a newline; the same lines out, each with its place in the chain. */
  readonly seal: (lines: Buffer) => Buffer
  readonly head: () => Head
}

const START = '0'.repeat(64)
const LENGTH_BYTES = 8
/** `,"chain":{"run":"…","stream":"people","seq":…,"prev":"…"}}` and the line's end, with a number of 16 digits. */
const SUFFIX_BYTES_MAX = 192
const NEWLINE = 0x0a

/** @param run 16 characters of lower-case hex, never the same twice */
export function createChain(run: string, stream: Stream): Chain {
  let seq = 0
  let previous = START
  let scratch = Buffer.allocUnsafe(8 * 1024)
  return {
    head: () => ({ seq, hash: previous }),
    seal(lines) {
      const sealed: Buffer[] = []
      let out = Buffer.allocUnsafe(lines.length * 2)
      let used = 0
      for (let at = 0; at < lines.length; ) {
        const end = endOfLine(lines, at)
        // The last brace of a record is where its place in the chain goes.
        const kept = end - at - 1
        const most = LENGTH_BYTES + kept + SUFFIX_BYTES_MAX
        if (most > scratch.length) scratch = Buffer.allocUnsafe(most)
        lines.copy(scratch, LENGTH_BYTES, at, at + kept)
        seq++
        const suffix = `,"chain":{"run":"${run}","stream":"${stream}","seq":${seq},"prev":"${previous}"}}`
        const length = kept + scratch.write(suffix, LENGTH_BYTES + kept, 'latin1')
        previous = hashOf(scratch, length)
        if (used + length + 1 > out.length) {
          sealed.push(out.subarray(0, used))
          out = Buffer.allocUnsafe(Math.max(lines.length, length + 1))
          used = 0
        }
        used += scratch.copy(out, used, LENGTH_BYTES, LENGTH_BYTES + length)
        out[used++] = NEWLINE
        at = end + 1
      }
      sealed.push(out.subarray(0, used))
      // A copy of its own size: it may wait for long, and the room around it with it.
      return Buffer.concat(sealed)
    }
  }
}

function endOfLine(lines: Buffer, from: number): number {
  const at = lines.indexOf(NEWLINE, from)
  return at === -1 ? lines.length : at
}

/** @param scratch room for the length, and then the line */
function hashOf(scratch: Buffer, length: number): string {
  scratch.writeUInt32BE(0, 0)
  scratch.writeUInt32BE(length, 4)
  return hash('sha256', scratch.subarray(0, LENGTH_BYTES + length), 'hex')
}

/** A record as it stands in a file, and its place in the chain. */
export interface Linked {
  readonly run: string
  readonly stream: Stream
  readonly seq: number
  readonly prev: string
  /** What the next one must carry. */
  readonly hash: string
}

const PLACE = /,"chain":\{"run":"([0-9a-f]{16})","stream":"(agents|people)","seq":([1-9]\d{0,15}),"prev":"([0-9a-f]{64})"\}\}$/

/** The place of a line in its chain, or undefined for one that has none. @param line without its end */
export function readLinked(line: Buffer): Linked | undefined {
  const found = PLACE.exec(line.toString('latin1', Math.max(0, line.length - SUFFIX_BYTES_MAX)))
  if (found === null) return undefined
  const [, run = '', stream, seq, prev = ''] = found
  const scratch = Buffer.allocUnsafe(LENGTH_BYTES + line.length)
  line.copy(scratch, LENGTH_BYTES)
  return { run, stream: stream as Stream, seq: Number(seq), prev, hash: hashOf(scratch, line.length) }
}

export const CHAIN_START = START
