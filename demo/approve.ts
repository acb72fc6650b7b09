/** `vecauthz approvals`, `approve` and the rest as a person runs them: a process of their own, the person's SVID, the admin port. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { GATEWAY_SERVER } from './identities.ts'
import type { ServerProcess, Stack } from './stack.ts'

const MAIN = join(import.meta.dirname, '../src/main.ts')
const COMMAND_MS_MAX = 60_000

export interface Said {
  /** 0 done, 1 the server says no, 2 cannot say. */
  readonly exit: number
  readonly out: string
  readonly err: string
}

/** One admin port, and who must answer there. */
export interface AdminDoor {
  readonly port: number
  readonly server: string
}

export function gatewayDesk({ adminPort }: ServerProcess): AdminDoor {
  return { port: adminPort, server: GATEWAY_SERVER }
}

/** @param id whose SVID it is, fetched over the Workload API */
export function admin(stack: Stack, id: string, { port, server }: AdminDoor, ...words: string[]): Promise<Said> {
  const where = ['--admin', `127.0.0.1:${port}`, '--server', server, '--workload-api', stack.issuer.socketOf(id)]
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [MAIN, ...words, ...where], { timeout: COMMAND_MS_MAX }, (failed, out, err) => {
      const exit = failed === null ? 0 : failed.code
      if (typeof exit === 'number') resolve({ exit, out, err })
      else reject(new Error(`vecauthz ${words[0]} did not end by itself: ${failed?.message}`))
    })
  })
}
