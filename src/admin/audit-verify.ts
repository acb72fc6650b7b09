/** `vecauthz audit verify`: whether records are all there, as they were written. */
import { createReadStream, existsSync, readFileSync } from 'node:fs'
import { type ChainCheck, type ChainReport, createChainCheck, type Finding } from '../audit/chain-check.ts'
import type { AnchorClaims } from '../core/audit-anchor.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import type { TrustBundles } from '../core/trust.ts'
import { verifyAnchor } from '../identity/audit-anchor.ts'
import { shown } from '../identity/json.ts'
import { jsonLine } from './approvals-lines.ts'
import { type Output, parsed, running } from './check-terminal.ts'
import { readPemCertificates } from './svid-verify-pem.ts'
import { unreadable } from './svid-verify-question.ts'

const HELP = `vecauthz audit verify: are these records all there, as they were written

Usage: vecauthz audit verify FILE... [--anchors FILE... --bundle FILE] [options]

  FILE...             records, one JSON object a line; files of one server in any order, put aside or not
  --anchors FILE      signed heads, as the server sent them off its host. Without them, an end that was cut off and
                      a chain that was written anew are not seen. May be given more than once
  --bundle FILE       PEM: the trust anchors of the trust domain whose SVIDs signed those heads
  --issuer ID         SPIFFE ID that must have signed them; any of that trust domain, if it is not given
  --partial           the files are a part of the records: what came before them is not missed
  --json              one JSON object instead of text
  --help              this text

Findings: altered, removed, reordered, inserted (by the chain alone), cut, rewritten, missing-run, missing-anchor (by the
signed heads), bad-anchor. A run that never said that it ended was killed, or goes on: what it decided after its last record is
not in the files, and the last head says how much of it is known to be missing.
Exit codes: 0 yes, 1 no (something is missing or not as it was), 2 cannot say (something could not be read).
`

/** @param args what follows `audit`. @returns the exit code */
export function auditCommand(args: readonly string[], output: Output): Promise<number> {
  const [command, ...rest] = args
  return running(args, HELP, output, async () => {
    if (command !== 'verify') unreadable(`There is no command "audit ${command ?? ''}", only "audit verify"; see --help.`)
    return verify(rest, output)
  })
}

interface BadAnchor {
  readonly kind: 'bad-anchor'
  readonly at: string
  readonly says: string
}

async function verify(args: readonly string[], output: Output): Promise<number> {
  const { words, many, one, has } = parsed(args, ['anchors', 'bundle', 'issuer'], ['json', 'partial', 'help'])
  if (words.length === 0) unreadable('Say which files hold the records; see --help.')
  const [anchorFiles, bundle] = [many('anchors'), one('bundle')]
  if (anchorFiles.length > 0 && bundle === undefined) unreadable('Say who may have signed the heads: --bundle FILE.')
  for (const file of [...words, ...anchorFiles]) if (!existsSync(file)) unreadable(`There is no file ${shown(file)}.`)
  const { anchors, bad } = bundle === undefined ? { anchors: [], bad: [] } : readAnchors(anchorFiles, bundle, one('issuer'))
  const check = createChainCheck({ anchors, partial: has('partial') })
  for (const file of await oldestFirst(words)) await readLines(file, check)
  const { findings, chains, repeated } = check.end()
  const all = [...bad, ...findings]
  if (has('json')) output.print(`${jsonLine({ verdict: all.length === 0 ? 'good' : 'bad', findings: all, chains, repeated })}\n`)
  else output.print(inWords(all, chains, repeated, anchors.length))
  return all.length === 0 ? 0 : 1
}

/** By the time of their first records: names of files that were put aside sort behind that of the open one. */
async function oldestFirst(files: readonly string[]): Promise<readonly string[]> {
  const dated = await Promise.all(files.map(async (file) => ({ file, ts: (await firstTime(file)) ?? '' })))
  return dated.sort((one, other) => (one.ts < other.ts ? -1 : one.ts > other.ts ? 1 : 0)).map(({ file }) => file)
}

async function firstTime(file: string): Promise<string | undefined> {
  for await (const part of createReadStream(file, { end: 4_095 }))
    return /"ts":"([^"]{1,40})"/.exec((part as Buffer).toString('latin1'))?.[1]
  return undefined
}

const NEWLINE = 0x0a

async function readLines(file: string, { add }: ChainCheck): Promise<void> {
  let rest: Buffer[] = []
  let number = 0
  for await (const read of createReadStream(file, { highWaterMark: 1024 * 1024 })) {
    const part = read as Buffer
    let from = 0
    for (let end = part.indexOf(NEWLINE); end !== -1; end = part.indexOf(NEWLINE, from)) {
      const line = rest.length === 0 ? part.subarray(from, end) : Buffer.concat([...rest, part.subarray(from, end)])
      rest = []
      number++
      if (line.length > 0) add(line, `${file}:${number}`)
      from = end + 1
    }
    if (from < part.length) rest.push(part.subarray(from))
  }
  const last = Buffer.concat(rest)
  if (last.length > 0) add(last, `${file}:${number + 1}`)
}

function readAnchors(files: readonly string[], bundle: string, issuer: string | undefined) {
  const pem = readPemCertificates(readFileSync(bundle, 'utf8'))
  if (!pem.ok) return unreadable(`The bundle ${pem.detail}.`)
  const anchors: AnchorClaims[] = []
  const bad: BadAnchor[] = []
  for (const file of files) {
    for (const [at, line] of readFileSync(file, 'utf8').split('\n').entries()) {
      if (line === '') continue
      const read = readAnchor(line, pem.certificates, issuer)
      if (typeof read === 'string') bad.push({ kind: 'bad-anchor', at: `${file}:${at + 1}`, says: read })
      else anchors.push(read)
    }
  }
  return { anchors, bad }
}

/** @returns what is wrong with it, in words */
function readAnchor(line: string, certificates: readonly Uint8Array[], issuer: string | undefined): AnchorClaims | string {
  const jws = jwsOf(line)
  if (jws === undefined) return 'this line is no anchor'
  const claimed = issuerOf(jws)
  const id = claimed === undefined ? undefined : parseSpiffeId(claimed)
  if (id?.ok !== true) return 'it does not say who signed it'
  if (issuer !== undefined && claimed !== issuer) return `it was signed by ${shown(claimed ?? '')}, and ${shown(issuer)} was asked for`
  const trust: TrustBundles = { generation: 1, x509: new Map([[id.id.trustDomain, certificates]]), receivedAt: 0 }
  const verdict = verifyAnchor(jws, trust)
  return verdict.ok ? verdict.claims : `${verdict.rule}: ${verdict.detail}`
}

function jwsOf(line: string): string | undefined {
  try {
    const { jws } = JSON.parse(line) as { jws?: unknown }
    return typeof jws === 'string' ? jws : undefined
  } catch {
    return undefined
  }
}

/** What it says of itself: the signature is asked for afterwards, with the bundle of that trust domain. */
function issuerOf(jws: string): string | undefined {
  try {
    const { iss } = JSON.parse(Buffer.from(jws.split('.')[1] ?? '', 'base64url').toString('utf8')) as { iss?: unknown }
    return typeof iss === 'string' ? iss : undefined
  } catch {
    return undefined
  }
}

function inWords(findings: readonly (Finding | BadAnchor)[], chains: readonly ChainReport[], repeated: number, anchors: number): string {
  const lines = findings.map(({ kind, at, says }) => `no   ${at}: ${kind}: ${says}`)
  if (findings.length === 0) lines.push('yes  every record is in its place')
  for (const chain of chains) if (chain.records > 0) lines.push(`     ${aboutChain(chain)}`)
  if (repeated > 0) lines.push(`     ${repeated} records came twice, as they do when the answer to a batch was lost`)
  if (anchors === 0) lines.push('     without --anchors, an end that was cut off is not seen')
  return `${lines.join('\n')}\n`
}

function aboutChain({ run, stream, records, last, anchored, ended }: ChainReport): string {
  const what = `run ${run} (${stream}): ${records} records, up to ${last}`
  if (anchored === undefined) return `${what}; no signed head`
  const head = `; signed up to ${anchored.seq} at ${new Date(anchored.at).toISOString()}`
  if (ended === true) return `${what}${head}; ended`
  return `${what}${head}; not ended: killed, or going on. What was decided after that head is known by these files only`
}
