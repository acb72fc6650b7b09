import { createHash, X509Certificate } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { httpFilterOf, httpOf } from '../../demo/envoy-config.ts'
import { issueSvid, makeAuthority } from '../support/ca.ts'
import { KEPT, STRIPPED } from '../support/stripped-headers.ts'
import { AGENT_ID, EXT_AUTHZ, GATEWAY_ID, type GatewayBench, STRIP, startBench, TRUST_DOMAIN, without } from './support/gateway-bench.ts'
import { requestOf } from './support/scripted-authorizer.ts'
import { http1 } from './support/wire-client.ts'

/** What a check says about a request, with the shipped gateway.yaml; and, as controls, what it says when one line is another. */

const FORGED = 'By=spiffe://x;Hash=00;URI=spiffe://demo.vecauthz.test/admin'
/** These Envoy itself takes away or overwrites, as long as it does not take the caller for "internal" (`internal_address_config`). */
const ENVOY_OWNS: readonly string[] = ['x-envoy-decorator-operation', 'x-envoy-original-path', 'x-forwarded-for']

let bench: GatewayBench

beforeAll(async () => {
  bench = await startBench({
    'without strip': (listener) => without(listener, STRIP),
    'body as text': (listener) => {
      httpFilterOf(listener, EXT_AUTHZ)['with_request_body'].pack_as_bytes = false
    },
    'without body': (listener) => {
      delete httpFilterOf(listener, EXT_AUTHZ)['with_request_body']
    },
    'headers as map': (listener) => {
      httpFilterOf(listener, EXT_AUTHZ)['encode_raw_headers'] = false
    },
    'xfcc appended': (listener) => {
      httpOf(listener)['forward_client_cert_details'] = 'APPEND_FORWARD'
    },
    'xfcc without chain': (listener) => {
      httpOf(listener)['set_current_client_cert_details'] = { uri: true }
    },
    'without certificate': (listener) => {
      httpFilterOf(listener, EXT_AUTHZ)['include_peer_certificate'] = false
    }
  })
})
afterAll(() => bench?.stop())
beforeEach(() => bench.reset())

const twice = (name: string): [string, string][] => [
  [name, 'one'],
  [name, 'two']
]
const judged = () => requestOf(bench.authorizer.checks.at(-1))
const arrived = () => bench.upstream.seen.at(-1)

describe('body', () => {
  const odd = Buffer.from([0x7b, 0xff, 0xfe, 0x80, 0x22, 0xc3, 0x28, 0x7d])

  it('arrives byte for byte, and is marked as whole', async () => {
    await bench.http1({ body: odd })
    expect(judged().rawBody).toEqual(odd)
    expect(judged().body).toBe('')
    expect(judged().size).toBe(odd.length)
    expect(judged().all('x-envoy-auth-partial-body')).toEqual(['false'])
    expect(arrived()?.body).toEqual(odd)
  })

  it('control: as text, Envoy replaces bytes, so the database would read another body than was judged', async () => {
    await bench.http1({ body: odd }, 'body as text')
    expect(judged().body).toBe('{!!!"!(}')
    expect(judged().rawBody).toHaveLength(0)
    expect(arrived()?.body).toEqual(odd)
  })

  it('in chunks arrives whole', async () => {
    await bench.http1({ body: '{"a":1}', headers: [['transfer-encoding', 'chunked']] })
    expect(judged().rawBody.toString()).toBe('{"a":1}')
    expect(judged().all('content-length')).toEqual([])
  })

  it('of a gRPC call holds the frame header', async () => {
    const frame = Buffer.from('00000000060a04646f6373', 'hex')
    await bench.http2({ frames: [frame], headers: { 'content-type': 'application/grpc', te: 'trailers' } })
    expect(judged().rawBody).toEqual(frame)
    expect(judged().protocol).toBe('HTTP/2')
  })

  it('that is not there leaves no trace: no bytes, no mark', async () => {
    await bench.http1()
    expect(judged().rawBody).toHaveLength(0)
    expect(judged().all('x-envoy-auth-partial-body')).toEqual([])
  })

  it('control: without with_request_body a body that the database gets looks just like none, but for its announced length', async () => {
    await bench.http1({ body: odd }, 'without body')
    expect(judged().rawBody).toHaveLength(0)
    expect(judged().all('x-envoy-auth-partial-body')).toEqual([])
    expect(judged().all('content-length')).toEqual(['8'])
    expect(arrived()?.body).toEqual(odd)
  })
})

describe('headers', () => {
  it('given twice arrive twice, with their exact bytes', async () => {
    await bench.http1({
      headers: [
        ['x-request-tag', 'caf\xe9'],
        ['X-Request-Tag', 'two']
      ]
    })
    expect(judged().all('x-request-tag')).toEqual(['caf\xe9', 'two'])
  })

  it('control: as a map they are joined, and bytes are replaced', async () => {
    await bench.http1(
      {
        headers: [
          ['x-request-tag', 'caf\xe9'],
          ['x-request-tag', 'two']
        ]
      },
      'headers as map'
    )
    expect(judged().all('x-request-tag')).toEqual(['caf!,two'])
  })

  // Envoy's parser joins the headers it knows by name before any filter sees them: for these a comma is the only trace of a second.
  it.each(['authorization', 'content-type', 'content-encoding', 'user-agent'])(
    'given twice, %s is joined in spite of the raw form',
    async (name) => {
      await bench.http1({ body: 'x', headers: twice(name) })
      expect(judged().all(name)).toEqual(['one,two'])
      expect(arrived()?.all(name)).toEqual(['one,two'])
    }
  )

  it.each(['x-vecauthz-policy-token', 'x-vecauthz-subject-token', 'grpc-encoding', 'traceparent'])(
    'given twice, %s stays two',
    async (name) => {
      await bench.http1({ body: 'x', headers: twice(name) })
      expect(judged().all(name)).toEqual(['one', 'two'])
    }
  )

  it.each(KEPT)('%s is input and stays', async (name) => {
    await bench.http1({ headers: [[name, 'from the client']] })
    expect(judged().all(name)).toEqual(['from the client'])
  })
})

describe('what only Envoy and vecauthz may say is stripped before the check', () => {
  it.each(STRIPPED)('%s', async (name) => {
    await bench.http1({
      headers: [
        [name, 'forged'],
        [name.toUpperCase(), 'forged']
      ]
    })
    expect(judged().all(name)).toEqual([])
    expect(arrived()?.all(name)).toEqual([])
  })

  it.each(STRIPPED.filter((name) => !ENVOY_OWNS.includes(name)))(
    'control: without the strip filter %s reaches the database',
    async (name) => {
      expect((await bench.http1({ headers: [[name, 'forged']] }, 'without strip')).status).toBe(200)
      expect(arrived()?.all(name)).toEqual(['forged'])
    }
  )

  it('x-forwarded-proto is what Envoy saw', async () => {
    await bench.http1({ headers: [['x-forwarded-proto', 'http']] })
    expect(judged().all('x-forwarded-proto')).toEqual(['https'])
  })

  it('a permanent key is noted by name in the metadata of the check, never by value', async () => {
    await bench.http1({ headers: [['x-chroma-token', 'secret-key']] })
    const { metadataContext } = bench.authorizer.checks[0]?.attributes ?? {}
    expect(metadataContext?.filterMetadata).toEqual({ 'vecauthz.gateway': { 'x-chroma-token': 'sent' } })
  })
})

describe('identity', () => {
  const source = () => bench.authorizer.checks.at(-1)?.attributes?.source
  const leafOf = (encoded: string) => new X509Certificate(decodeURIComponent(encoded)).raw

  it('is the first URI SAN, and the leaf that the TLS peer proved', async () => {
    await bench.http1()
    expect(source()?.principal).toBe(AGENT_ID)
    expect(leafOf(source()?.certificate ?? '')).toEqual(Buffer.from(bench.agent.der))
    expect(bench.authorizer.checks[0]?.attributes?.destination?.principal).toBe(GATEWAY_ID)
  })

  it('control: without include_peer_certificate there is a name, and nothing that proves it', async () => {
    await bench.http1({}, 'without certificate')
    expect(source()?.principal).toBe(AGENT_ID)
    expect(source()?.certificate).toBe('')
  })

  it('hole 7: a forged XFCC is replaced by one element with the hash and the chain of the TLS peer', async () => {
    await bench.http1({ headers: [['x-forwarded-client-cert', FORGED]] })
    const hash = createHash('sha256').update(bench.agent.der).digest('hex')
    const [xfcc, ...more] = judged().all('x-forwarded-client-cert')
    expect(more).toEqual([])
    expect(xfcc).toMatch(new RegExp(`^By=${GATEWAY_ID};Hash=${hash};Chain="[^",;]+"$`))
  })

  it('hole 7, control: with APPEND_FORWARD the forgery stands in front', async () => {
    await bench.http1({ headers: [['x-forwarded-client-cert', FORGED]] }, 'xfcc appended')
    expect(judged().all('x-forwarded-client-cert')[0]).toMatch(new RegExp(`^${FORGED},By=`))
  })

  it('from an intermediate authority: the certificate is the leaf alone, the chain is in XFCC', async () => {
    const parent = bench.authority
    const authority = await makeAuthority({ trustDomain: TRUST_DOMAIN, parent })
    const svid = await issueSvid(authority, { id: AGENT_ID })
    await http1(bench.envoy.port('gateway_in'), svid)
    expect(source()?.certificate.match(/BEGIN/g)).toHaveLength(1)
    const chain = /Chain="([^"]+)"/.exec(judged().all('x-forwarded-client-cert')[0] ?? '')?.[1] ?? ''
    const blocks = decodeURIComponent(chain).match(/-----BEGIN[\s\S]+?-----END CERTIFICATE-----\n/g) ?? []
    expect(blocks.map((pem) => new X509Certificate(pem).raw)).toEqual(svid.chain.map((der) => Buffer.from(der)))

    await http1(bench.envoy.port('xfcc without chain'), svid)
    expect(judged().all('x-forwarded-client-cert')[0]).not.toContain('Chain=')
  })

  it('vecauthz sees the SVID of the gateway itself as its peer', async () => {
    await bench.http1()
    expect(bench.authorizer.peer).toEqual(Buffer.from(bench.gateway.der))
  })
})
