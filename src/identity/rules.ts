/**
 * The rules that `core/spiffe-id.ts` and this folder hold, by number: a refusal names the rule it stands on, and
 * `test/identity/rules.test.ts` asks that each has a test named for it.
 */

/** `must`: a MUST of the SPIFFE standards or RFC 5280. `should`: a SHOULD. `ours`: vecauthz's own hardening. */
export type RuleLevel = 'must' | 'should' | 'ours'

export interface Rule {
  readonly level: RuleLevel
  readonly title: string
}

export const RULES = {
  'ID-1': { level: 'must', title: 'The scheme is spiffe, followed by two slashes.' },
  'ID-2': { level: 'must', title: 'A trust domain is there.' },
  'ID-3': { level: 'must', title: 'There is no query, not even an empty one.' },
  'ID-4': { level: 'must', title: 'There is no fragment, not even an empty one.' },
  'ID-5': { level: 'must', title: 'There is no user information, not even empty.' },
  'ID-6': { level: 'must', title: 'There is no port, not even an empty one.' },
  'ID-7': { level: 'must', title: 'The trust domain is in lower case.' },
  'ID-8': { level: 'must', title: 'The trust domain holds letters, digits, dots, dashes and underscores only.' },
  'ID-9': { level: 'must', title: 'The trust domain is not percent-encoded.' },
  'ID-10': { level: 'must', title: 'Names that look like addresses, or that DNS would refuse, are names like any other.' },
  'ID-11': { level: 'must', title: 'The path is not percent-encoded.' },
  'ID-12': { level: 'must', title: 'The path has no empty segment.' },
  'ID-13': { level: 'must', title: 'No segment is one dot or two dots.' },
  'ID-14': { level: 'must', title: 'The path does not end in a slash.' },
  'ID-15': { level: 'must', title: 'Segments hold letters, digits, dots, dashes and underscores only.' },
  'ID-16': { level: 'must', title: 'An ID of 2048 bytes is read; a longer one is refused.' },
  'ID-17': { level: 'must', title: 'The trust domain has at most 255 bytes.' },
  'ID-18': { level: 'must', title: 'Paths are compared with their case.' },
  'ID-19': { level: 'ours', title: 'Scheme and trust domain have one spelling, in lower case; nothing is normalised.' },
  'ID-20': { level: 'must', title: 'An ID without a path names a trust domain, never a workload.' },
  'ID-21': { level: 'ours', title: 'IDs are never read by a URL parser.' },

  'X-1': { level: 'must', title: 'A leaf has exactly one URI SAN, counting URIs of every scheme (X509-SVID §2, §5.2).' },
  'X-2': { level: 'must', title: 'SANs of other types do not matter (X509-SVID §2).' },
  'X-3': { level: 'must', title: 'The URI SAN is a valid SPIFFE ID (X509-SVID §5.2).' },
  'X-4': { level: 'must', title: 'The ID of a leaf has a path (X509-SVID §3.1, §5.2).' },
  'X-5': { level: 'must', title: 'An empty subject asks for a critical SAN extension (X509-SVID §3.1, RFC 5280 §4.1.2.6).' },
  'X-6': { level: 'must', title: 'A leaf is not a CA (X509-SVID §4.1, §5.2).' },
  'X-7': { level: 'must', title: 'A leaf has no keyCertSign (X509-SVID §5.2).' },
  'X-8': { level: 'must', title: 'A leaf has no cRLSign (X509-SVID §5.2).' },
  'X-9': { level: 'must', title: 'Key usage of a leaf is present, critical, and has digitalSignature (X509-SVID §4.3).' },
  'X-10': { level: 'must', title: 'Extended key usage, where present, has serverAuth and clientAuth (X509-SVID §4.4).' },
  'X-11': { level: 'must', title: 'A signing certificate does not authenticate a caller (X509-SVID §3.2).' },
  'X-12': { level: 'must', title: 'Every issuer on the path is a CA with keyCertSign (X509-SVID §3.2, §4.1, §4.3).' },
  'X-13': { level: 'must', title: 'The SPIFFE ID of an issuer, where it has one, has no path (X509-SVID §3.2).' },
  'X-14': { level: 'must', title: "Each signature verifies with its issuer's key (RFC 5280 §6.1.3)." },
  'X-15': { level: 'must', title: 'Every certificate on the path is inside its validity (RFC 5280 §6.1.3).' },
  'X-16': { level: 'must', title: 'Path length constraints hold, for anchors and self-issued certificates too (RFC 5280 §6.1.4).' },
  'X-17': { level: 'must', title: 'Name constraints hold, or the chain is refused (X509-SVID §4.2, RFC 5280 §4.2.1.10).' },
  'X-18': { level: 'must', title: 'A critical extension that is not processed here refuses the path (RFC 5280 §6.1.4).' },
  'X-19': { level: 'must', title: 'Issuer and subject names chain (RFC 5280 §6.1.3).' },
  'X-20': { level: 'must', title: "Only the bundle of the leaf's own trust domain vouches for it (Workload API §4.6, Federation §7.3)." },
  'X-21': { level: 'must', title: 'A trust domain without a bundle is untrusted (Workload API §4.6).' },
  'X-22': { level: 'must', title: 'An empty bundle trusts nothing (Trust Domain and Bundle §4.1.3).' },
  'X-23': { level: 'must', title: 'An anchor need not be self-signed (X509-SVID §6.1).' },
  'X-24': { level: 'must', title: 'Every candidate issuer is tried (RFC 5280 §6.1).' },
  'X-25': { level: 'ours', title: 'Presented intermediates are hints, few and small: any order, extras ignored.' },
  'X-26': { level: 'ours', title: 'Anchors are CAs.' },
  'X-27': { level: 'ours', title: 'Certificates are strict DER, without duplicate extensions and trailing bytes.' },
  'X-28': { level: 'ours', title: 'ECDSA on P-256, P-384 or P-521, RSA of 2048 bits or more, Ed25519; SHA-256, SHA-384 or SHA-512.' },
  'X-29': { level: 'ours', title: 'Validity is judged at each request; a small skew is tolerated for notBefore only.' },

  'P-1': { level: 'ours', title: 'The identity is that of the verified certificate bytes, never a name that came along.' },
  'P-2': { level: 'ours', title: 'source.principal, where present, equals the verified ID.' },
  'P-3': { level: 'ours', title: 'XFCC is read for Chain only, as untrusted material to build a path.' },
  'P-4': { level: 'ours', title: 'XFCC beside a certificate is about that certificate: Hash, Cert, first of Chain and URI agree with it.' },
  'P-5': { level: 'ours', title: 'XFCC has one element.' },
  'P-6': { level: 'ours', title: 'XFCC without a certificate is refused.' },
  'P-7': { level: 'ours', title: 'XFCC is in the text form and fits its grammar exactly.' },
  'P-9': { level: 'ours', title: 'Without a certificate there is no peer identity.' },
  'P-10': { level: 'ours', title: 'A verdict is kept for the same bytes and the same bundles only, and no longer than the path is valid.' }
} as const satisfies Record<string, Rule>

export type RuleNumber = keyof typeof RULES

export interface Fault {
  readonly ok: false
  readonly rule: RuleNumber
  /** What was found: lengths, serial numbers and names of the grammar, never raw bytes of a certificate. */
  readonly detail: string
}

export function fault(rule: RuleNumber, detail: string): Fault {
  return { ok: false, rule, detail }
}
