/** Rotation under load, the short form of `npm run soak`: no good caller is refused, and without limits on the age of connections one is. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { type SoakResult, soak, wrongWith } from '../../bench/rotation.ts'
import { startRecorder } from '../../demo/recorder.ts'

const RUN = join(import.meta.dirname, '../../.run')
const SVID_SECONDS = 20
/** What a machine that is short of CPU brings: written denials, too, but none that a rotation causes. `npm run soak` takes none of them. */
const BUSY = ['state-unavailable', 'deadline', 'status 503']

const run = (name: string, control: boolean, rate: number): Promise<SoakResult> =>
  soak({ folder: join(RUN, name), seconds: 25, rate, svidSeconds: SVID_SECONDS, control, everyMs: 60_000, say: () => undefined })

it('SVIDs of 20 s: no call of a good caller is refused, and with connections of any age calls are, for the SVID of the connection', async () => {
  const [limited, ageless] = await Promise.all([run('test-rotation', false, 40), run('test-rotation-control', true, 10)])
  const refused = Object.entries(limited.refused)
  const other = Object.fromEntries(refused.filter(([reason]) => !BUSY.includes(reason)))
  const busy = refused.reduce((sum, [reason, count]) => (BUSY.includes(reason) ? sum + count : sum), 0)
  expect(other).toEqual({})
  expect(busy).toBeLessThan(limited.requests / 50)
  expect(wrongWith({ ...limited, refused: other }, { control: false, svidSeconds: SVID_SECONDS })).toBeUndefined()
  expect(ageless.refused['svid-expired']).toBeGreaterThan(0)
  expect(wrongWith(ageless, { control: true, svidSeconds: SVID_SECONDS })).toBeUndefined()
})

it('the verdict on a run can fail: a refusal, a run without rotation, a control without refusals', () => {
  const good: SoakResult = {
    seconds: 25,
    requests: 1000,
    refused: {},
    repeated: 0,
    rotations: { caller: 1, envoy: 1, vecauthz: 2, authority: 1 },
    connections: { callers: 24, vecauthz: 4 },
    p50: 5,
    p99: 12
  }
  const judge = (change: Partial<SoakResult>, control = false) => wrongWith({ ...good, ...change }, { control, svidSeconds: SVID_SECONDS })
  expect(judge({})).toBeUndefined()
  expect(judge({ refused: { 'svid-expired': 1 } })).toContain('REFUSED: 1')
  expect(judge({ rotations: { caller: 1, envoy: 0, vecauthz: 2, authority: 1 } })).toContain('TOO FEW ROTATIONS of envoy')
  expect(judge({}, true)).toContain('NO REFUSALS')
  expect(judge({ refused: { 'svid-expired': 1 } }, true)).toBeUndefined()
})

it('the recorder before Chroma does not close an idle connection, as Node would after 6 s: an allowed call could meet the end of it', async () => {
  const database = createServer((_, answer) => answer.end('{}')).listen(0, '127.0.0.1')
  await once(database, 'listening')
  const recorder = await startRecorder({ host: '127.0.0.1', port: (database.address() as AddressInfo).port })
  const socket = connect(recorder.port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nhost: chroma\r\n\r\n')
  await once(socket, 'data')
  await sleep(7_500)
  expect(socket.readableEnded || socket.destroyed).toBe(false)
  socket.destroy()
  await recorder.stop()
  database.close()
})
