import { writeFileSync } from 'node:fs'

/** What happened and when, in the order in which it happened; written as a Markdown page when a file is named. */
export interface Transcript {
  readonly section: (title: string) => void
  /** A line with the seconds since the beginning of its section. */
  readonly say: (line: string) => void
  /** A text, such as a folder's path, that is not to be shown. */
  readonly hide: (text: string) => void
  /** Writes the page; without a file, nothing. */
  readonly write: () => void
}

export function openTranscript(file: string | undefined, opening: readonly string[]): Transcript {
  const lines = [...opening]
  const hidden: string[] = []
  let began = performance.now()
  return {
    section: (title) => {
      began = performance.now()
      lines.push('', `## ${title}`, '')
    },
    say: (line) => {
      lines.push(`- \`${((performance.now() - began) / 1000).toFixed(2).padStart(6)} s\` ${line}`)
    },
    hide: (text) => {
      hidden.push(text)
    },
    write: () => {
      const page = hidden.reduce((all, text) => all.replaceAll(text, '…'), lines.join('\n'))
      if (file !== undefined) writeFileSync(file, `${page}\n`)
    }
  }
}
