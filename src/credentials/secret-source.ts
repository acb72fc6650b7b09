/** Where secrets are kept: a file, the environment, or Vault (vault-secret.ts). */
import { readFile } from 'node:fs/promises'

export type SecretReading =
  /** `leaseMs`: how long it may be used without being read again. */
  | { readonly ok: true; readonly text: string; readonly leaseMs: number }
  /** Says nothing of what was read. */
  | { readonly ok: false; readonly because: string }

export interface SecretSource {
  /** For messages, such as `file qdrant.key` or `vault secret/milvus/acme#password`. */
  readonly place: string
  /** Read again after this long; infinite for what cannot change. */
  readonly refreshMs: number
  /** Never throws. */
  readonly read: (signal: AbortSignal) => Promise<SecretReading>
}

/** A private key of RSA-8192 in PEM has 6 KiB. */
const SECRET_BYTES_MAX = 64 * 1024

/** @param maxAgeMs how long the last reading is good for, when the file is gone or cannot be read */
export function secretFromFile(file: string, refreshMs: number, maxAgeMs: number): SecretSource {
  const place = `file ${file}`
  return {
    place,
    refreshMs,
    read: async (signal) => {
      try {
        const bytes = await readFile(file, { signal })
        if (bytes.length > SECRET_BYTES_MAX) return { ok: false, because: `${place}: longer than ${SECRET_BYTES_MAX} bytes` }
        return { ok: true, text: withoutLineEnd(new TextDecoder('utf-8', { fatal: true }).decode(bytes)), leaseMs: maxAgeMs }
      } catch (cause) {
        return { ok: false, because: `${place}: cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'not UTF-8'})` }
      }
    }
  }
}

/** Editors and `echo` leave one; a second one would be part of the secret. */
function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, '')
}

/** @param value of the variable when the process started: an environment does not change */
export function secretFromEnvironment(name: string, value: string | undefined): SecretSource {
  const place = `environment variable ${name}`
  const reading: SecretReading =
    value === undefined
      ? { ok: false, because: `${place}: not set` }
      : { ok: true, text: withoutLineEnd(value), leaseMs: Number.POSITIVE_INFINITY }
  return { place, refreshMs: Number.POSITIVE_INFINITY, read: async () => reading }
}

/** Something made by this process, such as a signing key: there as soon as it is made, and never another one. */
export function secretMadeHere(what: string, make: () => Promise<string>): SecretSource {
  let made: Promise<SecretReading> | undefined
  return {
    place: what,
    refreshMs: Number.POSITIVE_INFINITY,
    read: () => {
      made ??= make().then(
        (text) => ({ ok: true, text, leaseMs: Number.POSITIVE_INFINITY }),
        (cause: Error) => ({ ok: false, because: `${what}: ${cause.message}` })
      )
      return made
    }
  }
}
