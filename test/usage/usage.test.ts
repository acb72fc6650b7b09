/** What is counted of decisions: exactly while there is room, less exactly after that, and never without saying so. */
import { describe, expect, it } from 'vitest'
import { divergingIn } from '../../src/usage/profiles.ts'
import { createUsage, type Use, type UsedTarget } from '../../src/usage/usage.ts'
import type { Usage, UsedWorkload } from '../../src/usage/usage-text.ts'

const A = 'spiffe://example.org/a'
const LIMITS = { workloads: 3, places: 4, allPlaces: 100, certificates: 2 }
const handbook: UsedTarget = { namespace: 'rag', collection: { kind: 'name', name: 'handbook' } }

function use(change: Partial<Use> & { readonly target?: UsedTarget; readonly action?: string; readonly topK?: number } = {}): Use {
  const { target = handbook, action = 'search', topK = 5, ...rest } = change
  return {
    at: 1_000,
    workload: A,
    certificate: { serial: '01', until: 9_000_000 },
    revision: 'r1',
    reason: undefined,
    what: { tenant: 'acme', database: 'demo', action, targets: [target], topK },
    keys: [],
    ...rest
  }
}

function noted(uses: readonly Use[], limits = LIMITS) {
  const book = createUsage(limits)
  for (const one of uses) book.note(one)
  return book
}

describe('what is counted', () => {
  it('each use with its first and last time, and one that is refused beside it', () => {
    const its = noted([
      use({ at: 5 }),
      use({ at: 3 }),
      use({ at: 9 }),
      use({ at: 10, reason: 'rate-exceeded' }),
      use({ at: 11, action: 'read' })
    ]).workload(A)
    expect(its).toMatchObject({ firstAt: 3, lastAt: 11, allowed: 4, denied: [{ reason: 'rate-exceeded', count: 1, lastAt: 10 }] })
    expect(its?.used).toEqual([
      {
        tenant: 'acme',
        database: 'demo',
        namespace: 'rag',
        kind: 'name',
        name: 'handbook',
        action: 'search',
        allowed: 3,
        firstAt: 3,
        lastAt: 9,
        refused: 1,
        refusedAt: 10
      },
      expect.objectContaining({ action: 'read', allowed: 1, refused: 0 })
    ])
  })

  it.each(['collection-not-allowed', 'tenant-not-allowed', 'caller-unknown', 'vectors-not-allowed'])(
    'what no rule lets pass (%s) is a denial, and no use: whoever tries names fills nothing',
    (reason) => {
      const its = noted([use({ reason })]).workload(A)
      expect([its?.used, its?.denied]).toEqual([[], [{ reason, count: 1, lastAt: 1_000 }]])
    }
  )

  it.each(['approval-required', 'quarantined', 'cost-exceeded'])(
    'what a rule lets pass and something else refuses (%s) is known',
    (reason) => {
      expect(noted([use({ reason })]).workload(A)?.used).toMatchObject([{ allowed: 0, refused: 1, refusedAt: 1_000 }])
    }
  )

  it('permanent keys, by header', () => {
    const its = noted([use({ keys: ['authorization', 'api-key'], at: 1 }), use({ keys: ['api-key'], at: 2 }), use()]).workload(A)
    expect(its?.keys).toEqual([
      { header: 'authorization', count: 1, firstAt: 1, lastAt: 1 },
      { header: 'api-key', count: 2, firstAt: 1, lastAt: 2 }
    ])
  })

  it('certificates with what each is used for; the one that was quiet for longest leaves', () => {
    const by = (serial: string, at: number, change: Parameters<typeof use>[0] = {}) =>
      use({ certificate: { serial, until: 9_000 }, at, ...change })
    const its = noted([by('01', 1), by('01', 2, { topK: 1 }), by('02', 3, { reason: 'collection-not-allowed' }), by('03', 4)]).workload(A)
    expect(its).toMatchObject({
      certificatesGone: 1,
      certificates: [
        { serial: '02', refused: 1, shares: [] },
        { serial: '03', shares: [[0, 1]] }
      ]
    })
    expect(
      noted([by('01', 1), by('01', 2, { topK: 1 }), by('01', 3, { topK: Number.POSITIVE_INFINITY })]).workload(A)?.certificates
    ).toMatchObject([{ firstAt: 1, lastAt: 3, calls: 3, topK: [1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1] }])
  })
})

describe('without room', () => {
  const target = (name: string, namespace: string | undefined = 'rag'): UsedTarget => ({ namespace, collection: { kind: 'name', name } })

  it('a use is counted in its namespace, without a name', () => {
    const book = noted(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => use({ target: target(name) })))
    expect(book.workload(A)?.used.map(({ kind, name, allowed }) => [kind, name, allowed])).toEqual([
      ['name', 'a', 1],
      ['name', 'b', 1],
      ['name', 'c', 1],
      ['name', 'd', 1],
      ['any', undefined, 2]
    ])
    expect(book.facts().lost).toBe(0)
  })

  it('what does not even fit there is lost, and that is known', () => {
    const book = noted(Array.from({ length: 12 }, (_, at) => use({ target: target('x', `ns${at}`) })))
    expect(book.workload(A)?.used).toHaveLength(8)
    expect(book.facts().lost).toBe(4)
  })

  it('whoever was never let through leaves before those who were', () => {
    const who = (id: string, at: number, reason?: string) => use({ workload: `spiffe://example.org/${id}`, at, reason })
    const book = noted([who('old', 1), who('refused', 5, 'collection-not-allowed'), who('new', 6), who('next', 7)])
    expect([...book.workloads()].map(({ id }) => id.slice(-3))).toEqual(['old', 'new', 'ext'])
    expect(book.facts().forgotten).toBe(0)
    book.note(who('last', 8))
    expect([...book.workloads()].map(({ id }) => id.slice(-3))).toEqual(['new', 'ext', 'ast'])
    expect(book.facts().forgotten).toBe(1)
  })
})

it('what is added to an empty book is what it was taken from', () => {
  const first = noted([use(), use({ at: 7, keys: ['api-key'] }), use({ reason: 'rate-exceeded', revision: 'r2', at: 2_000 })])
  const seen: Pick<Usage, 'workloads' | 'revisions' | 'forgotten' | 'lost'> = { ...first.facts(), workloads: [...first.workloads()] }
  const second = createUsage(LIMITS)
  second.add(seen)
  expect({ ...second.facts(), workloads: [...second.workloads()] }).toEqual(seen)
  second.add(seen)
  expect(second.workload(A)?.used).toMatchObject([{ allowed: 4, refused: 2, firstAt: 7, lastAt: 1_000 }])
})

describe('two certificates of one identity', () => {
  const TOP_K = new Array<number>(12).fill(0)
  const certificate = (serial: string, from: number, to: number, shares: [number, number][], until = 1_000_000) => ({
    serial,
    until,
    firstAt: from,
    lastAt: to,
    calls: shares.reduce((sum, [, count]) => sum + count, 0),
    shares,
    others: 0,
    refused: 0,
    topK: TOP_K.with(4, 100)
  })
  const used = ['handbook', 'payroll'].map((name) => ({
    tenant: 'acme',
    database: 'demo',
    namespace: 'rag',
    kind: 'name' as const,
    name,
    action: 'read',
    allowed: 1,
    refused: 0
  }))
  const workload = (...certificates: UsedWorkload['certificates']): UsedWorkload => ({
    id: A,
    firstAt: 0,
    lastAt: 1,
    allowed: 1,
    denied: [],
    keys: [],
    used,
    certificates,
    certificatesGone: 0
  })

  it('that do something else side by side are told, with what each does', () => {
    const found = divergingIn(workload(certificate('01', 0, 1_000, [[0, 100]]), certificate('02', 100, 1_100, [[1, 80]])))
    expect(found?.divergence).toBeGreaterThan(0.9)
    expect(found).toMatchObject({
      serials: ['02', '01'],
      calls: [80, 100],
      does: [[{ what: 'read demo/rag/payroll for acme', share: 1 }], [{ what: 'read demo/rag/handbook for acme', share: 1 }]],
      topK: [16, 16]
    })
  })

  it.each<[string, UsedWorkload]>([
    [
      'do the same',
      workload(
        certificate('01', 0, 1_000, [
          [0, 60],
          [1, 40]
        ]),
        certificate('02', 0, 1_000, [
          [0, 55],
          [1, 45]
        ])
      )
    ],
    ['have few calls', workload(certificate('01', 0, 1_000, [[0, 49]]), certificate('02', 0, 1_000, [[1, 100]]))],
    ['follow each other', workload(certificate('01', 0, 1_000, [[0, 100]]), certificate('02', 700, 2_000, [[1, 100]]))],
    ['are not valid at the same time', workload(certificate('01', 0, 1_000, [[0, 100]], 40), certificate('02', 100, 1_000, [[1, 100]]))]
  ])('that %s are not', (_, one) => {
    expect(divergingIn(one)).toBeUndefined()
  })

  it('differ by chance at most a little: the bound holds for one program in two replicas, whatever it does', () => {
    let seed = 7
    const random = () => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
      return seed / 2_147_483_648
    }
    const draw = (weights: readonly number[]): [number, number][] => {
      const counts = new Map<number, number>()
      for (let at = 0; at < 50; at++) {
        const drawn = random() * weights.reduce((sum, one) => sum + one, 0)
        const kind = weights.findIndex((_, index) => drawn < weights.slice(0, index + 1).reduce((sum, one) => sum + one, 0))
        counts.set(kind, (counts.get(kind) ?? 0) + 1)
      }
      return [...counts]
    }
    const names = Array.from({ length: 20 }, (_, at) => ({ ...(used[0] as (typeof used)[number]), name: `c${at}` }))
    for (let round = 0; round < 200; round++) {
      const weights = names.map(() => random() ** 3)
      const one = workload(certificate('01', 0, 1_000, draw(weights)), certificate('02', 0, 1_000, draw(weights)))
      expect(divergingIn({ ...one, used: names })).toBeUndefined()
    }
  })
})
