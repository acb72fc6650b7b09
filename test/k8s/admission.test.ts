import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { TenantDocument } from '../../src/core/policy-document.ts'
import { type AdmissionRules, admit, type Registered, type Registry } from '../../src/k8s/admission.ts'
import { readReview } from '../../src/k8s/review.ts'
import { bindingReview, namespaceOf, namespaceReview, type Part, podOf, podReview } from './reviews.ts'

/** What becomes of a namespace or a pod, for each step on the way from a label to a tenant. */

const NOW = Date.parse('2026-11-21T12:00:00Z')
const ACME: TenantDocument = { id: 'acme', region: 'eu', retention_days: 30, namespaces: ['rag-acme'] }
const GLOBEX: TenantDocument = { id: 'globex', namespaces: ['rag-globex'] }
const ACME_LABELS = {
  'vecauthz.dev/tenant': 'acme',
  'vecauthz.dev/region': 'eu',
  'vecauthz.dev/residency': 'eu',
  'vecauthz.dev/retention': '30d'
}
const GLOBEX_LABELS = { 'vecauthz.dev/tenant': 'globex' }

const known = (more: Partial<Registered> = {}): Registered => ({
  tenants: new Set(['acme']),
  regions: new Set(['eu']),
  expiresAt: Number.POSITIVE_INFINITY,
  revoked: false,
  ...more
})
const idOf = (tenant: string, account: string) => `spiffe://t.test/ns/rag-${tenant}/tenant/${tenant}/sa/${account}`
const WORKLOADS = new Map([
  [idOf('acme', 'support'), known()],
  [idOf('acme', 'far'), known({ regions: new Set(['us']) })],
  [idOf('acme', 'old'), known({ expiresAt: NOW })],
  [idOf('acme', 'nearly-old'), known({ expiresAt: NOW + 1 })],
  [idOf('acme', 'revoked'), known({ revoked: true })],
  [idOf('acme', 'lent'), known({ tenants: new Set(['globex']) })],
  [idOf('globex', 'support'), known({ tenants: new Set(['globex']), regions: new Set() })]
])
const REGISTRY: Registry = {
  tenants: new Map([
    ['rag-acme', ACME],
    ['rag-globex', GLOBEX],
    // By a mistake of the policy's: it is exempt.
    ['vecauthz', GLOBEX]
  ]),
  workload: (id) => WORKLOADS.get(id)
}
const RULES: AdmissionRules = {
  exempt: new Set(['kube-system', 'vecauthz']),
  spiffeId: 'spiffe://t.test/ns/{namespace}/tenant/{tenant}/sa/{service_account}',
  unregistered: 'deny'
}

function said(review: Part, rules: Partial<AdmissionRules> = {}): string {
  const read = readReview(Buffer.from(JSON.stringify(review)))
  if (!read.ok) return `unreadable: ${read.because}`
  const admission = admit(read.review, REGISTRY, { ...RULES, ...rules }, NOW)
  if (!admission.allowed) return admission.because
  return admission.warning === undefined ? 'allowed' : `allowed, with a warning: ${admission.warning}`
}

interface Row {
  readonly name: string
  readonly review: Part
  readonly want: string | RegExp
}

const update = (review: (asked: Part) => Part, oldObject: Part, more: Part = {}) => review({ operation: 'UPDATE', oldObject, ...more })
const acmeNamespace = namespaceOf('rag-acme', ACME_LABELS)
const without = (labels: Part, name: string) => Object.fromEntries(Object.entries(labels).filter(([one]) => one !== name))

const NAMESPACES: readonly Row[] = [
  { name: "a tenant's namespace with its labels", review: namespaceReview(acmeNamespace), want: 'allowed' },
  {
    name: "the same with another tenant's label",
    review: namespaceReview(namespaceOf('rag-acme', { ...ACME_LABELS, 'vecauthz.dev/tenant': 'globex' })),
    want: "namespace rag-acme is tenant acme's: the label vecauthz.dev/tenant is globex, and must be acme"
  },
  {
    name: "a new namespace with somebody's label",
    review: namespaceReview(namespaceOf('mine', { 'vecauthz.dev/tenant': 'acme' })),
    want: "namespace mine is no tenant's in the policy, so it carries no vecauthz.dev/tenant"
  },
  { name: 'a new namespace without labels', review: namespaceReview(namespaceOf('mine')), want: 'allowed' },
  ...Object.keys(ACME_LABELS).map((label) => ({
    name: `a tenant's namespace without ${label}`,
    review: namespaceReview(namespaceOf('rag-acme', without(ACME_LABELS, label))),
    want: new RegExp(`${label} is missing`)
  })),
  {
    name: "a tenant's namespace without any label",
    review: namespaceReview(namespaceOf('rag-acme')),
    want: /tenant is missing, and must be acme/
  },
  {
    name: 'data that would leave its region',
    review: namespaceReview(namespaceOf('rag-acme', { ...ACME_LABELS, 'vecauthz.dev/residency': 'us' })),
    want: /residency is us, and must be eu/
  },
  {
    name: 'pods that would run elsewhere than the data is',
    review: namespaceReview(namespaceOf('rag-acme', { ...ACME_LABELS, 'vecauthz.dev/region': 'us' })),
    want: /region is us, and must be eu/
  },
  {
    name: 'data that would be kept longer',
    review: namespaceReview(namespaceOf('rag-acme', { ...ACME_LABELS, 'vecauthz.dev/retention': '300d' })),
    want: /retention is 300d, and must be 30d/
  },
  {
    name: 'a region, where the data may be anywhere',
    review: namespaceReview(namespaceOf('rag-globex', { ...GLOBEX_LABELS, 'vecauthz.dev/region': 'us' })),
    want: 'allowed'
  },
  {
    name: 'a residency that the policy does not know of',
    review: namespaceReview(namespaceOf('rag-globex', { ...GLOBEX_LABELS, 'vecauthz.dev/residency': 'us' })),
    want: /tenant globex has no residency/
  },
  {
    name: 'a label that is nearly one of ours',
    review: namespaceReview(namespaceOf('rag-acme', { ...ACME_LABELS, 'vecauthz.dev/Tenant': 'globex' })),
    want: /vecauthz.dev\/Tenant means nothing here/
  },
  { name: 'a name in other letters', review: namespaceReview(namespaceOf('Rag-acme', ACME_LABELS)), want: /no tenant's in the policy/ },
  {
    name: "a label that says it is another's namespace",
    review: namespaceReview(namespaceOf('mine', { 'kubernetes.io/metadata.name': 'rag-acme' })),
    want: 'the label kubernetes.io/metadata.name is rag-acme, and the namespace mine'
  },
  {
    name: 'a request and an object with two names',
    review: namespaceReview(acmeNamespace, { name: 'mine' }),
    want: 'the request names mine, and the object rag-acme'
  },
  {
    name: 'a name that is not made up yet',
    review: namespaceReview({ apiVersion: 'v1', kind: 'Namespace', metadata: { generateName: 'rag-', labels: ACME_LABELS } }, { name: '' }),
    want: 'a namespace has a name before it is decided upon'
  },
  {
    name: "a made-up name that is nobody's, with labels",
    review: namespaceReview(namespaceOf('rag-acme-x7f2p', ACME_LABELS, { generateName: 'rag-acme-' }), { name: '' }),
    want: /no tenant's in the policy/
  },
  {
    name: "an exempt namespace with a tenant's label",
    review: namespaceReview(namespaceOf('kube-system', GLOBEX_LABELS)),
    want: 'namespace kube-system is exempt, so it carries no vecauthz.dev/tenant'
  },
  {
    name: 'an exempt namespace that the policy gives to a tenant',
    review: namespaceReview(namespaceOf('vecauthz', GLOBEX_LABELS)),
    want: 'namespace vecauthz is exempt, so it carries no vecauthz.dev/tenant'
  },
  { name: 'the same without a label', review: namespaceReview(namespaceOf('vecauthz')), want: 'allowed' },
  { name: 'an exempt namespace', review: namespaceReview(namespaceOf('kube-system')), want: 'allowed' },
  ...['status', 'finalize', undefined].flatMap((part) => {
    const asked = part === undefined ? {} : { subResource: part }
    const through = part === undefined ? '' : ` through ${part}`
    return [
      {
        name: `the label taken away${through}`,
        review: update((more) => namespaceReview(namespaceOf('rag-acme'), more), acmeNamespace, asked),
        want: /tenant is missing/
      },
      {
        name: `the label changed${through}`,
        review: update(
          (more) => namespaceReview(namespaceOf('rag-acme', { ...ACME_LABELS, ...GLOBEX_LABELS }), more),
          acmeNamespace,
          asked
        ),
        want: /must be acme/
      },
      {
        name: `a label added to nobody's namespace${through}`,
        review: update((more) => namespaceReview(namespaceOf('mine', GLOBEX_LABELS), more), namespaceOf('mine'), asked),
        want: /carries no vecauthz.dev\/tenant/
      },
      {
        name: `something else changed${through}`,
        review: update((more) => namespaceReview(namespaceOf('rag-acme', { ...ACME_LABELS, team: 'b' }), more), acmeNamespace, asked),
        want: 'allowed'
      },
      {
        name: `something else changed in one that the policy has left${through}`,
        review: update(
          (more) => namespaceReview(namespaceOf('left', GLOBEX_LABELS), more),
          namespaceOf('left', { ...GLOBEX_LABELS, a: 'b' }),
          asked
        ),
        want: /allowed, with a warning: namespace left/
      }
    ]
  }),
  {
    name: 'an update that does not say what was',
    review: namespaceReview(acmeNamespace, { operation: 'UPDATE' }),
    want: /unreadable: an UPDATE does not say what was there before/
  },
  {
    name: 'an update of another namespace than was',
    review: update((more) => namespaceReview(acmeNamespace, more), namespaceOf('mine')),
    want: 'the object and what it was before are not the same one'
  }
]

const acmePod = (spec: Part = {}, metadata: Part = {}) => podOf('rag-acme', ACME_LABELS, spec, metadata)
const podIs = (name: string, object: Part, want: string | RegExp): Row => ({ name, review: podReview('rag-acme', object), want })

const PODS: readonly Row[] = [
  podIs('the agent of a tenant', acmePod(), 'allowed'),
  podIs('a pod whose name is still to be made up', acmePod({}, { name: undefined, generateName: 'agent-' }), 'allowed'),
  podIs("a pod with another tenant's label", podOf('rag-acme', { ...ACME_LABELS, ...GLOBEX_LABELS }), /is globex, and must be acme/),
  podIs('a pod without labels', podOf('rag-acme'), /tenant is missing/),
  ...['region', 'residency', 'retention'].map((one) =>
    podIs(`a pod without ${one}`, podOf('rag-acme', without(ACME_LABELS, `vecauthz.dev/${one}`)), new RegExp(`${one} is missing`))
  ),
  podIs("everybody's service account", acmePod({ serviceAccountName: 'default' }), /service account of its own/),
  podIs('no service account', acmePod({ serviceAccountName: undefined }), /service account of its own/),
  podIs(
    'a service account that the policy does not know',
    acmePod({ serviceAccountName: 'other' }),
    /no workload of the policy is spiffe:.*sa\/other/
  ),
  podIs('a service account that is no part of a SPIFFE ID', acmePod({ serviceAccountName: '../support' }), /which is none/),
  podIs('a workload that acts for another tenant', acmePod({ serviceAccountName: 'lent' }), /acts for another tenant/),
  podIs('a revoked workload', acmePod({ serviceAccountName: 'revoked' }), /is revoked/),
  podIs('an entry that has ended', acmePod({ serviceAccountName: 'old' }), /has ended/),
  podIs('an entry that ends in a moment', acmePod({ serviceAccountName: 'nearly-old' }), 'allowed'),
  podIs('a workload in another region than the data', acmePod({ serviceAccountName: 'far' }), /stays in eu/),
  ...['hostNetwork', 'hostPID', 'hostIPC'].flatMap((shared) => [
    podIs(`${shared}`, acmePod({ [shared]: true }), new RegExp(`${shared} would put it`)),
    podIs(`${shared} in another spelling of true`, acmePod({ [shared]: 'true' }), new RegExp(`${shared} would put it`)),
    podIs(`no ${shared}`, acmePod({ [shared]: false }), 'allowed')
  ]),
  podIs('a pod that comes with an ephemeral container', acmePod({ ephemeralContainers: [{ name: 'debug' }] }), /comes with an ephemeral/),
  podIs(
    'a pod for another namespace than asked',
    podOf('mine', ACME_LABELS),
    'the request is for namespace rag-acme, and the pod for mine'
  ),
  { name: 'a pod without a namespace', review: podReview('', acmePod()), want: 'the request names no namespace' },
  { name: 'a pod elsewhere', review: podReview('mine', podOf('mine')), want: 'allowed' },
  { name: 'a pod elsewhere with labels', review: podReview('mine', podOf('mine', GLOBEX_LABELS)), want: /is no tenant's in the policy/ },
  {
    name: 'a pod of an exempt namespace',
    review: podReview('kube-system', podOf('kube-system', {}, { hostNetwork: true })),
    want: 'allowed'
  },
  {
    name: 'a pod of an exempt namespace with labels',
    review: podReview('kube-system', podOf('kube-system', ACME_LABELS)),
    want: /is exempt/
  },
  {
    name: 'a pod of an exempt namespace that the policy gives to a tenant',
    review: podReview('vecauthz', podOf('vecauthz', GLOBEX_LABELS)),
    want: /namespace vecauthz is exempt/
  },
  ...['status', 'resize', undefined].flatMap((part) => {
    const asked = part === undefined ? {} : { subResource: part }
    const through = part === undefined ? '' : ` through ${part}`
    const changed = (labels: Part, before: Part) =>
      update((more) => podReview('rag-acme', podOf('rag-acme', labels), more), podOf('rag-acme', before), asked)
    return [
      { name: `nothing changed${through}`, review: changed(ACME_LABELS, ACME_LABELS), want: 'allowed' },
      { name: `another label changed${through}`, review: changed({ ...ACME_LABELS, app: 'b' }, ACME_LABELS), want: 'allowed' },
      {
        name: `the tenant changed${through}`,
        review: changed({ ...ACME_LABELS, ...GLOBEX_LABELS }, ACME_LABELS),
        want: /do not change while it runs/
      },
      { name: `the tenant taken away${through}`, review: changed({}, ACME_LABELS), want: /do not change while it runs/ },
      { name: `the tenant given${through}`, review: changed(ACME_LABELS, {}), want: /do not change while it runs/ }
    ]
  }),
  {
    name: 'a container that joins the agent',
    review: update((more) => podReview('rag-acme', acmePod({ ephemeralContainers: [{ name: 'debug' }] }), more), acmePod(), {
      subResource: 'ephemeralcontainers'
    }),
    want: /would speak with its identity/
  },
  {
    name: 'the same, as if it were an update of the pod',
    review: update((more) => podReview('rag-acme', acmePod({ ephemeralContainers: [{ name: 'debug' }] }), more), acmePod()),
    want: /would speak with its identity/
  },
  {
    name: "a container that joins a pod which is nobody's",
    review: update((more) => podReview('mine', podOf('mine', {}, { ephemeralContainers: [{ name: 'debug' }] }), more), podOf('mine'), {
      subResource: 'ephemeralcontainers'
    }),
    want: 'allowed'
  },
  { name: 'a binding to a node', review: bindingReview('rag-acme', {}), want: 'allowed' },
  {
    name: 'a binding that brings a tenant along',
    review: bindingReview('rag-acme', GLOBEX_LABELS),
    want: 'a binding carries no vecauthz.dev/* labels'
  }
]

const UNKNOWN: readonly Row[] = [
  { name: 'a deletion', review: podReview('rag-acme', acmePod(), { operation: 'DELETE' }), want: 'DELETE of pods is not decided here' },
  {
    name: 'a connection',
    review: podReview('rag-acme', acmePod(), { operation: 'CONNECT', subResource: 'exec' }),
    want: /CONNECT of pods\/exec is not decided/
  },
  {
    name: 'a part of pods that is new',
    review: podReview('rag-acme', acmePod(), { subResource: 'clone' }),
    want: /pods\/clone \(Pod\) are not decided here/
  },
  {
    name: 'another resource',
    review: podReview('rag-acme', acmePod(), { resource: { group: '', version: 'v1', resource: 'secrets' } }),
    want: /secrets \(Pod\) are not decided here/
  },
  {
    name: 'another kind as a pod',
    review: podReview('rag-acme', { ...acmePod(), kind: 'Secret' }),
    want: /pods \(Secret\) are not decided here/
  },
  {
    name: 'pods of another group',
    review: podReview('rag-acme', acmePod(), { resource: { group: 'metrics.k8s.io', version: 'v1', resource: 'pods' } }),
    want: /unreadable: pods of another group or version/
  }
]

describe('namespaces', () => {
  it.each(NAMESPACES)('$name: $want', ({ review, want }) =>
    expect(said(review)).toEqual(typeof want === 'string' ? want : expect.stringMatching(want))
  )
})

describe('pods', () => {
  it.each(PODS)('$name: $want', ({ review, want }) =>
    expect(said(review)).toEqual(typeof want === 'string' ? want : expect.stringMatching(want))
  )

  it('without an entry may run where that is said, and others are refused as ever', () => {
    const pod = (account: string) => podReview('rag-acme', acmePod({ serviceAccountName: account }))
    expect(said(pod('other'), { unregistered: 'allow' })).toBe('allowed')
    expect(said(pod('revoked'), { unregistered: 'allow' })).toMatch(/is revoked/)
    expect(said(pod('default'), { unregistered: 'allow' })).toMatch(/service account of its own/)
  })
})

describe('whatever it is called and labelled', () => {
  const names = fc.constantFrom('rag-acme', 'rag-globex', 'vecauthz', 'kube-system', 'mine')
  const label = fc.constantFrom(...Object.keys(ACME_LABELS), 'vecauthz.dev/other', 'app')
  const value = fc.constantFrom('acme', 'globex', 'eu', 'us', '30d', '')
  const labels = fc.dictionary(label, value)
  const guarded = (of: Part) => Object.entries(of).filter(([name]) => name.startsWith('vecauthz.dev/'))
  const owner: Record<string, string> = { 'rag-acme': 'acme', 'rag-globex': 'globex' }
  const tenantOf = (of: Part) => of['vecauthz.dev/tenant']

  it("a new namespace is a tenant's exactly when the policy says so", () => {
    const rule = fc.property(names, labels, (name, of) => {
      if (said(namespaceReview(namespaceOf(name, of))) === 'allowed') expect(tenantOf(of)).toBe(owner[name])
    })
    fc.assert(rule, { numRuns: 500 })
  })

  it('a new pod has the tenant of its namespace, and none where there is none', () => {
    const rule = fc.property(names, labels, (name, of) => {
      if (said(podReview(name, podOf(name, of))) === 'allowed') expect(tenantOf(of)).toBe(owner[name])
    })
    fc.assert(rule, { numRuns: 500 })
  })

  it('a change leaves the guarded labels of a pod as they were, through whatever it comes', () => {
    const part = fc.constantFrom(undefined, 'status', 'resize', 'ephemeralcontainers')
    const rule = fc.property(names, labels, labels, part, (name, before, after, subResource) => {
      const asked = { operation: 'UPDATE', oldObject: podOf(name, before), ...(subResource === undefined ? {} : { subResource }) }
      if (said(podReview(name, podOf(name, after), asked)) === 'allowed') expect(guarded(after).sort()).toEqual(guarded(before).sort())
    })
    fc.assert(rule, { numRuns: 500 })
  })
})

describe('what is not known', () => {
  it.each(UNKNOWN)('$name: $want', ({ review, want }) =>
    expect(said(review)).toEqual(typeof want === 'string' ? want : expect.stringMatching(want))
  )
})

describe('a review that cannot be read', () => {
  const good = podReview('rag-acme', acmePod())
  const request = good['request'] as Part
  const changed = (more: Part) => ({ ...good, request: { ...request, ...more } })
  it.each([
    ['of version v1beta1', { ...good, apiVersion: 'admission.k8s.io/v1beta1' }, /admission.k8s.io\/v1beta1, and only/],
    ['of no version', { ...good, apiVersion: undefined }, /of no version/],
    ['of another kind', { ...good, kind: 'AdmissionReviewList' }, /is no AdmissionReview/],
    ['without a request', { ...good, request: undefined }, /asks for nothing/],
    ['without a uid', changed({ uid: undefined }), /has no uid/],
    ['with an empty uid', changed({ uid: '' }), /has no uid/],
    ['without an operation', changed({ operation: undefined }), /has no operation/],
    ['without a resource', changed({ resource: undefined }), /request.resource is missing/],
    ['with a resource without a name', changed({ resource: { group: '', version: 'v1' } }), /names no resource/],
    ['without an object', changed({ object: null }), /request.object is missing/],
    ['with a list for an object', changed({ object: [acmePod()] }), /request.object is missing, or no object/],
    ['without metadata', changed({ object: { ...acmePod(), metadata: undefined } }), /request.object.metadata is missing/],
    [
      'with labels that are a list',
      changed({ object: podOf('rag-acme', ['vecauthz.dev/tenant'] as never, {}, { labels: ['a'] }) }),
      /labels is missing, or no object/
    ],
    [
      'with a label that is a number',
      changed({ object: podOf('rag-acme', { ...ACME_LABELS, 'vecauthz.dev/tenant': 1 }) }),
      /a value that is no text/
    ],
    ['with a name that is a number', changed({ name: 1 }), /request.name is no text/],
    ['with a subresource that is a list', changed({ subResource: ['status'] }), /request.subResource is no text/],
    ['with a spec that is a text', changed({ object: { ...acmePod(), spec: 'x' } }), /request.object.spec is missing, or no object/],
    ['with an object of another version', changed({ object: { ...acmePod(), apiVersion: 'v2' } }), /not of apiVersion v1/]
  ])('%s', (_, review, want) => expect(said(review as Part)).toMatch(want))

  it.each([
    [
      'that says the tenant twice',
      JSON.stringify(good).replace('"vecauthz.dev/tenant":"acme"', '"vecauthz.dev/tenant":"acme","vecauthz.dev/tenant":"globex"'),
      /twice/
    ],
    ['that is cut', JSON.stringify(good).slice(0, -2), /the body/],
    ['that is nothing', '', /the body/],
    ['that is a list', '[]', /the body is missing, or no object/],
    ['that is too deep', `${'['.repeat(100_000)}`, /the body/]
  ])('%s', (_, text, want) => {
    const read = readReview(Buffer.from(text))
    expect(read.ok ? 'read' : read.because).toMatch(want)
  })

  it('keeps the uid of what it refuses, so that the refusal is an answer', () => {
    const read = readReview(Buffer.from(JSON.stringify(changed({ object: null }))))
    expect(read).toMatchObject({ ok: false, uid: request['uid'] })
  })
})
