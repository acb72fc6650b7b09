/** A policy in several files is the one policy they make together, and every fault names the file it is in. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readPolicy } from '../../src/config/load.ts'
import { printFault } from '../../src/config/read-yaml.ts'
import type { PolicyDocument } from '../../src/core/policy-document.ts'
import { SERVED } from '../../src/databases/dialects.ts'
import { compilePolicy } from '../../src/policy/compile.ts'
import type { Policy } from '../../src/policy/policy.ts'
import { documentOf } from '../support/policy.ts'

const COMMON = `version: 1
trust_domains: [demo.test]
tags: { pii: 10 }
limits: { top_k: 20, queries: 4, records: 100, vectors_out: deny }
budget: { per_second: 10, burst: 30 }
revoked: { serials: ['01'] }
`
const teamOf = (tenant: string) => `version: 1
tenants: [{ id: ${tenant} }]
workloads:
  - spiffe_id: spiffe://demo.test/${tenant}
    tenants: [${tenant}]
collections:
  - { database: chroma, namespace: rag, names: [${tenant}], tenancy: path, allow: [{ tenants: [${tenant}], actions: [search] }] }
`
const GOOD = { '00-common.yaml': COMMON, 'acme.yaml': teamOf('acme'), 'globex.yml': teamOf('globex') }

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true })
})

function folderOf(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'vecauthz-policies-'))
  folders.push(folder)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return folder
}

interface Found {
  readonly faults: readonly string[]
  readonly document?: PolicyDocument
  readonly revision?: string
  readonly policy?: Policy
}

function read(files: Readonly<Record<string, string>>): Found {
  const folder = folderOf(files)
  const policy = readPolicy(folder)
  const bare = (text: string) => text.replaceAll(`${folder}/`, '').replaceAll(folder, 'FOLDER')
  if (!policy.ok) return { faults: policy.faults.map(printFault).map(bare) }
  const known = { databases: SERVED.map((one) => ({ id: one.kind, ...one })), subjectIssuers: [] }
  const compiled = compilePolicy(policy.document, known, policy.revision, policy.place)
  if (!compiled.ok) return { faults: compiled.faults.map(policy.faultAt).map(printFault).map(bare) }
  const { document, revision } = policy
  return { faults: [], document, revision, policy: compiled.policy }
}

describe('a policy in a folder', () => {
  it('is the policy that one file with all of it is', () => {
    const { document, faults } = read(GOOD)
    expect(faults).toEqual([])
    const acme = teamOf('acme')
    const both = teamOf('globex').split('\n')
    const one = documentOf(
      COMMON +
        acme
          .replace('version: 1\n', '')
          .replace('[{ id: acme }]', '[{ id: acme }, { id: globex }]')
          .replace('collections:', `${both.slice(3, 5).join('\n')}\ncollections:`) +
        `${both[6]}\n`
    )
    expect(document).toEqual(one)
  })

  it('places are those of the files', () => {
    const { policy } = read(GOOD)
    const workloads = [...(policy?.workloads.exact.values() ?? [])].map((one) => one.source)
    expect(workloads).toEqual(['acme.yaml:4 workloads[0]', 'globex.yml:4 workloads[0]'])
  })

  it('another name, text or file is another revision; other files are not', () => {
    const { 'acme.yaml': acme, ...others } = GOOD
    const revision = read(GOOD).revision
    expect(read(GOOD).revision).toBe(revision)
    expect(read({ ...others, 'acme2.yaml': acme }).revision).not.toBe(revision)
    expect(read({ ...GOOD, 'acme.yaml': `${acme}#\n` }).revision).not.toBe(revision)
    expect(read({ ...GOOD, 'README.md': 'x', '.acme.yaml': 'tenants: 3' }).revision).toBe(revision)
  })

  const rows: readonly [string, Readonly<Record<string, string>>, readonly RegExp[]][] = [
    [
      'a name that is listed in no file',
      { ...GOOD, 'globex.yml': teamOf('globex').replace('    tenants: [globex]', '    tenants: [globx]') },
      [/^globex.yml:5:15: Tenant "globx" is not listed/]
    ],
    [
      'a key that is none',
      { ...GOOD, 'acme.yaml': teamOf('acme').replace('names:', 'name:') },
      [/^acme.yaml:7:5: collections.0.names/, /^acme.yaml:7:\d+: collections.0.name: unknown key/]
    ],
    [
      'limits in two files',
      { ...GOOD, 'acme.yaml': `${teamOf('acme')}limits: { top_k: 1000 }\n` },
      [/^acme.yaml:8:9: limits stands in 00-common.yaml as well/]
    ],
    [
      'one tag in two files',
      { ...GOOD, 'acme.yaml': `${teamOf('acme')}tags: { pii: 1 }\n` },
      [/^acme.yaml:8:14: tags.pii stands in 00-common.yaml as well/]
    ],
    [
      'a file of another version',
      { ...GOOD, 'acme.yaml': teamOf('acme').replace('version: 1', 'version: 2') },
      [/^acme.yaml:1:10: version stands in 00-common/]
    ],
    [
      'a list that is none',
      { ...GOOD, 'acme.yaml': teamOf('acme').replace('[{ id: acme }]', 'acme') },
      [/^globex.yml:2:10: tenants stands in acme.yaml as well/]
    ],
    ['a file that is no map', { ...GOOD, 'zz.yaml': '- 1\n' }, [/^zz.yaml:1:1: the file stands in 00-common.yaml as well/]],
    ['YAML that is none, in two files', { ...GOOD, 'a.yaml': 'x: [', 'b.yaml': '{' }, [/^a.yaml:/, /^b.yaml:/]],
    [
      'limits in no file',
      { 'acme.yaml': teamOf('acme'), 'globex.yaml': teamOf('globex') },
      [/acme.yaml:1:1: trust_domains/, /: limits: /, /: budget: /]
    ],
    ['no file', { 'README.md': 'x' }, [/^FOLDER:1:1: The folder has no .yaml file/]]
  ]
  it.each(rows)('%s', (_, files, wanted) => {
    const { faults } = read(files)
    for (const pattern of wanted)
      expect(
        faults.some((fault) => pattern.test(fault)),
        `${pattern} in\n${faults.join('\n')}`
      ).toBe(true)
  })

  it('tags, revoked serials and empty files are put together', () => {
    const { policy, document } = read({
      ...GOOD,
      'x.yaml': "tags: { internal: 2 }\nrevoked: { serials: ['02'], token_ids: [a] }\n",
      'y.yaml': '# nothing\n'
    })
    expect(document?.tags).toEqual({ pii: 10, internal: 2 })
    expect([...(policy?.revoked.serials ?? [])]).toEqual(['01', '02'])
  })

  it('a folder within it is a fault, not silence', () => {
    const folder = folderOf(GOOD)
    mkdirSync(join(folder, 'more'))
    const policy = readPolicy(folder)
    expect(policy.ok ? [] : policy.faults).toMatchObject([
      { file: join(folder, 'more'), says: 'A folder within a policy folder is not read' }
    ])
  })
})
