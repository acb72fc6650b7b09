/** Schemas of Kubernetes objects, as an API server holds manifests to them with `fieldValidation: Strict`: a field that is not known is a fault. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'

// biome-ignore lint/suspicious/noExplicitAny: JSON Schema, as OpenAPI v3 has it
type Schema = Record<string, any>

export type Check = (manifest: Record<string, unknown>) => readonly string[]

/** Every kind that the files of a folder know. @returns what is wrong with a manifest; its kind not being known is the one fault of that */
export function readSchemas(folder: string): Check {
  const kinds = new Map<string, Schema>()
  const parts: Schema = {}
  for (const path of filesOf(folder)) {
    if (path.endsWith('_openapi.json')) addOpenApi(JSON.parse(readFileSync(path, 'utf8')), kinds, parts)
    else if (path.endsWith('.yaml')) for (const one of parseAllDocuments(readFileSync(path, 'utf8'))) addCrd(one.toJSON(), kinds)
  }
  return (manifest) => {
    const { apiVersion, kind } = manifest
    const schema = kinds.get(`${apiVersion} ${kind}`)
    return schema === undefined ? [`${apiVersion} ${kind} is not known`] : faultsOf(manifest, schema, parts, '')
  }
}

function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((one) => one.isFile())
    .map((one) => join(one.parentPath, one.name))
}

function addOpenApi(document: Schema, kinds: Map<string, Schema>, parts: Schema): void {
  Object.assign(parts, document['components'].schemas)
  for (const schema of Object.values<Schema>(document['components'].schemas)) {
    for (const { group, version, kind } of schema['x-kubernetes-group-version-kind'] ?? []) {
      kinds.set(`${group === '' ? version : `${group}/${version}`} ${kind}`, schema)
    }
  }
}

function addCrd(crd: Schema | null, kinds: Map<string, Schema>): void {
  if (crd?.['kind'] !== 'CustomResourceDefinition') return
  const { group, names, versions } = crd['spec']
  for (const { name, schema } of versions) {
    const { properties } = schema.openAPIV3Schema
    const whole = {
      ...properties,
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { $ref: '#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' }
    }
    kinds.set(`${group}/${name} ${names.kind}`, { ...schema.openAPIV3Schema, properties: whole })
  }
}

function faultsOf(value: unknown, schema: Schema, parts: Schema, path: string): string[] {
  const { $ref, allOf = [] } = schema
  if ($ref !== undefined) return faultsOf(value, parts[String($ref).split('/').at(-1) ?? ''] ?? {}, parts, path)
  // OpenAPI v3 writes a reference with a default as the only one of an allOf.
  if (allOf.length === 1 && schema['type'] === undefined) return faultsOf(value, allOf[0], parts, path)
  const here = [...ofType(value, schema, path), ...ofText(value, schema, path)]
  if (here.length > 0) return here
  if (Array.isArray(value)) {
    return [...ofList(value, schema, path), ...value.flatMap((one, at) => faultsOf(one, schema['items'] ?? {}, parts, `${path}[${at}]`))]
  }
  if (typeof value === 'object' && value !== null) return ofObject(value as Record<string, unknown>, schema, parts, path)
  return []
}

function ofObject(value: Record<string, unknown>, schema: Schema, parts: Schema, path: string): string[] {
  const { properties = {}, additionalProperties, required = [] } = schema
  const open =
    schema['x-kubernetes-preserve-unknown-fields'] === true || (schema['properties'] === undefined && additionalProperties === undefined)
  const lacking = (required as string[]).filter((name) => value[name] === undefined).map((name) => `${path}.${name} is missing`)
  const rest = Object.entries(value).flatMap(([name, one]) => {
    if (properties[name] !== undefined) return faultsOf(one, properties[name], parts, `${path}.${name}`)
    if (typeof additionalProperties === 'object') return faultsOf(one, additionalProperties, parts, `${path}.${name}`)
    return open || additionalProperties === true ? [] : [`${path}.${name} is not known`]
  })
  return [...lacking, ...rest, ...ofChoice(value, schema, path)]
}

/** CRDs say with these which fields go together; inside them only `required` and `properties` without types stand. */
function ofChoice(value: Record<string, unknown>, { oneOf, anyOf }: Schema, path: string): string[] {
  const holds = (one: Schema): boolean =>
    ((one['required'] ?? []) as string[]).every((name) => value[name] !== undefined) &&
    (one['not'] === undefined || !holdsNot(one['not'])) &&
    (one['anyOf'] === undefined || one['anyOf'].some(holds))
  const holdsNot = (one: Schema): boolean => (one['anyOf'] === undefined ? holds(one) : one['anyOf'].some(holds))
  if (oneOf !== undefined && oneOf.filter(holds).length !== 1) return [`${path} has not exactly one of the forms that it may have`]
  return anyOf !== undefined && !anyOf.some(holds) ? [`${path} has none of the forms that it may have`] : []
}

function ofType(value: unknown, schema: Schema, path: string): string[] {
  if (schema['x-kubernetes-int-or-string'] === true || schema['format'] === 'int-or-string') {
    return typeof value === 'string' || Number.isInteger(value) ? [] : [`${path} is neither a number nor a text`]
  }
  const { type } = schema
  if (type === undefined) return []
  const is =
    value === null ? 'null' : Array.isArray(value) ? 'array' : Number.isInteger(value) && type === 'integer' ? 'integer' : typeof value
  return is === type || (is === 'null' && schema['nullable'] === true) ? [] : [`${path} is ${is}, and must be ${type}`]
}

function ofText(
  value: unknown,
  { enum: allowed, pattern, minimum, maximum, maxLength, minLength, format }: Schema,
  path: string
): string[] {
  if (allowed !== undefined && !allowed.includes(value)) return [`${path} is ${value}, and must be one of ${allowed.join(', ')}`]
  if (typeof value === 'number' && ((minimum !== undefined && value < minimum) || (maximum !== undefined && value > maximum)))
    return [`${path} is out of its range`]
  if (typeof value !== 'string' || format === 'int-or-string') return []
  if (pattern !== undefined && !new RegExp(pattern).test(value)) return [`${path} is ${value}, and must match ${pattern}`]
  return value.length > (maxLength ?? Number.POSITIVE_INFINITY) || value.length < (minLength ?? 0)
    ? [`${path} is too long or too short`]
    : []
}

function ofList(value: readonly unknown[], { maxItems, minItems }: Schema, path: string): string[] {
  return value.length > (maxItems ?? Number.POSITIVE_INFINITY) || value.length < (minItems ?? 0)
    ? [`${path} has too many entries or too few`]
    : []
}
