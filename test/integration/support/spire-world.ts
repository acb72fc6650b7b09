/** The SPIRE of the tests: a server with its agent, a partner to federate with, and a server and agent below an upstream root. */
import { X509Certificate } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { GATEWAY_SERVER, TRUST_DOMAIN } from '../../../demo/identities.ts'
import { type Authority, issueSvid, makeAuthority } from '../../support/ca.ts'
import { name } from '../../support/der-write.ts'
import { type SpireAgent, type SpireServer, startSpireAgent, startSpireServer } from './spire.ts'
import type { SpireBinaries } from './spire-binaries.ts'
import type { Transcript } from './transcript.ts'

export const PARTNER = 'partner.test'
const NODE = `spiffe://${TRUST_DOMAIN}/node/test`
const NESTED_NODE = `spiffe://${TRUST_DOMAIN}/spire/agent/x509pop/test-node`
/** Lifetime of the SVIDs below the upstream root, whose renewal is watched; all others live for an hour. */
export const SHORT_SVID_SECONDS = 60

export interface SpireWorld {
  /** Removed by `stop`. */
  readonly folder: string
  readonly server: SpireServer
  readonly agent: SpireAgent
  readonly partner: SpireServer
  readonly nested: { readonly server: SpireServer; readonly agent: SpireAgent }
  /** The root above the nested server; it has no SPIFFE ID. */
  readonly upstream: Authority
  readonly stop: () => Promise<void>
}

export async function startWorld({ server: binary, agent: agentBinary }: SpireBinaries, transcript: Transcript): Promise<SpireWorld> {
  const folder = mkdtempSync(join(tmpdir(), 'spire-'))
  transcript.hide(folder)
  const stops: (() => Promise<unknown>)[] = [async () => rmSync(folder, { recursive: true, force: true })]
  const stop = async () => {
    for (const one of stops.splice(0).reverse()) await one()
  }
  const kept = <T extends { readonly stop: () => Promise<unknown> }>(one: T): T => {
    stops.push(one.stop)
    return one
  }
  try {
    const server = kept(await startSpireServer({ binary, folder: join(folder, 'server'), trustDomain: TRUST_DOMAIN }))
    transcript.say('server up, with a root of its own')
    const bootstrap = await server.command('bundle', 'show')
    const { value: joinToken } = await server.json('token', 'generate', '-spiffeID', NODE, '-ttl', '600')
    const agent = kept(await startSpireAgent({ binary: agentBinary, folder: join(folder, 'agent'), server, bootstrap, as: { joinToken } }))
    transcript.say('agent up, by join token')
    const partner = kept(await startPartner(binary, folder))
    await federate(server, partner, folder)
    transcript.say(`partner up (P-384 root, RSA JWT keys), its bundle endpoint known to the server`)
    const { upstream, files } = await nodePki(join(folder, 'pki'))
    const nestedServer = kept(
      await startSpireServer({
        binary,
        folder: join(folder, 'nested-server'),
        trustDomain: TRUST_DOMAIN,
        upstream: { cert: files.upstream, key: files.upstreamKey },
        nodeCa: files.nodeCa
      })
    )
    await addEntry(nestedServer, { name: 'own', id: GATEWAY_SERVER, parent: NESTED_NODE, seconds: SHORT_SVID_SECONDS })
    const nestedAgent = kept(
      await startSpireAgent({
        binary: agentBinary,
        folder: join(folder, 'nested-agent'),
        server: nestedServer,
        bootstrap: upstream.pem,
        as: { cert: files.node, key: files.nodeKey }
      })
    )
    transcript.say('second server up, below an upstream root, and its agent, by x509pop')
    return { folder, server, agent, partner, nested: { server: nestedServer, agent: nestedAgent }, upstream, stop }
  } catch (cause) {
    await stop()
    throw cause
  }
}

function startPartner(binary: string, folder: string): Promise<SpireServer> {
  return startSpireServer({
    binary,
    folder: join(folder, 'partner'),
    trustDomain: PARTNER,
    caKeyType: 'ec-p384',
    jwtKeyType: 'rsa-2048',
    bundleEndpoint: true
  })
}

async function federate(server: SpireServer, partner: SpireServer, folder: string): Promise<void> {
  const file = join(folder, 'partner-bundle.json')
  writeFileSync(file, await partner.command('bundle', 'show', '-format', 'spiffe'))
  const endpoint = ['-bundleEndpointProfile', 'https_spiffe', '-bundleEndpointURL', `https://127.0.0.1:${partner.bundleEndpointPort}`]
  const bundle = ['-trustDomainBundlePath', file, '-trustDomainBundleFormat', 'spiffe']
  const id = ['-endpointSpiffeID', `spiffe://${PARTNER}/spire/server`, '-trustDomain', PARTNER]
  await server.json('federation', 'create', ...endpoint, ...id, ...bundle)
}

/** What SPIRE has no part in: the root above its server, and the certificate by which the agent's node is known. */
async function nodePki(folder: string) {
  mkdirSync(folder, { mode: 0o700 })
  const upstream = await makeAuthority({ trustDomain: TRUST_DOMAIN, name: 'upstream root', id: null })
  const nodeCa = await makeAuthority({ trustDomain: TRUST_DOMAIN, name: 'node authority', id: null })
  const node = await issueSvid(nodeCa, { subject: name([['2.5.4.3', 'test-node']]), sans: null })
  const write = (file: string, text: string) => {
    writeFileSync(join(folder, file), text, { mode: 0o600 })
    return join(folder, file)
  }
  const files = {
    upstream: write('upstream.crt', upstream.pem),
    upstreamKey: write('upstream.key', upstream.keyPem),
    nodeCa: write('node-ca.crt', nodeCa.pem),
    node: write('node.crt', node.pem),
    nodeKey: write('node.key', node.keyPem)
  }
  return { upstream, files }
}

export interface Entry {
  /** Its ID at the server. */
  readonly name: string
  readonly id: string
  /** The program that the workload runs, beside our own user; without it any program of ours. */
  readonly program?: string
  readonly parent?: string
  readonly dns?: string
  readonly federatesWith?: string
  /** Lifetime of its X.509-SVIDs. */
  readonly seconds?: number
}

export async function addEntry(server: SpireServer, entry: Entry, command: 'create' | 'update' = 'create'): Promise<void> {
  const { name: entryId, id, program, parent = NODE, dns, federatesWith, seconds } = entry
  const words = ['-entryID', entryId, '-parentID', parent, '-spiffeID', id, '-selector', `unix:uid:${process.getuid?.()}`]
  if (program !== undefined) words.push('-selector', `unix:path:${program}`)
  if (dns !== undefined) words.push('-dns', dns)
  if (federatesWith !== undefined) words.push('-federatesWith', federatesWith)
  if (seconds !== undefined) words.push('-x509SVIDTTL', String(seconds))
  await server.json('entry', command, ...words)
}

/** An X.509-SVID straight from a server, for an hour. */
export async function mint(server: SpireServer, id: string, folder: string) {
  const target = mkdtempSync(join(folder, 'mint-'))
  await server.command('x509', 'mint', '-spiffeID', id, '-ttl', '1h', '-write', target)
  const [cert, key] = [readFileSync(join(target, 'svid.pem'), 'utf8'), readFileSync(join(target, 'key.pem'), 'utf8')]
  const blocks = cert.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []
  return { cert, key, chain: blocks.map((pem) => new Uint8Array(new X509Certificate(pem).raw)) }
}
