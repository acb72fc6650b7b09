/** Chains that the X.509 rules are asked about: one world of authorities, and rows that say what comes of a chain. */
import { expect, it } from 'vitest'
import { verifyX509Svid, type X509Verdict } from '../../src/identity/x509-svid.ts'
import { type Authority, type AuthoritySpec, bundlesOf, issueSvid, makeAuthority, newKey, type Svid, type SvidSpec } from './ca.ts'
import { seq } from './der-write.ts'

export const NOW = Date.UTC(2026, 10, 20, 12)
export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const ID = 'spiffe://vec.test/ns/acme/agent/support'

export const authority = (spec: Partial<AuthoritySpec> = {}): Promise<Authority> =>
  makeAuthority({ trustDomain: 'vec.test', notBefore: NOW - 24 * HOUR, notAfter: NOW + 24 * HOUR, ...spec })
export const svid = (by: Authority, spec: SvidSpec = {}): Promise<Svid> =>
  issueSvid(by, { id: ID, notBefore: NOW - MINUTE, notAfter: NOW + HOUR, ...spec })

export const root = await authority({ name: 'root' })
export const partner = await authority({ name: 'partner root', trustDomain: 'partner.test' })
export const mid = await authority({ name: 'intermediate', parent: root })
export const rsaKey = newKey('RSA-2048')

export type Chain = readonly Uint8Array[]
export interface Row {
  /** The rule number first. */
  readonly name: string
  readonly want: string
  readonly chain: () => Promise<Chain>
  /** `vec.test` and `partner.test`, each with its root, unless said otherwise. */
  readonly anchors?: (() => Promise<readonly Authority[]>) | readonly Authority[]
  readonly now?: number
}

export const TRUST = bundlesOf([root, partner])
export const leafOf = (spec: SvidSpec) => async (): Promise<Chain> => (await svid(root, spec)).chain
export const leafBelow =
  (spec: Partial<AuthoritySpec>, leaf: SvidSpec = {}) =>
  async (): Promise<Chain> =>
    (await svid(await authority({ name: 'below', parent: root, ...spec }), leaf)).chain

export function check(rows: readonly Row[]): void {
  it.each(rows)('$name: $want', async ({ chain, anchors, now, want }) => {
    const held = typeof anchors === 'function' ? await anchors() : anchors
    const verdict = verifyX509Svid(await chain(), held === undefined ? TRUST : bundlesOf(held), now ?? NOW)
    expect(shown(verdict)).toBe(want)
  })
}

/** `valid`, or the rule; an expired leaf with its kind, because the caller is told another sentence. */
export function shown(verdict: X509Verdict): string {
  if (verdict.ok) return 'valid'
  expect(verdict.detail).toMatch(/^[\x20-\x7e]+$/)
  return verdict.kind === 'svid-expired' ? `${verdict.rule} expired` : verdict.rule
}

/** Exchanges one piece of a SEQUENCE for another and writes the length anew. */
export function replaced(sequence: Uint8Array, from: Uint8Array, to: Uint8Array): Uint8Array {
  const header = (sequence[1] ?? 0) < 0x80 ? 2 : 2 + ((sequence[1] ?? 0) & 0x7f)
  const body = Buffer.from(sequence.subarray(header))
  const at = body.indexOf(from)
  if (at === -1) throw new Error('the piece to replace is not there')
  return seq(body.subarray(0, at), to, body.subarray(at + from.length))
}
