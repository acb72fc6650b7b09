/** Whoever changes, removes, moves or adds a record is found out, and so is whoever cuts the end off or writes the chain anew. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createChain, readLinked } from '../../src/audit/chain.ts'
import { type CheckOptions, createChainCheck } from '../../src/audit/chain-check.ts'
import type { AnchorClaims } from '../../src/core/audit-anchor.ts'

const RUN = '00112233445566aa'
const record = (id: number) => JSON.stringify({ ts: '2026-11-21T00:00:00.000Z', decision_id: `d${id}`, because: 'naïve "x"' })

function sealed(count: number, run = RUN, stream: 'agents' | 'people' = 'agents') {
  const chain = createChain(run, stream)
  const lines = Array.from({ length: count }, (_, at) => `${record(at + 1)}\n`)
  // In pieces, as they come.
  const half = Math.floor(count / 2)
  const out = [lines.slice(0, half), lines.slice(half)].map((part) => chain.seal(Buffer.from(part.join(''))).toString('utf8')).join('')
  return { lines: out.trimEnd().split('\n'), head: chain.head() }
}

function checked(lines: readonly string[], { anchors = [], partial = false }: Partial<CheckOptions> = {}) {
  const check = createChainCheck({ anchors, partial })
  for (const [at, line] of lines.entries()) check.add(Buffer.from(line), `f:${at + 1}`)
  const { findings, chains, repeated } = check.end()
  return { found: findings.map(({ kind, at }) => `${kind} ${at}`), chains, repeated, says: findings.map(({ says }) => says) }
}

const NO_PEOPLE = { seq: 0, hash: '0'.repeat(64) }
const anchor = (n: number, agents: AnchorClaims['heads']['agents'], ended = false): AnchorClaims => ({
  iss: 'spiffe://a.test/vecauthz',
  iat: 1_800_000_000 + n,
  run: RUN,
  n,
  ended,
  heads: { agents, people: NO_PEOPLE }
})

describe('a chain', () => {
  const { lines, head } = sealed(10)

  it('is each record as it was, with its place', () => {
    expect(JSON.parse(lines[2] as string)).toMatchObject({ decision_id: 'd3', chain: { run: RUN, stream: 'agents', seq: 3 } })
    expect(readLinked(Buffer.from(lines[9] as string))?.hash).toBe(head.hash)
  })

  it('is good as it was written, and says how far', () => {
    const { found, chains } = checked(lines, { anchors: [anchor(1, head, true)] })
    expect({ found, chains }).toMatchObject({
      found: [],
      chains: [
        { records: 10, last: 10, ended: true },
        { stream: 'people', records: 0 }
      ]
    })
  })

  const change = (at: number, to: (line: string) => string) => lines.map((line, index) => (index === at ? to(line) : line))
  const without = (from: number, to = from) => lines.filter((_, at) => at < from || at > to)
  const swapped = [...lines.slice(0, 3), lines[4], lines[3], ...lines.slice(5)] as string[]
  it.each([
    { name: 'one byte of a record is changed', given: change(3, (line) => line.replace('d4', 'd5')), want: ['altered f:4'] },
    { name: 'one byte of the first is changed', given: change(0, (line) => line.replace('d1', 'd2')), want: ['altered f:1'] },
    { name: 'a record is taken away', given: without(3), want: ['removed f:4'] },
    { name: 'three are taken away', given: without(3, 5), want: ['removed f:4'] },
    { name: 'the first is taken away', given: without(0), want: ['removed f:1'] },
    { name: 'two change places', given: swapped, want: ['reordered f:5'] },
    { name: 'a line is put in', given: [...lines.slice(0, 3), record(99), ...lines.slice(3)], want: ['inserted f:4'] },
    {
      name: 'another record is put in under a number that is there',
      given: [...lines.slice(0, 4), (lines[3] as string).replace('d4', 'd9'), ...lines.slice(4)],
      want: ['inserted f:5']
    },
    { name: 'a record is torn', given: change(5, (line) => line.slice(0, 20)), want: ['inserted f:6', 'removed f:7'] }
  ])('$name', ({ given, want }) => expect(checked(given).found).toEqual(want))

  it('a batch that came twice is no finding, and is counted', () => {
    expect(checked([...lines.slice(0, 6), ...lines.slice(3, 6), ...lines.slice(6)])).toMatchObject({ found: [], repeated: 3 })
  })

  it('streams and runs are chains of their own', () => {
    const [people, other] = [sealed(3, RUN, 'people'), sealed(3, 'ffffffffffffffff')]
    const mixed = lines.flatMap((line, at) => [line, ...(at < 3 ? [people.lines[at], other.lines[at]] : [])]) as string[]
    expect(checked(mixed).found).toEqual([])
    expect(checked(mixed.filter((line) => line !== people.lines[1])).found).toHaveLength(1)
  })

  it('any line gone, any byte changed: found, wherever it is but at the end', () => {
    fc.assert(
      fc.property(fc.nat({ max: lines.length - 2 }), fc.nat(), (at, offset) => {
        expect(checked(without(at)).found.length).toBeGreaterThan(0)
        const bytes = Buffer.from(lines[at] as string)
        bytes[offset % bytes.length] = (bytes[offset % bytes.length] as number) ^ 1
        const check = createChainCheck({ anchors: [], partial: false })
        for (const [index, line] of lines.entries()) check.add(index === at ? bytes : Buffer.from(line), `f:${index + 1}`)
        expect(check.end().findings.length).toBeGreaterThan(0)
      })
    )
  })
})

describe('the end of a chain', () => {
  const { lines, head } = sealed(10)
  const at = (count: number) => sealed(count).head

  it('a cut end is seen against the signed head only', () => {
    expect(checked(lines.slice(0, 7)).found).toEqual([])
    const { found, says } = checked(lines.slice(0, 7), { anchors: [anchor(1, at(4)), anchor(2, head)] })
    expect(found).toEqual(['cut f:7'])
    expect(says[0]).toContain('records 8 to 10')
    expect(says[0]).toContain('it was killed, or goes on')
  })

  it('a whole run that is gone is seen', () => {
    expect(checked([], { anchors: [anchor(1, head, true)] }).found).toEqual(['missing-run -'])
    expect(checked([], { anchors: [anchor(1, head, true)], partial: true }).found).toEqual([])
  })

  it('a chain that was written anew is seen: its head is not the signed one', () => {
    const forged = createChain(RUN, 'agents')
    const text = forged.seal(Buffer.from(lines.map((_, index) => `${record(index + 2)}\n`).join(''))).toString('utf8')
    expect(checked(text.trimEnd().split('\n')).found).toEqual([])
    expect(checked(text.trimEnd().split('\n'), { anchors: [anchor(1, head)] }).found).toEqual(['rewritten f:10'])
  })

  it('an anchor that was taken away is seen by its number', () => {
    expect(checked(lines, { anchors: [anchor(1, at(4)), anchor(3, head)] }).found).toEqual(['missing-anchor -'])
  })

  it('what comes before a part is not missed, and what is in it is', () => {
    expect(checked(lines.slice(4), { partial: true }).found).toEqual([])
    expect(checked([...lines.slice(4, 6), ...lines.slice(7)], { partial: true }).found).toEqual(['removed f:3'])
  })
})
