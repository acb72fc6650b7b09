/** `vecauthz doctor --attack URL`: what gets through a live listener, by trying it. */
import { randomUUID } from 'node:crypto'
import type { AdminIdentity } from '../admin/admin-client.ts'
import { identityOf } from '../admin/admin-terminal.ts'
import { jsonLine, oneLine } from '../admin/approvals-lines.ts'
import type { Output, Parsed } from '../admin/check-terminal.ts'
import { unreadable } from '../admin/svid-verify-question.ts'
import { BODY_BYTES_MAX } from '../core/limits.ts'
import { type AttackReport, attack, outcomeOf } from './attack.ts'
import type { Attack, Outcome } from './attack-steps.ts'
import type { Door } from './attack-wire.ts'
import { startWitness } from './attack-witness.ts'

export const ATTACK_OPTIONS = [
  'attack',
  'host',
  'read',
  'forbidden',
  'witness',
  'body-bytes',
  'database',
  'authz',
  'admin',
  'stall',
  'workload-api',
  'svid',
  'key',
  'bundle'
] as const

export const ATTACK_HELP = `Attack: vecauthz doctor --attack URL --host NAME --read TARGET --forbidden TARGET [options]

  --attack URL         a live listener: https://10.0.0.7:8443 (gateway, index), http://127.0.0.1:8200 (egress)
  --host NAME          what calls name as host: chroma.example.org
  --read TARGET        a path that this identity may GET; it must pass, or refusals say little
  --forbidden TARGET   one that it may not: another tenant's
  --workload-api ADDRESS, or --svid FILE --key FILE --bundle FILE: who we are, for https
  --witness HOST:PORT  listen there in the place of the database: lead one cluster of a copy of the configuration to it.
                       Then what got through is seen where it arrives, and which forged headers it carries
  --body-bytes N       the limit of the listener (1048576)
  --database HOST:PORT, --authz HOST:PORT, --admin HOST:PORT: ports that must not answer us
  --stall SECONDS      try a request that never ends, for this long

All steps are harmless to data: reads, and targets that are not there.
Exit codes: 0 nothing got through, 1 something did, 2 cannot say (the allowed read did not pass, or an answer says nothing).
`

export interface AttackEdges extends Output {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Rejects with `Unreadable`. */
  readonly identityFrom: (workloadApi: string) => Promise<AdminIdentity>
  /** A certificate with the names of the first of these, signed by itself. */
  readonly forge: (chainPem: string, now: number) => Promise<{ readonly cert: string; readonly key: string }>
}

const WORDS = { held: 'HELD', 'got-through': 'GOT THROUGH', 'cannot-tell': 'CANNOT TELL' } as const satisfies Record<Outcome, string>

/** @returns the exit code */
export async function attackCommand(options: Parsed, edges: AttackEdges): Promise<number> {
  const need = (name: string) => options.one(name) ?? unreadable(`Say --${name}; see --help.`)
  const target = (name: string) => (/^\/[\x21-\x7e]*$/.test(need(name)) ? need(name) : unreadable(`--${name} is a path, such as /api/v2/…`))
  const door = await doorOf(options, edges)
  const [read, forbidden] = [target('read'), target('forbidden')]
  const stall = options.one('stall')
  const bodyBytes = Number(options.one('body-bytes') ?? BODY_BYTES_MAX)
  if (!(bodyBytes > 0) || (stall !== undefined && !(Number(stall) > 0))) unreadable('--body-bytes and --stall are numbers above 0.')
  const witness = options.one('witness') === undefined ? undefined : await startWitness(...placeOf(options, 'witness')).catch(cannotListen)
  const place = (name: string) => (options.one(name) === undefined ? undefined : placeOf(options, name).join(':'))
  const given: Attack = {
    door,
    read,
    forbidden,
    witness,
    forged: door.cert === undefined ? undefined : await edges.forge(door.cert, edges.now()),
    bodyBytes,
    database: place('database'),
    authz: place('authz'),
    admin: place('admin'),
    stallMs: stall === undefined ? undefined : Number(stall) * 1000
  }
  const report = await attack(given, randomUUID).finally(() => witness?.close())
  const outcome = outcomeOf(report)
  edges.print(options.has('json') ? `${jsonLine({ outcome, ...report })}\n` : `${lines(report).join('\n')}\n`)
  return { held: 0, 'got-through': 1, 'cannot-tell': 2 }[outcome]
}

function lines({ control, steps, untried }: AttackReport): readonly string[] {
  const count = (outcome: Outcome) => steps.filter((one) => one.outcome === outcome).length
  return [
    `the read that is allowed: ${control.says}`,
    ...steps.map(
      ({ name, line, outcome, says }) => `${WORDS[outcome].padEnd(13)}${name}: ${oneLine(says)}${outcome === 'held' ? '' : `  [${line}]`}`
    ),
    '',
    `${steps.length} tried: ${count('held')} held, ${count('got-through')} got through, ${count('cannot-tell')} cannot be told`,
    ...(untried.length === 0 ? [] : [`not tried, for something was not given: ${untried.length} (--help)`])
  ]
}

async function doorOf(options: Parsed, edges: AttackEdges): Promise<Door> {
  const text = options.one('attack') ?? ''
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) return unreadable('--attack is a URL, such as https://127.0.0.1:8443.')
  const tls = url.protocol === 'https:'
  const name = options.one('host') ?? unreadable('Say --host; see --help.')
  const who = tls ? await identityOf(options, edges) : undefined
  const pem = (der: Uint8Array) => `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString('base64')}\n-----END CERTIFICATE-----\n`
  const ca = who === undefined ? undefined : [...who.trust.x509.values()].flat().map(pem).join('')
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port)
  return { host: url.hostname.replace(/^\[|\]$/g, ''), port, tls, name, cert: who?.cert, key: who?.key, ca }
}

function placeOf(options: Parsed, name: string): [string, number] {
  const [, host = '', port = ''] = /^\[?([0-9A-Za-z.:-]+?)\]?:(\d{1,5})$/.exec(options.one(name) ?? '') ?? []
  return host === '' ? unreadable(`--${name} is HOST:PORT, such as 127.0.0.1:8000.`) : [host, Number(port)]
}

function cannotListen(cause: Error): never {
  return unreadable(`--witness: ${cause.message}.`)
}
