/** Checks about how much of a body is shown: whole, as bytes, on every route. */
import { AUTHZ_FILTER, bodyOf, MIB, noServer, overrides, serverOf } from './authz-filter.ts'
import { cannotTell, type Finding, fail, put, remove } from './finding.ts'
import { askings, type Check, DECIDING, each, filters, type Given, must, waysOf } from './look.ts'
import type { Asking } from './survey.ts'
import { at, count, flag, has, type Place } from './values.ts'

/** All places that say how much of the body is shown: the filter's, and those of routes. */
function bodies(look: (body: Place, asking: { readonly lane: 'main' | 'route' }) => readonly Finding[]): Check['look'] {
  return (given, hops) => {
    const found = waysOf(given, hops).flatMap((way) => {
      const filter = way.filters[way.authzAt]
      const main = filter === undefined ? undefined : bodyOf(filter)
      const routes = overrides(way).map((one) => at(one, 'check_settings', 'with_request_body'))
      return [{ body: main, lane: 'main' as const }, ...routes.map((body) => ({ body, lane: 'route' as const }))]
    })
    const there = found.flatMap(({ body, lane }) => (body === undefined ? [] : [{ body, lane }]))
    return each(there, 'with_request_body', ({ body, lane }) => look(body, { lane }))
  }
}

function bodyLimit(asking: Asking, given: Given): readonly Finding[] {
  const filter = asking.way.filters[asking.way.authzAt]
  const body = at(asking.holder, 'with_request_body') ?? (filter === undefined ? undefined : bodyOf(filter))
  if (body === undefined) return [cannotTell(asking.holder.path, 'there is no with_request_body')]
  return [body, ...routeBodies(asking)].flatMap((one) => held(one, asking, given))
}

/** Routes that show more or less of a body, and leave who is asked as it is. */
function routeBodies({ way, lane }: Asking): readonly Place[] {
  if (lane !== 'main') return []
  return overrides(way)
    .map((one) => at(one, 'check_settings'))
    .filter((one) => one !== undefined && !has(one, 'grpc_service'))
    .flatMap((one) => (one === undefined ? [] : (at(one, 'with_request_body') ?? [])))
}

function held(body: Place, asking: Asking, given: Given): readonly Finding[] {
  const most = count(body, 'max_request_bytes') ?? 0
  if (most <= 0) return [fail(body, 'max_request_bytes is not set', put(body, { max_request_bytes: MIB }))]
  const server = serverOf(asking, given)
  if (server === undefined) return [cannotTell(body.path, noServer(given))]
  const ours = server.settings.body_bytes_max
  return most <= ours ? [] : [fail(body, `Envoy holds ${most} bytes, and vecauthz reads ${ours}`, put(body, { max_request_bytes: ours }))]
}

export const BODY: readonly Check[] = [
  {
    id: 'body-shown',
    line: 'The body is shown, on every route',
    why: 'Without with_request_body, or with buffering disabled on a route, vecauthz sees a call without a body, and the database gets one.',
    hops: DECIDING,
    look: filters((filter, way) => {
      const good = AUTHZ_FILTER.typed_config.with_request_body
      const off = overrides(way)
        .map((one) => at(one, 'check_settings'))
        .filter((one) => one !== undefined && flag(one, 'disable_request_body_buffering'))
        .map((one) => fail(one as Place, 'a route shows no body', remove(one as Place, 'disable_request_body_buffering')))
      if (bodyOf(filter) !== undefined) return off
      return [fail(filter.config, 'no body is shown', put(filter.config, { with_request_body: good })), ...off]
    })
  },
  {
    id: 'body-limit',
    line: 'Envoy holds no more of a body than vecauthz reads',
    why: 'Above its own body_bytes_max vecauthz refuses: what Envoy buffers beyond is memory for nothing, and every such write fails.',
    hops: DECIDING,
    look: askings(bodyLimit)
  },
  {
    id: 'body-whole',
    line: 'A body is never cut',
    why: 'With allow_partial_message the question is about the beginning, and the database gets all of it.',
    hops: DECIDING,
    look: bodies((body) => must(body, 'allow_partial_message', false, 'bodies are cut'))
  },
  {
    id: 'body-bytes',
    line: 'A body arrives as bytes',
    why: 'As text, every byte that is not UTF-8 becomes `!`: vecauthz and the database read different bodies, and gRPC is destroyed.',
    hops: DECIDING,
    look: bodies((body) => must(body, 'pack_as_bytes', true, 'bodies are sent as text'))
  }
]
