/** Items taken out of a file that people wrote, and the patch that does it: everything else stays as it is. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import type { DocumentPath } from '../../src/core/policy-document.ts'
import { unifiedDiff } from '../../src/inventory/unified-diff.ts'
import { applied, editing } from '../../src/inventory/yaml-removal.ts'

const TEXT = `# The policy.
version: 1
tenants: [acme, globex, initech]   # three

collections:
  # The handbook.
  - names: [handbook]
    # for all
    allow:
      # Everybody reads.
      - tenants: [acme, globex]
        actions: [search, read]  # no writing
      # One writes.
      - { tenants: [acme], actions: [write] } # the indexer
      - actions:
          - define
          # not easily undone
          - drop
        tenants:
          - acme
  # The rest,
  # about which nobody knows.
  -
    names: [old]
    allow: [{ tenants: [acme], actions: [read] }, { tenants: [globex], actions: [read] }]

# Limits.
limits: { top_k: 1 }
`

const removals = (text: string, paths: readonly DocumentPath[]) => editing(text).removals(paths)
const without = (...paths: DocumentPath[]) => applied(TEXT, removals(TEXT, paths))

describe('an item', () => {
  it('goes with the comment above it, and nothing else does', () => {
    expect(without(['collections', 0, 'allow', 1])).toBe(
      TEXT.replace('      # One writes.\n      - { tenants: [acme], actions: [write] } # the indexer\n', '')
    )
    expect(without(['collections', 1])).toBe(`${TEXT.slice(0, TEXT.indexOf('  # The rest,'))}${TEXT.slice(TEXT.indexOf('\n# Limits.'))}`)
    expect(without(['collections', 0, 'allow', 2, 'actions', 1])).toBe(
      TEXT.replace('          # not easily undone\n          - drop\n', '')
    )
  })

  it('of a list in brackets goes with its comma', () => {
    expect(without(['tenants', 0])).toBe(TEXT.replace('[acme, globex, initech]', '[globex, initech]'))
    expect(without(['tenants', 1])).toBe(TEXT.replace('[acme, globex, initech]', '[acme, initech]'))
    expect(without(['tenants', 1], ['tenants', 2])).toBe(TEXT.replace('[acme, globex, initech]', '[acme]'))
    expect(without(['tenants', 0], ['tenants', 1])).toBe(TEXT.replace('[acme, globex, initech]', '[initech]'))
    expect(without(['collections', 1, 'allow', 0])).toBe(TEXT.replace('{ tenants: [acme], actions: [read] }, { tenants', '{ tenants'))
  })

  it('is never the last one', () => {
    expect(() => without(['collections', 0], ['collections', 1])).toThrow(/nothing would be left/)
  })
})

/** Applies a unified diff as `patch` does, without its tolerance. */
function patched(text: string, diff: string): string {
  const old = text.match(/[^\n]*\n|[^\n]+$/g) ?? []
  const out: string[] = []
  let at = 0
  const lines = diff.split('\n').slice(2, -1)
  for (let index = 0; index < lines.length; index++) {
    const line = lines[index] as string
    const head = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@$/.exec(line)
    if (head !== null) {
      const from = Number(head[1]) - (head[2] === '0' ? 0 : 1)
      out.push(...old.slice(at, from))
      expect(Number(head[3]) - (head[4] === '0' ? 0 : 1)).toBe(out.length)
      at = from
      continue
    }
    const bare = lines[index + 1]?.startsWith('\\') === true
    if (line.startsWith('\\')) continue
    const content = line.slice(1) + (bare ? '' : '\n')
    if (line[0] !== '+') {
      expect(old[at]).toBe(content)
      at++
    }
    if (line[0] !== '-') out.push(content)
  }
  return [...out, ...old.slice(at)].join('')
}

describe('the patch', () => {
  const names = { old: 'a/policy.yaml', new: 'b/policy.yaml' }

  it('is what diff -u writes', () => {
    expect(
      unifiedDiff(
        names,
        TEXT,
        removals(TEXT, [
          ['tenants', 1],
          ['collections', 0, 'allow', 1]
        ])
      )
    ).toBe(`--- a/policy.yaml
+++ b/policy.yaml
@@ -1,6 +1,6 @@
 # The policy.
 version: 1
-tenants: [acme, globex, initech]   # three
+tenants: [acme, initech]   # three
 
 collections:
   # The handbook.
@@ -10,8 +10,6 @@
       # Everybody reads.
       - tenants: [acme, globex]
         actions: [search, read]  # no writing
-      # One writes.
-      - { tenants: [acme], actions: [write] } # the indexer
       - actions:
           - define
           # not easily undone
`)
    expect(unifiedDiff(names, TEXT, [])).toBe('')
  })

  it('of a file without a last newline says so', () => {
    const text = 'tenants: [acme, globex]'
    const diff = unifiedDiff(names, text, removals(text, [['tenants', 0]]))
    expect(diff).toContain('-tenants: [acme, globex]\n\\ No newline at end of file\n+tenants: [globex]\n\\ No newline at end of file\n')
    expect(patched(text, diff)).toBe('tenants: [globex]')
  })

  it('applied, gives what was meant: whatever goes out of whatever lists', () => {
    const item = fc.constantFrom('a', 'bb', 'ccc')
    const list = fc.record({ items: fc.array(item, { minLength: 2, maxLength: 6 }), flow: fc.boolean(), comments: fc.boolean() })
    fc.assert(
      fc.property(fc.array(list, { minLength: 1, maxLength: 6 }), fc.boolean(), fc.infiniteStream(fc.boolean()), (lists, ends, dice) => {
        const text = lists
          .map(({ items, flow, comments }, at) => {
            const note = comments ? `  # about ${at}\n` : ''
            const inline = comments ? ' # why' : ''
            return flow
              ? `k${at}: [${items.join(', ')}]${inline}\n`
              : `k${at}:\n${items.map((one) => `${note}  - ${one}${inline}\n`).join('')}\n`
          })
          .join('')
        const whole = ends ? text : text.trimEnd()
        const gone = lists.flatMap(({ items }, at) => {
          const some = items.flatMap((_, index) => (dice.next().value === true ? [index] : []))
          return (some.length === items.length ? some.slice(1) : some).map((index): DocumentPath => [`k${at}`, index])
        })
        const edits = removals(whole, gone)
        const after = applied(whole, edits)
        const isGone = (key: string, index: number) => gone.some(([one, other]) => one === key && other === index)
        const wanted = Object.fromEntries(lists.map(({ items }, at) => [`k${at}`, items.filter((_, index) => !isGone(`k${at}`, index))]))
        expect(parse(after)).toEqual(wanted)
        const diff = unifiedDiff(names, whole, edits)
        expect(edits.length === 0 ? whole : patched(whole, diff)).toBe(after)
      })
    )
  })
})
