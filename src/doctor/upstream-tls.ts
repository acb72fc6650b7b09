/** How a cluster is spoken to: who it is, that it knows us, and over which TLS. Of every transport socket that an endpoint may get. */
import {
  BUNDLES_BY_SDS,
  believesTheFile,
  bundleSecret,
  careless,
  hasOwnBySds,
  SVID_BY_SDS,
  sanMatchers,
  TLS13,
  validations
} from './checks-peer.ts'
import { cannotTell, type Finding, fail, put, remove } from './finding.ts'
import { upstreamTls } from './survey.ts'
import { at, has, isMessage, listOf, type Place, text, unclear } from './values.ts'

const UPSTREAM = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext'
const MATCHED_BY = 'envoy.transport_socket_match'

/** What holds a transport_socket: the cluster, or those of transport_socket_matches that its endpoints are given in its place. */
function sockets(cluster: Place): readonly Place[] {
  if (has(cluster, 'transport_socket_matcher')) unclear(cluster.path, 'which transport socket an endpoint gets is what a matcher says')
  const matches = listOf(cluster, 'transport_socket_matches')
  if (matches.length === 0) return [cluster]
  const load = at(cluster, 'load_assignment')
  const labels = (load === undefined ? [] : listOf(load, 'endpoints'))
    .flatMap((group) => listOf(group, 'lb_endpoints'))
    .map((one) => at(one, 'metadata', 'filter_metadata', MATCHED_BY)?.value ?? {})
  // Endpoints that come from elsewhere may have any label, or none.
  if (labels.length === 0) return [cluster, ...matches]
  return [...new Set(labels.map((label) => matches.find((one) => isLabelled(label, at(one, 'match')?.value ?? {})) ?? cluster))]
}

function isLabelled(label: Place['value'], wanted: Place['value']): boolean {
  return Object.entries(wanted).every(([key, value]) => !isMessage(value) && String(label[key]) === String(value))
}

/** Both ends proven: our SVID and exactly one name, checked against a bundle, over TLS 1.3. */
export function proven(cluster: Place, alpn: string): readonly Finding[] {
  return sockets(cluster).flatMap((one) => provenBy(one, alpn))
}

function provenBy(holder: Place, alpn: string): readonly Finding[] {
  const tls = upstreamTls(holder)
  const common = {
    alpn_protocols: [alpn],
    tls_params: TLS13,
    tls_certificate_sds_secret_configs: [SVID_BY_SDS],
    combined_validation_context: {
      default_validation_context: { match_typed_subject_alt_names: [{ san_type: 'URI', matcher: { exact: 'spiffe://example.org/…' } }] },
      validation_context_sds_secret_config: BUNDLES_BY_SDS
    }
  }
  if (tls === undefined) {
    const socket = { name: 'envoy.transport_sockets.tls', typed_config: { '@type': UPSTREAM, common_tls_context: common } }
    return [fail(holder, 'it is spoken to in the clear', put(holder, { transport_socket: socket }))]
  }
  const own = at(tls, 'common_tls_context') ?? { value: {}, path: [...tls.path, 'common_tls_context'] }
  const found: Finding[] = []
  const say = (says: string, value: unknown, inThePlaceOf: readonly string[]) => {
    found.push(fail(own, says, put(tls, { common_tls_context: value })))
    // Envoy does not start with both.
    for (const key of inThePlaceOf.filter((one) => has(own, one))) found.push(fail(own, `${key} stands in its place`, remove(own, key)))
  }
  if (!hasOwnBySds(own)) say('it is not told who asks', { tls_certificate_sds_secret_configs: [SVID_BY_SDS] }, ['tls_certificates'])
  const vouched = validations(own).some((one) => has(one, 'trusted_ca') || has(one, 'custom_validator_config'))
  const believes = !believesTheFile(own) && (bundleSecret(own) !== undefined || vouched)
  const { combined_validation_context } = common
  const others = ['validation_context', 'validation_context_sds_secret_config']
  if (!believes) say('whoever answers is believed', { combined_validation_context }, others)
  const names = sanMatchers(own)
  if (believes && (names.length === 0 || names.some(({ kind, value }) => kind !== 'exact' || !value.startsWith('spiffe://'))))
    say('any workload of the trust domain may answer', { combined_validation_context }, others)
  return [...found, ...careless(own)]
}

export function version(cluster: Place): readonly Finding[] {
  return sockets(cluster).flatMap(versionOf)
}

function versionOf(holder: Place): readonly Finding[] {
  const tls = upstreamTls(holder)
  if (tls === undefined) return [cannotTell(holder.path, 'it is spoken to in the clear')]
  const params = at(tls, 'common_tls_context', 'tls_params')
  const is13 = (key: string) => params !== undefined && text(params, key) === 'TLSv1_3'
  if (is13('tls_minimum_protocol_version') && is13('tls_maximum_protocol_version')) return []
  return [fail(tls, 'upstream TLS stops at 1.2 unless it is told otherwise', put(tls, { common_tls_context: { tls_params: TLS13 } }))]
}
