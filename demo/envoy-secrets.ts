import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'

/**
 * Identities for an Envoy without SPIRE: the SDS files that envoy/*.yaml name, with everything inline. Each file is replaced by a
 * rename, so Envoy sees a certificate and its key together or not at all, and takes them for its next handshake without a restart.
 */

export interface SvidPem {
  /** Leaf first, then the intermediates. */
  readonly pem: string
  readonly keyPem: string
}

export interface EnvoySecrets {
  /** The gateway's own SVID, towards agents and towards vecauthz. */
  readonly server?: SvidPem
  /** The agent's SVID, in an agent sidecar. */
  readonly client?: SvidPem
  /** Trust domain name to the PEM of its authorities. */
  readonly bundles?: Readonly<Record<string, string>>
}

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3'

/** Writes `sds/server_cert.yaml`, `sds/client_cert.yaml` and `sds/bundles.yaml` below the folder, each only when it is given. */
export function writeSecrets(folder: string, { server, client, bundles }: EnvoySecrets): void {
  const sds = join(folder, 'sds')
  mkdirSync(sds, { recursive: true, mode: 0o700 })
  if (server !== undefined) writeSecret(sds, 'server_cert', certificate(server))
  if (client !== undefined) writeSecret(sds, 'client_cert', certificate(client))
  if (bundles !== undefined) writeSecret(sds, 'bundles', validation(bundles))
}

function certificate({ pem, keyPem }: SvidPem) {
  return { tls_certificate: { certificate_chain: { inline_string: pem }, private_key: { inline_string: keyPem } } }
}

function validation(bundles: Readonly<Record<string, string>>) {
  const domains = Object.entries(bundles).map(([name, pem]) => ({ name, trust_bundle: { inline_string: pem } }))
  const config = { '@type': `${TLS}.SPIFFECertValidatorConfig`, trust_domains: domains }
  return { validation_context: { custom_validator_config: { name: 'envoy.tls.cert_validator.spiffe', typed_config: config } } }
}

function writeSecret(sds: string, name: string, secret: object): void {
  const next = join(sds, `.${name}.next`)
  // Keys are in it: readable by this user only.
  writeFileSync(next, stringify({ resources: [{ '@type': `${TLS}.Secret`, name, ...secret }] }), { mode: 0o600 })
  renameSync(next, join(sds, `${name}.yaml`))
}
