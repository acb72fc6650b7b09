/** What is known of HTTP filters, by the folder of their type. */

export function kindOf({ type }: { readonly type: string }): string {
  return type.split('.').at(-3) ?? type
}

/** Leave a judged request as it is. */
export const HARMLESS: ReadonlySet<string> = new Set([
  'rbac',
  'router',
  'local_ratelimit',
  'grpc_stats',
  'header_to_metadata',
  'set_metadata',
  'set_filter_state',
  'admission_control',
  'adaptive_concurrency',
  'bandwidth_limit',
  'buffer',
  // Answers preflights by itself, and touches answers.
  'cors',
  'stats',
  // Istio's, for its metrics.
  'stats.PluginConfig'
])

/** Change, answer or send elsewhere what was judged. */
export const CHANGING: ReadonlySet<string> = new Set([
  'lua',
  'wasm',
  'ext_proc',
  'header_mutation',
  'grpc_json_transcoder',
  'grpc_json_reverse_transcoder',
  'grpc_http1_bridge',
  'grpc_http1_reverse_bridge',
  'grpc_web',
  'compressor',
  'decompressor',
  'golang',
  'dynamic_modules',
  'credential_injector',
  'aws_request_signing',
  'aws_lambda',
  'gcp_authn',
  'dynamic_forward_proxy',
  'cache',
  'cache_v2',
  'oauth2',
  'tap',
  'fault',
  'kill_request',
  'ext_authz',
  'on_demand'
])

/** Code that may call any cluster. */
export const CALLING: ReadonlySet<string> = new Set(['wasm', 'golang', 'dynamic_modules'])
