/** JV, JB, JF and ID of the public catalogue. */
import { createHmac, createPublicKey } from 'node:crypto'
import { status } from '@grpc/grpc-js'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { ask, validate } from '../../conformance/drive.ts'
import { FEDERATED, goodClaims, openStage, type Stage, TD, token } from '../../conformance/stage.ts'
import { newKey } from '../../support/ca.ts'
import { base64Url, es256, es384, es512, headerFor, jwkOf, other, partnerKey, rsa, type SigningKey } from '../../support/jwt.ts'

const ID = `${TD}/workload`
const ed25519: SigningKey = { alg: 'EdDSA', kid: 'k-ed25519', key: newKey('Ed25519') }
const VEC_KEYS = [es256, es384, es512, rsa, ed25519].map((key) => jwkOf(key))
const BASE = { [TD]: VEC_KEYS, [FEDERATED]: [jwkOf(partnerKey)] }

let stage: Stage
beforeAll(async () => {
  stage = await openStage()
})
afterAll(() => stage.close())

/** The positive control first: whoever refuses everything refuses this too. */
async function refuses(bad: string, good: string = token(), id: string = ID): Promise<void> {
  expect(await validate(stage.harness, good), 'the positive control').toBe(id)
  expect(await validate(stage.harness, bad)).toBe('rejected')
}

const seconds = (): number => Math.floor(Date.now() / 1000)
const part = (value: unknown): string => base64Url(JSON.stringify(value))
/** A token that no signer of ours would make. */
const sealed = (header: unknown, seal: (signed: string) => Buffer): string => {
  const signed = `${part(header)}.${part(goodClaims())}`
  return `${signed}.${seal(signed).toString('base64url')}`
}
const publicPem = (key: SigningKey): string => createPublicKey(key.key).export({ type: 'spki', format: 'pem' }).toString()

describe('JWT-SVIDs', () => {
  beforeAll(() => stage.publishJwt(BASE))

  it('JV-1: a good one is accepted, its subject is the id, and its claims come along', async () => {
    const answer = await ask(stage.harness, '/v1/jwt/validate', { token: token(), audience: 'conformance' })
    expect(answer).toMatchObject({ code: 200, body: { status: 'ok', spiffe_id: ID, claims: { sub: ID, aud: ['conformance'] } } })
  })

  const algorithms: readonly SigningKey[] = [
    es256,
    es384,
    es512,
    ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'].map((alg) => ({ ...rsa, alg }))
  ]
  it.each(algorithms)('JV-2: $alg is accepted', async (by) => {
    expect(await validate(stage.harness, token({ by }))).toBe(ID)
  })

  it('JV-3: alg none', async () => {
    await refuses(sealed({ alg: 'none', typ: 'JWT' }, () => Buffer.alloc(0)))
    await refuses(token({ header: { alg: 'none' } }))
  })
  it.each(['HS256', 'HS384', 'HS512'])('JV-4: %s, keyed with the public key', async (alg) => {
    for (const secret of [publicPem(es256), 'secret']) {
      const seal = (signed: string) =>
        createHmac(`sha${alg.slice(2)}`, secret)
          .update(signed)
          .digest()
      await refuses(sealed({ ...headerFor(es256), alg }, seal))
    }
  })
  it('JV-5: EdDSA, although the key is in the bundle', () => refuses(token({ by: ed25519 })))
  it('JV-6: an alg that is not of the key', async () => {
    await refuses(token({ header: { alg: 'RS256' } }))
    await refuses(token({ header: { alg: 'ES384' }, signedAs: 'ES384' }))
  })

  const claims: readonly { readonly name: string; readonly bad: () => Record<string, unknown> }[] = [
    { name: 'JV-7: no aud', bad: () => ({ aud: undefined }) },
    { name: 'JV-8: an aud that is not ours', bad: () => ({ aud: ['other'] }) },
    { name: 'JV-8: an aud that only begins like ours', bad: () => ({ aud: ['conformance2', 'Conformance'] }) },
    { name: 'JV-11: no exp', bad: () => ({ exp: undefined }) },
    { name: 'JV-12: expired', bad: () => ({ exp: seconds() - 300 }) },
    { name: 'JV-13: nbf in the future', bad: () => ({ nbf: seconds() + 300 }) },
    { name: 'JV-18: a trust domain without a bundle', bad: () => ({ sub: 'spiffe://stranger.test/workload' }) },
    { name: 'JV-17: the key of another trust domain', bad: () => ({ sub: `${FEDERATED}/workload` }) },
    { name: 'JV-19: a subject that is no SPIFFE ID', bad: () => ({ sub: 'workload' }) },
    { name: 'JV-19: no subject', bad: () => ({ sub: undefined }) }
  ]
  it.each(claims)('$name', ({ bad }) => refuses(token({ claims: bad() })))
  it.each([[['other', 'conformance']], ['conformance']])('JV-9, JV-10: aud %j is accepted', async (aud) => {
    expect(await validate(stage.harness, token({ claims: { aud } }))).toBe(ID)
  })

  it('JV-14: one bit of the signature', () =>
    refuses(
      token({
        signature: (made) => {
          made[0] = (made[0] ?? 0) ^ 1
          return made
        }
      })
    ))
  it('JV-15: another payload under the same signature', async () => {
    const [header, , signature] = token().split('.')
    await refuses(`${header}.${part({ ...goodClaims(), sub: `${TD}/admin` })}.${signature}`)
  })
  it('JV-16: a key that is not in the bundle, under its own kid and under a known one', async () => {
    await refuses(token({ by: other }))
    await refuses(token({ by: { ...other, kid: es256.kid } }))
  })

  it.each(['JWT', 'JOSE', undefined])('JV-20: typ %s is accepted', async (typ) => {
    expect(await validate(stage.harness, token({ header: { typ } }))).toBe(ID)
  })
  it.each(['at+jwt', 'wit+jwt', 'jwt', '', 7])('JV-21: typ %j', (typ) => refuses(token({ header: { typ } })))
  it('JV-22: without a kid is accepted, and by a stranger it is not', async () => {
    expect(await validate(stage.harness, token({ header: { kid: undefined } }))).toBe(ID)
    await refuses(token({ by: other, header: { kid: undefined } }))
  })
  it('JV-23: crit', () => refuses(token({ header: { crit: ['b64'], b64: true } })))
  it('JV-24: JSON serialization', async () => {
    const [header, payload, signature] = token().split('.')
    await refuses(JSON.stringify({ payload, protected: header, signature }))
    await refuses(JSON.stringify({ payload, signatures: [{ protected: header, signature }] }))
  })
  const malformed: readonly { readonly name: string; readonly make: (parts: readonly string[]) => string }[] = [
    { name: 'nothing', make: () => '' },
    { name: 'one part', make: ([a = '']) => a },
    { name: 'two parts', make: ([a, b]) => `${a}.${b}` },
    { name: 'four parts', make: (parts) => [...parts, 'AA'].join('.') },
    { name: 'no signature', make: ([a, b]) => `${a}.${b}.` },
    { name: 'no base64url', make: ([a, b, c]) => `${a}.*${b}.${c}` },
    { name: 'padding', make: (parts) => `${parts.join('.')}==` },
    { name: 'a header that is no JSON', make: ([, b, c]) => `${base64Url('oops')}.${b}.${c}` },
    { name: 'a payload that is no JSON', make: ([a, , c]) => `${a}.${base64Url('oops')}.${c}` },
    { name: 'a payload that is no object', make: ([a, , c]) => `${a}.${base64Url('[]')}.${c}` }
  ]
  it.each(malformed)('JV-25: $name', ({ make }) => refuses(make(token().split('.'))))
  it('the control port tells a refusal from an error: a question without a token is none', async () => {
    expect(await ask(stage.harness, '/v1/jwt/validate', { audience: 'conformance' })).toMatchObject({
      code: 500,
      body: { status: 'error' }
    })
    expect(await ask(stage.harness, '/v1/jwt/validate', '{')).toMatchObject({ code: 500, body: { status: 'error' } })
    expect(await ask(stage.harness, '/v1/jwt/mint', {})).toMatchObject({ code: 501, body: { status: 'unsupported' } })
    await expect(validate(stage.harness, token(), 7 as unknown as string)).rejects.toThrow('500 error')
  })
})

describe('SPIFFE IDs', () => {
  const bad = [
    'spiffe:///a',
    `${TD}:8080/a`,
    'spiffe://u@vec.test/a',
    `${TD}/a?x=1`,
    `${TD}/a#f`,
    `${TD}/%41`,
    `${TD}/a//b`,
    `${TD}/a/./b`,
    `${TD}/a/../b`,
    `${TD}/a/`,
    `${TD}/a!b`,
    'spiffe://t$d/a',
    'SPIFFE://vec.test/a',
    'spiffe://Vec.test/a',
    TD
  ]
  // Names in another spelling of ours are in the bundle map too, so that a client which normalises one finds a key.
  beforeAll(() => stage.publishJwt({ ...BASE, 'spiffe://t$d': VEC_KEYS, 'spiffe://Vec.test': VEC_KEYS }))
  it.each(bad)('ID-1: %s', (sub) => refuses(token({ claims: { sub } })))

  const domains = ['td_1.example-2.test', '10.1.2.3', '_a-.b']
  const good = [
    `${TD}/A.b-c_9/...`,
    `${TD}/Zz`,
    ...domains.map((name) => `spiffe://${name}/a`),
    `${TD}/${'x'.repeat(2048 - TD.length - 1)}`
  ]
  it('ID-2: those at the edge are accepted', async () => {
    await stage.publishJwt({ ...BASE, ...Object.fromEntries(domains.map((name) => [`spiffe://${name}`, VEC_KEYS])) })
    expect(good.at(-1)?.length).toBe(2048)
    for (const sub of good) expect(await validate(stage.harness, token({ claims: { sub } }))).toBe(sub)
  })
})

describe('JWT bundles', () => {
  beforeEach(() => stage.publishJwt(BASE))

  it('JB-1, JB-2: a key that is added is used, and one that is taken away is not', async () => {
    await refuses(token({ by: other }))
    await stage.publishJwt({ [TD]: [jwkOf(other)] })
    await refuses(token(), token({ by: other }))
  })
  it('JB-3: a trust domain that is taken away is not trusted', async () => {
    const theirs = token({ by: partnerKey, claims: { sub: `${FEDERATED}/job` } })
    expect(await validate(stage.harness, theirs)).toBe(`${FEDERATED}/job`)
    await stage.publishJwt({ [TD]: VEC_KEYS })
    await refuses(theirs)
  })
  it('JB-4: of several keys the one of the kid counts', async () => {
    const three = ['a', 'b', 'c'].map((kid): SigningKey => ({ alg: 'ES256', kid, key: newKey('P-256') }))
    await stage.publishJwt({ [TD]: three.map((key) => jwkOf(key)) })
    const by = three[1] ?? es256
    expect(await validate(stage.harness, token({ by }))).toBe(ID)
    await refuses(token({ by: { ...by, kid: 'a' } }), token({ by }))
  })
  it.each(['x509-svid', 'wit-svid', 'enc', 'JWT-SVID'])(
    'JB-5: a key whose use is %s signs no JWT-SVID, and its neighbour does',
    async (use) => {
      await stage.publishJwt({ [TD]: [jwkOf(other, { use }), jwkOf(es256)] })
      await refuses(token({ by: other }))
    }
  )
  it('JB-5, where the catalogue leaves it open: keys without a use count, for SPIRE writes none (B-16)', async () => {
    await stage.publishJwt({ [TD]: [jwkOf(other, { use: undefined }), jwkOf(es256, { use: 'jwt-svid' })] })
    expect([await validate(stage.harness, token({ by: other })), await validate(stage.harness, token())]).toEqual([ID, ID])
  })
  it('JB-6: a key of an unknown kty spoils no other', async () => {
    await stage.publishJwt({ [TD]: [{ kty: 'FUTURE', kid: 'f', use: 'jwt-svid' }, jwkOf(es256)] })
    await refuses(token({ by: other }))
  })
  it('JB-7: a set without keys trusts nobody', async () => {
    expect(await validate(stage.harness, token())).toBe(ID)
    await stage.publishJwt({ ...BASE, [TD]: [] })
    await refuses(token(), token({ by: partnerKey, claims: { sub: `${FEDERATED}/job` } }), `${FEDERATED}/job`)
  })
  it('JB-8: a federated trust domain is judged by its own keys', async () => {
    const claims = { sub: `${FEDERATED}/job` }
    await refuses(token({ claims }), token({ by: partnerKey, claims }), claims.sub)
  })
  it('a document that cannot be read changes nothing: the keys of before count until a good one comes', async () => {
    stage.fake.jwtBundles.send({ bundles: { [TD]: Buffer.from('oops'), [FEDERATED]: Buffer.from(JSON.stringify({ keys: [] })) } })
    stage.fake.jwtBundles.send({ bundles: {} })
    for (let times = 0; times < 10; times += 1) await refuses(token({ by: other }))
    await stage.publishJwt({ [TD]: [jwkOf(other)] })
    await refuses(token(), token({ by: other }))
  })
})

describe('fetching JWT-SVIDs', () => {
  const given = (sub: string, aud: readonly string[]) => ({ spiffeId: sub, svid: token({ claims: { sub, aud } }), hint: '' })
  const fetched = (audience: readonly string[], spiffeId = '') => ask(stage.harness, '/v1/jwt/fetch', { audience, spiffe_id: spiffeId })
  const asked = () => stage.fake.jwtSvid.calls.at(-1)?.request

  it.each([[['conformance']], [['conformance', 'spiffe://test.example/backend', 'third']]])(
    'JF-1, JF-2: the audiences %j go through, and the token comes back',
    async (audience) => {
      const svid = given(ID, audience)
      stage.fake.jwtSvid.behave(() => ({ svids: [svid] }))
      expect(await fetched(audience)).toMatchObject({ code: 200, body: { svids: [{ spiffe_id: ID, token: svid.svid, hint: '' }] } })
      expect(asked()).toEqual({ audience, spiffeId: '' })
    }
  )
  it('JF-3: the id that is asked for goes through, and no other comes back', async () => {
    const [mine, alt] = [given(ID, ['conformance']), given(`${TD}/other`, ['conformance'])]
    stage.fake.jwtSvid.behave(() => ({ svids: [mine, alt] }))
    const { body } = await fetched(['conformance'], alt.spiffeId)
    expect(body.svids).toEqual([{ spiffe_id: alt.spiffeId, token: alt.svid, hint: '' }])
    expect(asked()?.spiffeId).toBe(alt.spiffeId)
  })
  it('JF-4: PermissionDenied is an error, and no token of before is given', async () => {
    stage.fake.jwtSvid.behave(() => ({ svids: [given(ID, ['conformance'])] }))
    expect(await fetched(['conformance'])).toMatchObject({ code: 200 })
    stage.fake.jwtSvid.behave(() => ({ code: status.PERMISSION_DENIED, details: 'no identity issued' }))
    const before = stage.fake.jwtSvid.calls.length
    expect(await fetched(['conformance'])).toMatchObject({ code: 500, body: { status: 'error' } })
    expect(stage.fake.jwtSvid.calls.length).toBe(before + 1)
  })
})
