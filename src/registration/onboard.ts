/** `vecauthz onboard`: everything that lets one workload in, and what it may do then. Nothing is changed unless told. */
import { stringify } from 'yaml'
import { jsonLine, oneLine } from '../admin/approvals-lines.ts'
import { configured, type Edges, type Written } from '../admin/check-edges.ts'
import { faulty, type Parsed, parsed, readBytes, running } from '../admin/check-terminal.ts'
import { unreadable } from '../admin/svid-verify-question.ts'
import { type PolicyText, readPolicyTexts } from '../config/policy-files.ts'
import { readYaml } from '../config/read-yaml.ts'
import type { Settings } from '../config/settings-schema.ts'
import type { WorkloadDocument } from '../core/policy-document.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { entriesOf } from './entries.ts'
import { mayDo } from './may-do.ts'
import { registrationsSchema } from './registrations.ts'
import { added, rewrite } from './yaml-edit.ts'

const HELP = `vecauthz onboard: lets a workload in: its entry at SPIRE, its place in the policy, and what it may do then

Usage: vecauthz onboard SPIFFE-ID --tenant ID [--config FILE] [options]

  --tenant ID           for which tenant it may act; more than one is given one by one
  --config FILE         settings of the server, or their folder; they name the policy (vecauthz.yaml)
  --owner TEXT, --review-by YYYY-MM-DD, --agent-type NAME, --purpose NAME (more than once), --attestation CLASS, --ring NAME,
  --delegated           what the policy says of it
  --registrations FILE  by what SPIRE knows workloads (docs/spire.md), with
  --selector TEXT       what this one is known by: unix:uid:20001; more than one is given one by one
  --apply               write both files. Without it, nothing is changed
  --json                one JSON object: workload, entry, may_do
  --help                this text

The policy is compiled with it first: what would be a fault there is one here, and nothing is written.
Exit codes: 0 good, 1 it cannot be registered so, 2 cannot say (also: the policy would have faults).
`

export interface RegistrationEdges extends Edges {
  /** A policy of these texts. Throws `Unreadable` with all its faults. */
  readonly writtenOf: (texts: readonly PolicyText[], settings: Settings) => Written
}

/** A file, and the text that it is to have. */
export interface Change {
  readonly file: string
  readonly text: string
}

/** @param args what follows `onboard`. @returns the exit code */
export function onboardCommand(args: readonly string[], edges: RegistrationEdges): Promise<number> {
  return running(args, HELP, edges, async () => {
    const names = ['config', 'tenant', 'owner', 'review-by', 'agent-type', 'purpose', 'attestation', 'ring', 'registrations', 'selector']
    const options = parsed(args, names, ['delegated', 'apply', 'json'])
    const workload = workloadOf(options)
    const { settings, written } = configured(options, edges)
    const { change, texts } = policyChange(written.file, 'workloads', (text) => added(text, ['workloads'], workload))
    const { document } = edges.writtenOf(texts, settings)
    const registered = registration(options, workload, document)
    if ('faults' in registered) {
      for (const sentence of registered.faults) edges.complain(`vecauthz: ${oneLine(sentence)}\n`)
      return 1
    }
    const may = mayDo(document, workload)
    const said = { workload, entry: registered.entry, may_do: may }
    edges.print(options.has('json') ? `${jsonLine(said)}\n` : `${lines(said, options.has('apply'), change.file).join('\n')}\n`)
    if (options.has('apply')) for (const one of [change, ...registered.changes]) rewrite(one.file, one.text)
    return 0
  })
}

function workloadOf(options: Parsed): WorkloadDocument {
  const [id, ...more] = options.words
  if (id === undefined || more.length > 0) return unreadable('Say one SPIFFE ID; see --help.')
  if (!parseSpiffeId(id).ok) return unreadable(`"${oneLine(id)}" is no SPIFFE ID.`)
  const tenants = options.many('tenant')
  if (tenants.length === 0) unreadable('Say for which tenant it may act: --tenant ID.')
  const purposes = options.many('purpose')
  const given = { owner: 'owner', review_by: 'review-by', agent_type: 'agent-type', attestation: 'attestation', ring: 'ring' }
  const said = Object.entries(given).flatMap(([key, name]) => (options.one(name) === undefined ? [] : [[key, options.one(name)]]))
  return {
    spiffe_id: id,
    tenants,
    ...Object.fromEntries(said),
    ...(purposes.length === 0 ? {} : { purposes }),
    ...(options.has('delegated') ? { delegated: true } : {})
  }
}

/** The policy's texts with one of them changed: the first that has such a list. Throws `Unreadable`. */
export function policyChange(path: string, list: string, edit: (text: string) => string): { change: Change; texts: readonly PolicyText[] } {
  const read = readPolicyTexts(path)
  if (!read.ok) return faulty(read.faults)
  const having = read.texts.find(({ text }) => new RegExp(`^${list}:`, 'm').test(text)) ?? read.texts[0]
  if (having === undefined) return unreadable('There is no policy.')
  const change = { file: having.file, text: edit(having.text) }
  return { change, texts: read.texts.map((one) => (one === having ? change : one)) }
}

function registration(options: Parsed, workload: WorkloadDocument, document: Written['document']) {
  const file = options.one('registrations')
  const selectors = options.many('selector')
  if (file === undefined)
    return selectors.length === 0 ? { entry: undefined, changes: [] } : unreadable('--selector goes with --registrations; see --help.')
  const text = readBytes(file).toString('utf8')
  const line = { spiffe_id: workload.spiffe_id, ...(selectors.length === 0 ? {} : { selectors }) }
  const change = selectors.length === 0 ? undefined : { file, text: added(text, ['entries'], line) }
  const read = readYaml(file, change?.text ?? text, registrationsSchema)
  if (!read.ok) return faulty(read.faults)
  const made = entriesOf(document, read.value)
  if (!made.ok) return { faults: made.faults }
  return { entry: made.entries.find((one) => one.spiffe_id === workload.spiffe_id), changes: change === undefined ? [] : [change] }
}

function lines(
  said: { readonly workload: WorkloadDocument; readonly entry: object | undefined; readonly may_do: readonly string[] },
  applied: boolean,
  file: string
) {
  const indented = (text: string) =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => `  ${line}`)
  return [
    `${applied ? 'Added to' : 'For'} ${file}, under workloads:`,
    ...indented(stringify([said.workload], { lineWidth: 0 })),
    '',
    ...(said.entry === undefined
      ? ['SPIRE has to know it: give it an entry (vecauthz spire entries; docs/spire.md).']
      : ['For SPIRE (spire-server entry create -data -):', ...indented(JSON.stringify({ entries: [said.entry] }))]),
    '',
    'What it may do then:',
    ...said.may_do.map((one) => `  ${one}`),
    ...(applied ? [] : ['', 'Nothing was changed; --apply writes it.'])
  ]
}
