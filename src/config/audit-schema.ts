/** `audit` of the settings: where records go, and what holds them together. */
import { z } from 'zod'
import { parseSpiffeId } from '../core/spiffe-id.ts'

const MIB_MAX = 1024 * 1024
const URL = /^(https:\/\/|http:\/\/(127\.0\.0\.1|\[::1\]|localhost)[:/])[^\s?#@]+$/

const file = z.string().min(1)
const rotate = z
  .strictObject({
    mib: z.int().min(1).max(MIB_MAX).default(256).describe('A file of so many MiB is put aside; its name then ends with the time'),
    hours: z.int().min(1).max(8_784).default(24).describe('So is one that is so old'),
    keep: z.int().min(1).max(100_000).optional().describe('Files put aside that stay; without it, all of them')
  })
  .optional()

const keyPair = z.strictObject({
  cert_file: file.describe('PEM, the leaf first, relative to this file'),
  key_file: file.describe('Its private key, relative to this file')
})

const http = z
  .strictObject({
    url: z.string().regex(URL, 'must be an https:// URL (http:// for loopback only)').describe('Where batches are posted'),
    authorization_file: file
      .optional()
      .describe('File with the value of the `authorization` header, relative to this file; read for each batch'),
    ca_file: file
      .optional()
      .describe('PEM of the authorities for that host, instead of the public ones, relative to this file; read again when it changes'),
    client: z
      .union([z.literal('svid'), keyPair])
      .optional()
      .describe(
        'How the server proves itself to that host: `svid`, or `{ cert_file, key_file }` (PEM, relative to this file), read again when they change'
      ),
    server_id: z
      .string()
      .refine((text) => parseSpiffeId(text).ok, 'must be a SPIFFE ID')
      .optional()
      .describe('SPIFFE ID that the host must prove by the bundles of the Workload API, in the place of a name: else it gets nothing'),
    timeout_ms: z.int().min(100).max(60_000).default(10_000).describe('How long an answer may take before the batch is sent again')
  })
  .refine(({ ca_file, server_id }) => ca_file === undefined || server_id === undefined, 'has ca_file or server_id, not both')
  .refine(
    ({ url, client, server_id }) => (client === undefined && server_id === undefined) || url.startsWith('https://'),
    'client and server_id need an https:// URL'
  )

const place = {
  file: file.optional().describe('A file, relative to this file, or `stdout`'),
  rotate: rotate.describe('When that file is put aside; without it, never'),
  http: http.optional().describe('Batches of lines (NDJSON) by POST; sent again until the answer is 2xx'),
  otlp: http
    .optional()
    .describe('OpenTelemetry logs (OTLP over HTTP in JSON), such as https://collector:4318/v1/logs; sent again the same way')
}

const onePlace = (sink: { readonly file?: unknown; readonly http?: unknown; readonly otlp?: unknown }) =>
  [sink.file, sink.http, sink.otlp].filter((one) => one !== undefined).length === 1
const ONE_PLACE = 'must have exactly one of file, http and otlp'

const sink = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'must be 1 to 32 of a-z, 0-9, "-"')
      .describe('Name in the log and in metrics, and of its folder under `spill`'),
    records: z
      .enum(['all', 'agents', 'people'])
      .default('all')
      .describe('`people`: records that name an end user or an operator; `agents`: all others'),
    ...place
  })
  .refine(onePlace, ONE_PLACE)

export const audit = z
  .strictObject({
    file: file.optional().describe('File for all records, or `stdout`, relative to where the server is started'),
    rotate: rotate.describe('When that file is put aside; without it, never'),
    sinks: z.array(sink).min(1).max(8).optional().describe('Further places for records, or for a part of them'),
    buffer_mib: z.int().min(1).max(1_024).default(8).describe('What each sink may keep waiting in memory, in MiB: some 1,000 records each'),
    spill: z
      .strictObject({
        folder: file.describe(
          'Folder for what waits beyond that, relative to this file; one process each. What is left there is delivered at the next start'
        ),
        mib: z.int().min(1).max(MIB_MAX).default(1_024).describe('Most that may wait there for each sink, in MiB')
      })
      .optional()
      .describe('Disk for what a sink does not take; without it, memory is all there is'),
    when_full: z
      .enum(['deny', 'let_reads_pass'])
      .default('deny')
      .describe(
        'When there is no room for a record: `deny` refuses the call. `let_reads_pass` lets searches and reads pass unrecorded, and says so'
      ),
    chain: z
      .strictObject({
        anchor_seconds: z.int().min(1).max(3_600).default(10).describe('How often the heads of the chains are signed and sent away'),
        anchors: z
          .strictObject(place)
          .refine(onePlace, ONE_PLACE)
          .describe('Where signed heads go: a place that whoever can change the records cannot reach')
      })
      .optional()
      .describe('Each record carries the hash of the one before it, so that `vecauthz audit verify` finds what was changed or taken away'),
    prompt_id_key_file: file
      .optional()
      .describe('File with a secret of 32 bytes or more, relative to this file: records then carry `prompt_id`, the same for equal queries')
  })
  .refine(({ file: one, sinks }) => one !== undefined || sinks !== undefined, 'must have file or sinks')
  .refine(({ sinks = [] }) => new Set(sinks.map(({ name }) => name)).size === sinks.length, 'has two sinks of one name')

export type AuditSettings = z.infer<typeof audit>
