/** Any text as XFCC, or as the certificate beside it, gives a verdict: never a throw, and never another caller than the certificate's. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCallerCache, identify } from '../../src/identity/identify.ts'
import { decodeUrlPem } from '../../src/identity/pem.ts'
import { parseXfcc, type XfccResult } from '../../src/identity/xfcc.ts'
import { envoyPem, newKey, xfccFor } from '../support/ca.ts'
import { ID, NOW, root, svid, TRUST } from '../support/chains.ts'
import { change, spoil } from './byte-changes.ts'
import { catches, expectClosed, runs } from './runs.ts'

const RUNS = runs(300)
const good = await svid(root, { key: newKey('P-256'), dns: ['a.test'] })
const header = xfccFor(good)
const pem = envoyPem(good.der)

const pieces = header.split(/(?<=[,;="\\])|(?=[,;="\\])/)
const STRANGE = [',', ';', '=', '"', '\\', '[', '{', '\n', '\0', 'é', 'URI', 'By', 'spiffe://vec.test/admin', '']
const soup = fc.array(fc.constantFrom(...pieces, ...STRANGE), { maxLength: 20 }).map((parts) => parts.join(''))
const spoiledText = (text: string) =>
  fc.array(change, { maxLength: 2 }).map((list) => Buffer.from(list.reduce(spoil, Buffer.from(text))).toString('latin1'))

/** Pairs as Envoy writes them, some of them changed, repeated, moved, quoted or not; and now and then a second element. */
const GOOD_PAIRS = [...header.matchAll(/(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^;,"]*))(?:;|$)/g)].map(([, key = '', quoted, plain]) => ({
  key,
  value: quoted ?? plain ?? '',
  quoted: quoted !== undefined
}))
const pair = fc.record({
  key: fc.oneof(
    fc.constantFrom('By', 'Hash', 'Cert', 'Chain', 'Subject', 'URI', 'DNS'),
    fc.constantFrom('uri', 'URI ', 'Uri2', '', 'HASH', '"URI"')
  ),
  value: fc.oneof(
    fc.constantFrom(ID, 'spiffe://vec.test/admin', 'O=a\\\\', 'CN=a\\, b', '\\"a\\"', 'a;URI=spiffe://vec.test/admin'),
    fc.constantFrom(...STRANGE),
    soup
  ),
  quoted: fc.boolean()
})
const shaped = fc
  .tuple(
    fc.array(fc.tuple(fc.noBias(fc.nat()), fc.constantFrom('put', 'cut', 'replace', 'repeat', 'quote', 'lower', 'move'), pair), {
      maxLength: 3
    }),
    fc.constantFrom(';', ';', ';', ',', '; ', '')
  )
  .map(([list, separator]) => {
    const pairs = GOOD_PAIRS.map((one) => ({ ...one }))
    for (const [where, how, other] of list) {
      const at = where % (pairs.length + 1)
      const known = pairs[at] ?? other
      if (how === 'put') pairs.splice(at, 0, other)
      if (how === 'cut') pairs.splice(at, 1)
      if (how === 'replace') pairs.splice(at, 1, { ...other, key: known.key })
      if (how === 'repeat') pairs.splice(at, 0, known)
      if (how === 'quote') pairs.splice(at, 1, { ...known, quoted: !known.quoted })
      if (how === 'lower') pairs.splice(at, 1, { ...known, key: known.key.toLowerCase() })
      if (how === 'move') pairs.push(...pairs.splice(at, 1))
    }
    const texts = pairs.map(({ key, value, quoted }) => `${key}=${quoted ? `"${value}"` : value}`)
    // One joint is the strange one, the others are as they should be.
    const joint = list[0]?.[0] ?? 0
    return texts.map((one, index) => (index === 0 ? one : `${index === joint % texts.length ? separator : ';'}${one}`)).join('')
  })
const headers = fc.oneof({ arbitrary: shaped, weight: 3 }, soup, spoiledText(header), fc.string())

/** Another reading: one regular expression for the whole of one element. Undefined where it is not exactly one. */
function secondReading(text: string): readonly (readonly [key: string, value: string])[] | undefined {
  const value = String.raw`"(?:[^"\\]|\\.)*"|[^",;]*`
  const whole = new RegExp(
    `^(?:By|Hash|Cert|Chain|Subject|URI|DNS)=(?:${value})(?:;(?:By|Hash|Cert|Chain|Subject|URI|DNS)=(?:${value}))*$`,
    'i'
  )
  if (!/^[\x20-\x7e]*$/.test(text) || !whole.test(text)) return undefined
  return [...text.matchAll(new RegExp(`(\\w+)=(${value})(?:;|$)`, 'g'))].map(([, key = '', raw = '']) => {
    return [key.toLowerCase(), raw.startsWith('"') ? raw.slice(1, -1).replace(/\\(.)/g, (_, one: string) => one) : raw]
  })
}

type Reader = (text: string) => XfccResult
const ours: Reader = (text) => {
  const result = parseXfcc(text)
  if (!result.ok) expectClosed(result)
  return result
}

const readTheSame = (read: Reader, accepted: { count: number }) =>
  fc.property(headers, (text) => {
    const [result, other] = [read(text), secondReading(text)]
    const single = ['hash', 'cert', 'chain', 'subject'] as const
    const twice = single.some((name) => (other ?? []).filter(([key]) => key === name).length > 1)
    expect(result.ok).toBe(other !== undefined && !twice)
    if (!result.ok || other === undefined) return
    accepted.count++
    const values = (name: string) => other.filter(([key]) => key === name).map(([, value]) => value)
    for (const name of single) expect(result.element[name]).toBe(values(name)[0])
    for (const name of ['by', 'uri', 'dns'] as const) expect(result.element[name]).toEqual(values(name))
  })

const inbound = (certificate: string, xfcc: string) => ({
  method: 'GET',
  target: '/',
  authority: 'chroma.test',
  headers: new Map([['x-forwarded-client-cert', xfcc]]),
  body: undefined,
  peerCertificate: certificate,
  peerPrincipal: undefined,
  httpId: '1',
  strippedCredentials: [],
  grpc: false
})
const KINDS = ['identity-conflict', 'svid-untrusted', 'svid-expired', 'no-identity']

describe('XFCC', () => {
  it('is one element as a second reader reads it, or refused', () => {
    const accepted = { count: 0 }
    fc.assert(readTheSame(ours, accepted), RUNS)
    expect(accepted.count).toBeGreaterThan(RUNS.numRuns / 20)
  })

  it('of any kind, beside any certificate text, makes no other caller than the certificate does', () => {
    const cache = createCallerCache(10)
    let accepted = 0
    fc.assert(
      fc.property(fc.oneof({ arbitrary: fc.constant(pem), weight: 2 }, spoiledText(pem)), headers, (certificate, xfcc) => {
        const result = identify(inbound(certificate, xfcc), TRUST, NOW, cache)
        if (!result.ok) {
          expect(KINDS).toContain(result.reason.kind)
          return
        }
        accepted++
        expect(result.value.id.text).toBe(ID)
        expect(decodeURIComponent(certificate).replaceAll('\n', '')).toBe(decodeURIComponent(pem).replaceAll('\n', ''))
        const uris = secondReading(xfcc)?.filter(([key]) => key === 'uri')
        expect(uris?.every(([, value]) => value === ID)).toBe(true)
      }),
      RUNS
    )
    expect(accepted).toBeGreaterThan(RUNS.numRuns / 100)
  })

  it('holds PEM that is the text which its bytes are written as, or is refused', () => {
    fc.assert(
      fc.property(fc.oneof(soup, spoiledText(pem), fc.string()), (text) => {
        const result = decodeUrlPem(text, 8)
        if (!result.ok) return
        const again = decodeURIComponent(envoyPem(...result.certificates))
        expect(decodeURIComponent(text).replaceAll('\n', '')).toBe(again.replaceAll('\n', ''))
      }),
      RUNS
    )
  })
})

describe('the same machinery finds a reader of XFCC', () => {
  it('that knows no quotes', async () => {
    const careless: Reader = (text) => {
      const element = { hash: undefined, cert: undefined, chain: undefined, subject: undefined, by: [], uri: [] as string[], dns: [] }
      const found: Record<string, unknown> = element
      for (const one of text.split(';')) {
        const [key = '', value = ''] = one.split('=', 2)
        if (key.toLowerCase() === 'uri') element.uri.push(value)
        else found[key.toLowerCase()] = value.replaceAll('"', '')
      }
      return { ok: true, element }
    }
    expect(await catches(readTheSame(careless, { count: 0 }))).toBe(true)
  })

  it('that takes the last of two elements', async () => {
    const careless: Reader = (text) => parseXfcc(text.slice(text.lastIndexOf(',') + 1))
    expect(await catches(readTheSame(careless, { count: 0 }))).toBe(true)
  })

  it('that unescapes nothing', async () => {
    const careless: Reader = (text) => {
      const result = parseXfcc(text)
      const subject = /Subject="((?:[^"\\]|\\.)*)"/i.exec(text)?.[1]
      return result.ok && subject !== undefined ? { ok: true, element: { ...result.element, subject } } : result
    }
    expect(await catches(readTheSame(careless, { count: 0 }))).toBe(true)
  })
})
