/** Alertmanager's API v2, `POST /api/v2/alerts` (api/v2/openapi.yaml of prometheus/alertmanager, `postableAlerts`). */
import type { Page, PageKind } from '../core/page.ts'
import { isoTime, JSON_TYPE, type Message, type Telling } from './message.ts'

/** Alertmanager forgets with a restart, and what nobody repeats ends there after `resolve_timeout` (5 min where it is not set). */
export const ALERTMANAGER_REPEAT_MS = 120_000
/** End of what has none: later than some repeats, so that an alert outlives a slow one and ends when nobody tells it any more. */
const OPEN_END_MS = 10 * ALERTMANAGER_REPEAT_MS

const NAMES = {
  quarantine: 'VecauthzQuarantine',
  'step-up': 'VecauthzStepUp',
  monitoring: 'VecauthzFigure',
  outage: 'VecauthzOutage'
} as const satisfies Record<PageKind, string>

/** @param authorization value of that header, where Alertmanager stands behind something that asks for one */
export function alertmanagerMessage(
  { page, state, from, now }: Telling,
  { url, authorization }: { readonly url: string; readonly authorization: string | undefined }
): Message {
  const { summary, decisionIds, figures, since, until, ended } = page
  // An end before the start is refused, and one that is to come is none.
  const over = state === 'resolved' ? Math.max(since, Math.min(ended?.at ?? now, now)) : Math.max(until ?? 0, now + OPEN_END_MS)
  const annotations = {
    summary,
    ...(decisionIds.length === 0 ? {} : { decisions: decisionIds.join(' ') }),
    ...(Object.keys(figures).length === 0 ? {} : { figures: JSON.stringify(figures) }),
    ...(state === 'resolved' && ended !== undefined ? { ended: ended.says } : {})
  }
  const alert = { labels: labelsOf(page, from), annotations, startsAt: isoTime(since), endsAt: isoTime(over) }
  return {
    url: `${url}/api/v2/alerts`,
    headers: { ...JSON_TYPE, ...(authorization === undefined ? {} : { authorization }) },
    body: JSON.stringify([alert])
  }
}

/** They are the alert's identity: the same while it fires and when it is over, and of no replica. */
function labelsOf({ kind, severity, subject, cause, key, place }: Page, from: string): Readonly<Record<string, string>> {
  return { alertname: NAMES[kind], severity, subject, cause, episode: key, ...place, ...(kind === 'outage' ? { server: from } : {}) }
}
