/** What looks like a key, a token or a password: a known beginning, and enough of the characters that follow it. In linear time. */

interface Form {
  readonly begins: string
  /** Characters that may follow. */
  readonly of: RegExp
  /** How many must. */
  readonly least: number
}

const ALPHANUMERIC = /[A-Za-z0-9]/
const UPPER = /[A-Z0-9]/
const TOKEN = /[A-Za-z0-9_-]/

const FORMS: readonly Form[] = [
  { begins: 'AKIA', of: UPPER, least: 16 },
  { begins: 'ASIA', of: UPPER, least: 16 },
  { begins: 'AIza', of: TOKEN, least: 35 },
  { begins: 'ghp_', of: ALPHANUMERIC, least: 30 },
  { begins: 'gho_', of: ALPHANUMERIC, least: 30 },
  { begins: 'github_pat_', of: TOKEN, least: 40 },
  { begins: 'glpat-', of: TOKEN, least: 20 },
  { begins: 'xoxb-', of: TOKEN, least: 20 },
  { begins: 'xoxp-', of: TOKEN, least: 20 },
  { begins: 'sk-', of: TOKEN, least: 20 },
  { begins: 'sk_live_', of: ALPHANUMERIC, least: 16 },
  { begins: 'rk_live_', of: ALPHANUMERIC, least: 16 },
  { begins: 'hvs.', of: TOKEN, least: 20 },
  { begins: 'npm_', of: ALPHANUMERIC, least: 30 },
  { begins: 'pypi-', of: TOKEN, least: 40 },
  { begins: 'eyJhbGciOi', of: /[A-Za-z0-9_.-]/, least: 30 },
  { begins: 'Bearer ', of: /[A-Za-z0-9_.~+/=-]/, least: 20 }
]
const PRIVATE_KEY = /-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----/
/** `password: …`, `pwd=…`: a value of six characters or more. */
const NAMED = /(?:password|passwd|pwd|secret|api_key|apikey|token)["']?[:=]["']?[^\s"'<>{}]{6}/

export function hasSecret(text: string): boolean {
  if (FORMS.some((form) => hasForm(text, form)) || PRIVATE_KEY.test(text)) return true
  // Around the sign between name and value there may be blanks; without them, no pattern has to try how many.
  return /[:=]/.test(text) && NAMED.test(text.toLowerCase().replace(/ ?([:=]) ?/g, '$1'))
}

function hasForm(text: string, { begins, of, least }: Form): boolean {
  for (let at = text.indexOf(begins); at !== -1; ) {
    let end = at + begins.length
    while (end < text.length && of.test(text.charAt(end))) end++
    if (end - at - begins.length >= least) return true
    at = text.indexOf(begins, end)
  }
  return false
}
