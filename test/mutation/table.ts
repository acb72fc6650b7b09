/**
 * For each rule of `src/identity/rules.ts` what switches it off: one source text, and what stands there instead. `run.ts` makes one
 * change after the other and looks whether the tests that are named for the rule fail, and no others.
 */
import type { RuleNumber } from '../../src/identity/rules.ts'

export interface Mutation {
  readonly rule: RuleNumber
  /** From the root of the repository. */
  readonly file: string
  /** Stands in the file exactly once. */
  readonly source: string
  readonly instead: string
  /** Other rules whose tests fail with it, and why one piece of code serves both. */
  readonly also: Also
}

type Also = Readonly<Partial<Record<RuleNumber, string>>>

/** Rules that are no single check, and why there is nothing to switch off. */
export const NO_MUTATION: Readonly<Partial<Record<RuleNumber, string>>> = {
  'ID-21': 'No source calls a URL parser: there is no line to take away, and the grammar of ID-1 to ID-19 is what stands in its place.',
  'J-25': 'Replay is not tracked: the rule is that code is absent.'
}

const SPIFFE_ID = 'src/core/spiffe-id.ts'
const LEAF = 'src/identity/x509-leaf.ts'
const ISSUER = 'src/identity/x509-issuer.ts'
const NAMES = 'src/identity/x509-names-allowed.ts'
const PATH = 'src/identity/x509-path.ts'
const ANCHORS = 'src/identity/x509-anchors.ts'
const SVID = 'src/identity/x509-svid.ts'
const DER = 'src/identity/der.ts'
const EXTENSIONS = 'src/identity/x509-extensions.ts'
const CERTIFICATE = 'src/identity/x509-certificate.ts'
const ALGORITHMS = 'src/identity/x509-algorithms.ts'
const TOKEN = 'src/identity/jwt-svid.ts'
const HEADER = 'src/identity/jwt-header.ts'
const CALL = 'src/identity/identify-call.ts'
const SUBJECT = 'src/identity/subject-token.ts'
const SUBJECT_CLAIMS = 'src/identity/subject-claims.ts'
const VERDICTS = 'src/identity/verdict-cache.ts'
const CLAIMS = 'src/identity/jwt-claims.ts'
const JWT_KEYS = 'src/identity/jwt-keys.ts'
const BEARER = 'src/identity/jwt-bearer.ts'
const JSON_READER = 'src/identity/json.ts'
const DOCUMENT = 'src/identity/bundle-document.ts'
const BUNDLE_KEYS = 'src/identity/bundle-keys.ts'
const JWK = 'src/identity/jwk.ts'
const IDENTIFY = 'src/identity/identify.ts'
const XFCC = 'src/identity/xfcc.ts'
const POLICY = 'src/identity/policy-token.ts'
const POLICY_PARTS = 'src/identity/policy-token-parts.ts'
const POLICY_CLAIMS = 'src/identity/policy-token-claims.ts'
const POLICY_ISSUER = 'src/identity/policy-token-issuer.ts'
const POLICY_USE = 'src/identity/policy-token-use.ts'
const DIGEST = 'src/core/request-digest.ts'

const off = (rule: RuleNumber, file: string, source: string, instead: string, also: Also = {}): Mutation => ({
  rule,
  file,
  source,
  instead,
  also
})

const IN_SAN: Also = { 'X-3': 'the URI SAN of a leaf is read by the same grammar' }
const IN_SUB: Also = { 'J-10': 'the sub of a token is read by the same grammar' }

const IDS: readonly Mutation[] = [
  off('ID-1', SPIFFE_ID, 'if (!text.startsWith(PREFIX)) return', 'if (/^spiffe:\\/\\//i.test(text) && !text.startsWith(PREFIX)) return', {
    ...IN_SAN,
    ...IN_SUB
  }),
  off('ID-2', SPIFFE_ID, "if (from === to) return fault('ID-2', 'has no trust domain')", ''),
  off(
    'ID-3',
    SPIFFE_ID,
    "if (code === 0x3f) return fault('ID-3', 'has a query')\n    if (code === 0x23) return fault('ID-4', 'has a fragment')\n    if (code === 0x40)",
    "if (code === 0x3f) continue\n    if (code === 0x23) return fault('ID-4', 'has a fragment')\n    if (code === 0x40)"
  ),
  off(
    'ID-3',
    SPIFFE_ID,
    "'the path is percent-encoded')\n    if (code === 0x3f) return fault('ID-3', 'has a query')",
    "'the path is percent-encoded')\n    if (code === 0x3f) continue",
    IN_SAN
  ),
  off(
    'ID-4',
    SPIFFE_ID,
    "if (code === 0x23) return fault('ID-4', 'has a fragment')\n    if (code === 0x40)",
    'if (code === 0x23) continue\n    if (code === 0x40)'
  ),
  off(
    'ID-4',
    SPIFFE_ID,
    "if (code === 0x23) return fault('ID-4', 'has a fragment')\n    return",
    'if (code === 0x23) continue\n    return',
    IN_SAN
  ),
  off('ID-5', SPIFFE_ID, "if (code === 0x40) return fault('ID-5', 'has user information')", 'if (code === 0x40) continue', IN_SAN),
  off('ID-6', SPIFFE_ID, "if (code === 0x3a) return fault('ID-6', 'has a port')", 'if (code === 0x3a) continue', IN_SAN),
  off('ID-7', SPIFFE_ID, "if (isUpper(code)) return fault('ID-7'", "if (isUpper(code)) continue\n    if (code < 0) return fault('ID-7'", {
    ...IN_SAN,
    'B-13': 'the names in a bundle map are read by the same grammar'
  }),
  off('ID-8', SPIFFE_ID, "return fault('ID-8'", "continue\n    return fault('ID-8'"),
  off('ID-9', SPIFFE_ID, "if (code === 0x25) return fault('ID-9', 'the trust domain is percent-encoded')", 'if (code === 0x25) continue'),
  off(
    'ID-10',
    SPIFFE_ID,
    "if (from === to) return fault('ID-2', 'has no trust domain')",
    "if (from === to) return fault('ID-2', 'has no trust domain')\n  if (/^[0-9.]+$/.test(text.slice(from, to))) return fault('ID-8', 'is an address')",
    { 'X-17': 'it has a row with an address as trust domain, which is an ID and which no constraint permits' }
  ),
  off('ID-11', SPIFFE_ID, "if (code === 0x25) return fault('ID-11', 'the path is percent-encoded')", 'if (code === 0x25) continue', IN_SAN),
  off('ID-12', SPIFFE_ID, "if (length === 0) return fault('ID-12', 'has an empty segment')", ''),
  off('ID-13', SPIFFE_ID, "return fault('ID-13', 'has a dot segment')", 'start = at', {
    ...IN_SAN,
    ...IN_SUB,
    'ID-21': 'dots are what a URL parser would resolve'
  }),
  off('ID-14', SPIFFE_ID, "return fault('ID-14', 'ends in a slash')", 'continue', IN_SAN),
  off('ID-15', SPIFFE_ID, "return fault('ID-15'", "continue\n    return fault('ID-15'", {
    ...IN_SAN,
    'ID-21': 'a tab is what a URL parser would drop'
  }),
  off('ID-16', SPIFFE_ID, 'if (text.length > ID_BYTES_MAX)', 'if (text.length < 0)', IN_SAN),
  off('ID-17', SPIFFE_ID, 'if (to - from > TRUST_DOMAIN_BYTES_MAX)', 'if (to < from)'),
  off('ID-18', SPIFFE_ID, 'return a.text === b.text', 'return a.text.toLowerCase() === b.text.toLowerCase()'),
  off('ID-19', SPIFFE_ID, 'if (!text.startsWith(PREFIX)) return', 'if (!text.toLowerCase().startsWith(PREFIX)) return', {
    ...IN_SAN,
    ...IN_SUB
  }),
  off('ID-20', LEAF, "if (parsed.id.path === '') return", "if (parsed.id.path === '/') return", {
    'X-4': 'it is this rule, asked of a leaf'
  })
]

const X509: readonly Mutation[] = [
  off('X-1', LEAF, 'if (uri === undefined || uris.length > 1) return', 'if (uri === undefined) return', {
    'P-1': 'its row about the sentence of a refusal takes two URI SANs'
  }),
  off('X-2', LEAF, 'uris.length > 1)', 'uris.length > 1 || (san?.names.length ?? 0) > 2)', {
    'X-17': 'one of its valid rows has DNS names beside the URI'
  }),
  off(
    'X-3',
    LEAF,
    "if (!parsed.ok) return fault('X-3'",
    "if (!parsed.ok) return { ok: true, id: { trustDomain: 'vec.test', path: '/x', text: uri.text } }\n  if (!parsed.ok) return fault('X-3'"
  ),
  off('X-4', LEAF, "if (parsed.id.path === '') return", "if (parsed.id.path === '/') return", {
    'ID-20': 'it is this rule, for any use of an ID'
  }),
  off('X-5', LEAF, 'if (leaf.subject === EMPTY_NAME && san?.critical !== true)', 'if (leaf.subject === undefined)'),
  off('X-6', LEAF, "fault('X-6', 'a leaf that is a CA')", 'undefined'),
  off('X-7', LEAF, "if (has(KEY_USAGE.keyCertSign)) return fault('X-7', 'a leaf with keyCertSign')", ''),
  off('X-8', LEAF, "if (has(KEY_USAGE.cRLSign)) return fault('X-8', 'a leaf with cRLSign')", ''),
  off(
    'X-9',
    LEAF,
    "if (keyUsage === undefined) return fault('X-9', 'a leaf without key usage')",
    'if (keyUsage === undefined) return undefined'
  ),
  off('X-9', LEAF, "if (!keyUsage.critical) return fault('X-9', 'a leaf whose key usage is not critical')", ''),
  off('X-9', LEAF, "if (!has(KEY_USAGE.digitalSignature)) return fault('X-9', 'a leaf without digitalSignature')", ''),
  off('X-10', LEAF, 'if (extendedKeyUsage !== undefined && !', 'if (extendedKeyUsage === null && !'),
  off('X-10', ISSUER, 'if (!usages.includes(any) && !', 'if (usages === null && !'),
  off('X-11', LEAF, "fault('X-11', 'a signing certificate in the place of a leaf')", 'undefined'),
  off('X-12', ISSUER, 'if (basicConstraints?.ca !== true) return', 'if (extensions === null) return', {
    'X-26': 'an anchor that is no CA is refused by the same line'
  }),
  off('X-12', ISSUER, '& KEY_USAGE.keyCertSign) === 0)', '& KEY_USAGE.keyCertSign) < 0)'),
  off('X-13', ISSUER, "if (!parsed.ok) return fault('X-13'", "if (!parsed.ok) continue\n    if (!parsed.ok) return fault('X-13'"),
  off('X-13', ISSUER, "if (parsed.id.path !== '') return", "if (parsed.id.path === '/') return"),
  off('X-14', PATH, '&& signatureVerifies(issued, key)) return true', ') return true', {
    'X-16': 'its self-issued intermediate has the name of the root, and only the signature tells the two apart',
    'X-25': 'its bound on work counts signatures that do not verify'
  }),
  off('X-15', ISSUER, 'if (!(at <= notAfter)) return', 'if (at > Number.MAX_VALUE) return', {
    'X-29': 'it says when validity is asked',
    'P-10': 'a verdict is kept no longer than the path is valid'
  }),
  off('X-15', ISSUER, 'if (!(at + CLOCK_SKEW_MS >= notBefore))\n    return', 'if (at > Number.MAX_VALUE)\n    return', {
    'X-29': 'it says when validity is asked',
    'P-10': 'its row about a refusal takes a certificate that begins later'
  }),
  off('X-16', ISSUER, 'intermediates > longest', 'intermediates < 0'),
  off('X-17', ISSUER, 'if (name !== undefined) return', 'if (name === null) return'),
  off('X-17', NAMES, 'if (critical && !PROCESSED.includes(type)) return', 'if (critical && type < 0) return'),
  off('X-17', NAMES, 'if (host === undefined) return', 'if (host === undefined) continue\n      if (host === null) return'),
  off('X-18', LEAF, "if (unknownCritical !== undefined) return fault('X-18'", "if (unknownCritical === null) return fault('X-18'"),
  off('X-18', ISSUER, 'if (unknownCritical !== undefined) {', 'if (unknownCritical === null) {'),
  off('X-19', PATH, 'certificate.subject === issued.issuer', 'certificate.subject !== null', {
    'X-20': 'issuers of another trust domain are told apart by name first',
    'X-23': 'the nearest deny row has an issuer of the wrong name',
    'X-25': 'an intermediate that is left out is missed by its name',
    'P-3': 'an intermediate that is not sent is missed by its name',
    'P-10': 'its row about another XFCC leaves the intermediate out'
  }),
  off(
    'X-20',
    ANCHORS,
    'bundles.x509.get(trustDomain)?.map(readCertificate)',
    'bundles.x509.get(trustDomain) && [...bundles.x509.values()].flat().map(readCertificate)'
  ),
  off(
    'X-21',
    PATH,
    'const anchors = anchorsOf(trustDomain, bundles)',
    'const anchors = anchorsOf(trustDomain, bundles) ?? [...bundles.x509.keys()].flatMap((other) => anchorsOf(other, bundles) ?? [])',
    { 'X-20': 'its row about other bundles takes the bundle away', 'P-10': 'its row about other bundles takes the bundle away' }
  ),
  off(
    'X-22',
    PATH,
    'if (anchors.length === 0) return',
    'if (anchors.length === 0) return { ok: true, path: [leaf] }\n  if (anchors === null) return'
  ),
  off(
    'X-23',
    ANCHORS,
    '(result.ok ? [result.certificate]',
    '(result.ok && result.certificate.subject === result.certificate.issuer ? [result.certificate]',
    { 'X-26': 'the leaf that is listed as its own anchor is not self-signed' }
  ),
  off('X-24', PATH, 'of candidates(search.anchors, issued))', 'of candidates(search.anchors, issued).slice(0, 1))', {
    'X-25': 'its bound on work is reached with anchors of one name'
  }),
  off('X-25', SVID, 'if (chain.length > CHAIN_CERTIFICATES_MAX)', 'if (chain.length < 0)'),
  off('X-25', SVID, 'if (bytes > CHAIN_BYTES_MAX) return', 'if (bytes < 0) return'),
  off('X-25', PATH, 'if (search.signaturesLeft === 0) {', 'if (search.signaturesLeft < -1000) {'),
  off('X-25', PATH, 'of candidates(search.hints, issued))', 'of candidates(search.hints.slice(0, 1), issued))', {
    'X-14': 'the chain of OpenSSL is sent with its root',
    'X-16': 'paths of several intermediates need several hints',
    'X-17': 'its row with a constraint two levels up needs two hints'
  }),
  off(
    'X-26',
    PATH,
    "return fault('X-26', 'the leaf itself is listed as an anchor, and an anchor is a CA')",
    'return { ok: true, path: [leaf] }'
  ),
  off('X-27', DER, 'element?.tag === tag && element.to === bytes.length', 'element?.tag === tag', {
    'B-15': 'the certificate in x5c is read by the same reader'
  }),
  off('X-27', EXTENSIONS, 'if (seen.has(oid)) return', 'if (seen.has(oid)) continue\n    if (oid === null) return'),
  off('X-27', CERTIFICATE, 'if (hexOf(der, algorithm) !== body.algorithm) return', 'if (body.algorithm === null) return'),
  off('X-28', LEAF, 'return key.ok ? undefined :', 'return key !== null ? undefined :'),
  off('X-28', ISSUER, 'return algorithm === undefined ? undefined :', 'return algorithm !== null ? undefined :'),
  off('X-28', ALGORITHMS, 'RSA_BITS_MIN = 2048', 'RSA_BITS_MIN = 1024', { 'J-4': 'keys for tokens are held to the same strength' }),
  off('X-29', ISSUER, 'if (!(at + CLOCK_SKEW_MS >= notBefore))', 'if (at < notBefore)', {
    'P-10': 'its row about a refusal waits for the certificate to begin'
  }),
  off('X-29', IDENTIFY, 'now >= one.from && now <= one.until', 'now >= one.from && now <= one.until + 5000', {
    'P-10': 'it keeps a verdict no longer than the path is valid, and a refusal for a second'
  })
]

const TOKENS: readonly Mutation[] = [
  off('J-1', TOKEN, "if (parts.length !== 3 || parts.includes(''))", 'if (parts.length < 0)'),
  off('J-1', TOKEN, "return object ?? fault('J-1'", "return object ?? new Map() ?? fault('J-1'"),
  off('J-2', TOKEN, 'parts.map(strictBase64Url)', "parts.map((part) => Buffer.from(part, 'base64url'))", {
    'U-1': 'the tokens of end users are taken apart by the same reader'
  }),
  off('J-3', HEADER, 'JWT_ALGORITHMS.get(alg) : undefined', "(JWT_ALGORITHMS.get(alg) ?? JWT_ALGORITHMS.get('ES256')) : undefined"),
  off('J-4', JWT_KEYS, 'named.filter((key) => key.algorithms.includes(name))', 'named', {
    'J-8': 'without a kid, the keys that fit are the ones to try',
    'T-7': "the one key of a policy token's issuer is tried by the same lines"
  }),
  off('J-5', HEADER, "if (typ !== undefined && typ !== 'JWT' && typ !== 'JOSE') return", 'if (typ === false) return'),
  off('J-6', HEADER, "if (name !== 'alg' && name !== 'kid' && name !== 'typ') return", "if (name === '') return"),
  off('J-7', HEADER, "if (members.has('crit')) return fault('J-7', 'its header has crit, and no extension is known here')", ''),
  off('J-8', JWT_KEYS, 'fitting.slice(0, KEYS_TRIED_MAX)', 'fitting.slice(0, 1)', {
    'J-18': 'what no key has signed is said to be so only when every key was tried'
  }),
  off('J-8', JWT_KEYS, 'fitting.slice(0, KEYS_TRIED_MAX)', 'fitting'),
  off('J-9', JWT_KEYS, 'kid === undefined ? keys : keys.filter((key) => key.kid === kid)', 'keys', {
    'J-4': 'whether the key fits is asked of those that have the kid',
    'J-15': 'its stranger signs with a key whose kid is another',
    'J-18': 'a key of another trust domain is missed by its kid first',
    'U-8': "the key of an end user's token is found by the same search",
    'U-10': "the key of an end user's token is found by the same search"
  }),
  off(
    'J-9',
    HEADER,
    "if (kid !== undefined && typeof kid !== 'string') return",
    "if (kid !== undefined && typeof kid !== 'string') return { ok: true, algorithm, kid: undefined }\n  if (kid === false) return"
  ),
  off(
    'J-10',
    CLAIMS,
    'const parsed = parseSpiffeId(sub)',
    "const read = parseSpiffeId(sub)\n  const parsed = read.ok ? read : { ok: true, id: { trustDomain: 'vec.test', path: '/x', text: sub } }"
  ),
  off('J-11', CLAIMS, "if (parsed.id.path === '') return", "if (parsed.id.path === '/') return"),
  off('J-12', CLAIMS, "readAudiences(claims.get('aud'))", "(readAudiences(claims.get('aud')) ?? ['vecauthz'])"),
  off('J-13', TOKEN, 'if (!audiences.includes(audience)) return', 'if (audiences.length === 0) return'),
  off('J-14', TOKEN, "if (audience === '') return", 'if (audience === null) return'),
  off('J-15', CLAIMS, "instant(claims.get('exp'))", "(instant(claims.get('exp')) ?? INSTANT_MAX)"),
  off('J-15', TOKEN, 'if (!(now < expiresAt + leeway)) return', 'if (expiresAt === null) return'),
  off('J-15', TOKEN, 'Math.min(Math.max(leewayMs, 0), LEEWAY_MS_MAX)', 'leewayMs'),
  off('J-16', TOKEN, 'if (notBefore !== undefined && !(now >= notBefore - leeway)) return', 'if (notBefore === null) return'),
  off('J-16', CLAIMS, "if (notBefore === undefined && claims.has('nbf')) return", 'if (notBefore === null) return'),
  off(
    'J-17',
    CLAIMS,
    "const notBefore = instant(claims.get('nbf'))",
    "if (claims.has('iat') && instant(claims.get('iat')) === undefined) return fault('J-17', '')\n  const notBefore = instant(claims.get('nbf'))"
  ),
  off(
    'J-18',
    JWT_KEYS,
    'if (tried.some(({ key }) => signatureVerifies(key, hash, pss, signed, signature))) return',
    'if (tried.length > 0) return',
    {
      'J-4': 'the padding of RSA, PS or RS, shows only in the signature',
      'J-8': 'the keys that are tried are asked for the signature',
      'J-9': 'the kid of another key ends at the signature',
      'J-15': 'an expired token is expired only when it is signed',
      'J-21': 'the key of a CA is no key of the signature',
      'B-6': 'a wit-svid key is no key of the signature',
      'U-8': 'tokens of end users are signed alike',
      'U-10': 'tokens of end users are signed alike',
      'T-7': 'so are policy tokens'
    }
  ),
  off('J-18', TOKEN, 'keySets.get(id.trustDomain)', 'keySets.get(id.trustDomain) && [...keySets.values()].flat()', {
    'J-20': 'with the keys of all, no bundle is empty'
  }),
  off('J-19', TOKEN, 'keySets.get(id.trustDomain)', '(keySets.get(id.trustDomain) ?? [...keySets.values()].flat())'),
  off(
    'J-20',
    TOKEN,
    'if (keys.length === 0) return',
    'if (keys.length === 0) return { ok: true, id, audiences, expiresAt, tokenId }\n  if (keys === null) return',
    { 'J-4': 'a key that is no use leaves an empty bundle', 'J-21': 'without the key of the CA its bundle is empty' }
  ),
  off(
    'J-21',
    BUNDLE_KEYS,
    'return readAnchor(entry, draft)',
    'return readAnchor(entry, draft) ?? addJwtKey(entry, draft)',
    Object.fromEntries(
      (['B-1', 'B-2', 'B-4', 'B-5', 'B-7', 'B-12', 'B-14', 'B-15'] as const).map((rule) => [
        rule,
        'its rows count the keys for tokens in a document'
      ])
    )
  ),
  off('J-22', JSON_READER, 'if (members.has(name)) refuse', 'if (members === null) refuse', {
    'B-13': 'bundle maps are read by the same reader of JSON',
    'U-1': 'so are the tokens of end users',
    'T-1': 'and so are policy tokens, header and claims'
  }),
  off('J-23', BEARER, '/^bearer ([A-Za-z0-9_~+/.=-]+)$/i', '/^\\s*bearer\\s+(.+)$/i'),
  off('J-24', TOKEN, 'if (token.length > TOKEN_CHARS_MAX) return', 'if (token.length < 0) return'),
  off('J-24', TOKEN, 'CLAIM_DEPTH_MAX = 8', 'CLAIM_DEPTH_MAX = 80'),
  off('J-24', JSON_READER, "if (name === '__proto__') refuse", 'if (name === null) refuse'),
  off(
    'J-27',
    TOKEN,
    'return { ok: true, id, audiences, expiresAt, tokenId }',
    'return { ...Object.fromEntries(read.claims), ok: true, id, audiences, expiresAt, tokenId }'
  ),
  off('J-26', CALL, 'if (peer?.ok === false) return peer', 'if (peer === null) return peer'),
  off(
    'J-26',
    CALL,
    'if (carriers.some((pattern) => matchesId(pattern, carrier))) return token',
    'if (carriers !== undefined) return token'
  ),
  off('W-1', HEADER, "if (typ === 'wit+jwt') return", 'if (typ === false) return'),
  off('W-2', CLAIMS, "if (claims.has('cnf')) return", 'if (claims.size < 0) return')
]

const BUNDLES: readonly Mutation[] = [
  off('B-1', DOCUMENT, "return arrayOf(root.get('keys')) ?? fault", "return arrayOf(root.get('keys')) ?? [] ?? fault", {
    'B-16': 'the plain JWK sets of the Workload API have the same member keys'
  }),
  off('B-1', DOCUMENT, 'if (document.length > DOCUMENT_BYTES_MAX) return', 'if (document.length < 0) return'),
  off('B-2', JWK, "if (kty !== 'EC' && kty !== 'OKP') return fault('B-2', ", "if (kty !== 'EC' && kty !== 'OKP') throw new Error(", {
    'B-16': 'the entries of plain JWK sets are read by the same code'
  }),
  off('B-3', BUNDLE_KEYS, "return fault('B-3', useDetail(use))", 'return addJwtKey(entry, draft)'),
  off('B-3', JWT_KEYS, 'if (operations !== undefined && !', 'if (operations === null && !'),
  off('B-4', BUNDLE_KEYS, "if (first === undefined) return fault('B-4', 'it has no certificate in x5c')", ''),
  off('B-5', BUNDLE_KEYS, "const [first] = arrayOf(entry.get('x5c')) ?? []", "const first = arrayOf(entry.get('x5c'))?.at(-1)"),
  off('B-6', BUNDLE_KEYS, "return fault('B-6', 'it is for WIT-SVIDs, which are not accepted here')", 'return addJwtKey(entry, draft)'),
  off('B-7', BUNDLE_KEYS, "return entry.has('kid') ? addJwtKey(entry, draft) :", 'return entry !== null ? addJwtKey(entry, draft) :'),
  off('B-7', JWT_KEYS, "if (kid !== undefined && (typeof kid !== 'string' || kid === '')) return", 'if (kid === false) return'),
  off('B-8', JWT_KEYS, 'if (other !== undefined && !isSameKey(other, key)) ambiguous', 'if (other === null) ambiguous', {
    'B-16': 'the entries of plain JWK sets are read by the same code'
  }),
  off('B-8', BUNDLE_KEYS, 'if (ids.has(kid)) remark', 'if (ids === null) remark', {
    'B-6': 'its wit-svid key has the kid of another',
    'B-16': 'the entries of plain JWK sets are read by the same code'
  }),
  off(
    'B-9',
    DOCUMENT,
    "const sequence = integerOf(root.get('spiffe_sequence'))",
    "const exact = integerOf(root.get('spiffe_sequence'))\n  const sequence = exact && BigInt(Number(exact))"
  ),
  off('B-9', DOCUMENT, "if (root.has('spiffe_sequence') && (sequence === undefined || sequence < 0n)) {", 'if (sequence === null) {'),
  off('B-10', DOCUMENT, '&& fetched.sequence < held.sequence)', '&& fetched.sequence < -1n)'),
  off('B-11', DOCUMENT, 'const seconds = hint <', 'const seconds = hint !== null ? hint : hint <'),
  off(
    'B-11',
    DOCUMENT,
    "if (hint === undefined) return fault('B-11'",
    "if (hint === undefined) return 300_000\n  if (hint === null) return fault('B-11'",
    { 'B-13': 'the hint of a map is read by the same code' }
  ),
  off(
    'B-12',
    DOCUMENT,
    "const sequence = integerOf(root.get('spiffe_sequence'))",
    "for (const name of root.keys()) if (!/^keys$|^spiffe_/.test(name)) return fault('B-12', name)\n  const sequence = integerOf(root.get('spiffe_sequence'))"
  ),
  off(
    'B-13',
    DOCUMENT,
    "const domains = objectOf(root.get('trust_domains'))",
    "const domains = objectOf(root.get('trust_domains')) ?? new Map()"
  ),
  off('B-13', DOCUMENT, "if (!parsed.ok) return fault('B-13'", "if (parsed === null) return fault('B-13'"),
  off('B-14', DOCUMENT, 'if (fetched.trustDomain !== held.trustDomain) {', 'if (fetched === null) {'),
  off('B-15', BUNDLE_KEYS, 'if (extensions.basicConstraints?.ca !== true) return', 'if (extensions === null) return'),
  off('B-15', BUNDLE_KEYS, 'KEY_USAGE.keyCertSign) === 0) return', 'KEY_USAGE.keyCertSign) < 0) return'),
  off('B-15', BUNDLE_KEYS, 'if (!key.spki.equals(spki)) return', 'if (spki === null) return', {
    'B-5': 'its nearest deny row has the fitting certificate second'
  }),
  off('B-15', BUNDLE_KEYS, 'strictBase64(first)', "Buffer.from(first, 'base64')"),
  off('B-15', JWK, 'if (secret !== undefined) return', 'if (secret === null) return'),
  off('B-15', JWK, 'strictBase64Url(value)', "Buffer.from(value, 'base64url')"),
  off('B-16', BUNDLE_KEYS, "return use === undefined || use === 'jwt-svid' || use === 'sig' ?", 'return use !== false ?', {
    'J-21': 'the keys of X.509-SVIDs are told apart by their use'
  }),
  off(
    'B-16',
    BUNDLE_KEYS,
    " || use === 'sig' ?",
    ' ?',
    Object.fromEntries(
      (['U-1', 'U-2', 'U-3', 'U-4', 'U-6', 'U-7', 'U-8', 'U-9', 'U-10', 'U-12', 'U-13'] as const).map((rule) => [
        rule,
        "the keys of end users' issuers say sig, so their good tokens are the first to go"
      ])
    )
  )
]

const PEERS: readonly Mutation[] = [
  off('P-1', IDENTIFY, 'decodeUrlPem(certificate, 1)', 'decodeUrlPem(certificate, 8)'),
  off(
    'P-1',
    IDENTIFY,
    'if (!verdict.ok) return verdict\n',
    'if (!verdict.ok) return principal === undefined ? verdict : accept({ id: { text: principal } } as Caller)\n',
    { 'P-10': 'what is remembered is asked with a principal too', 'X-29': 'what is remembered is asked with a principal too' }
  ),
  off('P-2', IDENTIFY, 'if (principal === undefined || principal === verdict.value.id.text) return verdict', 'return verdict', {
    'P-10': 'a verdict that is remembered is held against the principal anew'
  }),
  off('P-3', IDENTIFY, 'if (element.chain === undefined) return []', 'return []', {
    'P-4': 'whose Chain it is can be asked only where it is read',
    'X-25': 'its bound holds for what Chain brings',
    'P-10': 'its rows have an intermediate that Chain brings'
  }),
  off('P-4', IDENTIFY, "if (element.hash !== createHash('sha256').update(leaf).digest('hex'))", 'if (element.hash === null)'),
  off('P-4', IDENTIFY, 'if (element.cert !== undefined) {', 'if (element.cert === null) {'),
  off('P-4', IDENTIFY, 'return sameBytes(first, leaf) ? hints :', 'return first !== null ? hints :'),
  off('P-4', IDENTIFY, 'element?.element.uri.some((uri) => uri !== id.text) === true', 'element === null'),
  off(
    'P-5',
    XFCC,
    "if (text[value.end] === ',') return",
    "if (text[value.end] === ',') return { ok: true, element: { ...single, ...repeated } }\n    if (text === null) return",
    { 'P-10': 'its row about another XFCC takes one of two elements' }
  ),
  off('P-6', IDENTIFY, 'if (xfcc !== undefined)', 'if (xfcc === null)'),
  off('P-7', XFCC, "if (text.startsWith('[')) return fault('P-7', 'XFCC is in its JSON form; set its format to TEXT')", ''),
  off('P-7', XFCC, 'if (/[^\\x20-\\x7e]/.test(text)) return', 'if (text === null) return'),
  off('P-7', XFCC, 'else if (single[key] !== undefined) return', 'else if (single[key] === null) return'),
  off('P-7', XFCC, "if (next !== undefined && next !== ';' && next !== ',') return undefined", ''),
  off(
    'P-9',
    IDENTIFY,
    "return refuse('no-identity', ",
    "return accept({ id: { text: principal ?? '' } } as Caller) ?? refuse('no-identity', ",
    { 'J-26': 'a token alone identifies nobody, by the same line' }
  ),
  off('P-10', IDENTIFY, 'if (cache.generation !== trust.generation) restart(cache, trust.generation)', ''),
  off('P-10', IDENTIFY, 'one.xfcc === xfcc && ', ''),
  off('P-10', IDENTIFY, 'until: judged.notAfter,', 'until: Number.MAX_VALUE,', {
    'X-29': 'a caller that is remembered ends with its certificate'
  })
]

const USERS: readonly Mutation[] = [
  off('U-1', SUBJECT, 'if (!read.ok) return invalid(', "if (!read.ok && read.rule === 'J-26') return invalid("),
  off('U-1', SUBJECT_CLAIMS, "if (jti !== undefined && typeof jti !== 'string') return", 'if (jti === null) return'),
  off(
    'U-2',
    SUBJECT_CLAIMS,
    "typeof alg === 'string' ? JWT_ALGORITHMS.get(alg) : undefined",
    "JWT_ALGORITHMS.get(alg as string) ?? JWT_ALGORITHMS.get('ES256')"
  ),
  off('U-3', SUBJECT_CLAIMS, "if (typ !== undefined && !(typeof typ === 'string' && TYPES.has(typ.toLowerCase())))", 'if (typ === null)'),
  off('U-4', SUBJECT_CLAIMS, 'if (!HEADER_MEMBERS.has(name)) return', 'if (HEADER_MEMBERS.size < 0) return'),
  off('U-4', SUBJECT_CLAIMS, "if (kid !== undefined && typeof kid !== 'string') return", 'if (kid === null) return'),
  off('U-5', SUBJECT, "typeof iss === 'string' ? issuers.get(iss) : undefined", 'issuers.get(String(iss)) ?? [...issuers.values()][0]'),
  off('U-6', SUBJECT_CLAIMS, "if (typeof sub !== 'string' || !PRINTABLE.test(sub)) return", "if (typeof sub !== 'string') return"),
  off('U-6', SUBJECT_CLAIMS, "typeof sub !== 'string' || !PRINTABLE", "typeof sub === 'number' || !PRINTABLE"),
  off('U-7', SUBJECT_CLAIMS, 'if (aud === undefined || !aud.includes(issuer.audience))', 'if (aud === undefined || aud.length === 0)'),
  off('U-8', SUBJECT, 'if (!(now < claims.expiresAt + leewayMs)) return', 'if (now < 0) return'),
  off(
    'U-8',
    SUBJECT_CLAIMS,
    "instant(claims.get('exp'))\n  if (expiresAt === undefined) return",
    "instant(claims.get('exp')) ?? 8e15\n  if (expiresAt < 0) return"
  ),
  off('U-9', SUBJECT, 'if (!(now >= (claims.notBefore ?? 0) - leewayMs)) return', 'if (now < 0) return'),
  off('U-9', SUBJECT_CLAIMS, "if (notBefore === undefined && claims.has('nbf')) return", 'if (notBefore === null) return'),
  off('U-10', SUBJECT, 'if (forged !== undefined) {', "if (forged !== undefined && token === '') {"),
  off('U-10', SUBJECT, "const kind = forged.rule === 'J-9' ? 'no-such-key' : 'invalid'", "const kind = 'invalid'"),
  off('U-11', SUBJECT_CLAIMS, "if (claims.has('cnf')) return", 'if (claims.size < 0) return'),
  off('U-12', SUBJECT_CLAIMS, 'if (mayAct !== undefined && actorOf(mayAct) !== caller) return', 'if (mayAct === null) return'),
  off('U-12', SUBJECT_CLAIMS, "azp.startsWith('spiffe://') && azp !== caller", 'azp === null'),
  off('U-12', SUBJECT_CLAIMS, "return now.startsWith('spiffe://') ? fault", 'return now.length < 0 ? fault'),
  off('U-12', SUBJECT_CLAIMS, 'if (actor === undefined || chain.length === ACTORS_MAX) return', 'if (actor === undefined) return'),
  off('U-13', SUBJECT_CLAIMS, 'named.filter((tenant) => issuer.tenants.has(tenant))', 'named'),
  off('U-13', SUBJECT_CLAIMS, 'if (named === undefined || named.length > TENANTS_MAX)', 'if (named === null)'),
  off('U-14', 'src/identity/identify-subject.ts', '{id.text} $', '{""} $'),
  off('U-14', VERDICTS, 'if (cache.basis !== basis) restart(cache, basis)', '', {
    'J-26': 'verdicts on JWT-SVIDs are kept in the same way'
  }),
  off('U-14', VERDICTS, 'known.at >= since && ', '', { 'J-26': 'verdicts on JWT-SVIDs are kept in the same way' })
]

const POLICIES: readonly Mutation[] = [
  off('T-1', POLICY_PARTS, 'if (token.length > POLICY_TOKEN_CHARS_MAX) return', 'if (token.length < 0) return'),
  off('T-1', POLICY_PARTS, " || tail === '' || more.length > 0) return", " || tail === '') return"),
  off('T-1', POLICY_PARTS, '[strictBase64Url(body), strictBase64Url(tail)]', "[body, tail].map((one) => Buffer.from(one, 'base64url'))"),
  off('T-1', POLICY_PARTS, "objectIn(claims, 'claims', 1)", "objectIn(claims, 'claims', 8)"),
  off(
    'T-2',
    POLICY_PARTS,
    "typeof alg === 'string' && POLICY_TOKEN_ALGORITHMS.includes(alg) ? JWT_ALGORITHMS.get(alg) : undefined",
    "JWT_ALGORITHMS.get(alg as string) ?? JWT_ALGORITHMS.get('ES256')"
  ),
  off('T-3', POLICY_PARTS, "if (members.get('typ') !== typ) return", 'if (members.size < 0) return'),
  off('T-4', POLICY_PARTS, "if (name !== 'alg' && name !== 'typ' && name !== 'x5c') return", "if (name === '') return"),
  off('T-5', POLICY_PARTS, ' || x5c.length > CHAIN_CERTIFICATES_MAX)', ')'),
  off('T-5', POLICY_PARTS, "typeof one === 'string' ? strictBase64(one) : undefined", "Buffer.from(String(one), 'base64')"),
  off(
    'T-6',
    POLICY_ISSUER,
    'verifyX509Svid(header.chain, trust, now)',
    'verifyX509Svid(header.chain, trust, Math.min(now, Date.UTC(2026, 10, 20, 11, 59, 58)))'
  ),
  off('T-7', POLICY, 'if (forged !== undefined) return', 'if (forged === null) return'),
  off('T-7', POLICY_ISSUER, "[91, ['ES256']]", "[91, ['ES256', 'RS256']]"),
  off('T-8', POLICY, 'if (issuer.id.text !== claims.iss) return', "if (issuer.id.text === '') return"),
  off(
    'T-9',
    POLICY,
    'check.issuers.get(claims.iss)',
    "(check.issuers.get(claims.iss) ?? [...check.issuers.values()][0] ?? { tenants: new Set(['acme']), audiences: new Set([claims.aud]) })"
  ),
  off('T-10', POLICY, 'if (!audiences.has(aud)) return', 'if (audiences === null) return'),
  off('T-10', POLICY, 'if (claims.aud !== check.audience) return', "if (claims.aud === '') return"),
  off('T-11', POLICY, 'if (claims.sub !== check.peer.text)', "if (claims.sub === '')"),
  off('T-12', POLICY, 'if (tenant !== undefined && !tenants.has(tenant)) return', 'if (tenants === null) return'),
  off(
    'T-12',
    POLICY_CLAIMS,
    "if (tenant === undefined && ((act !== 'probe' && judged === undefined) || members.has('tenant')))",
    'if (members.size < 0)'
  ),
  off('T-18', POLICY_CLAIMS, "if (judged === undefined && members.has('judged')) return", 'if (members.size < 0) return'),
  off(
    'T-18',
    POLICY_CLAIMS,
    "return typeof value === 'string' && isShadowed(value) ? value : undefined",
    "return typeof value === 'string' ? (value as DenyKind) : undefined"
  ),
  off('T-12', POLICY_CLAIMS, "if (tenant !== undefined && act === 'probe') return", 'if (members.size < 0) return'),
  off('T-13', POLICY, 'return claims.dig === digest ? undefined :', "return digest !== '' ? undefined :"),
  off('T-13', DIGEST, 'key(FORMAT, method, authority, target)', 'FORMAT + method + authority + target'),
  off('T-13', DIGEST, 'key(FORMAT, method, authority, target)', 'key(FORMAT, authority, target)'),
  off('T-13', DIGEST, 'key(FORMAT, method, authority, target)', 'key(FORMAT, method, target)'),
  off('T-13', DIGEST, 'key(FORMAT, method, authority, target)', "key(FORMAT, method, authority, target.replace(/\\?.*/, ''))"),
  off('T-13', DIGEST, 'for (const name of ALWAYS) head += headerPart(name, headers.get(name))', ''),
  off('T-13', DIGEST, 'for (const name of [...meaningHeaders].sort()) head += headerPart(name, headers.get(name))', ''),
  off('T-13', DIGEST, "value === undefined ? key(name, 'absent') : key(name, 'present', value)", "key(name, 'present', value ?? '')"),
  off('T-13', DIGEST, 'if (body !== undefined) sha256.update(body)', ''),
  off('T-13', DIGEST, "'utf16le')\n", "'utf8' as 'utf16le')\n"),
  off('T-14', POLICY, 'if (check.operation !== undefined && claims.act !== check.operation)', 'if (claims.act === undefined)'),
  off('T-15', POLICY_CLAIMS, ' && exp - iat <= POLICY_TOKEN_SECONDS_MAX))', '))'),
  off('T-15', POLICY_CLAIMS, 'if (!(exp > iat && ', 'if (!('),
  off('T-15', POLICY_CLAIMS, 'Number(integerOf(value) ?? -1n)', 'Number((value as { literal?: string } | undefined)?.literal ?? value)'),
  off('T-16', POLICY, 'if (!(check.now < until)) return', 'if (until < 0) return'),
  off('T-16', POLICY, 'Math.min(Math.max(check.leewayMs, 0), POLICY_TOKEN_LEEWAY_MS_MAX)', 'check.leewayMs'),
  off('T-17', POLICY, 'if (!(check.now >= claims.iat * 1000 - leeway)) return', 'if (leeway < 0) return'),
  off('T-18', POLICY_CLAIMS, 'if (!Object.hasOwn(CLAIMS, name)) return', "if (name === '') return"),
  off(
    'T-18',
    POLICY_CLAIMS,
    "typeof value === 'string' && Object.hasOwn(OPERATIONS, value)",
    "typeof value === 'string' && value in OPERATIONS"
  ),
  off('T-18', POLICY_CLAIMS, 'strictBase64Url(dig)?.length !== DIGEST_BYTES', 'dig.length < DIGEST_BYTES'),
  off('T-18', POLICY_CLAIMS, "if (typeof jti !== 'string' || !TOKEN_ID.test(jti)) return", "if (typeof jti !== 'string') return"),
  off('T-18', POLICY_CLAIMS, "if (purpose === undefined && members.has('purpose')) return", 'if (members.size < 0) return'),
  off('T-19', POLICY_USE, "    case 'spent':\n      return refuse(", "    case 'spent':\n      return undefined\n      refuse("),
  off('T-19', POLICY_USE, 'if (!isMutation(operation)) return undefined', ''),
  off('T-19', POLICY_USE, 'key(issuer.text, tokenId)', 'tokenId'),
  off('T-20', POLICY_ISSUER, 'if (cache.generation !== trust.generation) {', 'if (Number.isNaN(cache.generation)) {'),
  off('T-20', POLICY_ISSUER, ' && now <= known.until ? known', ' ? known'),
  off('T-20', POLICY, 'if (forged !== undefined) return', 'keepIssuer(parts.header, issuer, cache)\n  if (forged !== undefined) return')
]

export const MUTATIONS: readonly Mutation[] = [...IDS, ...X509, ...TOKENS, ...BUNDLES, ...PEERS, ...USERS, ...POLICIES]
