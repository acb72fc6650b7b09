/** What the admin port offers about risk: to people, to end users who signed in again, and to other systems. */
import type { AdminRoute } from './admin/admin-route.ts'
import { baselineRoutes } from './admin/baseline-routes.ts'
import { signalRoutes } from './admin/signal-routes.ts'
import { standingRoutes } from './admin/standing-routes.ts'
import { userAnswerRoute } from './admin/step-up-user-route.ts'
import type { Settings } from './config/settings-schema.ts'
import { compileIdPattern, matchesId, type SpiffeId } from './core/spiffe-id.ts'
import type { Store } from './core/store.ts'
import type { SubjectKeys } from './identity/identify-subject.ts'
import type { ServedRisk } from './serve-risk.ts'

export interface DeskEdges {
  readonly risk: ServedRisk | undefined
  readonly store: Store
  readonly keys: SubjectKeys
  readonly leewayMs: number
}

/** None at egress. */
export function riskRoutes({ admin }: Settings, { risk, store, keys, leewayMs }: DeskEdges): readonly AdminRoute[] {
  if (risk === undefined) return []
  const { desk } = risk
  const isSignaler = isOneOf(admin?.signalers ?? [])
  return [
    ...standingRoutes(desk),
    userAnswerRoute({ desk, keys, leewayMs }),
    ...signalRoutes({ desk, store, isSignaler }),
    ...baselineRoutes(desk)
  ]
}

function isOneOf(texts: readonly string[]): (id: SpiffeId) => boolean {
  const patterns = texts.map((text) => {
    const compiled = compileIdPattern(text)
    if (!compiled.ok) throw new Error(`admin.signalers: ${compiled.detail}`)
    return compiled.pattern
  })
  return (id) => patterns.some((pattern) => matchesId(pattern, id))
}
