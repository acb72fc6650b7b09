/** `paging` of the settings: who is called, for what, and how it is proven that it was us. */
import { z } from 'zod'
import { SEVERITIES, type Severity } from '../core/page.ts'
import type { DocumentFault } from '../core/policy-document.ts'

const URL_OF = /^(https:\/\/[^\s@#]+|http:\/\/(127\.0\.0\.1|\[::1\]|localhost)(:\d{1,5})?(\/[^\s@#]*)?)$/

const grave = (what: string, standard: Severity) =>
  z
    .enum([...SEVERITIES, 'off'])
    .default(standard)
    .describe(what)

const receiver = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'must be 1 to 32 of a-z, 0-9, "-"')
    .describe('Name in logs and metrics'),
  kind: z
    .enum(['alertmanager', 'pagerduty', 'webhook'])
    .describe('Alertmanager (API v2), PagerDuty (Events API v2), or a signed POST to a receiver of your own'),
  url: z
    .string()
    .regex(URL_OF, 'must be an https:// URL (http:// for loopback only)')
    .optional()
    .describe('Where: of Alertmanager without `/api/v2/alerts`; of PagerDuty `https://events.pagerduty.com` where it is not said'),
  ca_file: z.string().min(1).optional().describe('PEM of the authorities for that host, instead of the public ones, relative to this file'),
  secret: z
    .strictObject({
      file: z.string().min(1).optional().describe('File that holds the text, relative to this file'),
      env: z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
        .optional()
        .describe('Environment variable of this server that holds it')
    })
    .optional()
    .describe(
      'PagerDuty: the integration key. Webhook: the signing key, `whsec_` and 24 to 64 bytes in base64. Alertmanager: the value of `authorization`, where one is asked for'
    ),
  at_least: z.enum(SEVERITIES).default('info').describe('Nothing less grave is told it')
})

export const paging = z.strictObject({
  folder: z
    .string()
    .min(1)
    .describe('Folder for what is to be told and what could not be (`dead-letters.jsonl`), relative to this file; processes may share it'),
  receivers: z.array(receiver).min(1).max(16).describe('Who is told, each by itself'),
  severity: z
    .strictObject({
      quarantine: grave('Of a quarantine', 'critical'),
      step_up: grave('Of a step-up that somebody has to answer', 'warning'),
      monitoring: grave('Of a figure whose rule says `page`', 'warning'),
      outage: grave('Of a server that is not ready, or knows nothing new of standings', 'error')
    })
    .prefault({})
    .describe('How grave each is; `off`: nobody is called'),
  outage_after_seconds: z.int().min(5).max(3_600).default(30).describe('So long an outage lasts before anybody is called'),
  give_up_seconds: z
    .int()
    .min(10)
    .max(7 * 86_400)
    .default(86_400)
    .describe('So long a page is tried; then it is a dead letter')
})

export type PagingSettings = z.infer<typeof paging>
export type ReceiverSettings = PagingSettings['receivers'][number]

/** What the schema cannot say. Paths are below `paging`. */
export function pagingFaults({ receivers }: PagingSettings): DocumentFault[] {
  const faults: DocumentFault[] = []
  const ids = new Set<string>()
  for (const [at, { id, kind, url, secret }] of receivers.entries()) {
    const place = ['receivers', at]
    if (ids.has(id)) faults.push({ path: [...place, 'id'], says: `Receiver "${id}" stands here twice`, remedy: 'Rename one.' })
    ids.add(id)
    if (url === undefined && kind !== 'pagerduty')
      faults.push({ path: place, says: `A receiver of kind ${kind} needs url`, remedy: 'Say where it is.' })
    if (secret === undefined && kind !== 'alertmanager')
      faults.push({ path: place, says: `A receiver of kind ${kind} needs secret`, remedy: 'Say where its key is: file or env.' })
    if (secret !== undefined && (secret.file === undefined) === (secret.env === undefined))
      faults.push({ path: [...place, 'secret'], says: 'secret is in one place: file or env', remedy: 'Say once where it is.' })
  }
  return faults
}
