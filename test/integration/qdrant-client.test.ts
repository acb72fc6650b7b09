/**
 * The official Qdrant clients, unchanged, through an agent's Envoy and the gateway. Qdrant is in no package registry, so a stand-in keeps
 * what arrives and it is compared with golden files, byte for byte; with a real server (QDRANT_BIN, or `qdrant` on PATH) the same steps
 * run on that as well.
 *
 *   UPDATE=1 vitest run --project integration test/integration/qdrant-client.test.ts    # writes the golden files; review them
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { SUPPORT } from '../../demo/identities.ts'
import { startSidecar } from '../../demo/keep.ts'
import { type Stack, type StackOptions, startStack } from '../../demo/stack.ts'
import { type Arrived, findQdrant, type StandIn, startQdrant, startStandIn } from './support/qdrant.ts'
import { grpcSteps, restSteps } from './support/qdrant-steps.ts'

const RUN = join(import.meta.dirname, '../../.run')
const GOLDEN = join(import.meta.dirname, 'golden')
const CLIENTS = [
  { client: 'js-client-rest', stepsOf: restSteps, status: /^Forbidden|Bad Request/ },
  { client: 'js-client-grpc', stepsOf: grpcSteps, status: /^\[(permission_denied|invalid_argument)\]/ }
] as const

/** The stack with an agent's Envoy in front; gives the agent's port. */
async function started(
  folder: string,
  server: NonNullable<StackOptions['servers']>['qdrant']
): Promise<{ stack: Stack; port: number; stop(): Promise<void> }> {
  const stack = await startStack({
    folder: join(RUN, folder),
    say: () => undefined,
    databases: ['qdrant'],
    servers: server === undefined ? {} : { qdrant: server },
    policy: (document) => {
      document.budget = { per_second: 1000, burst: 10_000 }
      // What it takes to drop something is in approvals.test.ts.
      delete document.approvals
    }
  })
  const sidecar = await startSidecar(stack, SUPPORT)
  const stop = async () => {
    await sidecar.stop()
    await stack.stop()
  }
  return { stack, port: sidecar.portOf('qdrant'), stop }
}

describe('what reaches Qdrant', () => {
  let standIn: StandIn
  let running: Awaited<ReturnType<typeof started>>
  beforeAll(async () => {
    standIn = await startStandIn()
    running = await started('test-qdrant', standIn)
  })
  afterAll(() => running?.stop())

  describe.each(CLIENTS)('from $client', ({ client, stepsOf, status }) => {
    it('of its allowed calls is what the golden file says, and the decision beside it', async () => {
      const arrived: object[] = []
      for (const { name, run } of stepsOf(running.port).allowed) {
        standIn.clear()
        await run()
        expect(standIn.seen(), name).toHaveLength(1)
        arrived.push({ name, ...shown(standIn.seen()[0] as Arrived) })
      }
      const file = join(GOLDEN, `qdrant-${client}.json`)
      if (process.env['UPDATE'] === '1') {
        mkdirSync(GOLDEN, { recursive: true })
        writeFileSync(file, `${JSON.stringify(arrived, null, 2)}\n`)
      }
      expect(arrived).toEqual(JSON.parse(readFileSync(file, 'utf8')))
    })

    it('of its refused calls is nothing, and the client says why', async () => {
      const { allowed, refused } = stepsOf(running.port)
      for (const { name, run, reason } of refused) {
        standIn.clear()
        const said: unknown = await run().catch((cause: unknown) => cause)
        expect(said, name).toBeInstanceOf(Error)
        expect((said as Error).message, name).toMatch(status)
        expect(JSON.stringify([(said as Error).message, (said as { data?: unknown }).data]), name).toMatch(
          new RegExp(`reason[\\\\":]+(${reason})`)
        )
        expect(standIn.seen(), name).toEqual([])
      }
      await allowed[0]?.run()
      expect(standIn.seen()).toHaveLength(1)
    })
  })
})

const qdrant = findQdrant(process.env)
const absent = qdrant === undefined ? 'no qdrant on PATH, and QDRANT_BIN does not name one' : undefined

describe('a real Qdrant', () => {
  it('does what the clients ask through both hops, and is not asked what is refused', async ({ skip }) => {
    skip(absent !== undefined, absent)
    const folder = join(RUN, 'test-qdrant-real')
    const server = await startQdrant(qdrant as string, folder)
    const { host, port } = server.rest as { host: string; port: number }
    const vectors = { size: 4, distance: 'Cosine' }
    const headers = { 'content-type': 'application/json' }
    await fetch(`http://${host}:${port}/collections/shared`, { method: 'PUT', headers, body: JSON.stringify({ vectors }) })
    const running = await started('test-qdrant-stack', server)
    try {
      for (const { stepsOf } of CLIENTS) {
        const { allowed, refused } = stepsOf(running.port)
        for (const { run } of allowed) await run()
        running.stack.database('qdrant').clear()
        for (const { run, name } of refused) await expect(run(), name).rejects.toThrow()
        expect(running.stack.database('qdrant').seen()).toEqual([])
      }
    } finally {
      await running.stop()
    }
  })
})

/** Differs with every run, or follows from the body. */
const CHANGING = ['x-request-id', 'x-vecauthz-decision', 'x-forwarded-client-cert', 'content-length', 'user-agent', 'traceparent']

/** Text for JSON; gRPC messages in hexadecimal, unpacked, since two gzips of one message may differ. */
function shown({ method, target, headers, body }: Arrived): object {
  const kept = Object.entries(headers).map(([name, value]) => [name, CHANGING.includes(name) ? 'changes' : value] as const)
  const grpc = headers['content-type']?.startsWith('application/grpc') === true
  const message = body[0] === 1 ? gunzipSync(body.subarray(5)) : body.subarray(5)
  return { method, target, headers: Object.fromEntries(kept.sort()), body: grpc ? message.toString('hex') : body.toString() }
}
