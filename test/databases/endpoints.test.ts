import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { KNOWN_KINDS, type Route } from '../../src/databases/dialect.ts'
import { DIALECTS, SERVED } from '../../src/databases/dialects.ts'
import { compileRoutes, matchRoute } from '../../src/databases/route-table.ts'
import { outcome } from './chroma-call.ts'

interface Endpoint {
  readonly method: string
  readonly path: string
}

/** `openapi` is the server's own description; `undocumented` its other routes; `unserved` are pages for people, without a row. */
const list = JSON.parse(readFileSync(new URL('endpoints/chroma-1.5.9.json', import.meta.url), 'utf8')) as Record<
  'openapi' | 'undocumented' | 'unserved',
  Endpoint[]
>
const { routes } = DIALECTS.chroma
const endpoints = [...list.openapi, ...list.undocumented]

/** Parameters have other names here and there: what counts is where they stand. */
const shapeOf = (path: string) => path.replaceAll(/\{\*[^}]*\}/g, '*').replaceAll(/\{[^}]*\}/g, '{}')
const rowsFor = ({ method, path }: Endpoint) =>
  routes.filter((row) => shapeOf(row.template) === shapeOf(path) && (row.method === method || row.method === '*'))

describe('the endpoints of Chroma 1.5.9', () => {
  it('are as many as the server has', () => {
    expect(list.openapi.length).toBe(35)
  })

  it.each(endpoints)('$method $path has exactly one row, served or refused on purpose', (endpoint) => {
    expect(rowsFor(endpoint).map((row) => row.name)).toHaveLength(1)
  })

  it('are all that the table has', () => {
    const extra = routes.filter(
      (row) =>
        !endpoints.some(({ method, path }) => shapeOf(path) === shapeOf(row.template) && (row.method === '*' || row.method === method))
    )
    expect(extra).toEqual([])
  })

  it('have names of their own', () => {
    expect(new Set(routes.map((row) => row.name)).size).toBe(routes.length)
  })

  it.each(endpoints)('$method $path finds its own row', (endpoint) => {
    const segments = endpoint.path
      .slice(1)
      .split('/')
      .map((segment, index) => (segment.startsWith('{') ? `x${index}` : segment))
    const matched = matchRoute(compileRoutes(routes), endpoint.method, segments)
    expect('route' in matched && matched.route).toBe(rowsFor(endpoint)[0])
  })

  it.each([...list.unserved, { method: 'GET', path: '/' }, { method: 'GET', path: '/api' }, { method: 'GET', path: '/api/v1' }])(
    '$method $path is refused without a row',
    ({ method, path }) => {
      expect(outcome({ method, target: path.replace('{*rest}', 'x') })).toBe('operation-unknown')
    }
  )

  it('is refused with any other method', () => {
    const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT', 'QUERY']
    for (const { path } of list.openapi) {
      const target = path.replaceAll(/\{[^}]*\}/g, 'name')
      for (const method of methods.filter((one) => rowsFor({ method: one, path }).length === 0)) {
        expect(`${method} ${path}: ${outcome({ method, target })}`).toBe(`${method} ${path}: operation-unknown`)
      }
    }
  })
})

describe('a route table', () => {
  const row = (name: string, method: string, template: string): Route => ({ name, method, template, operation: 'read' })
  const table = compileRoutes([
    row('by-name', 'GET', '/c/{name}/count'),
    row('by-id', 'GET', '/c/by-id/{id}'),
    row('rest', '*', '/old/{*rest}')
  ])
  const find = (method: string, ...segments: readonly string[]) => {
    const matched = matchRoute(table, method, segments)
    return 'route' in matched ? [matched.route.name, ...matched.parameters.values()] : matched.reason.kind
  }

  it('takes a literal segment before a parameter, whatever the order of the rows', () => {
    expect(find('GET', 'c', 'by-id', 'count')).toEqual(['by-id', 'count'])
    expect(find('GET', 'c', 'by-ix', 'count')).toEqual(['by-name', 'by-ix'])
  })

  it('has no row for a prefix, a longer path or another method', () => {
    expect(find('GET', 'c', 'x')).toBe('operation-unknown')
    expect(find('GET', 'c', 'x', 'count', 'y')).toBe('operation-unknown')
    expect(find('POST', 'c', 'x', 'count')).toBe('operation-unknown')
  })

  it('takes one segment or more for a rest, in any method', () => {
    expect(find('PATCH', 'old', 'x', 'y')).toEqual(['rest'])
    expect(find('GET', 'old')).toBe('operation-unknown')
  })
})

describe('the list of dialects', () => {
  it('serves some of the known databases', () => {
    expect(SERVED.map(({ kind }) => kind)).toContain('chroma')
    expect(KNOWN_KINDS).toEqual(expect.arrayContaining(SERVED.map(({ kind }) => kind)))
  })

  it('names headers in lower case', () => {
    for (const dialect of Object.values(DIALECTS)) {
      for (const header of [...dialect.credentialHeaders, ...dialect.meaningHeaders]) expect(header).toBe(header.toLowerCase())
    }
    expect(DIALECTS.chroma.credentialHeaders).toEqual(['x-chroma-token', 'authorization'])
  })
})
