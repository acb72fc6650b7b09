import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { type RunningEnvoy, startEnvoy } from '../../demo/envoy.ts'
import { renderBootstrap } from '../../demo/envoy-config.ts'
import { envoyBinary } from '../../setup/components.ts'
import { readIstio } from '../../src/doctor/istio.ts'
import { judge, type Report } from '../../src/doctor/judge.ts'
import type { Manifest as Loose } from '../../src/doctor/manifests.ts'
import { readSource } from '../../src/doctor/read-source.ts'
import { issueSvid, makeAuthority } from '../support/ca.ts'
import { ISTIO_MISTAKES, ISTIO_OPEN, manifestsOf, meshOf } from '../support/istio-mistakes.ts'
import { SHIPPED } from '../support/shipped-envoy.ts'
import { type Mesh, type Pod, registerPod, serveSecrets, sidecarBootstrap, startMesh, whyNoIstiod } from './support/istiod.ts'
import { type Manifest, pathOf } from './support/kubernetes.ts'

/**
 * What the doctor reads in manifests beside what a real istiod makes of them in a real Envoy: of every mistake, what the running one
 * fails is never a pass of the manifests. It runs where istiod-live.test.ts does.
 */

const missing = whyNoIstiod()
const DOMAIN = 'example.org'
const POD: Pod = { name: 'qdrant-0', namespace: 'data', address: '10.1.0.5', labels: { app: 'qdrant' }, account: 'qdrant' }
/** Of a sidecar in a test: its admin interface is Envoy's own. */
const NOT_OURS = ['admin-reads-only']
const SETTLE_MS = 40_000
/** For what istiod leaves as it is. */
const STILL_MS = 2_000

let folder: string
let mesh: Mesh
let envoy: RunningEnvoy
let applied: Loose[]
const stops: (() => unknown)[] = []
const { servers } = SHIPPED['gateway.yaml']

const core = (kind: string, metadata: Manifest['metadata'], more: object = {}): Manifest => ({ apiVersion: 'v1', kind, metadata, ...more })
const isApplied = ({ kind, apiVersion }: Loose) => String(apiVersion).includes('istio.io') || kind === 'Service'
const idOf = ({ kind, metadata }: Loose) => `${kind} ${metadata?.namespace}/${metadata?.name}`
const of = ({ judged }: Report, wanted: string) => judged.filter(({ verdict }) => verdict === wanted).map(({ check }) => check.id)

beforeAll(async () => {
  if (missing !== undefined) return
  folder = mkdtempSync(join(tmpdir(), 'id-'))
  stops.push(() => rmSync(folder, { recursive: true, force: true }))
  const authority = await makeAuthority({ trustDomain: DOMAIN })
  const shipped = manifestsOf('istio')
  mesh = await startMesh(folder, meshOf(shipped))
  stops.push(mesh.stop)
  for (const name of ['data', 'vecauthz', 'other']) await mesh.apply(core('Namespace', { name }))
  const ports = [6333, 6334].map((port) => ({ name: port === 6333 ? 'http' : 'grpc', port }))
  await mesh.apply(core('Service', { name: 'qdrant', namespace: 'data' }, { spec: { selector: { app: 'qdrant' }, ports } }))
  const entry = { apiVersion: 'networking.istio.io/v1', kind: 'WorkloadEntry', metadata: { name: 'vecauthz', namespace: 'vecauthz' } }
  const labels = { 'app.kubernetes.io/name': 'vecauthz' }
  await mesh.apply({ ...entry, spec: { address: '127.0.0.1', labels, ports: { 'grpc-authz': 1 } } })
  await registerPod(mesh, POD)
  applied = []
  await become(shipped)
  const svid = await issueSvid(authority, { id: `spiffe://${DOMAIN}/ns/data/sa/qdrant` })
  stops.push(await serveSecrets(join(folder, 'sds.sock'), svid, authority))
  const configFile = join(folder, 'sidecar.yaml')
  writeFileSync(configFile, renderBootstrap(sidecarBootstrap(POD, mesh.xdsPort, join(folder, 'sds.sock'))))
  envoy = await startEnvoy({ binary: envoyBinary(), configFile, folder })
  stops.push(envoy.stop)
}, 240_000)

afterAll(async () => {
  for (const stop of stops.reverse()) await stop()
}, 60_000)

beforeEach(({ skip }) => skip(missing !== undefined, missing))

/** Makes the objects of the API server these, and no others of ours. */
async function become(all: readonly Loose[]): Promise<void> {
  const data = { mesh: stringify(meshOf(all)), meshNetworks: 'networks: {}' }
  await mesh.apply(core('ConfigMap', { name: 'istio', namespace: 'istio-system' }, { data }))
  const wanted = all.filter(isApplied)
  // What cannot be changed is made anew: the address of a Service is for as long as it is there.
  const gone = applied.filter(
    (old) => !wanted.some((now) => idOf(now) === idOf(old) && (now['kind'] !== 'Service' || isDeepStrictEqual(now, old)))
  )
  for (const one of gone) await mesh.kubernetes.ask('admin', 'DELETE', pathOf(one as Manifest).replace(/\?.*/, ''))
  for (const one of wanted) await mesh.apply(one as Manifest)
  applied = wanted
}

async function running(): Promise<Report> {
  const [first] = servers
  return judge(await readSource(envoy.adminUrl), first === undefined ? [] : [first])
}

/** Asks until it fails all of these, and no others for a while. */
async function settled(lines: readonly string[]): Promise<readonly string[]> {
  const failed = async () => of(await running(), 'fail').filter((id) => !NOT_OURS.includes(id))
  const until = Date.now() + SETTLE_MS
  for (;;) {
    const now = await failed()
    if (lines.every((line) => now.includes(line)) && (lines.length > 0 || now.length === 0)) break
    if (Date.now() > until) return now
    await sleep(100)
  }
  await sleep(STILL_MS)
  return failed()
}

function manifest(all: readonly Loose[]): Report {
  const read = readIstio(all)
  return read?.ok === true ? judge(read.document, servers) : expect.fail('no manifests')
}

describe('a mistake that the manifests fail, the running sidecar fails as well, and nothing that they pass:', () => {
  it.each(ISTIO_MISTAKES)('$name', async ({ change }) => {
    await become(manifestsOf('istio'))
    expect(await settled([])).toEqual([])
    const all = manifestsOf('istio')
    change(all)
    const told = manifest(all)
    await become(all)
    const failed = await settled(of(told, 'fail'))
    expect(failed).toEqual(expect.arrayContaining(of(told, 'fail')))
    expect(failed.filter((id) => of(told, 'pass').includes(id))).toEqual([])
  })
})

describe('what the manifests leave open may fail:', () => {
  it.each(ISTIO_OPEN)('$name', async ({ change }) => {
    const all = manifestsOf('istio')
    change(all)
    await become(all)
    await sleep(STILL_MS)
    const failed = of(await running(), 'fail')
    expect(failed.filter((id) => of(manifest(all), 'pass').includes(id))).toEqual([])
  })
})
