/**
 * What Envoy tells of answers (envoy.service.accesslog.v3.StreamAccessLogsMessage): which decision a call had, whether it reached a
 * database, and how much came back. Straight from the wire, only the fields that are needed: there is one entry for each call.
 */
import { next, type Walk, walk } from './wire.ts'

/** One call that is over. */
export interface SeenAnswer {
  /** Empty: Envoy knows of no decision. */
  readonly decisionId: string
  /** `allow`, `deny` or empty. */
  readonly verdict: string
  /** SPIFFE ID of the TLS peer of Envoy; empty where there is none. */
  readonly workload: string
  readonly authority: string
  /** It was sent to a host behind Envoy. */
  readonly reached: boolean
  /** HTTP status; 0 where there was none. */
  readonly status: number
  /** Bytes of the body that came back. */
  readonly bytes: number
  /** Of Envoy's response flags, those that are set, by their field number in `ResponseFlags`. */
  readonly flags: readonly number[]
}

type Draft = { -readonly [Name in keyof SeenAnswer]: SeenAnswer[Name] } & { flags: number[] }

/** Texts of an entry: nothing that is looked at is longer. */
const TEXT_BYTES_MAX = 2_048

/** Undefined: not such a message. Entries of TCP are passed over. */
export function readAccessLog(message: Buffer): readonly SeenAnswer[] | undefined {
  const seen: SeenAnswer[] = []
  // http_logs = 2 { log_entry = 1 }
  const whole = into(walk(message), { 2: (logs) => into(logs, { 1: (entry) => readEntry(entry, seen) }) })
  return whole ? seen : undefined
}

/** HTTPAccessLogEntry: common_properties = 1, request = 3, response = 4. */
function readEntry(entry: Walk, seen: SeenAnswer[]): boolean {
  const its: Draft = { decisionId: '', verdict: '', workload: '', authority: '', reached: false, status: 0, bytes: 0, flags: [] }
  const whole = into(entry, {
    1: (common) => readCommon(common, its),
    3: (request) =>
      into(request, {
        3: text((said) => {
          its.authority = said
        })
      }),
    4: (response) => readResponse(response, its)
  })
  if (whole) seen.push(its)
  return whole
}

/** AccessLogCommon: tls_properties = 4, upstream_remote_address = 13, response_flags = 16, metadata = 17. */
function readCommon(common: Walk, its: Draft): boolean {
  return into(common, {
    4: (tls) =>
      into(tls, {
        5: (peer) =>
          into(peer, {
            1: (name) =>
              into(name, {
                1: text((uri) => {
                  its.workload ||= uri
                })
              })
          })
      }),
    13: () => {
      its.reached = true
      return true
    },
    16: (flags) => readFlags(flags, its),
    // Metadata.filter_metadata = 1: key = 1, value = 2 (Struct)
    17: (metadata) => into(metadata, { 1: (filter) => readMetadata(filter, its) })
  })
}

function readFlags(flags: Walk, its: Draft): boolean {
  while (next(flags)) its.flags.push(flags.field.number)
  return !flags.broken
}

const FILTER = 'envoy.filters.http.ext_authz'

function readMetadata(filter: Walk, its: Draft): boolean {
  let name = ''
  return into(filter, {
    1: text((said) => {
      name = said
    }),
    // Struct.fields = 1: key = 1, value = 2 { string_value = 3 }
    2: (struct) => name !== FILTER || into(struct, { 1: (field) => readField(field, its) })
  })
}

function readField(field: Walk, its: Draft): boolean {
  let name = ''
  return into(field, {
    1: text((said) => {
      name = said
    }),
    2: (value) =>
      into(value, {
        3: text((said) => {
          if (name === 'verdict') its.verdict = said
          if (name === 'decision_id') its.decisionId = said
        })
      })
  })
}

/** HTTPResponseProperties: response_code = 1 (UInt32Value), response_body_bytes = 3. */
function readResponse(response: Walk, its: Draft): boolean {
  while (next(response)) {
    const { number, wire, start, end, value } = response.field
    if (number === 3 && wire === 0) its.bytes = value
    if (number !== 1 || wire !== 2) continue
    const code = walk(response.bytes, start, end)
    while (next(code)) if (code.field.number === 1) its.status = code.field.value
    if (code.broken) return false
  }
  return !response.broken
}

/** Reads the parts of a message that somebody asks for; true when it was whole. */
function into(message: Walk, parts: Readonly<Record<number, (part: Walk) => boolean>>): boolean {
  while (next(message)) {
    const { number, wire, start, end } = message.field
    const read = wire === 2 ? parts[number] : undefined
    if (read !== undefined && !read(walk(message.bytes, start, end))) return false
  }
  return !message.broken
}

function text(take: (said: string) => void): (part: Walk) => boolean {
  return ({ bytes, at, end }) => {
    take(bytes.toString('utf8', at, Math.min(end, at + TEXT_BYTES_MAX)))
    return true
  }
}
