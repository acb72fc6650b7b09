import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DiscoveryRequest, type DiscoveryResponse } from '@envoyproxy/protos/discovery'
import { SecretDiscoveryServiceClient } from '@envoyproxy/protos/sds'
import { Secret } from '@envoyproxy/protos/secret'
import { SPIFFECertValidatorConfig } from '@envoyproxy/protos/spiffe-validator'
import { ChannelCredentials, type ServiceError, status } from '@grpc/grpc-js'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type DevIssuer, startDevIssuer } from '../../src/spire/dev-issuer.ts'

/** Secrets for Envoy on the Workload API's socket: the names, answers and refusals of a SPIRE agent. */

const A = 'spiffe://vec.test/a'
const B = 'spiffe://vec.test/b'

let folder: string
let issuer: DevIssuer
const opened: { close: () => void }[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sds-'))
  const entries = [{ id: A }, { id: B, federatesWith: ['partner.test'] }]
  issuer = await startDevIssuer({
    folder,
    trustDomains: ['vec.test', 'partner.test'],
    entries,
    environment: {},
    say: () => undefined,
    stepEveryMs: 0
  })
})

afterEach(async () => {
  for (const one of opened.splice(0)) one.close()
  await issuer.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A stream as Envoy keeps one: what came on it, and how it ended. */
function stream(id: string) {
  const made = new SecretDiscoveryServiceClient(`unix:${issuer.socketOf(id).slice('unix://'.length)}`, ChannelCredentials.createInsecure())
  opened.push(made)
  const call = made.streamSecrets()
  const answers: DiscoveryResponse[] = []
  const ends: ServiceError[] = []
  call.on('data', (answer: DiscoveryResponse) => answers.push(answer))
  call.on('error', (cause: ServiceError) => ends.push(cause))
  const ask = (resourceNames: string[], responseNonce = '') => call.write(DiscoveryRequest.fromPartial({ resourceNames, responseNonce }))
  const nth = (count: number) => vi.waitFor(() => expect(answers).toHaveLength(count), 5_000).then(() => answers[count - 1])
  return { ask, nth, answers, ends }
}

const secretsOf = (answer: DiscoveryResponse | undefined) => (answer?.resources ?? []).map(({ value }) => Secret.decode(value))
const textOf = (bytes: Uint8Array | undefined) => Buffer.from(bytes ?? []).toString()

function domainsOf(secret: Secret | undefined) {
  const typed = secret?.validationContext?.customValidatorConfig?.typedConfig
  return SPIFFECertValidatorConfig.decode(typed?.value ?? new Uint8Array()).trustDomains
}

describe('secrets', () => {
  it.each(['default', A])('%s is the chain and its key', async (name) => {
    const { ask, nth } = stream(A)
    ask([name])
    const answer = await nth(1)
    const [secret] = secretsOf(answer)
    expect(answer?.typeUrl).toBe('type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret')
    expect(secret?.name).toBe(name)
    const leaf = new X509Certificate(textOf(secret?.tlsCertificate?.certificateChain?.inlineBytes))
    expect(leaf.subjectAltName).toBe(`URI:${A}`)
    expect(textOf(secret?.tlsCertificate?.privateKey?.inlineBytes)).toContain('PRIVATE KEY')
  })

  it.each([
    { name: 'ALL', id: B, domains: ['vec.test', 'partner.test'] },
    { name: 'ALL', id: A, domains: ['vec.test'] },
    { name: 'ROOTCA', id: B, domains: ['vec.test'] },
    { name: 'spiffe://partner.test', id: B, domains: ['partner.test'] }
  ])('$name for $id pins $domains each to its own anchors', async ({ name, id, domains }) => {
    const { ask, nth } = stream(id)
    ask([name])
    const pinned = domainsOf(secretsOf(await nth(1))[0])
    expect(pinned.map((one) => one.name)).toEqual(domains)
    expect(pinned.map((one) => textOf(one.trustBundle?.inlineBytes))).toEqual(domains.map((domain) => issuer.bundlePem(domain)))
  })

  it.each([
    ["another workload's identity", B],
    ['a trust domain it does not federate with', 'spiffe://partner.test'],
    ['a trust domain without its scheme', 'vec.test'],
    ['a name that means nothing', 'server_cert'],
    ['the name of no trust domain', 'spiffe://']
  ])('%s ends the stream, with nothing sent', async (_, name) => {
    const { ask, answers, ends } = stream(A)
    ask(['default', name])
    await vi.waitFor(() => expect(ends).toHaveLength(1), 5_000)
    expect(ends[0]?.code).toBe(status.INVALID_ARGUMENT)
    expect(ends[0]?.details).toContain('not authorized for the requested identities')
    expect(answers).toEqual([])
  })
})

describe('a stream', () => {
  it('gets a new SVID when there is one, and nothing for an acknowledgement', async () => {
    const { ask, nth, answers } = stream(A)
    ask(['default'])
    const first = await nth(1)
    ask(['default'], first?.nonce)
    issuer.rotate(A)
    const second = await nth(2)
    expect(second?.versionInfo).not.toBe(first?.versionInfo)
    expect(secretsOf(second)[0]?.tlsCertificate?.certificateChain).not.toEqual(secretsOf(first)[0]?.tlsCertificate?.certificateChain)
    expect(answers).toHaveLength(2)
  })

  it('of bundles hears of a new root, and not of a new SVID', async () => {
    const { ask, nth, answers } = stream(A)
    ask(['ALL'])
    const before = domainsOf(secretsOf(await nth(1))[0])
    issuer.rotate(A)
    issuer.rotateRoot('vec.test')
    const after = domainsOf(secretsOf(await nth(2))[0])
    expect(textOf(after[0]?.trustBundle?.inlineBytes).length).toBeGreaterThan(textOf(before[0]?.trustBundle?.inlineBytes).length)
    expect(answers).toHaveLength(2)
  })

  it('is answered at once when it asks for one more', async () => {
    const { ask, nth } = stream(A)
    ask(['default'])
    ask(['default', 'ALL'], (await nth(1))?.nonce)
    expect(secretsOf(await nth(2)).map((one) => one.name)).toEqual(['ALL', 'default'])
  })

  it('ends when the identity is revoked', async () => {
    const { ask, nth, ends } = stream(A)
    ask(['default'])
    await nth(1)
    issuer.revoke(A)
    await vi.waitFor(() => expect(ends).toHaveLength(1), 5_000)
    expect(ends[0]?.code).toBe(status.INVALID_ARGUMENT)
  })

  it('ends when the issuer closes', async () => {
    const { ask, nth, ends } = stream(A)
    ask(['default'])
    await nth(1)
    await issuer.close()
    await vi.waitFor(() => expect(ends).toHaveLength(1), 5_000)
    expect(ends[0]?.code).toBe(status.UNAVAILABLE)
  })
})

describe('a single question', () => {
  const ask = (id: string, resourceNames: string[]) =>
    new Promise<DiscoveryResponse | ServiceError>((resolve) => {
      const made = new SecretDiscoveryServiceClient(
        `unix:${issuer.socketOf(id).slice('unix://'.length)}`,
        ChannelCredentials.createInsecure()
      )
      opened.push(made)
      made.fetchSecrets(DiscoveryRequest.fromPartial({ resourceNames }), (cause, answer) => resolve(cause ?? answer))
    })

  it('is answered', async () => expect(await ask(A, ['default'])).toMatchObject({ resources: [{}] }))

  it("for another's is not", async () => expect(await ask(A, [B])).toMatchObject({ code: status.INVALID_ARGUMENT }))
})
