/** Who is who in compose.yaml: the identity of each service, the user that it runs as, and where things are in the containers. */
import { join } from 'node:path'
import {
  APPROVER,
  DESK,
  EGRESS_SERVER,
  GATEWAY_ENVOY,
  GATEWAY_SERVER,
  HOST,
  INDEX_ENVOY,
  INDEX_SERVER,
  INDEXER,
  OPERATOR,
  OTHER_ENVOY,
  OTHER_HOSTS,
  PAYROLL,
  SUPPORT,
  TRIALS,
  TRUST_DOMAIN
} from '../demo/identities.ts'

/** A service with an identity. Its user, which is its group too, is what SPIRE attests: the same number stands at `user` in compose.yaml. */
export interface Member {
  readonly id: string
  readonly user: number
  readonly dns?: readonly string[]
}

export const MEMBERS = {
  'gateway-server': { id: GATEWAY_SERVER, user: 20011 },
  'egress-server': { id: EGRESS_SERVER, user: 20012 },
  'index-server': { id: INDEX_SERVER, user: 20013 },
  'gateway-envoy': { id: GATEWAY_ENVOY, user: 20021, dns: [HOST, ...OTHER_HOSTS] },
  'index-envoy': { id: INDEX_ENVOY, user: 20022, dns: [HOST, ...OTHER_HOSTS] },
  'indexer-envoy': { id: INDEXER, user: 20031 },
  'trials-envoy': { id: TRIALS, user: 20032 }
} as const satisfies Record<string, Member>

export type MemberName = keyof typeof MEMBERS

/** Whom the scenario plays, so that its user has an entry for each of them; INDEXER and TRIALS have Envoys of their own besides. */
export const PLAYED = [SUPPORT, TRIALS, PAYROLL, INDEXER, DESK, APPROVER, OPERATOR, OTHER_ENVOY]

/** Users without an identity. */
export const USERS = { tools: 20001, spireAgent: 20002, spireServer: 1000, redis: 999, scenario: 20041 } as const

export const SVID_SECONDS = 600

/** Of the volumes. */
export const SOCKETS = '/run/spire/agent-sockets'
export const CONFIG = '/run/vecauthz/config'
export const AGENTS = '/run/vecauthz/agents'
/** The gateway's own. */
export const STATE = '/run/vecauthz/state'

/** Ports inside the network; only those of Envoys are published, on loopback (compose.yaml). */
export const PORTS = { authz: 9901, health: 9902, admin: 9903, gatewayIn: 8443, indexIn: 8444, egressIn: 8200, envoyAdmin: 9900 } as const

/** The Workload API, which is Envoy's SDS as well: with SPIRE, links to the one socket of its agent. */
export function socketOf(name: MemberName): string {
  return join(SOCKETS, `${name}.sock`)
}

/** SPIRE's agent by its node certificate (x509pop): parent of every entry. */
export const NODE_NAME = 'compose'
export const NODE_ID = `spiffe://${TRUST_DOMAIN}/spire/agent/x509pop/${NODE_NAME}`

/** From COMPOSE_PROFILES: who gives identities, and what runs besides. @throws Error unless it is exactly one of the two */
export function profilesOf(text: string | undefined): { readonly identity: 'spire' | 'dev'; readonly qdrant: boolean } {
  const words = new Set((text ?? '').split(',').map((word) => word.trim()))
  const [spire, dev] = [words.has('spire'), words.has('dev')]
  if (spire === dev) {
    throw new Error(
      `COMPOSE_PROFILES is "${text ?? ''}": it must name one of "spire" and "dev" (compose/.env says spire), and may name "qdrant".`
    )
  }
  return { identity: spire ? 'spire' : 'dev', qdrant: words.has('qdrant') }
}
