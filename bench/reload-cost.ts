/** A decision under a large policy beside one under a policy of ten, from bytes to bytes, in turn. */
import { CheckRequest } from '@envoyproxy/protos/auth'
import type { PolicyDocument } from '../src/core/policy-document.ts'
import { SERVED } from '../src/databases/dialects.ts'
import { createDecider } from '../src/envoy/decide.ts'
import { compilePolicy } from '../src/policy/compile.ts'
import { envoyPem, issueSvid } from '../test/support/ca.ts'
import { largePolicy } from '../test/support/large-policy.ts'
import { testWorld } from '../test/support/world.ts'
import type { Subjects } from './ratios.ts'

const ENVOY = 'spiffe://demo.vecauthz.test/envoy/gateway'
const HOST = 'chroma.demo.vecauthz.test'
/** Those of a policy of ten that are no pattern and no prefix, and in the large one among all others. */
const ASKED = [1, 2, 3, 4, 5, 6, 8, 9]

export async function decisionCosts(large: readonly [tenants: number, workloads: number, collections: number]): Promise<Subjects> {
  const [few, many] = [await deciding([10, 10, 10]), await deciding(large)]
  return {
    unit: 'a decision under 10 tenants, workloads and collections',
    baseline: few,
    measured: [{ name: `a decision under ${large.join(', ')}`, target: 1.1, prepare: () => many }]
  }
}

async function deciding(size: readonly [number, number, number]): Promise<(at: number) => boolean> {
  const databases = SERVED.filter((one) => one.kind === 'chroma').map((one) => ({ id: 'demo', ...one }))
  // Chroma has no names of two characters.
  const text = JSON.stringify(largePolicy(...size)).replace(/"([tc])([0-9]+[-*]*)"/g, '"$1-long-$2"')
  const document = { ...(JSON.parse(text) as PolicyDocument), budget: { per_second: 100_000, burst: 1_000_000 } }
  const compiled = compilePolicy(document, { databases, subjectIssuers: [] }, 'r', (path) => path.join('.'))
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.faults))
  const { root, world } = await testWorld({ policy: compiled.policy })
  const certificates = await Promise.all(ASKED.map((at) => issueSvid(root, { id: `spiffe://demo.vecauthz.test/w${at}` })))
  const decider = createDecider({
    now: Date.now,
    tick: () => performance.now() * 1000,
    newDecisionId: () => '00000000-0000-4000-8000-000000000000',
    world: () => world,
    credentials: () => undefined,
    record: () => true,
    onFault: (_, cause) => {
      throw cause
    },
    bodyBytesMax: 65_536,
    deadlineMs: 1_000,
    pendingMax: 10
  })
  let id = 0
  const messages = ASKED.map((at, index) => messageOf(at, envoyPem(certificates[index]?.der ?? new Uint8Array())))
  return (at) => {
    const message = messages[at % messages.length] as { bytes: Buffer; idAt: number }
    // A stream id of its own, so that no repeat is ever seen.
    message.bytes.write(String(id++).padStart(12, '0'), message.idAt, 'latin1')
    const answer = decider.decide(message.bytes, { ok: true, id: ENVOY, connection: undefined })
    // An empty status: code 0, which is allow.
    return Buffer.isBuffer(answer) && answer[0] === 0x0a && answer[1] === 0
  }
}

function messageOf(at: number, certificate: string): { bytes: Buffer; idAt: number } {
  const path = `/api/v2/tenants/t-long-${at}/databases/rag/collections/c-long-${at}`
  const headers = { ':authority': HOST, ':path': path, ':method': 'GET', ':scheme': 'https' }
  const headerMap = { headers: Object.entries(headers).map(([key, value]) => ({ key, rawValue: Buffer.from(value) })) }
  const id = '~'.repeat(12)
  const http = { id, method: 'GET', path, host: HOST, scheme: 'https', protocol: 'HTTP/1.1', headerMap }
  const bytes = Buffer.from(
    CheckRequest.encode(CheckRequest.fromPartial({ attributes: { source: { certificate }, request: { http } } })).finish()
  )
  return { bytes, idAt: bytes.indexOf(id) }
}
