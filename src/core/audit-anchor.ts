/** The heads of the audit chains as a server signs them and sends them off its host: against them a cut end of the records is seen. */

/** Whose acts a record tells of: those of workloads, or of people whom it names. Each can be kept in a place of its own. */
export type Stream = 'agents' | 'people'
export const STREAMS: readonly Stream[] = ['agents', 'people']

export interface Head {
  /** Records sealed so far. */
  readonly seq: number
  /** SHA-256 of the last one, lower-case hex; 64 zeros before the first. */
  readonly hash: string
}

/** `typ` of the JWS, which is signed and carries its chain as a policy token does. */
export const AUDIT_ANCHOR_TYPE = 'vecauthz-audit-head+jwt'

export interface AnchorClaims {
  /** SPIFFE ID of the server. */
  readonly iss: string
  /** Seconds since the epoch. */
  readonly iat: number
  /** The run of the process whose chains these are: 16 characters of lower-case hex. */
  readonly run: string
  /** Anchors of a run are numbered from 1. */
  readonly n: number
  /** No records follow. */
  readonly ended: boolean
  readonly heads: Readonly<Record<Stream, Head>>
}

/** The members of the JWS: each head is its number, a space and its hash. */
export function anchorMembers({ iss, iat, run, n, ended, heads: { agents, people } }: AnchorClaims): Readonly<Record<string, unknown>> {
  return { iss, iat, run, n, ended, agents: `${agents.seq} ${agents.hash}`, people: `${people.seq} ${people.hash}` }
}
