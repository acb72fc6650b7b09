/** Checks about the question itself: whether it is asked, what it shows, and what the answer may do. */
import { AUTHZ_FILTER, noServer, serverOf } from './authz-filter.ts'
import { GUARD, hasGuard } from './checks-guard.ts'
import { cannotTell, type Finding, fail, put, remove, todo } from './finding.ts'
import { askings, type Check, DECIDING, filters, type Given, must } from './look.ts'
import type { Asking, Way } from './survey.ts'
import { at, count, flag, has, listOf, type Place, seconds, text } from './values.ts'

const MAIN_SECONDS_MAX = 0.5
/** A batch of writes of the largest size is read for longer than a search. */
const ROUTE_SECONDS_MAX = 5
const AUTHZ_SECONDS_DEFAULT = 0.2

function everyConnection({ survey }: Given, hops: Check['hops']): readonly Finding[] {
  const harmless = /\.(echo|direct_response)\./
  const around = survey.others
    .filter(({ type }) => !harmless.test(type))
    .map(({ listener, chain, type }) => {
      const chains = listOf(listener, 'filter_chains').length + (has(listener, 'default_filter_chain') ? 1 : 0)
      // A listener without a filter chain is none that Envoy takes.
      const fix = { kind: 'remove', at: chains > 1 ? chain.path : listener.path } as const
      return type.endsWith('.TcpProxy')
        ? fail(chain, 'connections go on without a question (tcp_proxy), and only an http_connection_manager could ask one', fix)
        : cannotTell(chain.path, `connections are taken by ${type}`)
    })
  const ways = survey.ways.filter((way) => hops.includes(way.hop) && way.forwards.length > 0)
  const silent = ways.flatMap((way) => {
    const filter = way.filters[way.authzAt]
    if (filter === undefined)
      return [
        fail(way.http, 'calls go on without a question: there is no ext_authz filter', insert(way, AUTHZ_FILTER)),
        ...(hasGuard(way) ? [] : [fail(way.http, 'nor is there a guard behind it', insert(way, GUARD, 1))])
      ]
    if (flag(filter.place, 'disabled')) return [fail(filter.place, 'the filter is there, and disabled', remove(filter.place, 'disabled'))]
    return flag(filter.place, 'is_optional')
      ? [fail(filter.place, 'an Envoy without ext_authz would go on without it', remove(filter.place, 'is_optional'))]
      : []
  })
  if (survey.ways.length + survey.others.length === 0) return [cannotTell([], 'there is no listener to look at')]
  return [...around, ...silent]
}

/** @param after how many others are put there before */
function insert(way: Way, value: object, after = 0) {
  const index = way.filters.findIndex(({ type }) => type.endsWith('.Router') || type.endsWith('.RBAC'))
  return { kind: 'insert', at: [...way.http.path, 'http_filters'], index: Math.max(0, index) + after, value } as const
}

function timeout(asking: Asking, given: Given): readonly Finding[] {
  const value = has(asking.service, 'timeout') ? seconds(asking.service, 'timeout') : AUTHZ_SECONDS_DEFAULT
  const server = serverOf(asking, given)
  const deadline = server?.settings.deadline_ms
  const most = asking.lane === 'main' ? mainMost(deadline) : ROUTE_SECONDS_MAX
  const good = deadline === undefined ? most : Math.min(most, (deadline + 100) / 1000)
  const fix = put(asking.service, { timeout: `${good}s`, ...triesWithin(asking.service, good) })
  if (value === undefined || value > most) return [fail(asking.service, `an answer may take ${value ?? 'for ever,'} s`, fix)]
  if (deadline === undefined) return [cannotTell(asking.service.path, noServer(given))]
  if (value * 1000 > deadline) return []
  const lower = todo(`In ${server?.file}: deadline_ms below ${value * 1000}, so that a late answer is a written one.`)
  return [fail(asking.service, `Envoy gives up after ${value} s, and deadline_ms is ${deadline}`, good * 1000 > deadline ? fix : lower)]
}

/** The longest back-off is the timeout of each try as well, so it grows along. */
function triesWithin(service: Place, limit: number): object {
  const policy = at(service, 'retry_policy')
  const backOff = policy === undefined ? undefined : at(policy, 'retry_back_off')
  if (policy === undefined || backOff === undefined || (seconds(backOff, 'max_interval') ?? limit) >= limit) return {}
  return { retry_policy: { ...policy.value, retry_back_off: { ...backOff.value, max_interval: `${limit}s` } } }
}

/** Half a second, or that much more than the server itself was told to take. */
function mainMost(deadline: number | undefined): number {
  return Math.min(ROUTE_SECONDS_MAX, Math.max(MAIN_SECONDS_MAX, (deadline ?? 0) / 1000 + MAIN_SECONDS_MAX))
}

export const ASKING: readonly Check[] = [
  {
    id: 'every-way-asks',
    line: 'Every way in asks before calls go on',
    why: 'A listener without the question is a second door to the same database.',
    hops: DECIDING,
    look: everyConnection
  },
  {
    id: 'over-grpc',
    line: 'vecauthz is asked over gRPC, version 3',
    why: 'Over HTTP neither the body as bytes nor the certificate comes along, and vecauthz does not speak it.',
    hops: DECIDING,
    look: filters(({ config }) => {
      if (has(config, 'http_service') || !has(config, 'grpc_service')) {
        const { grpc_service } = AUTHZ_FILTER.typed_config
        return [
          ...(has(config, 'http_service') ? [fail(config, 'it is asked over HTTP', remove(config, 'http_service'))] : []),
          fail(config, 'it is not asked over gRPC', put(config, { grpc_service }))
        ]
      }
      const version = text(config, 'transport_api_version') ?? 'V3'
      return version === 'V3' || version === 'AUTO'
        ? []
        : [fail(config, `transport_api_version: ${version}`, put(config, { transport_api_version: 'V3' }))]
    })
  },
  {
    id: 'fail-closed',
    line: 'No answer is no',
    why: 'With failure_mode_allow, whoever stops or overloads vecauthz has the database to himself.',
    hops: DECIDING,
    look: filters(({ config }) => must(config, 'failure_mode_allow', false, 'when vecauthz does not answer, calls go on'))
  },
  {
    id: 'outage-seen',
    line: 'An outage is 503, not 403',
    why: 'The default 403 hides an outage behind "forbidden": nobody is paged, and agents give up.',
    hops: DECIDING,
    look: filters(({ config }, { http, filters: all }) => {
      const status = at(config, 'status_on_error')
      const code = status === undefined ? undefined : status.value['code']
      const said = `status_on_error is ${String(code ?? 'not set')}`
      const replies = at(http, 'local_reply_config')
      return [
        ...(code === 'ServiceUnavailable' || code === 503
          ? []
          : [fail(config, said, put(config, { status_on_error: { code: 'ServiceUnavailable' } }))]),
        ...(replies === undefined ? [] : listOf(replies, 'mappers'))
          .filter((one) => has(one, 'status_code'))
          .map((one) => fail(one, "Envoy's own answers are told with another status", remove(one, 'status_code'))),
        ...all
          .filter(({ type }) => type.endsWith('.CustomResponse'))
          .map(({ place }) => cannotTell(place.path, 'whether custom_response tells an outage otherwise is not known here'))
      ]
    })
  },
  {
    id: 'answer-in-time',
    line: "An answer has to come in time, and after vecauthz's own deadline",
    why: 'Envoy that gives up first makes an error of what would have been a written verdict; Envoy that waits for ever holds the request.',
    hops: DECIDING,
    look: askings(timeout)
  },
  {
    id: 'checks-repeated',
    line: 'A lost question is repeated, with back-off',
    why: 'With one replica of two down, up to half of the checks is lost; without retry_back_off still a third. vecauthz counts one request once.',
    hops: DECIDING,
    look: askings(({ service }) => {
      const policy = at(service, 'retry_policy')
      const limit = has(service, 'timeout') ? String(service.value['timeout']) : '0.2s'
      const good = {
        ...AUTHZ_FILTER.typed_config.grpc_service.retry_policy,
        retry_back_off: { base_interval: '0.01s', max_interval: limit }
      }
      const fix = put(service, { retry_policy: good })
      if (policy === undefined) return [fail(service, 'questions are not repeated', fix)]
      const backOff = at(policy, 'retry_back_off')
      if (backOff === undefined) return [fail(policy, 'questions are repeated without retry_back_off', fix)]
      const most = seconds(backOff, 'max_interval')
      const late = most !== undefined && most < (seconds(service, 'timeout') ?? AUTHZ_SECONDS_DEFAULT)
      const on = text(policy, 'retry_on') ?? ''
      return [
        ...(late
          ? [
              fail(
                backOff,
                'max_interval, which is also the timeout of each try, is below the timeout',
                put(backOff, { max_interval: limit })
              )
            ]
          : []),
        ...(on.includes('connect-failure') ? [] : [fail(policy, 'a refused connection is not repeated', fix)]),
        ...((count(policy, 'num_retries') ?? 1) <= 3 ? [] : [fail(policy, 'more than three repeats', put(policy, { num_retries: 2 }))])
      ]
    })
  }
]
