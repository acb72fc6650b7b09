import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What one workload's Envoy is given through files. */
export interface SdsSecrets {
  /** Lower-case hex serial of the leaf: names the revision. */
  readonly serial: string
  /** Leaf, then intermediate. */
  readonly chainPem: string
  readonly keyPem: string
  /** Trust domain to its anchors as PEM: own first, then federated. */
  readonly bundles: ReadonlyMap<string, string>
}

const TLS = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3'
/** The names that SPIRE's agent gives the same two secrets, so that one Envoy configuration serves both. */
const [SVID_NAME, BUNDLES_NAME] = ['default', 'ALL']
const CURRENT = 'current'

/**
 * Writes the files that Envoy reads as file SDS into `folder` (which must exist, mode 0700; every file becomes 0600):
 *
 * - `svid.json`, secret `default`: chain and key below `current/`, with the folder as `watched_directory`;
 * - `bundles.json`, secret `ALL`: the SPIFFE validator with each trust domain pinned to its own anchors;
 * - `current`, a link to the folder of this revision with `chain.pem` and `key.pem`.
 *
 * Envoy reloads on a rename only. Renaming the link is one, and it changes chain and key in the same moment: renaming two files
 * would let Envoy read a new chain with an old key. Anchors stand inside `bundles.json`, because Envoy watches that file and not
 * the files it may name.
 */
export function writeSdsFolder(folder: string, secrets: SdsSecrets): void {
  const revision = `.svid-${secrets.serial}`
  // Anchors first: a peer's new chain must never be met by a validator that does not know its root yet.
  replaceFile(folder, 'bundles.json', bundlesResource(secrets.bundles))
  if (!existsSync(join(folder, revision))) {
    const fresh = join(folder, '.next-svid')
    rmSync(fresh, { recursive: true, force: true })
    mkdirSync(fresh, { mode: 0o700 })
    writeFileSync(join(fresh, 'chain.pem'), secrets.chainPem, { mode: 0o600 })
    writeFileSync(join(fresh, 'key.pem'), secrets.keyPem, { mode: 0o600 })
    renameSync(fresh, join(folder, revision))
  }
  const before = currentRevision(folder)
  if (before !== revision) {
    const link = join(folder, '.next-link')
    rmSync(link, { force: true })
    symlinkSync(revision, link)
    renameSync(link, join(folder, CURRENT))
  }
  replaceFile(folder, 'svid.json', svidResource(folder))
  // The revision before this one stays: an Envoy that is reading it right now finishes with a matching pair.
  removeRevisions(folder, new Set([revision, before]))
}

/** Takes the identity away: an Envoy that starts later finds nothing, one that runs keeps what it has until it expires. */
export function removeSdsFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true })
}

function svidResource(folder: string): object {
  return {
    '@type': `${TLS}.Secret`,
    name: SVID_NAME,
    tls_certificate: {
      certificate_chain: { filename: join(folder, CURRENT, 'chain.pem') },
      private_key: { filename: join(folder, CURRENT, 'key.pem') },
      watched_directory: { path: folder }
    }
  }
}

function bundlesResource(bundles: ReadonlyMap<string, string>): object {
  const trustDomains = Array.from(bundles, ([name, pem]) => ({ name, trust_bundle: { inline_string: pem } }))
  return {
    '@type': `${TLS}.Secret`,
    name: BUNDLES_NAME,
    validation_context: {
      custom_validator_config: {
        name: 'envoy.tls.cert_validator.spiffe',
        typed_config: { '@type': `${TLS}.SPIFFECertValidatorConfig`, trust_domains: trustDomains }
      }
    }
  }
}

/** JSON is what Envoy reads as YAML too, and needs no escaping of its own. Nothing is touched when nothing changed. */
function replaceFile(folder: string, name: string, resource: object): void {
  const text = `${JSON.stringify({ resources: [resource] }, undefined, 2)}\n`
  const path = join(folder, name)
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return
  const fresh = join(folder, `.next-${name}`)
  writeFileSync(fresh, text, { mode: 0o600 })
  renameSync(fresh, path)
}

function currentRevision(folder: string): string | undefined {
  return existsSync(join(folder, CURRENT)) ? readlinkSync(join(folder, CURRENT)) : undefined
}

function removeRevisions(folder: string, kept: ReadonlySet<string | undefined>): void {
  for (const name of readdirSync(folder)) {
    if (name.startsWith('.svid-') && !kept.has(name)) rmSync(join(folder, name), { recursive: true, force: true })
  }
}
