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

const SPACE = /[ \t\r\n]+/y
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y
const NUMBER = /0[xX][0-9A-Fa-f]+|0[bB][01]+|(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/y
/** A backslash and what follows it are two characters of the text, so that an escaped quote is no end. */
const STRING = /"(?:[^"\\\r\n]|\\[^\r\n])*"|'(?:[^'\\\r\n]|\\[^\r\n])*'/y
const SYMBOL = /\*\*|<<|>>|<=|>=|==|!=|=~|!~|&&|\|\||\$meta(?![A-Za-z0-9_])|[()[\]{},<>=!~+\-*/%&|^$]/y
/** What must not follow a word or a number at once: the server would cut a number from a word, or see a prefixed string. */
const RUN_ON = /[A-Za-z0-9_."'$]/y

/** Cuts an expression into its words; refuses what is none. */
export function readTokens(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  const take = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }
  while (at < text.length) {
    if (take(SPACE) !== undefined) continue
    const word = take(WORD)
    const plain = word ?? take(NUMBER)
    if (plain !== undefined) {
      if (take(RUN_ON) !== undefined) fail('call-ambiguous', 'a word or number of the filter runs on into another', 'Put a space between.')
      tokens.push(word === undefined ? { kind: 'number', text: plain } : wordOf(word))
      continue
    }
    const string = take(STRING)
    const symbol = string ?? take(SYMBOL)
    if (symbol === undefined) fail('call-unreadable', `the filter has ${quote(text.slice(at, at + 1))} where none can be`)
    tokens.push(string === undefined ? symbolOf(symbol) : { kind: 'string', text: string })
  }
  return tokens
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

function symbolOf(text: string): Token {
  return { kind: text === '&&' ? 'and' : text === '||' ? 'or' : 'symbol', text }
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
