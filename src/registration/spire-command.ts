/** `vecauthz spire entries`: who is who to SPIRE, from the policy and the registrations. */
import { stringify } from 'yaml'
import { jsonLine, oneLine } from '../admin/approvals-lines.ts'
import { configured, type Edges } from '../admin/check-edges.ts'
import { faulty, type Parsed, parsed, readBytes, running } from '../admin/check-terminal.ts'
import { unreadable } from '../admin/svid-verify-question.ts'
import { readYaml } from '../config/read-yaml.ts'
import { clusterSpiffeIds, type Entry, entriesOf } from './entries.ts'
import { type Difference, differenceOf, readShown } from './entry-diff.ts'
import { type Registrations, registrationsSchema } from './registrations.ts'

const HELP = `vecauthz spire entries: registration entries for SPIRE, from the policy (docs/spire.md)

Usage: vecauthz spire entries --registrations FILE [--config FILE] [options]
       vecauthz spire entries --form cluster-spiffe-ids [--config FILE]

  --registrations FILE  by which selectors each workload is known, and what an attestation class of the policy takes
  --config FILE         settings of the server, or their folder; they name the policy (vecauthz.yaml)
  --existing FILE       what the server has: spire-server entry show -output json. Then only what is missing is printed, and on
                        standard error the commands that remove what is ours (hint vecauthz) and wanted no more
  --form NAME           entries (JSON for spire-server entry create -data, the default) or cluster-spiffe-ids (YAML for the
                        SPIRE controller manager)
  --json                the difference as one JSON object: create, remove, kept
  --help                this text

Exit codes: 0 printed, 1 a workload cannot be registered as the policy says it is attested, 2 cannot say.
`

/** @param args what follows `spire`. @returns the exit code */
export function spireCommand(args: readonly string[], edges: Edges): Promise<number> {
  return running(args, HELP, edges, async () => {
    const options = parsed(args, ['registrations', 'config', 'existing', 'form'], ['json'])
    const [what, ...more] = options.words
    if (what !== 'entries' || more.length > 0) unreadable('There is only "spire entries"; see --help.')
    const { document } = configured(options, edges).written
    const form = options.one('form') ?? 'entries'
    if (form === 'cluster-spiffe-ids') {
      const { documents, others } = clusterSpiffeIds(document)
      edges.print(documents.map((one) => stringify(one, { lineWidth: 0 })).join('---\n'))
      for (const id of others)
        edges.complain(`vecauthz: ${id}: its path says no namespace and service account (/ns/NAMESPACE/sa/ACCOUNT).\n`)
      return others.length === 0 ? 0 : 1
    }
    if (form !== 'entries') unreadable('--form is entries or cluster-spiffe-ids.')
    const made = entriesOf(document, registrationsOf(options.one('registrations') ?? unreadable('Say --registrations FILE; see --help.')))
    if (!made.ok) {
      for (const sentence of made.faults) edges.complain(`vecauthz: ${oneLine(sentence)}\n`)
      return 1
    }
    told(made.entries, options, edges)
    return 0
  })
}

/** Throws `Unreadable`. */
export function registrationsOf(file: string): Registrations {
  const read = readYaml(file, readBytes(file).toString('utf8'), registrationsSchema)
  return read.ok ? read.value : faulty(read.faults)
}

function told(entries: readonly Entry[], options: Parsed, edges: Edges): void {
  const file = options.one('existing')
  if (file === undefined) {
    edges.print(`${jsonLine({ entries }, 2)}\n`)
    return
  }
  const present =
    readShown(readBytes(file).toString('utf8')) ?? unreadable(`${oneLine(file)} is no answer of spire-server entry show -output json.`)
  const difference = differenceOf(entries, present)
  edges.print(options.has('json') ? `${jsonLine(difference)}\n` : `${jsonLine({ entries: difference.create }, 2)}\n`)
  for (const line of differenceLines(difference)) edges.complain(`${line}\n`)
}

function differenceLines({ create, remove, kept }: Difference): readonly string[] {
  const removing = remove.map(({ id, spiffe_id }) => `spire-server entry delete -entryID ${oneLine(id)}   # ${oneLine(spiffe_id)}`)
  const making = create.length === 0 ? [] : ['spire-server entry create -data -   # what is on standard output']
  return [`# ${kept} are there, ${create.length} are missing, ${remove.length} are wanted no more`, ...removing, ...making]
}
