/** Callers and calls for tests of what comes after identity and reading; only tests may make a Caller this way. */
import type { Caller } from '../../src/core/caller.ts'
import { parseSpiffeId } from '../../src/core/spiffe-id.ts'
import { NO_SHAPE, type Operation, type ResolvedTarget, type Shape, type VectorCall } from '../../src/core/vector-call.ts'

export function callerOf(text: string): Caller {
  const parsed = parseSpiffeId(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.detail}`)
  const proof = { evidence: 'x509-svid', notAfter: 4_000_000_000_000, serial: '01', provenAt: 0 }
  return { id: parsed.id, ...proof, tokenId: undefined, carrier: undefined, subject: undefined } as unknown as Caller
}

export function callOf(operation: Operation, tenant: string | undefined, collection = 'handbook', shape: Partial<Shape> = {}): VectorCall {
  const claim = tenant === undefined ? ({ kind: 'none' } as const) : ({ kind: 'path', tenant } as const)
  const targets =
    operation === 'probe' ? [] : [{ tenant: claim, namespace: 'rag', collection: { kind: 'name' as const, name: collection } }]
  return { database: 'chroma', endpoint: `test.${operation}`, operation, targets, shape: { ...NO_SHAPE, ...shape } }
}

export function targetOf(tenant: string, collection = 'handbook', namespace: string | undefined = 'rag'): ResolvedTarget {
  return { tenant, namespace, collection: { kind: 'name', name: collection } }
}
