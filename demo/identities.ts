/** Who is who in the demo. */
export const TRUST_DOMAIN = 'demo.vecauthz.test'
const id = (path: string) => `spiffe://${TRUST_DOMAIN}${path}`

export const GATEWAY_ENVOY = id('/envoy/gateway')
export const GATEWAY_SERVER = id('/vecauthz/gateway')
/** The pair: in front of the databases, and beside each agent under the agent's own identity. */
export const INDEX_ENVOY = id('/envoy/index')
export const INDEX_SERVER = id('/vecauthz/index')
export const EGRESS_SERVER = id('/vecauthz/egress')
/** What tokens of the pair could be for as well (config/policy.yaml). */
export const OTHER_INDEX_NAME = 'archive-index'
/** The Envoy of somebody else: it has a good SVID and may not ask. */
export const OTHER_ENVOY = id('/envoy/other')
export const SUPPORT = id('/acme/agent/support')
export const TRIALS = id('/globex/agent/trials')
export const PAYROLL = id('/initech/agent/payroll')
export const INDEXER = id('/acme/job/indexer')
/** Acts for end users of two tenants: whose turn it is says the user's token. */
export const DESK = id('/shared/agent/desk')
/** People: who may approve (config/policy.yaml), and who may only look (config/vecauthz.yaml). */
export const APPROVER = id('/people/ada')
export const OPERATOR = id('/people/grace')
/** Signed like the others, and known to no policy. */
export const STRANGER = id('/acme/agent/stranger')

/** What the host is called; the gateway's certificate carries it as a DNS name. */
export const HOST = 'chroma.demo.vecauthz.test'
/** The other databases, by kind: their host names in gateway.yaml and agent-sidecar.yaml. */
export const OTHER_HOSTS = ['weaviate', 'milvus', 'qdrant'].map((kind) => `${kind}.demo.vecauthz.test`)
export const DATABASE = 'rag'
export const COLLECTION = 'handbook'
