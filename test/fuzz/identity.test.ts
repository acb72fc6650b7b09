/**
 * Any bytes give a verdict: never a throw, and never a caller but the one that the certificate authority vouched for.
 * FUZZ_RUNS sets the runs of each property; the unit run keeps them few.
 */
import { X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCallerCache, identify } from '../../src/identity/identify.ts'
import { decodeUrlPem } from '../../src/identity/pem.ts'
import { readCertificate } from '../../src/identity/x509-certificate.ts'
import { readLeaf } from '../../src/identity/x509-leaf.ts'
import { verifyX509Svid } from '../../src/identity/x509-svid.ts'
import { parseXfcc } from '../../src/identity/xfcc.ts'
import { envoyPem, newKey, xfccFor } from '../support/ca.ts'
import { ID, mid, NOW, root, svid, TRUST } from '../support/chains.ts'
import { concat, tlv } from '../support/der-write.ts'

const RUNS = { numRuns: Number(process.env['FUZZ_RUNS'] ?? 300) }
const key = newKey('P-256')
const good = await svid(root, { key, dns: ['a.test'] })
const deep = await svid(mid, { key })

interface Change {
  readonly kind: 'set' | 'flip' | 'cut' | 'insert' | 'repeat' | 'swap'
  /** Two places, as parts of the whole. */
  readonly at: number
  readonly to: number
  readonly byte: number
}

const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const change: fc.Arbitrary<Change> = fc.record({
  kind: fc.constantFrom('set', 'flip', 'cut', 'insert', 'repeat', 'swap'),
  at: place,
  to: place,
  byte: fc.integer({ min: 0, max: 255 })
})
const changes = fc.array(change, { minLength: 1, maxLength: 3 })
const bytes = fc.uint8Array({ maxLength: 80 })

/** Changes bytes without regard for what they mean. */
function spoil(der: Uint8Array, { kind, at, to, byte }: Change): Uint8Array {
  const index = Math.floor(at * der.length)
  const end = Math.min(der.length, index + Math.floor(to * 16))
  const [before, piece, after] = [der.subarray(0, index), der.subarray(index, end), der.subarray(end)]
  if (kind === 'cut') return concat(before, after)
  if (kind === 'insert') return concat(before, Uint8Array.of(byte), piece, after)
  if (kind === 'repeat') return concat(before, piece, piece, after)
  if (kind === 'swap') return concat(before, Uint8Array.from(piece).reverse(), after)
  const copy = Uint8Array.from(der)
  copy[index] = kind === 'set' ? byte : (copy[index] ?? 0) ^ (1 << (byte & 7))
  return copy
}

/** A tree of DER: what could be read as a constructed value (or wrapped one) has children. */
interface Node {
  tag: number
  bytes: Uint8Array
  children: Node[] | undefined
}

function grow(der: Uint8Array): Node[] | undefined {
  const nodes: Node[] = []
  for (let at = 0; at < der.length; ) {
    const [tag = 0, short = 0] = der.subarray(at)
    const count = short < 0x80 ? 0 : short & 0x7f
    const length = count === 0 ? short : der.subarray(at + 2, at + 2 + count).reduce((sum, byte) => sum * 256 + byte, 0)
    const from = at + 2 + count
    if (from + length > der.length || count > 3) return undefined
    const content = der.subarray(from, from + length)
    const wraps = (tag & 0x20) !== 0 || tag === 0x04
    nodes.push({ tag, bytes: content, children: wraps && length > 0 ? grow(content) : undefined })
    at = from + length
  }
  return nodes
}

const written = ({ tag, bytes, children }: Node): Uint8Array => tlv(tag, ...(children === undefined ? [bytes] : children.map(written)))

/** Changes the tree and keeps it well formed, lengths included: the kind of damage that a parser does not see at once. */
function distort(der: Uint8Array, { kind, at, to, byte }: Change): Uint8Array {
  const tops = grow(der)
  if (tops === undefined) return der
  const lists: Node[][] = []
  const visit = (nodes: Node[]): void => {
    lists.push(nodes)
    for (const { children } of nodes) if (children !== undefined) visit(children)
  }
  visit(tops)
  const list = lists[Math.floor(at * lists.length)] ?? tops
  const index = Math.floor(to * list.length)
  const node = list[index]
  if (node === undefined) return der
  if (kind === 'cut') list.splice(index, 1)
  if (kind === 'repeat') list.splice(index, 0, node)
  if (kind === 'swap') list.reverse()
  if (kind === 'set') node.tag = byte
  if (kind === 'insert') list.splice(index, 0, { tag: byte, bytes: node.bytes, children: undefined })
  if (kind === 'flip' && node.children === undefined) node.bytes = spoil(node.bytes, { kind: 'set', at: to, to, byte })
  return concat(...tops.map(written))
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

describe('certificates', () => {
  it('bytes of chance are no certificate', () => {
    fc.assert(
      fc.property(fc.array(bytes, { maxLength: 10 }), (chain) => {
        expect(verifyX509Svid(chain, TRUST, NOW).ok).toBe(false)
      }),
      RUNS
    )
  })

  it('a changed certificate is refused, leaf or intermediate', () => {
    fc.assert(
      fc.property(changes, fc.boolean(), fc.boolean(), (list, shaped, leaf) => {
        const [position, original] = leaf ? [0, deep.der] : [1, mid.der]
        const changed = list.reduce(shaped ? distort : spoil, original)
        const verdict = verifyX509Svid(deep.chain.with(position, changed), TRUST, NOW)
        expect(verdict.ok).toBe(same(changed, original))
      }),
      RUNS
    )
  })

  it('a strange certificate that our own root signed is refused, or OpenSSL reads it the same way', async () => {
    const issuer = new X509Certificate(root.der)
    let accepted = 0
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 2 }), async (list) => {
        const { der } = await svid(root, { key, dns: ['a.test'], editTbs: (tbs) => list.reduce(distort, tbs) })
        const verdict = verifyX509Svid([der], TRUST, NOW)
        if (!verdict.ok) return
        accepted++
        const other = new X509Certificate(der)
        // Not checkIssued: it takes a key identifier for more than a hint.
        expect(other.verify(issuer.publicKey)).toBe(true)
        expect(other.ca).toBe(false)
        expect(other.subjectAltName?.split(', ').filter((name) => name.startsWith('URI:'))).toEqual([`URI:${verdict.id.text}`])
        expect(other.serialNumber.toLowerCase()).toBe(verdict.serial)
        expect([other.validFromDate.getTime(), other.validToDate.getTime()]).toEqual([verdict.leaf.notBefore, verdict.leaf.notAfter])
      }),
      RUNS
    )
    expect(accepted).toBeGreaterThan(RUNS.numRuns / 20)
  })

  it('what is read as a certificate, OpenSSL reads as one', () => {
    fc.assert(
      fc.property(changes, fc.boolean(), (list, shaped) => {
        const changed = list.reduce(shaped ? distort : spoil, good.der)
        if (readCertificate(changed).ok) expect(() => new X509Certificate(changed)).not.toThrow()
      }),
      RUNS
    )
  })

  it('these changes do find a verifier that checks no signature', () => {
    const careless = fc.property(changes, fc.boolean(), (list, shaped) => {
      const changed = list.reduce(shaped ? distort : spoil, good.der)
      const read = readCertificate(changed)
      const accepted = read.ok && readLeaf(read.certificate).ok
      expect(accepted).toBe(same(changed, good.der))
    })
    expect(fc.check(careless, { numRuns: 5_000, seed: 1 }).failed).toBe(true)
  })
})

describe('texts', () => {
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
  const header = xfccFor(good)
  const pem = envoyPem(good.der)
  const pieces = header.split(/(?<=[,;="\\])|(?=[,;="\\])/)
  const soup = fc
    .array(fc.constantFrom(...pieces, ',', ';', '=', '"', '\\', '[', '{', '\n', '\0', 'é', 'URI', 'By', 'spiffe://vec.test/admin'), {
      maxLength: 20
    })
    .map((parts) => parts.join(''))
  const spoiledText = (text: string) =>
    fc.array(change, { maxLength: 2 }).map((list) => Buffer.from(list.reduce(spoil, Buffer.from(text))).toString('latin1'))

  it('an XFCC of pieces has a verdict, and an accepted one holds nothing that is not printable', () => {
    fc.assert(
      fc.property(fc.oneof(soup, spoiledText(header), fc.string()), (text) => {
        const result = parseXfcc(text)
        if (result.ok) expect(JSON.stringify(result.element)).toMatch(/^[\x20-\x7e]+$/)
        else expect(['P-5', 'P-7']).toContain(result.rule)
      }),
      RUNS
    )
  })

  it('a PEM of pieces has a verdict, and an accepted one is the text that its bytes are written as', () => {
    fc.assert(
      fc.property(fc.oneof(soup, spoiledText(pem), fc.string()), (text) => {
        const result = decodeUrlPem(text, 8)
        if (result.ok)
          expect(decodeURIComponent(text).replaceAll('\n', '')).toBe(
            decodeURIComponent(envoyPem(...result.certificates)).replaceAll('\n', '')
          )
      }),
      RUNS
    )
  })

  it('no certificate text and no XFCC make another caller than the certificate does', () => {
    const cache = createCallerCache(10)
    let accepted = 0
    fc.assert(
      fc.property(
        fc.oneof(fc.constant(pem), spoiledText(pem)),
        fc.oneof(soup, spoiledText(header), fc.constant(header)),
        (certificate, xfcc) => {
          const result = identify(inbound(certificate, xfcc), TRUST, NOW, cache)
          if (!result.ok) return
          accepted++
          expect(result.value.id.text).toBe(ID)
          expect(decodeURIComponent(certificate).replaceAll('\n', '')).toBe(decodeURIComponent(pem).replaceAll('\n', ''))
        }
      ),
      RUNS
    )
    expect(accepted).toBeGreaterThan(0)
  })
})
