import { RULES, type Rule, type RuleNumber } from '../identity/rules.ts'

/** What to do about a refusal, by its rule: for whoever issues the document, or whoever checks it. */
const REMEDIES: readonly (readonly [rules: readonly RuleNumber[], remedy: string])[] = [
  [['ID-1', 'ID-19'], 'Write the scheme as spiffe:// in lower case.'],
  [['ID-2'], 'Name the trust domain: spiffe://example.org/ns/acme/agent.'],
  [['ID-3', 'ID-4', 'ID-5', 'ID-6'], 'Leave query, fragment, user information and port out: an ID is no URL.'],
  [['ID-7', 'ID-8', 'ID-9', 'ID-17'], 'Use a trust domain of at most 255 lower-case letters, digits, dots, dashes and underscores.'],
  [['ID-11', 'ID-15'], 'Use letters, digits, dots, dashes and underscores in the path, none of them percent-encoded.'],
  [['ID-12', 'ID-13', 'ID-14'], 'Write the path without empty segments, without . and .. as segments, and without a slash at its end.'],
  [['ID-16'], 'Shorten the ID to 2048 bytes.'],

  [['X-1'], 'Issue the certificate with exactly one URI SAN, the SPIFFE ID of the workload.'],
  [['X-3'], 'Correct the SPIFFE ID in the registration entry; "svid verify --id" says more about it.'],
  [['X-4', 'J-11'], 'Issue to the ID of a workload, with a path; the ID of a trust domain authenticates nobody.'],
  [['X-5'], 'Issue with a subject, or with a critical SAN extension.'],
  [['X-6', 'X-7', 'X-8', 'X-11'], 'Put the workload certificate first in the chain; one that can sign others is not issued to workloads.'],
  [['X-9'], 'Issue with a critical key usage that has digitalSignature.'],
  [['X-10'], 'Issue with both serverAuth and clientAuth, or without extended key usage.'],
  [['X-12', 'X-26'], 'Only CA certificates with keyCertSign belong behind the leaf and in the bundle.'],
  [['X-13'], 'Issue CA certificates without a SPIFFE ID, or with that of a trust domain.'],
  [['X-14'], 'Compare the bundle with that of the server that issued this: the name fits and the key does not, as after a new root.'],
  [['X-15', 'X-29'], 'Fetch a fresh SVID; if it is fresh, compare the clocks, and see whether an issuer on the path has expired.'],
  [['X-16', 'X-17'], 'The CA went beyond what its own certificate allows; have it issued anew, or issue elsewhere.'],
  [['X-18'], 'Issue without the critical extension, which cannot be honoured here.'],
  [['X-19'], 'Send the intermediate certificates behind the leaf, or add the root that issued it to the bundle.'],
  [['X-20'], "Give the bundle of the leaf's own trust domain: no other vouches for it."],
  [['X-21', 'J-19'], 'Federate with that trust domain, or give its bundle under its name.'],
  [['X-22', 'J-20'], 'The bundle trusts nothing: fetch it again, and see what was passed over with "svid verify --spiffe-bundle".'],
  [['X-25'], 'Send the leaf and what lies between it and the root, at most 8 certificates and 32 KiB.'],
  [['X-27'], 'Export the certificate again: its bytes are not those of a certificate.'],
  [['X-28'], 'Use P-256, P-384, P-521, Ed25519, or RSA of 2048 bits and more, with SHA-256, SHA-384 or SHA-512.'],

  [
    ['J-1', 'J-2', 'J-22', 'J-24'],
    'Give the compact token exactly as it was issued: three parts of base64url with dots between, at most 8 KiB.'
  ],
  [['J-3', 'J-4'], 'Sign with RS, ES or PS 256, 384 or 512, and a key of that kind and curve.'],
  [['J-5', 'J-6', 'J-7'], 'Issue with alg, kid and typ in the header and nothing else; typ is JWT or JOSE.'],
  [['J-8'], 'Issue with a kid.'],
  [['J-9'], 'Fetch the key set again: the key was published after it, or has been withdrawn.'],
  [['J-10'], 'Issue with the SPIFFE ID of the workload as sub; "svid verify --id" says more about it.'],
  [['J-12', 'J-13', 'J-14'], 'Ask for the token with the audience of whoever checks it.'],
  [['J-15'], 'Fetch a fresh token; if it is fresh, compare the clocks.'],
  [['J-16'], 'Wait, or compare the clocks.'],
  [['J-18'], "Compare the key set with that of the subject's own trust domain: the signature is by none of its keys."],
  [['W-1', 'W-2'], 'Ask for a JWT-SVID: a token that is bound to a key is not taken as a bearer token.'],

  [['B-1', 'B-13'], 'Fetch the document again: it is to be a JSON object with "keys", or a map with "trust_domains".'],
  [['B-9', 'B-11'], 'Publish sequence number and refresh hint as integers.']
]

/** The rule of a refusal and what to do about it; undefined for a number that is none. */
export function explained(number: string): { readonly rule: Rule; readonly remedy: string | undefined } | undefined {
  if (!(number in RULES)) return undefined
  const remedy = REMEDIES.find(([rules]) => rules.some((rule) => rule === number))?.[1]
  return { rule: RULES[number as RuleNumber], remedy }
}
