/** A secret in a KV store (version 2) of Vault or OpenBao. */
import type { SecretReading, SecretSource } from './secret-source.ts'
import { memberOf, type VaultClient } from './vault-http.ts'
import type { VaultSession } from './vault-session.ts'

export interface KvPlace {
  /** Where the store is mounted. */
  readonly mount: string
  readonly path: string
  readonly field: string
}

/** @param maxAgeMs how long a reading is good for while Vault cannot be asked; a shorter lease of Vault's own counts */
export function secretFromVault(
  client: VaultClient,
  session: VaultSession,
  { mount, path, field }: KvPlace,
  refreshMs: number,
  maxAgeMs: number
): SecretSource {
  const place = `vault ${mount}/${path}#${field}`
  const target = `${encoded(mount)}/data/${encoded(path)}`
  const fail = (because: string): SecretReading => ({ ok: false, because: `${place}: ${because}` })
  const readWith = async (token: string, signal: AbortSignal) => client.call({ method: 'GET', path: target, token }, signal)
  return {
    place,
    refreshMs,
    read: async (signal) => {
      const held = await session.token()
      if (!held.ok) return fail(held.because)
      let answer = await readWith(held.token, signal)
      // The token may have been revoked: once with a new one, and then it is this path that is forbidden.
      if (!answer.ok && answer.status === 403 && !(await session.confirm(held.token))) {
        const again = await session.token()
        if (!again.ok) return fail(again.because)
        answer = await readWith(again.token, signal)
      }
      if (!answer.ok) return fail(answer.because)
      const text = memberOf(answer.body, 'data', 'data', field)
      if (typeof text !== 'string') return fail('there is no such field, or it is no text')
      return { ok: true, text, leaseMs: leaseOf(answer.body, maxAgeMs) }
    }
  }
}

/** KV gives `lease_duration` 0, which is no lease. */
function leaseOf(body: unknown, maxAgeMs: number): number {
  const seconds = memberOf(body, 'lease_duration')
  return typeof seconds === 'number' && seconds > 0 ? Math.min(seconds * 1_000, maxAgeMs) : maxAgeMs
}

function encoded(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}
