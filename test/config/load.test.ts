import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadAll } from '../../src/config/load.ts'
import { printFault } from '../../src/config/read-yaml.ts'
import { SERVED } from '../../src/databases/dialects.ts'
import { compilePolicy } from '../../src/policy/compile.ts'

const HERE = import.meta.dirname
const SETTINGS = readFileSync(join(HERE, 'settings.yaml'), 'utf8')
const POLICY = readFileSync(join(HERE, 'policy.yaml'), 'utf8')

function load(settings: string, policy: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'vecauthz-config-'))
  writeFileSync(join(folder, 'settings.yaml'), settings)
  writeFileSync(join(folder, 'policy.yaml'), policy)
  const loaded = loadAll(join(folder, 'settings.yaml'), SERVED, compilePolicy)
  rmSync(folder, { recursive: true })
  return loaded.ok ? [] : loaded.faults.map((fault) => printFault({ ...fault, file: fault.file.slice(folder.length + 1) }))
}

const VAULT = '{ address: "https://vault.test:8200", role: vecauthz, jwt_audience: vault, path: chroma, field: token }'
const withCredential = (text: string, credential: string) =>
  text.replace('    version: 1.5.9', `    credential: ${credential}\n    version: 1.5.9`)

/** Each bad policy to the faults it must give: place first, then what is wrong. */
const WANT: Record<string, RegExp[]> = {
  'unknown-key.yaml': [/^policy.yaml:8:5: collections.0.names: /, /^policy.yaml:10:\d+: collections.0.name: unknown key/],
  'tenant-misspelt.yaml': [/^policy.yaml:6:15: Tenant "acmee" is not listed/],
  'spiffe-id-in-capitals.yaml': [/^policy.yaml:5:16: "spiffe:\/\/Demo.* is not a SPIFFE ID or pattern/],
  'trust-domain-not-listed.yaml': [/^policy.yaml:5:16: Trust domain "other.test" is not listed/],
  'action-misspelt.yaml': [/^policy.yaml:14:19: collections.0.allow.0.actions.0: /],
  'database-unknown.yaml': [/^policy.yaml:8:15: Database "dmeo".*Known: demo/],
  'limit-missing.yaml': [/^policy.yaml:15:9: limits.top_k: /],
  'star-in-the-middle.yaml': [/^policy.yaml:10:13: "hand\*book" has a \*/],
  'tenant-twice.yaml': [/^policy.yaml:3:31: Tenant "acme" stands here a second time/],
  'patterns-overlap.yaml': [/^policy.yaml:6:18: Pattern .* can match the same workload/],
  'key-twice.yaml': [/^policy.yaml:2:1: Map keys must be unique/],
  'alias.yaml': [/^policy.yaml:6:15: Alias \*all is not allowed/, /^policy.yaml:13:19: Alias/],
  'collection-twice.yaml': [/^policy.yaml:10:23: Collection "handbook" is described twice/],
  'budget-of-zero.yaml': [/^policy.yaml:16:23: budget.per_second: /],
  'broken-yaml.yaml': [/^policy.yaml:\d+:\d+: /],
  'three-faults.yaml': [/collections.0.names/, /collections.0.name: unknown key/, /actions.0/, /per_second/],
  'serial-in-another-spelling.yaml': [/^policy.yaml:17:22: revoked.serials.0: must be a serial number in lower-case hex/],
  'condition-misspelt.yaml': [
    /^policy.yaml:15:49: The condition cannot be used: No such key: rnig/,
    /^policy.yaml:20:16: The condition cannot be used: .*int.*string/,
    /^policy.yaml:23:15: The condition cannot be used: Unknown variable: acton/
  ],
  'expires-no-day.yaml': [/^policy.yaml:7:14: workloads.0.expires: must be a day, such as 2027-01-31/],
  'wildcard-in-the-middle.yaml': [/^policy.yaml:5:16: .* is not a SPIFFE ID or pattern/]
}

describe('configuration', () => {
  it('a good settings file and policy load', () => {
    expect(load(SETTINGS, POLICY)).toEqual([])
  })

  const credentials: readonly (readonly [string, string])[] = [
    ['chroma', '{ mode: header, header: x-chroma-token, secret: { env: KEY } }'],
    ['chroma', `{ mode: header, header: authorization, secret: { vault: ${VAULT} } }`],
    ['qdrant', '{ mode: api_key, secret: { file: qdrant.key } }'],
    ['qdrant', '{ mode: rbac_jwt, secret: { file: qdrant.key }, manage: true, ttl_seconds: 10 }'],
    ['weaviate', "{ mode: api_key, secret: { file: 'keys/{tenant}' } }"],
    ['weaviate', '{ mode: oidc, issuer: https://vecauthz.test, audience: weaviate }'],
    [
      'milvus',
      "{ mode: user_password, user: 'u_{tenant}', secret: { file: 'keys/{tenant}' }, probe_user: probe, probe_secret: { env: P } }"
    ]
  ]
  it.each(credentials)('a credential of %s: %s', (kind, credential) => {
    const faults = load(withCredential(SETTINGS.replace('kind: chroma', `kind: ${kind}`), credential), POLICY)
    expect(faults.filter((fault) => fault.startsWith('settings.yaml'))).toEqual([])
  })

  it('every bad policy in the folder is known here', () => {
    expect(readdirSync(join(HERE, 'bad')).sort()).toEqual(Object.keys(WANT).sort())
  })

  it.each(Object.entries(WANT))('%s: every fault with its place', (file, wanted) => {
    const faults = load(SETTINGS, readFileSync(join(HERE, 'bad', file), 'utf8'))
    for (const pattern of wanted)
      expect(
        faults.some((fault) => pattern.test(fault)),
        `${pattern} in\n${faults.join('\n')}`
      ).toBe(true)
    if (file !== 'broken-yaml.yaml') expect(faults.length, faults.join('\n')).toBe(wanted.length)
  })

  const egress = (text: string) => text.replace('role: gateway', 'role: egress\naudience: index').replace(/envoys:.*\n/, '')
  const index = (text: string) => text.replace('role: gateway', 'role: index\naudience: index')

  it('each role loads with what it has to have', () => {
    for (const of of [egress, index]) expect(load(of(SETTINGS), POLICY)).toEqual([])
    // Names are not asked at egress, so there is no place to ask.
    expect(load(egress(SETTINGS).replace(/ {4}url:.*\n/, ''), POLICY)).toEqual([])
    expect(load(index(SETTINGS).replace(/ {4}url:.*\n/, ''), POLICY).join()).toContain('there is no url')
  })

  const issuer = (change: string) =>
    `${POLICY}issuers: [{ spiffe_id: spiffe://demo.vecauthz.test/vecauthz/egress, tenants: [acme], audiences: [index] }${change}]\n`
  it.each([
    ['one', '', undefined],
    ['the same twice', ', { spiffe_id: spiffe://demo.vecauthz.test/vecauthz/egress, tenants: [acme], audiences: [b] }', /a second time/],
    ['a pattern', ', { spiffe_id: "spiffe://demo.vecauthz.test/vecauthz/*", tenants: [acme], audiences: [b] }', /is a pattern/],
    ['a tenant that is not listed', ', { spiffe_id: spiffe://demo.vecauthz.test/v, tenants: [nobody], audiences: [b] }', /Tenant "nobody"/],
    ['another trust domain', ', { spiffe_id: spiffe://other.test/v, tenants: [acme], audiences: [b] }', /other.test/],
    ['nobody to vouch to', ', { spiffe_id: spiffe://demo.vecauthz.test/v, tenants: [acme], audiences: [] }', /audiences/]
  ] as const)('issuers: %s', (_, change, want) => {
    const faults = load(SETTINGS, issuer(change))
    if (want === undefined) expect(faults).toEqual([])
    else expect(faults.join('\n')).toMatch(want)
  })

  const settings: readonly (readonly [string, (text: string) => string, RegExp])[] = [
    ['a gateway without envoys', (text) => text.replace(/envoys:.*\n/, ''), /Role gateway needs envoys/],
    ['a gateway with an audience', (text) => `${text}audience: index\n`, /Role gateway gives and takes no policy tokens/],
    ['an index without an audience', (text) => index(text).replace('audience: index\n', ''), /Role index needs audience/],
    ['an egress without an audience', (text) => egress(text).replace('audience: index\n', ''), /Role egress needs audience/],
    ['an egress with envoys', (text) => `${egress(text)}envoys: [spiffe://demo.vecauthz.test/envoy]\n`, /Role egress has no envoys/],
    ['an index that takes JWT-SVIDs', (text) => `${index(text)}jwt_svid: { audience: us }\n`, /knows workloads by their connections only/],
    [
      'an egress with the credential of a database',
      (text) => withCredential(egress(text), '{ mode: header, header: x-chroma-token, secret: { env: KEY } }'),
      /Role egress has no credentials of databases/
    ],
    [
      'an egress with an admin port',
      (text) => `${egress(text)}admin: { listen: "127.0.0.1:0", operators: [spiffe://demo.vecauthz.test/ada] }\n`,
      /Role egress keeps no approvals/
    ],
    [
      'a database kind of a later version',
      (text) => text.replace('kind: chroma', 'kind: pinecone'),
      /settings.yaml:9:11: Database kind "pinecone" is not served by this version. Use one of: chroma/
    ],
    ['an Envoy ID that is none', (text) => text.replace('/envoy/gateway', '/envoy/../gateway'), /settings.yaml:5:10: .*ID-13/],
    ['an Envoy ID without a path', (text) => text.replace('/envoy/gateway', ''), /settings.yaml:5:10: .*no path/],
    [
      'an authority of two databases',
      (text) =>
        text.replace('audit:', '  - { id: b, kind: chroma, version: 1.5.9, authorities: [localhost], url: "http://127.0.0.1:1" }\naudit:'),
      /Authority "localhost" already means database "demo"/
    ],
    ['a role that does not exist', (text) => text.replace('role: gateway', 'role: open'), /settings.yaml:2:7: role: /],
    ['a listen address with a name', (text) => text.replace('127.0.0.1:0', 'localhost:1'), /settings.yaml:3:9: listen: /],
    [
      'a credential of another kind of database',
      (text) => withCredential(text, '{ mode: rbac_jwt, secret: { env: KEY } }'),
      /settings.yaml:\d+:\d+: chroma has no credential of mode rbac_jwt. Use one of: header/
    ],
    ['a header that is not said', (text) => withCredential(text, '{ mode: header, secret: { env: KEY } }'), /Mode header needs header/],
    ['no secret', (text) => withCredential(text, '{ mode: header, header: x-chroma-token }'), /Mode header needs secret/],
    [
      'a secret in two places',
      (text) => withCredential(text, '{ mode: header, header: x-chroma-token, secret: { env: KEY, file: key } }'),
      /secret is in one place: file, env or vault/
    ],
    [
      'a header for all tenants that is none for all',
      (text) => withCredential(text, "{ mode: header, header: x-chroma-token, secret: { file: 'keys/{tenant}' } }"),
      /secret of mode header is one for all tenants/
    ],
    [
      'a key of another mode',
      (text) => withCredential(text, '{ mode: header, header: x-chroma-token, secret: { env: KEY }, user: root }'),
      /user says nothing in mode header/
    ],
    [
      'a Vault without TLS',
      (text) => withCredential(text, `{ mode: header, header: x-chroma-token, secret: { vault: ${VAULT.replace('https', 'http')} } }`),
      /vault.address: must be https/
    ],
    [
      'a path of Vault that leads upwards',
      (text) =>
        withCredential(text, `{ mode: header, header: x-chroma-token, secret: { vault: ${VAULT.replace('chroma', '../chroma')} } }`),
      /vault.path: must be a path/
    ],
    [
      'a start-up user without a password',
      (text) =>
        withCredential(
          text.replace('kind: chroma', 'kind: milvus'),
          "{ mode: user_password, user: 'u_{tenant}', secret: { file: 'keys/{tenant}' }, probe_user: probe }"
        ),
      /probe_user and probe_secret go together/
    ],
    [
      'tokens that nobody issues',
      (text) => withCredential(text.replace('kind: chroma', 'kind: weaviate'), '{ mode: oidc, audience: weaviate }'),
      /Mode oidc needs issuer/
    ],
    ['no list of Envoys', (text) => text.replace(/envoys:.*\n/, ''), /envoys/],
    [
      'a policy file that is not there',
      (text) => text.replace('policy: policy.yaml', 'policy: nowhere.yaml'),
      /nowhere.yaml:1:1: Cannot be read \(ENOENT\). The settings name it/
    ]
  ]
  it.each(settings)('%s', (_, change, want) => {
    const faults = load(change(SETTINGS), POLICY)
    expect(faults.join('\n')).toMatch(want)
  })
})
