/** The hostile steps. Each is harmless to data: reads, and targets that are not there; nothing that would be changed if it got through. */

import { connects, type Door, type Heard, http1, resumes, speak, speakHttp2 } from './attack-wire.ts'
import { MARK, type Witness } from './attack-witness.ts'

export interface Attack {
  readonly door: Door
  /** A read that we may do, as path with query. */
  readonly read: string
  /** A read that we may not: another tenant's. */
  readonly forbidden: string
  readonly witness: Witness | undefined
  /** A certificate with our own name that nobody signed but ourselves. */
  readonly forged: { readonly cert: string; readonly key: string } | undefined
  /** The limit of the listener, in bytes. */
  readonly bodyBytes: number
  /** Ports behind, that must not answer us: of the database, of vecauthz, of Envoy's admin interface. */
  readonly database: string | undefined
  readonly authz: string | undefined
  readonly admin: string | undefined
  /** Wait for requests that never end, this long in milliseconds; undefined: not at all. */
  readonly stallMs: number | undefined
}

export type Outcome = 'held' | 'got-through' | 'cannot-tell'

export interface Tried {
  readonly outcome: Outcome
  readonly says: string
}

export interface Step {
  readonly name: string
  /** The line of the list that closes it. */
  readonly line: string
  /** Undefined: there is nothing to try it on. */
  readonly run: (attack: Attack, mark: string) => Promise<Tried> | undefined
}

type Headers = readonly (readonly [string, string])[]

const OTHER_NAME = 'doctor.invalid'
/** What routes with a way around are selected by, where somebody needed one for a day. */
const SELECTORS: Headers = ['x-debug', 'x-canary', 'x-test', 'x-internal', 'x-bypass', 'x-skip-auth', 'x-no-auth', 'x-healthcheck'].map(
  (name) => [name, '1']
)
/** What must not arrive as the client wrote it, with the line that takes it away. */
const FORGED: Readonly<Record<string, readonly string[]>> = {
  'strip-tenant': ['x-tenant-id', 'x-tenant'],
  'strip-decision': ['x-vecauthz-tenant', 'x-vecauthz-caller', 'x-vecauthz-decision'],
  'strip-envoy': ['x-envoy-auth-partial-body', 'x-envoy-auth-failure-mode-allowed', 'x-envoy-original-path'],
  'strip-overrides': ['x-original-url', 'x-rewrite-url', 'x-http-method-override'],
  'strip-forwarded': ['x-forwarded-host', 'forwarded', 'x-real-ip'],
  'strip-credentials': ['api-key', 'x-api-key', 'x-chroma-token']
}

const held = (says: string): Tried => ({ outcome: 'held', says })
const through = (says: string): Tried => ({ outcome: 'got-through', says })

/** What became of a call that must not reach the database. */
export function judged(heard: Heard, { witness }: Attack, mark: string): Tried {
  if (witness?.arrived(mark) !== undefined) return through('it arrived at the witness')
  if (heard.kind === 'closed') return held(`no connection (${heard.because})`)
  if (heard.kind === 'silent')
    return witness === undefined ? { outcome: 'cannot-tell', says: 'no answer came' } : held('no answer, and nothing arrived')
  const { status, headers } = heard
  if (headers.has('x-vecauthz-decision') && status >= 400) return held(`vecauthz: ${status}`)
  if (witness !== undefined) return held(`${status}, and nothing arrived`)
  // Envoy's own answers are plain text, or have no body; a database says something of its own.
  const type = headers.get('content-type') ?? ''
  if (status >= 400 && (type === '' || type.startsWith('text/plain'))) return held(`Envoy: ${status}`)
  return through(`${status}${type === '' ? '' : ` (${type})`}`)
}

async function calls(
  { door }: Attack,
  mark: string,
  target: string,
  headers: Headers = [],
  host: string = door.name,
  method = 'GET',
  body = ''
) {
  return await speak(door, http1(method, target, [['host', host], [MARK, mark], ...headers], body))
}

function step(name: string, line: string, make: (attack: Attack, mark: string) => Promise<Heard>): Step {
  return { name, line, run: async (attack, mark) => judged(await make(attack, mark), attack, mark) }
}

/** A connection that must not come about; an answer over it is one, whatever it says. */
function noConnection(heard: Heard): Tried {
  return heard.kind === 'answer'
    ? through(`the connection was taken, and answered ${heard.status}`)
    : held(heard.kind === 'closed' ? heard.because : 'no answer')
}

const onTls = (name: string, line: string, run: (attack: Attack, mark: string) => Promise<Tried>): Step => ({
  name,
  line,
  run: (attack, mark) => (attack.door.tls ? run(attack, mark) : undefined)
})

const PEERS: readonly Step[] = [
  onTls('a connection without a certificate', 'client-certificate', async ({ door, read }) =>
    noConnection(await speak({ ...door, cert: undefined, key: undefined }, http1('GET', read, [['host', door.name]])))
  ),
  {
    name: 'our own name, signed by ourselves',
    line: 'certificate-checked',
    run: ({ door, read, forged }) =>
      !door.tls || forged === undefined
        ? undefined
        : speak({ ...door, ...forged }, http1('GET', read, [['host', door.name]])).then(noConnection)
  },
  onTls('plain HTTP to the port', 'client-certificate', async ({ door, read }) =>
    noConnection(await speak({ ...door, tls: false }, http1('GET', read, [['host', door.name]])))
  ),
  onTls('TLS 1.2', 'tls-1.3', async ({ door }) =>
    (await connects(door, { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' })) ? through('it is spoken') : held('it is not spoken')
  ),
  onTls('a session that is resumed', 'no-resumption', async ({ door, read }) => {
    const reused = await resumes(door, http1('GET', read, [['host', door.name]]))
    if (reused === undefined) return { outcome: 'cannot-tell', says: 'no second connection came about' }
    return reused ? through('the certificate is not looked at again') : held('every connection makes a full handshake')
  })
]

const CALLS: readonly Step[] = [
  step("another tenant's data", 'fail-closed', (attack, mark) => calls(attack, mark, attack.forbidden)),
  ...SELECTORS.map(([name, value]) =>
    step(`the same with ${name}`, 'no-route-skips', (attack, mark) => calls(attack, mark, attack.forbidden, [[name, value]]))
  ),
  step('the same with a query that asks for a way around', 'no-route-skips', (attack, mark) =>
    calls(attack, mark, `${attack.forbidden}${attack.forbidden.includes('?') ? '&' : '?'}debug=1`)
  ),
  step('the same under a forged certificate header (XFCC)', 'xfcc-sanitized', (attack, mark) =>
    calls(attack, mark, attack.forbidden, [['x-forwarded-client-cert', `Hash=${'0'.repeat(64)};URI=spiffe://doctor.invalid/admin`]])
  ),
  step('the same with the headers that Envoy writes itself', 'strip-envoy', (attack, mark) =>
    calls(attack, mark, attack.forbidden, [
      ['x-envoy-auth-failure-mode-allowed', 'true'],
      ['x-envoy-auth-partial-body', 'false'],
      ['x-envoy-original-path', attack.read]
    ])
  ),
  step('the same behind the path of what is allowed (`..`)', 'path-normalised', (attack, mark) =>
    calls(attack, mark, `${attack.read.split('?')[0]}/${'../'.repeat(12)}${attack.forbidden.slice(1)}`)
  ),
  step('the same with escaped slashes', 'escaped-slashes', (attack, mark) =>
    calls(attack, mark, `${attack.read.split('?')[0]}%2F${'..%2F'.repeat(12)}${attack.forbidden.slice(1).replaceAll('/', '%2F')}`)
  ),
  step('the same, deleted (it is there, and must not be reached)', 'guard', (attack, mark) =>
    calls(attack, mark, `${attack.forbidden.split('?')[0]}-doctor-${mark}`, [], attack.door.name, 'DELETE')
  ),
  step('an endpoint that nobody listed', 'guard', (attack, mark) => calls(attack, mark, `/doctor-${mark}`)),
  step('a host that nobody listed', 'hosts-listed', (attack, mark) => calls(attack, mark, attack.read, [], OTHER_NAME)),
  step('a target in absolute form, in front of another host', 'absolute-form', (attack, mark) =>
    calls(attack, mark, `http://${attack.door.name}${attack.read}`, [], OTHER_NAME)
  ),
  step('a header with underscores', 'underscores', (attack, mark) => calls(attack, mark, attack.read, [['x_tenant_id', 'doctor']])),
  step('an upgrade to websocket', 'no-upgrades', (attack, mark) =>
    calls(attack, mark, attack.read, [
      ['connection', 'upgrade'],
      ['upgrade', 'websocket'],
      ['sec-websocket-version', '13'],
      ['sec-websocket-key', 'ZG9jdG9yZG9jdG9yZG9jdA==']
    ])
  ),
  step('a body above the limit', 'body-whole', (attack, mark) =>
    calls(
      attack,
      mark,
      `${attack.forbidden.split('?')[0]}-doctor-${mark}`,
      [],
      attack.door.name,
      'POST',
      JSON.stringify('a'.repeat(attack.bodyBytes))
    )
  ),
  step('a body above the limit over HTTP/2, whose last frame crosses it', 'body-whole', (attack, mark) => {
    const body = Buffer.from(JSON.stringify('a'.repeat(attack.bodyBytes + 4_000)))
    const pieces = [body.subarray(0, attack.bodyBytes - 4_000), body.subarray(attack.bodyBytes - 4_000)]
    return speakHttp2(attack.door, `${attack.forbidden.split('?')[0]}-doctor-${mark}`, { [MARK]: mark }, pieces)
  })
]

const ARRIVALS: readonly Step[] = Object.entries(FORGED).map(([line, names]) => ({
  name: `forged headers that arrive: ${names.join(', ')}`,
  line,
  run: (attack, mark) => (attack.witness === undefined ? undefined : arrives(attack, attack.witness, mark, names))
}))

async function arrives(attack: Attack, witness: Witness, mark: string, names: readonly string[]): Promise<Tried> {
  const forged = `forged-${mark}`
  const heard = await calls(
    attack,
    mark,
    attack.read,
    names.map((name) => [name, forged] as const)
  )
  const got = witness.arrived(mark)
  if (got === undefined)
    return { outcome: 'cannot-tell', says: `the allowed read did not arrive (${heard.kind === 'answer' ? heard.status : heard.kind})` }
  const kept = names.filter((name) => String(got[name] ?? '').includes(forged))
  return kept.length === 0 ? held('none arrived as it was sent') : through(`${kept.join(', ')}: as the client wrote it`)
}

const BEHIND: readonly Step[] = [
  behind(
    "the database's own port",
    'database-private',
    ({ database }) => database,
    async (door, attack) => noConnection(await speak({ ...door, tls: false }, http1('GET', attack.forbidden, [['host', attack.door.name]])))
  ),
  behind(
    "vecauthz's own port, as somebody who is no Envoy of it",
    'authz-proven',
    ({ authz }) => authz,
    async (door) =>
      (await connects({ ...door, tls: true }, { ALPNProtocols: ['h2'] }))
        ? through('it takes our certificate')
        : held('it cuts the connection')
  ),
  behind(
    "Envoy's admin interface, for more than reading",
    'admin-reads-only',
    ({ admin }) => admin,
    async (door) => {
      const heard = await speak({ ...door, tls: false }, http1('GET', '/help', [['host', 'localhost']]))
      return heard.kind === 'answer' && heard.status === 200
        ? through('/help is answered: so is /quitquitquit')
        : held('it answers no more than it has to')
    }
  ),
  {
    name: 'a request that never ends',
    line: 'requests-end',
    run: ({ door, forbidden, stallMs }) => (stallMs === undefined ? undefined : stalls(door, forbidden, stallMs))
  }
]

async function stalls(door: Door, target: string, waitMs: number): Promise<Tried> {
  const heard = await speak(door, `POST ${target} HTTP/1.1\r\nhost: ${door.name}\r\ncontent-length: 10\r\n\r\n{`, {}, waitMs)
  return heard.kind === 'silent'
    ? through(`it is held for more than ${waitMs / 1000} s`)
    : held(heard.kind === 'answer' ? `Envoy: ${heard.status}` : heard.because)
}

function behind(
  name: string,
  line: string,
  place: (attack: Attack) => string | undefined,
  run: (door: Door, attack: Attack) => Promise<Tried>
): Step {
  return {
    name,
    line,
    run: (attack) => {
      const where = place(attack)
      if (where === undefined) return undefined
      const at = where.lastIndexOf(':')
      return run({ ...attack.door, host: where.slice(0, at), port: Number(where.slice(at + 1)) }, attack)
    }
  }
}

export const STEPS: readonly Step[] = [...PEERS, ...CALLS, ...ARRIVALS, ...BEHIND]
