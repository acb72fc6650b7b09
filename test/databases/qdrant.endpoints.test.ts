import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { qdrant } from '../../src/databases/qdrant.ts'
import { compileRoutes, matchRoute } from '../../src/databases/route-table.ts'
import { outcome, read } from './qdrant-call.ts'

interface Endpoint {
  readonly method: string
  readonly path: string
}

/**
 * `openapi` is the server's own description, `undocumented` the other routes of its source, `rpcs` every method of its public gRPC
 * port, `rpcsOfOthers` what tonic adds. A newer version's list says here what it adds: a row that is missing is a failing test.
 */
const list = JSON.parse(readFileSync(new URL('endpoints/qdrant-1.19.0.json', import.meta.url), 'utf8')) as {
  readonly openapi: readonly Endpoint[]
  readonly undocumented: readonly Endpoint[]
  readonly rpcs: readonly string[]
  readonly rpcsOfOthers: readonly string[]
}
const rpcs = [...list.rpcs, ...list.rpcsOfOthers].map((path) => ({ method: 'POST', path }))
const endpoints = [...list.openapi, ...list.undocumented, ...rpcs]
const { routes } = qdrant

/** Counted in the OpenAPI document, the routes of src/actix and the proto files at the commit of the release. */
const OPENAPI = 69
const UNDOCUMENTED = 34
const RPCS = 59

const shapeOf = (path: string) => path.replaceAll(/\{\*[^}]*\}/g, '*').replaceAll(/\{[^}]*\}/g, '{}')
const rowsFor = ({ method, path }: Endpoint) => routes.filter((row) => shapeOf(row.template) === shapeOf(path) && row.method === method)
const targetOf = (path: string) => path.replaceAll(/\{[^}]*\}/g, 'name')

describe('the endpoints of Qdrant 1.19.0', () => {
  it('are as many as the server has', () => {
    expect([list.openapi.length, list.undocumented.length, list.rpcs.length]).toEqual([OPENAPI, UNDOCUMENTED, RPCS])
  })

  it.each(endpoints)('$method $path has exactly one row, served or refused on purpose', (endpoint) => {
    expect(rowsFor(endpoint).map((row) => row.name)).toHaveLength(1)
  })

  it('are all that the table has', () => {
    const known = new Set(endpoints.map(({ method, path }) => `${method} ${shapeOf(path)}`))
    expect(routes.filter((row) => !known.has(`${row.method} ${shapeOf(row.template)}`))).toEqual([])
  })

  it('have names of their own', () => {
    expect(new Set(routes.map((row) => row.name)).size).toBe(routes.length)
  })

  it.each(endpoints)('$method $path finds its own row', (endpoint) => {
    const method = endpoint.method === '*' ? 'GET' : endpoint.method
    const segments = endpoint.path === '/' ? [] : endpoint.path.slice(1).split('/')
    const matched = matchRoute(
      compileRoutes(routes),
      method,
      segments.map((segment, index) => (segment.startsWith('{') ? `x${index}` : segment))
    )
    expect('route' in matched && matched.route).toBe(rowsFor(endpoint)[0])
  })

  it('are refused with a sentence and a remedy where they are refused', () => {
    for (const row of routes) {
      if (!('refused' in row)) continue
      const result = read({ method: row.method === '*' ? 'GET' : row.method, target: targetOf(row.template) })
      expect([row.name, result.ok ? 'allowed' : result.reason]).toEqual([
        row.name,
        { kind: 'operation-unknown', because: row.refused, remedy: row.remedy }
      ])
    }
  })

  it('are refused with any other method', () => {
    const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'QUERY']
    for (const { path } of [...list.openapi, ...rpcs]) {
      const found = (method: string) =>
        routes.some((row) => row.method === method && fits(row.template.split('/'), targetOf(path).split('/')))
      for (const method of methods.filter((one) => !found(one))) {
        expect(`${method} ${path}: ${outcome({ method, target: targetOf(path) })}`).toBe(`${method} ${path}: operation-unknown`)
      }
    }
  })

  it.each([
    '/collections/docs/points/query/',
    '/collections//docs/points/query',
    '/collections/docs/%70oints/query',
    '/collections/docs/points/../points/query',
    '/collections/a%2Fb/points/query',
    '/collections/docs/points;x/query'
  ])('%s is refused, though the server would find its way', (target) => {
    expect(outcome({ target, body: { query: [1] } })).toBe('call-ambiguous')
  })

  it.each([
    '/Collections/docs/points/query',
    '/collections/docs/points/Query',
    '/qdrant.points/Query',
    '/qdrant.PointsInternal/Upsert',
    '/'
  ])('POST %s has no row', (target) => expect(outcome({ target, body: { query: [1] } })).toBe('operation-unknown'))
})

function fits(template: readonly string[], segments: readonly string[]): boolean {
  return template.length === segments.length && template.every((part, index) => part.startsWith('{') || part === segments[index])
}

describe('start-up calls', () => {
  it.each(['/', '/healthz', '/livez', '/readyz'])('GET %s is a probe and names nothing', (target) => {
    const result = read({ method: 'GET', target })
    expect(result.ok && [result.value.operation, result.value.targets]).toEqual(['probe', []])
  })

  it.each(['/qdrant.Qdrant/HealthCheck', '/grpc.health.v1.Health/Check'])('%s is a probe', (target) => {
    const result = read({ target, message: new Uint8Array() })
    expect(result.ok && [result.value.operation, result.value.targets]).toEqual(['probe', []])
  })

  it('with a body is none', () => {
    expect(outcome({ method: 'GET', target: '/', body: '{}' })).toBe('call-ambiguous')
    expect(outcome({ target: '/qdrant.Qdrant/HealthCheck', message: Buffer.from([0x0a, 0]) })).toBe('call-unreadable')
  })
})
