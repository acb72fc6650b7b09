import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { call, keptOpen } from '../../demo/client.ts'
import { INDEXER, OPERATOR, TRUST_DOMAIN } from '../../demo/identities.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { namedPath } from '../../demo/step.ts'
import { policyCommand } from '../../src/commands.ts'

/** Whoever is let in is served, and whoever is let go is refused on its next call: at the demo's own servers. */

const NEW = `spiffe://${TRUST_DOMAIN}/acme/agent/new`

let stack: Stack

beforeAll(async () => {
  const folder = join(import.meta.dirname, '../../.run/test-offboard')
  stack = await startStack({ folder, say: () => undefined, agents: [NEW] })
}, 60_000)
afterAll(() => stack?.stop())

async function command(name: string, ...args: string[]) {
  const [out, err]: [string[], string[]] = [[], []]
  const run = policyCommand(name, { print: (text) => void out.push(text), complain: (text) => void err.push(text) })
  const code = await run?.([...args, '--config', stack.folder])
  return { code, out: out.join(''), err: err.join('') }
}

const read = (id: string, agent = keptOpen()) => call(stack.door, stack.credentials(id), { target: namedPath('acme'), agent })

/** The operator's SVID in files, as a person has it. */
function operator(): readonly string[] {
  const { cert, key } = stack.credentials(OPERATOR)
  const files = { svid: cert, key, bundle: stack.issuer.bundlePem(TRUST_DOMAIN) }
  const options = Object.entries(files).flatMap(([name, text]) => {
    const file = join(stack.folder, `operator-${name}.pem`)
    writeFileSync(file, text, { mode: 0o600 })
    return [`--${name}`, file]
  })
  return ['--admin', `127.0.0.1:${stack.server.adminPort}`, ...options]
}

const records = () =>
  readFileSync(stack.auditFile, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>)

it('a workload that is let in is served', async () => {
  expect(await read(NEW)).toMatchObject({ status: 403, reason: 'caller-unknown' })
  const { code, out } = await command('onboard', NEW, '--tenant', 'acme', '--apply')
  expect(code).toBe(0)
  expect(out).toContain('It may search, read, observe in handbook')
  await vi.waitFor(async () => expect((await read(NEW)).status).toBe(200), { timeout: 15_000, interval: 100 })
})

describe('a workload that is let go', () => {
  it('is refused on its next call, also on a connection that stays open, and what waited for a yes is gone', async () => {
    const agent = keptOpen()
    expect((await read(INDEXER, agent)).status).toBe(200)
    const dropping = { method: 'DELETE', target: namedPath('acme', 'scratch-old') }
    const waiting = await call(stack.door, stack.credentials(INDEXER), dropping)
    expect(waiting).toMatchObject({ status: 403, reason: 'approval-required' })

    const { code, out } = await command('offboard', INDEXER, '--reason', 'its host was broken into', '--apply', '--json', ...operator())
    const { steps } = JSON.parse(out) as { steps: { step: string; done: boolean; says: string }[] }
    expect(steps.map(({ step, done }) => [step, done])).toEqual([
      ['revoke', true],
      ['grants', true],
      ['policy', true]
    ])
    expect(code).toBe(0)
    expect(steps.find(({ step }) => step === 'grants')?.says).toBe('1 grants and approvals ended')

    expect(await read(INDEXER, agent)).toMatchObject({ status: 401, reason: 'identity-revoked' })
    agent.destroy()
  })

  it('is on record: by whom, why, and what ended', async () => {
    const acts = (name: string) => records().filter(({ kind, act }) => kind === 'operator_act' && act === name)
    const told = () => {
      expect(acts('identity.revoke').at(-1)).toMatchObject({
        stage: 'done',
        by: OPERATOR,
        reason: 'its host was broken into',
        spiffe_id: INDEXER
      })
      expect(acts('workload.end')).toMatchObject([
        { stage: 'begun', by: OPERATOR, reason: 'its host was broken into' },
        { stage: 'done', by: OPERATOR, workload: INDEXER, ended: [expect.any(String)] }
      ])
    }
    // Records are written behind the answer.
    await vi.waitFor(told, { timeout: 15_000, interval: 100 })
  })

  it('by nobody but an operator', async () => {
    const { cert, key } = stack.credentials(NEW)
    writeFileSync(join(stack.folder, 'operator-svid.pem'), cert)
    writeFileSync(join(stack.folder, 'operator-key.pem'), key)
    const options = ['svid', 'key', 'bundle'].flatMap((name) => [`--${name}`, join(stack.folder, `operator-${name}.pem`)])
    const admin = ['--admin', `127.0.0.1:${stack.server.adminPort}`, ...options]
    const run = policyCommand('offboard', { print: () => undefined, complain: () => undefined })
    expect(await run?.([NEW, '--reason', 'mine', '--apply', ...admin])).toBe(1)
    expect((await read(NEW)).status).toBe(200)
  })
})
