/** What receivers are sent, held against what they document. */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { PageState } from '../../src/core/page.ts'
import { alertmanagerMessage } from '../../src/paging/alertmanager.ts'
import { pagerdutyMessage } from '../../src/paging/pagerduty.ts'
import { receiverSecretFault } from '../../src/paging/receivers.ts'
import { webhookKey, webhookMessage } from '../../src/paging/webhook.ts'
import { AGENT, pageOf, T0 } from '../support/pages.ts'

const FROM = 'spiffe://demo.vecauthz.test/vecauthz'
const over = pageOf({ ended: { at: T0 + 60_000, says: 'stands normal now' } })
const telling = (state: PageState, now = T0 + 1_000) => ({ page: state === 'firing' ? pageOf() : over, state, from: FROM, now })
const json = (text: string) => JSON.parse(text)

describe('Alertmanager', () => {
  const message = (state: PageState, now?: number) =>
    alertmanagerMessage(telling(state, now), { url: 'https://am.test', authorization: 'Bearer x' })

  it('is told an alert that fires until the quarantine is over', () => {
    const { url, headers, body } = message('firing')
    expect(url).toBe('https://am.test/api/v2/alerts')
    expect(headers).toEqual({ 'content-type': 'application/json', authorization: 'Bearer x' })
    expect(json(body)).toEqual([
      {
        labels: {
          alertname: 'VecauthzQuarantine',
          severity: 'critical',
          subject: AGENT,
          cause: 'drift',
          episode: 'vecauthz-run-1.1',
          tenant: 'acme',
          agent_type: 'dba',
          database: 'demo',
          collection: 'manual'
        },
        annotations: {
          summary: pageOf().summary,
          decisions: '11111111-2222-4333-8444-555555555555',
          figures: '{"score":1,"novelty":55.5}'
        },
        startsAt: '2026-11-21T12:00:00.000Z',
        endsAt: '2026-11-22T12:00:00.000Z'
      }
    ])
  })

  it('knows by the very same labels that it is over, and when', () => {
    const [fired] = json(message('firing').body)
    const [resolved] = json(message('resolved', T0 + 90_000).body)
    expect(resolved.labels).toEqual(fired.labels)
    expect(resolved).toMatchObject({ startsAt: fired.startsAt, endsAt: '2026-11-21T12:01:00.000Z' })
    // A clock ahead of ours: an end that is to come would be none.
    expect(json(message('resolved', T0 + 30_000).body)[0].endsAt).toBe('2026-11-21T12:00:30.000Z')
    expect(json(message('resolved', T0 - 1).body)[0].endsAt).toBe('2026-11-21T12:00:00.000Z')
  })

  it('gets no header that nobody asked for', () => {
    expect(alertmanagerMessage(telling('firing'), { url: 'https://am.test', authorization: undefined }).headers).toEqual({
      'content-type': 'application/json'
    })
  })
})

describe('PagerDuty', () => {
  const message = (state: PageState) =>
    pagerdutyMessage(telling(state), { url: 'https://events.pagerduty.com', routingKey: 'r'.repeat(32) })

  it('is triggered by what it needs', () => {
    const { url, body } = message('firing')
    expect(url).toBe('https://events.pagerduty.com/v2/enqueue')
    expect(json(body)).toMatchObject({
      routing_key: 'r'.repeat(32),
      event_action: 'trigger',
      dedup_key: 'vecauthz-run-1.1',
      payload: { summary: pageOf().summary, severity: 'critical', source: FROM, component: AGENT, class: 'quarantine', group: 'acme' }
    })
  })

  it('is resolved by the same key', () => {
    expect(json(message('resolved').body)).toEqual({
      routing_key: 'r'.repeat(32),
      event_action: 'resolve',
      dedup_key: 'vecauthz-run-1.1'
    })
  })

  it('never gets a longer summary than it takes, nor half a character', () => {
    const page = pageOf({ summary: `${'x'.repeat(1_023)}😀` })
    const { payload } = json(pagerdutyMessage({ ...telling('firing'), page }, { url: '', routingKey: '' }).body)
    expect(payload.summary).toHaveLength(1_024)
    expect(payload.summary.isWellFormed()).toBe(true)
  })
})

describe('a webhook', () => {
  const secret = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
  const key = webhookKey(secret) as Buffer
  const message = (state: PageState, now?: number) => webhookMessage(telling(state, now), { url: 'https://hook.test', key })

  /** As docs/paging.md tells receivers to. */
  function isOurs({ headers, body }: ReturnType<typeof message>, now: number): boolean {
    const { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': given = '' } = headers
    if (Math.abs(now / 1000 - Number(seconds)) > 300) return false
    const good = createHmac('sha256', Buffer.alloc(32, 7)).update(`${id}.${seconds}.${body}`).digest()
    return given.split(' ').some((one) => one.startsWith('v1,') && timingSafeEqual(Buffer.from(one.slice(3), 'base64'), good))
  }

  it('is signed, so that a receiver knows us', () => {
    expect(isOurs(message('firing'), T0)).toBe(true)
    expect(json(message('firing').body)).toMatchObject({
      type: 'vecauthz.page.firing',
      key: 'vecauthz-run-1.1',
      state: 'firing',
      kind: 'quarantine',
      subject: AGENT,
      decision_ids: ['11111111-2222-4333-8444-555555555555'],
      server: FROM
    })
    expect(json(message('resolved').body)).toMatchObject({ type: 'vecauthz.page.resolved', ended: { says: 'stands normal now' } })
  })

  it.each([
    ['another body', (one: ReturnType<typeof message>) => ({ ...one, body: one.body.replace('critical', 'info') })],
    ['another id', (one: ReturnType<typeof message>) => ({ ...one, headers: { ...one.headers, 'webhook-id': 'x' } })],
    ['another time', (one: ReturnType<typeof message>) => ({ ...one, headers: { ...one.headers, 'webhook-timestamp': '1' } })]
  ])('with %s is not ours', (_, change) => {
    expect(isOurs(change(message('firing')), T0)).toBe(false)
  })

  it('sent again much later is not taken, and each try has its own time and the same id', () => {
    expect(isOurs(message('firing'), T0 + 400_000)).toBe(false)
    const [one, other] = [message('firing', T0), message('firing', T0 + 60_000)]
    expect(one.headers['webhook-id']).toBe(other.headers['webhook-id'])
    expect(one.headers['webhook-timestamp']).not.toBe(other.headers['webhook-timestamp'])
    expect(message('resolved').headers['webhook-id']).not.toBe(one.headers['webhook-id'])
  })

  it.each([
    ['whsec_ and 24 bytes', `whsec_${Buffer.alloc(24).toString('base64')}`, true],
    ['64 bytes without a prefix', Buffer.alloc(64).toString('base64'), true],
    ['23 bytes', `whsec_${Buffer.alloc(23).toString('base64')}`, false],
    ['65 bytes', `whsec_${Buffer.alloc(65).toString('base64')}`, false],
    ['a password', 'correct horse battery staple', false],
    ['nothing', '', false]
  ])('%s as its key: %s is %s', (_, text, good) => {
    expect(receiverSecretFault('webhook', text) === undefined).toBe(good)
    expect(receiverSecretFault('webhook', text) ?? '').not.toContain(text || 'never')
  })

  it('a secret that would end a header is none', () => {
    expect(receiverSecretFault('alertmanager', 'Bearer abc')).toBeUndefined()
    expect(receiverSecretFault('alertmanager', 'Bearer abc\r\nx: y')).toBeDefined()
    expect(receiverSecretFault('pagerduty', '')).toBeDefined()
  })
})
