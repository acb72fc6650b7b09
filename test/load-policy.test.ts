/** A large policy is loaded beside the checks: the event loop goes on, and what comes out is what loading it at once gives. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadPolicy } from '../src/config/load.ts'
import { SERVED } from '../src/databases/dialects.ts'
import { loadPolicyAside } from '../src/load-policy.ts'
import { compilePolicy } from '../src/policy/compile.ts'
import { largePolicy, SETTINGS } from './support/large-policy.ts'
import { longestTurn } from './support/loop-turns.ts'

const folder = mkdtempSync(join(tmpdir(), 'vecauthz-large-'))
afterAll(() => rmSync(folder, { recursive: true }))

function fileOf(text: string): string {
  const file = join(folder, 'policy.yaml')
  writeFileSync(file, text)
  return file
}

// Each load starts a worker, which takes a while where the machine is busy.
describe('loading aside', { timeout: 30_000 }, () => {
  it('gives what loading at once gives', async () => {
    const watched = [60, 300].map((seconds) => ({ metric: 'request_rate', window_seconds: seconds, threshold: 5, action: 'flag' }))
    const asked = { approvals: { actions: ['drop'], approvers: ['spiffe://demo.vecauthz.test/people/ada'] }, monitoring: watched }
    const file = fileOf(JSON.stringify({ ...largePolicy(20, 250, 250), ...asked }))
    const now = Date.UTC(2026, 10, 21)
    const [aside, once] = [await loadPolicyAside(file, SETTINGS, now), loadPolicy(file, SETTINGS, SERVED, compilePolicy)]
    expect(aside.ok && aside.policy).toEqual(once.ok && once.policy)
    // What records say about it, too.
    expect(aside.ok && aside.policy.approvals?.source).toMatch(/^policy\.yaml:\d+ approvals$/)
    expect(aside.ok && aside.findings).toEqual([])
  })

  it('says each fault with its place, and what is no fault and yet not meant', async () => {
    const document = largePolicy(2, 4, 4)
    const misspelt = JSON.stringify(document, null, 1).replace('"t1"\n', '"t7"\n')
    const faults = await loadPolicyAside(fileOf(misspelt), SETTINGS, 0)
    expect(faults).toMatchObject({ ok: false, faults: [{ line: expect.any(Number), says: 'Tenant "t7" is not listed' }] })
    expect(await loadPolicyAside(join(folder, 'nowhere.yaml'), SETTINGS, 0)).toMatchObject({
      ok: false,
      faults: [{ says: 'Cannot be read (ENOENT)' }]
    })
    const lonely = { ...document, tenants: [...document.tenants, { id: 'lonely' }] }
    expect(await loadPolicyAside(fileOf(JSON.stringify(lonely)), SETTINGS, 0)).toMatchObject({
      ok: true,
      findings: [{ says: 'No workload may act for tenant "lonely"' }]
    })
  })

  it('holds the event loop for less than 20 ms at once, which loading at once does not', async () => {
    const file = fileOf(JSON.stringify(largePolicy(200, 600, 600)))
    expect(await longestTurn(() => loadPolicyAside(file, SETTINGS, 0))).toBeLessThan(20)
    expect(await longestTurn(async () => loadPolicy(file, SETTINGS, SERVED, compilePolicy))).toBeGreaterThan(20)
  })
})
