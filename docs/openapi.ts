/** The OpenAPI document of the admin port, from the routes that a gateway has. Nothing is asked of their desks: only what they are is written down. */
import type { AdminRoute } from '../src/admin/admin-route.ts'
import { approvalRoutes } from '../src/admin/approval-routes.ts'
import { consoleRoutes } from '../src/admin/console-routes.ts'
import { openapi, withOpenapi } from '../src/admin/openapi.ts'
import { revocationRoutes } from '../src/admin/revocation-routes.ts'
import { riskRoutes } from '../src/serve-desk.ts'

/** Stands for desks that nobody asks. */
const desk = {} as never

export function openapiDocument(): Readonly<Record<string, unknown>> {
  return openapi(adminRoutes())
}

/** Every route that a gateway's admin port has, but for the pages of the console. */
export function adminRoutes(): readonly AdminRoute[] {
  const risk = riskRoutes({} as never, { risk: { desk } as never, store: desk, keys: desk, leewayMs: 0 })
  return withOpenapi([...approvalRoutes(desk), ...risk, ...revocationRoutes(desk), ...consoleRoutes(desk)])
}
