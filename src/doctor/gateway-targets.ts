/** Envoy Gateway: what is about which listener. Policies are local to their namespace, and the one that is more specific wins whole. */
import type { Manifest } from './manifests.ts'

/** A Gateway, and the one of its listeners that is looked at; undefined where the Gateway itself was not given. */
export interface Target {
  readonly gateway: Manifest
  readonly listener: Manifest | undefined
}

const LISTENER_TYPE = 'type.googleapis.com/envoy.config.listener.v3.Listener'
const PASSED_ON = ['TCP', 'UDP']
const ROUTES = ['HTTPRoute', 'GRPCRoute']

function refsOf(one: Manifest): readonly Manifest[] {
  return one['spec']?.targetRefs ?? (one['spec']?.targetRef === undefined ? [] : [one['spec'].targetRef])
}

/** Where a manifest does not say its namespace, whoever applies it does. */
function isLocal(one: Manifest, namespace: unknown): boolean {
  const own = one['metadata']?.namespace
  return own === undefined || namespace === undefined || own === namespace
}

/** Whether it is about that object of its own namespace. */
export function isAbout(one: Manifest, kind: string, name: string, namespace: unknown): boolean {
  return isLocal(one, namespace) && refsOf(one).some((ref) => ref['kind'] === kind && ref['name'] === name)
}

/** Of policies of one kind the one that holds for this listener. */
export function policyFor(all: readonly Manifest[], { gateway, listener }: Target, missing: string[]): Manifest | undefined {
  const { name, namespace } = gateway['metadata'] ?? {}
  const own = (one: Manifest) => refsOf(one).filter((ref) => isAbout(one, 'Gateway', name, namespace) && ref['name'] === name)
  const here = all.filter((one) => own(one).some(({ sectionName }) => listener !== undefined && sectionName === listener['name']))
  const whole = all.filter((one) => own(one).some(({ sectionName }) => sectionName === undefined))
  const parts = listener === undefined ? all.filter((one) => own(one).length > 0 && !whole.includes(one)) : []
  if (parts.length > 0) missing.push(`a ${parts[0]?.['kind']} is about one listener of ${name}; give the Gateway as well`)
  for (const one of all.filter(({ spec }) => spec?.targetSelectors !== undefined))
    missing.push(`${one['kind']} ${one['metadata']?.name} is about whatever has its labels (targetSelectors)`)
  const found = here.length > 0 ? here : whole
  if (found.length > 1)
    missing.push(`more than one ${found[0]?.['kind']} is about ${name}: the oldest wins, and which that is is not said here`)
  return found[0]
}

/** Listeners that hand connections on as they are, past every question. */
export function passesOn({ protocol, tls }: Manifest): boolean {
  return PASSED_ON.includes(protocol) || (protocol === 'TLS' && tls?.mode === 'Passthrough')
}

/** Routes whose own policy takes the place of that of the Gateway, and does not ask. */
export function unaskedRoutes(securing: readonly Manifest[]): readonly string[] {
  const silent = securing.filter(({ spec }) => spec?.extAuth === undefined && spec?.mergeType === undefined)
  return silent.flatMap((one) =>
    refsOf(one)
      .filter(({ kind }) => ROUTES.includes(kind))
      .map(({ kind, name }) => `${kind} ${name}`)
  )
}

/** What is patched of this listener: by its name, or by that of the first one with its port, with which it is one. */
export function patchesFor(policies: readonly Manifest[], { gateway, listener }: Target): readonly Manifest[] {
  const { name, namespace } = gateway['metadata'] ?? {}
  const listeners: readonly Manifest[] = gateway['spec']?.listeners ?? []
  const first = listeners.find(({ port }) => port === listener?.['port'])
  const called = `${namespace}/${name}/${first?.['name']}`
  return policies
    .filter((one) => isAbout(one, 'Gateway', name, namespace))
    .flatMap((one): readonly Manifest[] => one['spec']?.jsonPatches ?? [])
    .filter((patch) => listener === undefined || patch['type'] !== LISTENER_TYPE || patch['name'] === called)
}
