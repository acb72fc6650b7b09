/** What would have to be otherwise for a call to pass, by the reason of its denial: for whoever runs the policy. */
import type { DenyKind } from '../core/deny-reason.ts'

/** Also on the page for those who were refused (docs/why-denied.md). */
const CHANGES: Readonly<Record<DenyKind, string>> = {
  'no-identity': 'The caller comes over mTLS with its SVID, and Envoy sends the certificate along (include_peer_certificate).',
  'svid-expired': 'A fresh SVID: the caller fetches one, and opens a new connection with it.',
  'svid-untrusted': 'An SVID that the bundle of its own trust domain vouches for; "vecauthz svid verify" says by which rule it is not.',
  'identity-revoked': 'The identity is taken off `revoked` in the policy, or the workload comes with another one.',
  'identity-conflict': 'One identity: the certificate, the forwarded certificate and the token are those of the same workload.',
  'caller-unknown': 'An entry under `workloads` for this SPIFFE ID, with the tenants it may act for.',
  'subject-required': 'The token of the end user comes along in x-vecauthz-subject-token, or the workload is not `delegated`.',
  'subject-invalid': 'A token by one of the issuers under `subjects`, for the audience and the caller it is used by.',
  'subject-expired': 'A fresh token of the end user.',
  'call-unreadable': 'A call that the database reads too; "because" says where reading ended.',
  'call-ambiguous': 'The same call written so that it can be read in one way only; "because" says what is there twice.',
  'call-too-large': 'A smaller call, or a port that takes larger ones (`body_bytes_max`).',
  'operation-unknown': 'An endpoint that is served here, at one of the authorities of the settings.',
  'tenant-not-named': 'The call names its tenant in the way that the collection keeps tenants apart (`tenancy`).',
  'tenant-not-allowed': 'The call names a tenant of its workload, or the workload has that tenant under `tenants`.',
  'collection-not-allowed': 'A rule of that collection that allows this to the tenant and the workload, or the right name in the call.',
  'purpose-conflict': 'A purpose that workload, collection and rule have in common, said in x-vecauthz-purpose.',
  'residency-conflict': 'The workload has the region of the data under `regions`.',
  'attestation-too-weak': 'The workload is attested as strongly as the collection asks (`attestation`).',
  'write-not-allowed': 'A rule with `write` or `define` among its actions, for this tenant and workload.',
  'delete-not-allowed': 'A rule with `delete` or `drop` among its actions, for this tenant and workload.',
  'export-not-allowed': 'A rule with `export` among its actions, for this tenant and workload.',
  'vectors-not-allowed': 'A call that asks for no raw vectors, or a rule that gives them out (`vectors_out: allow`).',
  'text-not-allowed': 'A text without what was found in it, or `flag` in the place of `deny` under `screening`.',
  'approval-required': 'The yes of an approver for this very call: "vecauthz approve", and the caller sends it again.',
  'token-missing': "The call comes through the agent's own Envoy and egress, which give it a policy token.",
  'token-invalid': 'A policy token by an issuer under `issuers`, for this index and this tenant.',
  'token-expired': 'The call reaches the index within the half minute that its policy token lives, with clocks that agree.',
  'token-mismatch': 'Nothing changes the call between egress and the index; a write is sent once.',
  'rate-exceeded': 'Waiting as long as the answer says, or a larger `budget`.',
  'cost-exceeded': 'Fewer queries in one call, or a larger `burst`.',
  'step-up-required': 'Somebody else vouches for the workload: "vecauthz step-up answer", or its end user signs in again.',
  quarantined: 'The end of the quarantine, or "vecauthz release" by an operator who knows why.',
  'trust-unavailable': 'Trust bundles (or the keys of the issuer) that may still be believed.',
  'policy-unavailable': 'A policy without faults; "vecauthz validate" shows them.',
  'state-unavailable': 'The database or the store that was asked answers again, or there is room for the record.',
  deadline: 'The database answers questions for names in time, or a larger `deadline_ms`.',
  internal: 'A server without that fault; its log has it under the decision id.'
}

export function changeFor(kind: DenyKind): string {
  return CHANGES[kind]
}
