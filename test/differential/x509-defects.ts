/** What can be wrong with a chain, and what is unusual about one that is right, by the part of the chain that has it. */
import type { RuleNumber } from '../../src/identity/rules.ts'
import { EKU, EMPTY_NAME, EXTENSION, type Knobs, type RawExtension, type San, sanExtension } from '../support/ca.ts'
import { bits, bool, concat, int, name, nil, octets, oid, seq, set, time, tlv, utf8 } from '../support/der-write.ts'
import { authorityAt, type Defect, type Draft, keyFor } from './x509-chains.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const ID = 'spiffe://vec.test/ns/acme/agent/support'
const UNKNOWN = '1.3.6.1.4.1.99999.1'

type Rules = RuleNumber | readonly RuleNumber[] | undefined
type Options = Partial<Pick<Defect, 'needs' | 'hides'>>
/** What is changed; a function where it depends on the time. */
type Change = Knobs | ((now: number) => Knobs)

function defect(place: string, name: string, rules: Rules, apply: Defect['apply'], { needs = 0, hides = [] }: Options = {}): Defect {
  return { name, place, rules: rules === undefined ? [] : typeof rules === 'string' ? [rules] : rules, needs, hides, apply }
}

/** Extensions and edits add up; every other knob is turned once. */
function turn(part: Draft['leaf'] | Draft['root'], change: Change, now: number): void {
  const knobs = typeof change === 'function' ? change(now) : change
  const edits = [part.editTbs, knobs.editTbs].filter((edit) => edit !== undefined)
  const extensions = [...(part.extensions ?? []), ...(knobs.extensions ?? [])]
  Object.assign(part, knobs, { extensions })
  if (edits.length > 0) part.editTbs = (tbs) => edits.reduce((bytes, edit) => edit(bytes), tbs)
}

const leaf = (place: string, named: string, rules: Rules, change: Change, options?: Options) =>
  defect(`leaf ${place}`, `leaf: ${named}`, rules, (draft) => turn(draft.leaf, change, draft.now), options)
const low = (place: string, named: string, rules: Rules, change: Change, options: Options = {}) =>
  defect(`low ${place}`, `intermediate: ${named}`, rules, (draft) => turn(draft.intermediates.at(-1) ?? {}, change, draft.now), {
    needs: 1,
    ...options
  })
const root = (place: string, named: string, rules: Rules, change: Change, options?: Options) =>
  defect(`root ${place}`, `root: ${named}`, rules, (draft) => turn(draft.root, change, draft.now), options)
/** Name constraints of an issuer mean something else to a certificate with another host, or with none. */
const OTHER_HOST: Options = { hides: ['low names', 'root names'] }
const uris = (named: string, rules: Rules, ...values: readonly (string | Uint8Array)[]) =>
  leaf(
    'san',
    named,
    rules,
    { uris: values } as Knobs,
    values.every((value) =>
      Buffer.from(value as string)
        .toString('latin1')
        .startsWith('spiffe://vec.test/')
    )
      ? {}
      : OTHER_HOST
  )
const raw = (type: string, value: Uint8Array, critical = false): RawExtension => ({ oid: type, critical, value })
const ends =
  (notBefore: number, notAfter: number): Change =>
  (now) => ({ notBefore: now + notBefore, notAfter: now + notAfter })

/** Exchanges the first occurrence of some bytes for others of any length, and writes the length of the SEQUENCE around anew. */
function swapped(from: Uint8Array, to: Uint8Array): (tbs: Uint8Array) => Uint8Array {
  return (tbs) => {
    const body = Buffer.from(tbs.subarray((tbs[1] ?? 0) < 0x80 ? 2 : 2 + ((tbs[1] ?? 0) & 0x7f)))
    const at = body.indexOf(from)
    if (at === -1) throw new Error('the piece to exchange is not there')
    return seq(body.subarray(0, at), to, body.subarray(at + from.length))
  }
}

const VALIDITY: readonly Defect[] = [
  leaf('time', 'expired', 'X-15', ends(-2 * HOUR, -MINUTE)),
  leaf('time', 'not yet valid', 'X-15', ends(MINUTE, HOUR)),
  leaf('time', 'begins in four seconds', undefined, ends(4 * SECOND, HOUR)),
  leaf('time', 'valid until 2050', undefined, (now) => ({ notBefore: now - MINUTE, notAfter: Date.UTC(2050, 5, 1) })),
  leaf('time', 'valid for one more minute', undefined, ends(-HOUR, MINUTE)),
  leaf('time', 'ends before it begins', 'X-15', ends(-MINUTE, -HOUR)),
  leaf('time', 'an end without seconds', 'X-27', (now) => {
    const short = `${new Date(now + HOUR).toISOString().slice(2, 16).replaceAll(/[-T:]/g, '')}Z`
    return { notAfter: now + HOUR, editTbs: swapped(time(now + HOUR), tlv(0x17, Buffer.from(short))) }
  }),
  leaf('time', 'an end before 2050 as GeneralizedTime', 'X-27', (now) => {
    const long = `${new Date(now + HOUR).toISOString().slice(0, 19).replaceAll(/[-T:]/g, '')}Z`
    return { notAfter: now + HOUR, editTbs: swapped(time(now + HOUR), tlv(0x18, Buffer.from(long))) }
  }),
  low('time', 'expired', 'X-15', ends(-2 * HOUR, -MINUTE)),
  low('time', 'not yet valid', 'X-15', ends(HOUR, 2 * HOUR)),
  low('time', 'ends before the leaf', undefined, ends(-HOUR, MINUTE)),
  root('time', 'expired', 'X-15', ends(-2 * HOUR, -MINUTE)),
  root('time', 'not yet valid', 'X-15', ends(HOUR, 2 * HOUR))
]

const NUL: San = { type: 'dns', value: 'a.test\0.b.test' }
const NOBODY: San = { type: 'email', value: 'nobody' }

const NAMES: readonly Defect[] = [
  uris('two URI SANs', 'X-1', ID, 'spiffe://vec.test/admin'),
  uris('two URI SANs, the second https', 'X-1', ID, 'https://vec.test/admin'),
  uris('the same URI SAN twice', 'X-1', ID, ID),
  leaf('san', 'no SAN', 'X-1', { sans: null }, OTHER_HOST),
  leaf('san', 'a DNS SAN that reads like an ID', 'X-1', { sans: [{ type: 'dns', value: ID }] }, OTHER_HOST),
  uris('an https URI', 'X-3', 'https://vec.test/a'),
  uris('one slash after the scheme', 'X-3', 'spiffe:/vec.test/a'),
  uris('no trust domain', 'X-3', 'spiffe:///a'),
  uris('the ID of a trust domain', 'X-4', 'spiffe://vec.test'),
  uris('a slash for a path', 'X-3', 'spiffe://vec.test/'),
  uris('a trailing slash', 'X-3', 'spiffe://vec.test/a/'),
  uris('an empty segment', 'X-3', 'spiffe://vec.test//a'),
  uris('a percent-encoded letter', 'X-3', 'spiffe://vec.test/%61'),
  uris('a percent-encoded dot in the trust domain', 'X-3', 'spiffe://vec%2Etest/a'),
  uris('dot segments', 'X-3', 'spiffe://vec.test/a/../admin'),
  uris('a query', 'X-3', 'spiffe://vec.test/a?b=1'),
  uris('an empty query', 'X-3', 'spiffe://vec.test/a?'),
  uris('a fragment', 'X-3', 'spiffe://vec.test/a#b'),
  uris('an empty fragment', 'X-3', 'spiffe://vec.test/a#'),
  uris('a port', 'X-3', 'spiffe://vec.test:443/a'),
  uris('an empty port', 'X-3', 'spiffe://vec.test:/a'),
  uris('user information', 'X-3', 'spiffe://ops@vec.test/a'),
  uris('empty user information', 'X-3', 'spiffe://@vec.test/a'),
  uris('the scheme in upper case', 'X-3', 'SPIFFE://vec.test/a'),
  uris('the trust domain in upper case', 'X-3', 'spiffe://Vec.test/a'),
  uris('a comma', 'X-3', 'spiffe://vec.test/a,b'),
  uris('a semicolon', 'X-3', 'spiffe://vec.test/a;b'),
  uris('a tilde', 'X-3', 'spiffe://vec.test/~a'),
  uris('a space', 'X-3', 'spiffe://vec.test/a b'),
  uris('a NUL', 'X-3', Buffer.from('spiffe://vec.test/a\0b')),
  uris('a newline', 'X-3', Buffer.from('spiffe://vec.test/a\nb')),
  uris('a letter beyond ASCII', 'X-3', 'spiffe://vec.test/é'),
  uris('an ID of 2049 bytes', 'X-3', `spiffe://vec.test/${'a'.repeat(2049 - 18)}`),
  uris('an ID of 2048 bytes', undefined, `spiffe://vec.test/${'a'.repeat(2048 - 18)}`),
  uris('an ID of three dots and dashes', undefined, 'spiffe://vec.test/.../-_.A'),
  uris('an ID of the partner', 'X-20', 'spiffe://partner.test/a'),
  uris('an ID of a stranger', 'X-21', 'spiffe://stranger.test/a'),
  leaf('san', 'DNS SANs beside', undefined, { dns: ['a.vec.test', '*.vec.test'] } as Knobs),
  ...(
    [
      ['e-mail and IP SANs beside', { type: 'email', value: 'a@vec.test' }, { type: 'ip', value: Uint8Array.of(10, 0, 0, 1) }],
      ['an IP SAN of five bytes beside', { type: 'ip', value: Uint8Array.of(1, 2, 3, 4, 5) }],
      ['a DNS SAN beyond ASCII beside', { type: 'dns', value: 'é.test' }],
      ['a DNS SAN with a NUL beside', NUL],
      ['an e-mail SAN without an at sign beside', NOBODY]
    ] as const
  ).map(([named, ...others]) => leaf('san', named, undefined, sansBeside(...others), { hides: ['low names', 'root names'] })),
  constrained('a DNS SAN with a NUL beside, below URI constraints', undefined, NUL, { permittedUris: ['vec.test'] }),
  constrained('an e-mail SAN without an at sign beside, below URI constraints', undefined, NOBODY, { permittedUris: ['vec.test'] }),
  constrained(
    'an IP SAN below an issuer that permits it',
    'X-17',
    { type: 'ip', value: Uint8Array.of(10, 0, 0, 1) },
    { permittedRaw: [tlv(0x87, Uint8Array.of(10, 0, 0, 0, 255, 0, 0, 0))], critical: false }
  ),
  constrained('a DNS SAN below an issuer that permits it', undefined, { type: 'dns', value: 'a.vec.test' }, { permittedDns: ['vec.test'] }),
  constrained(
    'a DNS SAN below an issuer that permits another',
    'X-17',
    { type: 'dns', value: 'a.vec.test' },
    { permittedDns: ['other.test'] }
  ),
  constrained('a DNS SAN below an issuer that excludes it', 'X-17', { type: 'dns', value: 'a.vec.test' }, { excludedDns: ['vec.test'] }),
  constrained('a DNS SAN with a NUL below an issuer that permits its end', 'X-17', NUL, { permittedDns: ['b.test'] }),
  leaf('subject', 'an empty subject, the SAN not critical', 'X-5', { subject: EMPTY_NAME, sanCritical: false }, { hides: ['low names'] }),
  leaf('subject', 'an empty subject, the SAN critical', undefined, { subject: EMPTY_NAME, sanCritical: true }, { hides: ['low names'] }),
  defect(
    'leaf subject',
    'leaf: an empty subject, below an issuer that permits some directory names',
    undefined,
    (draft) => {
      turn(draft.leaf, { subject: EMPTY_NAME, sanCritical: true }, draft.now)
      const permittedRaw = [tlv(0xa4, name([['2.5.4.10', 'SPIRE']]))]
      turn(draft.intermediates.at(-1) ?? {}, { nameConstraints: { permittedRaw, critical: false } }, draft.now)
    },
    { needs: 1, hides: ['low names', 'leaf san'] }
  ),
  leaf('subject', 'a subject, the SAN critical', undefined, { sanCritical: true }),
  leaf('subject', 'a subject that is an ID', undefined, { subject: name([['2.5.4.3', 'spiffe://vec.test/admin']]) }),
  leaf('subject', 'two attributes in one part of the subject', undefined, {
    subject: seq(set(seq(oid('2.5.4.3'), utf8('a')), seq(oid('2.5.4.10'), utf8('b'))))
  }),
  leaf('subject', 'the subject of its issuer', undefined, { subject: name([['2.5.4.3', 'root']]) }, { hides: ['leaf key id'] }),
  leaf(
    'subject',
    'the subject of its issuer, and no key identifier',
    undefined,
    { subject: name([['2.5.4.3', 'root']]), authorityKeyId: null },
    { hides: ['leaf key id'] }
  ),
  leaf('subject', 'an attribute without a value', 'X-27', { subject: seq(set(seq(oid('2.5.4.3')))) }),
  leaf('subject', 'a subject in Latin letters', undefined, { subject: seq(set(seq(oid('2.5.4.3'), tlv(0x14, Buffer.from('abc'))))) }),
  leaf('subject', 'a subject that is no UTF-8', 'X-27', { subject: seq(set(seq(oid('2.5.4.3'), tlv(0x0c, Uint8Array.of(0xff, 0xfe))))) }),
  leaf('subject', 'a country with an at sign', undefined, { subject: seq(set(seq(oid('2.5.4.6'), tlv(0x13, Buffer.from('A@'))))) }),
  leaf('issuer', 'the issuer name of somebody else', 'X-19', { issuerName: name([['2.5.4.3', 'somebody']]) }),
  defect('leaf issuer', 'leaf: the issuer name in other letters', undefined, (draft) => {
    const issuer = draft.intermediates.at(-1) ?? draft.root
    draft.leaf.issuerName = name([['2.5.4.3', (issuer.name ?? '').toUpperCase()]])
  }),
  defect('leaf issuer', 'leaf: the issuer name as PrintableString', undefined, (draft) => {
    const issuer = draft.intermediates.at(-1) ?? draft.root
    draft.leaf.issuerName = seq(set(seq(oid('2.5.4.3'), tlv(0x13, Buffer.from(issuer.name ?? '')))))
  })
]

function sansBeside(...others: readonly San[]): Knobs {
  return { sans: [...others, { type: 'uri', value: ID }] }
}

/** A SAN below an issuer with constraints. */
function constrained(named: string, rules: Rules, other: San, nameConstraints: NonNullable<Knobs['nameConstraints']>): Defect {
  const change = (draft: Draft) => {
    turn(draft.leaf, sansBeside(other), draft.now)
    turn(draft.intermediates.at(-1) ?? {}, { nameConstraints }, draft.now)
  }
  return defect('leaf san', `leaf: ${named}`, rules, change, { needs: 1, hides: ['low names', 'root names', 'held'] })
}

const PURPOSES: readonly Defect[] = [
  leaf('basic', 'a CA', ['X-6', 'X-11'], { basicConstraints: { ca: true } }),
  leaf('basic', 'no basic constraints', undefined, { basicConstraints: null }),
  leaf('basic', 'basic constraints that are not critical', undefined, { basicConstraints: { ca: false, critical: false } }),
  leaf('basic', 'a written-out FALSE', 'X-27', {
    basicConstraints: null,
    extensions: [raw(EXTENSION.basicConstraints, seq(bool(false)), true)]
  }),
  leaf('basic', 'a path length without being a CA', 'X-27', { basicConstraints: { ca: false, pathLength: 0 } }),
  leaf('usage', 'keyCertSign', ['X-7', 'X-11'], { keyUsages: ['digitalSignature', 'keyCertSign'] }),
  leaf('usage', 'cRLSign', 'X-8', { keyUsages: ['digitalSignature', 'cRLSign'] }),
  leaf('usage', 'no key usage', 'X-9', { keyUsages: null }),
  leaf('usage', 'key usage that is not critical', 'X-9', { keyUsageCritical: false }),
  leaf('usage', 'keyAgreement only', 'X-9', { keyUsages: ['keyAgreement'] }),
  leaf('usage', 'key usage without a bit', 'X-9', { keyUsages: [] }),
  leaf('usage', 'key usage with bits that are not needed', undefined, {
    keyUsages: null,
    extensions: [raw(EXTENSION.keyUsage, bits(Uint8Array.of(0x80)), true)]
  }),
  leaf('usage', 'key usage of an unused bit that is set', 'X-27', {
    keyUsages: null,
    extensions: [raw(EXTENSION.keyUsage, bits(Uint8Array.of(0x81), 7), true)]
  }),
  leaf('usage', 'digitalSignature only', undefined, { keyUsages: ['digitalSignature'] }),
  leaf('eku', 'serverAuth only', 'X-10', { eku: [EKU.serverAuth] }),
  leaf('eku', 'clientAuth only', 'X-10', { eku: [EKU.clientAuth] }),
  leaf('eku', 'codeSigning only', 'X-10', { eku: [EKU.codeSigning] }),
  leaf('eku', 'any purpose only', 'X-10', { eku: ['2.5.29.37.0'] }),
  leaf('eku', 'an empty list of purposes', 'X-27', { eku: [] }),
  leaf('eku', 'no extended key usage', undefined, { eku: null }),
  leaf('eku', 'extended key usage that is critical', undefined, { ekuCritical: true }),
  leaf('eku', 'a third purpose', undefined, { eku: [EKU.serverAuth, EKU.clientAuth, EKU.codeSigning] }),
  low('basic', 'no basic constraints', 'X-12', { basicConstraints: null }),
  low('basic', 'no CA', 'X-12', { basicConstraints: { ca: false } }),
  low('basic', 'basic constraints that are not critical', undefined, { basicConstraints: { ca: true, critical: false } }),
  low('basic', 'no intermediates allowed below, and none', undefined, { basicConstraints: { ca: true, pathLength: 0 } }),
  low('usage', 'no keyCertSign', 'X-12', { keyUsages: ['digitalSignature', 'cRLSign'] }),
  low('usage', 'no key usage', 'X-12', { keyUsages: null }),
  low('usage', 'no cRLSign', undefined, { keyUsages: ['keyCertSign'] }),
  low('usage', 'key usage that is not critical', undefined, { keyUsageCritical: false }),
  low('eku', 'serverAuth only', 'X-10', { eku: [EKU.serverAuth] }),
  low('eku', 'codeSigning only', 'X-10', { eku: [EKU.codeSigning] }),
  low('eku', 'any purpose', undefined, { eku: ['2.5.29.37.0'] }),
  low('eku', 'both purposes', undefined, { eku: [EKU.serverAuth, EKU.clientAuth] }),
  root('basic', 'no basic constraints', 'X-26', { basicConstraints: null }),
  root('basic', 'no CA', 'X-26', { basicConstraints: { ca: false } }),
  root('usage', 'no keyCertSign', 'X-26', { keyUsages: ['cRLSign'] }),
  root('usage', 'no key usage', 'X-26', { keyUsages: null }),
  root('eku', 'codeSigning only', 'X-10', { eku: [EKU.codeSigning] })
]

const LIMITS: readonly Defect[] = [
  root('path length', 'no intermediates allowed, and one', 'X-16', { basicConstraints: { ca: true, pathLength: 0 } }, { needs: 1 }),
  defect(
    'root path length',
    'root: no intermediates allowed, and one of its own name',
    'X-16',
    (draft) => {
      draft.root.pathLength = 0
      for (const intermediate of draft.intermediates) intermediate.name = 'root'
    },
    { needs: 1, hides: ['root basic', 'low key', 'upper', 'leaf issuer', 'sent'] }
  ),
  defect(
    'upper path length',
    'upper intermediate: none allowed below, and one',
    'X-16',
    (draft) => turn(draft.intermediates[0] ?? {}, { basicConstraints: { ca: true, pathLength: 0 } }, draft.now),
    { needs: 2 }
  ),
  low('names', 'permits another host', 'X-17', { nameConstraints: { permittedUris: ['other.test'] } }),
  low('names', 'permits our host', undefined, { nameConstraints: { permittedUris: ['vec.test'] } }),
  low('names', 'permits hosts below ours', 'X-17', { nameConstraints: { permittedUris: ['.vec.test'] } }),
  low('names', 'permits hosts below the one above', undefined, { nameConstraints: { permittedUris: ['.test'] } }),
  low('names', 'permits our host in upper case', undefined, { nameConstraints: { permittedUris: ['VEC.test'] } }),
  low('names', 'excludes our host', 'X-17', { nameConstraints: { excludedUris: ['vec.test'] } }),
  low('names', 'excludes a host', undefined, { nameConstraints: { excludedUris: ['other.test'] } }),
  low('names', 'excludes the host above', 'X-17', { nameConstraints: { excludedUris: ['test'] } }),
  low('names', 'excludes hosts below ours', 'X-17', { nameConstraints: { excludedUris: ['.vec.test'] } }),
  low('names', 'permits another host, and is not critical', 'X-17', {
    nameConstraints: { permittedUris: ['other.test'], critical: false }
  }),
  low('names', 'permits an empty host', 'X-17', { nameConstraints: { permittedUris: [''] } }),
  low('names', 'excludes an empty host', 'X-17', { nameConstraints: { excludedUris: [''] } }),
  low('names', 'permits a URI, not a host', 'X-17', { nameConstraints: { permittedUris: ['spiffe://vec.test'] } }),
  low('names', 'permits some directory names', 'X-17', { nameConstraints: { permittedRaw: [tlv(0xa4, name([['2.5.4.10', 'SPIRE']]))] } }),
  low('names', 'permits some addresses', 'X-17', {
    nameConstraints: { permittedRaw: [tlv(0x87, Uint8Array.of(10, 0, 0, 0, 255, 0, 0, 0))] }
  }),
  low('names', 'permits some addresses, and is not critical', undefined, {
    nameConstraints: { permittedRaw: [tlv(0x87, Uint8Array.of(10, 0, 0, 0, 255, 0, 0, 0))], critical: false }
  }),
  low('names', 'permits some directory names, and is not critical', 'X-17', {
    nameConstraints: { permittedRaw: [tlv(0xa4, name([['2.5.4.10', 'SPIRE']]))], critical: false }
  }),
  low('names', 'a constraint without a base', 'X-27', { extensions: [raw(EXTENSION.nameConstraints, seq(tlv(0xa0)), true)] }),
  root('names', 'permits another host', 'X-17', { nameConstraints: { permittedUris: ['other.test'] } })
]

const EXTENSIONS: readonly Defect[] = [
  leaf('extension', 'an unknown critical extension', 'X-18', { extensions: [raw(UNKNOWN, nil(), true)] }),
  leaf('extension', 'critical policies', 'X-18', { extensions: [raw('2.5.29.32', seq(seq(oid('2.5.29.32.0'))), true)] }),
  leaf('extension', 'policies', undefined, { extensions: [raw('2.5.29.32', seq(seq(oid('2.5.29.32.0'))))] }),
  leaf('extension', 'an unknown extension', undefined, { extensions: [raw(UNKNOWN, nil())] }),
  leaf('extension', 'an unknown extension of junk', undefined, { extensions: [raw(UNKNOWN, Uint8Array.of(1, 2, 3))] }),
  leaf(
    'extension',
    'the SAN extension twice',
    'X-27',
    {
      extensions: [raw(EXTENSION.subjectAltName, sanExtension([{ type: 'uri', value: 'spiffe://vec.test/admin' }]))]
    },
    { hides: ['leaf san', 'leaf subject'] }
  ),
  leaf('extension', 'an unknown extension twice', 'X-27', { extensions: [raw(UNKNOWN, nil()), raw(UNKNOWN, nil())] }),
  leaf(
    'extension',
    'a second key usage',
    'X-27',
    { extensions: [raw(EXTENSION.keyUsage, bits(Uint8Array.of(0x80), 7), true)] },
    { hides: ['leaf usage'] }
  ),
  leaf('extension', 'a flag that says FALSE', 'X-27', { extensions: [{ oid: UNKNOWN, flag: bool(false), value: nil() }] }),
  leaf('extension', 'a flag of one', 'X-27', { extensions: [{ oid: UNKNOWN, flag: tlv(1, Uint8Array.of(1)), value: nil() }] }),
  leaf('extension', 'name constraints', undefined, { nameConstraints: { permittedUris: ['other.test'] } }),
  leaf('extension', 'CRL distribution points', undefined, {
    extensions: [raw('2.5.29.31', seq(seq(tlv(0xa0, tlv(0xa0, tlv(0x86, Buffer.from('http://crl.test/a')))))))]
  }),
  leaf('key id', 'no key identifier of the issuer', undefined, { authorityKeyId: null }),
  leaf('key id', 'the key identifier of another issuer', undefined, { authorityKeyId: Uint8Array.of(1, 2, 3) }),
  leaf('key id', 'a critical key identifier', 'X-18', {
    authorityKeyId: null,
    extensions: [raw(EXTENSION.authorityKeyId, seq(tlv(0x80, Uint8Array.of(1, 2, 3))), true)]
  }),
  leaf('key id', 'the serial number of another issuer', undefined, {
    authorityKeyId: null,
    extensions: [raw(EXTENSION.authorityKeyId, seq(tlv(0xa1, tlv(0xa4, name([['2.5.4.3', 'somebody']]))), tlv(0x82, Uint8Array.of(7))))]
  }),
  leaf('own key id', 'no key identifier of its own', undefined, { subjectKeyId: null }),
  leaf('own key id', 'a malformed key identifier', 'X-27', { subjectKeyId: null, extensions: [raw(EXTENSION.subjectKeyId, seq())] }),
  low('extension', 'an unknown critical extension', 'X-18', { extensions: [raw(UNKNOWN, nil(), true)] }),
  low('extension', 'an unknown extension twice', 'X-27', { extensions: [raw(UNKNOWN, nil()), raw(UNKNOWN, nil())] }),
  low('extension', 'critical policies', 'X-18', { extensions: [raw('2.5.29.32', seq(seq(oid('2.5.29.32.0'))), true)] }),
  low('id', 'the ID of a workload', 'X-13', { id: 'spiffe://vec.test/ca' } as Knobs),
  low('id', 'an ID with a port', 'X-13', { id: 'spiffe://vec.test:1' } as Knobs),
  low('id', 'no ID', undefined, { id: null } as Knobs),
  low('id', 'the ID of an upstream trust domain', undefined, { id: 'spiffe://upstream.test' } as Knobs),
  root('extension', 'an unknown critical extension', 'X-18', { extensions: [raw(UNKNOWN, nil(), true)] }),
  root('id', 'the ID of a workload', 'X-13', { id: 'spiffe://vec.test/ca' } as Knobs),
  root('id', 'no ID', undefined, { id: null } as Knobs)
]

const SIGNATURES: readonly Defect[] = [
  leaf('key', 'RSA of 1024 bits', 'X-28', () => ({ key: keyFor('RSA-1024') })),
  leaf('key', 'RSA of 2048 bits', undefined, () => ({ key: keyFor('RSA-2048') })),
  leaf('key', 'another curve', 'X-28', { keyKind: 'secp256k1' }),
  leaf('key', 'Ed25519', undefined, { keyKind: 'Ed25519' }),
  leaf('key', 'P-384', undefined, { keyKind: 'P-384' }),
  leaf('signature', 'tampered with', 'X-14', { tampered: true }),
  leaf('signature', 'SHA-384', undefined, { hash: 'sha384' }),
  leaf('signature', 'SHA-1', 'X-28', { hash: 'sha1' }),
  leaf('signature', 'SHA-224', 'X-28', { hash: 'sha224' }),
  leaf('signature', 'another algorithm outside than inside', 'X-27', { outerAlgorithm: seq(oid('1.2.840.10045.4.3.4')) }),
  low('key', 'RSA of 1024 bits', 'X-28', () => ({ key: keyFor('RSA-1024') })),
  low('key', 'RSA of 2048 bits', undefined, () => ({ key: keyFor('RSA-2048') })),
  low('key', 'another curve', 'X-28', { keyKind: 'secp256k1' }),
  low('key', 'P-521', undefined, { keyKind: 'P-521' }),
  low('key', 'Ed25519', undefined, { keyKind: 'Ed25519' }, { hides: ['leaf signature'] }),
  defect(
    'low key',
    'intermediate: RSA that signs with PSS',
    undefined,
    (draft) => {
      turn(draft.intermediates.at(-1) ?? {}, { key: keyFor('RSA-2048') }, draft.now)
      turn(draft.leaf, { pss: true }, draft.now)
    },
    { needs: 1, hides: ['leaf signature', 'signer'] }
  ),
  low('signature', 'tampered with', 'X-14', { tampered: true }),
  low('signature', 'SHA-1', 'X-28', { hash: 'sha1' }),
  root('key', 'RSA of 1024 bits', 'X-28', () => ({ key: keyFor('RSA-1024') })),
  root('key', 'RSA of 3072 bits', undefined, () => ({ key: keyFor('RSA-3072') })),
  root('key', 'P-384', undefined, { keyKind: 'P-384' }),
  root('signature', 'SHA-1 on itself', undefined, { hash: 'sha1' }),
  root('signature', 'tampered with on itself', undefined, { tampered: true })
]

const FORM: readonly Defect[] = [
  leaf('version', 'version 1 with extensions', 'X-27', { version: 0 }),
  leaf('version', 'version 2 with extensions', 'X-27', { version: 1 }),
  leaf('version', 'version 4', 'X-27', { version: 3 }),
  leaf('serial', 'zero', undefined, { serial: 0n }),
  leaf('serial', '20 bytes', undefined, { serial: '7f'.repeat(20) }),
  leaf('serial', '21 bytes', 'X-27', { serial: '7f'.repeat(21) }),
  leaf('serial', 'below zero', 'X-27', { serial: 0x1234n, editTbs: swapped(int(0x1234n), tlv(0x02, Uint8Array.of(0x92, 0x34))) }),
  leaf('serial', 'a needless zero byte', 'X-27', {
    serial: 0x1234n,
    editTbs: swapped(int(0x1234n), tlv(0x02, Uint8Array.of(0, 0x12, 0x34)))
  }),
  leaf('serial', 'a length in the long form', 'X-27', {
    serial: 0x1234n,
    editTbs: swapped(int(0x1234n), Uint8Array.of(0x02, 0x81, 2, 0x12, 0x34))
  })
]

type Sent = Draft['sent'][number]
type Anchors = Draft['anchors'][number]
const sent = (named: string, rules: Rules, change: Sent, options?: Options) =>
  defect('sent', `sent: ${named}`, rules, (draft) => draft.sent.push(change), options)
const held = (named: string, rules: Rules, change: Anchors, options?: Options) =>
  defect('held', `held: ${named}`, rules, (draft) => draft.anchors.push(change), options)

const SHAPE: readonly Defect[] = [
  sent('intermediates in the wrong order', undefined, ([first = new Uint8Array(), ...rest]) => [first, ...rest.reverse()], { needs: 2 }),
  sent('the root too', undefined, (chain, made) => [...chain, made.root.der]),
  sent('the root before the intermediates', undefined, ([first = new Uint8Array(), ...rest], made) => [first, made.root.der, ...rest], {
    needs: 1
  }),
  sent('something that does not belong', undefined, (chain, made) => [...chain, made.partner.der]),
  sent('the leaf twice', undefined, ([first = new Uint8Array(), ...rest]) => [first, first, ...rest]),
  sent('the intermediate twice', undefined, (chain) => [...chain, ...chain.slice(1, 2)], { needs: 1 }),
  sent(
    'another intermediate of the same name first',
    undefined,
    async ([first = new Uint8Array(), ...rest], made) => {
      const twin = await authorityAt(made.now, { name: made.lowest.name, parent: made.intermediates.at(-2) ?? made.root })
      return [first, twin.der, ...rest]
    },
    { needs: 1, hides: ['leaf key id', 'low key'] }
  ),
  sent('an intermediate left out', ['X-19', 'X-20'], (chain) => chain.toSpliced(1, 1), { needs: 1, hides: ['low', 'held'] }),
  sent('nine certificates', 'X-25', (chain, made) => [...chain, ...Array.from({ length: 9 - chain.length }, () => made.partner.der)]),
  sent('eight certificates', undefined, (chain, made) => [...chain, ...Array.from({ length: 8 - chain.length }, () => made.partner.der)]),
  sent('bytes that are no certificate', 'X-27', (chain) => [...chain, seq(int(1))]),
  sent('a byte behind the leaf', 'X-27', ([first = new Uint8Array(), ...rest]) => [concat(first, Uint8Array.of(0)), ...rest]),
  sent(
    'a byte behind the intermediate',
    'X-27',
    ([first = new Uint8Array(), second = new Uint8Array(), ...rest]) => [first, concat(second, Uint8Array.of(0)), ...rest],
    { needs: 1 }
  ),
  defect(
    'sent',
    'sent: the intermediate as the leaf',
    ['X-11'],
    (draft) => {
      draft.sent.push((chain) => chain.slice(1))
      draft.clientKey = ({ lowest }) => lowest.key
    },
    { needs: 1, hides: ['leaf', 'low'] }
  ),
  defect(
    'signer',
    'signed by the partner',
    'X-20',
    (draft) => {
      draft.signer = ({ partner }) => partner
    },
    { hides: ['low', 'root', 'held', 'sent', 'leaf issuer', 'upper', 'leaf san'] }
  ),
  defect(
    'signer',
    'another key under the name of the issuer',
    'X-14',
    (draft) => {
      draft.signer = ({ lowest }) => ({ ...lowest, key: keyFor('P-256') })
    },
    { hides: ['leaf signature', 'low', 'root', 'held', 'sent'] }
  ),
  defect(
    'signer',
    'signed by itself',
    ['X-19'],
    (draft) => {
      const key = keyFor('P-256')
      const subject = name([['2.5.4.3', 'me']])
      draft.leaf.key = key
      draft.leaf.subject = subject
      draft.signer = () => ({ subject, key, keyId: octets(Uint8Array.of(1)) })
    },
    { hides: ['leaf', 'low', 'root', 'held', 'upper', 'sent'] }
  ),
  held('no bundle of the trust domain', 'X-21', (anchors) => void anchors.delete('vec.test'), { hides: ['low', 'root', 'upper'] }),
  held('an empty bundle', 'X-22', (anchors) => void anchors.set('vec.test', []), { hides: ['root'] }),
  held(
    'another root under the same name',
    'X-14',
    async (anchors, { now }) => void anchors.set('vec.test', [(await authorityAt(now, { name: 'root' })).der]),
    { hides: ['root', 'leaf signature', 'low signature', 'low key'] }
  ),
  held(
    'another root of another name',
    ['X-19', 'X-20'],
    async (anchors, { now }) => void anchors.set('vec.test', [(await authorityAt(now, { name: 'another' })).der]),
    { hides: ['root'] }
  ),
  held('the root twice', undefined, (anchors, made) => void anchors.set('vec.test', [made.root.der, made.root.der])),
  held(
    'another root of the same name first',
    undefined,
    async (anchors, made) => void anchors.set('vec.test', [(await authorityAt(made.now, { name: 'root' })).der, made.root.der]),
    { hides: ['root'] }
  ),
  held('an intermediate instead of the root', undefined, (anchors, made) => void anchors.set('vec.test', [made.lowest.der]), {
    needs: 1,
    hides: ['root', 'upper', 'low signature']
  }),
  held(
    'the lower of two intermediates beside the root',
    undefined,
    (anchors, made) => void anchors.set('vec.test', [made.root.der, made.lowest.der]),
    { needs: 2, hides: ['root', 'upper', 'low signature'] }
  ),
  held(
    'an intermediate beside the root',
    undefined,
    (anchors, made) => void anchors.set('vec.test', [made.root.der, ...made.intermediates.slice(0, 1).map(({ der }) => der)]),
    {
      needs: 1,
      hides: ['root', 'upper', 'low signature']
    }
  ),
  defect(
    'held',
    'held: an intermediate that nobody signed beside the root',
    undefined,
    (draft) => {
      turn(draft.intermediates[0] ?? {}, { tampered: true }, draft.now)
      draft.anchors.push(
        (anchors, made) => void anchors.set('vec.test', [made.root.der, ...made.intermediates.slice(0, 1).map(({ der }) => der)])
      )
    },
    { needs: 1, hides: ['root', 'upper', 'low signature'] }
  ),
  held('the leaf instead of the root', ['X-26'], (anchors, made) => void anchors.set('vec.test', [made.leaf.der]), {
    hides: ['low', 'root', 'upper', 'leaf issuer', 'leaf signature', 'sent', 'signer']
  })
]

export const DEFECTS: readonly Defect[] = [...VALIDITY, ...NAMES, ...PURPOSES, ...LIMITS, ...EXTENSIONS, ...SIGNATURES, ...FORM, ...SHAPE]
