/** Checks about who is on the other end of a connection into Envoy. */
import { cannotTell, type Finding, fail, put, remove, todo } from './finding.ts'
import { ALL, type Check, GATEWAY, halfLife, LEADING, must, ways } from './look.ts'
import { addressOf, isLocal, type Way } from './survey.ts'
import { at, flag, has, listOf, type Place, seconds, text, typed } from './values.ts'

export const SVID_BY_SDS = { name: 'default', sds_config: { resource_api_version: 'V3', path_config_source: { path: './sds/svid.json' } } }
export const BUNDLES_BY_SDS = {
  name: 'ALL',
  sds_config: { resource_api_version: 'V3', path_config_source: { path: './sds/bundles.json' } }
}
export const TLS13 = { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' }
const TLS_TYPE = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext'
const OWN_TLS = {
  '@type': TLS_TYPE,
  require_client_certificate: true,
  disable_stateless_session_resumption: true,
  disable_stateful_session_resumption: true,
  common_tls_context: {
    alpn_protocols: ['h2', 'http/1.1'],
    tls_params: TLS13,
    tls_certificate_sds_secret_configs: [SVID_BY_SDS],
    validation_context_sds_secret_config: BUNDLES_BY_SDS
  }
}

/** Looks at the TLS settings of a way in; where there are none, only `client-certificate` says so. */
function tls(look: (context: Place, common: Place, way: Way) => readonly Finding[]) {
  return ways((way) => {
    if (way.tls === undefined) return [cannotTell(way.chain.path, 'connections are plain')]
    return look(way.tls, at(way.tls, 'common_tls_context') ?? { value: {}, path: [...way.tls.path, 'common_tls_context'] }, way)
  })
}

/** The places that say whom to believe: inline, or around what SDS gives. */
export function validations(common: Place): readonly Place[] {
  const inline = at(common, 'validation_context')
  const around = at(common, 'combined_validation_context', 'default_validation_context')
  return [inline, around].filter((one) => one !== undefined)
}

function secretOf(common: Place): Place | undefined {
  const combined = at(common, 'combined_validation_context')
  const direct = at(common, 'validation_context_sds_secret_config')
  return direct ?? (combined === undefined ? undefined : at(combined, 'validation_context_sds_secret_config'))
}

/** What SDS gives. */
export function bundleSecret(common: Place): Place | undefined {
  const found = secretOf(common)
  return found !== undefined && has(found, 'sds_config') ? found : undefined
}

/** Without `sds_config` it is a secret of the file itself, and says whatever is written there, also that strangers are believed. */
export function believesTheFile(common: Place): boolean {
  const found = secretOf(common)
  return found !== undefined && !has(found, 'sds_config')
}

export function hasOwnBySds(common: Place): boolean {
  const secrets = listOf(common, 'tls_certificate_sds_secret_configs')
  return secrets.length > 0 && secrets.every((one) => has(one, 'sds_config'))
}

/** What a SPIRE agent calls bundles: one for each trust domain, each held to its own names. */
export function pinsDomains(common: Place): boolean {
  const name = text(bundleSecret(common) ?? { value: {}, path: [] }, 'name') ?? ''
  const spiffe = validations(common).some((one) => typed(one, 'custom_validator_config')?.type.includes('SPIFFECertValidator') === true)
  const custom = validations(common).some((one) => at(one, 'custom_validator_config') !== undefined && !spiffe)
  return !custom && (spiffe || name === 'ALL' || name === 'ROOTCA' || /^spiffe:\/\/[^/]+$/.test(name))
}

export function sanMatchers(common: Place): readonly { readonly place: Place; readonly kind: string; readonly value: string }[] {
  const all = validations(common)
  const typed = all.flatMap((one) => listOf(one, 'match_typed_subject_alt_names'))
  // Envoy reads the older field, of any type of name, only where the newer one is not.
  const untyped = typed.length > 0 ? [] : all.flatMap((one) => listOf(one, 'match_subject_alt_names'))
  return [
    ...typed.map((place) => matched(place, at(place, 'matcher'), text(place, 'san_type') === 'URI')),
    ...untyped.map((place) => matched(place, place, true))
  ]
}

function matched(place: Place, matcher: Place | undefined, isUri: boolean) {
  const { ignore_case: folded, ...kinds } = matcher?.value ?? {}
  const [kind = '', value = ''] = Object.entries(kinds)[0] ?? []
  // SPIFFE paths differ by case, and so do those who have them.
  return { place, kind: isUri && folded !== true ? kind : 'other', value: String(value) }
}

/** Where certificates are looked at, and taken all the same. */
export function careless(common: Place): readonly Finding[] {
  return validations(common).flatMap((one) => [
    ...((text(one, 'trust_chain_verification') ?? 'VERIFY_TRUST_CHAIN') === 'VERIFY_TRUST_CHAIN'
      ? []
      : [fail(one, 'certificates of strangers are accepted', remove(one, 'trust_chain_verification'))]),
    ...(flag(one, 'allow_expired_certificate')
      ? [fail(one, 'certificates that have ended are accepted', remove(one, 'allow_expired_certificate'))]
      : [])
  ])
}

/** Bundles by SDS, and away with what stands there instead: Envoy does not start with both. */
function bundlesInstead(context: Place, common: Place, says: string): readonly Finding[] {
  const others = ['validation_context', 'combined_validation_context'].filter((key) => has(common, key))
  return [
    fail(common, says, put(context, { common_tls_context: { validation_context_sds_secret_config: BUNDLES_BY_SDS } })),
    ...others.map((key) => fail(common, `${key} stands in the place of the bundles of SDS`, remove(common, key)))
  ]
}

function pinned(context: Place, common: Place): readonly Finding[] {
  if (pinsDomains(common)) return []
  const domains = sanMatchers(common).map(({ kind, value }) =>
    kind === 'exact' || kind === 'prefix' ? /^spiffe:\/\/[^/]+\//.exec(value)?.[0] : undefined
  )
  if (domains.length > 0 && !domains.includes(undefined)) {
    if (new Set(domains).size === 1) return []
    return bundlesInstead(context, common, 'one file of authorities vouches for the names of several trust domains')
  }
  if (domains.length === 0 && bundleSecret(common) === undefined && validations(common).length === 0) return []
  if (domains.length === 0 && bundleSecret(common) !== undefined)
    return [
      cannotTell(
        common.path,
        'the secret with the authorities has a name that SPIRE does not give: whether it pins each trust domain is not said'
      )
    ]
  return bundlesInstead(context, common, 'any name that those authorities sign is good, whatever its trust domain')
}

export const PEER: readonly Check[] = [
  {
    id: 'client-certificate',
    line: 'A client certificate is required of every connection',
    why: 'Without one, whoever reaches the port is nobody, and vecauthz can only refuse; with XFCC kept, he is whom he claims to be.',
    hops: GATEWAY,
    look: ways((way) => {
      if (way.tls !== undefined) return must(way.tls, 'require_client_certificate', true, 'connections without a certificate are taken')
      const socket = { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: OWN_TLS } }
      return [fail(way.chain, 'connections are plain', put(way.chain, socket))]
    })
  },
  {
    id: 'certificate-checked',
    line: 'Client certificates are checked against a trust bundle',
    why: 'With a certificate required and nothing to check it against, Envoy takes anybody who made one himself.',
    hops: GATEWAY,
    look: tls((context, common) => {
      const believes = validations(common).some((one) =>
        ['trusted_ca', 'custom_validator_config', 'verify_certificate_spki', 'verify_certificate_hash'].some((key) => has(one, key))
      )
      if (believesTheFile(common)) return bundlesInstead(context, common, 'a secret of the file itself says whom to believe')
      if (believes || bundleSecret(common) !== undefined) return []
      return bundlesInstead(context, common, 'there is no authority to check them against')
    })
  },
  {
    id: 'untrusted-refused',
    line: 'A certificate that does not verify is no connection',
    why: 'ACCEPT_UNTRUSTED hands a name signed by a stranger to everything behind it as the principal.',
    hops: GATEWAY,
    look: tls((_, common) => careless(common))
  },
  {
    id: 'domains-pinned',
    line: 'Each trust domain is held to its own authorities',
    why: 'In a merged file of authorities, the one of trust domain B can sign names of trust domain A.',
    hops: GATEWAY,
    look: tls(pinned)
  },
  {
    id: 'own-svid-by-sds',
    line: "Envoy's own SVID comes over SDS",
    why: 'A certificate from a file that is read once ends, and so does the service; its key lies on a disk for as long.',
    hops: GATEWAY,
    look: tls((context, common) => {
      if (hasOwnBySds(common)) return []
      const says = 'its certificate is written into the configuration'
      const others = ['tls_certificates', 'tls_certificate_provider_instance'].filter((key) => has(common, key))
      // Envoy does not start with both.
      return [
        fail(common, says, put(context, { common_tls_context: { tls_certificate_sds_secret_configs: [SVID_BY_SDS] } })),
        ...others.map((key) => fail(common, `${key} stands in the place of SDS`, remove(common, key)))
      ]
    })
  },
  {
    id: 'no-resumption',
    line: 'No TLS session is resumed',
    why: 'An SVID that has expired is still good on a resumed session: Envoy looks at it in full handshakes only.',
    hops: GATEWAY,
    look: tls((context) => [
      ...must(context, 'disable_stateless_session_resumption', true, 'sessions are resumed by ticket'),
      ...must(context, 'disable_stateful_session_resumption', true, 'sessions are resumed by id')
    ])
  },
  {
    id: 'tls-1.3',
    line: 'Clients speak TLS 1.3',
    why: 'Before 1.3 client certificates, and with them the names of workloads, cross the wire in the clear.',
    hops: GATEWAY,
    look: tls((context, common) => {
      const params = at(common, 'tls_params')
      if (params !== undefined && text(params, 'tls_minimum_protocol_version') === 'TLSv1_3') return []
      const fix = put(context, {
        common_tls_context: { tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' } }
      })
      return [fail(common, 'older versions than TLS 1.3 are taken', fix)]
    })
  },
  {
    id: 'connection-age',
    line: 'Connections end before half of an SVID lifetime',
    why: 'Envoy never looks again at the certificate of an open connection: it forwards for an expired one for hours.',
    hops: GATEWAY,
    look: ways((way, given) => {
      const common = at(way.http, 'common_http_protocol_options')
      const age = common === undefined ? undefined : seconds(common, 'max_connection_duration')
      const half = halfLife(given)
      const most = half === undefined ? 600 : Math.max(1, Math.ceil(half) - 1)
      const fix = put(way.http, { common_http_protocol_options: { max_connection_duration: `${Math.min(600, most)}s` } })
      if (age === undefined) return [fail(way.http, 'connections have no longest age', fix)]
      if (half === undefined) return [cannotTell(way.http.path, `they end after ${age} s; give --config, which says how long SVIDs live`)]
      return age < half ? [] : [fail(way.http, `connections end after ${age} s, and half of svid_ttl_seconds is ${half} s`, fix)]
    })
  },
  {
    id: 'xfcc-sanitized',
    line: "A client's own certificate header is never believed",
    why: 'APPEND_FORWARD keeps the forgery of the client in front of what Envoy adds, and many a parser reads the first.',
    hops: ALL,
    look: ways((way) => {
      const mode = text(way.http, 'forward_client_cert_details') ?? 'SANITIZE'
      if (mode === 'SANITIZE_SET' || (mode === 'SANITIZE' && way.hop !== 'gateway')) return []
      const wanted = way.hop === 'gateway' ? 'SANITIZE_SET' : 'SANITIZE'
      const says = mode === 'SANITIZE' ? 'the intermediates of the caller do not come along' : `x-forwarded-client-cert: ${mode}`
      return [fail(way.http, says, put(way.http, { forward_client_cert_details: wanted }))]
    })
  },
  {
    id: 'xfcc-chain',
    line: "The caller's intermediate certificates come along",
    why: 'ext_authz sends the leaf alone. Under an authority with intermediates (upstream authority, x509pop) vecauthz then trusts nobody.',
    hops: GATEWAY,
    look: ways((way) => {
      const details = at(way.http, 'set_current_client_cert_details')
      if (details !== undefined && flag(details, 'chain')) return []
      return [fail(way.http, 'XFCC is written without the chain', put(way.http, { set_current_client_cert_details: { chain: true } }))]
    })
  },
  {
    id: 'way-in-private',
    line: "The way in is the agent's alone: loopback, or a socket",
    why: 'Nobody is authenticated on this side: whoever reaches the port speaks under the SVID of the agent.',
    hops: LEADING,
    look: ways((way) => {
      const address = at(way.listener, 'address')
      if (address === undefined) return [cannotTell(way.listener.path, 'its address is not said')]
      if (way.tls !== undefined) return []
      const others = listOf(way.listener, 'additional_addresses').map((one) => at(one, 'address'))
      if (others.some((one) => one === undefined || !isLocal(addressOf(one))))
        return [fail(way.listener, 'it listens on additional_addresses', remove(way.listener, 'additional_addresses'))]
      if (isLocal(addressOf(address))) return []
      const port = addressOf(address).port ?? 0
      return [
        fail(
          way.listener,
          `it listens on ${addressOf(address).address}`,
          put(way.listener, { address: { socket_address: { address: '127.0.0.1', port_value: port } } })
        )
      ]
    })
  },
  {
    id: 'svid-lifetime-known',
    line: 'The lifetime of SVIDs that the server counts on is one',
    why: 'Lanes with different svid_ttl_seconds end their connections at different times; the shortest lifetime is the true one.',
    hops: ALL,
    look: ({ servers }) => {
      const all = new Set(servers.map(({ settings }) => settings.svid_ttl_seconds))
      if (all.size === 1) return []
      if (all.size === 0) return [cannotTell([], 'no settings were given (--config FILE)')]
      return [
        fail(
          { value: {}, path: [] },
          `svid_ttl_seconds is ${[...all].join(' and ')}`,
          todo('Give every lane the same svid_ttl_seconds: the shortest lifetime of the SVIDs in use.')
        )
      ]
    }
  }
]
