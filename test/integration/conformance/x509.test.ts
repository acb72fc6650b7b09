/** XS, XV, XF, WA-2, WA-3, HX of the public catalogue, and the SPIFFE IDs of ID-1 in certificates. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { asClient, asServer, meet } from '../../conformance/drive.ts'
import { bundleOf, control, FEDERATED, freshSvid, hex, openStage, partner, type Stage, shownBy, TD, vec } from '../../conformance/stage.ts'
import { response, svidMessage } from '../../spire/fake-workload-api.ts'
import { EMPTY_NAME, issueSvid, makeAuthority, newKey, type Svid, type SvidSpec } from '../../support/ca.ts'

const HOUR = 3_600_000
const ID = `${TD}/peer`
const second = await makeAuthority({ trustDomain: 'vec.test', name: 'second root' })
const stranger = await makeAuthority({ trustDomain: 'vec.test', name: 'vec.test root' })
const below = await makeAuthority({ trustDomain: 'vec.test', parent: vec })

let stage: Stage
beforeAll(async () => {
  stage = await openStage()
})
afterAll(() => stage.close())

const roles = { server: asServer, client: asClient } as const
type Role = keyof typeof roles
const judged = (role: Role, peer: Svid): Promise<string> => roles[role](stage.harness, peer)

/** The positive control first: whoever refuses everything refuses this too. */
async function refuses(role: Role, peer: Svid, good: Svid = control): Promise<void> {
  expect(await judged(role, good), 'the positive control').toBe(good.id)
  expect(await judged(role, peer)).toBe('rejected')
}

describe('the SVID that is presented', () => {
  it('XS-1: the one that came, in both roles', async () => {
    const svid = await stage.publish()
    expect(await shownBy(stage.harness)).toBe(hex(svid))
    let shown: string | undefined
    await asClient(stage.harness, control, (leaf) => {
      shown = leaf
    })
    expect(shown).toBe(hex(svid))
  })

  it('XS-2: with its intermediates, leaf first', async () => {
    const svid = await issueSvid(below, { id: `${TD}/nested` })
    stage.fake.send(response([svidMessage(svid, vec)]))
    await expect
      .poll(async () => (await meet(stage.harness, control)).chain)
      .toEqual(svid.chain.map((der) => Buffer.from(der).toString('hex')))
    await stage.publish()
  })

  it('XS-3: after a rotation the new one', async () => {
    const [a, b] = [await stage.publish(), await stage.publish()]
    expect(hex(a)).not.toBe(hex(b))
    expect(await shownBy(stage.harness)).toBe(hex(b))
  })

  it('WA-3: the first of several, whichever that is', async () => {
    const [a, b] = [await freshSvid(), await freshSvid()]
    for (const [first, other] of [[a, b] as const, [b, a] as const]) {
      stage.fake.send(response([svidMessage(first, vec), svidMessage(other, vec)]))
      await expect.poll(() => shownBy(stage.harness)).toBe(hex(first))
    }
    await stage.publish()
  })
})

describe('the bundle', () => {
  it.each(['server', 'client'] as const)(
    'XS-4, XS-5: each of two roots is trusted, and one that is taken away is not (%s)',
    async (role) => {
      const peer = await issueSvid(second, { id: ID })
      await stage.publish({ anchors: [vec, second] })
      expect([await judged(role, control), await judged(role, peer)]).toEqual([control.id, ID])
      await stage.publish({ anchors: [vec] })
      await refuses(role, peer)
    }
  )

  it.each(['server', 'client'] as const)(
    'XF-1, XF-3: a federated trust domain is trusted for as long as it is in the message (%s)',
    async (role) => {
      const peer = await issueSvid(partner, { id: `${FEDERATED}/peer` })
      await stage.publish({ federated: { [FEDERATED]: partner.der } })
      expect(await judged(role, peer)).toBe(peer.id)
      await stage.publish()
      await refuses(role, peer)
    }
  )

  it.each(['server', 'client'] as const)('XF-2: the bundle of one trust domain is good for no other (%s)', async (role) => {
    await stage.publish({ federated: { [FEDERATED]: partner.der } })
    await refuses(role, await issueSvid(vec, { id: `${FEDERATED}/peer` }))
    await refuses(role, await issueSvid(partner, { id: ID }), await issueSvid(partner, { id: `${FEDERATED}/peer` }))
  })
})

const accepted: readonly { readonly name: string; readonly peer: () => Promise<Svid> }[] = [
  { name: 'XV-1: a plain leaf', peer: () => issueSvid(vec, { id: ID }) },
  { name: 'XV-2: a leaf below an intermediate', peer: () => issueSvid(below, { id: ID }) },
  { name: 'XV-3: with DNS names beside the id', peer: () => issueSvid(vec, { id: ID, dns: ['a.test', 'b.test'] }) },
  { name: 'XV-4: without a Subject', peer: () => issueSvid(vec, { id: ID, subject: EMPTY_NAME, sanCritical: true }) }
]
const leaf = (spec: SvidSpec) => () => issueSvid(vec, { id: ID, ...spec })
const rejected: readonly { readonly name: string; readonly peer: () => Promise<Svid> }[] = [
  { name: 'XV-5: another root of the same name', peer: () => issueSvid(stranger, { id: ID }) },
  { name: 'XV-6: expired', peer: leaf({ notBefore: Date.now() - 2 * HOUR, notAfter: Date.now() - HOUR }) },
  { name: 'XV-7: not yet valid', peer: leaf({ notBefore: Date.now() + HOUR, notAfter: Date.now() + 2 * HOUR }) },
  { name: 'XV-8: cA is true', peer: leaf({ basicConstraints: { ca: true } }) },
  { name: 'XV-9: keyCertSign', peer: leaf({ keyUsages: ['digitalSignature', 'keyCertSign'] }) },
  { name: 'XV-10: cRLSign', peer: leaf({ keyUsages: ['digitalSignature', 'cRLSign'] }) },
  { name: 'XV-11: two URIs', peer: leaf({ uris: [ID, `${TD}/other`] }) },
  { name: 'XV-11: two URIs, one no SPIFFE ID', peer: leaf({ uris: [ID, 'https://vec.test/peer'] }) },
  { name: 'XV-12: no URI', peer: leaf({ uris: [], dns: ['peer.vec.test'] }) },
  { name: 'XV-13: a URI that is no SPIFFE ID', peer: leaf({ uris: ['https://vec.test/peer'] }) },
  { name: 'XV-14: an id without a path', peer: leaf({ uris: [TD] }) },
  { name: 'XV-15: a trust domain without a bundle', peer: leaf({ uris: ['spiffe://stranger.test/peer'] }) }
]

describe.each(['server', 'client'] as const)('peers of the harness as %s', (role) => {
  beforeAll(async () => {
    await stage.publish()
  })
  it.each(accepted)('$name is accepted', async ({ peer }) => {
    expect(await judged(role, await peer())).toBe(ID)
  })
  it.each(rejected)('$name is rejected', async ({ peer }) => refuses(role, await peer()))
  it.each(['/a//b', '/a/../b', '/a/', '/%41', '/a?x=1', '/a#f', '/a!b'])('ID-1: the path %s is rejected', async (path) =>
    refuses(role, await issueSvid(vec, { id: `${TD}${path}` }))
  )
  it.each(['spiffe:///a', 'spiffe://vec.test:8080/a', 'spiffe://u@vec.test/a'])('ID-1: %s is rejected', async (id) =>
    refuses(role, await issueSvid(vec, { id }))
  )
})

it('a peer without a certificate is rejected', async () => {
  await stage.publish()
  expect(await asServer(stage.harness, { pem: '', keyPem: '' })).toBe('rejected')
})

describe('an update that cannot be used changes nothing, and the next good one counts', () => {
  const mandatory = ['spiffeId', 'x509Svid', 'x509SvidKey', 'bundle'] as const
  it('WA-2: without an SVID', () => stage.publishBad(response([])))
  it.each(mandatory)('WA-2: an SVID with an empty %s', async (field) => {
    const empty = { [field]: field === 'spiffeId' ? '' : Buffer.alloc(0) }
    await stage.publishBad(response([svidMessage(await freshSvid(), vec, empty)]))
  })

  const own = `${TD}/hx`
  const hardening: readonly { readonly name: string; readonly svid: () => Promise<Svid> }[] = [
    { name: 'HX-1: a wrong signature', svid: () => issueSvid(vec, { id: own, tampered: true }) },
    { name: 'HX-2: another root than the bundle has', svid: () => issueSvid(stranger, { id: own }) },
    {
      name: 'HX-3: an expired one',
      svid: () => issueSvid(vec, { id: own, notBefore: Date.now() - 2 * HOUR, notAfter: Date.now() - HOUR })
    },
    { name: 'HX-4: cA is true', svid: () => issueSvid(vec, { id: own, basicConstraints: { ca: true } }) },
    { name: 'HX-5: keyCertSign', svid: () => issueSvid(vec, { id: own, keyUsages: ['digitalSignature', 'keyCertSign'] }) },
    { name: 'HX-6: two URIs', svid: () => issueSvid(vec, { id: own, uris: [own, `${TD}/second`] }) },
    { name: 'HX-7: a URI that is no SPIFFE ID', svid: () => issueSvid(vec, { id: own, uris: ['https://vec.test/hx'] }) }
  ]
  it.each(hardening)('$name', async ({ svid }) => stage.publishBad(response([svidMessage(await svid(), vec)])))
  it('HX-8: the key of another certificate', async () => {
    const x509SvidKey = newKey('P-256').export({ type: 'pkcs8', format: 'der' })
    await stage.publishBad(response([svidMessage(await freshSvid(), vec, { x509SvidKey })]))
  })
  it('HX-9: another id in the message than in the certificate', async () => {
    await stage.publishBad(response([svidMessage(await freshSvid(), vec, { spiffeId: `${TD}/claimed` })]))
  })

  it('a good one in the place of a bad one is noticed, so the rows above can fail', async () => {
    await expect(stage.publishBad(response([svidMessage(await freshSvid(), vec, { bundle: bundleOf([vec]) })]))).rejects.toThrow(
      'presented what it should not'
    )
    stage = await stage.close().then(openStage)
  })
})
