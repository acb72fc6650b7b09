import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readDocument, readValue } from '../../src/doctor/document.ts'
import { judge, type Report } from '../../src/doctor/judge.ts'
import { documentOf, type Loose, partsOf, SHIPPED, shippedText, shippedValue } from '../support/shipped-envoy.ts'

const { servers } = SHIPPED['gateway.yaml']
const verdicts = (report: Report) => Object.fromEntries(report.judged.map(({ check, verdict }) => [check.id, verdict]))
const of = (value: Loose) => verdicts(judge(documentOf(value), servers))
const failing = (value: Loose) =>
  Object.entries(of(value))
    .filter(([, verdict]) => verdict === 'fail')
    .map(([id]) => id)

/** The answer of /config_dump of an Envoy with that bootstrap, whose routes and one listener came from a control plane. */
function dumpOf(bootstrap: Loose): Loose {
  const value = structuredClone(bootstrap)
  const { listeners, clusters } = value['static_resources']
  const { http } = partsOf(value)
  const routes = http['route_config']
  delete http['route_config']
  http['rds'] = { route_config_name: routes.name, config_source: { ads: {} } }
  const type = (name: string) => `type.googleapis.com/envoy.admin.v3.${name}`
  return {
    configs: [
      { '@type': type('BootstrapConfigDump'), bootstrap },
      { '@type': type('ClustersConfigDump'), static_clusters: clusters.map((cluster: Loose) => ({ cluster })) },
      {
        '@type': type('ListenersConfigDump'),
        dynamic_listeners: listeners.map((listener: Loose) => ({ name: listener['name'], active_state: { listener } }))
      },
      { '@type': type('RoutesConfigDump'), dynamic_route_configs: [{ route_config: routes }] }
    ]
  }
}

describe('a document', () => {
  it('in camelCase is the same', () => {
    const camel = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(camel)
      if (typeof value !== 'object' || value === null) return value
      return Object.fromEntries(
        Object.entries(value).map(([key, one]) => [
          /^[a-z_0-9]+$/.test(key) ? key.replaceAll(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()) : key,
          camel(one)
        ])
      )
    }
    const value = shippedValue('gateway.yaml')
    const written = camel(value) as Loose
    expect(JSON.stringify(written)).toContain('"failureModeAllow"')
    expect(of(written)).toEqual(of(value))
  })

  it('with a field in both spellings is not read', () => {
    const value = shippedValue('gateway.yaml')
    Object.assign(partsOf(value).authz(), { failureModeAllow: true })
    expect(readValue(value)).toMatchObject({ ok: false })
  })

  it('with a key twice is not read', () => {
    expect(readDocument(shippedText('gateway.yaml').replace('admin:', 'admin:\n  profile_path: /x\nadmin:'))).toMatchObject({ ok: false })
  })

  it.each(['policy: here', '[]', 'text', '', '{"configs":[]}'])('%j is none', (text) => {
    expect(readDocument(text)).toMatchObject({ ok: false })
  })

  it('of a running Envoy is judged as its file is', () => {
    const value = shippedValue('gateway.yaml')
    expect(of(dumpOf(value))).toEqual(of(value))
    partsOf(value).authz()['failure_mode_allow'] = true
    expect(failing(dumpOf(value))).toEqual(['fail-closed'])
  })
})

describe('the way in which Istio asks', () => {
  /** RBAC in front notes which rule would match, and ext_authz asks where one does. */
  const asking = (rule: object, name = 'istio-ext-authz-vecauthz-ns[data]-rule[0]') => {
    const value = shippedValue('gateway.yaml')
    const { http, authz } = partsOf(value)
    const rbac = 'type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC'
    http['http_filters'].unshift({
      name: 'envoy.filters.http.rbac',
      typed_config: { '@type': rbac, shadow_rules_stat_prefix: 'istio_ext_authz_', shadow_rules: { policies: { [name]: rule } } }
    })
    authz()['filter_enabled_metadata'] = {
      filter: 'envoy.filters.http.rbac',
      path: [{ key: 'istio_ext_authz_shadow_effective_policy_id' }],
      value: { string_match: { prefix: 'istio-ext-authz-vecauthz' } }
    }
    return failing(value)
  }
  const anybody = [{ and_ids: { ids: [{ any: true }] } }]

  it('is every request where the rule is true of all', () => {
    expect(asking({ permissions: [{ and_rules: { rules: [{ any: true }] } }], principals: anybody })).toEqual([])
  })

  it('is a share of them where it is not', () => {
    const one = { url_path: { path: { prefix: '/collections/' } } }
    expect(asking({ permissions: [{ and_rules: { rules: [one] } }], principals: anybody })).toEqual(['every-request-asked'])
    expect(asking({ permissions: [{ any: true }], principals: [{ authenticated: {} }] })).toEqual(['every-request-asked'])
  })

  it('is none of them where what is noted has another name', () => {
    expect(asking({ permissions: [{ any: true }], principals: anybody })).toEqual([])
    expect(asking({ permissions: [{ any: true }], principals: anybody }, 'istio-ext-authz-other')).toEqual(['every-request-asked'])
  })
})

describe('what cannot be made out is no pass', () => {
  const rows: readonly { name: string; change: (parts: ReturnType<typeof partsOf>) => unknown; unknown: readonly string[] | 'all' }[] = [
    {
      name: 'a flag that is a text',
      change: ({ authz }) => {
        authz()['failure_mode_allow'] = 'false'
      },
      unknown: ['fail-closed']
    },
    {
      name: 'a duration in minutes',
      change: ({ http }) => {
        http['request_timeout'] = '1m'
      },
      unknown: ['requests-end']
    },
    {
      name: 'a number that is none',
      change: ({ authz }) => {
        authz()['with_request_body'].max_request_bytes = 'many'
      },
      unknown: ['body-limit']
    },
    {
      name: 'a filter after ext_authz that nobody knows',
      change: ({ http }) => {
        const typed = { '@type': 'type.googleapis.com/com.example.v3.Filter' }
        http['http_filters'].splice(-1, 0, { name: 'com.example', typed_config: typed })
      },
      unknown: ['nothing-after']
    },
    {
      name: 'bundles under a name that is not of SPIRE',
      change: ({ tls }) => {
        tls()['common_tls_context'].validation_context_sds_secret_config.name = 'bundle'
      },
      unknown: ['domains-pinned']
    },
    {
      name: 'a log service elsewhere',
      change: ({ http }) => {
        const type = 'type.googleapis.com/envoy.extensions.access_loggers.grpc.v3.HttpGrpcAccessLogConfig'
        http['access_log'] = [{ name: 'als', typed_config: { '@type': type } }]
      },
      unknown: ['access-log']
    },
    {
      name: 'a database on another host',
      change: ({ cluster }) => {
        cluster('qdrant')['load_assignment'].endpoints[0].lb_endpoints[0].endpoint.address.socket_address.address = 'qdrant.example.org'
      },
      unknown: ['database-private']
    },
    {
      name: 'routes that come from elsewhere',
      change: ({ http }) => {
        delete http['route_config']
        http['rds'] = { route_config_name: 'x' }
      },
      unknown: 'all'
    },
    {
      name: 'virtual hosts that come from elsewhere',
      change: ({ http }) => {
        http['route_config'].vhds = { config_source: { ads: {} } }
      },
      unknown: 'all'
    },
    {
      name: 'a cluster of a kind that nobody knows',
      change: ({ cluster }) => {
        cluster('chroma')['cluster_type'] = { name: 'envoy.clusters.dynamic_forward_proxy' }
      },
      unknown: ['destination-fixed']
    },
    {
      name: 'listeners that come from elsewhere',
      change: ({ value }) => {
        value['dynamic_resources'] = { lds_config: { ads: {} } }
      },
      unknown: 'all'
    },
    {
      name: 'a filter without a type',
      change: ({ http }) => {
        http['http_filters'].unshift({ name: 'x', config_discovery: {} })
      },
      unknown: 'all'
    },
    {
      name: 'no listener at all',
      change: ({ value }) => {
        value['static_resources'].listeners = []
      },
      unknown: 'all'
    }
  ]
  /** Told without looking at listeners. */
  const APART = ['svid-lifetime-known', 'admin-private', 'admin-reads-only', 'runtime-plain', 'database-credential']

  it.each(rows)('$name', ({ change, unknown }) => {
    const value = shippedValue('gateway.yaml')
    change(partsOf(value))
    const found = of(value)
    const passing = Object.keys(found).filter((id) => found[id] === 'pass')
    expect(Object.values(found)).not.toContain('fail')
    if (unknown === 'all') expect(passing.filter((id) => !APART.includes(id))).toEqual([])
    else expect(Object.keys(found).filter((id) => found[id] !== 'pass')).toEqual(unknown)
  })

  it('without settings, nothing that depends on them', () => {
    const found = verdicts(judge(documentOf(shippedValue('gateway.yaml')), []))
    const unknown = ['svid-lifetime-known', 'connection-age', 'answer-in-time', 'body-limit', 'authz-connection-age', 'database-credential']
    expect(
      Object.keys(found)
        .filter((id) => found[id] !== 'pass')
        .sort()
    ).toEqual(unknown.sort())
  })

  it('of anything at all: there is a verdict, and nothing thrown', () => {
    const value = shippedValue('gateway.yaml')
    const paths = pathsOf(value)
    const junk = fc.oneof(
      fc.constant(null),
      fc.constant({}),
      fc.constant([]),
      fc.constant('x'),
      fc.constant(-1),
      fc.constant([{}]),
      fc.constant(true)
    )
    fc.assert(
      fc.property(fc.constantFrom(...paths), junk, (path, one) => {
        const broken = structuredClone(value)
        put(broken, path, one)
        const read = readValue(broken)
        if (read.ok) expect(judge(read.document, servers).judged.length).toBeGreaterThan(10)
      }),
      { numRuns: 300 }
    )
  })
})

function pathsOf(value: unknown): (readonly (string | number)[])[] {
  if (typeof value !== 'object' || value === null) return []
  const keys: readonly (string | number)[] = Array.isArray(value) ? [...value.keys()] : Object.keys(value)
  return keys.flatMap((key) => [[key], ...pathsOf((value as Loose)[key]).map((path) => [key, ...path])])
}

function put(value: Loose, path: readonly (string | number)[], one: unknown): void {
  const last = path.at(-1) as string
  const parent = path.slice(0, -1).reduce((here: Loose, key) => here[key], value)
  parent[last] = one
}
