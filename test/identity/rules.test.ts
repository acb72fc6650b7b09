import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { RULES } from '../../src/identity/rules.ts'

const HERE = new URL('./', import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, HERE), 'utf8')
const filesIn = (folder: string, ending: string): string[] =>
  readdirSync(new URL(folder, HERE))
    .filter((file) => file.endsWith(ending))
    .map((file) => `${folder}${file}`)

/** Not the curves P-256 to P-521. */
const NUMBERS = /\b(?:ID|X|P|J|W|B|U|T)-\d{1,2}\b/g
const tests = ['../core/spiffe-id.test.ts', ...filesIn('./', '.test.ts')].map(read).join('\n')
const sources = ['../../src/core/spiffe-id.ts', ...filesIn('../../src/identity/', '.ts')].map(read).join('\n')

/** The rule numbers that the name of a test or row begins with. */
const titles = [...tests.matchAll(/(?:name: |\bit\(|\b(?:idRow|claim|header)\()\s*['"`]((?:(?:ID|X|P|J|W|B|U|T)-\d{1,2}[ '])+)/g)].flatMap(
  (found) => found[1]?.match(NUMBERS) ?? []
)

describe('the registry of rules', () => {
  it.each(Object.keys(RULES))('%s has a test that is named for it', (number) => {
    expect(titles).toContain(number)
  })

  it('knows every rule that a source or a test names', () => {
    const numbers = new Set([...tests.matchAll(NUMBERS), ...sources.matchAll(NUMBERS)].map(([number]) => number))
    expect(numbers.size).toBeGreaterThan(100)
    expect([...numbers].filter((number) => !(number in RULES))).toEqual([])
  })

  it('says each rule in one sentence', () => {
    for (const { title } of Object.values(RULES)) expect(title).toMatch(/^\S.*[.)]$/)
  })
})
