/** The policy in force, and what keeps it current. */
import { watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import type { Logger } from 'pino'
import { policyStamp } from './config/policy-files.ts'
import { printFault } from './config/read-yaml.ts'
import type { Settings } from './config/settings-schema.ts'
import { loadPolicyAside } from './load-policy.ts'
import type { Policy } from './policy/policy.ts'

/** Also where the system tells of changes: not every file system does. */
const POLICY_POLL_MS = 500

export interface InForce {
  readonly policy: Policy
  /** Milliseconds since the epoch. */
  readonly since: number
}

/** What became of the files that were read so far. */
export interface PolicyLoads {
  readonly loaded: number
  readonly failed: number
  /** Milliseconds since the epoch. */
  readonly loadedAt: number
  /** Why the newest file is not the one in force; empty when it is. */
  readonly faults: readonly string[]
}

export interface PolicyWatch {
  readonly inForce: () => InForce
  readonly loads: () => PolicyLoads
  readonly close: () => void
}

/** Where what comes into force is kept, and what is in force already. */
export interface Watched {
  readonly path: string
  readonly settings: Settings
  /** Folder of the archive. */
  readonly archive: string | undefined
  readonly log: Logger
  readonly onNew: (policy: Policy) => void
}

/** The policy in force: a better one replaces it whole, a bad one changes nothing and is shown with its faults. */
export function watchPolicy(first: Policy, { path, settings, archive, log, onNew }: Watched): PolicyWatch {
  let current: InForce = { policy: first, since: 0 }
  let loads: PolicyLoads = { loaded: 1, failed: 0, loadedAt: Date.now(), faults: [] }
  const refused = (faults: readonly string[]) => {
    loads = { ...loads, failed: loads.failed + 1, faults }
  }
  // The first look finds what changed while the server started, and what there is to say of the policy it started with.
  let seen: string | undefined
  let loading = false
  const look = async () => {
    const stamp = policyStamp(path)
    if (loading || stamp === seen) return
    ;[loading, seen] = [true, stamp]
    try {
      const loaded = await loadPolicyAside(
        path,
        settings,
        Date.now(),
        archive === undefined ? undefined : { dir: archive, inForce: [current.policy.revision] }
      )
      const kept = current.policy.revision.slice(0, 12)
      if (!loaded.ok) {
        refused(loaded.faults.map(printFault))
        return log.error({ faults: loads.faults, kept }, 'policy: the new file is not used')
      }
      loads = { ...loads, faults: [] }
      if (loaded.findings.length > 0) log.warn({ findings: loaded.findings.map(printFault) }, 'policy: not faults, but worth a look')
      // It comes into force all the same: it may be one that takes trust back.
      if (loaded.archiveFault !== undefined) log.error({ fault: loaded.archiveFault }, 'policy: it could not be archived')
      if (loaded.policy.revision === current.policy.revision) return
      // What was proven in this very millisecond may have been proven before.
      current = { policy: loaded.policy, since: Date.now() + 1 }
      loads = { ...loads, loaded: loads.loaded + 1, loadedAt: Date.now() }
      onNew(loaded.policy)
      log.info({ policy_revision: current.policy.revision.slice(0, 12) }, 'policy: the new file is in force')
    } catch (cause) {
      const fault = cause instanceof Error ? cause.message : String(cause)
      refused([fault])
      log.error({ fault }, 'policy: the new file could not be loaded')
    } finally {
      loading = false
    }
  }
  const timer = setInterval(() => void look(), POLICY_POLL_MS)
  timer.unref()
  const told = watchFor(path, () => void look())
  return {
    inForce: () => current,
    loads: () => loads,
    close: () => {
      clearInterval(timer)
      told.close()
    }
  }
}

/** Calls back soon after something of that name changed. What it misses, the next look at the clock finds. */
function watchFor(path: string, onChange: () => void): { readonly close: () => void } {
  try {
    const name = basename(path)
    const watcher = watch(dirname(path), { persistent: false }, (_, changed) => {
      if (changed === null || changed === name) onChange()
    })
    watcher.on('error', () => watcher.close())
    return watcher
  } catch {
    return { close: () => undefined }
  }
}
