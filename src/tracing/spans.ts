/**
 * Decisions as OpenTelemetry spans, joined to Envoy's trace: one for the decision, one in it for each stage. Made after the answer is
 * written, of few decisions; a collector that is away costs the spans and nothing else. Attributes are chosen: no workload, tenant or
 * collection leaves here, for the decision id leads to the record that has them.
 */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { resourceFromAttributes } from '@opentelemetry/resources'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import type { Decision } from '../core/decision.ts'
import type { StageTimes } from '../core/stages.ts'
import { traceParentOf } from '../core/trace-parent.ts'

export interface TraceSettings {
  /** Of the collector's OTLP over HTTP, such as `http://127.0.0.1:4318/v1/traces`. */
  readonly url: string
  /** Of decisions that belong to no trace, 0 to 1. */
  readonly ratio: number
  /** Traced decisions, whatever Envoy or a caller asks for. */
  readonly perSecondMax: number
  readonly role: string
}

/** What is looked at of a decision. */
export interface Traceable {
  readonly decisionId: string
  readonly at: number
  readonly account: {
    readonly database?: string
    readonly call?: { readonly operation: string }
    readonly risk?: { readonly after: string }
  }
  readonly decision: Decision
}

export interface Traces {
  /** @param parent `traceparent` of the request for this decision; undefined where there was none */
  readonly wants: (parent: string | undefined, now: number) => boolean
  readonly add: (decided: Traceable, times: StageTimes, parent: string | undefined) => void
  readonly close: () => Promise<void>
}

const QUEUE_MAX = 2_048
const SEND_MS = 2_000
const TIMEOUT_MS = 5_000

/** @param dice 0 to 1 */
export function openTraces({ url, ratio, perSecondMax, role }: TraceSettings, dice: () => number): Traces {
  const exporter = new OTLPTraceExporter({ url, timeoutMillis: TIMEOUT_MS })
  const processor = new BatchSpanProcessor({
    exporter,
    maxQueueSize: QUEUE_MAX,
    scheduledDelayMillis: SEND_MS,
    exportTimeoutMillis: TIMEOUT_MS
  })
  const resource = resourceFromAttributes({ 'service.name': 'vecauthz', 'vecauthz.role': role })
  const provider = new TracerProvider({ resource, spanProcessors: [processor] })
  const tracer = provider.getTracer('vecauthz')
  let second = Number.NaN
  let used = 0
  const isInPace = (now: number) => {
    const current = Math.floor(now / 1000)
    if (current !== second) used = 0
    second = current
    return ++used <= perSecondMax
  }
  return {
    wants(parent, now) {
      const known = traceParentOf(parent)
      return (known === undefined ? dice() < ratio : known.isSampled) && isInPace(now)
    },
    add(decided, { began, ends }, parent) {
      const known = traceParentOf(parent)
      const { traceId = '', spanId = '' } = known ?? {}
      const remote = { traceId, spanId, traceFlags: TraceFlags.SAMPLED, isRemote: true }
      const around = known === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, remote)
      const timeOf = (tick: number) => decided.at + (tick - began) / 1000
      const span = tracer.startSpan(
        'vecauthz.decide',
        { kind: SpanKind.SERVER, startTime: decided.at, attributes: attributesOf(decided) },
        around
      )
      if (isFault(decided.decision)) span.setStatus({ code: SpanStatusCode.ERROR })
      const inside = trace.setSpan(around, span)
      let before = began
      for (const { stage, at } of ends) {
        tracer.startSpan(`vecauthz.${stage}`, { startTime: timeOf(before) }, inside).end(timeOf(at))
        before = at
      }
      span.end(timeOf(before))
    },
    close: () => provider.shutdown()
  }
}

function attributesOf({ decisionId, account: { database, call, risk }, decision }: Traceable) {
  return {
    'vecauthz.decision_id': decisionId,
    'vecauthz.verdict': decision.verdict,
    ...(decision.verdict === 'deny' ? { 'vecauthz.reason': decision.reason.kind } : {}),
    ...(database === undefined ? {} : { 'vecauthz.database': database }),
    ...(call === undefined ? {} : { 'vecauthz.operation': call.operation }),
    ...(risk === undefined ? {} : { 'vecauthz.standing': risk.after })
  }
}

/** A refusal is no fault of ours, but for these. */
function isFault(decision: Decision): boolean {
  return decision.verdict === 'deny' && ['internal', 'deadline'].includes(decision.reason.kind)
}
