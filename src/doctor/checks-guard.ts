/** Checks about the guard: RBAC after ext_authz, which demands a verdict. */
import { scopesOf } from './checks-after.ts'
import { cannotTell, type Finding, fail, remove } from './finding.ts'
import { type Check, DECIDING, filters, ways } from './look.ts'
import { type Filter, perFilter, type Way } from './survey.ts'
import { at, flag, has, listOf, type Place, text } from './values.ts'

const RBAC = 'envoy.extensions.filters.http.rbac.v3.RBAC'
const AUTHZ_NAMESPACE = 'envoy.filters.http.ext_authz'
const RULES = {
  action: 'ALLOW',
  policies: {
    verdict_is_allow: {
      permissions: [{ any: true }],
      principals: [
        {
          sourced_metadata: {
            metadata_source: 'DYNAMIC',
            metadata_matcher: { filter: AUTHZ_NAMESPACE, path: [{ key: 'verdict' }], value: { string_match: { exact: 'allow' } } }
          }
        }
      ]
    }
  }
}
export const GUARD = {
  name: 'envoy.filters.http.rbac',
  typed_config: { '@type': `type.googleapis.com/${RBAC}`, rules_stat_prefix: 'must_have_verdict.', rules: RULES }
}

function guards(rules: Place): boolean {
  if ((text(rules, 'action') ?? 'ALLOW') !== 'ALLOW') return false
  const policies = at(rules, 'policies')
  const all = Object.keys(policies?.value ?? {}).map((name) => at(policies as Place, name))
  return (
    all.length > 0 &&
    all.every((policy) => policy !== undefined && has(policy, 'principals') && listOf(policy, 'principals').every(demandsVerdict))
  )
}

function demandsVerdict(principal: Place): boolean {
  const together = at(principal, 'and_ids')
  if (together !== undefined) return listOf(together, 'ids').some(demandsVerdict)
  const sourced = at(principal, 'sourced_metadata')
  if (sourced !== undefined && (text(sourced, 'metadata_source') ?? 'DYNAMIC') !== 'DYNAMIC') return false
  const matcher = sourced === undefined ? at(principal, 'metadata') : at(sourced, 'metadata_matcher')
  if (matcher === undefined || flag(matcher, 'invert') || text(matcher, 'filter') !== AUTHZ_NAMESPACE) return false
  const path = listOf(matcher, 'path')
  const value = at(matcher, 'value', 'string_match')
  return path.length === 1 && path[0]?.value['key'] === 'verdict' && value?.value['exact'] === 'allow'
}

/** Code may write what it wants. */
const CODE = /\.(lua|wasm|ext_proc|golang|dynamic_modules)\./

function writes(config: unknown): boolean {
  const text = JSON.stringify(config)
  return text.includes(`"metadata_namespace":"${AUTHZ_NAMESPACE}"`) || (CODE.test(text) && text.includes(AUTHZ_NAMESPACE))
}

/** Filters that write what the guard reads, everywhere or on a route: with them a client's header is a verdict. */
function forging(way: Way): readonly Finding[] {
  const list = [...way.http.path, 'http_filters']
  const everywhere = way.filters.flatMap(({ type, config, place }, index) => {
    if (index === way.authzAt) return []
    const fix = { kind: 'remove', at: [...list, index] } as const
    if (writes(config.value)) return [fail(place, 'another filter writes what the guard reads', fix)]
    return CODE.test(type) ? [cannotTell(place.path, `whether ${type} writes what the guard reads is not known here`, fix)] : []
  })
  const onRoutes = scopesOf(way).flatMap((scope) =>
    Object.entries(at(scope, 'typed_per_filter_config')?.value ?? {})
      .filter(([, config]) => writes(config))
      .map(([key]) => fail(scope, 'another filter writes here what the guard reads', remove(scope, 'typed_per_filter_config', key)))
  )
  return [...everywhere, ...onRoutes]
}

function rbacsOf(way: Way): readonly Filter[] {
  return way.filters.slice(way.authzAt + 1).filter(({ type, place }) => type === RBAC && !flag(place, 'disabled'))
}

/** After the question, where there is one. */
export function hasGuard(way: Way): boolean {
  return rbacsOf(way).some(({ config }) => {
    const rules = at(config, 'rules')
    return rules !== undefined && guards(rules)
  })
}

function guarded(filter: Filter, way: Way): readonly Finding[] {
  const forged = forging(way)
  if (hasGuard(way) || forged.some(({ verdict }) => verdict === 'fail')) return forged
  const rbacs = rbacsOf(way)
  const weak = rbacs[0]
  if (weak !== undefined && has(weak.config, 'rules')) {
    const path = [...weak.config.path, 'rules']
    return [
      fail(weak.config, 'its rules let calls pass without verdict=allow', {
        kind: 'replace',
        at: path,
        value: { action: 'ALLOW', policies: RULES.policies }
      })
    ]
  }
  const at_ = [...way.http.path, 'http_filters']
  return [fail(filter.place, 'nothing demands a verdict after it', { kind: 'insert', at: at_, index: way.authzAt + 1, value: GUARD })]
}

export const GUARDING: readonly Check[] = [
  {
    id: 'guard',
    line: 'No verdict, no database: a guard after ext_authz demands it',
    why: 'It catches what is switched on elsewhere by mistake: fail-open, a share of requests, a route that skips, shadow mode.',
    hops: DECIDING,
    look: filters(guarded)
  },
  {
    id: 'guard-everywhere',
    line: 'No route takes the guard away',
    why: 'An empty RBACPerRoute switches RBAC off for its route.',
    hops: DECIDING,
    look: ways((way) =>
      scopesOf(way).flatMap((scope) => {
        const weak = perFilter(scope, RBAC, way.filters).find(({ config }) => {
          const rules = at(config, 'rbac', 'rules')
          return rules === undefined || !guards(rules)
        })
        if (weak === undefined) return []
        const key = weak.config.path[scope.path.length + 1] ?? ''
        return [fail(scope, 'RBAC is overridden here', remove(scope, 'typed_per_filter_config', key))]
      })
    )
  }
]
