/** What is in Weaviate, past vecauthz: classes with tenants of their own, and a class for each tenant. */
import type { Upstream } from '../../../demo/recorder.ts'
import { CANARY_FLOAT, type Content, sorted } from './campaign.ts'
import { OURS, THEIRS } from './decision.ts'
import { sendHttp } from './wire.ts'

const ID = (last: number) => `00000000-0000-4000-8000-${String(last).padStart(12, '0')}`

interface Seeds {
  readonly name: string
  /** Empty where the class has no tenants. */
  readonly tenants: readonly string[]
  readonly word?: string
  readonly count: number
}

/** Ids from 1 on are those that the recorded calls use; both tenants have them. */
const CLASSES: readonly Seeds[] = [
  { name: 'Author', tenants: [OURS, THEIRS], count: 3 },
  { name: 'Doc', tenants: [OURS, THEIRS], count: 9 },
  { name: `Own_${OURS}`, tenants: [], count: 9 },
  { name: `Own_${THEIRS}`, tenants: [], word: 'gxcanary', count: 9 },
  { name: `Tmp_${OURS}_1`, tenants: [], count: 2 },
  { name: `Tmp_${THEIRS}_1`, tenants: [], word: 'gxcanary', count: 3 },
  { name: 'Vault', tenants: [], word: 'axcanary', count: 3 }
]

/** `Doc#acme`, `Own_acme#`, `Own_acme class`. */
export const isOurs = (place: string): boolean => place.endsWith(`#${OURS}`) || /^(Own|Tmp)_acme|^Vault/.test(place)

export interface WeaviateStore {
  readonly content: () => Promise<Content>
  readonly mend: (all: boolean) => Promise<void>
}

interface Stored {
  readonly id: string
}

export async function weaviateStore(upstream: Upstream): Promise<WeaviateStore> {
  const call = async (method: string, target: string, body?: unknown): Promise<unknown> => {
    const text = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    const answer = await sendHttp(upstream, { port: 'rest', method, target, headers: [['content-type', 'application/json']], body: text })
    if (answer.status < 200 || answer.status > 299)
      throw new Error(`${method} ${target}: ${answer.status} ${answer.body.toString().slice(0, 300)}`)
    return answer.body.length === 0 ? undefined : JSON.parse(answer.body.toString())
  }
  const classes = async () =>
    ((await call('GET', '/v1/schema')) as { classes: { class: string; multiTenancyConfig: { enabled: boolean } }[] }).classes
  const objects = async (name: string, tenant: string) => {
    const of = tenant === '' ? '' : `&tenant=${tenant}`
    return ((await call('GET', `/v1/objects?class=${name}${of}&include=vector&limit=1000`)) as { objects: Stored[] }).objects
  }

  /** What cannot be read is not as it was. */
  const read = (name: string, tenant: string) =>
    objects(name, tenant).then(
      (list) => list.map(sorted).sort().join('\n'),
      (cause: Error) => `unreadable: ${cause.message}`
    )

  const content = async (): Promise<Content> => {
    const found = new Map<string, string>()
    for (const one of await classes()) {
      const { class: name, multiTenancyConfig } = one
      found.set(`${name} class`, sorted(one))
      const list = multiTenancyConfig.enabled
        ? ((await call('GET', `/v1/schema/${name}/tenants`)) as { name: string }[]).map((tenant) => tenant.name)
        : ['']
      if (multiTenancyConfig.enabled) found.set(`${name} tenants`, list.toSorted().join())
      for (const tenant of list) found.set(`${name}#${tenant}`, await read(name, tenant))
    }
    return found
  }

  const create = async ({ name, tenants }: Seeds) => {
    await call('POST', '/v1/schema', {
      class: name,
      vectorizer: 'none',
      vectorIndexType: 'hnsw',
      // Vectors stay as they are written.
      vectorIndexConfig: { distance: 'l2-squared' },
      multiTenancyConfig: { enabled: tenants.length > 0, autoTenantCreation: false },
      properties: [
        ...['title', 'name', 'source'].map((text) => ({ name: text, dataType: ['text'] })),
        { name: 'page', dataType: ['int'] },
        { name: 'tags', dataType: ['text[]'] },
        { name: 'scores', dataType: ['number[]'] },
        { name: 'place', dataType: ['geoCoordinates'] },
        { name: 'origin', dataType: ['object'], nestedProperties: [{ name: 'shelf', dataType: ['text'] }] },
        ...(name === 'Doc' ? [{ name: 'hasAuthor', dataType: ['Author'] }] : [])
      ]
    })
    if (tenants.length > 0)
      await call(
        'POST',
        `/v1/schema/${name}/tenants`,
        tenants.map((tenant) => ({ name: tenant }))
      )
  }
  const fill = async ({ name, count, word: own }: Seeds, tenant: string) => {
    const word = tenant === THEIRS ? 'gxcanary' : own
    const list = Array.from({ length: count }, (_, at) => ({
      class: name,
      ...(tenant === '' ? {} : { tenant }),
      id: ID(name === 'Author' ? at + 20 : word !== undefined && at > 5 ? at + 90 : at + 1),
      properties: {
        title: word === undefined ? `three ${at + 1}` : `${word}doc${at + 1}z three`,
        page: at + 1,
        tags: ['x', word === undefined ? 'y' : `${word}tagz`]
      },
      vector: word === undefined ? [0.25, -0.5, at] : [CANARY_FLOAT, -0.5, at / 16]
    }))
    const done = (await call('POST', '/v1/batch/objects', { objects: list })) as { result?: { errors?: unknown } }[]
    const failed = done.find(({ result }) => result?.errors !== undefined && result.errors !== null)
    if (failed !== undefined) throw new Error(JSON.stringify(failed))
  }

  const everything = async () => {
    for (const one of await classes()) await call('DELETE', `/v1/schema/${one.class}`)
    for (const one of CLASSES) {
      await create(one)
      for (const tenant of one.tenants.length > 0 ? one.tenants : ['']) await fill(one, tenant)
    }
  }
  const ours = async (now: Content, seeded: Content) => {
    const changed = [...new Set([...now.keys(), ...seeded.keys()])].filter((one) => isOurs(one) && now.get(one) !== seeded.get(one))
    for (const name of new Set(changed.map((one) => one.replace(/[ #].*/, '')))) {
      const seeds = CLASSES.find((one) => one.name === name)
      if (seeds !== undefined && seeds.tenants.length > 0) {
        for (const { id } of await objects(name, OURS)) await call('DELETE', `/v1/objects/${name}/${id}?tenant=${OURS}`)
        await fill(seeds, OURS)
        continue
      }
      if (now.has(`${name} class`)) await call('DELETE', `/v1/schema/${name}`)
      if (seeds === undefined) continue
      await create(seeds)
      await fill(seeds, '')
    }
  }
  let seeded: Content = new Map()
  const mend = async (all: boolean) => {
    if (all) await everything()
    else await ours(await content(), seeded)
    seeded = await content()
  }
  await mend(true)
  return { content, mend }
}
