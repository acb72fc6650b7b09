/** Attacks on the running stack, beyond the demo's own steps. Each has an allowed neighbour: the same call without the trick. */
import { type Answer, type Ask, call } from '../../../demo/client.ts'
import { DATABASE, HOST } from '../../../demo/identities.ts'
import { collectionPath, namedPath, type Scene, type Step, searchBody, supportSearch } from '../../../demo/step.ts'
import { sendRaw } from './raw.ts'

export interface Attack extends Step {
  /** What is allowed one byte, one name or one header away, and must return the tenant's own records. */
  readonly neighbour: (scene: Scene) => Promise<Answer>
}

type Want = Step['want']

const search = (scene: Scene): Promise<Answer> => supportSearch(scene)
const readOwn = ({ stack, who }: Scene): Promise<Answer> =>
  call(stack.door, who.support, {
    target: collectionPath('acme', stack.collections['acme'] ?? '', 'get'),
    body: { limit: 3, include: ['documents'] }
  })

function attack(name: string, want: Want, ask: (scene: Scene) => Ask, neighbour = search): Attack {
  return { name, shows: name, want, neighbour, run: (scene) => call(scene.stack.door, scene.who.support, ask(scene)) }
}

/** The support agent's own search with one thing changed. */
function changed(name: string, want: Want, change: Partial<Ask>): Attack {
  return { name, shows: name, want, neighbour: search, run: (scene) => supportSearch(scene, change) }
}

function withText(name: string, want: Want, edit: (json: string) => string): Attack {
  return changed(name, want, { body: edit(JSON.stringify(searchBody('acme'))) })
}

/** The same search as raw HTTP/1.1 with these lines added; a content type unless the lines bring one. */
function byHand(name: string, want: Want, method: string, lines: readonly string[]): Attack {
  const run = ({ stack, who }: Scene): Promise<Answer> => {
    const target = collectionPath('acme', stack.collections['acme'] ?? '', 'query')
    const type = lines.some((line) => line.startsWith('content-type')) ? [] : ['content-type: application/json']
    return sendRaw(
      stack.door,
      who.support,
      [`${method} ${target} HTTP/1.1`, `host: ${HOST}`, ...type, ...lines],
      JSON.stringify(searchBody('acme'))
    )
  }
  return { name, shows: name, want, neighbour: ({ stack, who }) => neighbourByHand(stack, who), run }
}

function neighbourByHand(stack: Scene['stack'], who: Scene['who']): Promise<Answer> {
  const target = collectionPath('acme', stack.collections['acme'] ?? '', 'query')
  return sendRaw(
    stack.door,
    who.support,
    [`POST ${target} HTTP/1.1`, `host: ${HOST}`, 'content-type: application/json'],
    JSON.stringify(searchBody('acme'))
  )
}

const foreign = (verb: string, body: object): ((scene: Scene) => Ask) => {
  return ({ stack }) => ({ target: collectionPath('acme', stack.collections['globex'] ?? '', verb), body })
}
const NO: Want = { status: 403, reason: 'collection-not-allowed' }
const NO_WRITE: Want = { status: 403, reason: 'write-not-allowed' }
const NO_DELETE: Want = { status: 403, reason: 'delete-not-allowed' }
const UNREADABLE: Want = { status: 400, reason: 'call-unreadable' }
const AMBIGUOUS: Want = { status: 400, reason: 'call-ambiguous' }
const UNKNOWN: Want = { status: 403, reason: 'operation-unknown' }
const BY_ENVOY: Want = { status: 400, reason: 'envoy' }

const isolation: Attack[] = [
  attack("globex's records read by UUID under acme", NO, foreign('get', { limit: 1 }), readOwn),
  attack("globex's records counted by UUID under acme", NO, ({ stack }) => ({
    target: collectionPath('acme', stack.collections['globex'] ?? '', 'count')
  })),
  attack("globex's records overwritten by UUID under acme", NO, foreign('upsert', { ids: ['x'], embeddings: [[1, 0]], documents: ['x'] })),
  attack("globex's records deleted by UUID under acme", NO, foreign('delete', { ids: ['x'] })),
  attack("globex's handbook renamed by UUID under acme", NO, ({ stack }) => ({
    method: 'PUT',
    target: namedPath('acme', stack.collections['globex']),
    body: { new_name: 'handbook2' }
  })),
  attack('that UUID in braces', AMBIGUOUS, ({ stack }) => ({
    target: collectionPath('acme', `%7B${stack.collections['globex']}%7D`, 'query'),
    body: searchBody('globex')
  })),
  attack('a UUID that does not exist', NO, () => ({
    target: collectionPath('acme', '00000000-0000-4000-8000-000000000000', 'query'),
    body: searchBody('acme')
  })),
  attack('a tenant in capitals', { status: 403, reason: 'tenant-not-allowed' }, () => ({ target: namedPath('ACME') })),
  attack('a tenant nobody has', { status: 403, reason: 'tenant-not-allowed' }, () => ({ target: namedPath('acme2') })),
  attack("Chroma's default tenant", { status: 403, reason: 'tenant-not-allowed' }, () => ({ target: namedPath('default_tenant') })),
  attack('another database of the own tenant', NO, () => ({ target: `/api/v2/tenants/acme/databases/other/collections/handbook` })),
  attack('all collections listed', NO, () => ({ target: `/api/v2/tenants/acme/databases/${DATABASE}/collections` })),
  attack('a search across tenants by resource name', UNKNOWN, () => ({ target: `/api/v2/collections/globex%3A${DATABASE}%3Ahandbook` }))
]

const rights: Attack[] = [
  attack('a record written', NO_WRITE, ({ stack }) => ({
    target: collectionPath('acme', stack.collections['acme'] ?? '', 'upsert'),
    body: { ids: ['poison'], embeddings: [Array.from({ length: 384 }, () => 0.1)], documents: ['poison'] }
  })),
  attack('a record deleted', NO_DELETE, ({ stack }) => ({
    target: collectionPath('acme', stack.collections['acme'] ?? '', 'delete'),
    body: { ids: ['a'] }
  })),
  attack('the handbook renamed', NO_WRITE, ({ stack }) => ({
    method: 'PUT',
    target: namedPath('acme', stack.collections['acme']),
    body: { new_name: 'handbook' }
  })),
  attack('a collection created', NO_WRITE, () => ({
    target: `/api/v2/tenants/acme/databases/${DATABASE}/collections`,
    body: { name: 'handbook', get_or_create: true }
  })),
  attack(
    'a read without a limit',
    { status: 413, reason: 'call-too-large' },
    ({ stack }) => ({ target: collectionPath('acme', stack.collections['acme'] ?? '', 'get'), body: {} }),
    readOwn
  ),
  attack(
    'embeddings asked for in a read',
    { status: 403, reason: 'vectors-not-allowed' },
    ({ stack }) => ({
      target: collectionPath('acme', stack.collections['acme'] ?? '', 'get'),
      body: { limit: 3, include: ['embeddings'] }
    }),
    readOwn
  ),
  changed(
    'nine queries in one call',
    { status: 413, reason: 'call-too-large' },
    {
      body: {
        ...searchBody('acme'),
        query_embeddings: Array.from({ length: 9 }, () => (searchBody('acme') as { query_embeddings: number[][] }).query_embeddings[0])
      }
    }
  ),
  attack('the old API', UNKNOWN, () => ({ target: '/api/v1/collections' }))
]

const paths: Attack[] = [
  attack('a trailing slash', AMBIGUOUS, () => ({ target: `${namedPath('acme')}/` })),
  attack('a path parameter', AMBIGUOUS, () => ({ target: `${namedPath('acme')};x=1` })),
  attack('a NUL in the path', BY_ENVOY, () => ({ target: `${namedPath('acme')}%00` })),
  attack('an encoded backslash', BY_ENVOY, () => ({
    target: `/api/v2/tenants/acme%5C..%5Cglobex/databases/${DATABASE}/collections/handbook`
  })),
  attack('a tenant in the query string twice', AMBIGUOUS, () => ({ target: `${namedPath('acme')}?limit=1&limit=2` })),
  byHand('a method in lower case', BY_ENVOY, 'post', []),
  changed('a method Chroma does not know here', UNKNOWN, { method: 'PATCH' }),
  attack('a GET with a body', AMBIGUOUS, () => ({ method: 'GET', target: namedPath('acme'), body: '{}' }))
]

const headers: Attack[] = [
  changed('a tenant header with underscores (hole 12)', BY_ENVOY, { headers: { x_tenant_id: 'globex' } }),
  changed('another host', { status: 403, reason: 'envoy' }, { headers: { host: 'other.demo.vecauthz.test' } }),
  attack('an absolute target with another host', { status: 404, reason: 'envoy' }, () => ({
    target: `http://evil.test${namedPath('acme')}`
  })),
  changed(
    'an upgrade to websocket (hole 2)',
    { status: 403, reason: 'envoy' },
    { headers: { connection: 'upgrade', upgrade: 'websocket' } }
  ),
  byHand('a header twice', AMBIGUOUS, 'POST', ['x-chroma-version: 1', 'x-chroma-version: 2']),
  byHand('two content types', AMBIGUOUS, 'POST', ['content-type: application/json', 'content-type: text/plain']),
  byHand('two hosts', { status: 403, reason: 'envoy' }, 'POST', ['host: globex.demo.vecauthz.test']),
  changed('YAML', AMBIGUOUS, { headers: { 'content-type': 'application/yaml' } }),
  changed('JSON in another character set', AMBIGUOUS, { headers: { 'content-type': 'application/json; charset=utf-16' } }),
  changed('a gzip body that is none', AMBIGUOUS, { headers: { 'content-encoding': 'gzip' } })
]

const json: Attack[] = [
  withText('a key twice, in different case', AMBIGUOUS, (text) => text.replace('{', '{"N_RESULTS":100,')),
  withText('a key Chroma does not know', UNREADABLE, (text) => text.replace('{', '{"tenant":"globex",')),
  withText('bytes after the body', AMBIGUOUS, (text) => `${text}{}`),
  withText('a byte order mark', AMBIGUOUS, (text) => `\ufeff${text}`),
  withText('a key twice deep inside where', AMBIGUOUS, (text) => text.replace('{', '{"where":{"tenant":"acme","tenant":"globex"},')),
  withText('two keys in one where object', UNREADABLE, (text) => text.replace('{', '{"where":{"a":1,"b":2},')),
  withText('n_results as text', UNREADABLE, (text) => text.replace('"n_results":3', '"n_results":"3"')),
  withText('n_results below zero', UNREADABLE, (text) => text.replace('"n_results":3', '"n_results":-3')),
  withText('n_results as 1e1000', UNREADABLE, (text) => text.replace('"n_results":3', '"n_results":1e1000')),
  // Refused calls are not charged, so what they cost must be little: at 150 ms each, eight connections kept all others waiting.
  withText('a key of a megabyte', { status: 413, reason: 'call-too-large' }, (text) => text.replace('{', `{"${'K'.repeat(1_000_000)}":1,`)),
  withText('a key of long s in where', { status: 413, reason: 'call-too-large' }, (text) =>
    text.replace('{', `{"where":{"${'ſ'.repeat(500_000)}":1},`)
  ),
  withText('a number that is none', UNREADABLE, (text) => text.replace('"n_results":3', '"n_results":NaN')),
  withText('an include nobody knows', UNREADABLE, (text) => text.replace('"documents"', '"embeddings "')),
  withText('embeddings spelt with an escape', { status: 403, reason: 'vectors-not-allowed' }, (text) =>
    text.replace('"documents"', '"\\u0065mbeddings"')
  )
]

export const ATTACKS: readonly Attack[] = [...isolation, ...rights, ...paths, ...headers, ...json]
