import { describe, expect, it } from 'vitest'
import { documents } from '../docs/tables.ts'
import { DENIALS } from '../src/core/deny-reason.ts'

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

  it('every reason of a denial has its section, with what it means, who can do something, and whether to try again', () => {
    const page = documents().find(({ file }) => file === 'docs/why-denied.md')?.is ?? ''
    const form =
      /^## ([a-z-]+)\n\n> .+ \(HTTP \d+, gRPC \d+\)\n\n\*\*Means\*\*: .+\n\n\*\*What lets it pass\*\*: .+\n\n\*\*Who\*\*: .+\n\n\*\*Try again\*\*: .+\n/gm
    expect([...page.matchAll(form)].map(([, kind]) => kind)).toEqual(Object.keys(DENIALS))
    expect(documents().find(({ file }) => file === 'README.md')?.is).toContain('(docs/why-denied.md)')
  })
})
