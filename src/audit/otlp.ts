/**
 * Records as OTLP logs in JSON (opentelemetry-proto, ExportLogsServiceRequest; 64-bit numbers are text, ids are hex). The body is the
 * record as it is, chain and all, so that what a collector keeps can be verified; a few fields are attributes, to be searched by.
 */

/** Fields that are worth an index. */
const ATTRIBUTES = [
  'decision_id',
  'kind',
  'verdict',
  'reason',
  'role',
  'actor_kind',
  'agent_type',
  'tenant',
  'database',
  'operation'
] as const
const INFO = { severityNumber: 9, severityText: 'INFO' }
const WARN = { severityNumber: 13, severityText: 'WARN' }
const TRACE = /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})/

/** @param lines records, each ended by a newline */
export function otlpLogs(lines: Buffer): string {
  const logRecords = lines.toString('utf8').split('\n').filter(Boolean).map(logRecord)
  const resource = { attributes: [attribute('service.name', 'vecauthz')] }
  return JSON.stringify({ resourceLogs: [{ resource, scopeLogs: [{ scope: { name: 'vecauthz.audit' }, logRecords }] }] })
}

function logRecord(line: string) {
  const record = JSON.parse(line) as Readonly<Record<string, unknown>>
  const nanoseconds = `${Date.parse(String(record['ts']))}000000`
  const [, traceId, spanId, flags = '0'] = TRACE.exec(String(record['traceparent'] ?? '')) ?? []
  const attributes = ATTRIBUTES.flatMap((name) => (typeof record[name] === 'string' ? [attribute(`vecauthz.${name}`, record[name])] : []))
  return {
    timeUnixNano: nanoseconds,
    observedTimeUnixNano: nanoseconds,
    ...(record['verdict'] === 'deny' ? WARN : INFO),
    eventName: record['kind'] === undefined ? 'vecauthz.decision' : `vecauthz.${record['kind']}`,
    body: { stringValue: line },
    attributes,
    ...(traceId === undefined ? {} : { traceId, spanId, flags: Number.parseInt(flags, 16) })
  }
}

function attribute(key: string, value: string) {
  return { key, value: { stringValue: value } }
}
