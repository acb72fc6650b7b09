import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Refused } from '../../src/core/deny-reason.ts'
import { printPin, readExpression } from '../../src/databases/milvus-expression.ts'

function pinsOf(text: string): Record<string, string> | string {
  try {
    return Object.fromEntries(readExpression(text).pins)
  } catch (refused) {
    return (refused as Refused).reason.kind
  }
}

const ACME = { tenant: 'acme' }

describe('a filter expression pins a field', () => {
  it.each([
    'tenant == "acme"',
    "tenant == 'acme'",
    'tenant=="acme"',
    ' \t tenant\n==\r\n"acme" ',
    '"acme" == tenant',
    'tenant in ["acme"]',
    "tenant IN ['acme']",
    '(tenant == "acme")',
    '((((tenant == "acme"))))',
    'tenant == "acme" and page > 3',
    'tenant == "acme" AND page > 3',
    'tenant == "acme"&&page > 3',
    'page > 3 && tenant == "acme"',
    'page in [1, 2, 3] and tenant == "acme" and not (text like "x%")',
    '(tenant == "acme" and page > 3) and (kind == 1 or kind == 2)',
    '(tenant == "acme") and ((page < 3) or (page > 9))',
    'not page == 3 and tenant == "acme"',
    'tenant == "acme" and id not in [1]',
    'tenant == "acme" and 3 < page < 9',
    'tenant == "acme" and meta["tenant"] == "globex"',
    'tenant == "acme" and $meta["x"] == 1',
    'tenant == "acme" and json_contains(tags, "x") and text_match(body, "or tenant")',
    'tenant == "acme" and page in {pages}',
    'tenant == "acme" and text != "or"',
    'tenant == "acme" and text > " or id > 0"',
    'tenant == "acme" and text == \'a"b\'',
    'tenant == "acme" and text == "a\\" or id > 0"',
    'tenant == "acme" and text == "ends in a backslash\\\\"',
    'tenant == "acme" and name is not null',
    'tenant == "acme" and tenant == "acme"',
    'tenant == "acme" and x ** 2 > 1.5e-3 and y == 0x1F and z == .5'
  ])('%s', (text) => {
    expect(pinsOf(text)).toEqual(ACME)
  })

  it('and several', () => {
    expect(pinsOf('tenant == "acme" and region in ["eu"] and "x y" == kind')).toEqual({ tenant: 'acme', region: 'eu', kind: 'x y' })
  })

  it('with any plain text', () => {
    expect(pinsOf('tenant == "größe 北京 🙂 {a} [b] and or"')).toEqual({ tenant: 'größe 北京 🙂 {a} [b] and or' })
    expect(pinsOf('tenant == ""')).toEqual({ tenant: '' })
  })
})

describe('a filter expression pins nothing', () => {
  it.each([
    ['nothing is said', ''],
    ['only space is said', ' \n'],
    ['there is an or beside it', 'tenant == "acme" or id > 0'],
    ['there is an or of another spelling', 'tenant == "acme" || id > 0'],
    ['there is an or of capitals', 'tenant == "acme" OR id > 0'],
    ['there is an or behind an and', 'tenant == "acme" and page > 1 or id > 0'],
    ['there is an or before an and', 'id > 0 or page > 1 and tenant == "acme"'],
    ['there is an or in the brackets', '(tenant == "acme" or id > 0) and page > 1'],
    ['every side of an or says it, which is not looked at', 'tenant == "acme" or tenant == "acme"'],
    ['it is negated', 'not tenant == "acme"'],
    ['it is negated with a mark', '!(tenant == "acme")'],
    ['it is negated in brackets', 'not (tenant == "acme") and page > 1'],
    ['it is another comparison', 'tenant != "acme"'],
    ['it is a pattern', 'tenant like "acme"'],
    ['it is a regular expression', 'tenant =~ "acme"'],
    ['it is a chain', 'tenant == "acme" == true'],
    ['it is a range', '"a" < tenant == "acme"'],
    ['it is combined with bits', 'tenant == "acme" | page'],
    ['it is an argument', 'random_sample(tenant == "acme")'],
    ['it is an argument of an unknown function', 'f(tenant == "acme") and page > 1'],
    ['it is an element of a list', '[tenant == "acme"]'],
    ['there are two values', 'tenant in ["acme", "globex"]'],
    ['the list has a comma at the end', 'tenant in ["acme",]'],
    ['it is not in a list', 'tenant not in ["acme"]'],
    ['the list is a template', 'tenant in {tenants}'],
    ['the value is a template', 'tenant == {tenant}'],
    ['the value is a number', 'tenant == 1'],
    ['the value is another field', 'tenant == acme'],
    ['the value is a sum', 'tenant == "ac" + "me"'],
    ['the value is in brackets', 'tenant == ("acme")'],
    ['the value has an escape', 'tenant == "\\x61cme"'],
    ['the value has an escaped quote', 'tenant == "ac\\"me"'],
    ['the value has a quote of the other kind', 'tenant == "ac\'me"'],
    ['the value has an invisible character', 'tenant == "acme\u200b"'],
    ['the value has a tab', 'tenant == "ac\tme"'],
    ['the field is part of a document', 'meta["tenant"] == "acme"'],
    ['the field is dynamic', '$meta["tenant"] == "acme"'],
    ['the field is a word of the language', 'exists == "acme"'],
    ['two values contradict', 'tenant == "acme" and tenant == "globex"'],
    ['there are more brackets than anybody writes', `${'('.repeat(40)}tenant == "acme"${')'.repeat(40)}`]
  ])('when %s', (_, text) => {
    expect(pinsOf(text)).toEqual({})
  })
})

describe('a filter expression is refused', () => {
  it.each([
    ['a string without end', 'tenant == "acme', 'call-unreadable'],
    ['a string over two lines', 'tenant == "ac\nme"', 'call-unreadable'],
    ['a string that ends in its escape', 'tenant == "acme\\"', 'call-unreadable'],
    ['a bracket without end', '(tenant == "acme"', 'call-unreadable'],
    ['a bracket without beginning', 'tenant == "acme") or (id > 0', 'call-unreadable'],
    ['brackets of two kinds', '(tenant == "acme"]', 'call-unreadable'],
    ['an and without its right side', 'tenant == "acme" and', 'call-unreadable'],
    ['an and without its left side', 'and tenant == "acme"', 'call-unreadable'],
    ['two ands', 'tenant == "acme" and and page > 1', 'call-unreadable'],
    ['empty brackets', 'tenant == "acme" and ()', 'call-unreadable'],
    ['a comment', 'tenant == "acme" # or id > 0', 'call-unreadable'],
    ['a semicolon', 'tenant == "acme"; id > 0', 'call-unreadable'],
    ['a backtick', '`tenant` == "acme"', 'call-unreadable'],
    ['a space that is none', 'tenant\u00a0== "acme"', 'call-unreadable'],
    ['a name in other letters, which Milvus Lite takes', 'ｔenant == "acme"', 'call-unreadable'],
    ['a quote of the typographer', 'tenant == “acme”', 'call-unreadable'],
    ['a keyword that only Milvus Lite knows', 'tenant == "acme" Or id > 0', 'call-ambiguous'],
    ['another one', 'tenant == "acme" aNd page > 1', 'call-ambiguous'],
    ['a prefixed string', 'tenant == u8"acme"', 'call-ambiguous'],
    ['a raw string', 'tenant == r"acme"', 'call-ambiguous'],
    ['a keyword that runs into a string', 'tenant in["acme"] and name like"x"', 'call-ambiguous'],
    ['a number that runs into a word', 'page > 1and tenant == "acme"', 'call-ambiguous'],
    ['a number with two points', 'page > 1.2.3', 'call-ambiguous']
  ])('for %s', (_, text, kind) => {
    expect(pinsOf(text)).toBe(kind)
  })
})

describe('a filter expression of any length', () => {
  it('has at most 65536 words', () => {
    expect(pinsOf(`tenant == "acme" and id in [${Array(32_000).fill('7').join()}]`)).toEqual(ACME)
    expect(pinsOf(`tenant == "acme" and id in [${Array(33_000).fill('7').join()}]`)).toBe('call-too-large')
    expect(pinsOf('('.repeat(1_000_000))).toBe('call-too-large')
  })

  it('may have long texts', () => {
    expect(pinsOf(`tenant == "acme" and text != "${'x\\"'.repeat(300_000)}"`)).toEqual(ACME)
    expect(pinsOf(`tenant == "${'x'.repeat(1_000_000)}`)).toBe('call-unreadable')
  })
})

describe('what is printed', () => {
  it('is proved', () => {
    expect(pinsOf(printPin('tenant', 'acme'))).toEqual(ACME)
    expect(pinsOf(`${printPin('tenant', 'acme')} and (page > 1 or page < 0)`)).toEqual(ACME)
  })

  it('says so when it cannot be', () => {
    expect(printPin('tenant', 'ac"me')).toContain('cannot be proved')
  })
})

/** A filter as a tree; `coin` is any condition that nobody understands. */
type Tree =
  | { readonly is: 'equal'; readonly field: string; readonly value: string; readonly form: number }
  | { readonly is: 'coin'; readonly text: string }
  | { readonly is: 'and' | 'or'; readonly of: readonly Tree[]; readonly word: string }
  | { readonly is: 'not'; readonly of: Tree; readonly word: string }
  | { readonly is: 'brackets'; readonly of: Tree }

const FIELDS = ['tenant', 'region']
const VALUES = ['acme', 'globex', 'or', '" and "']
const COINS = [
  'page > 3',
  'id in [1, 2]',
  'text like "%) or (%"',
  'name is null',
  'json_contains(tags, "tenant == \\"acme\\"")',
  '1 < page <= 9',
  'meta["tenant"] == "acme"',
  'flag == true',
  'page in {pages}',
  '(a | b) == 0'
]

const leaf: fc.Arbitrary<Tree> = fc.oneof(
  fc
    .record({ field: fc.constantFrom(...FIELDS), value: fc.constantFrom(...VALUES), form: fc.nat({ max: 2 }) })
    .map((parts) => ({ is: 'equal', ...parts }) as const),
  fc.constantFrom(...COINS).map((text) => ({ is: 'coin', text }) as const)
)
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    fc
      .tuple(fc.constantFrom('and', 'AND', '&&'), fc.array(tie('tree'), { minLength: 1, maxLength: 3 }))
      .map(([word, of]) => ({ is: 'and', of, word }) as const),
    fc
      .tuple(fc.constantFrom('or', 'OR', '||'), fc.array(tie('tree'), { minLength: 1, maxLength: 3 }))
      .map(([word, of]) => ({ is: 'or', of, word }) as const),
    fc.tuple(fc.constantFrom('not ', '!'), tie('tree')).map(([word, of]) => ({ is: 'not', of, word }) as const),
    tie('tree').map((of) => ({ is: 'brackets', of }) as const)
  )
}))

/** Brackets only where the language needs them: an `or` within an `and`, anything but brackets behind a `not`. */
function print(node: Tree): string {
  switch (node.is) {
    case 'equal': {
      const quoted = node.value.includes('"') ? `'${node.value}'` : `"${node.value}"`
      return [`${node.field} == ${quoted}`, `${quoted}==${node.field}`, `${node.field} in [${quoted}]`][node.form] ?? ''
    }
    case 'coin':
      return node.text
    case 'and':
      return node.of.map((part) => (part.is === 'or' && part.of.length > 1 ? `(${print(part)})` : print(part))).join(` ${node.word} `)
    case 'or':
      return node.of.map(print).join(` ${node.word} `)
    case 'not':
      return `${node.word}(${print(node.of)})`
    case 'brackets':
      return `(${print(node.of)})`
  }
}

type Row = Readonly<Record<string, string>>

function holds(node: Tree, row: Row, coin: (text: string) => boolean): boolean {
  switch (node.is) {
    case 'equal':
      return row[node.field] === node.value
    case 'coin':
      return coin(node.text)
    case 'and':
      return node.of.every((part) => holds(part, row, coin))
    case 'or':
      return node.of.some((part) => holds(part, row, coin))
    case 'not':
      return !holds(node.of, row, coin)
    case 'brackets':
      return holds(node.of, row, coin)
  }
}

const ROWS: readonly Row[] = VALUES.flatMap((tenant) => VALUES.map((region) => ({ tenant, region })))

/** A row that the expression is true of, although a pin says otherwise. */
function stray(node: Tree, pins: Record<string, string>, coins: number): Row | undefined {
  const coin = (text: string) => ((coins >> COINS.indexOf(text)) & 1) === 1
  return ROWS.find((row) => holds(node, row, coin) && Object.entries(pins).some(([field, value]) => row[field] !== value))
}

describe('pins', () => {
  const runs = { numRuns: Number(process.env['FUZZ_RUNS'] ?? 4000) }
  const coins = fc.nat({ max: 2 ** COINS.length - 1 })

  it('hold every record that the expression can be true of, whatever the rest of it means', () => {
    let proved = 0
    fc.assert(
      fc.property(tree, coins, (node, tossed) => {
        const pins = pinsOf(print(node)) as Record<string, string>
        expect(pins).toBeTypeOf('object')
        if (Object.keys(pins).length > 0) proved++
        expect(stray(node, pins, tossed)).toBeUndefined()
      }),
      runs
    )
    expect(proved).toBeGreaterThan(runs.numRuns / 20)
  })

  it('would be caught if they did not', () => {
    // Takes any equation that stands anywhere, as a search by regular expression would.
    const naive = (text: string) =>
      Object.fromEntries([...text.matchAll(/(\w+) == "(\w+)"/g)].map(([, field, value]) => [field, value])) as Record<string, string>
    const found = fc.check(
      fc.property(tree, coins, (node, tossed) => stray(node, naive(print(node)), tossed) === undefined),
      runs
    )
    expect(found.failed).toBe(true)
  })

  it('are the same with other spaces, brackets around and another condition beside', () => {
    fc.assert(
      fc.property(tree, fc.constantFrom('  ', '\n', '\t '), (node, space) => {
        const text = print(node)
        const want = pinsOf(text)
        expect(pinsOf(`(${space}${text}${space})`)).toEqual(want)
        expect(pinsOf(`(${text})${space}and${space}page > 1`)).toEqual(want)
      }),
      { numRuns: 500 }
    )
  })

  it('are a verdict for any text', () => {
    const pieces = fc.constantFrom(
      ...'()[]{}"\'\\=!<>|&, \n',
      'tenant',
      'and',
      'or',
      'not',
      'in',
      '"acme"',
      '==',
      '1',
      '$meta',
      'é',
      '\u0000'
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(pieces, { maxLength: 20 }).map((parts) => parts.join('')),
          fc.string({ unit: 'binary' })
        ),
        (text) => {
          expect(['string', 'object']).toContain(typeof pinsOf(text))
        }
      ),
      runs
    )
  })
})
