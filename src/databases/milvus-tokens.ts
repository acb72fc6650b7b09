/** The words of Milvus's filter language (the lexer rules of Plan.g4), narrowed to what the server and Milvus Lite cut alike. */
import { fail, quote } from './json-reader.ts'

export interface Token {
  /** `keyword` is a word that the language keeps for itself; `name` any other. */
  readonly kind: 'and' | 'or' | 'in' | 'keyword' | 'name' | 'string' | 'number' | 'symbol'
  /** As written, quotes included. */
  readonly text: string
}

/** Words that are never a field's name, in lower case. The server knows them in lower and in upper case, Milvus Lite in any. */
const KEYWORDS = new Set(
  (
    'and or not in like exists is null true false iso interval threshold minimum_should_match text_match phrase_match random_sample ' +
    'match_all match_any match_least match_most match_exact element_filter json_contains json_contains_all json_contains_any ' +
    'array_contains array_contains_all array_contains_any array_length st_equals st_touches st_overlaps st_crosses st_contains ' +
    'st_intersects st_within st_dwithin st_isvalid'
  ).split(' ')
)

/** Words of one filter: a list of 16384 keys, the most that Milvus returns, has twice as many. */
const TOKENS_MAX = 65_536

const SPACE = /[ \t\r\n]+/y
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y
const NUMBER = /0[xX][0-9A-Fa-f]+|0[bB][01]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/y
const SYMBOL = /\*\*|<<|>>|<=|>=|==|!=|=~|!~|&&|\|\||\$meta(?![A-Za-z0-9_])|[()[\]{},<>=!~+\-*/%&|^$]/y
/** What must not follow a word or a number at once: the server would cut a number from a word, or see a prefixed string. */
const RUN_ON = /[A-Za-z0-9_."'$]/y

/** Cuts an expression into its words; refuses what is none. */
export function readTokens(text: string): Token[] {
  const tokens: Token[] = []
  let at = endOf(SPACE, text, 0)
  while (at < text.length) {
    if (tokens.length === TOKENS_MAX) fail('call-too-large', `a filter of more than ${TOKENS_MAX} words`)
    const token = readToken(text, at)
    tokens.push(token)
    at += token.text.length
    const plain = token.kind !== 'string' && token.kind !== 'symbol' && token.text !== '&&' && token.text !== '||'
    if (plain && endOf(RUN_ON, text, at) > at)
      fail('call-ambiguous', 'a word or number of the filter runs on into another', 'Put a space between.')
    at = endOf(SPACE, text, at)
  }
  return tokens
}

function readToken(text: string, at: number): Token {
  const first = text[at] as string
  if (first === '"' || first === "'") return { kind: 'string', text: text.slice(at, endOfString(text, at, first)) }
  const word = text.slice(at, endOf(WORD, text, at))
  if (word !== '') return wordOf(word)
  const number = text.slice(at, endOf(NUMBER, text, at))
  if (number !== '') return { kind: 'number', text: number }
  const symbol = text.slice(at, endOf(SYMBOL, text, at))
  if (symbol === '') fail('call-unreadable', `the filter has ${quote(first)} where none can be`)
  return { kind: symbol === '&&' ? 'and' : symbol === '||' ? 'or' : 'symbol', text: symbol }
}

/** Index behind what the pattern finds at this place, or the place itself. */
function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : at
}

/** A backslash and what follows it are two characters of the text, so that an escaped quote is no end. */
function endOfString(text: string, from: number, quoted: string): number {
  for (let at = from + 1; at < text.length; at++) {
    const one = text[at]
    if (one === quoted) return at + 1
    if (one === '\\') at++
    if (text[at] === '\n' || text[at] === '\r') break
  }
  return fail('call-unreadable', 'a text of the filter has no end')
}

function wordOf(text: string): Token {
  const lower = text.toLowerCase()
  if (!KEYWORDS.has(lower)) return { kind: 'name', text }
  const mixed = text !== lower && text !== text.toUpperCase() && text !== 'True' && text !== 'False'
  if (mixed)
    fail(
      'call-ambiguous',
      `${quote(text)} in the filter is a keyword or a name`,
      'Write keywords in lower case, and name no field like one.'
    )
  if (lower === 'and' || lower === 'or' || lower === 'in') return { kind: lower, text }
  return { kind: 'keyword', text }
}

const PAIRS: Readonly<Record<string, string>> = { ')': '(', ']': '[', '}': '{' }

/** @returns index of each opening bracket to that of its closing one; all must be closed, by their own kind */
export function closingBrackets(tokens: readonly Token[]): ReadonlyMap<number, number> {
  const closing = new Map<number, number>()
  const open: number[] = []
  for (const [index, { kind, text }] of tokens.entries()) {
    if (kind !== 'symbol') continue
    if (text === '(' || text === '[' || text === '{') open.push(index)
    const opening = PAIRS[text]
    if (opening === undefined) continue
    const from = open.pop()
    if (from === undefined || tokens[from]?.text !== opening) fail('call-unreadable', 'the brackets of the filter do not match')
    closing.set(from, index)
  }
  if (open.length > 0) fail('call-unreadable', 'the brackets of the filter do not match')
  return closing
}
