import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { policyCommand } from '../../src/commands.ts'
import { issueSvid, makeAuthority } from '../support/ca.ts'
import { name } from '../support/der-write.ts'
import { type SpireServer, startSpireServer } from './support/spire.ts'
import { findSpire, type SpireBinaries } from './support/spire-binaries.ts'

/** spire/*.conf and `vecauthz spire entries` against real SPIRE; skipped, with the reason, where it is not there. */

const ROOT = join(import.meta.dirname, '../..')
const run = promisify(execFile)

let missing: string | undefined
let spire: SpireBinaries
let folder: string
let server: SpireServer

beforeAll(async () => {
  const found = findSpire(process.env)
  if (typeof found === 'string') {
    missing = found
    process.stdout.write(`\n*** Real SPIRE: ${missing}\n*** Nothing of this file was tried.\n`)
    return
  }
  spire = found
  folder = mkdtempSync(join(tmpdir(), 'sp-'))
  server = await startSpireServer({ binary: spire.server, folder: join(folder, 's'), trustDomain: 'demo.vecauthz.test' })
})
afterAll(async () => {
  await server?.stop()
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})
beforeEach(({ skip }) => skip(missing !== undefined, missing))

async function command(...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const spireCommand = policyCommand('spire', { print: (text) => void out.push(text), complain: (text) => void err.push(text) })
  const code = await spireCommand?.(['entries', '--config', join(ROOT, 'demo/config'), ...args])
  return { code, out: out.join(''), err: err.join('') }
}

describe('the shipped configurations', () => {
  const rendered = async (file: string) => {
    const etc = join(folder, 'etc')
    mkdirSync(etc, { recursive: true, mode: 0o700 })
    const root = await makeAuthority({ trustDomain: 'demo.vecauthz.test', name: 'upstream root', id: null })
    const node = await issueSvid(root, { subject: name([['2.5.4.3', 'node-a']]), sans: null })
    const files = {
      'node-ca.crt': root.pem,
      'upstream.crt': root.pem,
      'upstream.key': root.keyPem,
      'node.crt': node.pem,
      'node.key': node.keyPem
    }
    for (const [name_, text] of Object.entries(files)) writeFileSync(join(etc, name_), text, { mode: 0o600 })
    const text = readFileSync(join(ROOT, 'spire', file), 'utf8')
      .replaceAll('/etc/spire', etc)
      .replaceAll(/"\/(var\/lib|run)\/spire/g, `"${join(folder, 'data')}`)
    writeFileSync(join(folder, 'one.conf'), text)
    return join(folder, 'one.conf')
  }

  it.each(['server.conf', 'x509pop/server.conf', 'federation/partner.conf'])('%s is one that the server takes', async (file) => {
    const { stdout } = await run(spire.server, ['validate', '-config', await rendered(file)])
    expect(stdout).toContain('valid')
  })

  it.each(['agent.conf', 'x509pop/agent.conf'])('%s is one that the agent takes', async (file) => {
    const { stdout } = await run(spire.agent, ['validate', '-config', await rendered(file)])
    expect(stdout).toContain('valid')
  })
})

describe('entries', () => {
  const show = async () => {
    const file = join(folder, 'existing.json')
    writeFileSync(file, await server.command('entry', 'show', '-output', 'json'))
    return file
  }
  const registrations = join(ROOT, 'spire/registrations.yaml')
  const create = (text: string) => {
    writeFileSync(join(folder, 'create.json'), text)
    return server.command('entry', 'create', '-data', join(folder, 'create.json'))
  }

  it('are taken by the server as they are printed, and nothing is missing then', async () => {
    const { code, out } = await command('--registrations', registrations)
    expect(code).toBe(0)
    await create(out)
    const { entries } = await server.json('entry', 'show')
    expect(entries).toHaveLength(10)

    const again = await command('--registrations', registrations, '--existing', await show(), '--json')
    expect(JSON.parse(again.out)).toEqual({ create: [], remove: [], kept: 10 })
  })

  it('that change are removed and made again, by the commands that are printed; those of others stay', async () => {
    await server.command(
      'entry',
      'create',
      '-parentID',
      'spiffe://demo.vecauthz.test/node/x',
      '-spiffeID',
      'spiffe://demo.vecauthz.test/else',
      '-selector',
      'unix:uid:9'
    )
    const changed = join(folder, 'registrations.yaml')
    writeFileSync(changed, readFileSync(registrations, 'utf8').replace('unix:uid:20001', 'unix:uid:30001'))
    const { out, err } = await command('--registrations', changed, '--existing', await show())
    expect(err).toMatch(
      /^# 9 are there, 1 are missing, 1 are wanted no more\nspire-server entry delete -entryID \S+ {3}# spiffe:\/\/demo\.vecauthz\.test\/acme\/agent\/support\n/
    )
    const [, entryId = ''] = /-entryID (\S+)/.exec(err) ?? []
    await server.command('entry', 'delete', '-entryID', entryId)
    await create(out)
    const again = await command('--registrations', changed, '--existing', await show(), '--json')
    expect(JSON.parse(again.out)).toEqual({ create: [], remove: [], kept: 10 })
    expect((await server.json('entry', 'show')).entries).toHaveLength(11)
  })

  it('of a workload that is let go are removed', async () => {
    const offboard = policyCommand('offboard', { print: () => undefined, complain: () => undefined })
    const id = 'spiffe://demo.vecauthz.test/acme/job/indexer'
    const at = ['--spire-server', spire.server, '--spire-socket', join(folder, 's/api.sock')]
    for (const name of ['vecauthz.yaml', 'policy.yaml']) copyFileSync(join(ROOT, 'demo/config', name), join(folder, name))
    expect(await offboard?.([id, '--reason', 'test', '--config', folder, '--apply', ...at])).toBe(0)
    expect((await server.json('entry', 'show', '-spiffeID', id)).entries).toEqual([])
    expect((await server.json('entry', 'show')).entries).toHaveLength(10)
  })
})
