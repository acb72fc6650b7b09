/** The `traceparent` header (W3C Trace Context, §3.2): whose trace a decision is a part of. */
export interface TraceParent {
  /** 32 digits, lower-case hex. */
  readonly traceId: string
  /** 16 of them. */
  readonly spanId: string
  readonly isSampled: boolean
}

const FORM = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?$/

/** Undefined for what is none: then a trace begins here. */
export function traceParentOf(text: string | undefined): TraceParent | undefined {
  const [, traceId = '', spanId = '', flags = '0'] = FORM.exec(text ?? '') ?? []
  if (!/[1-9a-f]/.test(traceId) || !/[1-9a-f]/.test(spanId)) return undefined
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & 1) === 1 }
}
