/** Checks about runtime values, which win over what the rest of the configuration says. */
import { cannotTell, type Finding, fail } from './finding.ts'
import { ALL, type Check, type Given } from './look.ts'
import { at, has, isMessage, listOf, type Path, type Place } from './values.ts'

/** Bounds of memory and connections, and whom to tell of a call: nothing that this list is about. */
const HARMLESS = /^(re2|overload|tracing)\./
/** What Istio's agent sets of every sidecar: memory, balancing, a field for redirected connections, and fragments in paths, which vecauthz refuses. */
const ISTIOS: ReadonlySet<string> = new Set([
  'envoy.deprecated_features:envoy.config.listener.v3.Listener.hidden_envoy_deprecated_use_original_dst',
  'envoy.reloadable_features.coalesce_lb_rebuilds_on_batch_update',
  'envoy.reloadable_features.fixed_heap_use_allocated',
  'envoy.reloadable_features.http_reject_path_with_fragment'
])
/** What Envoy asks the runtime about by itself: whether replicas that are down are asked, and how paths are read. */
const ENVOYS = /^(upstream\.healthy_panic_threshold|http_connection_manager\..*|health_check\..*)$/

interface Value {
  readonly key: string
  readonly path: Path
}

/** A key may be written whole, or in parts, one below the other. A share is a value, and not a part. */
function valuesOf({ value, path }: Place, before = ''): readonly Value[] {
  return Object.entries(value).flatMap(([name, one]): readonly Value[] => {
    const here = { value: isMessage(one) ? one : {}, path: [...path, name] }
    if (isMessage(one) && one['numerator'] === undefined) return valuesOf(here, `${before}${name}.`)
    return [{ key: before + name, path: here.path }]
  })
}

/** Keys that the configuration itself asks about. */
function keysIn(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.flatMap(keysIn)
  if (!isMessage(value)) return []
  return Object.entries(value).flatMap(([name, one]) => (name === 'runtime_key' && typeof one === 'string' ? [one] : keysIn(one)))
}

function layer(one: Place, asked: ReadonlySet<string>): readonly Finding[] {
  if (has(one, 'disk_layer') || has(one, 'rtds_layer'))
    return [cannotTell(one.path, 'runtime values come from elsewhere (disk_layer or rtds_layer), and are not shown here')]
  const written = at(one, 'static_layer')
  if (written === undefined) return []
  return valuesOf(written)
    .filter(({ key }) => !HARMLESS.test(key) && !ISTIOS.has(key))
    .map(({ key, path }) => {
      const fix = { kind: 'remove', at: path } as const
      return ENVOYS.test(key) || asked.has(key)
        ? fail(written, `${key}: a runtime value decides, whatever the configuration says`, fix)
        : cannotTell(path, `what the runtime value ${key} changes is not known here`, fix)
    })
}

function runtime({ survey }: Given): readonly Finding[] {
  const { root } = survey.document
  const layers = at(root, 'layered_runtime')
  if (layers === undefined) return []
  const asked = new Set(keysIn(root.value['static_resources']))
  return listOf(layers, 'layers').flatMap((one) => layer(one, asked))
}

export const RUNTIME: readonly Check[] = [
  {
    id: 'runtime-plain',
    line: 'No runtime value says otherwise',
    why: 'It wins over the configuration: which share of requests is asked about, whether escaped slashes are refused, whom Envoy asks when all are down.',
    hops: ALL,
    look: runtime
  }
]
