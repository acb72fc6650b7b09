/** Many questions, one JSON object a line; one answer a line, in the same order. */
import { isUtf8 } from 'node:buffer'
import { readFileSync, statSync } from 'node:fs'
import { type JsonObject, objectOf, parseJson, shown } from '../identity/json.ts'
import { type Answer, answer, type Shelf } from './svid-verify-answer.ts'
import { type Given, isUnreadable, NAMES, type Name, questionOf, unreadable, withDefaults } from './svid-verify-question.ts'

/** A chain, a bundle and all the rest of one question; more than this is no line but a mistake. */
const LINE_BYTES_MAX = 4 * 1024 * 1024
/** The largest document that is read; bundles stop at a megabyte. */
const FILE_BYTES_MAX = 4 * 1024 * 1024
const NEWLINE = 0x0a

/** The text of a file. Throws `Unreadable`. */
export function readText(path: string): string {
  try {
    const { size } = statSync(path)
    if (size > FILE_BYTES_MAX) unreadable(`${shown(path)} has ${size} bytes, and ${FILE_BYTES_MAX} are the most.`)
    const bytes = readFileSync(path)
    return isUtf8(bytes) ? bytes.toString('utf8') : unreadable(`${shown(path)} is not a text: certificates are given as PEM.`)
  } catch (cause) {
    if (isUnreadable(cause)) throw cause
    const { code } = cause as NodeJS.ErrnoException
    return unreadable(code === 'ENOENT' ? `There is no file ${shown(path)}.` : `The file ${shown(path)} cannot be read (${code}).`)
  }
}

/** A token in a file has a line break behind it as a rule, which is not part of the token. */
export function readTokenFile(path: string): string {
  return readText(path).replace(/\r?\n$/, '')
}

/**
 * Answers each line of `input`. @param options what every line has that does not say otherwise, as texts
 * @returns how many of them were answered yes, no, and not at all
 */
export async function answerLines(
  input: AsyncIterable<Uint8Array>,
  options: Given,
  now: () => number,
  print: (answer: Answer) => void
): Promise<{ readonly yes: number; readonly no: number; readonly unreadable: number }> {
  const shelf: Shelf = new Map()
  const counts = { yes: 0, no: 0, unreadable: 0 }
  for await (const line of linesOf(input)) {
    const given = answerLine(line, options, now, shelf)
    counts[given.ok ? 'yes' : given.reason === 'unreadable' ? 'unreadable' : 'no']++
    print(given)
  }
  return counts
}

function answerLine(line: Uint8Array | undefined, options: Given, now: () => number, shelf: Shelf): Answer {
  let name: string | undefined
  try {
    const members = membersOf(line)
    const called = members.get('name')
    name = typeof called === 'string' ? called : undefined
    const given = answer(questionOf(withDefaults(givenBy(members), options), now()), shelf)
    return name === undefined ? given : { name, ...given }
  } catch (cause) {
    if (!isUnreadable(cause)) throw cause
    return unreadableAnswer(cause, name)
  }
}

export function unreadableAnswer({ unreadable: detail, rule }: { unreadable: string; rule?: string }, name?: string): Answer {
  const called = name === undefined ? {} : { name }
  return { ...called, ok: false, reason: 'unreadable', ...(rule === undefined ? {} : { rule }), detail }
}

function membersOf(line: Uint8Array | undefined): JsonObject {
  if (line === undefined) return unreadable(`The line has more than ${LINE_BYTES_MAX} bytes.`)
  const read = parseJson(line, 2)
  if (!read.ok) return unreadable(`The line ${read.detail}.`)
  return objectOf(read.value) ?? unreadable('The line is no JSON object.')
}

function givenBy(members: JsonObject): Given {
  const given: Partial<Record<Name, string>> = {}
  for (const [written, value] of members) {
    if (written === 'name') continue
    const name = NAMES.find((one) => one === written || one.replaceAll('-', '_') === written)
    if (name === undefined) unreadable(`The line has the unknown name ${shown(written)}.`)
    if (typeof value !== 'string') unreadable(`The value of ${shown(written)} is not a text.`)
    if (given[name] !== undefined) unreadable(`The line has the name ${shown(name)} in two spellings.`)
    given[name] = TEXTS.includes(name) && /^\.{0,2}\//.test(value) ? (name === 'token' ? readTokenFile(value) : readText(value)) : value
  }
  return given
}

/** The names whose value is a document: no PEM, token or JSON text begins with /, ./ or ../, so that is a file. */
export const TEXTS: readonly Name[] = ['chain', 'bundle', 'token', 'jwks', 'spiffe-bundle']

/** The bytes of each line without its end; undefined for one that is too long. */
async function* linesOf(input: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array | undefined> {
  let parts: Uint8Array[] = []
  let length = 0
  for await (const chunk of input) {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      length += end - from
      parts.push(chunk.subarray(from, end))
      yield length > LINE_BYTES_MAX ? undefined : Buffer.concat(parts)
      parts = []
      length = 0
      from = end + 1
    }
    length += chunk.length - from
    // Of a line that is too long, only that is remembered.
    if (length <= LINE_BYTES_MAX) parts.push(chunk.subarray(from))
    else parts = []
  }
  if (length > 0) yield length > LINE_BYTES_MAX ? undefined : Buffer.concat(parts)
}
