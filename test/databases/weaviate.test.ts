/** REST calls as Weaviate 1.35.2 reads them. What is refused here was tried on that server, and beside it is its nearest allowed neighbour. */
import { describe, expect, it } from 'vitest'
import { type Call, ID, OBJECT, outcome, places, read } from './weaviate-call.ts'

const OTHER = '00000000-0000-4000-8000-000000000002'
const object = { class: 'Doc', id: ID, tenant: 'acme', properties: { title: 'one' }, vector: [0.25, -0.5, 1] }
const create = (more: object): Call => ({ body: { ...object, ...more } })
const raw = (body: string, headers: Record<string, string> = {}): Call => ({ body, headers })
const get = (target: string): Call => ({ method: 'GET', target })

describe('one call, one reading', () => {
  it.each([
    ['a plain object', raw('{"class":"Doc","tenant":"acme"}'), 'allowed'],
    ['tenant twice: the server takes the last', raw('{"class":"Doc","tenant":"acme","tenant":"globex"}'), 'call-ambiguous'],
    ['Tenant behind tenant: the server takes it', raw('{"class":"Doc","tenant":"acme","Tenant":"globex"}'), 'call-ambiguous'],
    ['Tenant alone', raw('{"class":"Doc","Tenant":"globex"}'), 'call-ambiguous'],
    ['class with a long s: the server takes it', raw('{"class":"Doc","cla\u017fs":"Secret","tenant":"acme"}'), 'call-ambiguous'],
    ['a tenant with an escape is the tenant', raw('{"class":"Doc","tenant":"\\u0061cme"}'), 'allowed'],
    ['something behind the object: the server ignores it', raw('{"class":"Doc","tenant":"acme"}{}'), 'call-ambiguous'],
    ['YAML: the server runs it', raw('class: Doc\ntenant: acme\n', { 'content-type': 'application/yaml' }), 'call-ambiguous'],
    ['JSON said to be YAML', raw('{"class":"Doc"}', { 'content-type': 'application/yaml' }), 'call-ambiguous'],
    ['JSON in UTF-8', raw('{"class":"Doc","tenant":"acme"}', { 'content-type': 'application/json; charset=utf-8' }), 'allowed'],
    ['a packed body', raw('{"class":"Doc"}', { 'content-encoding': 'gzip' }), 'call-ambiguous'],
    ['a small first letter: REST makes it a capital', create({ class: 'doc' }), 'call-ambiguous'],
    ['a class that is no name', create({ class: 'Do c' }), 'call-unreadable'],
    ['no class', raw('{"tenant":"acme"}'), 'call-unreadable'],
    ['a class of null', raw('{"class":null,"tenant":"acme"}'), 'call-unreadable'],
    ['a tenant that is no name', create({ tenant: 'acme/globex' }), 'call-unreadable'],
    ['a tenant in a query that has none', { ...create({}), target: '/v1/objects?tenant=acme' }, 'call-unreadable'],
    ['a key of a later version', create({ shard: 'x' }), 'call-unreadable'],
    ['vector weights', create({ vectorWeights: {} }), 'call-unreadable'],
    ['vector weights of null', create({ vectorWeights: null }), 'allowed'],
    ['an id that is no UUID', create({ id: 'one' }), 'call-ambiguous'],
    ['no body', {}, 'call-unreadable'],
    ['a vector with something infinite in float32', raw('{"class":"Doc","vector":[1e39]}'), 'call-unreadable']
  ] as const)('%s', (_, call, want) => expect(outcome(call)).toBe(want))

  it.each([
    ['a path with an object', get(`${OBJECT}?tenant=acme`), 'allowed'],
    ['two slashes: the server cleans them away', get(`/v1//objects/Doc/${ID}?tenant=acme`), 'call-ambiguous'],
    ['a dot segment', get(`/v1/./objects/Doc/${ID}?tenant=acme`), 'call-ambiguous'],
    ['two dots', get(`/v1/meta/../objects/Doc/${ID}?tenant=acme`), 'call-ambiguous'],
    ['a slash at the end', get('/v1/schema/'), 'call-ambiguous'],
    ['an escape in the class: the server decodes it', get(`/v1/objects/%44oc/${ID}?tenant=acme`), 'call-ambiguous'],
    ['a small class in the path', get(`/v1/objects/doc/${ID}?tenant=acme`), 'call-ambiguous'],
    ['a tenant twice: the server takes the last', get(`${OBJECT}?tenant=acme&tenant=globex`), 'call-ambiguous'],
    ['Tenant in the query', get(`${OBJECT}?Tenant=acme`), 'call-ambiguous'],
    ['a method in small letters: the server runs it', { method: 'get', target: `${OBJECT}?tenant=acme` }, 'call-ambiguous'],
    ['an id without dashes: the server takes it', get(`/v1/objects/Doc/${ID.replaceAll('-', '')}?tenant=acme`), 'call-ambiguous'],
    ['a node of the cluster', get(`${OBJECT}?tenant=acme&node_name=node1`), 'call-unreadable'],
    ['a consistency level', get(`${OBJECT}?tenant=acme&consistency_level=QUORUM`), 'allowed'],
    ['no consistency level', get(`${OBJECT}?tenant=acme&consistency_level=quorum`), 'call-unreadable'],
    ['a GET with a body', { ...get(`${OBJECT}?tenant=acme`), body: {} }, 'call-ambiguous'],
    ['an object in any class', get(`/v1/objects/${ID}`), 'operation-unknown'],
    ['a list of one class', get('/v1/objects?class=Doc&tenant=acme'), 'allowed'],
    ['a list of all classes', get('/v1/objects?tenant=acme'), 'operation-unknown'],
    ['a list of the class with no name: the server lists them all', get('/v1/objects?class=&tenant=acme'), 'operation-unknown'],
    ['an unknown part of include', get('/v1/objects?class=Doc&include=nearestNeighbors'), 'call-unreadable'],
    ['a sort along a reference', get('/v1/objects?class=Doc&sort=hasAuthor.name'), 'call-unreadable']
  ] as const)('%s', (_, call, want) => expect(outcome(call)).toBe(want))

  it.each([
    ['x-openai-baseurl', 'operation-unknown'],
    ['x-openai-api-key', 'operation-unknown'],
    ['x-azure-resource-name', 'operation-unknown'],
    ['x-ollama-baseurl', 'operation-unknown'],
    ['x-aws-secret-key', 'operation-unknown'],
    ['x-databricks-endpoint', 'operation-unknown'],
    ['x-newcomer-baseurl', 'operation-unknown'],
    ['x-weaviate-api-key', 'operation-unknown'],
    ['x-weaviate-client', 'allowed'],
    ['x-weaviate-cluster-url', 'allowed'],
    ['x-weaviate-client-integration', 'allowed'],
    ['x-azure-ref', 'allowed'],
    ['x-vecauthz-policy-token', 'allowed']
  ])('header %s: %s', (name, want) => expect(outcome({ ...create({}), headers: { [name]: 'x' } })).toBe(want))
})

/** Every header that a module of 1.35.2 reads (its source, modules/), but for rate limits. */
const OF_MODULES = `
anthropic-baseurl anthropic-api-key anyscale-baseurl anyscale-api-key aws-access-key aws-secret-key aws-session-token aws-api-key
azure-api-key azure-resource-name azure-deployment-id azure-concurrency azure-block-size cohere-baseurl cohere-api-key
contextualai-baseurl contextualai-api-key databricks-endpoint databricks-token databricks-user-agent friendli-baseurl friendli-token
goog-api-key goog-vertex-api-key goog-studio-api-key google-api-key google-vertex-api-key google-studio-api-key huggingface-api-key
jinaai-api-key mistral-baseurl mistral-api-key nvidia-baseurl nvidia-api-key ollama-baseurl openai-baseurl openai-api-key
openai-organization palm-api-key voyageai-baseurl voyageai-api-key xai-baseurl xai-api-key openai-ratelimit-requestpm-embedding
amzn-sagemaker-target-model amzn-sagemaker-target-variant`
  .trim()
  .split(/\s+/)

describe('a header that speaks to a module', () => {
  it.each(OF_MODULES)('x-%s is refused', (name) =>
    expect(outcome({ ...create({}), headers: { [`x-${name}`]: 'x' } })).toBe('operation-unknown')
  )
})

describe('every object is a place', () => {
  const batch = (...objects: object[]): Call => ({ target: '/v1/batch/objects', body: { objects } })

  it('the class and tenant of one', () => expect(places(create({}))).toEqual(['acme/Doc']))
  it('no tenant, or an empty one, or null', () => {
    for (const tenant of [undefined, '', null]) expect(places(create({ tenant }))).toEqual(['-/Doc'])
  })
  it('each of a batch, once', () => {
    expect(places(batch(object, object, { ...object, tenant: 'globex' }, { ...object, class: 'Secret' }, object))).toEqual([
      'acme/Doc',
      'globex/Doc',
      'acme/Secret'
    ])
    expect(places(batch(object, object))).toEqual(['acme/Doc'])
  })
  it('are so many that a batch has them', () => {
    const classes = (count: number) => batch(...Array.from({ length: count }, (_, index) => ({ ...object, class: `Doc${index}` })))
    expect(places(classes(256))).toHaveLength(256)
    expect(places(classes(257))).toEqual(['call-too-large'])
  })
  it('a batch of nothing is none', () => expect(places(batch())).toEqual(['call-unreadable']))

  it.each(['PUT', 'PATCH'])('%s: the class of the body is that of the path', (method) => {
    expect(places({ method, target: OBJECT, body: object })).toEqual(['acme/Doc'])
    expect(places({ method, target: OBJECT, body: { ...object, class: 'Secret' } })).toEqual(['call-ambiguous'])
    expect(places({ method, target: OBJECT, body: { tenant: 'acme', id: ID } })).toEqual(['call-unreadable'])
    expect(places({ method, target: `${OBJECT}?tenant=acme`, body: object })).toEqual(['call-unreadable'])
  })

  it.each(['GET', 'HEAD', 'DELETE'])('%s: the tenant of the query', (method) => {
    expect(places({ method, target: `${OBJECT}?tenant=acme` })).toEqual(['acme/Doc'])
    expect(places({ method, target: OBJECT })).toEqual(['-/Doc'])
  })
})

describe('references', () => {
  const beacon = (path: string) => ({ beacon: `weaviate://localhost/${path}` })
  const add = (body: unknown, method = 'POST'): Call => ({ method, target: `${OBJECT}/references/hasAuthor?tenant=acme`, body })

  it('lead to another class', () => expect(places(add(beacon(`Author/${OTHER}`)))).toEqual(['acme/Doc', 'acme/Author']))
  it('lead to any class when they name none', () => expect(places(add(beacon(OTHER)))).toEqual(['acme/Doc', 'acme/*']))
  it('come in lists', () =>
    expect(places(add([beacon(`Author/${OTHER}`), beacon(`Secret/${OTHER}`)], 'PUT'))).toEqual(['acme/Doc', 'acme/Author', 'acme/Secret']))
  it('are taken away', () => expect(places(add(beacon(`Author/${OTHER}`), 'DELETE'))).toEqual(['acme/Doc', 'acme/Author']))

  it.each([
    ['an escape: the server decodes it', `weaviate://localhost/%41uthor/${OTHER}`],
    ['another host', `weaviate://elsewhere/Author/${OTHER}`],
    ['a port', `weaviate://localhost:1/Author/${OTHER}`],
    ['another scheme', `http://localhost/Author/${OTHER}`],
    ['a query', `weaviate://localhost/Author/${OTHER}?x`],
    ['a small class', `weaviate://localhost/author/${OTHER}`],
    ['more than a path has', `weaviate://localhost/Author/${OTHER}/name`],
    ['no class but its slash', `weaviate://localhost//${OTHER}`],
    ['a dot segment', `weaviate://localhost/../Author/${OTHER}`],
    ['no id', 'weaviate://localhost/Author/one']
  ])('%s is refused', (_, text) => expect(outcome(add({ beacon: text }))).not.toBe('allowed'))

  it('with keys of the server are refused', () => {
    expect(outcome(add({ ...beacon(`Author/${OTHER}`), href: '/v1/objects/Secret/1' }))).toBe('call-unreadable')
    expect(outcome(add({ Beacon: `weaviate://localhost/Author/${OTHER}` }))).toBe('call-ambiguous')
    expect(outcome(add({}))).toBe('call-unreadable')
  })

  it('of a batch have a source and a tenant each', () => {
    const from = `weaviate://localhost/Doc/${ID}/hasAuthor`
    const body = [
      { from, to: `weaviate://localhost/Author/${OTHER}`, tenant: 'acme' },
      { from, to: `weaviate://localhost/Author/${OTHER}`, tenant: 'globex' }
    ]
    expect(places({ target: '/v1/batch/references', body })).toEqual(['acme/Doc', 'acme/Author', 'globex/Doc', 'globex/Author'])
    expect(outcome({ target: '/v1/batch/references', body: [{ from: `weaviate://localhost/${ID}/hasAuthor`, to: body[0]?.to }] })).not.toBe(
      'allowed'
    )
    expect(outcome({ target: '/v1/batch/references', body: [{ from }] })).toBe('call-unreadable')
    expect(outcome({ target: '/v1/batch/references', body: [] })).toBe('call-unreadable')
  })

  it('hide in properties, where the server makes a reference property of them', () => {
    const properties = (value: unknown) => places(create({ properties: { sneaky: value } }))
    expect(properties([beacon(`Secret/${OTHER}`)])).toEqual(['acme/Doc', 'acme/Secret'])
    expect(properties({ deep: [[beacon(`Secret/${OTHER}`)]] })).toEqual(['acme/Doc', 'acme/Secret'])
    expect(properties([beacon(OTHER)])).toEqual(['acme/Doc', 'acme/*'])
    expect(properties([{ Beacon: 'x' }])).toEqual(['call-ambiguous'])
    expect(properties([{ beacon: 1 }])).toEqual(['call-unreadable'])
    expect(places(create({ properties: { beacon: 'a lighthouse' } }))).toEqual(['acme/Doc'])
  })
})

describe('a delete by filter', () => {
  const equal = { operator: 'Equal', path: ['title'], valueText: 'one' }
  const where = (filter: object): Call => ({
    method: 'DELETE',
    target: '/v1/batch/objects?tenant=acme',
    body: { match: { class: 'Doc', where: filter } }
  })

  it.each([
    ['one property', where(equal), ['acme/Doc']],
    ['two properties', where({ operator: 'And', operands: [equal, equal] }), ['acme/Doc']],
    ['all of nothing', where({ operator: 'And', operands: [] }), ['call-ambiguous']],
    ['the id', where({ ...equal, path: ['_id'] }), ['acme/Doc']],
    ['the length of a property', where({ operator: 'Equal', path: ['len(title)'], valueInt: 3 }), ['acme/Doc']],
    ['a walk into another class', where({ ...equal, path: ['hasAuthor', 'Author', 'name'] }), ['operation-unknown']],
    [
      'a walk within another filter',
      where({ operator: 'Or', operands: [equal, { ...equal, path: ['a', 'B', 'c'] }] }),
      ['operation-unknown']
    ],
    ['an unknown operator', where({ ...equal, operator: 'Near' }), ['call-unreadable']],
    ['a comparison that combines', where({ ...equal, operands: [equal] }), ['call-ambiguous']],
    ['a path of nothing', where({ ...equal, path: [] }), ['call-unreadable']],
    ['no filter', { ...where(equal), body: { match: { class: 'Doc' } } }, ['call-ambiguous']],
    ['no class', { ...where(equal), body: { match: { where: equal } } }, ['call-unreadable']],
    ['the tenant in the body', { ...where(equal), body: { match: { class: 'Doc', where: equal, tenant: 'acme' } } }, ['call-unreadable']],
    ['no tenant', { ...where(equal), target: '/v1/batch/objects' }, ['-/Doc']]
  ] as const)('%s', (_, call, want) => expect(places(call)).toEqual(want))

  it('is a delete', () => expect(read(where(equal))).toMatchObject({ ok: true, value: { operation: 'delete', endpoint: 'batch.delete' } }))
})

describe('a class', () => {
  const define = (body: object): Call => ({ target: '/v1/schema', body: { class: 'Doc', ...body } })

  it.each([
    ['with properties', define({ properties: [{ name: 'title', dataType: ['text'] }] }), ['-/Doc']],
    [
      'with references into others',
      define({ properties: [{ name: 'has', dataType: ['Author', 'Secret'] }] }),
      ['-/Author', '-/Secret', '-/Doc']
    ],
    ['with a reference to a small class', define({ properties: [{ name: 'has', dataType: ['Au thor'] }] }), ['call-unreadable']],
    ['without a vectorizer', define({ vectorizer: 'none' }), ['-/Doc']],
    ['with a vectorizer', define({ vectorizer: 'text2vec-openai' }), ['operation-unknown']],
    [
      'with a vectorizer of a named vector',
      define({ vectorConfig: { a: { vectorizer: { 'text2vec-ollama': {} } } } }),
      ['operation-unknown']
    ],
    ['without a vectorizer of a named vector', define({ vectorConfig: { a: { vectorizer: { none: {} } } } }), ['-/Doc']],
    ['with a module', define({ moduleConfig: { 'generative-openai': { baseURL: 'https://evil.example' } } }), ['operation-unknown']],
    ['with an empty list of modules', define({ moduleConfig: {} }), ['-/Doc']],
    ['with vectorizer in another case', define({ Vectorizer: 'text2vec-openai' }), ['call-ambiguous']],
    [
      'with a module for a property',
      define({ properties: [{ name: 'a', dataType: ['text'], moduleConfig: { x: {} } }] }),
      ['operation-unknown']
    ],
    ['with no name', { target: '/v1/schema', body: {} }, ['call-unreadable']]
  ] as const)('%s', (_, call, want) => expect(places(call)).toEqual(want))

  it('is changed under its own name', () => {
    expect(places({ method: 'PUT', target: '/v1/schema/Doc', body: { class: 'Doc' } })).toEqual(['-/Doc'])
    expect(places({ method: 'PUT', target: '/v1/schema/Doc', body: { class: 'Secret' } })).toEqual(['call-ambiguous'])
    expect(places({ target: '/v1/schema/Doc/properties', body: { name: 'has', dataType: ['Secret'] } })).toEqual(['-/Doc', '-/Secret'])
  })

  it('is dropped, which is more than a delete', () =>
    expect(read({ method: 'DELETE', target: '/v1/schema/Doc' })).toMatchObject({ value: { operation: 'drop' } }))

  it('shows one tenant, and never all of them', () => {
    expect(places(get('/v1/schema/Doc/tenants/acme'))).toEqual(['acme/Doc'])
    expect(places({ method: 'HEAD', target: '/v1/schema/Doc/tenants/acme' })).toEqual(['acme/Doc'])
    expect(places(get('/v1/schema/Doc/tenants'))).toEqual(['operation-unknown'])
    expect(places(get('/v1/schema/Doc/shards'))).toEqual(['operation-unknown'])
  })

  it('of all shows every one', () => expect(places(get('/v1/schema'))).toEqual(['-/*']))
})

describe('what a call costs', () => {
  const shapeOf = (call: Call) => {
    const result = read(call)
    if (!result.ok) throw new Error(result.reason.because)
    const { vectors, ...shape } = result.value.shape
    return { ...shape, vectors: vectors.map((vector) => [...vector]) }
  }

  it('a list: 10 results when it does not say, and vectors when it asks for them', () => {
    expect(shapeOf(get('/v1/objects?class=Doc'))).toMatchObject({ topK: 10, vectorsOut: false })
    expect(shapeOf(get('/v1/objects?class=Doc&limit=25&include=vector'))).toMatchObject({ topK: 25, vectorsOut: true })
    expect(shapeOf(get(`${OBJECT}?include=classification%2Cvector`))).toMatchObject({ topK: 1, records: 1, vectorsOut: true })
    expect(outcome(get('/v1/objects?class=Doc&limit=-1'))).toBe('call-unreadable')
  })

  it('a write: every vector of every object, multi-vectors too', () => {
    const vectors = {
      title: [1, 2],
      parts: [
        [3, 4, 5],
        [6, 7, 8]
      ],
      none: []
    }
    expect(shapeOf(create({ vector: [1], vectors }))).toMatchObject({
      records: 1,
      dimensions: 3,
      vectors: [[1], [1, 2], [3, 4, 5], [6, 7, 8]]
    })
    expect(shapeOf({ target: '/v1/batch/objects', body: { objects: [object, object] } })).toMatchObject({ records: 2, dimensions: 3 })
  })
})
