import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { policySchema } from '../../src/config/policy-schema.ts'
import { clusterSpiffeIds, type Entry, entriesOf } from '../../src/registration/entries.ts'
import { differenceOf, type Present, readShown } from '../../src/registration/entry-diff.ts'
import { registrationsSchema } from '../../src/registration/registrations.ts'

const ROOT = join(import.meta.dirname, '../..')
const NODE = 'spiffe://example.org/node/a'
const shipped = policySchema.parse(parse(readFileSync(join(ROOT, 'demo/config/policy.yaml'), 'utf8')))
const registrations = registrationsSchema.parse(parse(readFileSync(join(ROOT, 'spire/registrations.yaml'), 'utf8')))

type Workload = (typeof shipped)['workloads'][number]
const id = (path: string) => `spiffe://example.org${path}`
const made = (workloads: readonly Partial<Workload>[], entries: readonly object[], classes: object = {}) =>
  entriesOf(
    { ...shipped, workloads: workloads.map((one) => ({ tenants: ['acme'], ...one })) as Workload[] },
    registrationsSchema.parse({ version: 1, parent: NODE, classes, entries })
  )
const faults = (...given: Parameters<typeof made>) => {
  const result = made(...given)
  return result.ok ? [] : result.faults
}

const SUPPORT = { spiffe_id: id('/acme/support') }
const BY_UID = { ...SUPPORT, selectors: ['unix:uid:1000'] }

describe('entries', () => {
  it("of the shipped files: each workload of the demo's policy, and its Envoys and servers", () => {
    const result = entriesOf(shipped, registrations)
    if (!result.ok) expect.fail(result.faults.join('\n'))
    const ids = result.entries.map(({ spiffe_id }) => spiffe_id)
    expect(ids).toEqual(expect.arrayContaining(shipped.workloads.map(({ spiffe_id }) => spiffe_id)))
    expect(ids).toHaveLength(10)
  })

  it('as SPIRE reads them', () => {
    const federated = { ...BY_UID, federates_with: ['partner.test'], dns: ['a.test'], ttl_seconds: 300 }
    const entry = {
      spiffe_id: SUPPORT.spiffe_id,
      parent_id: NODE,
      selectors: [{ type: 'unix', value: 'uid:1000' }],
      x509_svid_ttl: 300,
      federates_with: ['partner.test'],
      dns_names: ['a.test'],
      hint: 'vecauthz'
    }
    expect(made([SUPPORT], [federated])).toEqual({ ok: true, entries: [entry] })
  })

  it('of a workload whose path says namespace and account need no line', () => {
    const result = made([{ spiffe_id: id('/ns/acme/sa/support') }], [])
    expect(result).toMatchObject({
      entries: [
        {
          selectors: [
            { type: 'k8s', value: 'ns:acme' },
            { type: 'k8s', value: 'sa:support' }
          ]
        }
      ]
    })
  })

  it('of whoever is revoked is none, also where its path or a line would give it one', () => {
    const [gone, there] = [id('/ns/acme/sa/gone'), id('/ns/acme/sa/there')]
    const workloads = [SUPPORT, { spiffe_id: gone }, { spiffe_id: there }].map((one) => ({ tenants: ['acme'], ...one })) as Workload[]
    const policy = { ...shipped, workloads, revoked: { spiffe_ids: [gone, SUPPORT.spiffe_id] } }
    const result = entriesOf(policy, registrationsSchema.parse({ version: 1, parent: NODE, entries: [BY_UID] }))
    expect(result.ok && result.entries.map(({ spiffe_id }) => spiffe_id)).toEqual([there])
    expect(clusterSpiffeIds(policy)).toMatchObject({ documents: [{ metadata: { name: 'vecauthz-acme-there' } }], others: [] })
  })

  const rows: readonly { name: string; faults: readonly string[]; says: readonly RegExp[] }[] = [
    { name: 'a workload with selectors is good', faults: faults([SUPPORT], [BY_UID]), says: [] },
    { name: 'one without is nobody', faults: faults([SUPPORT], []), says: [/has no selectors/] },
    {
      name: 'a stranger to the policy',
      faults: faults([SUPPORT], [BY_UID, { spiffe_id: id('/x'), selectors: ['unix:uid:1'] }]),
      says: [/no workload of the policy/]
    },
    {
      name: 'unless it is infrastructure',
      faults: faults([SUPPORT], [BY_UID, { spiffe_id: id('/x'), selectors: ['unix:uid:1'], infrastructure: true }]),
      says: []
    },
    {
      name: 'a workload is no infrastructure',
      faults: faults([SUPPORT], [{ ...BY_UID, infrastructure: true }]),
      says: [/and no infrastructure/]
    },
    {
      name: 'attested as the policy says',
      faults: faults([{ ...SUPPORT, attestation: 'unix' }], [BY_UID], { unix: ['unix:uid'] }),
      says: []
    },
    {
      name: 'attested by less than the policy says',
      faults: faults([{ ...SUPPORT, attestation: 'k8s' }], [BY_UID], { k8s: ['k8s:ns', 'k8s:sa'] }),
      says: [/attested as k8s by the policy, and has no k8s:ns and no k8s:sa selector/]
    },
    { name: 'a class that nobody explained', faults: faults([{ ...SUPPORT, attestation: 'tpm' }], [BY_UID]), says: [/say under classes/] },
    {
      name: 'a selector that only begins like the one that is needed',
      faults: faults([{ ...SUPPORT, attestation: 'unix' }], [{ ...SUPPORT, selectors: ['unix:uid2:1'] }], { unix: ['unix:uid'] }),
      says: [/has no unix:uid selector/]
    },
    {
      name: 'two identities for one process',
      faults: faults([SUPPORT, { spiffe_id: id('/acme/other') }], [BY_UID, { spiffe_id: id('/acme/other'), selectors: ['unix:uid:1000'] }]),
      says: [/have the same selectors/]
    },
    {
      name: 'one that is known by a part of what another one is known by',
      faults: faults(
        [SUPPORT, { spiffe_id: id('/acme/other') }],
        [BY_UID, { spiffe_id: id('/acme/other'), selectors: ['unix:uid:1000', 'unix:gid:7'] }]
      ),
      says: [/support has some of the selectors of .*other, and no others/]
    },
    {
      name: 'two that have one of two selectors in common',
      faults: faults(
        [SUPPORT, { spiffe_id: id('/acme/other') }],
        [
          { ...SUPPORT, selectors: ['unix:uid:1000', 'unix:gid:8'] },
          { spiffe_id: id('/acme/other'), selectors: ['unix:uid:1000', 'unix:gid:7'] }
        ]
      ),
      says: []
    },
    { name: 'a pattern nobody stands for', faults: faults([{ spiffe_id: id('/acme/*') }], []), says: [/is a pattern/] },
    { name: 'a pattern with a workload', faults: faults([{ spiffe_id: id('/acme/*') }], [BY_UID]), says: [] }
  ]
  it.each(rows)('$name', ({ faults: found, says }) => {
    expect(found).toHaveLength(says.length)
    for (const [at, one] of says.entries()) expect(found[at]).toMatch(one)
  })
})

describe('the difference to what a server has', () => {
  const entry: Entry = {
    spiffe_id: id('/a'),
    parent_id: NODE,
    selectors: [{ type: 'unix', value: 'uid:1' }],
    x509_svid_ttl: 0,
    federates_with: [],
    dns_names: [],
    hint: 'vecauthz'
  }
  const present: Present = { ...entry, id: 'one' }
  const rows: readonly { name: string; present: Present; create: number; remove: number }[] = [
    { name: 'there as it should be', present, create: 0, remove: 0 },
    { name: 'another order of selectors', present, create: 0, remove: 0 },
    { name: 'other selectors', present: { ...present, selectors: [{ type: 'unix', value: 'uid:2' }] }, create: 1, remove: 1 },
    { name: 'another lifetime', present: { ...present, x509_svid_ttl: 60 }, create: 1, remove: 1 },
    { name: "somebody else's of the same name stays", present: { ...present, hint: '', x509_svid_ttl: 60 }, create: 1, remove: 0 },
    { name: 'ours, wanted no more', present: { ...present, spiffe_id: id('/gone') }, create: 1, remove: 1 },
    { name: "somebody else's", present: { ...present, spiffe_id: id('/gone'), hint: 'other' }, create: 1, remove: 0 }
  ]
  it.each(rows)('$name', ({ present: one, create, remove }) => {
    const found = differenceOf([entry], [one])
    expect([found.create.length, found.remove.length]).toEqual([create, remove])
  })

  it('is read from what SPIRE shows', () => {
    const spire = { trust_domain: 'example.org', path: '/a' }
    const node = { trust_domain: 'example.org', path: '/node/a' }
    const text = JSON.stringify({
      entries: [
        {
          id: 'one',
          spiffe_id: spire,
          parent_id: node,
          selectors: entry.selectors,
          hint: 'vecauthz',
          expires_at: '0',
          revision_number: '1'
        }
      ],
      next_page_token: ''
    })
    expect(readShown(text)).toEqual([present])
    expect(readShown('{"entries":[{"id":1}]}')).toBeUndefined()
    expect(readShown('no')).toBeUndefined()
  })
})

describe('ClusterSPIFFEIDs', () => {
  const of = (...paths: string[]) =>
    clusterSpiffeIds({ ...shipped, workloads: paths.map((path) => ({ spiffe_id: id(path), tenants: ['acme'] })) })

  it('for what its path says', () => {
    expect(of('/ns/acme/sa/support').documents).toEqual([
      {
        apiVersion: 'spire.spiffe.io/v1alpha1',
        kind: 'ClusterSPIFFEID',
        metadata: { name: 'vecauthz-acme-support' },
        spec: {
          spiffeIDTemplate: 'spiffe://{{ .TrustDomain }}/ns/acme/sa/support',
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'acme' } },
          workloadSelectorTemplates: ['k8s:ns:acme', 'k8s:sa:support'],
          hint: 'vecauthz'
        }
      }
    ])
  })

  it('for every account of a namespace, by the name of its own', () => {
    expect(of('/ns/acme/sa/*').documents).toMatchObject([
      { spec: { spiffeIDTemplate: 'spiffe://{{ .TrustDomain }}/ns/acme/sa/{{ .PodSpec.ServiceAccountName }}' } }
    ])
  })

  it("for a tenant's namespace with its label, which one that somebody makes under its name does not have", () => {
    const workloads = [{ spiffe_id: id('/ns/rag-acme/sa/support'), tenants: ['acme'] }] as Workload[]
    const tenants = shipped.tenants.map((one) => (one.id === 'acme' ? { ...one, namespaces: ['rag-acme'] } : one))
    const matchLabels = { 'vecauthz.dev/tenant': 'acme' }
    expect(clusterSpiffeIds({ ...shipped, tenants, workloads }).documents).toMatchObject([
      {
        spec: {
          namespaceSelector: { matchLabels: { ...matchLabels, 'kubernetes.io/metadata.name': 'rag-acme' } },
          podSelector: { matchLabels }
        }
      }
    ])
  })

  it('for no pattern that nothing of a pod fills in', () => {
    const open = ['/ns/acme/*/sa/support', '/*/ns/acme/sa/x', '/ns/acme/tenant/*/sa/*']
    expect(of(...open)).toEqual({ documents: [], others: open.map(id) })
  })

  it('for nobody whose namespace is not said', () => {
    expect(of('/acme/support', '/ns/*/sa/x')).toEqual({ documents: [], others: [id('/acme/support'), id('/ns/*/sa/x')] })
  })
})
