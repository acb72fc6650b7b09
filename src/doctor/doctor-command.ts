/** `vecauthz doctor`: is what stands in front of the database deployed so that the decision is binding? */
import { oneLine } from '../admin/approvals-lines.ts'
import { type Parsed, parsed, running } from '../admin/check-terminal.ts'
import { unreadable } from '../admin/svid-verify-question.ts'
import type { Settings } from '../config/settings-schema.ts'
import { ATTACK_HELP, ATTACK_OPTIONS, type AttackEdges, attackCommand } from './attack-command.ts'
import { judge } from './judge.ts'
import { reportJson, reportLines, verdictOf } from './lines.ts'
import { readSource } from './read-source.ts'
import type { Hop } from './survey.ts'

const HELP = `vecauthz doctor: does this Envoy make the decision binding? PASS, FAIL or CANNOT TELL for each line of the list

Usage: vecauthz doctor WHAT [--config FILE]... [options]
       vecauthz doctor --attack URL ... : what gets through a live listener, by trying it (below)

  WHAT             an Envoy bootstrap (YAML or JSON), a saved answer of /config_dump, or the URL of a running Envoy's
                   admin interface: http://127.0.0.1:9903. Or manifests of Istio or Envoy Gateway, a file or a folder of
                   them: what they leave open cannot be told. More than one: each is judged.

  --config FILE    settings of the server that is asked; once for each lane. Without them, what depends on them
                   (limits, deadlines, lifetimes) cannot be told
  --hop NAME       what this Envoy is: gateway (in front of databases; index too), egress (beside an agent, asks) or
                   sidecar (beside an agent, decides nothing). Without it: what the role of the settings says, else what
                   its clusters show
  --brief          only what does not pass
  --json           one JSON object for each WHAT, one a line
  --help           this text

Each line that fails comes with why it matters and with the change that makes it right. docs/doctor.md lists them all.
Exit codes: 0 every line passes, 1 one fails, 2 cannot say (a line cannot be told, or something cannot be read).

${ATTACK_HELP}`

export interface DoctorEdges extends AttackEdges {
  /** Settings of one server; its policy is not read. Throws `Unreadable`. */
  readonly loadSettings: (file: string) => Settings
}

/** @param args what follows `doctor`. @returns the exit code */
export function doctorCommand(args: readonly string[], edges: DoctorEdges): Promise<number> {
  return running(args, HELP, edges, async () => {
    const options = parsed(args, ['config', 'hop', ...ATTACK_OPTIONS], ['json', 'brief'])
    if (options.one('attack') !== undefined) return await attackCommand(options, edges)
    if (options.words.length === 0) unreadable('Say what to look at: a bootstrap file, or the URL of an admin interface; see --help.')
    const servers = options.many('config').map((file) => ({ file, settings: edges.loadSettings(file) }))
    const hop = hopOf(options)
    const verdicts = []
    for (const source of options.words) {
      const report = judge(await readSource(source), servers, hop)
      verdicts.push(verdictOf(report))
      const lines = options.has('json') ? [JSON.stringify(reportJson(source, report))] : reportLines(source, report, options.has('brief'))
      edges.print(`${lines.join('\n')}\n`)
    }
    return verdicts.includes('fail') ? 1 : verdicts.includes('cannot-tell') ? 2 : 0
  })
}

const HOPS: readonly string[] = ['gateway', 'egress', 'sidecar'] satisfies Hop[]

function hopOf(options: Parsed): Hop | undefined {
  const hop = options.one('hop')
  if (hop === undefined || HOPS.includes(hop)) return hop as Hop | undefined
  return unreadable(`--hop is gateway, egress or sidecar, not "${oneLine(hop)}".`)
}
