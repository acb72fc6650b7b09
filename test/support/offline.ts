/** A folder with settings, policy and more for the commands that need no server, and what they print. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { policyCommand } from '../../src/commands.ts'
import { POLICY } from './policy.ts'
import { HANDBOOK } from './world.ts'

const ROOT = join(import.meta.dirname, '../..')

const SETTINGS = `
version: 1
role: gateway
listen: 127.0.0.1:0
workload_api: unix:///tmp/none.sock
envoys: [spiffe://demo.vecauthz.test/envoy/gateway]
policy: policy.yaml
databases:
  - id: demo
    kind: chroma
    version: 1.5.9
    authorities: [chroma.demo.vecauthz.test]
    url: http://127.0.0.1:8000
audit: { file: stdout }
svid_ttl_seconds: 3600
bundle_max_age_seconds: 600
deadline_ms: 200
`

export interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

export interface Folder {
  readonly path: string
  /** Writes a file and gives its name. */
  readonly file: (name: string, content: string | Uint8Array) => string
  /** Runs a command in this process. */
  readonly run: (command: string, ...args: readonly string[]) => Promise<Outcome>
  /** Runs it as people do. */
  readonly spawn: (...args: readonly string[]) => Outcome
  readonly remove: () => void
}

/** @param files over `vecauthz.yaml`, `policy.yaml` and `names.json` */
export function folderOf(files: Readonly<Record<string, string>> = {}): Folder {
  const path = mkdtempSync(join(tmpdir(), 'vecauthz-offline-'))
  const file = (name: string, content: string | Uint8Array) => {
    writeFileSync(join(path, name), content)
    return join(path, name)
  }
  const names = JSON.stringify({ [HANDBOOK]: { name: 'handbook', tenant: 'acme', namespace: 'rag' } })
  for (const [name, content] of Object.entries({ 'vecauthz.yaml': SETTINGS, 'policy.yaml': POLICY, 'names.json': names, ...files })) {
    file(name, content)
  }
  return {
    path,
    file,
    async run(command, ...args) {
      const said = { out: '', err: '' }
      const print = (text: string) => {
        said.out += text
      }
      const complain = (text: string) => {
        said.err += text
      }
      const code = await policyCommand(command, { print, complain })?.(args)
      return { code: code ?? -1, ...said }
    },
    spawn(...args) {
      const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'src/main.ts'), ...args], { cwd: path, encoding: 'utf8' })
      return { code: status ?? -1, out: stdout, err: stderr }
    },
    remove: () => rmSync(path, { recursive: true })
  }
}
