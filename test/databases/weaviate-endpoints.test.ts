import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { compileRoutes, matchRoute } from '../../src/databases/route-table.ts'
import { weaviate } from '../../src/databases/weaviate.ts'
import { inboundOf, outcome } from './weaviate-call.ts'

interface Endpoint {
  readonly method: string
  readonly path: string
}

/** `openapi` and `grpc` are what server 1.35.2 describes; `newer` is what the main branch of August 2026 adds. */
const list = JSON.parse(readFileSync(new URL('endpoints/weaviate-1.35.2.json', import.meta.url), 'utf8')) as Record<
  'openapi' | 'grpc' | 'newer',
  Endpoint[]
>
const { routes } = weaviate
const table = compileRoutes(routes)
const endpoints = [...list.openapi, ...list.grpc]

const SAMPLES: Record<string, string> = {
  className: 'Doc',
  collection: 'Doc',
  id: '00000000-0000-4000-8000-000000000001',
  propertyName: 'hasAuthor',
  tenantName: 'acme'
}

/** With names in place of parameters, and without the trailing slash that one path of the description has. */
const targetOf = (path: string) => path.replace(/\/$/, '').replaceAll(/\{([^}]*)\}/g, (_, name: string) => SAMPLES[name] ?? 'name')
const rowFor = ({ method, path }: Endpoint) => {
  const matched = matchRoute(table, method, targetOf(path).slice(1).split('/'))
  return 'route' in matched ? matched.route : undefined
}

const SERVED = `
GET /v1 | system.root
GET /v1/.well-known/live | system.live
GET /v1/.well-known/ready | system.ready
GET /v1/.well-known/openid-configuration | system.openid
GET /v1/objects | objects.list
POST /v1/objects | objects.create
GET /v1/objects/{className}/{id} | objects.get
DELETE /v1/objects/{className}/{id} | objects.delete
PUT /v1/objects/{className}/{id} | objects.replace
PATCH /v1/objects/{className}/{id} | objects.update
HEAD /v1/objects/{className}/{id} | objects.exists
POST /v1/objects/{className}/{id}/references/{propertyName} | references.add
PUT /v1/objects/{className}/{id}/references/{propertyName} | references.replace
DELETE /v1/objects/{className}/{id}/references/{propertyName} | references.delete
POST /v1/objects/validate | objects.validate
POST /v1/batch/objects | batch.objects
DELETE /v1/batch/objects | batch.delete
POST /v1/batch/references | batch.references
GET /v1/meta | system.meta
GET /v1/schema | class.list
POST /v1/schema | class.create
GET /v1/schema/{className} | class.get
DELETE /v1/schema/{className} | class.drop
PUT /v1/schema/{className} | class.change
POST /v1/schema/{className}/properties | class.add-property
HEAD /v1/schema/{className}/tenants/{tenantName} | tenant.exists
GET /v1/schema/{className}/tenants/{tenantName} | tenant.get
POST /weaviate.v1.Weaviate/Search | grpc.search
POST /weaviate.v1.Weaviate/BatchObjects | grpc.batch-objects
POST /weaviate.v1.Weaviate/BatchReferences | grpc.batch-references
POST /weaviate.v1.Weaviate/BatchDelete | grpc.batch-delete
POST /weaviate.v1.Weaviate/TenantsGet | tenant.find
POST /weaviate.v1.Weaviate/Aggregate | grpc.aggregate
POST /grpc.health.v1.Health/Check | system.health`
  .trim()
  .split('\n')

describe('the endpoints of Weaviate 1.35.2', () => {
  it('are as many as the server has', () => {
    expect([list.openapi.length, list.grpc.length]).toEqual([96, 11])
  })

  it.each(endpoints)('$method $path has a row, served or refused on purpose', (endpoint) => {
    expect(rowFor(endpoint)?.name).toBeTypeOf('string')
  })

  it('are served where the list says so, and nowhere else', () => {
    const served = endpoints.flatMap((one) => {
      const row = rowFor(one)
      return row === undefined || 'refused' in row ? [] : [`${one.method} ${one.path} | ${row.name}`]
    })
    expect(served).toEqual(SERVED)
  })

  it('are all that the table serves, each under a name of its own', () => {
    const found = new Set(endpoints.map(rowFor))
    expect(routes.filter((row) => !('refused' in row) && !found.has(row))).toEqual([])
    expect(new Set(routes.map((row) => row.name)).size).toBe(routes.length)
  })

  it('are refused with a remedy where they are refused', () => {
    for (const row of routes) if ('refused' in row) expect(row.remedy).toMatch(/^[A-Z].*\.$/)
  })

  it.each(list.newer)('$method $path is newer, and refused', ({ method, path }) => {
    expect(outcome({ method, target: targetOf(path) })).toBe('operation-unknown')
  })

  it('are refused with any other method', () => {
    const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'QUERY']
    for (const { path } of endpoints) {
      const served = endpoints.filter((one) => targetOf(one.path) === targetOf(path)).map(({ method }) => method)
      for (const method of methods.filter((one) => !served.includes(one)))
        expect(`${method} ${path}: ${outcome({ method, target: targetOf(path) })}`).toBe(`${method} ${path}: operation-unknown`)
    }
  })

  it.each([
    '/v1/graphql',
    '/v1/graphql/batch',
    '/v1/grpc-web/weaviate.v1.Weaviate/Search',
    '/v1/mcp',
    '/v1/search/Doc/bm25',
    '/v1/aggregate/Doc',
    '/v1/export/s3',
    '/weaviate.v1.Weaviate/BatchStream',
    '/weaviategrpc.Weaviate/Search'
  ])('POST %s is refused by name, and says what to do instead', (target) => {
    const result = weaviate.readCall(inboundOf({ target, body: {} }))
    expect(result).toMatchObject({ ok: false, reason: { kind: 'operation-unknown', remedy: expect.stringContaining('.') } })
  })

  it.each(['/', '/v2', '/v1/unknown', '/v1/objects/', '/debug/pprof', '/metrics', '/weaviate.v1.Weaviate/search'])(
    '%s has no row',
    (target) => {
      expect(outcome({ method: 'POST', target, body: {} })).not.toBe('allowed')
    }
  )
})
