/**
 * Reads a policy beside the event loop: seconds of YAML for a large one. It is sent home in slices, because taking one large message
 * apart would hold the loop up as well.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { knownServer, readPolicy } from './config/load.ts'
import { archivePolicy } from './config/policy-archive.ts'
import type { PolicyText } from './config/policy-files.ts'
import type { Fault } from './config/read-yaml.ts'
import type { Settings } from './config/settings-schema.ts'
import type { CollectionsDocument, PolicyDocument, TenantDocument, WorkloadDocument } from './core/policy-document.ts'
import { SERVED } from './databases/dialects.ts'
import { compilePolicy } from './policy/compile.ts'
import { policyFindings } from './policy/findings.ts'

/** What the worker is given. */
export interface Question {
  readonly path: string
  readonly settings: Settings
  /** Milliseconds since the epoch. */
  readonly now: number
  readonly archive: Archive | undefined
}

/** Where a policy is kept that is good. */
export interface Archive {
  readonly dir: string
  /** Revisions that are not dropped from it. */
  readonly inForce: readonly string[]
}

/** What it sends, in this order: slices, then the rest; or the faults. */
export type Message =
  | { readonly kind: 'tenants'; readonly items: readonly TenantDocument[] }
  | { readonly kind: 'workloads'; readonly items: readonly WorkloadDocument[]; readonly places: readonly string[] }
  | {
      readonly kind: 'collections'
      readonly items: readonly CollectionsDocument[]
      /** Of each entry, and then of each of its rules. */
      readonly places: readonly (readonly string[])[]
    }
  | {
      readonly kind: 'rest'
      readonly rest: Omit<PolicyDocument, 'tenants' | 'workloads' | 'collections'>
      /** Of what compiling names in it, by path as JSON. */
      readonly places: ReadonlyMap<string, string>
      readonly revision: string
      readonly findings: readonly Fault[]
      /** Why it could not be archived. */
      readonly archiveFault: string | undefined
    }
  | { readonly kind: 'faults'; readonly faults: readonly Fault[] }

/** Entries in one message: about a millisecond to take apart. */
const SLICE = 200

function* messages({ path, settings, now, archive }: Question): Generator<Message, void> {
  const read = readPolicy(path)
  if (!read.ok) return yield { kind: 'faults', faults: read.faults }
  const { texts, document, revision, place, faultAt } = read
  // Faults are found here, so that nothing is compiled at home that will not be used.
  const places = new Map<string, string>()
  const compiled = compilePolicy(document, knownServer(settings, SERVED), revision, (path) => {
    const text = place(path)
    if (path[0] !== 'workloads' && path[0] !== 'collections') places.set(JSON.stringify(path), text)
    return text
  })
  if (!compiled.ok) return yield { kind: 'faults', faults: compiled.faults.map(faultAt) }
  const { tenants, workloads, collections, ...rest } = document
  for (let at = 0; at < tenants.length; at += SLICE) yield { kind: 'tenants', items: tenants.slice(at, at + SLICE) }
  for (let at = 0; at < workloads.length; at += SLICE) {
    const items = workloads.slice(at, at + SLICE)
    yield { kind: 'workloads', items, places: items.map((_, index) => place(['workloads', at + index])) }
  }
  for (let at = 0; at < collections.length; at += SLICE) {
    const items = collections.slice(at, at + SLICE)
    const places = items.map(({ allow }, index) => {
      const entry = ['collections', at + index]
      return [place(entry), ...allow.map((_, rule) => place([...entry, 'allow', rule]))]
    })
    yield { kind: 'collections', items, places }
  }
  const archiveFault = archive && keep(archive, revision, texts)
  yield { kind: 'rest', rest, places, revision, findings: policyFindings(document, now).map(faultAt), archiveFault }
}

/** These very texts: the files may be others by now. @returns why that cannot be done */
function keep({ dir, inForce }: Archive, revision: string, texts: readonly PolicyText[]): string | undefined {
  try {
    archivePolicy(dir, revision, texts, inForce)
  } catch (cause) {
    return (cause as Error).message
  }
  return undefined
}

if (parentPort !== null) {
  const port = parentPort
  const all = messages(workerData as Question)
  // One for each that is asked for: several that wait would be taken apart in one go at home.
  port.on('message', () => {
    const { done, value } = all.next()
    if (done) port.close()
    else port.postMessage(value)
  })
}
