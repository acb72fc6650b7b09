/** In the role `egress` the connection says who calls: its verdict is remembered, and never for longer than it is good. */
import { expect, it } from 'vitest'
import type { Connection } from '../../src/core/caller.ts'
import { createConnectionCache, identifyConnection } from '../../src/identity/identify-connection.ts'
import { bundlesOf, issueSvid, makeAuthority } from '../support/ca.ts'

const HOUR = 3_600_000
const NOW = Date.UTC(2026, 10, 21)
const root = await makeAuthority({ trustDomain: 'vec.test', notBefore: NOW - HOUR, notAfter: NOW + 24 * HOUR })
const svid = await issueSvid(root, { id: 'spiffe://vec.test/agent', notBefore: NOW - HOUR, notAfter: NOW + HOUR })
const trust = bundlesOf([root])
const open = (): Connection => ({ chain: svid.chain })

it('the SVID of the connection, proved once', () => {
  const cache = createConnectionCache()
  const connection = open()
  const first = identifyConnection(connection, trust, NOW, cache)
  expect(first).toMatchObject({ ok: true, value: { id: { text: svid.id }, evidence: 'x509-svid', provenAt: NOW } })
  const again = identifyConnection(connection, trust, NOW + 1, cache)
  expect(first.ok && again.ok && first.value === again.value).toBe(true)
})

it('proved again for a standing that is younger than the proof', () => {
  const cache = createConnectionCache()
  const connection = open()
  identifyConnection(connection, trust, NOW, cache)
  expect(identifyConnection(connection, trust, NOW + 5, cache, NOW)).toMatchObject({ value: { provenAt: NOW } })
  expect(identifyConnection(connection, trust, NOW + 5, cache, NOW + 1)).toMatchObject({ value: { provenAt: NOW + 5 } })
})

it('ends with its certificate, on a connection that stays open', () => {
  const cache = createConnectionCache()
  const connection = open()
  expect(identifyConnection(connection, trust, NOW, cache).ok).toBe(true)
  expect(identifyConnection(connection, trust, NOW + HOUR, cache).ok).toBe(true)
  expect(identifyConnection(connection, trust, NOW + HOUR + 1_000, cache)).toMatchObject({ reason: { kind: 'svid-expired' } })
})

it('is worth nothing under other bundles', async () => {
  const cache = createConnectionCache()
  const connection = open()
  expect(identifyConnection(connection, trust, NOW, cache).ok).toBe(true)
  const other = await makeAuthority({ trustDomain: 'vec.test', notBefore: NOW - HOUR, notAfter: NOW + HOUR })
  expect(identifyConnection(connection, bundlesOf([other], 2), NOW, cache)).toMatchObject({ reason: { kind: 'svid-untrusted' } })
  expect(identifyConnection(connection, bundlesOf([root], 3), NOW, cache).ok).toBe(true)
})

it('a connection without certificates is nobody', () => {
  expect(identifyConnection(undefined, trust, NOW, createConnectionCache())).toMatchObject({ reason: { kind: 'no-identity' } })
  expect(identifyConnection({ chain: [] }, trust, NOW, createConnectionCache()).ok).toBe(false)
})
