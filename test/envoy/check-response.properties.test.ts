/** Envoy reads one field of an answer, and its default is yes: `status.code` is 0 exactly when the decision is allow, whatever it holds. */
import { CheckResponse } from '@envoyproxy/protos/auth'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AnyGrant, Decision } from '../../src/core/decision.ts'
import { DENIALS, type DenyKind, type DenyReason } from '../../src/core/deny-reason.ts'
import { type AllowParts, createAllowEncoder, encodeVerdict } from '../../src/envoy/check-response.ts'
import { allowAnswer, denyAnswer, egressAnswer, metadataOf } from '../../src/verdict/answer.ts'
import { runs } from '../fuzz/runs.ts'
import { callerOf, callOf, targetOf } from '../support/grants.ts'

const KINDS = Object.keys(DENIALS) as DenyKind[]
const KNOWN_CODES = new Set<number>(Object.values(DENIALS).map((row) => row.grpc))
const caller = callerOf('spiffe://demo.vecauthz.test/acme/support')
const call = callOf('search', 'acme')
/** Also what no name can be: the encoder sees to itself. */
const text = fc.oneof(fc.string(), fc.string({ unit: 'binary', maxLength: 2_000 }), fc.constantFrom('', '0', '\0', '~'.repeat(36)))
const absent = { nil: undefined }

const reason: fc.Arbitrary<DenyReason> = fc
  .record({ kind: fc.constantFrom(...KINDS), because: text, remedy: fc.option(text, absent), requestId: fc.option(text, absent) })
  .map((one) => JSON.parse(JSON.stringify(one)) as DenyReason)

const retry = fc.option(fc.oneof(fc.constantFrom(0, 1, 999, 1_000), fc.double({ min: 0, max: 1e9, noNaN: true })), absent)
const denial: fc.Arbitrary<Decision> = fc
  .record({ reason, retryAfterMs: retry })
  .map(({ reason: why, retryAfterMs }) => ({ verdict: 'deny', reason: why, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }))

const grant: fc.Arbitrary<AnyGrant> = fc
  .record({ kind: fc.constantFrom('tenant', 'probe', 'shadow'), tenant: text, rule: text, judged: fc.option(reason, absent) })
  .map((one) => ({ ...one, caller, call, targets: [targetOf('acme')], purpose: undefined, needs: undefined }) as unknown as AnyGrant)
const permission: fc.Arbitrary<Decision> = fc
  .record({ grant, judged: fc.option(reason, absent) })
  .map((one) => ({ verdict: 'allow', ...one }))

const headers = fc.array(fc.tuple(text, text), { maxLength: 4 })
const way = fc.record({
  grpc: fc.boolean(),
  egress: fc.boolean(),
  id: fc.oneof(fc.uuid(), text),
  revision: text,
  set: headers,
  remove: fc.array(text)
})

function answerOf(decision: Decision, { grpc, egress, id, set, remove }: typeof way extends fc.Arbitrary<infer Way> ? Way : never) {
  if (decision.verdict === 'deny') return denyAnswer(decision, id, grpc)
  return egress ? egressAnswer(decision.grant, id, 'token') : allowAnswer(decision.grant, id, remove, { set, remove })
}

function expectSays(bytes: Buffer, decision: Decision): void {
  const { status, okResponse, deniedResponse, dynamicMetadata } = CheckResponse.decode(bytes)
  const allowed = decision.verdict === 'allow'
  expect([status !== undefined, status?.code === 0, okResponse !== undefined, deniedResponse !== undefined]).toEqual([
    true,
    allowed,
    allowed,
    !allowed
  ])
  expect(dynamicMetadata).toMatchObject({ verdict: decision.verdict })
  if (allowed) return
  const { grpc, http } = DENIALS[decision.reason.kind]
  expect([status?.code, deniedResponse?.status?.code]).toEqual([grpc, http])
  expect(http).toBeGreaterThanOrEqual(400)
}

describe('every answer that can be built', () => {
  it('has status.code 0 exactly when the decision is allow, and then only what goes with it', () => {
    fc.assert(
      fc.property(fc.oneof(denial, permission), way, (decision, how) => {
        expectSays(encodeVerdict(answerOf(decision, how), metadataOf(decision, how.id, how.revision)), decision)
      }),
      runs(1_500)
    )
  })

  it('so for every kind of denial, over HTTP and gRPC, with and without a time to come back', () => {
    for (const kind of KINDS)
      for (const grpc of [false, true])
        for (const retryAfterMs of [undefined, 0, 1, 60_000]) {
          const decision: Decision = {
            verdict: 'deny',
            reason: { kind, because: 'b' },
            ...(retryAfterMs === undefined ? {} : { retryAfterMs })
          }
          expectSays(encodeVerdict(denyAnswer(decision, 'id', grpc), metadataOf(decision, 'id', 'r')), decision)
        }
    expect(KNOWN_CODES.has(0)).toBe(false)
  })

  const token = fc.stringMatching(/^[A-Za-z0-9_-]{1,90}\.[A-Za-z0-9_-]{1,30}\.[A-Za-z0-9_-]{86}$/)

  it('so for an allow that is copied from the one before', () => {
    const encode = createAllowEncoder()
    fc.assert(
      fc.property(
        grant,
        fc.oneof(fc.uuid(), text),
        fc.constantFrom('a', 'b'),
        headers,
        fc.option(token),
        (one, id, revision, set, vouched) => {
          const decision: Decision = { verdict: 'allow', grant: one }
          const parts = { decisionId: id, token: vouched ?? undefined }
          const kind = {
            tenant: 'acme',
            revision,
            database: 'demo',
            place: undefined,
            credential: undefined,
            tokenChars: vouched?.length ?? 0,
            standing: undefined,
            score: undefined
          }
          const build = (shown: AllowParts) => ({
            answer:
              shown.token === undefined
                ? allowAnswer(one, shown.decisionId, [], { set, remove: [] })
                : egressAnswer(one, shown.decisionId, shown.token),
            metadata: metadataOf(decision, shown.decisionId, revision)
          })
          const bytes = encode(caller, kind, parts, build)
          expectSays(bytes, decision)
          const sent = CheckResponse.decode(bytes).okResponse?.headers.map(({ header }) => [header?.key, header?.value])
          expect(sent).toContainEqual(['x-vecauthz-decision', id])
          if (vouched !== null) expect(sent).toContainEqual(['x-vecauthz-policy-token', vouched])
          expect(CheckResponse.decode(bytes).dynamicMetadata).toMatchObject({ policy_revision: revision })
        }
      ),
      runs(300)
    )
  })
})
