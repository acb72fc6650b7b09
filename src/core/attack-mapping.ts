/**
 * What a denial, or what was seen in a text, is consistent with, in the words of the field: MITRE ATLAS techniques, and the OWASP
 * lists for LLM applications and for agents. Never a proof. docs/mappings holds the names, and a test holds both together.
 */
import { DENIALS, type DenyKind } from './deny-reason.ts'
import type { Screened } from './screening.ts'

/** Version of the ATLAS data that the identifiers are from. */
export const ATLAS_VERSION = '5.6.0'

interface Mapping {
  /** Beside the technique of the reason's own row. */
  readonly alsoAtlas: readonly string[]
  readonly owasp: readonly string[]
  /** The call itself asked for it; otherwise it is only suspected. */
  readonly observed: boolean
}

const NONE: Mapping = { alsoAtlas: [], owasp: [], observed: false }
const IDENTITY: Mapping = { alsoAtlas: ['AML.T0073'], owasp: ['ASI03'], observed: false }
const TOKEN: Mapping = { alsoAtlas: ['AML.T0055'], owasp: ['ASI03', 'ASI07'], observed: false }
const FOREIGN: Mapping = { alsoAtlas: ['AML.T0036'], owasp: ['LLM08', 'LLM02', 'ASI03'], observed: true }
const CIRCUMSTANCE: Mapping = { alsoAtlas: ['AML.T0036'], owasp: ['LLM02', 'LLM06', 'ASI03'], observed: true }
const DESTROYS: Mapping = { alsoAtlas: ['AML.T0053'], owasp: ['LLM06', 'ASI02'], observed: true }
const COSTS: Mapping = { alsoAtlas: ['AML.T0029'], owasp: ['LLM10', 'ASI08'], observed: true }

const DENIED: Readonly<Record<DenyKind, Mapping>> = {
  'no-identity': NONE,
  'svid-expired': IDENTITY,
  'identity-revoked': IDENTITY,
  'svid-untrusted': { ...IDENTITY, alsoAtlas: ['AML.T0012', 'AML.T0074'] },
  'identity-conflict': { ...IDENTITY, alsoAtlas: ['AML.T0073', 'AML.T0074'] },
  'subject-required': TOKEN,
  'subject-invalid': TOKEN,
  'subject-expired': TOKEN,
  'caller-unknown': IDENTITY,
  'call-unreadable': NONE,
  'call-ambiguous': { alsoAtlas: ['AML.T0049'], owasp: ['ASI02'], observed: false },
  'call-too-large': COSTS,
  'operation-unknown': { alsoAtlas: ['AML.T0075'], owasp: ['ASI02'], observed: false },
  'tenant-not-named': { ...FOREIGN, observed: false },
  'tenant-not-allowed': FOREIGN,
  'collection-not-allowed': FOREIGN,
  'purpose-conflict': CIRCUMSTANCE,
  'residency-conflict': CIRCUMSTANCE,
  'attestation-too-weak': CIRCUMSTANCE,
  'write-not-allowed': { alsoAtlas: ['AML.T0071', 'AML.T0059'], owasp: ['LLM04', 'LLM08', 'ASI06'], observed: true },
  'delete-not-allowed': DESTROYS,
  'text-not-allowed': NONE,
  'approval-required': { ...DESTROYS, observed: false },
  'export-not-allowed': { alsoAtlas: ['AML.T0025', 'AML.T0085.000'], owasp: ['LLM02', 'LLM08'], observed: true },
  'vectors-not-allowed': { alsoAtlas: ['AML.T0024.000'], owasp: ['LLM08'], observed: true },
  'token-missing': TOKEN,
  'token-invalid': TOKEN,
  'token-expired': TOKEN,
  'token-mismatch': TOKEN,
  'rate-exceeded': COSTS,
  'cost-exceeded': COSTS,
  'step-up-required': { alsoAtlas: ['AML.T0085.000'], owasp: ['ASI01', 'ASI10'], observed: false },
  quarantined: { alsoAtlas: [], owasp: ['ASI10'], observed: false },
  'trust-unavailable': NONE,
  'policy-unavailable': NONE,
  'state-unavailable': NONE,
  deadline: NONE,
  internal: NONE
}

/** What was found in a text; of a write it is what others will read. */
const FOUND: Readonly<Record<Screened, { readonly reading: Found; readonly writing: Found }>> = {
  instruction: {
    reading: { atlas: ['AML.T0051.000'], owasp: ['LLM01', 'ASI01'] },
    writing: { atlas: ['AML.T0051.001', 'AML.T0070'], owasp: ['LLM01', 'LLM04', 'LLM08', 'ASI06'] }
  },
  secret: { reading: { atlas: ['AML.T0055'], owasp: ['LLM02'] }, writing: { atlas: ['AML.T0055'], owasp: ['LLM02'] } },
  'secret-hunt': { reading: { atlas: ['AML.T0082'], owasp: ['LLM02', 'ASI03'] }, writing: { atlas: [], owasp: ['LLM02'] } },
  'other-tenant': { reading: { atlas: ['AML.T0085.000'], owasp: ['LLM08'] }, writing: { atlas: ['AML.T0070'], owasp: ['LLM08'] } },
  unscreened: { reading: { atlas: [], owasp: [] }, writing: { atlas: [], owasp: [] } }
}

interface Found {
  readonly atlas: readonly string[]
  readonly owasp: readonly string[]
}

export interface Mapped {
  readonly technique: string
  readonly confidence: 'suspected' | 'observed'
}

/** The technique of the reason first, then those that it may also be. */
export function atlasOf(kind: DenyKind): readonly Mapped[] {
  const { atlas } = DENIALS[kind]
  const { alsoAtlas, observed } = DENIED[kind]
  const first = atlas === null ? [] : [{ technique: atlas, confidence: observed ? ('observed' as const) : ('suspected' as const) }]
  return [...first, ...alsoAtlas.map((technique) => ({ technique, confidence: 'suspected' as const }))]
}

/** What the texts of a call are consistent with: each technique and each entry once. */
export function foundIn(
  found: readonly Screened[],
  writes: boolean
): { readonly atlas: readonly Mapped[]; readonly owasp: readonly string[] } {
  const all = found.map((one) => FOUND[one][writes ? 'writing' : 'reading'])
  const atlas = [...new Set(all.flatMap((one) => one.atlas))].map((technique) => ({ technique, confidence: 'suspected' as const }))
  return { atlas, owasp: [...new Set(all.flatMap((one) => one.owasp))] }
}

/** Identifiers of the OWASP lists: `LLM…` (2025) and `ASI…` (December 2025). */
export function owaspOf(kind: DenyKind): readonly string[] {
  return DENIED[kind].owasp
}
