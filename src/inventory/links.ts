/** Which lines of the chains in audit files are there, so that those that are not are seen: a line that is there twice stands for itself. */
import type { Link } from './record-use.ts'

export interface Links {
  readonly note: (link: Link) => void
  /** Lines between the first and the last one of each chain that are not there; chains without such are left out. */
  readonly missing: () => readonly { readonly chain: string; readonly lines: number }[]
}

/** A bit for each line, in pieces. */
const PIECE = 1024

interface Chain {
  least: number
  most: number
  count: number
  readonly seen: Map<number, Int32Array>
}

export function createLinks(): Links {
  const chains = new Map<string, Chain>()
  return {
    note({ run, stream, seq }) {
      const name = `${run} ${stream}`
      const chain = chains.get(name) ?? { least: seq, most: seq, count: 0, seen: new Map() }
      chains.set(name, chain)
      if (!isNew(chain, seq)) return
      chain.least = Math.min(chain.least, seq)
      chain.most = Math.max(chain.most, seq)
      chain.count++
    },
    missing: () =>
      [...chains].map(([chain, { least, most, count }]) => ({ chain, lines: most - least + 1 - count })).filter(({ lines }) => lines > 0)
  }
}

function isNew({ seen }: Chain, seq: number): boolean {
  const piece = Math.floor(seq / PIECE)
  const bits = seen.get(piece) ?? new Int32Array(PIECE / 32)
  seen.set(piece, bits)
  const [word, bit] = [Math.floor((seq % PIECE) / 32), 1 << (seq % 32)]
  if (((bits[word] ?? 0) & bit) !== 0) return false
  bits[word] = (bits[word] ?? 0) | bit
  return true
}
