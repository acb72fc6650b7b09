/** Records as the server keeps them: the sinks of the settings, the SVID that signs the heads of the chains, and what happens when there is no room. */
import { randomBytes, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import type { Logger } from 'pino'
import { createPromptIds, type PromptIds } from './audit/prompt-id.ts'
import { auditLine, type Recordable, streamOf } from './audit/record.ts'
import type { OwnIdentity } from './audit/send-tls.ts'
import { type AuditSink, openSink } from './audit/sink.ts'
import type { SinkPlan } from './audit/worker.ts'
import { openWorkerSink } from './audit/worker-sink.ts'
import type { AuditSettings } from './config/audit-schema.ts'
import type { Settings } from './config/settings-schema.ts'
import { AUDIT_ANCHOR_TYPE, anchorMembers, type Head, type Stream } from './core/audit-anchor.ts'
import type { Inbound } from './core/inbound.ts'
import { textsOf } from './databases/call-text.ts'
import type { SvidSnapshot } from './spire/workload-api.ts'
import { type PolicyTokenSigner, policyTokenSigner, signCompact } from './verdict/policy-token.ts'

export interface ServedAudit extends AuditSink {
  /** False when the record cannot be kept, and the call must not pass for it. */
  readonly record: (decided: Decided) => boolean
  /** Why nothing may be sent here: records are not kept any more. */
  readonly fault: () => string | undefined
}

/** As `envoy/decide.ts` hands it over. */
type Decided = Recordable & { readonly inbound: Inbound | undefined }

export interface AuditEdges {
  readonly settingsFile: string
  readonly own: () => SvidSnapshot | undefined
  readonly log: Logger
}

const MIB = 1024 * 1024
const HOUR_MS = 3_600_000
const SAID_EVERY_MS = 10_000

/** Rejects with a sentence where a file or folder cannot be used. */
export async function openAudit({ audit }: Settings, edges: AuditEdges): Promise<ServedAudit> {
  let broken: string | undefined
  const onFault = (cause: Error) => {
    broken = 'records are not kept any more: the audit worker has failed'
    edges.log.fatal({ fault: cause.stack }, 'audit: the worker failed; every call is refused until a restart')
  }
  const sink = isPlain(audit) ? await plainSink(audit.file ?? 'stdout', edges) : await workerSink(audit, edges, onFault)
  return { ...sink, record: recorder(audit, sink, promptIdsOf(audit, edges), edges), fault: () => broken }
}

/** One file and nothing else needs no worker: lines are written as they are. */
function isPlain({ sinks, rotate, spill, chain }: AuditSettings): boolean {
  return sinks === undefined && rotate === undefined && spill === undefined && chain === undefined
}

function plainSink(file: string, { log }: AuditEdges): Promise<AuditSink> {
  return openSink(file, (cause) => log.error({ fault: cause.message }, 'audit: cannot write'))
}

function workerSink(audit: AuditSettings, { settingsFile, own, log }: AuditEdges, onFault: (cause: Error) => void): Promise<AuditSink> {
  const run = randomBytes(8).toString('hex')
  const at = (path: string) => (path === 'stdout' || isAbsolute(path) ? path : join(dirname(settingsFile), path))
  const { chain, spill, buffer_mib, sinks = [] } = audit
  const plans: SinkPlan[] = [
    // As ever, this one lies where the server is started.
    ...(audit.file === undefined
      ? []
      : [
          {
            name: 'file',
            takes: 'all' as const,
            to: placeOf({ ...audit, file: audit.file === 'stdout' ? 'stdout' : resolve(audit.file) }, at)
          }
        ]),
    ...sinks.map((sink) => ({ name: `sink-${sink.name}`, takes: sink.records, to: placeOf(sink, at) })),
    ...(chain === undefined ? [] : [{ name: 'anchors', takes: 'anchors' as const, to: placeOf(chain.anchors, at) }])
  ]
  return openWorkerSink({
    plan: {
      sinks: plans,
      run,
      chained: chain !== undefined,
      memoryBytesMax: buffer_mib * MIB,
      spill: spill && { folder: at(spill.folder), bytesMax: spill.mib * MIB }
    },
    bufferBytesMax: buffer_mib * MIB,
    sign: chain && signerOfHeads(run, own, log),
    anchorMs: (chain?.anchor_seconds ?? 0) * 1000,
    identity: plans.some(asksWhoWeAre) ? identityOf(own) : undefined,
    onTrouble: (name, because) => {
      if (because === undefined) log.info({ sink: name }, 'audit: delivered again')
      else log.error({ sink: name, because }, 'audit: a sink does not take records; they wait')
    },
    onFault
  })
}

interface Place {
  readonly file?: string | undefined
  readonly rotate?: AuditSettings['rotate']
  readonly http?: HttpPlace | undefined
  readonly otlp?: HttpPlace | undefined
}

interface HttpPlace {
  readonly url: string
  readonly authorization_file?: string | undefined
  readonly ca_file?: string | undefined
  readonly client?: 'svid' | { readonly cert_file: string; readonly key_file: string } | undefined
  readonly server_id?: string | undefined
  readonly timeout_ms: number
}

function placeOf({ file, rotate, http, otlp }: Place, at: (path: string) => string): SinkPlan['to'] {
  const posted = http ?? otlp
  if (posted === undefined) {
    const { mib, hours, keep } = rotate ?? {}
    return {
      kind: 'file',
      file: at(file ?? 'stdout'),
      rotate: mib === undefined || hours === undefined ? undefined : { bytes: mib * MIB, ms: hours * HOUR_MS, keep }
    }
  }
  const { url, authorization_file, ca_file, client, server_id: serverId, timeout_ms: timeoutMs } = posted
  const form = http === undefined ? 'otlp' : 'ndjson'
  return {
    kind: 'http',
    url,
    form,
    timeoutMs,
    authorizationFile: authorization_file && at(authorization_file),
    caFile: ca_file && at(ca_file),
    client: typeof client === 'object' ? { certFile: at(client.cert_file), keyFile: at(client.key_file) } : client,
    serverId
  }
}

const asksWhoWeAre = ({ to }: SinkPlan) => to.kind === 'http' && (to.client === 'svid' || to.serverId !== undefined)

/** Our SVID and its bundles, made anew when one of them is another; the last ones when the Workload API is closed. */
function identityOf(own: () => SvidSnapshot | undefined): () => OwnIdentity | undefined {
  let generation: number | undefined
  let identity: OwnIdentity | undefined
  return () => {
    const snapshot = own()
    if (snapshot === undefined || snapshot.generation === generation) return identity
    const { svid, bundles: trust } = snapshot
    const pem = (der: Uint8Array) => new X509Certificate(der).toString()
    identity = { cert: svid.certificates.map(pem).join(''), key: svid.key.export({ type: 'pkcs8', format: 'pem' }) as string, trust }
    generation = snapshot.generation
    return identity
  }
}

/** Signs with the SVID that is ours at this moment. */
function signerOfHeads(run: string, own: () => SvidSnapshot | undefined, log: Logger) {
  let known: { readonly svid: SvidSnapshot['svid']; readonly signer: PolicyTokenSigner | undefined } | undefined
  let n = 0
  const signerNow = () => {
    const svid = own()?.svid
    // At the end the Workload API is closed before the last record is written: the last SVID signs that head.
    if (svid === undefined || known?.svid === svid) return known?.signer
    const made = policyTokenSigner(svid, AUDIT_ANCHOR_TYPE)
    if (!made.ok) log.error({ because: made.because }, 'audit: the heads of the chains cannot be signed')
    known = { svid, signer: made.ok ? made.signer : undefined }
    return known.signer
  }
  return (heads: Readonly<Record<Stream, Head>>, ended: boolean): string | undefined => {
    const signer = signerNow()
    if (signer === undefined) return undefined
    const at = Date.now()
    const jws = signCompact(signer, anchorMembers({ iss: signer.issuer, iat: Math.floor(at / 1000), run, n: ++n, ended, heads }))
    return JSON.stringify({
      ts: new Date(at).toISOString(),
      kind: 'audit_anchor',
      run,
      n,
      ended,
      agents: heads.agents.seq,
      people: heads.people.seq,
      jws
    })
  }
}

/** @throws Error with a sentence */
function promptIdsOf({ prompt_id_key_file: file }: AuditSettings, { settingsFile }: AuditEdges): PromptIds | undefined {
  if (file === undefined) return undefined
  const ids = createPromptIds(readFileSync(resolve(dirname(settingsFile), file)))
  if (typeof ids === 'string') throw new Error(`audit.prompt_id_key_file cannot be used: ${ids}.`)
  return ids
}

/** Only a search asks something. */
function withPrompt(decided: Decided, ids: PromptIds): Decided {
  const { account, inbound } = decided
  const { call } = account
  if (call?.operation !== 'search') return decided
  return { ...decided, promptId: ids.of(call.shape.vectors, () => (inbound === undefined ? [] : textsOf(inbound))) }
}

function recorder(
  { when_full }: AuditSettings,
  sink: AuditSink,
  prompts: PromptIds | undefined,
  { log }: AuditEdges
): ServedAudit['record'] {
  let said = Number.NEGATIVE_INFINITY
  let passed = 0
  return (decided) => {
    if (sink.write(auditLine(prompts === undefined ? decided : withPrompt(decided, prompts)), streamOf(decided))) return true
    const now = performance.now()
    const loud = now - said >= SAID_EVERY_MS
    if (loud) said = now
    if (when_full === 'let_reads_pass' && isRead(decided)) {
      passed++
      if (loud) log.error({ unrecorded: passed, refused: sink.refused() }, 'audit: no room for records; searches and reads pass UNRECORDED')
      return true
    }
    if (loud) log.error({ refused: sink.refused() }, 'audit: no room for records; calls are refused')
    return false
  }
}

function isRead({ account }: Recordable): boolean {
  return account.call?.operation === 'search' || account.call?.operation === 'read'
}
