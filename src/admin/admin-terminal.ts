/** What the commands that talk to an admin port have in common: where it is, who asks, and how its answers are told. */
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { readCertificate } from '../identity/x509-certificate.ts'
import { readLeaf } from '../identity/x509-leaf.ts'
import type { AdminAnswer, AdminIdentity, AdminTarget } from './admin-client.ts'
import { jsonLine, oneLine } from './approvals-lines.ts'
import { type Output, type Parsed, readBytes } from './check-terminal.ts'
import { readPemCertificates } from './svid-verify-pem.ts'
import { unreadable } from './svid-verify-question.ts'

export interface AdminEdges extends Output {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Our SVID and its bundles from a Workload API. Rejects with `Unreadable`. */
  readonly identityFrom: (workloadApi: string) => Promise<AdminIdentity>
}

/** Options that say where and who. */
export const CONNECTION_OPTIONS = ['admin', 'workload-api', 'svid', 'key', 'bundle', 'server'] as const

export const CONNECTION = `Where, and who you are:
  --admin HOST:PORT       the admin port: admin.listen of the server's settings
  --workload-api ADDRESS  take SVID and bundles from a Workload API: unix:///run/spire/agent/api.sock
  --svid FILE             or from files: your certificate and its intermediates (PEM),
  --key FILE              its private key (PEM),
  --bundle FILE           the trust bundle of your trust domain (PEM)
  --server ID             go on only if the server has this SPIFFE ID; without it, any SVID that verifies will do
  --json                  the server's answer as one JSON object

Exit codes: 0 done, 1 the server says no, 2 cannot say (unreachable, not proven, bad arguments).
`

/** What is asked of the port. */
export interface Asked {
  readonly method: 'GET' | 'POST'
  readonly path: string
  readonly body?: unknown
}

/** Throws `Unreadable` for more words, or fewer. */
export function only(options: Parsed, count: number): readonly string[] {
  const { words } = options
  if (words.length < count) unreadable('Something is missing; see --help.')
  return words.length === count ? words : unreadable(`"${oneLine(words[count] ?? '')}" is one word too many; see --help.`)
}

export function targetOf(options: Parsed): AdminTarget {
  return targetAt(options.one('admin') ?? unreadable('Say where the admin port is: --admin HOST:PORT.'), options)
}

/** @param text HOST:PORT. Throws `Unreadable`. */
export function targetAt(text: string, options: Parsed): AdminTarget {
  const [, six, host = six, port] = /^(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(text) ?? []
  if (host === undefined || Number(port) > 65_535) return unreadable('--admin is HOST:PORT, such as 127.0.0.1:9903.')
  const server = options.one('server')
  if (server !== undefined && !parseSpiffeId(server).ok) unreadable('--server is a SPIFFE ID, such as spiffe://example.org/vecauthz.')
  return { host, port: Number(port), server }
}

export async function identityOf(options: Parsed, edges: AdminEdges): Promise<AdminIdentity> {
  const [address, svid, key, bundle] = ['workload-api', 'svid', 'key', 'bundle'].map((name) => options.one(name))
  const files = svid !== undefined || key !== undefined || bundle !== undefined
  if (address !== undefined) {
    return files ? unreadable('Give --workload-api, or --svid, --key and --bundle.') : edges.identityFrom(address)
  }
  if (svid === undefined || key === undefined || bundle === undefined)
    return unreadable('Say who you are: --workload-api ADDRESS, or --svid, --key and --bundle.')
  const [leaf] = certificatesIn(svid)
  const read = leaf === undefined ? undefined : readCertificate(leaf)
  const stated = read?.ok ? readLeaf(read.certificate) : undefined
  if (!stated?.ok) return unreadable(`The file ${oneLine(svid)} does not begin with an X.509-SVID.`)
  const x509 = new Map([[stated.id.trustDomain, certificatesIn(bundle)]])
  return {
    cert: readBytes(svid).toString('utf8'),
    key: readBytes(key).toString('utf8'),
    trust: { generation: 1, x509, receivedAt: edges.now() }
  }
}

function certificatesIn(file: string): readonly Uint8Array[] {
  const read = readPemCertificates(readBytes(file).toString('utf8'))
  if (!read.ok) return unreadable(`The file ${oneLine(file)} ${read.detail}.`)
  return read.certificates.length > 0 ? read.certificates : unreadable(`The file ${oneLine(file)} has no certificate.`)
}

/** Prints the answer, or what it says is wrong. @returns the exit code */
export function told(
  { status, body }: AdminAnswer,
  json: boolean,
  lines: () => readonly string[],
  { print, complain }: AdminEdges
): number {
  const code = status < 300 ? 0 : status < 500 ? 1 : 2
  if (json) print(`${jsonLine(body)}\n`)
  else if (code !== 0) complain(`vecauthz: ${oneLine(String(body['detail'] ?? `status ${status}`))}\n`)
  else print(`${lines().join('\n')}\n`)
  return code
}
