import { spawnSync } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { svidCommand } from '../../src/admin/svid-verify.ts'
import { explained } from '../../src/admin/svid-verify-remedies.ts'
import { pemOf } from '../support/ca.ts'
import { HOUR, ID, mid, NOW, partner, root, svid } from '../support/chains.ts'
import { AUDIENCE, es256, JWT_NOW, jwkOf, makeToken, partnerKey, WORKLOAD } from '../support/jwt.ts'

const ROOT = join(import.meta.dirname, '../..')
const folder = mkdtempSync(join(tmpdir(), 'vecauthz-svid-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Writes a file and gives its name. */
function file(name: string, text: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

interface Outcome {
  readonly code: number
  readonly out: string
  readonly err: string
}

async function run(args: readonly string[], input: string | readonly Uint8Array[] = ''): Promise<Outcome> {
  const said = { out: '', err: '' }
  async function* chunks() {
    for (const chunk of typeof input === 'string' ? [Buffer.from(input)] : input) yield chunk
  }
  const code = await svidCommand(args, {
    input: chunks(),
    print: (text) => {
      said.out += text
    },
    complain: (text) => {
      said.err += text
    },
    now: () => NOW
  })
  return { code, ...said }
}

const verify = (...args: readonly string[]) => run(['verify', ...args])
/** Exit code and JSON of one question. */
async function json(...args: readonly string[]): Promise<unknown> {
  const { code, out } = await verify(...args, '--json')
  return { code, ...JSON.parse(out) }
}
const lines = async (objects: readonly unknown[], ...options: readonly string[]) => {
  const text = objects.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join('\n')
  const { code, out } = await run(['verify', '--jsonl', ...options], `${text}\n`)
  return {
    code,
    answers: out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  }
}

const deep = await svid(mid)
const [leafPem = '', midPem = ''] = deep.chain.map(pemOf)
const spiffeBundle = {
  keys: [
    { ...createPublicKey(root.key).export({ format: 'jwk' }), use: 'x509-svid', x5c: [Buffer.from(root.der).toString('base64')] },
    jwkOf(es256, { use: 'jwt-svid' })
  ],
  spiffe_sequence: 7,
  spiffe_refresh_hint: 60
}
const keySet = JSON.stringify({ keys: [jwkOf(es256)] })
const token = makeToken()
const files = {
  chain: file('chain.pem', deep.pem),
  leaf: file('leaf.pem', leafPem),
  anchors: file('root.pem', root.pem),
  token: file('token.jwt', `${token}\n`),
  keys: file('keys.json', keySet),
  bundle: file('bundle.json', JSON.stringify(spiffeBundle)),
  map: file('map.json', JSON.stringify({ trust_domains: { 'vec.test': spiffeBundle, 'empty.test': { keys: [] } } }))
}
const byAnchors = ['--bundle', files.anchors, '--trust-domain', 'vec.test']
const byKeys = ['--jwks', files.keys, '--trust-domain', 'vec.test', '--audience', AUDIENCE]
const AT = ['--at', new Date(JWT_NOW).toISOString()]

describe('a chain', () => {
  it('that is good', async () => {
    expect(await json('--chain', files.chain, ...byAnchors)).toMatchObject({ code: 0, ok: true, spiffe_id: ID })
    expect((await verify('--chain', files.chain, ...byAnchors)).out).toMatch(new RegExp(`^yes {2}${ID}\n`))
  })

  it('that lacks its intermediate, with rule and remedy', async () => {
    const { code, out, err } = await verify('--chain', files.leaf, ...byAnchors)
    expect([code, err]).toEqual([1, ''])
    expect(out).toMatch(/^no {3}X-19: .+\n {5}the rule: Issuer and subject names chain .+\n {5}to do: {4}Send the intermediate .+\n$/)
    expect(await json('--chain', files.leaf, ...byAnchors)).toMatchObject({ code: 1, ok: false, reason: 'svid-untrusted', rule: 'X-19' })
  })

  it.each([
    { name: 'at its last moment', at: new Date(NOW + HOUR).toISOString(), want: { code: 0, ok: true } },
    { name: 'a second later', at: '2026-11-20T13:00:01Z', want: { code: 1, reason: 'svid-expired', rule: 'X-15' } },
    { name: 'in another time zone', at: '2026-11-20t14:00:00.000+01:00', want: { code: 0, ok: true } },
    { name: 'in another time zone, a second later', at: '2026-11-20T14:00:01+01:00', want: { code: 1, rule: 'X-15' } },
    { name: 'on a day that is not on the calendar', at: '2026-02-31T12:00:00Z', want: { code: 2, reason: 'unreadable' } },
    { name: 'at no hour', at: '2026-11-20', want: { code: 2, reason: 'unreadable' } },
    { name: 'without a time zone', at: '2026-11-20T12:00:00', want: { code: 2, reason: 'unreadable' } }
  ])('$name', async ({ at, want }) => {
    expect(await json('--chain', files.chain, ...byAnchors, '--at', at)).toMatchObject(want)
  })

  it.each([
    {
      name: 'CRLF and text between the blocks',
      text: ` 0 s:O = SPIRE\r\n${`${leafPem}   i:CN = between\n${midPem}`.replaceAll('\n', '\r\n')}`,
      want: { code: 0, ok: true }
    },
    { name: 'nothing', text: '', want: { code: 1, rule: 'X-25' } },
    { name: 'no PEM', text: 'certificate', want: { code: 1, rule: 'X-27' } },
    { name: 'a private key', text: deep.keyPem, want: { code: 1, rule: 'X-27' } },
    { name: 'a damaged first line', text: deep.pem.replace('BEGIN', 'BEGlN'), want: { code: 1, rule: 'X-27' } },
    { name: 'no end', text: leafPem.replace(/-----END.*\n/, ''), want: { code: 1, rule: 'X-27' } },
    { name: 'a second one without an end', text: leafPem + midPem.replace(/-----END.*\n/, ''), want: { code: 1, rule: 'X-27' } },
    { name: 'a character that is not base64', text: leafPem.replace('\nMII', '\nM*I'), want: { code: 1, rule: 'X-27' } },
    {
      name: 'a byte of the certificate changed',
      text: `${leafPem.slice(0, 60)}${leafPem[60] === 'A' ? 'B' : 'A'}${leafPem.slice(61)}${midPem}`,
      want: { code: 1 }
    },
    { name: 'the intermediate first', text: midPem + leafPem, want: { code: 1, rule: 'X-11' } }
  ])('of $name', async ({ text, want }) => {
    expect(await json('--chain', file('one.pem', text), ...byAnchors)).toMatchObject(want)
  })

  it('is judged under the trust domain that the bundle is said to be of', async () => {
    const elsewhere = ['--bundle', files.anchors, '--trust-domain']
    expect(await json('--chain', files.chain, ...elsewhere, 'partner.test')).toMatchObject({ code: 1, rule: 'X-21' })
    expect(await json('--chain', files.chain, ...elsewhere, 'spiffe://vec.test')).toMatchObject({ code: 0 })
    expect(await json('--chain', files.chain, ...elsewhere, 'Vec.test')).toMatchObject({ code: 2, reason: 'unreadable', rule: 'ID-7' })
    expect(await json('--chain', files.chain, '--bundle', files.anchors)).toMatchObject({ code: 2, reason: 'unreadable' })
    expect(await json('--chain', files.chain, '--bundle', file('none.pem', '\n'), '--trust-domain', 'vec.test')).toMatchObject({
      code: 1,
      rule: 'X-22'
    })
    expect(await json('--chain', files.chain, '--bundle', file('text.pem', 'x'), '--trust-domain', 'vec.test')).toMatchObject({ code: 2 })
  })

  it('under a SPIFFE bundle or a bundle map', async () => {
    expect(await json('--chain', files.chain, '--spiffe-bundle', files.bundle, '--trust-domain', 'vec.test')).toMatchObject({ code: 0 })
    expect(await json('--chain', files.chain, '--spiffe-bundle', files.bundle)).toMatchObject({ code: 2 })
    expect(await json('--chain', files.chain, '--spiffe-bundle', files.map)).toMatchObject({ code: 0 })
    expect(await json('--chain', files.chain, '--spiffe-bundle', files.map, '--trust-domain', 'empty.test')).toMatchObject({
      code: 1,
      rule: 'X-21'
    })
    expect(await json('--chain', file('partner.pem', (await svid(partner)).pem), '--spiffe-bundle', files.map)).toMatchObject({ code: 1 })
  })
})

describe('a token', () => {
  it('that is good', async () => {
    expect(await json('--token', files.token, ...byKeys)).toMatchObject({ code: 0, ok: true, spiffe_id: WORKLOAD })
    expect(await json('--token', files.token, ...byKeys, ...AT)).toMatchObject({ code: 0 })
  })

  it('that is not', async () => {
    const bad = (spec: Parameters<typeof makeToken>[0]) => json('--token', file('bad.jwt', makeToken(spec)), ...byKeys)
    expect(await bad({ claims: { exp: JWT_NOW / 1000 - 90 } })).toMatchObject({ code: 1, reason: 'svid-expired', rule: 'J-15' })
    expect(await bad({ by: { ...partnerKey, kid: es256.kid } })).toMatchObject({ code: 1, reason: 'svid-untrusted', rule: 'J-18' })
    expect(await bad({ header: { typ: 'wit+jwt' } })).toMatchObject({ code: 1, rule: 'W-1' })
    expect(await json('--token', file('two.jwt', `${token}\n\n`), ...byKeys)).toMatchObject({ code: 1, rule: 'J-2' })
  })

  it('is judged by the key set of its own trust domain: named, in a map, or the one that was handed over without a name', async () => {
    const of = (...trust: readonly string[]) => json('--token', files.token, '--audience', AUDIENCE, ...trust)
    expect(await of('--jwks', files.keys)).toMatchObject({ code: 0 })
    expect(await of('--jwks', file('none.json', '{"keys":[]}'))).toMatchObject({ code: 1, rule: 'J-20' })
    const nobody = file('nobody.jwt', makeToken({ claims: { sub: 'alice' } }))
    expect(await json('--token', nobody, '--audience', AUDIENCE, '--jwks', files.keys)).toMatchObject({ code: 1, rule: 'J-10' })
    expect(await of('--jwks', files.keys, '--trust-domain', 'partner.test')).toMatchObject({ code: 1, rule: 'J-19' })
    expect(await of('--jwks', files.map)).toMatchObject({ code: 0 })
    expect(await of('--spiffe-bundle', files.map)).toMatchObject({ code: 0 })
    expect(await of('--spiffe-bundle', files.bundle, '--trust-domain', 'vec.test')).toMatchObject({ code: 0 })
    expect(await of('--jwks', file('empty.json', '{"keys":[]}'), '--trust-domain', 'vec.test')).toMatchObject({ code: 1, rule: 'J-20' })
    expect(await of('--jwks', file('no.json', '{}'), '--trust-domain', 'vec.test')).toMatchObject({ code: 2, rule: 'B-1' })
    expect(await of('--jwks', file('twice.json', '{"trust_domains":{},"trust_domains":{}}'))).toMatchObject({ code: 2, rule: 'B-13' })
  })

  it('for several audiences is remarked on', async () => {
    const of = async (aud: readonly string[]) => (await verify('--token', file('aud.jwt', makeToken({ claims: { aud } })), ...byKeys)).out
    expect(await of([AUDIENCE, 'billing'])).toContain('for 2 audiences')
    expect(await of([AUDIENCE])).not.toContain('audiences')
  })

  it('for whom, has to be said', async () => {
    const of = (...more: readonly string[]) => json('--token', files.token, '--jwks', files.keys, '--trust-domain', 'vec.test', ...more)
    expect(await of()).toMatchObject({ code: 2, reason: 'unreadable', rule: 'J-14' })
    expect(await of('--audience', '')).toMatchObject({ code: 2, reason: 'unreadable', rule: 'J-14' })
    expect(await of('--audience', 'billing')).toMatchObject({ code: 1, rule: 'J-13' })
  })
})

describe('a bundle, an ID', () => {
  it('says what is in it and what was passed over', async () => {
    const mixed = { ...spiffeBundle, keys: [...spiffeBundle.keys, { kty: 'EC' }] }
    const { code, out } = await verify('--spiffe-bundle', file('mixed.json', JSON.stringify(mixed)))
    expect([code, out]).toEqual([
      0,
      'yes\n     1 X.509 anchor, 1 JWT key, sequence 7\n     key 3: B-3: it has no use\n     to be fetched again after 60 s\n'
    ])
    expect(await json('--spiffe-bundle', file('empty.json', '{"keys":[]}'))).toEqual({
      code: 0,
      ok: true,
      detail: '0 X.509 anchors, 0 JWT keys, so it trusts nothing, no sequence number; to be fetched again after 300 s'
    })
    expect(await json('--spiffe-bundle', files.map)).toMatchObject({ code: 0, detail: expect.stringContaining('empty.test: 0 X.509') })
    expect(await json('--spiffe-bundle', file('no.json', '{}'))).toMatchObject({ code: 1, reason: 'bundle-invalid', rule: 'B-1' })
    expect(await json('--spiffe-bundle', file('map2.json', '{"trust_domains":{"A":{"keys":[]}}}'))).toMatchObject({ code: 1, rule: 'B-13' })
  })

  it('is valid or breaks a rule', async () => {
    expect(await json('--id', ID)).toEqual({ code: 0, ok: true, spiffe_id: ID, detail: 'the ID of a workload of vec.test' })
    expect(await json('--id', 'spiffe://vec.test')).toMatchObject({ code: 0, detail: expect.stringContaining('ID-20') })
    expect(await json('--id', `${ID}/`)).toMatchObject({ code: 1, ok: false, reason: 'id-invalid', rule: 'ID-14' })
    expect(await json('--id', '')).toMatchObject({ code: 1, rule: 'ID-1' })
  })
})

describe('what cannot be answered', () => {
  it.each([
    { name: 'nothing asked', args: [], says: 'Say what to verify' },
    { name: 'two things asked', args: ['--id', ID, '--token', files.token], says: 'one thing at a time' },
    { name: 'one thing twice', args: ['--id', ID, '--id', ID], says: '--id is given twice' },
    { name: 'an option of another question', args: ['--id', ID, '--audience', 'a'], says: '--audience does not go with --id' },
    { name: 'no trust', args: ['--chain', files.chain], says: 'Say what to trust' },
    { name: 'two kinds of trust', args: ['--chain', files.chain, ...byAnchors, '--spiffe-bundle', files.bundle], says: 'not both' },
    { name: 'a file that is not there', args: ['--chain', join(folder, 'nope'), ...byAnchors], says: 'There is no file' },
    { name: 'a folder', args: ['--chain', folder, ...byAnchors], says: 'cannot be read' },
    { name: 'DER', args: ['--chain', file('leaf.der', deep.der), ...byAnchors], says: 'not a text' },
    { name: 'more than 4 MiB', args: ['--chain', file('big.pem', ' '.repeat(4 * 1024 * 1024 + 1)), ...byAnchors], says: 'are the most' },
    { name: 'an option that is none', args: ['--chian', files.chain], says: "Unknown option '--chian'; see --help." },
    { name: 'an option without its value', args: ['--chain'], says: 'see --help' },
    { name: 'a stray word', args: ['chain.pem'], says: '"chain.pem" is not an option' }
  ])('$name', async ({ args, says }) => {
    const { code, out, err } = await verify(...args)
    expect([code, out]).toEqual([2, ''])
    expect(err).toMatch(/^vecauthz: [^\n]+\n$/)
    expect(err).toContain(says)
    expect(await json(...args)).toMatchObject({ code: 2, ok: false, reason: 'unreadable', detail: expect.stringContaining(says) })
  })

  it('helps', async () => {
    for (const args of [['--help'], ['verify', '--help'], ['verify', '-h', '--id', 'x']]) {
      expect(await run(args)).toMatchObject({ code: 0, err: '', out: expect.stringContaining('--spiffe-bundle FILE') })
    }
    expect((await run([])).code).toBe(2)
    expect(await run(['show'])).toMatchObject({ code: 2, err: expect.stringContaining('svid verify') })
  })
})

describe('lines', () => {
  const chainLine = { chain: deep.pem, bundle: root.pem, trust_domain: 'vec.test' }
  const tokenLine = { token, jwks: keySet, 'trust-domain': 'vec.test', audience: AUDIENCE }

  it('are answered one by one, in their order, with texts or files', async () => {
    const { code, answers } = await lines([
      chainLine,
      { ...tokenLine, name: 'second' },
      { ...chainLine, chain: files.chain },
      { ...tokenLine, token: files.token, jwks: files.keys },
      { id: ID },
      { spiffe_bundle: JSON.stringify(spiffeBundle) }
    ])
    expect([code, answers.map(({ ok }) => ok)]).toEqual([0, [true, true, true, true, true, true]])
    expect(answers[1]).toEqual({ name: 'second', ok: true, spiffe_id: WORKLOAD, detail: expect.any(String) })
    expect(Object.keys(answers[0])).toEqual(['ok', 'spiffe_id', 'detail'])
  })

  it('that are refused give 1, and one that cannot be read gives 2', async () => {
    expect(await lines([chainLine, { ...chainLine, chain: leafPem }])).toMatchObject({ code: 1, answers: [{ ok: true }, { rule: 'X-19' }] })
    expect(await lines([{ ...tokenLine, token: `${token}\n` }])).toMatchObject({ code: 1, answers: [{ rule: 'J-2' }] })
    const unreadable = [
      '',
      '{',
      '[]',
      '7',
      '{"id":7}',
      '{"id":"x","id":"y"}',
      '{"ID":"x"}',
      '{"at":"x"}',
      '{"trust_domain":"a.test","trust-domain":"b.test","id":"x"}'
    ]
    const { code, answers } = await lines([...unreadable, { ...chainLine, chain: './no/such/file' }, { id: ID }])
    expect([code, answers.length]).toEqual([2, unreadable.length + 2])
    expect(answers.slice(0, -1).filter(({ ok, reason }) => ok !== false || reason !== 'unreadable')).toEqual([])
    expect(answers.at(-1)).toMatchObject({ ok: true })
  })

  it('take from the options what they do not say', async () => {
    const { code, answers } = await lines(
      [{ chain: deep.pem }, { chain: deep.pem, bundle: partner.pem }, { chain: deep.pem, at: '2030-01-01T00:00:00Z' }, { id: ID }],
      ...byAnchors
    )
    expect([code, ...answers.map(({ ok, rule }) => (ok ? 'yes' : rule))]).toEqual([1, 'yes', 'X-20', 'X-15', 'yes'])
    const whole = await lines(
      [{ token }, { chain: deep.pem }, { chain: deep.pem, bundle: partner.pem, trust_domain: 'vec.test' }],
      '--spiffe-bundle',
      files.map,
      '--audience',
      AUDIENCE
    )
    expect(whole.answers.map(({ ok, rule }) => (ok ? 'yes' : rule))).toEqual(['yes', 'yes', 'X-20'])
  })

  it('that say more than they may are not read', async () => {
    const { answers } = await lines([chainLine, { ...chainLine, leeway: '5' }, { ...chainLine, 'trust-domain': 'vec.test' }])
    expect(answers.map(({ ok, detail }) => (ok ? 'yes' : detail))).toEqual([
      'yes',
      'The line has the unknown name "leeway".',
      'The line has the name "trust-domain" in two spellings.'
    ])
  })

  it('may each come with trust of their own', async () => {
    const many = Array.from({ length: 70 }, (_, at) => ({
      ...chainLine,
      bundle: `${at % 2 === 0 ? root.pem : partner.pem}${'\n'.repeat(at)}`
    }))
    const { answers } = await lines([...many, ...many])
    expect(answers.map(({ ok }) => ok)).toEqual([...many, ...many].map((_, at) => at % 2 === 0))
  })

  it('bring their trust whole, whatever the options say', async () => {
    const elsewhere = JSON.stringify({ keys: [jwkOf(partnerKey, { use: 'jwt-svid' })] })
    const chains = await lines(
      [
        { chain: deep.pem, spiffe_bundle: JSON.stringify(spiffeBundle) },
        { chain: deep.pem, spiffe_bundle: elsewhere }
      ],
      ...byAnchors
    )
    expect(chains.answers.map(({ ok, rule }) => (ok ? 'yes' : rule))).toEqual(['yes', 'X-22'])
    const tokens = await lines([{ token, spiffe_bundle: elsewhere }, { token }, { token, jwks: elsewhere }], ...byKeys)
    expect(tokens.answers.map(({ ok, rule }) => (ok ? 'yes' : rule))).toEqual(['J-9', 'yes', 'J-9'])
    const documents = await lines([{ 'spiffe-bundle': elsewhere }], '--spiffe-bundle', files.map)
    expect(documents.answers[0].detail).toMatch(/^0 X.509 anchors, 1 JWT key/)
  })

  it('have their name back, whatever comes of them', async () => {
    const { answers } = await lines([{ name: 'a', id: ID }, { name: 'b', id: 'x' }, { name: 'c' }, { name: 'd', at: 7 }])
    expect(answers.map(({ name, ok, reason }) => [name, ok ? 'yes' : reason])).toEqual([
      ['a', 'yes'],
      ['b', 'id-invalid'],
      ['c', 'unreadable'],
      ['d', 'unreadable']
    ])
  })

  it('may come in any pieces, with and without an end', async () => {
    const bytes = Buffer.from(`{"id":"${ID}"}\r\n{"id":"é"}\n{"id":"x"}`)
    const whole = await run(['verify', '-'], [bytes])
    const pieces = await run(
      ['verify', '-'],
      [...bytes].map((byte) => Uint8Array.of(byte))
    )
    expect(pieces).toEqual(whole)
    expect(whole.out.split('\n').map((line) => line.slice(0, 12))).toEqual(['{"ok":true,"', '{"ok":false,', '{"ok":false,', ''])
  })

  it('that are too long are not read, and those behind them are', async () => {
    const long = Buffer.from(`{"id":"${'x'.repeat(3 * 1024 * 1024)}`)
    const { code, out } = await run(['verify', '-'], [long, long, Buffer.from(`"}\n{"id":"${ID}"}\n`)])
    const answers = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect([code, answers.map(({ ok }) => ok)]).toEqual([2, [false, true]])
  })

  it('none is no yes', async () => {
    expect(await run(['verify', '--jsonl'], '')).toMatchObject({
      code: 2,
      out: '',
      err: 'vecauthz: There was no line on standard input.\n'
    })
  })

  it('thousands are one process', async () => {
    const { code, answers } = await lines(Array.from({ length: 1_000 }, () => tokenLine))
    expect([code, answers.length]).toEqual([0, 1_000])
  })
})

it('every rule that an answer can name has a remedy', () => {
  const sources = ['identity', 'core'].flatMap((name) =>
    readdirSync(join(ROOT, 'src', name)).map((one) => readFileSync(join(ROOT, 'src', name, one), 'utf8'))
  )
  const named = sources.flatMap((text) =>
    [...text.matchAll(/fault\('((?:ID|X|J|W|B)-\d+)'|: '(J-\d+)'/g)].map(([, one, other]) => one ?? other ?? '')
  )
  // These are said of one key of a document, not of an answer, or to a server.
  const apart = ['B-2', 'B-3', 'B-4', 'B-5', 'B-6', 'B-7', 'B-8', 'B-10', 'B-14', 'B-15', 'B-16', 'J-23']
  expect(new Set(named).size).toBeGreaterThan(50)
  expect([...new Set(named)].filter((rule) => !apart.includes(rule) && explained(rule)?.remedy === undefined)).toEqual([])
})

it('the command line knows the command, and its exit code', () => {
  const main = (...args: readonly string[]) =>
    spawnSync(process.execPath, [join(ROOT, 'src/main.ts'), 'svid', ...args], { encoding: 'utf8' })
  expect(main('verify', '--id', `${ID}/`, '--json')).toMatchObject({
    status: 1,
    stderr: '',
    stdout: expect.stringContaining('"rule":"ID-14"')
  })
})
