/** What docs/why-denied.md says of each reason, beside what code knows of it; a reason that is missing here does not compile. */
import { changeFor } from '../src/admin/explain-changes.ts'
import { DENIALS, type DenyKind, type DenyRow, isShadowed } from '../src/core/deny-reason.ts'

/** Who can do something about it. */
const WHO = {
  application: 'whoever runs the calling application',
  policy: 'whoever keeps the policy',
  operator: 'whoever operates vecauthz',
  platform: 'whoever operates SPIRE and Envoy',
  approver: 'an approver of the policy',
  supervisor: 'a supervisor, an operator, or the end user'
} as const

const RETRY = {
  no: { word: 'no', says: 'The same call is refused again, until something is changed.' },
  fresh: { word: 'with a fresh one', says: 'Once, with a fresh certificate or token.' },
  wait: { word: 'after `retry-after`', says: 'After as many seconds as `retry-after` says; not before.' },
  yes: { word: 'after a yes', says: 'The very same call, once somebody has said yes.' },
  later: { word: 'a few times', says: 'A few times with growing pauses: nothing was found to be wrong with the call.' }
} as const

interface Page {
  readonly means: string
  readonly who: readonly (keyof typeof WHO)[]
  readonly retry: keyof typeof RETRY
  /** A command or a place that shows it, beside `explain --decision`. */
  readonly see?: string
}

const SVID = '`vecauthz svid verify` says by which rule a certificate or a token is not good.'
const STANDINGS = '`vecauthz standings` says since when, why, with which numbers and decisions.'

const PAGES: Readonly<Record<DenyKind, Page>> = {
  'no-identity': {
    means: 'Nothing came with the call that could prove who calls: no client certificate, or the Envoy does not send it along.',
    who: ['application', 'platform'],
    retry: 'no',
    see: '`vecauthz doctor` finds an Envoy that asks for no certificate, or does not pass it on.'
  },
  'svid-expired': {
    means: 'The certificate (or JWT-SVID) was good until its end, and that is over; also on a connection that was opened before it.',
    who: ['application', 'platform'],
    retry: 'fresh',
    see: SVID
  },
  'identity-revoked': {
    means: 'Somebody has revoked the SPIFFE ID, this very certificate or this token: in the policy, or at once by an operator.',
    who: ['operator', 'policy'],
    retry: 'no',
    see: '`vecauthz revoke list`, and `revoked` of the policy.'
  },
  'svid-untrusted': {
    means:
      'What came as proof proves nothing here: another authority has signed it, it breaks a rule for SVIDs, or its trust domain is not listed.',
    who: ['platform', 'policy'],
    retry: 'no',
    see: SVID
  },
  'identity-conflict': {
    means: 'Two proofs came with the call, and they name different workloads.',
    who: ['application', 'platform'],
    retry: 'no',
    see: '`"caller"` and `because` of the record name both.'
  },
  'subject-required': {
    means: 'The workload acts for people (`delegated: true`), and the call has no token of one.',
    who: ['application'],
    retry: 'no'
  },
  'subject-invalid': {
    means: "The end user's token is by nobody who is listed, for somebody else, or its signature is not good.",
    who: ['application', 'policy'],
    retry: 'fresh',
    see: 'The alert VecauthzSubjectKeysOld: the keys of that issuer may be too old.'
  },
  'subject-expired': {
    means: "The end user's token was good until its end, and that is over.",
    who: ['application'],
    retry: 'fresh'
  },
  'caller-unknown': {
    means: 'The identity is proven, and the policy has no entry for it; or its entry has expired.',
    who: ['policy'],
    retry: 'no',
    see: '`vecauthz onboard` makes the entry, and says what the workload may do then.'
  },
  'call-unreadable': {
    means:
      'The body, the path or a header cannot be read in full as the database reads it: cut, of another encoding, with a key that it does not know.',
    who: ['application'],
    retry: 'no',
    see: '`vecauthz check --request FILE` reads the same call offline.'
  },
  'call-ambiguous': {
    means: 'Two readers could understand the call in two ways: a key that is there twice, an encoded slash, two spellings of one name.',
    who: ['application'],
    retry: 'no',
    see: '`vecauthz check --request FILE` reads the same call offline.'
  },
  'call-too-large': {
    means: 'The body is larger than this port takes, or the call is beyond a limit of the policy: results, queries, records in one call.',
    who: ['application', 'policy'],
    retry: 'no'
  },
  'operation-unknown': {
    means:
      'The endpoint is none that is served here: unknown, for administrators, or of another version; or the host is no database of the settings.',
    who: ['application', 'operator'],
    retry: 'no',
    see: 'The page of each database lists every route, and how it counts.'
  },
  'tenant-not-named': {
    means: 'The call says nowhere whose data it is about, and nothing is guessed.',
    who: ['application'],
    retry: 'no',
    see: 'The page of each database says where a call names its tenant.'
  },
  'tenant-not-allowed': {
    means: 'The call names a tenant that is not on the list of its workload, or not on that of its end user.',
    who: ['application', 'policy'],
    retry: 'no',
    see: '`vecauthz explain` names the nearest rule. Repeated, it raises the standing of the workload.'
  },
  'collection-not-allowed': {
    means: 'No rule allows this action on that collection to this workload and tenant; a collection that is not listed is no exception.',
    who: ['policy', 'application'],
    retry: 'no',
    see: '`vecauthz explain` names the nearest rule, and what it lacks.'
  },
  'purpose-conflict': {
    means: 'The purpose of the call is none that the workload has, or none that the collection serves.',
    who: ['application', 'policy'],
    retry: 'no'
  },
  'residency-conflict': {
    means: 'The data belongs to a region in which the workload does not run.',
    who: ['policy'],
    retry: 'no'
  },
  'attestation-too-weak': {
    means: 'The collection asks for workloads that were attested more strongly than this one.',
    who: ['platform', 'policy'],
    retry: 'no'
  },
  'write-not-allowed': {
    means: 'The call writes, or makes or alters a collection, and no rule allows that.',
    who: ['policy'],
    retry: 'no'
  },
  'delete-not-allowed': { means: 'The call deletes, and no rule allows that.', who: ['policy'], retry: 'no' },
  'text-not-allowed': {
    means:
      'A text in the call (a query, a document, a filter) has what the policy looks for: instructions to a model, a secret, the name of another tenant.',
    who: ['application', 'policy'],
    retry: 'no',
    see: '`owasp` and `atlas_mapping` of the record; the text itself is kept nowhere.'
  },
  'approval-required': {
    means: 'The operation cannot be undone, or the rule asks for a grant, and nobody has said yes to this very call.',
    who: ['approver'],
    retry: 'yes',
    see: '`vecauthz approvals` lists what waits; the id is in `x-vecauthz-approval`.'
  },
  'export-not-allowed': {
    means: 'The call takes data out as a whole (a snapshot, a backup), and no rule allows that.',
    who: ['policy'],
    retry: 'no'
  },
  'vectors-not-allowed': {
    means: 'The call asks for raw embeddings, from which texts can be won back, and no rule gives them out.',
    who: ['application', 'policy'],
    retry: 'no'
  },
  'token-missing': {
    means: 'The call reached the index without the policy token that the egress of the agent gives it: it came by another way.',
    who: ['platform'],
    retry: 'no',
    see: '`vecauthz doctor` looks at the Envoys of both sides.'
  },
  'token-invalid': {
    means: 'The policy token is by nobody whom the index lets vouch for this tenant, or its signature is not good.',
    who: ['policy', 'platform'],
    retry: 'no'
  },
  'token-expired': {
    means: 'The policy token is older than half a minute: a slow way, or two clocks that differ.',
    who: ['platform'],
    retry: 'later'
  },
  'token-mismatch': {
    means: 'The token was issued for another call: another caller, path, body or header; or a token for a write came twice.',
    who: ['platform', 'application'],
    retry: 'no',
    see: '`because` says which part differs. Repeated, it raises the standing of the workload.'
  },
  'rate-exceeded': {
    means: 'The workload calls more often than its budget, or its standing, lets it.',
    who: ['application', 'policy'],
    retry: 'wait',
    see: '`ratelimit` in the answer, and the page of the workload in the console.'
  },
  'cost-exceeded': {
    means: 'One call costs more than the whole budget of the workload, or what it may be shown is used up.',
    who: ['application', 'policy'],
    retry: 'wait',
    see: '`ratelimit` in the answer. Without `retry-after` waiting does not help: the call is too large by itself.'
  },
  'step-up-required': {
    means: 'The workload does something new or odd, and somebody else must vouch for it before it goes on.',
    who: ['supervisor'],
    retry: 'yes',
    see: `${STANDINGS} The id is in \`x-vecauthz-step-up\`, the challenge in \`www-authenticate\` (RFC 9470).`
  },
  quarantined: {
    means: 'The workload, or its agent type in that collection, has done what an attacker does, and gets nothing until that is looked at.',
    who: ['operator'],
    retry: 'no',
    see: STANDINGS
  },
  'trust-unavailable': {
    means: 'The bundles, or the keys of an issuer, are too old or were never had: nobody can be proven.',
    who: ['platform', 'operator'],
    retry: 'later',
    see: '`/readyz`, and the alert VecauthzTrustBundleOld.'
  },
  'policy-unavailable': {
    means: 'The server has no policy that it could decide by.',
    who: ['operator'],
    retry: 'later',
    see: '`/readyz`.'
  },
  'state-unavailable': {
    means: 'A fact is missing that this decision needs: the name behind an id, a credential, the standings, or room for the audit record.',
    who: ['operator'],
    retry: 'later',
    see: '`because` of the record, `/readyz`, and the alerts VecauthzCannotDecide and VecauthzAuditRefused.'
  },
  deadline: {
    means: 'The decision was not reached in time: a question to the database for a name took too long, or the server is overloaded.',
    who: ['operator'],
    retry: 'later',
    see: 'The alert VecauthzSlow.'
  },
  internal: {
    means: 'A fault of this server; the call was not judged.',
    who: ['operator'],
    retry: 'later',
    see: 'The log has the stack under the decision id.'
  }
}

/** A table of all, and a section for each. */
export function whyDenied(): string {
  const kinds = Object.keys(DENIALS) as DenyKind[]
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const rows = kinds.map((kind) => {
    const { http, grpc, atlas }: DenyRow = DENIALS[kind]
    const shadow = isShadowed(kind) ? 'yes' : '–'
    return line([`[\`${kind}\`](#${kind})`, String(http), String(grpc), RETRY[PAGES[kind].retry].word, shadow, atlas ?? '–'])
  })
  const head = ['reason', 'HTTP', 'gRPC', 'try again', 'shadow lets it pass', 'ATLAS']
  return [line(head), line(head.map(() => '---')), ...rows, '', ...kinds.flatMap(section)].join('\n')
}

function section(kind: DenyKind): readonly string[] {
  const { http, grpc, tells }: DenyRow = DENIALS[kind]
  const { means, who, retry, see } = PAGES[kind]
  return [
    `## ${kind}`,
    '',
    `> ${tells} (HTTP ${http}, gRPC ${grpc})`,
    '',
    `**Means**: ${means}`,
    '',
    `**What lets it pass**: ${changeFor(kind)}`,
    '',
    `**Who**: ${who.map((one) => WHO[one]).join('; ')}.`,
    '',
    `**Try again**: ${RETRY[retry].says}`,
    '',
    ...(see === undefined ? [] : [`**See**: ${see}`, ''])
  ]
}
