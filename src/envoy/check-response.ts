/**
 * The one encoder of verdicts. Envoy's default answer is yes: an empty CheckResponse is an allow, and only `status.code` decides.
 * So every answer writes its code, and there is no way to build one without a verdict.
 */
import { CheckResponse } from '@envoyproxy/protos/auth'
import type { AllowAnswer, DenyAnswer, HeaderPair, Metadata } from '../verdict/answer.ts'

const OVERWRITE = 2 // HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD

/** Stands for the decision id (a UUID) in an encoded answer. No tenant, SPIFFE ID or revision can hold a tilde. */
const PLACEHOLDER = '~'.repeat(36)

/** Stands for a policy token in an encoded answer, as long as that is: no part of a JWS in compact form has a bar. */
const TOKEN_PLACEHOLDER = '|'

/** What else an allow depends on. */
export interface AllowKind {
  readonly tenant: string
  readonly revision: string
  readonly database: string
  /** Where a header says so: the database of Milvus. */
  readonly place: string | undefined
  /** The very object: another one is another credential, or a younger token. */
  readonly credential: object | undefined
  /** Role egress: characters of the policy token; 0 without one. Those of one caller for one tenant are equally long, but for their operation. */
  readonly tokenChars: number
  /** As the metadata says them; undefined where nobody judges risk. */
  readonly standing: string | undefined
  readonly score: string | undefined
}

interface Template extends AllowKind {
  readonly bytes: Buffer
  readonly places: readonly number[]
  readonly tokenAt: number
}

/** Templates of one caller: it acts for few tenants on few collections; an old policy's and those with old tokens are pushed out. */
const TEMPLATES_MAX = 16

/** What differs from one allow to the next of its kind. */
export interface AllowParts {
  readonly decisionId: string
  readonly token: string | undefined
}

type Build = (parts: AllowParts) => { readonly answer: AllowAnswer; readonly metadata: Metadata }

/**
 * Encodes allows from templates. All but the decision id and the policy token is the same for a caller under one policy, so it is encoded once and
 * copied: an allow costs a copy and a few writes instead of some forty small messages. Templates go with their caller.
 */
export function createAllowEncoder(): (caller: object, kind: AllowKind, parts: AllowParts, build: Build) => Buffer {
  const known = new WeakMap<object, Template[]>()
  return (caller, kind, parts, build) => {
    const { decisionId, token } = parts
    if (decisionId.length !== PLACEHOLDER.length || kind.tokenChars !== (token?.length ?? 0)) return encodeBuilt(build(parts))
    const own = known.get(caller) ?? []
    let template = own.find((one) => isSame(one, kind))
    if (template === undefined) {
      const bars = token === undefined ? undefined : TOKEN_PLACEHOLDER.repeat(token.length)
      const bytes = encodeBuilt(build({ decisionId: PLACEHOLDER, token: bars }))
      template = { ...kind, bytes, places: placesOf(bytes), tokenAt: bars === undefined ? -1 : bytes.indexOf(bars) }
      known.set(caller, [template, ...own.slice(0, TEMPLATES_MAX - 1)])
    }
    const copy = Buffer.from(template.bytes)
    for (const at of template.places) copy.write(decisionId, at, 'latin1')
    if (token !== undefined) copy.write(token, template.tokenAt, 'latin1')
    return copy
  }
}

function isSame(one: AllowKind, other: AllowKind): boolean {
  const sameCall = one.tenant === other.tenant && one.database === other.database && one.place === other.place
  if (one.standing !== other.standing || one.score !== other.score) return false
  return sameCall && one.revision === other.revision && one.credential === other.credential && one.tokenChars === other.tokenChars
}

function encodeBuilt({ answer, metadata }: ReturnType<Build>): Buffer {
  return encodeVerdict(answer, metadata)
}

function placesOf(bytes: Buffer): number[] {
  const places: number[] = []
  for (let at = bytes.indexOf(PLACEHOLDER); at !== -1; at = bytes.indexOf(PLACEHOLDER, at + 1)) places.push(at)
  return places
}

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
