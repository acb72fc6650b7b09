/**
 * The one encoder of verdicts. Envoy's default answer is yes: an empty CheckResponse is an allow, and only `status.code` decides.
 * So every answer writes its code, and there is no way to build one without a verdict.
 */
import { CheckResponse } from '@envoyproxy/protos/auth'
import type { AllowAnswer, DenyAnswer, HeaderPair, Metadata } from '../verdict/answer.ts'

const OVERWRITE = 2 // HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD

export function encodeVerdict(answer: AllowAnswer | DenyAnswer, metadata: Metadata): Buffer {
  const dynamicMetadata = Object.fromEntries(metadata)
  if (answer.verdict === 'allow') {
    const okResponse = {
      headers: answer.set.map(overwrite),
      headersToRemove: [...answer.remove],
      dynamicMetadata: undefined,
      responseHeadersToAdd: answer.respond.map(overwrite),
      queryParametersToSet: [],
      queryParametersToRemove: []
    }
    const status = { code: 0, message: '', details: [] }
    return finish({ status, okResponse, deniedResponse: undefined, dynamicMetadata })
  }
  // A denial that was built with code 0 would be an allow: refused here, where it cannot be overlooked.
  if (answer.grpc === 0 || answer.http < 400) throw new Error('a denial needs an error status')
  const deniedResponse = { status: { code: answer.http as never }, headers: answer.headers.map(overwrite), body: answer.body }
  const status = { code: answer.grpc, message: '', details: [] }
  return finish({ status, deniedResponse, okResponse: undefined, dynamicMetadata })
}

function finish(response: CheckResponse): Buffer {
  const bytes = CheckResponse.encode(response).finish()
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/**
 * Both forms of "overwrite" at once: Envoy 1.40 obeys `append: false` and ignores `append_action` on requests, 1.37.0 did the
 * reverse; and `value`, never `raw_value`, which ext_authz turns into an empty header (seen on 1.40).
 */
function overwrite([key, value]: HeaderPair) {
  return { header: { key, value, rawValue: Buffer.alloc(0) }, append: false, appendAction: OVERWRITE, keepEmptyValue: false } as const
}
