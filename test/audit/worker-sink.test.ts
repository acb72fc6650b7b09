/** The worker beside the decisions: which record goes where, the chain of each stream, and what is refused. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { createChainCheck } from '../../src/audit/chain-check.ts'
import type { SinkPlan } from '../../src/audit/worker.ts'
import { openWorkerSink, type WorkerSinkParts } from '../../src/audit/worker-sink.ts'
import type { AnchorClaims } from '../../src/core/audit-anchor.ts'

const root = mkdtempSync(join(tmpdir(), 'wsk-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const RUN = '00112233445566aa'
const fileSink = (name: string, takes: SinkPlan['takes'], file = join(root, name)): SinkPlan => ({
  name,
  takes,
  to: { kind: 'file', file, rotate: undefined }
})
const textOf = (name: string) => readFileSync(join(root, name), 'utf8')
const linesOf = (name: string) => textOf(name).split('\n').filter(Boolean)
const line = (name: string | number, pad = '') => JSON.stringify({ name, pad })

async function opened(sinks: readonly SinkPlan[], more: Partial<WorkerSinkParts> = {}, chained = false, memoryBytesMax = 8e6) {
  const troubles: string[] = []
  const sink = await openWorkerSink({
    plan: { sinks, run: RUN, chained, memoryBytesMax, spill: undefined },
    bufferBytesMax: 8e6,
    sign: undefined,
    anchorMs: 0,
    closeMs: 300,
    onTrouble: (name, because) => void troubles.push(`${name} ${because}`),
    onFault: (cause) => void troubles.push(`fault ${cause.message}`),
    ...more
  })
  return { sink, troubles }
}

describe('records', () => {
  it('of agents and of people go where they are wanted, in order, whatever their length', async () => {
    const { sink } = await opened([fileSink('all', 'all'), fileSink('agents', 'agents'), fileSink('people', 'people')])
    const long = 'é'.repeat(200_000)
    for (let at = 0; at < 300; at++) expect(sink.write(line(at, at === 150 ? long : ''), at % 3 === 0 ? 'people' : 'agents')).toBe(true)
    await sink.close()
    const namesIn = (name: string) => linesOf(name).map((one) => (JSON.parse(one) as { name: number }).name)
    const all = Array.from({ length: 300 }, (_, at) => at)
    expect(namesIn('agents')).toEqual(all.filter((at) => at % 3 !== 0))
    expect(namesIn('people')).toEqual(all.filter((at) => at % 3 === 0))
    expect(namesIn('all').sort((one, other) => one - other)).toEqual(all)
  })

  it('are chained for each stream, and the heads are handed out at the start and at the end', async () => {
    const heads: { claims: AnchorClaims }[] = []
    const sign: WorkerSinkParts['sign'] = (of, ended) => {
      heads.push({ claims: { iss: 'spiffe://a.test/x', iat: 1, run: RUN, n: heads.length + 1, ended, heads: of } })
      return JSON.stringify({ n: heads.length })
    }
    const { sink } = await opened([fileSink('chained', 'all'), fileSink('heads', 'anchors')], { sign, anchorMs: 60_000 }, true)
    for (let at = 0; at < 50; at++) sink.write(line(at), at % 2 === 0 ? 'people' : 'agents')
    await sink.close()
    const anchors = heads.map(({ claims }) => claims)
    expect(anchors.map(({ ended, heads: { agents, people } }) => [ended, agents.seq, people.seq])).toEqual([
      [false, 0, 0],
      [true, 25, 25]
    ])
    expect(linesOf('heads')).toEqual(['{"n":1}', '{"n":2}'])
    const check = createChainCheck({ anchors, partial: false })
    for (const [at, one] of linesOf('chained').entries()) check.add(Buffer.from(one), String(at + 1))
    expect(check.end()).toMatchObject({ findings: [], chains: [{ records: 25 }, { records: 25 }] })
  })

  it('that no sink has room for are refused, and taken again when there is some; those that come after the end are refused', async () => {
    const { sink, troubles } = await opened([fileSink('full', 'all', '/dev/full')], { bufferBytesMax: 100_000 }, false, 100_000)
    const filler = line('filler', 'x'.repeat(1_000))
    await vi.waitFor(() => expect(sink.write(filler)).toBe(false), { timeout: 20_000, interval: 1 })
    expect(sink.refused()).toBeGreaterThan(0)
    await vi.waitFor(() => expect(sink.figures()).toMatchObject({ failing: ['full'] }), 20_000)
    expect(troubles[0]).toContain('ENOSPC')
    await sink.close()
    expect(sink.write(filler)).toBe(false)
    expect(troubles.at(-1)).toMatch(/audit \d+ bytes of records could be neither delivered nor put on the disk/)
  }, 60_000)

  it('a file that cannot be opened ends the start with a sentence', async () => {
    await expect(opened([fileSink('x', 'all', join(root, 'all', 'x'))])).rejects.toThrow('cannot be opened')
  })
})
