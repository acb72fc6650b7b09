/**
 * A webhook of one's own, signed as "Standard Webhooks" 1.0 says (github.com/standard-webhooks): HMAC-SHA256 over id, time and body. The
 * id is the same for every try, so a receiver knows what it has; the time is that of the try, so an old one can be refused.
 */
import { createHmac } from 'node:crypto'
import { isoTime, JSON_TYPE, type Message, type Telling } from './message.ts'

/** Bytes of the key: what the specification asks for. */
const KEY_BYTES = { least: 24, most: 64 } as const
const PREFIX = 'whsec_'

/** @param secret `whsec_` and the key in base64, as `openssl rand -base64 32` makes it. @returns the key, undefined where it is none */
export function webhookKey(secret: string): Buffer | undefined {
  const text = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined
  const key = Buffer.from(text, 'base64')
  return key.length >= KEY_BYTES.least && key.length <= KEY_BYTES.most ? key : undefined
}

/** @param id and @param seconds as the headers have them. @param body the very bytes that are sent */
export function webhookSignature(key: Buffer, id: string, seconds: string, body: string): string {
  return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`
}

export function webhookMessage({ page, state, from, now }: Telling, { url, key }: { readonly url: string; readonly key: Buffer }): Message {
  const { about: _about, scope: _scope, decisionIds, since, until, ended, ...rest } = page
  const body = JSON.stringify({
    type: `vecauthz.page.${state}`,
    ...rest,
    state,
    decision_ids: decisionIds,
    since: isoTime(since),
    until: until === undefined ? undefined : isoTime(until),
    ended: ended === undefined ? undefined : { at: isoTime(ended.at), says: ended.says },
    server: from
  })
  const id = `${page.key}.${state}`
  const seconds = String(Math.floor(now / 1000))
  const signed = { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': webhookSignature(key, id, seconds, body) }
  return { url, headers: { ...JSON_TYPE, ...signed }, body }
}
