/** Receivers of records over TLS that ask who we are: real servers, and what the wrong one gets, which is nothing. */
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { openHttp } from '../../src/audit/send-http.ts'
import type { OwnIdentity } from '../../src/audit/send-tls.ts'
import { openWorkerSink } from '../../src/audit/worker-sink.ts'
import { type Authority, bundlesOf, issueSvid, makeAuthority, type Svid } from '../support/ca.ts'

// Conditions are waited for, on whatever machine.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

const DOMAIN = 'spiffe://audit.test'
const COLLECTOR = `${DOMAIN}/collector`
const WAIT = { timeout: 30_000, interval: 20 }
const root = mkdtempSync(join(tmpdir(), 'stls-'))
const servers: Server[] = []

let ca: Authority
let strangers: Authority
let mine: Svid[]
let collector: Svid

beforeAll(async () => {
  ca = await makeAuthority({ trustDomain: 'audit.test' })
  strangers = await makeAuthority({ trustDomain: 'audit.test', name: 'another' })
  mine = [await issueSvid(ca, { id: `${DOMAIN}/vecauthz` }), await issueSvid(ca, { id: `${DOMAIN}/vecauthz` })]
  collector = await issueSvid(ca, { id: COLLECTOR, dns: ['localhost'] })
  writeFileSync(join(root, 'ca.pem'), ca.pem)
  writeFileSync(join(root, 'strangers.pem'), strangers.pem)
})
afterEach(() => {
  for (const one of servers.splice(0)) {
    one.closeAllConnections()
    one.close()
  }
})
afterAll(() => rmSync(root, { recursive: true, force: true }))

const identity = (svid: Svid, trusted: Authority = ca): OwnIdentity => ({ cert: svid.pem, key: svid.keyPem, trust: bundlesOf([trusted]) })

interface Got {
  /** Serial number of the client's certificate; undefined: it sent none. */
  readonly serial: string | undefined
  readonly body: string
}

/** Takes whoever has a certificate of `clients`, and nobody else. */
async function receiver(own: Svid, clients: Authority = ca, port = 0) {
  const got: Got[] = []
  let handshakes = 0
  const server = createServer(
    { cert: own.pem, key: own.keyPem, ca: clients.pem, requestCert: true, rejectUnauthorized: true },
    async (request, response) => {
      let body = ''
      for await (const part of request) body += part
      got.push({ serial: (request.socket as TLSSocket).getPeerX509Certificate()?.serialNumber, body })
      response.writeHead(202).end()
    }
  )
  server.on('secureConnection', () => handshakes++)
  servers.push(server)
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const at = (server.address() as AddressInfo).port
  return { got, port: at, url: `https://localhost:${at}/in`, handshakes: () => handshakes }
}

const plan = (url: string, more = {}) => ({
  url,
  form: 'ndjson' as const,
  authorizationFile: undefined,
  caFile: undefined,
  client: undefined,
  serverId: undefined,
  timeoutMs: 20_000,
  ...more
})
const line = Buffer.from('{"a":1}\n')

describe('a receiver that is named by its SPIFFE ID', () => {
  it('gets records over mTLS, and a new SVID of ours is used from the next batch on', async () => {
    const { got, url, handshakes } = await receiver(collector)
    let own = identity(mine[0] as Svid)
    const outlet = openHttp(
      plan(url, { client: 'svid', serverId: COLLECTOR }),
      () => undefined,
      () => own
    )
    await outlet.send(line, '1')
    await outlet.send(line, '2')
    expect(handshakes()).toBe(1)
    own = identity(mine[1] as Svid)
    await outlet.send(line, '3')
    outlet.close()
    const serials = got.map(({ serial }) => serial)
    expect(new Set(serials.slice(0, 2)).size).toBe(1)
    expect([serials[2] === serials[0], serials.includes(undefined), handshakes()]).toEqual([false, false, 2])
  })

  it.each([
    {
      name: 'somebody else of the trust domain',
      own: () => issueSvid(ca, { id: `${DOMAIN}/other`, dns: ['localhost'] }),
      says: 'is spiffe://audit.test/other, not'
    },
    {
      name: 'the right name, signed by a stranger',
      own: () => issueSvid(strangers, { id: COLLECTOR, dns: ['localhost'] }),
      says: 'is not proven'
    },
    { name: 'a certificate without a SPIFFE ID', own: () => issueSvid(ca, { uris: [], dns: ['localhost'] }), says: 'is not proven' },
    {
      name: 'an SVID that has ended',
      own: () => issueSvid(ca, { id: COLLECTOR, notBefore: Date.now() - 7_200_000, notAfter: Date.now() - 3_600_000 }),
      says: 'is not proven'
    }
  ])('gets nothing when it is $name', async ({ own, says }) => {
    const { got, url } = await receiver(await own())
    const outlet = openHttp(
      plan(url, { client: 'svid', serverId: COLLECTOR }),
      () => undefined,
      () => identity(mine[0] as Svid)
    )
    await expect(outlet.send(line, '1')).rejects.toThrow(says)
    outlet.close()
    expect(got).toEqual([])
  })

  it('gets nothing from us while there is no SVID', async () => {
    const { got, url } = await receiver(collector)
    const outlet = openHttp(
      plan(url, { serverId: COLLECTOR }),
      () => undefined,
      () => undefined
    )
    await expect(outlet.send(line, '1')).rejects.toThrow('no SVID')
    outlet.close()
    expect(got).toEqual([])
  })

  it('that never answers the handshake is let go in time', async () => {
    const silent = await receiver(collector)
    servers.at(-1)?.removeAllListeners('connection')
    const outlet = openHttp(
      plan(silent.url, { serverId: COLLECTOR, timeoutMs: 200 }),
      () => undefined,
      () => identity(mine[0] as Svid)
    )
    await expect(outlet.send(line, '1')).rejects.toThrow('no TLS handshake within 200 ms')
    outlet.close()
  })

  it('and demands a certificate that we do not show: it takes nothing, and we say so', async () => {
    const { got, url } = await receiver(collector)
    const outlet = openHttp(
      plan(url, { serverId: COLLECTOR }),
      () => undefined,
      () => identity(mine[0] as Svid)
    )
    await expect(outlet.send(line, '1')).rejects.toThrow(url.slice(0, -3))
    outlet.close()
    expect(got).toEqual([])
  })
})

describe('a receiver that is named by a host and an authority', () => {
  const files = (svid: Svid) => {
    writeFileSync(join(root, 'client.pem'), svid.pem)
    writeFileSync(join(root, 'client.key'), svid.keyPem)
    return { client: { certFile: join(root, 'client.pem'), keyFile: join(root, 'client.key') }, caFile: join(root, 'ca.pem') }
  }

  it('gets records, and what stands in the files from the next batch on', async () => {
    const { got, url } = await receiver(collector)
    const outlet = openHttp(plan(url, files(mine[0] as Svid)), () => undefined)
    await outlet.send(line, '1')
    files(mine[1] as Svid)
    await outlet.send(line, '2')
    outlet.close()
    expect(new Set(got.map(({ serial }) => serial)).size).toBe(2)
  })

  it('half of a new pair stops nothing for good: the batch goes when the other half is there', async () => {
    const { got, url } = await receiver(collector)
    const outlet = openHttp(plan(url, files(mine[0] as Svid)), () => undefined)
    writeFileSync(join(root, 'client.pem'), (mine[1] as Svid).pem)
    await expect(outlet.send(line, '1')).rejects.toThrow()
    files(mine[1] as Svid)
    await outlet.send(line, '1')
    outlet.close()
    expect(got).toHaveLength(1)
  })

  it.each([
    { name: 'another authority has signed for it', own: () => issueSvid(strangers, { id: COLLECTOR, dns: ['localhost'] }) },
    { name: 'it has another name', own: () => issueSvid(ca, { id: COLLECTOR, dns: ['elsewhere.test'] }) }
  ])('gets nothing when $name', async ({ own }) => {
    const { got, url } = await receiver(await own())
    const outlet = openHttp(plan(url, files(mine[0] as Svid)), () => undefined)
    await expect(outlet.send(line, '1')).rejects.toThrow()
    outlet.close()
    expect(got).toEqual([])
  })

  it('a file that is not there is said when the sink is opened', () => {
    expect(() => openHttp(plan('https://localhost:1/in', { caFile: join(root, 'none.pem') }), () => undefined)).toThrow('none.pem')
  })
})

describe('a sink with the wrong receiver', () => {
  it('spills and is an alarm; what waited is delivered when the right one is there, and rotation reaches it', async () => {
    const wrong = await receiver(await issueSvid(ca, { id: `${DOMAIN}/other`, dns: ['localhost'] }))
    const { port, url } = wrong
    let own = identity(mine[0] as Svid)
    const troubles: (string | undefined)[] = []
    const sink = await openWorkerSink({
      plan: {
        sinks: [{ name: 'siem', takes: 'all', to: { kind: 'http', ...plan(url, { client: 'svid', serverId: COLLECTOR }) } }],
        run: '00112233445566aa',
        chained: false,
        memoryBytesMax: 1,
        spill: { folder: join(root, 'spill'), bytesMax: 1e6 }
      },
      bufferBytesMax: 1e6,
      sign: undefined,
      anchorMs: 0,
      identity: () => own,
      onTrouble: (_, because) => void troubles.push(because),
      onFault: (cause) => void troubles.push(cause.message)
    })
    expect(sink.write('{"n":1}')).toBe(true)
    await vi.waitFor(() => expect(sink.figures().failing).toEqual(['siem']), WAIT)
    expect(sink.write('{"n":2}')).toBe(true)
    await vi.waitFor(() => expect(sink.figures().spilledBytes).toBeGreaterThan(0), WAIT)
    expect([wrong.got, troubles[0]]).toEqual([[], expect.stringContaining('not spiffe://audit.test/collector, and gets nothing')])
    for (const one of servers.splice(0)) {
      one.closeAllConnections()
      await new Promise((resolve) => one.close(resolve))
    }
    const right = await receiver(collector, ca, port)
    const bodies = () => right.got.map(({ body }) => body).join('')
    await vi.waitFor(() => expect(bodies()).toBe('{"n":1}\n{"n":2}\n'), WAIT)
    await vi.waitFor(() => expect([sink.figures().failing, sink.figures().spilledBytes]).toEqual([[], 0]), WAIT)
    const before = right.got.length
    own = identity(mine[1] as Svid)
    // It is told within a moment; whatever is written then goes under the new one.
    await vi.waitFor(() => {
      sink.write('{"n":3}')
      expect(right.got.slice(before).map(({ serial }) => serial === right.got[0]?.serial)).toContain(false)
    }, WAIT)
    await sink.close()
  })
})
