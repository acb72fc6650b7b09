import { createPublicKey, createVerify, X509Certificate } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ChannelCredentials, type ClientReadableStream, Metadata, type ServiceError, status } from '@grpc/grpc-js'
import {
  type JWTBundlesResponse,
  SpiffeWorkloadAPIClient,
  type X509BundlesResponse,
  type X509SVIDResponse
} from '@vecauthz/spiffe-protos/workload'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { verifyX509Svid } from '../../src/identity/x509-svid.ts'
import { type DevIssuer, startDevIssuer } from '../../src/spire/dev-issuer.ts'
import type { DevIssuerOptions } from '../../src/spire/dev-settings.ts'
import { readEndpointAddress } from '../../src/spire/endpoint-address.ts'
import { connectWorkloadApi, type SvidSource, type WorkloadApiEvent } from '../../src/spire/workload-api.ts'
import { verifyTwice } from './verify-chain.ts'

const A = 'spiffe://vec.test/agents/a'
const B = 'spiffe://vec.test/b'
const P = 'spiffe://partner.test/job'

let folder: string
let now: number
let issuer: DevIssuer
let events: WorkloadApiEvent[]
const opened: { close: () => unknown }[] = []

function options(changes: Partial<DevIssuerOptions> = {}): DevIssuerOptions {
  return {
    folder,
    trustDomains: ['vec.test', 'partner.test'],
    entries: [{ id: A, hint: 'internal', dns: ['a.vec.test'] }, { id: B, federatesWith: ['partner.test'] }, { id: P }],
    environment: {},
    say: () => {},
    stepEveryMs: 0,
    now: () => now,
    ...changes
  }
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'dev-'))
  now = Math.floor(Date.now() / 1000) * 1000
  events = []
  issuer = await startDevIssuer(options())
})

afterEach(async () => {
  for (const one of opened.splice(0)) one.close()
  await issuer.close()
  rmSync(folder, { recursive: true, force: true })
})

function connect(id: string): SvidSource {
  const read = readEndpointAddress(issuer.socketOf(id), undefined)
  if (!read.ok) throw new Error(read.detail)
  const source = connectWorkloadApi({
    address: read.address,
    verify: verifyX509Svid,
    now: () => now,
    onEvent: (event) => events.push(event)
  })
  opened.push(source)
  return source
}

function client(id: string): SpiffeWorkloadAPIClient {
  const made = new SpiffeWorkloadAPIClient(`unix:${issuer.socketOf(id).slice('unix://'.length)}`, ChannelCredentials.createInsecure())
  opened.push(made)
  return made
}

function header(value = 'true'): Metadata {
  const metadata = new Metadata()
  metadata.set('workload.spiffe.io', value)
  return metadata
}

async function generation(source: SvidSource, wanted: number) {
  for (let tries = 0; tries < 300; tries += 1) {
    const snapshot = source.current()
    if (snapshot !== undefined && snapshot.generation >= wanted) return snapshot
    await new Promise((resolve) => setTimeout(resolve, 3))
  }
  throw new Error(`generation ${wanted} did not come`)
}

type Stream = ClientReadableStream<X509SVIDResponse | X509BundlesResponse | JWTBundlesResponse>

interface Heard {
  readonly messages: { readonly bundles?: Record<string, Buffer> }[]
  readonly first: Promise<void>
  readonly ended: Promise<ServiceError>
}

/** Everything one stream says: messages, then the status it ends with. */
function listen(stream: Stream): Heard {
  const messages: Heard['messages'] = []
  const ended = new Promise<ServiceError>((resolve) => {
    stream.on('error', (error: ServiceError) => resolve(error))
  })
  const first = new Promise<void>((resolve) => {
    stream.on('data', (message: Heard['messages'][number]) => {
      messages.push(message)
      resolve()
    })
  })
  opened.push({ close: () => stream.cancel() })
  return { messages, ended, first }
}

/** The status of a call, or undefined when it went well. */
function statusOf(call: (done: (error: ServiceError | null) => void) => unknown): Promise<number | undefined> {
  return new Promise((resolve) => call((error) => resolve(error?.code)))
}

const leafSerial = (pem: string) => new X509Certificate(pem).serialNumber
const chainFile = (id: string) => readFileSync(join(issuer.sdsFolderOf(id), 'current/chain.pem'), 'utf8')

describe('the dev issuer', () => {
  it('S-4: our own client gets its SVID from it at once, and the same one is in its SDS folder', async () => {
    const source = connect(A)
    const snapshot = await source.ready(500)
    expect(snapshot.svid).toMatchObject({ id: { text: A }, hint: 'internal', notAfter: now + 600_000 })
    expect([...snapshot.bundles.x509.keys()]).toEqual(['vec.test'])
    expect(leafSerial(chainFile(A))).toBe(new X509Certificate(snapshot.svid.certificates[0] ?? new Uint8Array()).serialNumber)
  })

  it('gives each socket its own identity, and a federated bundle to whoever has one', async () => {
    const [a, b, p] = await Promise.all([A, B, P].map((id) => connect(id).ready(1_000)))
    expect([a, b, p].map((snapshot) => snapshot?.svid.id.text)).toEqual([A, B, P])
    expect([...(b?.bundles.x509.keys() ?? [])]).toEqual(['vec.test', 'partner.test'])
    expect(b?.bundles.x509.get('partner.test')).toEqual(p?.bundles.x509.get('partner.test'))
  })

  it('S-16, S-17: sockets have mode 0600, are gone after close, and a stale file is no hindrance', async () => {
    const path = issuer.socketOf(A).slice('unix://'.length)
    expect((statSync(path).mode & 0o777).toString(8)).toBe('600')
    await issuer.close()
    expect(existsSync(path)).toBe(false)
    writeFileSync(path, '')
    issuer = await startDevIssuer(options())
    await expect(connect(A).ready(1_000)).resolves.toBeDefined()
  })

  it('does not take the socket of an issuer that still runs', async () => {
    await expect(startDevIssuer(options())).rejects.toThrow(/Another process already serves/)
    await expect(connect(A).ready(1_000)).resolves.toBeDefined()
  })

  it('says that it is for development only, and what it rotates', async () => {
    await issuer.close()
    const said: string[] = []
    issuer = await startDevIssuer(options({ say: (line) => said.push(line) }))
    issuer.rotate(A)
    expect(said).toEqual([expect.stringMatching(/^DEV ONLY: .*Use SPIRE/), `DEV ONLY: rotated ${A}`])
  })

  it('closing ends streams with Unavailable, so that nobody takes it for a revocation', async () => {
    const stream = listen(client(A).fetchX509Svid({}, header()))
    await stream.first
    await issuer.close()
    expect(await stream.ended).toMatchObject({ code: status.UNAVAILABLE, details: expect.stringContaining('closing') })
  })
})

describe('rotation', () => {
  it('of one SVID: on the stream and in the files, and nobody else hears of it', async () => {
    const [a, b] = [connect(A), connect(B)]
    await Promise.all([a.ready(1_000), b.ready(1_000)])
    const before = leafSerial(chainFile(A))
    issuer.rotate(A)
    expect(leafSerial(chainFile(A))).not.toBe(before)
    const snapshot = await generation(a, 2)
    expect(snapshot.bundles.generation).toBe(1)
    expect(b.current()?.generation).toBe(1)
  })

  it('on schedule: at half of the life, not a millisecond before', async () => {
    const source = connect(A)
    await source.ready(1_000)
    const before = leafSerial(chainFile(A))
    now += 299_999
    issuer.step()
    expect(leafSerial(chainFile(A))).toBe(before)
    now += 1
    issuer.step()
    expect(leafSerial(chainFile(A))).not.toBe(before)
    expect((await generation(source, 2)).svid.notAfter).toBe(now + 600_000)
  })

  it('by itself, when nobody calls step', async () => {
    await issuer.close()
    issuer = await startDevIssuer(options({ stepEveryMs: 5 }))
    const before = leafSerial(chainFile(A))
    now += 300_000
    for (let tries = 0; tries < 300 && leafSerial(chainFile(A)) === before; tries += 1)
      await new Promise((resolve) => setTimeout(resolve, 5))
    expect(leafSerial(chainFile(A))).not.toBe(before)
  })

  it('of the intermediate: new SVIDs for that trust domain only, the same bundles', async () => {
    const [source, partnerBefore] = [connect(A), chainFile(P)]
    const before = await source.ready(1_000)
    issuer.rotateIntermediate('vec.test')
    const after = await generation(source, 2)
    expect(after.svid.certificates[1]).not.toEqual(before.svid.certificates[1])
    expect(after.bundles.generation).toBe(1)
    expect(chainFile(P)).toBe(partnerBefore)
  })

  it('of the root: both roots first, then new SVIDs, then the new root alone; federated peers see each step', async () => {
    await issuer.close()
    issuer = await startDevIssuer(options({ entries: [{ id: A }, { id: P, federatesWith: ['vec.test'] }] }))
    const [own, peer] = [connect(A), connect(P)]
    const before = await own.ready(1_000)
    await peer.ready(1_000)
    issuer.rotateRoot('vec.test')
    const both = await generation(own, 2)
    expect(both.bundles.x509.get('vec.test')).toHaveLength(2)
    expect(both.svid.certificates).toEqual(before.svid.certificates)
    expect((await generation(peer, 2)).bundles.x509.get('vec.test')).toHaveLength(2)
    expect(issuer.bundlePem('vec.test').match(/BEGIN/g)).toHaveLength(2)
    expect(readFileSync(join(issuer.sdsFolderOf(P), 'bundles.json'), 'utf8').match(/BEGIN/g)).toHaveLength(3)
    now += 1_000
    issuer.step()
    const moved = await generation(own, 3)
    expect(moved.svid.certificates[1]).not.toEqual(before.svid.certificates[1])
    now += 600_000
    issuer.step()
    expect((await generation(own, 4)).bundles.x509.get('vec.test')).toHaveLength(2)
    const peerBefore = await generation(peer, 3)
    now += 1_000
    issuer.step()
    const alone = await generation(own, 5)
    expect((await generation(peer, 4)).svid).toEqual(peerBefore.svid)
    expect(alone.bundles.x509.get('vec.test')).toHaveLength(1)
    expect(alone.bundles.x509.get('vec.test')).not.toEqual(before.bundles.x509.get('vec.test'))
  })

  it('A-2: federation on command, and taken back', async () => {
    const source = connect(A)
    await source.ready(1_000)
    issuer.federate(A, ['partner.test'])
    expect((await generation(source, 2)).bundles.x509.has('partner.test')).toBe(true)
    issuer.federate(A, [])
    expect((await generation(source, 3)).bundles.x509.has('partner.test')).toBe(false)
  })
})

describe('S-7: revocation', () => {
  it('ends the streams with PermissionDenied, takes the files away and is not undone by time', async () => {
    const [x509, bundles, jwt] = [
      client(A).fetchX509Svid({}, header()),
      client(A).fetchX509Bundles({}, header()),
      client(A).fetchJwtBundles({}, header())
    ].map(listen)
    await Promise.all([x509?.first, bundles?.first, jwt?.first])
    issuer.revoke(A)
    const codes = await Promise.all([x509, bundles, jwt].map(async (stream) => (await stream?.ended)?.code))
    expect(codes).toEqual([status.PERMISSION_DENIED, status.PERMISSION_DENIED, status.PERMISSION_DENIED])
    expect(existsSync(issuer.sdsFolderOf(A))).toBe(false)
    now += 3_600_000
    issuer.step()
    expect(existsSync(issuer.sdsFolderOf(A))).toBe(false)
    expect((await listen(client(A).fetchX509Svid({}, header())).ended).code).toBe(status.PERMISSION_DENIED)
    expect(() => issuer.rotate(A)).toThrow('revoked')
    expect(() => issuer.issueX509(A)).toThrow('revoked')
  })

  it('is seen by our client as a redaction, and leaves the neighbour alone', async () => {
    const [a, b] = [connect(A), connect(B)]
    await Promise.all([a.ready(1_000), b.ready(1_000)])
    issuer.revoke(A)
    for (let tries = 0; tries < 300 && a.current() !== undefined; tries += 1) await new Promise((resolve) => setTimeout(resolve, 3))
    expect(a.state().state).toBe('denied')
    expect(b.current()?.generation).toBe(1)
    expect(existsSync(issuer.sdsFolderOf(B))).toBe(true)
  })
})

describe('the Workload API as others see it', () => {
  it.each([undefined, 'TRUE', 'false', ''])('S-1: a security header of %j gets InvalidArgument on every call', async (value) => {
    const metadata = value === undefined ? new Metadata() : header(value)
    const api = client(A)
    const streams = [api.fetchX509Svid({}, metadata), api.fetchX509Bundles({}, metadata), api.fetchJwtBundles({}, metadata)].map(listen)
    const codes = await Promise.all([
      ...streams.map(async ({ ended }) => (await ended).code),
      statusOf((done) => api.fetchJwtsvid({ audience: ['x'], spiffeId: '' }, metadata, done)),
      statusOf((done) => api.validateJwtsvid({ audience: 'x', svid: 'y' }, metadata, done))
    ])
    expect(codes).toEqual(Array(5).fill(status.INVALID_ARGUMENT))
  })

  it('S-5: nothing is sent when nothing changed', async () => {
    const stream = listen(client(A).fetchX509Svid({}, header()))
    await stream.first
    issuer.rotate(B)
    issuer.step()
    issuer.federate(A, [])
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(stream.messages).toHaveLength(1)
  })

  it('S-8, S-9: bundles hold own and federated trust domains; JWT keys carry no use', async () => {
    const api = client(B)
    const x509 = listen(api.fetchX509Bundles({}, header()))
    const jwt = listen(api.fetchJwtBundles({}, header()))
    await Promise.all([x509.first, jwt.first])
    expect(Object.keys(x509.messages[0]?.bundles ?? {})).toEqual(['spiffe://vec.test', 'spiffe://partner.test'])
    expect(Object.keys(jwt.messages[0]?.bundles ?? {})).toEqual(['spiffe://vec.test', 'spiffe://partner.test'])
    expect(jwt.messages[0]?.bundles?.['spiffe://vec.test']?.toString()).not.toContain('"use"')
  })

  it('S-12: a WIT call is Unimplemented', async () => {
    const encode = () => Buffer.alloc(0)
    const code = await statusOf((done) => client(A).makeUnaryRequest('/SpiffeWorkloadAPI/FetchWITSVID', encode, encode, {}, header(), done))
    expect(code).toBe(status.UNIMPLEMENTED)
  })

  const asks = [
    { name: 'an empty audience', audience: [], spiffeId: '', want: status.INVALID_ARGUMENT },
    { name: 'a malformed ID', audience: ['x'], spiffeId: 'spiffe://vec.test/', want: status.INVALID_ARGUMENT },
    { name: "another workload's ID", audience: ['x'], spiffeId: B, want: status.PERMISSION_DENIED },
    { name: 'its own ID', audience: ['x'], spiffeId: A, want: undefined },
    { name: 'no ID', audience: ['x'], spiffeId: '', want: undefined }
  ]
  it.each(asks)('S-10: FetchJWTSVID with $name', async ({ audience, spiffeId, want }) => {
    expect(await statusOf((done) => client(A).fetchJwtsvid({ audience, spiffeId }, header(), done))).toBe(want)
  })

  it('S-11: a fetched token verifies with the published key, is validated for its audience and for no other', async () => {
    const api = client(A)
    const token = await new Promise<string>((resolve, reject) => {
      api.fetchJwtsvid({ audience: ['vecauthz', 'second'], spiffeId: '' }, header(), (error, { svids: [svid] } = { svids: [] }) =>
        error === null ? resolve(svid?.svid ?? '') : reject(error)
      )
    })
    const bundles = listen(api.fetchJwtBundles({}, header()))
    await bundles.first
    const [jwk] = JSON.parse(bundles.messages[0]?.bundles?.['spiffe://vec.test']?.toString() ?? '').keys
    const [head, payload, signature = ''] = token.split('.')
    const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' } as const
    expect(createVerify('sha256').update(`${head}.${payload}`).verify(key, Buffer.from(signature, 'base64url'))).toBe(true)
    const validated = await new Promise((resolve, reject) => {
      api.validateJwtsvid({ audience: 'second', svid: token }, header(), (error, answer) =>
        error === null ? resolve(answer) : reject(error)
      )
    })
    expect(validated).toEqual({ spiffeId: A, claims: { sub: A, aud: ['vecauthz', 'second'], exp: now / 1000 + 300, iat: now / 1000 } })
    expect(await statusOf((done) => api.validateJwtsvid({ audience: 'billing', svid: token }, header(), done))).toBe(
      status.INVALID_ARGUMENT
    )
    expect(await statusOf((done) => client(P).validateJwtsvid({ audience: 'second', svid: token }, header(), done))).toBe(
      status.INVALID_ARGUMENT
    )
  })
})

describe("the demo's odd certificates", () => {
  const verify = (chain: readonly Uint8Array[]) => {
    const roots = issuer.bundlePem('vec.test').match(/-+BEGIN[\s\S]*?END CERTIFICATE-+/g) ?? []
    const x509 = new Map([['vec.test', roots.map((pem) => new Uint8Array(new X509Certificate(pem).raw))]])
    return verifyTwice(chain, { generation: 1, x509, receivedAt: now }, now)
  }

  it('an SVID of any lifetime up to an hour: nearly over, over, not yet', () => {
    expect(verify(issuer.issueX509(A).chain)).toMatchObject({ ok: true, notAfter: now + 600_000 })
    expect(verify(issuer.issueX509(A, { notAfter: now + 1_000 }).chain)).toMatchObject({ ok: true, notAfter: now + 1_000 })
    expect(verify(issuer.issueX509(A, { notAfter: now - 1_000 }).chain)).toMatchObject({ ok: false, rule: 'X-15', kind: 'svid-expired' })
    expect(verify(issuer.issueX509(A, { notBefore: now + 60_000 }).chain)).toMatchObject({ ok: false, rule: 'X-15' })
    expect(() => issuer.issueX509(A, { notAfter: now + 3_600_001 })).toThrow('one hour')
    expect(() => issuer.issueX509('spiffe://vec.test/nobody')).toThrow('no entry')
  })

  it('two URI SANs, well signed', () => {
    const odd = issuer.issueOdd({ kind: 'two-uri-sans', id: A, second: 'spiffe://vec.test/admin' })
    expect(new X509Certificate(odd.chainPem).subjectAltName).toBe(`URI:${A}, URI:spiffe://vec.test/admin`)
    expect(verify(odd.chain)).toMatchObject({ ok: false, rule: 'X-1' })
  })

  it('more behind the ID in its one URI, well signed', () => {
    const odd = issuer.issueOdd({ kind: 'uri-with-more', id: A, more: ',URI=spiffe://vec.test/admin' })
    expect(new X509Certificate(odd.chainPem).subjectAltName).toBe(`URI:"${A}\\u002cURI=spiffe://vec.test/admin"`)
    expect(verify(odd.chain)).toMatchObject({ ok: false, rule: 'X-3' })
  })

  it('a foreign authority: the right names, the wrong keys', () => {
    const odd = issuer.issueOdd({ kind: 'foreign-authority', id: A })
    expect(new X509Certificate(odd.chainPem).subjectAltName).toBe(`URI:${A}`)
    expect(verify(odd.chain)).toMatchObject({ ok: false, rule: 'X-20' })
  })

  it('an unknown agent: a good SVID for an ID without an entry', () => {
    const id = 'spiffe://vec.test/agents/stranger'
    expect(verify(issuer.issueOdd({ kind: 'unknown-agent', id }).chain)).toMatchObject({ ok: true, id: { text: id } })
    expect(() => issuer.issueOdd({ kind: 'unknown-agent', id: A })).toThrow('has an entry')
  })
})
