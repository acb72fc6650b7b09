import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { endProcess, endsWithUs } from '../../demo/process.ts'
import { kubernetesSchemas } from '../../setup/components.ts'
import { issueSvid, makeAuthority } from '../support/ca.ts'
import { type Kubernetes, type Manifest, pathOf, type Said, startKubernetes, whyNoKubernetes } from './support/kubernetes.ts'

/**
 * spire/kubernetes/ in a real API server, with the real webhook: what each of the two does alone, and both together. It runs where
 * VECAUTHZ_KUBE_APISERVER_BIN and VECAUTHZ_ETCD_BIN name the programs; docs/kubernetes.md says how they are built and what was seen.
 */

const ROOT = join(import.meta.dirname, '../..')
const MANIFESTS = join(ROOT, 'spire/kubernetes')
const missing = whyNoKubernetes()
const APPLY = 'application/apply-patch+yaml'
const ACME = { 'vecauthz.dev/tenant': 'acme', 'vecauthz.dev/region': 'eu', 'vecauthz.dev/residency': 'eu', 'vecauthz.dev/retention': '30d' }
const GLOBEX = { 'vecauthz.dev/tenant': 'globex' }
/** Their CRDs are in no package registry, or the test of schemas has them. */
const OTHERS = ['spire.spiffe.io/v1alpha1', 'monitoring.coreos.com/v1']

let folder: string
let cluster: Kubernetes
const stops: (() => Promise<unknown>)[] = []

const manifests = readdirSync(MANIFESTS)
  .filter((name) => name !== 'kustomization.yaml')
  .flatMap((name) => parseAllDocuments(readFileSync(join(MANIFESTS, name), 'utf8')).map((one) => one.toJSON() as Manifest))

const apply = (manifest: Manifest) => cluster.ask('admin', 'PATCH', pathOf(manifest), manifest, APPLY)

beforeAll(async () => {
  if (missing !== undefined) return
  folder = mkdtempSync(join(tmpdir(), 'k8s-'))
  cluster = await startKubernetes(folder, ['dev', 'platform'])
}, 120_000)

afterAll(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
  await cluster?.stop()
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
})

beforeEach(({ skip }) => skip(missing !== undefined, missing))

/** The webhook as it is shipped, but for where it listens. */
async function startWebhook(): Promise<{ url: string; ca: string }> {
  const authority = await makeAuthority({ trustDomain: 't.test' })
  const own = await issueSvid(authority, { id: 'spiffe://t.test/webhook', dns: ['localhost'] })
  writeFileSync(join(folder, 'tls.crt'), own.pem)
  writeFileSync(join(folder, 'tls.key'), own.keyPem)
  const config = manifests.find(({ kind }) => kind === 'ConfigMap')?.['data'] as Record<string, string>
  for (const [name, text] of Object.entries(config)) writeFileSync(join(folder, name), text)
  const shipped: string[] = manifests.find(({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'vecauthz-webhook')?.['spec']
    .template.spec.containers[0].args
  const args = shipped.map((arg) => arg.replace('/etc/vecauthz', folder).replace('/etc/tls', folder).replace('0.0.0.0:9443', '127.0.0.1:0'))
  const child = spawn(process.execPath, [join(ROOT, 'src/main.ts'), ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  const release = endsWithUs(child)
  let log = ''
  child.stderr.on('data', (chunk) => {
    log += chunk
  })
  stops.push(async () => {
    release()
    await endProcess(child, 10_000)
  })
  const port = await vi.waitFor(() => /"port":(\d+)/.exec(log)?.[1] ?? Promise.reject(new Error(log)), 20_000)
  return { url: `https://localhost:${port}/validate`, ca: Buffer.from(authority.pem).toString('base64') }
}

const can = (name: string, user: string, rules: object[]): Manifest[] => {
  const rbac = { apiVersion: 'rbac.authorization.k8s.io/v1' }
  const roleRef = { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name }
  const subjects = [{ kind: 'User', name: user, apiGroup: 'rbac.authorization.k8s.io' }]
  const role = rules.length === 0 ? [] : [{ ...rbac, kind: 'ClusterRole', metadata: { name }, rules }]
  return [...role, { ...rbac, kind: 'ClusterRoleBinding', metadata: { name: `${name}-${user}` }, roleRef, subjects }]
}

const namespace = (name: string, labels: object = {}) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } })
const pod = (place: string, name: string, labels: object, spec: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: place, labels },
  spec: { serviceAccountName: 'support', containers: [{ name: 'agent', image: 'agent:1' }], ...spec }
})
const make = (user: string, object: { kind: string; metadata: object }) => {
  const place = (object.metadata as { namespace?: string }).namespace
  return cluster.ask(user, 'POST', place === undefined ? '/api/v1/namespaces' : `/api/v1/namespaces/${place}/pods`, object)
}
const label = (user: string, path: string, labels: object) =>
  cluster.ask(user, 'PATCH', `/api/v1/namespaces/${path}`, { metadata: { labels } }, 'application/merge-patch+json')
const code = ({ status }: Said) => status

describe('the manifests', () => {
  it('are taken by a real API server, every field known', async () => {
    const known = manifests.filter(({ apiVersion }) => !OTHERS.includes(apiVersion))
    const own = known.toSorted((a, b) => Number(b.kind === 'Namespace') - Number(a.kind === 'Namespace'))
    // Namespaces first; and what decides comes later, with a webhook that answers.
    for (const one of own.filter(({ kind }) => kind !== 'ValidatingWebhookConfiguration' && !kind.startsWith('ValidatingAdmission'))) {
      const said = await apply(one)
      expect([one.kind, one.metadata.name, said.status, said.message]).toEqual([one.kind, one.metadata.name, 201, ''])
    }
    for (const one of own.filter(({ kind }) => kind === 'ValidatingWebhookConfiguration' || kind.startsWith('ValidatingAdmission'))) {
      expect([one.metadata.name, code(await cluster.ask('admin', 'PATCH', `${pathOf(one)}&dryRun=All`, one, APPLY))]).toEqual([
        one.metadata.name,
        201
      ])
    }
  })

  it('control: a misspelt field is not taken', async () => {
    const pdb = manifests.find(({ kind }) => kind === 'PodDisruptionBudget') as Manifest
    const said = await apply({ ...pdb, spec: { ...pdb['spec'], minAvailible: 1 } })
    expect([said.status, said.message]).toEqual([500, expect.stringContaining('minAvailible')])
  })

  it('people are there, of whom one may label', async () => {
    const verbs = ['create', 'get', 'list', 'update', 'patch', 'delete']
    const work = [
      {
        apiGroups: [''],
        resources: [
          'namespaces',
          'namespaces/status',
          'namespaces/finalize',
          'pods',
          'pods/status',
          'pods/ephemeralcontainers',
          'pods/binding'
        ],
        verbs
      }
    ]
    const all = [...can('work', 'dev', work), ...can('work', 'platform', work), ...can('vecauthz-tenant-labeller', 'platform', [])]
    for (const one of all) expect(code(await apply(one))).toBeLessThan(300)
    expect(code(await make('platform', namespace('before', { 'vecauthz.dev/tenant': 'globex' })))).toBe(201)
  })
})

describe('what is for Istio and Envoy Gateway', () => {
  const schemas = kubernetesSchemas()
  const wanted = [
    ['istio.io/api/kubernetes', 'envoy/istio', ['policies.yaml', 'envoy-filters.yaml']],
    [
      'github.com/envoyproxy/gateway/charts/gateway-helm/charts/crds/crds',
      'envoy/gateway-api',
      ['gateway.yaml', 'policies.yaml', 'patches.yaml']
    ]
  ] as const
  const read = (file: string) => parseAllDocuments(readFileSync(file, 'utf8')).map((one) => one.toJSON() as Manifest | null)

  it.each(wanted)('%s: taken under its own definitions, rules in CEL included', async (definitions, folder, files) => {
    const crds = readdirSync(join(schemas ?? '', definitions), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.yaml'))
      .flatMap((name) => read(join(schemas ?? '', definitions, name)))
      .filter((one) => one?.kind === 'CustomResourceDefinition')
    for (const one of crds) expect(code(await apply(one as Manifest))).toBe(201)
    expect(code(await make('platform', namespace('data')))).toBeLessThan(500)
    for (const manifest of files.flatMap((name) => read(join(ROOT, folder, name))) as Manifest[]) {
      const said = await vi.waitFor(async () => {
        const heard = await apply(manifest)
        expect(heard.status).not.toBe(404)
        return heard
      }, 20_000)
      expect([manifest.kind, manifest.metadata.name, said.status, said.message]).toEqual([manifest.kind, manifest.metadata.name, 201, ''])
    }
  })
})

describe('the policies of the API server, alone', () => {
  it('are in force', async () => {
    for (const one of manifests.filter(({ kind }) => kind.startsWith('ValidatingAdmission'))) expect(code(await apply(one))).toBe(201)
    await vi.waitFor(
      async () => expect(code(await cluster.ask('dev', 'POST', '/api/v1/namespaces?dryRun=All', namespace('probe', GLOBEX)))).toBe(403),
      20_000
    )
    // Their expressions have types that the API server checks.
    for (const { kind, metadata } of manifests.filter((one) => one.kind === 'ValidatingAdmissionPolicy')) {
      const said = await cluster.ask('admin', 'GET', pathOf({ apiVersion: 'admissionregistration.k8s.io/v1', kind, metadata }))
      expect(said.body.status?.typeChecking?.expressionWarnings).toBeUndefined()
    }
  })

  it.each([
    { name: 'who may label, may', user: 'platform', object: namespace('rag-acme', ACME), want: 201, says: '' },
    {
      name: 'who may not, may not',
      user: 'dev',
      object: namespace('mine', GLOBEX),
      want: 403,
      says: 'take the verb label on tenants.vecauthz.dev/globex'
    },
    { name: 'without labels anybody', user: 'dev', object: namespace('mine'), want: 201, says: '' },
    {
      name: 'no labels of ours but four',
      user: 'platform',
      object: namespace('b', { 'vecauthz.dev/Tenant': 'x' }),
      want: 422,
      says: 'and no others'
    },
    {
      name: 'no region without a tenant',
      user: 'platform',
      object: namespace('b', { 'vecauthz.dev/region': 'eu' }),
      want: 422,
      says: 'tenant is missing'
    },
    { name: 'a pod as its namespace is', user: 'dev', object: pod('rag-acme', 'good', ACME), want: 201, says: '' },
    {
      name: "a pod as another's",
      user: 'dev',
      object: pod('rag-acme', 'bad', GLOBEX),
      want: 422,
      says: 'are those of its namespace rag-acme'
    },
    { name: 'a pod without', user: 'dev', object: pod('rag-acme', 'bad', {}), want: 422, says: 'are those of its namespace' },
    {
      name: 'a pod with, where there are none',
      user: 'dev',
      object: pod('mine', 'bad', ACME),
      want: 422,
      says: 'are those of its namespace mine'
    },
    { name: 'a pod elsewhere', user: 'dev', object: pod('mine', 'good', {}), want: 201, says: '' },
    {
      name: "everybody's service account",
      user: 'dev',
      object: pod('rag-acme', 'bad', ACME, { serviceAccountName: 'default' }),
      want: 422,
      says: 'service account of its own'
    },
    {
      name: "the node's network",
      user: 'dev',
      object: pod('rag-acme', 'bad', ACME, { hostNetwork: true }),
      want: 422,
      says: 'shares neither network'
    }
  ])('$name: $want $says', async ({ user, object, want, says }) => {
    const said = await make(user, object)
    expect([said.status, said.message]).toEqual([want, expect.stringContaining(says)])
  })

  const nothing = Object.fromEntries(Object.keys(ACME).map((name) => [name, null]))
  it.each([
    { name: 'a namespace that loses its tenant', path: 'rag-acme', labels: nothing, says: "is tenant acme's" },
    { name: 'the same through status', path: 'rag-acme/status', labels: nothing, says: "is tenant acme's" },
    { name: 'a namespace that changes hands', path: 'rag-acme', labels: GLOBEX, says: 'tenants.vecauthz.dev' },
    { name: 'a namespace that gets one', path: 'mine', labels: GLOBEX, says: 'tenants.vecauthz.dev/globex' },
    { name: 'the same through status', path: 'mine/status', labels: GLOBEX, says: 'tenants.vecauthz.dev/globex' },
    { name: 'a pod that changes hands', path: 'rag-acme/pods/good', labels: GLOBEX, says: 'do not change while it runs' },
    { name: 'the same through status', path: 'rag-acme/pods/good/status', labels: GLOBEX, says: 'do not change while it runs' },
    { name: 'a pod that gets one', path: 'mine/pods/good', labels: GLOBEX, says: 'do not change while it runs' },
    { name: 'a pod that loses it', path: 'rag-acme/pods/good', labels: nothing, says: 'do not change while it runs' }
  ])('$name: $says', async ({ path, labels, says }) => {
    const said = await label('dev', path, labels)
    expect([said.status >= 400, said.message]).toEqual([true, expect.stringContaining(says)])
  })

  it('through finalize neither', async () => {
    const { body } = await cluster.ask('dev', 'GET', '/api/v1/namespaces/mine')
    body.metadata.labels = { ...body.metadata.labels, ...GLOBEX }
    const said = await cluster.ask('dev', 'PUT', '/api/v1/namespaces/mine/finalize', body)
    expect([said.status, said.message]).toEqual([403, expect.stringContaining('tenants.vecauthz.dev/globex')])
  })

  it('other labels change as ever', async () => {
    expect(code(await label('dev', 'rag-acme', { team: 'a' }))).toBe(200)
    expect(code(await label('dev', 'rag-acme/pods/good', { team: 'a' }))).toBe(200)
  })

  it.each(['mine/status', 'rag-acme/pods/good/status'])('control: others do through %s, which is why that is guarded', async (path) => {
    const labels = { through: 'status' }
    expect((await label('dev', path, labels)).body.metadata.labels).toMatchObject(labels)
  })

  it('nobody joins the pod of a tenant, and a pod elsewhere whoever may', async () => {
    const join = (path: string) => {
      const spec = { ephemeralContainers: [{ name: 'debug', image: 'sh', targetContainerName: 'agent' }] }
      return cluster.ask(
        'dev',
        'PATCH',
        `/api/v1/namespaces/${path}/ephemeralcontainers`,
        { spec },
        'application/strategic-merge-patch+json'
      )
    }
    expect((await join('rag-acme/pods/good')).message).toContain('would speak with its identity')
    expect(code(await join('mine/pods/good'))).toBe(200)
  })

  it('a binding brings no tenant along', async () => {
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'good', labels: GLOBEX }, target: { kind: 'Node', name: 'n' } }
    const said = await cluster.ask('dev', 'POST', '/api/v1/namespaces/mine/pods/good/binding', binding)
    expect([said.status, said.message]).toEqual([422, expect.stringContaining('carries no')])
  })
})

describe('with the webhook', () => {
  it('is asked', async () => {
    const { url, ca } = await startWebhook()
    const shipped = manifests.find(({ kind }) => kind === 'ValidatingWebhookConfiguration') as Manifest
    const webhooks = shipped['webhooks'].map((one: object) => ({ ...one, clientConfig: { url, caBundle: ca } }))
    expect(code(await apply({ ...shipped, webhooks }))).toBe(201)
    const asked = () => cluster.ask('platform', 'POST', '/api/v1/namespaces?dryRun=All', namespace('probe', GLOBEX))
    await vi.waitFor(async () => expect((await asked()).message).toContain('vecauthz: namespace probe is no tenant'), 20_000)
  })

  it.each([
    {
      name: 'whose it is, the policy says',
      object: namespace('rag-globex', { 'vecauthz.dev/tenant': 'acme' }),
      says: "is tenant globex's"
    },
    { name: 'and so it is made', object: namespace('rag-globex', GLOBEX), says: '' },
    {
      name: 'a residency that the policy does not have',
      object: namespace('rag-globex2', { ...GLOBEX, 'vecauthz.dev/residency': 'us' }),
      says: "no tenant's"
    },
    { name: 'an agent that the policy knows', object: pod('rag-acme', 'a1', ACME), says: '' },
    {
      name: 'an agent that it does not',
      object: pod('rag-acme', 'a2', ACME, { serviceAccountName: 'other' }),
      says: 'no workload of the policy is spiffe://example.org/ns/rag-acme/tenant/acme/sa/other'
    },
    {
      name: 'a name that the API server makes up',
      object: { ...namespace('', GLOBEX), metadata: { generateName: 'rag-glo', labels: GLOBEX } },
      says: "is no tenant's in the policy"
    }
  ])('$name: $says', async ({ object, says }) => {
    const said = await make('platform', object)
    expect([said.status, said.message]).toEqual([says === '' ? 201 : 403, expect.stringContaining(says)])
  })

  it.each([
    { path: 'rag-acme', says: 'must be acme' },
    { path: 'rag-acme/status', says: 'must be acme' },
    { path: 'mine', says: "no tenant's" },
    { path: 'mine/status', says: "no tenant's" }
  ])('who may label may not do it otherwise than the policy has it: $path', async ({ path, says }) => {
    const said = await label('platform', path, GLOBEX)
    expect([said.status, said.message]).toEqual([403, expect.stringContaining(says)])
  })

  it('what another policy let in goes on, with a warning, and can be deleted', async () => {
    expect(code(await label('platform', 'before', { team: 'a' }))).toBe(200)
    expect(code(await label('platform', 'before', { 'vecauthz.dev/tenant': 'acme' }))).toBe(403)
    expect(code(await cluster.ask('platform', 'DELETE', '/api/v1/namespaces/before'))).toBe(200)
    await cluster.ask('platform', 'PUT', '/api/v1/namespaces/before/finalize', {
      ...(await cluster.ask('platform', 'GET', '/api/v1/namespaces/before')).body,
      spec: { finalizers: [] }
    })
    expect(code(await cluster.ask('platform', 'GET', '/api/v1/namespaces/before'))).toBe(404)
  })

  it('gone, no tenant gets anything new, and everybody else does', async () => {
    for (const stop of stops.splice(0)) await stop()
    expect((await make('platform', namespace('rag-acme2', ACME))).message).toContain('failed calling webhook')
    expect((await make('dev', pod('rag-acme', 'a3', ACME))).message).toContain('failed calling webhook')
    expect(code(await make('dev', namespace('theirs')))).toBe(201)
    expect(code(await make('dev', pod('theirs', 'good', {})))).toBe(201)
  })
})

it('its policy is the one that is shipped', () => {
  const config = manifests.find(({ kind }) => kind === 'ConfigMap')?.['data'] as Record<string, string>
  expect(parse(config['policy.yaml'] ?? '').tenants.map(({ id }: { id: string }) => id)).toEqual(['acme', 'globex'])
})
