/** The OpenAPI document of the admin port, from the routes that a gateway has. Nothing is asked of their desks: only what they are is written down. */
import { approvalRoutes } from '../src/admin/approval-routes.ts'
import { consoleRoutes } from '../src/admin/console-routes.ts'
import { openapi, withOpenapi } from '../src/admin/openapi.ts'
import { revocationRoutes } from '../src/admin/revocation-routes.ts'
import { riskRoutes } from '../src/serve-desk.ts'

/** Stands for desks that nobody asks. */
const desk = {} as never

export function openapiDocument(): Readonly<Record<string, unknown>> {
  const risk = riskRoutes({} as never, { risk: { desk } as never, store: desk, keys: desk, leewayMs: 0 })
  const routes = withOpenapi([...approvalRoutes(desk), ...risk, ...revocationRoutes(desk), ...consoleRoutes(desk)])
  return openapi(routes)
}
