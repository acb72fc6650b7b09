/** Whoever has to step up, or is quarantined, decides about nobody else: of two that were taken over, the one would free the other. */
import type { SpiffeId } from '../core/spiffe-id.ts'
import { type AdminRoute, problem } from './admin-route.ts'

/** About what is the visitor's own; who answers a step-up is judged where it is answered. */
const OWN: ReadonlySet<string> = new Set(['grant.request', 'grant.release', 'run.end', 'step-up.answer'])

const HELD = problem(
  403,
  'Forbidden',
  'Whoever has to step up, or is quarantined, decides about nobody else; nor does anybody before it is known who is.'
)

/** The routes, without those that change something for others to whoever is held. Looking is free. */
export function heldBack(routes: readonly AdminRoute[], isHeld: (id: SpiffeId) => boolean): readonly AdminRoute[] {
  return routes.map((one) => {
    if (one.act === undefined || OWN.has(one.act)) return one
    return { ...one, handle: async (visit) => (isHeld(visit.id) ? HELD : one.handle(visit)) }
  })
}
