import { type Fault, fault } from './rules.ts'

/**
 * One element of `x-forwarded-client-cert` in its text form (Envoy, HTTP connection manager, x-forwarded-client-cert). Envoy does
 * not quote By, URI and DNS, so a certificate can put pairs and whole elements into them: nothing in here is an identity.
 */
export interface XfccElement {
  readonly hash: string | undefined
  /** URL-encoded PEM of the leaf. */
  readonly cert: string | undefined
  /** URL-encoded PEM of all that the peer sent, leaf first. */
  readonly chain: string | undefined
  readonly subject: string | undefined
  readonly by: readonly string[]
  readonly uri: readonly string[]
  readonly dns: readonly string[]
}

export type XfccResult = { readonly ok: true; readonly element: XfccElement } | Fault

type Single = 'hash' | 'cert' | 'chain' | 'subject'
type Repeated = 'by' | 'uri' | 'dns'

/** Reads a header that has exactly one element (rules P-5, P-7). The length of the text was bounded before. */
export function parseXfcc(text: string): XfccResult {
  if (text.startsWith('[')) return fault('P-7', 'XFCC is in its JSON form; set its format to TEXT')
  if (/[^\x20-\x7e]/.test(text)) return fault('P-7', 'XFCC holds a byte that is not printable ASCII')
  const single: { [Key in Single]: string | undefined } = { hash: undefined, cert: undefined, chain: undefined, subject: undefined }
  const repeated: { readonly [Key in Repeated]: string[] } = { by: [], uri: [], dns: [] }
  for (let at = 0; ; ) {
    const equals = text.indexOf('=', at)
    const key = equals === -1 ? '' : text.slice(at, equals).toLowerCase()
    const value = readValue(text, equals + 1)
    if (value === undefined) return fault('P-7', 'XFCC has a quoted value that does not end, or does not end its pair')
    if (isRepeated(key)) repeated[key].push(value.text)
    else if (!isSingle(key)) return fault('P-7', 'XFCC has a pair with an unknown key, or without one')
    else if (single[key] !== undefined) return fault('P-7', `XFCC has ${key} twice`)
    else single[key] = value.text
    if (value.end === text.length) return { ok: true, element: { ...single, ...repeated } }
    if (text[value.end] === ',') return fault('P-5', 'XFCC has more than one element')
    at = value.end + 1
  }
}

function isSingle(key: string): key is Single {
  return key === 'hash' || key === 'cert' || key === 'chain' || key === 'subject'
}

function isRepeated(key: string): key is Repeated {
  return key === 'by' || key === 'uri' || key === 'dns'
}

interface Value {
  readonly text: string
  /** Index of the semicolon or comma after it, or the length of the whole text. */
  readonly end: number
}

function readValue(text: string, from: number): Value | undefined {
  return text[from] === '"' ? readQuoted(text, from + 1) : readToken(text, from)
}

function readToken(text: string, from: number): Value | undefined {
  let end = from
  while (end < text.length && text[end] !== ';' && text[end] !== ',') {
    if (text[end] === '"') return undefined
    end++
  }
  return { text: text.slice(from, end), end }
}

/** A backslash and any byte are a pair: a subject that ends in a backslash is written `O=a\\`, and the quote after it closes. */
function readQuoted(text: string, from: number): Value | undefined {
  let escaped = false
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\') {
      escaped = true
      at++
    } else if (text[at] === '"') {
      const next = text[at + 1]
      if (next !== undefined && next !== ';' && next !== ',') return undefined
      const inside = text.slice(from, at)
      return { text: escaped ? inside.replaceAll(/\\(.)/g, '$1') : inside, end: at + 1 }
    }
  }
  return undefined
}
