/** When a page begins and ends: on moves, figures and outages, on several replicas, and over a restart. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { Page, PageKind, Severity } from '../../src/core/page.ts'
import { type Scope, type Standing, termId } from '../../src/core/standing.ts'
import { createEpisodes, type Episodes } from '../../src/paging/episodes.ts'
import { createPager, type Pager } from '../../src/paging/pager.ts'
import type { PagedFigure } from '../../src/paging/pages.ts'
import { AGENT, moveDown, moveTo, pageOf, T0 } from '../support/pages.ts'

/** What replicas share: a store that a test can look into, or take away. */
interface Shared {
  readonly told: Set<string>
  readonly episodes: Map<string, string>
}

interface Replica {
  readonly episodes: Episodes
  readonly pager: Pager
  /** `key state`, in the order in which it was told. */
  readonly said: string[]
  readonly pages: Page[]
  readonly troubles: string[]
  readonly stands: Map<string, Standing>
  fault: string | undefined
  known: boolean
}

let clock: number
beforeEach(() => {
  clock = T0
})

const SEVERITY: Record<PageKind, Severity | undefined> = {
  quarantine: 'critical',
  'step-up': 'warning',
  monitoring: 'info',
  outage: 'error'
}

function replicaOf(
  shared: Shared = { told: new Set(), episodes: new Map() },
  { severity = SEVERITY, left = [] as Page[], most = 100 } = {}
): Replica {
  const replica = { said: [], pages: [], troubles: [], stands: new Map(), fault: undefined, known: true } as unknown as Replica
  const pager = createPager({
    receivers: [
      {
        id: 'person',
        wants: () => true,
        repeatMs: undefined,
        tell: async (page, state) => {
          replica.said.push(`${page.key} ${state}`)
          if (state === 'firing') shared.told.add(page.key)
          replica.pages.push(page)
          return { ok: true }
        }
      }
    ],
    spool: {
      write: async () => undefined,
      remove: async () => undefined,
      read: async () => ({
        entries: left.map((page) => ({ page, told: new Map([['person', { state: 'firing', failures: 0, since: T0, next: 0 }]]) })),
        broken: []
      })
    },
    bury: async () => undefined,
    now: () => clock,
    pauseMs: () => 1_000,
    giveUpMs: 60_000,
    most,
    onEvent: () => undefined
  })
  const episodes = createEpisodes({
    pager,
    server: 'spiffe://demo.vecauthz.test/vecauthz (gateway 127.0.0.1:1)',
    severity: (kind) => severity[kind],
    now: () => clock,
    standing: (scope: Scope) => (replica.known ? (replica.stands.get(scope.kind === 'workload' ? scope.id : '') ?? 'normal') : undefined),
    shared: {
      isTold: async (page) => shared.told.has(page),
      episode: async (about, fresh) => {
        if (!shared.episodes.has(about)) shared.episodes.set(about, fresh)
        return shared.episodes.get(about) ?? ''
      }
    },
    fault: () => replica.fault,
    outageMs: 30_000,
    onTrouble: (because) => replica.troubles.push(because)
  })
  return Object.assign(replica, { pager, episodes })
}

/** What was noted is done, and said. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}

const keyOf = (move: ReturnType<typeof moveTo>) => `vecauthz-${termId(move.scope, (move.term as NonNullable<typeof move.term>).dot)}`

describe('a standing', () => {
  it('calls a person once, and says when it is over; the next time is another episode', async () => {
    const one = replicaOf()
    const [first, again] = [moveTo('quarantine'), moveTo('quarantine', { run: 'other', at: T0 + 120_000 })]
    one.episodes.moved(first)
    one.episodes.moved(first)
    await settled()
    one.episodes.moved(moveDown(first))
    await settled()
    one.episodes.moved(again)
    await settled()
    expect(one.said).toEqual([`${keyOf(first)} firing`, `${keyOf(first)} resolved`, `${keyOf(again)} firing`])
    expect(keyOf(first)).not.toBe(keyOf(again))
    expect(one.pages[0]).toMatchObject({
      severity: 'critical',
      kind: 'quarantine',
      subject: AGENT,
      cause: 'drift',
      summary: `${AGENT} is quarantined: drift: novelty 55`,
      place: { tenant: 'acme', agent_type: 'dba', database: 'demo', collection: 'manual' },
      decisionIds: ['d-1', 'd-2'],
      until: T0 + 86_400_000
    })
    expect(one.pages[1]?.ended).toEqual({ at: T0 + 60_000, says: 'stands normal now, after quarantine' })
  })

  it('of a collection with a name that tricks whoever reads it is told in one plain line', async () => {
    const one = replicaOf()
    const move = moveTo('quarantine')
    const place = { tenant: 'acme', agentType: 'dba', database: 'demo', collection: 'a\nb\u202e\u0007c' }
    const term = { ...(move.term as NonNullable<typeof move.term>) }
    one.episodes.moved({ ...move, term: { ...term, evidence: { ...term.evidence, says: 'x\r\nSubject: y', place } } })
    await settled()
    expect(one.pages[0]?.place['collection']).toBe('a b c')
    expect(one.pages[0]?.summary).toBe(`${AGENT} is quarantined: drift: x Subject: y`)
  })

  it('nothing of it is done in the decision that raised it', () => {
    const one = replicaOf()
    one.episodes.moved(moveTo('quarantine'))
    expect(one.pager.isOpen(keyOf(moveTo('quarantine')))).toBe(false)
    expect(one.said).toEqual([])
  })

  it('slowed calls nobody, a step-up less urgently, and a quarantine ends it', async () => {
    const one = replicaOf()
    const [slowed, stepUp, quarantine] = [moveTo('slowed'), moveTo('step-up'), moveTo('quarantine', { run: 'later' })]
    one.episodes.moved(slowed)
    one.episodes.moved({ ...stepUp, from: 'slowed' })
    await settled()
    one.episodes.moved({ ...quarantine, from: 'step-up' })
    await settled()
    expect(one.said).toEqual([`${keyOf(stepUp)} firing`, `${keyOf(stepUp)} resolved`, `${keyOf(quarantine)} firing`])
    expect(one.pages.map(({ severity }) => severity)).toEqual(['warning', 'warning', 'critical'])
    expect(one.pages[0]?.summary).toContain('vecauthz step-up answer run-')
  })

  it('that is off calls nobody', async () => {
    const one = replicaOf(undefined, { severity: { ...SEVERITY, 'step-up': undefined } })
    one.episodes.moved(moveTo('step-up'))
    await settled()
    expect(one.said).toEqual([])
  })

  it('of more than can be open is said to be too many, once, and each is paged when there is room', async () => {
    const one = replicaOf(undefined, { most: 2 })
    const moves = [1, 2, 3, 4].map((at) => moveTo('quarantine', { id: `${AGENT}${at}` }))
    for (const move of moves) one.episodes.moved(move)
    await settled()
    await one.episodes.tick()
    await one.episodes.tick()
    await settled()
    expect(one.said.filter((line) => line.includes('crowd'))).toHaveLength(1)
    expect(one.said).toHaveLength(3)
    for (const move of moves.slice(0, 2)) one.episodes.moved(moveDown(move))
    await settled()
    clock += 61_000
    for (let round = 0; round < 4; round++) {
      await one.episodes.tick()
      await settled()
      clock += 61_000
    }
    for (const move of moves) expect(one.said).toContain(`${keyOf(move)} firing`)
    expect(one.said.filter((line) => line.includes('crowd')).map((line) => line.split(' ')[1])).toEqual(['firing', 'resolved'])
  })
})

describe('of two replicas', () => {
  const quarantine = moveTo('quarantine')

  it('the one that decided calls, and the other one does not', async () => {
    const shared = { told: new Set<string>(), episodes: new Map() }
    const [one, other] = [replicaOf(shared), replicaOf(shared)]
    one.episodes.moved(quarantine)
    other.episodes.moved({ ...quarantine, heard: true })
    await settled()
    clock += 61_000
    await other.episodes.tick()
    await settled()
    expect([one.said, other.said]).toEqual([[`${keyOf(quarantine)} firing`], []])
    // Released at the one that called nobody: both know, and nobody is called again.
    other.episodes.moved(moveDown(quarantine))
    one.episodes.moved(moveDown(quarantine, { heard: true }))
    await settled()
    expect([one.said.at(-1), other.said]).toEqual([`${keyOf(quarantine)} resolved`, [`${keyOf(quarantine)} resolved`]])
  })

  it('the other one calls when that one is gone before it told anybody: under the same key', async () => {
    const other = replicaOf()
    other.episodes.moved({ ...quarantine, heard: true })
    await settled()
    clock += 59_000
    await other.episodes.tick()
    await settled()
    expect(other.said).toEqual([])
    clock += 2_000
    await other.episodes.tick()
    await settled()
    expect(other.said).toEqual([`${keyOf(quarantine)} firing`])
  })

  it('nobody calls for what is over before the other one would', async () => {
    const other = replicaOf()
    other.episodes.moved({ ...quarantine, heard: true })
    other.episodes.moved(moveDown(quarantine, { heard: true }))
    clock += 61_000
    await other.episodes.tick()
    await settled()
    expect(other.said).toEqual([])
  })
})

describe('after a restart', () => {
  const move = moveTo('quarantine')
  const open = pageOf({ key: keyOf(move), about: `8:workload${AGENT.length}:${AGENT}` })

  it('what is still held is not called for again, and what is not is over', async () => {
    const one = replicaOf(undefined, { left: [open] })
    one.stands.set(AGENT, 'quarantine')
    await one.episodes.load()
    one.known = false
    await one.episodes.tick()
    one.known = true
    one.episodes.moved({ ...move, heard: true })
    await one.episodes.tick()
    await settled()
    expect([one.said, one.pager.isOpen(open.key)]).toEqual([[], true])
    one.episodes.moved(moveDown(move))
    await settled()
    expect(one.said).toEqual([`${open.key} resolved`])
  })

  it('what ended meanwhile, or was forgotten with the process, is said to be over', async () => {
    const one = replicaOf(undefined, { left: [open] })
    await one.episodes.load()
    one.known = false
    await one.episodes.tick()
    await settled()
    expect(one.said).toEqual([])
    one.known = true
    await one.episodes.tick()
    await settled()
    expect(one.said).toEqual([`${open.key} resolved`])
  })
})

describe('a figure', () => {
  const figure: PagedFigure = {
    workload: AGENT,
    metric: 'signal',
    signal: 'cpu',
    windowMs: 60_000,
    threshold: 0.9,
    value: 0.97,
    decisionId: 'd-1',
    at: T0
  }

  it('calls once as long as it is so, on all replicas, and is over when it was not seen for two windows', async () => {
    const shared = { told: new Set<string>(), episodes: new Map<string, string>() }
    const [one, other] = [replicaOf(shared), replicaOf(shared)]
    for (; clock <= T0 + 300_000; clock += 60_000) {
      one.episodes.found({ ...figure, at: clock })
      other.episodes.found({ ...figure, at: clock })
      await settled()
      await one.episodes.tick()
    }
    expect(one.said).toHaveLength(1)
    expect(other.said).toEqual(one.said)
    expect(one.pages[0]).toMatchObject({ severity: 'info', summary: `${AGENT}: signal cpu is 0.97 over 60 s, above 0.9` })
    clock += 120_000
    await one.episodes.tick()
    await settled()
    expect(one.said).toHaveLength(2)
    expect(one.said[1]).toBe(one.said[0]?.replace('firing', 'resolved'))
  })

  it('of another workload, or another figure, is another page', async () => {
    const one = replicaOf()
    one.episodes.found(figure)
    one.episodes.found({ ...figure, workload: `${AGENT}1` })
    one.episodes.found({ ...figure, signal: 'gpu' })
    await settled()
    expect(new Set(one.said).size).toBe(3)
  })
})

describe('an outage', () => {
  it('calls when it lasts, not for a moment, and is over when it is', async () => {
    const one = replicaOf()
    one.fault = 'the store does not answer'
    await one.episodes.tick()
    clock += 20_000
    one.fault = undefined
    await one.episodes.tick()
    one.fault = 'trust bundles are 31 s old'
    for (let second = 0; second < 40; second += 2) {
      clock += 2_000
      one.fault = `trust bundles are ${31 + second} s old`
      await one.episodes.tick()
    }
    await settled()
    expect(one.said).toHaveLength(1)
    expect(one.pages[0]).toMatchObject({ severity: 'error', kind: 'outage', cause: 'outage', scope: undefined })
    expect(one.pages[0]?.summary).toContain('trust bundles are')
    one.fault = undefined
    await one.episodes.tick()
    await settled()
    expect(one.said[1]).toBe(one.said[0]?.replace('firing', 'resolved'))
  })

  it('what fails here is said, and ends nothing', async () => {
    const one = replicaOf()
    Object.assign(one.pager, {
      open: () => {
        throw new Error('boom')
      }
    })
    one.episodes.moved(moveTo('quarantine'))
    await settled()
    expect(one.troubles).toEqual(['boom'])
  })
})
