/**
 * The Envoy files that differ from another one in a few places: for a SPIRE agent in the place of files, and for shadow. They are made
 * from the one that they differ from, so that a line that is added there is in all of them: `node docs/tables.ts --write`.
 */

const SPIRE_NOTE = `# The same as ../FILE, with the secrets from a SPIRE agent. Made from it (node docs/tables.ts --write); change that one.
#
`

/** Waits for the first secrets for ever: a listener that came up without them would refuse everybody and call itself ready. */
const FROM_AGENT = `sds_config: &from_agent
  resource_api_version: V3
  initial_fetch_timeout: 0s
  api_config_source:
    api_type: GRPC
    transport_api_version: V3
    set_node_on_first_message_only: true
    grpc_services: [{ envoy_grpc: { cluster_name: spire_agent } }]`

const AGENT_CLUSTER = `
    # The SPIRE agent, which knows this Envoy by what it attests of the process that opens the socket (path, user, container, pod), and
    # gives it that workload's secrets only. Mount the folder, not the socket: the agent makes a new one when it starts.
    - name: spire_agent
      type: STATIC
      connect_timeout: 1s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: { http2_protocol_options: {} }
      load_assignment:
        cluster_name: spire_agent
        endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: /run/spire/agent-sockets/api.sock } } } }] }]
`

/** A file of envoy/ for a SPIRE agent. @throws Error when it has not the places that differ. */
export function forSpire(file: string, text: string): string {
  const secrets = /( *)sds_config: \{ resource_api_version: V3, path_config_source: \{ path: \.\/sds\/(?:svid|bundles)\.json \} \}/g
  if (text.search(secrets) === -1) throw new Error(`envoy/${file} takes no secrets from files`)
  let first = true
  const replaced = text.replace(secrets, (_, indent: string) => {
    const lines = first ? FROM_AGENT.split('\n') : ['sds_config: *from_agent']
    first = false
    return lines.map((line) => indent + line).join('\n')
  })
  const plain = [
    [/ # file SDS refuses to work without an id and a cluster/, ' # SDS refuses to work without an id and a cluster'],
    [
      / Secrets come from files below the working folder and have the names that a SPIRE agent gives\n# them, so that with SPIRE only each sds_config changes \(envoy\/README\.md\)\.\n/,
      '\n'
    ]
  ] as const
  const edited = plain.reduce((before, [from, to]) => before.replace(from, to), replaced)
  return `${SPIRE_NOTE.replace('FILE', file)}${edited.trimEnd()}\n${AGENT_CLUSTER}`
}

const SHADOW_HEADER = `# Envoy 1.40, the gateway hop in shadow: vecauthz is asked about every request and decides none. What it would have refused is in the
# access log (\`shadow\`) and counted (\`ext_authz.vecauthz.shadow_denied\`), and goes to the database. docs/shadow.md says what this
# shows, what it cannot, and when to use vecauthz's own shadow instead. Made from gateway.yaml (node docs/tables.ts --write).
# Never leave it in front of data: it protects nothing.
`

/** gateway.yaml with Envoy's shadow mode. @throws Error when it has not the places that differ. */
export function forShadow(text: string): string {
  return SHADOW_EDITS.reduce((before, [from, to]) => replace(before, from, to), text)
}

const SHADOW_EDITS: readonly (readonly [RegExp, string])[] = [
  [/^# Envoy 1\.40, the gateway hop:[\s\S]*?\n(?=node:)/, SHADOW_HEADER],
  [/hop: gateway\n/, 'hop: gateway-shadow\n'],
  [
    /( +)verdict: "%DYNAMIC_METADATA/,
    '$1shadow: "%FILTER_STATE(envoy.filters.http.ext_authz.shadow:PLAIN)%"\n$1verdict: "%DYNAMIC_METADATA'
  ],
  // The database still knows callers by what they bring.
  [/ +# Credentials of databases are vecauthz's to set\.[\s\S]*?(?= +# 3\. Decide\.)/, ''],
  [/# 3\. Decide\.\n/, '# 3. Ask, and go on whatever is said.\n'],
  [/( +)stat_prefix: vecauthz\n/, '$1stat_prefix: vecauthz\n$1shadow_mode: true\n'],
  [
    / +# The same number as body_bytes_max[\s\S]*?( +)with_request_body: \{ max_request_bytes: 1048576, allow_partial_message: false, /,
    `$1# Partial, so that a large body is not answered 413: vecauthz says of it what it will say, and it goes on. Over HTTP/2 it is
$1# answered 413 all the same when frames come in while vecauthz is asked.
$1with_request_body: { max_request_bytes: 1048576, allow_partial_message: true, `
  ],
  [/(max_request_bytes: 33554432, allow_partial_message: )false/, '$1true'],
  [
    / +# What an answer may change\.[\s\S]*?( +)validate_mutations: true\n +decoder_header_mutation_rules:\n[\s\S]*?( +max_denied_response_body_bytes)/,
    `$1# An answer that allows would still be carried out: the tenant set, the path rewritten. Not in shadow, and not an error.
$1decoder_header_mutation_rules: { disallow_all: true }
$2`
  ],
  // The guard demands what shadow does not give.
  [/ +# 4\. No verdict, no database\.[\s\S]*?(?= +# Nothing more between)/, '']
]

function replace(text: string, from: RegExp, to: string): string {
  if (text.search(from) === -1) throw new Error(`envoy/gateway.yaml has no place like ${from}`)
  return text.replace(from, to)
}
