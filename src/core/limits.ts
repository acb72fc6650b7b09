/** Every bound of the decision path, with its unit and its reason. */

const KIB = 1024
const MIB = 1024 * KIB

/** A page of memory per call; Envoy's `max_request_bytes` on the search route is the same number (envoy/gateway.yaml). */
export const BODY_BYTES_MAX = 1 * MIB
/** The most that `body_bytes_max` of the settings can be: a write lane takes the batches of official clients (Chroma's limit is 40 MiB, Qdrant's 32). */
export const WRITE_BODY_BYTES_MAX = 32 * MIB
/** What a CheckRequest holds beside the body: certificate, headers (Envoy's 32 KiB limit) and protobuf framing. */
export const CHECK_REQUEST_EXTRA_BYTES = 256 * KIB
/** Longest request target. Chroma's longest sensible path is under 700 bytes. */
export const PATH_BYTES_MAX = 4 * KIB
/** Envoy's own limit in envoy/gateway.yaml is 100. */
export const HEADERS_MAX = 128
/** XFCC with a chain of three certificates is about 5 KiB; more than this is not a chain but an attack on the parser. */
export const XFCC_BYTES_MAX = 32 * KIB
/** One URL-encoded leaf is about 1 KiB (P-256) to 3 KiB (RSA-4096 and many SANs). */
export const CERTIFICATE_BYTES_MAX = 16 * KIB

/** Depth of a JSON body. Chroma's `where` and `rank` trees written by people stay below 10. */
export const JSON_DEPTH_MAX = 32
/** Keys in one JSON object: metadata records of real users have tens. */
export const JSON_KEYS_MAX = 1024
/** Bytes of one key as written. Keys are compared without case, which one of a megabyte would make a tenth of a second of work. */
export const JSON_KEY_BYTES_MAX = 1024
/** Components of one vector. The largest public embedding models have 8192. */
export const VECTOR_DIMENSIONS_MAX = 16_384
/** Vectors in one call: Chroma's own largest batch is 5461 records. */
export const VECTORS_MAX = 5461

/** Checks that may be waiting for a name at once in one process; beyond it a call is refused, not queued. */
export const CHECKS_IN_FLIGHT_MAX = 256
/** Names kept per process; one entry is about 300 bytes. */
export const RESOLVED_NAMES_MAX = 50_000
/** A collection can be renamed behind our back, so a name is asked again after this many milliseconds. */
export const RESOLVED_NAME_TTL_MS = 30_000
/** Look-ups in the database that may be under way at once. */
export const LOOKUPS_IN_FLIGHT_MAX = 32
/** Failed look-ups one caller may cause per minute: enough for a restart with stale ids, too few to probe for ids. */
export const LOOKUP_MISSES_PER_MINUTE = 30

/** Verified callers kept per process, keyed by certificate and chain bytes. */
export const CALLERS_CACHED_MAX = 10_000
/** Workloads whose budget is kept per process. */
export const BUDGETS_MAX = 100_000
/** Envoy repeats a check within its own timeout times its retries; remembered this long so that none is counted twice. */
export const CHECK_REPEAT_MS = 5_000
/** Remembered checks per process: 5 s at 10 000 checks a second. */
export const CHECK_REPEATS_MAX = 50_000

/** Clock difference tolerated for `notBefore`, in milliseconds; `notAfter` gets none. */
export const CLOCK_SKEW_MS = 5_000

/** Messages within messages of one protobuf message. Rust's decoder stops at 100; a Qdrant filter takes two levels for each of its own. */
export const PROTO_DEPTH_MAX = 64
/** Fields and elements of one protobuf message, floats not counted: a full body of short payload values has fewer. */
export const PROTO_FIELDS_MAX = 131_072

/** Classes and tenants that one batch goes to: each is granted apart, and an application writes to a few. */
export const PLACES_MAX = 256
/** Shard keys or partitions that one call names, each of which is in its record. Milvus makes 1024 partitions of a collection by default. */
export const SHARDS_MAX = 1024
