/** A fake Workload API and one harness before it: what is published is in force when the call returns. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type FakeWorkloadApi, jwtMessage, response, startFake, svidMessage } from '../spire/fake-workload-api.ts'
import { type Authority, issueSvid, makeAuthority, newKey, type Svid } from '../support/ca.ts'
import { jwkOf, makeToken, type SigningKey, type TokenSpec } from '../support/jwt.ts'
import { type Harness, type HarnessProcess, meet, spawnHarness, until, validate } from './drive.ts'

export const TD = 'spiffe://vec.test'
export const FEDERATED = 'spiffe://partner.test'

export const vec = await makeAuthority({ trustDomain: 'vec.test' })
export const partner = await makeAuthority({ trustDomain: 'partner.test' })
/** A peer that is always good: the positive control. */
export const control = await issueSvid(vec, { id: `${TD}/control` })

export type X509Message = ReturnType<typeof response>
type JwkSets = Parameters<typeof jwtMessage>[0]

interface X509State {
  /** The own trust domain's anchors; vec's root by default. */
  readonly anchors?: readonly Authority[]
  readonly federated?: Readonly<Record<string, Uint8Array>>
}

export interface Stage {
  readonly fake: FakeWorkloadApi
  readonly harness: Harness
  /** Publishes this together with a fresh SVID of the harness, and waits until that one is presented. */
  readonly publish: (state?: X509State) => Promise<Svid>
  /** Publishes this, then what `publish` would, and checks all the time that only the SVID before and the one after are presented. */
  readonly publishBad: (message: X509Message) => Promise<void>
  /** Publishes these key sets, and waits until the harness accepts a token of a key that came with them. */
  readonly publishJwt: (sets: JwkSets) => Promise<void>
  readonly close: () => Promise<void>
}

/** Long enough for a message on a unix socket to be taken up, if it is. */
const WATCH_MS = 60
const BARRIER = 'barrier.test'

let serials = 0
const next = (): number => {
  serials += 1
  return serials
}

export const freshSvid = (): Promise<Svid> => issueSvid(vec, { id: `${TD}/harness/${next()}` })

export const bundleOf = (authorities: readonly Authority[]): Buffer => Buffer.concat(authorities.map(({ der }) => der))

export const shownBy = async (harness: Harness): Promise<string | undefined> => (await meet(harness, control)).shown
export const hex = (svid: Svid): string => Buffer.from(svid.der).toString('hex')

export async function openStage(): Promise<Stage> {
  const { folder, fake, endpoint } = await startApi()
  const process = spawnHarness(endpoint)
  const harness = await process.ready
  const swap = async (before: string | undefined, { anchors = [vec], federated = {} }: X509State): Promise<Svid> => {
    const svid = await freshSvid()
    const message = response([svidMessage(svid, vec, { bundle: bundleOf(anchors) })], federated)
    fake.behave({ kind: 'messages', messages: [message] })
    fake.send(message)
    await onlyUntil(harness, before, hex(svid))
    return svid
  }
  return {
    fake,
    harness,
    publish: async (state = {}) => swap(await shownBy(harness), state),
    publishBad: async (message) => {
      const before = await shownBy(harness)
      fake.send(message)
      const end = Date.now() + WATCH_MS
      while (Date.now() < end) await checkShown(harness, [before])
      await swap(before, {})
    },
    publishJwt: (sets) => publishJwt(fake, harness, sets),
    close: async () => {
      await process.stop()
      fake.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** A fake with one SVID and the keys of nobody, in a folder of its own. */
export async function startApi(): Promise<{ readonly folder: string; readonly fake: FakeWorkloadApi; readonly endpoint: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'conformance-'))
  const fake = await startFake(join(folder, 'a.sock'), await goodX509())
  fake.jwtBundles.behave({ kind: 'messages', messages: [jwtMessage({ [TD]: [] })] })
  return { folder, fake, endpoint: `unix://${join(folder, 'a.sock')}` }
}

export async function goodX509(): Promise<{ readonly kind: 'messages'; readonly messages: readonly X509Message[] }> {
  return { kind: 'messages', messages: [response([svidMessage(await freshSvid(), vec)])] }
}

export async function stopAll(processes: readonly HarnessProcess[]): Promise<void> {
  await Promise.all(processes.map((one) => one.stop()))
}

/** Returns when `wanted` is presented; throws when something else than that and `before` is. */
async function onlyUntil(harness: Harness, before: string | undefined, wanted: string): Promise<void> {
  await until('the new SVID is presented', async () => (await checkShown(harness, [before, wanted])) === wanted)
}

async function checkShown(harness: Harness, allowed: readonly (string | undefined)[]): Promise<string | undefined> {
  const shown = await shownBy(harness)
  if (shown === undefined || !allowed.includes(shown))
    throw new Error(`the harness presented ${shown === undefined ? 'nothing' : 'what it should not'}`)
  await sleep(2)
  return shown
}

async function publishJwt(fake: FakeWorkloadApi, harness: Harness, sets: JwkSets): Promise<void> {
  const barrier: SigningKey = { alg: 'ES256', kid: `barrier-${next()}`, key: newKey('P-256') }
  const message = jwtMessage({ ...sets, [`spiffe://${BARRIER}`]: [jwkOf(barrier)] })
  fake.jwtBundles.behave({ kind: 'messages', messages: [message] })
  fake.jwtBundles.send(message)
  const id = `spiffe://${BARRIER}/seen`
  await until('the new key is used', async () => (await validate(harness, token({ by: barrier, claims: { sub: id } }))) === id)
}

/** A good token for the audience `conformance`, of now. */
export function token({
  claims = {},
  ...spec
}: Omit<TokenSpec, 'claims'> & { readonly claims?: Readonly<Record<string, unknown>> } = {}): string {
  return makeToken({ ...spec, claims: { ...goodClaims(), ...claims } })
}

export function goodClaims(): Record<string, unknown> {
  const seconds = Math.floor(Date.now() / 1000)
  return { sub: `${TD}/workload`, aud: ['conformance'], exp: seconds + 300, iat: seconds }
}
