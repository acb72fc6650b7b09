/** Paging as the server has it: receivers and their secrets, what is to be told on the disk, and what the replicas know together of it. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { dirname, isAbsolute, join, resolve } from 'node:path'
import type { Logger } from 'pino'
import type { Registry } from 'prom-client'
import { pageMetrics } from './admin/page-metrics.ts'
import type { PagingSettings, ReceiverSettings } from './config/paging-schema.ts'
import type { Settings } from './config/settings-schema.ts'
import { accept, refuse } from './core/deny-reason.ts'
import { key } from './core/keys.ts'
import type { PageKind, Severity } from './core/page.ts'
import type { Scope, Standing } from './core/standing.ts'
import type { Move } from './core/standings.ts'
import type { Store } from './core/store.ts'
import { type KeptSecrets, keepSecrets } from './credentials/secret-keeper.ts'
import { secretFromEnvironment, secretFromFile } from './credentials/secret-source.ts'
import { type Entry, entryIn, type Spool } from './paging/entry.ts'
import { createEpisodes, type EpisodeParts, type Episodes } from './paging/episodes.ts'
import { createPager, type PagerEvent } from './paging/pager.ts'
import { type OpenReceiver, openReceiver, receiverSecretFault } from './paging/receivers.ts'
import { backoffMs } from './spire/backoff.ts'
import { openSealedFiles, type SealedFiles } from './state/sealed-files.ts'

export interface ServedPaging extends Pick<Episodes, 'found'> {
  readonly moved: (move: Move) => void
  /** From now on, pages begin and end. */
  readonly begin: (its: PagingFacts) => void
  readonly close: () => Promise<void>
}

/** What is there after this. */
interface PagingFacts {
  /** undefined: it is not known yet. */
  readonly standing: (scope: Scope) => Standing | undefined
  /** Why calls are not served as they should be. */
  readonly fault: () => string | undefined
}

export interface PagingEdges {
  readonly settingsFile: string
  readonly environment: (name: string) => string | undefined
  readonly store: Store
  readonly registry: Registry
  /** SPIFFE ID of this server. */
  readonly from: string
  readonly log: Logger
  /** Between tries, where it is not `PAUSE`. */
  readonly pause?: { readonly firstMs: number; readonly mostMs: number }
}

/** Open pages at a time: more is one that says that there are more. */
const OPEN_MAX = 1_000
const TICK_MS = 2_000
const PAUSE = { firstMs: 1_000, mostMs: 60_000 }
/** A secret file is read so often, and what was read is good for so long. */
const SECRET_MS = { refresh: 60_000, most: 86_400_000 }
const PAGERDUTY = 'https://events.pagerduty.com'
const DEAD_LETTERS = 'dead-letters.jsonl'
const DAY_MS = 86_400_000
/** The longest that a policy can ask for. */
const QUARANTINE_MS_MAX = 90 * DAY_MS
/** What is under way when the process ends gets so long; the next process has the rest. */
const CLOSE_MS = 3_000

/** undefined where nobody is to be told. Rejects with a sentence where the folder cannot be used. */
export async function openPaging(settings: Settings, edges: PagingEdges): Promise<ServedPaging | undefined> {
  const { paging } = settings
  if (paging === undefined) return undefined
  const { settingsFile, store, registry, from, log, pause = PAUSE } = edges
  const folder = absolute(paging.folder, settingsFile)
  // Processes of one host may share the folder: each has its own place in it.
  const owner = `pages-${createHash('sha256').update(resolve(settingsFile), 'utf16le').digest('hex').slice(0, 16)}`
  const files = await openSealedFiles(folder, owner)
  const opened = paging.receivers.map((one) => openOne(one, edges))
  const told = (page: string, until: number | undefined) => markTold(store, page, until)
  const pager = createPager({
    receivers: opened.map(({ receiver }) => receiver),
    spool: spoolOf(files),
    bury: (line) => appendFile(join(folder, owner, DEAD_LETTERS), `${line}\n`, { mode: 0o600 }),
    now: Date.now,
    pauseMs: (failures) => backoffMs(failures, pause.firstMs, pause.mostMs, Math.random()),
    giveUpMs: paging.give_up_seconds * 1000,
    most: OPEN_MAX,
    onEvent: (event) => {
      if (event.kind !== 'spool') metrics.page(event.receiver, event.kind)
      if (event.kind === 'told' && event.state === 'firing') told(event.page.key, event.page.until)
      say(event, log)
    }
  })
  const ids = paging.receivers.map(({ id }) => id)
  const metrics = pageMetrics(registry, ids, pager.waiting)
  let facts: PagingFacts | undefined
  const episodes = createEpisodes({
    pager,
    server: `${from} (${settings.role} ${settings.listen})`,
    severity: severityOf(paging),
    now: Date.now,
    standing: (scope) => facts?.standing(scope),
    shared: sharedBy(store),
    fault: () => facts?.fault(),
    outageMs: paging.outage_after_seconds * 1000,
    onTrouble: (because) => log.error({ because }, 'paging: failed')
  })
  await episodes.load()
  let timer: NodeJS.Timeout | undefined
  return {
    moved: episodes.moved,
    found: episodes.found,
    begin(its) {
      facts = its
      timer = setInterval(() => void episodes.tick(), TICK_MS)
      timer.unref()
    },
    async close() {
      clearInterval(timer)
      await Promise.race([pager.close(), new Promise((done) => setTimeout(done, CLOSE_MS).unref())])
      for (const { receiver, secrets } of opened) {
        receiver.close()
        secrets?.close()
      }
    }
  }
}

function openOne(given: ReceiverSettings, { settingsFile, environment, from, log }: PagingEdges) {
  const { id, kind, url = PAGERDUTY, ca_file, secret: place, at_least: atLeast } = given
  const secrets: KeptSecrets | undefined =
    place === undefined
      ? undefined
      : keepSecrets({
          source: () =>
            place.env === undefined
              ? secretFromFile(absolute(place.file ?? '', settingsFile), SECRET_MS.refresh, SECRET_MS.most)
              : secretFromEnvironment(place.env, environment(place.env)),
          perTenant: false,
          faultOf: (text) => receiverSecretFault(kind, text),
          pauseMs: (failures) => backoffMs(failures, PAUSE.firstMs, PAUSE.mostMs, Math.random()),
          now: Date.now,
          onEvent: ({ kind: what, because }) => {
            if (what === 'failed') log.error({ receiver: id, because }, 'paging: no secret, so nobody is told')
            else log.info({ receiver: id, because }, 'paging: secret in force')
          }
        })
  const secret = secrets === undefined ? undefined : (now: number) => secretAt(secrets, now)
  const ca = ca_file === undefined ? undefined : readPem(absolute(ca_file, settingsFile))
  const receiver: OpenReceiver = openReceiver({ id, kind, url: url.replace(/\/+$/, ''), ca, secret, atLeast, from })
  return { receiver, secrets }
}

function secretAt(secrets: KeptSecrets, now: number) {
  const read = secrets.at(undefined, now)
  return read.ok && read.value !== 'none' ? accept(read.value) : refuse('state-unavailable', 'its secret cannot be had')
}

function severityOf({ severity }: PagingSettings): (kind: PageKind) => Severity | undefined {
  const { step_up: stepUp, ...others } = severity
  const all = { ...others, 'step-up': stepUp }
  return (kind) => {
    const grave = all[kind]
    return grave === 'off' ? undefined : grave
  }
}

function spoolOf(files: SealedFiles): Spool {
  return {
    write: (name, text) => files.write(name, [Buffer.from(text, 'utf8')]),
    remove: files.remove,
    async read() {
      const names = (await files.names()).filter((name) => name.startsWith('page-'))
      const found: { entries: Pick<Entry, 'page' | 'told'>[]; broken: string[] } = { entries: [], broken: [] }
      for (const name of names) {
        const own = (await files.read(name)).find(({ owner }) => owner === files.owner)
        const entry = own?.bytes === undefined ? undefined : entryIn(own.bytes.toString('utf8'))
        if (entry === undefined) found.broken.push(name)
        else found.entries.push(entry)
      }
      return found
    }
  }
}

/** Who was told is known to all replicas as long as the page can be open. Without the store they tell twice, under one key. */
function markTold(store: Store, page: string, until: number | undefined): void {
  const now = Date.now()
  void store.putOnce(key('page', 'told', page), '1', Math.max(now, Math.min(until ?? now, now + QUARANTINE_MS_MAX)) + DAY_MS, now)
}

function sharedBy(store: Store): EpisodeParts['shared'] {
  return {
    async isTold(page) {
      const got = await store.get(key('page', 'told', page), Date.now())
      return got.kind === 'value'
    },
    async episode(about, fresh, until) {
      const place = key('page', 'episode', createHash('sha256').update(about, 'utf16le').digest('hex'))
      const put = await store.putOnce(place, fresh, until, Date.now())
      if (put.kind !== 'there') return fresh
      await store.replace(place, put.value, put.value, until, Date.now())
      return put.value
    }
  }
}

function say(event: PagerEvent, log: Logger): void {
  if (event.kind === 'spool') {
    log.error({ because: event.because }, 'paging: the disk does not keep what is to be told')
    return
  }
  const { kind, receiver, page, state, because, tries } = event
  const facts = { receiver, page: page.key, subject: page.subject, state, tries }
  if (kind === 'told') log.info(facts, 'paging: told')
  else if (kind === 'dead') log.error({ ...facts, because }, 'paging: given up; it is a dead letter')
  // The first, the second, the fourth…: who tries for a day would fill the log.
  else if ((tries & (tries - 1)) === 0) log.warn({ ...facts, because }, 'paging: not taken, and tried again')
}

function absolute(path: string, settingsFile: string): string {
  return isAbsolute(path) ? path : join(dirname(settingsFile), path)
}

function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (cause) {
    throw new Error(`ca_file ${file} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'unreadable'}).`)
  }
}
