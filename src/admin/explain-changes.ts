/** What would have to be otherwise for a call to pass, by the reason of its denial: for whoever runs the policy. */
import type { DenyKind } from '../core/deny-reason.ts'

/** Where nothing is said, the nearest rule or the reason itself says all that is known. */
const CHANGES: Partial<Record<DenyKind, string>> = {
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
  'purpose-conflict': 'A purpose that workload, collection and rule have in common, said in x-vecauthz-purpose.',
  'residency-conflict': 'The workload has the region of the data under `regions`.',
  'attestation-too-weak': 'The workload is attested as strongly as the collection asks (`attestation`).',
  'rate-exceeded': 'Waiting as long as the answer says, or a larger `budget`.',
  'cost-exceeded': 'Fewer queries in one call, or a larger `burst`.',
  'trust-unavailable': 'Trust bundles (or the keys of the issuer) that may still be believed.',
  'policy-unavailable': 'A policy without faults; "vecauthz validate" shows them.',
  'state-unavailable': 'The database or the store that was asked answers again.'
}

export function changeFor(kind: DenyKind): string | undefined {
  return CHANGES[kind]
}
