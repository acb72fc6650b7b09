/**
 * opa-envoy-plugin beside us, when `opa-envoy-plugin` is on PATH: the same CheckRequests, a policy that asks for the same things
 * (caller, tenant of the path, number of results), over plaintext gRPC, which is the cheaper transport.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { SUPPORT } from '../demo/identities.ts'
import { cpuPerCheck } from './load.ts'

const POLICY = `package vecauthz

import rego.v1

default allow := false

tenants := {"${SUPPORT}": {"acme"}}

allow if {
	parts := split(input.attributes.request.http.path, "/")
	parts[4] in tenants[input.attributes.source.principal]
	body := json.unmarshal(base64.decode(input.attributes.request.http.raw_body))
	body.n_results <= 20
	not "embeddings" in body.include
}
`

export async function measureOpa(
  folder: string,
  checks: number,
  rounds: number,
  message: (at: number) => Buffer
): Promise<number[] | undefined> {
  if (spawnSync('opa-envoy-plugin', ['version']).error !== undefined) return undefined
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'policy.rego')
  writeFileSync(file, POLICY)
  const [port, api] = [await freePort(), await freePort()]
  const set = (key: string, value: string) => `--set=plugins.envoy_ext_authz_grpc.${key}=${value}`
  const args = ['run', '--server', '--disable-telemetry', '--log-level=error', `--addr=127.0.0.1:${api}`]
  const child = spawn('opa-envoy-plugin', [...args, set('addr', `127.0.0.1:${port}`), set('path', 'vecauthz/allow'), file], {
    stdio: 'ignore'
  })
  try {
    const target = { pid: child.pid ?? 0, port }
    const results: number[] = []
    for (let round = 0; round < rounds; round++)
      results.push(await withRetries(() => cpuPerCheck(target, undefined, checks, message, mustAllow)))
    return results
  } finally {
    child.kill('SIGKILL')
  }
}

/** An allow is `status.code` 0, and an ok_response (field 3). */
function mustAllow(answer: Buffer): void {
  if (!answer.includes(0x1a)) throw new Error('OPA denied a check of the bench')
}

async function withRetries<T>(work: () => Promise<T>): Promise<T> {
  for (let left = 20; ; left--) {
    try {
      return await work()
    } catch (cause) {
      if (left === 0) throw cause
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
