/** Holds a configuration against every check. Unknown is not safe: what cannot be told is never a pass. */
import { CHECKS } from './checks.ts'
import type { EnvoyDocument } from './document.ts'
import { cannotTell, type Finding } from './finding.ts'
import type { Check, Given, Server } from './look.ts'
import { type Hop, survey } from './survey.ts'
import { isUnclear } from './values.ts'

export type Verdict = 'pass' | 'fail' | 'cannot-tell'

export interface Judged {
  readonly check: Check
  readonly verdict: Verdict
  readonly findings: readonly Finding[]
}

export interface Report {
  readonly document: EnvoyDocument
  /** What this Envoy is: more than one where its listeners differ. */
  readonly hops: readonly Hop[]
  /** Listeners that were left out: a sidecar's, for its own pod. */
  readonly ownCalls: number
  readonly judged: readonly Judged[]
  /** Checks that are about other hops. */
  readonly elsewhere: readonly Check[]
}

/** @param forced the hop that this must be; without it, that of the server's role, else what its clusters show */
export function judge(document: EnvoyDocument, servers: readonly Server[], forced?: Hop): Report {
  const found = survey(document, forced ?? document.hop ?? roleOf(servers))
  const hops = [...new Set(found.ways.map(({ hop }) => hop))]
  const here = hops.length === 0 ? [forced ?? roleOf(servers) ?? 'gateway'] : hops
  const about = (check: Check) => check.hops.some((hop) => here.includes(hop))
  const given: Given = { survey: found, servers }
  return {
    document,
    hops: here,
    ownCalls: found.ownCalls,
    judged: CHECKS.filter(about).map((check) => judgeOne(check, given)),
    elsewhere: CHECKS.filter((check) => !about(check))
  }
}

/** An Envoy in front of the database is a gateway to both roles that stand behind one. */
function roleOf(servers: readonly Server[]): Hop | undefined {
  const roles = new Set(servers.map(({ settings }) => (settings.role === 'egress' ? 'egress' : 'gateway')))
  return roles.size === 1 ? [...roles][0] : undefined
}

function judgeOne(check: Check, given: Given): Judged {
  const findings = looked(check, given)
  if (findings.some(({ verdict }) => verdict === 'fail')) return { check, verdict: 'fail', findings }
  // Where a part is not shown, what is shown may be right, and the rest is not known.
  const hidden = [...given.survey.document.missing, ...given.survey.unclear.map(({ unclear }) => unclear)]
  const all = [...findings, ...hidden.map((says) => cannotTell([], says))]
  return all.length === 0 ? { check, verdict: 'pass', findings } : { check, verdict: 'cannot-tell', findings: all }
}

function looked(check: Check, given: Given): readonly Finding[] {
  try {
    return check.look(given, check.hops)
  } catch (cause) {
    if (!isUnclear(cause)) throw cause
    return [cannotTell(cause.at, cause.unclear)]
  }
}
