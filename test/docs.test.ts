import { describe, expect, it } from 'vitest'
import { documents } from '../docs/tables.ts'

describe('documents', () => {
  it.each(documents())('the tables of $file are what the code says (node docs/tables.ts --write)', ({ is, shouldBe }) => {
    expect(is).toBe(shouldBe)
  })

  it('the tables are not empty', () => {
    const text = documents()
      .map((one) => one.shouldBe)
      .join('\n')
    for (const word of ['`tenant-not-allowed`', '`workloads[].spiffe_id`', '`envoys`', 'DELETE', '`environment.exposure`', '"spiffe_id"'])
      expect(text).toContain(word)
  })
})
