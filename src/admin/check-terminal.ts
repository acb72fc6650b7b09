/** What the commands about policy have in common: arguments, files, and sentences about what is wrong with them. */
import { readFileSync, statSync } from 'node:fs'
import { type ParseArgsOptionsConfig, parseArgs } from 'node:util'
import { type Fault, printFault } from '../config/read-yaml.ts'
import { shown } from '../identity/json.ts'
import { jsonLine } from './approvals-lines.ts'
import { isUnreadable, unreadable } from './svid-verify-question.ts'

export interface Output {
  /** To standard output. */
  readonly print: (text: string) => void
  /** To standard error. */
  readonly complain: (text: string) => void
}

/** The largest body of a write lane in base64, with its headers, is below this. */
const FILE_BYTES_MAX = 64 * 1024 * 1024

/** Runs a command; what it cannot read ends it with sentences and exit code 2. @returns the exit code */
export async function running(args: readonly string[], help: string, output: Output, run: () => Promise<number>): Promise<number> {
  if (args.includes('--help') || args.includes('-h')) {
    output.print(help)
    return 0
  }
  try {
    return await run()
  } catch (cause) {
    if (!isUnreadable(cause)) throw cause
    const sentences = cause.unreadable.split('\n')
    if (args.includes('--json')) output.print(`${jsonLine({ verdict: 'unreadable', says: sentences })}\n`)
    else for (const sentence of sentences) output.complain(`vecauthz: ${sentence}\n`)
    return 2
  }
}

type Values = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>

export interface Parsed {
  readonly words: readonly string[]
  /** The value of an option that is given once. */
  readonly one: (name: string) => string | undefined
  readonly many: (name: string) => readonly string[]
  readonly has: (name: string) => boolean
}

/** @param names options with a value. @param flags options without. Throws `Unreadable`. */
export function parsed(args: readonly string[], names: readonly string[], flags: readonly string[]): Parsed {
  const options: ParseArgsOptionsConfig = {
    ...Object.fromEntries(names.map((name) => [name, { type: 'string', multiple: true } as const])),
    ...Object.fromEntries(flags.map((name) => [name, { type: 'boolean' } as const]))
  }
  const read = () => {
    try {
      return parseArgs({ args: [...args], options, allowPositionals: true })
    } catch (cause) {
      return unreadable(`${(cause as Error).message.split(/\.(?:\s|$)/)[0]}; see --help.`)
    }
  }
  const { values, positionals } = read()
  const many = (name: string) => ((values as Values)[name] ?? []) as readonly string[]
  return {
    words: positionals,
    many,
    one: (name) => (many(name).length > 1 ? unreadable(`--${name} is given twice.`) : many(name)[0]),
    has: (name) => (values as Values)[name] === true
  }
}

/** Throws `Unreadable`. */
export function readBytes(path: string): Buffer {
  try {
    const { size } = statSync(path)
    if (size > FILE_BYTES_MAX) unreadable(`${shown(path)} has ${size} bytes, and ${FILE_BYTES_MAX} are the most.`)
    return readFileSync(path)
  } catch (cause) {
    if (isUnreadable(cause)) throw cause
    const { code } = cause as NodeJS.ErrnoException
    return unreadable(code === 'ENOENT' ? `There is no file ${shown(path)}.` : `The file ${shown(path)} cannot be read (${code}).`)
  }
}

/** All faults as one `Unreadable`. */
export function faulty(faults: readonly Fault[]): never {
  return unreadable(faults.map(printFault).join('\n'))
}
