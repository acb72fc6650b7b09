/** This process's standing with Vault or OpenBao: logged in with a JWT-SVID, renewed before the token ends, logged in anew when that fails. */
import { memberOf, type VaultClient } from './vault-http.ts'

export type Held = { readonly ok: true; readonly token: string } | { readonly ok: false; readonly because: string }

export interface SessionOptions {
  /** Where the JWT auth method is mounted. */
  readonly authMount: string
  readonly role: string
  /** A JWT-SVID for this Vault's audience. Never throws; `because` holds no token. */
  readonly fetchJwt: () => Promise<Held>
  readonly pauseMs: (failures: number) => number
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** Renewed when this much of the lease is gone. */
const LEASE_SHARE = 2 / 3
/** A renewal that gives less than this share of the first lease is running into the token's last end (`token_max_ttl`). */
const RENEWED_SHARE = 1 / 2
const WAIT_MS_MAX = 86_400_000

interface Standing {
  readonly token: string
  /** Of the login, milliseconds. */
  readonly leaseMs: number
  /** Milliseconds since the epoch. */
  endsAt: number
}

export class VaultSession {
  readonly #client: VaultClient
  readonly #options: SessionOptions
  readonly #closing = new AbortController()
  #standing: Standing | undefined
  #login: Promise<Held> | undefined
  /** What the last login said, and until when nobody asks again: Vault and the Workload API are asked once for all who wait. */
  #refused: { readonly because: string; readonly until: number } | undefined
  #failures = 0
  #timer: NodeJS.Timeout | undefined

  constructor(client: VaultClient, options: SessionOptions) {
    this.#client = client
    this.#options = options
  }

  /** A token that has not ended, from memory or by logging in. */
  async token(): Promise<Held> {
    const now = this.#options.now()
    if (this.#standing !== undefined && now < this.#standing.endsAt) return { ok: true, token: this.#standing.token }
    if (this.#refused !== undefined && now < this.#refused.until) return { ok: false, because: this.#refused.because }
    this.#login ??= this.#logIn().finally(() => {
      this.#login = undefined
    })
    return this.#login
  }

  /** Whether Vault still knows this token: a 403 may as well mean that the path is forbidden, and a login would not help then. */
  async confirm(token: string): Promise<boolean> {
    const answer = await this.#client.call({ method: 'GET', path: 'auth/token/lookup-self', token }, this.#closing.signal)
    if (!answer.ok && answer.status === 403 && this.#standing?.token === token) this.#standing = undefined
    return answer.ok || answer.status !== 403
  }

  /** Ends the token, so that it is of no use to anybody. */
  async close(): Promise<void> {
    clearTimeout(this.#timer)
    const token = this.#standing?.token
    this.#standing = undefined
    this.#closing.abort()
    if (token !== undefined) {
      await this.#client.call({ method: 'POST', path: 'auth/token/revoke-self', token, body: {} }, AbortSignal.timeout(1_000))
    }
  }

  async #logIn(): Promise<Held> {
    const { authMount, role, fetchJwt, now, pauseMs } = this.#options
    const jwt = await fetchJwt()
    const asked = now()
    const because = jwt.ok ? await this.#enter(authMount, role, jwt.token, asked) : jwt.because
    if (because === undefined && this.#standing !== undefined) {
      this.#failures = 0
      this.#refused = undefined
      return { ok: true, token: this.#standing.token }
    }
    this.#failures++
    this.#refused = { because: because ?? 'closed', until: now() + pauseMs(this.#failures) }
    return { ok: false, because: this.#refused.because }
  }

  /** @returns why there is no token; undefined when there is */
  async #enter(authMount: string, role: string, jwt: string, asked: number): Promise<string | undefined> {
    const call = { method: 'POST', path: `auth/${authMount}/login`, body: { role, jwt } } as const
    const answer = await this.#client.call(call, this.#closing.signal)
    if (!answer.ok) return `login as ${role}: ${answer.because}`
    const token = memberOf(answer.body, 'auth', 'client_token')
    const leaseMs = leaseOf(answer.body)
    if (typeof token !== 'string' || token === '' || leaseMs === undefined) return `login as ${role}: its answer holds no token with an end`
    this.#standing = { token, leaseMs, endsAt: asked + leaseMs }
    if (memberOf(answer.body, 'auth', 'renewable') === true) this.#renewAfter(leaseMs * LEASE_SHARE, 0)
    return undefined
  }

  #renewAfter(waitMs: number, failures: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => void this.#renew(failures), Math.min(waitMs, WAIT_MS_MAX))
    this.#timer.unref()
  }

  async #renew(failures: number): Promise<void> {
    const standing = this.#standing
    if (standing === undefined) return
    const { now, pauseMs } = this.#options
    const asked = now()
    const call = { method: 'POST', path: 'auth/token/renew-self', token: standing.token, body: {} } as const
    const answer = await this.#client.call(call, this.#closing.signal)
    if (this.#standing !== standing || this.#closing.signal.aborted) return
    const leaseMs = answer.ok ? leaseOf(answer.body) : undefined
    if (leaseMs !== undefined && leaseMs >= standing.leaseMs * RENEWED_SHARE) {
      standing.endsAt = asked + leaseMs
      return this.#renewAfter(leaseMs * LEASE_SHARE, 0)
    }
    // A refusal, or an end that comes closer: the next reader logs in. Silence may pass, and the token still has some time.
    if (answer.ok || (answer.status >= 400 && answer.status < 500)) this.#standing = undefined
    else this.#renewAfter(pauseMs(failures + 1), failures + 1)
  }
}

/** `auth.lease_duration`, seconds; undefined for a token without an end, which nobody should hold. */
function leaseOf(body: unknown): number | undefined {
  const seconds = memberOf(body, 'auth', 'lease_duration')
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0 ? seconds * 1_000 : undefined
}
