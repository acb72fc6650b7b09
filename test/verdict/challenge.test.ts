/** The step-up challenge as clients have to read it: RFC 9110 §11.6.1, RFC 6750 §3, RFC 9470 §3. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stepUpId } from '../../src/admin/step-up-client.ts'
import type { StepUp } from '../../src/core/risk.ts'
import { RISK_DEFAULTS } from '../../src/core/risk-rules.ts'
import { newRecord, type Scope, withTerm } from '../../src/core/standing.ts'
import { refusalOf } from '../../src/risk/refusal.ts'
import { denyAnswer } from '../../src/verdict/answer.ts'

const NOW = Date.UTC(2026, 10, 21, 12)
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+/
const QUOTED = /^"((?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*)"/

/** One challenge: a scheme, and parameters that are there once each. @throws Error for what the grammar does not have */
function parsed(header: string): { scheme: string; parameters: Map<string, string> } {
  const scheme = TOKEN.exec(header)?.[0] ?? ''
  let rest = header.slice(scheme.length)
  const parameters = new Map<string, string>()
  if (!rest.startsWith(' ')) throw new Error('no space after the scheme')
  rest = rest.trimStart()
  for (;;) {
    const name = TOKEN.exec(rest)?.[0] ?? ''
    const value = QUOTED.exec(rest.slice(name.length + 1))
    if (name === '' || rest[name.length] !== '=' || value === null) throw new Error(`no parameter: ${rest}`)
    if (parameters.has(name)) throw new Error(`${name} twice`)
    parameters.set(name, value[1] ?? '')
    rest = rest.slice(name.length + 1 + value[0].length)
    if (rest === '') return { scheme, parameters }
    if (!rest.startsWith(', ')) throw new Error(`no comma: ${rest}`)
    rest = rest.slice(2)
  }
}

function denied(stepUp: StepUp, remedy = ''): { challenge: string; id: string | undefined; body: { detail: string; step_up: object } } {
  const { headers, body } = denyAnswer(
    { verdict: 'deny', reason: { kind: 'step-up-required', because: '', remedy, stepUp } },
    '00000000-0000-4000-8000-000000000000',
    false
  )
  const all = new Map(headers)
  return { challenge: all.get('www-authenticate') ?? '', id: all.get('x-vecauthz-step-up'), body: JSON.parse(body) }
}

const asked = (subject: string | undefined, acrValues?: ReadonlySet<string>, level: 'step-up' | 'quarantine' = 'step-up') => {
  const scope: Scope = { kind: 'workload', id: 'spiffe://demo.vecauthz.test/acme/support' }
  const evidence = { says: 'novelty', decisionIds: ['d-1'], figures: {}, ...(subject === undefined ? {} : { subject }) }
  const record = withTerm(newRecord(scope), 'f'.repeat(24), { level, cause: 'drift', evidence, since: NOW, durationMs: 86_400_000 })
  return refusalOf(record, { ...RISK_DEFAULTS, acrValues }, NOW + 7_900)
}

describe('the challenge', () => {
  it('where an end user can answer says how he has to sign in', () => {
    const reason = asked('user', new Set(['urn:example:mfa', 'phr']))
    const { challenge, id, body } = denied(reason?.stepUp as StepUp, reason?.remedy)
    const { scheme, parameters } = parsed(challenge)
    expect(scheme).toBe('Bearer')
    expect(Object.fromEntries(parameters)).toEqual({
      error: 'insufficient_user_authentication',
      error_description: 'The end user has to authenticate again',
      acr_values: 'urn:example:mfa phr',
      max_age: '7',
      request_id: id
    })
    expect(stepUpId(challenge)).toBe(id)
    expect(body.step_up).toEqual({ id, by: ['end-user', 'supervisor', 'operator'], seconds_left: 300 })
    expect(body.detail).toContain(`The end user signs in again, or a supervisor or an operator approves: vecauthz step-up answer ${id}.`)
  })

  it('where none can asks for none, and says who can', () => {
    const reason = asked(undefined, new Set(['phr']))
    const { challenge, id, body } = denied(reason?.stepUp as StepUp, reason?.remedy)
    expect([...parsed(challenge).parameters.keys()]).toEqual(['error', 'error_description', 'request_id'])
    expect(body.step_up).toEqual({ id, by: ['supervisor', 'operator'], seconds_left: 300 })
    expect(body.detail).toContain(`A supervisor or an operator approves: vecauthz step-up answer ${id}.`)
  })

  it('is not made of a quarantine: nobody answers that', () => {
    expect(asked('user', undefined, 'quarantine')).toMatchObject({
      kind: 'quarantined',
      remedy: expect.stringContaining('vecauthz release')
    })
    expect(asked('user', undefined, 'quarantine')?.stepUp).toBeUndefined()
  })

  it('is one that can be read whatever the policy asks for, with the id last and whole', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }), { maxLength: 8 }),
        fc.nat(),
        fc.boolean(),
        (acrValues, maxAgeSeconds, forUser) => {
          const id = `${'f'.repeat(24)}-0123456789abcdef.12`
          const { challenge } = denied({ id, forUser, acrValues, maxAgeSeconds, secondsLeft: 1 })
          const { parameters } = parsed(challenge)
          expect(parameters.get('request_id')).toBe(id)
          expect(stepUpId(challenge)).toBe(id)
          expect(/[^\x20-\x7e]/.test(challenge)).toBe(false)
        }
      )
    )
  })
})
