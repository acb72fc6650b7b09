import type { DiscoveryRequest, DiscoveryResponse } from '@envoyproxy/protos/discovery'
import type { SecretDiscoveryServiceServer } from '@envoyproxy/protos/sds'
import { Secret } from '@envoyproxy/protos/secret'
import { SPIFFECertValidatorConfig } from '@envoyproxy/protos/spiffe-validator'
import { type ServerDuplexStream, status } from '@grpc/grpc-js'
import { certificatePem } from './dev-certificate.ts'
import type { WorkloadSource, WorkloadView } from './dev-workload-service.ts'

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3'
const SECRET = `${TLS}.Secret`

/**
 * Envoy's secret discovery (SDS v3) for one workload, with the names and the answers of a SPIRE agent, so that the Envoy files for
 * SPIRE run on the embedded issuer as they are. Names: `default` or the workload's SPIFFE ID (chain and key), `ROOTCA` or its trust
 * domain as `spiffe://…` (the own bundle alone), a federated trust domain as `spiffe://…`, `ALL` (a SPIFFE validator with them all).
 * Any other name ends the stream with InvalidArgument, as it does there.
 *
 * Like SPIRE's, this asks for no `workload.spiffe.io` header: Envoy sends none. So who can open the socket has the key.
 */
export function sdsService(source: WorkloadSource): SecretDiscoveryServiceServer {
  return {
    streamSecrets: (call) => serveSecrets(call, source),
    deltaSecrets: (call) => void call.emit('error', { code: status.UNIMPLEMENTED, details: 'only the state of the world is served' }),
    fetchSecrets: ({ request }, answer) => {
      const view = source.view()
      const response = view === undefined ? undefined : responseOf(view, request.resourceNames, 1)
      if (response === undefined) return answer(refusal(request.resourceNames))
      answer(null, response)
    }
  }
}

/** The first answer at once, a further one when its content changes; what Envoy acknowledges or refuses is not sent again. */
function serveSecrets(call: ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>, source: WorkloadSource): void {
  let names: readonly string[] = []
  let sent: Buffer | undefined
  let version = 0
  const send = (again: boolean) => {
    if (names.length === 0) return
    const view = source.view()
    const response = view === undefined ? undefined : responseOf(view, names, version + 1)
    if (response === undefined) return end(refusal(names))
    const content = Buffer.concat(response.resources.map(({ value }) => value))
    if (!again && sent?.equals(content) === true) return
    sent = content
    version += 1
    call.write(response)
  }
  const onChange = () => send(false)
  const onClosing = () => end({ code: status.UNAVAILABLE, details: 'the dev issuer is closing' })
  const stopListening = source.onChange(onChange)
  const stop = () => {
    stopListening()
    source.closing.removeEventListener('abort', onClosing)
  }
  const end = (why: { code: status; details: string }) => {
    stop()
    call.emit('error', why)
  }
  source.closing.addEventListener('abort', onClosing)
  call.once('cancelled', stop)
  call.on('end', () => {
    stop()
    call.end()
  })
  call.on('data', (request: DiscoveryRequest) => {
    // An acknowledgement of an answer before the last one says nothing any more.
    if (request.responseNonce !== '' && request.responseNonce !== String(version)) return
    const asked = [...request.resourceNames].sort()
    const more = asked.join('\n') !== names.join('\n')
    names = asked
    if (request.responseNonce === '' || more) send(true)
  })
}

function responseOf(view: WorkloadView, names: readonly string[], version: number): DiscoveryResponse | undefined {
  const secrets = names.map((name) => secretOf(view, name))
  if (secrets.some((one) => one === undefined)) return undefined
  const resources = secrets.map((one) => ({ typeUrl: SECRET, value: Buffer.from(Secret.encode(one as Secret).finish()) }))
  const text = String(version)
  return { versionInfo: text, nonce: text, resources, canary: false, typeUrl: SECRET, controlPlane: undefined }
}

function secretOf(view: WorkloadView, name: string): Secret | undefined {
  const { svid, trust, trustDomain } = view
  if (name === 'default' || name === svid.id) {
    const key = svid.key.export({ type: 'pkcs8', format: 'pem' }) as string
    return Secret.fromPartial({
      name,
      tlsCertificate: { certificateChain: inline(svid.chain.map(certificatePem).join('')), privateKey: inline(key) }
    })
  }
  if (name === 'ALL') return validator(name, [...trust.keys()], view)
  const one = name === 'ROOTCA' ? trustDomain : name.replace(/^spiffe:\/\//, '')
  return trust.has(one) && (name === 'ROOTCA' || name !== one) ? validator(name, [one], view) : undefined
}

/** Each trust domain is pinned to its own anchors, as in the files (dev-sds.ts). */
function validator(name: string, domains: readonly string[], { trust }: WorkloadView): Secret {
  const trustDomains = domains.map((domain) => ({
    name: domain,
    trustBundle: inline((trust.get(domain)?.roots ?? []).map(certificatePem).join(''))
  }))
  const value = Buffer.from(SPIFFECertValidatorConfig.encode(SPIFFECertValidatorConfig.fromPartial({ trustDomains })).finish())
  const typedConfig = { typeUrl: `${TLS}.SPIFFECertValidatorConfig`, value }
  return Secret.fromPartial({
    name,
    validationContext: { customValidatorConfig: { name: 'envoy.tls.cert_validator.spiffe', typedConfig } }
  })
}

function inline(pem: string) {
  return { inlineBytes: Buffer.from(pem) }
}

function refusal(names: readonly string[]) {
  const asked = JSON.stringify(names)
  return { code: status.INVALID_ARGUMENT, details: `workload is not authorized for the requested identities ${asked}` }
}
