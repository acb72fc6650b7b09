/** EP, WA-1 and WA-4 of the public catalogue: each with a harness of its own, all at once, for most of the time they wait. */
import { rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import { afterAll, describe, expect, it } from 'vitest'
import { ask, asServer, type HarnessProcess, spawnHarness, until, validate } from '../../conformance/drive.ts'
import { control, freshSvid, goodX509, hex, shownBy, startApi, stopAll, TD, token, vec } from '../../conformance/stage.ts'
import { type Behaviour, denied, jwtMessage, response, startFake, svidMessage, unavailable } from '../../spire/fake-workload-api.ts'
import { es256, jwkOf } from '../../support/jwt.ts'

const processes: HarnessProcess[] = []
const cleaning: (() => void)[] = []
afterAll(async () => {
  await stopAll(processes)
  for (const clean of cleaning) clean()
})

async function openApi(): Promise<Awaited<ReturnType<typeof startApi>>> {
  const api = await startApi()
  cleaning.push(() => {
    api.fake.stop()
    rmSync(api.folder, { recursive: true, force: true })
  })
  return api
}

function spawned(endpoint: string): HarnessProcess {
  const harness = spawnHarness(endpoint)
  processes.push(harness)
  return harness
}

/** The same Workload API over TCP, on 127.0.0.1. */
async function overTcp(folder: string): Promise<string> {
  const front = createServer((socket) => {
    const back = connect(join(folder, 'a.sock'))
    for (const one of [socket, back]) one.on('error', () => one.destroy())
    socket.pipe(back).pipe(socket)
  })
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
  cleaning.push(() => front.close())
  return `tcp://127.0.0.1:${(front.address() as AddressInfo).port}`
}

/** Calls of both streams. */
const calls = ({ fake }: Awaited<ReturnType<typeof openApi>>): number[] => [fake.calls.length, fake.jwtBundles.calls.length]

describe.concurrent('the address', () => {
  it('EP-1, EP-2: nothing but SPIFFE_ENDPOINT_SOCKET is needed, every call carries the header, and SIGTERM ends it', async () => {
    const { fake, endpoint } = await openApi()
    fake.jwtBundles.behave({ kind: 'messages', messages: [jwtMessage({ [TD]: [jwkOf(es256)] })] })
    fake.jwtSvid.behave(() => ({ svids: [{ spiffeId: control.id, svid: token(), hint: '' }] }))
    const process = spawned(endpoint)
    const harness = await process.ready
    expect(await asServer(harness, control)).toBe(control.id)
    expect(await validate(harness, token())).toBe(`${TD}/workload`)
    expect(await ask(harness, '/v1/jwt/fetch', { audience: ['conformance'] })).toMatchObject({ code: 200 })
    const info = await fetch(`http://127.0.0.1:${harness.controlPort}/v1/info`)
    expect(await info.json()).toMatchObject({ sdk: 'vecauthz' })
    const headers = [...fake.calls, ...fake.jwtBundles.calls, ...fake.jwtSvid.calls.map(({ header }) => header)]
    expect(headers).toEqual([['true'], ['true'], ['true']])
    expect(await process.stop()).toBe(0)
  })

  it('EP-3: tcp', async () => {
    const { folder } = await openApi()
    const harness = await spawned(await overTcp(folder)).ready
    expect(await asServer(harness, control)).toBe(control.id)
  })

  it('EP-4: unix with a host, and tcp with a path, are refused without a call, where the proper spelling works', async () => {
    const api = await openApi()
    const tcp = await overTcp(api.folder)
    for (const bad of [api.endpoint.replace('unix://', 'unix://localhost'), `${tcp}/foo`]) expect(await spawned(bad).ended).toBe(1)
    expect(calls(api)).toEqual([0, 0])
    await spawned(api.endpoint).ready
    expect(calls(api)[0]).toBe(1)
  })

  it('EP-8: the socket that is made later is found', async () => {
    const { fake, folder, endpoint } = await openApi()
    fake.stop()
    const process = spawned(endpoint)
    await sleep(1_500)
    expect(process.isReady()).toBe(false)
    const late = await startFake(join(folder, 'a.sock'), await goodX509())
    cleaning.push(late.stop)
    await process.ready
  })
})

describe.concurrent('refusals', () => {
  it.each([
    { name: 'EP-5: Unavailable', ending: unavailable },
    { name: 'EP-6: PermissionDenied', ending: denied }
  ])('$name three times is overcome, without haste', async ({ ending }) => {
    const { fake, endpoint } = await openApi()
    const refusal: Behaviour = { kind: 'messages', messages: [], ending }
    fake.behave(refusal, refusal, refusal, await goodX509())
    await spawned(endpoint).ready
    expect(fake.calls.length).toBe(4)
    const [first = 0, , , last = 0] = fake.times
    expect((last - first) / 3).toBeGreaterThanOrEqual(50)
  })

  it('EP-7: InvalidArgument is not asked again, where Unavailable in the same time is', async () => {
    const watched = async (code: status) => {
      const api = await openApi()
      const ending = { code, details: 'no' }
      api.fake.behave({ kind: 'messages', messages: [], ending })
      api.fake.jwtBundles.behave({ kind: 'messages', messages: [], ending })
      const process = spawned(api.endpoint)
      await until('the first call', () => calls(api).every((made) => made > 0))
      await sleep(2_000)
      expect(process.isReady()).toBe(false)
      return calls(api)
    }
    const [final, retried] = await Promise.all([watched(status.INVALID_ARGUMENT), watched(status.UNAVAILABLE)])
    expect(final).toEqual([1, 1])
    expect(Math.min(...retried)).toBeGreaterThan(1)
  })

  it('WA-1: a stream that broke is opened again, and what it brings counts', async () => {
    const { fake, endpoint } = await openApi()
    const harness = await spawned(endpoint).ready
    const before = await shownBy(harness)
    const svid = await freshSvid()
    fake.behave({ kind: 'messages', messages: [response([svidMessage(svid, vec)])] })
    fake.end(unavailable)
    expect(await shownBy(harness)).toBe(before)
    await until('the SVID of the new stream', async () => (await shownBy(harness)) === hex(svid))
  })

  it('WA-4: after PermissionDenied the SVID is presented no more, in neither role, until there is one again', async () => {
    const { fake, endpoint } = await openApi()
    const harness = await spawned(endpoint).ready
    expect(await shownBy(harness)).toBeDefined()
    fake.behave({ kind: 'messages', messages: [], ending: denied })
    fake.end(denied)
    await until('the withdrawal', async () => (await shownBy(harness)) === undefined)
    expect(await ask(harness, '/v1/x509/dial', { address: '127.0.0.1:1' })).toMatchObject({
      code: 500,
      body: { message: expect.stringContaining('no SVID') }
    })
    fake.behave(await goodX509())
    await until('the return', async () => (await shownBy(harness)) !== undefined, 10_000)
  })
})
