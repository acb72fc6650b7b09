/** `vecauthz revoke`: what is refused from now on, beside what the policy says, over the admin port. */
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { readCertificate } from '../identity/x509-certificate.ts'
import { type AdminAnswer, askAdmin } from './admin-client.ts'
import { type AdminEdges, type Asked, CONNECTION, CONNECTION_OPTIONS, identityOf, only, targetOf, told } from './admin-terminal.ts'
import { oneLine } from './approvals-lines.ts'
import { type Parsed, parsed, readBytes, running } from './check-terminal.ts'
import { readPemCertificates } from './svid-verify-pem.ts'
import { unreadable } from './svid-verify-question.ts'

const HELP = `vecauthz revoke: refuse an identity, a certificate or a token from now on

Usage: vecauthz revoke list --admin HOST:PORT --workload-api ADDRESS
       vecauthz revoke add WHAT --reason TEXT …
       vecauthz revoke end WHAT --reason TEXT …

WHAT is one of
  SPIFFE-ID               every certificate and token of that workload: spiffe://example.org/acme/support
  serial:HEX              one certificate, by its serial number, as the audit record and openssl write it
  token:ID                one token, by its jti
  --of FILE               the certificate (PEM) or the token (JWT) in that file. It is read, not verified: so is one that was stolen

Every call by it is refused as identity-revoked, on open connections too: here at once, within a second by every replica that shares
the store, and until somebody ends it. A workload fetches a fresh SVID by itself: a stolen key is a matter of its serial, a stolen workload of its SPIFFE ID.
A list in the policy (revoked) stands beside this one, is not shown here, and ends with the policy. list is for approvers too, add and
end are for operators.

  vecauthz revoke add spiffe://example.org/acme/support --reason "ticket 4711, image is not ours" --admin 127.0.0.1:9903 …
  vecauthz revoke end serial:7f3a --reason "the right one is 7f3b" …

  --reason TEXT           why: 1 to 500 characters, kept in the audit record

${CONNECTION}`

/** @returns the exit code */
export function revokeCommand(args: readonly string[], edges: AdminEdges): Promise<number> {
  return running(args, HELP, edges, async () => {
    const options = parsed(args, [...CONNECTION_OPTIONS, 'reason', 'of'], ['json'])
    const asked = askedBy(options)
    const target = targetOf(options)
    const answer = await askAdmin(target, await identityOf(options, edges), asked, edges.now())
    return told(answer, options.has('json'), () => saidBy(options.words[0] ?? '', answer.body), edges)
  })
}

function askedBy(options: Parsed): Asked {
  const [verb = ''] = options.words
  const [reason, file] = [options.one('reason'), options.one('of')]
  if (verb === 'list') {
    if (reason !== undefined || file !== undefined) unreadable('list takes neither --reason nor --of; see --help.')
    only(options, 1)
    return { method: 'GET', path: '/v1/revocations' }
  }
  if (verb !== 'add' && verb !== 'end')
    unreadable(verb === '' ? 'Say list, add or end; see --help.' : `"${oneLine(verb)}" is none of list, add and end; see --help.`)
  const what = file === undefined ? namedBy(only(options, 2)[1] ?? '') : namedIn(only(options, 1).length === 1 ? file : '')
  const body = { ...what, reason: reason ?? unreadable('Say why: --reason TEXT.') }
  return { method: 'POST', path: verb === 'add' ? '/v1/revocations' : '/v1/revocations/lift', body }
}

function namedBy(text: string): object {
  if (parseSpiffeId(text).ok) return { spiffe_id: text }
  const [, kind, value = ''] = /^(serial|token):(.+)$/.exec(text) ?? []
  if (kind === 'token') return { token_id: value }
  if (kind === 'serial') return { serial: serialOf(value) }
  return unreadable(`"${oneLine(text)}" is neither a SPIFFE ID nor serial:HEX nor token:ID; see --help.`)
}

/** As certificates are compared: `7F:3A` and `007f3a` are one number. */
function serialOf(text: string): string {
  const hex = text.replaceAll(':', '').toLowerCase()
  if (!/^[0-9a-f]{1,64}$/.test(hex)) unreadable(`"${oneLine(text)}" is no serial number in hex.`)
  return (hex.length % 2 === 0 ? hex : `0${hex}`).replace(/^(?:00)+(?=.)/, '')
}

function namedIn(file: string): object {
  const text = readBytes(file).toString('utf8')
  const pem = readPemCertificates(text)
  const [leaf] = pem.ok ? pem.certificates : []
  if (leaf !== undefined) {
    const read = readCertificate(leaf)
    return read.ok ? { serial: read.certificate.serial } : unreadable(`The certificate in ${oneLine(file)} cannot be read.`)
  }
  return { token_id: tokenIdIn(text.trim()) ?? unreadable(`In ${oneLine(file)} is neither a certificate (PEM) nor a token with a jti.`) }
}

function tokenIdIn(token: string): string | undefined {
  const [, claims] = /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(token) ?? []
  try {
    const jti: unknown = JSON.parse(Buffer.from(claims ?? '', 'base64url').toString('utf8'))?.jti
    return typeof jti === 'string' && jti !== '' ? jti : undefined
  } catch {
    return undefined
  }
}

function saidBy(verb: string, body: AdminAnswer['body']): readonly string[] {
  const say = (value: unknown) => oneLine(String(value))
  if (verb === 'end') {
    const { lifted, ...what } = body
    return Object.entries(what).map(([kind, value]) => `ended: ${nameOf(kind, value)} is refused by the policy only, if at all`)
  }
  if (verb === 'add') {
    const where =
      body['kept'] === 'everywhere' ? 'by every process that shares its store' : 'by this one; its store does not answer, and is told again'
    return [`revoked: ${nameOf(body['kind'], body['value'])} is refused from now on, ${where}`]
  }
  const rows = Array.isArray(body['revocations']) ? (body['revocations'] as readonly AdminAnswer['body'][]) : []
  if (rows.length === 0) return ['Nothing is revoked, beside what the policy says.']
  return rows.map((one) => `${nameOf(one['kind'], one['value'])}  since ${say(one['at'])} by ${say(one['by'])}: ${say(one['reason'])}`)
}

function nameOf(kind: unknown, value: unknown): string {
  const prefix = kind === 'serial' ? 'serial:' : kind === 'token_id' ? 'token:' : ''
  return `${prefix}${oneLine(String(value))}`
}
