/** The example policies: their tests hold, need every rule, and notice when a rule becomes wider or goes. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { factsOfCase, readTests } from '../src/admin/policy-test-cases.ts'
import { regrant } from '../src/admin/replay-grant.ts'
import { policyCommand } from '../src/commands.ts'
import { knownServer, loadAll } from '../src/config/load.ts'
import type { PolicyDocument } from '../src/core/policy-document.ts'
import { SERVED } from '../src/databases/dialects.ts'
import { compilePolicy } from '../src/policy/compile.ts'
import { policyFindings } from '../src/policy/findings.ts'
import { folderOf } from './support/offline.ts'

const EXAMPLES = join(import.meta.dirname, '../docs/examples')
const NOW = Date.UTC(2026, 10, 21, 12)
const NAMES = readdirSync(EXAMPLES).sort()

async function tested(name: string) {
  const said = { out: '', err: '' }
  const output = {
    print: (text: string) => {
      said.out += text
    },
    complain: (text: string) => {
      said.err += text
    }
  }
  const folder = join(EXAMPLES, name)
  const code = await policyCommand('test', output)?.(['--json', '--config', folder, join(folder, 'policy-tests.yaml')])
  const { cases = [], rules = [] } = JSON.parse(said.out || '{}') as {
    cases?: { name: string; ok: boolean; expected: string; actual: string; because?: string }[]
    rules?: { rule: string; hits: number }[]
  }
  return { code, err: said.err, cases, rules }
}

function read(name: string) {
  let document: PolicyDocument | undefined
  const loaded = loadAll(join(EXAMPLES, name, 'vecauthz.yaml'), SERVED, (given, known, revision, place) => {
    document = given
    return compilePolicy(given, known, revision, place)
  })
  if (!loaded.ok || document === undefined) throw new Error(JSON.stringify(loaded))
  return { document, settings: loaded.settings, tests: readTests(join(EXAMPLES, name, 'policy-tests.yaml')) }
}

/** Names of the cases that do not come out as expected under another policy; undefined when that policy is not loaded at all. */
function failing({ settings, tests }: ReturnType<typeof read>, document: PolicyDocument): string[] | undefined {
  const compiled = compilePolicy(document, knownServer(settings, SERVED), 'r', (path) => path.join('.'))
  if (!compiled.ok) return undefined
  const written = { policy: compiled.policy, document, place: () => '', file: '' }
  return tests.cases.flatMap(({ test }) => {
    if (test.call === undefined) return []
    const outcome = regrant(factsOfCase(test, test.call, settings, written, NOW), compiled.policy)
    const waits = outcome.verdict === 'allow' && outcome.waits !== undefined
    const actual = outcome.verdict === 'deny' ? outcome.reason.kind : waits ? 'approval-required' : outcome.verdict
    return actual === test.expect || (test.expect === 'deny' && actual !== 'allow') ? [] : [test.name]
  })
}

/** Every policy that differs from this one in one thing: a rule less, or one thing that it asks for less. */
function* otherPolicies(document: PolicyDocument): Generator<{ readonly what: string; readonly other: PolicyDocument }> {
  const change = (what: string, apply: (copy: Loose) => void) => {
    const copy = structuredClone(document) as unknown as Loose
    apply(copy)
    return { what, other: copy as unknown as PolicyDocument }
  }
  const places = document.collections.flatMap(({ allow }, at) => allow.map((rule, index) => [at, index, rule] as const))
  for (const [at, index, rule] of places) {
    const where = `collections[${at}].allow[${index}]`
    yield change(`without ${where}`, ({ collections }) => void collections[at]?.allow.splice(index, 1))
    for (const key of ['workloads', 'when', 'purposes', 'approval', 'grant'] as const)
      if (rule[key] !== undefined) yield change(`${where} without ${key}`, ({ collections }) => delete collections[at]?.allow[index]?.[key])
    for (const [limit, value] of Object.entries(rule.limits ?? {}).filter(([, one]) => one !== 'allow'))
      yield change(`${where} with more ${limit}`, ({ collections }) => {
        Object.assign(collections[at]?.allow[index]?.['limits'] as object, { [limit]: more(value) })
      })
  }
  for (const [at, { attestation }] of document.collections.entries())
    if (attestation !== undefined)
      yield change(`collections[${at}] without attestation`, ({ collections }) => delete collections[at]?.['attestation'])
  for (const [at, one] of document.workloads.entries()) {
    for (const key of ['delegated', 'expires'] as const)
      if (one[key] !== undefined) yield change(`workloads[${at}] without ${key}`, ({ workloads }) => delete workloads[at]?.[key])
    yield change(`without workloads[${at}]`, ({ workloads }) => void workloads.splice(at, 1))
  }
  const regions = document.tenants.flatMap(({ region }) => region ?? [])
  for (const [at, one] of document.workloads.entries())
    if (one.regions?.length === 1 && one.tenants.length > 1)
      yield change(`workloads[${at}] with all regions`, ({ workloads }) => Object.assign(workloads[at] as object, { regions }))
  // Where a rule that brings results leaves their number to the common limit.
  const leaving = places.some(([, , { actions, limits }]) => actions.includes('search') && limits?.top_k === undefined)
  if (leaving) yield change('with more top_k for all', ({ limits }) => Object.assign(limits, { top_k: more(limits['top_k']) }))
}

interface Loose {
  collections: { [key: string]: unknown; allow: Record<string, unknown>[] }[]
  workloads: Record<string, unknown>[]
  limits: Record<string, unknown>
}

const more = (value: unknown) => (typeof value === 'number' ? value + 1 : 'allow')

describe.each(NAMES)('the example %s', (name) => {
  it('comes out as its tests say, and every rule is needed by one', async () => {
    const { code, err, cases, rules } = await tested(name)
    expect(err).toBe('')
    expect(cases.filter(({ ok }) => !ok)).toEqual([])
    expect(rules.filter(({ hits }) => hits === 0)).toEqual([])
    expect(code).toBe(0)
    // What is denied is at least as much looked at as what is allowed.
    expect(cases.filter(({ expected }) => expected !== 'allow').length).toBeGreaterThanOrEqual(rules.length)
  })

  it('has nothing that its author would be told of', () => {
    expect(policyFindings(read(name).document, NOW)).toEqual([])
  })

  it('has tests that notice each rule that goes or becomes wider', () => {
    const example = read(name)
    expect(failing(example, example.document)).toEqual([])
    const all = [...otherPolicies(example.document)]
    const unnoticed = all.filter(({ other }) => failing(example, other)?.length === 0)
    expect(unnoticed.map(({ what }) => what)).toEqual([])
  })
})

describe('docs/first-policy.md', () => {
  const text = readFileSync(join(EXAMPLES, '../first-policy.md'), 'utf8')
  const files = new Map(
    [...text.matchAll(/^cat > "\$D\/(\S+)" <<'YAML'\n(.*?)^YAML$/gms)].map(([, name, content]) => [name, content ?? ''])
  )
  const settings = readFileSync(join(EXAMPLES, '../../demo/config/vecauthz.yaml'), 'utf8')
  const folder = folderOf({ 'vecauthz.yaml': settings, 'policy.yaml': files.get('meant.yaml') ?? '' })
  afterAll(() => folder.remove())

  it('has policies that the demo takes, and tests that hold', async () => {
    const tests = folder.file('policy-tests.yaml', files.get('policy-tests.yaml') ?? '')
    const says = '4 cases: 4 as expected, 0 not\n2 allow rules: 2 used by a case\n'
    expect(await folder.run('test', '--config', folder.path, tests)).toEqual({ code: 0, out: says, err: '' })
    folder.file('policy.yaml', files.get('policy.new') ?? '')
    expect(await folder.run('test', '--config', folder.path, tests)).toMatchObject({ code: 1, err: '' })
    for (const line of says.trim().split('\n')) expect(text).toContain(line)
  })
})

describe('the examples', () => {
  it('are those that the documents speak of', () => {
    expect(NAMES).toEqual(['agent-platform', 'multi-region', 'pipeline', 'saas-delegated', 'single-tenant'])
  })

  it('of two regions: data that nobody may clear away is reported, and a collection abroad is a fault', () => {
    const { document, settings } = read('multi-region')
    const keeping = document.collections.map((entry) => ({
      ...entry,
      allow: entry.allow.filter((rule) => !rule.actions.includes('delete'))
    }))
    expect(policyFindings({ ...document, collections: keeping }, NOW).map(({ says }) => says)).toContain(
      'Data of tenant "acme" is kept for 365 days, and no rule lets anybody delete it'
    )
    const abroad = document.collections.map((entry) => (entry.region === 'eu' ? { ...entry, region: 'us' } : entry))
    const compiled = compilePolicy({ ...document, collections: abroad }, knownServer(settings, SERVED), 'r', () => '')
    expect(compiled.ok ? [] : compiled.faults.map(({ says }) => says)).toContain(
      'Tenant "acme" stays in region "eu", and this collection is in "us"'
    )
  })
})
