/** The commands about policy that need no server: what each is given from outside. */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { checkCommand } from './admin/check.ts'
import type { Configured, Edges, Written } from './admin/check-edges.ts'
import { faulty, type Output } from './admin/check-terminal.ts'
import { explainCommand } from './admin/explain.ts'
import { testCommand } from './admin/policy-test.ts'
import { replayCommand } from './admin/replay.ts'
import { unreadable } from './admin/svid-verify-question.ts'
import { type Compile, loadAll, loadPolicy } from './config/load.ts'
import type { DocumentPath, PolicyDocument } from './core/policy-document.ts'
import { SERVED } from './databases/dialects.ts'
import { createJudge } from './offline.ts'
import { compilePolicy } from './policy/compile.ts'
import type { Policy } from './policy/policy.ts'

const SETTINGS_NAME = 'vecauthz.yaml'

const COMMANDS: Readonly<Record<string, (args: readonly string[], edges: Edges) => Promise<number>>> = {
  check: checkCommand,
  explain: explainCommand,
  replay: replayCommand,
  test: testCommand
}

/** A command by its name; undefined for one that is not of these. */
export function policyCommand(name: string, output: Output): ((args: readonly string[]) => Promise<number>) | undefined {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
  if (command === undefined) return undefined
  const edges: Edges = { ...output, now: Date.now, load, loadPolicy: otherPolicy, judge: createJudge }
  return (args) => command(args, edges)
}

function load(config: string): Configured {
  if (!existsSync(config)) return unreadable(`There is no settings file "${config}". Give one with --config FILE.`)
  const settingsFile = statSync(config).isDirectory() ? join(config, SETTINGS_NAME) : config
  const keeping = keepDocument()
  const loaded = loadAll(settingsFile, SERVED, keeping.compile)
  if (!loaded.ok) return faulty(loaded.faults)
  const { settings, policy, policyFile: file } = loaded
  return { settings, settingsFile, written: { policy, file, ...keeping.written() } }
}

function otherPolicy(file: string, settings: Configured['settings']): Written {
  if (!existsSync(file)) return unreadable(`There is no policy "${file}".`)
  const keeping = keepDocument()
  const loaded = loadPolicy(file, settings, SERVED, keeping.compile)
  return loaded.ok ? { policy: loaded.policy, file, ...keeping.written() } : faulty(loaded.faults)
}

/** The compiler, and what it was given: the lookups that decide are not what was written. */
function keepDocument() {
  let document: PolicyDocument | undefined
  let place: (path: DocumentPath) => string = () => ''
  const compile: Compile<Policy> = (given, known, revision, placeOf) => {
    document = given
    place = placeOf
    return compilePolicy(given, known, revision, placeOf)
  }
  return { compile, written: () => (document === undefined ? unreadable('There is no policy.') : { document, place }) }
}
