import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { kubernetesSchemas } from '../../setup/components.ts'
import { namespaceManifests } from '../../src/k8s/namespaces.ts'
import { networkPolicies } from '../../src/k8s/network-policies.ts'
import { documentOf } from '../support/policy.ts'
import { type Check, readSchemas } from './support/kubernetes-schema.ts'

/** Every manifest against the schema of its kind, as the projects themselves publish it, and the kustomizations that gather them. */

const ROOT = join(import.meta.dirname, '../..')
const FOLDERS = ['spire/kubernetes', 'envoy/istio', 'envoy/gateway-api']
const schemas = kubernetesSchemas()
const missing = schemas === undefined ? 'set-up left the schemas out: there was no Go to fetch them with' : undefined
const check: Check = schemas === undefined ? () => [] : readSchemas(schemas)
/** spire-controller-manager is no Go module that can be had: its CRD is looked at by eye (docs/kubernetes.md). */
const UNKNOWN = 'spire.spiffe.io/v1alpha1'

// biome-ignore lint/suspicious/noExplicitAny: manifests of any kind
type Manifest = Record<string, any>

const documents = (file: string) => parseAllDocuments(readFileSync(join(ROOT, file), 'utf8')).map((one) => one.toJSON() as Manifest)
const gathered = FOLDERS.flatMap((folder) =>
  ((documents(`${folder}/kustomization.yaml`)[0] as Manifest)['resources'] as string[]).map((name) => `${folder}/${name}`)
)
const manifests = gathered.flatMap((file) =>
  documents(file).map((manifest) => ({ file, name: `${manifest['kind']} ${manifest['metadata'].name}`, manifest }))
)

beforeEach(({ skip }) => skip(missing !== undefined, missing))

describe('manifests', () => {
  it('are all gathered by a kustomization, but for what is no manifest', () => {
    const all = FOLDERS.flatMap((folder) => readdirSync(join(ROOT, folder)).map((name) => `${folder}/${name}`))
    const others = ['envoy/istio/mesh-values.yaml', ...FOLDERS.map((folder) => `${folder}/kustomization.yaml`)]
    expect(all.filter((file) => !gathered.includes(file)).sort()).toEqual(others.sort())
  })

  it.each(manifests.filter(({ manifest }) => manifest['apiVersion'] !== UNKNOWN))('$file: $name', ({ manifest }) =>
    expect(check(manifest)).toEqual([])
  )

  const policy = documents('envoy/istio/policies.yaml').find(({ kind }) => kind === 'AuthorizationPolicy') as Manifest
  const security = documents('envoy/gateway-api/policies.yaml').find(({ kind }) => kind === 'SecurityPolicy') as Manifest
  const deployment = documents('spire/kubernetes/server.yaml').find(({ kind }) => kind === 'Deployment') as Manifest
  it.each([
    ['a misspelt field', { ...policy, spec: { ...policy['spec'], provder: {} } }, '.spec.provder is not known'],
    ['a value that is none', { ...policy, spec: { ...policy['spec'], action: 'ASK' } }, '.spec.action is ASK, and must be one of'],
    [
      'a field that is missing',
      { ...security, spec: { ...security['spec'], extAuth: { grpc: { backendRefs: [{ port: 1 }] } } } },
      'backendRefs[0].name is missing'
    ],
    [
      'a number as text',
      { ...deployment, spec: { ...deployment['spec'], replicas: '2' } },
      '.spec.replicas is string, and must be integer'
    ],
    [
      'a field deep inside',
      { ...deployment, spec: { ...deployment['spec'], template: { spec: { containers: [{ name: 'a', imag: 'b' }] } } } },
      '.containers[0].imag is not known'
    ],
    ['a kind that is none', { ...policy, kind: 'AuthorisationPolicy' }, 'is not known']
  ])('control: %s is found', (_, manifest, says) => expect(check(manifest).join('\n')).toContain(says))

  it('of what the commands print', () => {
    const document = documentOf(documents('spire/kubernetes/config.yaml')[0]?.['data']['policy.yaml'])
    const pods = { namespace: 'vecauthz', label: ['app', 'x'] as const, ports: [1] }
    const printed = [
      ...(namespaceManifests(document) as Manifest[]),
      ...networkPolicies(document, {
        gateway: pods,
        server: pods,
        databases: new Map([['docs', pods]]),
        metrics: { namespace: 'm', port: 1 }
      })
    ]
    expect(printed.length).toBeGreaterThan(5)
    expect(printed.flatMap(check)).toEqual([])
  })
})

describe('the mesh values', () => {
  it("have only fields that Istio's own messages have", () => {
    const proto = ['config', 'proxy']
      .map((name) => readFileSync(join(schemas ?? '', `istio.io/api/mesh/v1alpha1/${name}.proto`), 'utf8'))
      .join('\n')
    const fields = new Set(
      [...proto.matchAll(/^\s*(?:repeated )?[\w.<>, ]+ (\w+) = \d+/gm)].map(([, name = '']) =>
        name.replace(/_(\w)/g, (_all, letter: string) => letter.toUpperCase())
      )
    )
    const used = keysOf(parse(readFileSync(join(ROOT, 'envoy/istio/mesh-values.yaml'), 'utf8')).meshConfig)
    expect(used.length).toBeGreaterThan(12)
    expect(used.filter((name) => !fields.has(name))).toEqual([])
  })
})

describe('kustomize', () => {
  const has = spawnSync('kubectl', ['kustomize', '--help'], { stdio: 'ignore' }).status === 0

  it.each(FOLDERS)('builds %s', (folder) => {
    // Without kubectl: what it does with such a file is to put the resources one after the other.
    const built = has ? execFileSync('kubectl', ['kustomize', join(ROOT, folder)], { encoding: 'utf8' }) : undefined
    const wanted = gathered.filter((file) => file.startsWith(`${folder}/`)).flatMap(documents)
    const named = (all: readonly Manifest[]) =>
      all.map(({ kind, metadata }) => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`).sort()
    const found = built === undefined ? wanted : parseAllDocuments(built).map((one) => one.toJSON() as Manifest)
    expect(named(found)).toEqual(named(wanted))
    expect(new Set(named(wanted)).size).toBe(wanted.length)
  })
})

function keysOf(value: unknown): string[] {
  if (Array.isArray(value)) return value.flatMap(keysOf)
  return typeof value === 'object' && value !== null ? Object.entries(value).flatMap(([key, one]) => [key, ...keysOf(one)]) : []
}
