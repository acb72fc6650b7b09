/** What becomes of a client's header before it is judged: the filters in front of ext_authz, as Envoy runs them. */
import { perFilter, type Way } from './survey.ts'
import { at, flag, isMessage, listOf, type Path, type Place, text, typed, unclear } from './values.ts'

const HEADER_MUTATION_TYPE = 'envoy.extensions.filters.http.header_mutation.v3.HeaderMutation'
const HEADER_MUTATION = '.header_mutation.v3.HeaderMutation'
const EARLY_MUTATION = '.early_header_mutation.header_mutation.v3.HeaderMutation'

/** Whether a header of that name, lower-cased, is gone when vecauthz is asked, routes apart (`spoiled`). Throws `Unclear`. */
export function strips(way: Way): (name: string) => boolean {
  const rules = rulesOf(way)
  return (name) => rules.findLast(({ about }) => about(name))?.removes === true
}

/** What a route, a host or the whole table says to the filters that strip: not to, or to put something there. */
export interface Spoiling {
  readonly at: Path
  readonly spoils: (name: string) => boolean
}

export function spoiled(way: Way): readonly Spoiling[] {
  const scopes = new Set([way.routes, ...way.hosts, ...way.forwards.flatMap((one) => one.scopes.slice(2))])
  const overrides = [...scopes].flatMap((scope) => perFilter(scope, HEADER_MUTATION_TYPE, way.filters))
  return overrides.map(({ type, config }) => {
    const at = config.path.slice(0, config.path.lastIndexOf('typed_per_filter_config') + 2)
    const off = type.endsWith('.FilterConfig') && flag(config, 'disabled')
    const added = addedBy(config)
    return { at, spoils: (name) => off || added.includes(name) }
  })
}

function addedBy(config: Place): readonly (string | undefined)[] {
  const mutations = at(config, 'mutations')
  const appended = (mutations === undefined ? [] : listOf(mutations, 'request_mutations')).map((one) => at(one, 'append', 'header'))
  return appended.map((one) => (one === undefined ? undefined : text(one, 'key')?.toLowerCase()))
}

/** One mutation; the last about a name counts, for a filter may write what it, or one before it, removed. */
interface Rule {
  readonly removes: boolean
  readonly about: (name: string) => boolean
}

function rulesOf(way: Way): readonly Rule[] {
  const early = listOf(way.http, 'early_header_mutation_extensions').map(
    (one) => typed(one) ?? unclear(one.path, 'an extension without typed_config')
  )
  const before = way.filters.slice(0, Math.max(0, way.authzAt)).filter(({ place }) => place.value['disabled'] !== true)
  return [
    ...early.filter(({ type }) => type.endsWith(EARLY_MUTATION)).flatMap(({ config }) => listOf(config, 'mutations')),
    ...before
      .filter(({ type }) => type.endsWith(HEADER_MUTATION))
      .flatMap(({ config }) => {
        const mutations = at(config, 'mutations')
        return mutations === undefined ? [] : listOf(mutations, 'request_mutations')
      })
  ].flatMap((mutation) => {
    const header = at(mutation, 'append', 'header')
    const name = text(mutation, 'remove') ?? (header === undefined ? undefined : text(header, 'key'))
    if (name !== undefined) return [{ removes: header === undefined, about: (one) => one === name.toLowerCase() }]
    const matcher = at(mutation, 'remove_on_match', 'key_matcher')
    return matcher === undefined ? [] : [{ removes: true, about: matching(matcher) }]
  })
}

/** A StringMatcher. */
function matching(matcher: Place): (name: string) => boolean {
  const { ignore_case: folded, ...kinds } = matcher.value as Record<string, unknown>
  const fold = (one: string) => (folded === true ? one.toLowerCase() : one)
  const [kind = '', value] = Object.entries(kinds)[0] ?? []
  if (kind === 'safe_regex' && isMessage(value)) {
    const pattern = expression(matcher, String(value['regex']))
    return (name) => pattern.test(name)
  }
  const wanted = fold(String(value))
  if (kind === 'exact') return (name) => name === wanted
  if (kind === 'prefix') return (name) => name.startsWith(wanted)
  if (kind === 'suffix') return (name) => name.endsWith(wanted)
  if (kind === 'contains') return (name) => name.includes(wanted)
  return unclear(matcher.path, `a matcher of kind ${kind}`)
}

/** RE2 as Envoy uses it, on the whole text; what both write alike means the same in both. */
function expression(matcher: Place, regex: string): RegExp {
  try {
    return new RegExp(`^(?:${regex})$`)
  } catch {
    return unclear(matcher.path, 'a regular expression that cannot be read here')
  }
}
