import { describe, expect, it } from 'vitest'
import { DIMENSIONS, readCorpus } from '../demo/corpus.ts'

const { tenants } = readCorpus()
const documents = tenants.flatMap((tenant) => tenant.documents)
const queries = tenants.flatMap((tenant) => tenant.queries)

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, value, at) => sum + value * (b[at] ?? Number.NaN), 0)
const nearest = (to: Float32Array, among: readonly (typeof documents)[number][]) =>
  among.toSorted((one, other) => dot(other.vector, to) - dot(one.vector, to))[0]

describe('the demo corpus', () => {
  it('has three tenants with enough to find, and questions for each', () => {
    expect(tenants.map((tenant) => tenant.id)).toEqual(['acme', 'globex', 'initech'])
    for (const tenant of tenants) {
      expect(tenant.documents.length).toBeGreaterThanOrEqual(40)
      expect(tenant.queries.length).toBeGreaterThanOrEqual(8)
    }
  })

  it('names and words each document once', () => {
    expect(new Set(documents.map((one) => one.id)).size).toBe(documents.length)
    expect(new Set(documents.map((one) => one.text)).size).toBe(documents.length)
  })

  it('has vectors of the model’s dimensions and of length 1', () => {
    for (const { vector } of [...documents, ...queries]) {
      expect(vector.length).toBe(DIMENSIONS)
      expect(Math.sqrt(dot(vector, vector))).toBeCloseTo(1, 5)
    }
  })

  it.each(tenants.flatMap((tenant) => tenant.queries.map((query) => ({ tenant, query, text: query.text }))))(
    'finds what was meant: $text',
    ({ tenant, query }) => {
      expect(nearest(query.vector, tenant.documents)?.id).toBe(query.expected)
    }
  )
})
