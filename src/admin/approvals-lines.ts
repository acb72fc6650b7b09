/** A request as people read it. What callers chose stands in it, so nothing in it may move a cursor or turn text around. */

/** Printable ASCII; every other character as its escape. */
export function oneLine(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** JSON in ASCII: what is beyond it is within strings, and U+009B moves a cursor like ESC [ does. @param indent 0: in one line */
export function jsonLine(value: unknown, indent = 0): string {
  return JSON.stringify(value, undefined, indent).split('\n').map(oneLine).join('\n')
}

export function entryLines(entry: Readonly<Record<string, unknown>>): readonly string[] {
  const say = (name: string) => (entry[name] === undefined ? '' : oneLine(String(entry[name])))
  const targets = Array.isArray(entry['targets']) ? entry['targets'].map((one) => oneLine(String(one))) : []
  const lines: [string, string][] = [
    ['caller', say('caller')],
    ['wants', `${say('operation')} in ${say('database')}, tenant ${say('tenant')}`],
    ...targets.map((one, at): [string, string] => [at === 0 ? 'on' : '', one]),
    ['request', say('digest') === '' ? '' : `SHA-256 ${say('digest')} (${say('endpoint')})`],
    ['run', say('run')],
    ['policy', say('because')],
    ['asked', say('asked_at')],
    [say('state') === 'waiting' ? 'waits' : 'ends', say('until')],
    ['lasts', say('state') === 'waiting' ? `${say('seconds')} s once approved` : ''],
    ['by', say('by')],
    ['reason', say('reason')]
  ]
  const shown = lines.filter(([, value]) => value !== '').map(([name, value]) => `  ${name.padEnd(8)}${value}`)
  return [`${say('id')}  ${say('step')}, ${say('state')}`, ...shown]
}
