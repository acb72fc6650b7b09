/** The OpenAPI 3.1 document of the admin API, made from the table of routes. */
import { z } from 'zod'
import { type AdminRoute, route } from './admin-route.ts'

const WHO = {
  operator: 'Operators of the settings.',
  approver: 'Approvers of the policy.',
  either: 'Operators of the settings, and approvers of the policy.',
  anybody: 'Whoever has an SVID that verifies.'
} as const

export const OPENAPI_PATH = '/v1/openapi.json'

export function openapi(routes: readonly AdminRoute[]): Readonly<Record<string, unknown>> {
  const paths: Record<string, Record<string, unknown>> = {}
  for (const one of routes) {
    if (one.isPage === true) continue
    const operations = paths[one.path] ?? {}
    paths[one.path] = operations
    operations[one.method.toLowerCase()] = operation(one)
  }
  const problem = { type: 'object', properties: { title: { type: 'string' }, status: { type: 'integer' }, detail: { type: 'string' } } }
  return {
    openapi: '3.1.0',
    info: {
      title: 'vecauthz admin API',
      version: '1',
      description: 'Over mTLS with an SVID, over a unix socket, or on loopback with a token. Every POST leaves two audit lines.'
    },
    paths,
    components: {
      schemas: { Problem: problem },
      securitySchemes: { svid: { type: 'mutualTLS' }, token: { type: 'http', scheme: 'bearer' } }
    },
    security: [{ svid: [] }, { token: [] }]
  }
}

function operation({ method, path, who, body, answer, act, says }: AdminRoute): Readonly<Record<string, unknown>> {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name)
  const fault = {
    description: 'What is wrong',
    content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } }
  }
  const type = path.endsWith('/tail') ? 'text/event-stream' : 'application/json'
  const shape = body === undefined ? {} : shapeOf(body)
  return {
    summary: says ?? `${method === 'GET' ? 'Shows' : 'Does'} ${act ?? path}.`,
    description: `For: ${WHO[who]}${act === undefined ? '' : ` On record as \`${act}\`.`}`,
    ...(names.length === 0 ? {} : { parameters: names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })) }),
    ...(body === undefined ? {} : { requestBody: { required: true, content: { 'application/json': { schema: shape } } } }),
    responses: {
      '200': { description: 'Done', content: { [type]: answer === undefined ? {} : { schema: shapeOf(answer) } } },
      default: fault
    }
  }
}

function shapeOf(schema: z.ZodType): Readonly<Record<string, unknown>> {
  const { $schema: _, ...shape } = z.toJSONSchema(schema, { io: 'input' }) as Record<string, unknown>
  return shape
}

/** The document as a route, of all others and itself. */
export function withOpenapi(routes: readonly AdminRoute[]): readonly AdminRoute[] {
  const all: AdminRoute[] = [...routes]
  const own = route({
    method: 'GET',
    path: OPENAPI_PATH,
    who: 'anybody',
    says: 'This document.',
    handle: async () => ({ status: 200, body: document })
  })
  all.push(own)
  const document = openapi(all)
  return all
}
