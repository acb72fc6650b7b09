/**
 * Our Workload API clients, the rulebooks and the gateway against real SPIRE, which is in no package registry:
 *
 *     SPIRE_SERVER_BIN=… SPIRE_AGENT_BIN=… npm test -- test/integration/spire-real.test.ts
 *
 * Programs that no variable names are looked for on PATH; without them every test is skipped, with the reason. SPIRE_TRANSCRIPT names
 * a file for what happened. The tests tell one story in order: each begins with what the one before left.
 */
import { realpathSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { GATEWAY_ENVOY, GATEWAY_SERVER, HOST, STRANGER, SUPPORT, TRUST_DOMAIN } from '../../demo/identities.ts'
import { ENVOY_VERSION, envoyBinary } from '../../setup/components.ts'
import type { TrustBundles } from '../../src/core/trust.ts'
import type { JwtKeySets } from '../../src/identity/jwt-keys.ts'
import { verifyJwtSvid } from '../../src/identity/jwt-svid.ts'
import { verifyX509Svid } from '../../src/identity/x509-svid.ts'
import { fetchJwtSvid } from '../../src/spire/jwt-svid-fetch.ts'
import { findSpire } from './support/spire-binaries.ts'
import { eventsIn, serialShown, startLoad, startSpireGateway } from './support/spire-gateway.ts'
import { addEntry, mint, PARTNER, SHORT_SVID_SECONDS, type SpireWorld, startWorld } from './support/spire-world.ts'
import { openTranscript, type Transcript } from './support/transcript.ts'
import { countMessages, serialOf, type Watch, watchJwtBundles, watchWorkload } from './support/workload-watch.ts'

const GUEST = `spiffe://${PARTNER}/job`
const AUDIENCE = 'vecauthz'
const LOAD_PER_SECOND = 30
/** SPIRE's agent asks its server this often. */
const SYNC_MS = 5_000

/** Why nothing can be tried. */
let missing: string | undefined
let transcript: Transcript
let world: SpireWorld
/** We, under the entry for our user and program, at the agent with the join token; and under the one for our user, below an upstream root. */
let own: Watch
let below: Watch

beforeAll(async () => {
  const spire = findSpire(process.env)
  if (typeof spire === 'string') {
    missing = spire
    process.stdout.write(`\n*** Real SPIRE: ${missing}\n*** Nothing of this file was tried.\n`)
    return
  }
  transcript = openTranscript(process.env['SPIRE_TRANSCRIPT'], [
    '# A run against real SPIRE',
    '',
    'Written by `test/integration/spire-real.test.ts` (its first lines say how); each section is one of its tests, and all of them run in',
    'this order against the same servers and agents. Times are seconds since the beginning of the section. In bold: the events of our own',
    'Workload API clients, as they reported them. `client` is at the first agent, `client below` at the one below an upstream root, where',
    `SVIDs live for ${SHORT_SVID_SECONDS} s and are renewed while other things are tried. A failure that repeats is shown once.`,
    '',
    `SPIRE ${spire.version}, Envoy ${ENVOY_VERSION}, Node ${process.versions.node}, ${availableParallelism()} cores, everything on loopback.`
  ])
  transcript.section('start')
  world = await startWorld(spire, transcript)
})

afterAll(async () => {
  own?.source.close()
  below?.source.close()
  await world?.stop()
  transcript?.write()
})

beforeEach(({ task, skip }) => {
  skip(missing !== undefined, missing)
  transcript.section(`${task.suite?.name}: ${task.name}`)
})

const judged = (chain: readonly Uint8Array[], bundles: TrustBundles) => {
  const verdict = verifyX509Svid(chain, bundles, Date.now())
  return verdict.ok ? verdict.id.text : `${verdict.kind} ${verdict.rule}`
}
const tokenJudged = (token: string, keys: JwtKeySets, audience = AUDIENCE) => {
  const verdict = verifyJwtSvid(token, keys, { audience, now: Date.now(), leewayMs: 5_000 })
  return verdict.ok ? verdict.id.text : `${verdict.kind} ${verdict.rule}`
}
/** The anchors of a trust domain, in hex. */
const roots = (bundles: TrustBundles, domain = TRUST_DOMAIN) =>
  (bundles.x509.get(domain) ?? []).map((der) => Buffer.from(der).toString('hex'))
const only = (bundles: TrustBundles, domain: string, anchors: readonly Uint8Array[]): TrustBundles => ({
  ...bundles,
  x509: new Map([[domain, anchors]])
})

/** A token of ours from the agent, for our own audience and another one. */
async function token(): Promise<string> {
  const answer = await fetchJwtSvid({ address: world.agent.address, audience: [AUDIENCE, 'second'], timeoutMs: 5_000 })
  if (!answer.ok) throw new Error(answer.because)
  return answer.svids[0]?.token ?? ''
}

/** The entry under which this process is known to the first agent. */
const ownEntry = { name: 'own', id: GATEWAY_SERVER, program: realpathSync(process.execPath) }

describe('an agent with a join token', () => {
  it('has nothing for us before there is an entry, and our SVID and bundles soon after', async () => {
    own = watchWorkload('client', world.agent, transcript)
    await expect.poll(() => own.source.state().state, { timeout: 10_000 }).toBe('denied')
    await addEntry(world.server, { ...ownEntry, federatesWith: PARTNER })
    transcript.say('entry created')
    const { svid, bundles } = await own.until('an SVID', () => true)
    expect(svid.id.text).toBe(GATEWAY_SERVER)
    expect(svid.certificates).toHaveLength(1)
    expect(judged(svid.certificates, bundles)).toBe(GATEWAY_SERVER)
    expect(roots(bundles)).toHaveLength(1)
  })

  it('below an upstream root gives chains of two and the upstream root alone', async () => {
    below = watchWorkload('client below', world.nested.agent, transcript)
    const { svid, bundles } = await below.until('an SVID', () => true)
    expect(svid.certificates).toHaveLength(2)
    expect(roots(bundles)).toEqual([Buffer.from(world.upstream.der).toString('hex')])
    expect(judged(svid.certificates, bundles)).toBe(GATEWAY_SERVER)
    expect(judged(svid.certificates.slice(0, 1), bundles)).toBe('svid-untrusted X-19')
    // The same trust domain by name, under the roots of the other server.
    const { bundles: others } = await own.until('a state', () => true)
    expect(judged(svid.certificates, others)).toMatch(/^svid-untrusted/)
    transcript.say('accepted with its intermediate, refused without it, refused under another root of the same name')
  })
})

describe('a federated trust domain', () => {
  it('comes in the bundles, and vouches for its own names only', async () => {
    const { bundles, svid } = await own.until('the bundle of the partner', (one) => one.bundles.x509.has(PARTNER))
    const guest = await mint(world.partner, GUEST, world.folder)
    expect(judged(guest.chain, bundles)).toBe(GUEST)
    const [ours = [], theirs = []] = [bundles.x509.get(TRUST_DOMAIN), bundles.x509.get(PARTNER)]
    expect(judged(guest.chain, only(bundles, TRUST_DOMAIN, ours))).toBe('svid-untrusted X-21')
    // Either authority under the name of the other.
    expect(judged(guest.chain, only(bundles, PARTNER, ours))).toMatch(/^svid-untrusted/)
    expect(judged(svid.certificates, only(bundles, TRUST_DOMAIN, theirs))).toMatch(/^svid-untrusted/)
    transcript.say('an SVID minted by the partner: accepted under its own bundle, refused under ours')
  })

  it('signs tokens, as our own does: each is good under its own keys and for its own audience', async () => {
    const jwt = watchJwtBundles(world.agent, transcript)
    onTestFinished(jwt.close)
    const { keys } = await jwt.ready(10_000)
    expect([...keys.keys()].sort()).toEqual([TRUST_DOMAIN, PARTNER].sort())
    await addEntry(world.server, { name: 'command-line', id: SUPPORT, program: realpathSync(world.agent.binary) })
    transcript.say("entry for SPIRE's own command line created")
    const printed = () => world.agent.command('api', 'fetch', 'jwt', '-audience', AUDIENCE, '-output', 'json').catch(() => '')
    const foreign = JSON.parse(await vi.waitUntil(printed, { timeout: 15_000, interval: 500 }))
    const guest = (await world.partner.command('jwt', 'mint', '-spiffeID', GUEST, '-audience', AUDIENCE)).trim()
    const rows = [
      { token: await token(), id: GATEWAY_SERVER },
      { token: foreign[0].svids[0].svid as string, id: SUPPORT },
      { token: guest, id: GUEST }
    ]
    const swapped = new Map([...keys].map(([domain], at, all) => [domain, all.at(at - 1)?.[1] ?? []]))
    for (const { token, id } of rows) {
      expect(tokenJudged(token, keys)).toBe(id)
      expect(tokenJudged(token, keys, 'billing')).toBe('svid-untrusted J-13')
      expect(tokenJudged(token, swapped)).toMatch(/^svid-untrusted J-/)
    }
    transcript.say(
      "tokens of our own, of SPIRE's command line and of the partner: accepted; for another audience, or under other keys, refused"
    )
  })

  it('has a root more when the partner prepares one, and is gone when the federation ends', async () => {
    const guest = await mint(world.partner, GUEST, world.folder)
    await world.partner.json('localauthority', 'x509', 'prepare')
    transcript.say('partner: a second root prepared')
    await own.until('the second root of the partner', (one) => roots(one.bundles, PARTNER).length === 2, 45_000)
    await addEntry(world.server, ownEntry, 'update')
    transcript.say('entry without the federation')
    const { bundles } = await own.until('bundles without the partner', (one) => !one.bundles.x509.has(PARTNER))
    expect(judged(guest.chain, bundles)).toBe('svid-untrusted X-21')
  })
})

describe('rotation', () => {
  it('of the root: each step that changes something is one event, repeated messages are none, and the old root ends what it signed', async () => {
    const { server } = world
    const before = await own.until('a state', () => true)
    const elder = await mint(server, SUPPORT, world.folder)
    const messages = countMessages(world.agent)
    onTestFinished(messages.close)
    await expect.poll(() => messages.counts().all).toBeGreaterThan(0)
    const updates = own.updates()
    const { active } = await server.json('localauthority', 'x509', 'show')
    const { prepared_authority: prepared } = await server.json('localauthority', 'x509', 'prepare')
    transcript.say('prepare')
    const two = await own.until('two roots', (one) => roots(one.bundles).length === 2)
    expect(serialOf(two)).toBe(serialOf(before))
    expect(roots(two.bundles)).toContain(roots(before.bundles)[0])

    await server.json('localauthority', 'x509', 'activate', '-authorityID', prepared.authority_id)
    transcript.say('activate')
    const heir = await mint(server, SUPPORT, world.folder)
    await sleep(SYNC_MS * 1.5)
    transcript.say(`${(SYNC_MS * 1.5) / 1000} s later: ${own.updates() - updates - 1} events since`)

    await server.json('localauthority', 'x509', 'taint', '-authorityID', active.authority_id)
    transcript.say('taint')
    const renewed = await own.until('an SVID of the new root', (one) => serialOf(one) !== serialOf(before))
    const fresh = roots(two.bundles).filter((one) => one !== roots(before.bundles)[0])
    const anchors = fresh.map((hex) => Buffer.from(hex, 'hex'))
    expect(judged(renewed.svid.certificates, only(renewed.bundles, TRUST_DOMAIN, anchors))).toBe(GATEWAY_SERVER)
    // Tainted is not revoked: what the old root signed is good until it leaves the bundle.
    for (const { chain } of [elder, heir]) expect(judged(chain, renewed.bundles)).toBe(SUPPORT)

    await server.json('localauthority', 'x509', 'revoke', '-authorityID', active.authority_id)
    transcript.say('revoke')
    const after = await own.until('one root', (one) => roots(one.bundles).length === 1)
    expect(roots(after.bundles)).toEqual(fresh)
    expect(judged(elder.chain, after.bundles)).toMatch(/^svid-untrusted/)
    expect(judged(heir.chain, after.bundles)).toBe(SUPPORT)
    transcript.say('an SVID of the old root: refused; one of the new root: accepted')
    // The bare stream may be a moment behind, or ahead.
    await expect.poll(() => own.updates() - updates - (messages.counts().new - 1), { timeout: 5_000 }).toBe(0)
    const { all, new: fresher } = messages.counts()
    transcript.say(`${all} messages, ${fresher} of them with new content, the first known before: ${own.updates() - updates} events`)
  })

  it('of the JWT key: the new one comes, and the old one ends what it signed', async () => {
    const { server } = world
    const jwt = watchJwtBundles(world.agent, transcript)
    onTestFinished(jwt.close)
    const before = await jwt.ready(10_000)
    const sizes = () => jwt.current()?.keys.get(TRUST_DOMAIN)?.length
    const elder = await token()
    expect(tokenJudged(elder, before.keys)).toBe(GATEWAY_SERVER)
    const { active } = await server.json('localauthority', 'jwt', 'show')
    const { prepared_authority: prepared } = await server.json('localauthority', 'jwt', 'prepare')
    transcript.say('prepare')
    await expect.poll(sizes, { timeout: 20_000 }).toBe((before.keys.get(TRUST_DOMAIN)?.length ?? 0) + 1)
    const command = async (step: string, { authority_id: id }: { readonly authority_id: string }) => {
      await server.json('localauthority', 'jwt', step, '-authorityID', id)
      transcript.say(step)
    }
    await command('activate', prepared)
    await command('taint', active)
    // An agent that never hears of the taint, because the key is revoked at once, goes on giving out tokens of that key.
    let heir = elder
    await expect.poll(async () => (heir = await token()), { timeout: 20_000, interval: 200 }).not.toBe(elder)
    transcript.say('the agent gives another token')
    await command('revoke', active)
    await expect.poll(sizes, { timeout: 20_000 }).toBe(before.keys.get(TRUST_DOMAIN)?.length)
    const { keys } = await jwt.ready(10_000)
    expect(tokenJudged(elder, keys)).toMatch(/^svid-untrusted J-/)
    expect(tokenJudged(heir, keys)).toBe(GATEWAY_SERVER)
    transcript.say('a token of the old key: refused; a new one: accepted')
  })
})

describe('a deleted entry', () => {
  it('takes SVID and bundles away within seconds, and a new one brings them back', async () => {
    await world.server.json('entry', 'delete', '-entryID', 'own')
    transcript.say('entry deleted')
    const deleted = performance.now()
    await expect.poll(() => own.source.state().state, { timeout: 15_000, interval: 20 }).toBe('denied')
    expect(performance.now() - deleted).toBeLessThan(SYNC_MS * 2)
    expect(own.source.current()).toBeUndefined()
    await addEntry(world.server, ownEntry)
    transcript.say('entry created')
    const { svid, bundles } = await own.until('an SVID', () => true)
    expect(judged(svid.certificates, bundles)).toBe(GATEWAY_SERVER)
  })
})

describe('an SVID at half of its life', () => {
  it('is renewed, which changes no bundle', async () => {
    const first = await below.until('a state', () => true)
    await below.until('a renewed SVID', (one) => serialOf(one) !== serialOf(first), SHORT_SVID_SECONDS * 1000)
    const states = below.events.flatMap((event) => (event.kind === 'updated' ? [event.snapshot] : []))
    expect(new Set(states.map(serialOf)).size).toBe(states.length)
    expect(new Set(states.map((one) => one.bundles.generation)).size).toBe(1)
    for (const [at, state] of states.slice(1).entries()) {
      const left = ((states[at]?.svid.notAfter ?? 0) - state.receivedAt) / 1000
      expect(left).toBeGreaterThan(SHORT_SVID_SECONDS * 0.2)
      expect(left).toBeLessThan(SHORT_SVID_SECONDS * 0.7)
      transcript.say(`renewed when its predecessor had ${left.toFixed(0)} of ${SHORT_SVID_SECONDS} s left`)
    }
  })
})

describe('the agent goes and comes back under load', () => {
  it('no call of a good caller is refused, no call of another passes, and we are connected within 2 s', { timeout: 120_000 }, async () => {
    await addEntry(world.server, { name: 'envoy', id: GATEWAY_ENVOY, program: realpathSync(envoyBinary()), dns: HOST })
    const folder = join(world.folder, 'gateway')
    const pem = await world.server.command('bundle', 'show')
    const gateway = await startSpireGateway({ folder, socket: world.agent.socket, svidSeconds: 3600, roots: pem })
    try {
      transcript.say('Chroma, `vecauthz serve` and Envoy up, the last two with SVIDs from the agent')
      const serial = await serialShown(gateway.door)
      const [good, bad] = [await mint(world.server, SUPPORT, world.folder), await mint(world.server, STRANGER, world.folder)]
      const load = startLoad(gateway, LOAD_PER_SECOND, good, bad)
      await sleep(2_000)
      await world.agent.stop()
      transcript.say('agent gone')
      await expect.poll(() => own.source.state().state).toBe('stale')
      const before = load.good['200'] ?? 0
      await sleep(5_000)
      const during = (load.good['200'] ?? 0) - before
      await world.agent.start()
      const [back, backAt] = [performance.now(), Date.now()]
      transcript.say(`agent back; ${during} calls of the good caller were allowed without it`)
      await expect.poll(() => own.source.state().state, { timeout: 10_000, interval: 20 }).toBe('live')
      const took = performance.now() - back
      transcript.say(`client live again after ${(took / 1000).toFixed(2)} s`)
      await expect.poll(() => serialShown(gateway.door), { timeout: 20_000 }).not.toBe(serial)
      transcript.say('Envoy shows an SVID of the agent that came back')
      await sleep(2_000)
      await load.stop()
      transcript.say(`good caller: ${JSON.stringify(load.good)}; another: ${JSON.stringify(load.bad)}`)
      const events = eventsIn(gateway.server)
      const recovered = ((events.at(-1)?.at ?? 0) - backAt) / 1000
      transcript.say(
        `vecauthz: ${events.map(({ event }) => event).join(', ')}; the last ${recovered.toFixed(2)} s after the agent was back`
      )
      expect(took).toBeLessThan(2_000)
      expect(during).toBeGreaterThan(LOAD_PER_SECOND * 5 * 0.5)
      expect(Object.keys(load.good)).toEqual(['200'])
      expect(Object.keys(load.bad)).toEqual(['caller-unknown'])
      expect(events.map(({ event }) => event)).toEqual(['updated', 'disconnected', 'updated'])
      expect(recovered).toBeLessThan(2)
    } finally {
      await gateway.stop()
    }
  })
})
