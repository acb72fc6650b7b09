/** What a fault was to show, and what it has shown. */
export interface Finding {
  /** What must be so, as a sentence. */
  readonly must: string
  /** What was seen. */
  readonly seen: string
  readonly ok: boolean
}

export interface Fault {
  readonly name: string
  /** What is done. */
  readonly what: string
  /** @returns why it cannot be done here, or what was found */
  readonly run: (options: FaultOptions) => Promise<string | readonly Finding[]>
}

export interface FaultOptions {
  readonly folder: string
  /** Seconds instead of minutes, and tens instead of thousands. */
  readonly short: boolean
  readonly say: (line: string) => void
}

export function finding(must: string, ok: boolean, seen: string): Finding {
  return { must, seen, ok }
}

export function counted(must: string, wanted: number, seen: number): Finding {
  return { must, seen: `${seen} of ${wanted}`, ok: seen === wanted }
}
