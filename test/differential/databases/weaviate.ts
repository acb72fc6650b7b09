/** The real Weaviate over REST and gRPC, with tenants of its own and with a class for each tenant. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { startWeaviate } from '../../../demo/weaviate.ts'
import { accept } from '../../../src/core/deny-reason.ts'
import type { Dialect } from '../../../src/databases/dialect.ts'
import { weaviate } from '../../../src/databases/weaviate.ts'
import type { Account } from '../../../src/world.ts'
import { chunk, frame, number } from '../../databases/protobuf-write.ts'
import type { Begin, Drawn } from './campaign.ts'
import { ALL, byName, EVERYTHING, judgeOf, OURS, THEIRS } from './decision.ts'
import type { Change, Dice } from './dice.ts'
import { changedRest, httpChanges } from './odd-http.ts'
import { jsonChanges, type Words } from './odd-json.ts'
import { changedGrpc, protoChanges, rebound } from './odd-proto.ts'
import { recorded } from './recorded.ts'
import { isOurs, weaviateStore } from './weaviate-store.ts'
import { grpcClient, type Header, sendHttp, succeeded, type Wire } from './wire.ts'

const POLICY = `
  - { database: weaviate, names: [Doc, Author], tenancy: native, ${ALL} }
  - { database: weaviate, names: ['Own_{tenant}', 'Tmp_{tenant}_*'], tenancy: collection, ${ALL} }`

/** Looks at the first object of a batch only. */
const FIRST_TARGET = 'first target'

export const weaviateBench: Begin = async (folder) => {
  const data = join(folder, 'weaviate')
  rmSync(data, { recursive: true, force: true })
  const server = await startWeaviate(data)
  const store = await weaviateStore(server.rest)
  const client = grpcClient(server.grpc)
  return {
    name: 'weaviate',
    judge: (control) => judgeOf(POLICY, () => byName('weaviate', control === FIRST_TARGET ? firstTarget : weaviate), control),
    controls: [EVERYTHING, FIRST_TARGET],
    draw,
    bases: BASES.map(
      (base) =>
        (dice: Dice): Drawn => ({
          mode: base.mode,
          endpoint: base.endpoint,
          refused: base.refused,
          changes: [],
          wire: whole(unchanged(dice, base))
        })
    ),
    send: (wire) => (wire.port === 'grpc' ? client.send(wire) : sendHttp(server.rest, wire)),
    succeeded,
    content: store.content,
    isOurs,
    mayChange,
    mend: store.mend,
    supported: [...new Set(BASES.filter(({ refused }) => !refused).map(({ mode, endpoint }) => `${mode} ${endpoint}`))],
    stop: async () => {
      client.close()
      await server.stop()
    }
  }
}

const firstTarget: Dialect = {
  ...weaviate,
  readCall: (inbound) => {
    const call = weaviate.readCall(inbound)
    return call.ok ? accept({ ...call.value, targets: call.value.targets.slice(0, 1) }) : call
  }
}

function mayChange({ targets = [] }: Account, place: string): boolean {
  return targets.some(({ collection, claim }) => {
    if (collection.kind !== 'name') return false
    return claim?.kind === 'native'
      ? place === `${collection.name}#${claim.tenant}`
      : place === `${collection.name}#` || place === `${collection.name} class`
  })
}

interface Base {
  readonly mode: string
  readonly endpoint: string
  readonly port: 'rest' | 'grpc'
  readonly method: string
  readonly target: string
  readonly headers: readonly Header[]
  /** It is to be refused, unless a change makes something else of it. */
  readonly refused: boolean
  /** Text of a REST call, message of a gRPC call. */
  readonly body: (dice: Dice) => Buffer | undefined
}

const OWN_CLASS = `Own_${OURS}`
const JSON_HEADERS: readonly Header[] = [['content-type', 'application/json']]
const ID_1 = '00000000-0000-4000-8000-000000000001'

/** What modules would answer, what no class here has, what the tests of the dialect show to be refused, and what shows the names of all. */
const LEFT_OUT =
  /named|several|multi|module|generate|rerank|near-text|near-image|filter-by-reference|hybrid-without|list-classes|class-exists|over-class/
/** Which class is at the other end of a reference, the call must say: a policy of names cannot look it up. */
const NATIVE_WITHOUT = /(with|many|fetch).*reference|reference-(add|add-many|replace|delete)/
const COLLECTION_WITHOUT = /reference|author|tenant|update-class-1/

const RECORDED = ['weaviate/3.14.0', 'weaviate-python/4.23.1'].flatMap(recorded)

const objectOf = (name: string, id: string): string =>
  JSON.stringify({
    class: name,
    ...(name === 'Doc' ? { tenant: OURS } : {}),
    id,
    properties: { title: 'odd three', page: 7 },
    vector: [0.5, 0.5, 0.5]
  })
const batchOf = (name: string): string =>
  `{"objects":[${objectOf(name, ID_1)},${objectOf(name, ID_1.replace(/1$/, '2'))},${objectOf(name, ID_1.replace(/1$/, '9'))}]}`

const BASES: readonly Base[] = [
  ...RECORDED.flatMap(nativeOf),
  ...RECORDED.flatMap(collectionOf),
  ...moreOf('native', 'Doc', `tenant=${OURS}`),
  ...moreOf('collection', OWN_CLASS, '')
]

function nativeOf(one: (typeof RECORDED)[number]): readonly Base[] {
  const { endpoint = 'refused', name, target, method, headers, body, grpc } = one
  const probe = endpoint.startsWith('system')
  const refused =
    one.endpoint === undefined ||
    LEFT_OUT.test(name) ||
    (!probe && (NATIVE_WITHOUT.test(name.replace(/^.*\//, '')) || /^class\.(?!get)/.test(endpoint)))
  const bytes = grpc ? body?.subarray(5) : body
  const own = grpc && endpoint === 'tenant.find' ? rebound(bytes as Buffer, (text) => (text === THEIRS ? OURS : text)) : bytes
  return [{ mode: probe ? 'none' : 'native', endpoint, refused, port: grpc ? 'grpc' : 'rest', method, target, headers, body: () => own }]
}

/** The same in a class of its own, without a tenant. */
function collectionOf(one: (typeof RECORDED)[number]): readonly Base[] {
  const { endpoint = 'refused', name, method, headers, body, grpc } = one
  if (endpoint.startsWith('system')) return []
  const refused =
    one.endpoint === undefined || LEFT_OUT.test(name) || COLLECTION_WITHOUT.test(name.replace(/^.*\//, '')) || endpoint.startsWith('tenant')
  const defines = ['class.create', 'class.drop'].includes(endpoint)
  const target = one.target
    .replace(/tenant=acme&?/, '')
    .replace(/[?&]$/, '')
    .replace(/(\/|=)(Doc|Author|Pair)\b/, (_, before) => before + (defines ? `Tmp_${OURS}_1` : OWN_CLASS))
  const named = (dice: Dice) => (defines ? `Tmp_${OURS}_${dice.below(3) + 1}` : OWN_CLASS)
  const text = (dice: Dice) => Buffer.from(JSON.stringify(withoutTenants(JSON.parse(body?.toString() ?? ''), named(dice), dice)))
  const message = () =>
    rebound((body as Buffer).subarray(5), (word) => (word === 'Doc' || word === 'Author' ? OWN_CLASS : word === OURS ? '' : word))
  return [
    {
      mode: 'collection',
      endpoint,
      refused,
      port: grpc ? 'grpc' : 'rest',
      method,
      target,
      headers,
      body: grpc ? message : body === undefined ? () => undefined : text
    }
  ]
}

/** The same said of a class that has no tenants, and refers to no other. */
function withoutTenants(value: unknown, own: string, dice: Dice): unknown {
  if (typeof value === 'string') return ['Doc', 'Author'].includes(value) ? own : value.replace('localhost/Doc/', `localhost/${own}/`)
  if (Array.isArray(value)) return value.filter((one) => !refers(one)).map((one) => withoutTenants(one, own, dice))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).flatMap(([key, one]): [string, unknown][] => {
    if (key === 'tenant' || key === 'references') return []
    if (key === 'multiTenancyConfig') return [[key, { enabled: false }]]
    // A property can be added once.
    return [[key, key === 'name' && one === 'source' ? `p${dice.below(1000)}` : withoutTenants(one, own, dice)]]
  })
  return Object.fromEntries(entries)
}

const refers = (property: unknown): boolean =>
  typeof property === 'object' && property !== null && 'dataType' in property && /^(Doc|Author)$/.test(String(property.dataType))

function moreOf(mode: string, name: string, query: string): readonly Base[] {
  const and = query === '' ? '' : `&${query}`
  const only = query === '' ? '' : `?${query}`
  const rest = (endpoint: string, method: string, target: string, body?: string): Base => ({
    mode,
    endpoint,
    refused: false,
    port: 'rest',
    method,
    target,
    headers: body === undefined ? [] : JSON_HEADERS,
    body: () => (body === undefined ? undefined : Buffer.from(body))
  })
  const where =
    '{"operator":"And","operands":[{"path":["page"],"operator":"GreaterThan","valueInt":2},{"path":["tags"],"operator":"ContainsAny","valueTextArray":["x"]}]}'
  return [
    rest('objects.list', 'GET', `/v1/objects?class=${name}${and}&limit=20&include=vector`),
    rest('objects.get', 'GET', `/v1/objects/${name}/${ID_1}?include=vector${and}`),
    rest('objects.get', 'GET', `/v1/objects/${name}/${ID_1}${only}`),
    rest('objects.exists', 'HEAD', `/v1/objects/${name}/${ID_1}${only}`),
    rest('objects.validate', 'POST', '/v1/objects/validate', objectOf(name, ID_1.replace(/1$/, '7'))),
    rest('batch.objects', 'POST', '/v1/batch/objects', batchOf(name)),
    rest(
      'batch.delete',
      'DELETE',
      `/v1/batch/objects${only}`,
      `{"match":{"class":"${name}","where":${where}},"output":"verbose","dryRun":false}`
    ),
    rest('objects.delete', 'DELETE', `/v1/objects/${name}/${ID_1}${only}`),
    rest('class.get', 'GET', `/v1/schema/${name}`),
    ...(mode === 'native'
      ? [
          rest('tenant.get', 'GET', `/v1/schema/${name}/tenants/${OURS}`),
          rest('tenant.exists', 'HEAD', `/v1/schema/${name}/tenants/${OURS}`),
          rest(
            'batch.references',
            'POST',
            '/v1/batch/references',
            `[{"from":"weaviate://localhost/Doc/${ID_1}/hasAuthor","to":"weaviate://localhost/Author/${ID_1.replace(/01$/, '20')}","tenant":"${OURS}"}]`
          ),
          rest(
            'references.replace',
            'PUT',
            `/v1/objects/Doc/${ID_1}/references/hasAuthor${only}`,
            `[{"beacon":"weaviate://localhost/Author/${ID_1.replace(/01$/, '20')}"}]`
          ),
          rest(
            'references.delete',
            'DELETE',
            `/v1/objects/Doc/${ID_1}/references/hasAuthor${only}`,
            `{"beacon":"weaviate://localhost/Author/${ID_1.replace(/01$/, '20')}"}`
          )
        ]
      : [])
  ]
}

const COUNTERPARTS = new Map([
  [OURS, THEIRS],
  [OWN_CLASS, `Own_${THEIRS}`],
  ['Doc', `Own_${THEIRS}`],
  [`Tmp_${OURS}_1`, `Tmp_${THEIRS}_1`],
  ['Author', 'Vault']
])
const THEIR_ID = '00000000-0000-4000-8000-000000000097'
const THEIR_WORDS = [
  THEIRS,
  THEIRS,
  `Own_${THEIRS}`,
  'Vault',
  `Tmp_${THEIRS}_1`,
  THEIR_ID,
  `weaviate://localhost/Own_${THEIRS}/${ID_1}`,
  `weaviate://localhost/Doc/${THEIR_ID}`
]

const JSON_WORDS: Words = {
  ours: ['Doc', 'Author', OWN_CLASS, OURS, 'title', 'page', ID_1, 'three', ''],
  theirs: THEIR_WORDS,
  counterparts: COUNTERPARTS,
  grafts: [
    ['tenant', `"${THEIRS}"`],
    ['tenant', `"${OURS}"`],
    ['tenant', 'null'],
    ['tenant', '""'],
    ['Tenant', `"${THEIRS}"`],
    ['class', `"Own_${THEIRS}"`],
    ['class', '"Doc"'],
    ['Class', `"Own_${THEIRS}"`],
    ['cla\u017fs', `"Own_${THEIRS}"`],
    ['collection', `"Own_${THEIRS}"`],
    ['id', `"${THEIR_ID}"`],
    ['beacon', `"weaviate://localhost/Own_${THEIRS}/${ID_1}"`],
    ['vector', '[1,2,3]'],
    ['vectors', '{"default":[1,2,3]}'],
    ['properties', `{"hasAuthor":[{"beacon":"weaviate://localhost/Author/${ID_1}"}]}`],
    ['objects', `[${objectOf('Doc', ID_1).replace(OURS, THEIRS)}]`],
    ['match', `{"class":"Own_${THEIRS}","where":{"path":["page"],"operator":"GreaterThan","valueInt":0}}`],
    ['where', '{"path":["page"],"operator":"GreaterThan","valueInt":0}'],
    ['operands', '[]'],
    ['dryRun', 'true'],
    ['output', '"verbose"'],
    ['multiTenancyConfig', '{"enabled":true}'],
    ['fields', '["ALL"]']
  ],
  wraps: [
    '{"operator":"And","operands":[%]}',
    '{"operator":"Or","operands":[%,{"path":["page"],"operator":"GreaterThan","valueInt":0}]}',
    '{"operator":"Not","operands":[%]}',
    '[%]',
    '[%,%]',
    '{"beacon":%}'
  ]
}

const ON_JSON = jsonChanges(JSON_WORDS)
const ON_REST = httpChanges({
  thefts: () => [
    [`tenant=${OURS}`, `tenant=${THEIRS}`],
    [OWN_CLASS, `Own_${THEIRS}`],
    ['/Doc/', `/Own_${THEIRS}/`],
    ['class=Doc', 'class=Vault'],
    [`tenants/${OURS}`, `tenants/${THEIRS}`],
    [`Tmp_${OURS}_1`, `Tmp_${THEIRS}_1`],
    [ID_1, THEIR_ID]
  ],
  swaps: () => [
    ['Doc', 'doc'],
    ['Doc', 'Author'],
    [OWN_CLASS, `own_${OURS}`],
    [OWN_CLASS, 'Vault'],
    [`tenant=${OURS}`, 'tenant='],
    [`tenant=${OURS}`, `Tenant=${OURS}`],
    [`tenant=${OURS}`, `tenant=${OURS.toUpperCase()}`],
    ['/v1/', '/v1//'],
    ['/v1/', '/v1/./'],
    ['/v1/objects/Doc/', '/v1/objects/'],
    [ID_1, ID_1.replaceAll('-', '')]
  ],
  queries: [
    `tenant=${THEIRS}`,
    `tenant=${OURS}`,
    `Tenant=${THEIRS}`,
    `class=Own_${THEIRS}`,
    'class=Doc',
    'include=vector',
    'node_name=node1',
    'limit=1000',
    'consistency_level=ONE',
    'after=',
    'x'
  ]
})

const ON_MESSAGE = protoChanges({
  ours: ['Doc', 'Author', OWN_CLASS, OURS, 'title', 'page', 'default', ID_1],
  theirs: THEIR_WORDS,
  counterparts: COUNTERPARTS,
  grafts: [
    chunk(10, THEIRS),
    chunk(10, OURS),
    chunk(10, ''),
    chunk(5, THEIRS),
    chunk(5, OURS),
    chunk(6, THEIRS),
    chunk(6, OURS),
    chunk(1, `Own_${THEIRS}`),
    chunk(1, 'Doc'),
    chunk(4, `Own_${THEIRS}`),
    chunk(4, 'Vault'),
    chunk(3, THEIR_ID),
    chunk(43, Buffer.alloc(0)),
    chunk(44, chunk(1, THEIR_ID)),
    chunk(40, Buffer.alloc(0)),
    chunk(60, Buffer.alloc(0)),
    chunk(21, Buffer.concat([number(1, 1), number(2, 1)])),
    chunk(31, chunk(1, `Own_${THEIRS}`)),
    chunk(20, chunk(2, [chunk(1, 'hasAuthor'), chunk(4, `Own_${THEIRS}`)])),
    number(30, 1000),
    number(3, 1),
    number(4, 1)
  ]
})

const ON_GRPC: readonly Change<Wire>[] = [
  {
    name: 'a tenant in the metadata',
    weight: 2,
    make: (dice, wire) => ({ ...wire, headers: [...wire.headers, [dice.pick(['tenant', 'x-tenant-id', 'dbname']), THEIRS]] })
  },
  {
    name: 'another content type',
    weight: 2,
    make: (dice, wire) => ({
      ...wire,
      headers: [
        ...wire.headers.filter(([name]) => name !== 'content-type'),
        ['content-type', dice.pick(['application/grpc+proto', 'application/grpc-web', 'application/json', 'application/grpc+json'])]
      ]
    })
  },
  {
    name: 'one header more',
    weight: 3,
    make: (dice, wire) => ({
      ...wire,
      headers: [
        ...wire.headers,
        dice.pick<Header>([
          ['authorization', 'Bearer x'],
          ['x-openai-api-key', 'x'],
          ['x-forwarded-for', '::1'],
          ['accept', '*/*']
        ])
      ]
    })
  },
  {
    name: 'another method',
    weight: 2,
    make: (dice, wire) => ({
      ...wire,
      target: `/weaviate.v1.Weaviate/${dice.pick(['Search', 'Aggregate', 'BatchObjects', 'BatchDelete', 'BatchReferences', 'TenantsGet', 'BatchStream'])}`
    })
  },
  {
    name: 'odd target',
    weight: 1,
    make: (dice, wire) => ({
      ...wire,
      target: dice.pick([`${wire.target}/`, `/${wire.target}`, wire.target.toLowerCase(), `${wire.target}?tenant=${THEIRS}`])
    })
  }
]

interface Sent {
  readonly wire: Wire
  readonly message: Buffer | undefined
}

function unchanged(dice: Dice, { endpoint, port, method, target, headers, body }: Base): Sent {
  const bytes = body(dice)
  if (port === 'grpc') return { wire: { port, method, target, headers, body: undefined }, message: bytes ?? Buffer.alloc(0) }
  // An id can be created once.
  const fresh = endpoint === 'objects.create' && dice.chance(0.7) ? String(100 + dice.below(900)) : undefined
  const text = fresh === undefined ? bytes : Buffer.from(bytes?.toString().replace(/0{9}[0-9]{3}"/, `000000000${fresh}"`) ?? '')
  return { wire: { port, method, target, headers, body: text }, message: undefined }
}

const whole = ({ wire, message }: Sent): Wire => (message === undefined ? wire : { ...wire, body: frame(message) })

function draw(dice: Dice): Drawn {
  const mode = dice.chance(0.04) ? 'none' : dice.pick(['native', 'native', 'collection'])
  const refused = mode !== 'none' && dice.chance(0.08)
  const fitting = BASES.filter((base) => base.mode === mode && base.refused === refused)
  const often = fitting.filter(({ endpoint }) => /^(objects|batch|grpc|references)\./.test(endpoint))
  const endpoint = dice.pick([...new Set((often.length > 0 && dice.chance(0.8) ? often : fitting).map((base) => base.endpoint))])
  const { wire, message } = unchanged(dice, dice.pick(fitting.filter((one) => one.endpoint === endpoint)))
  if (message === undefined) {
    const made = changedRest(dice, wire, { onWire: ON_REST, onJson: ON_JSON })
    return { mode, endpoint, changes: made.names, wire: made.wire }
  }
  const made = changedGrpc(dice, wire, message, { onWire: ON_GRPC, onMessage: ON_MESSAGE })
  return { mode, endpoint, changes: made.names, wire: made.wire, plain: made.plain }
}
