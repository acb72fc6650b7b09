/** The commands say in --help what they take, and docs/commands.md says it too. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { adminCommand, lastingCommand } from '../src/commands.ts'
import { folderOf } from './support/offline.ts'

const folder = folderOf()
afterAll(() => folder.remove())

const text = readFileSync(join(import.meta.dirname, '../docs/commands.md'), 'utf8')

describe('docs/commands.md', () => {
  it.each(['check', 'explain', 'test', 'replay'])('has every option of %s', async (command) => {
    const { code, out } = await folder.run(command, '--help')
    const options = [...new Set(out.match(/--[a-z][a-z-]+/g))]
    expect([code, options.length > 1]).toEqual([0, true])
    expect(options.filter((one) => !text.includes(one))).toEqual([])
    expect(out).toContain('Exit codes: 0')
  })

  it.each(['approvals', 'approve', 'refuse', 'grants', 'end-run', 'revoke', 'tail'])('has every option of %s', async (command) => {
    let out = ''
    const print = (more: string) => {
      out += more
    }
    const output = { print, complain: print }
    const its = adminCommand(command, output) ?? lastingCommand(command, output, () => new Promise(() => undefined))
    expect(await its?.(['--help'])).toBe(0)
    expect((out.match(/--[a-z][a-z-]+/g) ?? []).filter((one) => !text.includes(one))).toEqual([])
    expect(out).toContain('Exit codes: 0')
  })

  it('knows no other commands', () => {
    const output = { print: () => undefined, complain: () => undefined }
    expect([adminCommand('check', output), adminCommand('toString', output)]).toEqual([undefined, undefined])
  })

  it('shows tests that are tests', async () => {
    const [, yaml = ''] = /## test\n\n```yaml\n([\s\S]*?)```/.exec(text) ?? []
    const file = folder.file('shown.yaml', yaml)
    const { code, out } = await folder.run('test', '--config', join(import.meta.dirname, '../demo/config'), file)
    expect([code, out]).toEqual([0, expect.stringContaining('3 cases: 3 as expected')])
  })

  it('shows a request that is one', async () => {
    const [, json = ''] = /```json\n([\s\S]*?)```/.exec(text) ?? []
    const caller = 'spiffe://demo.vecauthz.test/acme/agent/support'
    const args = ['--config', join(import.meta.dirname, '../demo/config'), '--assume-caller', caller]
    const { code, out } = await folder.run('check', '--request', folder.file('shown.json', json), ...args, '--json')
    expect([code, JSON.parse(out)]).toMatchObject([2, { reason: 'state-unavailable', tenant: 'acme', endpoint: 'records.query' }])
  })
})
