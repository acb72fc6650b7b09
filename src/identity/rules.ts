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
  'X-17': {
    level: 'must',
    title: 'Name constraints hold; a critical one on names other than URI and DNS refuses the chain (X509-SVID §4.2, RFC 5280 §4.2.1.10).'
  },
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

  'J-1': {
    level: 'must',
    title: 'A token is one compact JWS of three parts, none empty, header and claims JSON objects (JWT-SVID §1, §5.1).'
  },
  'J-2': { level: 'ours', title: 'The parts are strict base64url: no padding, no other alphabet, no leftover bits.' },
  'J-3': { level: 'must', title: 'The algorithm is RS, ES or PS with 256, 384 or 512, checked before any work with keys (JWT-SVID §2.1).' },
  'J-4': { level: 'must', title: "The algorithm fits the key's type, curve and size (JWT-SVID §4, RFC 7518 §3)." },
  'J-5': { level: 'must', title: 'The type is absent, JWT or JOSE, with this case (JWT-SVID §2.3).' },
  'J-6': { level: 'must', title: 'The header has alg, kid and typ and nothing else; a key in it is never used (JWT-SVID §2).' },
  'J-7': { level: 'must', title: 'A header that calls an extension critical is refused (RFC 7515 §4.1.11).' },
  'J-8': { level: 'must', title: 'Without a key id every key that fits the algorithm is tried, up to a bound (JWT-SVID §2.2).' },
  'J-9': { level: 'must', title: 'With a key id only keys that have it are tried (RFC 7515 §4.1.4).' },
  'J-10': { level: 'must', title: 'The subject is there and is a valid SPIFFE ID (JWT-SVID §3.1).' },
  'J-11': { level: 'ours', title: 'The subject has a path: it names a workload.' },
  'J-12': { level: 'must', title: 'The audience is there: a string or an array of strings, at least one, none empty (JWT-SVID §3.2).' },
  'J-13': { level: 'must', title: 'Our own audience is among them, letter for letter (JWT-SVID §3.2).' },
  'J-14': { level: 'ours', title: 'Without an audience of our own nothing is accepted.' },
  'J-15': {
    level: 'must',
    title: 'The expiration time is there, is a number, and has not passed but for a leeway of at most a minute (JWT-SVID §3.3).'
  },
  'J-16': { level: 'must', title: 'A token that begins in the future, or at no time that can be read, is refused (RFC 7519 §4.1.5).' },
  'J-17': { level: 'ours', title: 'The time of issue never decides.' },
  'J-18': { level: 'must', title: "The signature is by a key of the subject's own trust domain (Workload API §6.3)." },
  'J-19': { level: 'must', title: 'A trust domain without a JWT bundle is untrusted (Workload API §6.3).' },
  'J-20': { level: 'must', title: 'An empty JWT bundle trusts nothing (JWT-SVID §6.2, Trust Domain and Bundle §4.1.3).' },
  'J-21': { level: 'must', title: 'Keys of X.509-SVIDs do not vouch for JWT-SVIDs (Workload API §5.2.1, §6.2.2).' },
  'J-22': { level: 'ours', title: 'No member of header or claims stands twice, at any depth.' },
  'J-23': {
    level: 'should',
    title: 'A token comes as one Authorization header: Bearer, one space, the token (JWT-SVID §5.2, RFC 6750 §2.1).'
  },
  'J-24': { level: 'ours', title: 'Tokens are small and flat, and no member has the name __proto__.' },
  'J-25': { level: 'must', title: 'The same token may come again: replay is not tracked (JWT-SVID §7.1).' },
  'J-26': {
    level: 'ours',
    title: 'A token beside a certificate is another identity: it neither replaces nor adds to the one that the certificate proves.'
  },
  'J-27': { level: 'ours', title: 'Claims beyond these rules are not read: nothing an issuer adds gives a right.' },

  'W-1': { level: 'must', title: 'A WIT-SVID is never accepted as a bearer token (WIT-SVID §5, §7.1).' },
  'W-2': { level: 'must', title: 'A token that is bound to a key is not accepted without proof of possession (WIT-SVID §4).' },

  'B-1': { level: 'must', title: 'A bundle is a JSON object with an array of keys, which may be empty (Trust Domain and Bundle §4.1.3).' },
  'B-2': { level: 'must', title: 'A key of an unknown type is passed over, alone (Trust Domain and Bundle §4.2.1).' },
  'B-3': { level: 'must', title: 'A key without a use, or with an unknown one, is passed over (Trust Domain and Bundle §4.2.2).' },
  'B-4': { level: 'must', title: 'An x509-svid entry without a certificate in x5c is passed over (X509-SVID §6.2).' },
  'B-5': { level: 'must', title: 'Of several certificates in x5c the first one counts (X509-SVID §6.2).' },
  'B-6': { level: 'must', title: 'Only jwt-svid entries become keys for JWT-SVIDs; wit-svid entries never do (JWT-SVID §6.2).' },
  'B-7': { level: 'must', title: 'A jwt-svid entry has a key id (JWT-SVID §6.1).' },
  'B-8': { level: 'must', title: 'A key id stands for one key; one that stands for two is of no use (WIT-SVID §6.1).' },
  'B-9': { level: 'must', title: 'The sequence number is an integer that loses no digit (Trust Domain and Bundle §4.1.1).' },
  'B-10': { level: 'should', title: 'A bundle with a lower sequence number does not replace one with a higher (Federation §4.2).' },
  'B-11': {
    level: 'ours',
    title: 'The refresh hint is an integer, taken as ten seconds at least and one hour at most; five minutes without one.'
  },
  'B-12': { level: 'must', title: 'Unknown members are ignored (Trust Domain and Bundle §4.1).' },
  'B-13': { level: 'must', title: 'A bundle map has trust_domains; no name stands twice; hints of single bundles do not count (§5.1.1).' },
  'B-14': { level: 'must', title: 'Bundles of different trust domains are never merged (Federation §4.2).' },
  'B-15': {
    level: 'ours',
    title: 'Key material is whole, public and strictly encoded; a certificate in x5c is a CA and has the key of its entry.'
  },
  'B-16': {
    level: 'should',
    title: 'JWT bundles of the Workload API are plain JWK sets: use is absent, jwt-svid or sig (Workload API §6.2.2).'
  },

  'P-1': { level: 'ours', title: 'The identity is that of the verified certificate bytes, never a name that came along.' },
  'P-2': { level: 'ours', title: 'source.principal, where present, equals the verified ID.' },
  'P-3': { level: 'ours', title: 'XFCC is read for Chain only, as untrusted material to build a path.' },
  'P-4': { level: 'ours', title: 'XFCC beside a certificate is about that certificate: Hash, Cert, first of Chain and URI agree with it.' },
  'P-5': { level: 'ours', title: 'XFCC has one element.' },
  'P-6': { level: 'ours', title: 'XFCC without a certificate is refused.' },
  'P-7': { level: 'ours', title: 'XFCC is in the text form and fits its grammar exactly.' },
  'P-9': { level: 'ours', title: 'Without a certificate there is no peer identity.' },
  'P-10': { level: 'ours', title: 'A verdict is kept for the same bytes and the same bundles only, and no longer than the path is valid.' },

  'U-1': { level: 'ours', title: "An end user's token is one JWS in compact form, strictly encoded, without a name twice (RFC 7515)." },
  'U-2': { level: 'ours', title: 'Its algorithm is one of those of JWT-SVIDs: never none, never a shared secret.' },
  'U-3': { level: 'ours', title: 'Its type is that of an ID token or of an access token (RFC 9068).' },
  'U-4': { level: 'ours', title: 'Its header names no key of its own and no extension: alg, kid, typ and thumbprints only.' },
  'U-5': { level: 'must', title: 'Its issuer is one that the policy lists, byte for byte (OpenID Connect Core §3.1.3.7).' },
  'U-6': { level: 'must', title: 'It has a subject of 1 to 255 printable characters (OpenID Connect Core §2).' },
  'U-7': { level: 'must', title: 'It is for the audience that the policy names for its issuer (OpenID Connect Core §3.1.3.7).' },
  'U-8': { level: 'must', title: 'It has an end, and that is not past (OpenID Connect Core §3.1.3.7).' },
  'U-9': { level: 'must', title: 'Where it has a beginning, that is past (RFC 7519 §4.1.5).' },
  'U-10': { level: 'must', title: 'A key of its own issuer signed it (OpenID Connect Core §3.1.3.7).' },
  'U-11': { level: 'ours', title: 'A token that is bound to a key is not accepted without proof of possession (RFC 7800).' },
  'U-12': { level: 'must', title: 'Where it names who acts or may act, that is the caller (RFC 8693 §4.1, §4.4).' },
  'U-13': { level: 'ours', title: 'Of the tenants that it names, those count that its issuer may name.' },
  'U-14': {
    level: 'ours',
    title: 'A verdict is kept for the same token, caller, keys and policy only, and no longer than the token is valid.'
  },

  'T-1': {
    level: 'ours',
    title: 'A policy token is one JWS in compact form, small and flat, strictly encoded, without a name twice (RFC 7515).'
  },
  'T-2': { level: 'ours', title: 'Its algorithm is ES256, ES384, RS256 or PS256: never none, never a shared secret.' },
  'T-3': { level: 'ours', title: 'Its type is vecauthz-policy+jwt, with this case: no other token passes for one.' },
  'T-4': { level: 'ours', title: 'Its header has alg, typ and x5c and nothing else.' },
  'T-5': { level: 'must', title: 'x5c is an array of certificates in strict base64, the one of the key first (RFC 7515 §4.1.6).' },
  'T-6': { level: 'ours', title: 'The chain in x5c is that of an X.509-SVID under our own bundles, at this moment.' },
  'T-7': {
    level: 'must',
    title: 'The key of the first certificate signed it, with an algorithm that fits it (RFC 7515 §4.1.6, RFC 7518 §3).'
  },
  'T-8': { level: 'ours', title: 'Its issuer is the SPIFFE ID of the first certificate.' },
  'T-9': { level: 'ours', title: 'Its issuer is one that the policy lists; without a list, nobody is.' },
  'T-10': { level: 'ours', title: 'It is for us, letter for letter, and its issuer may vouch to us.' },
  'T-11': { level: 'ours', title: 'Its subject is the SPIFFE ID of the TLS peer.' },
  'T-12': { level: 'ours', title: 'It names one tenant that its issuer may vouch for; a probe names none.' },
  'T-13': { level: 'ours', title: 'Its digest is that of this very request.' },
  'T-14': { level: 'ours', title: 'Its operation is that of the call, where that is known.' },
  'T-15': { level: 'ours', title: 'It says when it was issued and when it ends, in whole seconds, at most thirty apart.' },
  'T-16': { level: 'ours', title: 'It has not ended, but for a leeway of at most five seconds.' },
  'T-17': { level: 'ours', title: 'It was not issued in the future, but for the same leeway.' },
  'T-18': { level: 'ours', title: 'It has the claims of a policy token, each in its form, and no others.' },
  'T-19': { level: 'ours', title: 'What changes something uses it once, by issuer and jti; the same check again is the same use.' },
  'T-20': {
    level: 'ours',
    title: 'An issuer is kept for the same header and bundles only, once it signed, and no longer than its path is valid.'
  }
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
