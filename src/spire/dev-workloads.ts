import { join } from 'node:path'
import type { Authority, IssuedSvid } from './dev-authority.ts'
import { certificatePem } from './dev-certificate.ts'
import type { JwtKey } from './dev-jwt.ts'
import { removeSdsFolder, writeSdsFolder } from './dev-sds.ts'
import { type DevEntry, type DevFolders, fileNameOf, makePrivateFolder } from './dev-settings.ts'
import type { PublishedTrust, WorkloadView } from './dev-workload-service.ts'

/** What to issue differently from the entry's own SVID. Times in milliseconds since the epoch; the end is at most one hour from now. */
export interface IssueOptions {
  readonly notBefore?: number
  readonly notAfter?: number
  readonly dns?: readonly string[]
  readonly emptySubject?: boolean
}

export interface Workload {
  readonly entry: DevEntry
  readonly trustDomain: string
  readonly listeners: Set<() => void>
  federatesWith: readonly string[]
  /** Undefined once revoked. */
  svid: IssuedSvid | undefined
  renewAt: number
}

export interface Domain {
  readonly authority: Authority
  readonly jwtKey: JwtKey
}

/** The whole state of a running dev issuer. */
export interface Issuer {
  readonly ttlMs: number
  readonly now: () => number
  readonly say: (line: string) => void
  readonly folders: DevFolders
  readonly domains: ReadonlyMap<string, Domain>
  readonly workloads: ReadonlyMap<string, Workload>
  readonly foreign: (trustDomain: string) => Authority
  readonly closing: AbortController
}

const HOUR_MS = 3_600_000
/** Certificates are dated back for clocks that are a little behind, as SPIRE's are. */
const BACKDATE_MS = 10_000

/** Looks at the clock, not at elapsed timers: a laptop that slept renews everything on its first tick. */
export function step(issuer: Issuer): void {
  let published = false
  for (const [name, { authority }] of issuer.domains) {
    const change = authority.step()
    if (change.signer) renewAll(issuer, name)
    published ||= change.bundle
  }
  for (const workload of issuer.workloads.values()) {
    if (workload.svid !== undefined && workload.renewAt <= issuer.now()) renew(issuer, workload)
    else if (published && workload.svid !== undefined) publish(issuer, workload)
  }
}

export function renewAll(issuer: Issuer, trustDomain: string): void {
  for (const workload of issuer.workloads.values()) {
    if (workload.trustDomain === trustDomain && workload.svid !== undefined) renew(issuer, workload)
  }
}

export function renew(issuer: Issuer, workload: Workload): void {
  workload.svid = issue(issuer, workload, {})
  workload.renewAt = issuer.now() + issuer.ttlMs / 2
  publish(issuer, workload)
}

/** To the files first: whoever hears of a change on a stream may look at the files next. */
export function publish(issuer: Issuer, workload: Workload): void {
  const folder = sdsFolder(issuer, workload.entry.id)
  const view = viewOf(issuer, workload)
  if (view === undefined) {
    removeSdsFolder(folder)
  } else {
    const bundles = new Map(Array.from(view.trust, ([name, { roots }]) => [name, roots.map(certificatePem).join('')]))
    makePrivateFolder(folder)
    writeSdsFolder(folder, { ...view.svid, bundles })
  }
  for (const listener of workload.listeners) listener()
}

export function viewOf(issuer: Issuer, { svid, entry, trustDomain, federatesWith }: Workload): WorkloadView | undefined {
  if (svid === undefined) return undefined
  const trust = [trustDomain, ...federatesWith].map((name): [string, PublishedTrust] => {
    const { authority, jwtKey } = existing(issuer.domains, name, 'trust domain')
    return [name, { roots: authority.roots(), jwtKey }]
  })
  return { svid, hint: entry.hint ?? '', trustDomain, trust: new Map(trust) }
}

export function issue(issuer: Issuer, { entry, trustDomain }: Workload, options: IssueOptions): IssuedSvid {
  const { authority } = existing(issuer.domains, trustDomain, 'trust domain')
  return issueFrom(issuer, authority, [entry.id], { dns: entry.dns ?? [], ...options })
}

export function issueFrom(issuer: Issuer, authority: Authority, uris: readonly string[], options: IssueOptions): IssuedSvid {
  const now = issuer.now()
  const { notAfter = now + issuer.ttlMs, dns = [], emptySubject = false } = options
  const { notBefore = Math.min(now, notAfter) - BACKDATE_MS } = options
  if (notAfter - now > HOUR_MS) throw new Error('The dev issuer gives no SVID that lives longer than one hour.')
  return authority.issue({ uris, dns, notBefore, notAfter, emptySubject })
}

export function live(workload: Workload): Workload {
  if (workload.svid === undefined) throw new Error(`${workload.entry.id} was revoked.`)
  return workload
}

export function existing<Value>(map: ReadonlyMap<string, Value>, name: string, what: string): Value {
  const value = map.get(name)
  if (value === undefined) throw new Error(`The dev issuer has no ${what} ${name}.`)
  return value
}

export function sdsFolder({ folders }: Issuer, id: string): string {
  return join(folders.sds, fileNameOf(id))
}
