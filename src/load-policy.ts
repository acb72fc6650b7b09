/** Loads a policy without holding up the checks that are under way: read by a worker, compiled here in short slices. */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { knownServer } from './config/load.ts'
import type { Fault } from './config/read-yaml.ts'
import type { Settings } from './config/settings-schema.ts'
import type { CollectionsDocument, DocumentPath, TenantDocument, WorkloadDocument } from './core/policy-document.ts'
import { SERVED } from './databases/dialects.ts'
import type { Archive, Message, Question } from './load-policy-worker.ts'
import { type Compiled, compileSteps } from './policy/compile.ts'
import type { Policy } from './policy/policy.ts'

export type Loaded =
  | {
      readonly ok: true
      readonly policy: Policy
      readonly findings: readonly Fault[]
      /** Why it could not be archived. */
      readonly archiveFault: string | undefined
    }
  | { readonly ok: false; readonly faults: readonly Fault[] }

/** Longest that compiling keeps the event loop at once. What the garbage collector then takes comes on top: up to 13 ms for a large policy. */
const SLICE_MS = 2

/**
 * @param path of the policy's file or folder
 * @param now ms since the epoch, for what is overdue or expired
 * @param archive where it is kept if it is good
 * @throws when the worker fails
 */
export async function loadPolicyAside(path: string, settings: Settings, now: number, archive?: Archive): Promise<Loaded> {
  const question: Question = { path, settings, now, archive }
  const worker = new Worker(new URL('./load-policy-worker.ts', import.meta.url), { workerData: question })
  try {
    return await receive(worker, settings)
  } finally {
    await worker.terminate()
  }
}

async function receive(worker: Worker, settings: Settings): Promise<Loaded> {
  const tenants: TenantDocument[] = []
  const workloads: WorkloadDocument[] = []
  const collections: CollectionsDocument[] = []
  const places = { workloads: [] as string[], collections: [] as (readonly string[])[] }
  let last: Extract<Message, { kind: 'rest' | 'faults' }> | undefined
  while (last === undefined) {
    const message = await nextOf(worker)
    if (message.kind === 'tenants') tenants.push(...message.items)
    else if (message.kind === 'workloads') {
      workloads.push(...message.items)
      places.workloads.push(...message.places)
    } else if (message.kind === 'collections') {
      collections.push(...message.items)
      places.collections.push(...message.places)
    } else last = message
  }
  if (last.kind === 'faults') return { ok: false, faults: last.faults }
  const document = { ...last.rest, tenants, workloads, collections }
  const { places: others } = last
  const place = (path: DocumentPath) => {
    const [list, at, , rule] = path
    if (list === 'workloads') return places.workloads[Number(at)] ?? ''
    if (list === 'collections') return places.collections[Number(at)]?.[rule === undefined ? 0 : Number(rule) + 1] ?? ''
    return others.get(JSON.stringify(path)) ?? ''
  }
  const compiled = await inSlices(compileSteps(document, knownServer(settings, SERVED), last.revision, place))
  if (!compiled.ok) throw new Error('the policy has faults here that it had not in the worker')
  return { ok: true, policy: compiled.policy, findings: last.findings, archiveFault: last.archiveFault }
}

/** The next message; it fails when the worker does, and when the worker ends without one. */
async function nextOf(worker: Worker): Promise<Message> {
  const ended = new AbortController()
  const end = () => ended.abort()
  worker.once('exit', end)
  worker.postMessage('next')
  try {
    const [message] = await once(worker, 'message', { signal: ended.signal })
    return message as Message
  } finally {
    worker.off('exit', end)
  }
}

async function inSlices(steps: Generator<void, Compiled>): Promise<Compiled> {
  for (;;) {
    const until = performance.now() + SLICE_MS
    while (performance.now() < until) {
      const { done, value } = steps.next()
      if (done) return value
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
}
