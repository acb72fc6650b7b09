import { CheckResponse } from '@envoyproxy/protos/auth'
import { describe, expect, it } from 'vitest'
import type { ProbeGrant } from '../../src/core/decision.ts'
import { DENIALS, type DenyKind } from '../../src/core/deny-reason.ts'
import { encodeVerdict } from '../../src/envoy/check-response.ts'
import { allowAnswer, denyAnswer, metadataOf } from '../../src/verdict/answer.ts'
import { callerOf, callOf } from '../support/grants.ts'

const ID = '00000000-0000-4000-8000-000000000000'
const caller = callerOf('spiffe://demo.vecauthz.test/acme/support')
const probe = { kind: 'probe', caller, call: callOf('probe', undefined) } as ProbeGrant
const KINDS = Object.keys(DENIALS) as DenyKind[]

function denied(kind: DenyKind, grpc = false, retryAfterMs?: number) {
  const reason = { kind, because: 'secret fact', remedy: 'Do this.' }
  const decision =
    retryAfterMs === undefined ? ({ verdict: 'deny', reason } as const) : ({ verdict: 'deny', reason, retryAfterMs } as const)
  return CheckResponse.decode(encodeVerdict(denyAnswer(decision, ID, grpc), metadataOf(decision, ID, 'rev')))
}

describe('the encoder of verdicts', () => {
  it('status.code is 0 exactly when the verdict is allow, for every kind of denial', () => {
    const allowed = CheckResponse.decode(
      encodeVerdict(allowAnswer(probe, ID, []), metadataOf({ verdict: 'allow', grant: probe }, ID, 'rev'))
    )
    expect(allowed.status?.code).toBe(0)
    expect(allowed.okResponse).toBeDefined()
    expect(allowed.deniedResponse).toBeUndefined()
    for (const kind of KINDS) {
      const response = denied(kind)
      expect(response.status?.code, kind).toBeGreaterThan(0)
      expect(response.deniedResponse?.status?.code, kind).toBe(DENIALS[kind].http)
      expect(response.okResponse, kind).toBeUndefined()
    }
  })

  it('a denial that was built with a success status cannot be encoded', () => {
    const answer = denyAnswer({ verdict: 'deny', reason: { kind: 'internal', because: '' } }, ID, false)
    expect(() => encodeVerdict({ ...answer, grpc: 0 }, [])).toThrow()
    expect(() => encodeVerdict({ ...answer, http: 200 }, [])).toThrow()
  })

  it('every header overwrites on every Envoy version, in `value`', () => {
    const allowed = CheckResponse.decode(encodeVerdict(allowAnswer(probe, ID, ['x-chroma-token']), []))
    expect(allowed.okResponse?.headers.length).toBeGreaterThan(0)
    for (const option of allowed.okResponse?.headers ?? []) {
      expect(option).toMatchObject({ append: false, appendAction: 2 })
      expect(option.header?.value).not.toBe('')
      expect(option.header?.rawValue.length).toBe(0)
    }
    expect(allowed.okResponse?.headersToRemove).toContain('x-chroma-token')
  })

  it('the tenant headers are set for a probe too, so that nothing depends on removal', () => {
    const answer = allowAnswer(probe, ID, [])
    expect(answer.set).toContainEqual(['x-tenant-id', 'none'])
    const both = answer.set.filter(([name]) => answer.remove.includes(name))
    expect(both).toEqual([]) // Envoy removes after it sets
  })

  it('standing and score are in the metadata, the score rounded down to tenths', () => {
    const risk = { score: 0.59, causes: [], before: 'normal', after: 'slowed' } as const
    const said = metadataOf({ verdict: 'deny', reason: { kind: 'internal', because: '' } }, ID, 'r', risk)
    expect([new Map(said).get('standing'), new Map(said).get('risk_score')]).toEqual(['slowed', '0.5'])
    expect(new Map(metadataOf({ verdict: 'deny', reason: { kind: 'internal', because: '' } }, ID, 'r')).has('standing')).toBe(false)
  })

  it('a step-up says who must do what, in a body below 1 KiB and a header of its own', () => {
    const stepUp = {
      id: `${'f'.repeat(24)}.123456`,
      forUser: true,
      acrValues: ['x'.repeat(32), 'a"b\n', 'c'],
      maxAgeSeconds: 7,
      secondsLeft: 293
    }
    const reason = { kind: 'step-up-required', because: '', remedy: 'x'.repeat(5_000), stepUp } as const
    const { headers, body, http, grpc } = denyAnswer({ verdict: 'deny', reason }, ID, true)
    expect([http, grpc]).toEqual([401, 16])
    expect(Buffer.byteLength(body)).toBeLessThanOrEqual(1024)
    expect(new Map(headers).get('www-authenticate')).toBe(
      `Bearer error="insufficient_user_authentication", error_description="The end user has to authenticate again", acr_values="${'x'.repeat(32)} ab c", max_age="7", request_id="${stepUp.id}"`
    )
    expect(JSON.parse(body).step_up).toMatchObject({ id: stepUp.id, by: ['end-user', 'supervisor', 'operator'], seconds_left: 293 })
  })

  it('the body is problem details of at most 1 KiB without the facts, and tells the remedy and the decision id', () => {
    for (const kind of KINDS) {
      const body = denied(kind).deniedResponse?.body ?? ''
      expect(Buffer.byteLength(body)).toBeLessThanOrEqual(1024)
      expect(body).not.toContain('secret fact')
      expect(JSON.parse(body)).toMatchObject({ status: DENIALS[kind].http, reason: kind, decision_id: ID })
      expect(JSON.parse(body).detail).toContain('Do this.')
    }
    const long = denyAnswer({ verdict: 'deny', reason: { kind: 'call-ambiguous', because: '', remedy: 'x'.repeat(5_000) } }, ID, false)
    expect(Buffer.byteLength(long.body)).toBeLessThanOrEqual(1024)
  })

  it('a gRPC caller gets an explicit status, an HTTP caller does not', () => {
    const header = (response: CheckResponse, name: string) =>
      response.deniedResponse?.headers.find((one) => one.header?.key === name)?.header?.value
    expect(header(denied('rate-exceeded', true, 1_500), 'grpc-status')).toBe('8')
    expect(header(denied('rate-exceeded', true, 1_500), 'grpc-retry-pushback-ms')).toBe('1500')
    expect(header(denied('rate-exceeded', false, 1_500), 'grpc-status')).toBeUndefined()
    expect(header(denied('rate-exceeded', false, 1_500), 'retry-after')).toBe('2')
  })

  it('metadata carries verdict and decision id on both outcomes', () => {
    expect(denied('tenant-not-allowed').dynamicMetadata).toMatchObject({
      verdict: 'deny',
      decision_id: ID,
      reason: 'tenant-not-allowed',
      atlas: 'AML.T0085.000'
    })
    const allowed = CheckResponse.decode(
      encodeVerdict(allowAnswer(probe, ID, []), metadataOf({ verdict: 'allow', grant: probe }, ID, 'rev'))
    )
    expect(allowed.dynamicMetadata).toMatchObject({ verdict: 'allow', decision_id: ID, policy_revision: 'rev', tenant: 'none' })
  })
})
