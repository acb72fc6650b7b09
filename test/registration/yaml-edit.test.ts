import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { added, taken } from '../../src/registration/yaml-edit.ts'

const WORKLOAD = { spiffe_id: 'spiffe://a/b', tenants: ['acme'] }

describe('added', () => {
  const rows: readonly { name: string; text: string; path: readonly [string] | readonly [string, string]; value: unknown; want: string }[] =
    [
      {
        name: 'below the last of a list, before what follows',
        text: 'all:\n  - a # why\n\n# next\nmore: [x]\n',
        path: ['all'],
        value: 'b',
        want: 'all:\n  - a # why\n  - b\n\n# next\nmore: [x]\n'
      },
      { name: 'at the end of a file without a last newline', text: 'all:\n- a', path: ['all'], value: 'b', want: 'all:\n- a\n- b\n' },
      {
        name: 'messages, as deep as the others',
        text: 'all:\n    - spiffe_id: x\n      tenants: [y]\n',
        path: ['all'],
        value: WORKLOAD,
        want: 'all:\n    - spiffe_id: x\n      tenants: [y]\n    - spiffe_id: spiffe://a/b\n      tenants:\n        - acme\n'
      },
      { name: 'into a list in one line', text: 'all: [ a, b ] # why\n', path: ['all'], value: 'c', want: 'all: [ a, b, "c" ] # why\n' },
      { name: 'into an empty one', text: 'all: []\n', path: ['all'], value: 'c', want: 'all: ["c"]\n' },
      { name: 'where there is no list', text: 'x: 1 # why\n', path: ['all'], value: 'c', want: 'x: 1 # why\n\nall:\n  - c\n' },
      {
        name: 'where there is not even the message',
        text: 'x: 1\n',
        path: ['r', 'ids'],
        value: 'c',
        want: 'x: 1\n\nr:\n  ids:\n    - c\n'
      },
      {
        name: 'to a message without that list',
        text: 'r:\n  serials: [a]\ny: 2\n',
        path: ['r', 'ids'],
        value: 'c',
        want: 'r:\n  serials: [a]\n  ids:\n    - c\ny: 2\n'
      },
      {
        name: 'to one in one line',
        text: 'r: { serials: [a] }\n',
        path: ['r', 'ids'],
        value: 'c',
        want: 'r: { serials: [a], ids: ["c"] }\n'
      },
      {
        name: 'not into the comment before the closing bracket',
        text: 'all: [ a, # ]\n  b # the last\n]\n',
        path: ['all'],
        value: 'c',
        want: 'all: [ a, # ]\n  b, "c" # the last\n]\n'
      },
      { name: 'behind no second comma', text: 'all: [ a, ]\n', path: ['all'], value: 'c', want: 'all: [ a, "c", ]\n' },
      { name: 'into an empty one with a comment', text: 'all: [ # none\n]\n', path: ['all'], value: 'c', want: 'all: ["c" # none\n]\n' }
    ]
  it.each(rows)('$name', ({ text, path, value, want }) => {
    const got = added(text, path, value)
    expect(got).toBe(want)
    expect(path.reduce((here, key) => here[key], parse(got)).at(-1)).toEqual(value)
  })
})

describe('taken', () => {
  const rows = [
    { name: 'one of a line', text: 'all:\n  # first\n  - { id: a, x: 1 }\n  - { id: b }\n', want: 'all:\n  # first\n  - { id: b }\n' },
    {
      name: 'one of several lines',
      text: 'all:\n  - id: a\n    x:\n      - 1\n  - id: b # why\nmore: 1\n',
      want: 'all:\n  - id: b # why\nmore: 1\n'
    },
    { name: 'the last', text: 'all:\n  - id: b\n  - id: a\n', want: 'all:\n  - id: b\n' },
    { name: 'all there are', text: 'all:\n  - id: a\nmore: 1\n', want: 'all: []\nmore: 1\n' },
    { name: 'none', text: 'all:\n  - id: ab\n', want: 'all:\n  - id: ab\n' }
  ]
  it.each(rows)('$name', ({ text, want }) => expect(taken(text, 'all', 'id', 'a')).toBe(want))
})
