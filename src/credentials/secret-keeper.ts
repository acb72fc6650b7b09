/** Keeps secrets current: read again before their lease ends, the last good one kept until it does, and none used after that. */
import { accept, type Result, refuse } from '../core/deny-reason.ts'
import { type Secret, secretOf } from '../core/secret.ts'
import type { SecretReading, SecretSource } from './secret-source.ts'

export interface SecretEvent {
  readonly kind: 'updated' | 'failed'
  /** Undefined where all tenants have one. */
  readonly tenant: string | undefined
  /** Where it is kept, and why it cannot be had. Nothing of the secret. */
  readonly because: string
}

export interface KeepOptions {
  /** Undefined: this tenant's name has no place there. */
  readonly source: (tenant: string | undefined) => SecretSource | undefined
  /** One secret for each tenant; else one for all. */
  readonly perTenant: boolean
  /** Why a text cannot be this secret; it says nothing of the text. */
  readonly faultOf: (text: string) => string | undefined
  /** Milliseconds before the next try, after so many failures in a row; with jitter. */
  readonly pauseMs: (failures: number) => number
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly onEvent: (event: SecretEvent) => void
}

export interface KeptSecrets {
  /** The secret as it stands at `now`; `none` for a call without a tenant where each tenant has its own. */
  readonly at: (tenant: string | undefined, now: number) => Result<Secret | 'none'>
  /** Reads these tenants' secrets beforehand. */
  readonly want: (tenants: Iterable<string>) => void
  /** Why nothing can be had at all; undefined when something can. */
  readonly fault: () => string | undefined
  /** Secrets that are wanted, and those among them that cannot be had now. */
  readonly counts: () => { readonly wanted: number; readonly missing: number }
  readonly close: () => void
}

/** Of one database. Tenants come from the policy, which has fewer. */
const TENANTS_MAX = 10_000

export function keepSecrets(options: KeepOptions): KeptSecrets {
  const kept = new Map<string | undefined, KeptSecret>()
  const keep = (tenant: string | undefined): KeptSecret | undefined => {
    const known = kept.get(tenant)
    if (known !== undefined || kept.size >= TENANTS_MAX) return known
    const source = options.source(tenant)
    if (source === undefined) return undefined
    const fresh = new KeptSecret(source, tenant, options)
    kept.set(tenant, fresh)
    return fresh
  }
  if (!options.perTenant) keep(undefined)
  return {
    at: (tenant, now) => {
      if (options.perTenant && tenant === undefined) return accept('none')
      const one = keep(options.perTenant ? tenant : undefined)
      return one === undefined ? refuse('state-unavailable', 'no credential of the database is kept for this tenant') : one.at(now)
    },
    want: (tenants) => {
      if (options.perTenant) for (const tenant of tenants) keep(tenant)
    },
    fault: () => {
      const now = options.now()
      const all = [...kept.values()].map((one) => one.at(now))
      const missing = all.filter((one) => !one.ok)
      return missing.length > 0 && missing.length === all.length ? missing[0]?.reason.because : undefined
    },
    counts: () => {
      const now = options.now()
      return { wanted: kept.size, missing: [...kept.values()].filter((one) => !one.at(now).ok).length }
    },
    close: () => {
      for (const one of kept.values()) one.close()
    }
  }
}

/** A timer holds no more; whoever waits longer reads once more than needed. */
const WAIT_MS_MAX = 86_400_000
/** Read again when this much of the lease is gone: time for some tries before its end. */
const LEASE_SHARE = 2 / 3

class KeptSecret {
  readonly #source: SecretSource
  readonly #tenant: string | undefined
  readonly #options: KeepOptions
  readonly #closing = new AbortController()
  #secret: Secret | undefined
  #until = 0
  #failures = 0
  #because: string
  #timer: NodeJS.Timeout | undefined

  constructor(source: SecretSource, tenant: string | undefined, options: KeepOptions) {
    this.#source = source
    this.#tenant = tenant
    this.#options = options
    this.#because = `${source.place}: not read yet`
    void this.#read()
  }

  at = (now: number): Result<Secret> => {
    if (this.#secret !== undefined && now < this.#until) return accept(this.#secret)
    return refuse('state-unavailable', `no credential for the database: ${this.#because}`)
  }

  close = (): void => {
    this.#closing.abort()
    clearTimeout(this.#timer)
    this.#secret = undefined
  }

  async #read(): Promise<void> {
    const { signal } = this.#closing
    const reading = await this.#source.read(signal)
    if (signal.aborted) return
    const waitMs = this.#take(reading)
    if (!Number.isFinite(waitMs)) return
    this.#timer = setTimeout(() => void this.#read(), Math.min(waitMs, WAIT_MS_MAX))
    this.#timer.unref()
  }

  /** @returns milliseconds until it is to be read again */
  #take(reading: SecretReading): number {
    const { faultOf, pauseMs, now, onEvent } = this.#options
    const unfit = reading.ok ? faultOf(reading.text) : undefined
    if (!reading.ok || unfit !== undefined) {
      this.#because = reading.ok ? `${this.#source.place}: ${unfit}` : reading.because
      this.#failures++
      onEvent({ kind: 'failed', tenant: this.#tenant, because: this.#because })
      return pauseMs(this.#failures)
    }
    this.#failures = 0
    this.#until = now() + reading.leaseMs
    this.#because = `${this.#source.place}: its lease has ended`
    // The same object while it is the same secret: answers that hold it stay good.
    if (this.#secret?.reveal() !== reading.text) {
      this.#secret = secretOf(reading.text)
      onEvent({ kind: 'updated', tenant: this.#tenant, because: this.#source.place })
    }
    return Math.min(this.#source.refreshMs, reading.leaseMs * LEASE_SHARE)
  }
}
