/**
 * `docker compose run --rm scenario`: the steps of `npm run demo`, its table and its exit code, on what compose.yaml runs. What the demo
 * calls on loopback leads to the containers through ports of our own, so that the steps are the same ones.
 */
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Credentials, Door } from '../demo/client.ts'
import { TRUST_DOMAIN } from '../demo/identities.ts'
import { idpWith } from '../demo/idp.ts'
import { makeScratch, type Pair, type PairAgent, type PairScene, takesWrites } from '../demo/pair.ts'
import { clearCollections, seed, seeded } from '../demo/seed.ts'
import type { ServerProcess, Stack } from '../demo/stack.ts'
import { sceneOf } from '../demo/step.ts'
import { STEPS } from '../demo/steps.ts'
import { APPROVAL_STEPS } from '../demo/steps-approvals.ts'
import { PAIR_STEPS } from '../demo/steps-pair.ts'
import { show } from '../demo/table.ts'
import { type DevIssuer, startDevIssuer } from '../src/spire/dev-issuer.ts'
import { IDP_KEY_ID } from './authority.ts'
import { portTo } from './relay.ts'
import { AGENTS, CONFIG, MEMBERS, PLAYED, PORTS, profilesOf, SOCKETS, SVID_SECONDS } from './roster.ts'
import { svidsFor } from './svids.ts'
import { watchWitness } from './witness.ts'

const CHROMA = 'http://chroma:8000'
const HOME = '/tmp/scenario'

type Say = (line: string) => void

/** Gives 0 when every step is as expected, 1 when one differs. */
export async function runScenario(say: Say): Promise<number> {
  const began = performance.now()
  const { stack, pair } = await connectScene(say)
  try {
    const differing = await steps(say, stack, pair, began)
    const all = STEPS.length + APPROVAL_STEPS.length + PAIR_STEPS.length
    say(`${all - differing} of ${all} steps as expected${differing === 0 ? '.' : `, ${differing} NOT.`}`)
    say('Records: docker compose logs vecauthz-gateway vecauthz-egress vecauthz-index vecauthz-index-2')
    return differing === 0 ? 0 : 1
  } finally {
    await stack.stop()
  }
}

/** The running containers as the scene of the demo's steps. With `keep` the collections stay as they are. */
export async function connectScene(say: Say, { keep = false } = {}): Promise<PairScene> {
  const { identity } = profilesOf(process.env['COMPOSE_PROFILES'])
  say(identity === 'spire' ? 'Identities: SPIRE.' : 'Identities: the DEV ISSUER, which attests nobody. This is not the run with SPIRE.')
  const issuer = await ownIssuer(identity === 'dev' ? say : () => undefined)
  const stack = await stackOf(issuer, identity, keep).catch((cause) => endedBy(cause, issuer.close))
  return { ...sceneOf(stack), pair: await pairOf(stack, keep).catch((cause) => endedBy(cause, stack.stop)) }
}

/** Nothing is left of what cannot be had whole: it may be asked for again. */
async function endedBy(cause: unknown, end: () => Promise<void>): Promise<never> {
  await end()
  throw cause
}

async function steps(say: Say, stack: Stack, pair: Pair, began: number): Promise<number> {
  const alone = await show(say, STEPS, sceneOf(stack), 0, began)
  const approvals = await show(say, APPROVAL_STEPS, { ...sceneOf(stack), requests: new Map() }, STEPS.length)
  return alone + approvals + (await show(say, PAIR_STEPS, { ...sceneOf(stack), pair }, STEPS.length + APPROVAL_STEPS.length))
}

/**
 * Makes what nobody else would: SVIDs for three seconds, with two names, from a foreign authority; and gives each person a Workload API
 * of their own for the command line. It stands under the same root as everybody (authority.ts), which only this service is given.
 */
function ownIssuer(say: Say): Promise<DevIssuer> {
  mkdirSync(HOME, { recursive: true, mode: 0o700 })
  const at = (file: string) => readFileSync(join(CONFIG, 'scenario', file), 'utf8')
  const ids = [...new Set([...PLAYED, ...Object.values(MEMBERS).map(({ id }) => id)])]
  return startDevIssuer({
    folder: HOME,
    trustDomains: [TRUST_DOMAIN],
    roots: { [TRUST_DOMAIN]: { certPem: at('root.crt'), keyPem: at('root.key') } },
    entries: ids.map((id) => ({ id })),
    ttlMs: SVID_SECONDS * 1000,
    environment: process.env,
    say
  })
}

async function stackOf(issuer: DevIssuer, identity: 'spire' | 'dev', keep: boolean): Promise<Stack> {
  // Agents and people with SVIDs of SPIRE, where it runs: from its Workload API, as any workload of this user.
  const fetched: ReadonlyMap<string, Credentials> = identity === 'spire' ? await svidsFor(PLAYED, join(SOCKETS, 'api.sock')) : new Map()
  if (!keep) await clearCollections(CHROMA)
  const collections = keep ? await seeded(CHROMA) : await seed(CHROMA)
  const recorder = await watchWitness('witness')
  const idp = idpWith({ kid: IDP_KEY_ID, keyPem: readFileSync(join(CONFIG, 'scenario/idp.key'), 'utf8') })
  const server = await serverAt('vecauthz-gateway')
  const door: Door = { port: await portTo({ host: 'gateway-envoy', port: PORTS.gatewayIn }), ca: issuer.bundlePem(TRUST_DOMAIN) }
  const known: Pick<
    Stack,
    'issuer' | 'idp' | 'recorder' | 'door' | 'chromaUrl' | 'collections' | 'server' | 'writes' | 'credentials' | 'stop'
  > = {
    issuer,
    idp,
    recorder,
    door,
    chromaUrl: CHROMA,
    collections,
    server,
    writes: server,
    credentials: (id, lifetimeMs) => {
      const svid = issuer.issueX509(id, lifetimeMs === undefined ? {} : { notAfter: Date.now() + lifetimeMs })
      return (lifetimeMs === undefined ? fetched.get(id) : undefined) ?? { cert: svid.chainPem, key: svid.keyPem }
    },
    stop: async () => {
      await recorder.stop()
      await idp.stop()
      await issuer.close()
    }
  }
  // What else a stack has, of files and processes, no step of these asks for.
  return known as Stack
}

async function pairOf(stack: Stack, keep: boolean): Promise<Pair> {
  const scratch = keep ? '' : await makeScratch(stack)
  const doorTo = async (host: string): Promise<Door> => ({ port: await portTo({ host, port: PORTS.indexIn }), ca: stack.door.ca })
  const agent = async (name: PairAgent) => {
    const port = await portTo({ path: join(AGENTS, `${name}.sock`) })
    return { port: () => port }
  }
  const agents = { indexer: await agent('indexer'), trials: await agent('trials') }
  if (!keep) await takesWrites(agents.indexer, scratch)
  const known = {
    egress: await serverAt('vecauthz-egress'),
    indexes: [await serverAt('vecauthz-index'), await serverAt('vecauthz-index-2')] as const,
    doors: [await doorTo('index-envoy'), await doorTo('index-envoy-2')] as const,
    agents,
    scratch
  }
  return known as unknown as Pair
}

async function serverAt(host: string): Promise<ServerProcess> {
  const [port, adminPort] = [await portTo({ host, port: PORTS.authz }), await portTo({ host, port: PORTS.admin })]
  return { port, adminPort } as ServerProcess
}
