import { sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { type JwtKey, jwkSet, newJwtKey, readJwtSvid, signJwtSvid } from '../../src/spire/dev-jwt.ts'

const NOW = Date.UTC(2026, 10, 21, 12)
const AT = NOW / 1000
const vec = newJwtKey('k1')
const partner = newJwtKey('k2')
const keys = new Map([
  ['vec.test', vec],
  ['partner.test', partner]
])
const ID = 'spiffe://vec.test/a'

const read = (token: string, audience = 'vecauthz', now = NOW) => readJwtSvid(token, audience, (name) => keys.get(name), now)
const b64 = (text: string) => Buffer.from(text).toString('base64url')

/** A token with exactly these header and payload texts. */
function forge(header: string, payload: string, key: JwtKey = vec): string {
  const signed = `${b64(header)}.${b64(payload)}`
  return `${signed}.${sign('sha256', Buffer.from(signed), { key: key.key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

const HEADER = '{"alg":"ES256","kid":"k1","typ":"JWT"}'
const claims = (changes: object = {}) => JSON.stringify({ sub: ID, aud: ['vecauthz'], exp: AT + 300, iat: AT, ...changes })

describe('S-15, S-11: JWT-SVIDs of the dev issuer', () => {
  it('a token has alg, kid and typ only, and reads back', () => {
    const token = signJwtSvid(ID, ['vecauthz', 'second'], vec, NOW, 300_000)
    expect(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).toBe(HEADER)
    expect(read(token)).toEqual({
      ok: true,
      id: expect.objectContaining({ text: ID }),
      claims: { sub: ID, aud: ['vecauthz', 'second'], exp: AT + 300, iat: AT }
    })
    expect(read(forge(HEADER, claims()))).toMatchObject({ ok: true })
  })

  const token = signJwtSvid(ID, ['vecauthz'], vec, NOW, 300_000)
  const [header = '', payload = '', signature = ''] = token.split('.')
  const rows = [
    { name: 'J-13: for another audience', token, audience: 'billing', says: 'audience' },
    { name: 'J-13: asked for no audience', token, audience: '', says: 'audience' },
    { name: 'J-13: for the empty audience', token: signJwtSvid(ID, [''], vec, NOW, 300_000), audience: '', says: 'audience' },
    { name: 'J-15: at its end', token, now: NOW + 300_000, says: 'expired' },
    { name: 'J-1: in two parts', token: `${header}.${payload}`, says: 'compact' },
    { name: 'J-1: in four parts', token: `${token}.x`, says: 'compact' },
    { name: 'J-2: padded', token: `${token}==`, says: 'base64url' },
    { name: 'J-3: with alg none', token: forge('{"alg":"none","kid":"k1","typ":"JWT"}', claims()), says: 'header' },
    { name: 'J-5: with another typ', token: forge('{"alg":"ES256","kid":"k1","typ":"wit+jwt"}', claims()), says: 'header' },
    { name: 'J-6: with a further header', token: forge('{"alg":"ES256","kid":"k1","typ":"JWT","jku":"x"}', claims()), says: 'header' },
    { name: 'J-9: with an unknown kid', token: forge('{"alg":"ES256","kid":"k9","typ":"JWT"}', claims()), says: 'header' },
    { name: 'J-10: about nobody', token: forge(HEADER, claims({ sub: 'alice' })), says: 'subject' },
    { name: 'J-11: about a trust domain', token: forge(HEADER, claims({ sub: 'spiffe://vec.test' })), says: 'subject' },
    { name: 'J-12: with an audience that is no list', token: forge(HEADER, claims({ aud: 'vecauthz' })), says: 'claims' },
    { name: 'J-15: with a text for an end', token: forge(HEADER, claims({ exp: `${AT + 300}` })), says: 'claims' },
    { name: 'J-18: signed by another trust domain', token: forge(HEADER, claims(), partner), says: 'signature' },
    {
      name: 'J-18: signed and labelled by another trust domain',
      token: forge('{"alg":"ES256","kid":"k2","typ":"JWT"}', claims(), partner),
      says: 'header'
    },
    { name: 'J-19: of a stranger', token: forge(HEADER, claims({ sub: 'spiffe://stranger.test/a' })), says: 'no bundle' },
    { name: 'J-22: with a member twice', token: forge(HEADER, claims().replace('{', `{"sub":"spiffe://vec.test/admin",`)), says: 'claims' },
    { name: 'J-24: longer than a token can be', token: forge(HEADER, claims({ aud: ['vecauthz', 'x'.repeat(8_192)] })), says: 'too long' },
    { name: 'with one byte of the payload changed', token: `${header}.${b64(claims({ iat: AT + 1 }))}.${signature}`, says: 'signature' }
  ]
  it.each(rows)('refused $name', ({ token: asked, audience = 'vecauthz', now = NOW, says }) => {
    expect(read(asked, audience, now)).toEqual({ ok: false, because: expect.stringContaining(says) })
  })

  it('J-15: is good a millisecond before its end', () => {
    expect(read(token, 'vecauthz', NOW + 299_999)).toMatchObject({ ok: true })
  })

  it('S-9: the key set has no use, and no private part', () => {
    const [jwk] = JSON.parse(jwkSet([vec]).toString()).keys
    expect(Object.keys(jwk).sort()).toEqual(['crv', 'kid', 'kty', 'x', 'y'])
  })
})
