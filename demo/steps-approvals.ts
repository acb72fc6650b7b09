/** The steps of what cannot be undone: a drop waits for another person's yes, passes once, and waits again. */
import { type AdminDoor, admin, gatewayDesk, type Said } from './approve.ts'
import { type Answer, type Ask, call } from './client.ts'
import { APPROVER, DATABASE, INDEX_SERVER, INDEXER, OPERATOR } from './identities.ts'
import { callFrom, type PairScene } from './pair.ts'
import type { Stack } from './stack.ts'
import { namedPath, type Scene, type Step } from './step.ts'

export interface ApprovalScene extends Scene {
  /** What earlier steps leave to later ones: ids of requests, by what they are for. */
  readonly requests: Map<'drop' | 'again', string>
}

const COLLECTIONS = `/api/v2/tenants/acme/databases/${DATABASE}/collections`
/** Where the steps run more than once on the same servers: what was refused stays refused, and a run that ended has ended. */
const AGAIN = process.env['VECAUTHZ_DEMO_SUFFIX'] ?? ''
const NAME = `scratch-old${AGAIN}`
const OTHER = `scratch-new${AGAIN}`
const RUN = `nightly-7${AGAIN}`
const REASON = 'ticket 4711: moved to the archive'
const WAITS = { status: 403, reason: 'approval-required' } as const

export const APPROVAL_STEPS: readonly Step<ApprovalScene>[] = [
  {
    name: 'a drop that a rule allows: it waits for somebody else',
    shows: `acme/indexer: DELETE …/tenants/acme/…/collections/${NAME}`,
    run: async (scene) => {
      for (const name of [NAME, OTHER]) await make(scene, name)
      const answer = await blocked(scene)
      scene.requests.set('drop', requestOf(answer))
      return answer
    },
    want: WAITS,
    check: (answer) => (answer.body.includes(`vecauthz approve ${answer.approvalId};`) ? undefined : 'the answer does not say what to do')
  },
  {
    name: 'an approver and an operator see it waiting; asking again makes no second request',
    shows: 'people/ada, people/grace: vecauthz approvals; acme/indexer: the same DELETE',
    run: async (scene) => {
      for (const who of [APPROVER, OPERATOR]) {
        const { out } = await told(scene, 0, who, 'approvals')
        const lines = [
          `${known(scene)}  approval, waiting`,
          `caller  ${INDEXER}`,
          'wants   drop in demo, tenant acme',
          `on      rag/${NAME}`
        ]
        const missing = lines.find((line) => !out.includes(line))
        if (missing !== undefined) throw new Error(`${who} does not see "${missing}" in:\n${out}`)
      }
      return blocked(scene)
    },
    want: WAITS,
    check: (answer, scene) => (answer.approvalId === known(scene) ? undefined : `it is request ${answer.approvalId}`)
  },
  refusedTo(INDEXER, 'its caller approves it, and is even on the list of approvers', 'Nobody decides about what it asked for itself'),
  refusedTo(OPERATOR, 'an operator, who sees everything and is no approver, approves it', 'You may not do this here'),
  {
    name: "another person approves it, with a reason; another collection's drop is not what that is for",
    shows: `people/ada: vecauthz approve ID --reason "${REASON}"; acme/indexer: DELETE …/${OTHER}`,
    run: async (scene) => {
      const { out } = await told(scene, 0, APPROVER, 'approve', known(scene), '--reason', REASON)
      if (!out.includes('approval, approved')) throw new Error(`it is not approved: ${out}`)
      return blocked(scene, OTHER)
    },
    want: WAITS,
    check: anotherRequest
  },
  {
    name: 'nor is another request for the same drop',
    shows: `acme/indexer: DELETE …/${NAME}, content-type: text/plain`,
    run: (scene) => blocked(scene, NAME, { 'content-type': 'text/plain' }),
    want: WAITS,
    check: anotherRequest
  },
  {
    name: 'nor the same call of another run',
    shows: `acme/indexer: x-vecauthz-run: ${RUN}, DELETE …/${NAME}`,
    run: (scene) => blocked(scene, NAME, { 'x-vecauthz-run': RUN }),
    want: WAITS,
    check: anotherRequest
  },
  {
    name: 'the very call that was approved: it passes, and the collection is gone',
    shows: `acme/indexer: DELETE …/${NAME}`,
    run: async (scene) => {
      const answer = await drop(scene)
      if (answer.status === 200 && (await isThere(scene.stack, NAME))) throw new Error('the collection is still there')
      return answer
    },
    want: { status: 200 },
    check: (_, { stack }) => {
      const [seen] = stack.recorder.seen()
      return seen?.method === 'DELETE' && seen.headers['x-tenant-id'] === 'acme' ? undefined : "Chroma's side got something else"
    }
  },
  {
    name: 'made again by its owner, it is not dropped by the old approval',
    shows: `acme/indexer: POST …/collections {name: ${NAME}}; DELETE …/${NAME}`,
    run: async (scene) => {
      await make(scene, NAME)
      const answer = await blocked(scene)
      scene.requests.set('again', requestOf(answer))
      return answer
    },
    want: WAITS,
    check: anotherRequest
  },
  {
    name: 'a request that is refused stays refused, also for whoever would approve it later',
    shows: 'people/ada: vecauthz refuse ID; vecauthz approve ID; acme/indexer: the same DELETE',
    run: async (scene) => {
      const id = known(scene, 'again')
      await told(scene, 0, APPROVER, 'refuse', id, '--reason', 'it is in use')
      const { err } = await told(scene, 1, APPROVER, 'approve', id, '--reason', REASON)
      if (!err.includes('It is refused already.')) throw new Error(`refused for something else: ${err}`)
      return blocked(scene)
    },
    want: WAITS,
    check: (answer, scene) =>
      answer.body.includes(`Request ${known(scene, 'again')} was refused.`) ? undefined : `the answer says: ${answer.body}`
  },
  {
    name: 'what was approved for a run ends with it',
    shows: `people/ada: vecauthz approve ID; acme/indexer: vecauthz end-run ${RUN}; DELETE …/${NAME}, x-vecauthz-run: ${RUN}`,
    run: async (scene) => {
      const headers = { 'x-vecauthz-run': RUN }
      await told(scene, 0, APPROVER, 'approve', requestOf(await blocked(scene, NAME, headers)), '--reason', REASON)
      await told(scene, 0, INDEXER, 'end-run', RUN)
      return blocked(scene, NAME, headers)
    },
    want: WAITS,
    check: ({ body }) => (body.includes('The run of this call has ended.') ? undefined : `the answer says: ${body}`)
  }
]

const PAIRED = `scratch-paired${AGAIN}`
const PAIRED_DROP = { method: 'DELETE', target: namedPath('acme', PAIRED) }

/** The same with the pair, where the index asks: approved at one of its processes, used at the other. */
export const PAIR_APPROVAL_STEPS: readonly Step<PairScene>[] = [
  {
    name: 'a drop through the pair waits at the index; approved at the other index server, it passes',
    shows: `acme/indexer: DELETE …/${PAIRED} through its own Envoy; people/ada: vecauthz approve ID; the same DELETE`,
    run: async (scene) => {
      const { stack, pair } = scene
      await makePaired(scene)
      const answer = await callFrom(scene, 'indexer', PAIRED_DROP)
      if (stack.recorder.seen().length > 0 || !(await isThere(stack, PAIRED))) throw new Error('the drop was not blocked')
      const door: AdminDoor = { port: pair.indexes[1].adminPort, server: INDEX_SERVER }
      mustEnd(0, await admin(stack, APPROVER, door, 'approve', requestOf(answer), '--reason', REASON))
      const dropped = await callFrom(scene, 'indexer', PAIRED_DROP)
      if (dropped.status === 200 && (await isThere(stack, PAIRED))) throw new Error('the collection is still there')
      return dropped
    },
    want: { status: 200 }
  },
  {
    name: 'and once only',
    shows: `acme/indexer: POST …/collections {name: ${PAIRED}}; DELETE …/${PAIRED}`,
    run: async (scene) => {
      await makePaired(scene)
      return callFrom(scene, 'indexer', PAIRED_DROP)
    },
    want: WAITS,
    check: (answer) => (answer.approvalId === undefined ? 'there is no request' : undefined)
  }
]

/** The indexer's drop of a collection of its own. */
export function drop({ stack, who }: Scene, name: string = NAME, headers: NonNullable<Ask['headers']> = {}): Promise<Answer> {
  return call(stack.door, who.indexer, { method: 'DELETE', target: namedPath('acme', name), headers })
}

/** Makes a collection, as its owner. What reached Chroma for that is not counted. */
export async function make({ stack, who }: Scene, name: string): Promise<void> {
  const made = await call(stack.door, who.indexer, { target: COLLECTIONS, body: { name } })
  if (made.status !== 200) throw new Error(`${name} could not be made: ${made.status} ${made.body}`)
  stack.recorder.clear()
}

/** As an operator would look, past every Envoy. */
export async function isThere({ chromaUrl }: Stack, name: string): Promise<boolean> {
  const { status } = await fetch(`${chromaUrl}${namedPath('acme', name)}`)
  if (status !== 200 && status !== 404) throw new Error(`Chroma answers ${status}`)
  return status === 200
}

/** The id under which a denied call waits: the header and the body say the same one. */
export function requestOf({ approvalId, body, status }: Answer): string {
  const said = status === 403 ? (JSON.parse(body) as { approval_id?: string }).approval_id : undefined
  if (approvalId === undefined || said !== approvalId) throw new Error(`there is no request in ${status} ${body}`)
  return approvalId
}

/** @throws Error when the collection is gone after it. */
async function blocked(scene: Scene, name: string = NAME, headers: NonNullable<Ask['headers']> = {}): Promise<Answer> {
  const answer = await drop(scene, name, headers)
  if (!(await isThere(scene.stack, name))) throw new Error(`${name} is gone`)
  return answer
}

async function makePaired(scene: PairScene): Promise<void> {
  const made = await callFrom(scene, 'indexer', { target: COLLECTIONS, body: { name: PAIRED } })
  if (made.status !== 200) throw new Error(`${PAIRED} could not be made: ${made.status} ${made.body}`)
  scene.stack.recorder.clear()
}

function known({ requests }: ApprovalScene, of: 'drop' | 'again' = 'drop'): string {
  return requests.get(of) ?? 'none: the step that asks went wrong'
}

function anotherRequest(answer: Answer, scene: ApprovalScene): string | undefined {
  return requestOf(answer) === known(scene) ? 'it is the same request' : undefined
}

/** A command of somebody's, at the admin port of the gateway's other lane: the calls are decided in this one. */
async function told({ stack }: Scene, exit: number, id: string, ...words: string[]): Promise<Said> {
  return mustEnd(exit, await admin(stack, id, gatewayDesk(stack.writes), ...words))
}

function mustEnd(exit: number, said: Said): Said {
  if (said.exit !== exit) throw new Error(`the command ended with ${said.exit} instead of ${exit}: ${said.out}${said.err}`)
  return said
}

/** Somebody tries to approve the drop and is told no; the drop still waits. */
function refusedTo(id: string, name: string, says: string): Step<ApprovalScene> {
  return {
    name: `${name}: no`,
    shows: `${new URL(id).pathname.slice(1)}: vecauthz approve ID; acme/indexer: the same DELETE`,
    run: async (scene) => {
      const { err } = await told(scene, 1, id, 'approve', known(scene), '--reason', REASON)
      if (!err.includes(says)) throw new Error(`refused for something else: ${err}`)
      return blocked(scene)
    },
    want: WAITS,
    check: (answer, scene) => (answer.approvalId === known(scene) ? undefined : `it is request ${answer.approvalId}`)
  }
}
