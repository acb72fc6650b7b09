/** All that people see of a server, without one: real parts, and decisions that are put in by hand. */
import type { AdminRoute } from '../../src/admin/admin-route.ts'
import { consolePages } from '../../src/admin/console-pages.ts'
import { consoleRoutes, decisionJson } from '../../src/admin/console-routes.ts'
import { createInbox } from '../../src/admin/inbox.ts'
import { withOpenapi } from '../../src/admin/openapi.ts'
import { revocationRoutes } from '../../src/admin/revocation-routes.ts'
import { createSeen, type Seeable } from '../../src/admin/seen.ts'
import { createTail } from '../../src/admin/tail-stream.ts'
import type { AnyGrant } from '../../src/core/decision.ts'
import type { DenyKind } from '../../src/core/deny-reason.ts'
import { createRevocations } from '../../src/state/revocations.ts'
import { createMemoryStore } from '../../src/state/store-memory.ts'

export function consoleDesk(more: readonly AdminRoute[] = []) {
  const seen = createSeen()
  const inbox = createInbox()
  const revocations = createRevocations(createMemoryStore(), Date.now)
  const tail = createTail(seen, decisionJson)
  const budgetLeft = () => ({ limit: 10, remaining: 7 })
  const state = () => ({ ready: true, role: 'gateway', policy: { revision: 'abc', faults: [] } })
  const routes = withOpenapi([
    ...consolePages(),
    ...more,
    ...revocationRoutes(revocations),
    ...consoleRoutes({ state, seen, inbox, tail, risk: undefined, budgetLeft })
  ])
  return { seen, inbox, revocations, routes }
}

let count = 0

/** One decision about a search of a collection. */
export function decidedBy(
  workload: string,
  its: { readonly deny?: DenyKind; readonly tenant?: string; readonly collection?: string; readonly score?: number } = {}
): Seeable {
  const { deny, tenant = 'acme', collection = 'handbook', score } = its
  return {
    decisionId: `decision-${++count}`,
    at: 1_790_000_000_000 + count * 1_000,
    latencyUs: 200,
    account: {
      caller: { id: { text: workload }, serial: '01' },
      database: 'demo',
      call: { operation: 'search', shape: { topK: 3 } },
      tenant,
      targets: [{ namespace: 'rag', collection: { kind: 'name', name: collection } }],
      ...(score === undefined ? {} : { risk: { score, after: 'slowed', causes: [{ says: 'novel queries' }] } })
    },
    decision:
      deny === undefined
        ? { verdict: 'allow', grant: { kind: 'probe' } as AnyGrant }
        : { verdict: 'deny', reason: { kind: deny, because: `${workload} may not` } }
  }
}
