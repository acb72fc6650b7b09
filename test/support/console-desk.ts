/** All that people see of a server, without one: real parts, and decisions that are put in by hand. */
import type { AdminRoute } from '../../src/admin/admin-route.ts'
import { consolePages } from '../../src/admin/console-pages.ts'
import { consoleRoutes, decisionJson } from '../../src/admin/console-routes.ts'
import { createInbox } from '../../src/admin/inbox.ts'
import { withOpenapi } from '../../src/admin/openapi.ts'
import { revocationRoutes } from '../../src/admin/revocation-routes.ts'
import { createSeen, type Seeable } from '../../src/admin/seen.ts'
import { createTail } from '../../src/admin/tail-stream.ts'
import type { Caller } from '../../src/core/caller.ts'
import type { AnyGrant } from '../../src/core/decision.ts'
import type { DenyKind } from '../../src/core/deny-reason.ts'
import type { ResolvedTarget, VectorCall } from '../../src/core/vector-call.ts'
import { createRevocations } from '../../src/state/revocations.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'
import { createUsage } from '../../src/usage/usage.ts'
import type { Head } from '../../src/usage/usage-text.ts'
import { type Usable, useOf } from '../../src/usage/use-of.ts'

export function consoleDesk(more: readonly AdminRoute[] = []) {
  const real = createSeen()
  const book = createUsage()
  const decided = (one: Seeable & Usable, keys: readonly string[] = []) => {
    real.decided(one)
    const use = useOf(one, keys)
    if (use !== undefined) book.note(use)
  }
  const seen = { ...real, decided }
  const head = (): Head => ({ ...HEAD, runs: [...HEAD.runs], ...book.facts() })
  const inbox = createInbox()
  const revocations = createRevocations(createMemoryStore(), Date.now)
  const tail = createTail(real, decisionJson)
  const budgetLeft = () => ({ limit: 10, remaining: 7 })
  const state = () => ({ ready: true, role: 'gateway', policy: { revision: 'abc', faults: [] } })
  const routes = withOpenapi([
    ...consolePages(),
    ...more,
    ...revocationRoutes(revocations),
    ...consoleRoutes({ state, seen: real, usage: { book, head }, inbox, keepAlerts: async () => true, tail, risk: undefined, budgetLeft })
  ])
  return { seen, usage: book, inbox, revocations, routes }
}

const HEAD = {
  version: 1,
  instance: 'test',
  since: 1_790_000_000_000,
  runs: [{ from: 1_790_000_000_000, to: 1_790_000_000_000, ended: false }],
  runsBefore: 0,
  killed: 0,
  everySeconds: 10
} as const

let count = 0

/** One decision about a search of a collection. */
export function decidedBy(
  workload: string,
  its: { readonly deny?: DenyKind; readonly tenant?: string; readonly collection?: string; readonly score?: number } = {}
): Seeable & Usable {
  const { deny, tenant = 'acme', collection = 'handbook', score } = its
  return {
    decisionId: `decision-${++count}`,
    at: 1_790_000_000_000 + count * 1_000,
    latencyUs: 200,
    policyRevision: 'abc',
    account: {
      caller: { id: { text: workload }, serial: '01', evidence: 'x509-svid', notAfter: 1_800_000_000_000 } as Caller,
      database: 'demo',
      call: { operation: 'search', shape: { topK: 3 } } as VectorCall,
      tenant,
      targets: [{ tenant, namespace: 'rag', collection: { kind: 'name', name: collection } }] as ResolvedTarget[],
      ...(score === undefined ? {} : { risk: { score, after: 'slowed', causes: [{ says: 'novel queries' }] } })
    },
    decision:
      deny === undefined
        ? { verdict: 'allow', grant: { kind: 'probe' } as AnyGrant }
        : { verdict: 'deny', reason: { kind: deny, because: `${workload} may not` } }
  }
}
