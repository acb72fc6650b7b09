/** Our Workload API client at a real agent: every event written down, and beside it the bare stream, message by message. */
import { createHash, X509Certificate } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { ChannelCredentials, Metadata } from '@grpc/grpc-js'
import { SpiffeWorkloadAPIClient, type X509SVIDResponse } from '@vecauthz/spiffe-protos/workload'
import { parseJwtKeySet } from '../../../src/identity/bundle-document.ts'
import type { JwtKey } from '../../../src/identity/jwt-keys.ts'
import { verifyX509Svid } from '../../../src/identity/x509-svid.ts'
import { connectJwtBundles, type JwtBundleSource } from '../../../src/spire/jwt-bundles.ts'
import { connectWorkloadApi, type SvidSnapshot, type SvidSource, type WorkloadApiEvent } from '../../../src/spire/workload-api.ts'
import type { SpireAgent } from './spire.ts'
import type { Transcript } from './transcript.ts'

export interface Watch {
  readonly source: SvidSource
  readonly events: readonly WorkloadApiEvent[]
  /** How many states of new content there were. */
  readonly updates: () => number
  /** The state, as soon as it is as asked. @throws Error when it is not within `msMax`. */
  readonly until: (what: string, test: (snapshot: SvidSnapshot) => boolean, msMax?: number) => Promise<SvidSnapshot>
}

export function watchWorkload(name: string, { address }: SpireAgent, transcript: Transcript): Watch {
  const events: WorkloadApiEvent[] = []
  const source = connectWorkloadApi({
    address,
    verify: verifyX509Svid,
    now: Date.now,
    onEvent: (event) => {
      if (!repeats(event, events.at(-1))) transcript.say(`${name}: ${told(event)}`)
      events.push(event)
    }
  })
  const until = async (what: string, test: (snapshot: SvidSnapshot) => boolean, msMax = 30_000) => {
    const end = performance.now() + msMax
    for (;;) {
      const snapshot = source.current()
      if (snapshot !== undefined && test(snapshot)) return snapshot
      if (performance.now() > end) throw new Error(`${what}: not within ${msMax} ms. ${source.state().because}`)
      await sleep(20)
    }
  }
  return { source, events, updates: () => events.filter(({ kind }) => kind === 'updated').length, until }
}

export function serialOf({ svid }: SvidSnapshot): string {
  return new X509Certificate(svid.certificates[0] ?? Buffer.of()).serialNumber.toLowerCase()
}

export function watchJwtBundles({ address }: SpireAgent, transcript: Transcript): JwtBundleSource<JwtKey> {
  return connectJwtBundles({
    address,
    parse: parseJwtKeySet,
    now: Date.now,
    onEvent: (event) => {
      if (event.kind !== 'updated') return transcript.say(`JWT client: ${refused(event)}`)
      const keys = Array.from(event.snapshot.keys, ([domain, list]) => `${domain} ${list.length}`)
      return transcript.say(`JWT client: **updated** to ${event.snapshot.generation}: keys (${keys.join(', ')})`)
    }
  })
}

function refused(event: { readonly kind: string; readonly because: string; readonly retryInMs?: number }): string {
  const retry = event.retryInMs === undefined ? '' : `; next try in ${event.retryInMs} ms`
  return `**${event.kind}** (${event.because}${retry})`
}

/** The same failure again, of a further try. */
function repeats(event: WorkloadApiEvent, before: WorkloadApiEvent | undefined): boolean {
  return event.kind !== 'updated' && before !== undefined && before.kind === event.kind && before.because === event.because
}

function told(event: WorkloadApiEvent): string {
  if (event.kind !== 'updated') return refused(event)
  const { snapshot } = event
  const { svid, bundles, generation } = snapshot
  const anchors = Array.from(bundles.x509, ([domain, list]) => `${domain} ${list.length}`).join(', ')
  const left = Math.round((svid.notAfter - snapshot.receivedAt) / 1000)
  const chain = svid.certificates.length === 1 ? '' : `, chain of ${svid.certificates.length}`
  return `**updated** to ${generation}: SVID ${serialOf(snapshot).slice(0, 8)} for ${left} s${chain}; bundles ${bundles.generation} (${anchors})`
}

/** The bare stream of the same process. */
export interface Messages {
  /** All messages, and those whose content was not that of the one before. */
  readonly counts: () => { readonly all: number; readonly new: number }
  readonly close: () => void
}

export function countMessages({ address }: SpireAgent): Messages {
  const client = new SpiffeWorkloadAPIClient(address.target, ChannelCredentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 })
  const metadata = new Metadata()
  metadata.set('workload.spiffe.io', 'true')
  const stream = client.fetchX509Svid({}, metadata)
  let [all, fresh, last] = [0, 0, '']
  stream.on('data', (message: X509SVIDResponse) => {
    const content = digest(message)
    all++
    if (content !== last) fresh++
    last = content
  })
  stream.on('error', () => undefined)
  return {
    counts: () => ({ all, new: fresh }),
    close: () => {
      stream.cancel()
      client.close()
    }
  }
}

function digest({ svids, federatedBundles, crl }: X509SVIDResponse): string {
  const hash = createHash('sha256')
  for (const one of svids) for (const part of [one.spiffeId, one.x509Svid, one.x509SvidKey, one.bundle, one.hint]) hash.update(part)
  for (const [domain, bundle] of Object.entries(federatedBundles).sort()) hash.update(domain).update(bundle)
  for (const one of crl) hash.update(one)
  return hash.digest('hex')
}
