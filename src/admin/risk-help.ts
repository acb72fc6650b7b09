/** What `vecauthz standings`, `release`, `step-up`, `baselines`, `signal` and `figure` say of themselves. */
import { CONNECTION } from './admin-terminal.ts'

const REASON = '  --reason TEXT           why: 1 to 500 characters, kept in the audit record'
const KEY = `  --tenant NAME           whose data
  --agent-type NAME       as the policy has it; * for all of the tenant
  --collection NAME       as vecauthz baselines shows it: demo/rag/handbook; * for all of the agent type`

export const RISK_HELP: Readonly<Record<string, string>> = {
  standings: `vecauthz standings: who is slowed, challenged or quarantined

Usage: vecauthz standings --admin HOST:PORT --workload-api ADDRESS

Sternest first: who, since when and until when, why, with the numbers, and the ids of the decisions that show it (vecauthz explain
reads those). For operators and approvers.

${CONNECTION}`,
  release: `vecauthz release: end all that is held against a workload, or an agent type in a collection

Usage: vecauthz release SPIFFE-ID --reason TEXT --admin HOST:PORT --workload-api ADDRESS
       vecauthz release TENANT/AGENT-TYPE/DATABASE/COLLECTION --reason TEXT …

It stands normal at once, on every replica, whatever any of them says late; what was gathered against it is forgotten. Look at
vecauthz standings first, and at what it did: whoever is released can begin again. For operators.

${REASON}

${CONNECTION}`,
  'step-up': `vecauthz step-up: vouch for a challenged workload, once, or refuse to

Usage: vecauthz step-up answer ID --reason TEXT --admin HOST:PORT --workload-api ADDRESS
       vecauthz step-up answer ID --user-token FILE --reason TEXT …
       vecauthz step-up refuse ID --reason TEXT …

ID is in what the workload was refused with (x-vecauthz-step-up), and in vecauthz standings. After an answer it goes on, slowed for a
while; after a refusal it is quarantined. For operators, and for risk.step_up.supervisors of the policy; nobody vouches for itself.
Where an end user stood behind the call, that user can answer instead, by signing in again (auth_time after the challenge): the client
calls with the new token in x-vecauthz-subject-token, or anybody brings it with --user-token. One sign-in answers one step-up.

  --user-token FILE       the end user's new token (JWT)
${REASON}

${CONNECTION}`,
  baselines: `vecauthz baselines: what is normal, for each agent type and collection

Usage: vecauthz baselines --admin HOST:PORT --workload-api ADDRESS
       vecauthz baselines approve --tenant NAME --agent-type NAME --collection NAME --reason TEXT [--records-a-day N] …
       vecauthz baselines adopt ID --reason TEXT [--anyway] …
       vecauthz baselines freeze | reset | export FILE …
       vecauthz baselines import FILE [--add] --reason TEXT …

Without a word more: how far learning is, from the first query on; what waits for approval; what is in force; which new
neighbourhoods are proposed.

  approve   what waits comes into force: from then on, queries that leave it are slowed, challenged, quarantined
  freeze    do not wait for more bursts: what was learnt so far waits for approval (12 bursts at least)
  reset     nothing judges there any more, and learning begins again
  adopt     a proposed neighbourhood becomes normal; look at who asked there first. Who was slowed, challenged or quarantined since it
            began does not count; where too few are left, --anyway insists, and that is on record
  export    the baseline in force, with its secret projection, as a file for its owner only
  import    takes such a file; it waits for approval. With --add its counts are added to those of the same version: once, not twice

The order in which an agent type calls is listed, frozen, approved and reset in the same way: --tenant '*', --collection 'order of calls'.

${KEY}
  --records-a-day N       what one workload may be shown in a day; learnt where it is not said
${REASON}

${CONNECTION}`,
  signal: `vecauthz signal: say that a workload is not what it should be, and raise its standing at once

Usage: vecauthz signal SPIFFE-ID risk_spike --level low|medium|high --reason TEXT --admin HOST:PORT --workload-api ADDRESS
       vecauthz signal SPIFFE-ID session_revoked --reason TEXT …

For operators, and for admin.signalers of the settings: a scanner, a SIEM, an identity provider. A medium spike slows, a high one asks for
a step-up, a revoked session quarantines; a low one is on record only. Nothing takes a standing back but vecauthz release, an answer or time.

  --id ID                 names the signal: heard again within a quarter of an hour, it is the same one; made up where it is not said
${REASON}

${CONNECTION}`,
  figure: `vecauthz figure: tell a figure of another system about a workload

Usage: vecauthz figure SPIFFE-ID NAME VALUE --admin HOST:PORT --workload-api ADDRESS

For monitoring rules of the policy with metric: signal and signal: NAME, such as a CPU share. It is known to the process that is
asked, and to no other one: tell each replica. For operators, and for admin.signalers of the settings.

${CONNECTION}`
}
