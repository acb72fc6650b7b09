/** What a receiver is sent, before it is sent. */
import type { Page, PageState } from '../core/page.ts'

/** One POST. */
export interface Message {
  readonly url: string
  /** Hold secrets: never to be printed. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What is told, and when. */
export interface Telling {
  readonly page: Page
  readonly state: PageState
  /** SPIFFE ID of this server. */
  readonly from: string
  /** Milliseconds since the epoch. */
  readonly now: number
}

export const JSON_TYPE = { 'content-type': 'application/json' } as const

/** @param at milliseconds since the epoch; what lasts for ever ends with the calendar */
export function isoTime(at: number): string {
  return new Date(Math.min(at, 8.64e15)).toISOString()
}
