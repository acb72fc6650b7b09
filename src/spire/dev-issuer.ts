import { randomBytes as cryptoRandomBytes } from 'node:crypto'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { createAuthority, type GivenRoot, type IssuedSvid } from './dev-authority.ts'
import { certificatePem } from './dev-certificate.ts'
import { type Endpoint, serveEndpoint } from './dev-endpoint.ts'
import { newJwtKey } from './dev-jwt.ts'
import { sdsService } from './dev-sds-service.ts'
import { type DevIssuerOptions, devIssuerFaults, foldersOf, makePrivateFolder, socketPath, TTL_MS_DEFAULT } from './dev-settings.ts'
import { type WorkloadSource, workloadService } from './dev-workload-service.ts'
import {
  type Domain,
  existing,
  type IssueOptions,
  type Issuer,
  issue,
  issueFrom,
  live,
  publish,
  renew,
  renewAll,
  sdsFolder,
  step,
  viewOf,
  type Workload
} from './dev-workloads.ts'

/**
 * Certificates that a verifier must refuse, or whose bearer policy must not know:
 * - `two-uri-sans`: well signed, names `id` and `second`;
 * - `uri-with-more`: well signed, its one URI is `id` with `more` behind it;
 * - `foreign-authority`: names `id`, signed by an authority that has our trust domain's name and is in no bundle;
 * - `unknown-agent`: well signed, for an `id` that has no entry.
 */
type OddRequest =
  | { readonly kind: 'two-uri-sans'; readonly id: string; readonly second: string }
  | { readonly kind: 'uri-with-more'; readonly id: string; readonly more: string }
  | { readonly kind: 'foreign-authority'; readonly id: string }
  | { readonly kind: 'unknown-agent'; readonly id: string }

/** A small SPIFFE authority for demo and tests. Methods that take an id throw for one without an entry. */
export interface DevIssuer {
  /** The `SPIFFE_ENDPOINT_SOCKET` value of this identity: `unix:///…`. */
  readonly socketOf: (id: string) => string
  /** The folder with `svid.json` and `bundles.json` for this identity's Envoy. */
  readonly sdsFolderOf: (id: string) => string
  /** A further SVID of an entry, apart from the one that is served. */
  readonly issueX509: (id: string, options?: IssueOptions) => IssuedSvid
  readonly issueOdd: (request: OddRequest) => IssuedSvid
  /** A new SVID for this identity, on its stream and in its files before this returns. */
  readonly rotate: (id: string) => void
  /** A new intermediate, and new SVIDs for every identity of the trust domain. */
  readonly rotateIntermediate: (trustDomain: string) => void
  /** Publishes a new root at once; new SVIDs come from it after `rootSettleMs`; the old one stays until no SVID needs it. */
  readonly rotateRoot: (trustDomain: string) => void
  /** Sets which other trust domains' bundles this identity is given. */
  readonly federate: (id: string, trustDomains: readonly string[]) => void
  /** Removes the entry: streams end with PermissionDenied, the SDS folder goes, nothing is renewed. */
  readonly revoke: (id: string) => void
  /** Every published root of the trust domain. */
  readonly bundlePem: (trustDomain: string) => string
  /** Does what is due at `now()`; called by a timer too unless `stepEveryMs` is 0. */
  readonly step: () => void
  readonly close: () => Promise<void>
}

const ROOT_SETTLE_MS = 1_000
const STEP_EVERY_MS = 500
const BANNER =
  'DEV ONLY: this issuer gives SPIFFE identities to whoever can open its sockets. It attests nobody. Use SPIRE for anything real.'

/** Starts the authority, one socket and one SDS folder for each entry. Rejects with every fault of the options, one sentence a line. */
export async function startDevIssuer(options: DevIssuerOptions): Promise<DevIssuer> {
  const faults = devIssuerFaults(options)
  if (faults.length > 0) throw new Error(['The dev issuer does not start.', ...faults].join('\n'))
  options.say(BANNER)
  const issuer = createIssuer(options)
  const { closing, folders, workloads } = issuer
  for (const folder of [options.folder, folders.sockets, folders.sds]) makePrivateFolder(folder)
  const endpoints: Endpoint[] = []
  const close = async () => {
    clearInterval(timer)
    closing.abort()
    await Promise.all(endpoints.map((endpoint) => endpoint.close()))
  }
  const every = options.stepEveryMs ?? STEP_EVERY_MS
  const timer = every === 0 ? undefined : setInterval(() => step(issuer), every).unref()
  try {
    for (const [id, workload] of workloads) {
      renew(issuer, workload)
      const source = sourceOf(issuer, workload)
      endpoints.push(await serveEndpoint(socketPath(folders.sockets, id), workloadService(source), sdsService(source)))
    }
  } catch (cause) {
    await close()
    throw cause
  }
  return methodsOf(issuer, close)
}

function createIssuer(options: DevIssuerOptions): Issuer {
  const { now = Date.now, randomBytes = cryptoRandomBytes, ttlMs = TTL_MS_DEFAULT, rootSettleMs = ROOT_SETTLE_MS } = options
  const authorityOf = (trustDomain: string, root?: GivenRoot) =>
    createAuthority({ trustDomain, root, now, randomBytes, rootSettleMs, rootOverlapMs: ttlMs + rootSettleMs })
  const foreign = new Map(options.trustDomains.map((name) => [name, authorityOf(name)]))
  const domains = options.trustDomains.map((name): [string, Domain] => [
    name,
    { authority: authorityOf(name, options.roots?.[name]), jwtKey: newJwtKey(Buffer.from(randomBytes(8)).toString('hex')) }
  ])
  const workloads = options.entries.map((entry): [string, Workload] => {
    const { trustDomain } = idOf(entry.id)
    return [entry.id, { entry, trustDomain, listeners: new Set(), federatesWith: entry.federatesWith ?? [], svid: undefined, renewAt: 0 }]
  })
  return {
    ttlMs,
    now,
    say: options.say,
    folders: foldersOf(options),
    domains: new Map(domains),
    workloads: new Map(workloads),
    foreign: (name) => existing(foreign, name, 'trust domain'),
    closing: new AbortController()
  }
}

function methodsOf(issuer: Issuer, close: () => Promise<void>): DevIssuer {
  const { domains, workloads, folders, say } = issuer
  const workloadOf = (id: string) => existing(workloads, id, 'entry')
  const domainOf = (name: string) => existing(domains, name, 'trust domain')
  return {
    socketOf: (id) => `unix://${socketPath(folders.sockets, workloadOf(id).entry.id)}`,
    sdsFolderOf: (id) => sdsFolder(issuer, workloadOf(id).entry.id),
    issueX509: (id, options = {}) => issue(issuer, live(workloadOf(id)), options),
    issueOdd: (request) => issueOdd(issuer, request),
    rotate: (id) => {
      renew(issuer, live(workloadOf(id)))
      say(`DEV ONLY: rotated ${id}`)
    },
    rotateIntermediate: (trustDomain) => {
      domainOf(trustDomain).authority.rotateIntermediate()
      renewAll(issuer, trustDomain)
      say(`DEV ONLY: rotated the intermediate of ${trustDomain}`)
    },
    rotateRoot: (trustDomain) => {
      domainOf(trustDomain).authority.rotateRoot()
      for (const workload of workloads.values()) publish(issuer, workload)
      say(`DEV ONLY: published a new root of ${trustDomain}`)
    },
    federate: (id, trustDomains) => {
      for (const name of trustDomains) domainOf(name)
      const workload = live(workloadOf(id))
      workload.federatesWith = trustDomains
      publish(issuer, workload)
    },
    revoke: (id) => {
      const workload = workloadOf(id)
      workload.svid = undefined
      publish(issuer, workload)
      say(`DEV ONLY: revoked ${id}`)
    },
    bundlePem: (trustDomain) => domainOf(trustDomain).authority.roots().map(certificatePem).join(''),
    step: () => step(issuer),
    close
  }
}

function sourceOf(issuer: Issuer, workload: Workload): WorkloadSource {
  return {
    view: () => viewOf(issuer, workload),
    onChange: (listener) => {
      workload.listeners.add(listener)
      return () => {
        workload.listeners.delete(listener)
      }
    },
    closing: issuer.closing.signal,
    now: issuer.now
  }
}

function issueOdd(issuer: Issuer, request: OddRequest): IssuedSvid {
  const { trustDomain } = idOf(request.id)
  const { authority } = existing(issuer.domains, trustDomain, 'trust domain')
  switch (request.kind) {
    case 'two-uri-sans':
      return issueFrom(issuer, authority, [request.id, request.second], {})
    case 'uri-with-more':
      return issueFrom(issuer, authority, [request.id + request.more], {})
    case 'foreign-authority':
      return issueFrom(issuer, issuer.foreign(trustDomain), [request.id], {})
    case 'unknown-agent':
      if (issuer.workloads.has(request.id)) throw new Error(`${request.id} has an entry, so it is no unknown agent.`)
      return issueFrom(issuer, authority, [request.id], {})
  }
}

function idOf(text: string) {
  const read = parseSpiffeId(text)
  if (!read.ok) throw new Error(`${JSON.stringify(text)} is not a SPIFFE ID: ${read.detail}.`)
  return read.id
}
