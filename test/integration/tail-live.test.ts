/** `vecauthz tail` and `vecauthz revoke` on the demo's stack: what an on-call sees, what is done about it, and that it is done at once. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { admin, gatewayDesk } from '../../demo/approve.ts'
import { call } from '../../demo/client.ts'
import { GATEWAY_SERVER, INDEXER, OPERATOR, SUPPORT } from '../../demo/identities.ts'
import { type Stack, startStack } from '../../demo/stack.ts'
import { collectionPath, namedPath, type Scene, sceneOf, searchBody } from '../../demo/step.ts'

const FOLDER = join(import.meta.dirname, '../../.run/test-tail')
const MAIN = join(import.meta.dirname, '../../src/main.ts')
const WAIT = { timeout: 60_000, interval: 50 }

let stack: Stack
let scene: Scene
let tail: ChildProcess
const said = { out: '', err: '' }

beforeAll(async () => {
  stack = await startStack({ folder: FOLDER, say: () => undefined })
  scene = sceneOf(stack)
  const who = ['--server', GATEWAY_SERVER, '--workload-api', stack.issuer.socketOf(OPERATOR)]
  const lanes = [stack.server, stack.writes].flatMap(({ adminPort }) => ['--admin', `127.0.0.1:${adminPort}`])
  tail = spawn(process.execPath, [MAIN, 'tail', '--json', ...lanes, ...who], { stdio: ['ignore', 'pipe', 'pipe'] })
  tail.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said.out += text
  })
  tail.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said.err += text
  })
  await vi.waitFor(() => expect([said.err, events().filter(({ event }) => event === 'joined').length]).toEqual(['', 2]), WAIT)
})
afterAll(async () => {
  tail?.kill('SIGKILL')
  await stack?.stop()
})

const events = () =>
  said.out
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>)
const shows = (decisionId: string | undefined) =>
  vi.waitFor(() => events().find(({ id }) => id === decisionId) ?? expect.fail(`the tail does not show ${decisionId}`), WAIT)
const search = (who = scene.who.support) =>
  call(stack.door, who, { target: collectionPath('acme', stack.collections['acme'] ?? '', 'query'), body: searchBody('acme') })
const revoke = (...args: string[]) => admin(stack, OPERATOR, gatewayDesk(stack.server), 'revoke', ...args)

describe('an on-call', () => {
  it('sees a denial with its reason, and who allowed calls are of', async () => {
    const allowed = await search()
    expect(allowed.status).toBe(200)
    const denied = await call(stack.door, scene.who.support, { target: namedPath('globex', 'handbook') })
    expect(denied.status).toBe(403)
    expect(await shows(denied.decisionId)).toMatchObject({
      server: `127.0.0.1:${stack.server.adminPort}`,
      verdict: 'deny',
      reason: 'tenant-not-allowed',
      workload: SUPPORT,
      tells: 'This workload may not act for the tenant it named.'
    })
    expect(events()).toContainEqual(expect.objectContaining({ verdict: 'allow', workload: SUPPORT, tenant: 'acme', operation: 'search' }))
  })

  it.each([
    { what: 'a workload', named: () => [SUPPORT] },
    {
      what: 'a certificate, out of its file',
      named: () => {
        const file = join(FOLDER, 'stolen.pem')
        writeFileSync(file, scene.who.support.cert)
        return ['--of', file]
      }
    }
  ])(
    'revokes $what: its next call is refused, and the tail shows it; nobody else is; and ends it',
    async ({ named }) => {
      const what = named()
      expect(await revoke('add', ...what, '--reason', 'ticket 4711')).toMatchObject({ exit: 0, err: '' })
      const refused = await search()
      expect([refused.status, refused.reason]).toEqual([401, 'identity-revoked'])
      expect(await shows(refused.decisionId)).toMatchObject({ verdict: 'deny', reason: 'identity-revoked' })
      expect((await call(stack.door, scene.who.indexer, { target: namedPath('acme', 'handbook') })).status).toBe(200)
      expect((await revoke('list')).out).toContain('ticket 4711')
      expect(await revoke('end', ...what, '--reason', 'it was a drill')).toMatchObject({ exit: 0 })
      expect((await revoke('list')).out).toBe('Nothing is revoked, beside what the policy says.\n')
      expect((await search()).status).toBe(200)
    },
    180_000
  )

  it('is who revokes; a workload does not', async () => {
    const said = await admin(stack, INDEXER, gatewayDesk(stack.server), 'revoke', 'add', SUPPORT, '--reason', 'x')
    expect(said).toMatchObject({ exit: 1, err: expect.stringContaining('may not') })
    expect((await search()).status).toBe(200)
  })

  it('ends the tail by Ctrl-C, and that is no fault', async () => {
    const ended = once(tail, 'exit')
    tail.kill('SIGINT')
    expect(await ended).toEqual([0, null])
    expect(said.err).toBe('')
  })
})
