/** `vecauthz svid verify`: what the rulebooks say about one SVID, bundle or ID, or about many of them. */
import { parseArgs } from 'node:util'
import { jsonLine } from './approvals-lines.ts'
import { type Answer, answer } from './svid-verify-answer.ts'
import { answerLines, readText, readTokenFile, TEXTS, unreadableAnswer } from './svid-verify-lines.ts'
import { type Given, isUnreadable, NAMES, type Name, questionOf, unreadable } from './svid-verify-question.ts'
import { explained } from './svid-verify-remedies.ts'

const HELP = `vecauthz svid verify: is this identity document good, by which rule is it not, and what to do

Usage: vecauthz svid verify WHAT BY-WHAT [options]

  an X.509-SVID     --chain FILE --bundle FILE --trust-domain NAME [--at TIME]
  a JWT-SVID        --token FILE --jwks FILE --audience NAME [--trust-domain NAME] [--at TIME]
  a SPIFFE bundle   --spiffe-bundle FILE
  a SPIFFE ID       --id TEXT
  many of these     --jsonl, or - : one JSON object a line on standard input

  --chain FILE           PEM: the leaf first, then what lies between it and the root
  --bundle FILE          PEM: the trust anchors of the trust domain
  --token FILE           the compact token (a file, since arguments are seen by other users of the machine)
  --jwks FILE            the JWT bundle as the Workload API gives it, or a bundle map
  --spiffe-bundle FILE   a SPIFFE bundle or a bundle map; with --chain or --token in the place of --bundle or --jwks
  --trust-domain NAME    whose bundle or key set that is; it vouches for no other trust domain. A bundle map says whose
                         its bundles are. A plain key set without a name is that of the domain the token names
  --audience NAME        who the token must be for
  --at TIME              the moment to judge, such as 2026-11-20T12:00:00Z; now, if it is not given
  --json                 one JSON object instead of text: { "ok", "spiffe_id"?, "reason"?, "rule"?, "detail"? }
  --jsonl                see below
  --help                 this text

Lines: {"chain": "-----BEGIN CERTIFICATE-----\\n...", "at": "2026-11-20T12:00:00Z"}. The names are those of the options
(trust_domain will do for trust-domain); the values are the texts themselves, or files where they begin with / or ./
or ../. What a line does not say is taken from the options. A "name" comes back with the answer. Answers are JSON, one
a line, in the order of the lines. An input without a line is one that cannot be read.

Reasons: svid-expired, svid-untrusted, id-invalid, bundle-invalid, unreadable (what to trust, or the question itself).
Exit codes: 0 yes (to every line), 1 no, 2 cannot say (something could not be read).
`

export interface Terminal {
  readonly input: AsyncIterable<Uint8Array>
  /** To standard output. */
  readonly print: (text: string) => void
  /** To standard error. */
  readonly complain: (text: string) => void
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** @param args what follows `svid`. @returns the exit code */
export async function svidCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const [command, ...rest] = args
  const helped = command === '--help' || command === '-h' || command === 'help'
  if (command === undefined || helped) {
    terminal.print(HELP)
    return helped ? 0 : 2
  }
  const json = rest.includes('--json')
  try {
    if (command !== 'verify') unreadable(`There is no command "svid ${command}", only "svid verify"; see --help.`)
    return await verify(rest, terminal)
  } catch (cause) {
    if (!isUnreadable(cause)) throw cause
    if (json) terminal.print(`${jsonLine(unreadableAnswer(cause))}\n`)
    else terminal.complain(`vecauthz: ${cause.unreadable}\n`)
    return 2
  }
}

interface Options {
  readonly help: boolean
  readonly json: boolean
  readonly lines: boolean
  readonly given: Given
}

async function verify(args: readonly string[], { input, print, complain, now }: Terminal): Promise<number> {
  const { help, json, lines, given } = optionsOf(args)
  if (help) {
    print(HELP)
    return 0
  }
  const texts = readFiles(given)
  if (!lines) {
    const verdict = answer(questionOf(texts, now()), new Map())
    print(json ? `${jsonLine(verdict)}\n` : inWords(verdict))
    return verdict.ok ? 0 : 1
  }
  const counts = await answerLines(input, texts, now, (verdict) => print(`${jsonLine(verdict)}\n`))
  if (counts.yes + counts.no + counts.unreadable === 0) complain('vecauthz: There was no line on standard input.\n')
  if (counts.unreadable > 0 || counts.yes + counts.no === 0) return 2
  return counts.no > 0 ? 1 : 0
}

function optionsOf(args: readonly string[]): Options {
  const named = NAMES.map((name) => [name, { type: 'string', multiple: true }] as const)
  const flags = { json: { type: 'boolean' }, jsonl: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...Object.fromEntries(named), ...flags },
      allowPositionals: true
    })
    const all: Readonly<Record<string, unknown>> = values
    const stray = positionals.find((word) => word !== '-')
    if (stray !== undefined) unreadable(`"${stray}" is not an option; see --help.`)
    const given: Partial<Record<Name, string>> = {}
    for (const name of NAMES) {
      const [value, second] = (all[name] as readonly string[] | undefined) ?? []
      if (second !== undefined) unreadable(`--${name} is given twice.`)
      if (value !== undefined) given[name] = value
    }
    const { help, json, jsonl } = values
    return { help: help === true, json: json === true, lines: jsonl === true || positionals.length > 0, given }
  } catch (cause) {
    if (isUnreadable(cause)) throw cause
    return unreadable(`${(cause as Error).message.split(/\.(?:\s|$)/)[0]}; see --help.`)
  }
}

function readFiles(given: Given): Given {
  const read = Object.entries(given).map(([name, value]) => {
    if (!TEXTS.includes(name as Name)) return [name, value]
    return [name, name === 'token' ? readTokenFile(value) : readText(value)]
  })
  return Object.fromEntries(read)
}

function inWords({ ok, spiffe_id: id, rule, detail = '' }: Answer): string {
  if (ok)
    return `yes${id === undefined ? '' : `  ${id}`}\n${detail
      .split('; ')
      .map((part) => `     ${part}\n`)
      .join('')}`
  const known = rule === undefined ? undefined : explained(rule)
  const why = known === undefined ? '' : `     the rule: ${known.rule.title}\n`
  const todo = known?.remedy === undefined ? '' : `     to do:    ${known.remedy}\n`
  return `no   ${rule}: ${detail}\n${why}${todo}`
}
