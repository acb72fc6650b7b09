/**
 * One connection to Redis after the other, with a bounded wait for each answer and nothing that queues while there is none. The
 * client's own reconnecting is not used: each connection must first say what kind of server is at its end.
 */
import { createHash } from 'node:crypto'
import { createClient } from '@redis/client'
import type { StoreWait } from './store-faults.ts'

export interface RedisAddress {
  /** `redis://` or `rediss://`, without credentials. */
  readonly url: string
  /** PEM of the authorities to believe, instead of the public ones. */
  readonly ca?: string | undefined
  readonly username?: string | undefined
  /** Asked for each connection, so that a password can be changed under way. */
  readonly password?: (() => Promise<string>) | undefined
}

/** A server that keeps what it is given, as far as one can ask it. */
interface Server {
  readonly client: Client
  /** Names this run of the server: another one may have forgotten something. */
  readonly run: string
}

type Client = ReturnType<typeof newClient>
type Reply = string | number | null | readonly Reply[]

/** Redis answers in a fraction of a millisecond; a decision is not worth waiting longer for one that does not. */
const ANSWER_MS_MAX = 200
const CONNECT_MS_MAX = 2_000
/** A connection on which nothing has come for so long, though something was asked, is dropped. */
const SILENT_MS = 1_000
/** Questions under way: about 30 ms of a server's work. */
const ASKED_MAX = 1_024
const RETRY_FIRST_MS = 50
const RETRY_MOST_MS = 2_000

export class RedisConnection {
  readonly #address: RedisAddress
  readonly #answerMsMax: number
  readonly #onChange: (because: string | undefined) => void
  readonly #first: Promise<void>
  #server: Server | undefined
  #because = 'not connected'
  #asked = 0
  #heardAt = 0
  #failures = 0
  #closed = false
  #idle: (() => void) | undefined
  #retry: NodeJS.Timeout | undefined

  /**
   * @throws when the URL is none
   * @param onChange told why there is no connection, or undefined when there is one
   */
  constructor({ answerMsMax = ANSWER_MS_MAX, ...address }: RedisAddress & StoreWait, onChange: (because: string | undefined) => void) {
    new URL(address.url)
    this.#address = address
    this.#answerMsMax = answerMsMax
    this.#onChange = onChange
    this.#first = this.#connect()
  }

  /**
   * Runs a script. ARGV begins with `prefix` and the run of the server.
   * @throws an Error whose message says why there is no answer; Redis's own begin with a word in capitals
   */
  async run(script: string, keys: readonly string[], prefix: string, args: readonly string[]): Promise<readonly Reply[]> {
    if (this.#closed) throw new Error('closed')
    if (this.#asked >= ASKED_MAX) throw new Error('too much is under way')
    this.#asked++
    try {
      return await within(this.#answerMsMax, this.#evaluate(script, keys, prefix, args))
    } catch (cause) {
      this.#judge(cause)
      throw cause
    } finally {
      this.#asked--
      if (this.#asked === 0) this.#idle?.()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#asked > 0)
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    clearTimeout(this.#retry)
    this.#server?.client.destroy()
    this.#server = undefined
  }

  async #evaluate(script: string, keys: readonly string[], prefix: string, args: readonly string[]): Promise<readonly Reply[]> {
    if (this.#server === undefined) await this.#first
    if (this.#server === undefined) throw new Error(this.#because)
    const { client, run } = this.#server
    const rest = [String(keys.length), ...keys, prefix, run, ...args]
    const reply = await client.sendCommand<readonly Reply[]>(['EVALSHA', shaOf(script), ...rest]).catch((cause: Error) => {
      if (!cause.message.startsWith('NOSCRIPT')) throw cause
      return client.sendCommand<readonly Reply[]>(['EVAL', script, ...rest])
    })
    this.#heardAt = performance.now()
    return reply
  }

  /** A server that is silent, or has become a replica, is left. */
  #judge(cause: unknown): void {
    const because = messageOf(cause)
    const silent = cause instanceof Late && performance.now() - this.#heardAt > SILENT_MS
    if (silent || because.startsWith('READONLY')) this.#lose(this.#server?.client, because)
  }

  async #connect(): Promise<void> {
    const client = newClient(this.#address)
    client.on('error', (cause) => this.#lose(client, messageOf(cause)))
    client.on('end', () => this.#lose(client, 'the connection was closed'))
    try {
      await within(CONNECT_MS_MAX, client.connect())
      const run = readRun(String(await within(CONNECT_MS_MAX, client.sendCommand(['INFO']))))
      // Whoever closes still waits for what was asked before.
      if (this.#closed && this.#asked === 0) return client.destroy()
      this.#server = { client, run }
      this.#heardAt = performance.now()
      this.#failures = 0
      this.#onChange(undefined)
    } catch (cause) {
      destroy(client)
      this.#retryAfter(messageOf(cause))
    }
  }

  #lose(client: Client | undefined, because: string): void {
    if (client === undefined || this.#server?.client !== client) return
    this.#server = undefined
    destroy(client)
    this.#retryAfter(because)
  }

  #retryAfter(because: string): void {
    this.#because = because
    if (this.#closed) return
    this.#onChange(because)
    const most = Math.min(RETRY_MOST_MS, RETRY_FIRST_MS * 2 ** Math.min(this.#failures++, 10))
    this.#retry = setTimeout(() => void this.#connect(), most * (0.5 + Math.random() / 2))
  }
}

function newClient({ url, ca, username, password }: RedisAddress) {
  const socket = { connectTimeout: CONNECT_MS_MAX, reconnectStrategy: false } as const
  const secure = { ...socket, tls: true, minVersion: 'TLSv1.2', ...(ca === undefined ? {} : { ca }) } as const
  const who = username === undefined ? {} : { username }
  const credentials = async () => (password === undefined ? who : { ...who, password: await password() })
  return createClient({
    url,
    RESP: 2,
    socket: url.startsWith('rediss:') ? secure : socket,
    disableOfflineQueue: true,
    commandsQueueMaxLength: 2 * ASKED_MAX,
    // A server must not be able to send us to another.
    maintNotifications: 'disabled',
    ...(username === undefined && password === undefined
      ? {}
      : { credentialsProvider: { type: 'async-credentials-provider', credentials } })
  })
}

/** @throws when that server would forget what it was given, or may not be written to (https://redis.io/docs/latest/commands/info/) */
function readRun(info: string): string {
  const facts = new Map(info.split('\r\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]))
  const run = facts.get('run_id')
  if (run === undefined || !/^[0-9a-f]{40}$/.test(run)) throw new Error('its INFO has no run_id')
  if (facts.get('role') !== 'master') throw new Error(`its role is ${facts.get('role')}, not master`)
  const policy = facts.get('maxmemory_policy')
  if (policy !== 'noeviction') throw new Error(`its maxmemory-policy is ${policy}: it would drop entries to make room; set noeviction`)
  return run
}

class Late extends Error {}

/** The promise, or an Error after that many milliseconds. What comes later is dropped. */
async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Late(`no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function destroy(client: Client): void {
  if (client.isOpen) client.destroy()
}

/** Redis may repeat a script in what it says of it; the first line is enough. */
function messageOf(cause: unknown): string {
  const { message = '', code } = cause as { message?: string; code?: string }
  return (message === '' ? (code ?? 'no connection') : message).split('\n')[0]?.slice(0, 200) ?? ''
}

const shas = new Map<string, string>()

function shaOf(script: string): string {
  const known = shas.get(script)
  if (known !== undefined) return known
  const sha = createHash('sha1').update(script).digest('hex')
  shas.set(script, sha)
  return sha
}
