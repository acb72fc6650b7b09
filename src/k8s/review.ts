/** An AdmissionReview (admission.k8s.io/v1) as far as a decision looks at it. What is not as it should be is no review. */
import { arrayOf, type Json, type JsonObject, objectOf, parseJson } from '../identity/json.ts'
import type { Labels } from './labels.ts'

/** An object of Kubernetes keeps within this; a review holds two of them. */
const DEPTH_MAX = 64

export interface Thing {
  readonly kind: string
  /** Undefined while the API server has still to make one up (`generateName`). */
  readonly name: string | undefined
  readonly namespace: string | undefined
  readonly labels: Labels
  readonly spec: JsonObject
}

export interface Review {
  readonly uid: string
  /** `namespaces`, `pods` or another one of the core group, version 1. */
  readonly resource: string
  /** Such as `status`; undefined for the object itself. */
  readonly subresource: string | undefined
  readonly operation: string
  readonly name: string | undefined
  readonly namespace: string | undefined
  readonly user: string
  readonly object: Thing
  /** What it was; undefined when it is new. */
  readonly before: Thing | undefined
}

export type ReadReview =
  | { readonly ok: true; readonly review: Review }
  | { readonly ok: false; readonly uid: string | undefined; readonly because: string }

export function readReview(bytes: Uint8Array): ReadReview {
  let uid: string | undefined
  try {
    const parsed = parseJson(bytes, DEPTH_MAX)
    if (!parsed.ok) fault(`the body ${parsed.detail}`)
    const body = object(parsed.ok ? parsed.value : undefined, 'the body')
    const request = objectOf(body.get('request'))
    // Read first, so that what is refused is refused under its name.
    uid = nonEmpty(request?.get('uid'))
    const version = text(body.get('apiVersion'))
    if (version !== 'admission.k8s.io/v1') fault(`the review is ${version ?? 'of no version'}, and only admission.k8s.io/v1 is read`)
    if (text(body.get('kind')) !== 'AdmissionReview') fault('the body is no AdmissionReview')
    if (request === undefined) fault('the review asks for nothing: it has no request')
    if (uid === undefined) fault('the request has no uid')
    return { ok: true, review: reviewOf(request as JsonObject, uid as string) }
  } catch (cause) {
    if (!(cause instanceof Fault)) throw cause
    return { ok: false, uid, because: cause.message }
  }
}

class Fault extends Error {}

function fault(because: string): never {
  throw new Fault(because)
}

function reviewOf(request: JsonObject, uid: string): Review {
  const resource = object(request.get('resource'), 'request.resource')
  const plural = nonEmpty(resource.get('resource')) ?? fault('request.resource names no resource')
  if (text(resource.get('group')) !== '' || text(resource.get('version')) !== 'v1')
    fault(`${plural} of another group or version than v1 are not decided here`)
  const operation = nonEmpty(request.get('operation')) ?? fault('the request has no operation')
  const old = request.get('oldObject')
  const before = old === undefined || old === null ? undefined : thing(old, 'request.oldObject')
  if (operation === 'UPDATE' && before === undefined) fault('an UPDATE does not say what was there before (request.oldObject)')
  return {
    uid,
    resource: plural,
    subresource: optional(request.get('subResource'), 'request.subResource'),
    operation,
    name: optional(request.get('name'), 'request.name'),
    namespace: optional(request.get('namespace'), 'request.namespace'),
    user: text(objectOf(request.get('userInfo'))?.get('username')) ?? '',
    object: thing(request.get('object'), 'request.object'),
    before
  }
}

function thing(json: Json | undefined, where: string): Thing {
  const whole = object(json, where)
  const metadata = object(whole.get('metadata'), `${where}.metadata`)
  if (text(whole.get('apiVersion')) !== 'v1') fault(`${where} is not of apiVersion v1`)
  const spec = whole.get('spec')
  return {
    kind: nonEmpty(whole.get('kind')) ?? fault(`${where} has no kind`),
    name: optional(metadata.get('name'), `${where}.metadata.name`),
    namespace: optional(metadata.get('namespace'), `${where}.metadata.namespace`),
    labels: labels(metadata.get('labels'), `${where}.metadata.labels`),
    spec: spec === undefined || spec === null ? new Map() : object(spec, `${where}.spec`)
  }
}

function labels(json: Json | undefined, where: string): Labels {
  if (json === undefined || json === null) return new Map()
  return new Map([...object(json, where)].map(([name, value]) => [name, text(value) ?? fault(`${where} has a value that is no text`)]))
}

/** Whether the spec has this switched on. What is there and neither true nor false is taken for on. */
export function isOn(spec: JsonObject, name: string): boolean {
  const value = spec.get(name)
  return value !== undefined && value !== null && value !== false
}

export function countOf(spec: JsonObject, name: string): number {
  return arrayOf(spec.get(name))?.length ?? (spec.get(name) === undefined || spec.get(name) === null ? 0 : Number.POSITIVE_INFINITY)
}

export function textIn(spec: JsonObject, name: string): string | undefined {
  return nonEmpty(spec.get(name))
}

/** Absent and empty are one in Kubernetes. */
function optional(json: Json | undefined, where: string): string | undefined {
  if (json === undefined || json === null || json === '') return undefined
  return text(json) ?? fault(`${where} is no text`)
}

function object(json: Json | undefined, where: string): JsonObject {
  return objectOf(json) ?? fault(`${where} is missing, or no object`)
}

function text(json: Json | undefined): string | undefined {
  return typeof json === 'string' ? json : undefined
}

function nonEmpty(json: Json | undefined): string | undefined {
  return typeof json === 'string' && json !== '' ? json : undefined
}
