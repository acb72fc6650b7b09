/** PagerDuty's Events API v2, `POST /v2/enqueue`: `trigger` and `resolve` by one `dedup_key`. */
import { PAGE_SUMMARY_CHARACTERS_MAX } from '../core/page.ts'
import { isoTime, JSON_TYPE, type Message, type Telling } from './message.ts'

/** @param routingKey integration key of a service or a ruleset */
export function pagerdutyMessage(
  { page, state, from }: Telling,
  { url, routingKey }: { readonly url: string; readonly routingKey: string }
): Message {
  const common = { routing_key: routingKey, dedup_key: page.key }
  const event = state === 'resolved' ? { ...common, event_action: 'resolve' } : { ...common, ...triggered(page, from) }
  return { url: `${url}/v2/enqueue`, headers: JSON_TYPE, body: JSON.stringify(event) }
}

function triggered(page: Telling['page'], from: string) {
  const { kind, severity, subject, cause, summary, place, figures, decisionIds, since, until } = page
  return {
    event_action: 'trigger',
    client: 'vecauthz',
    payload: {
      summary: summary.slice(0, PAGE_SUMMARY_CHARACTERS_MAX).toWellFormed(),
      severity,
      source: from,
      timestamp: isoTime(since),
      component: subject,
      group: place['tenant'],
      class: kind,
      custom_details: {
        subject,
        cause,
        ...place,
        figures,
        decision_ids: decisionIds,
        ends_by_itself: until === undefined ? undefined : isoTime(until)
      }
    }
  }
}
