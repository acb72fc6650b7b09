/** Istio: which manifests are about a workload. The more specific one wins, and what may be about some of its pods leaves it open. */
import type { Manifest } from './manifests.ts'

/** The pods of one AuthorizationPolicy. */
export interface Workload {
  readonly namespace: unknown
  readonly labels: Manifest
  readonly root: unknown
}

export function workloadOf(policy: Manifest, mesh: Manifest): Workload {
  return {
    namespace: policy['metadata']?.namespace,
    labels: policy['spec']?.selector?.matchLabels ?? {},
    root: mesh['rootNamespace'] ?? 'istio-system'
  }
}

/** Whether such labels are about all of these pods, about none, or about those that have more labels than is said here. */
function about(labels: Manifest | undefined, own: Manifest): 'all' | 'some' | 'none' {
  const wanted = Object.entries(labels ?? {})
  if (wanted.every(([key, value]) => own[key] === value)) return 'all'
  return wanted.some(([key, value]) => Object.hasOwn(own, key) && own[key] !== value) ? 'none' : 'some'
}

const namespaceOf = (one: Manifest) => one['metadata']?.namespace
const modeOf = (one: Manifest) => one['spec']?.mtls?.mode ?? 'UNSET'

/** Whether a certificate is required at every port: what is said of the workload, else of its namespace, else of the mesh. */
export function isStrict(all: readonly Manifest[], { namespace, labels, root }: Workload): boolean {
  const selecting = all.filter(({ spec }) => spec?.selector?.matchLabels !== undefined)
  const own = selecting.filter((one) => namespaceOf(one) === namespace && about(one['spec'].selector.matchLabels, labels) !== 'none')
  const ports = own.flatMap((one) => Object.values(one['spec']?.portLevelMtls ?? {}) as Manifest[])
  if (ports.some(({ mode }) => mode !== undefined && mode !== 'UNSET' && mode !== 'STRICT')) return false
  const plain = all.filter((one) => !selecting.includes(one))
  const levels = [own, plain.filter((one) => namespaceOf(one) === namespace), plain.filter((one) => namespaceOf(one) === root)]
  const said = levels.map((level) => level.map(modeOf).filter((mode) => mode !== 'UNSET')).find((modes) => modes.length > 0)
  return said?.every((mode) => mode === 'STRICT') === true
}

/** Patches of the mesh, then those of the namespace, each by priority. */
export function patchesOf(all: readonly Manifest[], { namespace, labels, root }: Workload, missing: string[]): readonly Manifest[] {
  const byPriority = (some: readonly Manifest[]) =>
    some.toSorted((a, b) => Number(a['spec']?.priority ?? 0) - Number(b['spec']?.priority ?? 0))
  const of = (place: unknown) => all.filter((one) => namespaceOf(one) === place)
  const near = [...(root === namespace ? [] : byPriority(of(root))), ...byPriority(of(namespace))]
  return near.flatMap((one): readonly Manifest[] => {
    const scope = about(one['spec']?.workloadSelector?.labels, labels)
    if (one['spec']?.targetRefs !== undefined || scope === 'some')
      missing.push(`EnvoyFilter ${one['metadata']?.name} is about some of those pods, or about other objects`)
    return scope === 'all' && one['spec']?.targetRefs === undefined ? (one['spec']?.configPatches ?? []) : []
  })
}

/** How this workload speaks to a service: as its own namespace says, else that of the service, else the mesh. */
export function trafficTo(all: readonly Manifest[], asked: Manifest, workload: Workload, missing: string[]): Manifest | undefined {
  const service = String(asked['service'])
  const visible = ({ metadata, spec }: Manifest) =>
    metadata?.namespace === workload.namespace || (spec?.exportTo ?? ['*']).some((one: string) => one === '*' || one === workload.namespace)
  const of = (place: unknown) => all.filter((one) => one['spec']?.host === service && namespaceOf(one) === place && visible(one))
  const rules = [workload.namespace, service.split('.')[1], workload.root].map(of).find((level) => level.length > 0) ?? []
  if (rules.length > 1 || rules.some(({ spec }) => spec?.workloadSelector !== undefined))
    missing.push(`more than one DestinationRule is about ${service}, or one is about some pods`)
  const policy = rules[0]?.['spec']?.trafficPolicy
  // What is said of a port takes the place of all that is said of the host.
  const ofPort = (policy?.portLevelSettings ?? []).find(({ port }: Manifest) => port?.number === asked['port'])
  return ofPort ?? policy
}
