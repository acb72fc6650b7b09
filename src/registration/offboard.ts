/** `vecauthz offboard`: a workload is refused at once, and nothing of it is left. */
import { askAdmin } from '../admin/admin-client.ts'
import { type AdminEdges, CONNECTION_OPTIONS, identityOf, targetOf } from '../admin/admin-terminal.ts'
import { jsonLine, oneLine } from '../admin/approvals-lines.ts'
import { configured } from '../admin/check-edges.ts'
import { type Parsed, parsed, readBytes, running } from '../admin/check-terminal.ts'
import { unreadable } from '../admin/svid-verify-question.ts'
import { readYaml } from '../config/read-yaml.ts'
import { parseSpiffeId } from '../core/spiffe-id.ts'
import { readShown } from './entry-diff.ts'
import { policyChange, type RegistrationEdges } from './onboard.ts'
import { registrationsSchema } from './registrations.ts'
import { added, rewrite, taken } from './yaml-edit.ts'

const HELP = `vecauthz offboard: refuses a workload from its next call on, and ends what was approved for it

Usage: vecauthz offboard SPIFFE-ID --reason TEXT [--apply] [options]

  --reason TEXT         why: on record
  --apply               do it. Without it, only what would be done is said

  --admin HOST:PORT     and who you are (below): revoke at the running servers, at once, and end every grant and approval of it.
                        Both are on record, with your name and the reason
  --config FILE         settings of the server, or their folder: revoke in the policy that they name, which is in force when it is saved
  --registrations FILE  take it out of these (docs/spire.md)
  --spire-server FILE   the program: remove its entries at SPIRE, with
  --spire-socket PATH   the socket of the server's admin API
  --existing FILE       or, of spire-server entry show -output json: print the commands that remove them

  --workload-api ADDRESS, or --svid FILE --key FILE --bundle FILE: who you are; --server ID: who the server has to be
  --json                one JSON object: workload, steps
  --help                this text

At least one of --admin and --config has to be there: an entry that is gone leaves an SVID that is good for up to an hour.
Exit codes: 0 done (or said), 1 the server says no, 2 cannot say.
`

export interface OffboardEdges extends RegistrationEdges, AdminEdges {
  /** Runs a program and gives its standard output. Rejects with an Error. */
  readonly run: (program: string, args: readonly string[]) => Promise<string>
}

interface Step {
  readonly step: 'revoke' | 'policy' | 'grants' | 'registrations' | 'entries'
  readonly done: boolean
  readonly says: string
  /** The server refused to, or somebody has to do it by hand. */
  readonly refused?: true
}

/** @param args what follows `offboard`. @returns the exit code */
export function offboardCommand(args: readonly string[], edges: OffboardEdges): Promise<number> {
  return running(args, HELP, edges, async () => {
    const options = parsed(
      args,
      [...CONNECTION_OPTIONS, 'reason', 'config', 'registrations', 'spire-server', 'spire-socket', 'existing'],
      ['apply', 'json']
    )
    const [id, ...more] = options.words
    if (id === undefined || more.length > 0) return unreadable('Say one SPIFFE ID; see --help.')
    if (!parseSpiffeId(id).ok) return unreadable(`"${oneLine(id)}" is no SPIFFE ID.`)
    const reason = options.one('reason') ?? unreadable('Say why: --reason TEXT.')
    if (options.one('admin') === undefined && options.one('config') === undefined)
      unreadable('Say --admin or --config: where it is to be refused; see --help.')
    const steps = [
      ...(await atServers(id, reason, options, edges)),
      ...inPolicy(id, options, edges),
      ...inRegistrations(id, options),
      ...(await atSpire(id, options, edges))
    ]
    edges.print(options.has('json') ? `${jsonLine({ workload: id, steps })}\n` : `${lines(id, steps, options).join('\n')}\n`)
    return steps.some(({ refused }) => refused === true) ? 1 : 0
  })
}

/** First of all, for it is in force when it is answered. */
async function atServers(id: string, reason: string, options: Parsed, edges: OffboardEdges): Promise<readonly Step[]> {
  if (options.one('admin') === undefined) return []
  const target = targetOf(options)
  if (!options.has('apply'))
    return [
      { step: 'revoke', done: false, says: `revoke it at ${target.host}:${target.port}` },
      { step: 'grants', done: false, says: 'end its grants and approvals' }
    ]
  const identity = await identityOf(options, edges)
  const ask = async (
    step: 'revoke' | 'grants',
    path: string,
    body: object,
    says: (answer: Readonly<Record<string, unknown>>) => string
  ): Promise<Step> => {
    const answer = await askAdmin(target, identity, { method: 'POST', path, body }, edges.now())
    if (answer.status < 300) return { step, done: true, says: says(answer.body) }
    return { step, done: false, refused: true, says: oneLine(String(answer.body['detail'] ?? `status ${answer.status}`)) }
  }
  return [
    await ask('revoke', '/v1/revocations', { spiffe_id: id, reason }, () => 'revoked at the running servers'),
    await ask(
      'grants',
      '/v1/workloads/end',
      { workload: id, reason },
      ({ ended }) => `${Array.isArray(ended) ? ended.length : 0} grants and approvals ended`
    )
  ]
}

function inPolicy(id: string, options: Parsed, edges: OffboardEdges): readonly Step[] {
  if (options.one('config') === undefined) return []
  const { settings, written } = configured(options, edges)
  if (written.document.revoked?.spiffe_ids?.includes(id) === true)
    return [{ step: 'policy', done: true, says: 'it is on the revoked list of the policy already' }]
  const { change, texts } = policyChange(written.file, 'revoked', (text) => added(text, ['revoked', 'spiffe_ids'], id))
  // Nobody is told that it is refused on the word of an edit.
  if (edges.writtenOf(texts, settings).document.revoked?.spiffe_ids?.includes(id) !== true)
    return [
      { step: 'policy', done: false, refused: true, says: `put it under revoked.spiffe_ids of ${change.file} by hand: its form is too odd` }
    ]
  if (!options.has('apply')) return [{ step: 'policy', done: false, says: `put it on the revoked list of ${change.file}` }]
  rewrite(change.file, change.text)
  return [{ step: 'policy', done: true, says: `on the revoked list of ${change.file}: servers that read it refuse it from now on` }]
}

function inRegistrations(id: string, options: Parsed): readonly Step[] {
  const file = options.one('registrations')
  if (file === undefined) return []
  const text = readBytes(file).toString('utf8')
  const ids = (of: string): readonly string[] | undefined => {
    const read = readYaml(file, of, registrationsSchema)
    return read.ok ? read.value.entries.map((one) => one.spiffe_id) : undefined
  }
  const before = ids(text)
  if (before?.includes(id) === false) return [{ step: 'registrations', done: true, says: `${file} does not have it` }]
  const without = taken(text, 'entries', 'spiffe_id', id)
  if (before === undefined || ids(without)?.join() !== before.filter((one) => one !== id).join())
    return [{ step: 'registrations', done: false, refused: true, says: `take it out of ${file} by hand: its form is too odd` }]
  if (!options.has('apply')) return [{ step: 'registrations', done: false, says: `take it out of ${file}` }]
  rewrite(file, without)
  return [{ step: 'registrations', done: true, says: `taken out of ${file}` }]
}

async function atSpire(id: string, options: Parsed, edges: OffboardEdges): Promise<readonly Step[]> {
  const program = options.one('spire-server')
  const file = options.one('existing')
  if (program === undefined && file === undefined) return []
  const socket = options.one('spire-socket')
  const where = socket === undefined ? [] : ['-socketPath', socket]
  const run = (...words: string[]) =>
    edges.run(program ?? '', ['entry', ...words, ...where]).catch((cause: Error) => unreadable(`spire-server: ${oneLine(cause.message)}`))
  const shown = program === undefined ? readBytes(file ?? '').toString('utf8') : await run('show', '-spiffeID', id, '-output', 'json')
  const entries = (readShown(shown) ?? unreadable('That is no answer of spire-server entry show -output json.')).filter(
    (one) => one.spiffe_id === id
  )
  const commands = entries.map((one) => `spire-server entry delete -entryID ${oneLine(one.id)}`)
  if (entries.length === 0) return [{ step: 'entries', done: true, says: 'SPIRE has no entry of it' }]
  if (program === undefined || !options.has('apply')) return commands.map((says) => ({ step: 'entries', done: false, says }))
  for (const { id: entryId } of entries) await run('delete', '-entryID', entryId)
  return [{ step: 'entries', done: true, says: `${entries.length} entries removed at SPIRE` }]
}

const WORDS = { revoke: 'servers', policy: 'policy', grants: 'grants', registrations: 'registrations', entries: 'SPIRE' } as const

function lines(id: string, steps: readonly Step[], options: Parsed): readonly string[] {
  const applied = options.has('apply')
  return [
    `${applied ? '' : 'Would offboard '}${id}`,
    ...steps.map(({ step, done, refused, says }) => `  ${refused ? 'refused' : done ? 'done' : 'to do'}  ${WORDS[step]}: ${says}`),
    ...(applied ? [] : ['Nothing was changed; --apply does it.'])
  ]
}
