/**
 * A caller that a record or a test says was proven, for asking a policy what it would say. Nothing is proven here, so nothing here
 * may come near a call: the server never imports this.
 */
import type { Caller, Subject } from '../core/caller.ts'
import type { SpiffeId } from '../core/spiffe-id.ts'

interface RecordedProof {
  readonly id: SpiffeId
  readonly evidence: Caller['evidence']
  readonly serial: string | undefined
  readonly tokenId: string | undefined
  readonly carrier: SpiffeId | undefined
  readonly user: Pick<Subject, 'issuer' | 'id' | 'tenants' | 'tokenId'> | undefined
}

/** @param at when it was proven, milliseconds since the epoch */
export function recordedCaller({ id, evidence, serial, tokenId, carrier, user }: RecordedProof, at: number): Caller {
  const subject: Subject | undefined = user && { ...user, actors: [], expiresAt: at, provenAt: at, authTime: undefined, acr: undefined }
  return { id, evidence, notAfter: at, issuedAt: undefined, serial, tokenId, carrier, provenAt: at, subject } as unknown as Caller
}
