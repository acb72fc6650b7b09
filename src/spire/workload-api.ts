import type { X509SVIDResponse } from '@vecauthz/spiffe-protos/workload'
import type { TrustBundles } from '../core/trust.ts'
import { openSource, type SourceEvent, type SourceOptions, type StreamSource } from './stream-source.ts'
import { type OwnSvid, readX509Message, sameAnchors, sameCertificates, type TrustMap, type VerifyChain } from './x509-message.ts'

/** One whole state of the Workload API; immutable, swapped whole (rule A-18). */
export interface SvidSnapshot {
  /** Grows with every change of content, ours or the bundles'. */
  readonly generation: number
  readonly svid: OwnSvid
  /** Own and federated trust domains. Its generation grows with the bundles only, so that our own rotation empties no cache. */
  readonly bundles: TrustBundles
  /** When the Workload API last vouched for this state, milliseconds since the epoch: by a message, or by a stream that is still open. */
  readonly receivedAt: number
}

export type WorkloadApiEvent = SourceEvent<SvidSnapshot>
export type SvidSource = StreamSource<SvidSnapshot>

export interface WorkloadApiOptions extends SourceOptions<SvidSnapshot> {
  readonly verify: VerifyChain
}

/**
 * Keeps this process's X.509-SVID and the trust bundles current from a SPIFFE Workload API (Workload API §5.2.1; rules ),
 * with the life of `openSource`.
 */
export function connectWorkloadApi(options: WorkloadApiOptions): SvidSource {
  let numbered = 0
  /** A number is spent even when the message is then dropped: no cache may ever see one number on two different sets of anchors. */
  const bundlesOf = (anchors: TrustMap, before: TrustBundles | undefined, now: number): TrustBundles => {
    if (before !== undefined && sameAnchors(before.x509, anchors)) return { ...before, receivedAt: now }
    numbered += 1
    return Object.freeze({ generation: numbered, x509: anchors, receivedAt: now })
  }
  return openSource<X509SVIDResponse, SvidSnapshot>(
    {
      what: 'SVID',
      open: (client, header) => client.fetchX509Svid({}, header),
      read: (message, before, now) => {
        const context = { verify: options.verify, bundlesOf: (anchors: TrustMap) => bundlesOf(anchors, before?.bundles, now), now }
        const reading = readX509Message(message, context)
        if (!reading.ok) return reading
        const { svid, bundles, warnings } = reading
        const same = before !== undefined && bundles.generation === before.bundles.generation && sameSvid(svid, before.svid)
        const next = (generation: number): SvidSnapshot => Object.freeze({ generation, svid, bundles, receivedAt: now })
        return { ok: true, warnings, next: same ? undefined : next }
      },
      vouched: (snapshot, now) => {
        const bundles = Object.freeze({ ...snapshot.bundles, receivedAt: now })
        return Object.freeze({ ...snapshot, bundles, receivedAt: now })
      }
    },
    options
  )
}

function sameSvid(a: OwnSvid, b: OwnSvid): boolean {
  return a.hint === b.hint && a.id.text === b.id.text && a.key.equals(b.key) && sameCertificates(a.certificates, b.certificates)
}
