/** Chains with defects: a good world of authorities, which defects change before it is made. */
import type { KeyObject } from 'node:crypto'
import type { TrustBundles } from '../../src/core/trust.ts'
import type { RuleNumber } from '../../src/identity/rules.ts'
import {
  type Authority,
  type AuthoritySpec,
  issueSvid,
  type KeyKind,
  makeAuthority,
  newKey,
  type Svid,
  type SvidSpec
} from '../support/ca.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

export interface Made {
  readonly root: Authority
  /** From below the root down. */
  readonly intermediates: readonly Authority[]
  /** What issued the leaf. */
  readonly lowest: Authority
  readonly partner: Authority
  readonly leaf: Svid
  readonly now: number
}

/** What defects change. Functions are applied in the order of the defects, after everything is signed. */
export interface Draft {
  readonly now: number
  readonly root: { -readonly [Key in keyof AuthoritySpec]?: AuthoritySpec[Key] }
  readonly intermediates: { -readonly [Key in keyof AuthoritySpec]?: AuthoritySpec[Key] }[]
  readonly leaf: { -readonly [Key in keyof SvidSpec]?: SvidSpec[Key] }
  signer: (made: Omit<Made, 'leaf'>) => Pick<Authority, 'subject' | 'key' | 'keyId'>
  readonly sent: ((chain: Uint8Array[], made: Made) => Uint8Array[] | Promise<Uint8Array[]>)[]
  readonly anchors: ((anchors: Map<string, Uint8Array[]>, made: Made) => void | Promise<void>)[]
  /** The key of the certificate that is sent first, where that is not the leaf. */
  clientKey: (made: Made) => KeyObject
}

/** One thing that is wrong with a chain, or merely unusual. */
export interface Defect {
  readonly name: string
  /** Two defects of one chain have different places. */
  readonly place: string
  /** The rules of which one refuses it; none for what is unusual and accepted. */
  readonly rules: readonly RuleNumber[]
  /** Intermediates that it takes. */
  readonly needs: number
  /** Places that it takes out of the path: they begin with one of these. */
  readonly hides: readonly string[]
  readonly apply: (draft: Draft) => void
}

export interface Case {
  readonly defects: readonly Defect[]
  readonly chain: readonly Uint8Array[]
  readonly bundles: TrustBundles
  readonly key: KeyObject
  readonly now: number
}

const keys = new Map<KeyKind, KeyObject>()

/** Keys that take long to make are made once. */
export function keyFor(kind: KeyKind): KeyObject {
  const known = keys.get(kind)
  if (known !== undefined) return known
  const key = newKey(kind)
  if (kind.startsWith('RSA')) keys.set(kind, key)
  return key
}

export function authorityAt(now: number, spec: Partial<AuthoritySpec>): Promise<Authority> {
  const key = spec.key ?? keyFor(spec.keyKind ?? 'P-256')
  return makeAuthority({ trustDomain: 'vec.test', notBefore: now - 24 * HOUR, notAfter: now + 24 * HOUR, ...spec, key })
}

/** A chain of `depth` intermediates, or more where a defect needs them. */
export async function chainWith(defects: readonly Defect[], depth: number, now: number): Promise<Case> {
  const levels = Math.max(depth, ...defects.map(({ needs }) => needs))
  const draft: Draft = {
    now,
    root: { name: 'root' },
    intermediates: Array.from({ length: levels }, (_, level) => ({ name: `intermediate ${level}` })),
    leaf: { id: 'spiffe://vec.test/ns/acme/agent/support', notBefore: now - MINUTE, notAfter: now + HOUR },
    signer: ({ lowest }) => lowest,
    sent: [],
    anchors: [],
    clientKey: ({ leaf }) => leaf.key
  }
  for (const { apply } of defects) apply(draft)
  const root = await authorityAt(now, draft.root)
  const intermediates: Authority[] = []
  for (const spec of draft.intermediates) intermediates.push(await authorityAt(now, { ...spec, parent: intermediates.at(-1) ?? root }))
  const partner = await authorityAt(now, { trustDomain: 'partner.test', name: 'partner root' })
  const above = { root, intermediates, lowest: intermediates.at(-1) ?? root, partner, now }
  const leaf = await issueSvid(
    { ...root, ...draft.signer(above) },
    { ...draft.leaf, key: draft.leaf.key ?? keyFor(draft.leaf.keyKind ?? 'P-256') }
  )
  const made: Made = { ...above, leaf }
  let chain: Uint8Array[] = [leaf.der, ...intermediates.map(({ der }) => der).reverse()]
  for (const change of draft.sent) chain = await change(chain, made)
  const anchors = new Map([
    ['vec.test', [root.der]],
    ['partner.test', [partner.der]]
  ])
  for (const change of draft.anchors) await change(anchors, made)
  return { defects, chain, bundles: { generation: 1, x509: anchors, receivedAt: now }, key: draft.clientKey(made), now }
}
