import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { unreadable } from '../../src/admin/svid-verify-question.ts'
import { doctorCommand } from '../../src/doctor/doctor-command.ts'
import { partsOf, SHIPPED, shippedValue } from '../support/shipped-envoy.ts'

const folder = mkdtempSync(join(tmpdir(), 'doctor-'))
afterAll(() => rmSync(folder, { recursive: true }))

const GATEWAY = join(import.meta.dirname, '../../envoy/gateway.yaml')
const { servers } = SHIPPED['gateway.yaml']

async function run(...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const edges = {
    print: (text: string) => void out.push(text),
    complain: (text: string) => void err.push(text),
    now: Date.now,
    identityFrom: () => unreadable('nobody is here'),
    forge: () => Promise.resolve({ cert: '', key: '' }),
    loadSettings: (file: string) => servers[Number(file)]?.settings ?? unreadable(`There is no settings file "${file}".`)
  }
  const code = await doctorCommand(args, edges)
  return { code, out: out.join(''), err: err.join('') }
}

function brokenFile(): string {
  const value = shippedValue('gateway.yaml')
  partsOf(value).authz()['failure_mode_allow'] = true
  const file = join(folder, 'broken.yaml')
  writeFileSync(file, stringify(value))
  return file
}

describe('vecauthz doctor', () => {
  it('says yes to a shipped file, with the settings of both lanes', async () => {
    const { code, out } = await run(GATEWAY, '--config', '0', '--config', '1')
    expect(out).toContain('PASS         No answer is no  [fail-closed]')
    expect(out).toMatch(/\n68 PASS, 0 FAIL, 0 CANNOT TELL; 4 lines are about other hops\n$/)
    expect(code).toBe(0)
  })

  it('says no to one line, why, where, and what to put', async () => {
    const { code, out } = await run(brokenFile(), '--config', '0', '--config', '1', '--brief')
    const where = 'listeners[gateway_in].filter_chains[0].filters[envoy.filters.network.http_connection_manager].typed_config'
    expect(out.split('\n').slice(2, 7)).toEqual([
      'FAIL         No answer is no  [fail-closed]',
      '             why: With failure_mode_allow, whoever stops or overloads vecauthz has the database to himself.',
      `             ${where}.http_filters[envoy.filters.http.ext_authz].typed_config: when vecauthz does not answer, calls go on`,
      `             fix: in ${where}.http_filters[envoy.filters.http.ext_authz].typed_config, put`,
      '               failure_mode_allow: false'
    ])
    expect(code).toBe(1)
  })

  it('cannot say without the settings, unless it is no', async () => {
    expect((await run(GATEWAY)).code).toBe(2)
    expect((await run(brokenFile())).code).toBe(1)
    expect((await run(GATEWAY, brokenFile(), '--config', '0', '--config', '1')).code).toBe(1)
  })

  it('says the same as JSON', async () => {
    const { code, out } = await run(brokenFile(), '--config', '0', '--config', '1', '--json')
    const told = JSON.parse(out) as { verdict: string; hops: string[]; lines: { id: string; verdict: string; findings?: object[] }[] }
    expect([told.verdict, told.hops, code]).toEqual(['fail', ['gateway'], 1])
    const failed = told.lines.filter(({ verdict }) => verdict === 'fail')
    expect(failed).toMatchObject([{ id: 'fail-closed', findings: [{ fix: { kind: 'put', value: { failure_mode_allow: false } } }] }])
  })

  it.each([
    { name: 'nothing to look at', args: [], says: 'Say what to look at' },
    { name: 'a file that is not there', args: ['/nowhere.yaml'], says: 'There is no file' },
    { name: 'settings that are not there', args: [GATEWAY, '--config', 'x'], says: 'There is no settings file' },
    { name: 'a policy', args: [join(import.meta.dirname, '../../demo/config/policy.yaml')], says: 'neither an Envoy bootstrap nor' },
    { name: 'nobody at a URL', args: ['http://127.0.0.1:1'], says: 'http://127.0.0.1:1/config_dump?include_eds cannot be reached' },
    { name: 'a hop that is none', args: [GATEWAY, '--hop', 'index'], says: '--hop is gateway, egress or sidecar' }
  ])('cannot say: $name', async ({ args, says }) => {
    const { code, err } = await run(...args)
    expect(err).toContain(says)
    expect(code).toBe(2)
  })
})
