import { execFileSync } from 'node:child_process'
import { accessSync, constants, existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** SPIRE is in no package registry: its programs come from whoever runs the tests. */
export interface SpireBinaries {
  readonly server: string
  readonly agent: string
  /** What `--version` says. */
  readonly version: string
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The programs that SPIRE_SERVER_BIN and SPIRE_AGENT_BIN name, else those on PATH; a sentence when there are none.
 *
 * @throws Error when a variable names a file that is not there: whoever set it wants these tests to run.
 */
export function findSpire(environment: Environment): SpireBinaries | string {
  const server = find(environment, 'SPIRE_SERVER_BIN', 'spire-server')
  const agent = find(environment, 'SPIRE_AGENT_BIN', 'spire-agent')
  if (server === undefined || agent === undefined) {
    const absent = [...(server === undefined ? ['spire-server'] : []), ...(agent === undefined ? ['spire-agent'] : [])]
    return `no ${absent.join(' and no ')} on PATH, and SPIRE_SERVER_BIN and SPIRE_AGENT_BIN do not name them`
  }
  return { server, agent, version: versionOf(server) }
}

function find(environment: Environment, variable: string, program: string): string | undefined {
  const named = environment[variable]
  if (named !== undefined && named !== '') {
    if (!existsSync(named)) throw new Error(`There is nothing at ${named}, which ${variable} names. Remedy: correct or unset ${variable}.`)
    return named
  }
  const folders = (environment['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '')
  return folders.map((folder) => join(folder, program)).find(isProgram)
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** SPIRE says it on standard output or on standard error, depending on the release. */
function versionOf(path: string): string {
  return execFileSync('/bin/sh', ['-c', '"$0" --version 2>&1', path], { encoding: 'utf8' }).trim()
}
