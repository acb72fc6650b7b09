/**
 * Records read back, held against their own chain and against signed heads: what was changed, taken away, put in or moved, and what
 * is missing at the end. One pass, and a few lines of memory for each chain.
 */
import type { AnchorClaims, Head, Stream } from '../core/audit-anchor.ts'
import { STREAMS } from '../core/audit-anchor.ts'
import { CHAIN_START, readLinked } from './chain.ts'

export type FindingKind = 'altered' | 'removed' | 'reordered' | 'inserted' | 'cut' | 'rewritten' | 'missing-run' | 'missing-anchor'

export interface Finding {
  readonly kind: FindingKind
  /** `FILE:LINE`; the last line that is there for what is missing behind it. */
  readonly at: string
  readonly says: string
}

export interface ChainReport {
  readonly run: string
  readonly stream: Stream
  readonly records: number
  readonly first: number
  readonly last: number
  /** The newest signed head; undefined without any. */
  readonly anchored: { readonly seq: number; readonly at: number } | undefined
  /** Whether the run said that it ended; undefined without anchors. */
  readonly ended: boolean | undefined
}

export interface ChainCheck {
  /** @param line without its end. @param at `FILE:LINE` */
  readonly add: (line: Buffer, at: string) => void
  readonly end: () => { readonly findings: readonly Finding[]; readonly chains: readonly ChainReport[]; readonly repeated: number }
}

export interface CheckOptions {
  /** Only those whose signature is good. */
  readonly anchors: readonly AnchorClaims[]
  /** What was before the first line, and runs of which there is none, are not missed. */
  readonly partial: boolean
}

interface Chained {
  readonly run: string
  readonly stream: Stream
  next: number
  /** What the next line must carry. */
  hash: string
  first: number
  records: number
  lastAt: string
  /** Numbers that are missing up to now: from, to, and what is behind them. */
  gaps: { from: number; to: number; readonly at: string }[]
  /** Hashes of the last lines: a batch can come twice when an answer was lost. */
  readonly recent: Map<number, string>
  /** Signed heads of this chain that no line was seen for. */
  readonly heads: Map<number, { readonly hash: string; readonly iat: number }>
}

/** Twice the longest batch that is sent again. */
const RECENT_MAX = 8_192

export function createChainCheck({ anchors, partial }: CheckOptions): ChainCheck {
  const findings: Finding[] = []
  const chains = new Map<string, Chained>()
  let repeated = 0
  const find = (kind: FindingKind, at: string, says: string) => findings.push({ kind, at, says })
  const chainOf = (run: string, stream: Stream): Chained => {
    const known = chains.get(`${run} ${stream}`)
    if (known !== undefined) return known
    const made = {
      run,
      stream,
      next: 1,
      hash: CHAIN_START,
      first: 0,
      records: 0,
      lastAt: '',
      gaps: [],
      recent: new Map(),
      heads: headsOf(anchors, run, stream)
    }
    chains.set(`${run} ${stream}`, made)
    return made
  }
  return {
    add(line, at) {
      const linked = readLinked(line)
      if (linked === undefined)
        return void find('inserted', at, 'this line has no place in a chain: it was put in, torn by a kill, or its end was changed')
      const chain = chainOf(linked.run, linked.stream)
      const { seq, prev, hash } = linked
      if (seq < chain.next) {
        if (chain.recent.get(seq) === hash) return void repeated++
        return late(chain, seq, at, find)
      }
      if (seq > chain.next) skipped(chain, seq, at, partial, find)
      else if (prev !== chain.hash)
        find(
          'altered',
          chain.records === 0 ? at : chain.lastAt,
          `record ${seq - 1} of ${nameOf(chain)} is not what record ${seq} says that it was (${at})`
        )
      const head = chain.heads.get(seq)
      if (head !== undefined && head.hash !== hash)
        find('rewritten', at, `record ${seq} of ${nameOf(chain)} is not the one whose head was signed at ${isoOf(head.iat)}`)
      note(chain, seq, hash, at)
    },
    end() {
      for (const { run } of anchors) for (const stream of STREAMS) if (!partial || chains.has(`${run} ${stream}`)) chainOf(run, stream)
      for (const chain of chains.values()) missingAtEnd(chain, anchors, find)
      missingAnchors(anchors, find)
      return { findings, repeated, chains: [...chains.values()].map((chain) => reportOf(chain, anchors)) }
    }
  }
}

type Find = (kind: FindingKind, at: string, says: string) => void

function note(chain: Chained, seq: number, hash: string, at: string): void {
  chain.hash = hash
  chain.next = seq + 1
  chain.lastAt = at
  chain.records++
  if (chain.first === 0) chain.first = seq
  chain.recent.set(seq, hash)
  chain.recent.delete(seq - RECENT_MAX)
}

/** A line whose number has passed: it was missed where it belongs, or it is one too many. */
function late(chain: Chained, seq: number, at: string, find: Find): void {
  const gap = chain.gaps.find(({ from, to }) => seq >= from && seq <= to)
  if (gap === undefined) return void find('inserted', at, `there is another record ${seq} of ${nameOf(chain)}`)
  find('reordered', at, `record ${seq} of ${nameOf(chain)} belongs before ${gap.at}`)
  chain.records++
  chain.gaps = chain.gaps.flatMap((one) =>
    one === gap
      ? [
          { from: gap.from, to: seq - 1, at: gap.at },
          { from: seq + 1, to: gap.to, at: gap.at }
        ].filter(({ from, to }) => from <= to)
      : [one]
  )
}

function skipped(chain: Chained, seq: number, at: string, partial: boolean, _find: Find): void {
  if (partial && chain.records === 0) return
  chain.gaps.push({ from: chain.next, to: seq - 1, at })
}

function missingAtEnd(chain: Chained, anchors: readonly AnchorClaims[], find: Find): void {
  for (const { from, to, at } of chain.gaps)
    find('removed', at, `${rangeOf(from, to)} of ${nameOf(chain)} ${from === to ? 'is' : 'are'} missing before this line`)
  const newest = newestOf(anchors, chain.run)
  const head = newest?.heads[chain.stream]
  if (newest === undefined || head === undefined || head.seq < chain.next) return
  const when = `the head of ${isoOf(newest.iat)} is record ${head.seq}`
  const ending = newest.ended ? '' : '; the run did not say that it ended, so it was killed, or goes on'
  const missing = head.seq - chain.next + 1
  if (chain.records === 0) return void find('missing-run', '-', `all ${missing} records of ${nameOf(chain)} are missing: ${when}${ending}`)
  find(
    'cut',
    chain.lastAt,
    `${rangeOf(chain.next, head.seq)} of ${nameOf(chain)} (${missing}) ${missing === 1 ? 'is' : 'are'} missing after this line: ${when}${ending}`
  )
}

/** Anchors of a run are numbered: one that is missing was taken away, or is still on its way. */
function missingAnchors(anchors: readonly AnchorClaims[], find: Find): void {
  for (const run of new Set(anchors.map((one) => one.run))) {
    const numbers = new Set(anchors.filter((one) => one.run === run).map(({ n }) => n))
    const last = Math.max(...numbers)
    const missing = Array.from({ length: last }, (_, at) => at + 1).filter((n) => !numbers.has(n))
    if (missing.length > 0)
      find('missing-anchor', '-', `anchors ${missing.slice(0, 10).join(', ')}${missing.length > 10 ? ', …' : ''} of run ${run} are missing`)
  }
}

function reportOf(chain: Chained, anchors: readonly AnchorClaims[]): ChainReport {
  const newest = newestOf(anchors, chain.run)
  const head = newest?.heads[chain.stream]
  const { run, stream, records, first, next } = chain
  const anchored = newest === undefined || head === undefined ? undefined : { seq: head.seq, at: newest.iat * 1000 }
  return { run, stream, records, first, last: next - 1, anchored, ended: newest?.ended }
}

function headsOf(anchors: readonly AnchorClaims[], run: string, stream: Stream): Chained['heads'] {
  const own = anchors.filter((one) => one.run === run)
  return new Map(
    own.map(({ heads, iat }): [number, { hash: string; iat: number }] => [heads[stream].seq, { hash: heads[stream].hash, iat }])
  )
}

function newestOf(
  anchors: readonly AnchorClaims[],
  run: string
): (AnchorClaims & { readonly heads: Readonly<Record<Stream, Head>> }) | undefined {
  return anchors
    .filter((one) => one.run === run)
    .reduce<AnchorClaims | undefined>((best, one) => (best === undefined || one.n > best.n ? one : best), undefined)
}

const nameOf = ({ run, stream }: Chained) => `run ${run} (${stream})`
const rangeOf = (from: number, to: number) => (from === to ? `record ${from}` : `records ${from} to ${to}`)
const isoOf = (seconds: number) => new Date(seconds * 1000).toISOString()
