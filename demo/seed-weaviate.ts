/** Tenants of the class `Docs`, kept apart by Weaviate itself, and a class of its own for each. */
const PROPERTIES = [
  { name: 'text', dataType: ['text'] },
  { name: 'page', dataType: ['int'] }
]
const TENANTS = ['acme', 'globex']

/** As an operator would, before the gateway stands in front: three objects for each tenant in each place. */
export async function seedWeaviate(url: string): Promise<void> {
  const multiTenancyConfig = { enabled: true }
  await post(`${url}/v1/schema`, { class: 'Docs', vectorizer: 'none', properties: PROPERTIES, multiTenancyConfig })
  await post(
    `${url}/v1/schema/Docs/tenants`,
    TENANTS.map((name) => ({ name }))
  )
  for (const tenant of TENANTS) {
    await post(`${url}/v1/schema`, { class: `Own_${tenant}`, vectorizer: 'none', properties: PROPERTIES })
    const objects = [1, 2, 3].map((page) => ({
      id: objectId(tenant, page),
      properties: { text: `${tenant} page ${page}`, page },
      vector: [page, tenant.length, 1, 0]
    }))
    const there = await post(`${url}/v1/batch/objects`, {
      objects: [...objects.map((one) => ({ ...one, class: 'Docs', tenant })), ...objects.map((one) => ({ ...one, class: `Own_${tenant}` }))]
    })
    const faults = (there as { result?: { errors?: unknown } }[]).flatMap(({ result }) => result?.errors ?? [])
    if (faults.length > 0) throw new Error(`Weaviate did not take the seed: ${JSON.stringify(faults[0])}`)
  }
}

export function objectId(tenant: string, page: number): string {
  return `00000000-0000-4000-8000-${tenant === 'acme' ? 'a' : 'b'}${String(page).padStart(11, '0')}`
}

async function post(url: string, body: object): Promise<unknown> {
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`Weaviate answered ${answer.status} to ${url}: ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}
