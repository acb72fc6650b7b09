import { copyFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { policyCommand } from '../../src/commands.ts'

const ROOT = join(import.meta.dirname, '../..')
const NEW = 'spiffe://demo.vecauthz.test/acme/agent/new'
const SUPPORT = 'spiffe://demo.vecauthz.test/acme/agent/support'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'onboard-'))
  for (const name of ['vecauthz.yaml', 'policy.yaml']) copyFileSync(join(ROOT, 'demo/config', name), join(folder, name))
  copyFileSync(join(ROOT, 'spire/registrations.yaml'), join(folder, 'registrations.yaml'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const policy = () => readFileSync(join(folder, 'policy.yaml'), 'utf8')
const registrations = () => readFileSync(join(folder, 'registrations.yaml'), 'utf8')
const known = () => ['--registrations', join(folder, 'registrations.yaml')]

async function command(name: string, ...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const run = policyCommand(name, { print: (text) => void out.push(text), complain: (text) => void err.push(text) })
  const code = await run?.([...args, '--config', folder])
  return { code, out: out.join(''), err: err.join('') }
}

/** What a person would see as changed. */
function difference(before: string, after: string) {
  const [old, now] = [before.split('\n'), after.split('\n')]
  return { gone: old.filter((line) => !now.includes(line)), come: now.filter((line) => !old.includes(line)) }
}

describe('onboard', () => {
  const adding = [NEW, '--tenant', 'acme', '--owner', 'team x', '--selector', 'unix:uid:20009']

  it('says the place in the policy, the entry and what it may do, and changes nothing', async () => {
    const before = [policy(), registrations()]
    const { code, out } = await command('onboard', ...adding, ...known())
    expect(code).toBe(0)
    expect(out).toContain('  - spiffe_id: spiffe://demo.vecauthz.test/acme/agent/new\n    tenants:\n      - acme\n    owner: team x\n')
    expect(out).toContain('"selectors":[{"type":"unix","value":"uid:20009"}]')
    expect(out).toContain('  It may search, read, observe in handbook of demo, as acme.\n')
    // Of the indexer alone.
    expect(out).not.toContain('scratch-*')
    expect([policy(), registrations()]).toEqual(before)
  })

  it('writes both files when told, with every comment where it was, and the rights that they had', async () => {
    const before = [policy(), registrations()] as const
    const { mode } = statSync(join(folder, 'policy.yaml'))
    expect((await command('onboard', ...adding, ...known(), '--apply')).code).toBe(0)
    expect(difference(before[0], policy())).toEqual({
      gone: [],
      come: [`  - spiffe_id: ${NEW}`, '    tenants:', '      - acme', '    owner: team x']
    })
    expect(difference(before[1], registrations()).gone).toEqual([])
    expect(parse(registrations()).entries.at(-1)).toEqual({ spiffe_id: NEW, selectors: ['unix:uid:20009'] })
    expect(statSync(join(folder, 'policy.yaml')).mode).toBe(mode)
  })

  it('twice is a fault of the policy, and nothing is written', async () => {
    await command('onboard', ...adding, ...known(), '--apply')
    const before = policy()
    expect((await command('onboard', ...adding, '--apply')).code).toBe(2)
    expect(policy()).toBe(before)
  })

  const rows: readonly { name: string; args: readonly string[]; code: number; says: RegExp }[] = [
    { name: 'a tenant that is none', args: [NEW, '--tenant', 'nobody'], code: 2, says: /nobody/ },
    { name: 'no tenant', args: [NEW], code: 2, says: /for which tenant/ },
    { name: 'no SPIFFE ID', args: ['acme', '--tenant', 'acme'], code: 2, says: /no SPIFFE ID/ },
    {
      name: 'selectors without a file for them',
      args: [NEW, '--tenant', 'acme', '--selector', 'unix:uid:1'],
      code: 2,
      says: /--registrations/
    }
  ]
  it.each(rows)('$name', async ({ args, code, says }) => {
    const before = policy()
    const answer = await command('onboard', ...args, '--apply')
    expect(answer.err).toMatch(says)
    expect(answer.code).toBe(code)
    expect(policy()).toBe(before)
  })

  it('nobody would be it: no, and nothing is written', async () => {
    const before = policy()
    const { code, err } = await command('onboard', NEW, '--tenant', 'acme', ...known(), '--apply')
    expect([code, policy()]).toEqual([1, before])
    expect(err).toContain('has no selectors')
    const shared = await command('onboard', NEW, '--tenant', 'acme', '--selector', 'unix:uid:20001', ...known(), '--apply')
    expect([shared.code, policy()]).toEqual([1, before])
  })
})

describe('offboard', () => {
  it('says what it would do, and does nothing', async () => {
    const before = [policy(), registrations()]
    const { code, out } = await command('offboard', SUPPORT, '--reason', 'stolen', ...known())
    expect(code).toBe(0)
    expect(out).toMatch(/^Would offboard .*support\n {2}to do {2}policy: .*\n {2}to do {2}registrations: .*\nNothing was changed/)
    expect([policy(), registrations()]).toEqual(before)
  })

  it('revokes in the policy and takes the registration out', async () => {
    const before = [policy(), registrations()] as const
    const { code, out } = await command('offboard', SUPPORT, '--reason', 'stolen', ...known(), '--apply', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(out).steps.map(({ step, done }: { step: string; done: boolean }) => [step, done])).toEqual([
      ['policy', true],
      ['registrations', true]
    ])
    expect(parse(policy()).revoked).toEqual({ spiffe_ids: [SUPPORT] })
    expect(difference(before[0], policy()).gone).toEqual([])
    expect(difference(before[1], registrations())).toMatchObject({ gone: [expect.stringContaining('agent/support')], come: [] })
  })

  it.each([
    ['all in one line', `[{ spiffe_id: ${SUPPORT}, selectors: [unix:uid:1] }]`],
    [
      'a comment behind the dash',
      `\n  - # first\n    spiffe_id: ${SUPPORT}\n    selectors: [unix:uid:1]\n  - { spiffe_id: ${NEW}, selectors: [unix:uid:2] }`
    ]
  ])('says that somebody has to take it out of registrations with %s, and leaves them as they are', async (_, entries) => {
    const text = `version: 1\nparent: spiffe://demo.vecauthz.test/node/demo\nentries: ${entries}\n`
    writeFileSync(join(folder, 'registrations.yaml'), text)
    const { code, out } = await command('offboard', SUPPORT, '--reason', 'stolen', ...known(), '--apply')
    expect([code, registrations()]).toEqual([1, text])
    expect(out).toMatch(/done {2}policy: .*\n {2}refused {2}registrations: take it out of .* by hand/)
  })

  it('is done once', async () => {
    await command('offboard', SUPPORT, '--reason', 'stolen', '--apply')
    const before = policy()
    const { code, out } = await command('offboard', SUPPORT, '--reason', 'stolen', '--apply')
    expect([code, policy()]).toEqual([0, before])
    expect(out).toContain('already')
  })

  it('adds to those that are revoked', async () => {
    await command('offboard', SUPPORT, '--reason', 'stolen', '--apply')
    await command('offboard', 'spiffe://demo.vecauthz.test/globex/agent/trials', '--reason', 'stolen', '--apply')
    expect(parse(policy()).revoked.spiffe_ids).toHaveLength(2)
  })

  it('wants a reason', async () => {
    const { code, err } = await command('offboard', SUPPORT, '--apply')
    expect([code, err]).toEqual([2, 'vecauthz: Say why: --reason TEXT.\n'])
  })
})
