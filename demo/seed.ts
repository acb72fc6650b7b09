import { readCorpus } from './corpus.ts'
import { COLLECTION, DATABASE } from './identities.ts'

/**
 * Fills Chroma as an operator would before the gateway stands in front: a tenant, a database and a `handbook` of real sentences
 * with real embeddings for each tenant. Gives tenant to the UUID of its handbook.
 */
export async function seed(chromaUrl: string): Promise<Record<string, string>> {
  const collections: Record<string, string> = {}
  for (const tenant of readCorpus().tenants) {
    await postOrThere(`${chromaUrl}/api/v2/tenants`, { name: tenant.id })
    await postOrThere(`${chromaUrl}/api/v2/tenants/${tenant.id}/databases`, { name: DATABASE })
    const place = `${chromaUrl}/api/v2/tenants/${tenant.id}/databases/${DATABASE}/collections`
    const { id } = (await post(place, { name: COLLECTION, configuration: { hnsw: { space: 'cosine' } } })) as { id: string }
    collections[tenant.id] = id
    await post(`${place}/${id}/add`, {
      ids: tenant.documents.map((one) => one.id),
      documents: tenant.documents.map((one) => one.text),
      metadatas: tenant.documents.map(() => ({ tenant: tenant.id })),
      embeddings: tenant.documents.map((one) => Array.from(one.vector))
    })
  }
  return collections
}

/** Takes every collection of the demo's tenants away again, so that `seed` and the steps find what they find the first time. */
export async function clearCollections(chromaUrl: string): Promise<void> {
  for (const tenant of readCorpus().tenants) {
    const place = `${chromaUrl}/api/v2/tenants/${tenant.id}/databases/${DATABASE}/collections`
    const listed = await fetch(place)
    const names = listed.ok ? ((await listed.json()) as { name: string }[]).map(({ name }) => name) : []
    for (const name of names) {
      const dropped = await fetch(`${place}/${encodeURIComponent(name)}`, { method: 'DELETE' })
      if (!dropped.ok) throw new Error(`Chroma answered ${dropped.status} to the drop of ${name}: ${await dropped.text()}`)
    }
  }
}

/** What `seed` gave, of a Chroma that was seeded before. */
export async function seeded(chromaUrl: string): Promise<Record<string, string>> {
  const collections: Record<string, string> = {}
  for (const { id: tenant } of readCorpus().tenants) {
    const found = await fetch(`${chromaUrl}/api/v2/tenants/${tenant}/databases/${DATABASE}/collections/${COLLECTION}`)
    if (!found.ok) throw new Error(`Chroma answered ${found.status} for the handbook of ${tenant}: it was not seeded.`)
    collections[tenant] = ((await found.json()) as { id: string }).id
  }
  return collections
}

/** For what stays from one run to the next. */
async function postOrThere(url: string, body: object): Promise<void> {
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const text = await answer.text()
  if (!answer.ok && answer.status !== 409) throw new Error(`Chroma answered ${answer.status} to ${url}: ${text}`)
}

export async function post(url: string, body: object): Promise<unknown> {
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`Chroma answered ${answer.status} to ${url}: ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}
