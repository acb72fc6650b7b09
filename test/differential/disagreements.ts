/**
 * Where the rulebook and another judge of X.509-SVIDs disagree, rule by rule. What is not here is a fault of one of the two.
 * Rows of the stricter judge are the serious ones: we accept what somebody refuses, so each names what it is about.
 */
import type { RuleNumber } from '../../src/identity/rules.ts'
import type { Defect } from './x509-chains.ts'

export type Judge = 'node' | 'go-spiffe'

interface Row {
  readonly rule: RuleNumber
  readonly judge: Judge
  /** Names of defects; `every` is each one that the rule refuses. */
  readonly about: 'every' | readonly string[]
  readonly why: string
}

/** The judge accepts what the rule refuses. */
export const LAXER: readonly Row[] = [
  {
    rule: 'X-1',
    judge: 'node',
    about: 'every',
    why: 'it reads no names of a client: whose certificate it is, is asked by the application'
  },
  { rule: 'X-3', judge: 'node', about: 'every', why: 'it knows no SPIFFE IDs' },
  { rule: 'X-4', judge: 'node', about: 'every', why: 'it knows no SPIFFE IDs' },
  { rule: 'X-5', judge: 'node', about: 'every', why: 'OpenSSL asks for this in its strict mode only' },
  { rule: 'X-6', judge: 'node', about: 'every', why: 'a CA is a client like any other to TLS' },
  { rule: 'X-7', judge: 'node', about: 'every', why: 'TLS asks what a key may do, not what it may not' },
  { rule: 'X-8', judge: 'node', about: 'every', why: 'TLS asks what a key may do, not what it may not' },
  {
    rule: 'X-9',
    judge: 'node',
    about: ['leaf: no key usage', 'leaf: key usage that is not critical', 'leaf: keyAgreement only'],
    why: 'RFC 5280 lets the extension be absent, and OpenSSL lets a client have any of two bits'
  },
  { rule: 'X-10', judge: 'node', about: ['leaf: clientAuth only'], why: 'a client needs no more for TLS; an SVID is both' },
  { rule: 'X-12', judge: 'node', about: ['intermediate: no key usage'], why: 'RFC 5280 lets the extension be absent' },
  { rule: 'X-13', judge: 'node', about: 'every', why: 'it knows no SPIFFE IDs' },
  {
    rule: 'X-16',
    judge: 'node',
    about: ['root: no intermediates allowed, and one of its own name'],
    why: 'RFC 5280 does not count self-issued certificates; here they count'
  },
  {
    rule: 'X-17',
    judge: 'node',
    about: [
      'intermediate: excludes the host above',
      'intermediate: excludes hosts below ours',
      'intermediate: excludes an empty host',
      'intermediate: permits some directory names',
      'intermediate: permits some addresses',
      'intermediate: permits some directory names, and is not critical',
      'leaf: an IP SAN below an issuer that permits it',
      'leaf: a DNS SAN with a NUL below an issuer that permits its end'
    ],
    why: 'where a constraint has two readings, or a name is none, or its type is not processed, we refuse; it processes directory names and addresses'
  },
  {
    rule: 'X-18',
    judge: 'node',
    about: ['leaf: critical policies', 'intermediate: critical policies'],
    why: 'it processes certificate policies, which say nothing about SVIDs; here they are unknown'
  },
  {
    rule: 'X-20',
    judge: 'node',
    about: ['leaf: an ID of the partner', 'signed by the partner'],
    why: 'its anchors are one pool: it knows no trust domains'
  },
  { rule: 'X-21', judge: 'node', about: ['leaf: an ID of a stranger'], why: 'its anchors are one pool: it knows no trust domains' },
  { rule: 'X-25', judge: 'node', about: 'every', why: 'its bound is on the bytes of the handshake' },
  {
    rule: 'X-26',
    judge: 'node',
    about: ['root: no basic constraints', 'root: no key usage'],
    why: 'it takes an anchor at its word, as RFC 5280 lets it'
  },
  {
    rule: 'X-27',
    judge: 'node',
    about: [
      'leaf: a written-out FALSE',
      'leaf: a path length without being a CA',
      'leaf: key usage of an unused bit that is set',
      'leaf: an unknown extension twice',
      'leaf: a flag that says FALSE',
      'leaf: version 1 with extensions',
      'leaf: version 2 with extensions',
      'leaf: version 4',
      'leaf: 21 bytes',
      'leaf: below zero',
      'leaf: a length in the long form',
      'intermediate: an unknown extension twice',
      'intermediate: a constraint without a base',
      'sent: a byte behind the intermediate'
    ],
    why: 'OpenSSL reads BER, and judges a form only where it uses what it says'
  },
  {
    rule: 'X-28',
    judge: 'node',
    about: ['leaf: SHA-224', 'intermediate: another curve'],
    why: 'its level is 112 bits of security, which both have'
  },

  {
    rule: 'X-3',
    judge: 'go-spiffe',
    about: ['leaf: an empty fragment', 'leaf: the scheme in upper case', 'leaf: an ID of 2049 bytes'],
    why: 'it reads the ID with a URL parser, which drops and lowers, and it has no bound'
  },
  { rule: 'X-4', judge: 'go-spiffe', about: 'every', why: 'it takes an ID without a path for a workload (go-spiffe#405)' },
  { rule: 'X-5', judge: 'go-spiffe', about: 'every', why: 'it does not look at the subject' },
  { rule: 'X-9', judge: 'go-spiffe', about: 'every', why: 'it asks only which usages are there that should not be' },
  { rule: 'X-10', judge: 'go-spiffe', about: 'every', why: 'it asks for any extended key usage' },
  { rule: 'X-12', judge: 'go-spiffe', about: ['intermediate: no key usage'], why: 'RFC 5280 lets the extension be absent' },
  { rule: 'X-13', judge: 'go-spiffe', about: 'every', why: 'it reads the ID of a leaf only' },
  {
    rule: 'X-17',
    judge: 'go-spiffe',
    about: [
      'intermediate: excludes hosts below ours',
      'intermediate: permits an empty host',
      'intermediate: permits some addresses',
      'intermediate: permits some directory names, and is not critical',
      'leaf: an IP SAN below an issuer that permits it'
    ],
    why: 'where a constraint has two readings, we take the one that allows less; it processes addresses, and passes over directory names that are not critical'
  },
  {
    rule: 'X-18',
    judge: 'go-spiffe',
    about: ['leaf: critical policies', 'intermediate: critical policies'],
    why: 'it processes certificate policies, which say nothing about SVIDs; here they are unknown'
  },
  { rule: 'X-25', judge: 'go-spiffe', about: 'every', why: 'it has no bound on the certificates that are sent' },
  {
    rule: 'X-26',
    judge: 'go-spiffe',
    about: ['root: no key usage', 'held: the leaf instead of the root'],
    why: 'what is in the bundle is trusted, and asked for less or nothing'
  },
  {
    rule: 'X-27',
    judge: 'go-spiffe',
    about: [
      'leaf: a written-out FALSE',
      'leaf: a path length without being a CA',
      'leaf: an empty list of purposes',
      'leaf: a flag that says FALSE',
      'leaf: 21 bytes'
    ],
    why: 'it does not ask that defaults are left out, nor RFC 5280 for lengths'
  },
  {
    rule: 'X-28',
    judge: 'go-spiffe',
    about: ['leaf: RSA of 1024 bits', 'intermediate: RSA of 1024 bits', 'root: RSA of 1024 bits'],
    why: 'it has no smallest RSA key of its own'
  }
]

/** The judge refuses what the rulebook accepts, by the rule that has us accept it. */
export const STRICTER: readonly Row[] = [
  {
    rule: 'X-29',
    judge: 'node',
    about: ['leaf: begins in four seconds'],
    why: 'our clock may lag behind the issuer by five seconds; it allows none'
  },
  {
    rule: 'X-29',
    judge: 'go-spiffe',
    about: ['leaf: begins in four seconds'],
    why: 'our clock may lag behind the issuer by five seconds; it allows none'
  },
  {
    rule: 'X-10',
    judge: 'node',
    about: ['intermediate: any purpose'],
    why: 'RFC 5280 §4.2.1.12 has any purpose stand for all; OpenSSL wants clientAuth by name'
  },
  {
    rule: 'X-24',
    judge: 'node',
    about: [
      'leaf: the key identifier of another issuer',
      'leaf: the serial number of another issuer',
      'leaf: the subject of its issuer, and no key identifier'
    ],
    why: 'RFC 5280 has the identifier help to find the issuer, and the signature decide; OpenSSL goes by identifiers and names first'
  },
  {
    rule: 'X-23',
    judge: 'node',
    about: [
      'held: an intermediate instead of the root',
      'held: the lower of two intermediates beside the root',
      'held: an intermediate that nobody signed beside the root'
    ],
    why: 'X509-SVID §6.1 lets an anchor be signed by another, and who signed it is not asked; OpenSSL goes on to a self-signed end'
  },
  {
    rule: 'X-19',
    judge: 'go-spiffe',
    about: ['leaf: the issuer name in other letters', 'leaf: the issuer name as PrintableString'],
    why: 'RFC 5280 §7.1 compares names without case and string type; it compares bytes'
  },
  {
    rule: 'X-2',
    judge: 'go-spiffe',
    about: [
      'leaf: an IP SAN of five bytes beside',
      'leaf: a DNS SAN beyond ASCII beside',
      'leaf: a DNS SAN with a NUL beside, below URI constraints',
      'leaf: an e-mail SAN without an at sign beside, below URI constraints'
    ],
    why: 'SANs of other types decide nothing here, so their content is not read unless a constraint reaches it'
  },
  {
    rule: 'X-27',
    judge: 'go-spiffe',
    about: ['leaf: a country with an at sign'],
    why: 'a string is read as bytes of UTF-8 whatever its type: names serve to chain certificates, and no more is read from them'
  }
]

/** Whether some row of the list speaks of this defect. */
export function listed(list: readonly Row[], judge: Judge, { name, rules }: Defect): boolean {
  return list.some((row) => row.judge === judge && (row.about === 'every' ? rules.includes(row.rule) : row.about.includes(name)))
}
