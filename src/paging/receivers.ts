/** A receiver of the settings, as it is told: its format, its secret, its connection. */
import type { Result } from '../core/deny-reason.ts'
import { type PageState, SEVERITIES, type Severity } from '../core/page.ts'
import type { Secret } from '../core/secret.ts'
import { ALERTMANAGER_REPEAT_MS, alertmanagerMessage } from './alertmanager.ts'
import type { Message, Telling } from './message.ts'
import type { Receiver } from './pager.ts'
import { pagerdutyMessage } from './pagerduty.ts'
import { createSender } from './send.ts'
import { webhookKey, webhookMessage } from './webhook.ts'

export interface ReceiverParts {
  readonly id: string
  readonly kind: 'alertmanager' | 'pagerduty' | 'webhook'
  /** Without a slash at its end. */
  readonly url: string
  /** PEM of the authorities to believe instead of the public ones. */
  readonly ca: string | undefined
  /** Undefined: none is needed. */
  readonly secret: ((now: number) => Result<Secret>) | undefined
  readonly atLeast: Severity
  /** SPIFFE ID of this server. */
  readonly from: string
}

export interface OpenReceiver extends Receiver {
  readonly close: () => void
}

export function openReceiver(parts: ReceiverParts): OpenReceiver {
  const { id, kind, ca, secret, atLeast, from } = parts
  const sender = createSender(ca)
  return {
    id,
    wants: (severity) => SEVERITIES.indexOf(severity) <= SEVERITIES.indexOf(atLeast),
    repeatMs: kind === 'alertmanager' ? ALERTMANAGER_REPEAT_MS : undefined,
    async tell(page, state: PageState, now) {
      const read = secret?.(now)
      if (read?.ok === false) return { ok: false, because: read.reason.because }
      return sender.send(messageFor(parts, { page, state, from, now }, read?.value.reveal()))
    },
    close: sender.close
  }
}

function messageFor({ kind, url }: ReceiverParts, telling: Telling, secret: string | undefined): Message {
  switch (kind) {
    case 'alertmanager':
      return alertmanagerMessage(telling, { url, authorization: secret })
    case 'pagerduty':
      return pagerdutyMessage(telling, { url, routingKey: secret ?? '' })
    case 'webhook':
      return webhookMessage(telling, { url, key: webhookKey(secret ?? '') ?? Buffer.alloc(0) })
  }
}

/** Why a text cannot be the secret of such a receiver; it says nothing of the text. */
export function receiverSecretFault(kind: ReceiverParts['kind'], text: string): string | undefined {
  if (kind === 'webhook') return webhookKey(text) === undefined ? 'no whsec_ and 24 to 64 bytes in base64' : undefined
  // A line end in a header would be another header.
  return /^[\x21-\x7e]([\x20-\x7e]{0,4094}[\x21-\x7e])?$/.test(text) ? undefined : 'not 1 to 4096 printable characters'
}
