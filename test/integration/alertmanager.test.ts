/** Pages as a real Alertmanager takes them: it fires until it is told that it is over, and an alert that is said again is the same one. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { Page, PageState } from '../../src/core/page.ts'
import { openReceiver } from '../../src/paging/receivers.ts'
import { AGENT, pageOf } from '../support/pages.ts'
import { type Alertmanager, startAlertmanager, whyNoAlertmanager } from './support/alertmanager.ts'

const WAIT = { timeout: 15_000, interval: 50 }
const leftOut = whyNoAlertmanager()

describe.skipIf(leftOut !== undefined)(`Alertmanager${leftOut === undefined ? '' : ` (${leftOut})`}`, () => {
  let folder: string
  let alertmanager: Alertmanager
  let tell: (page: Page, state: PageState) => Promise<unknown>
  let close: () => void

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'vecauthz-am-'))
    alertmanager = await startAlertmanager(folder)
    const from = 'spiffe://demo.vecauthz.test/vecauthz'
    const receiver = openReceiver({
      id: 'am',
      kind: 'alertmanager',
      url: alertmanager.url,
      ca: undefined,
      secret: undefined,
      atLeast: 'info',
      from
    })
    tell = (page, state) => receiver.tell(page, state, Date.now())
    close = receiver.close
  })
  afterAll(async () => {
    close?.()
    await alertmanager?.stop()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  const now = Date.now()
  const page = pageOf({
    since: now - 1_000,
    until: now + 86_400_000,
    // What it takes for a label is UTF-8: whatever a collection is called arrives.
    place: { tenant: 'acme', agent_type: 'dba', database: 'demo', collection: 'händbuch "x" \\ \ud83d\ude00' }
  })

  it('takes a page, and knows it again when it is said again', async () => {
    expect(await tell(page, 'firing')).toEqual({ ok: true })
    expect(await tell(page, 'firing')).toEqual({ ok: true })
    await vi.waitFor(async () => expect(await alertmanager.alerts()).toHaveLength(1), WAIT)
    const [alert] = await alertmanager.alerts()
    expect(alert?.labels).toMatchObject({ alertname: 'VecauthzQuarantine', severity: 'critical', subject: AGENT, ...page.place })
    expect(alert?.annotations).toMatchObject({ summary: page.summary, decisions: '11111111-2222-4333-8444-555555555555' })
    expect(Date.parse(alert?.endsAt ?? '')).toBe(page.until)
  })

  it('takes each kind, and each is an alert of its own', async () => {
    for (const kind of ['step-up', 'monitoring', 'outage'] as const)
      expect(await tell(pageOf({ kind, key: kind, until: undefined, place: {}, decisionIds: [], figures: {} }), 'firing')).toEqual({
        ok: true
      })
    await vi.waitFor(async () => {
      const names = (await alertmanager.alerts()).map(({ labels }) => labels['alertname']).sort()
      expect(names).toEqual(['VecauthzFigure', 'VecauthzOutage', 'VecauthzQuarantine', 'VecauthzStepUp'])
    }, WAIT)
  })

  it('hears that it is over, and it no longer fires; the others still do', async () => {
    const ended = { at: Date.now(), says: 'released' }
    expect(await tell({ ...page, ended }, 'resolved')).toEqual({ ok: true })
    await vi.waitFor(async () => {
      const names = (await alertmanager.alerts()).map(({ labels }) => labels['alertname'])
      expect([names.includes('VecauthzQuarantine'), names.length]).toEqual([false, 3])
    }, WAIT)
  })

  it('a clock that went back tells no end before the beginning: that is no alert', async () => {
    const since = Date.now()
    expect(await tell(pageOf({ key: 'back', since, ended: { at: since - 3_600_000, says: 'released' } }), 'resolved')).toEqual({ ok: true })
  })
})
